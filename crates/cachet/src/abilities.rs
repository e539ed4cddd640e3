//! The abilities of the token: what the answers to writes show of them, and the writes that `setup` checks them with.
//!
//! Cachet answers 404 and 422 before it checks abilities. So only a write that is otherwise valid shows whether the token has
//! the ability. The writes here change nothing that a reader of the page can see.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::json;

use super::Error;
use super::answer::ability;
use super::client::Cachet;
use super::transport::Call;
use super::wire::Incident;
use alertmanager_cachet_core::observed::{ComponentUpdate, IncidentId, MANAGED_BY, ObservedComponent, ObservedGroup};
use alertmanager_cachet_core::status::IncidentStatus;

/// The abilities that `serve` needs. `setup` needs more.
pub const ABILITIES_OF_SERVE: [&str; 3] = ["components.manage", "incident-updates.manage", "incidents.manage"];

/// The title of the incident that `setup` checks abilities with. It has no comma: Cachet's filters split at commas.
pub const CHECK_TITLE: &str = "Check of the token by alertmanager-cachet";

/// For each ability, the last answer to a call that needed it: the refusal, or `None` if the call was carried out.
pub(super) type AbilityAnswers = BTreeMap<&'static str, Option<Error>>;

impl Cachet {
    /// Learns from the answer to a write whether the token has the ability for it.
    pub(super) fn learn_ability(&self, call: &Call, error: Option<&Error>) {
        // Only the check of abilities deletes incidents, and it works without the ability to do so.
        if call.method == Method::DELETE && call.path.starts_with("/incidents") {
            return;
        }
        match error {
            None => drop(self.lock_abilities().insert(ability(call), None)),
            Some(error @ Error::Forbidden { ability, .. }) => {
                drop(self.lock_abilities().insert(ability, Some(error.clone())));
            }
            Some(_) => {}
        }
    }

    /// The last refusal for a missing ability; of several missing ones, the first by name. `None` only means that nothing was
    /// refused yet: see [`Cachet::has_ability`].
    pub fn lacking_ability(&self) -> Option<Error> {
        self.lock_abilities().values().flatten().next().cloned()
    }

    /// Whether the token has this ability, by the last call that needed it. `None`: no call needed it yet.
    pub fn has_ability(&self, ability: &str) -> Option<bool> {
        self.lock_abilities().get(ability).map(Option::is_none)
    }

    /// Writes to a component its current values, which changes nothing. Needs `components.manage`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the ability, and otherwise see [`Error`]. The same holds for all calls below.
    pub async fn touch_component(&self, component: &ObservedComponent) -> Result<(), Error> {
        let update = ComponentUpdate { status: None, enabled: component.enabled, description: None, group: None };
        self.update_component(component.id, &update).await
    }

    /// Writes to a group its current name, which changes nothing. Needs `component-groups.manage`.
    pub async fn touch_group(&self, group: &ObservedGroup) -> Result<(), Error> {
        self.update(format!("/component-groups/{}", group.id.0), json!({"name": group.name})).await
    }

    /// The incident that an earlier check left, if it still exists. On a release with meta, its meta says that it is ours. On
    /// one without, only the incident with the number `known` is ours: a person can give any incident that title.
    pub async fn check_incident(&self, known: Option<IncidentId>) -> Result<Option<IncidentId>, Error> {
        if self.probe().await?.meta {
            let list = self.incident_call("/incidents").await?.with("filter[name]", CHECK_TITLE);
            let mut rows = self.list::<Incident>(list).await?.into_iter();
            let ours = rows.find(|row| row.attributes.name() == CHECK_TITLE && row.attributes.is_ours());
            return Ok(ours.map(|row| IncidentId(row.id)));
        }
        let Some(id) = known else { return Ok(None) };
        Ok(self.incident(id).await?.filter(|incident| incident.name == CHECK_TITLE).map(|incident| incident.id))
    }

    /// Makes the incident for the check: invisible, fixed, without component and notifications. Needs `incidents.manage`.
    pub async fn make_check_incident(&self) -> Result<IncidentId, Error> {
        let mut body = json!({
            "name": CHECK_TITLE, "message": "Nobody sees this incident.", "status": IncidentStatus::Fixed.value(),
            "visible": false, "notifications": false,
        });
        if self.probe().await?.meta {
            body["meta"] = json!({"managed_by": MANAGED_BY});
        }
        self.create("/incidents", body).await.map(IncidentId)
    }

    /// Writes to that incident its current values. Needs `incidents.manage`.
    pub async fn write_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        let body = json!({"status": IncidentStatus::Fixed.value(), "visible": false});
        self.update(format!("/incidents/{}", id.0), body).await
    }

    /// Posts an update of that incident. Needs `incident-updates.manage`.
    pub async fn update_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        let body = json!({"status": IncidentStatus::Fixed.value(), "message": "Nobody sees this update."});
        self.create(&format!("/incidents/{}/updates", id.0), body).await.map(drop)
    }

    /// Removes that incident. Needs `incidents.delete`, which is optional for a token.
    pub async fn remove_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        self.delete(format!("/incidents/{}", id.0)).await
    }
}

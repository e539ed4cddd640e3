//! What the token may do: what calls have told of it, and the calls that are there to tell.
//!
//! Cachet answers 404 and 422 before it looks at abilities, so only a write that is right in all else tells. These change
//! nothing that anybody sees.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::json;

use super::Error;
use super::answer::ability;
use super::client::Cachet;
use super::transport::Call;
use super::wire::Incident;
use alertmanager_cachet_core::observed::{ComponentUpdate, IncidentId, MANAGED_BY, ObservedComponent, ObservedGroup};
use alertmanager_cachet_core::status::IncidentStatus;

/// The abilities of those calls that keep the page; `setup` takes others besides.
pub const ABILITIES_OF_SERVE: [&str; 3] = ["components.manage", "incident-updates.manage", "incidents.manage"];

/// The title of the incident that abilities are tried on. A comma would split the filter.
pub const CHECK_TITLE: &str = "Check of the token by alertmanager-cachet";

/// The last answer to a call that took the ability: none where it was carried out, else the refusal.
pub(super) type Told = BTreeMap<&'static str, Option<Error>>;

impl Cachet {
    /// Learns from the answer to a write.
    pub(super) fn learn_ability(&self, call: &Call, error: Option<&Error>) {
        // A token need not be able to delete incidents, which only the check of abilities does.
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

    /// What Cachet said to the last call that took an ability which the token lacks; the first of several, by name.
    /// `None` says only that nothing was refused: see [`Cachet::has_ability`].
    pub fn lacking_ability(&self) -> Option<Error> {
        self.lock_abilities().values().flatten().next().cloned()
    }

    /// Whether the token has this ability, as the last call that took it has told; `None`: none did yet.
    pub fn has_ability(&self, ability: &str) -> Option<bool> {
        self.lock_abilities().get(ability).map(Option::is_none)
    }

    /// Writes to a component what it shows, which changes nothing. Takes `components.manage`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the ability, and see [`Error`]; so for all calls below.
    pub async fn touch_component(&self, component: &ObservedComponent) -> Result<(), Error> {
        let update = ComponentUpdate { status: None, enabled: component.enabled, description: None, group: None };
        self.update_component(component.id, &update).await
    }

    /// Writes to a group what it shows. Takes `component-groups.manage`.
    pub async fn touch_group(&self, group: &ObservedGroup) -> Result<(), Error> {
        self.update(format!("/component-groups/{}", group.id.0), json!({"name": group.name})).await
    }

    /// The incident that abilities were tried on before, if it is there yet. With meta it says itself that it is ours.
    /// Without, only that of the number `known` is, for a person can give any incident its title.
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

    /// Makes it: invisible, fixed, attached to no component, and without notifications. Takes `incidents.manage`.
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

    /// Writes to it what it is. Takes `incidents.manage`.
    pub async fn write_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        let body = json!({"status": IncidentStatus::Fixed.value(), "visible": false});
        self.update(format!("/incidents/{}", id.0), body).await
    }

    /// Posts an update of it. Takes `incident-updates.manage`.
    pub async fn update_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        let body = json!({"status": IncidentStatus::Fixed.value(), "message": "Nobody sees this update."});
        self.create(&format!("/incidents/{}/updates", id.0), body).await.map(drop)
    }

    /// Removes it. Takes `incidents.delete`, which a token need not have.
    pub async fn remove_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        self.delete(format!("/incidents/{}", id.0)).await
    }
}

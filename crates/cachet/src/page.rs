//! What Cachet is asked: the status page for the engine, and the writes with which `setup` checks the token.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::client::{Cachet, Offset, found};
use super::http::Request;
use super::wire::{self, Component, Data, Group, Incident, Row, Schedule, Written};
use super::{Error, Fault};
use alertmanager_cachet_core::observed::{
    ComponentId, GroupId, IncidentId, MANAGED_BY, Maintenance, NewComponent, NewGroup, NewIncident, Observed,
    ObservedComponent, ObservedGroup, ObservedIncident,
};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use alertmanager_cachet_core::status_page::{
    Capabilities, IncidentSearch, Known, PageError, PageFuture, PageWrite, Spare, StatusPage,
};
use alertmanager_cachet_core::time::Timestamp;

/// How far apart two updates of an incident are kept on a Cachet that counts them by the second.
const UPDATES_APART: Duration = Duration::from_millis(1100);

/// How far a time that Cachet shows may be off when it is read as UTC: it comes without an offset, in the app's time
/// zone. The zone furthest behind is twelve hours behind UTC; the thirteenth hour is for clocks that disagree.
const TOLERANCE_IN_ANY_ZONE: Duration = Duration::from_secs(13 * 60 * 60);

/// How far it may be off where the zone is known: one hour for a change to or from summer time since then, and 15 minutes
/// for clocks that disagree.
const TOLERANCE_IN_A_KNOWN_ZONE: Duration = Duration::from_secs(75 * 60);

/// The abilities that `serve` needs. `setup` needs more.
const ABILITIES_OF_SERVE: [&str; 3] = ["components.manage", "incident-updates.manage", "incidents.manage"];

/// The title of the incident that `setup` checks abilities with. It has no comma: Cachet's filters split at commas.
pub const CHECK_TITLE: &str = "Check of the token by alertmanager-cachet";

impl StatusPage for Cachet {
    fn address(&self) -> &str {
        self.shared.transport.address()
    }

    fn capabilities(&self) -> PageFuture<'_, Capabilities> {
        Box::pin(async { Ok(self.probe().await?) })
    }

    /// The token is checked along with the reading, at the price of one call: Cachet answers a guest where a token is
    /// wrong, and what a guest does not see would look as if it had been removed.
    ///
    /// Releases of 2025 go on listing an incident as it was before its latest update, and show it as that says. So there,
    /// those of `doubtful` are read one by one.
    fn observe<'a>(&'a self, doubtful: &'a [IncidentId]) -> PageFuture<'a, Observed> {
        Box::pin(async move {
            let before = self.learned().calls;
            let ((), groups, components, open) =
                tokio::try_join!(self.check_token(), self.groups(), self.components(), self.open_incidents())?;
            let is_anonymous = !self.probe().await?.meta;
            let mut open_incidents: Vec<ObservedIncident> = open.into_iter().map(Into::into).collect();
            for &id in doubtful {
                if !is_anonymous || open_incidents.iter().any(|open| open.id == id) {
                    continue;
                }
                let found = self.read_incident(id).await?;
                open_incidents.extend(found.filter(|found| found.status != Some(IncidentStatus::Fixed)));
            }
            open_incidents.iter_mut().for_each(|incident| incident.is_anonymous = is_anonymous);
            let mut learned = self.learned();
            learned.calls_of_a_reading = learned.calls.saturating_sub(before);
            Ok(Observed { groups, components, open_incidents, maintenance: Vec::new() })
        })
    }

    /// Some releases filter by the day, so the times in their answer decide.
    fn maintenance(&self) -> PageFuture<'_, Vec<Maintenance>> {
        Box::pin(async {
            let list = Request::new(Method::GET, "/schedules").with("include", "components");
            let in_progress = ScheduleStatus::InProgress.value();
            let mut rows = self.list::<Schedule>(list.with("filter[status]", in_progress)).await?;
            rows.retain(|row| row.attributes.status.value == Some(i64::from(in_progress)));
            Ok(rows.into_iter().map(Into::into).collect())
        })
    }

    fn incident(&self, id: IncidentId) -> PageFuture<'_, Option<ObservedIncident>> {
        Box::pin(async move { Ok(self.read_incident(id).await?) })
    }

    /// On a release with meta it is found by its outage's key, open or closed. On one without, it is looked up among the open
    /// incidents by its exact name, its component and its time of creation, which may not be before the lost call. Clocks and
    /// zones are allowed for: 75 minutes if the time zone is known, otherwise 13 hours. An incident that a person has closed
    /// meanwhile is not found. If the found incident shows a wrong start time, that is corrected. Of several, it is the first.
    fn find_incident<'a>(&'a self, search: &'a IncidentSearch<'a>) -> PageFuture<'a, Option<ObservedIncident>> {
        Box::pin(async move {
            if self.probe().await?.meta {
                let list = self.with_meta("/incidents").await?.with("filter[meta][episode]", search.outage);
                let mut found = self.list::<Incident>(list).await?.into_iter().map(ObservedIncident::from);
                return Ok(found.find(|incident| incident.outage.as_deref() == Some(search.outage)));
            }
            let open = self.open_incidents().await?;
            let offset = self.learned().offset;
            let name = wire::fitting(search.name);
            let new_enough = |created: Timestamp| {
                let latest = match offset {
                    Some(offset) => offset.moment(created).after(TOLERANCE_IN_A_KNOWN_ZONE),
                    None => created.after(TOLERANCE_IN_ANY_ZONE),
                };
                latest >= search.created_not_before
            };
            let found = open.into_iter().find(|row| {
                let incident = &row.attributes;
                incident.name == name
                    && incident.component_id.map(ComponentId) == search.component
                    && incident.created_if_utc.is_none_or(new_enough)
            });
            let Some(found) = found else { return Ok(None) };
            let Incident { created_if_utc: created, occurred_if_utc: shown, .. } = found.attributes;
            let offset = offset.or_else(|| Offset::between(created?, search.created_not_before));
            self.correct_date(IncidentId(found.id), shown, search.occurred_at, offset).await;
            Ok(Some(found.into()))
        })
    }

    fn create_group<'a>(&'a self, new: &'a NewGroup) -> PageFuture<'a, GroupId> {
        Box::pin(async move {
            let body = wire::new_group(new, self.probe().await?);
            Ok(GroupId(self.create("/component-groups", body).await?.id))
        })
    }

    fn create_component<'a>(&'a self, new: &'a NewComponent) -> PageFuture<'a, ComponentId> {
        Box::pin(async move {
            let body = wire::new_component(new, self.probe().await?);
            Ok(ComponentId(self.create("/components", body).await?.id))
        })
    }

    fn open_incident<'a>(&'a self, new: &'a NewIncident) -> PageFuture<'a, IncidentId> {
        Box::pin(async move {
            let capabilities = self.probe().await?;
            let body = wire::new_incident(new, capabilities, self.learned().offset);
            let made = self.create("/incidents", body).await?;
            let id = IncidentId(made.id);
            if !capabilities.meta {
                let offset = self.learned().offset;
                self.correct_date(id, made.attributes.occurred_if_utc, new.occurred_at, offset).await;
            }
            Ok(id)
        })
    }

    fn apply<'a>(&'a self, operation: &'a PageWrite) -> PageFuture<'a, ()> {
        Box::pin(async move {
            self.carry_out(operation).await?;
            // Releases of 2025 show the status of the latest update and filter by the incident's own.
            if let PageWrite::UpdateIncident { id, status, .. } = operation {
                let second = self.carry_out(&PageWrite::SetIncidentStatus(*id, *status)).await;
                return second.map_err(|error| PageError::from(error).of_a_second_call());
            }
            Ok(())
        })
    }

    fn known(&self) -> Known {
        let learned = self.learned();
        let has = |ability| learned.abilities.get(ability).map(Option::is_none);
        Known {
            refuses_unknown: learned.refuses_unknown,
            budget: learned.writes.now(),
            abilities: ABILITIES_OF_SERVE.into_iter().map(|ability| (ability, has(ability))).collect(),
            lacking: learned.abilities.values().flatten().next().cloned().map(Into::into),
        }
    }

    /// At least a fifth of the limit is kept for the public, and at most a half.
    fn spare(&self, public: usize) -> Spare {
        self.learned().writes.spare(u32::try_from(public).unwrap_or(u32::MAX))
    }

    /// A reading is taken to need as many calls as the last one.
    fn reading_waits(&self) -> Option<Duration> {
        let learned = self.learned();
        learned.reads.lacks(u32::try_from(learned.calls_of_a_reading.saturating_mul(2)).unwrap_or(u32::MAX))
    }
}

impl Cachet {
    /// Every group, by number.
    pub(super) async fn groups(&self) -> Result<Vec<ObservedGroup>, Error> {
        let list = self.with_meta("/component-groups").await?;
        Ok(self.list::<Group>(list).await?.into_iter().map(Into::into).collect())
    }

    /// Every component, visible or disabled, by number.
    pub(super) async fn components(&self) -> Result<Vec<ObservedComponent>, Error> {
        let include = if self.probe().await?.meta { "group,meta" } else { "group" };
        // without the filter, current Cachet leaves out disabled components even for a token (089)
        let list = Request::new(Method::GET, "/components").with("include", include).with("filter[enabled]", "0,1");
        Ok(self.list::<Component>(list).await?.into_iter().map(Into::into).collect())
    }

    /// Every incident that Cachet shows as not fixed, by number.
    ///
    /// Releases of 2025 filter by one status and show another, that of the latest update (2025-08: 509), so the
    /// status in their answer decides.
    pub(super) async fn open_incidents(&self) -> Result<Vec<Row<Incident>>, Error> {
        let list = self.with_meta("/incidents").await?.with("filter[status]", "0,1,2,3");
        let mut rows = self.list::<Incident>(list).await?;
        rows.retain(|row| row.attributes.status.value != Some(i64::from(IncidentStatus::Fixed.value())));
        Ok(rows)
    }

    async fn read_incident(&self, id: IncidentId) -> Result<Option<ObservedIncident>, Error> {
        let call = self.with_meta(&format!("/incidents/{}", id.0)).await?;
        Ok(found(self.read::<Data<Row<Incident>>>(call).await)?.map(|document| document.data.into()))
    }

    /// A read that asks for the meta of what it reads, where there is such a thing.
    async fn with_meta(&self, path: &str) -> Result<Request, Error> {
        let call = Request::new(Method::GET, path);
        Ok(if self.probe().await?.meta { call.with("include", "meta") } else { call })
    }

    /// One call; an update of an incident takes a second one, which gives the incident its status.
    ///
    /// # Errors
    /// [`Fault::Forbidden`] without the ability for it, and otherwise see [`Error`].
    pub async fn carry_out(&self, operation: &PageWrite) -> Result<(), Error> {
        match operation {
            PageWrite::ShowGroup(id) => {
                self.update(format!("/component-groups/{}", id.0), json!({"visible": true})).await
            }
            PageWrite::RemoveGroup(id) => self.delete(format!("/component-groups/{}", id.0)).await,
            PageWrite::RemoveComponent(id) => self.delete(format!("/components/{}", id.0)).await,
            PageWrite::UpdateComponent(id, update) => {
                let body = wire::component_update(update);
                let call = Request::new(Method::PUT, format!("/components/{}", id.0)).body(body);
                let answer = self.send(&call).await.inspect_err(|error| {
                    // Both recorded releases take the status Unknown (062). That cannot be probed without writing, for a
                    // component that does not exist is 404 before its status is looked at (152); so it is learnt from the
                    // first refusal (064: `The selected status is invalid.`), for the life of the client and its clones.
                    let status_refused =
                        matches!(&error.fault, Fault::Invalid { status: 422, message } if message.contains("status"));
                    if status_refused && update.status == Some(ComponentStatus::Unknown) {
                        self.learned().refuses_unknown = true;
                    }
                })?;
                let written = answer.json::<Data<Row<Written>>>(&call)?.data.attributes;
                // A status is sent only if the component shows another one. So the write changed `updated`.
                if update.status.is_some() {
                    self.learn_offset(written.updated_if_utc, &answer.headers);
                }
                Ok(())
            }
            PageWrite::UpdateIncident { id, status, message } => {
                // Two within one second tie in releases of 2025, and the first is shown; so there, the second one waits.
                let tie = self.shared.capabilities.get().is_none_or(|known| !known.meta);
                let earlier = self.learned().updates.get(id).copied();
                if tie && let Some(earlier) = earlier {
                    tokio::time::sleep_until(earlier + UPDATES_APART).await;
                }
                let body = json!({"status": status.value(), "message": message});
                let added = self.create(&format!("/incidents/{}/updates", id.0), body).await.map(drop);
                if tie {
                    let now = Instant::now();
                    let updates = &mut self.learned().updates;
                    updates.retain(|_, at| *at + UPDATES_APART > now);
                    updates.insert(*id, now);
                }
                added
            }
            PageWrite::SetIncidentStatus(id, status) => {
                self.update(format!("/incidents/{}", id.0), json!({"status": status.value()})).await
            }
            PageWrite::HideIncident(id) => {
                let body = json!({"status": IncidentStatus::Fixed.value(), "visible": false});
                self.update(format!("/incidents/{}", id.0), body).await
            }
        }
    }

    /// Corrects the start time of an incident to `occurred_at`, if it shows another one. That happens if it was sent before
    /// the time zone was known, or if summer time has begun or ended since. A failure is only logged: the incident is more
    /// important than its date.
    async fn correct_date(
        &self,
        id: IncidentId,
        shown: Option<Timestamp>,
        occurred_at: Timestamp,
        offset: Option<Offset>,
    ) {
        let Some(offset) = offset else { return };
        let right = offset.local(occurred_at).cut_to_seconds();
        if shown.is_none_or(|shown| shown == right) {
            return;
        }
        let body = json!({"occurred_at": wire::time(occurred_at, Some(offset))});
        if let Err(error) = self.update(format!("/incidents/{}", id.0), body).await {
            tracing::warn!("incident {} shows a wrong start time, the right one is {occurred_at}: {error}", id.0);
        }
    }
}

/// What `setup` checks the abilities of the token with, besides [`Cachet::carry_out`].
///
/// Cachet answers 404 and 422 before it checks abilities. So only a write that is otherwise valid shows whether the token has
/// the ability. The writes here change nothing that a reader of the page can see. Their errors are those of `carry_out`.
impl Cachet {
    /// Writes to a group its current name, which changes nothing. Needs `component-groups.manage`.
    pub async fn touch_group(&self, group: &ObservedGroup) -> Result<(), Error> {
        self.update(format!("/component-groups/{}", group.id.0), json!({"name": group.name})).await
    }

    /// The incident that an earlier check left, if it still exists. On a release with meta, its meta says that it is ours. On
    /// one without, only the incident with the number `known` is ours: a person can give any incident that title.
    pub async fn check_incident(&self, known: Option<IncidentId>) -> Result<Option<IncidentId>, Error> {
        if self.probe().await?.meta {
            let list = self.with_meta("/incidents").await?.with("filter[name]", CHECK_TITLE);
            let mut rows = self.list::<Incident>(list).await?.into_iter();
            let ours = rows.find(|row| row.attributes.name == CHECK_TITLE && row.attributes.meta.is_ours());
            return Ok(ours.map(|row| IncidentId(row.id)));
        }
        let Some(id) = known else { return Ok(None) };
        Ok(self.read_incident(id).await?.filter(|incident| incident.name == CHECK_TITLE).map(|incident| incident.id))
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
        Ok(IncidentId(self.create("/incidents", body).await?.id))
    }

    /// Removes the incident for the check. Needs `incidents.delete`, which is optional for a token.
    pub async fn remove_check_incident(&self, id: IncidentId) -> Result<(), Error> {
        self.delete(format!("/incidents/{}", id.0)).await
    }
}

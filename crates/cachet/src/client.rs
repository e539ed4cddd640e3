//! The calls, one method each.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::abilities::AbilityAnswers;
use super::budget::Budget;
use super::transport::{Call, Http, Response, Timeouts, Transport, headers};
use super::wire::{self, Component, Document, Group, Incident, Row, Schedule, Written};
use super::zone::Offset;
use super::{CallObserver, Error, Settings};
use alertmanager_cachet_core::observed::{
    ComponentId, ComponentUpdate, GroupId, IncidentId, Maintenance, NewComponent, NewGroup, NewIncident, Observed,
    ObservedComponent, ObservedGroup, ObservedIncident,
};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use alertmanager_cachet_core::status_page::{Capabilities, IncidentSearch, RateBudget, Spare};
use alertmanager_cachet_core::time::Timestamp;

/// How many requests are under way at a time; more wait. Cachet's PHP workers are few, and its rate limit is what bounds
/// throughput anyway.
pub(super) const MAX_PARALLEL: u32 = 4;

/// How far apart two updates of an incident are kept on a Cachet that counts them by the second.
const UPDATES_APART: Duration = Duration::from_millis(1100);

/// How far a time that Cachet shows may be off when it is read as UTC: it comes without an offset, in the app's time
/// zone. The zone furthest behind is twelve hours behind UTC; the thirteenth hour is for clocks that disagree.
const TOLERANCE_IN_ANY_ZONE: Duration = Duration::from_secs(13 * 60 * 60);

/// How far it may be off where the zone is known: one hour for a change to or from summer time since then, and 15 minutes
/// for clocks that disagree.
const TOLERANCE_IN_A_KNOWN_ZONE: Duration = Duration::from_secs(75 * 60);

/// A client of one Cachet. Clones are cheap and share connections, limits and what was probed.
#[derive(Clone)]
pub struct Cachet {
    shared: Arc<Shared>,
    observer: Option<Arc<dyn CallObserver>>,
}

struct Shared {
    transport: Box<dyn Transport>,
    /// What every request carries.
    headers: HeaderMap,
    per_page: u8,
    permits: Semaphore,
    capabilities: OnceCell<Capabilities>,
    calls: AtomicU64,
    /// How many of them the last reading of everything took.
    calls_of_a_reading: AtomicU64,
    /// What is left of writes.
    budget: Budget,
    /// What is left of reads.
    reads: Budget,
    /// Whether the status Unknown of a component was refused.
    refuses_unknown: AtomicBool,
    /// The known abilities of the token.
    abilities: Mutex<AbilityAnswers>,
    /// When incidents were last updated, where that matters; those of the last second.
    updates: Mutex<HashMap<IncidentId, Instant>>,
    /// The UTC offset of its time zone; `None` before the first write.
    offset: Mutex<Option<Offset>>,
}

impl Cachet {
    /// A client that speaks HTTP. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Settings`] if the address or the token cannot be one.
    pub fn over_http(settings: Settings) -> Result<Self, Error> {
        let transport = Http::new(&settings.base_url, Timeouts::DEFAULT)?;
        let headers = headers(&settings.token).ok_or_else(|| Error::Settings {
            what: "the API token holds characters that no token has: check CACHET_API_TOKEN for line breaks".into(),
        })?;
        Ok(Self::with_headers(Box::new(transport), headers, settings.per_page))
    }

    /// A client that reaches its Cachet another way.
    ///
    /// A token that no header can hold is left out, and refused like any other wrong one.
    pub fn over(transport: Box<dyn Transport>, token: &SecretString, per_page: u8) -> Self {
        Self::with_headers(transport, headers(token).unwrap_or_default(), per_page)
    }

    fn with_headers(transport: Box<dyn Transport>, headers: HeaderMap, per_page: u8) -> Self {
        let shared = Shared {
            transport,
            headers,
            per_page: per_page.clamp(1, 100),
            permits: Semaphore::new(MAX_PARALLEL as usize),
            capabilities: OnceCell::new(),
            calls: AtomicU64::new(0),
            calls_of_a_reading: AtomicU64::new(0),
            budget: Budget::default(),
            reads: Budget::default(),
            refuses_unknown: AtomicBool::new(false),
            abilities: Mutex::default(),
            updates: Mutex::default(),
            offset: Mutex::default(),
        };
        Self { shared: Arc::new(shared), observer: None }
    }

    /// This client, with its calls observed by `observer`. Later clones share the observer.
    pub fn observed_by(self, observer: Arc<dyn CallObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// The base of its API, without anything secret; within the process it is a path.
    pub fn address(&self) -> &str {
        self.shared.transport.address()
    }

    /// How many requests were sent so far, answered or not.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How many writes that can wait Cachet's rate limit allows now, if the public may want to see `public` writes
    /// before long: they are kept for that, at least a fifth of the limit and at most a half.
    pub fn spare(&self, public: usize) -> Spare {
        self.shared.budget.spare(u32::try_from(public).unwrap_or(u32::MAX))
    }

    /// Remembers how many calls a reading of everything took.
    pub(super) fn has_read(&self, calls: u64) {
        self.shared.calls_of_a_reading.store(calls, Ordering::Relaxed);
    }

    /// How long a reading of everything that can wait has to, if it takes as many calls as the last one: until the limit
    /// leaves enough for the next one, which cannot wait, and for what the public sees. `None`: not at all.
    pub fn reading_waits(&self) -> Option<Duration> {
        let calls = self.shared.calls_of_a_reading.load(Ordering::Relaxed);
        self.shared.reads.lacks(u32::try_from(calls.saturating_mul(2)).unwrap_or(u32::MAX))
    }

    /// What Cachet's rate limit allows now, for those who watch; `None` as long as it told of no limit.
    pub fn budget(&self) -> Option<RateBudget> {
        self.shared.budget.now()
    }

    /// Reads everything but maintenance: all groups, all components (visible or disabled), all open incidents. What keeps
    /// [`Self::maintenance`] from being read is no reason not to keep the page.
    ///
    /// The token is checked along with it, at the price of one call: Cachet answers a guest where a token is wrong, and
    /// what a guest does not see would look as if it had been removed.
    ///
    /// # Errors
    /// The first error of any of these calls.
    pub async fn observe(&self) -> Result<Observed, Error> {
        let ((), groups, components, open_incidents) =
            tokio::try_join!(self.check_token(), self.groups(), self.components(), self.open_incidents())?;
        Ok(Observed { groups, components, open_incidents, maintenance: Vec::new() })
    }

    /// Every group, by number.
    ///
    /// # Errors
    /// See [`Error`]; so for all calls below.
    pub async fn groups(&self) -> Result<Vec<ObservedGroup>, Error> {
        let list = Call::get("/component-groups");
        let list = if self.probe().await?.meta { list.with("include", "meta") } else { list };
        Ok(self.list::<Group>(list).await?.into_iter().map(Into::into).collect())
    }

    /// Every component, visible or disabled, by number.
    pub async fn components(&self) -> Result<Vec<ObservedComponent>, Error> {
        let include = if self.probe().await?.meta { "group,meta" } else { "group" };
        // without the filter, current Cachet leaves out disabled components even for a token (089)
        let list = Call::get("/components").with("include", include).with("filter[enabled]", "0,1");
        Ok(self.list::<Component>(list).await?.into_iter().map(Into::into).collect())
    }

    /// Every incident that Cachet shows as not fixed, by number.
    pub async fn open_incidents(&self) -> Result<Vec<ObservedIncident>, Error> {
        Ok(self.open_incident_rows().await?.into_iter().map(Into::into).collect())
    }

    /// Releases of 2025 filter by one status and show another, that of the latest update (2025-08: 509), so what they
    /// show has the say.
    async fn open_incident_rows(&self) -> Result<Vec<Row<Incident>>, Error> {
        let list = self.incident_call("/incidents").await?.with("filter[status]", "0,1,2,3");
        let mut rows = self.list::<Incident>(list).await?;
        rows.retain(|row| !row.attributes.is_fixed());
        Ok(rows)
    }

    /// Every maintenance that Cachet shows as in progress, by number.
    ///
    /// Some releases filter by the day, so what they show has the say.
    pub async fn maintenance(&self) -> Result<Vec<Maintenance>, Error> {
        let in_progress = ScheduleStatus::InProgress;
        let list = Call::get("/schedules").with("filter[status]", in_progress.value()).with("include", "components");
        let rows = self.list::<Schedule>(list).await?.into_iter();
        Ok(rows.filter(|row| row.attributes.status() == Some(in_progress)).map(Into::into).collect())
    }

    pub(super) async fn incident_call(&self, path: impl Into<String>) -> Result<Call, Error> {
        let call = Call::get(path);
        Ok(if self.probe().await?.meta { call.with("include", "meta") } else { call })
    }

    /// One incident, open or not; `None` if it was removed.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<ObservedIncident>, Error> {
        let call = self.incident_call(format!("/incidents/{}", id.0)).await?;
        match self.read::<Document<Incident>>(call).await {
            Ok(document) => Ok(Some(document.data.into())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The incident that a call without an answer may have opened; of several, the first.
    ///
    /// On a release with meta it is found by its episode's key, open or closed. On one without, it is looked up among the open
    /// incidents by its exact name, its component and its time of creation, which may not be before the lost call. Clocks and
    /// zones are allowed for: 75 minutes if the time zone is known, otherwise 13 hours. An incident that a person has closed
    /// meanwhile is not found. If the found incident shows a wrong start time, that is corrected.
    pub async fn find_incident(&self, search: &IncidentSearch<'_>) -> Result<Option<ObservedIncident>, Error> {
        if self.probe().await?.meta {
            let list = self.incident_call("/incidents").await?.with("filter[meta][episode]", search.episode);
            let mut found = self.list::<Incident>(list).await?.into_iter().map(ObservedIncident::from);
            return Ok(found.find(|incident| incident.episode.as_deref() == Some(search.episode)));
        }
        let open = self.open_incident_rows().await?;
        let Some(found) = open.into_iter().find(|row| fits(search, &row.attributes, self.offset())) else {
            return Ok(None);
        };
        let created = found.attributes.created_if_utc();
        let offset = self.offset().or_else(|| Offset::between(created?, search.created_not_before));
        self.correct_date(IncidentId(found.id), found.attributes.occurred_if_utc(), search.occurred_at, offset).await;
        Ok(Some(found.into()))
    }

    /// Makes a group, visible.
    pub async fn create_group(&self, new: &NewGroup) -> Result<GroupId, Error> {
        let body = wire::new_group(new, self.probe().await?);
        self.create("/component-groups", body).await.map(GroupId)
    }

    /// Shows an existing group, and with it its components.
    pub async fn show_group(&self, id: GroupId) -> Result<(), Error> {
        self.update(format!("/component-groups/{}", id.0), json!({"visible": true})).await
    }

    /// Removes a group; its components stay, without one. A group that is not there is as good as removed.
    pub async fn delete_group(&self, id: GroupId) -> Result<(), Error> {
        self.delete(format!("/component-groups/{}", id.0)).await
    }

    /// Makes a component.
    pub async fn create_component(&self, new: &NewComponent) -> Result<ComponentId, Error> {
        let body = wire::new_component(new, self.probe().await?);
        self.create("/components", body).await.map(ComponentId)
    }

    /// Brings a component up to date.
    pub async fn update_component(&self, id: ComponentId, update: &ComponentUpdate) -> Result<(), Error> {
        let updated = self.write_component(id, update).await;
        if let (Some(ComponentStatus::Unknown), Err(error)) = (update.status, &updated)
            && error.is_about_the_status()
        {
            self.shared.refuses_unknown.store(true, Ordering::Relaxed);
        }
        updated
    }

    async fn write_component(&self, id: ComponentId, update: &ComponentUpdate) -> Result<(), Error> {
        let call = Call::put(format!("/components/{}", id.0)).body(wire::component_update(update));
        let answer = self.send(&call).await?;
        let written = answer.json::<Document<Written>>(&call)?.data.attributes;
        // A status is sent only if the component shows another one. So the write changed `updated`.
        if update.status.is_some() {
            self.learn_offset(written.updated_if_utc(), &answer.headers);
        }
        Ok(())
    }

    /// Whether a component can be Unknown here, as far as is known.
    ///
    /// Both recorded releases take it (062). It cannot be probed without writing, for a component that does not exist is
    /// 404 before its status is looked at (152); so it is learnt from the first refusal, for the life of the client and
    /// its clones.
    pub fn takes_unknown(&self) -> bool {
        !self.shared.refuses_unknown.load(Ordering::Relaxed)
    }

    /// Removes a component. One that is not there is as good as removed.
    pub async fn delete_component(&self, id: ComponentId) -> Result<(), Error> {
        self.delete(format!("/components/{}", id.0)).await
    }

    /// Opens an incident. Cachet knows no idempotency: before this is repeated, [`Cachet::find_incident`] tells whether
    /// the first one arrived.
    pub async fn create_incident(&self, new: &NewIncident) -> Result<IncidentId, Error> {
        let capabilities = self.probe().await?;
        let made = self.created("/incidents", wire::new_incident(new, capabilities, self.offset())).await?;
        let id = IncidentId(made.id);
        if !capabilities.meta {
            self.correct_date(id, made.attributes.occurred_if_utc(), new.occurred_at, self.offset()).await;
        }
        Ok(id)
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
        let body = json!({"occurred_at": wire::local(occurred_at, offset)});
        if let Err(error) = self.update(format!("/incidents/{}", id.0), body).await {
            tracing::warn!("incident {} shows a wrong start time, the right one is {occurred_at}: {error}", id.0);
        }
    }

    /// Says something under an incident, with its new status.
    ///
    /// Two within one second tie in releases of 2025, and the first is shown; so there, the second one waits.
    pub async fn add_incident_update(
        &self,
        id: IncidentId,
        status: IncidentStatus,
        message: &str,
    ) -> Result<(), Error> {
        let body = json!({"status": status.value(), "message": message});
        let tie = self.shared.capabilities.get().is_none_or(|known| !known.meta);
        if tie && let Some(earlier) = self.last_update(id) {
            tokio::time::sleep_until(earlier + UPDATES_APART).await;
        }
        let added = self.create(&format!("/incidents/{}/updates", id.0), body).await.map(drop);
        if tie {
            self.remember_update(id);
        }
        added
    }

    fn last_update(&self, id: IncidentId) -> Option<Instant> {
        self.shared.updates.lock().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    fn remember_update(&self, id: IncidentId) {
        let now = Instant::now();
        let mut updates = self.shared.updates.lock().unwrap_or_else(PoisonError::into_inner);
        updates.retain(|_, at| *at + UPDATES_APART > now);
        updates.insert(id, now);
    }

    /// Sets an incident's own status, which releases of 2025 show only as long as it has no update.
    pub async fn set_incident_status(&self, id: IncidentId, status: IncidentStatus) -> Result<(), Error> {
        self.update(format!("/incidents/{}", id.0), json!({"status": status.value()})).await
    }

    pub(super) async fn create(&self, path: &str, body: Value) -> Result<i64, Error> {
        Ok(self.created(path, body).await?.id)
    }

    async fn created(&self, path: &str, body: Value) -> Result<Row<Written>, Error> {
        let call = Call::post(path).body(body);
        let answer = self.send(&call).await?;
        let made = answer.json::<Document<Written>>(&call)?.data;
        self.learn_offset(made.attributes.created_if_utc(), &answer.headers);
        Ok(made)
    }

    pub(super) async fn update(&self, path: String, body: Value) -> Result<(), Error> {
        self.read::<Document<Written>>(Call::put(path).body(body)).await.map(drop)
    }

    pub(super) async fn delete(&self, path: String) -> Result<(), Error> {
        match self.send(&Call::delete(path)).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The value that the answer to `call` holds.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        self.send(&call).await?.json(&call)
    }

    /// The successful answer to `call`.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Error> {
        // it is never closed, so a permit always comes
        let _permit = self.shared.permits.acquire().await.ok();
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let transport = &self.shared.transport;
        let sent = transport.send(call.request(&self.shared.headers)).await;
        let answer = sent.map_err(|error| error.of(call, transport.address()));
        let code = answer.as_ref().map(|answer| answer.status.as_u16()).map_err(Error::word);
        if let Some(observer) = &self.observer {
            observer.called(call.method.as_str(), &call.path, code, began.elapsed());
        }
        let answer = answer?;
        let budget = if call.is_write() { &self.shared.budget } else { &self.shared.reads };
        budget.learn(&answer.headers);
        let answer = answer.success(call);
        if let Err(error @ Error::RateLimited { .. }) = &answer
            && let Some(wait) = error.retry_after()
        {
            budget.exhausted(wait);
        }
        if call.is_write() {
            self.learn_ability(call, answer.as_ref().err());
        }
        answer
    }

    pub(super) fn per_page(&self) -> u8 {
        self.shared.per_page
    }

    pub(super) fn lock_abilities(&self) -> MutexGuard<'_, AbilityAnswers> {
        self.shared.abilities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_offset(&self) -> MutexGuard<'_, Option<Offset>> {
        self.shared.offset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn capabilities(&self) -> &OnceCell<Capabilities> {
        &self.shared.capabilities
    }
}

fn fits(search: &IncidentSearch<'_>, incident: &Incident, offset: Option<Offset>) -> bool {
    let new_enough = |created: Timestamp| {
        let latest = match offset {
            Some(offset) => offset.moment(created).after(TOLERANCE_IN_A_KNOWN_ZONE),
            None => created.after(TOLERANCE_IN_ANY_ZONE),
        };
        latest >= search.created_not_before
    };
    incident.name() == wire::fitting(search.name)
        && incident.component() == search.component
        && incident.created_if_utc().is_none_or(new_enough)
}

/// The address and no more: the rest is of no use to a reader, and the token none of their business.
impl fmt::Debug for Cachet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cachet").field("address", &self.address()).finish_non_exhaustive()
    }
}

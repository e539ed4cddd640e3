//! The built-in page: a status page of our own, for where no Cachet is configured.
//!
//! The engine keeps it through the same port as a Cachet ([`StatusPage`]); its content is in the store. `public` serves it to
//! readers, as `html` renders it. Operators work on it in the console.

mod html;
mod public;

use axum::Router;

use crate::clock::Clock;
use crate::core::builtin::{AffectedStatus, Content};
use crate::core::observed::{
    ComponentId, GroupId, IncidentId, Maintenance, NewComponent, NewGroup, NewIncident, Observed, ObservedIncident,
};
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::status_page::{Capabilities, Failure, IncidentSearch, PageError, PageFuture, PageWrite, StatusPage};
use crate::store::{self, ComponentChange, GroupChange, PageTables, Store, StoreError};

/// Where the page is, as the store knows it.
const ADDRESS: &str = "built-in";

/// What replaced the API, for who still calls it.
pub(crate) const API_IS_GONE: &str = "The built-in page has no API any more. Work on the page in the console: /console/page. \
                               Scripts read it at /console/api/v1/page.";

/// The built-in page over a store. Clones share it.
#[derive(Debug, Clone)]
pub struct BuiltinPage {
    store: Store,
    tables: PageTables,
    clock: Clock,
}

impl BuiltinPage {
    /// The page over `store`.
    pub fn new(store: &Store, clock: Clock) -> Self {
        Self { store: store.clone(), tables: store.page_for_engine(), clock }
    }

    /// The page at `/` with its assets.
    pub fn router(&self) -> Router {
        public::router(self.clone())
    }
}

impl StatusPage for BuiltinPage {
    fn address(&self) -> &str {
        ADDRESS
    }

    fn edits(&self) -> Option<u64> {
        Some(self.tables.edits())
    }

    fn capabilities(&self) -> PageFuture<'_, Capabilities> {
        Box::pin(async { Ok(Capabilities { meta: true }) })
    }

    /// `doubtful` is not needed: the list of open incidents is always complete.
    fn observe<'a>(&'a self, _doubtful: &'a [IncidentId]) -> PageFuture<'a, Observed> {
        let now = self.clock.now();
        Box::pin(async move { Ok(self.tables.content(now, now).await.map_err(unusable)?.observed()) })
    }

    fn maintenance(&self) -> PageFuture<'_, Vec<Maintenance>> {
        let now = self.clock.now();
        Box::pin(async move {
            let maintenance = self.tables.maintenance(now).await.map_err(unusable)?;
            Ok(Content { maintenance, ..Content::default() }.maintenance_in_progress(now))
        })
    }

    fn incident(&self, id: IncidentId) -> PageFuture<'_, Option<ObservedIncident>> {
        Box::pin(async move {
            let found = self.tables.incident(id).await.map_err(unusable)?;
            Ok(found.map(|incident| incident.observed()))
        })
    }

    fn find_incident<'a>(&'a self, search: &'a IncidentSearch<'a>) -> PageFuture<'a, Option<ObservedIncident>> {
        Box::pin(async move {
            let found = self.tables.incident_of(search.outage).await.map_err(unusable)?;
            Ok(found.map(|incident| incident.observed()))
        })
    }

    fn create_group<'a>(&'a self, new: &'a NewGroup) -> PageFuture<'a, GroupId> {
        Box::pin(async move { self.tables.make_group(new).await.map_err(unusable) })
    }

    fn create_component<'a>(&'a self, new: &'a NewComponent) -> PageFuture<'a, ComponentId> {
        Box::pin(async move { self.tables.make_component(new).await.map_err(unusable) })
    }

    fn open_incident<'a>(&'a self, new: &'a NewIncident) -> PageFuture<'a, IncidentId> {
        let affected = |id| AffectedStatus { component: id, status: ComponentStatus::MajorOutage };
        let incident = store::NewIncident {
            title: new.name.clone(),
            message: new.message.clone(),
            status: IncidentStatus::Investigating,
            key: Some(new.outage.clone()),
            opened_for: new.component.as_ref().map(|component| component.name.clone()),
            began_at: new.occurred_at,
            affected: new.component.iter().map(|component| affected(component.id)).collect(),
        };
        Box::pin(async move { self.tables.open_incident(&incident, self.clock.now()).await.map_err(unusable) })
    }

    fn apply<'a>(&'a self, operation: &'a PageWrite) -> PageFuture<'a, ()> {
        Box::pin(async move {
            let (tables, now) = (&self.tables, self.clock.now());
            let found = match operation {
                PageWrite::ShowGroup(id) => {
                    tables.change_group(*id, &GroupChange { visible: Some(true), ..GroupChange::default() }).await
                }
                PageWrite::RemoveGroup(id) => tables.remove_group(*id).await.map(|_| true),
                PageWrite::UpdateComponent(id, update) => {
                    let change = ComponentChange {
                        status: update.status,
                        description: update.description.clone(),
                        group: update.group,
                        // Only a target's own component has a description to write, and is always hidden. Of others,
                        // `enabled` is what was read before, and an operator may have hidden or shown them since.
                        visible: (!update.enabled && update.description.is_some()).then_some(false),
                        ..ComponentChange::default()
                    };
                    tables.change_component(*id, &change).await
                }
                PageWrite::RemoveComponent(id) => tables.remove_component(*id).await.map(|_| true),
                PageWrite::UpdateIncident { id, status, message } => {
                    tables.update_incident(*id, *status, message, now).await
                }
                PageWrite::SetIncidentStatus(id, status) => tables.set_incident_status(*id, *status, now).await,
                PageWrite::HideIncident(id) => tables.hide_incident(*id, now).await,
            };
            if found.map_err(unusable)? {
                return Ok(());
            }
            let object = match operation {
                PageWrite::ShowGroup(GroupId(id)) | PageWrite::RemoveGroup(GroupId(id)) => format!("group {id}"),
                PageWrite::UpdateComponent(id, _) | PageWrite::RemoveComponent(id) => format!("component {}", id.0),
                PageWrite::UpdateIncident { id, .. }
                | PageWrite::SetIncidentStatus(id, _)
                | PageWrite::HideIncident(id) => format!("incident {}", id.0),
            };
            let message = format!("{object} is not on the built-in page: it was removed in the console");
            Err(PageError::new(Failure::NotFound, message))
        })
    }
}

/// Nothing of a transaction that failed is kept.
fn unusable(error: StoreError) -> PageError {
    if error.is_of_missing_row() {
        let message = "the built-in page has no such component or group any more: it was removed in the console";
        return PageError::new(Failure::NotFound, message.to_owned());
    }
    PageError::new(Failure::Away { retry_after: None }, format!("the built-in page cannot be used: {error}"))
}

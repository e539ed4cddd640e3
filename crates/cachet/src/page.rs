//! The client as a status page, for the engine.

use super::abilities::ABILITIES_OF_SERVE;
use super::{Cachet, Error};
use alertmanager_cachet_core::observed::{
    ComponentId, GroupId, IncidentId, Maintenance, NewComponent, NewGroup, NewIncident, Observed, ObservedIncident,
};
use alertmanager_cachet_core::status::IncidentStatus;
use alertmanager_cachet_core::status_page::{
    Capabilities, IncidentSearch, Known, Operation, PageFuture, Spare, StatusPage,
};

impl StatusPage for Cachet {
    fn address(&self) -> &str {
        self.address()
    }

    fn capabilities(&self) -> PageFuture<'_, Capabilities> {
        Box::pin(async { Ok(self.probe().await?) })
    }

    fn observe<'a>(&'a self, doubtful: &'a [IncidentId]) -> PageFuture<'a, Observed> {
        Box::pin(async move {
            let before = self.calls();
            let mut observed = self.observe().await?;
            self.look_closer(doubtful, &mut observed).await?;
            self.has_read(self.calls().saturating_sub(before));
            Ok(observed)
        })
    }

    fn maintenance(&self) -> PageFuture<'_, Vec<Maintenance>> {
        Box::pin(async { Ok(self.maintenance().await?) })
    }

    fn incident(&self, id: IncidentId) -> PageFuture<'_, Option<ObservedIncident>> {
        Box::pin(async move { Ok(self.incident(id).await?) })
    }

    fn find_incident<'a>(&'a self, search: &'a IncidentSearch<'a>) -> PageFuture<'a, Option<ObservedIncident>> {
        Box::pin(async move { Ok(self.find_incident(search).await?) })
    }

    fn create_group<'a>(&'a self, new: &'a NewGroup) -> PageFuture<'a, GroupId> {
        Box::pin(async move { Ok(self.create_group(new).await?) })
    }

    fn create_component<'a>(&'a self, new: &'a NewComponent) -> PageFuture<'a, ComponentId> {
        Box::pin(async move { Ok(self.create_component(new).await?) })
    }

    fn open_incident<'a>(&'a self, new: &'a NewIncident) -> PageFuture<'a, IncidentId> {
        Box::pin(async move { Ok(self.create_incident(new).await?) })
    }

    fn apply<'a>(&'a self, operation: &'a Operation) -> PageFuture<'a, ()> {
        Box::pin(async move { Ok(self.send_operation(operation).await?) })
    }

    fn known(&self) -> Known {
        let abilities = ABILITIES_OF_SERVE.into_iter().map(|ability| (ability, self.has_ability(ability)));
        Known {
            refuses_unknown: !self.takes_unknown(),
            budget: self.budget(),
            abilities: abilities.collect(),
            lacking: self.lacking_ability().map(Into::into),
        }
    }

    fn spare(&self, public: usize) -> Spare {
        self.spare(public)
    }

    fn reading_waits(&self) -> Option<std::time::Duration> {
        self.reading_waits()
    }
}

impl Cachet {
    /// Adds the incidents of `doubtful` that are open and not listed as such: releases of 2025 go on listing an incident
    /// as it was before its latest update, and show it as that says.
    async fn look_closer(&self, doubtful: &[IncidentId], read: &mut Observed) -> Result<(), Error> {
        for &id in doubtful {
            let is_listed = read.open_incidents.iter().any(|open| open.id == id);
            if is_listed || self.probe().await?.meta {
                continue;
            }
            let found = self.incident(id).await?;
            read.open_incidents.extend(found.filter(|found| found.status != Some(IncidentStatus::Fixed)));
        }
        Ok(())
    }

    async fn send_operation(&self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::ShowGroup(id) => self.show_group(*id).await,
            Operation::RemoveGroup(id) => self.delete_group(*id).await,
            Operation::UpdateComponent(id, update) => self.update_component(*id, update).await,
            Operation::RemoveComponent(id) => self.delete_component(*id).await,
            // Releases of 2025 show the status of the latest update and filter by the incident's own.
            Operation::UpdateIncident { id, status, message } => {
                self.add_incident_update(*id, *status, message).await?;
                self.set_incident_status(*id, *status).await
            }
            Operation::SetIncidentStatus(id, status) => self.set_incident_status(*id, *status).await,
        }
    }
}

//! Outages and their incidents: when one is opened, closed, reopened, suppressed, or left to a person.

use super::{Planner, Report};
use crate::ledger::{
    EndedBy, IncidentValue, Outage, OutageSubject, RecordedIncident, ResourceKey, Unanswered, Update, outage_key,
};
use crate::observed::{ComponentId, IncidentId, Maintenance, ObservedIncident};
use crate::operation::Operation;
use crate::overrides::Overridden;
use crate::page::DesiredComponent;
use crate::status::ComponentStatus;
use crate::target::ComponentName;
use crate::time::Timestamp;
use crate::watchdog::Monitoring;

/// The override of a component with something better than Major Outage; with that, the component has its incident as ever.
fn better(desired: Option<&DesiredComponent>) -> Option<&Overridden> {
    desired
        .and_then(|desired| desired.overridden.as_ref())
        .filter(|overridden| overridden.by.status != ComponentStatus::MajorOutage)
}

impl<'a> Planner<'a> {
    /// The outage of a component.
    pub(super) fn component_outage(
        &mut self,
        name: &ComponentName,
        status: ComponentStatus,
        desired: Option<&DesiredComponent>,
        component: Option<ComponentId>,
    ) {
        let outage = self.outage_of(Some(name));
        let was_in_outage = outage.is_some_and(Outage::is_active);
        // An override closes no incident.
        let status_by_rules = better(desired).map_or(status, |overridden| overridden.rules);
        let goes_on = self.policy.close_incident_when.in_outage(status_by_rules, was_in_outage);
        let is_suppressed = goes_on
            && (self.suppress_by_maintenance(name, outage, component)
                || self.suppress_by_override(name, outage, desired));
        match (outage, component) {
            (Some(outage), _) if is_suppressed => self.revisit_when_relapse_expires(outage),
            (None, _) if is_suppressed => {}
            (Some(outage), _) => self.follow(outage, goes_on, status, component),
            (None, Some(id)) if goes_on => {
                let occurred_at = desired.and_then(|desired| desired.since).unwrap_or(self.now);
                self.begin(OutageSubject::Component(name.clone()), Some(id), occurred_at);
            }
            // Without its component there is nothing to attach an incident to; that is reported elsewhere.
            (None, _) => {}
        }
    }

    /// The outage of the monitoring. It also ends when the watchdog is removed from the configuration.
    pub(super) fn monitoring(&mut self) {
        let monitoring = self.views.desired.monitoring;
        match (self.outage_of(None), monitoring) {
            (Some(outage), _) => {
                let status =
                    if monitoring.is_missing() { ComponentStatus::Unknown } else { ComponentStatus::Operational };
                self.follow(outage, monitoring.is_missing(), status, None);
            }
            (None, Monitoring::Missing { since, .. }) => {
                self.begin(OutageSubject::Monitoring, None, since);
            }
            (None, Monitoring::Unwatched | Monitoring::Heard { .. }) => {}
        }
    }

    /// The outage of a component, or of the monitoring (`None`): the one that goes on, else the last one that a relapse
    /// would continue.
    fn outage_of(&self, component: Option<&ComponentName>) -> Option<&'a Outage> {
        let outages = self.views.ledger.outages.values().filter(|outage| outage.subject.component() == component);
        let outages = outages.filter(|outage| outage.is_active() || self.relapse_until(outage).is_some());
        outages.max_by_key(|outage| (outage.is_active(), outage.began_at))
    }

    /// Until when a relapse would continue this outage, if it would now.
    fn relapse_until(&self, outage: &Outage) -> Option<Timestamp> {
        let ended = outage.ended.filter(|ended| matches!(ended.by, EndedBy::Recovery | EndedBy::Person))?;
        outage.incident_id()?;
        Some(ended.at.after(self.policy.reopen_within)).filter(|until| self.now < *until)
    }

    fn revisit_when_relapse_expires(&mut self, outage: &Outage) {
        if let Some(until) = self.relapse_until(outage) {
            self.revisit(until);
        }
    }

    fn begin(&mut self, subject: OutageSubject, component: Option<ComponentId>, occurred_at: Timestamp) {
        let outage = Outage {
            key: outage_key(component, self.now),
            subject,
            component_id: component,
            occurred_at,
            began_at: self.now,
            calm_since: None,
            ended: None,
            incident: None,
        };
        self.plan.operations.push(Operation::OpenIncident { component, outage });
    }

    /// Plans the next step of an outage that `goes_on`, or whose subject has recovered to `status`.
    fn follow(&mut self, outage: &Outage, goes_on: bool, status: ComponentStatus, component: Option<ComponentId>) {
        let is_removed = component.is_none() && outage.subject.component().is_some();
        match (outage.incident.as_ref().map(|row| (row, row.page_id)), goes_on) {
            // The component was removed, so nothing is opened or reopened for it.
            (None | Some((_, None)), true) if is_removed => {}
            (Some(_), true) if is_removed && !outage.is_active() => self.revisit_when_relapse_expires(outage),
            (None, true) => self.open(outage, component),
            (None, false) => self.plan.notes.push(Update::Outage(outage.key.clone(), None)),
            (Some((row, None)), _) => self.find_created(outage, row, goes_on, component),
            (Some((_, Some(incident))), true) if !outage.is_active() => self.reopen(outage, incident, None),
            (Some(_), false) if !outage.is_active() => self.revisit_when_relapse_expires(outage),
            (Some((row, Some(incident))), true) => self.continue_incident(outage, row, incident, status),
            (Some((row, Some(incident))), false) => self.end_incident(outage, row, incident, status),
        }
    }

    /// An incident that was sent, and whose number is not known: if the page shows it, it is that one. If not, it is looked
    /// up and sent again only when no earlier request can still be on its way.
    fn find_created(&mut self, outage: &Outage, row: &RecordedIncident, goes_on: bool, component: Option<ComponentId>) {
        // An anonymous one is only looked up, for its time of creation has to fit as well.
        let mut created = self.created_by(outage).into_iter().filter(|incident| !incident.is_anonymous);
        if let (Some(incident), Some(create)) = (created.next(), outage.lost_create()) {
            let over = (&create.value, create.sent_at);
            let row = row.clone().settled(incident.id, row.value.clone(), [over]);
            self.plan.notes.push(Outage { incident: Some(row), ..outage.clone() }.into());
            // If the outage is over already, it has to be closed.
            self.revisit(self.now);
            return;
        }
        match row.on_its_way_until(self.now) {
            Some(until) => self.revisit(until),
            None if goes_on => self.open(outage, component),
            None => self.plan.operations.push(Operation::FindIncident { outage: outage.clone() }),
        }
    }

    fn open(&mut self, outage: &Outage, component: Option<ComponentId>) {
        self.plan.operations.push(Operation::OpenIncident { component, outage: outage.clone() });
    }

    fn continue_incident(
        &mut self,
        outage: &Outage,
        row: &RecordedIncident,
        incident: IncidentId,
        status: ComponentStatus,
    ) {
        let is_open = self.is_open(incident);
        match outage.late(is_open) {
            // It relapsed while its incident was being closed: finish the close, then reopen.
            _ if !row.value.is_open() => self.close(outage, incident, status),
            _ if !row.is_confirmed() => self.reopen(outage, incident, None),
            Some(late) => self.reopen(outage, incident, Some(late)),
            None => {
                if !is_open {
                    let subject = outage.subject.clone();
                    self.plan.reports.insert(Report::IncidentClosedByPerson { subject, incident });
                }
                self.remember_calm(outage, None);
            }
        }
    }

    fn end_incident(&mut self, outage: &Outage, row: &RecordedIncident, incident: IncidentId, status: ComponentStatus) {
        let calm_since = outage.calm_since.unwrap_or(self.now);
        let over_at = calm_since.after(self.policy.recovery_hold);
        if row.is_confirmed() && self.now < over_at {
            self.remember_calm(outage, Some(calm_since));
            self.revisit(over_at);
        } else {
            self.close(outage, incident, status);
        }
    }

    fn is_open(&self, incident: IncidentId) -> bool {
        self.views.observed.open_incidents.iter().any(|open| open.id == incident)
    }

    fn close(&mut self, outage: &Outage, incident: IncidentId, now: ComponentStatus) {
        let late = outage.late(self.is_open(incident)).cloned();
        self.plan.operations.push(Operation::CloseIncident { incident, outage: outage.clone(), now, late });
    }

    fn reopen(&mut self, outage: &Outage, incident: IncidentId, late: Option<&Unanswered<IncidentValue>>) {
        self.plan.operations.push(Operation::ReopenIncident { incident, outage: outage.clone(), late: late.cloned() });
    }

    fn remember_calm(&mut self, outage: &Outage, calm_since: Option<Timestamp>) {
        if outage.calm_since != calm_since {
            self.plan.notes.push(Outage { calm_since, ..outage.clone() }.into());
        }
    }

    /// Undoes late writes to incidents: closes an incident that was reopened after its outage, and hides a duplicate. Each lost
    /// write is undone once, so the same change by a person stays. Also forgets ended outages that nothing can change any more.
    pub(super) fn late_incidents(&mut self) {
        for outage in self.views.ledger.outages.values() {
            if !outage.is_active() && outage.unanswered().is_empty() && self.relapse_until(outage).is_none() {
                self.plan.notes.push(Update::Outage(outage.key.clone(), None));
                continue;
            }
            // One write at a time for each resource; the others wait for the next plan.
            let key = ResourceKey::Incident(outage.subject.clone());
            if self.plan.operations.iter().any(|operation| operation.key() == key) {
                continue;
            }
            let reopened = outage.incident_id().filter(|id| !outage.is_active() && self.is_open(*id));
            if let Some(incident) = reopened.filter(|_| outage.late(true).is_some()) {
                self.close(outage, incident, ComponentStatus::Operational);
            } else if outage.incident_id().is_some() || !outage.is_active() {
                let duplicates = self.created_by(outage);
                let hide = |incident: &&ObservedIncident| Operation::HideDuplicate {
                    incident: incident.id,
                    outage: outage.clone(),
                };
                self.plan.operations.extend(duplicates.first().map(hide));
            }
        }
    }

    /// The open incidents that creates of this outage may have made. Incidents already known to any outage are left out: a person
    /// may have reopened one.
    fn created_by(&self, outage: &Outage) -> Vec<&'a ObservedIncident> {
        // Without a key, it may be the incident of another active outage of this subject whose number is not known either.
        let is_same_subject = |other: &Outage| {
            other.key != outage.key && other.is_active() && other.subject.component() == outage.subject.component()
        };
        let is_ambiguous =
            self.views.ledger.outages.values().any(|other| is_same_subject(other) && other.incident_id().is_none());
        let created = |incident: &&ObservedIncident| {
            outage.may_have_created(incident)
                && !(incident.is_anonymous && is_ambiguous)
                && !self.views.ledger.has_incident(incident.id)
        };
        self.views.observed.open_incidents.iter().filter(created).collect()
    }

    /// Suppresses the incident of a component that is down, if maintenance of it is in progress; reports it and returns whether.
    ///
    /// An incident that exists stays. If its create is in doubt and the page does not show it, it is looked up only after the
    /// maintenance, because the lookup would open a missing one.
    fn suppress_by_maintenance(
        &mut self,
        name: &ComponentName,
        outage: Option<&Outage>,
        component: Option<ComponentId>,
    ) -> bool {
        let concerns = |one: &&Maintenance| component.is_some_and(|id| one.components.contains(&id));
        let Some(maintenance) = self.views.observed.maintenance.iter().find(concerns) else { return false };
        if self.has_incident(outage) {
            return false;
        }
        let (component, maintenance_name) = (name.clone(), maintenance.name.clone());
        self.plan.reports.insert(Report::IncidentSuppressed { component, maintenance: maintenance_name });
        if let Some(may_end_at) = maintenance.may_end_at(self.now) {
            self.revisit(may_end_at);
        }
        true
    }

    /// Suppresses the incident of a component that is down by the rules, if an override shows a better status; reports it and
    /// returns whether. An incident that exists stays.
    fn suppress_by_override(
        &mut self,
        name: &ComponentName,
        outage: Option<&Outage>,
        desired: Option<&DesiredComponent>,
    ) -> bool {
        let Some(Overridden { by, .. }) = better(desired) else { return false };
        if self.has_incident(outage) {
            return false;
        }
        let (component, user) = (name.clone(), by.user.clone());
        self.plan.reports.insert(Report::IncidentSuppressedByOverride { component, user, until: by.until });
        true
    }

    /// Whether the incident of an outage exists already, so that going on with it opens none.
    fn has_incident(&self, outage: Option<&Outage>) -> bool {
        let Some(outage) = outage.filter(|outage| outage.is_active()) else { return false };
        match outage.incident.as_ref().map(|row| (row, row.page_id)) {
            None => false,
            Some((_, None)) => !self.created_by(outage).is_empty(),
            Some((row, Some(incident))) => {
                row.is_confirmed() || row.value != IncidentValue::Reopened || self.is_open(incident)
            }
        }
    }
}

//! What stays valid of the store and of the page where one of them does not fit the other: the store was lost, it is a
//! restored backup, the page moved, or the clock was set back.
//!
//! In each case the store is right about some of what it holds and wrong about the rest. The functions take what is stored
//! and return what is to be stored instead.
//!
//! Of a page that nobody remembers, as after a lost store or at the first start over a page that the older Python middleware
//! kept, what it says is adopted. A target's own component in Major Outage names its alerts in its description: they count as
//! firing, by target and alert name, for no fingerprint is known. Open incidents of ours are adopted, so that an outage does
//! not get a second one.

use std::collections::BTreeMap;

use super::alert::{AlertRecord, AlertState, Fingerprint};
use super::expiry::RoutedWatchdogs;
use super::ledger::{
    Delivery, Ended, EndedBy, IncidentValue, Ledger, Outage, OutageSubject, Recorded, Unanswered, Update, outage_key,
};
use super::observed::{ComponentId, ComponentIndex, Observed, ObservedComponent, ObservedIncident};
use super::page::{DESCRIPTION_LIMIT, alerts_named, says_critical};
use super::status::ComponentStatus;
use super::target::{ComponentName, Inventory, Target, key_of_name};
use super::time::Timestamp;
use super::watchdog::Pulse;

/// No request is on its way any more: what is in doubt is looked up at once.
const LOOK_AT_ONCE: Delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };

/// What is adopted from a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adoption {
    /// Alerts that count as firing until a resolve of the same target and name comes, or Alertmanager does not list them.
    pub alerts: Vec<AlertRecord>,
    /// Outages whose incident is open.
    pub outages: Vec<Outage>,
}

/// What a page that was read at `now` leaves to a store that remembers nothing of it. `title` gives the title of an incident.
///
/// Only targets of the inventory leave alerts: a leftover may have been red for years.
pub fn adopt(
    inventory: &Inventory,
    observed: &Observed,
    title: impl Fn(&OutageSubject) -> String,
    now: Timestamp,
) -> Adoption {
    let index = ComponentIndex::of(observed, &[]);
    // Of several components of one target, with its components in another order, only one is used.
    let is_used = |component: &&ObservedComponent| {
        index.find(observed, &key_of_name(&component.name)).is_some_and(|used| used.id == component.id)
    };
    let used = observed.components.iter().filter(is_used);
    let alerts = used.flat_map(|component| alerts_of(inventory, component, now)).collect();
    let mut open: Vec<&ObservedIncident> = observed.open_incidents.iter().collect();
    open.sort_by_key(|incident| incident.id);
    // Of several incidents of one subject, the first one counts.
    let mut outages: BTreeMap<OutageSubject, Outage> = BTreeMap::new();
    for incident in &open {
        let Some((subject, component_id)) = subject_of(incident, observed, &title) else { continue };
        outages.entry(subject.clone()).or_insert_with(|| {
            let key = incident.outage.clone().unwrap_or_else(|| outage_key(component_id, now));
            let created = |incident: &ObservedIncident| IncidentValue::Created { title: incident.name.clone() };
            // What else has its key was created by lost creates, and is hidden.
            let of_it = open.iter().filter(|other| other.outage.as_ref() == Some(&key) && other.id != incident.id);
            let unanswered = of_it.map(|duplicate| Unanswered { value: created(duplicate), sent_at: now }).collect();
            let row = Recorded { unanswered, ..Recorded::confirmed(incident.id, created(incident)) };
            let (occurred_at, began_at, calm_since, ended) = (now, now, None, None);
            Outage { key, subject, component_id, occurred_at, began_at, calm_since, ended, incident: Some(row) }
        });
    }
    Adoption { alerts, outages: outages.into_values().collect() }
}

/// The alerts that a target's own component names.
fn alerts_of(inventory: &Inventory, component: &ObservedComponent, now: Timestamp) -> Vec<AlertRecord> {
    let target = Target::from_name(&component.name).filter(|target| inventory.get(&target.name()).is_some());
    let down = !component.enabled && component.status == Some(ComponentStatus::MajorOutage);
    let (Some(target), true) = (target, down) else { return Vec::new() };
    let description = component.description.as_deref().unwrap_or_default();
    let mut names = alerts_named(description);
    // The last name of a description that was cut may be half a name, which no resolve would ever bear.
    if description.chars().count() >= DESCRIPTION_LIMIT && names.len() > 1 {
        names.pop();
    }
    let record = |name: &str| AlertRecord {
        fingerprint: Fingerprint::of_text(&format!("{}\n{name}", component.name)),
        name: name.to_owned(),
        target: target.clone(),
        critical: says_critical(description),
        starts_at: now,
        reported_starts_at: now,
        state: AlertState::Adopted,
        ends_at: None,
        last_seen_at: now,
    };
    names.into_iter().map(record).collect()
}

/// What an open incident is about, with the number of its component, if it is ours. Of an anonymous one, nothing but its title
/// and component tell whose it is.
///
/// A person may have hidden, renamed or removed the component meanwhile. The incident is ours all the same, and nobody else
/// would close it.
fn subject_of(
    incident: &ObservedIncident,
    observed: &Observed,
    title: impl Fn(&OutageSubject) -> String,
) -> Option<(OutageSubject, Option<ComponentId>)> {
    let (subject, id, is_ours) = match (&incident.component, incident.component_id) {
        (Some(marked), _) => {
            let component = observed.components.iter().find(|component| component.name == *marked);
            let is_ours = component.is_some() || incident.outage.is_some();
            let id = component.map_or(ComponentId::UNKNOWN, |component| component.id);
            (OutageSubject::Component(ComponentName::try_from(marked.as_str()).ok()?), Some(id), is_ours)
        }
        (None, Some(id)) => {
            let component = observed.components.iter().find(|component| component.id == id)?;
            let subject = OutageSubject::Component(ComponentName::try_from(component.name.as_str()).ok()?);
            let is_ours = incident.name == title(&subject);
            (subject, Some(id), is_ours)
        }
        (None, None) => {
            let subject = OutageSubject::Monitoring;
            let has_title = incident.is_anonymous && incident.name == title(&subject);
            (subject, None, has_title || incident.outage.is_some())
        }
    };
    is_ours.then_some((subject, id))
}

impl Adoption {
    /// Leaves out the outages of what the store knows to be in one, as after a move from another page. The others take over
    /// the writes that may still be carried out of outages of the same key, or of the same incident, which a restored backup
    /// has ended. What is returned removes those from the ledger.
    pub fn take_over(&mut self, known: &Ledger) -> Vec<Update> {
        self.outages.retain(|outage| known.active(outage.subject.component()).is_none());
        let mut removed = Vec::new();
        for outage in &mut self.outages {
            let incident = outage.incident_id();
            for before in known.outages.values().filter(|it| it.key == outage.key || it.incident_id() == incident) {
                outage.incident.iter_mut().for_each(|row| row.unanswered.extend_from_slice(before.unanswered()));
                if before.key != outage.key {
                    removed.push(Update::Outage(before.key.clone(), None));
                }
            }
        }
        removed
    }
}

/// The ledger for a page at another address than before.
///
/// Numbers of components and incidents mean nothing there. Every status counts as unconfirmed. The incident of an outage is
/// looked up by its key, and opened if it does not exist. No write to the other page is awaited any longer.
pub fn ledger_of_another_page(ledger: Ledger) -> Ledger {
    let mut moved = with_doubtful_rows(ledger);
    moved.rows.values_mut().for_each(|row| row.unanswered.clear());
    moved.outages.retain(|_, outage| outage.is_active());
    for outage in moved.outages.values_mut() {
        let value = IncidentValue::Created { title: String::new() };
        outage.incident = Some(Recorded { page_id: None, value, delivery: LOOK_AT_ONCE, unanswered: Vec::new() });
    }
    moved
}

/// The ledger in a store that is older than what was last written to the page: a restored backup.
///
/// The page is right then. Every status counts as unconfirmed, and every outage has ended: the open incidents are adopted
/// from the page.
pub fn ledger_of_newer_page(ledger: Ledger) -> Ledger {
    let mut older = with_doubtful_rows(ledger);
    older.outages.retain(|_, outage| !outage.unanswered().is_empty());
    for outage in older.outages.values_mut() {
        outage.ended = Some(Ended { at: Timestamp::from_millis(0), by: EndedBy::Recovery });
        // What opens its incident again after this was sent before the store was copied.
        if let Some(row) = outage.incident.as_mut().filter(|row| row.page_id.is_some()) {
            (row.value, row.delivery) = (IncidentValue::Fixed, Delivery::Confirmed);
        }
    }
    older
}

/// The ledger with every confirmed row of a component in doubt.
fn with_doubtful_rows(mut ledger: Ledger) -> Ledger {
    for row in ledger.rows.values_mut().filter(|row| row.is_confirmed()) {
        row.delivery = LOOK_AT_ONCE;
    }
    ledger
}

/// From when on a restored backup has heard of alerts after it was restored; `None` if the store is none. The last server
/// looked at the page at `looked_at`, the store says that this was at `known`, and the server that runs now began at `start`.
///
/// A store that knows of an earlier look, or of none, is a backup. Of the look and the start, the earlier one counts: a
/// server that stopped before its first look may have received notifications. What was resolved before may have fired again
/// since, and is forgotten.
pub fn heard_since(known: Option<Timestamp>, looked_at: Timestamp, start: Timestamp) -> Option<Timestamp> {
    known.is_none_or(|known| known < looked_at).then(|| looked_at.min(start))
}

/// The pulse in a restored store: unknown, unless the watchdog was received after `heard_since`.
pub fn pulse_after_restore(pulse: Pulse, heard_since: Timestamp) -> Pulse {
    if pulse.last_heartbeat.is_some_and(|last| last >= heard_since) { pulse } else { Pulse::default() }
}

/// An alert by a clock that was set back to `now`.
///
/// If it were last heard of in the future, every poll of Alertmanager would be older than it and could not end it.
pub fn clamp_alert(record: &AlertRecord, now: Timestamp) -> AlertRecord {
    let state = match record.state {
        AlertState::Refired { since } => AlertState::Refired { since: since.min(now) },
        state => state,
    };
    let ends_at = record.ends_at.map(|ends_at| ends_at.min(now));
    AlertRecord { state, ends_at, last_seen_at: record.last_seen_at.min(now), ..record.clone() }
}

/// The ledger by a clock that was set back to `now`: every wait in it begins at `now` at the latest.
pub fn clamp_ledger(mut ledger: Ledger, now: Timestamp) -> Ledger {
    fn clamp_row<I, V>(row: &mut Recorded<I, V>, now: Timestamp) {
        if let Delivery::InDoubt { since } = &mut row.delivery {
            *since = (*since).min(now);
        }
        for sent in &mut row.unanswered {
            sent.sent_at = sent.sent_at.min(now);
        }
    }
    ledger.rows.values_mut().for_each(|row| clamp_row(row, now));
    for outage in ledger.outages.values_mut() {
        outage.calm_since = outage.calm_since.map(|since| since.min(now));
        outage.ended = outage.ended.map(|ended| Ended { at: ended.at.min(now), ..ended });
        outage.incident.iter_mut().for_each(|row| clamp_row(row, now));
    }
    ledger
}

/// The watchdogs of notifications by a clock that was set back to `now`.
pub fn clamp_watchdogs(watchdogs: &RoutedWatchdogs, now: Timestamp) -> RoutedWatchdogs {
    let mut clamped = watchdogs.clone();
    for watchdog in clamped.0.values_mut() {
        watchdog.notified_at = watchdog.notified_at.min(now);
    }
    clamped
}

#[cfg(test)]
mod tests;

//! Why a component has its status, and all of them at a glance: the same values that the reconciler works with, laid out
//! for a person.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::alert::{AlertRecord, AlertState};
use super::ledger::{Ledger, Outage, ResourceKey};
use super::observed::{Observed, ObservedComponent};
use super::operation::Operation;
use super::page::{DesiredComponent, DesiredPage, DesiredTarget, TargetOrigin};
use super::plan::Plan;
use super::status::ComponentStatus;
use super::target::{ComponentName, TargetName};
use super::time::Timestamp;
use super::uptime::Past;
use super::watchdog::Monitoring;

/// Everything that is known of a component.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Its name.
    pub component: String,
    /// The group that it is in on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it must show: what the alerts say, or what an operator overrides it with.
    pub status: StatusWord,
    /// Why, in one sentence.
    pub reason: String,
    /// When the earliest alert that makes it so began to fire, from when on nothing was heard of the monitoring, or since
    /// when it is overridden (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The override of an operator, while there is one.
    #[serde(flatten, serialize_with = "by_both_names")]
    pub operator_override: Option<OverrideExplanation>,
    /// The targets that feed it.
    pub targets: Vec<TargetExplanation>,
    /// Firings that do not count yet, for they followed a resolve of the same occurrence.
    #[serde(rename = "held")]
    pub waiting_firings: Vec<WaitingFiring>,
    /// Its incident, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentExplanation>,
    /// The titles of the maintenance of it that was in progress when the page was last read.
    pub maintenance: Vec<String>,
    /// What the page showed when it was last read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
    /// What is not written to the page yet, of the component, its incident and its targets.
    pub waiting: Vec<String>,
    /// What an operator should know.
    pub remarks: Vec<String>,
    /// What happened to it, and how much of the time it was up; absent where nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
}

/// A status by number and word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusWord {
    /// Cachet's number.
    pub value: u8,
    /// The word.
    pub word: &'static str,
}

impl From<ComponentStatus> for StatusWord {
    fn from(status: ComponentStatus) -> Self {
        Self { value: status.value(), word: status.word() }
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.value, self.word)
    }
}

/// A target of the component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetExplanation {
    /// Its instance.
    pub instance: String,
    /// Whether one of its alerts fires.
    pub down: bool,
    /// Whether it speaks for all targets of its components.
    pub critical: bool,
    /// Whether only its alerts know it.
    pub known_from_alerts_only: bool,
    /// Its alerts that fire, the earliest first.
    pub firing: Vec<FiringExplanation>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FiringExplanation {
    /// The label `alertname`.
    pub alertname: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// An override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverrideExplanation {
    /// What it would be without the override.
    pub rules_status: StatusWord,
    /// Why, in one sentence.
    pub rules_reason: String,
    /// Since when (RFC 3339).
    pub since: String,
    /// Until when (RFC 3339).
    pub until: String,
    /// Who.
    pub user: String,
    /// Why, in the user's words; may be empty.
    pub note: String,
}

/// Tells an override as `override`, and by its earlier name as `hold`; nothing where there is none.
fn by_both_names<S: Serializer>(it: &Option<OverrideExplanation>, serializer: S) -> Result<S::Ok, S::Error> {
    let names = ["override", "hold"];
    serializer.collect_map(it.iter().flat_map(|override_| names.map(|name| (name, override_))))
}

/// A firing that does not count yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingFiring {
    /// The label `alertname`.
    pub alertname: String,
    /// Its instance.
    pub instance: String,
    /// When it counts unless a resolve comes (RFC 3339).
    pub counts_from: String,
}

/// The incident of the component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncidentExplanation {
    /// Its number on the page, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// How far it is.
    pub state: &'static str,
    /// When the outage began (RFC 3339).
    pub occurred_at: String,
}

/// What the page showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The component's own status; absent if the page has no such component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusWord>,
    /// When that was read (RFC 3339).
    pub read_at: String,
}

/// A component in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentSummary {
    /// Its name.
    pub component: String,
    /// The group that it is in on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it must show.
    pub status: StatusWord,
    /// Why, in one sentence.
    pub reason: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What the page showed when it was last read; absent if it has no such component, or was never read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<StatusWord>,
    /// Its incident, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentExplanation>,
    /// Who overrides it, if somebody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden_by: Option<String>,
    /// Until when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overridden_until: Option<String>,
    /// The earlier name of `overridden_by`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// The earlier name of `overridden_until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<String>,
    /// What it would be without the override, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_status: Option<StatusWord>,
    /// How many targets feed it.
    pub targets: usize,
    /// How many of them are down.
    pub targets_down: usize,
    /// How many changes of it wait to be written.
    pub waiting: usize,
    /// What an operator should know.
    pub remarks: Vec<String>,
}

/// A change that is necessary and not made yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingChange {
    /// What.
    pub change: String,
    /// Since when (RFC 3339), as far as the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it could not be made, if it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl From<Explanation> for ComponentSummary {
    fn from(explanation: Explanation) -> Self {
        Self {
            targets: explanation.targets.len(),
            targets_down: explanation.targets.iter().filter(|target| target.down).count(),
            component: explanation.component,
            group: explanation.group,
            status: explanation.status,
            reason: explanation.reason,
            since: explanation.since,
            shown: explanation.shown.and_then(|shown| shown.status),
            incident: explanation.incident,
            overridden_by: explanation.operator_override.as_ref().map(|override_| override_.user.clone()),
            overridden_until: explanation.operator_override.as_ref().map(|override_| override_.until.clone()),
            held_by: explanation.operator_override.as_ref().map(|override_| override_.user.clone()),
            rules_status: explanation.operator_override.as_ref().map(|override_| override_.rules_status.clone()),
            held_until: explanation.operator_override.map(|override_| override_.until),
            waiting: explanation.waiting.len(),
            remarks: explanation.remarks,
        }
    }
}

/// What an explanation is made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the page must show.
    pub page: &'a DesiredPage,
    /// The alerts that are not resolved.
    pub alerts: &'a [AlertRecord],
    /// What was written.
    pub ledger: &'a Ledger,
    /// What the page showed, and when.
    pub observed: Option<(&'a Observed, Timestamp)>,
    /// What is not written yet.
    pub plan: &'a Plan,
    /// How long a firing that follows its own resolve waits before it counts.
    pub refire_delay: Duration,
    /// The time.
    pub now: Timestamp,
}

/// Explains `component`; `None` if nothing feeds it and the page does not have it.
pub fn explain(component: &ComponentName, facts: Facts<'_>) -> Option<Explanation> {
    let desired = facts.page.components.get(component);
    let found = facts
        .observed
        .and_then(|(observed, _)| observed.components.iter().find(|found| found.name == component.as_str()));
    if desired.is_none() && found.is_none() {
        return None;
    }
    let targets: Vec<&DesiredTarget> = desired
        .map(|desired| desired.targets.iter().filter_map(|name| facts.page.targets.get(name)).collect())
        .unwrap_or_default();
    let status = desired.map_or(ComponentStatus::Operational, |desired| desired.status);
    let operator_override =
        desired.and_then(|desired| desired.overridden.as_ref()).map(|overridden| OverrideExplanation {
            rules_status: overridden.rules.into(),
            rules_reason: reason(overridden.rules, &targets),
            since: overridden.by.since.to_string(),
            until: overridden.by.until.to_string(),
            user: overridden.by.user.clone(),
            note: overridden.by.note.clone(),
        });
    let observed = facts.observed.map(|(observed, _)| observed);
    let groups = observed.map(|observed| observed.groups.as_slice()).unwrap_or_default();
    let maintenance = observed.map(|observed| observed.maintenance.as_slice()).unwrap_or_default();
    let alerts = facts.alerts.iter().filter(|alert| alert.target.components().contains(component));
    let held_resolves = alerts.clone().filter(|alert| alert.state == AlertState::ResolveHeld).map(|alert| {
        format!(
            "the resolve of {} of {} is held until the watchdog is received: Alertmanager sends the same resolve when \
             Prometheus is dead",
            alert.name,
            alert.target.instance()
        )
    });
    let reports = facts.plan.reports.iter().filter(|report| report.concerns(component)).map(ToString::to_string);
    Some(Explanation {
        component: component.to_string(),
        group: found
            .and_then(|found| groups.iter().find(|group| Some(group.id) == found.group))
            .map(|group| group.name.clone()),
        status: status.into(),
        reason: match &operator_override {
            Some(override_) => format!("{} overrides it until {}", override_.user, override_.until),
            None => reason(status, &targets),
        },
        operator_override,
        since: desired.and_then(|desired| desired.since).map(|since| since.to_string()),
        targets: targets
            .iter()
            .map(|target| TargetExplanation {
                instance: target.target.instance().to_owned(),
                down: target.is_down(),
                critical: target.critical,
                known_from_alerts_only: target.origin == TargetOrigin::Signals,
                firing: target
                    .causes
                    .iter()
                    .map(|cause| FiringExplanation { alertname: cause.why.clone(), since: cause.since.to_string() })
                    .collect(),
            })
            .collect(),
        waiting_firings: alerts.filter_map(|alert| waiting_firing(alert, facts)).collect(),
        incident: incident(component, facts),
        maintenance: maintenance
            .iter()
            .filter(|one| found.is_some_and(|found| one.components.contains(&found.id)))
            .map(|one| one.name.clone())
            .collect(),
        shown: facts.observed.map(|(_, read_at)| Shown {
            status: found.and_then(|found| found.status).map(StatusWord::from),
            read_at: read_at.to_string(),
        }),
        waiting: waiting(component, desired, facts.plan),
        remarks: reports.chain(held_resolves).chain(monitoring(facts)).collect(),
        past: None,
    })
}

/// Every visible component of the page and every one that targets feed: by group in the order of the page's numbers,
/// those in none last, and by name within.
pub fn summaries(facts: Facts<'_>) -> Vec<ComponentSummary> {
    let observed = facts.observed.map(|(observed, _)| observed);
    let shown = observed.map(|observed| observed.components.as_slice()).unwrap_or_default();
    let visible = shown.iter().filter(|component| component.enabled);
    let names: BTreeSet<ComponentName> = visible
        .filter_map(|component| ComponentName::try_from(component.name.as_str()).ok())
        .chain(facts.page.components.keys().cloned())
        .collect();
    let place = |name: &ComponentName| {
        let found: Option<&ObservedComponent> = shown.iter().find(|found| found.name == name.as_str());
        let group = found.and_then(|found| found.group);
        (group.is_none(), group)
    };
    let mut names: Vec<_> = names.into_iter().map(|name| (place(&name), name)).collect();
    names.sort();
    names.iter().filter_map(|(_, name)| explain(name, facts)).map(ComponentSummary::from).collect()
}

/// Every firing that does not count yet, the first that will first.
pub fn waiting_firings(facts: Facts<'_>) -> Vec<WaitingFiring> {
    let mut waiting: Vec<WaitingFiring> =
        facts.alerts.iter().filter_map(|alert| waiting_firing(alert, facts)).collect();
    waiting.sort_by(|one, other| one.counts_from.cmp(&other.counts_from));
    waiting
}

impl WaitingChange {
    /// One of which nothing else is known.
    pub fn of(change: &Operation) -> Self {
        Self { change: change.to_string(), since: None, problem: None }
    }
}

/// That monitoring data is missing, if it is: it says something about every component.
fn monitoring(facts: Facts<'_>) -> Option<String> {
    let Monitoring::Missing { since, .. } = facts.page.monitoring else { return None };
    let incident = facts.ledger.active(None).and_then(Outage::incident_id);
    let incident = incident.map(|id| format!(" (incident {})", id.0)).unwrap_or_default();
    Some(format!(
        "monitoring data is missing since {since}{incident}: what would be Operational is Unknown until the watchdog is \
         heard; check that Prometheus runs, and that Alertmanager sends its alert here"
    ))
}

fn reason(status: ComponentStatus, targets: &[&DesiredTarget]) -> String {
    let down = targets.iter().filter(|target| target.is_down()).count();
    let critical: Vec<&str> = targets
        .iter()
        .filter(|target| target.is_down() && target.critical)
        .map(|target| target.target.instance())
        .collect();
    match (status, targets.len()) {
        (ComponentStatus::Unknown, _) => "no alert says that it is down, but monitoring data is missing".to_owned(),
        (_, 0) => "no target feeds it".to_owned(),
        (ComponentStatus::Operational, 1) => "its only target is up".to_owned(),
        (ComponentStatus::Operational, count) => format!("all its {count} targets are up"),
        _ if critical.len() == 1 => format!("its critical target {} is down", critical.join(", ")),
        _ if !critical.is_empty() => format!("its critical targets {} are down", critical.join(", ")),
        (_, 1) => "its only target is down".to_owned(),
        (_, count) if down == count => format!("all its {count} targets are down"),
        (_, count) => format!("{down} of its {count} targets {} down", if down == 1 { "is" } else { "are" }),
    }
}

fn waiting_firing(alert: &AlertRecord, facts: Facts<'_>) -> Option<WaitingFiring> {
    Some(WaitingFiring {
        alertname: alert.name.clone(),
        instance: alert.target.instance().to_owned(),
        counts_from: alert.counts_from(facts.now, facts.refire_delay)?.to_string(),
    })
}

fn incident(component: &ComponentName, facts: Facts<'_>) -> Option<IncidentExplanation> {
    let outage = facts.ledger.active(Some(component))?;
    let open = facts.observed.map(|(observed, _)| observed.open_incidents.as_slice());
    let is_shown = |id| open.is_none_or(|open| open.iter().any(|open| open.id == id));
    let state = match outage.incident.as_ref().map(|row| (row, row.page_id)) {
        None => "not opened yet",
        Some((_, None)) => "being opened",
        Some((row, _)) if !row.value.is_open() => "being closed",
        Some((row, _)) if !row.is_confirmed() => "being opened again",
        Some((_, Some(id))) if !is_shown(id) => "closed by a person",
        Some(_) => "open",
    };
    Some(IncidentExplanation {
        id: outage.incident_id().map(|id| id.0),
        state,
        occurred_at: outage.occurred_at.to_string(),
    })
}

fn waiting(component: &ComponentName, desired: Option<&DesiredComponent>, plan: &Plan) -> Vec<String> {
    let targets: BTreeSet<&TargetName> = desired.into_iter().flat_map(|desired| desired.targets.iter()).collect();
    let concerns = |change: &&Operation| match change.key() {
        ResourceKey::Component(name) => name == *component,
        ResourceKey::Incident(subject) => subject.component() == Some(component),
        ResourceKey::Structure => false,
        ResourceKey::Target(name) => targets.contains(&name),
    };
    plan.operations.iter().filter(concerns).map(ToString::to_string).collect()
}

/// As a person reads it, within 80 columns but for long names.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.component, self.status)?;
        match &self.since {
            Some(since) => writeln!(f, "  because {}, since {since}", self.reason)?,
            None => writeln!(f, "  because {}", self.reason)?,
        }
        if let Some(override_) = &self.operator_override {
            if !override_.note.is_empty() {
                writeln!(f, "  and says: {}", override_.note)?;
            }
            writeln!(f, "  without that it would be {}, because {}", override_.rules_status, override_.rules_reason)?;
        }
        if !self.targets.is_empty() {
            writeln!(f, "\nTargets")?;
        }
        for target in &self.targets {
            target.fmt(f)?;
        }
        for firing in &self.waiting_firings {
            let WaitingFiring { alertname, instance, counts_from } = firing;
            writeln!(f, "  held  {instance}: {alertname} fires again, counts from {counts_from} unless resolved")?;
        }
        writeln!(f, "\nPage")?;
        match &self.shown {
            Some(Shown { status: Some(status), read_at }) => writeln!(f, "  showed {status} at {read_at}")?,
            Some(Shown { status: None, read_at }) => writeln!(f, "  had no such component at {read_at}")?,
            None => writeln!(f, "  was never read")?,
        }
        match &self.incident {
            Some(IncidentExplanation { id: Some(id), state, occurred_at }) => {
                writeln!(f, "  incident {id} is {state}, outage since {occurred_at}")?;
            }
            Some(IncidentExplanation { id: None, state, occurred_at }) => {
                writeln!(f, "  an incident is {state}, outage since {occurred_at}")?;
            }
            None => writeln!(f, "  no incident")?,
        }
        self.maintenance.iter().try_for_each(|name| writeln!(f, "  maintenance {name:?} is in progress"))?;
        if self.waiting.is_empty() {
            writeln!(f, "  nothing waits to be written")?;
        }
        self.waiting.iter().try_for_each(|change| writeln!(f, "  waits: {change}"))?;
        self.remarks.iter().try_for_each(|remark| writeln!(f, "\nNote: {remark}"))?;
        self.past.iter().try_for_each(|past| past.fmt(f))
    }
}

impl fmt::Display for TargetExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.down { "DOWN" } else { "up  " };
        let critical = if self.critical { ", critical" } else { "" };
        let stranger = if self.known_from_alerts_only { ", known from its alerts only" } else { "" };
        writeln!(f, "  {state}  {}{critical}{stranger}", self.instance)?;
        self.firing.iter().try_for_each(|alert| writeln!(f, "        {} since {}", alert.alertname, alert.since))
    }
}

#[cfg(test)]
mod tests;

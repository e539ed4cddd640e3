//! Why a component has its status, and all of them at a glance: the same values that the reconciler works with, laid out
//! for a person.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::alert::{AlertRecord, AlertState};
use super::ledger::{Ledger, Outage, OutageSubject, ResourceKey};
use super::observed::{ComponentIndex, Observed, ObservedComponent};
use super::operation::Operation;
use super::overrides::Overridden;
use super::page::{Cause, DesiredPage, DesiredTarget, TargetOrigin};
use super::plan::{Plan, Report};
use super::status::ComponentStatus;
use super::target::ComponentName;
use super::time::Timestamp;
use super::uptime::Past;
use super::watchdog::{Monitoring, Pulse};

/// A component in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What is known of it, without its targets.
    pub it: Explanation,
    /// How many targets feed it.
    pub targets: usize,
    /// How many of them are down.
    pub targets_down: usize,
}

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

/// What explanations are made of, as it was at one moment.
#[derive(Debug)]
pub struct Facts {
    /// What the page must show.
    pub page: DesiredPage,
    /// The alerts that are not resolved.
    pub alerts: Vec<AlertRecord>,
    /// What was written.
    pub ledger: Ledger,
    /// What the page showed, and when.
    pub observed: Option<(Observed, Timestamp)>,
    /// The index of `observed`.
    pub index: ComponentIndex,
    /// What is not written yet.
    pub plan: Plan,
    /// What is known of the watchdog.
    pub pulse: Pulse,
    /// How long a firing that follows its own resolve waits before it counts.
    pub refire_delay: Duration,
    /// The time.
    pub now: Timestamp,
}

/// What is looked up in [`Facts`] for each component, gathered once.
struct Lookup<'a> {
    /// The alerts with a resolve or a firing that does not count yet.
    undecided: Vec<&'a AlertRecord>,
    /// What is not written yet, by the component that it is about or that the target feeds.
    waiting: HashMap<ComponentName, Vec<&'a Operation>>,
    /// What an operator should know, with the components that it is about (`None`: all).
    reports: Vec<(&'a Report, Option<BTreeSet<ComponentName>>)>,
}

impl Facts {
    /// Explains `component`; `None` if nothing feeds it and the page does not have it.
    pub fn explain(&self, component: &ComponentName) -> Option<Explanation> {
        let (explanation, targets) = self.explain_with(component, &self.lookup())?;
        Some(Explanation {
            targets: targets.iter().map(|target| TargetExplanation::from(&**target)).collect(),
            ..explanation
        })
    }

    fn lookup(&self) -> Lookup<'_> {
        let mut lookup = Lookup {
            undecided: self
                .alerts
                .iter()
                .filter(|alert| matches!(alert.state, AlertState::ResolveHeld | AlertState::Refired { .. }))
                .collect(),
            waiting: HashMap::new(),
            reports: self.plan.reports.iter().map(|report| (report, report.components())).collect(),
        };
        for operation in &self.plan.operations {
            let about = match operation.key() {
                ResourceKey::Component(name) | ResourceKey::Incident(OutageSubject::Component(name)) => vec![name],
                ResourceKey::Target(name) => {
                    self.page.targets.get(&name).map(|it| it.components().cloned().collect()).unwrap_or_default()
                }
                ResourceKey::Incident(OutageSubject::Monitoring) | ResourceKey::Structure => Vec::new(),
            };
            for component in about {
                lookup.waiting.entry(component).or_default().push(operation);
            }
        }
        lookup
    }

    /// What the page showed of `component`.
    fn shown(&self, component: &ComponentName) -> Option<&ObservedComponent> {
        self.index.find(&self.observed.as_ref()?.0, component.as_str())
    }

    /// The explanation without targets, and the targets.
    fn explain_with(
        &self,
        component: &ComponentName,
        lookup: &Lookup<'_>,
    ) -> Option<(Explanation, Vec<Cow<'_, DesiredTarget>>)> {
        let nothing = Observed::default();
        let observed = self.observed.as_ref().map_or(&nothing, |(observed, _)| observed);
        let desired = self.page.components.get(component);
        let found = self.shown(component);
        if desired.is_none() && found.is_none() {
            return None;
        }
        let fed_by = desired.iter().flat_map(|desired| desired.targets.iter());
        let targets: Vec<Cow<'_, DesiredTarget>> =
            fed_by.filter_map(|name| Some(self.page.targets.get(name)?.within(component))).collect();
        let status = desired.map_or(ComponentStatus::Operational, |desired| desired.status);
        let overridden = desired.and_then(|desired| desired.overridden.as_ref());
        let alerts = lookup.undecided.iter().filter(|alert| alert.target.components().contains(component));
        let held_resolves = alerts.clone().filter(|alert| alert.state == AlertState::ResolveHeld).map(|alert| {
            format!(
                "the resolve of {} of {} is held until the watchdog is received: Alertmanager sends the same resolve \
                 when Prometheus is dead",
                alert.name,
                alert.target.instance()
            )
        });
        // That monitoring data is missing says something about every component.
        let monitoring = match self.page.monitoring {
            Monitoring::Missing { since, .. } => {
                let incident = self.ledger.active(None).and_then(Outage::incident_id);
                let incident = incident.map(|id| format!(" (incident {})", id.0)).unwrap_or_default();
                Some(format!(
                    "monitoring data is missing since {since}{incident}: what would be Operational is Unknown until the \
                     watchdog is heard; check that Prometheus runs, and that Alertmanager sends its alert here"
                ))
            }
            _ => None,
        };
        let concerns = |about: &Option<BTreeSet<ComponentName>>| about.as_ref().is_none_or(|it| it.contains(component));
        let reports = lookup.reports.iter().filter(|(_, about)| concerns(about)).map(|(report, _)| report.to_string());
        let waiting = lookup.waiting.get(component).into_iter().flatten();
        let maintenance = observed.maintenance.iter();
        let maintenance = maintenance.filter(|one| found.is_some_and(|found| one.components.contains(&found.id)));
        let group = found.and_then(|found| observed.groups.iter().find(|group| Some(group.id) == found.group));
        let explanation = Explanation {
            component: component.to_string(),
            group: group.map(|group| group.name.clone()),
            status: status.into(),
            reason: match overridden {
                Some(Overridden { by, .. }) => format!("{} overrides it until {}", by.user, by.until),
                None => reason(status, &targets),
            },
            since: desired.and_then(|desired| desired.since).map(|since| since.to_string()),
            operator_override: overridden.map(|Overridden { by, rules, .. }| OverrideExplanation {
                rules_status: (*rules).into(),
                rules_reason: reason(*rules, &targets),
                since: by.since.to_string(),
                until: by.until.to_string(),
                user: by.user.clone(),
                note: by.note.clone(),
            }),
            targets: Vec::new(),
            waiting_firings: alerts.filter_map(|alert| self.waiting_firing(alert)).collect(),
            incident: self.ledger.active(Some(component)).map(|outage| self.incident(outage)),
            maintenance: maintenance.map(|one| one.name.clone()).collect(),
            shown: self.observed.as_ref().map(|(_, read_at)| Shown {
                status: found.and_then(|found| found.status).map(StatusWord::from),
                read_at: read_at.to_string(),
            }),
            waiting: waiting.map(ToString::to_string).collect(),
            remarks: reports.chain(held_resolves).chain(monitoring).collect(),
            past: None,
        };
        Some((explanation, targets))
    }

    /// Every one of [`Self::components`] in short.
    pub fn summaries(&self) -> Vec<Summary> {
        let lookup = self.lookup();
        let summary = |name| {
            let (it, targets) = self.explain_with(name, &lookup)?;
            let targets_down = targets.iter().filter(|target| target.is_down()).count();
            Some(Summary { it, targets: targets.len(), targets_down })
        };
        self.components().iter().filter_map(summary).collect()
    }

    /// Every visible component of the page and every one that targets feed: by group in the order of the page's numbers, those
    /// in none last, and by name within.
    pub fn components(&self) -> Vec<ComponentName> {
        let shown = self.observed.as_ref().map(|(observed, _)| observed.components.as_slice()).unwrap_or_default();
        let visible = shown.iter().filter(|component| component.enabled);
        let visible = visible.filter_map(|component| ComponentName::try_from(component.name.as_str()).ok());
        let names: BTreeSet<ComponentName> = visible.chain(self.page.components.keys().cloned()).collect();
        let mut names: Vec<ComponentName> = names.into_iter().collect();
        // Stable: by name within a group.
        names.sort_by_key(|name| {
            let group = self.shown(name).and_then(|found| found.group);
            (group.is_none(), group)
        });
        names
    }

    /// Every firing that does not count yet, the first that will first.
    pub fn waiting_firings(&self) -> Vec<WaitingFiring> {
        let mut waiting: Vec<_> = self.alerts.iter().filter_map(|alert| self.waiting_firing(alert)).collect();
        waiting.sort_by(|one: &WaitingFiring, other| one.counts_from.cmp(&other.counts_from));
        waiting
    }

    fn waiting_firing(&self, alert: &AlertRecord) -> Option<WaitingFiring> {
        Some(WaitingFiring {
            alertname: alert.name.clone(),
            instance: alert.target.instance().to_owned(),
            counts_from: alert.counts_from(self.now, self.refire_delay)?.to_string(),
        })
    }

    fn incident(&self, outage: &Outage) -> IncidentExplanation {
        let open = self.observed.as_ref().map(|(observed, _)| observed.open_incidents.as_slice());
        let is_shown = |id| open.is_none_or(|open| open.iter().any(|open| open.id == id));
        let state = match outage.incident.as_ref().map(|row| (row, row.page_id)) {
            None => "not opened yet",
            Some((_, None)) => "being opened",
            Some((row, _)) if !row.value.is_open() => "being closed",
            Some((row, _)) if !row.is_confirmed() => "being opened again",
            Some((_, Some(id))) if !is_shown(id) => "closed by a person",
            Some(_) => "open",
        };
        let id = outage.incident_id().map(|id| id.0);
        IncidentExplanation { id, state, occurred_at: outage.occurred_at.to_string() }
    }
}

impl From<&DesiredTarget> for TargetExplanation {
    fn from(target: &DesiredTarget) -> Self {
        let firing = |cause: &Cause| FiringExplanation { alertname: cause.why.clone(), since: cause.since.to_string() };
        Self {
            instance: target.target.instance().to_owned(),
            down: target.is_down(),
            critical: target.critical,
            known_from_alerts_only: target.origin == TargetOrigin::Signals,
            firing: target.causes.iter().map(firing).collect(),
        }
    }
}

fn reason(status: ComponentStatus, targets: &[Cow<'_, DesiredTarget>]) -> String {
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
            let state = if target.down { "DOWN" } else { "up  " };
            let critical = if target.critical { ", critical" } else { "" };
            let stranger = if target.known_from_alerts_only { ", known from its alerts only" } else { "" };
            writeln!(f, "  {state}  {}{critical}{stranger}", target.instance)?;
            for alert in &target.firing {
                writeln!(f, "        {} since {}", alert.alertname, alert.since)?;
            }
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
            Some(IncidentExplanation { id, state, occurred_at }) => {
                let incident = id.map_or_else(|| "an incident".to_owned(), |id| format!("incident {id}"));
                writeln!(f, "  {incident} is {state}, outage since {occurred_at}")?;
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

#[cfg(test)]
mod tests;

//! What Prometheus can ask the server about itself.
//!
//! `catalogue` defines **every metric** (name, labels, help) and the words of the labels. Here is what the parts of the
//! server tell: one method an occasion.
//!
//! There is no global state. A [`Metrics`] is made once and handed to whoever has something to tell: the web server, the
//! store, the client of Cachet, the reconciler and the alert sync. Labels have few values, known beforehand; never the
//! name of a component or a target, of which there may be thousands. `docs/metrics.md` says what each metric means.

pub mod catalogue;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

pub use self::catalogue::Refusal;
use self::catalogue::{CHANGE_KINDS, Catalogue, Gauge, NOT_OURS, OVERRIDES, OWNERS, STATUSES};
pub(crate) use self::catalogue::{NotificationResult, PollResult, ReconcileResult, change_kind};
use crate::cachet::CallObserver;
use crate::core::alert::Effect;
use crate::core::ledger::Outage;
use crate::core::notification::Notification;
use crate::core::observed::IncidentId;
use crate::core::operation::Operation;
use crate::core::plan::{Plan, Report, Views};
use crate::core::repair::Repair;
use crate::core::status::ComponentStatus;
use crate::core::status_page::RateBudget;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::store::{StoreObserver, StoreOperation};

/// What the text of [`Metrics::text`] is, as HTTP calls it.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The codes of answers that have a name of their own; a server that makes up others must not make up series.
const CODES: std::ops::RangeInclusive<u16> = 100..=599;

/// What is told of every code outside of them.
const OTHER_CODE: &str = "other";

/// Counts and measures. Clones share what they know.
#[derive(Clone)]
pub struct Metrics(Arc<Measured>);

struct Measured {
    registry: Registry,
    catalogue: Catalogue,
    /// Since when the oldest change waits: its age is told when somebody asks.
    oldest_waiting_since: Mutex<Option<Timestamp>>,
}

/// Metrics that begin to count now, with those of the process beside them.
impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let registered = registry.register(Box::new(ProcessCollector::for_self()));
        let c = registered.and_then(|()| Catalogue::new(&registry)).expect("definitions that fit together");
        c.build_info.with([env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT")]).set(1.0);
        for unknown in [&c.cachet_budget_limit, &c.cachet_budget_remaining, &c.watchdog_last_seen, &c.watchdog_missing]
        {
            unknown.set_known(None);
        }
        Self(Arc::new(Measured { registry, catalogue: c, oldest_waiting_since: Mutex::default() }))
    }
}

impl Metrics {
    /// All metrics at `now`, in Prometheus' text format.
    ///
    /// # Errors
    /// If they cannot be written down.
    pub fn text(&self, now: Timestamp) -> prometheus::Result<String> {
        let Measured { registry, catalogue, oldest_waiting_since } = &*self.0;
        // An age is as old as the scrape, not as the reconcile run that saw its beginning.
        let oldest = *oldest_waiting_since.lock();
        let age = oldest.map(|since| now.since(since)).unwrap_or_default();
        catalogue.oldest_waiting_age.with([]).set(age.as_secs_f64());
        TextEncoder::new().encode_to_string(&registry.gather())
    }

    /// A request to the webhook was answered at `now`, or its sender hung up.
    pub(crate) fn notification(&self, result: NotificationResult, took: Duration, now: Timestamp) {
        let c = &self.0.catalogue;
        c.notifications.with([result.into()]).inc();
        c.notification_duration.with([]).observe(took.as_secs_f64());
        if result == NotificationResult::Stored {
            c.notification_last_success.with([]).set(seconds(now));
        }
    }

    /// Somebody was not let in, for this reason, which is given back.
    pub(crate) fn refused(&self, reason: Refusal) -> Refusal {
        self.0.catalogue.authentications_refused.with([reason.into()]).inc();
        reason
    }

    /// Alerts were stored, and changed so much.
    pub(crate) fn alerts(&self, effects: &[Effect]) {
        effects.iter().for_each(|effect| self.0.catalogue.alerts.with([effect.into()]).inc());
    }

    /// So much of a notification was left out.
    pub(crate) fn left_out(&self, notification: &Notification) {
        let c = &self.0.catalogue;
        c.alerts.with([Effect::OverLimit.into()]).inc_by(notification.ignored.len() as u64);
        c.alerts.with([NOT_OURS]).inc_by(notification.not_ours as u64);
        for ignored in notification.ignored.iter().chain(&notification.partly_ignored) {
            c.alerts_ignored.with([(&ignored.reason).into()]).inc();
        }
        c.alerts_truncated.with([]).inc_by(notification.truncated_alerts);
    }

    /// A reconcile run ended at `now`.
    pub(crate) fn reconciled(&self, result: ReconcileResult, took: Duration, now: Timestamp) {
        let c = &self.0.catalogue;
        c.reconciles.with([result.into()]).inc();
        c.reconcile_duration.with([]).observe(took.as_secs_f64());
        if result == ReconcileResult::Complete {
            c.reconcile_last_success.with([]).set(seconds(now));
        }
    }

    /// A change became necessary.
    pub(crate) fn operation_planned(&self, change: &Operation) {
        self.0.catalogue.changes_planned.with([change_kind(change)]).inc();
    }

    /// A change was made.
    pub(crate) fn operation_confirmed(&self, change: &Operation) {
        self.0.catalogue.changes_applied.with([change_kind(change)]).inc();
    }

    /// An attempt at a change failed.
    pub(crate) fn operation_failed(&self, change: &Operation) {
        self.0.catalogue.changes_failed.with([change_kind(change)]).inc();
    }

    /// The changes that wait, by [`change_kind`], and since when the oldest of them does.
    pub(crate) fn changes_waiting(&self, kinds: impl Iterator<Item = &'static str>, oldest_since: Option<Timestamp>) {
        let measured = &self.0;
        let kinds: Vec<&str> = kinds.collect();
        for kind in CHANGE_KINDS {
            let count = kinds.iter().filter(|waiting| *waiting == kind).count();
            measured.catalogue.changes_waiting.with([kind]).set(count as f64);
        }
        *measured.oldest_waiting_since.lock() = oldest_since;
    }

    /// How the page is, counted from what the reconciler has at hand anyway; `waiting` firings do not count yet.
    pub(crate) fn page(&self, views: Views<'_>, plan: &Plan, waiting: usize) {
        let c = &self.0.catalogue;
        let Views { desired, ledger, observed, index } = views;
        let shown = |name: &ComponentName| index.find(observed, name.as_str());
        let shown: Vec<ComponentStatus> = desired
            .components
            .keys()
            .filter_map(shown)
            .map(|component| component.status.unwrap_or(ComponentStatus::Unknown))
            .collect();
        for (&status, word) in ComponentStatus::ALL.iter().zip(STATUSES) {
            let count = shown.iter().filter(|shown| **shown == status).count();
            c.components.with([word]).set(count as f64);
            let count = desired.components.values().filter(|component| component.status == status).count();
            c.components_desired.with([word]).set(count as f64);
        }
        let ours: BTreeSet<IncidentId> = ledger.outages.values().filter_map(Outage::incident_id).collect();
        let is_ours = |id: &IncidentId, outage: &Option<String>| outage.is_some() || ours.contains(id);
        let open = observed.open_incidents.len();
        let open_ours =
            observed.open_incidents.iter().filter(|incident| is_ours(&incident.id, &incident.outage)).count();
        let reported = |is: fn(&Report) -> bool| plan.reports.iter().filter(|report| is(report)).count();
        let statuses = reported(|report| matches!(report, Report::ComponentDrifted { .. }));
        let incidents = reported(|report| matches!(report, Report::IncidentClosedByPerson { .. }));
        let overridden = desired.components.values().filter(|component| component.overridden.is_some());
        let set = |gauge: &Gauge<0>, count: usize| gauge.with([]).set(count as f64);
        set(&c.components_missing, desired.components.len() - shown.len());
        set(&c.targets, desired.targets.len());
        set(&c.targets_down, desired.targets_down());
        set(&c.alerts_firing, desired.troubles());
        set(&c.held_refires, waiting);
        let overridden = overridden.count();
        set(&c.operator_overrides, overridden);
        set(&c.operator_overrides_by_earlier_name, overridden);
        for (owner, count) in OWNERS.into_iter().zip([open_ours, open - open_ours]) {
            c.incidents_open.with([owner]).set(count as f64);
        }
        for (kind, count) in OVERRIDES.into_iter().zip([statuses, incidents]) {
            c.drift.with([kind]).set(count as f64);
            c.drift_by_earlier_name.with([kind]).set(count as f64);
        }
    }

    /// What Cachet's rate limit allows now; `None` where it told of no limit.
    pub(crate) fn cachet_budget(&self, budget: Option<RateBudget>) {
        let c = &self.0.catalogue;
        c.cachet_budget_limit.set_known(budget.map(|budget| budget.limit.into()));
        c.cachet_budget_remaining.set_known(budget.map(|budget| budget.remaining.into()));
    }

    /// Alertmanager was read at `now`: so many members, of which so many did not answer.
    pub(crate) fn polled(&self, result: PollResult, members: usize, unheard: usize, now: Timestamp) {
        let c = &self.0.catalogue;
        c.polls.with([result.into()]).inc();
        c.members.with([]).set(members as f64);
        c.members_unheard.with([]).set(unheard as f64);
        if matches!(result, PollResult::Complete | PollResult::Incomplete) {
            c.poll_last_success.with([]).set(seconds(now));
        }
    }

    /// When the watchdog was last heard, and whether it is missing.
    pub(crate) fn watchdog(&self, last_heartbeat: Option<Timestamp>, is_missing: bool) {
        let c = &self.0.catalogue;
        c.watchdog_last_seen.set_known(last_heartbeat.map(seconds));
        c.watchdog_missing.set_known(Some(is_missing.into()));
    }

    /// No watchdog is configured any more.
    pub(crate) fn unwatched(&self) {
        let c = &self.0.catalogue;
        c.watchdog_last_seen.set_known(None);
        c.watchdog_missing.set_known(None);
    }

    /// Alerts were corrected.
    pub(crate) fn repaired(&self, repairs: &[Repair]) {
        let c = &self.0.catalogue;
        for repair in repairs {
            c.corrections.with([repair.reason.into()]).inc();
            c.corrections_by_earlier_name.with([repair.reason.into()]).inc();
        }
    }

    /// The configuration was read: `Some` when it was taken; `None` if it could not be used, and the one before stays.
    pub(crate) fn configuration_read(&self, taken_at: Option<Timestamp>) {
        let c = &self.0.catalogue;
        c.config_successful.with([]).set(taken_at.is_some().into());
        taken_at.into_iter().for_each(|now| c.config_success.with([]).set(seconds(now)));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// A moment in seconds since the Unix epoch, which is how Prometheus tells time.
fn seconds(moment: Timestamp) -> f64 {
    moment.as_millis() as f64 / 1000.0
}

impl CallObserver for Metrics {
    fn called(&self, method: &str, path: &str, answer: Result<u16, &'static str>, took: Duration) {
        let code = match answer {
            Ok(code) if CODES.contains(&code) => code.to_string(),
            Ok(_) => OTHER_CODE.to_owned(),
            Err(reason) => reason.to_owned(),
        };
        // `/incidents/{id}/updates`: a number would be a series of its own.
        let part = |part| if str::parse::<i64>(part).is_ok() { "{id}" } else { part };
        let endpoint = path.split('/').map(part).collect::<Vec<_>>().join("/");
        self.0.catalogue.cachet_requests.with([method, &endpoint, &code]).observe(took.as_secs_f64());
    }
}

impl StoreObserver for Metrics {
    fn done(&self, operation: StoreOperation, took: Duration, succeeded: bool) {
        let c = &self.0.catalogue;
        let word = operation.into();
        c.store_duration.with([word]).observe(took.as_secs_f64());
        if !succeeded {
            c.store_failures.with([word]).inc();
        }
    }
}

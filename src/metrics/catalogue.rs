//! Every metric of the server.
//!
//! To add one: a line here, a line in `docs/metrics.md` (a test compares them), and a method in `record`. Names begin
//! with `alertmanager_cachet_`, are in base units, and end in `_total` (counters), `_seconds` or `_timestamp_seconds`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::labels::{
    ALERT_RESULTS, CHANGE_KINDS, IGNORE_REASONS, NotificationResult, OVERRIDES, OWNERS, PollResult, REPAIR_REASONS,
    ReconcileResult, Refusal, STATUSES, STORE_OPERATIONS,
};
use crate::core::time::Timestamp;

/// The upper bounds of every histogram, in seconds: from a commit on a good disk to more than the longest timeout.
const BUCKETS_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Makes [`Catalogue`] and [`DEFINITIONS`] of one list.
macro_rules! catalogue {
    ($($field:ident: $family:ty = $name:literal [$($label:literal: $values:expr),*] $help:literal;)+) => {
        /// Every metric, ready to count.
        pub(super) struct Catalogue {
            $(#[doc = $help] pub $field: $family,)+
            /// Since when the oldest change waits: its age is told when somebody asks.
            oldest_waiting_since: Mutex<Option<Timestamp>>,
        }

        /// Every metric, as data, but for those of the process (`process_…`), which Prometheus' clients share.
        pub const DEFINITIONS: &[Definition] = &[$(Definition {
            name: concat!("alertmanager_cachet_", $name),
            labels: &[$(Label { name: $label, values: $values }),*],
            help: $help,
        }),+];

        impl Catalogue {
            /// Registers every metric, in the order of [`DEFINITIONS`].
            pub fn new(registry: &Registry) -> Result<Self, Error> {
                let mut definitions = DEFINITIONS.iter();
                // There are as many fields as definitions.
                let mut next = || definitions.next().ok_or_else(|| Error::Msg("a definition is missing".to_owned()));
                Ok(Self {
                    $($field: <$family>::register(next()?, registry)?,)+
                    oldest_waiting_since: Mutex::default(),
                })
            }
        }
    };
}

/// Values that come as they come.
const OPEN: &[&str] = &[];

catalogue! {
    // The webhook.
    notifications: Counter<1> = "notifications_total" ["result": NotificationResult::WORDS]
        "Requests to the webhook by what became of them.";
    notification_duration: Histogram<0> = "notification_duration_seconds" []
        "How long requests to the webhook took, from their headers to the answer.";
    notification_last_success: Gauge<0> = "notification_last_success_timestamp_seconds" []
        "When a notification was last answered with 200; 0 if none was since the start.";
    authentications_refused: Counter<1> = "authentications_refused_total" ["reason": Refusal::WORDS]
        "Requests that were not let in, wherever a password is asked for, by reason.";
    alerts: Counter<1> = "alerts_total" ["result": ALERT_RESULTS]
        "Alerts in stored notifications by what they changed.";
    alerts_ignored: Counter<1> = "alerts_ignored_total" ["reason": IGNORE_REASONS]
        "Alerts of the status page, or single component names of them, that could not be used, by reason.";
    alerts_truncated: Counter<0> = "alerts_truncated_total" []
        "Alerts that Alertmanager cut off from notifications (max_alerts).";

    // The store.
    store_duration: Histogram<1> = "store_operation_duration_seconds" ["operation": STORE_OPERATIONS]
        "How long the store took, with the waiting for its lock and its disk.";
    store_failures: Counter<1> = "store_operation_failures_total" ["operation": STORE_OPERATIONS]
        "Operations that the store refused, of which it kept nothing.";

    // The reconciler.
    reconciles: Counter<1> = "reconciles_total" ["result": ReconcileResult::WORDS]
        "Reconcile runs by how they ended.";
    reconcile_duration: Histogram<0> = "reconcile_duration_seconds" []
        "How long a reconcile run took.";
    reconcile_last_success: Gauge<0> = "reconcile_last_success_timestamp_seconds" []
        "When a reconcile run last wrote all that had to be written; 0 if none did since the start.";
    changes_planned: Counter<1> = "changes_planned_total" ["kind": CHANGE_KINDS]
        "Changes to the page that became necessary.";
    changes_applied: Counter<1> = "changes_applied_total" ["kind": CHANGE_KINDS]
        "Changes that were made on the page.";
    changes_failed: Counter<1> = "changes_failed_total" ["kind": CHANGE_KINDS]
        "Attempts at a change that failed; it is tried again.";
    changes_waiting: Gauge<1> = "changes_waiting" ["kind": CHANGE_KINDS]
        "Changes that are necessary and were not made in the last reconcile run.";
    oldest_waiting_age: Gauge<0> = "changes_oldest_waiting_age_seconds" []
        "For how long the oldest of the waiting changes has been necessary; 0 if none waits.";

    // The page.
    components: Gauge<1> = "components" ["status": STATUSES]
        "Components that targets feed, by the status that the page shows of them.";
    components_desired: Gauge<1> = "components_desired" ["status": STATUSES]
        "Components that targets feed, by the status that they should have.";
    components_missing: Gauge<0> = "components_missing" []
        "Components that targets feed and the page does not have.";
    targets: Gauge<0> = "targets" []
        "Targets that count.";
    targets_down: Gauge<0> = "targets_down" []
        "Targets that are down: at least one of their alerts fires.";
    alerts_firing: Gauge<0> = "alerts_firing" []
        "Alerts that fire, as far as is known.";
    held_refires: Gauge<0> = "held_refires" []
        "Firings that came after their own resolve and do not count yet.";
    incidents_open: Gauge<1> = "incidents_open" ["owner": OWNERS]
        "Open incidents on the page, by who opened them.";
    overrides: Gauge<1> = "overrides" ["kind": OVERRIDES]
        "What people changed on the page and is left until the alerts say something new.";
    operator_overrides: Gauge<0> = "holds" []
        "Components whose status an operator overrides.";

    // Cachet.
    cachet_requests: Histogram<3> = "cachet_request_duration_seconds" ["method": OPEN, "endpoint": OPEN, "code": OPEN]
        "Calls to Cachet: how many, and how long they took, by endpoint and by the code of the answer.";
    cachet_budget_limit: GaugeOnceKnown = "cachet_budget_limit" []
        "Writes that Cachet's rate limit allows in a minute; absent where Cachet told of no limit.";
    cachet_budget_remaining: GaugeOnceKnown = "cachet_budget_remaining" []
        "Writes that Cachet's rate limit allowed in this minute in the last reconcile run; absent as its limit.";

    // Alertmanager.
    polls: Counter<1> = "alertmanager_polls_total" ["result": PollResult::WORDS]
        "Readings of Alertmanager's list by how they ended.";
    poll_last_success: Gauge<0> = "alertmanager_poll_last_success_timestamp_seconds" []
        "When a member of Alertmanager was last read and its list compared; 0 if none was since the start.";
    members: Gauge<0> = "alertmanager_members" []
        "Members of Alertmanager that are read; 0 if ALERTMANAGER_URL is not set.";
    members_unheard: Gauge<0> = "alertmanager_members_unheard" []
        "Members of Alertmanager that did not answer the last reading.";
    repairs: Counter<1> = "repairs_total" ["reason": REPAIR_REASONS]
        "Stored alerts that were corrected without a notification, by reason.";

    // The monitoring.
    watchdog_last_seen: GaugeOnceKnown = "watchdog_last_seen_timestamp_seconds" []
        "When the watchdog was last heard; absent where none is configured, or it was never heard.";
    watchdog_missing: GaugeOnceKnown = "watchdog_missing" []
        "Whether nothing was heard of the watchdog for too long: 1 or 0; absent where none is configured.";

    // The program.
    config_successful: Gauge<0> = "config_last_reload_successful" []
        "Whether the configuration could be used when it was last read: 1 or 0.";
    config_success: Gauge<0> = "config_last_reload_success_timestamp_seconds" []
        "When the configuration was last read and taken.";
    build_info: Gauge<2> = "build_info" ["version": OPEN, "commit": OPEN]
        "Always 1, with the version and the commit that the program was built from.";
}

impl Catalogue {
    /// Since when the oldest change waits; `None`: none does.
    pub(super) fn oldest_waiting_since(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.oldest_waiting_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One metric, as data: what the documentation and the dashboard are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its whole name.
    pub name: &'static str,
    /// Its labels, in the order in which they are given.
    pub labels: &'static [Label],
    /// What it means, in a sentence.
    pub help: &'static str,
}

/// A label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Every value that it can have, each of which is there from the start; empty where they come as they come (the
    /// version, an answer's code), which are few all the same.
    pub values: &'static [&'static str],
}

/// Something that a [`Definition`] can define.
trait Family: Sized {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error>;
}

/// A counter with `N` labels.
pub(super) struct Counter<const N: usize>(IntCounterVec);

/// A gauge with `N` labels.
pub(super) struct Gauge<const N: usize>(GaugeVec);

/// A gauge without labels that is not there as long as its value is not known.
pub(super) struct GaugeOnceKnown(GaugeVec);

/// A histogram of durations with `N` labels.
pub(super) struct Histogram<const N: usize>(HistogramVec);

impl<const N: usize> Counter<N> {
    pub(super) fn add(&self, labels: [&str; N], count: usize) {
        // The number of labels is right by type, so there is always one to count on.
        if let Ok(counter) = self.0.get_metric_with_label_values(&labels) {
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }
}

impl<const N: usize> Gauge<N> {
    pub(super) fn set(&self, labels: [&str; N], value: f64) {
        if let Ok(gauge) = self.0.get_metric_with_label_values(&labels) {
            gauge.set(value);
        }
    }

    pub(super) fn set_count(&self, labels: [&str; N], count: usize) {
        // Exact up to 2^53.
        self.set(labels, count as f64);
    }

    /// A moment in seconds since the Unix epoch, which is how Prometheus tells time.
    pub(super) fn set_moment(&self, labels: [&str; N], moment: Timestamp) {
        self.set(labels, moment.as_millis() as f64 / 1000.0);
    }
}

impl GaugeOnceKnown {
    pub(super) fn set(&self, value: Option<f64>) {
        match (value, self.0.get_metric_with_label_values::<&str>(&[])) {
            (Some(value), Ok(gauge)) => gauge.set(value),
            _ => self.0.reset(),
        }
    }
}

impl<const N: usize> Histogram<N> {
    pub(super) fn observe(&self, labels: [&str; N], duration: Duration) {
        if let Ok(histogram) = self.0.get_metric_with_label_values(&labels) {
            histogram.observe(duration.as_secs_f64());
        }
    }
}

impl<const N: usize> Family for Counter<N> {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let family = IntCounterVec::new(definition.options(), &definition.label_names())?;
        registered(family, definition, registry).map(Self)
    }
}

impl<const N: usize> Family for Gauge<N> {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let family = GaugeVec::new(definition.options(), &definition.label_names())?;
        registered(family, definition, registry).map(Self)
    }
}

impl Family for GaugeOnceKnown {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let family = GaugeVec::new(definition.options(), &[])?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self(family))
    }
}

impl<const N: usize> Family for Histogram<N> {
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let options = HistogramOpts::from(definition.options()).buckets(BUCKETS_SECONDS.to_vec());
        let family = HistogramVec::new(options, &definition.label_names())?;
        registered(family, definition, registry).map(Self)
    }
}

impl Definition {
    fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }
}

/// Registers a family with every series whose labels are known, so that the first occurrence is an increase and not the
/// beginning of a series, which Prometheus could not tell from one that was always there.
fn registered<B: MetricVecBuilder + 'static>(
    family: MetricVec<B>,
    definition: &Definition,
    registry: &Registry,
) -> Result<MetricVec<B>, Error> {
    let series = definition.labels.iter().fold(vec![Vec::new()], |series: Vec<Vec<&str>>, label| {
        let with_each =
            |before: Vec<&'static str>| label.values.iter().map(move |value| [&*before, &[*value]].concat());
        series.into_iter().flat_map(with_each).collect()
    });
    for values in series {
        family.get_metric_with_label_values(&values)?;
    }
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

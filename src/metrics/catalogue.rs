//! Every metric of the server, and the words of its labels.
//!
//! To add one: a line here, a line in `docs/metrics.md` (a test compares them), and a method of `Metrics`. Names begin with `alertmanager_cachet_`, are in base units, and end in `_total` (counters), `_seconds` or `_timestamp_seconds`.

use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use strum::{IntoStaticStr, VariantNames};

use crate::core::alert::Effect;
use crate::core::ledger::ResourceKey;
use crate::core::notification::IgnoreReason;
use crate::core::operation::Operation;
use crate::core::repair::Reason;
use crate::store::StoreOperation;

/// The upper bounds of every histogram, in seconds: from a commit on a good disk to more than the longest timeout.
const BUCKETS_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Makes [`Catalogue`] and [`DEFINITIONS`] of one list.
macro_rules! catalogue {
    ($($field:ident: $family:ty = $name:literal [$($label:literal: $values:expr),*] $help:literal;)+) => {
        /// Every metric, ready to count.
        pub(super) struct Catalogue {
            $(#[doc = $help] pub $field: $family,)+
        }

        /// Every metric, as data, but for those of the process (`process_…`), which Prometheus' clients share.
        pub const DEFINITIONS: &[Definition] = &[$(Definition {
            name: concat!("alertmanager_cachet_", $name),
            labels: &[$(Label { name: $label, values: $values }),*],
            help: $help,
        }),+];

        impl Catalogue {
            /// Registers every metric, in the order of [`DEFINITIONS`].
            pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
                let mut definitions = DEFINITIONS.iter();
                // There are as many fields as definitions.
                let mut next = || definitions.next().ok_or_else(|| Error::Msg("a definition is missing".to_owned()));
                Ok(Self {
                    $($field: <$family>::register(next()?, registry)?,)+
                })
            }
        }
    };
}

/// Values that come as they come.
const OPEN: &[&str] = &[];

catalogue! {
    // The webhook.
    notifications: Counter<1> = "notifications_total" ["result": NotificationResult::VARIANTS]
        "Requests to the webhook by what became of them.";
    notification_duration: Histogram<0> = "notification_duration_seconds" []
        "How long requests to the webhook took, from their headers to the answer.";
    notification_last_success: Gauge<0> = "notification_last_success_timestamp_seconds" []
        "When a notification was last answered with 200; 0 if none was since the start.";
    authentications_refused: Counter<1> = "authentications_refused_total" ["reason": Refusal::VARIANTS]
        "Requests that were not let in, wherever a password is asked for, by reason.";
    alerts: Counter<1> = "alerts_total" ["result": &ALERT_RESULTS]
        "Alerts in stored notifications by what they changed.";
    alerts_ignored: Counter<1> = "alerts_ignored_total" ["reason": IgnoreReason::VARIANTS]
        "Alerts of the status page, or single component names of them, that could not be used, by reason.";
    alerts_truncated: Counter<0> = "alerts_truncated_total" []
        "Alerts that Alertmanager cut off from notifications (max_alerts).";

    // The store.
    store_duration: Histogram<1> = "store_operation_duration_seconds" ["operation": StoreOperation::VARIANTS]
        "How long the store took, with the waiting for its lock and its disk.";
    store_failures: Counter<1> = "store_operation_failures_total" ["operation": StoreOperation::VARIANTS]
        "Operations that the store refused, of which it kept nothing.";

    // The reconciler.
    reconciles: Counter<1> = "reconciles_total" ["result": ReconcileResult::VARIANTS]
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
    components: Gauge<1> = "components" ["status": &STATUSES]
        "Components that targets feed, by the status that the page shows of them.";
    components_desired: Gauge<1> = "components_desired" ["status": &STATUSES]
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
    incidents_open: Gauge<1> = "incidents_open" ["owner": &OWNERS]
        "Open incidents on the page, by who opened them.";
    drift: Gauge<1> = "drift" ["kind": &OVERRIDES]
        "What people changed on the page and is left until the alerts say something new.";
    drift_by_earlier_name: Gauge<1> = "overrides" ["kind": &OVERRIDES]
        "Deprecated: the earlier name of alertmanager_cachet_drift.";
    operator_overrides: Gauge<0> = "operator_overrides" []
        "Components whose status an operator overrides.";
    operator_overrides_by_earlier_name: Gauge<0> = "holds" []
        "Deprecated: the earlier name of alertmanager_cachet_operator_overrides.";

    // Cachet.
    cachet_requests: Histogram<3> = "cachet_request_duration_seconds" ["method": OPEN, "endpoint": OPEN, "code": OPEN]
        "Calls to Cachet: how many, and how long they took, by endpoint and by the code of the answer.";
    cachet_budget_limit: Gauge<0> = "cachet_budget_limit" []
        "Writes that Cachet's rate limit allows in a minute; absent where Cachet told of no limit.";
    cachet_budget_remaining: Gauge<0> = "cachet_budget_remaining" []
        "Writes that Cachet's rate limit allowed in this minute in the last reconcile run; absent as its limit.";

    // Alertmanager.
    polls: Counter<1> = "alertmanager_polls_total" ["result": PollResult::VARIANTS]
        "Readings of Alertmanager's list by how they ended.";
    poll_last_success: Gauge<0> = "alertmanager_poll_last_success_timestamp_seconds" []
        "When a member of Alertmanager was last read and its list compared; 0 if none was since the start.";
    members: Gauge<0> = "alertmanager_members" []
        "Members of Alertmanager that are read; 0 if ALERTMANAGER_URL is not set.";
    members_unheard: Gauge<0> = "alertmanager_members_unheard" []
        "Members of Alertmanager that did not answer the last reading.";
    corrections: Counter<1> = "alert_corrections_total" ["reason": Reason::VARIANTS]
        "Stored alerts that were corrected without a notification, by reason.";
    corrections_by_earlier_name: Counter<1> = "repairs_total" ["reason": Reason::VARIANTS]
        "Deprecated: the earlier name of alertmanager_cachet_alert_corrections_total.";

    // The monitoring.
    watchdog_last_seen: Gauge<0> = "watchdog_last_seen_timestamp_seconds" []
        "When the watchdog was last heard; absent where none is configured, or it was never heard.";
    watchdog_missing: Gauge<0> = "watchdog_missing" []
        "Whether nothing was heard of the watchdog for too long: 1 or 0; absent where none is configured.";

    // The program.
    config_successful: Gauge<0> = "config_last_reload_successful" []
        "Whether the configuration could be used when it was last read: 1 or 0.";
    config_success: Gauge<0> = "config_last_reload_success_timestamp_seconds" []
        "When the configuration was last read and taken.";
    build_info: Gauge<2> = "build_info" ["version": OPEN, "commit": OPEN]
        "Always 1, with the version and the commit that the program was built from.";
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

/// A family of metrics with `N` labels.
pub(super) struct Family<V, const N: usize>(V);

/// Counts by `N` labels.
pub(super) type Counter<const N: usize> = Family<IntCounterVec, N>;

/// Values by `N` labels.
pub(super) type Gauge<const N: usize> = Family<GaugeVec, N>;

/// Durations by `N` labels.
pub(super) type Histogram<const N: usize> = Family<HistogramVec, N>;

impl<B: MetricVecBuilder + 'static, const N: usize> Family<MetricVec<B>, N>
where
    MetricVec<B>: FromDefinition,
{
    /// Registers a family with every series whose labels are known, so that the first occurrence is an increase and not the
    /// beginning of a series, which Prometheus could not tell from one that was always there.
    fn register(definition: &Definition, registry: &Registry) -> Result<Self, Error> {
        let names: Vec<&str> = definition.labels.iter().map(|label| label.name).collect();
        let family = MetricVec::<B>::from_definition(Opts::new(definition.name, definition.help), &names)?;
        let series = definition.labels.iter().fold(vec![Vec::new()], |series: Vec<Vec<&str>>, label| {
            let with_each =
                |before: Vec<&'static str>| label.values.iter().map(move |value| [&*before, &[*value]].concat());
            series.into_iter().flat_map(with_each).collect()
        });
        for values in series {
            family.get_metric_with_label_values(&values)?;
        }
        registry.register(Box::new(family.clone()))?;
        Ok(Self(family))
    }

    /// The metric with these labels, of which there are as many as the definition names.
    pub(super) fn with(&self, labels: [&str; N]) -> B::M {
        self.0.with_label_values(&labels)
    }
}

impl Gauge<0> {
    /// A gauge that is absent as long as its value is not known.
    pub(super) fn set_known(&self, value: Option<f64>) {
        match value {
            Some(value) => self.with([]).set(value),
            None => self.0.reset(),
        }
    }
}

/// What can be made of a [`Definition`].
pub(super) trait FromDefinition: Sized {
    fn from_definition(options: Opts, labels: &[&str]) -> Result<Self, Error>;
}

impl FromDefinition for IntCounterVec {
    fn from_definition(options: Opts, labels: &[&str]) -> Result<Self, Error> {
        Self::new(options, labels)
    }
}

impl FromDefinition for GaugeVec {
    fn from_definition(options: Opts, labels: &[&str]) -> Result<Self, Error> {
        Self::new(options, labels)
    }
}

impl FromDefinition for HistogramVec {
    fn from_definition(options: Opts, labels: &[&str]) -> Result<Self, Error> {
        Self::new(HistogramOpts::from(options).buckets(BUCKETS_SECONDS.to_vec()), labels)
    }
}

/// What became of a request to the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum NotificationResult {
    /// 200: all of it that can be used is in the store.
    Stored,
    /// 503: the store did not take it. Alertmanager sends it again.
    NotStored,
    /// 503: its body did not arrive.
    BodyLost,
    /// 503: too many passwords waited to be verified.
    Busy,
    /// 401; or 403, where another site had a browser send it.
    Unauthorized,
    /// 400: it is no notification. Its alerts are lost.
    Invalid,
    /// 413: it is too long. Its alerts are lost.
    TooLarge,
    /// 405: it is no POST.
    WrongMethod,
    /// Whoever sent it hung up before the answer. What had arrived may have been stored.
    Abandoned,
}

/// How a reconcile run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ReconcileResult {
    /// Everything that had to be written was.
    Complete,
    /// Some changes failed, the others were made.
    Incomplete,
    /// The page takes or answers nothing.
    CachetBlocked,
    /// The store does not work.
    StoreBlocked,
}

/// How a reading of Alertmanager ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PollResult {
    /// Every member was heard.
    Complete,
    /// Some members were heard.
    Incomplete,
    /// No member was heard.
    Unheard,
    /// The store did not take what was to be corrected.
    NotStored,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantNames, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// They do not say who they are.
    #[error("user and password are wanted")]
    Missing,
    /// User and password do not fit.
    #[error("user or password is wrong")]
    Wrong,
    /// Too many passwords wait to be verified.
    #[error("too many passwords wait to be verified: try again")]
    Busy,
    /// They may post, and wanted what is for operators.
    #[error("this is for the users in basic_auth_users of --web.config.file, and you are one of WEBHOOK_BASIC_AUTH")]
    NotAnOperator,
    /// Another site had a browser send it.
    #[error("another site sent this through your browser: open it yourself")]
    CrossSite,
}

/// It does not carry `status_page_alert`.
pub(super) const NOT_OURS: &str = "not_ours";

/// What came of an alert, those that are not ours included.
const ALERT_RESULTS: [&str; Effect::VARIANTS.len() + 1] = {
    let mut words = [NOT_OURS; Effect::VARIANTS.len() + 1];
    words.split_at_mut(Effect::VARIANTS.len()).0.copy_from_slice(Effect::VARIANTS);
    words
};

/// What a component can be, in the order of Cachet's numbers.
pub(super) const STATUSES: [&str; 6] =
    ["operational", "performance_issues", "partial_outage", "major_outage", "unknown", "under_maintenance"];

/// What a change does: what [`change_kind`] says of the server's own work.
pub(super) const CHANGE_KINDS: &[&str] = &[
    "set_component",
    "open_incident",
    "close_incident",
    "reopen_incident",
    "find_incident",
    "close_stray",
    "create_target",
    "update_target",
];

/// The word for what a change does.
pub(crate) const fn change_kind(change: &Operation) -> &'static str {
    match change {
        Operation::Write { page_id: None, .. } => "create_target",
        Operation::Write { key: ResourceKey::Target(_), .. } => "update_target",
        Operation::Write { .. } => "set_component",
        Operation::OpenIncident { .. } => "open_incident",
        Operation::CloseIncident { outage, .. } if outage.ended.is_none() => "close_incident",
        Operation::ReopenIncident { .. } => "reopen_incident",
        Operation::FindIncident { .. } => "find_incident",
        Operation::CloseIncident { .. } | Operation::HideDuplicate { .. } => "close_stray",
        // No part of the server's own work, so it is not counted.
        Operation::CreateGroup(_) | Operation::CreateComponent { .. } | Operation::Rearrange { .. } => "setup",
    }
}

/// Whose an incident is: the server's, which opened it, or that of a person or another program.
pub(super) const OWNERS: [&str; 2] = ["ours", "others"];

/// What a person changed: the status of a component, or that our incident is closed while its component is down.
pub(super) const OVERRIDES: [&str; 2] = ["component_status", "incident_closed"];

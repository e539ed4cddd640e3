//! Every metric of the server, and the words of its labels.
//!
//! To add one: a line here, a line in `docs/metrics.md` (a test compares them), and a method of `Metrics`. Names begin with `alertmanager_cachet_`, are in base units, and end in `_total` (counters), `_seconds` or `_timestamp_seconds`.

use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{Error, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::core::alert::Effect;
use crate::core::ledger::ResourceKey;
use crate::core::notification::IgnoreReason;
use crate::core::operation::Operation;
use crate::core::status::ComponentStatus;
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
    polls: Counter<1> = "alertmanager_polls_total" ["result": PollResult::WORDS]
        "Readings of Alertmanager's list by how they ended.";
    poll_last_success: Gauge<0> = "alertmanager_poll_last_success_timestamp_seconds" []
        "When a member of Alertmanager was last read and its list compared; 0 if none was since the start.";
    members: Gauge<0> = "alertmanager_members" []
        "Members of Alertmanager that are read; 0 if ALERTMANAGER_URL is not set.";
    members_unheard: Gauge<0> = "alertmanager_members_unheard" []
        "Members of Alertmanager that did not answer the last reading.";
    corrections: Counter<1> = "alert_corrections_total" ["reason": REPAIR_REASONS]
        "Stored alerts that were corrected without a notification, by reason.";
    corrections_by_earlier_name: Counter<1> = "repairs_total" ["reason": REPAIR_REASONS]
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

/// Defines an enum whose variants are the values of a label.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every word.
            pub(super) const WORDS: &'static [&'static str] = &[$($word),+];

            pub(super) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

/// Defines the function that says which word a value is, and the list of these words, with `$more` behind them.
macro_rules! words_of {
    ($(#[$doc:meta])* $function:ident($value:ty), $words:ident { $($pattern:pat => $word:expr,)+ } $($more:expr)?) => {
        $(#[$doc])*
        pub(super) const $words: &[&str] = &[$($word,)+ $($more)?];

        pub(crate) const fn $function(value: $value) -> &'static str {
            match value { $($pattern => $word,)+ }
        }
    };
}

words! {
    /// What became of a request to the webhook.
    NotificationResult {
        /// 200: all of it that can be used is in the store.
        Stored = "stored",
        /// 503: the store did not take it. Alertmanager sends it again.
        NotStored = "not_stored",
        /// 503: its body did not arrive.
        BodyLost = "body_lost",
        /// 503: too many passwords waited to be verified.
        Busy = "busy",
        /// 401; or 403, where another site had a browser send it.
        Unauthorized = "unauthorized",
        /// 400: it is no notification. Its alerts are lost.
        Invalid = "invalid",
        /// 413: it is too long. Its alerts are lost.
        TooLarge = "too_large",
        /// 405: it is no POST.
        WrongMethod = "wrong_method",
        /// Whoever sent it hung up before the answer. What had arrived may have been stored.
        Abandoned = "abandoned",
    }
}

words_of! {
    /// What the store does.
    store_operation(StoreOperation), STORE_OPERATIONS {
        StoreOperation::Record => "record",
        StoreOperation::Read => "read",
        StoreOperation::Remember => "remember",
        StoreOperation::Repair => "repair",
        StoreOperation::Probe => "probe",
    }
}

words! {
    /// How a reconcile run ended.
    ReconcileResult {
        /// Everything that had to be written was.
        Complete = "complete",
        /// Some changes failed, the others were made.
        Incomplete = "incomplete",
        /// The page takes or answers nothing.
        CachetBlocked = "cachet_blocked",
        /// The store does not work.
        StoreBlocked = "store_blocked",
    }
}

words! {
    /// How a reading of Alertmanager ended.
    PollResult {
        /// Every member was heard.
        Complete = "complete",
        /// Some members were heard.
        Incomplete = "incomplete",
        /// No member was heard.
        Unheard = "unheard",
        /// The store did not take what was to be corrected.
        NotStored = "not_stored",
    }
}

words! {
    /// Why somebody is not let in.
    Refusal {
        /// They do not say who they are.
        Missing = "missing",
        /// User and password do not fit.
        Wrong = "wrong",
        /// Too many passwords wait to be verified.
        Busy = "busy",
        /// They may post, and wanted what is for operators.
        NotAnOperator = "not_an_operator",
        /// Another site had a browser send it.
        CrossSite = "cross_site",
    }
}

words_of! {
    /// What came of an alert, those that were left out included.
    effect(Effect), ALERT_RESULTS {
        Effect::Fired => "fired",
        Effect::FiredAgain => "fired_again",
        Effect::Resolved => "resolved",
        Effect::ResolvedUnknown => "resolved_unknown",
        Effect::Repeated => "repeated",
        Effect::Outdated => "outdated",
        Effect::HeldResolve => "resolve_held",
        Effect::Refired => "refire_held",
        Effect::RefireWithdrawn => "refire_withdrawn",
        Effect::OverLimit => IGNORED,
    } NOT_OURS
}

/// It is ours, and cannot be used.
pub(super) const IGNORED: &str = "ignored";

/// It does not carry `status_page_alert`.
pub(super) const NOT_OURS: &str = "not_ours";

words_of! {
    /// Why an alert, or a part of one, was left out.
    ignore_reason(&IgnoreReason), IGNORE_REASONS {
        IgnoreReason::NotAnAlert { .. } => "not_an_alert",
        IgnoreReason::TooManyLabels(_) => "too_many_labels",
        IgnoreReason::LabelsTooLarge(_) => "labels_too_large",
        IgnoreReason::NameTooLong { .. } => "name_too_long",
        IgnoreReason::NoInstance => "no_instance",
        IgnoreReason::NoAlertname => "no_alertname",
        IgnoreReason::NoComponent => "no_component",
        IgnoreReason::ComponentName(_) => "component_name",
        IgnoreReason::NoFingerprint => "no_fingerprint",
        IgnoreReason::Fingerprint(_) => "fingerprint",
        IgnoreReason::StartsAt(_) => "starts_at",
        IgnoreReason::Status(_) => "status",
        IgnoreReason::StoreFull(_) => "store_full",
    }
}

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

/// Why an alert was corrected: the words that the history has for it.
pub(super) const REPAIR_REASONS: &[&str] = &[
    "unnotified",
    "unnotified_again",
    "reappeared",
    "confirmed",
    "refuted",
    "unlisted",
    "resolve_confirmed",
    "taken_back",
    "stale",
];

words_of! {
    /// What a component can be.
    status(ComponentStatus), STATUSES {
        ComponentStatus::Operational => "operational",
        ComponentStatus::PerformanceIssues => "performance_issues",
        ComponentStatus::PartialOutage => "partial_outage",
        ComponentStatus::MajorOutage => "major_outage",
        ComponentStatus::Unknown => "unknown",
        ComponentStatus::UnderMaintenance => "under_maintenance",
    }
}

/// Whose an incident is: the server's, which opened it, or that of a person or another program.
pub(super) const OWNERS: [&str; 2] = ["ours", "others"];

/// What a person changed: the status of a component, or that our incident is closed while its component is down.
pub(super) const OVERRIDES: [&str; 2] = ["component_status", "incident_closed"];

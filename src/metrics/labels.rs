//! The words of the labels. Each list has every word that the functions below can say; a test compares them.

use crate::core::alert::Effect;
use crate::core::ledger::ResourceKey;
use crate::core::notification::IgnoreReason;
use crate::core::operation::Operation;
use crate::core::status::ComponentStatus;
use crate::store::StoreOperation;

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

/// Defines a list of words, and the function that says which of them a value is.
macro_rules! words_of {
    ($(#[$doc:meta])* $function:ident($value:ty), $words:ident { $($pattern:pat => $word:literal,)+ }) => {
        $(#[$doc])*
        pub(crate) const $words: &[&str] = &[$($word),+];

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

/// What came of an alert: [`effect`], and those that were left out.
pub(crate) const ALERT_RESULTS: &[&str] = &[
    "fired",
    "fired_again",
    "resolved",
    "resolved_unknown",
    "repeated",
    "outdated",
    "resolve_held",
    "refire_held",
    "refire_withdrawn",
    IGNORED,
    NOT_OURS,
];
/// It is ours, and cannot be used.
pub(crate) const IGNORED: &str = "ignored";
/// It does not carry `status_page_alert`.
pub(crate) const NOT_OURS: &str = "not_ours";

pub(crate) const fn effect(effect: Effect) -> &'static str {
    match effect {
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
    }
}

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

/// What a change does.
pub(crate) const CHANGE_KINDS: &[&str] = &[
    "set_component",
    "open_incident",
    "close_incident",
    "reopen_incident",
    "find_incident",
    "close_stray",
    "create_target",
    "update_target",
];

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
pub(crate) const REPAIR_REASONS: &[&str] = &[
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

/// Whose an incident is.
pub(crate) const OWNERS: &[&str] = &[OURS, OTHERS];
/// The server opened it.
pub(crate) const OURS: &str = "ours";
/// A person or another program did.
pub(crate) const OTHERS: &str = "others";

/// What a person changed.
pub(crate) const OVERRIDES: &[&str] = &[OVERRIDDEN_STATUS, OVERRIDDEN_INCIDENT];
/// The status of a component.
pub(crate) const OVERRIDDEN_STATUS: &str = "component_status";
/// They closed our incident while its component is down.
pub(crate) const OVERRIDDEN_INCIDENT: &str = "incident_closed";

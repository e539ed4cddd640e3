//! What the parts of the server tell: one method an occasion.

use std::time::Duration;

use super::labels::{
    self, IGNORED, NOT_OURS, NotificationResult, OTHERS, OURS, OVERRIDDEN_INCIDENT, OVERRIDDEN_STATUS, PollResult,
    ReconcileResult, Refusal,
};
use super::{Metrics, PageState};
use crate::cachet::CallObserver;
use crate::core::alert::Effect;
use crate::core::history::Source;
use crate::core::notification::Notification;
use crate::core::operation::Operation;
use crate::core::repair::Repair;
use crate::core::status::ComponentStatus;
use crate::core::status_page::RateBudget;
use crate::core::time::Timestamp;
use crate::store::{StoreObserver, StoreOperation};

/// The codes of answers that have a name of their own; a server that makes up others must not make up series.
const CODES: std::ops::RangeInclusive<u16> = 100..=599;

/// What is told of every code outside of them.
const OTHER_CODE: &str = "other";

impl Metrics {
    /// A request to the webhook was answered at `now`, or its sender hung up.
    pub(crate) fn notification(&self, result: NotificationResult, took: Duration, now: Timestamp) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.notifications.add([result.word()], 1);
        catalogue.notification_duration.observe([], took);
        if result == NotificationResult::Stored {
            catalogue.notification_last_success.set_moment([], now);
        }
    }

    /// Somebody was not let in.
    pub(crate) fn authentication_refused(&self, reason: Refusal) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.authentications_refused.add([reason.word()], 1);
    }

    /// Alerts were stored, and changed so much.
    pub(crate) fn alerts(&self, effects: &[Effect]) {
        let Some(catalogue) = self.catalogue() else { return };
        effects.iter().for_each(|effect| catalogue.alerts.add([labels::effect(*effect)], 1));
    }

    /// So much of a notification was left out.
    pub(crate) fn left_out(&self, notification: &Notification) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.alerts.add([IGNORED], notification.ignored.len());
        catalogue.alerts.add([NOT_OURS], notification.not_ours);
        for ignored in notification.ignored.iter().chain(&notification.partly_ignored) {
            catalogue.alerts_ignored.add([labels::ignore_reason(&ignored.reason)], 1);
        }
        catalogue.alerts_truncated.add([], usize::try_from(notification.truncated_alerts).unwrap_or(usize::MAX));
    }

    /// A reconcile run ended at `now`.
    pub(crate) fn reconciled(&self, result: ReconcileResult, took: Duration, now: Timestamp) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.reconciles.add([result.word()], 1);
        catalogue.reconcile_duration.observe([], took);
        if result == ReconcileResult::Complete {
            catalogue.reconcile_last_success.set_moment([], now);
        }
    }

    /// A change became necessary.
    pub(crate) fn operation_planned(&self, change: &Operation) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.changes_planned.add([labels::change_kind(change)], 1);
    }

    /// A change was made.
    pub(crate) fn operation_confirmed(&self, change: &Operation) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.changes_applied.add([labels::change_kind(change)], 1);
    }

    /// An attempt at a change failed.
    pub(crate) fn operation_failed(&self, change: &Operation) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.changes_failed.add([labels::change_kind(change)], 1);
    }

    /// The changes that wait, by [`Self::kind_of`], and since when the oldest of them does.
    pub(crate) fn changes_waiting(&self, kinds: impl Iterator<Item = &'static str>, oldest_since: Option<Timestamp>) {
        let Some(catalogue) = self.catalogue() else { return };
        let kinds: Vec<&str> = kinds.collect();
        for kind in labels::CHANGE_KINDS {
            catalogue.changes_waiting.set_count([kind], kinds.iter().filter(|waiting| *waiting == kind).count());
        }
        *catalogue.oldest_waiting_since() = oldest_since;
    }

    /// The word for what a change does.
    pub(crate) const fn kind_of(change: &Operation) -> &'static str {
        labels::change_kind(change)
    }

    /// How the page is now.
    pub(crate) fn page(&self, page: &PageState) {
        let Some(catalogue) = self.catalogue() else { return };
        for status in ComponentStatus::ALL {
            let count = |counts: &std::collections::BTreeMap<_, _>| counts.get(&status).copied().unwrap_or_default();
            catalogue.components.set_count([labels::status(status)], count(&page.components));
            catalogue.components_desired.set_count([labels::status(status)], count(&page.components_desired));
        }
        catalogue.components_missing.set_count([], page.components_missing);
        catalogue.targets.set_count([], page.targets);
        catalogue.targets_down.set_count([], page.targets_down);
        catalogue.alerts_firing.set_count([], page.alerts_firing);
        catalogue.held_refires.set_count([], page.held_refires);
        catalogue.incidents_open.set_count([OURS], page.incidents_ours);
        catalogue.incidents_open.set_count([OTHERS], page.incidents_others);
        catalogue.overrides.set_count([OVERRIDDEN_STATUS], page.overridden_statuses);
        catalogue.overrides.set_count([OVERRIDDEN_INCIDENT], page.overridden_incidents);
        catalogue.operator_overrides.set_count([], page.operator_overrides);
    }

    /// What Cachet's rate limit allows now; `None` where it told of no limit.
    pub(crate) fn cachet_budget(&self, budget: Option<RateBudget>) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.cachet_budget_limit.set(budget.map(|budget| budget.limit.into()));
        catalogue.cachet_budget_remaining.set(budget.map(|budget| budget.remaining.into()));
    }

    /// Alertmanager was read at `now`: so many members, of which so many did not answer.
    pub(crate) fn polled(&self, result: PollResult, members: usize, unheard: usize, now: Timestamp) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.polls.add([result.word()], 1);
        catalogue.members.set_count([], members);
        catalogue.members_unheard.set_count([], unheard);
        if matches!(result, PollResult::Complete | PollResult::Incomplete) {
            catalogue.poll_last_success.set_moment([], now);
        }
    }

    /// When the watchdog was last heard, and whether it is missing.
    pub(crate) fn watchdog(&self, last_heartbeat: Option<Timestamp>, is_missing: bool) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.watchdog_last_seen.set(last_heartbeat.map(|moment| moment.as_millis() as f64 / 1000.0));
        catalogue.watchdog_missing.set(Some(f64::from(u8::from(is_missing))));
    }

    /// No watchdog is configured any more.
    pub(crate) fn unwatched(&self) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.watchdog_last_seen.set(None);
        catalogue.watchdog_missing.set(None);
    }

    /// Alerts were corrected.
    pub(crate) fn repaired(&self, repairs: &[Repair]) {
        let Some(catalogue) = self.catalogue() else { return };
        repairs.iter().for_each(|repair| catalogue.repairs.add([Source::from(repair.reason).word()], 1));
    }

    /// The configuration was read at `now` and taken.
    pub(crate) fn configuration_taken(&self, now: Timestamp) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.config_successful.set([], 1.0);
        catalogue.config_success.set_moment([], now);
    }

    /// The configuration was read and could not be used: the one before stays.
    pub(crate) fn configuration_refused(&self) {
        let Some(catalogue) = self.catalogue() else { return };
        catalogue.config_successful.set([], 0.0);
    }
}

/// The path with `{id}` for each number in it: `/incidents/{id}/updates`.
fn endpoint(path: &str) -> String {
    let part = |part: &str| if part.parse::<i64>().is_ok() { "{id}".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

impl CallObserver for Metrics {
    fn called(&self, method: &str, path: &str, answer: Result<u16, &'static str>, took: Duration) {
        let Some(catalogue) = self.catalogue() else { return };
        let code = match answer {
            Ok(code) if CODES.contains(&code) => code.to_string(),
            Ok(_) => OTHER_CODE.to_owned(),
            Err(reason) => reason.to_owned(),
        };
        catalogue.cachet_requests.observe([method, &endpoint(path), &code], took);
    }
}

impl StoreObserver for Metrics {
    fn done(&self, operation: StoreOperation, took: Duration, succeeded: bool) {
        let Some(catalogue) = self.catalogue() else { return };
        let word = labels::store_operation(operation);
        catalogue.store_duration.observe([word], took);
        if !succeeded {
            catalogue.store_failures.add([word], 1);
        }
    }
}

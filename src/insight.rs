//! What is known of the page, read from the store alone: for `explain` beside a running server, for the console, and for
//! its API. All three tell the same values.

use crate::core::alert::signals;
use crate::core::explain::Facts;
use crate::core::observed::Observed;
use crate::core::page::desired;
use crate::core::plan::{Plan, Policy, plan};
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::core::uptime::{Past, Span, UPTIME_DAYS, timeline, uptime_of_days};
use crate::core::watchdog::Monitoring;
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How many days back a timeline goes if nobody asks for more.
pub(crate) const TIMELINE_DAYS: u32 = 7;

/// How many things a timeline tells at most: more would be no page that somebody reads.
const TIMELINE_LIMIT: usize = 500;

/// Reads what `store` knows at `now`. What waits to be written is planned by `policy`: that of `settings`, with what is known
/// of the page beside them.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(crate) async fn facts(
    store: &Store,
    settings: &Settings,
    policy: Policy,
    now: Timestamp,
) -> Result<Facts, StoreError> {
    let (alerts, ledger, overrides) =
        (store.unresolved_alerts().await?, store.ledger().await?, store.overrides().await?);
    let (observed, pulse) = (store.observed().await?, store.pulse().await?);
    let nothing = Observed::default();
    let shown = observed.as_ref().map_or(&nothing, |(observed, _)| observed);
    let inventory = settings.inventory(shown);
    // Since when the server listens is not known here: what it found of the watchdog, it has kept.
    let monitoring =
        settings.config.watchdog().map_or(Monitoring::Unwatched, |watchdog| watchdog.judge(pulse, now, now));
    let refire_delay = settings.config.alerts.refire_delay;
    let page = desired(&inventory, &signals(&alerts, refire_delay, now))
        .apply_watchdog(monitoring, &settings.config.components())
        .apply_overrides(&overrides, now);
    // Nothing can be said of a page that was never read.
    let plan = match observed {
        Some(_) => plan(&page, &ledger, shown, policy, now),
        None => Plan::default(),
    };
    Ok(Facts { page, alerts, ledger, observed, plan, pulse, refire_delay, now })
}

/// What happened to `component` in the `days` before `now`, and how much of the time it was up.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(crate) async fn past(
    store: &Store,
    settings: &Settings,
    component: &ComponentName,
    days: u32,
    now: Timestamp,
) -> Result<Past, StoreError> {
    let from = Span::of_last_days(days, now).from;
    // One more tells whether there are more.
    let limit = u32::try_from(TIMELINE_LIMIT).unwrap_or(u32::MAX).saturating_add(1);
    let alerts = store.alert_history(component, from, limit).await?;
    let events = store.event_history(component, from, limit).await?;
    let changes = store.status_history(component).await?;
    let longest = UPTIME_DAYS.into_iter().max().unwrap_or_default();
    let absences = store.absences(Span::of_last_days(longest, now).from).await?;
    Ok(Past {
        uptime: uptime_of_days(&changes, &absences, settings.config.history_days, now),
        days,
        cut: alerts.len() + events.len() > TIMELINE_LIMIT,
        timeline: timeline(&alerts, &events, TIMELINE_LIMIT),
    })
}

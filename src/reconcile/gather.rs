//! The first stage: reads what has to be read. It refreshes the sources in every run, and reads the overrides after a wake-up;
//! the page at the start, on the interval and when what is known of it is in doubt; and what the page tells of maintenance
//! when that may have changed.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use super::report::Reporter;
use super::view::{Touched, View};
use super::{Blocked, Context, Wake};
use crate::clock::ClockJumps;
use crate::core::history::{About, Event, EventKind};
use crate::core::ledger::{IncidentValue, Outage, OutageSubject};
use crate::core::observed::{ComponentIndex, IncidentId, Maintenance, Observed};
use crate::core::overrides::Override;
use crate::core::page::{DesiredPage, known_target};
use crate::core::recovery::adopt;
use crate::core::status_page::{Failure, PageError};
use crate::core::target::{KnownTarget, Target};
use crate::core::time::Timestamp;
use crate::core::watchdog::{Monitoring, Pulse, Watchdog};
use crate::sources::Source;
use crate::store::StoreError;

/// How long an answer about maintenance counts while later ones fail. One lost answer in the middle of the night must not
/// announce every planned outage to the public; but a page that does not tell of maintenance any more must not hide an
/// unplanned one either, so then there is none.
const MAINTENANCE_COUNTS_FOR: Duration = Duration::from_secs(5 * 60);

/// How much of what the page shows was read in this run, or has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Nothing: what is known was read in one before.
    Earlier,
    /// Which maintenance is in progress.
    Maintenance,
    /// All of it.
    Everything,
}

/// The state of the first stage, kept between runs.
pub struct Gatherer {
    sources: Vec<Arc<dyn Source>>,
    wake: Wake,
    /// The overrides in force.
    overrides: Vec<Override>,
    /// The wake count at which overrides and sources were last read.
    read_as_of: Option<u64>,
    /// What is known of the monitoring.
    monitoring: Monitoring,
    /// From when on the watchdog could be heard.
    listening_since: Timestamp,
    /// The time of the last run, to notice a clock that was set back.
    looked_at: Option<Timestamp>,
    clock_jumps: ClockJumps,
    maintenance: MaintenanceAnswers,
    /// When the interval last caused all targets to be planned again.
    compared_at: Option<Timestamp>,
    /// What the page must show, as of the last [`Gatherer::desired`].
    pub page: DesiredPage,
    /// How many alerts are still within their refire delay.
    pub waiting: usize,
}

impl Gatherer {
    pub fn new(sources: Vec<Arc<dyn Source>>, wake: Wake, now: Timestamp) -> Self {
        Self {
            sources,
            wake,
            overrides: Vec::new(),
            read_as_of: None,
            monitoring: Monitoring::default(),
            listening_since: now,
            looked_at: None,
            clock_jumps: ClockJumps::default(),
            maintenance: MaintenanceAnswers::default(),
            compared_at: None,
            page: DesiredPage::default(),
            waiting: 0,
        }
    }

    /// Starts over with a changed watchdog at `now`, as after a restart. Without a watchdog, nothing is missing.
    pub fn listen_anew(&mut self, now: Timestamp) {
        self.listening_since = now;
        self.monitoring = Monitoring::default();
    }

    /// Reads what has to be read, of the page at least what is `wanted`.
    ///
    /// # Errors
    /// [`Blocked`] if the store or the page cannot be read.
    pub async fn look(
        &mut self,
        context: &Context,
        view: &mut View,
        reporter: &mut Reporter,
        wanted: Reading,
    ) -> Result<Reading, Blocked> {
        let (store, now) = (&context.store, context.clock.now());
        self.look_at_the_clock(context, view, now).await?;
        let news = self.wake.count();
        // It is cheap if nothing has changed, and a lost wake-up then loses no change.
        self.refresh_sources().await?;
        if !self.is_up_to_date() {
            self.overrides = store.overrides().await?;
            self.read_as_of = Some(news);
        }
        self.end_expired_overrides(context, reporter, now).await?;
        self.listen(context, now).await?;
        reporter.look_back(context, now).await?;
        if view.ledger.is_none() {
            store.keep_page_at(context.page.address()).await?;
            view.recall(store, &context.settings.config, now).await?;
        }
        let is_fresh = view.is_fresh(now, context.settings.config.page.reconcile_interval);
        let reading = if wanted == Reading::Everything || !is_fresh {
            self.read_page(context, view, now).await?;
            Reading::Everything
        } else {
            self.look_for_maintenance(context, view, wanted, now).await
        };
        view.save(store, now).await?;
        Ok(reading)
    }

    async fn look_at_the_clock(
        &mut self,
        context: &Context,
        view: &mut View,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &context.store;
        if self.looked_at.is_none() && store.forget_if_restored(self.listening_since).await? {
            tracing::warn!(
                "the store is of an earlier time than the last server on it: the page says what was written since"
            );
        }
        if self.looked_at.is_none_or(|before| now < before) {
            // The clock was set back, perhaps while the server was down: what began "later" began now, or its delay would
            // last until the clock has caught up.
            if store.clamp_future_timestamps(now).await? > 0 {
                tracing::warn!("the clock was set back: running delays start again");
                self.read_as_of = None;
                view.ledger = None;
            }
            (view.observed_at, self.compared_at) = (None, None);
            self.listening_since = self.listening_since.min(now);
        }
        self.looked_at = Some(now);
        if self.clock_jumps.has_jumped(&context.clock) {
            tracing::warn!("the clock was set ahead, or the machine slept: the watchdog timeout starts again");
            self.listening_since = now;
        }
        Ok(())
    }

    async fn refresh_sources(&self) -> Result<(), StoreError> {
        for source in &self.sources {
            source.refresh().await?;
        }
        Ok(())
    }

    /// Ends the overrides whose time is over.
    async fn end_expired_overrides(
        &mut self,
        context: &Context,
        reporter: &mut Reporter,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.overrides.iter().all(|override_| override_.is_in_force(now)) {
            return Ok(());
        }
        for override_ in context.store.end_expired_overrides(now).await? {
            let (about, kind) = (About::Component(override_.component), EventKind::OverrideExpired);
            // The store has put it into the history.
            reporter.log.emit(&Event { at: now, about, kind });
        }
        self.overrides = context.store.overrides().await?;
        Ok(())
    }

    /// Judges how the monitoring is. That the watchdog is missing is stored before anything is made of it, so that a restart
    /// does not take it back.
    async fn listen(&mut self, context: &Context, now: Timestamp) -> Result<(), StoreError> {
        let Some(watchdog) = context.settings.config.watchdog() else { return Ok(()) };
        let mut pulse = context.store.pulse().await?;
        let mut monitoring = watchdog.judge(pulse, self.listening_since, now);
        if let (Monitoring::Missing { since, at }, None) = (monitoring, pulse.missing_at) {
            // A heartbeat may have come since.
            pulse = context.store.record_missing_watchdog(since, at).await?;
            monitoring = watchdog.judge(pulse, self.listening_since, now);
        }
        context.metrics.watchdog(pulse.last_heartbeat, monitoring.is_missing());
        let before = std::mem::replace(&mut self.monitoring, monitoring);
        log_monitoring(watchdog, before, monitoring);
        Ok(())
    }

    async fn read_page(&mut self, context: &Context, view: &mut View, now: Timestamp) -> Result<(), Blocked> {
        let doubtful: Vec<IncidentId> = view
            .ledger
            .iter()
            .flat_map(|ledger| ledger.outages.values().filter_map(incident_that_may_reopen))
            .collect();
        let observed = context.page.observe(&doubtful).await?;
        let maintenance = self.ask_maintenance(context, view, now).await;
        let observed = Observed { maintenance, ..observed };
        if view.observed.is_none() && context.store.observed().await?.is_none() {
            self.adopt(context, view, &observed, now).await?;
        }
        let expired: Vec<_> = view.ledger.iter().flat_map(|ledger| ledger.expired(&observed, now)).collect();
        context.store.remember(&expired, &[]).await?;
        expired.into_iter().for_each(|update| view.record(update));
        view.read(observed, &context.settings.config.page.groups, now);
        // Once an interval every target is planned again, even if nothing has changed.
        if self.compared_at.is_none_or(|before| now.since(before) >= context.settings.config.page.reconcile_interval) {
            self.compared_at = Some(now);
            view.touched.all = true;
        }
        context.store.confirm_observed(now).await?;
        Ok(())
    }

    /// Adopts what the page says of alerts and outages that the store knows nothing of: once, at the first reading of the
    /// page.
    async fn adopt(
        &mut self,
        context: &Context,
        view: &mut View,
        observed: &Observed,
        now: Timestamp,
    ) -> Result<(), Blocked> {
        let (store, config) = (&context.store, &context.settings.config);
        let inventory = context.settings.inventory(observed);
        let mut adopted = adopt(&inventory, observed, |subject| config.title(subject), now);
        let is_missing = adopted.outages.iter().any(|outage| outage.subject == OutageSubject::Monitoring);
        // If the page has the incident, the watchdog stays missing until it is received, so that a lost store makes nothing
        // green. A store that has already received it is not changed.
        if is_missing && config.watchdog.is_some() && store.pulse().await? == Pulse::default() {
            store.record_missing_watchdog(self.listening_since, self.listening_since).await?;
            self.listen(context, now).await?;
        }
        let known = view.ledger.take().unwrap_or_default();
        let replaced = adopted.take_over(&known);
        store.adopt(&adopted, observed, now).await?;
        store.remember(&replaced, &[]).await?;
        let (alerts, incidents) = (adopted.alerts.len(), adopted.outages.len());
        if alerts + incidents > 0 {
            tracing::info!(alerts, incidents, "adopted alerts and incidents from the page");
        }
        self.refresh_sources().await?;
        Ok(view.recall(store, &context.settings.config, now).await?)
    }

    /// Asks the page what maintenance is in progress. That it does not say keeps nothing else from being done.
    async fn ask_maintenance(&mut self, context: &Context, view: &View, now: Timestamp) -> Vec<Maintenance> {
        let answer = context.page.maintenance().await;
        let known = view.observed.as_ref().map(|observed| observed.maintenance.clone()).unwrap_or_default();
        self.maintenance.take(answer, known, now)
    }

    /// Asks between two readings of the page, where that is due or `wanted`.
    async fn look_for_maintenance(
        &mut self,
        context: &Context,
        view: &mut View,
        wanted: Reading,
        now: Timestamp,
    ) -> Reading {
        let known = view.observed.as_ref().map_or(&[][..], |observed| &observed.maintenance);
        if wanted < Reading::Maintenance && !self.maintenance.is_due(known, now) {
            return Reading::Earlier;
        }
        let in_progress = self.ask_maintenance(context, view, now).await;
        view.read_maintenance(in_progress);
        Reading::Maintenance
    }

    /// Brings the desired page up to date, for a page that shows `observed`. What this changes is added to `touched`.
    pub fn desired(
        &mut self,
        context: &Context,
        observed: &Observed,
        index: &ComponentIndex,
        touched: &mut Touched,
        now: Timestamp,
    ) {
        let mut page = std::mem::take(&mut self.page);
        if touched.all {
            page.set_inventory(&context.settings.inventory(observed), &mut touched.targets);
        }
        for name in std::mem::take(&mut touched.components) {
            let Some(target) = Target::from_name(&name).map(|target| target.name()) else { continue };
            if context.settings.inventory.is_none() {
                // The page's own components are the inventory.
                let known = index.with_key(observed, target.key()).filter_map(known_target);
                let known = known.reduce(|one, other| KnownTarget { critical: one.critical | other.critical, ..one });
                page.set_known(&target, known.as_ref(), &mut touched.targets);
            }
            touched.targets.insert(target);
        }
        let (mut changes_at, mut waiting) = (None, 0);
        for (number, source) in (0_u8..).zip(&self.sources) {
            let changes = source.changes(now);
            if changes.starts_over {
                page.forget_signals(number, &mut touched.targets);
            }
            for (id, signal) in changes.signals {
                page.set_signal(id, signal, &mut touched.targets);
            }
            waiting += changes.waiting;
            changes_at = changes_at.into_iter().chain(changes.changes_at).min();
        }
        self.waiting = waiting;
        self.page = self.modify(context, page.apply_rules(changes_at), now);
    }

    /// Whether there was no wake-up since the sources and overrides were read.
    pub fn is_up_to_date(&self) -> bool {
        self.read_as_of == Some(self.wake.count())
    }

    /// The page with what is known of the watchdog, and with the overrides of operators.
    pub fn modify(&self, context: &Context, page: DesiredPage, now: Timestamp) -> DesiredPage {
        page.apply_watchdog(self.monitoring, &context.settings.config.components())
            .apply_overrides(&self.overrides, now)
    }
}

/// The incident of an outage, if it may be reopened late: whether it is open is read of each.
fn incident_that_may_reopen(outage: &Outage) -> Option<IncidentId> {
    let may_be = outage.unanswered().iter().any(|sent| sent.value == IncidentValue::Reopened);
    outage.incident_id().filter(|_| may_be)
}

/// Says once that the watchdog is missing, and once that it is back.
fn log_monitoring(watchdog: &Watchdog, before: Monitoring, now: Monitoring) {
    let alertname = watchdog.alertname();
    match (before, now) {
        (Monitoring::Missing { .. }, Monitoring::Missing { .. }) => {}
        (_, Monitoring::Missing { since, .. }) => tracing::error!(
            "nothing was heard of the alert {alertname:?} since {since}: monitoring data is missing, and what would be \
             Operational is Unknown; check that Prometheus runs, and that Alertmanager sends it here"
        ),
        (Monitoring::Missing { .. }, _) => tracing::info!("the alert {alertname:?} is heard again"),
        _ => {}
    }
}

/// What the page answered about maintenance, and when.
///
/// It is asked along with every reading of the page; again before an incident is opened, so that a maintenance that began,
/// or was announced, a second ago is respected; and at each moment at which one that suppresses an incident may be over.
#[derive(Debug, Default)]
struct MaintenanceAnswers {
    asked_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    /// What kind of trouble there is, once it was said.
    failing: Option<Discriminant<Failure>>,
}

impl MaintenanceAnswers {
    fn is_due(&self, known: &[Maintenance], now: Timestamp) -> bool {
        let may_be_over = |one: &Maintenance, asked_at| one.may_end_at(asked_at).is_some_and(|at| at <= now);
        self.asked_at.is_none_or(|asked_at| known.iter().any(|one| may_be_over(one, asked_at)))
    }

    /// What is in progress after the page was asked, `known` being what was before.
    fn take(
        &mut self,
        answer: Result<Vec<Maintenance>, PageError>,
        known: Vec<Maintenance>,
        now: Timestamp,
    ) -> Vec<Maintenance> {
        self.asked_at = Some(now);
        match answer {
            Ok(in_progress) => {
                self.answered_at = Some(now);
                if self.failing.take().is_some() {
                    tracing::info!("the page tells again which maintenance is in progress");
                }
                in_progress
            }
            Err(error) => {
                let kind = discriminant(&error.failure);
                if self.failing.replace(kind) != Some(kind) {
                    tracing::warn!(
                        "{error}; the page is kept all the same, as if no maintenance were in progress once the last \
                         answer is {} minutes old",
                        MAINTENANCE_COUNTS_FOR.as_secs() / 60
                    );
                }
                let counts = |at: Timestamp| at <= now && now.since(at) < MAINTENANCE_COUNTS_FOR;
                if self.answered_at.is_some_and(counts) { known } else { Vec::new() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::ComponentId;

    const START: Timestamp = Timestamp::from_millis(1_795_226_400_000);

    fn switch() -> Vec<Maintenance> {
        vec![Maintenance { name: "Switch".to_owned(), components: vec![ComponentId(1)], ends_if_utc_ms: None }]
    }

    fn refused() -> Result<Vec<Maintenance>, PageError> {
        let failure = Failure::InDoubt { yet: false, of_a_read: true, retry_after: None };
        Err(PageError::new(failure, "GET /schedules: HTTP 500".to_owned()))
    }

    #[test]
    fn what_was_answered_counts_for_five_minutes_of_failures_and_then_there_is_none() {
        let mut answers = MaintenanceAnswers::default();
        assert_eq!(answers.take(refused(), Vec::new(), START), [], "nothing was ever answered");
        assert_eq!(answers.take(Ok(switch()), Vec::new(), START), switch());
        let later = START.after(Duration::from_secs(299));
        assert_eq!(answers.take(refused(), switch(), later), switch());
        let later = START.after(MAINTENANCE_COUNTS_FOR);
        assert_eq!(answers.take(refused(), switch(), later), []);
        assert_eq!(answers.take(Ok(switch()), Vec::new(), later), switch());
    }

    #[test]
    fn an_answer_of_a_clock_that_was_set_back_since_does_not_count() {
        let mut answers = MaintenanceAnswers::default();
        answers.take(Ok(switch()), Vec::new(), START);
        assert_eq!(answers.take(refused(), switch(), START.before(Duration::from_secs(3600))), []);
    }

    #[test]
    fn it_is_asked_again_when_one_may_be_over() {
        let mut answers = MaintenanceAnswers::default();
        assert!(answers.is_due(&[], START), "never asked");
        answers.take(Ok(switch()), Vec::new(), START);
        let (an_hour_later, ends) = (START.after(Duration::from_secs(3600)), START.after(Duration::from_secs(60)));
        assert!(!answers.is_due(&switch(), an_hour_later), "somebody has to end it");
        let ending = [Maintenance { ends_if_utc_ms: Some(ends.as_millis()), ..switch().remove(0) }];
        assert!(!answers.is_due(&ending, ends));
        assert!(answers.is_due(&ending, ends.after(Duration::from_secs(1))));
    }
}

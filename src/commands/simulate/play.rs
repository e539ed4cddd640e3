//! The engine over a page and a store in memory, and a clock that is set.
//!
//! Nobody touches the page, or announces maintenance on it. Time passes from one arrival to the next, and stops wherever
//! the engine says that time alone changes something: when a waiting firing begins to count, or a recovery was waited out.
//! After the last arrival it goes on until it changes nothing any more, or the end is reached.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use super::story::{Cause, Incident, Moment, Seen, Story};
use crate::builtin::BuiltinPage;
use crate::clock::Clock;
use crate::commands::serve::set_up_built_in;
use crate::core::alert::{Alert, AlertStatus, Effect};
use crate::core::config::WatchdogConfig;
use crate::core::expiry::WatchdogAlert;
use crate::core::history::{About, Event, EventKind};
use crate::core::overrides::Override;
use crate::core::plan::Report;
use crate::core::simulate::{Arrival, Told};
use crate::core::status::ComponentStatus;
use crate::core::status_page::StatusPage as _;
use crate::core::target::{ComponentName, Inventory};
use crate::core::time::Timestamp;
use crate::log::Log;
use crate::reconcile::{Reconciler, Wake};
use crate::settings::Settings;
use crate::store::{Recorded, Statements, Store};

/// The end of time.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// The shortest time.
const TICK: Duration = Duration::from_millis(1);

/// Plays `arrivals`, which are in the order of their times, as far as they were before `end`; `None`: until time changes
/// nothing any more. `targets` are those that have a component on the page at the beginning.
///
/// Alerts that nobody resolved stay as they are, and a watchdog that notifications bring as it was at the last arrival:
/// nothing is known of what came later.
///
/// # Errors
/// When the store or the page in memory does not work.
pub async fn play(
    settings: &Settings,
    targets: &Inventory,
    arrivals: &[Arrival],
    end: Option<Timestamp>,
) -> anyhow::Result<Story> {
    let end = end.unwrap_or(NEVER);
    let played = async {
        let beginning = arrivals.first().map_or(Timestamp::from_millis(0), |first| first.at).min(end).before(TICK);
        let mut replay = Replay::start(settings, targets, beginning).await?;
        for (number, arrival) in arrivals.iter().enumerate().take_while(|(_, arrival)| arrival.at < end) {
            replay.let_time_pass_until(arrival.at).await?;
            // A server runs on its interval as well, and forgets what is old. One run just before does the same.
            let interval = replay.settings.borrow().config.page.reconcile_interval;
            if arrival.at.since(replay.ran_at) > interval {
                replay.run(arrival.at.before(TICK), None).await?;
            }
            if replay.take(arrival).await? {
                replay.run(arrival.at, Some(number)).await?;
            }
        }
        // That no notification comes after the last one says nothing of the watchdog; the history knows it until its end.
        if let Some(last) = arrivals.last().filter(|last| last.at < end && replay.is_notified_of_watchdog) {
            replay.run(last.at, None).await?;
            if replay.store.pulse().await?.missing_at.is_none() {
                replay.listen_for(None);
                replay.run(last.at, None).await?;
            }
        }
        replay.let_time_pass_until(end).await?;
        let page = replay.shown().await?;
        let incidents = mem::take(&mut lock(&replay.collected).incidents);
        Ok(Story { page, incidents, ..replay.story })
    };
    // What the engine says to its operators is not about a page that anybody has.
    played.with_subscriber(NoSubscriber::new()).await
}

struct Replay {
    /// The time, in milliseconds, which moves only when it is set.
    now: Arc<AtomicI64>,
    settings: watch::Sender<Arc<Settings>>,
    /// The watchdog that is listened for once something is known of it.
    watchdog: Option<WatchdogConfig>,
    is_notified_of_watchdog: bool,
    store: Store,
    page: BuiltinPage,
    reconciler: Reconciler,
    wake: Wake,
    collected: Arc<Mutex<Collected>>,
    story: Story,
    ran_at: Timestamp,
    revisit_at: Option<Timestamp>,
}

impl Replay {
    /// A server that starts at `now` on an empty store, with its own page.
    async fn start(settings: &Settings, targets: &Inventory, now: Timestamp) -> anyhow::Result<Self> {
        let time = Arc::new(AtomicI64::new(now.as_millis()));
        let shown = Arc::clone(&time);
        let clock = Clock::new(move || Timestamp::from_millis(shown.load(Ordering::Relaxed)));
        let store = Store::open_in_memory().await?;
        let page = BuiltinPage::new(&store, clock.clone());
        set_up_built_in(&page, &settings.config, Some(targets)).await?;
        let mut config = settings.config.clone();
        let watchdog = config.watchdog.take();
        let (settings, in_force) = watch::channel(Arc::new(Settings { config, ..settings.clone() }));
        let collected = Arc::<Mutex<Collected>>::default();
        let collector = Arc::clone(&collected);
        let log = Log::of_events(move |event| lock(&collector).add(event));
        let stop = CancellationToken::new();
        let reconciler = Reconciler::new(store.clone(), Arc::new(page.clone()), in_force, clock, log, stop);
        let mut replay = Self {
            now: time,
            settings,
            watchdog,
            is_notified_of_watchdog: false,
            store,
            page,
            wake: reconciler.wake(),
            reconciler,
            collected,
            story: Story::default(),
            ran_at: now,
            revisit_at: None,
        };
        replay.story.before = replay.shown().await?;
        replay.run(now, None).await?;
        Ok(replay)
    }

    /// One run of the engine at `now`, after `arrival`.
    async fn run(&mut self, now: Timestamp, arrival: Option<usize>) -> anyhow::Result<()> {
        self.now.store(now.as_millis(), Ordering::Relaxed);
        let run = self.reconciler.once().await;
        if let Some(blocked) = run.blocked {
            bail!("the simulation stopped at {now}: {blocked}");
        }
        if let Some((subject, error)) = run.failures.first() {
            bail!("the simulation stopped at {now}: {subject}: {error}");
        }
        self.ran_at = now;
        self.revisit_at = run.revisit_at.filter(|at| *at > now);
        self.story.missing.extend(self.reconciler.reported().iter().filter_map(|report| match report {
            Report::ComponentMissing { component } => Some(component.clone()),
            _ => None,
        }));
        let changes = mem::take(&mut lock(&self.collected).changes);
        if !changes.is_empty() {
            self.story.moments.push(Moment { at: now, arrival, cause: Cause::default(), changes });
        }
        Ok(())
    }

    /// Stops at every moment before `until` at which time alone changes something.
    async fn let_time_pass_until(&mut self, until: Timestamp) -> anyhow::Result<()> {
        while let Some(at) = self.revisit_at.filter(|at| *at < until) {
            self.run(at, None).await?;
        }
        Ok(())
    }

    /// Stores what arrives. Returns whether that may change the page: repetitions and heartbeats do not.
    async fn take(&mut self, arrival: &Arrival) -> anyhow::Result<bool> {
        self.now.store(arrival.at.as_millis(), Ordering::Relaxed);
        let mut is_news = false;
        for told in &arrival.told {
            is_news |= match told {
                Told::Notified { alerts, watchdogs } => self.take_notification(alerts, watchdogs, arrival.at).await?,
                Told::Learned(event) => {
                    self.store.put_alert(&event.record(arrival.at)).await?;
                    true
                }
                Told::Happened(event) => {
                    self.live_through(event, arrival.at).await?;
                    true
                }
            };
        }
        if is_news {
            self.wake.wake();
        }
        Ok(is_news)
    }

    async fn take_notification(
        &mut self,
        alerts: &[Alert],
        watchdogs: &[WatchdogAlert],
        now: Timestamp,
    ) -> anyhow::Result<bool> {
        // One that has ended may be missing earlier than was known.
        let has_ended = watchdogs.iter().any(|watchdog| watchdog.status == AlertStatus::Resolved);
        let is_first_watchdog = !watchdogs.is_empty() && !mem::replace(&mut self.is_notified_of_watchdog, true);
        if is_first_watchdog {
            self.listen_for(self.watchdog.clone());
        }
        let (resolve_rule, max_stored) = {
            let settings = self.settings.borrow();
            (settings.resolve_rule(), settings.config.alerts.max_stored)
        };
        let (alerts, watchdogs) = (alerts.to_vec(), watchdogs.to_vec());
        let statements = Statements { alerts, watchdogs, resolve_rule, max_stored };
        let Recorded { effects, repairs, watchdog_is_back } = self.store.record_statements(statements, now).await?;
        let is_news = |effect: &Effect| !matches!(effect, Effect::Repeated | Effect::Outdated);
        Ok(is_first_watchdog || has_ended || watchdog_is_back || !repairs.is_empty() || effects.iter().any(is_news))
    }

    /// Takes over what the history knows of overrides and of the watchdog. That the time of an override is over is the
    /// engine's to notice.
    async fn live_through(&mut self, Event { about, kind, .. }: &Event, at: Timestamp) -> anyhow::Result<()> {
        match (about, kind) {
            (About::Component(component), EventKind::OverrideSet { status, until_ms, user, note }) => {
                let until = Timestamp::from_millis(*until_ms);
                let (component, user, note) = (component.clone(), user.clone(), note.clone());
                self.store.set_override(&Override { component, status: *status, since: at, until, user, note }).await?;
            }
            (About::Component(component), EventKind::OverrideEnded { user }) => {
                self.store.end_override(component, user, at).await?;
            }
            (_, EventKind::WatchdogMissing { since_ms }) => {
                self.store.record_heartbeat(Timestamp::from_millis(*since_ms)).await?;
                self.listen_for(self.watchdog.clone());
            }
            (_, EventKind::WatchdogHeard) => {
                self.store.record_heartbeat(at).await?;
                self.listen_for(None);
            }
            _ => {}
        }
        Ok(())
    }

    /// From now on this watchdog is expected. With `None`, it is heard, or nothing is known of it: which one, makes no
    /// difference to the page.
    fn listen_for(&self, watchdog: Option<WatchdogConfig>) {
        self.settings.send_if_modified(|settings| {
            let differs = settings.config.watchdog != watchdog;
            Arc::make_mut(settings).config.watchdog = watchdog;
            differs
        });
    }

    /// The components that the public sees, with their status.
    async fn shown(&self) -> anyhow::Result<BTreeMap<ComponentName, ComponentStatus>> {
        let components = self.page.observe(&[]).await?.components;
        let visible = components.into_iter().filter(|component| component.enabled);
        let shown = visible.filter_map(|it| Some((ComponentName::try_from(it.name.as_str()).ok()?, it.status?)));
        Ok(shown.collect())
    }
}

/// What the events of the engine say so far.
#[derive(Default)]
struct Collected {
    /// What the public saw since this was last taken.
    changes: Vec<Seen>,
    /// Every incident.
    incidents: Vec<Incident>,
}

impl Collected {
    /// Takes an event. The public does not see those of targets' own components.
    fn add(&mut self, event: &Event) {
        let component = match &event.about {
            About::Component(name) => Some(name.clone()),
            About::Target(_) => return,
            About::Everything => None,
        };
        match (&event.kind, component) {
            (EventKind::Written { from: Some(from), to, .. }, Some(component)) => {
                self.changes.push(Seen::Status { component, from: *from, to: *to });
            }
            (EventKind::IncidentOpened { incident, title, occurred_at_ms }, component) => {
                self.changes.push(Seen::IncidentOpened { incident: *incident, component: component.clone() });
                self.incidents.push(Incident {
                    id: *incident,
                    component,
                    name: title.clone(),
                    occurred_at: Timestamp::from_millis(*occurred_at_ms),
                    opened_at: event.at,
                    closed_at: None,
                    reopened: 0,
                });
            }
            (EventKind::IncidentClosed { incident, .. }, component) => {
                self.changes.push(Seen::IncidentClosed { incident: *incident, component });
                let closed = self.incidents.iter_mut().filter(|one| one.id == *incident);
                closed.for_each(|incident| incident.closed_at = Some(event.at));
            }
            (EventKind::IncidentReopened { incident, .. }, component) => {
                self.changes.push(Seen::IncidentReopened { incident: *incident, component });
                for incident in self.incidents.iter_mut().filter(|one| one.id == *incident) {
                    incident.closed_at = None;
                    incident.reopened += 1;
                }
            }
            _ => {}
        }
    }
}

fn lock(collected: &Mutex<Collected>) -> MutexGuard<'_, Collected> {
    collected.lock().unwrap_or_else(PoisonError::into_inner)
}

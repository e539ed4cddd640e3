//! The engine over a page and a store in memory, and a clock that is set; and the story that it makes of what arrives.
//!
//! Nobody touches the page, or announces maintenance on it. Time passes from one arrival to the next, and stops wherever
//! the engine says that time alone changes something: when a waiting firing begins to count, or a recovery was waited out.
//! After the last arrival it goes on until it changes nothing any more, or the end is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::mem;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::bail;
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

use crate::builtin::BuiltinPage;
use crate::clock::Clock;
use crate::commands::serve::set_up_built_in;
use crate::config::counted;
use crate::core::alert::{Alert, AlertStatus};
use crate::core::config::WatchdogConfig;
use crate::core::expiry::WatchdogAlert;
use crate::core::history::{About, Event, EventKind};
use crate::core::observed::IncidentId;
use crate::core::overrides::Override;
use crate::core::plan::Report;
use crate::core::simulate::{Arrival, Told};
use crate::core::status::ComponentStatus;
use crate::core::status_page::StatusPage as _;
use crate::core::target::{ComponentName, Inventory};
use crate::core::time::Timestamp;
use crate::log::Log;
use crate::reconcile::Reconciler;
use crate::settings::Settings;
use crate::store::{Statements, Store};
use crate::upkeep::{DAY, Upkeep};

/// The end of time.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// The shortest time.
const TICK: Duration = Duration::from_millis(1);

/// How much of what was learned at one moment stands in a line; the JSON has all of it.
const LEARNED_IN_A_LINE: usize = 3;

/// What would have happened. In JSON, times are RFC 3339 and statuses are Cachet's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Story {
    /// The page at the beginning.
    #[serde(rename = "page_before", serialize_with = "components")]
    pub before: BTreeMap<ComponentName, ComponentStatus>,
    /// The moments at which the public would have seen something change.
    pub moments: Vec<Moment>,
    /// Every incident, in the order in which they were opened.
    pub incidents: Vec<Incident>,
    /// The page at the end.
    #[serde(serialize_with = "components")]
    pub page: BTreeMap<ComponentName, ComponentStatus>,
    /// Components that alerts or targets speak of and no group has, so that they show nowhere.
    pub missing: BTreeSet<ComponentName>,
}

/// A moment at which the page changes: by notifications, by what was learned otherwise, or if it has neither, by time alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Where the notification stands; where all of them stand, if several came at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// What was learned, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<String>,
    /// What changes, in the order in which it is written.
    pub changes: Vec<Seen>,
}

/// Something that the public sees. An incident about no component says that monitoring data is missing; a relapse reopens one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Seen {
    Status { component: ComponentName, from: ComponentStatus, to: ComponentStatus },
    IncidentOpened { incident: IncidentId, component: Option<ComponentName> },
    IncidentClosed { incident: IncidentId, component: Option<ComponentName> },
    IncidentReopened { incident: IncidentId, component: Option<ComponentName> },
}

/// An incident that would have been opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Its number on a page that had none before.
    #[serde(rename = "incident")]
    pub id: IncidentId,
    /// The component that it is about; `None`: it says that monitoring data is missing.
    pub component: Option<ComponentName>,
    /// Its title.
    pub name: String,
    /// When the outage began, as the alerts say, or from when on nothing was heard of the watchdog.
    pub occurred_at: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed last; `None`: it is open in the end.
    pub closed_at: Option<Timestamp>,
    /// How often a relapse opened it again.
    pub reopened: usize,
}

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
        for arrival in arrivals.iter().take_while(|arrival| arrival.at < end) {
            replay.let_time_pass_until(arrival.at).await?;
            // A server runs on its interval as well, and forgets what is old. One run just before does the same.
            let interval = replay.settings.borrow().config.page.reconcile_interval;
            if arrival.at.since(replay.ran_at) > interval {
                replay.run(arrival.at.before(TICK), &[]).await?;
            }
            if replay.take(arrival).await? {
                replay.run(arrival.at, &arrival.told).await?;
            }
        }
        // That no notification comes after the last one says nothing of the watchdog; the history knows it until its end.
        if let Some(last) = arrivals.last().filter(|last| last.at < end && replay.is_notified_of_watchdog) {
            replay.run(last.at, &[]).await?;
            if replay.store.pulse().await?.missing_at.is_none() {
                replay.listen_for(None);
                replay.run(last.at, &[]).await?;
            }
        }
        replay.let_time_pass_until(end).await?;
        Ok(Story { page: replay.shown().await?, ..replay.story })
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
    upkeep: Upkeep,
    /// What the engine has told since it was last taken from here.
    events: mpsc::Receiver<Event>,
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
        let (sender, events) = mpsc::channel();
        // Nothing is told any more once the replay has ended.
        let log = Log::of_events(move |event| drop(sender.send(event.clone())));
        let stop = CancellationToken::new();
        let mut replay = Self {
            now: time,
            settings,
            watchdog,
            is_notified_of_watchdog: false,
            upkeep: Upkeep::new(store.clone()),
            reconciler: Reconciler::new(store.clone(), Arc::new(page.clone()), in_force, clock, log, stop),
            store,
            page,
            events,
            story: Story::default(),
            ran_at: now,
            revisit_at: None,
        };
        replay.story.before = replay.shown().await?;
        replay.run(now, &[]).await?;
        Ok(replay)
    }

    /// One run of the engine at `now`, after what was `told`.
    async fn run(&mut self, now: Timestamp, told: &[Told]) -> anyhow::Result<()> {
        self.now.store(now.as_millis(), Ordering::Relaxed);
        let history_days = self.settings.borrow().config.history_days;
        self.upkeep.once(DAY * history_days, now).await?;
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
        let changes: Vec<Seen> = self.events.try_iter().filter_map(|event| self.story.see(event)).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let (mut places, mut learned) = (Vec::new(), Vec::new());
        for told in told {
            match told {
                Told::Notified { place, .. } => places.push(place.as_str()),
                Told::Learned(event) => learned.push(event.to_string()),
                Told::Happened(Event { about, kind, .. }) => learned.push(match about {
                    About::Component(component) => format!("{component}: {kind}"),
                    About::Target(target) => format!("{target}: {kind}"),
                    About::Everything => kind.to_string(),
                }),
            }
        }
        let notification = (!places.is_empty()).then(|| places.join("; "));
        self.story.moments.push(Moment { at: now, notification, learned, changes });
        Ok(())
    }

    /// Stops at every moment before `until` at which time alone changes something.
    async fn let_time_pass_until(&mut self, until: Timestamp) -> anyhow::Result<()> {
        while let Some(at) = self.revisit_at.filter(|at| *at < until) {
            self.run(at, &[]).await?;
        }
        Ok(())
    }

    /// Stores what arrives. Returns whether that may change the page: repetitions and heartbeats do not.
    async fn take(&mut self, arrival: &Arrival) -> anyhow::Result<bool> {
        self.now.store(arrival.at.as_millis(), Ordering::Relaxed);
        let mut is_news = false;
        for told in &arrival.told {
            is_news |= match told {
                Told::Notified { alerts, watchdogs, .. } => {
                    self.take_notification(alerts, watchdogs, arrival.at).await?
                }
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
            self.reconciler.wake().wake();
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
        let recorded = self.store.record_statements(statements, now).await?;
        Ok(is_first_watchdog || has_ended || recorded.watchdog_is_back || recorded.is_news)
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

impl Story {
    /// Takes an event. Returns what the public sees of it: nothing of those of targets' own components.
    fn see(&mut self, Event { at, about, kind }: Event) -> Option<Seen> {
        let component = match about {
            About::Component(name) => Some(name),
            About::Target(_) => return None,
            About::Everything => None,
        };
        Some(match kind {
            EventKind::Written { from: Some(from), to, .. } => Seen::Status { component: component?, from, to },
            EventKind::IncidentOpened { incident, title, occurred_at_ms } => {
                self.incidents.push(Incident {
                    id: incident,
                    component: component.clone(),
                    name: title,
                    occurred_at: Timestamp::from_millis(occurred_at_ms),
                    opened_at: at,
                    closed_at: None,
                    reopened: 0,
                });
                Seen::IncidentOpened { incident, component }
            }
            EventKind::IncidentClosed { incident, .. } => {
                let known = self.incidents.iter_mut().filter(|known| known.id == incident);
                known.for_each(|known| known.closed_at = Some(at));
                Seen::IncidentClosed { incident, component }
            }
            EventKind::IncidentReopened { incident, .. } => {
                let known = self.incidents.iter_mut().filter(|known| known.id == incident);
                known.for_each(|known| (known.closed_at, known.reopened) = (None, known.reopened + 1));
                Seen::IncidentReopened { incident, component }
            }
            _ => return None,
        })
    }

    /// The same, told from `beginning` on: without the moments before, and the incidents that were closed by then.
    pub fn since(mut self, beginning: Timestamp) -> Self {
        let told = self.moments.partition_point(|moment| moment.at < beginning);
        for change in self.moments.drain(..told).flat_map(|moment| moment.changes) {
            if let Seen::Status { component, to, .. } = change {
                self.before.insert(component, to);
            }
        }
        self.incidents.retain(|incident| incident.closed_at.is_none_or(|closed_at| closed_at >= beginning));
        self
    }
}

fn components<S: Serializer>(
    page: &BTreeMap<ComponentName, ComponentStatus>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(page.iter().map(|(component, status)| json!({ "component": component, "status": status })))
}

impl Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before.values().any(|status| *status != ComponentStatus::Operational) {
            writeln!(f, "\nThe page at the beginning")?;
            self.before.iter().try_for_each(|(name, status)| writeln!(f, "  {:?} {status}", name.as_str()))?;
        }
        for Moment { at, notification, learned, changes } in &self.moments {
            let told = learned.iter().take(LEARNED_IN_A_LINE).map(String::as_str).collect::<Vec<_>>().join("; ");
            match (notification, learned.len()) {
                (Some(place), _) => writeln!(f, "\n{at}  {place}")?,
                (None, 0) => writeln!(f, "\n{at}  time passes")?,
                (None, count) if count <= LEARNED_IN_A_LINE => writeln!(f, "\n{at}  {told}")?,
                (None, count) => writeln!(f, "\n{at}  {told}; and {} more", count - LEARNED_IN_A_LINE)?,
            }
            changes.iter().try_for_each(|change| writeln!(f, "  {change}"))?;
        }
        writeln!(f, "\nIncidents")?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        for Incident { id, name, occurred_at, opened_at, closed_at, reopened, .. } in &self.incidents {
            writeln!(f, "  {} {name:?}", id.0)?;
            let closed = closed_at.map_or("still open".to_owned(), |closed_at| format!("closed {closed_at}"));
            let again = match reopened {
                0 => String::new(),
                times => format!(", opened again {}", counted(*times, "time")),
            };
            writeln!(f, "    began {occurred_at}, opened {opened_at}, {closed}{again}")?;
        }
        writeln!(f, "\nThe page at the end")?;
        self.page.iter().try_for_each(|(name, status)| writeln!(f, "  {:?} {status}", name.as_str()))?;
        for component in self.missing.iter().map(ComponentName::as_str) {
            writeln!(f, "\nnote: component {component:?} is in no group, so its alerts show nowhere: add it to one")?;
        }
        Ok(())
    }
}

impl Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (incident, component, verb) = match self {
            Self::Status { component, from, to } => {
                return write!(f, "component {:?} from {from} to {to}", component.as_str());
            }
            Self::IncidentOpened { incident, component } => (incident, component, "opens"),
            Self::IncidentClosed { incident, component } => (incident, component, "closes"),
            Self::IncidentReopened { incident, component } => (incident, component, "opens again"),
        };
        match component {
            Some(component) => write!(f, "incident {} of {:?} {verb}", incident.0, component.as_str()),
            None => write!(f, "incident {}, that monitoring data is missing, {verb}", incident.0),
        }
    }
}

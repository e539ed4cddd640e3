//! Two thousand targets fail under a limit of 300 writes a minute: what the public sees is right within 15 seconds, and
//! nothing else is lost.
//!
//! Time passes by calls and waits alone, so the seconds are those of a Cachet that answers one call after the other.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::reconcile::Wake;
use alertmanager_cachet::store::Store;
use fake_cachet::Release;
use futures_util::FutureExt as _;

use crate::support::world::{TargetSpec, Time, World, alert};

const COMPONENTS: usize = 40;

/// How long Cachet takes for a call; real ones take 24–41 ms for a write, and do several at a time.
const CALL: Duration = Duration::from_millis(40);

/// In how long the public must see all of it.
const LIMIT: Duration = Duration::from_secs(15);

const WRITES_A_MINUTE: u32 = 300;
const WINDOW: Duration = Duration::from_secs(60);

/// A world of which the clock and the timers stand still but for calls, and the alerts of its storm.
struct Storm {
    world: World,
    /// The alerts of each component.
    alerts: Vec<Vec<Alert>>,
    targets: usize,
    course: Course,
    /// As long as it is held, the runtime's clock does not jump when there is nothing to do but to wait for SQLite.
    _still: mpsc::Sender<()>,
}

/// What is told, and when.
type Notifications = VecDeque<(Timestamp, Vec<Alert>)>;

/// How time passes, and what it brings.
#[derive(Clone)]
struct Course {
    time: Time,
    clock: Clock,
    store: Store,
    wake: Wake,
    /// The notifications that are still to come.
    waiting: Arc<Mutex<Notifications>>,
    /// When each call was done.
    done_at: Arc<Mutex<Vec<Timestamp>>>,
}

impl Course {
    async fn pass(&self, span: Duration) {
        self.time.pass(span);
        tokio::time::advance(span).await;
    }

    async fn one_call(&self) {
        self.time.pass(CALL);
        self.done_at.lock().expect("no panic").push(self.clock.now());
        tokio::time::advance(CALL).await;
        self.tell().await;
    }

    /// The notifications come in whose time has come.
    async fn tell(&self) {
        let now = self.clock.now();
        while let Some((_, alerts)) = self.pop(now) {
            self.store.record(&alerts, now).await.expect("recorded");
            self.wake.wake();
        }
    }

    fn pop(&self, now: Timestamp) -> Option<(Timestamp, Vec<Alert>)> {
        self.waiting.lock().expect("no panic").pop_front_if(|(at, _)| *at <= now)
    }

    fn next_at(&self) -> Option<Timestamp> {
        self.waiting.lock().expect("no panic").front().map(|(at, _)| *at)
    }
}

impl Storm {
    /// So many targets feed each component.
    async fn gathers(sizes: [usize; COMPONENTS]) -> Self {
        let feeding = |(service, size): (usize, usize)| {
            (0..size).map(move |host| (format!("host-{service}-{host}:9100"), format!("Service {service:02}")))
        };
        let names: Vec<(String, String)> = sizes.into_iter().enumerate().flat_map(feeding).collect();
        let targets: Vec<TargetSpec<'_>> = names.iter().map(|(host, service)| (&**host, &**service, false)).collect();
        let mut world = World::set_up(Release::Current, &targets).await;
        world.settle().await;
        let of = |(host, service, _): &TargetSpec<'_>| alert(host, service, world.now());
        let alerts = targets.chunk_by(|a, b| a.1 == b.1).map(|service| service.iter().map(of).collect()).collect();
        tokio::time::pause();
        let (still, until) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || until.recv());
        world.faults.forget_calls();
        let course = Course {
            time: world.time(),
            clock: world.clock(),
            store: world.store.clone(),
            wake: world.wake(),
            waiting: Arc::default(),
            done_at: Arc::default(),
        };
        Self { world, alerts, targets: names.len(), course, _still: still }
    }

    /// From now on calls last, and notifications come in when their time has come.
    fn begins(&mut self, notifications: Notifications) {
        *self.course.waiting.lock().expect("no panic") = notifications;
        self.world.faults.rate_limit(WRITES_A_MINUTE, WINDOW);
        let course = self.course.clone();
        self.world.faults.pace(move || {
            let course = course.clone();
            async move { course.one_call().await }.boxed()
        });
    }

    /// Goes until all is written, waiting where the limit says so or for news, and says how long it took.
    async fn passes(&mut self) -> Duration {
        let began = self.world.now();
        for _ in 0..100 {
            self.course.tell().await;
            let round = self.world.once().await;
            assert!(round.is_complete(), "nothing is refused: {round:?}");
            let next = self.course.next_at().map(|at| at.since(self.world.now()));
            match round.saving.into_iter().chain(next).min() {
                Some(wait) => self.course.pass(wait).await,
                None => return self.world.now().since(began),
            }
        }
        panic!("it does not end");
    }

    /// When the last write was done that the public sees.
    async fn seen_at(&self) -> Timestamp {
        let shown = self.world.shown().await;
        let visible = shown.components.iter().filter(|component| component.enabled);
        let visible: BTreeSet<String> =
            visible.map(|component| format!("PUT /api/components/{}", component.id.0)).collect();
        let done_at = self.course.done_at.lock().expect("no panic").clone();
        let calls = self.world.faults.calls();
        assert_eq!(calls.len(), done_at.len());
        let seen = |call: &String| visible.contains(call) || call == "POST /api/incidents";
        let last = calls.iter().zip(done_at).filter(|(call, _)| seen(call)).map(|(_, at)| at).max();
        last.expect("the public saw something")
    }

    /// All is down, each component has its incident, and each thing was written once.
    async fn is_over(&self) {
        let shown = self.world.shown().await;
        let down = shown.components.iter().filter(|component| component.status == Some(ComponentStatus::MajorOutage));
        assert_eq!((down.count(), shown.open_incidents.len()), (COMPONENTS + self.targets, COMPONENTS));
        assert_eq!(self.world.writes(), 2 * COMPONENTS + self.targets);
    }
}

#[tokio::test]
async fn two_thousand_targets_that_fail_at_once_are_seen_within_fifteen_seconds_and_none_is_lost() {
    let mut storm = Storm::gathers([50; COMPONENTS]).await;
    let began = storm.world.now();
    let all = storm.alerts.concat();
    storm.begins([(began, all)].into());
    let lasted = storm.passes().await;
    let seen = storm.seen_at().await.since(began);
    assert!(seen <= LIMIT, "the public saw it after {seen:?}");
    storm.is_over().await;
    // 2080 writes; of the 300 of each minute, what the public might need is not spent on them.
    assert!(lasted <= 10 * WINDOW, "all was written after {lasted:?}");
}

/// Alertmanager tells of each component by itself, the largest first: their targets have used up what they may when the
/// others follow, within the same minute.
#[tokio::test]
async fn a_storm_that_comes_in_bit_by_bit_is_seen_within_fifteen_seconds_of_its_last_bit() {
    let mut storm = Storm::gathers(std::array::from_fn(|number| if number < 4 { 70 } else { 2 })).await;
    let began = storm.world.now();
    let times = (0..COMPONENTS as u64).map(|number| match number.checked_sub(4) {
        None => began,
        Some(later) => began.after(Duration::from_secs(12) + Duration::from_millis(500 * later)),
    });
    let notifications: Notifications = times.zip(storm.alerts.clone()).collect();
    let told = notifications.back().expect("notifications").0;
    storm.begins(notifications);
    storm.passes().await;
    let seen = storm.seen_at().await.since(told);
    assert!(seen <= LIMIT, "the public saw it after {seen:?}");
    storm.is_over().await;
}

//! Time that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::core::time::Timestamp;

use super::oracle::Moment;
use super::product::timestamp;

/// How far a clock may be corrected without anybody noticing.
const CORRECTED_UNSEEN_MS: u64 = 10_000;

/// Time that moves only when it is told to, for the store's clock and for that of timers.
#[derive(Clone)]
pub struct SimulatedClock {
    time: Arc<AtomicI64>,
    /// How far the server's clock is behind.
    behind: Arc<AtomicI64>,
    /// For how long its machine was asleep.
    slept: Arc<AtomicI64>,
}

impl SimulatedClock {
    pub fn new() -> Self {
        Self { time: Arc::new(AtomicI64::new(1_795_226_400_000)), behind: Arc::default(), slept: Arc::default() }
    }

    /// The clock of everything but the server.
    pub fn clock(&self) -> Clock {
        let time = Arc::clone(&self.time);
        Clock::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst)))
    }

    /// The clock of the server.
    pub fn of_the_server(&self) -> Clock {
        let (clock, machine) = (self.clone(), self.clone());
        Clock::new(move || timestamp(clock.now().clock_ms)).with_time_awake(move || machine.awake())
    }

    /// For how long the machine of the server was awake, from whenever on.
    pub fn awake(&self) -> Duration {
        Duration::from_millis(self.now().true_ms - milliseconds(self.slept.load(Ordering::SeqCst)))
    }

    pub fn now(&self) -> Moment {
        let (time, behind) = (self.time.load(Ordering::SeqCst), self.behind.load(Ordering::SeqCst));
        Moment { clock_ms: milliseconds(time - behind), true_ms: milliseconds(time) }
    }

    pub fn set_back(&self, milliseconds: u64) {
        self.behind.fetch_add(i64::try_from(milliseconds).expect("short"), Ordering::SeqCst);
    }

    /// The clock of the server is right again.
    pub fn set_right(&self) {
        self.behind.store(0, Ordering::SeqCst);
    }

    /// The machine of the server sleeps: its timers stand still meanwhile.
    pub fn sleep(&self, milliseconds: u64) {
        let milliseconds = i64::try_from(milliseconds).expect("short");
        self.slept.fetch_add(milliseconds, Ordering::SeqCst);
        self.time.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub fn behind_ms(&self) -> u64 {
        let Moment { clock_ms, true_ms } = self.now();
        true_ms - clock_ms
    }

    pub async fn pass(&self, milliseconds: u64) {
        self.time.fetch_add(i64::try_from(milliseconds).expect("short"), Ordering::SeqCst);
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }
}

fn milliseconds(time: i64) -> u64 {
    u64::try_from(time).expect("after 1970")
}

/// Notices, as who listens does, that the clock went further than the time.
#[derive(Default)]
pub struct Listener {
    before: Option<(u64, Duration)>,
}

impl Listener {
    /// Looks at the clock; whether there was time since the last look in which nobody listened.
    pub fn missed_something(&mut self, clock: &SimulatedClock) -> bool {
        let (now_ms, awake) = (clock.now().clock_ms, clock.awake());
        let before = self.before.replace((now_ms, awake));
        before.is_some_and(|(then_ms, awake_then)| {
            let awake_ms = u64::try_from((awake - awake_then).as_millis()).expect("short");
            now_ms > then_ms + awake_ms + CORRECTED_UNSEEN_MS
        })
    }
}

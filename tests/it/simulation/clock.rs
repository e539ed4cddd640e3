//! Time that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::core::time::Timestamp;

use super::oracle::Moment;
use super::product::timestamp;

/// Time that moves only when it is told to, for the store's clock and for that of timers.
#[derive(Clone)]
pub struct SimulatedClock {
    time: Arc<AtomicI64>,
    /// How far the server's clock is behind.
    behind: Arc<AtomicI64>,
}

impl SimulatedClock {
    pub fn new() -> Self {
        Self { time: Arc::new(AtomicI64::new(1_795_226_400_000)), behind: Arc::default() }
    }

    /// The clock of everything but the server.
    pub fn clock(&self) -> Clock {
        let time = Arc::clone(&self.time);
        Clock::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst)))
    }

    /// The clock of the server.
    pub fn of_the_server(&self) -> Clock {
        let clock = self.clone();
        Clock::new(move || timestamp(clock.now().clock_ms))
    }

    pub fn now(&self) -> Moment {
        let (time, behind) = (self.time.load(Ordering::SeqCst), self.behind.load(Ordering::SeqCst));
        let milliseconds = |time| u64::try_from(time).expect("after 1970");
        Moment { clock_ms: milliseconds(time - behind), true_ms: milliseconds(time) }
    }

    pub fn set_back(&self, milliseconds: u64) {
        self.behind.fetch_add(i64::try_from(milliseconds).expect("short"), Ordering::SeqCst);
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

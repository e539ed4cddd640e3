//! The time, as a value that tests can replace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::time::Timestamp;

/// How much further than the time that passed a clock may go before somebody has set it: clocks that are corrected bit by
/// bit stay below.
const CORRECTED_UNSEEN: Duration = Duration::from_secs(10);

/// The time that the machine's clock shows. The one place that reads it; everything else is given the time.
pub fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// Tells the time.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    awake: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        let began = Instant::now();
        Self::new(now).with_time_awake(move || began.elapsed())
    }

    /// A clock that says what `now` says, on a machine that never sleeps and on which nobody sets it ahead.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let now = Arc::new(now);
        let tell = Arc::clone(&now);
        Self { now, awake: Arc::new(move || tell().since(Timestamp::from_millis(0))) }
    }

    /// The same, on a machine that has been awake for as long as `awake` says, counted from any moment.
    pub fn with_time_awake(self, awake: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { awake: Arc::new(awake), ..self }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// Notices time through which nobody was awake: the clock was set ahead, or the machine slept.
///
/// Who concludes something from silence has to know, for in that time nothing could be heard.
#[derive(Debug, Default)]
pub(crate) struct ClockJumps {
    before: Option<(Timestamp, Duration)>,
}

impl ClockJumps {
    /// Looks at the clock. `true` if it went further, since the last look, than the time that has passed.
    pub(crate) fn has_jumped(&mut self, clock: &Clock) -> bool {
        let (now, awake) = (clock.now(), (clock.awake)());
        let Some((then, awake_then)) = self.before.replace((now, awake)) else { return false };
        now.since(then) > awake.saturating_sub(awake_then) + CORRECTED_UNSEEN
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A clock, and the seconds that it shows and that the machine was awake.
    fn clock() -> (Clock, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (shown, awake) = (Arc::new(AtomicU64::new(5000)), Arc::new(AtomicU64::new(0)));
        let (tell, count) = (Arc::clone(&shown), Arc::clone(&awake));
        let seconds = |of: &AtomicU64| Duration::from_secs(of.load(Ordering::Relaxed));
        let clock = Clock::new(move || Timestamp::from_millis(0).after(seconds(&tell)));
        (clock.with_time_awake(move || seconds(&count)), shown, awake)
    }

    #[test]
    fn a_vigil_is_broken_by_a_clock_that_goes_further_than_the_time_and_by_nothing_else() {
        let (clock, shown, awake) = clock();
        let mut clock_jumps = ClockJumps::default();
        let mut after = |shown_s: u64, awake_s: u64| {
            shown.store(shown_s, Ordering::Relaxed);
            awake.store(awake_s, Ordering::Relaxed);
            clock_jumps.has_jumped(&clock)
        };
        assert!(!after(5000, 0), "the first look");
        assert!(!after(9000, 4000), "time passes");
        assert!(!after(9010, 4000), "it is corrected a little");
        assert!(after(9021, 4000), "it is set ahead, or the machine slept");
        assert!(!after(9021, 4000), "once");
        assert!(!after(1000, 4001), "it is set back");
        assert!(!after(1060, 4061), "time passes again");
    }

    #[test]
    fn the_time_of_a_clock_that_is_only_told_is_time_awake() {
        let told = Arc::new(AtomicU64::new(7_200_000));
        let tell = Arc::clone(&told);
        let clock = Clock::new(move || Timestamp::from_millis(tell.load(Ordering::Relaxed).try_into().expect("short")));
        let mut clock_jumps = ClockJumps::default();
        for moment_ms in [7_200_000, 10_800_000, 0, 3_600_000, 14_400_000] {
            told.store(moment_ms, Ordering::Relaxed);
            assert!(!clock_jumps.has_jumped(&clock), "{moment_ms}");
        }
    }
}

//! How long to wait after a failure.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// Waits that double from [`FIRST`] to [`LONGEST`], each shortened by up to a half at random, so that several servers
/// that lost the same Cachet do not come back at the same moment.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0_u8; 1];
        // Without randomness the wait is only less spread out.
        let _ = getrandom::fill(&mut random);
        full - full.mul_f64(f64::from(random[0]) / 512.0)
    }

    /// It works again, or there is news: the next wait is the first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_over_after_a_reset() {
        let mut backoff = Backoff::default();
        for expected_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            let full = Duration::from_secs(expected_s);
            let wait = backoff.next();
            assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
        }
        assert!((0..100).all(|_| backoff.next() <= LONGEST));
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

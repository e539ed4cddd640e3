//! Whether the watchdog is missing.

use super::{Belief, View};

/// The title of the incident that says so.
pub const MONITORING: &str = "Monitoring data is missing";

pub const OPERATIONAL: u8 = 1;
pub const UNKNOWN: u8 = 5;
const OUTAGE: u8 = 4;

/// When the watchdog was heard, in the server's time.
pub struct Watchdog {
    /// How long it may stay away; `None` if nobody waits for it.
    timeout_ms: Option<u64>,
    heard_ms: Option<u64>,
    listening_since_ms: u64,
    /// Since when it is missing, if it is, or may be.
    missing_ms: u64,
    is_missing: Belief,
}

impl Watchdog {
    pub fn new(timeout_seconds: Option<u64>, now_ms: u64) -> Self {
        Self {
            timeout_ms: timeout_seconds.map(|seconds| seconds * 1000),
            heard_ms: None,
            listening_since_ms: now_ms,
            missing_ms: 0,
            is_missing: Belief::No,
        }
    }

    /// It was heard; whether that may be news.
    pub fn heard(&mut self, now_ms: u64) -> bool {
        self.heard_ms = self.heard_ms.max(Some(now_ms));
        let was_missing = self.is_missing != Belief::No;
        // news of it from before it was missing is no news
        if now_ms > self.missing_ms {
            self.is_missing = Belief::No;
        }
        was_missing
    }

    /// The server looks.
    pub fn looked(&mut self, now_ms: u64) {
        let due_ms = self.timeout_ms.map(|timeout_ms| self.quiet_since_ms() + timeout_ms);
        if self.is_missing != Belief::Yes && due_ms.is_some_and(|due_ms| now_ms >= due_ms) {
            (self.is_missing, self.missing_ms) = (Belief::Yes, due_ms.unwrap_or(now_ms));
        }
    }

    fn quiet_since_ms(&self) -> u64 {
        self.heard_ms.unwrap_or(0).max(self.listening_since_ms)
    }

    /// The server was started, and could hear nothing before.
    pub fn restarted(&mut self, now_ms: u64) {
        self.listening_since_ms = now_ms;
    }

    /// The server has seen that its clock was set back to `now_ms`.
    pub fn clock_was_set_back(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.map(|heard_ms| heard_ms.min(now_ms));
        self.listening_since_ms = self.listening_since_ms.min(now_ms);
        self.missing_ms = self.missing_ms.min(now_ms);
    }

    /// The store is lost. That it was missing is taken from the page, if that has an incident that says so.
    pub fn lost(&mut self, now_ms: u64, has_an_incident: Belief) {
        self.heard_ms = None;
        self.missing_ms = now_ms;
        self.is_missing = self.timeout_ms.map_or(Belief::No, |_| has_an_incident);
    }

    /// `view`, as it is when nobody knows whether green is still green: one, or two if it is not known which.
    pub fn in_view_of_it(&self, view: View) -> Vec<View> {
        let missing = |view: View| {
            let unknown = |(name, status)| (name, if status == OPERATIONAL { UNKNOWN } else { status });
            View { components: view.components.into_iter().map(unknown).collect(), monitoring: OUTAGE, ..view }
        };
        match self.is_missing {
            Belief::No => vec![view],
            Belief::Yes => vec![missing(view)],
            Belief::Perhaps => vec![view.clone(), missing(view)],
        }
    }
}

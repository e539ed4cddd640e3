//! How many requests Cachet still takes in this minute.
//!
//! Cachet counts writes by user in a fixed window (recording 401): the window begins with the first request after the last
//! one ended, and each answer says how many are left in it. Reads are counted apart, by address: a budget of their own.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::client::MAX_PARALLEL;
use alertmanager_cachet_core::status_page::{RateBudget, Spare};

/// How long Cachet's window is. It says so nowhere; its limit is one of requests a minute.
const WINDOW: Duration = Duration::from_secs(60);

/// The least share of the limit that is kept for what the public sees: a fifth, 60 of 300.
const LEAST_SHARE: u32 = 5;

/// The largest, however much the public may want to see: a half, so that bookkeeping gets on.
const LARGEST_SHARE: u32 = 2;

/// What is known of the window from the answers so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    window: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    limit: u32,
    remaining: u32,
    ends: Instant,
}

impl Budget {
    /// Learns from the answer to a request of those that are counted here.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
        let (Some(limit), Some(remaining)) = (number("x-ratelimit-limit"), number("x-ratelimit-remaining")) else {
            return;
        };
        let now = Instant::now();
        self.window = Some(match self.window {
            // Answers to calls under way at the same time come in any order; within a window it only gets less.
            Some(known) if known.limit == limit && now < known.ends && remaining <= known.remaining + MAX_PARALLEL => {
                Window { remaining: remaining.min(known.remaining), ..known }
            }
            _ => Window { limit, remaining, ends: now + WINDOW },
        });
    }

    /// Learns from a 429 that nothing is left for so long.
    pub(super) fn exhausted(&mut self, retry_after: Duration) {
        if let Some(known) = &mut self.window {
            *known = Window { remaining: 0, ends: Instant::now() + retry_after, ..*known };
        }
    }

    /// How many requests of how many are left in this window.
    pub(super) fn now(&self) -> Option<RateBudget> {
        let known = self.window?;
        let remaining = if Instant::now() < known.ends { known.remaining } else { known.limit };
        Some(RateBudget { limit: known.limit, remaining })
    }

    /// How long it takes until so many requests are left in a window, and at least a half of it; `None` if they are.
    pub(super) fn lacks(&self, requests: u32) -> Option<Duration> {
        let known = self.window?;
        let least = requests.max(known.limit / LARGEST_SHARE);
        let wait = known.ends.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero());
        wait.filter(|_| known.remaining < least)
    }

    /// What may be spent on writes that can wait, if the public may want to see `public` writes before the window ends.
    pub(super) fn spare(&self, public: u32) -> Spare {
        let reserve = |limit: u32| public.clamp(limit / LEAST_SHARE, limit / LARGEST_SHARE);
        let now = Instant::now();
        match self.window {
            None => Spare::Unlimited,
            // A new window has begun, or will with the next call.
            Some(known) if now >= known.ends => Spare::Writes(known.limit - reserve(known.limit)),
            Some(known) => match known.remaining.saturating_sub(reserve(known.limit)) {
                0 => Spare::Exhausted(known.ends - now),
                writes => Spare::Writes(writes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn answer(limit: u32, remaining: u32) -> HeaderMap {
        HeaderMap::from_iter([
            ("x-ratelimit-limit".parse().expect("a name"), HeaderValue::from(limit)),
            ("x-ratelimit-remaining".parse().expect("a name"), HeaderValue::from(remaining)),
        ])
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_is_kept_for_what_the_public_sees() {
        let mut budget = Budget::default();
        assert_eq!(budget.spare(0), Spare::Unlimited);
        budget.learn(&answer(300, 299));
        assert_eq!(budget.spare(0), Spare::Writes(239));
        tokio::time::advance(Duration::from_secs(20)).await;
        budget.learn(&answer(300, 60));
        assert_eq!(budget.spare(0), Spare::Exhausted(Duration::from_secs(40)));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(budget.spare(0), Spare::Writes(240));
    }

    #[tokio::test(start_paused = true)]
    async fn more_is_kept_where_the_public_may_see_more_but_never_all() {
        let mut budget = Budget::default();
        budget.learn(&answer(300, 299));
        for (public, writes) in [(0, 239), (80, 219), (1000, 149)] {
            assert_eq!(budget.spare(public), Spare::Writes(writes));
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(budget.spare(80), Spare::Writes(220));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_in_any_order_mean_the_smallest_number() {
        let mut budget = Budget::default();
        for remaining in [298, 299, 295, 297, 296] {
            budget.learn(&answer(300, remaining));
        }
        assert_eq!(budget.spare(0), Spare::Writes(235));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_before_is_a_new_window_and_a_429_ends_when_it_says() {
        let mut budget = Budget::default();
        budget.learn(&answer(60, 13));
        tokio::time::advance(Duration::from_secs(50)).await;
        budget.learn(&answer(60, 59));
        assert_eq!(budget.spare(0), Spare::Writes(47));
        budget.exhausted(Duration::from_secs(7));
        assert_eq!(budget.spare(0), Spare::Exhausted(Duration::from_secs(7)));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(budget.spare(0), Spare::Writes(48));
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_of_the_window_and_what_is_needed_is_left_or_waited_for() {
        let mut budget = Budget::default();
        budget.learn(&answer(60, 59));
        tokio::time::advance(Duration::from_secs(20)).await;
        let rest = Some(Duration::from_secs(40));
        for (remaining, needed, waits) in [(59, 60, rest), (40, 40, None), (39, 40, rest), (30, 4, None), (29, 4, rest)]
        {
            budget.learn(&answer(60, remaining));
            assert_eq!(budget.lacks(needed), waits, "{needed} of {remaining}");
        }
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(budget.lacks(60), None, "a new window");
    }

    #[test]
    fn an_answer_without_the_headers_teaches_nothing() {
        let mut budget = Budget::default();
        budget.learn(&HeaderMap::new());
        assert_eq!((budget.spare(0), budget.lacks(1)), (Spare::Unlimited, None));
    }
}

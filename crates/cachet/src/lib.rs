//! The Cachet client: reads groups, components and incidents, and writes them.
//!
//! It speaks to every Cachet 3: what a release can do is probed
//! ([`Capabilities`](alertmanager_cachet_core::status_page::Capabilities)), for all of them say `3.x-dev` of
//! themselves. What each release answers was recorded from real servers; the recordings that decide something here are
//! in `tests/fixtures/cachet-2026-08` and `tests/fixtures/cachet-2025-08`, and comments name them by number: `(014)`
//! for the current release, `(2025-08: 131)` for the older one.
//!
//! | file | what it does |
//! | --- | --- |
//! | `page` | what Cachet is asked: the status page for the engine, and the check of the token for `setup` |
//! | `client` | how it is asked: one call, a list to its end, what the answers show of this Cachet |
//! | `http` | one request over HTTP, and what its answer means: a value or an [`Error`] |
//! | `error` | what can go wrong, one variant for each reaction |
//! | `wire` | Cachet's JSON, in and out |
//! | `budget` | what Cachet's rate limit still allows |

mod budget;
mod client;
mod error;
mod http;
mod page;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use client::Cachet;
pub use error::{Error, Fault, NoHttpClient};
pub use http::{MAX_ANSWER_BYTES, Request, Response, Transport};
pub use page::CHECK_TITLE;

/// Observes every call, for metrics.
pub trait CallObserver: fmt::Debug + Send + Sync {
    /// A call has ended after `took`. `answer` is the HTTP status, or a word for why there was none.
    fn called(&self, method: &str, path: &str, answer: Result<u16, &'static str>, took: Duration);
}

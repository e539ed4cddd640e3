//! The Cachet client: reads groups, components and incidents, and writes them.
//!
//! It speaks to every Cachet 3: what a release can do is probed (`probe`), for all of them say `3.x-dev` of
//! themselves. What each release answers was recorded from real servers; the recordings that decide something here are
//! in `tests/fixtures/cachet-2026-08` and `tests/fixtures/cachet-2025-08`, and comments name them by number: `(014)`
//! for the current release, `(2025-08: 131)` for the older one.
//!
//! | file | what it does |
//! | --- | --- |
//! | `client` | the calls, one method each |
//! | `abilities` | the known abilities of the token, and the calls that check them |
//! | `page` | the client as a status page, for the engine |
//! | `lists` | reads all pages of a list |
//! | `budget` | what Cachet's rate limit still allows |
//! | `probe` | finds out what this Cachet can do, and whether it takes the token |
//! | `wire` | Cachet's JSON, in and out |
//! | `transport` | sends one request; over HTTP, unless a test goes another way |
//! | `zone` | the time zone of this Cachet |
//! | `answer` | makes an [`Error`] or a value of one answer |

mod abilities;
mod answer;
mod budget;
mod client;
mod error;
mod lists;
mod page;
mod probe;
mod transport;
mod wire;
mod zone;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

pub use abilities::{ABILITIES_OF_SERVE, CHECK_TITLE};
pub use client::Cachet;
pub use error::Error;
pub use transport::{MAX_ANSWER_BYTES, Request, Response, Transport, TransportError};

/// Observes every call, for metrics.
pub trait CallObserver: fmt::Debug + Send + Sync {
    /// A call has ended after `took`. `answer` is the HTTP status, or a word for why there was none.
    fn called(&self, method: &str, path: &str, answer: Result<u16, &'static str>, took: Duration);
}

/// Where Cachet is and how it is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The whole base of the API, for example `http://cachet/api`; trailing slashes do no harm.
    pub base_url: String,
    /// The API token, as Cachet's dashboard shows it once (`1|…`).
    pub token: SecretString,
    /// How many rows of a list are asked for at a time, 1 to 100 (more is taken as 100, as Cachet does).
    pub per_page: u8,
}

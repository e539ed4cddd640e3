//! The embedded page: a status page of our own, for where no Cachet is configured.
//!
//! `api` answers the part of Cachet's API that a Cachet client of alerts uses, over tables in the same store, as the
//! release of August 2026 does; a test replays calls that were recorded from that release. `public` is the page that
//! customers read. The two share their reading of what a guest may see and of how bad a component's state is
//! (`components`), so that they cannot disagree.
//!
//! Deliberately unlike Cachet: metrics, subscribers, templates, badges and feeds do not exist; there is one
//! token, which may do everything; and there is no rate limit. The contract test holds the whole list, each with its
//! reason.

mod answer;
mod api;
mod assets;
mod attached;
mod components;
mod document;
mod groups;
mod in_process;
mod incidents;
mod kept;
mod list;
mod meta;
mod public;
mod request;
mod schedule_updates;
mod schedules;
mod times;
mod token;
mod updates;
mod validate;

use std::fmt;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::core::time::Timestamp;
use crate::store::{Store, StoreError};

pub use in_process::in_process;
pub use token::token;

/// The embedded page over a store. Clones share it.
#[derive(Clone)]
pub struct EmbeddedPage {
    store: Store,
    clock: Clock,
    token: SecretString,
}

impl EmbeddedPage {
    /// The page over `store`, by the system's clock. Makes the bearer token if there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the store cannot be read or written.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        Self::open_with_clock(store, Clock::system()).await
    }

    /// As [`EmbeddedPage::open`], with a clock of the caller's: tests bring one that stands still.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the store cannot be read or written.
    pub async fn open_with_clock(store: &Store, clock: Clock) -> Result<Self, StoreError> {
        let token = token::made_at_first_start(store).await?;
        Ok(Self { store: store.clone(), clock, token })
    }

    /// The bearer token that writes need, in Cachet's form `<id>|<secret>`.
    pub fn token(&self) -> SecretString {
        self.token.clone()
    }

    /// The page at `/` with its assets, and the API below `/api`. Every other path is answered with 404.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(public::page))
            .route("/assets/page.css", get(assets::css))
            .route("/assets/page.js", get(assets::js))
            .route("/assets/{icon}", get(assets::icon))
            .route("/api", axum::routing::any(api::answer))
            // from a base URL with a slash too many: refused in words, as by Cachet
            .route("//api/{*path}", axum::routing::any(api::answer))
            .route("/api/{*path}", axum::routing::any(api::answer))
            .with_state(self.clone())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Without the token.
impl fmt::Debug for EmbeddedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedPage").finish_non_exhaustive()
    }
}

/// Nobody may guess a type from bytes, of whatever this module serves.
const NO_SNIFFING: (header::HeaderName, HeaderValue) =
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

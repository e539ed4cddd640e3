//! An imitation of Cachet's API, for tests, benchmarks and container stand-ins.
//!
//! ```text
//! let cachet = FakeCachet::open(Options::of(Release::Older)).await?;
//! let faults = Faults::new();
//! let (url, _server) = serve(faults.around(cachet.router())).await;
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `api` | the part of the API of August 2026 that the product uses, over tables of its own (`schema.sql`) |
//! | `older` | makes of it the API of August 2025, in a time zone |
//! | `without_unknown` | a Cachet that refuses the status Unknown |
//! | `faults` | failures, latency, a rate limit, and the count of calls, around any router |
//! | `in_process` | the product's client on a router, without a socket |
//! | `serve` | a router on a port |
//!
//! The calls that were recorded from real Cachets (`tests/fixtures/cachet-*`) are its contract test.

mod api;
mod faults;
mod in_process;
mod older;
mod serve;
mod without_unknown;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use alertmanager_cachet_core::time::Timestamp;
use axum::Router;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

pub use faults::{Faults, On};
pub use in_process::in_process;
pub use older::{Zone, older_cachet, older_cachet_in};
pub use serve::{Server, serve, serve_at};
pub use without_unknown::without_unknown;

/// The token of a Cachet for which no other is given.
pub const TOKEN: &str = "1|a-token-of-the-imitation";

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Which Cachet is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// August 2026.
    Current,
    /// August 2025: no meta, incidents that are not attached, and its other ways.
    Older,
}

impl Release {
    /// Both, the current one first.
    pub const BOTH: [Self; 2] = [Self::Current, Self::Older];
}

/// How a [`FakeCachet`] is opened.
#[derive(Clone)]
pub struct Options {
    /// Which Cachet is imitated.
    pub release: Release,
    /// The bearer token that writes need.
    pub token: String,
    /// The time that it knows.
    pub clock: Clock,
    /// The SQLite file that outlives the process; `None`: a database in memory that ends with the last clone.
    pub database: Option<PathBuf>,
}

/// The current release with the token [`TOKEN`], by the system's clock, in memory.
impl Default for Options {
    fn default() -> Self {
        Self { release: Release::Current, token: TOKEN.to_owned(), clock: system_clock(), database: None }
    }
}

impl Options {
    /// As the default, of this release.
    pub fn of(release: Release) -> Self {
        Self { release, ..Self::default() }
    }
}

/// A Cachet. Clones share it.
#[derive(Clone)]
pub struct FakeCachet {
    token: String,
    zone: Zone,
    router: Router,
}

impl FakeCachet {
    /// A Cachet over the database that `options` name, empty if that is new.
    ///
    /// # Errors
    /// When the database cannot be opened or its tables cannot be made.
    pub async fn open(options: Options) -> Result<Self, sqlx::Error> {
        let Options { release, token, clock, database } = options;
        let zone = Zone::new(clock.clone());
        let database = Mutex::new(open_database(database).await?);
        let current = api::router(Arc::new(api::Cachet { database, token: token.clone(), clock }));
        let router = match release {
            Release::Current => current,
            Release::Older => older_cachet_in(current, zone.clone()),
        };
        Ok(Self { token, zone, router })
    }

    /// The bearer token that writes need.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where an older Cachet is.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The API, below `/api`.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

/// Without the token.
impl fmt::Debug for FakeCachet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeCachet").finish_non_exhaustive()
    }
}

/// One connection for all calls: an in-memory database belongs to its connection.
async fn open_database(file: Option<PathBuf>) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().synchronous(SqliteSynchronous::Off);
    let options = match file {
        Some(file) => options.filename(file).create_if_missing(true),
        None => options.in_memory(true),
    };
    let mut database = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut database).await?;
    Ok(database)
}

fn system_clock() -> Clock {
    Arc::new(|| Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()))
}

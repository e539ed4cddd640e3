//! Where scenarios are played, one at a time: a runtime whose clock stands still, a store that is emptied for each, and
//! a page.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, mpsc};

use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::Store;
use fake_cachet::{FakeCachet, Options, Release, older_cachet};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::clock::SimulatedClock;
use super::model;
use super::run::{Broken, Stage, Trace, run};
use super::scenario::Scenario;

/// Which page is played against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// A small one, made for this.
    InMemory,
    /// The imitation of Cachet that all tests use.
    Fake,
}

pub struct Theatre {
    /// As long as it is held, the runtime's clock does not jump when there is nothing to do but to wait for SQLite. It
    /// is dropped before the runtime, which waits for what it started.
    _still: mpsc::Sender<()>,
    store: Store,
    runtime: Runtime,
    folder: TempDir,
}

impl Theatre {
    pub fn new() -> Self {
        let folder = folder();
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (still, until) = mpsc::channel::<()>();
        let store = runtime.block_on(async {
            tokio::time::pause();
            tokio::task::spawn_blocking(move || until.recv());
            Store::open(&url(&folder, "ours")).await.expect("a store")
        });
        Self { _still: still, store, runtime, folder }
    }

    /// Plays `scenario`, and says what was to be seen or which law was broken; a panic breaks one as well.
    pub fn play(&mut self, scenario: &Scenario, page: Page) -> Result<Trace, Broken> {
        let playing = AssertUnwindSafe(|| self.runtime.block_on(self.act(scenario, page)));
        let outcome = catch_unwind(playing);
        outcome.unwrap_or_else(|panic| {
            // what a panic left behind is of no use any more
            *self = Self::new();
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
            Err(Broken(format!("it panicked: {}", said.unwrap_or_default())))
        })
    }

    async fn act(&self, scenario: &Scenario, page: Page) -> Result<Trace, Broken> {
        let clock = SimulatedClock::new();
        empty(&self.store).await;
        let (router, token) = match page {
            Page::InMemory => (model::page(clock.clock()), SecretString::from("1|token")),
            Page::Fake => {
                let clock = clock.clock();
                let options = Options { clock: Arc::new(move || clock.now()), ..Options::default() };
                let fake = FakeCachet::open(options).await.expect("a database");
                (fake.router(), fake.token().into())
            }
        };
        let page = match scenario.release {
            Release::Current => router,
            Release::Older => older_cachet(router),
        };
        let backup = self.folder.path().join("backup.db");
        run(scenario, Stage { store: &self.store, backup, clock, page, token }).await
    }
}

/// In memory where there is such a place: a store in a simulation has no power cut to survive.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

fn url(folder: &TempDir, name: &str) -> String {
    format!("sqlite://{}/{name}.db", folder.path().display())
}

/// All that the server stores for a Cachet.
pub const TABLES: [&str; 12] = [
    "alerts",
    "cachet",
    "history_alerts",
    "history_events",
    "history_looked",
    "holds",
    "ledger",
    "observed",
    "observed_components",
    "outages",
    "routed_watchdogs",
    "watchdog",
];

/// Makes a store as one that was just made.
pub async fn empty(store: &Store) {
    for table in TABLES {
        let delete = format!("DELETE FROM {table}");
        sqlx::query(sqlx::AssertSqlSafe(delete)).execute(store.writer()).await.expect("emptied");
    }
    read_again(store).await;
}

/// The rows were changed behind the store's back, as never under a running server: what it has in memory is read again.
pub async fn read_again(store: &Store) {
    store.clamp_future_timestamps(Timestamp::from_millis(i64::MAX)).await.expect("nothing is later than that");
}

//! What must survive a restart: alerts, the watchdog's pulse, what was written to Cachet, episodes, and the embedded
//! page's own data.
//!
//! SQLite through sqlx, with one SQL text that PostgreSQL would take as well: times are integers in milliseconds, and
//! order is decided by data. One connection writes, several read beside it (WAL).

mod alerts;
mod applied;
mod before_migration;
mod capacity;
mod clock;
mod health;
mod history;
mod holds;
mod in_memory_copy;
mod kept;
mod limits;
mod made;
mod repair;
mod restored;
mod unanswered;
mod watchdog;

use std::cmp::Ordering;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr, SqlitePool};

use self::alerts::Recordings;
pub use self::alerts::{Recorded, Statements};
pub use self::applied::Entry;
use self::capacity::Capacity;
pub use self::made::Made;
use alertmanager_cachet_core::expiry::Leases;

/// How many connections read at the same time.
const READERS: u32 = 4;

/// How long a write waits for another process's write (`setup` beside a running server, a few milliseconds each) before
/// it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a statement waits for a connection. A notification waits for one commit before its own at most, so twice
/// for both limits together; Alertmanager waits for at least ten seconds.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The schema, step by step. A step that was released is never changed: the store checks its sum.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "alerts and what was written to Cachet", include_str!("../migrations/0001_alerts_and_applied.sql")),
    (2, "embedded page", include_str!("../migrations/0002_embedded_page.sql")),
    (3, "watchdog", include_str!("../migrations/0003_watchdog.sql")),
    (4, "postings that got no answer", include_str!("../migrations/0004_lost_postings.sql")),
    (5, "planned maintenance", include_str!("../migrations/0005_schedules.sql")),
    (6, "writes that got no answer", include_str!("../migrations/0006_unanswered_writes.sql")),
    (7, "history and holds", include_str!("../migrations/0007_history.sql")),
    (8, "earlier beginnings of an alert", include_str!("../migrations/0008_first_starts_at.sql")),
    (9, "what was made in a Cachet without meta", include_str!("../migrations/0009_made.sql")),
    (10, "resolves that may be expiries", include_str!("../migrations/0010_expiry.sql")),
];

/// The purpose of a store operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    /// Keeping what a notification says.
    Record,
    /// Reading alerts, and what was written to Cachet.
    Read,
    /// Keeping what is written to Cachet, and what it shows.
    Remember,
    /// Correcting alerts by what Alertmanager lists.
    Repair,
    /// Finding out whether it can be written, because somebody asked after our health.
    Probe,
}

/// Observes the operations of a store, for metrics.
pub trait StoreObserver: fmt::Debug + Send + Sync {
    /// An operation has ended after `took`.
    fn done(&self, operation: StoreOperation, took: Duration, succeeded: bool);
}

/// The store, open. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    recordings: Arc<Recordings>,
    capacity: Arc<Capacity>,
    /// The leases in Alertmanager's latest list. Not stored: the list is read again after a restart.
    leases: Arc<Mutex<Arc<Leases>>>,
    observer: Option<Arc<dyn StoreObserver>>,
    /// The database file.
    path: Arc<Path>,
}

/// Why the store could not be used.
///
/// What the system said stands inside the messages, before the cure; it is no `source`, or it would be told twice.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that is supported.
    #[error(
        "storage URL {url:?} is not supported: use sqlite://PATH, for example sqlite://data/alertmanager-cachet.db"
    )]
    Url {
        /// The URL as given.
        url: String,
    },
    /// The folder of the database could not be made.
    #[error("the folder {folder:?} of the store cannot be made ({cause}): make it, or point --storage.url elsewhere")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The schema must be migrated, and the copy before that failed.
    #[error(
        "the store cannot be copied to {copy:?} before the migration of its schema ({cause}): free space on its disk, or \
         make its folder writable; nothing was changed"
    )]
    Copy {
        /// The path of the copy.
        copy: PathBuf,
        /// What the system said.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no database yet, and only reading was asked for.
    #[error("there is no store at {path:?} yet: start `serve` first, or check --storage.url")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another server works on the same file.
    #[error("another server is using the store {path:?}: stop it first, or give this one its own --storage.url")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Another `setup` is at work.
    #[error("another `setup` is running on the store {path:?}: wait until it is done")]
    SetupRunning {
        /// The database file.
        path: PathBuf,
    },
    /// The lock file could not be used.
    #[error("the lock file {path:?} beside the store cannot be used ({cause}): check its permissions")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The schema is an earlier one, and only reading was asked for.
    #[error("the store {path:?} is of an earlier release: start `serve` of this one, which brings it up to date")]
    Earlier {
        /// The database file.
        path: PathBuf,
    },
    /// The schema is one that this release does not know.
    #[error("the store {path:?} is of a newer release: use that one, or restore a backup of the time before it")]
    Newer {
        /// The database file.
        path: PathBuf,
    },
    /// The file could not be opened or its schema not be brought up to date. Nothing was overwritten.
    #[error(
        "the store {path:?} cannot be opened ({cause}): check permissions and disk; if the file is damaged, restore a \
         backup, or move it away and start again"
    )]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed; nothing of its transaction was kept.
    #[error("the store refused a statement ({0}): {cure}", cure = cure(.0))]
    Database(sqlx::Error),
    /// A commit of several notifications failed; nothing of it was kept.
    #[error(transparent)]
    Group(Arc<StoreError>),
    /// The task that was to commit for several ended early.
    #[error("the store's commit was abandoned, nothing of it is known to be kept: send it again")]
    Abandoned,
    /// Nothing is kept of what happened.
    #[error(
        "the store has no history yet: start `serve` of this release, which keeps what happens from then on; what was \
         before is in its log"
    )]
    NoHistory,
    /// More is kept than can be read at once.
    #[error("the history is too long to be read at once, for it has more than {rows} rows: lower history_days")]
    LongHistory {
        /// How many rows can be read.
        rows: usize,
    },
    /// A row does not make sense, so somebody else wrote it.
    #[error("the store holds a row that cannot be read, {what}: restore a backup, or remove the row")]
    Corrupt {
        /// Which row, and what is wrong with it.
        what: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What helps against an error of the database, told from SQLite's code for it.
fn cure(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    // The rest of an extended code says no more to an operator.
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => "end the program that keeps it locked; a running `serve` beside others is fine",
        Some(8) => "make its file and its folder writable",
        Some(11 | 26) => "it is damaged: restore a backup, or move it away and start again",
        Some(13) => "free space on its disk",
        _ => "check that its disk is not full and is writable",
    }
}

/// Held by the one server, or the one `setup`, that works on a store; released when dropped, by the system even after `kill -9`.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl Store {
    /// Opens the store, making its folders and bringing its schema up to date.
    ///
    /// # Errors
    /// See [`StoreError`]; an existing file is never overwritten.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let path = database_path(url)?;
        let opening = path.clone();
        // `setup` and `serve` may open the same new file at the same moment; one makes it, the others wait.
        let _alone = tokio::task::spawn_blocking(move || {
            let (file, lock_path) = lock_file(&opening, "opening.lock")?;
            file.lock().map(|()| file).map_err(|cause| StoreError::Lock { path: lock_path, cause })
        })
        .await
        .map_err(|error| StoreError::Open { path: path.clone(), cause: error.into() })??;
        let open_error =
            |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Open { path: path.clone(), cause };
        let options = connect_options(&path).create_if_missing(true);
        expect_whole(options.clone()).await.map_err(open_error)?;
        let writer = pool_options()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(|error| open_error(error.into()))?;
        before_migration::keep_copy(&writer, &path).await?;
        migrator().run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => StoreError::Newer { path: path.clone() },
            error => open_error(error.into()),
        })?;
        limits::drop_rows_not_taken(&writer).await?;
        let reader = pool_options()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .map_err(|error| open_error(error.into()))?;
        let (recordings, capacity, leases) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { writer, reader, recordings, capacity, leases, observer: None, path: path.as_path().into() })
    }

    /// Opens an existing store for reading only, beside a running server.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none yet, [`StoreError::Earlier`] if its schema is not up to date; see
    /// [`StoreError`] for the rest.
    pub async fn open_read_only(url: &str) -> Result<Self, StoreError> {
        let path = database_path(url)?;
        if !path.exists() {
            return Err(StoreError::Missing { path });
        }
        let reader = pool_options()
            .max_connections(READERS)
            .connect_with(connect_options(&path).read_only(true))
            .await
            .map_err(|error| StoreError::Open { path: path.clone(), cause: error.into() })?;
        expect_schema_of_this_release(&reader, path.clone()).await?;
        let (recordings, capacity, leases) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self {
            writer: reader.clone(),
            reader,
            recordings,
            capacity,
            leases,
            observer: None,
            path: path.as_path().into(),
        })
    }

    /// This store, with its operations observed by `observer`. Later clones share the observer.
    pub fn observed_by(self, observer: Arc<dyn StoreObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Runs `work`, and reports its duration and result to the observer.
    async fn measured<T>(
        &self,
        operation: StoreOperation,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let outcome = work.await;
        if let Some(observer) = &self.observer {
            observer.done(operation, began.elapsed(), outcome.is_ok());
        }
        outcome
    }

    /// Whether `url` names a kind of store that is supported. Nothing is opened.
    pub fn supports(url: &str) -> bool {
        database_path(url).is_ok()
    }

    /// Claims the store for one server.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another server holds it.
    pub fn lock(url: &str) -> Result<StoreLock, StoreError> {
        let path = database_path(url)?;
        claim(&path, "lock")?.ok_or(StoreError::InUse { path })
    }

    /// Claims the store for one `setup`: two at the same time would make everything twice, for Cachet accepts any
    /// number of components of one name.
    ///
    /// # Errors
    /// [`StoreError::SetupRunning`] if another one holds it.
    pub fn lock_for_setup(url: &str) -> Result<StoreLock, StoreError> {
        let path = database_path(url)?;
        claim(&path, "setup.lock")?.ok_or(StoreError::SetupRunning { path })
    }

    /// The one connection that writes.
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Connections that read.
    pub fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

fn database_path(url: &str) -> Result<PathBuf, StoreError> {
    let path = url.strip_prefix("sqlite://").filter(|path| !path.is_empty() && !path.contains('?'));
    path.map(|path| Path::new(path).to_owned()).ok_or_else(|| StoreError::Url { url: url.to_owned() })
}

/// The lock of that name, if nobody else holds it.
fn claim(database: &Path, extension: &str) -> Result<Option<StoreLock>, StoreError> {
    let (file, path) = lock_file(database, extension)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(StoreLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(StoreError::Lock { path, cause }),
    }
}

/// A file beside the database, and in its folder, which is made.
fn lock_file(database: &Path, extension: &str) -> Result<(File, PathBuf), StoreError> {
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|cause| StoreError::Folder { folder: folder.to_owned(), cause })?;
    }
    let path = beside(database, extension);
    match File::options().create(true).append(true).open(&path) {
        Ok(file) => Ok((file, path)),
        Err(cause) => Err(StoreError::Lock { path, cause }),
    }
}

/// The file of that name beside the database: beside the file itself where its path is a link, as SQLite does, or two
/// servers would each claim it by a name of their own.
fn beside(database: &Path, extension: &str) -> PathBuf {
    let linked = fs::canonicalize(database).ok().filter(|_| database.is_symlink());
    let mut path = linked.unwrap_or_else(|| database.to_owned()).into_os_string();
    path.push(".");
    path.push(extension);
    path.into()
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

fn pool_options() -> SqlitePoolOptions {
    // When a full disk fails a commit, SQLite ends the transaction by itself; sqlx's own rollback then finds none, and
    // the connection counts itself inside one for ever, refusing every other. Such a connection is replaced.
    SqlitePoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// A file that is damaged in the middle would open, and refuse one notification or another later on.
///
/// Every page is read for it: a second or two for a hundred megabytes on a busy machine, which is no statement to warn of.
async fn expect_whole(options: SqliteConnectOptions) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut connection = options.disable_statement_logging().connect().await?;
    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    if verdict == "ok" { Ok(()) } else { Err(verdict.replace('\n', " ").into()) }
}

/// Who only reads cannot bring a schema up to date.
async fn expect_schema_of_this_release(reader: &SqlitePool, path: PathBuf) -> Result<(), StoreError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
        .fetch_one(reader)
        .await
        .map_err(|error| StoreError::Open { path: path.clone(), cause: error.into() })?;
    let expected = MIGRATIONS.iter().map(|(version, ..)| *version).max();
    match found.cmp(&expected) {
        Ordering::Less => Err(StoreError::Earlier { path }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(StoreError::Newer { path }),
    }
}

fn migrator() -> Migrator {
    let steps = MIGRATIONS.iter().map(|&(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}

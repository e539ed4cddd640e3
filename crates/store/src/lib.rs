//! What must survive a restart: alerts, the watchdog's pulse, what was written to the page, outages, and the content of
//! the built-in page.
//!
//! Each unit of work loads what it concerns, lets the core decide, and saves the result, in one transaction. Times are
//! integers in milliseconds, and order is decided by data. What only SQLite has is in `sqlite.rs`, but for `instr`.

mod alert_rows;
mod alert_table;
mod alerts;
mod history;
mod ledger;
mod modifiers;
mod page;
mod recovery;
mod sqlite;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

use self::alert_table::{AlertLog, Alerts};
pub use self::alerts::AlertChanges;
use self::alerts::Recordings;
pub use self::ledger::Made;
use self::page::PageWriter;
pub use self::page::{Announcement, ComponentChange, GroupChange, NewIncident, PageTables};
pub use self::sqlite::StoreLock;
use alertmanager_cachet_core::expiry::Leases;
pub use alertmanager_cachet_core::merge::{Recorded, Statements};
use alertmanager_cachet_core::time::Timestamp;

/// The purpose of a store operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum StoreOperation {
    /// Keeping what a notification says.
    Record,
    /// Reading alerts, and what was written to the page.
    Read,
    /// Keeping what is written to the page, and what it shows.
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
    /// One connection that is kept, for [`PageTables::data_version`]: the number is the connection's own.
    watcher: SqlitePool,
    /// See [`PageTables::own_writes`].
    page_writes: Arc<AtomicU64>,
    /// See [`PageTables::edits`].
    page_edits: Arc<AtomicU64>,
    recordings: Arc<Recordings>,
    /// The alerts in memory; `None`: they have to be read. Whoever writes alerts holds its guard until the commit.
    alerts: Arc<tokio::sync::Mutex<Option<Alerts>>>,
    alert_log: Arc<Mutex<AlertLog>>,
    /// The leases in Alertmanager's latest list. Not stored: the list is read again after a restart.
    leases: Arc<Mutex<Arc<Leases>>>,
    observer: Option<Arc<dyn StoreObserver>>,
    /// Whether another process may write to it meanwhile.
    is_read_only: bool,
    /// The database file; `None` for a store in memory, beside which nothing is kept.
    path: Option<Arc<Path>>,
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
    /// Another program has written alerts since they were read. They are read again at the next use.
    #[error("another program has written alerts to the store: let only one server use it, and send this again")]
    OtherWriter,
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

impl StoreError {
    /// Whether what was to be written refers to something that is not there.
    pub fn is_of_missing_row(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_foreign_key_violation())
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

impl Store {
    fn on(writer: SqlitePool, reader: SqlitePool, path: Option<&Path>) -> Self {
        Self {
            watcher: sqlite::watcher(&reader),
            writer,
            reader,
            page_writes: Arc::default(),
            page_edits: Arc::default(),
            recordings: Arc::default(),
            alerts: Arc::default(),
            alert_log: Arc::default(),
            leases: Arc::default(),
            observer: None,
            is_read_only: false,
            path: path.map(Arc::from),
        }
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

    /// Begins a transaction that writes. No other writes until it ends.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Runs `work` in one transaction that writes, and commits it. No other writes until it ends; after an error nothing of it
    /// is kept.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.begin().await?;
        let done = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// The tables of the built-in page, for operators to work on.
    pub fn page(&self) -> PageTables {
        PageTables { store: self.clone(), writer: PageWriter::Operator }
    }

    /// The tables of the built-in page, for the engine: what it writes is no edit ([`PageTables::edits`]).
    pub fn page_for_engine(&self) -> PageTables {
        PageTables { store: self.clone(), writer: PageWriter::Engine }
    }

    /// Writes an alert, as a notification does, and takes it away again before anybody can see it.
    ///
    /// It is committed, at the price of one wait for the disk: what is rolled back never gets there, and so would not
    /// tell a full disk from a working one.
    ///
    /// # Errors
    /// [`StoreError::Database`] if nothing can be stored now.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let probe = self.write(async |db| {
            // No alert has an empty fingerprint.
            sqlx::query(
                "INSERT INTO alerts (fingerprint, name, target, critical, starts_at_ms, state, last_seen_ms) \
                 VALUES ('', '', '', 0, 0, 'resolved', 0)",
            )
            .execute(&mut *db)
            .await?;
            sqlx::query("DELETE FROM alerts WHERE fingerprint = ''").execute(&mut *db).await?;
            Ok(())
        });
        self.measured(StoreOperation::Probe, probe).await
    }

    /// The one connection that writes.
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Connections that read.
    pub fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Stores what is not stored yet, waits for running statements and closes every connection.
    pub async fn close(&self) {
        // Nothing is answered from memory any more.
        if let Some(mut alerts) = self.alerts.lock().await.take()
            && let Err(error) = self.save_last_seen_of(&mut alerts).await
        {
            tracing::warn!("when alerts were last heard of could not be stored: {error}");
        }
        self.watcher.close().await;
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A column with a time.
fn timestamp(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get(column).map(Timestamp::from_millis)
}

/// A column with a time, or NULL.
fn optional_timestamp(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    row.try_get::<Option<i64>, _>(column).map(|millis| millis.map(Timestamp::from_millis))
}

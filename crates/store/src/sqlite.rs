//! The store as an SQLite file: it is opened, checked, migrated, copied and locked here.
//!
//! One connection writes, several read beside it (WAL).

use std::cmp::Ordering;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row, SqlSafeStr, SqlitePool};

use super::{Store, StoreError};
use alertmanager_cachet_core::target::{COMPONENT_LIMIT, NAME_LIMIT, Target};

/// How many connections read at the same time.
const READERS: u32 = 4;

/// How much each of them keeps of the file, in KiB with a minus sign (SQLite's `cache_size`). Mostly they read all of a table,
/// for which the system's own cache does, and memory is for targets.
const READER_CACHE: &str = "-256";

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
    (11, "built-in page", include_str!("../migrations/0011_builtin_page.sql")),
    (12, "ledger of writes to components", include_str!("../migrations/0012_ledger.sql")),
    (13, "outages with their incidents", include_str!("../migrations/0013_outages.sql")),
    (14, "components of the page in rows", include_str!("../migrations/0014_observed_components.sql")),
    (15, "fewer indexes", include_str!("../migrations/0015_fewer_indexes.sql")),
    (16, "alerts in the order of their arrival", include_str!("../migrations/0016_alerts_by_arrival.sql")),
];

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
        .map_err(cannot_open(&path))??;
        let options = connect_options(&path).create_if_missing(true);
        // A file that is damaged in the middle would open, and refuse one notification or another later on. Every page is read
        // for it: a second or two for a hundred megabytes on a busy machine, which is no statement to warn of.
        let check = async || {
            let mut connection = options.clone().disable_statement_logging().connect().await?;
            let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(verdict)
        };
        let verdict = check().await.map_err(cannot_open(&path))?;
        if verdict != "ok" {
            return Err(cannot_open(&path)(verdict.replace('\n', " ")));
        }
        let writer = pool_options().max_connections(1).connect_with(options.clone()).await;
        let writer = writer.map_err(cannot_open(&path))?;
        copy_before_migration(&writer, &path).await?;
        migrate(&writer, &path).await?;
        drop_unacceptable_rows(&writer).await?;
        name_targets_by_key(&writer).await?;
        let reader = options.read_only(true).pragma("cache_size", READER_CACHE);
        let reader = pool_options().max_connections(READERS).connect_with(reader).await;
        Ok(Self::on(writer, reader.map_err(cannot_open(&path))?, Some(&path)))
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
        let options = connect_options(&path).read_only(true);
        let reader = pool_options().max_connections(READERS).connect_with(options).await;
        let reader = reader.map_err(cannot_open(&path))?;
        // Who only reads cannot bring a schema up to date.
        let found = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&reader).await;
        let found: Option<i64> = found.map_err(cannot_open(&path))?;
        match found.cmp(&MIGRATIONS.iter().map(|(version, ..)| *version).max()) {
            Ordering::Less => Err(StoreError::Earlier { path }),
            Ordering::Equal => Ok(Self { is_read_only: true, ..Self::on(reader.clone(), reader, Some(&path)) }),
            Ordering::Greater => Err(StoreError::Newer { path }),
        }
    }

    /// Opens a copy of the store in memory, with the schema of this release; an empty one if there is no store yet. No
    /// file is made or changed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_copy_in_memory(url: &str) -> Result<Self, StoreError> {
        let path = database_path(url)?;
        Self::in_memory(&path, path.exists().then_some(path.as_path())).await
    }

    /// Opens an empty store in memory, which no file backs.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_in_memory() -> Result<Self, StoreError> {
        Self::in_memory(Path::new(":memory:"), None).await
    }

    /// A store in memory that errors call `name`, with the content of the file `copied`.
    async fn in_memory(name: &Path, copied: Option<&Path>) -> Result<Self, StoreError> {
        let options: SqliteConnectOptions = "sqlite::memory:".parse().map_err(cannot_open(name))?;
        let memory = options.get_filename().display().to_string();
        let options = options.foreign_keys(true);
        // The content goes with the last connection, so this one lives as long as the store.
        let writer = pool_options().max_connections(1).idle_timeout(None).max_lifetime(None);
        let writer = writer.connect_with(options.clone()).await.map_err(cannot_open(name))?;
        if let Some(path) = copied {
            copy(path, &memory).await.map_err(cannot_open(path))?;
        }
        migrate(&writer, name).await?;
        let reader = pool_options().max_connections(READERS).connect_with(options).await;
        Ok(Self::on(writer, reader.map_err(cannot_open(name))?, None))
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
}

/// A [`StoreError::Open`] with its cause.
fn cannot_open<E: Into<Box<dyn std::error::Error + Send + Sync>>>(path: &Path) -> impl FnOnce(E) -> StoreError {
    |cause| StoreError::Open { path: path.to_owned(), cause: cause.into() }
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
pub(super) fn beside(database: &Path, extension: &str) -> PathBuf {
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
        // How many rows of an answer wait for their reader: a thread of its own reads them, and each stop costs a switch.
        .row_buffer_size(1024)
        // Pages are moved from the log into the file once 16 MiB of them wait, and not at 4: most are written again before.
        .pragma("wal_autocheckpoint", "4000")
}

fn pool_options() -> SqlitePoolOptions {
    // When a full disk fails a commit, SQLite ends the transaction by itself; sqlx's own rollback then finds none, and
    // the connection counts itself inside one for ever, refusing every other. Such a connection is replaced.
    SqlitePoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not hang up.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// One connection like those of `reader`, made when it is first used and kept.
pub(super) fn watcher(reader: &SqlitePool) -> SqlitePool {
    let options = pool_options().max_connections(1).idle_timeout(None).max_lifetime(None);
    options.connect_lazy_with(SqliteConnectOptions::clone(&reader.connect_options()))
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let steps = MIGRATIONS.iter().map(|&(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect()).run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(_) => StoreError::Newer { path: path.to_owned() },
        error => cannot_open(path)(error),
    })
}

/// Copies the database to `<name>.schema-<version>` in the same folder, if its schema is older than that of this release.
/// An existing copy of that version is older than the database, so it is replaced.
///
/// # Errors
/// [`StoreError::Copy`] if the copy cannot be made; then nothing was changed.
async fn copy_before_migration(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations')";
    if !sqlx::query_scalar::<_, bool>(exists).fetch_one(writer).await? {
        return Ok(());
    }
    let version = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(writer).await?;
    let Some::<i64>(version) = version else { return Ok(()) };
    if MIGRATIONS.iter().all(|(step, ..)| *step <= version) {
        return Ok(());
    }
    let copy = beside(path, &format!("schema-{version}"));
    let unfinished = beside(path, &format!("schema-{version}.unfinished"));
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Copy { copy: copy.clone(), cause };
    // A crash may have left an unfinished copy, and `VACUUM INTO` refuses to write to a file that is not empty.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.into())),
        _ => {}
    }
    let written = sqlx::query("VACUUM INTO $1").bind(unfinished.to_string_lossy().into_owned()).execute(writer).await;
    written.map_err(|error| failed(error.into()))?;
    fs::rename(&unfinished, &copy).map_err(|error| failed(error.into()))?;
    tracing::info!("migrating the schema of the store; a copy from before the migration is in {}", copy.display());
    Ok(())
}

/// Copies the database to the one in memory of that name.
async fn copy(path: &Path, memory: &str) -> Result<(), sqlx::Error> {
    let exists = |suffix: &str| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        Path::new(&file).exists()
    };
    // Both files exist while a server has the store open, or after it was killed. Then they hold its latest commits.
    // Otherwise SQLite would create them, even for reading, unless the database is opened as immutable.
    let options = if exists("-wal") && exists("-shm") {
        // Without `readonly_shm`, SQLite would write its read locks to the shared memory file.
        let path = percent_encode(path.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC);
        SqliteConnectOptions::new().filename(format!("file:{path}?readonly_shm=1"))
    } else {
        SqliteConnectOptions::new().filename(path).immutable(true)
    };
    let options = options.read_only(true);
    let mut connection = options.connect().await?;
    sqlx::query("VACUUM INTO $1").bind(format!("{memory}?mode=memory&cache=shared")).execute(&mut connection).await?;
    connection.close().await
}

/// Gives the rows of targets in the ledger the names by which this release finds them: an earlier one kept the components in the
/// order in which the labels had them.
async fn name_targets_by_key(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let select = "SELECT name FROM ledger WHERE kind = 'target' AND instr(name, ', ') > 0";
    let names: Vec<String> = sqlx::query_scalar(select).fetch_all(writer).await?;
    for name in names {
        let Some(target) = Target::from_name(&name).filter(|target| target.name().key() != name) else { continue };
        let rename = "UPDATE OR REPLACE ledger SET name = $1 WHERE kind = 'target' AND name = $2";
        sqlx::query(rename).bind(target.name().key()).bind(&name).execute(writer).await?;
    }
    Ok(())
}

/// How the rows are found that this release may not accept ([`Target::is_acceptable`]): with at least as many separators as
/// the shortest list over the limit, a name that is longer than Cachet takes, or characters beyond printable ASCII. `$1` is
/// the number of separators, `$2` the length. Then how one is renamed, where it would be lost otherwise, and removed.
const MAYBE_UNACCEPTABLE: [(&str, Option<&str>, &str); 2] = [
    (
        "SELECT CAST(id AS TEXT) AS row_key, target, name FROM alerts \
         WHERE length(target) - length(replace(target, ',', '')) >= $1 OR length(target) > $2 OR length(name) > $2 \
         OR target GLOB '*[^ -~]*'",
        Some("UPDATE alerts SET target = $1 WHERE id = CAST($2 AS INTEGER)"),
        "DELETE FROM alerts WHERE id = CAST($1 AS INTEGER)",
    ),
    (
        "SELECT name AS row_key, name AS target, '' AS name FROM ledger WHERE kind = 'target' \
         AND (length(name) - length(replace(name, ',', '')) >= $1 OR length(name) > $2 OR name GLOB '*[^ -~]*')",
        // It is found again on the page.
        None,
        "DELETE FROM ledger WHERE kind = 'target' AND name = $1",
    ),
];

/// Gives alerts of an earlier release the names of this one, removes the other rows that this one does not accept, and logs
/// one warning.
///
/// An alert with thousands of component names costs more memory than a server has, at every start. If every row is
/// acceptable, nothing is written. Each row is written by itself, so a run that is cut off leaves the rest to the next.
async fn drop_unacceptable_rows(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut dropped = 0_u64;
    for (select, rename, delete) in MAYBE_UNACCEPTABLE {
        let separators = i64::try_from(COMPONENT_LIMIT).unwrap_or(i64::MAX);
        let length = i64::try_from(NAME_LIMIT).unwrap_or(i64::MAX);
        let rows = sqlx::query(select).bind(separators).bind(length).fetch_all(writer).await?;
        for row in rows {
            let (key, target): (String, String) = (row.try_get("row_key")?, row.try_get("target")?);
            let name: &str = row.try_get("name")?;
            if Target::is_acceptable(&target, name) {
                continue;
            }
            match rename.zip(Target::renamed(&target, name)) {
                Some((rename, renamed)) => {
                    sqlx::query(rename).bind(renamed.as_str()).bind(key).execute(writer).await?;
                }
                None => dropped += sqlx::query(delete).bind(key).execute(writer).await?.rows_affected(),
            }
        }
    }
    if dropped > 0 {
        tracing::warn!(
            dropped,
            "rows of the store were dropped, for they list more than {COMPONENT_LIMIT} components, or have a name of \
             more than {NAME_LIMIT} characters or with characters that nobody sees: mend the labels in the alert's rule"
        );
    }
    Ok(())
}

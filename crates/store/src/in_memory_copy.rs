//! A copy of the store in memory, for a run that must write no file.

use std::path::Path;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{READERS, Store, StoreError, database_path, migrator, pool_options};

impl Store {
    /// Opens a copy of the store in memory, with the schema of this release; an empty one if there is no store yet. No
    /// file is made or changed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_copy_in_memory(url: &str) -> Result<Self, StoreError> {
        let path = database_path(url)?;
        let open_error =
            |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Open { path: path.clone(), cause };
        let options: SqliteConnectOptions =
            "sqlite::memory:".parse().map_err(|error: sqlx::Error| open_error(error.into()))?;
        let memory = options.get_filename().display().to_string();
        let options = options.foreign_keys(true);
        // The copy goes with the last connection, so this one lives as long as the store.
        let writer = pool_options().max_connections(1).idle_timeout(None).max_lifetime(None);
        let writer = writer.connect_with(options.clone()).await.map_err(|error| open_error(error.into()))?;
        if path.exists() {
            copy(&path, &memory).await.map_err(|error| open_error(error.into()))?;
        }
        migrator().run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) => StoreError::Newer { path: path.clone() },
            error => open_error(error.into()),
        })?;
        let reader = pool_options().max_connections(READERS).connect_with(options).await;
        let reader = reader.map_err(|error| open_error(error.into()))?;
        let (recordings, capacity, leases) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { writer, reader, recordings, capacity, leases, observer: None, path: path.as_path().into() })
    }
}

/// Copies the database to the one in memory of that name.
async fn copy(path: &Path, memory: &str) -> Result<(), sqlx::Error> {
    let beside = |suffix: &str| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        Path::new(&file).exists()
    };
    // Both files exist while a server has the store open, or after it was killed. Then they hold its latest commits.
    // Otherwise SQLite would create them, even for reading, unless the database is opened as immutable.
    let options = if beside("-wal") && beside("-shm") {
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

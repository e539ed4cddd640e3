//! Copies the store before its schema is migrated, so that an operator can go back to the previous release.

use std::fs;
use std::path::Path;

use sqlx::sqlite::SqlitePool;

use super::{MIGRATIONS, StoreError, beside};

/// Copies the database to `<name>.schema-<version>` in the same folder, if its schema is older than that of this release.
/// An existing copy of that version is older than the database, so it is replaced.
///
/// # Errors
/// [`StoreError::Copy`] if the copy cannot be made; then nothing was changed.
pub(super) async fn keep_copy(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let Some(version) = schema(writer).await? else { return Ok(()) };
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

/// The schema version of the database: its last migration. `None` for a new database.
async fn schema(writer: &SqlitePool) -> Result<Option<i64>, StoreError> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations')";
    if !sqlx::query_scalar::<_, bool>(exists).fetch_one(writer).await? {
        return Ok(None);
    }
    Ok(sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(writer).await?)
}

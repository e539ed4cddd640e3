//! The copy that is kept of a store before its schema is changed, so that one can go back to the release before.

use std::fs;
use std::path::Path;

use sqlx::sqlite::SqlitePool;

use super::{MIGRATIONS, StoreError, beside};

/// Copies the database to `<name>.schema-<version>`, beside it, if it has an earlier schema than this release. A copy that
/// is there already is replaced: the database that has that schema now is the newer one.
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
    // SQLite does not write over what is there, and a crash may have left a part of it.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error.into())),
        _ => {}
    }
    let written = sqlx::query("VACUUM INTO $1").bind(unfinished.to_string_lossy().into_owned()).execute(writer).await;
    written.map_err(|error| failed(error.into()))?;
    fs::rename(&unfinished, &copy).map_err(|error| failed(error.into()))?;
    tracing::info!("the store is brought up to date; as it was, it is kept in {}", copy.display());
    Ok(())
}

/// The last step that the database has; `None` for a new one.
async fn schema(writer: &SqlitePool) -> Result<Option<i64>, StoreError> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations')";
    if !sqlx::query_scalar::<_, bool>(exists).fetch_one(writer).await? {
        return Ok(None);
    }
    Ok(sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(writer).await?)
}

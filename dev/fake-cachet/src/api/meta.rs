//! `meta`: data that a client attaches to a component, group, incident or schedule.

use serde_json::{Map, Value, json};
use sqlx::{Row, SqliteConnection};

use super::answer::Refusal;
use super::document::Resource;

/// Replaces the meta of a record.
pub async fn replace(
    db: &mut SqliteConnection,
    kind: &'static str,
    id: i64,
    meta: &Map<String, Value>,
) -> Result<(), Refusal> {
    remove(db, kind, id).await?;
    for (name, value) in meta {
        sqlx::query("INSERT INTO meta (kind, owner_id, name, value, matched) VALUES (?, ?, ?, ?, ?)")
            .bind(kind)
            .bind(id)
            .bind(name)
            .bind(value.to_string())
            .bind(matched(value))
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Removes the meta of a record.
pub async fn remove(db: &mut SqliteConnection, kind: &'static str, id: i64) -> Result<(), Refusal> {
    sqlx::query("DELETE FROM meta WHERE kind = ? AND owner_id = ?").bind(kind).bind(id).execute(db).await?;
    Ok(())
}

/// Adds the meta to the attributes of a resource. Without any it is `[]`, as PHP writes an empty array.
pub async fn show(db: &mut SqliteConnection, resource: &mut Resource) -> Result<(), Refusal> {
    let rows = sqlx::query("SELECT name, value FROM meta WHERE kind = ? AND owner_id = ?")
        .bind(resource.kind)
        .bind(resource.id)
        .fetch_all(db)
        .await?;
    let mut meta = Map::new();
    for row in rows {
        let value: String = row.try_get("value")?;
        meta.insert(row.try_get("name")?, serde_json::from_str(&value).unwrap_or_default());
    }
    let meta = if meta.is_empty() { json!([]) } else { meta.into() };
    resource.attributes.insert("meta".to_owned(), meta);
    Ok(())
}

/// A value as a filter writes it.
fn matched(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => i32::from(*flag).to_string(),
        other => other.to_string(),
    }
}

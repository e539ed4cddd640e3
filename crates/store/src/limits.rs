//! Rows that an earlier release kept and that this one does not take: they are over its limits, or have names with
//! characters that it takes off.

use sqlx::{Row, SqlitePool};

use alertmanager_cachet_core::target::{COMPONENT_LIMIT, NAME_LIMIT, Target};

/// The rows that may be such ones: at least as many separators as the shortest list over the limit has, a name that is
/// longer than Cachet takes, or characters beyond printable ASCII. `$1` is the number of separators, `$2` the length. Then
/// how one is renamed, where it would be lost otherwise, and removed.
const MAYBE_NOT_TAKEN: [(&str, Option<&str>, &str); 2] = [
    (
        "SELECT rowid, target, name FROM alerts \
         WHERE length(target) - length(replace(target, ',', '')) >= $1 OR length(target) > $2 OR length(name) > $2 \
         OR target GLOB '*[^ -~]*'",
        Some("UPDATE alerts SET target = $1 WHERE rowid = $2"),
        "DELETE FROM alerts WHERE rowid = $1",
    ),
    (
        "SELECT rowid, name AS target, '' AS name FROM applied WHERE kind = 'target' \
         AND (length(name) - length(replace(name, ',', '')) >= $1 OR length(name) > $2 OR name GLOB '*[^ -~]*')",
        // It is found again on the page.
        None,
        "DELETE FROM applied WHERE rowid = $1",
    ),
];

/// Whether a row with this target and alert name is no longer taken. `false` for a row that is corrupt for another reason.
pub(super) fn is_not_taken(target: &str, name: &str) -> bool {
    let is_long = |text: &str| text.chars().nth(NAME_LIMIT).is_some();
    let may_be = is_long(target)
        || target.matches(',').nth(COMPONENT_LIMIT - 1).is_some()
        || target.chars().any(|character| !matches!(character, ' '..='~'));
    is_long(name) || may_be && Target::from_name(target).is_none()
}

/// Has alerts have the names of this release, removes the other rows that it does not take, and warns once of all of them.
///
/// An alert with thousands of component names costs more memory than a server has, at every start. Where every row is
/// taken, nothing is written. Each row stands for itself, so a run that is cut off leaves the rest to the next.
pub(super) async fn drop_rows_not_taken(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut dropped = 0_u64;
    for (select, rename, delete) in MAYBE_NOT_TAKEN {
        let separators = i64::try_from(COMPONENT_LIMIT).unwrap_or(i64::MAX);
        let length = i64::try_from(NAME_LIMIT).unwrap_or(i64::MAX);
        let rows = sqlx::query(select).bind(separators).bind(length).fetch_all(writer).await?;
        for row in rows {
            let (rowid, target): (i64, String) = (row.try_get("rowid")?, row.try_get("target")?);
            let name: &str = row.try_get("name")?;
            if !is_not_taken(&target, name) {
                continue;
            }
            let renamed = Target::from_earlier_name(&target).map(|target| target.name());
            match rename.zip(renamed.filter(|renamed| !is_not_taken(renamed.as_str(), name))) {
                Some((rename, renamed)) => {
                    sqlx::query(rename).bind(renamed.as_str()).bind(rowid).execute(writer).await?;
                }
                None => dropped += sqlx::query(delete).bind(rowid).execute(writer).await?.rows_affected(),
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

//! Rows that an earlier release kept and that are over the limits of this one.

use sqlx::{Row, SqlitePool};

use alertmanager_cachet_core::target::{COMPONENT_LIMIT, NAME_LIMIT, Target};

/// The rows that may be over a limit: at least as many separators as the shortest list over the limit has, or a name
/// that is longer than Cachet takes. `$1` is the number of separators, `$2` the length.
const MAYBE_OVER: [(&str, &str); 2] = [
    (
        "SELECT rowid, target, name FROM alerts \
         WHERE length(target) - length(replace(target, ',', '')) >= $1 OR length(target) > $2 OR length(name) > $2",
        "DELETE FROM alerts WHERE rowid = $1",
    ),
    (
        "SELECT rowid, name AS target, '' AS name FROM applied WHERE kind = 'target' \
         AND (length(name) - length(replace(name, ',', '')) >= $1 OR length(name) > $2)",
        "DELETE FROM applied WHERE rowid = $1",
    ),
];

/// Whether a row with this target and alert name is over the limits. `false` for a row that is corrupt for another reason.
pub(super) fn is_over_limits(target: &str, name: &str) -> bool {
    let is_long = |text: &str| text.chars().nth(NAME_LIMIT).is_some();
    let may_be = is_long(target) || target.matches(',').nth(COMPONENT_LIMIT - 1).is_some();
    is_long(name) || may_be && Target::from_name(target).is_none()
}

/// Removes the rows that are over the limits, and warns once of all of them.
///
/// An alert with thousands of component names costs more memory than a server has, at every start. Where nothing is over
/// the limits, nothing is written. Each row stands for itself, so a run that is cut off leaves the rest to the next.
pub(super) async fn drop_rows_over_limits(writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let mut dropped = 0_u64;
    for (select, delete) in MAYBE_OVER {
        let separators = i64::try_from(COMPONENT_LIMIT).unwrap_or(i64::MAX);
        let length = i64::try_from(NAME_LIMIT).unwrap_or(i64::MAX);
        let rows = sqlx::query(select).bind(separators).bind(length).fetch_all(writer).await?;
        for row in rows {
            let target: String = row.try_get("target")?;
            if is_over_limits(&target, row.try_get("name")?) {
                let rowid: i64 = row.try_get("rowid")?;
                dropped += sqlx::query(delete).bind(rowid).execute(writer).await?.rows_affected();
            }
        }
    }
    if dropped > 0 {
        tracing::warn!(
            dropped,
            "rows of the store were dropped, for they list more than {COMPONENT_LIMIT} components or have a name of \
             more than {NAME_LIMIT} characters: shorten the labels in the alert's rule"
        );
    }
    Ok(())
}

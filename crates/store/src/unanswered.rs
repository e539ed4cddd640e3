//! Writes to Cachet of which no answer is known.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StoreError;
use super::applied::{NO_COMPONENT, subject_of};
use alertmanager_cachet_core::observed::{ComponentId, IncidentId};
use alertmanager_cachet_core::plan::{UnansweredWrite, Written};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::target::ComponentName;
use alertmanager_cachet_core::time::Timestamp;

const COMPONENT: &str = "component";
const INCIDENT: &str = "incident";

/// The columns of a write.
struct Columns<'a> {
    kind: &'static str,
    cachet_id: i64,
    status: u8,
    description: &'a str,
    component: &'a str,
    component_id: i64,
    sent_at_ms: i64,
}

impl<'a> Columns<'a> {
    fn of(write: &'a UnansweredWrite) -> Self {
        let sent_at_ms = write.sent_at.as_millis();
        match &write.what {
            Written::Component { id, status, description } => Self {
                kind: COMPONENT,
                cachet_id: id.0,
                status: status.value(),
                // No target's description is empty.
                description: description.as_deref().unwrap_or_default(),
                component: NO_COMPONENT,
                component_id: ComponentId::UNKNOWN.0,
                sent_at_ms,
            },
            Written::Incident { id, status, subject } => Self {
                kind: INCIDENT,
                cachet_id: id.0,
                status: status.value(),
                description: "",
                component: subject.component().map_or(NO_COMPONENT, ComponentName::as_str),
                component_id: subject.component_id().unwrap_or(ComponentId::UNKNOWN).0,
                sent_at_ms,
            },
        }
    }
}

/// A write is about to be sent.
pub(super) async fn sent(connection: &mut SqliteConnection, write: &UnansweredWrite) -> Result<(), StoreError> {
    let columns = Columns::of(write);
    sqlx::query(
        "INSERT INTO unanswered_writes \
         (number, kind, cachet_id, status, description, component, component_id, sent_at_ms) \
         SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM unanswered_writes",
    )
    .bind(columns.kind)
    .bind(columns.cachet_id)
    .bind(columns.status)
    .bind(columns.description)
    .bind(columns.component)
    .bind(columns.component_id)
    .bind(columns.sent_at_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// A write needs no remembering any more; of several that are alike, one.
pub(super) async fn answered(connection: &mut SqliteConnection, write: &UnansweredWrite) -> Result<(), StoreError> {
    let columns = Columns::of(write);
    sqlx::query(
        "DELETE FROM unanswered_writes WHERE number = (SELECT MIN(number) FROM unanswered_writes \
         WHERE kind = $1 AND cachet_id = $2 AND status = $3 AND description = $4 AND sent_at_ms = $5)",
    )
    .bind(columns.kind)
    .bind(columns.cachet_id)
    .bind(columns.status)
    .bind(columns.description)
    .bind(columns.sent_at_ms)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn unanswered_write_of(row: &SqliteRow) -> Result<UnansweredWrite, StoreError> {
    let number: i64 = row.try_get("number")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("write {number} without an answer: {what}") };
    let (id, status): (i64, i64) = (row.try_get("cachet_id")?, row.try_get("status")?);
    let what = match row.try_get::<String, _>("kind")?.as_str() {
        COMPONENT => {
            let status = ComponentStatus::from_value(status).ok_or_else(|| corrupt("unknown status"))?;
            let description = Some(row.try_get::<String, _>("description")?).filter(|text| !text.is_empty());
            Written::Component { id: ComponentId(id), status, description }
        }
        INCIDENT => {
            let status = IncidentStatus::from_value(status).ok_or_else(|| corrupt("unknown status"))?;
            let subject = subject_of(row, &format!("of incident {id}"))?;
            Written::Incident { id: IncidentId(id), status, subject }
        }
        _ => return Err(corrupt("neither to a component nor to an incident")),
    };
    Ok(UnansweredWrite { what, sent_at: Timestamp::from_millis(row.try_get("sent_at_ms")?) })
}

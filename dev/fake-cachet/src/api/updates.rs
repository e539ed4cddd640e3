//! Updates of incidents. The latest one sets the status of the incident, until a PUT of the incident sets another.

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use alertmanager_cachet_core::status::IncidentStatus;
use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Answer, Refusal};
use super::document::{self, Included, Resource, View};
use super::incidents::{self, Incident};
use super::list::{self, Rules};
use super::record::{self, Draft, Record};
use super::request::Call;
use super::times;
use super::validate::{Fields, Presence};

/// The type in documents, and the kind of ids.
pub const KIND: &str = "updates";

/// An update, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentUpdate {
    pub id: i64,
    pub incident: i64,
    pub status: IncidentStatus,
    pub message: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `POST /incidents/{id}/updates`: the incident gets the status of the update.
pub async fn create(call: &Call, db: &mut SqliteConnection, incident: &str) -> Result<Answer, Refusal> {
    let incident: Incident = record::find(call, db, &(), incident).await?;
    let mut fields = Fields::of(&call.input);
    let status = fields.choice("status", Presence::Required, incidents::status_of);
    let message = fields.text("message", Presence::Required);
    fields.finish()?;
    let update = IncidentUpdate {
        id: document::next_id(db, KIND).await?,
        incident: incident.id,
        status: status.unwrap_or(incident.status),
        message: message.unwrap_or_default(),
        created_at: call.now,
        updated_at: call.now,
    };
    update.save(db).await?;
    incidents::follow_latest_update(db, incident.id, call.now).await?;
    let resource = update.resource(call.now);
    Ok(Answer::Made(document::single(resource, Included::default(), &call.query)))
}

/// `PUT` and `PATCH /incidents/{id}/updates/{id}`: the incident gets the status if this is the latest update.
pub async fn update(call: &Call, db: &mut SqliteConnection, incident: &str, id: &str) -> Result<Answer, Refusal> {
    let incident: Incident = record::find(call, db, &(), incident).await?;
    let before: IncidentUpdate = record::find(call, db, &incident, id).await?;
    let mut fields = Fields::of(&call.input);
    let status = fields.choice("status", Presence::Optional, incidents::status_of);
    let message = fields.text("message", Presence::Optional);
    fields.finish()?;
    let mut after = before.clone();
    after.status = status.unwrap_or(before.status);
    after.message = message.unwrap_or_else(|| before.message.clone());
    if after != before {
        after.updated_at = call.now;
        after.save(db).await?;
    }
    let is_latest = latest(db, incident.id).await?.is_some_and(|latest| latest.id == after.id);
    if is_latest && after.status != before.status {
        incidents::follow_latest_update(db, incident.id, call.now).await?;
    }
    let resource = after.resource(call.now);
    Ok(Answer::Document(document::single(resource, Included::default(), &call.query)))
}

/// `DELETE /incidents/{id}/updates/{id}`: after the deletion of its latest update the incident gets the status of the one before.
pub async fn delete(call: &Call, db: &mut SqliteConnection, incident: &str, id: &str) -> Result<Answer, Refusal> {
    let incident: Incident = record::find(call, db, &(), incident).await?;
    let update: IncidentUpdate = record::find(call, db, &incident, id).await?;
    let was_latest = latest(db, incident.id).await?.is_some_and(|latest| latest.id == update.id);
    sqlx::query("DELETE FROM incident_updates WHERE id = ?").bind(update.id).execute(&mut *db).await?;
    if was_latest {
        incidents::follow_latest_update(db, incident.id, call.now).await?;
    }
    Ok(Answer::Nothing)
}

/// The updates of an incident, the oldest first.
pub async fn of_incident(db: &mut SqliteConnection, incident: i64) -> Result<Vec<IncidentUpdate>, sqlx::Error> {
    sqlx::query("SELECT * FROM incident_updates WHERE incident_id = ? ORDER BY created_at_ms, id")
        .bind(incident)
        .fetch_all(db)
        .await?
        .iter()
        .map(IncidentUpdate::read)
        .collect()
}

/// The latest update of an incident.
pub async fn latest(db: &mut SqliteConnection, incident: i64) -> Result<Option<IncidentUpdate>, sqlx::Error> {
    sqlx::query("SELECT * FROM incident_updates WHERE incident_id = ? ORDER BY created_at_ms DESC, id DESC LIMIT 1")
        .bind(incident)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(IncidentUpdate::read)
        .transpose()
}

impl Record for IncidentUpdate {
    const KIND: &'static str = KIND;
    const TABLE: &'static str = "incident_updates";
    const MODEL: &'static str = "Update";
    const RULES: Rules = Rules {
        includes: &["incident"],
        filters: &["status"],
        sorts: &[("status", "status"), ("created_at", "created_at_ms")],
        default_order: "id",
    };
    type Owner = Incident;

    fn id(&self) -> i64 {
        self.id
    }

    fn visible(_: &Call, incident: &Incident) -> QueryBuilder<Sqlite> {
        let mut select = QueryBuilder::new("SELECT * FROM incident_updates WHERE incident_id = ");
        select.push_bind(incident.id);
        select
    }

    fn narrow(select: &mut QueryBuilder<Sqlite>, call: &Call) {
        list::by_number(select, &call.query, "status", "status");
    }

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            incident: row.try_get("incident_id")?,
            status: document::stored_incident_status(row)?,
            message: row.try_get("message")?,
            created_at: document::moment(row, "created_at_ms")?,
            updated_at: document::moment(row, "updated_at_ms")?,
        })
    }

    async fn show(
        &self,
        incident: &Incident,
        draft: &mut Draft<'_>,
        _: &mut SqliteConnection,
    ) -> Result<Resource, Refusal> {
        let mut resource = self.resource(draft.call.now);
        if draft.includes.has("incident") {
            resource.relate_one("incident", incidents::KIND, Some(incident.id));
            draft.included.add(incident.resource(View::Stored, draft.call.now));
        }
        Ok(resource)
    }
}

impl IncidentUpdate {
    /// The resource of a document.
    pub fn resource(&self, now: Timestamp) -> Resource {
        let attributes = json!({
            "id": self.id,
            "updateable_id": self.incident,
            "updateable_type": "incident",
            "message": self.message,
            "status": document::incident_status(self.status),
            "created": times::document(Some(self.created_at), now),
            "updated": times::document(Some(self.updated_at), now),
        });
        Resource::new(KIND, self.id, attributes)
    }

    async fn save(&self, db: &mut SqliteConnection) -> Result<(), Refusal> {
        sqlx::query(
            "INSERT INTO incident_updates (id, incident_id, status, message, created_at_ms, updated_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, message = excluded.message, \
             updated_at_ms = excluded.updated_at_ms",
        )
        .bind(self.id)
        .bind(self.incident)
        .bind(i64::from(self.status.value()))
        .bind(&self.message)
        .bind(self.created_at.as_millis())
        .bind(self.updated_at.as_millis())
        .execute(db)
        .await?;
        Ok(())
    }
}

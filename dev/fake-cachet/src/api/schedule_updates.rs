//! Updates of schedules. An update may end the maintenance.

use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Answer, Refusal};
use super::document::{self, Included, Resource};
use super::list::Rules;
use super::record::{self, Draft, Record};
use super::request::Call;
use super::schedules::{self, Schedule};
use super::validate::{Fields, Presence};
use super::{times, updates};

/// The type in documents, and the kind of ids: shared with updates of incidents.
pub const KIND: &str = updates::KIND;

/// An update, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleUpdate {
    pub id: i64,
    pub schedule: i64,
    pub message: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `POST /schedules/{id}/updates`: with `completed_at`, the maintenance ends then.
pub async fn create(call: &Call, db: &mut SqliteConnection, schedule: &str) -> Result<Answer, Refusal> {
    let schedule: Schedule = record::find(call, db, &(), schedule).await?;
    let mut fields = Fields::of(&call.input);
    let message = fields.text("message", Presence::Required);
    let completed_at = fields.date_or_null("completed_at").flatten();
    fields.finish()?;
    let update = ScheduleUpdate {
        id: document::next_id(db, KIND).await?,
        schedule: schedule.id,
        message: message.unwrap_or_default(),
        created_at: call.now,
        updated_at: call.now,
    };
    update.save(db).await?;
    if let Some(completed_at) = completed_at {
        schedules::complete(db, schedule, completed_at, call.now).await?;
    }
    let resource = update.resource(call.now);
    Ok(Answer::Made(document::single(resource, Included::default(), &call.query)))
}

/// `PUT` and `PATCH /schedules/{id}/updates/{id}`.
pub async fn update(call: &Call, db: &mut SqliteConnection, schedule: &str, id: &str) -> Result<Answer, Refusal> {
    let schedule: Schedule = record::find(call, db, &(), schedule).await?;
    let before: ScheduleUpdate = record::find(call, db, &schedule, id).await?;
    let mut fields = Fields::of(&call.input);
    let message = fields.text("message", Presence::Optional);
    fields.finish()?;
    let mut after = before.clone();
    after.message = message.unwrap_or_else(|| before.message.clone());
    if after != before {
        after.updated_at = call.now;
        after.save(db).await?;
    }
    let resource = after.resource(call.now);
    Ok(Answer::Document(document::single(resource, Included::default(), &call.query)))
}

/// `DELETE /schedules/{id}/updates/{id}`.
pub async fn delete(call: &Call, db: &mut SqliteConnection, schedule: &str, id: &str) -> Result<Answer, Refusal> {
    let schedule: Schedule = record::find(call, db, &(), schedule).await?;
    let update: ScheduleUpdate = record::find(call, db, &schedule, id).await?;
    sqlx::query("DELETE FROM schedule_updates WHERE id = ?").bind(update.id).execute(db).await?;
    Ok(Answer::Nothing)
}

/// The updates of a schedule, the oldest first.
pub async fn of_schedule(db: &mut SqliteConnection, schedule: i64) -> Result<Vec<ScheduleUpdate>, sqlx::Error> {
    sqlx::query("SELECT * FROM schedule_updates WHERE schedule_id = ? ORDER BY created_at_ms, id")
        .bind(schedule)
        .fetch_all(db)
        .await?
        .iter()
        .map(ScheduleUpdate::read)
        .collect()
}

impl Record for ScheduleUpdate {
    const KIND: &'static str = KIND;
    const TABLE: &'static str = "schedule_updates";
    const MODEL: &'static str = "Update";
    const RULES: Rules =
        Rules { includes: &["schedule"], filters: &[], sorts: &[("created_at", "created_at_ms")], default_order: "id" };
    type Owner = Schedule;

    fn id(&self) -> i64 {
        self.id
    }

    fn visible(_: &Call, schedule: &Schedule) -> QueryBuilder<Sqlite> {
        let mut select = QueryBuilder::new("SELECT * FROM schedule_updates WHERE schedule_id = ");
        select.push_bind(schedule.id);
        select
    }

    /// There are no filters.
    fn narrow(_: &mut QueryBuilder<Sqlite>, _: &Call) {}

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            schedule: row.try_get("schedule_id")?,
            message: row.try_get("message")?,
            created_at: document::moment(row, "created_at_ms")?,
            updated_at: document::moment(row, "updated_at_ms")?,
        })
    }

    async fn show(
        &self,
        schedule: &Schedule,
        draft: &mut Draft<'_>,
        _: &mut SqliteConnection,
    ) -> Result<Resource, Refusal> {
        let mut resource = self.resource(draft.call.now);
        if draft.includes.has("schedule") {
            resource.relate_one("schedule", schedules::KIND, Some(schedule.id));
            draft.included.add(schedule.resource(draft.call.now));
        }
        Ok(resource)
    }
}

impl ScheduleUpdate {
    /// The resource of a document.
    pub fn resource(&self, now: Timestamp) -> Resource {
        let attributes = json!({
            "id": self.id,
            "updateable_id": self.schedule,
            "updateable_type": "schedule",
            "message": self.message,
            "created": times::document(Some(self.created_at), now),
            "updated": times::document(Some(self.updated_at), now),
        });
        Resource::new(KIND, self.id, attributes)
    }

    async fn save(&self, db: &mut SqliteConnection) -> Result<(), Refusal> {
        sqlx::query(
            "INSERT INTO schedule_updates (id, schedule_id, message, created_at_ms, updated_at_ms) \
             VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET message = excluded.message, updated_at_ms = excluded.updated_at_ms",
        )
        .bind(self.id)
        .bind(self.schedule)
        .bind(&self.message)
        .bind(self.created_at.as_millis())
        .bind(self.updated_at.as_millis())
        .execute(db)
        .await?;
        Ok(())
    }
}

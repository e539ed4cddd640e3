//! Planned maintenance, which Cachet calls schedules. The status of one follows from its times.

use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use alertmanager_cachet_core::status::{ComponentStatus, ScheduleStatus};
use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Answer, Refusal};
use super::document::{self, Included, Resource};
use super::list::{self, Rules};
use super::record::{self, Draft, Record};
use super::request::{Call, Viewer};
use super::validate::{Fields, Presence};
use super::{attached, components, meta, schedule_updates, times};

/// The type in documents, and the kind of ids and meta.
pub const KIND: &str = "schedules";

/// A planned maintenance, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub id: i64,
    pub name: String,
    pub message: String,
    /// When it begins.
    pub scheduled_at: Timestamp,
    /// When it ends; `None`: until somebody ends it.
    pub completed_at: Option<Timestamp>,
    pub published_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `POST /schedules`.
pub async fn create(call: &Call, db: &mut SqliteConnection) -> Result<Answer, Refusal> {
    let input = Input::read(call, db, Presence::Required).await?;
    let blank = Schedule {
        id: document::next_id(db, KIND).await?,
        name: String::new(),
        message: String::new(),
        scheduled_at: call.now,
        completed_at: None,
        published_at: call.now,
        created_at: call.now,
        updated_at: call.now,
    };
    let schedule = input.over(blank, call.now);
    schedule.save(db).await?;
    input.attach(db, schedule.id).await?;
    let resource = schedule.resource(call.now);
    Ok(Answer::Made(document::single(resource, Included::default(), &call.query)))
}

/// `PUT` and `PATCH /schedules/{id}`: fields that are not sent keep their values; a list of components replaces the old one.
pub async fn update(call: &Call, db: &mut SqliteConnection, id: &str) -> Result<Answer, Refusal> {
    let before: Schedule = record::find(call, db, &(), id).await?;
    let input = Input::read(call, db, Presence::Optional).await?;
    let mut after = input.over(before.clone(), call.now);
    if after != before {
        after.updated_at = call.now;
        after.save(db).await?;
    }
    input.attach(db, after.id).await?;
    let resource = after.resource(call.now);
    Ok(Answer::Document(document::single(resource, Included::default(), &call.query)))
}

/// Ends the schedule at `completed_at`.
pub async fn complete(
    db: &mut SqliteConnection,
    schedule: Schedule,
    completed_at: Timestamp,
    now: Timestamp,
) -> Result<(), Refusal> {
    Schedule { completed_at: Some(completed_at), updated_at: now, ..schedule }.save(db).await
}

/// The components of maintenance in progress, each with its attached status, once for each schedule.
pub async fn in_progress(
    db: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<(i64, ComponentStatus)>, sqlx::Error> {
    let select = format!(
        "SELECT attached.component_id, attached.status FROM schedule_components attached \
         JOIN schedules ON schedules.id = attached.schedule_id \
         WHERE published_at_ms <= ? AND {} = ?",
        status_sql(now)
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(now.as_millis())
        .bind(i64::from(ScheduleStatus::InProgress.value()))
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("component_id")?, document::stored_component_status(row)?))).collect()
}

impl Record for Schedule {
    const KIND: &'static str = KIND;
    const TABLE: &'static str = "schedules";
    const MODEL: &'static str = "Schedule";
    const RULES: Rules = Rules {
        includes: &[
            "components",
            "componentsCount",
            "componentsExists",
            "updates",
            "updatesCount",
            "updatesExists",
            "user",
            "userCount",
            "userExists",
            "meta",
            "metaCount",
            "metaExists",
        ],
        filters: &["name", "status", "meta"],
        sorts: &[
            ("name", "name"),
            ("id", "id"),
            ("scheduled_at", "scheduled_at_ms"),
            // NULL comes first in SQLite and last in PostgreSQL unless it is said
            ("completed_at", "COALESCE(completed_at_ms, -1)"),
        ],
        default_order: "id",
    };
    type Owner = ();

    fn id(&self) -> i64 {
        self.id
    }

    fn visible(call: &Call, (): &()) -> QueryBuilder<Sqlite> {
        visible_to(call.viewer, call.now)
    }

    fn narrow(select: &mut QueryBuilder<Sqlite>, call: &Call) {
        list::by_name(select, &call.query);
        list::by_number(select, &call.query, "status", &status_sql(call.now));
    }

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let completed_at: Option<i64> = row.try_get("completed_at_ms")?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            message: row.try_get("message")?,
            scheduled_at: document::moment(row, "scheduled_at_ms")?,
            completed_at: completed_at.map(Timestamp::from_millis),
            published_at: document::moment(row, "published_at_ms")?,
            created_at: document::moment(row, "created_at_ms")?,
            updated_at: document::moment(row, "updated_at_ms")?,
        })
    }

    async fn show(&self, (): &(), draft: &mut Draft<'_>, db: &mut SqliteConnection) -> Result<Resource, Refusal> {
        let call = draft.call;
        let mut resource = self.resource(call.now);
        if draft.includes.has("components") {
            let attached = components::of_schedule(db, self.id, call.viewer).await?;
            attached::relate(&mut resource, attached, draft, db).await?;
        }
        if draft.includes.has("updates") {
            let updates = schedule_updates::of_schedule(db, self.id).await?;
            resource.relate_many("updates", schedule_updates::KIND, updates.iter().map(|update| update.id));
            updates.iter().for_each(|update| draft.included.add(update.resource(call.now)));
        }
        Ok(resource)
    }
}

impl Schedule {
    /// The status at `now`. At the exact moments of beginning and end, it is still the status before, as in Cachet.
    pub fn status(&self, now: Timestamp) -> ScheduleStatus {
        match self.completed_at {
            _ if self.scheduled_at >= now => ScheduleStatus::Upcoming,
            Some(completed_at) if completed_at < now => ScheduleStatus::Complete,
            _ => ScheduleStatus::InProgress,
        }
    }

    /// The resource of a document.
    pub fn resource(&self, now: Timestamp) -> Resource {
        let status = self.status(now);
        let attributes = json!({
            "id": self.id,
            "name": self.name,
            "message": self.message,
            "status": { "human": status.word(), "value": status.value() },
            "scheduled": times::document(Some(self.scheduled_at), now),
            "completed": times::document(self.completed_at, now),
            "published": times::document(Some(self.published_at), now),
            "created": times::document(Some(self.created_at), now),
            "updated": times::document(Some(self.updated_at), now),
        });
        Resource::new(KIND, self.id, attributes)
    }

    async fn save(&self, db: &mut SqliteConnection) -> Result<(), Refusal> {
        sqlx::query(
            "INSERT INTO schedules (id, name, name_folded, message, scheduled_at_ms, completed_at_ms, \
             published_at_ms, created_at_ms, updated_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, \
             message = excluded.message, scheduled_at_ms = excluded.scheduled_at_ms, \
             completed_at_ms = excluded.completed_at_ms, published_at_ms = excluded.published_at_ms, \
             updated_at_ms = excluded.updated_at_ms",
        )
        .bind(self.id)
        .bind(&self.name)
        .bind(self.name.to_lowercase())
        .bind(&self.message)
        .bind(self.scheduled_at.as_millis())
        .bind(self.completed_at.map(Timestamp::as_millis))
        .bind(self.published_at.as_millis())
        .bind(self.created_at.as_millis())
        .bind(self.updated_at.as_millis())
        .execute(db)
        .await?;
        Ok(())
    }
}

/// The fields of a create or update. The outer `Option` of a time says whether it was sent, the inner one whether it is null.
struct Input {
    name: Option<String>,
    message: Option<String>,
    scheduled_at: Option<Timestamp>,
    completed_at: Option<Option<Timestamp>>,
    published_at: Option<Option<Timestamp>>,
    components: Option<Vec<(i64, ComponentStatus)>>,
    meta: Option<Map<String, Value>>,
}

impl Input {
    /// `presence` is that of name, message and beginning.
    async fn read(call: &Call, db: &mut SqliteConnection, presence: Presence) -> Result<Self, Refusal> {
        let mut fields = Fields::of(&call.input);
        let mut input = Self {
            name: fields.name("name", presence),
            message: fields.text("message", presence),
            scheduled_at: fields.date("scheduled_at", presence),
            completed_at: fields.date_or_null("completed_at"),
            published_at: fields.date_or_null("published_at"),
            components: None,
            meta: None,
        };
        let components = attached::read(&mut fields, db).await?;
        input.components = fields.has("components").then_some(components);
        input.meta = fields.meta("meta");
        fields.finish()?;
        Ok(input)
    }

    /// `schedule` with the fields that were sent.
    fn over(&self, schedule: Schedule, now: Timestamp) -> Schedule {
        Schedule {
            name: self.name.clone().unwrap_or(schedule.name),
            message: self.message.clone().unwrap_or(schedule.message),
            scheduled_at: self.scheduled_at.unwrap_or(schedule.scheduled_at),
            completed_at: self.completed_at.unwrap_or(schedule.completed_at),
            published_at: self.published_at.map_or(schedule.published_at, |said| said.unwrap_or(now)),
            ..schedule
        }
    }

    /// Stores the attached components and the meta, if they were sent.
    async fn attach(&self, db: &mut SqliteConnection, schedule: i64) -> Result<(), Refusal> {
        if let Some(components) = &self.components {
            sqlx::query("DELETE FROM schedule_components WHERE schedule_id = ?")
                .bind(schedule)
                .execute(&mut *db)
                .await?;
            for (component, status) in components {
                let insert = "INSERT INTO schedule_components (schedule_id, component_id, status) VALUES (?, ?, ?)";
                let row = sqlx::query(insert).bind(schedule).bind(component).bind(i64::from(status.value()));
                row.execute(&mut *db).await?;
            }
        }
        match &self.meta {
            Some(meta) => meta::replace(db, KIND, schedule, meta).await,
            None => Ok(()),
        }
    }
}

/// [`Schedule::status`] as SQL over `schedules`.
fn status_sql(now: Timestamp) -> String {
    let now = now.as_millis();
    let [upcoming, in_progress, complete] =
        [ScheduleStatus::Upcoming, ScheduleStatus::InProgress, ScheduleStatus::Complete].map(ScheduleStatus::value);
    format!(
        "(CASE WHEN scheduled_at_ms >= {now} THEN {upcoming} WHEN completed_at_ms < {now} THEN {complete} \
         ELSE {in_progress} END)"
    )
}

/// The query for the schedules that `viewer` may see, without further conditions.
fn visible_to(viewer: Viewer, now: Timestamp) -> QueryBuilder<Sqlite> {
    let mut select = QueryBuilder::new("SELECT * FROM schedules WHERE ");
    match viewer {
        Viewer::Owner => select.push("1 = 1"),
        Viewer::Guest => select.push("published_at_ms <= ").push_bind(now.as_millis()),
    };
    select
}

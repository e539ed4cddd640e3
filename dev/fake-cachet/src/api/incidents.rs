//! Incidents.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Answer, Refusal};
use super::document::{self, Included, Resource, View};
use super::list::{self, Rules};
use super::record::{self, Draft, Record};
use super::request::{Call, Viewer};
use super::validate::{Fields, Presence, integer_of};
use super::{attached, components, meta, times, updates};

/// The type in documents, and the kind of ids and meta.
pub const KIND: &str = "incidents";

/// A day, for `filter[occurs_on]`.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An incident, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub id: i64,
    pub guid: String,
    pub name: String,
    pub message: String,
    pub status: IncidentStatus,
    pub visible: bool,
    pub stickied: bool,
    pub notifications: bool,
    pub occurred_at: Option<Timestamp>,
    pub published_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `POST /incidents`. A guid or an idempotency key of the caller is ignored.
pub async fn create(call: &Call, db: &mut SqliteConnection) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(&call.input);
    let input = Input::read(&mut fields, Presence::Required);
    let impacts = read_impacts(&mut fields, db).await?;
    fields.finish()?;
    let id = document::next_id(db, KIND).await?;
    let blank = Incident {
        id,
        guid: guid(id),
        name: String::new(),
        message: String::new(),
        status: IncidentStatus::Reported,
        visible: false,
        stickied: false,
        notifications: false,
        occurred_at: None,
        published_at: call.now,
        created_at: call.now,
        updated_at: call.now,
    };
    let incident = input.over(blank);
    incident.save(db).await?;
    for (component, status) in impacts {
        sqlx::query("INSERT INTO incident_components (incident_id, component_id, status) VALUES (?, ?, ?)")
            .bind(incident.id)
            .bind(component)
            .bind(i64::from(status.value()))
            .execute(&mut *db)
            .await?;
    }
    if let Some(meta) = &input.meta {
        meta::replace(db, KIND, incident.id, meta).await?;
    }
    let resource = incident.resource(View::JustMade, call.now);
    Ok(Answer::Made(document::single(resource, Included::default(), &call.query)))
}

/// `PUT` and `PATCH /incidents/{id}`: fields that are not sent keep their values. Attached components cannot be changed.
pub async fn update(call: &Call, db: &mut SqliteConnection, id: &str) -> Result<Answer, Refusal> {
    let before: Incident = record::find(call, db, &(), id).await?;
    let mut fields = Fields::of(&call.input);
    let input = Input::read(&mut fields, Presence::Optional);
    fields.finish()?;
    let mut after = input.over(before.clone());
    if after != before {
        after.updated_at = call.now;
        after.save(db).await?;
    }
    if let Some(meta) = &input.meta {
        meta::replace(db, KIND, after.id, meta).await?;
    }
    let resource = after.resource(View::Stored, call.now);
    Ok(Answer::Document(document::single(resource, Included::default(), &call.query)))
}

/// The incidents of a component that the caller may see.
pub async fn of_component(db: &mut SqliteConnection, component: i64, call: &Call) -> Result<Vec<Resource>, Refusal> {
    let mut select = visible_to(call.viewer, call.now);
    select.push(" AND id IN (SELECT incident_id FROM incident_components WHERE component_id = ");
    select.push_bind(component).push(") ORDER BY id");
    let mut resources = Vec::new();
    for row in select.build().fetch_all(db).await? {
        resources.push(Incident::read(&row)?.resource(View::Stored, call.now));
    }
    Ok(resources)
}

/// The open incidents that guests see.
pub async fn open_for_guests(db: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Incident>, sqlx::Error> {
    let mut select = visible_to(Viewer::Guest, now);
    select.push(" AND status <> ").push_bind(i64::from(IncidentStatus::Fixed.value()));
    select.build().fetch_all(db).await?.iter().map(Incident::read).collect()
}

/// Gives the incident the status of its latest update, if it has one.
pub async fn follow_latest_update(db: &mut SqliteConnection, id: i64, now: Timestamp) -> Result<(), sqlx::Error> {
    let Some(latest) = updates::latest(db, id).await? else { return Ok(()) };
    sqlx::query("UPDATE incidents SET status = ?, updated_at_ms = ? WHERE id = ? AND status <> ?")
        .bind(i64::from(latest.status.value()))
        .bind(now.as_millis())
        .bind(id)
        .bind(i64::from(latest.status.value()))
        .execute(db)
        .await?;
    Ok(())
}

impl Record for Incident {
    const KIND: &'static str = KIND;
    const TABLE: &'static str = "incidents";
    const MODEL: &'static str = "Incident";
    const RULES: Rules = Rules {
        includes: &[
            "components",
            "componentsCount",
            "componentsExists",
            "components.group",
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
        filters: &["name", "status", "occurs_after", "occurs_before", "occurs_on", "meta"],
        sorts: &[("name", "name"), ("status", "status"), ("id", "id"), ("created_at", "created_at_ms")],
        default_order: "created_at_ms DESC, id",
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
        list::by_number(select, &call.query, "status", "status");
        by_occurrence(select, call);
    }

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let occurred_at: Option<i64> = row.try_get("occurred_at_ms")?;
        Ok(Self {
            id: row.try_get("id")?,
            guid: row.try_get("guid")?,
            name: row.try_get("name")?,
            message: row.try_get("message")?,
            status: document::stored_incident_status(row)?,
            visible: row.try_get("visible")?,
            stickied: row.try_get("stickied")?,
            notifications: row.try_get("notifications")?,
            occurred_at: occurred_at.map(Timestamp::from_millis),
            published_at: document::moment(row, "published_at_ms")?,
            created_at: document::moment(row, "created_at_ms")?,
            updated_at: document::moment(row, "updated_at_ms")?,
        })
    }

    async fn show(&self, (): &(), draft: &mut Draft<'_>, db: &mut SqliteConnection) -> Result<Resource, Refusal> {
        let call = draft.call;
        let mut resource = self.resource(View::Stored, call.now);
        if draft.includes.has("components") || draft.includes.has("components.group") {
            let attached = components::of_incident(db, self.id, call.viewer).await?;
            attached::relate(&mut resource, attached, draft, db).await?;
        }
        if draft.includes.has("updates") {
            let updates = updates::of_incident(db, self.id).await?;
            resource.relate_many("updates", updates::KIND, updates.iter().map(|update| update.id));
            updates.iter().for_each(|update| draft.included.add(update.resource(call.now)));
        }
        Ok(resource)
    }
}

impl Incident {
    /// The resource of a document.
    pub fn resource(&self, view: View, now: Timestamp) -> Resource {
        let notifications = match view {
            View::JustMade => json!(self.notifications),
            View::Stored => json!(i64::from(self.notifications)),
        };
        let attributes = json!({
            "id": self.id,
            "guid": self.guid,
            "name": self.name,
            "message": self.message,
            "visible": i64::from(self.visible),
            "stickied": self.stickied,
            "notifications": notifications,
            "status": document::incident_status(self.status),
            "occurred": times::document(self.occurred_at, now),
            "published": times::document(Some(self.published_at), now),
            "created": times::document(Some(self.created_at), now),
            "updated": times::document(Some(self.updated_at), now),
        });
        Resource::new(KIND, self.id, attributes)
    }

    async fn save(&self, db: &mut SqliteConnection) -> Result<(), Refusal> {
        sqlx::query(
            "INSERT INTO incidents (id, guid, name, name_folded, message, status, visible, stickied, \
             notifications, occurred_at_ms, published_at_ms, created_at_ms, updated_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, \
             message = excluded.message, status = excluded.status, visible = excluded.visible, \
             stickied = excluded.stickied, notifications = excluded.notifications, \
             occurred_at_ms = excluded.occurred_at_ms, published_at_ms = excluded.published_at_ms, \
             updated_at_ms = excluded.updated_at_ms",
        )
        .bind(self.id)
        .bind(&self.guid)
        .bind(&self.name)
        .bind(self.name.to_lowercase())
        .bind(&self.message)
        .bind(i64::from(self.status.value()))
        .bind(self.visible)
        .bind(self.stickied)
        .bind(self.notifications)
        .bind(self.occurred_at.map(Timestamp::as_millis))
        .bind(self.published_at.as_millis())
        .bind(self.created_at.as_millis())
        .bind(self.updated_at.as_millis())
        .execute(db)
        .await?;
        Ok(())
    }
}

/// The fields of a create or update, without components.
struct Input {
    name: Option<String>,
    status: Option<IncidentStatus>,
    message: Option<String>,
    visible: Option<bool>,
    stickied: Option<bool>,
    notifications: Option<bool>,
    occurred_at: Option<Timestamp>,
    published_at: Option<Timestamp>,
    meta: Option<Map<String, Value>>,
}

impl Input {
    /// `presence` is that of name and status; a create needs a message as well.
    fn read(fields: &mut Fields<'_>, presence: Presence) -> Self {
        Self {
            name: fields.name("name", presence),
            status: fields.choice("status", presence, status_of),
            message: match presence {
                Presence::Optional => fields.text("message", Presence::Optional),
                _ => read_message(fields),
            },
            visible: fields.flag("visible"),
            stickied: fields.flag("stickied"),
            notifications: fields.flag("notifications"),
            occurred_at: fields.date("occurred_at", Presence::Optional),
            published_at: fields.date("published_at", Presence::Optional),
            meta: fields.meta("meta"),
        }
    }

    /// `incident` with the fields that were sent.
    fn over(&self, incident: Incident) -> Incident {
        Incident {
            name: self.name.clone().unwrap_or(incident.name),
            message: self.message.clone().unwrap_or(incident.message),
            status: self.status.unwrap_or(incident.status),
            visible: self.visible.unwrap_or(incident.visible),
            stickied: self.stickied.unwrap_or(incident.stickied),
            notifications: self.notifications.unwrap_or(incident.notifications),
            occurred_at: self.occurred_at.or(incident.occurred_at),
            published_at: self.published_at.unwrap_or(incident.published_at),
            ..incident
        }
    }
}

/// The message of a create. Cachet accepts a template instead; there are none here, so every template is unknown.
fn read_message(fields: &mut Fields<'_>) -> Option<String> {
    let said = |fields: &Fields<'_>, field| fields.raw(field).is_some_and(|value| !value.is_null());
    match (said(fields, "message"), said(fields, "template")) {
        (false, false) => {
            fields.fault("message", "The message field is required when template is not present.");
            fields.fault("template", "The template field is required when message is not present.");
            None
        }
        (_, true) => {
            let message = fields.text("message", Presence::Optional);
            fields.selected_is_invalid("template");
            message
        }
        (true, false) => fields.text("message", Presence::Optional),
    }
}

/// The attached components: `components`, or `component_id` with `component_status`.
async fn read_impacts(
    fields: &mut Fields<'_>,
    db: &mut SqliteConnection,
) -> Result<Vec<(i64, ComponentStatus)>, Refusal> {
    let mut impacts = attached::read(fields, db).await?;
    let component = fields.integer("component_id");
    if let Some(id) = component
        && !components::exists(db, id).await?
    {
        fields.selected_is_invalid("component_id");
    }
    let status = fields.choice("component_status", Presence::Optional, components::status_of);
    if fields.has("component_id") && !fields.has("component_status") {
        fields.fault("component_status", "The component status field is required when component id is present.");
    }
    impacts.extend(component.zip(status));
    let mut seen = BTreeSet::new();
    impacts.retain(|(id, _)| seen.insert(*id));
    Ok(impacts)
}

/// A status from its number, which may be a string.
pub fn status_of(value: &Value) -> Option<IncidentStatus> {
    integer_of(value).and_then(IncidentStatus::from_value)
}

/// The filters by `occurred_at`. Incidents without one match none of them.
fn by_occurrence(select: &mut QueryBuilder<Sqlite>, call: &Call) {
    let date = |name| Some(call.query.member("filter", name).map(times::parse)?.map(Timestamp::as_millis));
    if let Some(from) = date("occurs_after") {
        select.push(" AND occurred_at_ms >= ").push_bind(from);
    }
    if let Some(to) = date("occurs_before") {
        select.push(" AND occurred_at_ms <= ").push_bind(to);
    }
    if let Some(on) = date("occurs_on") {
        let day = on.map(|moment| moment - moment.rem_euclid(DAY_MS));
        select.push(" AND occurred_at_ms >= ").push_bind(day);
        select.push(" AND occurred_at_ms < ").push_bind(day.map(|day| day + DAY_MS));
    }
}

/// The query for the incidents that `viewer` may see, without further conditions.
fn visible_to(viewer: Viewer, now: Timestamp) -> QueryBuilder<Sqlite> {
    let mut select = QueryBuilder::new("SELECT * FROM incidents WHERE ");
    match viewer {
        Viewer::Owner => select.push("1 = 1"),
        Viewer::Guest => select.push("visible = 1 AND published_at_ms <= ").push_bind(now.as_millis()),
    };
    select
}

/// Cachet's guids are random.
fn guid(id: i64) -> String {
    format!("00000000-0000-4000-8000-{id:012x}")
}

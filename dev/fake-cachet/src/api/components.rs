//! Components and their effective status.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Answer, Refusal};
use super::document::{self, Included, Resource};
use super::list::{self, Rules};
use super::record::{self, Draft, Record};
use super::request::{Call, Viewer};
use super::validate::{Fields, Presence, integer_of};
use super::{groups, incidents, meta, schedules, times};

/// The type in documents, and the kind of ids and meta.
pub const KIND: &str = "components";

/// What a guest may see of components, as SQL over `components`.
pub const FOR_GUESTS: &str = "(enabled = 1 AND \
    (group_id IS NULL OR group_id IN (SELECT id FROM component_groups WHERE visible = 1)))";

/// A component, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    pub id: i64,
    pub name: String,
    pub description: Option<String>,
    pub link: Option<String>,
    /// The status that was last set, without the effect of incidents.
    pub status: ComponentStatus,
    pub order: Option<i64>,
    pub enabled: bool,
    pub group: Option<i64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `POST /components`.
pub async fn create(call: &Call, db: &mut SqliteConnection) -> Result<Answer, Refusal> {
    let input = Input::read(call, db, Presence::RequiredAfterType).await?;
    let id = document::next_id(db, KIND).await?;
    let blank = Component {
        id,
        name: String::new(),
        description: None,
        link: None,
        status: ComponentStatus::Unknown,
        order: None,
        enabled: true,
        group: None,
        created_at: call.now,
        updated_at: call.now,
    };
    let component = input.over(blank);
    component.save(db).await?;
    if let Some(meta) = &input.meta {
        meta::replace(db, KIND, id, meta).await?;
    }
    let resource = component.resource(&Impacts::default(), call.now);
    Ok(Answer::Made(document::single(resource, Included::default(), &call.query)))
}

/// `PUT` and `PATCH /components/{id}`: fields that are not sent keep their values.
pub async fn update(call: &Call, db: &mut SqliteConnection, id: &str) -> Result<Answer, Refusal> {
    let before: Component = record::find(call, db, &(), id).await?;
    let input = Input::read(call, db, Presence::Optional).await?;
    let mut after = input.over(before.clone());
    if after != before {
        after.updated_at = call.now;
        after.save(db).await?;
    }
    if let Some(meta) = &input.meta {
        meta::replace(db, KIND, after.id, meta).await?;
    }
    let resource = after.resource(&impacts(db, call.now).await?, call.now);
    Ok(Answer::Document(document::single(resource, Included::default(), &call.query)))
}

/// The effect of open incidents and of maintenance in progress on components.
#[derive(Debug, Default)]
pub struct Impacts {
    /// The worst status that an open incident sets.
    incidents: HashMap<i64, ComponentStatus>,
    /// The worst status that maintenance in progress sets.
    maintenance: HashMap<i64, ComponentStatus>,
}

impl Impacts {
    fn note(statuses: &mut HashMap<i64, ComponentStatus>, component: i64, status: ComponentStatus) {
        let worst = statuses.entry(component).or_insert(status);
        *worst = worse(*worst, status);
    }
}

/// Reads the impacts of all open incidents and of all maintenance in progress that guests can see.
pub async fn impacts(db: &mut SqliteConnection, now: Timestamp) -> Result<Impacts, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT impact.component_id, impact.status FROM incident_components impact \
         JOIN incidents incident ON incident.id = impact.incident_id \
         WHERE incident.status <> ? AND incident.visible = 1 AND incident.published_at_ms <= ?",
    )
    .bind(i64::from(IncidentStatus::Fixed.value()))
    .bind(now.as_millis())
    .fetch_all(&mut *db)
    .await?;
    let mut impacts = Impacts::default();
    for row in rows {
        let status = document::stored_component_status(&row)?;
        Impacts::note(&mut impacts.incidents, row.try_get("component_id")?, status);
    }
    for (component, status) in schedules::in_progress(db, now).await? {
        Impacts::note(&mut impacts.maintenance, component, status);
    }
    Ok(impacts)
}

/// Every component that guests can see.
pub async fn for_guests(db: &mut SqliteConnection) -> Result<Vec<Component>, sqlx::Error> {
    let mut select = QueryBuilder::new("SELECT * FROM components WHERE ");
    select.push(FOR_GUESTS);
    select.build().fetch_all(db).await?.iter().map(Component::read).collect()
}

/// Whether the component exists.
pub async fn exists(db: &mut SqliteConnection, id: i64) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM components WHERE id = ?").bind(id).fetch_optional(db).await?;
    Ok(found.is_some())
}

/// The components of a group that `viewer` may see.
pub async fn of_group(db: &mut SqliteConnection, group: i64, viewer: Viewer) -> Result<Vec<Component>, sqlx::Error> {
    let mut select = QueryBuilder::new("SELECT * FROM components WHERE ");
    select.push(visible_to(viewer)).push(" AND group_id = ").push_bind(group).push(" ORDER BY id");
    select.build().fetch_all(db).await?.iter().map(Component::read).collect()
}

/// The components of an incident that `viewer` may see, each with its attached status.
pub async fn of_incident(
    db: &mut SqliteConnection,
    incident: i64,
    viewer: Viewer,
) -> Result<Vec<(Component, ComponentStatus)>, sqlx::Error> {
    attached(db, ("incident_components", "incident_id"), incident, viewer).await
}

/// The components of a schedule that `viewer` may see, each with its attached status.
pub async fn of_schedule(
    db: &mut SqliteConnection,
    schedule: i64,
    viewer: Viewer,
) -> Result<Vec<(Component, ComponentStatus)>, sqlx::Error> {
    attached(db, ("schedule_components", "schedule_id"), schedule, viewer).await
}

/// The components that `table` attaches to the `owner` in `column`, each with its attached status.
async fn attached(
    db: &mut SqliteConnection,
    (table, column): (&'static str, &'static str),
    owner: i64,
    viewer: Viewer,
) -> Result<Vec<(Component, ComponentStatus)>, sqlx::Error> {
    let mut select = QueryBuilder::new("SELECT components.*, impact.status AS impact FROM components ");
    select.push("JOIN ").push(table).push(" impact ON impact.component_id = components.id WHERE ");
    select.push(visible_to(viewer)).push(" AND impact.").push(column).push(" = ").push_bind(owner).push(" ORDER BY id");
    let read = |row: &SqliteRow| {
        let component = Component::read(row)?;
        let impact = ComponentStatus::from_value(row.try_get("impact")?).unwrap_or(component.status);
        Ok((component, impact))
    };
    select.build().fetch_all(db).await?.iter().map(read).collect()
}

impl Record for Component {
    const KIND: &'static str = KIND;
    const TABLE: &'static str = "components";
    const MODEL: &'static str = "Component";
    const RULES: Rules = Rules {
        includes: &["group", "groupCount", "groupExists", "incidents", "meta", "metaCount", "metaExists"],
        filters: &["name", "status", "enabled", "meta"],
        sorts: &[("name", "name"), ("order", "COALESCE(sort_order, -1)"), ("id", "id")],
        default_order: "COALESCE(group_id, 0), id",
    };
    type Owner = ();

    fn id(&self) -> i64 {
        self.id
    }

    fn visible(call: &Call, (): &()) -> QueryBuilder<Sqlite> {
        let mut select = QueryBuilder::new("SELECT * FROM components WHERE ");
        select.push(visible_to(call.viewer));
        select
    }

    fn narrow(select: &mut QueryBuilder<Sqlite>, call: &Call) {
        match call.query.member("filter", "enabled") {
            None => drop(select.push(" AND enabled = 1")),
            Some(_) => list::by_number(select, &call.query, "enabled", "enabled"),
        }
        list::by_name(select, &call.query);
        list::by_number(select, &call.query, "status", "status");
    }

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            link: row.try_get("link")?,
            status: document::stored_component_status(row)?,
            order: row.try_get("sort_order")?,
            enabled: row.try_get("enabled")?,
            group: row.try_get("group_id")?,
            created_at: document::moment(row, "created_at_ms")?,
            updated_at: document::moment(row, "updated_at_ms")?,
        })
    }

    async fn show(&self, (): &(), draft: &mut Draft<'_>, db: &mut SqliteConnection) -> Result<Resource, Refusal> {
        let call = draft.call;
        let mut resource = self.resource(&*draft.impacts(db).await?, call.now);
        if draft.includes.has("group") {
            groups::relate(db, &mut resource, self.group, call.now, &mut draft.included).await?;
        }
        if draft.includes.has("incidents") {
            let incidents = incidents::of_component(db, self.id, call).await?;
            resource.relate_many("incidents", incidents::KIND, incidents.iter().map(|incident| incident.id));
            incidents.into_iter().for_each(|incident| draft.included.add(incident));
        }
        Ok(resource)
    }
}

impl Component {
    /// The effective status: the worse of the baseline and of the impact of open incidents. Maintenance in progress
    /// replaces the baseline.
    pub fn latest_status(&self, impacts: &Impacts) -> ComponentStatus {
        let baseline = impacts.maintenance.get(&self.id).copied().unwrap_or(self.status);
        impacts.incidents.get(&self.id).map_or(baseline, |impact| worse(baseline, *impact))
    }

    /// The resource of a document.
    pub fn resource(&self, impacts: &Impacts, now: Timestamp) -> Resource {
        let attributes = json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "link": self.link,
            "order": self.order,
            "status": document::component_status(self.status),
            "latest_status": document::component_status(self.latest_status(impacts)),
            "enabled": self.enabled,
            "created": times::document(Some(self.created_at), now),
            "updated": times::document(Some(self.updated_at), now),
        });
        Resource::new(KIND, self.id, attributes)
    }

    async fn save(&self, db: &mut SqliteConnection) -> Result<(), Refusal> {
        sqlx::query(
            "INSERT INTO components (id, name, name_folded, description, link, status, sort_order, enabled, \
             group_id, created_at_ms, updated_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_folded = excluded.name_folded, \
             description = excluded.description, link = excluded.link, status = excluded.status, \
             sort_order = excluded.sort_order, enabled = excluded.enabled, group_id = excluded.group_id, \
             updated_at_ms = excluded.updated_at_ms",
        )
        .bind(self.id)
        .bind(&self.name)
        .bind(self.name.to_lowercase())
        .bind(&self.description)
        .bind(&self.link)
        .bind(i64::from(self.status.value()))
        .bind(self.order)
        .bind(self.enabled)
        .bind(self.group)
        .bind(self.created_at.as_millis())
        .bind(self.updated_at.as_millis())
        .execute(db)
        .await?;
        Ok(())
    }
}

/// The fields of a create or update.
struct Input {
    name: Option<String>,
    description: Option<String>,
    status: Option<ComponentStatus>,
    link: Option<String>,
    order: Option<i64>,
    enabled: Option<bool>,
    group: Option<i64>,
    meta: Option<Map<String, Value>>,
}

impl Input {
    async fn read(call: &Call, db: &mut SqliteConnection, name: Presence) -> Result<Self, Refusal> {
        let mut fields = Fields::of(&call.input);
        let mut input = Self {
            name: fields.name("name", name),
            description: fields.text("description", Presence::Optional),
            status: fields.choice("status", Presence::Optional, status_of),
            link: fields.link("link"),
            order: fields.order("order"),
            enabled: fields.flag("enabled"),
            group: fields.integer("component_group_id"),
            meta: None,
        };
        if let Some(group) = input.group
            && !groups::exists(db, group).await?
        {
            fields.selected_is_invalid("component_group_id");
        }
        input.meta = fields.meta("meta");
        fields.finish()?;
        Ok(input)
    }

    /// `component` with the fields that were sent.
    fn over(&self, component: Component) -> Component {
        Component {
            name: self.name.clone().unwrap_or(component.name),
            description: self.description.clone().or(component.description),
            status: self.status.unwrap_or(component.status),
            link: self.link.clone().or(component.link),
            order: self.order.or(component.order),
            enabled: self.enabled.unwrap_or(component.enabled),
            group: self.group.or(component.group),
            ..component
        }
    }
}

/// A status from its number, which may be a string.
pub fn status_of(value: &Value) -> Option<ComponentStatus> {
    integer_of(value).and_then(ComponentStatus::from_value)
}

fn visible_to(viewer: Viewer) -> &'static str {
    match viewer {
        Viewer::Guest => FOR_GUESTS,
        Viewer::Owner => "1 = 1",
    }
}

fn worse(one: ComponentStatus, other: ComponentStatus) -> ComponentStatus {
    if other.severity() > one.severity() { other } else { one }
}

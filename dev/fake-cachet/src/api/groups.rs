//! Component groups.

use serde_json::{Map, Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Answer, Refusal};
use super::document::{self, Included, Resource, View};
use super::list::Rules;
use super::record::{self, Draft, Record};
use super::request::{Call, Viewer};
use super::validate::{Fields, Presence, integer_of};
use super::{components, meta, times};

/// The type in documents, and the kind of ids and meta.
pub const KIND: &str = "componentGroups";

/// The attributes by which Cachet can order the components of a group.
const ORDER_COLUMNS: [&str; 5] = ["id", "last_updated", "name", "status", "manual"];

/// A group, as it is stored. Fields that were never sent are `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub id: i64,
    pub name: String,
    pub order: Option<i64>,
    pub visible: Option<bool>,
    /// 0 open, 1 folded, 2 folded unless something is wrong.
    pub collapsed: Option<i64>,
    pub order_column: Option<String>,
    pub order_direction: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// `POST /component-groups`.
pub async fn create(call: &Call, db: &mut SqliteConnection) -> Result<Answer, Refusal> {
    let input = Input::read(call, db, Presence::Required).await?;
    let blank = Group {
        id: document::next_id(db, KIND).await?,
        name: String::new(),
        order: None,
        visible: None,
        collapsed: None,
        order_column: None,
        order_direction: None,
        created_at: call.now,
        updated_at: call.now,
    };
    let group = input.over(blank);
    group.save(db).await?;
    input.attach(db, group.id, call.now).await?;
    let resource = group.resource(View::JustMade, call.now);
    Ok(Answer::Made(document::single(resource, Included::default(), &call.query)))
}

/// `PUT` and `PATCH /component-groups/{id}`: fields that are not sent keep their values; listed components move here.
pub async fn update(call: &Call, db: &mut SqliteConnection, id: &str) -> Result<Answer, Refusal> {
    let before: Group = record::find(call, db, &(), id).await?;
    let input = Input::read(call, db, Presence::Optional).await?;
    let mut after = input.over(before.clone());
    if after != before {
        after.updated_at = call.now;
        after.save(db).await?;
    }
    input.attach(db, after.id, call.now).await?;
    let resource = after.resource(View::Stored, call.now);
    Ok(Answer::Document(document::single(resource, Included::default(), &call.query)))
}

/// Whether the group exists.
pub async fn exists(db: &mut SqliteConnection, id: i64) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT 1 FROM component_groups WHERE id = ?").bind(id).fetch_optional(db).await?;
    Ok(found.is_some())
}

/// Adds the relationship of a component to its group and includes the group.
pub async fn relate(
    db: &mut SqliteConnection,
    component: &mut Resource,
    group: Option<i64>,
    now: Timestamp,
    included: &mut Included,
) -> Result<(), Refusal> {
    component.relate_one("group", KIND, group);
    let row = sqlx::query("SELECT * FROM component_groups WHERE id = ?").bind(group).fetch_optional(db).await?;
    if let Some(row) = row {
        included.add(Group::read(&row)?.resource(View::Stored, now));
    }
    Ok(())
}

impl Record for Group {
    const KIND: &'static str = KIND;
    const TABLE: &'static str = "component_groups";
    const MODEL: &'static str = "ComponentGroup";
    const RULES: Rules = Rules {
        includes: &["components", "componentsCount", "componentsExists", "meta", "metaCount", "metaExists"],
        filters: &["meta"],
        sorts: &[("name", "name"), ("id", "id")],
        default_order: "COALESCE(visible, 0), id",
    };
    type Owner = ();

    fn id(&self) -> i64 {
        self.id
    }

    fn visible(call: &Call, (): &()) -> QueryBuilder<Sqlite> {
        let mut select = QueryBuilder::new("SELECT * FROM component_groups WHERE ");
        select.push(match call.viewer {
            Viewer::Guest => "visible = 1",
            Viewer::Owner => "1 = 1",
        });
        select
    }

    /// There is no other filter.
    fn narrow(_: &mut QueryBuilder<Sqlite>, _: &Call) {}

    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            order: row.try_get("sort_order")?,
            visible: row.try_get("visible")?,
            collapsed: row.try_get("collapsed")?,
            order_column: row.try_get("order_column")?,
            order_direction: row.try_get("order_direction")?,
            created_at: document::moment(row, "created_at_ms")?,
            updated_at: document::moment(row, "updated_at_ms")?,
        })
    }

    async fn show(&self, (): &(), draft: &mut Draft<'_>, db: &mut SqliteConnection) -> Result<Resource, Refusal> {
        let call = draft.call;
        let mut resource = self.resource(View::Stored, call.now);
        if draft.includes.has("components") {
            let impacts = draft.impacts(db).await?;
            let components = components::of_group(db, self.id, call.viewer).await?;
            resource.relate_many("components", components::KIND, components.iter().map(|component| component.id));
            components.iter().for_each(|component| draft.included.add(component.resource(&impacts, call.now)));
        }
        Ok(resource)
    }
}

impl Group {
    fn resource(&self, view: View, now: Timestamp) -> Resource {
        // the defaults of Cachet's database
        let stored = |default: i64| (view == View::Stored).then_some(default);
        let attributes = json!({
            "id": self.id,
            "name": self.name,
            "order": self.order.or(stored(0)),
            "order_column": self.order_column,
            "order_direction": self.order_direction,
            "collapsed": self.collapsed.or(stored(1)),
            "visible": self.visible.map(i64::from).or(stored(0)),
            "created": times::document(Some(self.created_at), now),
            "updated": times::document(Some(self.updated_at), now),
        });
        Resource::new(KIND, self.id, attributes)
    }

    async fn save(&self, db: &mut SqliteConnection) -> Result<(), Refusal> {
        sqlx::query(
            "INSERT INTO component_groups (id, name, sort_order, visible, collapsed, order_column, order_direction, \
             created_at_ms, updated_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, sort_order = excluded.sort_order, \
             visible = excluded.visible, collapsed = excluded.collapsed, order_column = excluded.order_column, \
             order_direction = excluded.order_direction, updated_at_ms = excluded.updated_at_ms",
        )
        .bind(self.id)
        .bind(&self.name)
        .bind(self.order)
        .bind(self.visible)
        .bind(self.collapsed)
        .bind(&self.order_column)
        .bind(&self.order_direction)
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
    order: Option<i64>,
    visible: Option<bool>,
    collapsed: Option<i64>,
    order_column: Option<String>,
    order_direction: Option<String>,
    components: Vec<i64>,
    meta: Option<Map<String, Value>>,
}

impl Input {
    async fn read(call: &Call, db: &mut SqliteConnection, name: Presence) -> Result<Self, Refusal> {
        let mut fields = Fields::of(&call.input);
        let one_of = |allowed: &'static [&'static str]| {
            move |value: &Value| value.as_str().filter(|text| allowed.contains(text)).map(str::to_owned)
        };
        let mut input = Self {
            name: fields.name("name", name),
            order: fields.order("order"),
            visible: fields.flag("visible"),
            collapsed: fields.choice("collapsed", Presence::Optional, |value| {
                integer_of(value).filter(|number| (0..=2).contains(number))
            }),
            order_column: fields.choice("order_column", Presence::Optional, one_of(&ORDER_COLUMNS)),
            order_direction: None,
            components: Vec::new(),
            meta: None,
        };
        let direction = if fields.has("order_column") { Presence::Required } else { Presence::Optional };
        input.order_direction = fields.choice("order_direction", direction, one_of(&["asc", "desc"]));
        for (at, component) in fields.list("components").iter().enumerate() {
            let field = format!("components.{at}");
            match integer_of(component) {
                None => fields.fault(&field, format!("The {field} field must be an integer.")),
                Some(id) if components::exists(db, id).await? => input.components.push(id),
                Some(_) => fields.selected_is_invalid(&field),
            }
        }
        input.meta = fields.meta("meta");
        fields.finish()?;
        Ok(input)
    }

    /// `group` with the fields that were sent.
    fn over(&self, group: Group) -> Group {
        Group {
            name: self.name.clone().unwrap_or(group.name),
            order: self.order.or(group.order),
            visible: self.visible.or(group.visible),
            collapsed: self.collapsed.or(group.collapsed),
            order_column: self.order_column.clone().or(group.order_column),
            order_direction: self.order_direction.clone().or(group.order_direction),
            ..group
        }
    }

    /// Moves the listed components into the group and stores its meta.
    async fn attach(&self, db: &mut SqliteConnection, group: i64, now: Timestamp) -> Result<(), Refusal> {
        for component in &self.components {
            sqlx::query("UPDATE components SET group_id = ?, updated_at_ms = ? WHERE id = ?")
                .bind(group)
                .bind(now.as_millis())
                .bind(component)
                .execute(&mut *db)
                .await?;
        }
        match &self.meta {
            Some(meta) => meta::replace(db, KIND, group, meta).await,
            None => Ok(()),
        }
    }
}

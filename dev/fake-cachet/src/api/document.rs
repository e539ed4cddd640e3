//! JSON:API documents as Cachet writes them.

use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::time::Timestamp;

use super::answer::Refusal;
use super::request::Query;

/// Whether a document answers the create itself. Cachet then shows fields that were not sent as null, and flags as they
/// were sent, because it does not read the row back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The answer to a create.
    JustMade,
    /// Read from the store.
    Stored,
}

/// One resource of a document.
#[derive(Debug)]
pub struct Resource {
    /// Its type: `components`, `componentGroups`, `incidents`, `updates`.
    pub kind: &'static str,
    /// Its number.
    pub id: i64,
    /// Its attributes.
    pub attributes: Map<String, Value>,
    /// Its relationships, where they were requested.
    pub relationships: Map<String, Value>,
}

impl Resource {
    /// A resource with `attributes`, which must be an object.
    pub fn new(kind: &'static str, id: i64, attributes: Value) -> Self {
        let attributes = match attributes {
            Value::Object(attributes) => attributes,
            _ => Map::new(),
        };
        Self { kind, id, attributes, relationships: Map::new() }
    }

    /// Sets the to-many relationship `name`.
    pub fn relate_many(&mut self, name: &str, kind: &str, ids: impl IntoIterator<Item = i64>) {
        let related: Vec<Value> = ids.into_iter().map(|id| identifier(kind, id)).collect();
        self.relationships.insert(name.to_owned(), json!({ "data": related }));
    }

    /// Sets the to-one relationship `name`.
    pub fn relate_one(&mut self, name: &str, kind: &str, id: Option<i64>) {
        self.relationships.insert(name.to_owned(), json!({ "data": id.map(|id| identifier(kind, id)) }));
    }

    /// The JSON, limited to the attributes that `fields[kind]` requests.
    fn into_json(mut self, query: &Query) -> Value {
        if let Some(wanted) = query.member("fields", self.kind) {
            self.attributes.retain(|name, _| wanted.split(',').any(|field| field == name));
        }
        let mut json = json!({ "id": self.id.to_string(), "type": self.kind, "attributes": self.attributes });
        if !self.relationships.is_empty() {
            json["relationships"] = self.relationships.into();
        }
        json
    }
}

fn identifier(kind: &str, id: i64) -> Value {
    json!({ "type": kind, "id": id.to_string() })
}

/// The included resources, each once.
#[derive(Debug, Default)]
pub struct Included(Vec<Resource>);

impl Included {
    /// Includes a resource.
    pub fn add(&mut self, resource: Resource) {
        if !self.0.iter().any(|known| (known.kind, known.id) == (resource.kind, resource.id)) {
            self.0.push(resource);
        }
    }

    fn put_into(self, document: &mut Value, query: &Query) {
        if !self.0.is_empty() {
            document["included"] = self.0.into_iter().map(|resource| resource.into_json(query)).collect();
        }
    }
}

/// The document of one resource.
pub fn single(resource: Resource, included: Included, query: &Query) -> Value {
    let mut document = json!({ "data": resource.into_json(query) });
    included.put_into(&mut document, query);
    document
}

/// The document of a list, `frame` holding its `links` and `meta`.
pub fn list(resources: Vec<Resource>, included: Included, frame: Value, query: &Query) -> Value {
    let mut document = frame;
    document["data"] = resources.into_iter().map(|resource| resource.into_json(query)).collect();
    included.put_into(&mut document, query);
    document
}

/// Cachet's name of a component status.
pub fn component_word(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Operational => "Operational",
        ComponentStatus::PerformanceIssues => "Performance issues",
        ComponentStatus::PartialOutage => "Partial outage",
        ComponentStatus::MajorOutage => "Major outage",
        ComponentStatus::Unknown => "Unknown",
        ComponentStatus::UnderMaintenance => "Under maintenance",
    }
}

/// `{human, value}` of a component's status.
pub fn component_status(status: ComponentStatus) -> Value {
    json!({ "human": component_word(status), "value": status.value() })
}

/// `{human, value}` of an incident's status.
pub fn incident_status(status: IncidentStatus) -> Value {
    json!({ "human": status.word(), "value": status.value() })
}

/// The refusal of a resource that does not exist, or not for this caller. `model` is the name of Cachet's class.
pub fn not_found(model: &str, id: &str) -> Refusal {
    Refusal::NotFound(format!("No query results for model [Cachet\\Models\\{model}] {id}"))
}

/// The next id of `kind`. Ids are never reused.
pub async fn next_id(db: &mut SqliteConnection, kind: &str) -> Result<i64, Refusal> {
    let next = sqlx::query_scalar(
        "INSERT INTO ids (kind, last_id) VALUES (?, 1) \
         ON CONFLICT (kind) DO UPDATE SET last_id = ids.last_id + 1 RETURNING last_id",
    );
    Ok(next.bind(kind).fetch_one(db).await?)
}

/// A moment from a column of milliseconds.
pub fn moment(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get(column).map(Timestamp::from_millis)
}

/// A component's status from its number in a row.
pub fn stored_component_status(row: &SqliteRow) -> Result<ComponentStatus, sqlx::Error> {
    let value: i64 = row.try_get("status")?;
    ComponentStatus::from_value(value).ok_or_else(|| unreadable("a component", value))
}

/// An incident's status from its number in a row.
pub fn stored_incident_status(row: &SqliteRow) -> Result<IncidentStatus, sqlx::Error> {
    let value: i64 = row.try_get("status")?;
    IncidentStatus::from_value(value).ok_or_else(|| unreadable("an incident", value))
}

fn unreadable(of: &str, value: i64) -> sqlx::Error {
    sqlx::Error::Decode(format!("unknown status {value} of {of}").into())
}

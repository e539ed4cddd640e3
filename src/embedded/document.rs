//! The documents that the API answers with: JSON:API, as Cachet fills it.

use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::time::Timestamp;
use crate::store::StoreError;

use super::answer::Refusal;
use super::request::Query;

/// Whether a document answers the create itself: Cachet then shows fields that were not sent as null, and flags as they
/// were sent, because it has not read the thing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The answer to a create.
    JustMade,
    /// Read from the store.
    Stored,
}

/// One thing of a document.
#[derive(Debug)]
pub struct Resource {
    /// Its type: `components`, `componentGroups`, `incidents`, `updates`.
    pub kind: &'static str,
    /// Its number.
    pub id: i64,
    /// What is said of it.
    pub attributes: Map<String, Value>,
    /// What belongs to it, where it was asked for.
    pub relationships: Map<String, Value>,
}

impl Resource {
    /// A thing with `attributes`, which are an object.
    pub fn new(kind: &'static str, id: i64, attributes: Value) -> Self {
        let attributes = match attributes {
            Value::Object(attributes) => attributes,
            _ => Map::new(),
        };
        Self { kind, id, attributes, relationships: Map::new() }
    }

    /// Says which things of `kind` belong to it under `name`.
    pub fn relate_many(&mut self, name: &str, kind: &str, ids: impl IntoIterator<Item = i64>) {
        let related: Vec<Value> = ids.into_iter().map(|id| identifier(kind, id)).collect();
        self.relationships.insert(name.to_owned(), json!({ "data": related }));
    }

    /// Says which thing belongs to it under `name`, or that none does.
    pub fn relate_one(&mut self, name: &str, kind: &str, id: Option<i64>) {
        self.relationships.insert(name.to_owned(), json!({ "data": id.map(|id| identifier(kind, id)) }));
    }

    /// On the wire, with only those attributes that `fields[kind]` asks for.
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

/// Things that come along because they were asked for, each once.
#[derive(Debug, Default)]
pub struct Included(Vec<Resource>);

impl Included {
    /// Lets a thing come along.
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

/// The document of one thing.
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

/// What Cachet calls a component's status, to clients and readers alike.
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

/// The refusal of a thing that does not exist, or not for this caller: `model` is Cachet's name for its kind.
pub fn not_found(model: &str, id: &str) -> Refusal {
    Refusal::NotFound(format!("No query results for model [Cachet\\Models\\{model}] {id}"))
}

/// A number for a new thing of `kind`, never given before.
pub async fn next_id(db: &mut SqliteConnection, kind: &str) -> Result<i64, Refusal> {
    let next = sqlx::query_scalar(
        "INSERT INTO embedded_ids (kind, last_id) VALUES (?, 1) \
         ON CONFLICT (kind) DO UPDATE SET last_id = embedded_ids.last_id + 1 RETURNING last_id",
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
    sqlx::Error::Decode(Box::new(StoreError::Corrupt {
        what: format!("the status {value} of {of} on the embedded page"),
    }))
}

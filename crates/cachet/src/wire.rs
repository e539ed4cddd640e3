//! Cachet's JSON: what is read from its documents, and what is sent.
//!
//! Reading is lenient, for the two recorded releases differ in a dozen details and a third will differ in others: what
//! is not needed is not looked at, and a status that nobody knows is `None`, not an error.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::client::Offset;
use alertmanager_cachet_core::names::{cut, trimmed};
use alertmanager_cachet_core::observed::{
    ComponentId, ComponentUpdate, GroupId, IncidentId, MANAGED_BY, Maintenance, NewComponent, NewGroup, NewIncident,
    ObservedComponent, ObservedGroup, ObservedIncident,
};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::status_page::Capabilities;
use alertmanager_cachet_core::time::Timestamp;

/// The longest name and description that every database behind Cachet takes, in characters. PostgreSQL answers 500 to
/// a longer description (which SQLite keeps whole), and 422 is the answer to a longer name everywhere (048, 212).
const MAX_TEXT_CHARS: usize = 255;

/// What Cachet wraps everything in: `{"data": …}`.
#[derive(Debug, Deserialize)]
pub(super) struct Data<T> {
    pub data: T,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<A> {
    pub data: Vec<Row<A>>,
    #[serde(default)]
    pub links: Links,
}

/// Whether another page follows. Only that is taken from the link: it drops the query, and its host may be wrong (129).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Links {
    pub next: Option<String>,
}

/// An object of a document or list.
#[derive(Debug, Deserialize)]
pub(super) struct Row<A> {
    #[serde(deserialize_with = "number_or_text")]
    pub id: i64,
    pub attributes: A,
    #[serde(default)]
    relationships: Relationships,
}

/// `{"group": {"data": {"id": "3"}}}`, `{"components": {"data": [{"id": "5"}]}}`, or less. Another form is an error: read as if
/// nothing were related, it would move components and end maintenance.
#[derive(Debug, Default, Deserialize)]
struct Relationships {
    group: Option<Related<Option<Reference>>>,
    #[serde(default)]
    components: Related<Vec<Reference>>,
}

#[derive(Debug, Default, Deserialize)]
struct Related<T: Default> {
    #[serde(default)]
    data: T,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(deserialize_with = "number_or_text")]
    id: i64,
}

/// The times in the answer to a write.
#[derive(Debug, Deserialize)]
pub(super) struct Written {
    #[serde(default, rename = "created", deserialize_with = "time_if_utc")]
    pub created_if_utc: Option<Timestamp>,
    #[serde(default, rename = "updated", deserialize_with = "time_if_utc")]
    pub updated_if_utc: Option<Timestamp>,
    /// Only incidents have it.
    #[serde(default, rename = "occurred", deserialize_with = "time_if_utc")]
    pub occurred_if_utc: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    name: String,
    /// `null` where it was never set, which hides it (021).
    #[serde(default, deserialize_with = "yes_or_no")]
    visible: Option<bool>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Debug, Deserialize)]
pub(super) struct Component {
    name: String,
    #[serde(default)]
    status: Status,
    #[serde(default, deserialize_with = "yes_or_no")]
    enabled: Option<bool>,
    description: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Debug, Deserialize)]
pub(super) struct Incident {
    pub name: String,
    #[serde(default)]
    pub status: Status,
    /// Only from releases without meta: newer ones attach the incident instead, and do not show this.
    pub component_id: Option<i64>,
    /// Whether guests see it.
    #[serde(default, deserialize_with = "yes_or_no")]
    visible: Option<bool>,
    #[serde(default, rename = "created", deserialize_with = "time_if_utc")]
    pub created_if_utc: Option<Timestamp>,
    #[serde(default, rename = "occurred", deserialize_with = "time_if_utc")]
    pub occurred_if_utc: Option<Timestamp>,
    #[serde(default)]
    pub meta: Meta,
}

#[derive(Debug, Deserialize)]
pub(super) struct Schedule {
    name: String,
    #[serde(default)]
    pub status: Status,
    /// When it is to end, or ended; both parts are `null` if nobody said (268).
    #[serde(default, rename = "completed", deserialize_with = "time_if_utc")]
    completed_if_utc: Option<Timestamp>,
}

/// `{"human": "Operational", "value": 1}`; both are `null` for a component made without a status (2025-08: 041).
#[derive(Debug, Default, Deserialize)]
pub(super) struct Status {
    pub value: Option<i64>,
}

/// What the object's meta says, if there is any: absent, `null`, `[]` when empty (150), or an object of anything.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Meta(Value);

impl Meta {
    /// Whether it says that this program made the object.
    pub(super) fn is_ours(&self) -> bool {
        self.text("managed_by") == Some(MANAGED_BY)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }
}

impl From<Row<Group>> for ObservedGroup {
    fn from(row: Row<Group>) -> Self {
        let Group { name, visible, meta } = row.attributes;
        Self { id: GroupId(row.id), name, visible: visible.unwrap_or(false), managed: meta.is_ours() }
    }
}

impl From<Row<Component>> for ObservedComponent {
    fn from(row: Row<Component>) -> Self {
        let Component { name, status, enabled, description, meta } = row.attributes;
        Self {
            id: ComponentId(row.id),
            name,
            status: status.value.and_then(ComponentStatus::from_value),
            enabled: enabled.unwrap_or(true),
            description,
            group: row.relationships.group.and_then(|group| group.data).map(|group| GroupId(group.id)),
            managed: meta.is_ours(),
        }
    }
}

impl From<Row<Incident>> for ObservedIncident {
    fn from(row: Row<Incident>) -> Self {
        let Incident { name, status, component_id, visible, meta, .. } = row.attributes;
        Self {
            id: IncidentId(row.id),
            name,
            status: status.value.and_then(IncidentStatus::from_value),
            outage: meta.text("episode").filter(|_| meta.is_ours()).map(str::to_owned),
            component: meta.text("component").filter(|_| meta.is_ours()).map(str::to_owned),
            component_id: component_id.map(ComponentId),
            is_anonymous: false,
            is_hidden: visible == Some(false),
        }
    }
}

impl From<Row<Schedule>> for Maintenance {
    fn from(row: Row<Schedule>) -> Self {
        let components = row.relationships.components.data.into_iter();
        Self {
            name: row.attributes.name,
            components: components.map(|component| ComponentId(component.id)).collect(),
            ends_if_utc_ms: row.attributes.completed_if_utc.map(Timestamp::as_millis),
        }
    }
}

/// The body of POST `/component-groups`. Without `visible` a group hides itself and its components.
pub(super) fn new_group(new: &NewGroup, capabilities: Capabilities) -> Value {
    let meta = capabilities.meta.then(|| json!({"managed_by": MANAGED_BY}));
    with_values(json!({"name": new.name, "visible": true, "order": new.order, "meta": meta}))
}

/// The body of POST `/components`.
pub(super) fn new_component(new: &NewComponent, capabilities: Capabilities) -> Value {
    with_values(json!({
        "name": new.name,
        "status": new.status.value(),
        "enabled": new.enabled,
        "description": description(new.description.as_deref()),
        "component_group_id": new.group.map(|group| group.0),
        "order": new.order,
        "meta": capabilities.meta.then(|| json!({"managed_by": MANAGED_BY})),
    }))
}

/// The body of PUT `/components/{id}`. It holds no meta: an update would replace all of it (147), and a person may have
/// added some.
pub(super) fn component_update(update: &ComponentUpdate) -> Value {
    with_values(json!({
        "status": update.status.map(ComponentStatus::value),
        "enabled": update.enabled,
        "description": description(update.description.as_deref()),
        "component_group_id": update.group.map(|group| group.0),
    }))
}

/// The body of POST `/incidents`. Without `visible` an incident is hidden and has no effect.
///
/// `offset` is the UTC offset of Cachet's time zone, if it is known. Only releases without meta need it.
pub(super) fn new_incident(new: &NewIncident, capabilities: Capabilities, offset: Option<Offset>) -> Value {
    // Without a component an incident is attached to none and changes the status of none (194).
    let component = new.component.as_ref();
    let meta = json!({
        "managed_by": MANAGED_BY,
        "episode": new.outage,
        "component": component.map(|component| &component.name),
    });
    with_values(json!({
        "name": fitting(&new.name),
        "message": new.message,
        "status": IncidentStatus::Investigating.value(),
        "visible": true,
        "notifications": new.notify_subscribers,
        "component_id": component.map(|component| component.id.0),
        "component_status": component.map(|_| ComponentStatus::MajorOutage.value()),
        "occurred_at": time(new.occurred_at, offset.filter(|_| !capabilities.meta)),
        "meta": capabilities.meta.then(|| with_values(meta)),
    }))
}

/// The fields that have a value. The others are left out: `null` and `""` are refused (068, 072), and what is left out stays
/// as it is (144, 145; 2025-08: 144, 145), but for `enabled` in releases of 2025 (2025-08: 503).
fn with_values(mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    fields
}

fn description(text: Option<&str>) -> Option<String> {
    text.map(fitting).filter(|text| !text.is_empty())
}

/// `text` as Cachet will keep it: without white space around it (050), and no longer than it takes.
pub(super) fn fitting(text: &str) -> String {
    cut(trimmed(text), MAX_TEXT_CHARS)
}

/// A time as it is sent.
///
/// With an offset it is `2026-11-01 10:00:00`, in the app's time zone: every release reads this form as local time (214).
/// Without one it is `2026-11-01T08:00:00Z`. Current Cachet converts that to the app's time zone (2026-08: 215). Releases
/// of 2025 keep the digits and drop the offset (2025-08: 215), so there it is right only where the app's time zone is UTC,
/// as Cachet is delivered.
pub(super) fn time(moment: Timestamp, offset: Option<Offset>) -> Option<String> {
    let shown = offset.map_or(moment, |offset| offset.local(moment));
    let seconds = jiff::Timestamp::from_second(shown.as_millis().div_euclid(1000)).ok()?;
    Some(match offset {
        Some(_) => seconds.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => seconds.to_string(),
    })
}

/// The number of an object: `data.id` is text, `attributes.id` a number; either will do.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let id = Value::deserialize(deserializer)?;
    let number = id.as_i64().or_else(|| id.as_str()?.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom("expected the number of an object"))
}

/// A time such as `{"human": "1 second ago", "string": "2026-11-21 02:06:55"}`, which is in the app's time zone, as if the
/// app's clock ran in UTC: right to within half a day. `None` for anything else, for the object counts all the same.
fn time_if_utc<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let local = value.get("string").and_then(Value::as_str).and_then(|text| text.parse::<DateTime>().ok());
    let moment = local.and_then(|local| local.to_zoned(TimeZone::UTC).ok());
    Ok(moment.map(|moment| Timestamp::from_millis(moment.timestamp().as_millisecond())))
}

/// `true`, `1` or `"1"`, their opposites, or `null`.
fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => Some(value),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        Value::String(text) => Some(matches!(text.as_str(), "1" | "true")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alertmanager_cachet_core::observed::AffectedComponent;

    const WITH_META: Capabilities = Capabilities { meta: true };
    const WITHOUT_META: Capabilities = Capabilities { meta: false };

    fn incident() -> NewIncident {
        NewIncident {
            name: "Outage of Database".into(),
            message: "down".into(),
            component: Some(AffectedComponent { id: ComponentId(7), name: "Database".into() }),
            outage: "e-1".into(),
            occurred_at: Timestamp::parse_rfc3339("2026-11-01T10:00:00.999+02:00").expect("valid"),
            notify_subscribers: false,
        }
    }

    #[test]
    fn a_new_incident_is_visible_attached_as_major_outage_and_dated_so_that_the_release_understands() {
        let mut expected = json!({
            "name": "Outage of Database", "message": "down", "status": 1, "visible": true, "notifications": false,
            "component_id": 7, "component_status": 4, "occurred_at": "2026-11-01T08:00:00Z",
        });
        assert_eq!(new_incident(&incident(), WITHOUT_META, None), expected);
        let offset = Offset::between(Timestamp::from_millis(7_200_000), Timestamp::from_millis(0));
        let mut elsewhere = expected.clone();
        elsewhere["occurred_at"] = json!("2026-11-01 10:00:00");
        assert_eq!(new_incident(&incident(), WITHOUT_META, offset), elsewhere, "in the time zone of the page");
        expected["meta"] = json!({"managed_by": "alertmanager-cachet", "component": "Database", "episode": "e-1"});
        assert_eq!(new_incident(&incident(), WITH_META, offset), expected);
    }

    #[test]
    fn an_incident_about_no_component_names_none() {
        let expected = json!({
            "name": "Outage of Database", "message": "down", "status": 1, "visible": true, "notifications": false,
            "occurred_at": "2026-11-01T08:00:00Z", "meta": {"managed_by": "alertmanager-cachet", "episode": "e-1"},
        });
        assert_eq!(new_incident(&NewIncident { component: None, ..incident() }, WITH_META, None), expected);
    }

    #[test]
    fn every_component_write_holds_enabled_and_nothing_that_is_empty() {
        let update = ComponentUpdate {
            status: Some(ComponentStatus::PartialOutage),
            enabled: false,
            description: Some(" \n".into()),
            group: None,
        };
        assert_eq!(component_update(&update), json!({"status": 3, "enabled": false}));
        let full =
            ComponentUpdate { description: Some("critical: no\nno alerts".into()), group: Some(GroupId(2)), ..update };
        assert_eq!(
            component_update(&full),
            json!({
                "status": 3, "enabled": false, "description": "critical: no\nno alerts", "component_group_id": 2,
            })
        );
    }

    #[test]
    fn what_we_make_says_so_where_there_is_meta() {
        let group = NewGroup { name: "Core".into(), order: 3 };
        assert_eq!(new_group(&group, WITHOUT_META), json!({"name": "Core", "visible": true, "order": 3}));
        assert_eq!(new_group(&group, WITH_META)["meta"], json!({"managed_by": "alertmanager-cachet"}));
        let component = NewComponent {
            name: "Database".into(),
            status: ComponentStatus::Operational,
            enabled: true,
            description: None,
            group: Some(GroupId(1)),
            order: Some(4),
        };
        let mut expected =
            json!({"name": "Database", "status": 1, "enabled": true, "component_group_id": 1, "order": 4});
        assert_eq!(new_component(&component, WITHOUT_META), expected);
        expected["meta"] = json!({"managed_by": "alertmanager-cachet"});
        assert_eq!(new_component(&component, WITH_META), expected);
    }

    #[test]
    fn a_text_is_cut_by_characters_to_what_every_database_takes() {
        assert_eq!(fitting(&"東".repeat(300)), "東".repeat(255));
        assert_eq!(fitting(&format!("  {} cut", "a".repeat(254))), "a".repeat(254), "no space is left at the end");
    }

    #[test]
    fn whose_an_incident_is_says_only_its_meta() {
        let episode = |meta: Value| {
            let row = json!({"id": 1, "attributes": {"name": "n", "meta": meta}});
            ObservedIncident::from(serde_json::from_value::<Row<Incident>>(row).expect("a row")).outage
        };
        assert_eq!(episode(json!({"managed_by": "alertmanager-cachet", "episode": "e-1"})).as_deref(), Some("e-1"));
        for meta in [
            json!({"episode": "e-1"}),
            json!({"managed_by": "somebody", "episode": "e-1"}),
            json!({"managed_by": "alertmanager-cachet", "episode": 1}),
            json!([]),
            json!(null),
        ] {
            assert_eq!(episode(meta.clone()), None, "{meta}");
        }
    }

    #[test]
    fn the_end_of_a_maintenance_is_read_as_if_in_utc_and_may_be_missing() {
        let read = |completed: Value| {
            let row =
                json!({"id": "1", "attributes": {"name": "Switch", "status": {"value": 1}, "completed": completed}});
            Maintenance::from(serde_json::from_value::<Row<Schedule>>(row).expect("a row"))
        };
        let told = read(json!({"human": "1 hour from now", "string": "2026-11-21 02:00:00"}));
        assert_eq!((told.ends_if_utc_ms, told.components), (Some(1_795_226_400_000), Vec::new()));
        for unsaid in [json!({"human": null, "string": null}), json!(null), json!({"string": "soon"})] {
            assert_eq!(read(unsaid.clone()).ends_if_utc_ms, None, "{unsaid}");
        }
    }

    #[test]
    fn reading_is_lenient_where_releases_and_databases_differ() {
        for (visible, shown) in
            [(json!(1), true), (json!(true), true), (json!("1"), true), (json!(0), false), (json!(null), false)]
        {
            let row = json!({"id": "5", "attributes": {"name": "g", "visible": visible}, "new": {}});
            let group = ObservedGroup::from(serde_json::from_value::<Row<Group>>(row).expect("a row"));
            assert_eq!((group.id, group.visible), (GroupId(5), shown));
        }
        let row = json!({"id": 5, "attributes": {"name": "c", "status": {"value": 9}}});
        let component = ObservedComponent::from(serde_json::from_value::<Row<Component>>(row).expect("a row"));
        assert_eq!((component.status, component.enabled), (None, true));
    }
}

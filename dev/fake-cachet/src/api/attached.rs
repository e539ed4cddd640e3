//! The components that an incident or a schedule is attached to.

use serde_json::json;
use sqlx::SqliteConnection;

use alertmanager_cachet_core::status::ComponentStatus;

use super::answer::Refusal;
use super::components::{self, Component};
use super::document::{self, Resource};
use super::groups;
use super::record::Draft;
use super::validate::{Fields, integer_of};

/// Reads the list `components` of a body, `[{id, status}]`, in which each component may appear once.
pub async fn read(fields: &mut Fields<'_>, db: &mut SqliteConnection) -> Result<Vec<(i64, ComponentStatus)>, Refusal> {
    let mut attached = Vec::new();
    let listed = fields.list("components");
    let ids: Vec<Option<i64>> = listed.iter().map(|item| item.get("id").and_then(integer_of)).collect();
    for (at, item) in listed.iter().enumerate() {
        let field = format!("components.{at}.id");
        match ids[at] {
            None => fields.required(&field),
            Some(_) if ids.iter().filter(|id| **id == ids[at]).count() > 1 => {
                fields.fault(&field, format!("The {field} field has a duplicate value."));
            }
            Some(id) if !components::exists(db, id).await? => fields.selected_is_invalid(&field),
            Some(_) => {}
        }
        let field = format!("components.{at}.status");
        match item.get("status").map(components::status_of) {
            None => fields.required(&field),
            Some(None) => fields.selected_is_invalid(&field),
            Some(Some(status)) => attached.extend(ids[at].map(|id| (id, status))),
        }
    }
    Ok(attached)
}

/// Adds the relationship of `owner` to `components` and includes them, each with its attached status.
pub async fn relate(
    owner: &mut Resource,
    components: Vec<(Component, ComponentStatus)>,
    draft: &mut Draft<'_>,
    db: &mut SqliteConnection,
) -> Result<(), Refusal> {
    let (impacts, now) = (draft.impacts(db).await?, draft.call.now);
    owner.relate_many("components", components::KIND, components.iter().map(|(component, _)| component.id));
    for (component, status) in components {
        let mut along = component.resource(&impacts, now);
        let pivot = json!({ "component_status": document::component_status(status) });
        along.attributes.insert("pivot".to_owned(), pivot);
        if draft.includes.has("components.group") {
            groups::relate(db, &mut along, component.group, now, &mut draft.included).await?;
        }
        draft.included.add(along);
    }
    Ok(())
}

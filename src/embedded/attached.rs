//! The components that an incident or a schedule is attached to, as a body names them: `[{id, status}]`.

use sqlx::SqliteConnection;

use crate::core::status::ComponentStatus;

use super::answer::Refusal;
use super::components;
use super::validate::{Fields, integer_of};

/// Reads the list `components`: each component once, with the status that it is given.
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

//! What this program made in a Cachet without meta.

use super::{Store, StoreError};
use crate::core::observed::{ComponentId, GroupId, Observed};

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A component, visible or that of a target.
    Component(ComponentId),
    /// A group.
    Group(GroupId),
}

impl Made {
    fn key(self) -> (&'static str, i64) {
        match self {
            Self::Component(id) => ("component", id.0),
            Self::Group(id) => ("group", id.0),
        }
    }
}

impl Store {
    /// Remembers that this program made `made`, of that name, in the Cachet at `address`.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn remember_made(&self, address: &str, made: Made, name: &str) -> Result<(), StoreError> {
        let (kind, id) = made.key();
        let query = "INSERT INTO made (address, kind, cachet_id, name) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (address, kind, cachet_id) DO UPDATE SET name = excluded.name";
        sqlx::query(query).bind(address).bind(kind).bind(id).bind(name).execute(&self.writer).await?;
        Ok(())
    }

    /// Marks as managed what this program made in the Cachet at `address`. An object is the same one only if both its
    /// number and its name are: another Cachet may have been set up at the same address.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn mark_made(&self, address: &str, observed: &mut Observed) -> Result<(), StoreError> {
        let query = "SELECT kind, cachet_id, name FROM made WHERE address = $1";
        let made: Vec<(String, i64, String)> = sqlx::query_as(query).bind(address).fetch_all(&self.reader).await?;
        let is_made = |made_kind: &str, made_id: i64, made_name: &str| {
            made.iter().any(|(kind, id, name)| (kind.as_str(), *id, name.as_str()) == (made_kind, made_id, made_name))
        };
        for component in &mut observed.components {
            component.managed |= is_made("component", component.id.0, &component.name);
        }
        for group in &mut observed.groups {
            group.managed |= is_made("group", group.id.0, &group.name);
        }
        Ok(())
    }
}

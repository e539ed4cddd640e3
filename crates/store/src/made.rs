//! What this program made in a Cachet without meta.

use super::{Store, StoreError};
use alertmanager_cachet_core::observed::{ComponentId, GroupId, IncidentId, Observed};

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A component, visible or that of a target.
    Component(ComponentId),
    /// A group.
    Group(GroupId),
    /// The incident that `setup` checks abilities with.
    Incident(IncidentId),
}

impl Made {
    fn key(self) -> (&'static str, i64) {
        match self {
            Self::Component(id) => ("component", id.0),
            Self::Group(id) => ("group", id.0),
            Self::Incident(id) => ("incident", id.0),
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

    /// Forgets an object that was removed from the Cachet at `address`.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn forget_made(&self, address: &str, made: Made) -> Result<(), StoreError> {
        let (kind, id) = made.key();
        let query = "DELETE FROM made WHERE address = $1 AND kind = $2 AND cachet_id = $3";
        sqlx::query(query).bind(address).bind(kind).bind(id).execute(&self.writer).await?;
        Ok(())
    }

    /// The incident `name` that this program made in the Cachet at `address` and has not removed. Of several, the one with
    /// the highest number.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn made_incident(&self, address: &str, name: &str) -> Result<Option<IncidentId>, StoreError> {
        let query = "SELECT MAX(cachet_id) FROM made WHERE address = $1 AND kind = 'incident' AND name = $2";
        let last: Option<i64> = sqlx::query_scalar(query).bind(address).bind(name).fetch_one(&self.reader).await?;
        Ok(last.map(IncidentId))
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

//! What was written to the page ([`Ledger`]), what the page showed when it was last read, and what was made there.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::alert_rows::{Query, batches};
use super::{Store, StoreError, StoreOperation, history, optional_timestamp, timestamp};
use alertmanager_cachet_core::history::Event;
use alertmanager_cachet_core::ledger::{
    ComponentValue, Delivery, Ended, EndedBy, IncidentValue, Ledger, Outage, OutageSubject, Recorded,
    RecordedComponent, RecordedIncident, ResourceKey, Unanswered, Update,
};
use alertmanager_cachet_core::observed::{ComponentId, GroupId, IncidentId, Observed, ObservedComponent};
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::{ComponentName, Target, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// The kinds of rows.
pub(super) const COMPONENT: &str = "component";
pub(super) const TARGET: &str = "target";
const GROUP: &str = "group";
const INCIDENT: &str = "incident";

/// What stands for the component in an outage of the monitoring: no component has an empty name.
const NO_COMPONENT: &str = "";

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
            Self::Component(id) => (COMPONENT, id.0),
            Self::Group(id) => (GROUP, id.0),
            Self::Incident(id) => (INCIDENT, id.0),
        }
    }
}

impl Store {
    /// Saves changed rows of the ledger, and with them what happened, all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn remember(&self, updates: &[Update], events: &[Event]) -> Result<(), StoreError> {
        if updates.is_empty() && events.is_empty() {
            return Ok(());
        }
        let remember = async {
            let mut transaction = self.begin().await?;
            for update in updates {
                save_update(&mut transaction, update).await?;
            }
            history::keep(&mut transaction, events).await?;
            transaction.commit().await?;
            Ok(())
        };
        self.measured(StoreOperation::Remember, remember).await
    }

    /// Everything that was last written, and the outages that go on or may be continued.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn ledger(&self) -> Result<Ledger, StoreError> {
        let read = async { read_ledger(&mut *self.reader.acquire().await?).await };
        self.measured(StoreOperation::Read, read).await
    }

    /// All outages, and of what was last written at least the rows of `component` and of the targets that feed it.
    ///
    /// # Errors
    /// As [`Store::ledger`].
    pub async fn ledger_about(&self, component: &ComponentName) -> Result<Ledger, StoreError> {
        let read = async {
            let rows = "SELECT * FROM ledger WHERE (kind = 'component' AND name = $1) OR (kind = 'target' AND instr(name, $1) > 0)";
            let rows = sqlx::query(rows).bind(component.as_str());
            ledger_of(&mut *self.reader.acquire().await?, rows).await
        };
        self.measured(StoreOperation::Read, read).await
    }

    /// Remembers what the page shows, for explaining. Of its components only those in `changed` are written; `None` stands for
    /// one that is gone.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn remember_observed(
        &self,
        observed: &Observed,
        changed: &[(ComponentId, Option<&ObservedComponent>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let keep = self.write(async |db| {
            let gone = changed.iter().filter(|(_, component)| component.is_none());
            for (id, _) in gone {
                sqlx::query("DELETE FROM observed_components WHERE id = $1").bind(id.0).execute(&mut *db).await?;
            }
            upsert_observed_components(db, changed.iter().filter_map(|(_, component)| *component)).await?;
            upsert_observed(db, observed, now).await
        });
        self.measured(StoreOperation::Remember, keep).await
    }

    /// Remembers all of what the page shows, in the place of what was remembered.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn replace_observed(&self, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        let replace = self.write(async |db| replace_observed(db, observed, now).await);
        self.measured(StoreOperation::Remember, replace).await
    }

    /// The page was read, and still shows what is remembered.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn confirm_observed(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE observed SET taken_at_ms = $1").bind(now.as_millis()).execute(&self.writer).await?;
        Ok(())
    }

    /// What the page showed when it was last read, and when that was; `None` if it never was.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] if the snapshot makes no sense.
    pub async fn observed(&self) -> Result<Option<(Observed, Timestamp)>, StoreError> {
        // As one text: thousands of rows take several times as long.
        let components = "SELECT '[' || group_concat(component) || ']' AS components \
                          FROM (SELECT component FROM observed_components ORDER BY id)";
        self.observed_with(sqlx::query(components)).await
    }

    /// As [`Store::observed`], but of the components at least those with the name of `component` and of targets that feed it.
    ///
    /// # Errors
    /// As [`Store::observed`].
    pub async fn observed_about(&self, component: &ComponentName) -> Result<Option<(Observed, Timestamp)>, StoreError> {
        // The name as it is in the JSON, without the quotes.
        let name = to_snapshot(&component)?;
        let name = name.trim_matches('"').to_owned();
        let components = "SELECT '[' || group_concat(component) || ']' AS components \
                          FROM (SELECT component FROM observed_components WHERE instr(component, $1) > 0 ORDER BY id)";
        self.observed_with(sqlx::query(components).bind(name)).await
    }

    async fn observed_with(&self, components: Query<'_>) -> Result<Option<(Observed, Timestamp)>, StoreError> {
        let mut transaction = self.reader.begin().await?;
        let db = &mut *transaction;
        let row =
            sqlx::query("SELECT snapshot, taken_at_ms FROM observed WHERE id = 1").fetch_optional(&mut *db).await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = |error| StoreError::Corrupt { what: format!("the snapshot of the page: {error}") };
        let mut observed: Observed = serde_json::from_str(row.try_get("snapshot")?).map_err(corrupt)?;
        // A server of an earlier release may have put them there, too.
        observed.components.clear();
        let components = components.fetch_one(db).await?;
        if let Some(components) = components.try_get::<Option<&str>, _>("components")? {
            observed.components = serde_json::from_str(components).map_err(corrupt)?;
        }
        Ok(Some((observed, timestamp(&row, "taken_at_ms")?)))
    }

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
            component.managed |= is_made(COMPONENT, component.id.0, &component.name);
        }
        for group in &mut observed.groups {
            group.managed |= is_made(GROUP, group.id.0, &group.name);
        }
        Ok(())
    }
}

/// Saves a changed row of the ledger.
pub(super) async fn save_update(connection: &mut SqliteConnection, update: &Update) -> Result<(), StoreError> {
    match update {
        Update::Component(key, Some(row)) => upsert_row(connection, key, row).await,
        Update::Component(key, None) => delete_row(connection, key).await,
        Update::Outage(_, Some(outage)) => upsert_outage(connection, outage).await,
        Update::Outage(key, None) => {
            sqlx::query("DELETE FROM outages WHERE key = $1").bind(key.as_str()).execute(connection).await?;
            Ok(())
        }
    }
}

/// Saves what differs between two states of the ledger. Outages missing in `after` are deleted. Rows of components are only
/// added or changed: recovery removes none.
pub(super) async fn save_differences(
    connection: &mut SqliteConnection,
    before: &Ledger,
    after: &Ledger,
) -> Result<(), StoreError> {
    for (key, row) in after.rows.iter().filter(|(key, row)| before.rows.get(key) != Some(row)) {
        upsert_row(connection, key, row).await?;
    }
    for outage in after.outages.values().filter(|outage| before.outages.get(&outage.key) != Some(outage)) {
        upsert_outage(connection, outage).await?;
    }
    for outage in before.outages.values().filter(|outage| !after.outages.contains_key(&outage.key)) {
        save_update(connection, &Update::Outage(outage.key.clone(), None)).await?;
    }
    Ok(())
}

/// The kind and the name of a row in the ledger; of a target, its key. Incidents are in the table of outages.
fn names(key: &ResourceKey) -> Option<(&'static str, &str)> {
    match key {
        ResourceKey::Component(name) => Some((COMPONENT, name.as_str())),
        ResourceKey::Target(name) => Some((TARGET, name.key())),
        ResourceKey::Incident(_) | ResourceKey::Structure => None,
    }
}

/// A value of a component that was sent without an answer, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredUnanswered {
    status: ComponentStatus,
    description: Option<String>,
    sent_at_ms: i64,
}

/// A value of an incident that was sent without an answer, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredWrite {
    value: String,
    title: Option<String>,
    sent_at_ms: i64,
}

fn to_json<T: Serialize>(values: &[T], what: &str) -> Result<String, StoreError> {
    serde_json::to_string(values)
        .map_err(|error| StoreError::Corrupt { what: format!("what was sent to {what}: {error}") })
}

fn in_doubt_since(delivery: Delivery) -> Option<i64> {
    match delivery {
        Delivery::InDoubt { since } => Some(since.as_millis()),
        Delivery::Confirmed => None,
    }
}

async fn upsert_row(
    connection: &mut SqliteConnection,
    key: &ResourceKey,
    row: &RecordedComponent,
) -> Result<(), StoreError> {
    let Some((kind, name)) = names(key) else { return Ok(()) };
    let unanswered = row.unanswered.iter().map(|sent| StoredUnanswered {
        status: sent.value.status,
        description: sent.value.description.clone(),
        sent_at_ms: sent.sent_at.as_millis(),
    });
    let unanswered = to_json(&unanswered.collect::<Vec<_>>(), &key.to_string())?;
    sqlx::query(
        "INSERT INTO ledger (kind, name, page_id, status, description, in_doubt_since_ms, unanswered) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (kind, name) DO UPDATE SET page_id = excluded.page_id, status = excluded.status, \
         description = excluded.description, in_doubt_since_ms = excluded.in_doubt_since_ms, \
         unanswered = excluded.unanswered",
    )
    .bind(kind)
    .bind(name)
    .bind(row.page_id.map(|id| id.0))
    .bind(i64::from(row.value.status.value()))
    .bind(&row.value.description)
    .bind(in_doubt_since(row.delivery))
    .bind(unanswered)
    .execute(connection)
    .await?;
    Ok(())
}

/// A value of an incident as it is stored: a word, and the title of one that is created.
fn words(value: &IncidentValue) -> (&'static str, Option<&str>) {
    match value {
        IncidentValue::Created { title } => ("created", Some(title)),
        IncidentValue::Reopened => ("reopened", None),
        IncidentValue::Fixed => ("fixed", None),
    }
}

pub(super) async fn upsert_outage(connection: &mut SqliteConnection, outage: &Outage) -> Result<(), StoreError> {
    let row = outage.incident.as_ref();
    let (value, title) = row.map(|row| words(&row.value)).unzip();
    let unanswered = outage.unanswered().iter().map(|sent| {
        let (value, title) = words(&sent.value);
        let (value, title) = (value.to_owned(), title.map(str::to_owned));
        StoredWrite { value, title, sent_at_ms: sent.sent_at.as_millis() }
    });
    let unanswered = to_json(&unanswered.collect::<Vec<_>>(), &format!("the incident of {}", outage.subject))?;
    sqlx::query(
        "INSERT INTO outages (key, component, component_id, occurred_at_ms, began_at_ms, calm_since_ms, ended_at_ms, \
         ended_by, incident_id, value, title, in_doubt_since_ms, unanswered) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (key) DO UPDATE SET component_id = excluded.component_id, \
         calm_since_ms = excluded.calm_since_ms, ended_at_ms = excluded.ended_at_ms, ended_by = excluded.ended_by, \
         incident_id = excluded.incident_id, value = excluded.value, title = excluded.title, \
         in_doubt_since_ms = excluded.in_doubt_since_ms, unanswered = excluded.unanswered",
    )
    .bind(&outage.key)
    .bind(outage.subject.component().map_or(NO_COMPONENT, ComponentName::as_str))
    .bind(outage.component_id.unwrap_or(ComponentId::UNKNOWN).0)
    .bind(outage.occurred_at.as_millis())
    .bind(outage.began_at.as_millis())
    .bind(outage.calm_since.map(Timestamp::as_millis))
    .bind(outage.ended.map(|ended| ended.at.as_millis()))
    .bind(outage.ended.map(|ended| ended_by(ended.by)))
    .bind(outage.incident_id().map(|id| id.0))
    .bind(value)
    .bind(title.flatten())
    .bind(row.and_then(|row| in_doubt_since(row.delivery)))
    .bind(unanswered)
    .execute(connection)
    .await?;
    Ok(())
}

fn ended_by(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Recovery => "recovery",
        EndedBy::Person => "person",
        EndedBy::Removal => "removal",
        EndedBy::Unopened => "unopened",
    }
}

fn outage_of(row: &SqliteRow) -> Result<Outage, StoreError> {
    let key: String = row.try_get("key")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("outage {key:?}: {what}") };
    let value_of = |word: &str, title: Option<String>| match word {
        "created" => Ok(IncidentValue::Created { title: title.unwrap_or_default() }),
        "reopened" => Ok(IncidentValue::Reopened),
        "fixed" => Ok(IncidentValue::Fixed),
        other => Err(corrupt(&format!("the value {other:?} of its incident makes no sense"))),
    };
    let ended = match (optional_timestamp(row, "ended_at_ms")?, row.try_get::<Option<String>, _>("ended_by")?) {
        (None, _) => None,
        (Some(at), by) => {
            let by = match by.as_deref() {
                Some("recovery") => EndedBy::Recovery,
                Some("person") => EndedBy::Person,
                Some("removal") => EndedBy::Removal,
                Some("unopened") => EndedBy::Unopened,
                other => return Err(corrupt(&format!("ended by {other:?} makes no sense"))),
            };
            Some(Ended { at, by })
        }
    };
    let stored: Vec<StoredWrite> =
        serde_json::from_str(&row.try_get::<String, _>("unanswered")?).map_err(|error| corrupt(&error.to_string()))?;
    let unanswered = stored.into_iter().map(|sent| {
        let value = value_of(&sent.value, sent.title)?;
        Ok(Unanswered { value, sent_at: Timestamp::from_millis(sent.sent_at_ms) })
    });
    let unanswered = unanswered.collect::<Result<Vec<_>, StoreError>>()?;
    let incident = match row.try_get::<Option<String>, _>("value")? {
        None => None,
        Some(word) => Some(RecordedIncident {
            page_id: row.try_get::<Option<i64>, _>("incident_id")?.map(IncidentId),
            value: value_of(&word, row.try_get("title")?)?,
            delivery: delivery_of(row)?,
            unanswered,
        }),
    };
    let component: String = row.try_get("component")?;
    let (subject, component_id) = if component == NO_COMPONENT {
        (OutageSubject::Monitoring, None)
    } else {
        let name = ComponentName::try_from(component.as_str()).map_err(|error| corrupt(&error.to_string()))?;
        (OutageSubject::Component(name), Some(ComponentId(row.try_get("component_id")?)))
    };
    Ok(Outage {
        subject,
        component_id,
        occurred_at: timestamp(row, "occurred_at_ms")?,
        began_at: timestamp(row, "began_at_ms")?,
        calm_since: optional_timestamp(row, "calm_since_ms")?,
        ended,
        incident,
        key,
    })
}

fn delivery_of(row: &SqliteRow) -> Result<Delivery, StoreError> {
    Ok(match optional_timestamp(row, "in_doubt_since_ms")? {
        Some(since) => Delivery::InDoubt { since },
        None => Delivery::Confirmed,
    })
}

async fn delete_row(connection: &mut SqliteConnection, key: &ResourceKey) -> Result<(), StoreError> {
    let Some((kind, name)) = names(key) else { return Ok(()) };
    sqlx::query("DELETE FROM ledger WHERE kind = $1 AND name = $2").bind(kind).bind(name).execute(connection).await?;
    Ok(())
}

/// Writes all of what the page shows.
pub(super) async fn replace_observed(
    connection: &mut SqliteConnection,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), StoreError> {
    forget_observed(connection).await?;
    upsert_observed_components(connection, &observed.components).await?;
    upsert_observed(connection, observed, now).await
}

/// Forgets the last reading of the page, and returns whether there was one.
pub(super) async fn forget_observed(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    sqlx::query("DELETE FROM observed_components").execute(&mut *connection).await?;
    Ok(sqlx::query("DELETE FROM observed").execute(connection).await?.rows_affected() > 0)
}

/// Writes what the page shows beside its components.
async fn upsert_observed(
    connection: &mut SqliteConnection,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Observed { groups, open_incidents, maintenance, components: _ } = observed;
    let (groups, open_incidents, maintenance) = (groups.clone(), open_incidents.clone(), maintenance.clone());
    let snapshot = to_snapshot(&Observed { groups, components: Vec::new(), open_incidents, maintenance })?;
    sqlx::query(
        "INSERT INTO observed (id, snapshot, taken_at_ms) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET snapshot = excluded.snapshot, taken_at_ms = excluded.taken_at_ms",
    )
    .bind(snapshot)
    .bind(now.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

async fn upsert_observed_components<'a>(
    connection: &mut SqliteConnection,
    components: impl IntoIterator<Item = &'a ObservedComponent>,
) -> Result<(), StoreError> {
    let components: Vec<&ObservedComponent> = components.into_iter().collect();
    for some in batches(&components) {
        let rows = some.iter().map(|component| Ok((component.id.0, to_snapshot(component)?)));
        let rows: Vec<(i64, String)> = rows.collect::<Result<_, StoreError>>()?;
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO observed_components (id, component) ");
        query.push_values(rows, |mut row, (id, component)| {
            row.push_bind(id).push_bind(component);
        });
        query.push(" ON CONFLICT (id) DO UPDATE SET component = excluded.component");
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn to_snapshot<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Corrupt { what: format!("the snapshot of the page: {error}") })
}

/// Everything that was last written.
pub(super) async fn read_ledger(connection: &mut SqliteConnection) -> Result<Ledger, StoreError> {
    ledger_of(connection, sqlx::query("SELECT * FROM ledger")).await
}

/// These rows, and all outages.
async fn ledger_of(connection: &mut SqliteConnection, rows: Query<'_>) -> Result<Ledger, StoreError> {
    let mut ledger = Ledger::default();
    for row in rows.fetch_all(&mut *connection).await? {
        if let Some((key, row)) = row_of(&row)? {
            ledger.record(Update::Component(key, Some(row)));
        }
    }
    for row in sqlx::query("SELECT * FROM outages").fetch_all(&mut *connection).await? {
        ledger.record(outage_of(&row)?.into());
    }
    Ok(ledger)
}

/// A row of the ledger; `None` for one of a target that is not taken any more, until `serve` drops it.
fn row_of(row: &SqliteRow) -> Result<Option<(ResourceKey, RecordedComponent)>, StoreError> {
    let name: String = row.try_get("name")?;
    let corrupt =
        |what: &str| StoreError::Corrupt { what: format!("what was written of {:?}: {what}", excerpt(&name)) };
    let key = match row.try_get::<String, _>("kind")?.as_str() {
        COMPONENT => {
            let name = ComponentName::try_from(name.as_str()).map_err(|error| corrupt(&error.to_string()))?;
            ResourceKey::Component(name)
        }
        TARGET if !Target::is_acceptable(&name, "") => return Ok(None),
        TARGET => {
            let target = Target::from_name(&name).ok_or_else(|| corrupt("no name of a target"))?;
            ResourceKey::Target(target.name())
        }
        _ => return Err(corrupt("neither a component nor a target")),
    };
    let status = ComponentStatus::from_value(row.try_get("status")?).ok_or_else(|| corrupt("unknown status"))?;
    let unanswered: Vec<StoredUnanswered> =
        serde_json::from_str(&row.try_get::<String, _>("unanswered")?).map_err(|error| corrupt(&error.to_string()))?;
    let unanswered = unanswered.into_iter().map(|sent| Unanswered {
        value: ComponentValue { status: sent.status, description: sent.description },
        sent_at: Timestamp::from_millis(sent.sent_at_ms),
    });
    let recorded = Recorded {
        page_id: row.try_get::<Option<i64>, _>("page_id")?.map(ComponentId),
        value: ComponentValue { status, description: row.try_get("description")? },
        delivery: delivery_of(row)?,
        unanswered: unanswered.collect(),
    };
    Ok(Some((key, recorded)))
}

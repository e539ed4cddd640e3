//! What was written to the page, the episodes, and what the page showed when it was last read.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::episodes::{NO_COMPONENT, count_lost, end_episode, episode_of, past_episode_of, subject_of, upsert_episode};
use super::{Store, StoreError, StoreOperation, history, optional_timestamp, timestamp};
use alertmanager_cachet_core::history::Happening;
use alertmanager_cachet_core::incident::{EndedBy, Episode};
use alertmanager_cachet_core::ledger::{ComponentValue, Delivery, Recorded, ResourceKey, Unanswered};
use alertmanager_cachet_core::observed::{ComponentId, GroupId, IncidentId, Observed};
use alertmanager_cachet_core::plan::{Applied, StrayOrigin, UnansweredWrite};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::target::{ComponentName, Target, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// The kinds of rows.
pub(super) const COMPONENT: &str = "component";
pub(super) const TARGET: &str = "target";
const GROUP: &str = "group";
const INCIDENT: &str = "incident";

/// Something to remember about what was, or is about to be, written to the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// What was written to a component, or is about to be.
    Row(ResourceKey, Recorded),
    /// A component is no longer ours to write.
    Release(ResourceKey),
    /// How far an episode is.
    Episode(Episode),
    /// An episode is over.
    EndEpisode(Episode, EndedBy),
    /// An incident that a write opened late is closed.
    StrayClosed(IncidentId, StrayOrigin),
    /// A write to an incident is about to be sent, and no answer is known.
    Sent(UnansweredWrite),
    /// A write to an incident was answered, has turned up, or is not to be expected any more.
    Answered(UnansweredWrite),
}

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
    /// Remembers `entries`, all of them or none.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn remember(&self, entries: &[Entry], now: Timestamp) -> Result<(), StoreError> {
        self.remember_with_history(entries, &[], now).await
    }

    /// Remembers `entries`, and with them what happened, all of it or nothing.
    ///
    /// # Errors
    /// As [`Self::remember`].
    pub async fn remember_with_history(
        &self,
        entries: &[Entry],
        happenings: &[Happening],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if entries.is_empty() && happenings.is_empty() {
            return Ok(());
        }
        self.measured(StoreOperation::Remember, self.remember_all(entries, happenings, now)).await
    }

    async fn remember_all(
        &self,
        entries: &[Entry],
        happenings: &[Happening],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for entry in entries {
            remember(&mut transaction, entry, now).await?;
        }
        history::keep(&mut transaction, happenings).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Everything that was last written, and the episodes that are not over.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn applied(&self) -> Result<Applied, StoreError> {
        let read = async { read_applied(&mut *self.reader.acquire().await?).await };
        self.measured(StoreOperation::Read, read).await
    }

    /// Remembers what the page shows, for explaining.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn remember_observed(&self, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        let keep = async { upsert_observed(&mut *self.writer.acquire().await?, observed, now).await };
        self.measured(StoreOperation::Remember, keep).await
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
        let row =
            sqlx::query("SELECT snapshot, taken_at_ms FROM observed WHERE id = 1").fetch_optional(&self.reader).await?;
        let Some(row) = row else { return Ok(None) };
        let snapshot: String = row.try_get("snapshot")?;
        let observed = serde_json::from_str(&snapshot)
            .map_err(|error| StoreError::Corrupt { what: format!("the snapshot of the page: {error}") })?;
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

async fn remember(connection: &mut SqliteConnection, entry: &Entry, now: Timestamp) -> Result<(), StoreError> {
    match entry {
        Entry::Row(key, row) => upsert_row(connection, key, row).await,
        Entry::Release(key) => delete_row(connection, key).await,
        Entry::Episode(episode) => upsert_episode(connection, episode).await,
        Entry::EndEpisode(episode, by) => end_episode(connection, episode, *by, now).await,
        Entry::StrayClosed(_, StrayOrigin::Posting { episode, lost }) => {
            count_lost(connection, episode, lost.as_ref()).await
        }
        Entry::Sent(write) => sent(connection, write).await,
        Entry::StrayClosed(_, StrayOrigin::Reopening(_)) => Ok(()),
        Entry::Answered(write) => answered(connection, write).await,
    }
}

/// The kind and the name of a row in the ledger. Incidents have none: their rows are the episodes.
fn names(key: &ResourceKey) -> Option<(&'static str, &str)> {
    match key {
        ResourceKey::Component(name) => Some((COMPONENT, name.as_str())),
        ResourceKey::Target(name) => Some((TARGET, name.as_str())),
        ResourceKey::Incident(_) | ResourceKey::MonitoringIncident => None,
    }
}

/// A value that was sent without an answer, as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredUnanswered {
    status: ComponentStatus,
    description: Option<String>,
    sent_at_ms: i64,
}

pub(super) async fn upsert_row(
    connection: &mut SqliteConnection,
    key: &ResourceKey,
    row: &Recorded,
) -> Result<(), StoreError> {
    let Some((kind, name)) = names(key) else { return Ok(()) };
    let unanswered = row.unanswered.iter().map(|sent| StoredUnanswered {
        status: sent.value.status,
        description: sent.value.description.clone(),
        sent_at_ms: sent.sent_at.as_millis(),
    });
    let unanswered = serde_json::to_string(&unanswered.collect::<Vec<_>>())
        .map_err(|error| StoreError::Corrupt { what: format!("what was sent to {key}: {error}") })?;
    let in_doubt_since = match row.delivery {
        Delivery::InDoubt { since } => Some(since.as_millis()),
        Delivery::Confirmed => None,
    };
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
    .bind(in_doubt_since)
    .bind(unanswered)
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_row(connection: &mut SqliteConnection, key: &ResourceKey) -> Result<(), StoreError> {
    let Some((kind, name)) = names(key) else { return Ok(()) };
    sqlx::query("DELETE FROM ledger WHERE kind = $1 AND name = $2").bind(kind).bind(name).execute(connection).await?;
    Ok(())
}

pub(super) async fn upsert_observed(
    connection: &mut SqliteConnection,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let snapshot = serde_json::to_string(observed)
        .map_err(|error| StoreError::Corrupt { what: format!("the snapshot of the page: {error}") })?;
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

/// Everything that was last written, and the episodes that are not over.
pub(super) async fn read_applied(connection: &mut SqliteConnection) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    for row in sqlx::query("SELECT * FROM ledger").fetch_all(&mut *connection).await? {
        if let Some((key, row)) = row_of(&row)? {
            applied.ledger.set(key, Some(row));
        }
    }
    let query = "SELECT * FROM episodes WHERE phase <> 'ended' ORDER BY began_at_ms, key";
    for row in sqlx::query(query).fetch_all(&mut *connection).await? {
        let episode = episode_of(&row)?;
        applied.keep(episode);
    }
    let query = "SELECT * FROM episodes WHERE phase = 'ended' AND lost_count > 0";
    for row in sqlx::query(query).fetch_all(&mut *connection).await? {
        let past = past_episode_of(&row)?;
        applied.past.insert(past.key.clone(), past);
    }
    let query = "SELECT * FROM unanswered_writes ORDER BY number";
    for row in sqlx::query(query).fetch_all(&mut *connection).await? {
        applied.unanswered.push(unanswered_write_of(&row)?);
    }
    Ok(applied)
}

/// A row of the ledger; `None` for one of a target that is not taken any more, until `serve` drops it.
fn row_of(row: &SqliteRow) -> Result<Option<(ResourceKey, Recorded)>, StoreError> {
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
        delivery: match optional_timestamp(row, "in_doubt_since_ms")? {
            Some(since) => Delivery::InDoubt { since },
            None => Delivery::Confirmed,
        },
        unanswered: unanswered.collect(),
    };
    Ok(Some((key, recorded)))
}

/// A write is about to be sent.
async fn sent(connection: &mut SqliteConnection, write: &UnansweredWrite) -> Result<(), StoreError> {
    let subject = &write.subject;
    sqlx::query(
        "INSERT INTO unanswered_writes \
         (number, kind, cachet_id, status, description, component, component_id, sent_at_ms) \
         SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, '', $4, $5, $6 FROM unanswered_writes",
    )
    .bind(INCIDENT)
    .bind(write.id.0)
    .bind(write.status.value())
    .bind(subject.component().map_or(NO_COMPONENT, ComponentName::as_str))
    .bind(subject.component_id().unwrap_or(ComponentId::UNKNOWN).0)
    .bind(write.sent_at.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps these writes in place of all others.
pub(super) async fn replace_unanswered(
    connection: &mut SqliteConnection,
    writes: &[UnansweredWrite],
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM unanswered_writes").execute(&mut *connection).await?;
    for write in writes {
        sent(connection, write).await?;
    }
    Ok(())
}

/// A write needs no remembering any more; of several that are alike, one.
async fn answered(connection: &mut SqliteConnection, write: &UnansweredWrite) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM unanswered_writes WHERE number = (SELECT MIN(number) FROM unanswered_writes \
         WHERE cachet_id = $1 AND status = $2 AND sent_at_ms = $3)",
    )
    .bind(write.id.0)
    .bind(write.status.value())
    .bind(write.sent_at.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

fn unanswered_write_of(row: &SqliteRow) -> Result<UnansweredWrite, StoreError> {
    let number: i64 = row.try_get("number")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("write {number} without an answer: {what}") };
    let id: i64 = row.try_get("cachet_id")?;
    Ok(UnansweredWrite {
        id: IncidentId(id),
        status: IncidentStatus::from_value(row.try_get("status")?).ok_or_else(|| corrupt("unknown status"))?,
        subject: subject_of(row, &format!("of incident {id}"))?,
        sent_at: timestamp(row, "sent_at_ms")?,
    })
}

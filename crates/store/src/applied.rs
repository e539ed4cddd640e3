//! What was written to Cachet, the episodes, and what Cachet showed when it was last read.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::episodes::{NO_COMPONENT, count_lost, end_episode, episode_of, past_episode_of, subject_of, upsert_episode};
use super::{Store, StoreError, StoreOperation, history, timestamp};
use alertmanager_cachet_core::history::Happening;
use alertmanager_cachet_core::incident::{EndedBy, Episode};
use alertmanager_cachet_core::observed::{ComponentId, GroupId, IncidentId, Observed};
use alertmanager_cachet_core::plan::{
    Applied, AppliedComponent, AppliedTarget, Certainty, StrayOrigin, UnansweredWrite, Written,
};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::target::{ComponentName, Target, TargetName, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// The kinds of rows.
pub(super) const COMPONENT: &str = "component";
pub(super) const TARGET: &str = "target";
const GROUP: &str = "group";
const INCIDENT: &str = "incident";

/// Something to remember about what was, or is about to be, written to Cachet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The status of a visible component.
    Component(ComponentName, AppliedComponent),
    /// Status and description of a target's own component.
    Target(TargetName, AppliedTarget),
    /// A visible component is no longer ours to write.
    ReleaseComponent(ComponentName),
    /// A target's component is no longer ours to write.
    ReleaseTarget(TargetName),
    /// How far an episode is.
    Episode(Episode),
    /// An episode is over.
    EndEpisode(Episode, EndedBy),
    /// An incident that a write opened late is closed.
    StrayClosed(IncidentId, StrayOrigin),
    /// A write is about to be sent, and no answer is known.
    Sent(UnansweredWrite),
    /// A write was answered, has turned up, or is not to be expected any more.
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

    /// Remembers what Cachet shows, for explaining.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn remember_observed(&self, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        let keep = async { upsert_observed(&mut *self.writer.acquire().await?, observed, now).await };
        self.measured(StoreOperation::Remember, keep).await
    }

    /// Cachet was read, and still shows what is remembered.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn confirm_observed(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE observed SET taken_at_ms = $1").bind(now.as_millis()).execute(&self.writer).await?;
        Ok(())
    }

    /// What Cachet showed when it was last read, and when that was; `None` if it never was.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] if the snapshot makes no sense.
    pub async fn observed(&self) -> Result<Option<(Observed, Timestamp)>, StoreError> {
        let row =
            sqlx::query("SELECT snapshot, taken_at_ms FROM observed WHERE id = 1").fetch_optional(&self.reader).await?;
        let Some(row) = row else { return Ok(None) };
        let snapshot: String = row.try_get("snapshot")?;
        let observed = serde_json::from_str(&snapshot)
            .map_err(|error| StoreError::Corrupt { what: format!("the snapshot of Cachet: {error}") })?;
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
        Entry::Component(name, written) => {
            let AppliedComponent { id, status, certainty } = written;
            upsert_applied(connection, COMPONENT, name.as_str(), (*id, *status, "", *certainty), now).await
        }
        Entry::Target(name, written) => {
            let AppliedTarget { id, status, description, certainty } = written;
            upsert_applied(connection, TARGET, name.as_str(), (*id, *status, description, *certainty), now).await
        }
        Entry::ReleaseComponent(name) => release(connection, COMPONENT, name.as_str()).await,
        Entry::ReleaseTarget(name) => release(connection, TARGET, name.as_str()).await,
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

async fn upsert_applied(
    connection: &mut SqliteConnection,
    kind: &str,
    name: &str,
    (id, status, description, certainty): (ComponentId, ComponentStatus, &str, Certainty),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO applied (kind, name, cachet_id, status, description, certainty, written_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (kind, name) DO UPDATE SET cachet_id = excluded.cachet_id, status = excluded.status, \
         description = excluded.description, certainty = excluded.certainty, written_at_ms = excluded.written_at_ms",
    )
    .bind(kind)
    .bind(name)
    .bind(id.0)
    .bind(i64::from(status.value()))
    .bind(description)
    .bind(certainty_word(certainty))
    .bind(now.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

fn certainty_word(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Settled => "settled",
        Certainty::Pending => "pending",
    }
}

pub(super) async fn update_certainty(
    connection: &mut SqliteConnection,
    kind: &str,
    name: &str,
    certainty: Certainty,
) -> Result<(), StoreError> {
    let query = sqlx::query("UPDATE applied SET certainty = $3 WHERE kind = $1 AND name = $2");
    query.bind(kind).bind(name).bind(certainty_word(certainty)).execute(connection).await?;
    Ok(())
}

pub(super) async fn upsert_observed(
    connection: &mut SqliteConnection,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let snapshot = serde_json::to_string(observed)
        .map_err(|error| StoreError::Corrupt { what: format!("the snapshot of Cachet: {error}") })?;
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

async fn release(connection: &mut SqliteConnection, kind: &str, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM applied WHERE kind = $1 AND name = $2").bind(kind).bind(name).execute(connection).await?;
    Ok(())
}

/// Everything that was last written, and the episodes that are not over.
pub(super) async fn read_applied(connection: &mut SqliteConnection) -> Result<Applied, StoreError> {
    let mut applied = Applied::default();
    for row in sqlx::query("SELECT * FROM applied").fetch_all(&mut *connection).await? {
        add_row(&row, &mut applied)?;
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

fn add_row(row: &SqliteRow, applied: &mut Applied) -> Result<(), StoreError> {
    let name: String = row.try_get("name")?;
    let corrupt =
        |what: &str| StoreError::Corrupt { what: format!("what was written of {:?}: {what}", excerpt(&name)) };
    let id = ComponentId(row.try_get("cachet_id")?);
    let status = ComponentStatus::from_value(row.try_get("status")?).ok_or_else(|| corrupt("unknown status"))?;
    let certainty = match row.try_get::<String, _>("certainty")?.as_str() {
        "settled" => Certainty::Settled,
        "pending" => Certainty::Pending,
        _ => return Err(corrupt("neither settled nor pending")),
    };
    match row.try_get::<String, _>("kind")?.as_str() {
        COMPONENT => {
            let name = ComponentName::try_from(name.as_str()).map_err(|error| corrupt(&error.to_string()))?;
            applied.components.insert(name, AppliedComponent { id, status, certainty });
        }
        // A store of an earlier release may have such a row, until `serve` drops it.
        TARGET if !Target::is_acceptable(&name, "") => {}
        TARGET => {
            let target = Target::from_name(&name).ok_or_else(|| corrupt("no name of a target"))?;
            let description = row.try_get("description")?;
            applied.targets.insert(target.name(), AppliedTarget { id, status, description, certainty });
        }
        _ => return Err(corrupt("neither a component nor a target")),
    }
    Ok(())
}

/// The columns of a write.
struct Columns<'a> {
    kind: &'static str,
    cachet_id: i64,
    status: u8,
    description: &'a str,
    component: &'a str,
    component_id: i64,
    sent_at_ms: i64,
}

impl<'a> Columns<'a> {
    fn of(write: &'a UnansweredWrite) -> Self {
        let sent_at_ms = write.sent_at.as_millis();
        match &write.what {
            Written::Component { id, status, description } => Self {
                kind: COMPONENT,
                cachet_id: id.0,
                status: status.value(),
                // No target's description is empty.
                description: description.as_deref().unwrap_or_default(),
                component: NO_COMPONENT,
                component_id: ComponentId::UNKNOWN.0,
                sent_at_ms,
            },
            Written::Incident { id, status, subject } => Self {
                kind: INCIDENT,
                cachet_id: id.0,
                status: status.value(),
                description: "",
                component: subject.component().map_or(NO_COMPONENT, ComponentName::as_str),
                component_id: subject.component_id().unwrap_or(ComponentId::UNKNOWN).0,
                sent_at_ms,
            },
        }
    }
}

/// A write is about to be sent.
async fn sent(connection: &mut SqliteConnection, write: &UnansweredWrite) -> Result<(), StoreError> {
    let columns = Columns::of(write);
    sqlx::query(
        "INSERT INTO unanswered_writes \
         (number, kind, cachet_id, status, description, component, component_id, sent_at_ms) \
         SELECT COALESCE(MAX(number), 0) + 1, $1, $2, $3, $4, $5, $6, $7 FROM unanswered_writes",
    )
    .bind(columns.kind)
    .bind(columns.cachet_id)
    .bind(columns.status)
    .bind(columns.description)
    .bind(columns.component)
    .bind(columns.component_id)
    .bind(columns.sent_at_ms)
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
    let columns = Columns::of(write);
    sqlx::query(
        "DELETE FROM unanswered_writes WHERE number = (SELECT MIN(number) FROM unanswered_writes \
         WHERE kind = $1 AND cachet_id = $2 AND status = $3 AND description = $4 AND sent_at_ms = $5)",
    )
    .bind(columns.kind)
    .bind(columns.cachet_id)
    .bind(columns.status)
    .bind(columns.description)
    .bind(columns.sent_at_ms)
    .execute(connection)
    .await?;
    Ok(())
}

fn unanswered_write_of(row: &SqliteRow) -> Result<UnansweredWrite, StoreError> {
    let number: i64 = row.try_get("number")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("write {number} without an answer: {what}") };
    let (id, status): (i64, i64) = (row.try_get("cachet_id")?, row.try_get("status")?);
    let what = match row.try_get::<String, _>("kind")?.as_str() {
        COMPONENT => {
            let status = ComponentStatus::from_value(status).ok_or_else(|| corrupt("unknown status"))?;
            let description = Some(row.try_get::<String, _>("description")?).filter(|text| !text.is_empty());
            Written::Component { id: ComponentId(id), status, description }
        }
        INCIDENT => {
            let status = IncidentStatus::from_value(status).ok_or_else(|| corrupt("unknown status"))?;
            let subject = subject_of(row, &format!("of incident {id}"))?;
            Written::Incident { id: IncidentId(id), status, subject }
        }
        _ => return Err(corrupt("neither to a component nor to an incident")),
    };
    Ok(UnansweredWrite { what, sent_at: timestamp(row, "sent_at_ms")? })
}

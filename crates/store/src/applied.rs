//! What was written to Cachet, the episodes, and what Cachet showed when it was last read.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StoreOperation;
use super::limits::is_not_taken;
use super::unanswered::{answered, sent, unanswered_write_of};
use super::{Store, StoreError, history};
use alertmanager_cachet_core::history::Happening;
use alertmanager_cachet_core::incident::{
    EndedBy, Episode, EpisodeKey, EpisodePhase, EpisodeSubject, LostPostings, PastEpisode,
};
use alertmanager_cachet_core::observed::{ComponentId, IncidentId, Observed};
use alertmanager_cachet_core::plan::{
    Applied, AppliedComponent, AppliedTarget, Certainty, StrayOrigin, UnansweredWrite,
};
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::{ComponentName, Target, TargetName, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// What stands for the component in an episode of the monitoring: no component has an empty name.
pub(super) const NO_COMPONENT: &str = "";

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
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for entry in entries {
            remember(&mut transaction, entry, now).await?;
        }
        history::keep(&mut transaction, happenings).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Says at which address the Cachet is that everything else here is about.
    ///
    /// Where that is another one than before, numbers of components and incidents mean nothing any more: what was
    /// written counts as never confirmed, and the incident of each episode that is not over is looked up by its key, and
    /// opened if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn keep_page_at(&self, address: &str) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let known: Option<String> =
            sqlx::query_scalar("SELECT address FROM cachet WHERE id = 1").fetch_optional(&mut *transaction).await?;
        if known.as_deref() == Some(address) {
            return Ok(());
        }
        for statement in [
            "UPDATE applied SET certainty = 'pending'",
            "UPDATE episodes SET phase = 'ended' WHERE phase = 'closed'",
            "UPDATE episodes SET phase = 'absent', incident_id = NULL WHERE phase <> 'ended'",
            "UPDATE episodes SET lost_count = 0",
            "DELETE FROM unanswered_writes",
            "DELETE FROM observed",
        ] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        sqlx::query(
            "INSERT INTO cachet (id, address) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET address = excluded.address",
        )
        .bind(address)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Everything that was last written, and the episodes that are not over.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn applied(&self) -> Result<Applied, StoreError> {
        self.measured(StoreOperation::Read, self.read_applied()).await
    }

    async fn read_applied(&self) -> Result<Applied, StoreError> {
        let mut applied = Applied::default();
        for row in sqlx::query("SELECT * FROM applied").fetch_all(&self.reader).await? {
            read_applied(&row, &mut applied)?;
        }
        let query = "SELECT * FROM episodes WHERE phase <> 'ended' ORDER BY began_at_ms, key";
        for row in sqlx::query(query).fetch_all(&self.reader).await? {
            let episode = episode_of(&row)?;
            applied.keep(episode);
        }
        let query = "SELECT * FROM episodes WHERE phase = 'ended' AND lost_count > 0";
        for row in sqlx::query(query).fetch_all(&self.reader).await? {
            let past = past_episode_of(&row)?;
            applied.past.insert(past.key.clone(), past);
        }
        let query = "SELECT * FROM unanswered_writes ORDER BY number";
        for row in sqlx::query(query).fetch_all(&self.reader).await? {
            applied.unanswered.push(unanswered_write_of(&row)?);
        }
        Ok(applied)
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
        Ok(Some((observed, Timestamp::from_millis(row.try_get("taken_at_ms")?))))
    }
}

async fn remember(connection: &mut SqliteConnection, entry: &Entry, now: Timestamp) -> Result<(), StoreError> {
    match entry {
        Entry::Component(name, written) => {
            let AppliedComponent { id, status, certainty } = written;
            upsert_applied(connection, "component", name.as_str(), (*id, *status, "", *certainty), now).await
        }
        Entry::Target(name, written) => {
            let AppliedTarget { id, status, description, certainty } = written;
            upsert_applied(connection, "target", name.as_str(), (*id, *status, description, *certainty), now).await
        }
        Entry::ReleaseComponent(name) => release(connection, "component", name.as_str()).await,
        Entry::ReleaseTarget(name) => release(connection, "target", name.as_str()).await,
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
    .bind(match certainty {
        Certainty::Settled => "settled",
        Certainty::Pending => "pending",
    })
    .bind(now.as_millis())
    .execute(connection)
    .await?;
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

pub(super) async fn upsert_episode(connection: &mut SqliteConnection, episode: &Episode) -> Result<(), StoreError> {
    let (phase, closed) = match episode.phase {
        EpisodePhase::Opening => ("opening", None),
        EpisodePhase::Absent => ("absent", None),
        EpisodePhase::Open(_) => ("open", None),
        EpisodePhase::Closing(_) => ("closing", None),
        EpisodePhase::ClosedByPerson(_) => ("closed_by_person", None),
        EpisodePhase::Closed { at, by, .. } => ("closed", Some((at, by))),
        EpisodePhase::Reopening(_) => ("reopening", None),
    };
    let lost = episode.lost.as_ref();
    sqlx::query(
        "INSERT INTO episodes (key, component, component_id, occurred_at_ms, began_at_ms, phase, incident_id, \
         calm_since_ms, closed_at_ms, ended_by, lost_count, lost_missed_at_ms, lost_title) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (key) DO UPDATE SET component_id = excluded.component_id, phase = excluded.phase, \
         incident_id = excluded.incident_id, calm_since_ms = excluded.calm_since_ms, \
         closed_at_ms = excluded.closed_at_ms, ended_by = excluded.ended_by, \
         lost_count = excluded.lost_count, lost_missed_at_ms = excluded.lost_missed_at_ms, \
         lost_title = excluded.lost_title",
    )
    .bind(episode.key.as_str())
    .bind(episode.subject.component().map_or(NO_COMPONENT, ComponentName::as_str))
    .bind(episode.subject.component_id().unwrap_or(ComponentId::UNKNOWN).0)
    .bind(episode.occurred_at.as_millis())
    .bind(episode.began_at.as_millis())
    .bind(phase)
    .bind(episode.phase.incident().map(|id| id.0))
    .bind(episode.calm_since.map(Timestamp::as_millis))
    .bind(closed.map(|(at, _)| at.as_millis()))
    .bind(closed.map(|(_, by)| ended_by(by)))
    .bind(lost.map_or(0, |lost| i64::from(lost.count)))
    .bind(lost.map(|lost| lost.missed_at.as_millis()))
    .bind(lost.and_then(|lost| lost.title.as_deref()))
    .execute(connection)
    .await?;
    Ok(())
}

async fn end_episode(
    connection: &mut SqliteConnection,
    episode: &Episode,
    by: EndedBy,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE episodes SET phase = 'ended', incident_id = $2, ended_at_ms = $3, ended_by = $4 WHERE key = $1",
    )
    .bind(episode.key.as_str())
    .bind(episode.phase.incident().map(|id| id.0))
    .bind(now.as_millis())
    .bind(ended_by(by))
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

async fn count_lost(
    connection: &mut SqliteConnection,
    episode: &EpisodeKey,
    lost: Option<&LostPostings>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE episodes SET lost_count = $2 WHERE key = $1")
        .bind(episode.as_str())
        .bind(lost.map_or(0, |lost| i64::from(lost.count)))
        .execute(connection)
        .await?;
    Ok(())
}

fn read_applied(row: &SqliteRow, applied: &mut Applied) -> Result<(), StoreError> {
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
        "component" => {
            let name = ComponentName::try_from(name.as_str()).map_err(|error| corrupt(&error.to_string()))?;
            applied.components.insert(name, AppliedComponent { id, status, certainty });
        }
        // A store of an earlier release may have such a row, until `serve` drops it.
        "target" if is_not_taken(&name, "") => {}
        "target" => {
            let target = Target::from_name(&name).ok_or_else(|| corrupt("no name of a target"))?;
            let description = row.try_get("description")?;
            applied.targets.insert(target.name(), AppliedTarget { id, status, description, certainty });
        }
        _ => return Err(corrupt("neither a component nor a target")),
    }
    Ok(())
}

fn episode_of(row: &SqliteRow) -> Result<Episode, StoreError> {
    let key: String = row.try_get("key")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("episode {key:?}: {what}") };
    let incident = row.try_get::<Option<i64>, _>("incident_id")?.map(IncidentId);
    let phase: String = row.try_get("phase")?;
    let closed_at = row.try_get::<Option<i64>, _>("closed_at_ms")?.map(Timestamp::from_millis);
    let closed_by = match row.try_get::<Option<String>, _>("ended_by")?.as_deref() {
        // The first release remembered only those that it had closed itself, and did not say so.
        None | Some("recovery") => EndedBy::Recovery,
        Some("person") => EndedBy::Person,
        Some(other) => return Err(corrupt(&format!("ended by {other:?} makes no sense"))),
    };
    let phase = match (phase.as_str(), incident, closed_at) {
        ("opening", ..) => EpisodePhase::Opening,
        ("absent", ..) => EpisodePhase::Absent,
        ("open", Some(id), _) => EpisodePhase::Open(id),
        ("closing", Some(id), _) => EpisodePhase::Closing(id),
        ("closed_by_person", Some(id), _) => EpisodePhase::ClosedByPerson(id),
        ("closed", Some(incident), Some(at)) => EpisodePhase::Closed { incident, at, by: closed_by },
        ("reopening", Some(id), _) => EpisodePhase::Reopening(id),
        _ => return Err(corrupt(&format!("phase {phase:?} makes no sense"))),
    };
    Ok(Episode {
        subject: subject_of(row, &key)?,
        occurred_at: Timestamp::from_millis(row.try_get("occurred_at_ms")?),
        began_at: Timestamp::from_millis(row.try_get("began_at_ms")?),
        calm_since: row.try_get::<Option<i64>, _>("calm_since_ms")?.map(Timestamp::from_millis),
        lost: lost_of(row, &key)?,
        phase,
        key: EpisodeKey::from_stored(key),
    })
}

fn past_episode_of(row: &SqliteRow) -> Result<PastEpisode, StoreError> {
    let key: String = row.try_get("key")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("episode {key:?}: {what}") };
    Ok(PastEpisode {
        subject: subject_of(row, &key)?,
        incident: row.try_get::<Option<i64>, _>("incident_id")?.map(IncidentId),
        lost: lost_of(row, &key)?.ok_or_else(|| corrupt("nothing of it is lost"))?,
        key: EpisodeKey::from_stored(key),
    })
}

pub(super) fn subject_of(row: &SqliteRow, key: &str) -> Result<EpisodeSubject, StoreError> {
    let component: String = row.try_get("component")?;
    if component == NO_COMPONENT {
        return Ok(EpisodeSubject::Monitoring);
    }
    let name = ComponentName::try_from(component.as_str())
        .map_err(|error| StoreError::Corrupt { what: format!("episode {key:?}: {error}") })?;
    Ok(EpisodeSubject::Component { name, id: ComponentId(row.try_get("component_id")?) })
}

fn lost_of(row: &SqliteRow, key: &str) -> Result<Option<LostPostings>, StoreError> {
    let corrupt = || StoreError::Corrupt { what: format!("episode {key:?}: what was posted for it makes no sense") };
    let count = u32::try_from(row.try_get::<i64, _>("lost_count")?).map_err(|_| corrupt())?;
    if count == 0 {
        return Ok(None);
    }
    let missed_at = row.try_get::<Option<i64>, _>("lost_missed_at_ms")?.map(Timestamp::from_millis);
    let missed_at = missed_at.ok_or_else(corrupt)?;
    Ok(Some(LostPostings { count, missed_at, title: row.try_get("lost_title")? }))
}

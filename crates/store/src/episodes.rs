//! The table of episodes.

use std::collections::BTreeSet;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{StoreError, optional_timestamp, timestamp};
use alertmanager_cachet_core::incident::{
    EndedBy, Episode, EpisodeKey, EpisodePhase, EpisodeSubject, LostPostings, PastEpisode,
};
use alertmanager_cachet_core::observed::{ComponentId, IncidentId};
use alertmanager_cachet_core::plan::Applied;
use alertmanager_cachet_core::target::ComponentName;
use alertmanager_cachet_core::time::Timestamp;

/// What stands for the component in an episode of the monitoring: no component has an empty name.
pub(super) const NO_COMPONENT: &str = "";

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

pub(super) async fn end_episode(
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

/// Ends every episode that is not in `applied`, and updates what is awaited of those that are over.
pub(super) async fn end_other_episodes(connection: &mut SqliteConnection, applied: &Applied) -> Result<(), StoreError> {
    let query = "SELECT key FROM episodes WHERE phase <> 'ended' OR lost_count > 0";
    let mut keys: BTreeSet<String> = sqlx::query_scalar(query).fetch_all(&mut *connection).await?.into_iter().collect();
    for episode in applied.every_episode() {
        keys.remove(episode.key.as_str());
    }
    for key in keys.into_iter().map(EpisodeKey::from_stored) {
        let lost = applied.past.get(&key).map(|past| &past.lost);
        sqlx::query(
            "UPDATE episodes SET phase = 'ended', ended_by = COALESCE(ended_by, 'recovery'), lost_count = $2, \
             lost_missed_at_ms = $3 WHERE key = $1",
        )
        .bind(key.as_str())
        .bind(lost.map_or(0, |lost| i64::from(lost.count)))
        .bind(lost.map(|lost| lost.missed_at.as_millis()))
        .execute(&mut *connection)
        .await?;
    }
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

pub(super) async fn count_lost(
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

pub(super) fn episode_of(row: &SqliteRow) -> Result<Episode, StoreError> {
    let key: String = row.try_get("key")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("episode {key:?}: {what}") };
    let incident = row.try_get::<Option<i64>, _>("incident_id")?.map(IncidentId);
    let phase: String = row.try_get("phase")?;
    let closed_at = optional_timestamp(row, "closed_at_ms")?;
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
        occurred_at: timestamp(row, "occurred_at_ms")?,
        began_at: timestamp(row, "began_at_ms")?,
        calm_since: optional_timestamp(row, "calm_since_ms")?,
        lost: lost_of(row, &key)?,
        phase,
        key: EpisodeKey::from_stored(key),
    })
}

pub(super) fn past_episode_of(row: &SqliteRow) -> Result<PastEpisode, StoreError> {
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
    let missed_at = optional_timestamp(row, "lost_missed_at_ms")?;
    let missed_at = missed_at.ok_or_else(corrupt)?;
    Ok(Some(LostPostings { count, missed_at, title: row.try_get("lost_title")? }))
}

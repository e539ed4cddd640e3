//! Maintenance as readers see it: what is in progress, and what is planned.

use serde::Serialize;
use sqlx::SqliteConnection;

use crate::core::status::ScheduleStatus;
use crate::core::time::Timestamp;

use super::super::request::Viewer;
use super::super::schedules::{self, Schedule};
use super::super::{components, schedule_updates};
use super::{Entry, MAINTENANCE, Moment, Tone, entry};

/// How much maintenance the page tells of, what begins first; who plans more than that does not plan by this page.
const TOLD_MAX: i64 = 20;

/// What of it the page tells.
#[derive(Debug, Default, Serialize)]
pub struct Maintenance {
    in_progress: Vec<Announcement>,
    planned: Vec<Announcement>,
}

/// One maintenance with all that was said about it, the newest first.
#[derive(Debug, Serialize)]
struct Announcement {
    id: i64,
    name: String,
    tone: Tone,
    word: &'static str,
    components: Vec<String>,
    begins: Moment,
    /// None: when somebody ends it.
    ends: Option<Moment>,
    entries: Vec<Entry>,
}

/// Reads what is announced or in progress at `now`.
pub async fn read(db: &mut SqliteConnection, now: Timestamp) -> Result<Maintenance, sqlx::Error> {
    let mut maintenance = Maintenance::default();
    for schedule in schedules::for_guests(db, now, TOLD_MAX).await? {
        let announcement = announcement(db, &schedule, now).await?;
        match schedule.status(now) {
            ScheduleStatus::Upcoming => maintenance.planned.push(announcement),
            ScheduleStatus::InProgress | ScheduleStatus::Complete => maintenance.in_progress.push(announcement),
        }
    }
    Ok(maintenance)
}

async fn announcement(
    db: &mut SqliteConnection,
    schedule: &Schedule,
    now: Timestamp,
) -> Result<Announcement, sqlx::Error> {
    let attached = components::of_schedule(db, schedule.id, Viewer::Guest).await?;
    let updates = schedule_updates::of_schedule(db, schedule.id).await?;
    let mut entries: Vec<Entry> =
        updates.iter().rev().map(|update| entry("Update", update.created_at, &update.message)).collect();
    entries.push(entry("Announced", schedule.created_at, &schedule.message));
    Ok(Announcement {
        id: schedule.id,
        name: schedule.name.clone(),
        tone: MAINTENANCE,
        word: schedule.status(now).word(),
        components: attached.into_iter().map(|(component, _)| component.name).collect(),
        begins: Moment::of(schedule.scheduled_at),
        ends: schedule.completed_at.map(Moment::of),
        entries,
    })
}

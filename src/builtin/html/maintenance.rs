//! Maintenance as readers see it: what is in progress, and what is planned.

use serde::Serialize;

use crate::core::builtin::{Content, PlannedMaintenance};
use crate::core::status::ScheduleStatus;
use crate::core::time::Timestamp;

use super::{Entry, MAINTENANCE, Moment, Names, Tone, entry};

/// How much maintenance the page tells of, what begins first; who plans more than that does not plan by this page.
const TOLD_MAX: usize = 20;

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

/// What is announced or in progress at `now`.
pub fn of(content: &Content, names: &Names<'_>, now: Timestamp) -> Maintenance {
    let mut maintenance = Maintenance::default();
    for one in content.maintenance.iter().filter(|one| one.is_published(now)).take(TOLD_MAX) {
        match one.phase(now) {
            ScheduleStatus::Upcoming => maintenance.planned.push(announcement(one, names, now)),
            ScheduleStatus::InProgress => maintenance.in_progress.push(announcement(one, names, now)),
            ScheduleStatus::Complete => {}
        }
    }
    maintenance
}

fn announcement(maintenance: &PlannedMaintenance, names: &Names<'_>, now: Timestamp) -> Announcement {
    let said = maintenance.updates.iter().rev();
    let mut entries: Vec<Entry> = said.map(|update| entry("Update", update.at, &update.message)).collect();
    entries.push(entry("Announced", maintenance.created_at, &maintenance.message));
    Announcement {
        id: maintenance.id.0,
        name: maintenance.title.clone(),
        tone: MAINTENANCE,
        word: maintenance.phase(now).word(),
        components: names.of(&maintenance.affected),
        begins: Moment::of(maintenance.begins_at),
        ends: maintenance.ends_at.map(Moment::of),
        entries,
    }
}

//! What happened to a component, as it is told.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::StatusWord;
use crate::history::{AlertHappening, Event, Happening};
use crate::observed::IncidentId;
use crate::time::Timestamp;
use crate::uptime::{UptimeOfDays, duration_text, percent_text};

/// How many lines of the past `explain` prints; its JSON has all of them.
const LINES: usize = 12;

/// What happened to a component, and how much of the time it was up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Past {
    /// How much of the time it was up, over the last days.
    pub uptime: Vec<UptimeOfDays>,
    /// How many days the timeline goes back.
    pub days: u32,
    /// Whether more happened in that time than the timeline has.
    pub cut: bool,
    /// What happened, the latest first.
    pub timeline: Vec<TimelineEntry>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// When (RFC 3339).
    pub at: String,
    /// What kind of thing, in one word; of alerts `alert_` and what they did.
    pub event: String,
    /// What, in one sentence.
    pub text: String,
    /// The status that the component had to show from then on, or that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusWord>,
    /// The incident that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<i64>,
}

impl TimelineEntry {
    fn of_alert(happening: &AlertHappening) -> Self {
        Self {
            at: happening.at.to_string(),
            event: format!("alert_{}", happening.turn.word()),
            text: happening.to_string(),
            status: None,
            incident: None,
        }
    }

    fn of_event(happening: &Happening) -> Self {
        let event = &happening.event;
        Self {
            at: happening.at.to_string(),
            event: event.word().to_owned(),
            text: event.to_string(),
            status: match event {
                Event::Status { to, .. } => to.map(StatusWord::from),
                Event::Written { to, .. } => Some((*to).into()),
                Event::Held { status, .. } => Some((*status).into()),
                _ => None,
            },
            incident: match event {
                Event::IncidentOpened { incident }
                | Event::IncidentReopened { incident }
                | Event::IncidentClosed { incident, .. }
                | Event::IncidentClosedByPerson { incident } => Some(incident),
                _ => None,
            }
            .map(|IncidentId(id)| *id),
        }
    }
}

/// What happened, the latest first, `limit` things at most. Both lists have the latest first; of two things of the same
/// moment, what an alert did is the cause.
pub fn timeline(alerts: &[AlertHappening], events: &[Happening], limit: usize) -> Vec<TimelineEntry> {
    let of_events = events.iter().map(|event| (event.at, TimelineEntry::of_event(event)));
    let of_alerts = alerts.iter().map(|alert| (alert.at, TimelineEntry::of_alert(alert)));
    let mut entries: Vec<(Timestamp, TimelineEntry)> = of_events.chain(of_alerts).collect();
    entries.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    entries.into_iter().take(limit).map(|(_, entry)| entry).collect()
}

/// As a person reads it.
impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nUptime")?;
        for uptime in &self.uptime {
            let days = if uptime.days == 1 { "day" } else { "days" };
            let share = uptime.percent.map_or_else(|| "nothing is known".to_owned(), percent_text);
            write!(f, "  {share:<9} of the last {} {days}", uptime.days)?;
            match (Duration::from_secs(uptime.unknown_seconds), uptime.percent) {
                (Duration::ZERO, _) | (_, None) => writeln!(f)?,
                (unknown, Some(_)) => writeln!(f, ", of which {} are not known", duration_text(unknown))?,
            }
        }
        match self.days {
            1 => writeln!(f, "\nThe last day")?,
            days => writeln!(f, "\nThe last {days} days")?,
        }
        if self.timeline.is_empty() {
            writeln!(f, "  nothing happened")?;
        }
        for entry in self.timeline.iter().take(LINES) {
            writeln!(f, "  {}  {}", entry.at, entry.text)?;
        }
        match self.timeline.len().saturating_sub(LINES) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} things more, which --output json tells"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uptime(days: u32, percent: Option<f64>, unknown_seconds: u64) -> UptimeOfDays {
        UptimeOfDays { days, percent, up_seconds: 0, partial_seconds: 0, down_seconds: 0, unknown_seconds }
    }

    #[test]
    fn uptime_is_told_with_how_much_of_it_is_not_known_and_the_rest_of_the_past_is_counted() {
        let entry = TimelineEntry {
            at: "2026-11-21T02:00:00Z".to_owned(),
            event: "released".to_owned(),
            text: "ada released it".to_owned(),
            status: None,
            incident: None,
        };
        let past = Past {
            uptime: vec![uptime(1, Some(100.0), 0), uptime(7, Some(99.5), 90_061), uptime(30, None, 2_592_000)],
            days: 1,
            cut: false,
            timeline: vec![entry; LINES + 2],
        };
        let told = past.to_string();
        let begin = "\nUptime\n  100 %     of the last 1 day\n  99.500 %  of the last 7 days, of which 1 d 1 h are not known\n  \
                     nothing is known of the last 30 days\n\nThe last day\n  2026-11-21T02:00:00Z  ada released it\n";
        assert!(told.starts_with(begin), "{told}");
        assert!(told.ends_with("\n  and 2 things more, which --output json tells\n"), "{told}");
    }
}

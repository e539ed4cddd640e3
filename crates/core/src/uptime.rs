//! The past of a component, as it is told: what happened to it, and how much of the time it was up, from what it had to
//! show.
//!
//! | status | counts as |
//! | --- | --- |
//! | Operational, Performance Issues | up |
//! | Partial Outage | up, and is told beside it: some of it worked for everybody, or all of it for some |
//! | Major Outage | down |
//! | Unknown, Under Maintenance | neither: nobody can say, or nobody was promised anything |
//! | nothing kept, or the server was not running | neither: nobody looked |
//!
//! The statuses are those that the component *had to* show, by the rules and by overrides: not what the page showed while
//! it could not be written. An outage within announced maintenance counts like any other, for schedules change
//! what is shown and not what the alerts say; who wants it left out overrides the component.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::explain::StatusWord;
use super::history::{AlertEvent, Event, EventKind};
use super::status::ComponentStatus;
use super::time::Timestamp;

/// The spans over which uptime is told, in days.
pub const UPTIME_DAYS: [u32; 4] = [1, 7, 30, 90];

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A stretch of time: from its beginning on, up to but without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

/// From `at` on, the component had to show `status`; `None`: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChange {
    /// When.
    pub at: Timestamp,
    /// What.
    pub status: Option<ComponentStatus>,
}

/// How long a component was what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uptime {
    /// It was up, in part or altogether.
    pub up: Duration,
    /// Of that, it was in Partial Outage.
    pub partial: Duration,
    /// It was in Major Outage.
    pub down: Duration,
    /// It was none of these, or nobody looked.
    pub unknown: Duration,
}

/// Uptime as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UptimeOfDays {
    /// Over how many days, up to now.
    pub days: u32,
    /// How much of what is known of them it was up, in percent; absent if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// For how many seconds it was up.
    pub up_seconds: u64,
    /// Of these, for how many it was in Partial Outage.
    pub partial_seconds: u64,
    /// For how many seconds it was in Major Outage.
    pub down_seconds: u64,
    /// Of how many seconds nothing is known, or it was Unknown or Under Maintenance.
    pub unknown_seconds: u64,
}

impl Span {
    /// The last `days` days before `now`.
    pub fn of_last_days(days: u32, now: Timestamp) -> Self {
        Self { from: now.before(DAY * days), until: now }
    }

    /// What it has in common with another.
    fn overlap(self, other: Self) -> Duration {
        self.until.min(other.until).since(self.from.max(other.from))
    }
}

impl Uptime {
    /// How much of what is known of the time it was up, in percent; `None` if nothing is.
    pub fn percent(self) -> Option<f64> {
        let known = (self.up + self.down).as_secs_f64();
        (known > 0.0).then(|| 100.0 * self.up.as_secs_f64() / known)
    }
}

/// How long the component was what within `window`.
///
/// `changes` are in the order of their times. Before the first of them nothing is known; where two are out of order, as
/// after a clock was set back, the stretch between them has no length. `unseen` are the times in which the server was not
/// running; they do not overlap.
pub fn uptime(changes: &[StatusChange], unseen: &[Span], window: Span) -> Uptime {
    let mut uptime = Uptime::default();
    let ends = changes.iter().skip(1).map(|next| next.at).chain([window.until]);
    for (change, until) in changes.iter().zip(ends) {
        let stretch = Span { from: change.at.max(window.from), until: until.min(window.until) };
        let seen = stretch.overlap(stretch).saturating_sub(unseen.iter().map(|gap| gap.overlap(stretch)).sum());
        match change.status {
            Some(ComponentStatus::Operational | ComponentStatus::PerformanceIssues) => uptime.up += seen,
            Some(ComponentStatus::PartialOutage) => {
                uptime.up += seen;
                uptime.partial += seen;
            }
            Some(ComponentStatus::MajorOutage) => uptime.down += seen,
            Some(ComponentStatus::Unknown | ComponentStatus::UnderMaintenance) | None => {}
        }
    }
    uptime.unknown = window.overlap(window).saturating_sub(uptime.up + uptime.down);
    uptime
}

/// The uptime over each of [`UPTIME_DAYS`] that are not more than the history keeps.
pub fn uptime_of_days(
    changes: &[StatusChange],
    unseen: &[Span],
    history_days: u32,
    now: Timestamp,
) -> Vec<UptimeOfDays> {
    let kept = UPTIME_DAYS.into_iter().filter(|days| *days <= history_days);
    kept.map(|days| {
        let uptime = uptime(changes, unseen, Span::of_last_days(days, now));
        UptimeOfDays {
            days,
            percent: uptime.percent(),
            up_seconds: uptime.up.as_secs(),
            partial_seconds: uptime.partial.as_secs(),
            down_seconds: uptime.down.as_secs(),
            unknown_seconds: uptime.unknown.as_secs(),
        }
    })
    .collect()
}

/// A share of time in percent as a person reads it: cut, never rounded, so that 100 % means that it was never down.
pub fn percent_text(percent: f64) -> String {
    if percent >= 100.0 { "100 %".to_owned() } else { format!("{:.3} %", (percent * 1000.0).floor() / 1000.0) }
}

/// The two largest units, cut: `3 d 4 h`, `5 min 10 s`.
pub fn duration_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let told = units.into_iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, unit)| format!("{count} {unit}")).collect();
    if told.is_empty() { "0 s".to_owned() } else { told.join(" ") }
}

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

/// What happened, the latest first, `limit` things at most. Both lists have the latest first; of two things of the same
/// moment, what an alert did is the cause.
pub fn timeline(alerts: &[AlertEvent], events: &[Event], limit: usize) -> Vec<TimelineEntry> {
    let of_alerts = alerts.iter().map(|alert| {
        let (at, event, text) = (alert.at.to_string(), format!("alert_{}", alert.kind.word()), alert.to_string());
        (alert.at, TimelineEntry { at, event, text, status: None, incident: None })
    });
    let of_events = events.iter().map(|Event { at, kind, .. }| {
        let status = match kind {
            EventKind::Status { to, .. } => to.map(StatusWord::from),
            EventKind::Written { to, .. } => Some((*to).into()),
            EventKind::OverrideSet { status, .. } => Some((*status).into()),
            _ => None,
        };
        let incident = match kind {
            EventKind::IncidentOpened { incident, .. }
            | EventKind::IncidentReopened { incident, .. }
            | EventKind::IncidentClosed { incident, .. }
            | EventKind::IncidentClosedByPerson { incident } => Some(incident.0),
            _ => None,
        };
        let (word, text) = (kind.word().to_owned(), kind.to_string());
        (*at, TimelineEntry { at: at.to_string(), event: word, text, status, incident })
    });
    let mut entries: Vec<(Timestamp, TimelineEntry)> = of_events.chain(of_alerts).collect();
    entries.sort_by_key(|(at, _)| Reverse(*at));
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
    use proptest::prelude::*;

    use super::ComponentStatus::{
        MajorOutage, Operational, PartialOutage, PerformanceIssues, UnderMaintenance, Unknown,
    };
    use super::*;

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn span(from: i64, until: i64) -> Span {
        Span { from: at(from), until: at(until) }
    }

    fn changes(changes: &[(i64, Option<ComponentStatus>)]) -> Vec<StatusChange> {
        changes.iter().map(|&(second, status)| StatusChange { at: at(second), status }).collect()
    }

    /// Up, partial, down and unknown, in seconds.
    fn seconds(uptime: Uptime) -> [u64; 4] {
        [uptime.up, uptime.partial, uptime.down, uptime.unknown].map(|span| span.as_secs())
    }

    #[test]
    fn a_major_outage_is_down_and_a_partial_one_is_up_and_told_apart() {
        let story = changes(&[(0, Some(Operational)), (60, Some(PartialOutage)), (70, Some(MajorOutage))]);
        let uptime = uptime(&story, &[], span(0, 100));
        assert_eq!(seconds(uptime), [70, 10, 30, 0]);
        assert_eq!(uptime.percent(), Some(70.0));
    }

    #[test]
    fn what_nobody_knows_is_left_out_of_the_share() {
        let story = changes(&[
            (50, Some(Operational)),
            (60, Some(Unknown)),
            (70, Some(UnderMaintenance)),
            (80, Some(MajorOutage)),
            (90, None),
        ]);
        let uptime = uptime(&story, &[], span(0, 100));
        assert_eq!(seconds(uptime), [10, 0, 10, 80]);
        assert_eq!(uptime.percent(), Some(50.0));
        assert_eq!(super::uptime(&[], &[], span(0, 100)).percent(), None);
    }

    #[test]
    fn the_status_before_the_window_is_the_one_at_its_beginning() {
        let story = changes(&[(-500, Some(MajorOutage)), (40, Some(PerformanceIssues))]);
        assert_eq!(seconds(uptime(&story, &[], span(0, 100))), [60, 0, 40, 0]);
    }

    #[test]
    fn while_the_server_did_not_run_nobody_knows() {
        let story = changes(&[(0, Some(Operational)), (50, Some(MajorOutage))]);
        assert_eq!(seconds(uptime(&story, &[span(-10, 5), span(40, 70)], span(0, 100))), [35, 0, 30, 35]);
    }

    #[test]
    fn uptime_is_told_over_no_more_days_than_are_kept() {
        let told = uptime_of_days(&changes(&[(0, Some(Operational))]), &[], 30, at(3600));
        assert_eq!(told.iter().map(|one| one.days).collect::<Vec<_>>(), [1, 7, 30]);
        assert_eq!((told[0].percent, told[0].up_seconds, told[0].unknown_seconds), (Some(100.0), 3600, 82_800));
    }

    #[test]
    fn only_what_was_never_down_is_told_as_a_hundred_percent() {
        assert_eq!(percent_text(100.0), "100 %");
        assert_eq!(percent_text(99.999_99), "99.999 %");
        assert_eq!(percent_text(0.0), "0.000 %");
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (seconds, told) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (86_460, "1 d")]
        {
            assert_eq!(duration_text(Duration::from_secs(seconds)), told);
        }
    }

    fn of_days(days: u32, percent: Option<f64>, unknown_seconds: u64) -> UptimeOfDays {
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
            uptime: vec![of_days(1, Some(100.0), 0), of_days(7, Some(99.5), 90_061), of_days(30, None, 2_592_000)],
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

    fn stories() -> impl Strategy<Value = Vec<StatusChange>> {
        let status = prop::option::of(prop::sample::select(ComponentStatus::ALL.to_vec()));
        prop::collection::vec((-200..300_i64, status), 0..12).prop_map(|mut story| {
            story.sort_by_key(|(second, _)| *second);
            changes(&story)
        })
    }

    proptest! {
        #[test]
        fn every_second_of_the_window_is_counted_once(story in stories(), gap in 0..100_i64, length in 0..50_i64) {
            let uptime = uptime(&story, &[span(gap, gap + length)], span(0, 100));
            prop_assert_eq!(uptime.up + uptime.down + uptime.unknown, Duration::from_secs(100));
            prop_assert!(uptime.partial <= uptime.up);
            prop_assert!(uptime.percent().is_none_or(|percent| (0.0..=100.0).contains(&percent)));
        }

        #[test]
        fn the_whole_is_the_sum_of_its_parts(story in stories(), cut in 0..100_i64) {
            let whole = uptime(&story, &[], span(0, 100));
            let (one, other) = (uptime(&story, &[], span(0, cut)), uptime(&story, &[], span(cut, 100)));
            prop_assert_eq!(
                [whole.up, whole.partial, whole.down, whole.unknown],
                [one.up + other.up, one.partial + other.partial, one.down + other.down, one.unknown + other.unknown]
            );
        }

        #[test]
        fn an_outage_never_makes_it_better(story in stories(), second in 0..100_i64) {
            let before = uptime(&story, &[], span(0, 100));
            let status = story.iter().rev().find(|change| change.at <= at(second)).and_then(|change| change.status);
            let mut worse = story.clone();
            let place = worse.partition_point(|change| change.at <= at(second));
            worse.insert(place, StatusChange { at: at(second), status: Some(MajorOutage) });
            let until = worse.get(place + 1).map_or(at(100), |next| next.at);
            worse.insert(place + 1, StatusChange { at: at(second + 1).min(until), status });
            let after = uptime(&worse, &[], span(0, 100));
            prop_assert!(after.down >= before.down);
            prop_assert!(after.up <= before.up);
        }
    }
}

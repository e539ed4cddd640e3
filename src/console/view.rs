//! What the pages say, from the values of the API.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::api::{Alertmanager, Changes, MonitoringState};
use crate::core::explain::{ComponentSummary, Explanation, HeldFiring, StatusWord, TargetExplanation};
use crate::core::hold::{Hold, NOTE_LIMIT};
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;
use crate::core::uptime::{TimelineEntry, UPTIME_DAYS, UptimeOfDays, duration_text, percent_text};
use crate::live::Ignored;

/// How many entries of a list the overview has at most; the API has all of them.
const LISTED: usize = 20;

/// How many targets the page of a component has at most; the API has all of them.
const TARGETS_LISTED: usize = 100;

/// What the overview says.
#[derive(Serialize)]
pub struct Overview {
    pub user: String,
    pub title: String,
    /// What is not Operational, the worst first.
    pub affected: Vec<Affected>,
    pub sections: Vec<Section>,
    pub changes: Changes,
    pub held: Vec<HeldFiring>,
    pub ignored: Vec<Ignored>,
    pub alertmanager: Alertmanager,
    pub monitoring: MonitoringState,
    /// Whether the status page is edited in the console.
    pub has_page: bool,
    pub listed: usize,
}

/// A component that is not Operational.
#[derive(Serialize)]
pub struct Affected {
    component: String,
    status: StatusWord,
}

/// The components of a group.
#[derive(Serialize)]
pub struct Section {
    name: String,
    components: Vec<ComponentSummary>,
}

/// What is known for the overview.
pub struct Known {
    pub components: Vec<ComponentSummary>,
    pub changes: Changes,
    pub held: Vec<HeldFiring>,
    pub ignored: Vec<Ignored>,
    pub alertmanager: Alertmanager,
    pub monitoring: MonitoringState,
    pub has_page: bool,
}

impl Overview {
    pub fn of(user: String, known: Known) -> Self {
        let Known { components, changes, held, ignored, alertmanager, monitoring, has_page } = known;
        let affected = affected(&components);
        let title = headline(&affected, components.len());
        let sections = sections(components);
        Self {
            user,
            title,
            affected,
            sections,
            changes,
            held,
            ignored,
            alertmanager,
            monitoring,
            has_page,
            listed: LISTED,
        }
    }
}

/// All of it in a few words, also for who does not see the page.
fn headline(affected: &[Affected], components: usize) -> String {
    match affected {
        [] if components == 0 => "No components".to_owned(),
        [] => "All operational".to_owned(),
        [one] => format!("{}: {}", one.component, one.status.word),
        several => format!("{} of {components} components are not operational", several.len()),
    }
}

fn affected(components: &[ComponentSummary]) -> Vec<Affected> {
    let operational = ComponentStatus::Operational.value();
    let affected = components.iter().filter(|component| component.status.value != operational);
    let mut affected: Vec<Affected> =
        affected.map(|one| Affected { component: one.component.clone(), status: one.status.clone() }).collect();
    let severity = |one: &Affected| ComponentStatus::from_value(one.status.value.into()).map(ComponentStatus::severity);
    affected.sort_by_key(|one| std::cmp::Reverse(severity(one)));
    affected
}

fn sections(components: Vec<ComponentSummary>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for component in components {
        let name = component.group.clone().unwrap_or_else(|| "In no group".to_owned());
        match sections.last_mut().filter(|section| section.name == name) {
            Some(section) => section.components.push(component),
            None => sections.push(Section { name, components: vec![component] }),
        }
    }
    sections
}

/// What the page of a component says.
#[derive(Serialize)]
pub struct ComponentPage {
    pub user: String,
    pub title: String,
    pub component: String,
    pub it: Explanation,
    uptime: Vec<ToldUptime>,
    /// Its targets, those that are down first, as many as somebody reads.
    targets: Vec<TargetExplanation>,
    down_and_not_listed: usize,
    days: Vec<Day>,
    spans: Vec<u32>,
    statuses: Vec<StatusWord>,
    durations: Vec<Choice>,
    note_limit: usize,
    /// What was just done.
    pub done: Option<&'static str>,
    /// Why it cannot be held so.
    pub problem: Option<String>,
    /// What was typed.
    pub form: HoldForm,
}

/// The form of a hold, as somebody filled it in.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HoldForm {
    pub status: String,
    pub r#for: String,
    pub until: String,
    pub note: String,
}

#[derive(Serialize)]
struct ToldUptime {
    span: String,
    share: String,
    detail: String,
}

#[derive(Serialize)]
struct Day {
    label: String,
    iso: String,
    entries: Vec<TimelineEntry>,
}

#[derive(Serialize)]
struct Choice {
    seconds: u64,
    label: &'static str,
}

/// For how long a component may be held, to choose from.
const DURATIONS: [(u64, &str); 8] = [
    (1800, "30 minutes"),
    (3600, "1 hour"),
    (2 * 3600, "2 hours"),
    (4 * 3600, "4 hours"),
    (8 * 3600, "8 hours"),
    (24 * 3600, "1 day"),
    (7 * 24 * 3600, "7 days"),
    (30 * 24 * 3600, "30 days"),
];

/// What is chosen as long as nobody chose.
const DEFAULT_DURATION: &str = "3600";

impl ComponentPage {
    pub fn of(user: String, it: Explanation, history_days: u32) -> Self {
        let past = it.past.as_ref();
        let timeline = past.map(|past| past.timeline.as_slice()).unwrap_or_default();
        let mut spans: Vec<u32> = UPTIME_DAYS.into_iter().filter(|days| *days <= history_days).collect();
        if !spans.contains(&history_days) {
            spans.push(history_days);
        }
        let mut targets = it.targets.clone();
        targets.sort_by_key(|target| (!target.down, !target.critical));
        let down_and_not_listed = targets.iter().skip(TARGETS_LISTED).filter(|target| target.down).count();
        targets.truncate(TARGETS_LISTED);
        Self {
            user,
            targets,
            down_and_not_listed,
            title: format!("{}: {}", it.component, it.status.word),
            component: it.component.clone(),
            uptime: past.iter().flat_map(|past| &past.uptime).map(ToldUptime::of).collect(),
            days: by_day(timeline),
            spans,
            statuses: Hold::STATUSES.map(StatusWord::from).to_vec(),
            durations: DURATIONS.into_iter().map(|(seconds, label)| Choice { seconds, label }).collect(),
            note_limit: NOTE_LIMIT,
            done: None,
            problem: None,
            form: HoldForm { r#for: DEFAULT_DURATION.to_owned(), ..HoldForm::default() },
            it,
        }
    }
}

impl ToldUptime {
    fn of(uptime: &UptimeOfDays) -> Self {
        let span = if uptime.days == 1 { "1 day".to_owned() } else { format!("{} days", uptime.days) };
        let share = uptime.percent.map_or_else(|| "not known".to_owned(), percent_text);
        let parts = [
            (uptime.down_seconds, "down"),
            (uptime.partial_seconds, "partly down"),
            (uptime.unknown_seconds, "not known"),
        ];
        let told: Vec<String> = parts
            .into_iter()
            .filter(|(seconds, _)| *seconds > 0)
            .map(|(seconds, what)| format!("{what} {}", duration_text(Duration::from_secs(seconds))))
            .collect();
        Self { span, share, detail: told.join(", ") }
    }
}

fn by_day(timeline: &[TimelineEntry]) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for entry in timeline {
        // All times are told in UTC, so a day is the beginning of each.
        let iso = entry.at.get(..10).unwrap_or_default();
        match days.last_mut().filter(|day| day.iso == iso) {
            Some(day) => day.entries.push(entry.clone()),
            None => {
                let label = told(&entry.at, "%-d %B %Y");
                days.push(Day { label, iso: iso.to_owned(), entries: vec![entry.clone()] });
            }
        }
    }
    days
}

/// The page of a component.
pub fn path_of(component: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(component, percent_encoding::NON_ALPHANUMERIC);
    format!("/console/components/{name}")
}

/// A moment, `21 Nov 2026, 14:05 UTC`.
pub fn when(iso: &str) -> String {
    told(iso, "%-d %b %Y, %H:%M UTC")
}

/// The time of a day, `14:05:09`.
pub fn clock(iso: &str) -> String {
    told(iso, "%H:%M:%S")
}

fn told(iso: &str, form: &str) -> String {
    let moment =
        Timestamp::parse_rfc3339(iso).ok().and_then(|at| jiff::Timestamp::from_millisecond(at.as_millis()).ok());
    moment.map_or_else(|| iso.to_owned(), |moment| moment.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_whatever_a_component_is_called() {
        assert_eq!(path_of("A/B ü%?"), "/console/components/A%2FB%20%C3%BC%25%3F");
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(when("2026-11-21T14:05:09.5Z"), "21 Nov 2026, 14:05 UTC");
        assert_eq!(clock("2026-11-21T14:05:09.5Z"), "14:05:09");
        assert_eq!(when("never"), "never");
    }
}

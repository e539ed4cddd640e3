//! The page that customers read: what guests may see, as HTML without a single outside resource.
//!
//! The HTML says only what the store says, never when it was asked: so it changes exactly when something happened (that
//! announced maintenance begins or ends is such a thing), its ETag is true, and the script that refreshes the page has something to compare.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde::Serialize;
use serde_json::{Value, json};

use crate::core::builtin::{AffectedStatus, Content, DAYS, Incident};
use crate::core::observed::{ComponentId, GroupId};
use crate::core::overrides::Override;
use crate::core::status::{ComponentStatus, ScheduleStatus};
use crate::core::time::Timestamp;

/// The page's name.
const NAME: &str = "System status";

/// How many affected components the headline names.
const NAMED_MAX: usize = 3;

/// How much maintenance the page tells of, what begins first; who plans more than that does not plan by this page.
const MAINTENANCE_MAX: usize = 20;

/// A state as it is shown: by colour, by sign and by word, so that no one of them is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Tone {
    /// The name of its class in the style sheet, and of its icon.
    pub key: &'static str,
    /// What a component is that has it.
    word: &'static str,
    /// What the page is whose worst component has it.
    headline: &'static str,
    /// The colour of its icon; white on it has a contrast of at least 4.5.
    colour: &'static str,
    /// Its sign, as an SVG path on a field of 16 by 16.
    sign: &'static str,
}

/// How a status is shown.
pub(super) fn tone(status: ComponentStatus) -> Tone {
    /// In the order of Cachet's numbers.
    const TONES: [[&str; 5]; 6] = [
        ["operational", "Operational", "All systems operational", "#1a7f4b", "M4.75 8.25l2.25 2.25 4.25-4.75"],
        ["performance", "Performance issues", "Degraded performance", "#8a5a00", "M8 4.5v4l2.5 1.75"],
        ["partial", "Partial outage", "Partial outage", "#b3470f", "M8 4.25v4.5M8 11.5v.01"],
        ["major", "Major outage", "Major outage", "#c0262d", "M5.25 5.25l5.5 5.5M10.75 5.25l-5.5 5.5"],
        [
            "unknown",
            "Unknown",
            "Status unknown",
            "#5a6472",
            "M6 6.25a2 2 0 1 1 2.75 1.9C8.25 8.4 8 8.6 8 9.25M8 11.75v.01",
        ],
        ["maintenance", "Under maintenance", "Under maintenance", "#2559b8", "M6 5v6M10 5v6"],
    ];
    let [key, word, headline, colour, sign] = TONES[usize::from(status.value()) - 1];
    Tone { key, word, headline, colour, sign }
}

impl Tone {
    /// The tab's icon, as SVG: the sign in the colour.
    pub(super) fn icon(&self) -> String {
        let Self { colour, sign, .. } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="{colour}"/><path d="{sign}" fill="none" stroke="white" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"/></svg>"#
        )
    }
}

/// A component.
#[derive(Serialize)]
struct Line {
    name: String,
    description: Option<String>,
    /// Until when a person says so, and not the monitoring. Who does, and why, is nobody's business here.
    held_until: Option<Value>,
    tone: Tone,
    #[serde(skip)]
    status: ComponentStatus,
    #[serde(skip)]
    group: Option<GroupId>,
}

/// The HTML of what [`told`] says.
///
/// # Errors
/// If the template does not fit it.
pub(super) fn render(told: &Value) -> Result<String, minijinja::Error> {
    // by its name the template is HTML, so whatever is put into it is escaped
    let html = include_str!("page.html");
    minijinja::Environment::new().render_named_str("page.html", html, minijinja::value::Serde(told))
}

/// What `content` says to readers at `now`, by the names of the template.
pub(super) fn told(content: &Content, overrides: &[Override], now: Timestamp) -> Value {
    let statuses = content.shown_statuses(now);
    let shown = || content.components.iter().filter(|component| content.shows(component));
    let names: Names<'_> = shown().map(|component| (component.id, component.shown_name())).collect();
    let lines = shown().map(|component| {
        let active =
            overrides.iter().find(|override_| override_.component.as_str() == component.name && override_.until > now);
        let status = statuses[&component.id];
        Line {
            held_until: active.map(|override_| moment(override_.until)),
            name: component.shown_name().to_owned(),
            description: component.description.clone(),
            tone: tone(status),
            status,
            group: component.group,
        }
    });
    let lines: Vec<Line> = lines.collect();
    let (mut open, mut open_since, mut fixed) = (Vec::new(), None, Vec::new());
    for incident in content.incidents.iter().filter(|incident| incident.is_shown(now)) {
        let report = report(incident, &names);
        if incident.is_open() {
            // the newest comes first, so the last one seen is the oldest
            open_since = Some(incident.began_at);
            open.push(report);
        } else {
            fixed.push((incident.began_at, report));
        }
    }
    json!({
        "name": NAME,
        "state": state(&lines, open.len()),
        "sections": sections(content, lines),
        "open": open,
        "maintenance": maintenance(content, &names, now),
        "past": by_day(fixed, open_since, now),
    })
}

/// What readers call the components that they see.
type Names<'a> = HashMap<ComponentId, &'a str>;

/// The names of `affected`, in its order.
fn named(affected: &[AffectedStatus], names: &Names<'_>) -> Vec<String> {
    affected.iter().filter_map(|one| names.get(&one.component)).map(|name| (*name).to_owned()).collect()
}

/// The headline is that of the worst component.
fn state(components: &[Line], open_incidents: usize) -> Value {
    let Some(worst) = worst(components) else {
        return json!({ "tone": tone(ComponentStatus::Unknown), "headline": "Nothing to show yet", "detail": "No components are set up." });
    };
    // What nobody knows of is not affected: it is named only where there is nothing worse to say.
    let is_named = |status: ComponentStatus| match (status, worst) {
        (ComponentStatus::Operational, _) => false,
        (ComponentStatus::Unknown, worst) => worst == ComponentStatus::Unknown,
        _ => true,
    };
    let named = components.iter().filter(|component| is_named(component.status));
    let affected: Vec<&str> = named.map(|component| component.name.as_str()).collect();
    let (all, some) = match worst {
        ComponentStatus::Unknown => ("components are not known at the moment", "Not known at the moment"),
        _ => ("components are affected", "Affected"),
    };
    let detail = match (affected.len(), open_incidents) {
        (0, 0) => "No open incidents.".to_owned(),
        (0, 1) => "One incident is still being worked on.".to_owned(),
        (0, count) => format!("{count} incidents are still being worked on."),
        (count, _) if count == components.len() && count > 1 => format!("All {count} {all}."),
        (count, _) if count <= NAMED_MAX => format!("{some}: {}.", affected.join(", ")),
        (count, _) => format!("{some}: {} and {} more.", affected[..NAMED_MAX].join(", "), count - NAMED_MAX),
    };
    json!({ "tone": tone(worst), "headline": tone(worst).headline, "detail": detail })
}

fn worst(components: &[Line]) -> Option<ComponentStatus> {
    components.iter().map(|component| component.status).max_by_key(|status| status.severity())
}

/// Groups in their order, then what is in none. A group without anything to show is left out.
fn sections(content: &Content, components: Vec<Line>) -> Vec<Value> {
    let mut members: HashMap<Option<GroupId>, Vec<Line>> = HashMap::new();
    for component in components {
        members.entry(component.group).or_default().push(component);
    }
    let mut section = |id: String, name: Option<String>, folded: bool, group: Option<GroupId>| {
        let components = members.remove(&group)?;
        let worst = worst(&components)?;
        // where folding was asked for, it never hides that something is wrong
        let folded = folded && worst == ComponentStatus::Operational;
        Some(json!({ "id": id, "name": name, "folded": folded, "tone": tone(worst), "components": components }))
    };
    let groups = content.groups.iter().filter_map(|group| {
        let (id, name) = (format!("group-{}", group.id.0), group.shown_name().to_owned());
        section(id, Some(name), group.folded, Some(group.id))
    });
    let mut sections: Vec<Value> = groups.collect();
    let title = (!sections.is_empty()).then(|| "Other".to_owned());
    sections.extend(section("group-none".to_owned(), title, false, None));
    sections
}

/// An incident with all that was said about it, the newest first.
fn report(incident: &Incident, names: &Names<'_>) -> Value {
    let entries = incident.updates.iter().rev().map(|update| {
        let word = update.status.map_or("Update", |status| status.word());
        entry(word, update.at, &update.message)
    });
    let worst = incident.affected.iter().map(|one| one.status).max_by_key(|status| status.severity());
    json!({
        "id": incident.id,
        "name": incident.title,
        "tone": tone(if incident.is_open() { worst.unwrap_or(ComponentStatus::PartialOutage) } else { ComponentStatus::Operational }),
        "word": incident.status.word(),
        "components": named(&incident.affected, names),
        "began": moment(incident.began_at),
        "lasted": incident.fixed_at.map(|fixed_at| duration(incident.began_at, fixed_at)),
        "entries": entries.chain([entry("Reported", incident.created_at, &incident.message)]).collect::<Vec<_>>(),
    })
}

/// What is announced or in progress at `now`, each with all that was said about it, the newest first.
fn maintenance(content: &Content, names: &Names<'_>, now: Timestamp) -> Value {
    let (mut planned, mut in_progress) = (Vec::new(), Vec::new());
    for one in content.maintenance.iter().filter(|one| one.is_published(now)).take(MAINTENANCE_MAX) {
        let list = match one.phase(now) {
            ScheduleStatus::Upcoming => &mut planned,
            ScheduleStatus::InProgress => &mut in_progress,
            ScheduleStatus::Complete => continue,
        };
        let entries = one.updates.iter().rev().map(|update| entry("Update", update.at, &update.message));
        list.push(json!({
            "id": one.id.0,
            "name": one.title,
            "tone": tone(ComponentStatus::UnderMaintenance),
            "word": one.phase(now).word(),
            "components": named(&one.affected, names),
            "begins": moment(one.begins_at),
            "ends": one.ends_at.map(moment),
            "entries": entries.chain([entry("Announced", one.created_at, &one.message)]).collect::<Vec<_>>(),
        }));
    }
    json!({ "planned": planned, "in_progress": in_progress })
}

/// One thing that was said.
fn entry(word: &str, at: Timestamp, message: &str) -> Value {
    let paragraphs = message.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    json!({ "word": word, "at": moment(at), "paragraphs": paragraphs.collect::<Vec<_>>() })
}

/// A moment for readers and for the script, which tells it in the reader's own time.
fn moment(moment: Timestamp) -> Value {
    let (text, iso) = ("%-d %b %Y, %H:%M UTC", "%Y-%m-%dT%H:%M:%SZ");
    json!({ "text": zoned(moment).strftime(text).to_string(), "iso": zoned(moment).strftime(iso).to_string() })
}

/// A day with incidents that are over, or one or more days in a row without any.
#[derive(Serialize)]
struct Stretch {
    /// `21 November 2026`, or `8 – 20 November 2026`.
    label: String,
    /// The day in ISO form; the first of several.
    iso: String,
    /// None: nothing happened, or it is not over.
    incidents: Vec<Value>,
    /// What to say of days without.
    note: &'static str,
}

const QUIET: &str = "No incidents";

const NOT_OVER: &str = "Incident open, see above";

/// The last days, the newest first, each with the incidents that began on it and are over; days without are one stretch as long as the same is to
/// be said of them. `open_since` is when the first incident began that is still open.
fn by_day(mut reports: Vec<(Timestamp, Value)>, open_since: Option<Timestamp>, now: Timestamp) -> Vec<Stretch> {
    // What began in the future, by a clock that was set back since, began today. What began earlier and was fixed lately is
    // shown on the first of the days.
    let today = zoned(now).date();
    let first = today.saturating_sub((DAYS - 1).days());
    let day_of_beginning = |began: Timestamp| zoned(began.min(now)).date().max(first);
    // First and last day, incidents and note of each stretch.
    let mut stretches: Vec<(Date, Date, Vec<Value>, &str)> = Vec::new();
    for back in 0..DAYS {
        let day = today.saturating_sub(back.days());
        let incidents = reports.extract_if(.., |(began, _)| day_of_beginning(*began) == day);
        let incidents: Vec<Value> = incidents.map(|(_, report)| report).collect();
        let note = if open_since.is_some_and(|since| day_of_beginning(since) <= day) { NOT_OVER } else { QUIET };
        match stretches.last_mut() {
            Some((first, _, before, said)) if incidents.is_empty() && before.is_empty() && *said == note => {
                *first = day
            }
            _ => stretches.push((day, day, incidents, note)),
        }
    }
    let told = stretches.into_iter().map(|(first, last, incidents, note)| {
        let mut label = last.strftime("%-d %B %Y").to_string();
        if (first.year(), first.month()) != (last.year(), last.month()) {
            label = format!("{} – {label}", first.strftime("%-d %B"));
        } else if first != last {
            label = format!("{} – {label}", first.day());
        }
        Stretch { label, iso: first.to_string(), incidents, note }
    });
    told.collect()
}

/// The moment in UTC, to the second.
fn zoned(moment: Timestamp) -> Zoned {
    let second = moment.as_millis().div_euclid(1000);
    jiff::Timestamp::from_second(second).unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// `31 minutes`, `1 hour 35 minutes`, `2 days 3 hours`: the two largest units, cut; under a minute is said so.
fn duration(from: Timestamp, to: Timestamp) -> String {
    let minutes = to.since(from).as_secs() / 60;
    let (days, hours, minutes) = (minutes / (24 * 60), minutes / 60 % 24, minutes % 60);
    let said = |count: u64, unit: &str| match count {
        0 => None,
        1 => Some(format!("1 {unit}")),
        count => Some(format!("{count} {unit}s")),
    };
    let units = [said(days, "day"), said(hours, "hour"), said(minutes, "minute")];
    let told: Vec<String> = units.into_iter().skip_while(Option::is_none).take(2).flatten().collect();
    if told.is_empty() { "under a minute".to_owned() } else { told.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(&format!("{}Z", text.replace(' ', "T"))).expect("a time")
    }

    fn report(began: &str) -> (Timestamp, Value) {
        (at(began), Value::from(began))
    }

    #[test]
    fn quiet_days_in_a_row_are_told_at_once() {
        let now = at("2026-12-03 12:00:00");
        let stretches = by_day(vec![report("2026-12-02 23:59:59"), report("2026-11-29 00:00:00")], None, now);
        let told: Vec<(&str, usize)> = stretches.iter().map(|one| (one.label.as_str(), one.incidents.len())).collect();
        assert_eq!(
            told,
            [
                ("3 December 2026", 0),
                ("2 December 2026", 1),
                ("30 November – 1 December 2026", 0),
                ("29 November 2026", 1),
                ("20 – 28 November 2026", 0),
            ]
        );
        assert_eq!(crate::core::builtin::first_day(now), at("2026-11-20 00:00:00"));
    }

    #[test]
    fn a_day_with_an_incident_that_is_not_over_is_not_called_quiet() {
        let now = at("2026-12-03 12:00:00");
        let stretches = by_day(Vec::new(), Some(at("2026-12-01 18:00:00")), now);
        let told: Vec<(&str, &str)> = stretches.iter().map(|one| (one.label.as_str(), one.note)).collect();
        assert_eq!(told, [("1 – 3 December 2026", NOT_OVER), ("20 – 30 November 2026", QUIET)]);
    }
}

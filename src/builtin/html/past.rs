//! Past incidents by day.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;

use crate::core::builtin::DAYS;
use crate::core::time::Timestamp;

use super::zoned;

/// A day with incidents that are over, or one or more days in a row without any.
#[derive(Serialize)]
pub(super) struct Stretch {
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
pub(super) fn by_day(reports: Vec<(Timestamp, Value)>, open_since: Option<Timestamp>, now: Timestamp) -> Vec<Stretch> {
    // What began in the future, by a clock that was set back since, began today. What began earlier and was fixed lately is
    // shown on the first of the days.
    let today = zoned(now).date();
    let first = today.saturating_sub((DAYS - 1).days());
    let day_of_beginning = |began: Timestamp| zoned(began.min(now)).date().max(first);
    let mut reports: Vec<(Date, Value)> =
        reports.into_iter().map(|(began, report)| (day_of_beginning(began), report)).collect();
    let open_since = open_since.map(day_of_beginning);
    let mut stretches: Vec<Stretch> = Vec::new();
    // The days that the last stretch is about, if it is one of days without incidents.
    let mut without: Option<(Date, &str)> = None;
    for back in 0..DAYS {
        let day = today.saturating_sub(back.days());
        let incidents: Vec<Value> =
            reports.extract_if(.., |(began, _)| *began == day).map(|(_, report)| report).collect();
        let note = if open_since.is_some_and(|since| since <= day) { NOT_OVER } else { QUIET };
        if !incidents.is_empty() {
            without = None;
            stretches.push(Stretch { label: long(day), iso: day.to_string(), incidents, note });
        } else if let Some((last, _)) = without.filter(|(_, before)| *before == note) {
            stretches.pop();
            stretches.push(without_incidents(day, last, note));
        } else {
            without = Some((day, note));
            stretches.push(without_incidents(day, day, note));
        }
    }
    stretches
}

/// Days in a row, from `first` to `last`, without incidents that are over.
fn without_incidents(first: Date, last: Date, note: &'static str) -> Stretch {
    let label = if first == last {
        long(first)
    } else if (first.year(), first.month()) == (last.year(), last.month()) {
        format!("{} – {}", first.day(), long(last))
    } else {
        format!("{} – {}", first.strftime("%-d %B"), long(last))
    };
    Stretch { label, iso: first.to_string(), incidents: Vec::new(), note }
}

fn long(day: Date) -> String {
    day.strftime("%-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::first_day;
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
        assert_eq!(first_day(now), at("2026-11-20 00:00:00"));
    }

    #[test]
    fn a_day_with_an_incident_that_is_not_over_is_not_called_quiet() {
        let now = at("2026-12-03 12:00:00");
        let stretches = by_day(Vec::new(), Some(at("2026-12-01 18:00:00")), now);
        let told: Vec<(&str, &str)> = stretches.iter().map(|one| (one.label.as_str(), one.note)).collect();
        assert_eq!(told, [("1 – 3 December 2026", NOT_OVER), ("20 – 30 November 2026", QUIET)]);
    }
}

//! Past incidents by day.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::core::time::Timestamp;

use super::super::times;
use super::Report;

/// How many days back the page tells, today included.
const DAYS: i32 = 14;

/// A day with incidents, or one or more days in a row without any.
#[derive(Serialize)]
pub struct Stretch {
    /// `21 November 2026`, or `8 – 20 November 2026`.
    label: String,
    /// The day in ISO form; the first of several.
    iso: String,
    /// None: nothing happened.
    incidents: Vec<Report>,
}

/// The beginning of the first day that the page tells of.
pub fn first_day(now: Timestamp) -> Timestamp {
    let first = day_of(now).saturating_sub((DAYS - 1).days());
    let start = first.to_zoned(TimeZone::UTC).map(|start| start.timestamp().as_millisecond());
    start.map_or(now, Timestamp::from_millis)
}

/// The last days, the newest first, each with what began on it; quiet days in a row are one stretch.
pub fn by_day(reports: Vec<(Timestamp, Report)>, now: Timestamp) -> Vec<Stretch> {
    let mut reports: Vec<(Date, Report)> = reports.into_iter().map(|(began, report)| (day_of(began), report)).collect();
    let (mut stretches, mut quiet) = (Vec::new(), None);
    for back in 0..DAYS {
        let day = day_of(now).saturating_sub(back.days());
        let incidents: Vec<Report> =
            reports.extract_if(.., |(began, _)| *began == day).map(|(_, report)| report).collect();
        if incidents.is_empty() {
            let (_, last) = quiet.unwrap_or((day, day));
            quiet = Some((day, last));
            continue;
        }
        stretches.extend(quiet.take().map(Stretch::quiet));
        stretches.push(Stretch { label: long(day), iso: day.to_string(), incidents });
    }
    stretches.extend(quiet.map(Stretch::quiet));
    stretches
}

impl Stretch {
    fn quiet((first, last): (Date, Date)) -> Self {
        let label = if first == last {
            long(first)
        } else if (first.year(), first.month()) == (last.year(), last.month()) {
            format!("{} – {}", first.day(), long(last))
        } else {
            format!("{} – {}", first.strftime("%-d %B"), long(last))
        };
        Self { label, iso: first.to_string(), incidents: Vec::new() }
    }
}

fn day_of(moment: Timestamp) -> Date {
    times::zoned(moment).date()
}

fn long(day: Date) -> String {
    day.strftime("%-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Moment, OPERATIONAL};
    use super::*;

    fn at(text: &str) -> Timestamp {
        times::parse(text).expect("a time")
    }

    fn report(began: &str) -> (Timestamp, Report) {
        let report = Report {
            id: 1,
            name: began.to_owned(),
            tone: OPERATIONAL,
            word: "Fixed",
            components: Vec::new(),
            began: Moment::of(at(began)),
            ended: None,
            entries: Vec::new(),
        };
        (at(began), report)
    }

    #[test]
    fn quiet_days_in_a_row_are_told_at_once() {
        let now = at("2026-12-03 12:00:00");
        let stretches = by_day(vec![report("2026-12-02 23:59:59"), report("2026-11-29 00:00:00")], now);
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
}

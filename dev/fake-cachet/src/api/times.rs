//! Times as Cachet reads and writes them: UTC, to the second, with the time since then in words.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Unit, Zoned};
use serde_json::{Value, json};

use alertmanager_cachet_core::time::Timestamp;

/// `{human, string}`; both are null without a time.
pub fn document(moment: Option<Timestamp>, now: Timestamp) -> Value {
    match moment {
        None => json!({ "human": null, "string": null }),
        Some(moment) => json!({ "human": human(moment, now), "string": string(moment) }),
    }
}

/// `3 seconds ago`, `2 weeks ago`, `72 years from now`: the largest unit that is not zero, rounded down.
pub fn human(moment: Timestamp, now: Timestamp) -> String {
    let (moment, now) = (zoned(moment), zoned(now));
    let (earlier, later, direction) = if moment > now { (&now, &moment, "from now") } else { (&moment, &now, "ago") };
    let span = earlier.until((Unit::Year, later)).unwrap_or_default();
    let units = [
        (i64::from(span.get_years()), "year"),
        (i64::from(span.get_months()), "month"),
        (i64::from(span.get_days()) / 7, "week"),
        (i64::from(span.get_days()), "day"),
        (i64::from(span.get_hours()), "hour"),
        (span.get_minutes(), "minute"),
        (span.get_seconds(), "second"),
    ];
    let (count, unit) = units.into_iter().find(|(count, _)| *count > 0).unwrap_or((0, "second"));
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} {direction}")
}

/// `2026-11-21 02:06:50`.
pub fn string(moment: Timestamp) -> String {
    zoned(moment).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The moment in UTC, to the second: Cachet keeps no more.
pub fn zoned(moment: Timestamp) -> Zoned {
    let second = moment.as_millis().div_euclid(1000);
    jiff::Timestamp::from_second(second).unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// Reads `2026-11-21 02:06:50`, `2026-11-21` and RFC 3339; without an offset it is UTC.
pub fn parse(text: &str) -> Option<Timestamp> {
    let moment = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| text.parse::<DateTime>().and_then(|local| local.to_zoned(TimeZone::UTC)).map(|at| at.timestamp()))
        .or_else(|_| text.parse::<Date>().and_then(|day| day.to_zoned(TimeZone::UTC)).map(|at| at.timestamp()));
    moment.ok().map(|moment| Timestamp::from_millis(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        parse(text).expect("a time")
    }

    #[test]
    fn the_largest_unit_that_is_not_zero_is_named_and_cut() {
        let now = at("2026-11-21 02:06:57");
        let human = |text| human(at(text), now);
        assert_eq!(human("2026-11-21 02:06:57"), "0 seconds ago");
        assert_eq!(human("2026-11-21 02:06:56"), "1 second ago");
        assert_eq!(human("2026-11-20 10:00:00"), "16 hours ago");
        assert_eq!(human("2026-11-15 02:06:57"), "6 days ago");
        assert_eq!(human("2026-11-01 08:00:00"), "2 weeks ago");
        assert_eq!(human("2026-10-01 08:00:00"), "1 month ago");
        assert_eq!(human("2099-01-01 00:00:00"), "72 years from now");
    }

    #[test]
    fn a_time_is_read_with_and_without_an_offset() {
        assert_eq!(string(at("2026-11-01T08:00:00+05:00")), "2026-11-01 03:00:00");
        assert_eq!(string(at("2026-11-01T08:00:00.123456789Z")), "2026-11-01 08:00:00");
        assert_eq!(string(at("2026-11-01")), "2026-11-01 00:00:00");
        assert_eq!(parse("not a date"), None);
    }
}

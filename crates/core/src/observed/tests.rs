use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("a time")
}

fn until(end: Option<&str>) -> Maintenance {
    let ends_if_utc_ms = end.map(|end| at(end).as_millis());
    Maintenance { name: "Switch".to_owned(), components: Vec::new(), ends_if_utc_ms }
}

#[test]
fn the_end_is_asked_for_at_its_second_whatever_zone_it_is_told_in() {
    let asked_at = at("2026-11-21T01:30:00Z");
    // told by clocks in UTC, Kathmandu (+05:45), St. John's (-03:30) and on Kiritimati (+14:00)
    for told in ["2026-11-21T02:10:00Z", "2026-11-21T07:55:00Z", "2026-11-20T22:40:00Z", "2026-11-21T16:10:00Z"] {
        let mut moment = asked_at;
        let moments = std::iter::from_fn(|| {
            moment = until(Some(told)).may_end_at(moment)?;
            Some(moment)
        });
        let moments: Vec<String> = moments.take(3).map(|moment| moment.to_string()).collect();
        let expected = ["2026-11-21T01:40:01Z", "2026-11-21T01:55:01Z", "2026-11-21T02:10:01Z"];
        assert_eq!(moments, expected, "{told}");
    }
}

#[test]
fn the_next_moment_is_never_now() {
    let maintenance = until(Some("2026-11-21T02:10:00Z"));
    assert_eq!(maintenance.may_end_at(at("2026-11-21T02:10:01Z")), Some(at("2026-11-21T02:25:01Z")));
    assert_eq!(maintenance.may_end_at(at("2026-11-21T02:10:00.999Z")), Some(at("2026-11-21T02:10:01Z")));
}

#[test]
fn what_somebody_has_to_end_changes_at_no_time() {
    let asked_at = at("2026-11-21T01:30:00Z");
    assert_eq!(until(None).may_end_at(asked_at), None);
}

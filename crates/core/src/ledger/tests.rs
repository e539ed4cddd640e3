use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_015_000);
const DOWN: ComponentValue = ComponentValue::of_component(ComponentStatus::MajorOutage);
const UP: ComponentValue = ComponentValue::of_component(ComponentStatus::Operational);
const ID: Option<ComponentId> = Some(ComponentId(7));

fn shown(status: ComponentStatus) -> ObservedComponent {
    ObservedComponent {
        id: ComponentId(7),
        name: "Database".to_owned(),
        status: Some(status),
        enabled: true,
        description: None,
        group: None,
        managed: true,
    }
}

/// The row of a component to which Major Outage was sent, or which is created so (`None`).
fn sent(page_id: Option<ComponentId>) -> RecordedComponent {
    Recorded::sent(None, page_id, DOWN, NOW)
}

const fn in_doubt(yet: bool) -> Option<Failure> {
    Some(Failure::InDoubt { yet, of_a_read: false, retry_after: None })
}

#[test]
fn a_write_is_in_doubt_until_it_is_answered() {
    let row = sent(ID);
    assert_eq!((row.delivery, row.unanswered.len()), (Delivery::InDoubt { since: NOW }, 1));
    assert_eq!(row.settled(ComponentId(7), DOWN, [(&DOWN, NOW)]), Recorded::confirmed(ComponentId(7), DOWN));
}

#[test]
fn only_a_write_that_may_be_carried_out_yet_is_remembered() {
    for (failure, kept) in [
        (None, 0),
        (Some(Failure::Refused), 0),
        (Some(Failure::Away { retry_after: None }), 0),
        (Some(Failure::NotThePage { done: false }), 0),
        (Some(Failure::NotThePage { done: true }), 0),
        (Some(Failure::InDoubt { yet: true, of_a_read: true, retry_after: None }), 0),
        (in_doubt(false), 0),
        (in_doubt(true), 1),
    ] {
        let row = sent(ID).failed(&DOWN, NOW, failure, LATER).expect("the component exists");
        assert_eq!((row.unanswered.len(), row.is_confirmed()), (kept, false), "{failure:?}");
    }
}

#[test]
fn a_create_that_was_not_carried_out_leaves_nothing_and_one_that_may_be_is_waited_for() {
    let failed = |failure| sent(None).failed(&DOWN, NOW, failure, LATER).map(|row| row.delivery);
    assert_eq!(failed(None), None);
    assert_eq!(failed(Some(Failure::Refused)), None);
    assert_eq!(failed(in_doubt(true)), Some(Delivery::InDoubt { since: LATER }));
    let last_word = Some(Delivery::InDoubt { since: Timestamp::from_millis(0) });
    assert_eq!(failed(in_doubt(false)), last_word, "it is done already, or never will be");
}

#[test]
fn a_create_in_doubt_is_waited_for_and_never_longer_because_a_clock_was_set_back() {
    let row = sent(None);
    assert_eq!(row.on_its_way_until(NOW), Some(NOW.after(REQUEST_TIMEOUT)));
    assert_eq!(row.on_its_way_until(NOW.after(REQUEST_TIMEOUT)), None);
    assert_eq!(row.on_its_way_until(NOW.before(Duration::from_secs(60))), None);
    assert_eq!(Recorded::confirmed(ComponentId(7), DOWN).on_its_way_until(NOW), None);
}

#[test]
fn a_late_write_is_undone_once_and_the_row_stays_confirmed_meanwhile() {
    let row = RecordedComponent { value: UP, delivery: Delivery::Confirmed, ..sent(ID) };
    let late = row.late(&shown(ComponentStatus::MajorOutage)).expect("it is late").clone();
    assert_eq!(row.late(&shown(ComponentStatus::PartialOutage)), None, "a value that was never sent");

    let row = row.resent(LATER);
    assert!(row.is_confirmed());
    let failed = row.clone().failed(&UP, LATER, Some(Failure::Away { retry_after: None }), LATER);
    assert!(failed.expect("a row").late(&shown(ComponentStatus::MajorOutage)).is_some(), "it is undone yet");
    let done = row.settled(ComponentId(7), UP, [(&UP, LATER), (&late.value, late.sent_at)]);
    assert_eq!(done, Recorded::confirmed(ComponentId(7), UP));
}

#[test]
fn what_the_page_shows_confirms_the_last_write_and_no_earlier_one_of_the_same_value() {
    let row = Recorded::sent(Some(&sent(ID)), ID, DOWN, LATER);
    let first = [Unanswered { value: DOWN, sent_at: NOW }];
    assert_eq!(row.confirm_shown().unanswered, first);
    let failed = row.failed(&DOWN, LATER, in_doubt(false), LATER).expect("a row");
    assert_eq!(
        failed.confirm_shown().unanswered,
        first,
        "the page has said its last word on the second, not on the first"
    );
}

#[test]
fn no_more_values_without_an_answer_are_kept_than_the_limit() {
    let row = (0..2 * UNANSWERED_MAX).fold(sent(ID), |row, _| Recorded::sent(Some(&row), ID, DOWN, NOW));
    assert_eq!(row.unanswered.len(), UNANSWERED_MAX);
}

#[test]
fn a_key_survives_query_strings_and_comma_separated_filters() {
    let key = outage_key(Some(ComponentId(12)), Timestamp::from_millis(1_763_690_212_345));
    assert_eq!(key, "12-1763690212345");
    assert!(key.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
}

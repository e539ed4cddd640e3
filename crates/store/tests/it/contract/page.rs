//! What was written to the page, what it shows, and what was made there.

use alertmanager_cachet_core::history::{About, Event, Happening};
use alertmanager_cachet_core::incident::{
    EndedBy, Episode, EpisodeKey, EpisodePhase, EpisodeSubject, LostPostings, PastEpisode,
};
use alertmanager_cachet_core::ledger::{ComponentValue, Delivery, Ledger, Recorded, ResourceKey, Unanswered};
use alertmanager_cachet_core::observed::{
    ComponentId, GroupId, IncidentId, Observed, ObservedComponent, ObservedGroup,
};
use alertmanager_cachet_core::plan::{Applied, StrayOrigin, UnansweredWrite};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::target::ComponentName;
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_store::{Entry, Made};

use super::Place;
use crate::{NOW, alert, component};

/// An episode of a component with the number `id`.
fn episode(id: i64, name: &str, phase: EpisodePhase) -> Episode {
    Episode {
        key: EpisodeKey::new(ComponentId(id), NOW),
        subject: EpisodeSubject::Component { name: component(name), id: ComponentId(id) },
        occurred_at: NOW,
        began_at: NOW,
        calm_since: None,
        lost: None,
        phase,
    }
}

pub async fn what_is_remembered_is_kept_whole_or_not_at_all(place: &Place) {
    let store = place.open().await;
    let status = ComponentStatus::MajorOutage;
    let (key, value) = (ResourceKey::Component(component("Web")), ComponentValue::of_component(status));
    let row = Ledger::default().sent(&key, Some(ComponentId(7)), &value, false, NOW);
    let entries = [Entry::Row(key, row), Entry::Episode(episode(7, "Web", EpisodePhase::Opening))];
    let event = Event::Status { from: None, to: Some(status) };
    let happened = [Happening { at: NOW, about: About::Component(component("Web")), event }];
    place.refuse_inserts(&store, "history_events").await;
    store.remember_with_history(&entries, &happened, NOW).await.expect_err("refused");
    assert_eq!(store.applied().await.expect("read"), Applied::default());
    place.heal(&store, "history_events").await;
    store.remember_with_history(&entries, &happened, NOW).await.expect("remembered");
    let applied = store.applied().await.expect("read");
    assert_eq!((applied.ledger.iter().count(), applied.episodes.len()), (1, 1));
    assert_eq!(store.last_statuses().await.expect("read")[&component("Web")], status);
}

pub async fn at_another_address_nothing_is_certain(place: &Place) {
    let store = place.open().await;
    store.keep_page_at("http://one/api").await.expect("kept");
    let status = ComponentStatus::MajorOutage;
    let value = ComponentValue::of_component(status);
    let unanswered = vec![Unanswered { value: value.clone(), sent_at: NOW }];
    let web = Recorded { unanswered, ..Recorded::confirmed(ComponentId(7), value) };
    let target = ResourceKey::Target(alert("a", "Web", NOW).target.name());
    let description = "critical: no\nTargetDown".to_owned();
    let of_target = Recorded::confirmed(ComponentId(8), ComponentValue::of_target(status, description));
    let key = ResourceKey::Component(component("Web"));
    let lost = Some(LostPostings { count: 2, missed_at: NOW, title: None });
    let by = EndedBy::Recovery;
    let over = Episode { lost: lost.clone(), ..episode(9, "Mail", EpisodePhase::Closing(IncidentId(1))) };
    let (id, subject) = (IncidentId(3), EpisodeSubject::Monitoring);
    let entries = [
        Entry::Row(key.clone(), web.clone()),
        Entry::Row(target.clone(), of_target.clone()),
        Entry::Episode(Episode { lost, ..episode(7, "Web", EpisodePhase::Open(IncidentId(3))) }),
        Entry::Episode(episode(8, "Shop", EpisodePhase::Closed { incident: IncidentId(4), at: NOW, by })),
        Entry::Episode(over.clone()),
        Entry::EndEpisode(over, by),
        Entry::Sent(UnansweredWrite { id, status: IncidentStatus::Fixed, subject, sent_at: NOW }),
    ];
    store.remember(&entries, NOW).await.expect("remembered");
    store.remember_observed(&Observed::default(), NOW).await.expect("remembered");
    let before = store.applied().await.expect("read");
    assert_eq!((before.episodes.len(), before.past.len(), before.unanswered.len()), (2, 1, 1));

    store.keep_page_at("http://one/api").await.expect("kept");
    assert_eq!(store.applied().await.expect("read"), before, "it is the same page");
    assert!(store.observed().await.expect("read").is_some());

    store.keep_page_at("http://another/api").await.expect("kept");
    let mut expected = Applied::default();
    let delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };
    expected.ledger.set(key, Some(Recorded { delivery, unanswered: Vec::new(), ..web }));
    expected.ledger.set(target, Some(Recorded { delivery, ..of_target }));
    expected.keep(episode(7, "Web", EpisodePhase::Absent));
    assert_eq!(store.applied().await.expect("read"), expected);
    assert_eq!(store.observed().await.expect("read"), None);
}

pub async fn what_was_made_is_known_by_number_and_name(place: &Place) {
    let store = place.open().await;
    let here = "http://one/api";
    for (address, made, name) in [
        (here, Made::Component(ComponentId(1)), "Web"),
        (here, Made::Group(GroupId(1)), "Shop"),
        ("http://another/api", Made::Component(ComponentId(2)), "Mail"),
        (here, Made::Incident(IncidentId(5)), "probe"),
        (here, Made::Incident(IncidentId(6)), "probe"),
    ] {
        store.remember_made(address, made, name).await.expect("remembered");
    }
    let shown = |id, name: &str| ObservedComponent {
        id: ComponentId(id),
        name: name.to_owned(),
        status: None,
        enabled: true,
        description: None,
        group: None,
        managed: false,
    };
    let group = ObservedGroup { id: GroupId(1), name: "Shop".to_owned(), visible: true, managed: false };
    let components = vec![shown(1, "Web"), shown(1, "Another"), shown(3, "Web"), shown(2, "Mail")];
    let mut observed = Observed { components, groups: vec![group], ..Observed::default() };
    store.mark_made(here, &mut observed).await.expect("marked");
    let managed: Vec<bool> = observed.components.iter().map(|component| component.managed).collect();
    assert_eq!((managed, observed.groups[0].managed), (vec![true, false, false, false], true));
    assert_eq!(store.made_incident(here, "probe").await.expect("read"), Some(IncidentId(6)));
    store.forget_made(here, Made::Incident(IncidentId(6))).await.expect("forgotten");
    assert_eq!(store.made_incident(here, "probe").await.expect("read"), Some(IncidentId(5)));
}

pub async fn what_was_posted_without_an_answer_is_remembered_until_it_has_turned_up(place: &Place) {
    let store = place.open().await;
    let key = EpisodeKey::new(ComponentId(7), NOW);
    let lost = LostPostings { count: 2, missed_at: NOW, title: Some("Web is down".to_owned()) };
    let (incident, by) = (IncidentId(3), EndedBy::Person);
    let absent = Episode {
        key: key.clone(),
        subject: EpisodeSubject::Component {
            name: ComponentName::try_from("Web").expect("a name"),
            id: ComponentId(7),
        },
        occurred_at: NOW,
        began_at: NOW,
        calm_since: None,
        lost: Some(lost.clone()),
        phase: EpisodePhase::Absent,
    };
    let closed = Episode { phase: EpisodePhase::Closed { incident, at: NOW, by }, ..absent.clone() };
    for episode in [&absent, &closed] {
        store.remember(&[Entry::Episode(episode.clone())], NOW).await.expect("remembered");
        let applied = store.applied().await.expect("applied");
        assert_eq!(applied.episodes.values().collect::<Vec<_>>(), [episode]);
    }
    store.remember(&[Entry::EndEpisode(closed.clone(), by)], NOW).await.expect("remembered");
    let past = PastEpisode::of(closed).expect("something of it is lost");
    assert_eq!(store.applied().await.expect("applied").past.into_values().collect::<Vec<_>>(), [past]);
    for left in [lost.clone().one_fewer(), None] {
        let origin = StrayOrigin::Posting { episode: key.clone(), lost: left.clone() };
        let found = Entry::StrayClosed(IncidentId(4), origin);
        store.remember(&[found], NOW).await.expect("remembered");
        let past = store.applied().await.expect("applied").past;
        assert_eq!(past.get(&key).map(|past| past.lost.clone()), left);
    }
}

pub async fn the_last_reading_of_cachet_is_kept_with_its_time(place: &Place) {
    let store = place.open().await;
    assert_eq!(store.observed().await.expect("read"), None);
    let observed = Observed::default();
    store.remember_observed(&observed, NOW).await.expect("remembered");
    let later = Timestamp::from_millis(NOW.as_millis() + 1);
    store.remember_observed(&observed, later).await.expect("remembered");
    assert_eq!(store.observed().await.expect("read"), Some((observed, later)));
}

pub async fn what_was_written_and_the_episodes_are_the_same_after_a_restart(place: &Place) {
    let store = place.open().await;
    let web = ComponentName::try_from("Web").expect("a name");
    let target = ResourceKey::Target(alert("a:9100", "Web", NOW).target.name());
    let key = ResourceKey::Component(web.clone());
    let status = ComponentStatus::MajorOutage;
    let value = ComponentValue::of_component(status);
    let mut ledger = Ledger::default();
    for page_id in [None, Some(ComponentId(7)), Some(ComponentId(7))] {
        ledger.set(key.clone(), Some(ledger.sent(&key, page_id, &value, false, NOW)));
    }
    let component = ledger.get(&key).expect("the row").clone();
    let being_made = Ledger::default().sent(&target, None, &value, false, NOW);
    let description = "critical: no\nTargetDown".to_owned();
    let of_target = Recorded::confirmed(ComponentId(8), ComponentValue::of_target(status, description));
    let episode = Episode {
        key: EpisodeKey::new(ComponentId(7), NOW),
        subject: EpisodeSubject::Component { name: web.clone(), id: ComponentId(7) },
        occurred_at: NOW,
        began_at: NOW,
        calm_since: Some(NOW),
        lost: None,
        phase: EpisodePhase::Opening,
    };
    let open = Episode { phase: EpisodePhase::Open(IncidentId(3)), ..episode.clone() };
    let entries = [
        Entry::Row(key.clone(), component.clone()),
        Entry::Row(target.clone(), being_made),
        Entry::Row(target.clone(), of_target.clone()),
        Entry::Episode(episode),
        Entry::Episode(open.clone()),
    ];
    store.remember(&entries, NOW).await.expect("remembered");
    store.close().await;

    let store = place.open().await;
    let applied = store.applied().await.expect("applied");
    assert_eq!(applied.ledger.get(&key), Some(&component));
    assert_eq!(applied.ledger.get(&target), Some(&of_target));
    assert_eq!(applied.episodes[&web], open);
    let over = [Entry::EndEpisode(open, EndedBy::Recovery), Entry::Release(key), Entry::Release(target)];
    store.remember(&over, NOW).await.expect("remembered");
    assert_eq!(store.applied().await.expect("applied"), Default::default());
}

pub async fn a_write_without_an_answer_is_remembered_until_it_is_answered_in_the_order_in_which_they_were_sent(
    place: &Place,
) {
    let store = place.open().await;
    let web = ComponentName::try_from("Web").expect("a name");
    let subject = EpisodeSubject::Component { name: web, id: ComponentId(7) };
    let closing = UnansweredWrite { id: IncidentId(3), status: IncidentStatus::Fixed, subject, sent_at: NOW };
    let (status, subject) = (IncidentStatus::Investigating, EpisodeSubject::Monitoring);
    let reopening = UnansweredWrite { id: IncidentId(7), status, subject, sent_at: NOW };
    let mut sent = vec![closing.clone(), reopening, closing];
    store.remember(&sent.iter().cloned().map(Entry::Sent).collect::<Vec<_>>(), NOW).await.expect("remembered");
    store.close().await;

    let store = place.open().await;
    assert_eq!(store.applied().await.expect("applied").unanswered, sent);
    while !sent.is_empty() {
        // Of two that are alike, one is answered.
        let answered = sent.remove(0);
        store.remember(&[Entry::Answered(answered)], NOW).await.expect("remembered");
        assert_eq!(store.applied().await.expect("applied").unanswered, sent);
    }
}

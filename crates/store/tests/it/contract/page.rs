//! What was written to the page, what it shows, and what was made there.

use alertmanager_cachet_core::history::{About, Event, EventKind};
use alertmanager_cachet_core::ledger::{
    ComponentValue, Delivery, Ended, EndedBy, IncidentValue, Ledger, Outage, OutageSubject, Recorded, RecordedIncident,
    ResourceKey, Unanswered, Update, outage_key,
};
use alertmanager_cachet_core::observed::{
    ComponentId, GroupId, IncidentId, Observed, ObservedComponent, ObservedGroup,
};
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_store::Made;

use super::Place;
use crate::{NOW, after, alert, component};

/// An outage of a component with the number `id`.
fn outage(id: i64, name: &str, ended: Option<Ended>, incident: Option<RecordedIncident>) -> Outage {
    Outage {
        key: outage_key(Some(ComponentId(id)), NOW),
        subject: OutageSubject::Component(component(name)),
        component_id: Some(ComponentId(id)),
        occurred_at: NOW,
        began_at: NOW,
        calm_since: None,
        ended,
        incident,
    }
}

fn created() -> IncidentValue {
    IncidentValue::Created { title: "Web is down".to_owned() }
}

pub async fn what_is_remembered_is_kept_whole_or_not_at_all(place: &Place) {
    let store = place.open().await;
    let status = ComponentStatus::MajorOutage;
    let (key, value) = (ResourceKey::Component(component("Web")), ComponentValue::of_component(status));
    let row = Recorded::sent(None, Some(ComponentId(7)), value, NOW);
    let updates = [Update::Component(key, Some(row)), outage(7, "Web", None, None).into()];
    let kind = EventKind::Status { from: None, to: Some(status) };
    let happened = [Event { at: NOW, about: About::Component(component("Web")), kind }];
    place.refuse_inserts(&store, "history_events").await;
    store.remember(&updates, &happened).await.expect_err("refused");
    assert_eq!(store.ledger().await.expect("read"), Ledger::default());
    place.heal(&store, "history_events").await;
    store.remember(&updates, &happened).await.expect("remembered");
    let ledger = store.ledger().await.expect("read");
    assert_eq!((ledger.rows.len(), ledger.outages.len()), (1, 1));
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
    let open = Recorded { page_id: Some(IncidentId(3)), ..Recorded::sent(None, None, created(), NOW) };
    let closed = Recorded::confirmed(IncidentId(4), IncidentValue::Fixed);
    let lost = Recorded::sent(None, None, created(), NOW);
    let updates = [
        Update::Component(key.clone(), Some(web.clone())),
        Update::Component(target.clone(), Some(of_target.clone())),
        outage(7, "Web", None, Some(open)).into(),
        outage(8, "Shop", Some(Ended { at: NOW, by: EndedBy::Recovery }), Some(closed)).into(),
        outage(9, "Mail", Some(Ended { at: NOW, by: EndedBy::Unopened }), Some(lost)).into(),
    ];
    store.remember(&updates, &[]).await.expect("remembered");
    store.replace_observed(&Observed::default(), NOW).await.expect("remembered");
    let before = store.ledger().await.expect("read");
    assert_eq!(before.outages.len(), 3);

    store.keep_page_at("http://one/api").await.expect("kept");
    assert_eq!(store.ledger().await.expect("read"), before, "it is the same page");
    assert!(store.observed().await.expect("read").is_some());

    store.keep_page_at("http://another/api").await.expect("kept");
    let mut expected = Ledger::default();
    let delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };
    let web = Recorded { delivery, unanswered: Vec::new(), ..web };
    expected.record(Update::Component(key, Some(web)));
    expected.record(Update::Component(target, Some(Recorded { delivery, ..of_target })));
    let value = IncidentValue::Created { title: String::new() };
    let looked_up = Recorded { page_id: None, value, delivery, unanswered: Vec::new() };
    expected.record(outage(7, "Web", None, Some(looked_up)).into());
    assert_eq!(store.ledger().await.expect("read"), expected);
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

pub async fn the_last_reading_of_cachet_is_kept_with_its_time(place: &Place) {
    let store = place.open().await;
    assert_eq!(store.observed().await.expect("read"), None);
    let observed = Observed::default();
    store.replace_observed(&observed, NOW).await.expect("remembered");
    let later = Timestamp::from_millis(NOW.as_millis() + 1);
    store.replace_observed(&observed, later).await.expect("remembered");
    assert_eq!(store.observed().await.expect("read"), Some((observed, later)));
}

pub async fn what_was_written_is_the_same_after_a_restart(place: &Place) {
    let store = place.open().await;
    let (web, id) = (ResourceKey::Component(component("Web")), Some(ComponentId(7)));
    let target = ResourceKey::Target(alert("a:9100", "Web", NOW).target.name());
    let value = ComponentValue::of_component(ComponentStatus::MajorOutage);
    let sent_twice = Recorded::sent(Some(&Recorded::sent(None, id, value.clone(), NOW)), id, value.clone(), after(1));
    let description = "critical: no\nTargetDown".to_owned();
    let of_target = Recorded::confirmed(ComponentId(8), ComponentValue::of_target(value.status, description));
    let mut updates = vec![
        Update::Component(web.clone(), Some(sent_twice)),
        Update::Component(target.clone(), Some(Recorded::sent(None, None, value, NOW))),
        Update::Component(target.clone(), Some(of_target)),
    ];
    // An incident in each state, with writes of each kind that were not answered, in the order in which they were sent.
    let mut incidents = vec![None, Some(Recorded::sent(None, None, created(), NOW))];
    for value in [created(), IncidentValue::Reopened, IncidentValue::Fixed] {
        incidents.push(Some(Recorded::confirmed(IncidentId(3), value)));
    }
    let resent = Recorded::sent(None, None, created(), NOW);
    let resent = Recorded::sent(Some(&resent), Some(IncidentId(3)), IncidentValue::Fixed, after(1));
    incidents.push(Some(Recorded::sent(Some(&resent), Some(IncidentId(3)), IncidentValue::Reopened, after(2))));
    for (number, incident) in (1..).zip(incidents) {
        let by = [EndedBy::Recovery, EndedBy::Person, EndedBy::Removal, EndedBy::Unopened];
        let ended = by.get(usize::try_from(number).expect("small")).map(|by| Ended { at: after(3), by: *by });
        updates.push(Outage { calm_since: Some(after(1)), ..outage(number, "Web", ended, incident) }.into());
    }
    let (key, subject, component_id) = (outage_key(None, NOW), OutageSubject::Monitoring, None);
    updates.push(Outage { key, subject, component_id, ..outage(0, "Web", None, None) }.into());
    store.remember(&updates, &[]).await.expect("remembered");
    store.close().await;

    let mut expected = Ledger::default();
    updates.into_iter().for_each(|update| expected.record(update));
    let store = place.open().await;
    assert_eq!(store.ledger().await.expect("read"), expected);
    let outages = expected.outages.values().map(|outage| Update::Outage(outage.key.clone(), None));
    let rows = [web, target].map(|key| Update::Component(key, None));
    store.remember(&outages.chain(rows).collect::<Vec<_>>(), &[]).await.expect("remembered");
    assert_eq!(store.ledger().await.expect("read"), Ledger::default());
}

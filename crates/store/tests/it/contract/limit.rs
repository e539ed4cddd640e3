//! The limit on stored alerts.

use std::ops::Deref;

use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertState, Effect, Fingerprint};
use alertmanager_cachet_core::config::AlertConfig;
use alertmanager_cachet_core::observed::Observed;
use alertmanager_cachet_core::recovery::Adoption;
use alertmanager_cachet_core::repair::{Missing, Plan, Poll, Reason};
use alertmanager_cachet_store::{Statements, Store, StoreError};

use super::Place;
use super::alerts::{CONFIG, listing};
use crate::{NOW, after, alert};

fn firing(instance: &str) -> Alert {
    alert(instance, "Database", NOW)
}

fn resolved(instance: &str) -> Alert {
    crate::resolved(&firing(instance))
}

/// A store whose alerts are limited.
struct Limited {
    store: Store,
    max: u32,
}

impl Deref for Limited {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Limited {
    async fn open(place: &Place, max: u32) -> Self {
        Self { store: place.open().await, max }
    }

    async fn try_record(&self, alerts: &[Alert], seconds: u64) -> Result<Vec<Effect>, StoreError> {
        let statements = Statements { alerts: alerts.to_vec(), max_stored: self.max, ..Statements::default() };
        Ok(self.record_statements(statements, after(seconds)).await?.effects)
    }

    async fn listed(&self, listing: &Poll, missing: &Missing) -> Plan {
        let config = AlertConfig { max_stored: self.max, ..CONFIG };
        self.apply_repair(listing, missing, &config).await.expect("repaired")
    }
}

async fn recorded(store: &Limited, alerts: &[Alert], seconds: u64) -> Vec<Effect> {
    store.try_record(alerts, seconds).await.expect("recorded")
}

/// The instances of the stored alerts.
async fn stored(store: &Store) -> Vec<String> {
    let query = "SELECT target FROM alerts ORDER BY target";
    let targets: Vec<String> = sqlx::query_scalar(query).fetch_all(store.reader()).await.expect("read");
    targets.iter().map(|target| target.trim_end_matches(" | Database").to_owned()).collect()
}

/// A store that remembers nothing but what the page says of `alert`.
async fn adopted(place: &Place, max: u32, alert: &Alert) -> Limited {
    let store = Limited::open(place, max).await;
    let record = AlertRecord { state: AlertState::Adopted, ..AlertRecord::observe(None, alert, NOW).0 };
    let record = AlertRecord { fingerprint: Fingerprint::of_text("of the page"), ..record };
    let adoption = Adoption { alerts: vec![record], outages: Vec::new() };
    store.adopt(&adoption, &Observed::default(), NOW).await.expect("kept");
    store
}

pub async fn the_oldest_resolved_alerts_are_forgotten_for_new_ones(place: &Place) {
    let store = Limited::open(place, 4).await;
    for (second, instance) in ["a", "b", "c"].iter().enumerate() {
        let second = u64::try_from(second).expect("few");
        recorded(&store, &[firing(instance), resolved(instance)], second).await;
    }
    recorded(&store, &[firing("d")], 10).await;
    assert_eq!(recorded(&store, &[firing("e")], 11).await, [Effect::Fired]);
    assert_eq!(stored(&store).await, ["b", "c", "d", "e"]);
    // An alert of the same notification is not forgotten for another one.
    assert_eq!(recorded(&store, &[resolved("b"), firing("f")], 12).await, [Effect::Repeated, Effect::Fired]);
    assert_eq!(stored(&store).await, ["b", "d", "e", "f"]);
}

pub async fn if_no_alert_is_resolved_new_ones_are_not_stored_and_known_ones_are_updated(place: &Place) {
    let store = Limited::open(place, 2).await;
    let told = [firing("a"), firing("b"), firing("c"), resolved("d")];
    let effects = recorded(&store, &told, 0).await;
    assert_eq!(effects, [Effect::Fired, Effect::Fired, Effect::OverLimit, Effect::OverLimit]);
    assert_eq!(stored(&store).await, ["a", "b"]);
    let history: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM history_alerts").fetch_one(store.reader()).await.expect("a count");
    assert_eq!(history, 2, "nothing is kept of what is not stored");

    assert_eq!(recorded(&store, &[firing("c"), resolved("a")], 1).await, [Effect::Fired, Effect::Resolved]);
    assert_eq!(stored(&store).await, ["b", "c"]);
    assert_eq!(recorded(&store, &[resolved("b"), firing("a")], 2).await, [Effect::Resolved, Effect::Fired]);
    assert_eq!(stored(&store).await, ["a", "c"]);
}

pub async fn listed_alerts_are_stored_within_the_limit(place: &Place) {
    let store = Limited::open(place, 2).await;
    recorded(&store, &[firing("a")], 0).await;
    recorded(&store, &[firing("b"), resolved("b")], 1).await;
    let missing = Missing::new();
    let plan = store.listed(&listing(&["a", "c", "d"].map(firing), after(10)), &missing).await;
    let reasons: Vec<Reason> = plan.repairs.iter().map(|repair| repair.reason).collect();
    assert_eq!((reasons, plan.over_limit), (vec![Reason::Unnotified], 1));
    assert_eq!(stored(&store).await.len(), 2);
    assert!(stored(&store).await.contains(&"a".to_owned()));

    recorded(&store, &[resolved("a")], 11).await;
    let plan = store.listed(&listing(&["c", "d"].map(firing), after(20)), &missing).await;
    assert_eq!((plan.repairs.len(), plan.over_limit), (1, 0));
    assert_eq!(stored(&store).await, ["c", "d"]);
}

pub async fn what_was_adopted_from_the_page_is_ended_by_its_resolve_where_there_is_no_room(place: &Place) {
    let store = adopted(place, 1, &firing("a")).await;
    assert_eq!(recorded(&store, &[firing("b")], 1).await, [Effect::OverLimit]);
    assert_eq!(recorded(&store, &[resolved("a")], 2).await, [Effect::Resolved]);
    assert!(store.unresolved_alerts().await.expect("read").is_empty());
    assert_eq!(recorded(&store, &[firing("b"), firing("c")], 3).await, [Effect::Fired, Effect::OverLimit]);
}

pub async fn what_was_adopted_from_the_page_takes_its_true_name_where_there_is_no_room(place: &Place) {
    for is_listed in [false, true] {
        let place = &place.another();
        let store = adopted(place, 1, &firing("a")).await;
        let mut missing = Missing::new();
        if !is_listed {
            assert_eq!(recorded(&store, &[firing("b"), firing("a")], 1).await, [Effect::OverLimit, Effect::Fired]);
        }
        for seconds in [10, 100, 200] {
            let plan = store.listed(&listing(&["a", "b"].map(firing), after(seconds)), &missing).await;
            missing = plan.missing;
        }
        let known: Vec<_> =
            store.unresolved_alerts().await.expect("read").iter().map(|alert| alert.fingerprint).collect();
        assert_eq!(known, [firing("a").fingerprint], "listed: {is_listed}");
        assert_eq!(recorded(&store, &[firing("c")], 300).await, [Effect::OverLimit]);
    }
}

/// Every operation that writes or deletes alerts, in turn.
pub async fn the_limit_is_never_exceeded_and_always_used(place: &Place) {
    const MAX: usize = 5;
    let store = Limited::open(place, 5).await;
    let instances: Vec<String> = (0..12).map(|number| format!("i{number:02}")).collect();
    for step in 0..120_u64 {
        let at = |offset: u64| instances[usize::try_from(step * 7 + offset * 5).expect("few") % 12].as_str();
        match step % 6 {
            0 | 3 => drop(recorded(&store, &[firing(at(0)), firing(at(1))], step).await),
            1 => drop(recorded(&store, &[resolved(at(0)), resolved(at(2)), firing(at(3))], step).await),
            2 => {
                let listing = listing(&[at(0), at(1), at(4)].map(firing), after(step));
                store.listed(&listing, &Missing::new()).await;
            }
            4 => drop(store.forget_resolved_alerts(after(step - 3)).await.expect("forgotten")),
            _ => {
                // A failed transaction changes nothing.
                place.refuse_inserts(&store, "history_alerts").await;
                let _ = store.try_record(&[firing(at(0)), resolved(at(1)), firing(at(2))], step).await;
                place.heal(&store, "history_alerts").await;
            }
        }
        let before = stored(&store).await;
        assert!(before.len() <= MAX, "{step}: {before:?}");
        let new: Alert = firing(&format!("new-{step}"));
        let unresolved = store.unresolved_alerts().await.expect("read").len();
        let effect = recorded(&store, &[new], step).await;
        let has_room = unresolved < MAX;
        assert_eq!(effect, [if has_room { Effect::Fired } else { Effect::OverLimit }], "{step}: {before:?}");
        recorded(&store, &[resolved(&format!("new-{step}"))], step).await;
    }
}

pub async fn a_start_with_more_alerts_than_the_limit_succeeds_and_keeps_them(place: &Place) {
    let store = Limited::open(place, 100).await;
    recorded(&store, &[firing("a"), firing("b"), firing("c")], 0).await;
    store.close().await;
    let store = Limited::open(place, 1).await;
    assert_eq!(recorded(&store, &[firing("a"), firing("d")], 1).await, [Effect::Repeated, Effect::OverLimit]);
    assert_eq!(recorded(&store, &[resolved("b")], 2).await, [Effect::Resolved]);
    assert_eq!(stored(&store).await, ["a", "b", "c"]);
}

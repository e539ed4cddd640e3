//! Laws over everything that was recorded: the order and the repetition of notifications do not matter.

use std::collections::HashMap;
use std::sync::LazyLock;

use alertmanager_cachet::core::alert::AlertStatus;
use alertmanager_cachet::core::notification::Notification;
use alertmanager_cachet::core::page::DesiredPage;
use alertmanager_cachet::core::target::{Inventory, InventorySource, KnownTarget, Target};
use alertmanager_cachet::core::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::story::{OURS, REFIRE_DELAY, observe, page_of};
use crate::support::recordings::{files, notifications, with_labels};

/// Every recorded notification, its alerts made ours.
static RECORDED: LazyLock<Vec<Notification>> = LazyLock::new(|| {
    let bodies = files().into_iter().flat_map(|file| notifications(&file));
    bodies
        .map(|body| Notification::parse(with_labels(&body, &OURS).as_bytes(), None).expect("a notification"))
        .collect()
});

/// Every target of theirs, and one that is quiet.
static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    let seen = RECORDED.iter().flat_map(|notification| &notification.alerts).map(|alert| alert.target.clone());
    let quiet = Target::from_name("quiet:1 | Database").expect("a target");
    Inventory::new(
        InventorySource::File,
        seen.chain([quiet]).map(|target| KnownTarget { critical: target.instance() == "127.0.0.1:9201", target }),
    )
});

/// A moment after everything that was recorded began.
static BEGINNING: LazyLock<Timestamp> = LazyLock::new(|| {
    let alerts = RECORDED.iter().flat_map(|notification| &notification.alerts);
    alerts.map(|alert| alert.starts_at).max().expect("something is recorded")
});

/// What the page shows after `told`, in this order, one a millisecond: within the refire delay in any case.
fn after<'a>(told: impl IntoIterator<Item = &'a Notification>) -> DesiredPage {
    let mut memory = HashMap::new();
    let mut now = *BEGINNING;
    for notification in told {
        now = Timestamp::from_millis(now.as_millis() + 1);
        observe(&mut memory, notification, now);
    }
    assert!(now < BEGINNING.after(REFIRE_DELAY));
    // When the page is looked at again depends on when an echo came, and may.
    page_of(&memory, &INVENTORY, now).apply_rules(None)
}

/// Some of the recorded notifications in their order, and the same in any order, each at least once.
fn told_and_retold() -> impl Strategy<Value = (Vec<&'static Notification>, Vec<&'static Notification>)> {
    subsequence(RECORDED.iter().collect::<Vec<_>>(), 1..=RECORDED.len()).prop_flat_map(|told| {
        let again = prop::collection::vec(prop::sample::select(told.clone()), 0..20);
        let retold = again.prop_flat_map({
            let told = told.clone();
            move |again| Just([told.clone(), again].concat()).prop_shuffle()
        });
        (Just(told), retold)
    })
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_recorded_notifications_gives_the_same_page((told, retold) in told_and_retold()) {
        prop_assert_eq!(after(told), after(retold));
    }

    #[test]
    fn a_target_is_down_exactly_while_an_alert_of_it_has_not_resolved((told, _) in told_and_retold()) {
        let page = after(told.iter().copied());
        let statements: Vec<_> = told.iter().flat_map(|notification| &notification.alerts).collect();
        for target in page.targets.values() {
            let fires = statements.iter().filter(|alert| alert.target == target.target).any(|alert| {
                let of_it = || statements.iter().filter(|other| other.fingerprint == alert.fingerprint);
                let newest = of_it().map(|other| other.starts_at).max();
                !of_it().any(|other| Some(other.starts_at) == newest && other.status == AlertStatus::Resolved)
            });
            prop_assert_eq!(target.is_down(), fires, "{:?}", target.target);
        }
    }
}

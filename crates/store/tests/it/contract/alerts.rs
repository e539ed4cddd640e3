//! Alerts: what notifications, Alertmanager's list and silence make of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertState, AlertStatus, Effect, Fingerprint};
use alertmanager_cachet_core::config::AlertConfig;
use alertmanager_cachet_core::expiry::{ResolveRule, WatchdogAlert, WatchdogSource};
use alertmanager_cachet_core::history::{AlertEventKind, Source};
use alertmanager_cachet_core::ledger::Recorded as Row;
use alertmanager_cachet_core::ledger::{IncidentValue, Outage, OutageSubject, outage_key};
use alertmanager_cachet_core::listing::{ListedAlert, Standing};
use alertmanager_cachet_core::observed::{IncidentId, Observed};
use alertmanager_cachet_core::recovery::Adoption;
use alertmanager_cachet_core::repair::{Member, Missing, Poll, Reason, WatchdogListing};
use alertmanager_cachet_core::repair::{resolved_without_watchdog, stale};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::{Pulse, Watchdog};
use alertmanager_cachet_store::{Statements, Store};

use super::Place;
use crate::{NOW, after, alert, component, resolved};

pub const CONFIG: AlertConfig = AlertConfig {
    refire_delay: Duration::from_secs(300),
    stale_after: None,
    max_stored: 100,
    poll: Duration::from_secs(60),
    settle: Duration::ZERO,
};

/// One member's list of active alerts, read at `began_at`.
pub fn listing<const N: usize>(alerts: &[Alert; N], began_at: Timestamp) -> Poll {
    let listed = alerts.iter().cloned().map(|alert| ListedAlert { alert, standing: Standing::Active, lease: None });
    Poll {
        began_at,
        members: vec![Member { up_for: Duration::from_secs(3600), listed: listed.collect() }],
        watchdog: WatchdogListing::NotConfigured,
    }
}

/// A new store that has adopted a firing alert from the page.
async fn adopted(place: &Place, fires: &Alert) -> Store {
    let store = place.open().await;
    store.adopt(&adoption(std::slice::from_ref(fires)), &Observed::default(), NOW).await.expect("kept");
    store
}

/// What a page leaves of these alerts.
fn adoption(fires: &[Alert]) -> Adoption {
    let adopted = |fires: &Alert| {
        let (record, _) = AlertRecord::observe(None, fires, NOW);
        let fingerprint = Fingerprint::of_text(&format!("of the page: {}", record.target.name()));
        AlertRecord { fingerprint, state: AlertState::Adopted, ..record }
    };
    Adoption { alerts: fires.iter().map(adopted).collect(), outages: Vec::new() }
}

/// A notification, where the watchdog arrives only in notifications.
fn watched(alerts: &[Alert], watchdog: Option<(AlertStatus, Option<Timestamp>)>) -> Statements {
    let timeout = Duration::from_secs(300);
    let resolve_rule = Some(ResolveRule {
        watchdog: Watchdog::new("Watchdog", timeout).expect("a watchdog"),
        source: WatchdogSource::Notifications,
        refire_delay: timeout,
    });
    let fingerprint = Fingerprint::of_text("watchdog");
    let watchdog = watchdog.map(|(status, ends_at)| WatchdogAlert { fingerprint, status, starts_at: NOW, ends_at });
    Statements {
        alerts: alerts.to_vec(),
        watchdogs: watchdog.into_iter().collect(),
        resolve_rule,
        ..Statements::default()
    }
}

async fn states(store: &Store) -> Vec<AlertState> {
    store.unresolved_alerts().await.expect("read").iter().map(|record| record.state).collect()
}

/// What the history says of alerts of Web, the oldest first.
async fn kinds(store: &Store) -> Vec<(AlertEventKind, Source)> {
    let mut history = store.alert_history(&component("Web"), Timestamp::from_millis(0), 1000).await.expect("read");
    history.reverse();
    history.iter().map(|event| (event.kind, event.source)).collect()
}

pub async fn a_notification_is_kept_whole_or_not_at_all(place: &Place) {
    let store = place.open().await;
    let told = || watched(&[alert("a", "Web", NOW), alert("b", "Web", NOW)], Some((AlertStatus::Firing, None)));
    // The history is written after the alerts.
    place.refuse_inserts(&store, "history_alerts").await;
    let error = store.record_statements(told(), NOW).await.expect_err("refused").to_string();
    assert!(error.contains("the store refused a statement"), "{error}");
    assert_eq!((states(&store).await, store.pulse().await.expect("read")), (Vec::new(), Pulse::default()));
    place.heal(&store, "history_alerts").await;
    let recorded = store.record_statements(told(), NOW).await.expect("recorded");
    assert_eq!(recorded.effects, [Effect::Fired, Effect::Fired], "nothing was known of them");
    assert_eq!(store.pulse().await.expect("read").last_heartbeat, Some(NOW));
    assert_eq!(kinds(&store).await, [(AlertEventKind::Fired, Source::Notification); 2]);
}

pub async fn notifications_that_are_committed_together_fail_together(place: &Place) {
    let store = place.open().await;
    place.refuse_inserts(&store, "history_alerts").await;
    let senders = (0..20).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.record(&[alert(&format!("host-{number}"), "Web", NOW)], NOW).await })
    });
    for sender in senders.collect::<Vec<_>>() {
        assert!(sender.await.expect("ran").is_err(), "none may be answered as if it were kept");
    }
    assert_eq!(states(&store).await, []);
}

pub async fn a_repeat_changes_nothing_but_when_it_was_heard(place: &Place) {
    let store = place.open().await;
    let fires = alert("a", "Web", NOW);
    store.record(std::slice::from_ref(&fires), NOW).await.expect("recorded");
    let first = store.unresolved_alerts().await.expect("read");
    assert_eq!(store.record(&[fires], after(60)).await.expect("recorded"), [Effect::Repeated]);
    let second = store.unresolved_alerts().await.expect("read");
    assert_eq!(second, [AlertRecord { last_seen_at: after(60), ..first[0].clone() }]);
    assert_eq!(kinds(&store).await, [(AlertEventKind::Fired, Source::Notification)]);
}

pub async fn who_follows_the_alerts_is_told_of_each_change_and_of_no_repeat(place: &Place) {
    let store = place.open().await;
    let (a, b) = (alert("a", "Web", NOW), alert("b", "Web", NOW));
    store.record(std::slice::from_ref(&a), NOW).await.expect("recorded");
    let all = store.alert_changes(None).await.expect("read");
    assert_eq!((all.all, all.changes.len()), (true, 1));

    store.record(&[a.clone(), b.clone()], after(1)).await.expect("recorded");
    let next = store.alert_changes(Some(all.position)).await.expect("read");
    let told: Vec<_> = next.changes.iter().map(|(fingerprint, record)| (*fingerprint, record.is_some())).collect();
    assert_eq!((next.all, told), (false, vec![(b.fingerprint, true)]), "the first one was repeated");

    store.record(&[resolved(&a)], after(2)).await.expect("recorded");
    let last = store.alert_changes(Some(next.position)).await.expect("read");
    assert_eq!(last.changes, [(a.fingerprint, None)]);
    assert!(store.alert_changes(Some(last.position)).await.expect("read").changes.is_empty());

    let many: Vec<Alert> = (0..5000).map(|number| alert(&format!("many-{number}"), "Web", NOW)).collect();
    store.record(&many, after(3)).await.expect("recorded");
    let behind = store.alert_changes(Some(last.position)).await.expect("read");
    assert_eq!((behind.all, behind.changes.len()), (true, 5001), "too far behind: all of them");
    let other = store.alert_changes(Some(u64::MAX)).await.expect("read");
    assert!(other.all, "a position of another store");
}

/// The caller of a write may give up at any moment, also while it is being committed. Then the commit may be carried out all
/// the same, and nobody was told.
pub async fn who_gives_up_a_write_leaves_the_memory_true_and_whoever_follows_starts_over(place: &Place) {
    let store = place.open().await;
    store.record(&[alert("first", "Web", NOW)], NOW).await.expect("recorded");
    let mut position = store.alert_changes(None).await.expect("read").position;
    for polls in 0..40 {
        let told = alert(&format!("given-up-{polls:02}"), "Web", NOW);
        let (record, _) = AlertRecord::observe(None, &told, NOW);
        let mut put = Box::pin(store.put_alert(&record));
        let mut was_given_up = true;
        for _ in 0..polls {
            tokio::select! {
                biased;
                done = &mut put => {
                    done.expect("put");
                    was_given_up = false;
                    break;
                }
                () = tokio::task::yield_now() => {}
            }
        }
        drop(put);
        // Whether it is stored is known once something else was written.
        let next = alert(&format!("next-{polls:02}"), "Web", NOW);
        let before = store.record_statements(Statements { alerts: vec![next], ..Statements::default() }, NOW).await;
        assert!(before.expect("recorded").is_news);
        let rows: Vec<String> =
            sqlx::query_scalar("SELECT fingerprint FROM alerts WHERE state <> 'resolved' ORDER BY fingerprint")
                .fetch_all(store.writer())
                .await
                .expect("read");
        let known = store.unresolved_alerts().await.expect("read");
        assert_eq!(known.iter().map(|record| record.fingerprint.to_string()).collect::<Vec<_>>(), rows, "{polls}");
        let changes = store.alert_changes(Some(position)).await.expect("read");
        let is_told = changes.changes.iter().any(|(fingerprint, _)| *fingerprint == told.fingerprint);
        let is_stored = known.iter().any(|record| record.fingerprint == told.fingerprint);
        assert_eq!(is_told, is_stored, "{polls}: given up: {was_given_up}");
        position = changes.position;
    }
}

pub async fn what_nobody_may_have_been_told_of_is_news_when_it_is_repeated(place: &Place) {
    let store = place.open().await;
    let fires = alert("a", "Web", NOW);
    let told = || Statements { alerts: vec![fires.clone()], ..Statements::default() };
    assert!(store.record_statements(told(), NOW).await.expect("recorded").is_news);
    assert!(!store.record_statements(told(), after(1)).await.expect("recorded").is_news);
    let position = store.alert_changes(None).await.expect("read").position;
    // What is in memory is forgotten, as after a commit whose result is unknown.
    store.clamp_future_timestamps(after(2)).await.expect("nothing to move");
    let recorded = store.record_statements(told(), after(3)).await.expect("recorded");
    assert_eq!((recorded.effects, recorded.is_news), (vec![Effect::Repeated], true));
    assert!(store.alert_changes(Some(position)).await.expect("read").all);
}

/// Pseudo-random numbers (a linear congruential generator): the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

pub async fn what_is_stored_is_what_the_core_makes_of_it(place: &Place) {
    let store = place.open().await;
    let mut expected: HashMap<Fingerprint, AlertRecord> = HashMap::new();
    let mut numbers = Numbers(1);
    for step in 0..150 {
        let now = after(30 * step);
        let told: Vec<Alert> = (0..=numbers.below(4))
            .map(|_| {
                let begins = NOW.after(Duration::from_secs(30 * numbers.below(step + 3)));
                let fires = alert(&format!("host-{}", numbers.below(5)), "Web", begins);
                let ends_at = Some(begins.after(Duration::from_secs(30 * numbers.below(20))));
                if numbers.below(2) == 0 { Alert { ends_at, ..resolved(&fires) } } else { fires }
            })
            .collect();
        let effects: Vec<Effect> = told
            .iter()
            .map(|alert| {
                let (record, effect) = AlertRecord::observe(expected.get(&alert.fingerprint), alert, now);
                expected.insert(record.fingerprint, record);
                effect
            })
            .collect();
        assert_eq!(store.record(&told, now).await.expect("recorded"), effects, "step {step}: {told:?}");
        let mut unresolved: Vec<AlertRecord> =
            expected.values().filter(|record| record.state != AlertState::Resolved).cloned().collect();
        unresolved.sort_by_key(|record| record.fingerprint);
        assert_eq!(store.unresolved_alerts().await.expect("read"), unresolved, "step {step}: {told:?}");
    }
}

pub async fn of_equal_notifications_at_the_same_time_one_is_the_first(place: &Place) {
    let store = place.open().await;
    let senders = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.record(&[alert("a", "Web", NOW)], NOW).await })
    });
    let mut first = 0;
    for sender in senders.collect::<Vec<_>>() {
        match sender.await.expect("ran").expect("recorded")[..] {
            [Effect::Fired] => first += 1,
            [Effect::Repeated] => {}
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, 1);
}

pub async fn what_a_notification_has_named_already_is_not_adopted(place: &Place) {
    for status in [AlertStatus::Firing, AlertStatus::Resolved] {
        let place = place.another();
        let store = place.open().await;
        let (told, other) = (Alert { status, ..alert("a", "Web", NOW) }, alert("b", "Web", NOW));
        store.record(std::slice::from_ref(&told), NOW).await.expect("recorded");
        let page = adoption(&[told, other]);
        store.adopt(&page, &Observed::default(), after(1)).await.expect("kept");
        let known = store.unresolved_alerts().await.expect("read");
        let adopted = known.iter().filter(|record| record.state == AlertState::Adopted);
        assert_eq!(adopted.map(|record| record.target.instance()).collect::<Vec<_>>(), ["b"], "{status:?}");
        let of_page = kinds(&store).await.into_iter().filter(|(_, source)| *source == Source::Page);
        assert_eq!(of_page.count(), 1, "the history does not say that the other one fires");
    }
}

pub async fn a_correction_is_kept_whole_or_not_at_all(place: &Place) {
    let store = place.open().await;
    let gone = alert("gone", "Web", NOW);
    store.record(std::slice::from_ref(&gone), NOW).await.expect("recorded");
    let first = store.apply_repair(&listing(&[], after(10)), &Missing::new(), &CONFIG).await.expect("repaired");
    assert_eq!(first.repairs, [], "once is not enough");
    let poll = listing(&[alert("new", "Web", NOW)], after(60));
    place.refuse_inserts(&store, "history_alerts").await;
    store.apply_repair(&poll, &first.missing, &CONFIG).await.expect_err("refused");
    let known = store.unresolved_alerts().await.expect("read");
    assert_eq!(known.iter().map(|record| record.fingerprint).collect::<Vec<_>>(), [gone.fingerprint]);
    place.heal(&store, "history_alerts").await;
    let plan = store.apply_repair(&poll, &first.missing, &CONFIG).await.expect("repaired");
    let reasons: Vec<Reason> = plan.repairs.iter().map(|repair| repair.reason).collect();
    assert_eq!(reasons, [Reason::Unnotified, Reason::Unlisted]);
    let known = store.unresolved_alerts().await.expect("read");
    assert_eq!(known.iter().map(|record| record.target.instance()).collect::<Vec<_>>(), ["new"]);
    let expected = [
        (AlertEventKind::Fired, Source::Notification),
        (AlertEventKind::Fired, Source::Repair(Reason::Unnotified)),
        (AlertEventKind::Resolved, Source::Repair(Reason::Unlisted)),
    ];
    assert_eq!(kinds(&store).await, expected);
}

pub async fn silence_and_a_missing_watchdog_end_alerts_with_a_history(place: &Place) {
    let store = place.open().await;
    let (old, held) = (alert("old", "Web", NOW), alert("held", "Web", after(100)));
    store.record(&[old], NOW).await.expect("recorded");
    assert_eq!(store.repair_unresolved(|record| stale(record, NOW), after(100)).await.expect("done"), []);
    store.record_heartbeat(NOW).await.expect("kept");
    store.record(std::slice::from_ref(&held), after(500)).await.expect("recorded");
    let ended = Alert { ends_at: Some(after(600)), ..resolved(&held) };
    let recorded = store.record_statements(watched(&[ended], None), after(600)).await.expect("recorded");
    assert_eq!(recorded.effects, [Effect::HeldResolve]);
    let ended = store.repair_unresolved(|record| stale(record, after(1)), after(700)).await.expect("done");
    assert_eq!(ended.iter().map(|repair| repair.record.target.instance()).collect::<Vec<_>>(), ["old"]);
    let confirmed = store
        .repair_unresolved(|record| resolved_without_watchdog(record, after(700)), after(700))
        .await
        .expect("done");
    assert_eq!(confirmed.iter().map(|repair| repair.record.target.instance()).collect::<Vec<_>>(), ["held"]);
    assert_eq!(states(&store).await, []);
    let kinds = kinds(&store).await;
    assert_eq!(
        kinds[2..],
        [
            (AlertEventKind::Resolved, Source::Repair(Reason::Stale)),
            (AlertEventKind::Resolved, Source::Repair(Reason::ResolveConfirmed))
        ]
    );
}

pub async fn a_clock_that_was_set_back_moves_everything_once(place: &Place) {
    let store = place.open().await;
    let refired = alert("a", "Web", NOW);
    let told = [refired.clone(), resolved(&refired), refired, alert("b", "Web", NOW)];
    store.record_statements(watched(&told, Some((AlertStatus::Firing, None))), after(60)).await.expect("recorded");
    let outage = Outage {
        key: outage_key(None, NOW),
        subject: OutageSubject::Monitoring,
        component_id: None,
        occurred_at: NOW,
        began_at: NOW,
        calm_since: None,
        ended: None,
        incident: Some(Row::sent(None, Some(IncidentId(7)), IncidentValue::Fixed, after(60))),
    };
    store.remember(&[outage.clone().into()], &[]).await.expect("remembered");

    assert_eq!(store.clamp_future_timestamps(after(60)).await.expect("nothing is later"), 0);
    // Two alerts, what was sent, the watchdog, and the notification of it.
    assert_eq!(store.clamp_future_timestamps(after(10)).await.expect("moved"), 5);
    assert_eq!(store.clamp_future_timestamps(after(10)).await.expect("nothing is later any more"), 0);
    let known = store.unresolved_alerts().await.expect("read");
    assert!(known.iter().all(|record| record.last_seen_at == after(10)), "{known:?}");
    assert!(known.iter().any(|record| record.state == AlertState::Refired { since: after(10) }), "{known:?}");
    let incident = Some(Row::sent(None, Some(IncidentId(7)), IncidentValue::Fixed, after(10)));
    let ledger = store.ledger().await.expect("read");
    assert_eq!(ledger.outages.values().collect::<Vec<_>>(), [&Outage { incident, ..outage }]);
    assert_eq!(store.pulse().await.expect("read").last_heartbeat, Some(after(10)));
}

pub async fn a_probe_fails_with_the_store_and_leaves_nothing(place: &Place) {
    let store = place.open().await;
    store.try_write().await.expect("it can be written");
    let count = "SELECT COUNT(*) FROM alerts";
    let rows: i64 = sqlx::query_scalar(count).fetch_one(store.reader()).await.expect("a count");
    assert_eq!(rows, 0);
    place.refuse_inserts(&store, "alerts").await;
    store.try_write().await.expect_err("no notification could be stored");
}

pub async fn readers_see_what_is_committed_and_nothing_else(place: &Place) {
    let (store, reading) = (place.open().await, place.open().await);
    store.record(&[alert("a", "Web", NOW)], NOW).await.expect("recorded");
    let mut open = store.writer().begin_with("BEGIN IMMEDIATE").await.expect("begun");
    sqlx::query("DELETE FROM alerts").execute(&mut *open).await.expect("deleted");
    assert_eq!(states(&reading).await, [AlertState::Firing]);
    open.commit().await.expect("committed");
    assert_eq!(states(&reading).await, []);
}

/// Only one server works on a store. If another program writes alerts all the same, no alert of either is lost.
pub async fn an_alert_that_another_program_wrote_is_never_overwritten(place: &Place) {
    let (store, other) = (place.open().await, place.open().await);
    store.record(&[alert("a", "Web", NOW)], NOW).await.expect("recorded");
    other.record(&[alert("b", "Web", NOW)], NOW).await.expect("recorded");
    let third = [alert("c", "Web", NOW)];
    let error = store.record(&third, NOW).await.expect_err("its row is taken");
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(store.record(&third, NOW).await.expect("recorded"), [Effect::Fired]);
    for store in [&store, &place.open().await] {
        assert_eq!(states(store).await, [AlertState::Firing; 3]);
    }
}

/// Alertmanager waits for ten seconds at least.
pub async fn a_write_beside_another_writer_fails_in_time_and_can_be_repeated(place: &Place) {
    let (store, other) = (place.open().await, place.open().await);
    let open = other.writer().begin_with("BEGIN IMMEDIATE").await.expect("begun");
    let began = Instant::now();
    let told = [alert("a", "Web", NOW)];
    let record = || store.record(&told, NOW);
    let (first, second) = tokio::join!(record(), record());
    assert!(first.is_err() && second.is_err(), "another process writes");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    open.rollback().await.expect("ended");
    assert_eq!(record().await.expect("recorded"), [Effect::Fired]);
}

pub async fn an_alert_that_is_put_is_not_judged_and_ends_what_was_adopted_of_it(place: &Place) {
    let store = place.open().await;
    let told = alert("a", "Web", NOW);
    let (firing, _) = AlertRecord::observe(None, &told, NOW);
    let adopted = adoption(std::slice::from_ref(&told)).alerts.remove(0);
    store.put_alert(&adopted).await.expect("put");
    assert_eq!(states(&store).await, [AlertState::Adopted]);
    store.put_alert(&AlertRecord { state: AlertState::Resolved, ..firing.clone() }).await.expect("put");
    assert_eq!(states(&store).await, []);
    store.put_alert(&adopted).await.expect("put");
    assert_eq!(states(&store).await, [], "more is known of it");
    // A notification that says the same is held, as it follows its own resolve.
    store.put_alert(&firing).await.expect("put");
    assert_eq!(states(&store).await, [AlertState::Firing]);
    assert!(kinds(&store).await.is_empty(), "a history that is played is not written again");
}

pub async fn what_was_adopted_ends_with_a_resolve_that_was_held_once_the_watchdog_is_heard(place: &Place) {
    let fires = alert("10.0.0.5:9100", "Database", NOW);
    let store = adopted(place, &fires).await;
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let heartbeat = || watched(&[], Some((AlertStatus::Firing, None)));
    store.record_statements(heartbeat(), at(60)).await.expect("recorded");
    let ended = Alert { ends_at: Some(at(390)), ..resolved(&fires) };
    let recorded = store.record_statements(watched(&[ended], None), at(400)).await.expect("recorded");
    assert_eq!((recorded.effects, states(&store).await), (vec![Effect::HeldResolve], vec![AlertState::ResolveHeld]));
    let recorded = store.record_statements(heartbeat(), at(410)).await.expect("recorded");
    assert_eq!((recorded.repairs.len(), states(&store).await), (1, Vec::new()));
}

pub async fn the_end_of_what_was_adopted_is_taken_back_when_prometheus_had_died(place: &Place) {
    let fires = alert("10.0.0.5:9100", "Database", NOW);
    let store = adopted(place, &fires).await;
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let ended = Alert { ends_at: Some(at(90)), ..resolved(&fires) };
    store.record_statements(watched(&[ended], None), at(100)).await.expect("recorded");
    assert_eq!(states(&store).await, []);
    let end = watched(&[], Some((AlertStatus::Resolved, Some(at(120)))));
    store.record_statements(end, at(130)).await.expect("recorded");
    assert_eq!(states(&store).await, [AlertState::ResolveHeld]);
}

pub async fn resolved_alerts_are_forgotten_after_a_while_and_firing_ones_never(place: &Place) {
    let store = place.open().await;
    let (firing, over) = (alert("a", "Web", NOW), alert("b", "Web", NOW));
    store.record(&[firing, over.clone(), resolved(&over)], NOW).await.expect("recorded");
    assert_eq!(store.forget_resolved_alerts(NOW).await.expect("done"), 0);
    assert_eq!(store.forget_resolved_alerts(Timestamp::from_millis(i64::MAX)).await.expect("done"), 1);
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 1);
}

pub async fn a_notification_larger_than_one_statement_is_kept_whole(place: &Place) {
    let store = place.open().await;
    let alerts: Vec<Alert> = (0..2500).map(|number| alert(&format!("host-{number}"), "Web", NOW)).collect();
    store.record(&alerts, NOW).await.expect("recorded");
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 2500);
    let over: Vec<Alert> = alerts.iter().map(resolved).collect();
    let effects = store.record(&over, NOW).await.expect("recorded");
    assert!(effects.iter().all(|effect| *effect == Effect::Resolved));
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 0);
}

pub async fn notifications_at_the_same_time_lose_nothing(place: &Place) {
    let store = place.open().await;
    let writers = (0..50).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.record(&[alert(&format!("host-{number}"), "Web", NOW)], NOW).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("ran").expect("recorded");
    }
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 50);
}

pub async fn an_alert_is_the_same_after_a_restart(place: &Place) {
    let store = place.open().await;
    let firing = alert("10.0.0.5:9100", "Database, Web | x", NOW);
    let held = alert("10.0.0.6:9100", "Database", NOW);
    let over = alert("10.0.0.7:9100", "Database", NOW);
    let told = [firing.clone(), held.clone(), resolved(&held), held.clone(), over.clone(), resolved(&over)];
    let effects = store.record(&told, NOW).await.expect("recorded");
    use Effect::{Fired, Refired, Resolved};
    assert_eq!(effects, [Fired, Fired, Resolved, Refired, Fired, Resolved]);
    store.close().await;

    let store = place.open().await;
    let mut alerts = store.unresolved_alerts().await.expect("alerts");
    alerts.sort_by_key(|record| record.target.instance().to_owned());
    let states: Vec<(&str, AlertState)> =
        alerts.iter().map(|record| (record.target.instance(), record.state)).collect();
    let refired = AlertState::Refired { since: NOW };
    assert_eq!(states, [("10.0.0.5:9100", AlertState::Firing), ("10.0.0.6:9100", refired)]);
    assert_eq!((&alerts[0].name, alerts[0].starts_at, &alerts[0].target), (&firing.name, NOW, &firing.target));
    let again = store.record(&[resolved(&over)], NOW).await.expect("recorded");
    assert_eq!(again, [Effect::Repeated], "a resolved alert is remembered, for its firing may come late");
}

pub async fn what_a_beginning_in_the_future_was_told_as_is_known_after_a_restart(place: &Place) {
    let store = place.open().await;
    let minutes = |count: u64| NOW.after(Duration::from_secs(60 * count));
    let ahead = alert("a", "Web", minutes(5));
    assert_eq!(store.record(std::slice::from_ref(&ahead), NOW).await.expect("recorded"), [Effect::Fired]);
    store.close().await;
    let store = place.open().await;
    let told = [ahead.clone(), resolved(&ahead), ahead];
    let effects = store.record(&told, minutes(10)).await.expect("recorded");
    assert_eq!(effects, [Effect::Repeated, Effect::Resolved, Effect::Refired]);
}

pub async fn under_which_earlier_beginning_an_alert_has_ended_is_known_after_a_restart(place: &Place) {
    let store = place.open().await;
    let told = alert("a", "Web", NOW);
    let earlier = Alert { starts_at: NOW.before(Duration::from_secs(60)), ..told.clone() };
    let ended = Alert { ends_at: Some(NOW.after(Duration::from_secs(60))), ..resolved(&earlier) };
    assert_eq!(store.record(&[told, ended], NOW).await.expect("recorded"), [Effect::Fired, Effect::Resolved]);
    store.close().await;
    let store = place.open().await;
    assert_eq!(store.record(&[earlier], NOW).await.expect("recorded"), [Effect::Refired]);
}

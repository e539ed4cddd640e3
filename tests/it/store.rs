//! The store: what it keeps, and what it refuses.

use std::path::Path;
use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertRecord, AlertState, AlertStatus, Effect};
use alertmanager_cachet::core::expiry::{ResolveRule, WatchdogAlert, WatchdogSource};
use alertmanager_cachet::core::incident::{
    EndedBy, Episode, EpisodeKey, EpisodePhase, EpisodeSubject, LostPostings, PastEpisode,
};
use alertmanager_cachet::core::inherit::Inheritance;
use alertmanager_cachet::core::observed::{ComponentId, IncidentId, Observed};
use alertmanager_cachet::core::plan::{
    AppliedComponent, AppliedTarget, Certainty, StrayOrigin, UnansweredWrite, Written,
};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::target::ComponentName;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::watchdog::Watchdog;
use alertmanager_cachet::store::{Entry, Statements, Store, StoreError};
use tempfile::TempDir;

use crate::support::world::alert;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}/a/b/store.db", folder.path().display())
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn resolved(alert: &Alert) -> Alert {
    Alert { status: AlertStatus::Resolved, ..alert.clone() }
}

#[tokio::test]
async fn rows_over_the_limits_do_not_fail_a_start() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let usable = alert("10.0.0.5:9100", "Database", NOW);
    store.record(std::slice::from_ref(&usable), NOW).await.expect("recorded");
    // Short names, so that even the whole is no longer than a name may be.
    let short =
        (0..65).map(|number| char::from(b'!' + number).to_string()).filter(|name| !",|".contains(name.as_str()));
    let short = format!("a | {}, ab, ac", short.collect::<Vec<_>>().join(", "));
    let long = format!("a | {}", (0..100_000).map(|number| format!("c{number}")).collect::<Vec<_>>().join(", "));
    let row = "INSERT INTO alerts (fingerprint, name, target, critical, starts_at_ms, state, last_seen_ms) \
               VALUES ($1, $2, $3, 0, 0, 'firing', 0)";
    let long_name = "x".repeat(256);
    for (fingerprint, name, target) in [
        ("00000000000000a1", "TargetDown", short.as_str()),
        ("00000000000000a2", "TargetDown", long.as_str()),
        ("00000000000000a3", long_name.as_str(), "a | Database"),
    ] {
        let query = sqlx::query(row).bind(fingerprint).bind(name).bind(target);
        query.execute(store.writer()).await.expect("written");
    }
    sqlx::query("INSERT INTO applied VALUES ('target', $1, 1, 1, '', 'settled', 0)")
        .bind(&short)
        .execute(store.writer())
        .await
        .expect("written");
    store.close().await;

    let reading = Store::open_read_only(&url(&folder)).await.expect("opens");
    let alerts = reading.unresolved_alerts().await.expect("what `explain` reads before the first start");
    assert_eq!(alerts.iter().map(|record| record.fingerprint).collect::<Vec<_>>(), [usable.fingerprint]);
    assert!(reading.applied().await.expect("what was written").targets.is_empty());
    reading.close().await;

    let began = std::time::Instant::now();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let alerts = store.unresolved_alerts().await.expect("alerts");
    assert_eq!(alerts.iter().map(|record| record.fingerprint).collect::<Vec<_>>(), [usable.fingerprint]);
    assert!(store.applied().await.expect("what was written").targets.is_empty());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Releases before the one that takes off what nobody sees around a name kept it.
#[tokio::test]
async fn rows_with_names_of_an_earlier_release_do_not_fail_a_start() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let targets =
        ["a\u{200b} | Web", "b | Web\u{feff}, Datab\u{200b}ase\u{2060}, Web", "\u{200b} | Web", "c | W\u{85}eb"];
    for (number, target) in targets.iter().enumerate() {
        let row = "INSERT INTO alerts (fingerprint, name, target, critical, starts_at_ms, state, last_seen_ms) \
                   VALUES ($1, 'TargetDown', $2, 0, 0, 'firing', 0)";
        let query = sqlx::query(row).bind(format!("{number:016x}")).bind(target);
        query.execute(store.writer()).await.expect("written");
        let row = "INSERT INTO applied VALUES ('target', $1, 1, 1, '', 'settled', 0)";
        sqlx::query(row).bind(target).execute(store.writer()).await.expect("written");
    }
    store.close().await;

    let reading = Store::open_read_only(&url(&folder)).await.expect("opens");
    assert!(reading.unresolved_alerts().await.expect("what `explain` reads before the first start").is_empty());
    assert!(reading.applied().await.expect("what was written").targets.is_empty());
    reading.close().await;

    let store = Store::open(&url(&folder)).await.expect("opens");
    let alerts = store.unresolved_alerts().await.expect("alerts");
    let names: Vec<String> = alerts.iter().map(|record| record.target.name().to_string()).collect();
    assert_eq!(names, ["a | Web", "b | Web, Datab\u{200b}ase"]);
    assert!(store.applied().await.expect("what was written").targets.is_empty());
}

#[tokio::test]
async fn an_alert_is_the_same_after_a_restart() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens, making its folders");
    let firing = alert("10.0.0.5:9100", "Database, Web | x", NOW);
    let held = alert("10.0.0.6:9100", "Database", NOW);
    let over = alert("10.0.0.7:9100", "Database", NOW);
    let told = [firing.clone(), held.clone(), resolved(&held), held.clone(), over.clone(), resolved(&over)];
    let effects = store.record(&told, NOW).await.expect("recorded");
    use Effect::{Fired, HeldRefire, Resolved};
    assert_eq!(effects, [Fired, Fired, Resolved, HeldRefire, Fired, Resolved]);
    store.close().await;

    let store = Store::open(&url(&folder)).await.expect("opens again");
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

#[tokio::test]
async fn what_a_beginning_in_the_future_was_told_as_is_known_after_a_restart() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let minutes = |count: u64| NOW.after(Duration::from_secs(60 * count));
    let ahead = alert("a", "Web", minutes(5));
    assert_eq!(store.record(std::slice::from_ref(&ahead), NOW).await.expect("recorded"), [Effect::Fired]);
    store.close().await;
    let store = Store::open(&url(&folder)).await.expect("opens again");
    let told = [ahead.clone(), resolved(&ahead), ahead];
    let effects = store.record(&told, minutes(10)).await.expect("recorded");
    assert_eq!(effects, [Effect::Repeated, Effect::Resolved, Effect::HeldRefire]);
}

#[tokio::test]
async fn under_which_earlier_beginning_an_alert_has_ended_is_known_after_a_restart() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let told = alert("a", "Web", NOW);
    let earlier = Alert { starts_at: NOW.before(Duration::from_secs(60)), ..told.clone() };
    let ended = Alert { ends_at: Some(NOW.after(Duration::from_secs(60))), ..resolved(&earlier) };
    assert_eq!(store.record(&[told, ended], NOW).await.expect("recorded"), [Effect::Fired, Effect::Resolved]);
    store.close().await;
    let store = Store::open(&url(&folder)).await.expect("opens again");
    assert_eq!(store.record(&[earlier], NOW).await.expect("recorded"), [Effect::HeldRefire]);
}

/// A new store that has adopted a firing alert from the page.
async fn lost(folder: &TempDir, fires: &Alert) -> Store {
    let store = Store::open(&url(folder)).await.expect("opens");
    let (record, _) = AlertRecord::observe(None, fires, NOW);
    let fingerprint = "00000000000000aa".parse().expect("a fingerprint");
    let alerts = vec![AlertRecord { fingerprint, state: AlertState::Inherited, ..record }];
    let inheritance = Inheritance { alerts, episodes: Vec::new() };
    store.inherit(&inheritance, &Observed::default(), NOW).await.expect("kept");
    store
}

/// A notification, where the watchdog arrives only in notifications.
fn watched(alerts: &[Alert], watchdog: Option<(AlertStatus, Option<Timestamp>)>) -> Statements {
    let timeout = Duration::from_secs(300);
    let resolve_rule = Some(ResolveRule {
        watchdog: Watchdog::new("Watchdog", timeout).expect("a watchdog"),
        source: WatchdogSource::Notifications,
        refire_hold: timeout,
    });
    let fingerprint = "00000000000000bb".parse().expect("a fingerprint");
    let watchdog = watchdog.map(|(status, ends_at)| WatchdogAlert { fingerprint, status, starts_at: NOW, ends_at });
    Statements { alerts: alerts.to_vec(), watchdogs: watchdog.into_iter().collect(), resolve_rule }
}

async fn states(store: &Store) -> Vec<AlertState> {
    store.unresolved_alerts().await.expect("read").iter().map(|record| record.state).collect()
}

#[tokio::test]
async fn what_was_inherited_ends_with_a_resolve_that_was_held_once_the_watchdog_is_heard() {
    let folder = folder();
    let fires = alert("10.0.0.5:9100", "Database", NOW);
    let store = lost(&folder, &fires).await;
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let heartbeat = || watched(&[], Some((AlertStatus::Firing, None)));
    store.record_statements(heartbeat(), at(60)).await.expect("recorded");
    let ended = Alert { ends_at: Some(at(390)), ..resolved(&fires) };
    let recorded = store.record_statements(watched(&[ended], None), at(400)).await.expect("recorded");
    assert_eq!((recorded.effects, states(&store).await), (vec![Effect::HeldResolve], vec![AlertState::ResolveHeld]));
    let recorded = store.record_statements(heartbeat(), at(410)).await.expect("recorded");
    assert_eq!((recorded.repairs.len(), states(&store).await), (1, Vec::new()));
}

#[tokio::test]
async fn the_end_of_what_was_inherited_is_taken_back_when_prometheus_had_died() {
    let folder = folder();
    let fires = alert("10.0.0.5:9100", "Database", NOW);
    let store = lost(&folder, &fires).await;
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let ended = Alert { ends_at: Some(at(90)), ..resolved(&fires) };
    store.record_statements(watched(&[ended], None), at(100)).await.expect("recorded");
    assert_eq!(states(&store).await, []);
    let end = watched(&[], Some((AlertStatus::Resolved, Some(at(120)))));
    store.record_statements(end, at(130)).await.expect("recorded");
    assert_eq!(states(&store).await, [AlertState::ResolveHeld]);
}

#[tokio::test]
async fn resolved_alerts_are_forgotten_after_a_while_and_firing_ones_never() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let (firing, over) = (alert("a", "Web", NOW), alert("b", "Web", NOW));
    store.record(&[firing, over.clone(), resolved(&over)], NOW).await.expect("recorded");
    assert_eq!(store.forget_resolved_alerts(NOW).await.expect("done"), 0);
    assert_eq!(store.forget_resolved_alerts(Timestamp::from_millis(i64::MAX)).await.expect("done"), 1);
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 1);
}

#[tokio::test]
async fn a_notification_larger_than_one_statement_is_kept_whole() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let alerts: Vec<Alert> = (0..2500).map(|number| alert(&format!("host-{number}"), "Web", NOW)).collect();
    store.record(&alerts, NOW).await.expect("recorded");
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 2500);
    let over: Vec<Alert> = alerts.iter().map(resolved).collect();
    let effects = store.record(&over, NOW).await.expect("recorded");
    assert!(effects.iter().all(|effect| *effect == Effect::Resolved));
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 0);
}

#[tokio::test]
async fn notifications_at_the_same_time_lose_nothing() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let writers = (0..50).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.record(&[alert(&format!("host-{number}"), "Web", NOW)], NOW).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("ran").expect("recorded");
    }
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 50);
}

#[tokio::test]
async fn what_was_written_and_the_episodes_are_the_same_after_a_restart() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let web = ComponentName::try_from("Web").expect("a name");
    let target = alert("a:9100", "Web", NOW).target.name();
    let status = ComponentStatus::MajorOutage;
    let component = AppliedComponent { id: ComponentId(7), status, certainty: Certainty::Pending };
    let description = "critical: no\nTargetDown".to_owned();
    let of_target = AppliedTarget { id: ComponentId(8), status, description, certainty: Certainty::Settled };
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
        Entry::Component(web.clone(), component.clone()),
        Entry::Target(target.clone(), of_target.clone()),
        Entry::Episode(episode),
        Entry::Episode(open.clone()),
    ];
    store.remember(&entries, NOW).await.expect("remembered");
    store.close().await;

    let store = Store::open(&url(&folder)).await.expect("opens again");
    let applied = store.applied().await.expect("applied");
    assert_eq!(applied.components[&web], component);
    assert_eq!(applied.targets[&target], of_target);
    assert_eq!(applied.episodes[&web], open);
    let over = [Entry::EndEpisode(open, EndedBy::Recovery), Entry::ReleaseComponent(web), Entry::ReleaseTarget(target)];
    store.remember(&over, NOW).await.expect("remembered");
    assert_eq!(store.applied().await.expect("applied"), Default::default());
}

#[tokio::test]
async fn what_was_posted_without_an_answer_is_remembered_until_it_has_turned_up() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
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

#[tokio::test]
async fn a_write_without_an_answer_is_remembered_until_it_is_answered_in_the_order_in_which_they_were_sent() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let web = ComponentName::try_from("Web").expect("a name");
    let status = ComponentStatus::MajorOutage;
    let sent = [
        Written::Component { id: ComponentId(7), status, description: None },
        Written::Component { id: ComponentId(8), status, description: Some("critical: no\nTargetDown".to_owned()) },
        Written::Incident {
            id: IncidentId(3),
            status: IncidentStatus::Fixed,
            subject: EpisodeSubject::Component { name: web, id: ComponentId(7) },
        },
        Written::Incident {
            id: IncidentId(7),
            status: IncidentStatus::Investigating,
            subject: EpisodeSubject::Monitoring,
        },
        Written::Component { id: ComponentId(7), status, description: None },
    ];
    let mut sent: Vec<UnansweredWrite> = sent.map(|what| UnansweredWrite { what, sent_at: NOW }).into();
    store.remember(&sent.iter().cloned().map(Entry::Sent).collect::<Vec<_>>(), NOW).await.expect("remembered");
    store.close().await;

    let store = Store::open(&url(&folder)).await.expect("opens again");
    assert_eq!(store.applied().await.expect("applied").unanswered, sent);
    while !sent.is_empty() {
        // Of two that are alike, one is answered.
        let answered = sent.remove(0);
        store.remember(&[Entry::Answered(answered)], NOW).await.expect("remembered");
        assert_eq!(store.applied().await.expect("applied").unanswered, sent);
    }
}

#[tokio::test]
async fn what_got_no_answer_from_another_cachet_is_forgotten() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    store.keep_page_at("http://one/api").await.expect("kept");
    let what = Written::Component { id: ComponentId(7), status: ComponentStatus::MajorOutage, description: None };
    store.remember(&[Entry::Sent(UnansweredWrite { what, sent_at: NOW })], NOW).await.expect("remembered");
    store.keep_page_at("http://one/api").await.expect("kept");
    assert_eq!(store.applied().await.expect("applied").unanswered.len(), 1);
    store.keep_page_at("http://another/api").await.expect("kept");
    assert_eq!(store.applied().await.expect("applied").unanswered, []);
}

#[tokio::test]
async fn the_last_reading_of_cachet_is_kept_with_its_time() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    assert_eq!(store.observed().await.expect("read"), None);
    let observed = Observed::default();
    store.remember_observed(&observed, NOW).await.expect("remembered");
    let later = Timestamp::from_millis(NOW.as_millis() + 1);
    store.remember_observed(&observed, later).await.expect("remembered");
    assert_eq!(store.observed().await.expect("read"), Some((observed, later)));
}

#[tokio::test]
async fn a_second_server_is_refused_under_another_name_of_the_file_as_well() {
    let folder = folder();
    Store::open(&url(&folder)).await.expect("made").close().await;
    let (file, link) = (url(&folder).replace("sqlite://", ""), folder.path().join("link.db"));
    std::os::unix::fs::symlink(file, &link).expect("a link");
    let _first = Store::lock(&url(&folder)).expect("free");
    let refused = Store::lock(&format!("sqlite://{}", link.display())).expect_err("held");
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
}

#[tokio::test]
async fn a_second_server_is_refused_until_the_first_has_gone() {
    let folder = folder();
    let first = Store::lock(&url(&folder)).expect("free");
    let refused = Store::lock(&url(&folder)).expect_err("held");
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("another server is using the store"));
    drop(first);
    Store::lock(&url(&folder)).expect("free again");
}

#[tokio::test]
async fn a_read_only_store_reads_beside_a_running_server_and_writes_nothing() {
    let folder = folder();
    let missing = Store::open_read_only(&url(&folder)).await.expect_err("nothing there");
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    let store = Store::open(&url(&folder)).await.expect("opens");
    store.record(&[alert("a", "Web", NOW)], NOW).await.expect("recorded");
    let reader = Store::open_read_only(&url(&folder)).await.expect("opens beside it");
    assert_eq!(reader.unresolved_alerts().await.expect("alerts").len(), 1);
    assert!(reader.record(&[alert("b", "Web", NOW)], NOW).await.is_err());
    store.record(&[alert("c", "Web", NOW)], NOW).await.expect("recorded");
    assert_eq!(reader.unresolved_alerts().await.expect("alerts").len(), 2);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("a/b/store.db");
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    let damaged = b"this is no database, but somebody's only copy of something".repeat(100);
    std::fs::write(&path, &damaged).expect("written");
    let error = Store::open(&url(&folder)).await.expect_err("refused");
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("restore a backup, or move it away"), "{error}");
    assert_eq!(std::fs::read(&path).expect("still there"), damaged);
}

#[tokio::test]
async fn a_file_that_is_damaged_in_the_middle_is_refused_and_left_as_it_is() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    store.record(&[alert("a", "Web", NOW)], NOW).await.expect("recorded");
    let page_of_alerts =
        "SELECT (rootpage - 1) * page_size, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'alerts'";
    let (begins, size): (i64, i64) = sqlx::query_as(page_of_alerts).fetch_one(store.reader()).await.expect("a page");
    store.close().await;
    let file = folder.path().join("a/b/store.db");
    let mut bytes = std::fs::read(&file).expect("read");
    let (begins, size) = (usize::try_from(begins).expect("in the file"), usize::try_from(size).expect("a size"));
    bytes[begins..begins + size].fill(0xff);
    std::fs::write(&file, &bytes).expect("damaged");
    let error = Store::open(&url(&folder)).await.expect_err("damaged").to_string();
    assert!(error.contains("restore a backup, or move it away") && !error.contains('\n'), "{error}");
    assert_eq!(std::fs::read(&file).expect("read"), bytes);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'from the future', 1, x'00', 0)")
        .execute(store.writer())
        .await
        .expect("written");
    store.close().await;
    assert!(matches!(Store::open(&url(&folder)).await, Err(StoreError::Newer { .. })));
    assert!(matches!(Store::open_read_only(&url(&folder)).await, Err(StoreError::Newer { .. })));
}

#[tokio::test]
async fn a_copy_in_memory_has_the_schema_of_this_release_and_leaves_every_file_as_it_is() {
    let folder = folder();
    let empty = Store::open_copy_in_memory(&url(&folder)).await.expect("opens");
    assert_eq!(empty.observed().await.expect("read"), None);
    assert!(!folder.path().join("a").exists(), "nothing was made");

    let store = Store::open(&url(&folder)).await.expect("opens");
    store.remember_observed(&Observed::default(), NOW).await.expect("kept");
    // While a server has it open, what it wrote last is in another file.
    let copy = Store::open_copy_in_memory(&url(&folder)).await.expect("opens");
    assert_eq!(copy.observed().await.expect("read"), Some((Observed::default(), NOW)));

    for statement in ["DROP TABLE made", "DELETE FROM _sqlx_migrations WHERE version = 9"] {
        sqlx::query(statement).execute(store.writer()).await.expect("an earlier schema");
    }
    store.close().await;
    let before = files(&folder);
    let copy = Store::open_copy_in_memory(&url(&folder)).await.expect("an earlier release's is read");
    assert_eq!(copy.observed().await.expect("read"), Some((Observed::default(), NOW)));
    copy.mark_made("http://cachet/api", &mut Observed::default()).await.expect("the schema is up to date");
    assert_eq!(files(&folder), before);
}

/// Every file of a store, with its content.
fn files(folder: &TempDir) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder.path().join("a/b")).expect("a folder").map(|e| e.expect("a file").path());
    let mut files: Vec<_> = entries.map(|path| (path.clone(), std::fs::read(path).expect("read"))).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_copy_in_memory_leaves_every_file_of_a_killed_server_as_it_is() {
    let (running, killed) = (folder(), folder());
    let store = Store::open(&url(&running)).await.expect("opens");
    store.remember_observed(&Observed::default(), NOW).await.expect("kept");
    std::fs::create_dir_all(killed.path().join("a/b")).expect("a folder");
    for (path, content) in files(&running) {
        std::fs::write(killed.path().join("a/b").join(path.file_name().expect("a name")), content).expect("written");
    }
    let before = files(&killed);
    assert!(before.iter().any(|(path, _)| path.ends_with("store.db-shm")), "{before:?}");
    let copy = Store::open_copy_in_memory(&url(&killed)).await.expect("opens");
    assert_eq!(copy.observed().await.expect("read"), Some((Observed::default(), NOW)));
    assert!(files(&killed) == before, "a file was written");
}

#[tokio::test]
async fn only_sqlite_urls_are_taken() {
    for text in ["", "sqlite://", "postgres://localhost/x", "data/x.db", "sqlite://x.db?mode=memory"] {
        let error = Store::open(text).await.expect_err("refused");
        assert!(matches!(error, StoreError::Url { .. }), "{text}: {error}");
    }
    assert!(!Path::new("sqlite:").exists());
}

#[tokio::test]
async fn a_store_that_several_open_for_the_first_time_at_once_is_made_once() {
    for _ in 0..5 {
        let folder = folder();
        let openers: Vec<_> = (0..6)
            .map(|_| {
                let url = url(&folder);
                tokio::spawn(async move { Store::open(&url).await })
            })
            .collect();
        for opener in openers {
            opener.await.expect("ran").expect("opened");
        }
    }
}

#[tokio::test]
async fn one_setup_at_a_time_and_beside_a_server() {
    let folder = folder();
    let _server = Store::lock(&url(&folder)).expect("claimed");
    let first = Store::lock_for_setup(&url(&folder)).expect("beside a server");
    assert!(matches!(Store::lock_for_setup(&url(&folder)), Err(StoreError::SetupRunning { .. })));
    drop(first);
    Store::lock_for_setup(&url(&folder)).expect("when the first is done");
}

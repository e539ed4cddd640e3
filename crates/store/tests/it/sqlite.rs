//! What is particular to a file of SQLite: damage, earlier and later schemas, copies and locks.

use std::path::Path;
use std::time::Duration;

use alertmanager_cachet_core::alert::{AlertState, Effect};
use alertmanager_cachet_core::ledger::{
    ComponentValue, Delivery, IncidentValue, Outage, OutageSubject, Recorded, ResourceKey, Update, outage_key,
};
use alertmanager_cachet_core::observed::{ComponentId, IncidentId, Observed};
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::Target;
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;
use alertmanager_cachet_store::{Store, StoreError};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tempfile::TempDir;

use crate::{NOW, after, alert, component, resolved};

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}/a/b/store.db", folder.path().display())
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test]
async fn a_restored_backup_believes_the_page_and_what_was_heard_since() {
    let folder = folder();
    let file = folder.path().join("a/b/store.db");
    let store = Store::open(&url(&folder)).await.expect("opens");
    let (fires, over, again) = (alert("a", "Web", NOW), alert("b", "Web", NOW), alert("c", "Web", NOW));
    let told = [fires.clone(), over.clone(), resolved(&over), again.clone(), resolved(&again)];
    store.record(&told, NOW).await.expect("recorded");
    store.record_heartbeat(NOW).await.expect("kept");
    let (id, status) = (ComponentId(7), ComponentStatus::MajorOutage);
    let key = ResourceKey::Component(component("Web"));
    let written = Recorded::confirmed(id, ComponentValue::of_component(status));
    let outage = Outage {
        key: outage_key(Some(id), NOW),
        subject: OutageSubject::Component(component("Web")),
        component_id: Some(id),
        occurred_at: NOW,
        began_at: NOW,
        calm_since: None,
        ended: None,
        incident: Some(Recorded::confirmed(IncidentId(3), IncidentValue::Reopened)),
    };
    let updates = [Update::Component(key.clone(), Some(written.clone())), outage.into()];
    store.remember(&updates, &[]).await.expect("remembered");
    store.replace_observed(&Observed::default(), NOW).await.expect("remembered");
    store.look_at_the_clock(NOW).await.expect("kept");
    assert!(!store.forget_if_restored(after(1)).await.expect("it is the last one"));
    store.close().await;
    let backup = std::fs::read(&file).expect("a backup");

    let store = Store::open(&url(&folder)).await.expect("opens");
    store.look_at_the_clock(after(60)).await.expect("kept");
    store.close().await;
    std::fs::write(&file, backup).expect("restored");

    let store = Store::open(&url(&folder)).await.expect("opens");
    // A notification comes before the first look.
    store.record(&[resolved(&again)], after(100)).await.expect("recorded");
    assert!(store.forget_if_restored(after(90)).await.expect("it is an earlier one"));
    let ledger = store.ledger().await.expect("read");
    let in_doubt = Recorded { delivery: Delivery::InDoubt { since: Timestamp::from_millis(0) }, ..written };
    assert_eq!((ledger.rows.get(&key), ledger.outages.len()), (Some(&in_doubt), 0));
    assert_eq!(store.observed().await.expect("read"), None);
    assert_eq!(store.pulse().await.expect("read"), Pulse::default());
    let known = store.unresolved_alerts().await.expect("read");
    assert_eq!(
        known.iter().map(|record| (record.fingerprint, record.state)).collect::<Vec<_>>(),
        [(fires.fingerprint, AlertState::Firing)]
    );
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT target FROM alerts ORDER BY target").fetch_all(store.reader()).await.expect("read");
    assert_eq!(rows, ["a | Web", "c | Web"], "what was resolved before is forgotten");
    store.look_at_the_clock(after(120)).await.expect("kept");
    assert!(!store.forget_if_restored(after(120)).await.expect("it is the last one now"));
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
    sqlx::query("INSERT INTO ledger VALUES ('target', $1, 1, 1, '', NULL, '[]')")
        .bind(&short)
        .execute(store.writer())
        .await
        .expect("written");
    store.close().await;

    let reading = Store::open_read_only(&url(&folder)).await.expect("opens");
    let alerts = reading.unresolved_alerts().await.expect("what `explain` reads before the first start");
    assert_eq!(alerts.iter().map(|record| record.fingerprint).collect::<Vec<_>>(), [usable.fingerprint]);
    assert!(reading.ledger().await.expect("what was written").targets().next().is_none());
    reading.close().await;

    let began = std::time::Instant::now();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let alerts = store.unresolved_alerts().await.expect("alerts");
    assert_eq!(alerts.iter().map(|record| record.fingerprint).collect::<Vec<_>>(), [usable.fingerprint]);
    assert!(store.ledger().await.expect("what was written").targets().next().is_none());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Releases before the one that compares components as a set kept them in the order of the label.
#[tokio::test]
async fn what_was_written_of_a_target_is_known_whatever_the_order_of_its_components() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    sqlx::query("INSERT INTO ledger VALUES ('target', 'a | Web, Api', 7, 4, '', NULL, '[]')")
        .execute(store.writer())
        .await
        .expect("written");
    store.close().await;
    let store = Store::open(&url(&folder)).await.expect("opens");
    for name in ["a | Web, Api", "a | Api, Web"] {
        let name = Target::from_name(name).expect("a target").name();
        let ledger = store.ledger().await.expect("read");
        let row = ledger.rows.get(&ResourceKey::Target(name.clone())).cloned();
        assert_eq!(row.as_ref().and_then(|row| row.page_id), Some(ComponentId(7)), "{name}");
        store.remember(&[Update::Component(ResourceKey::Target(name), row)], &[]).await.expect("written");
        let rows: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM ledger").fetch_one(store.reader()).await.expect("read");
        assert_eq!(rows, 1);
    }
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
        let row = "INSERT INTO ledger VALUES ('target', $1, 1, 1, '', NULL, '[]')";
        sqlx::query(row).bind(target).execute(store.writer()).await.expect("written");
    }
    store.close().await;

    let reading = Store::open_read_only(&url(&folder)).await.expect("opens");
    assert!(reading.unresolved_alerts().await.expect("what `explain` reads before the first start").is_empty());
    assert!(reading.ledger().await.expect("what was written").targets().next().is_none());
    reading.close().await;

    let store = Store::open(&url(&folder)).await.expect("opens");
    let alerts = store.unresolved_alerts().await.expect("alerts");
    let names: Vec<String> = alerts.iter().map(|record| record.target.name().to_string()).collect();
    assert_eq!(names, ["a | Web", "b | Web, Datab\u{200b}ase"]);
    assert!(store.ledger().await.expect("what was written").targets().next().is_none());
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
    store.replace_observed(&Observed::default(), NOW).await.expect("kept");
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
    store.replace_observed(&Observed::default(), NOW).await.expect("kept");
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

#[tokio::test]
async fn what_was_written_to_components_moves_to_the_ledger_with_what_is_in_doubt() {
    let mut db = SqliteConnection::connect("sqlite::memory:").await.expect("a database");
    let step = migrate_before(&mut db, "0012_ledger.sql").await;
    let rows = "INSERT INTO applied VALUES
        ('component', 'Database', 7, 4, '', 'settled', 100), ('component', 'Search', 8, 1, '', 'pending', 200),
        ('target', 'a | Database', 0, 4, 'critical: no', 'pending', 300);
        INSERT INTO unanswered_writes VALUES
        (1, 'component', 7, 1, '', '', 0, 50), (2, 'incident', 7, 4, '', 'Database', 7, 60),
        (3, 'component', 7, 3, '', '', 0, 70), (4, 'component', 9, 3, '', '', 0, 80)";
    sqlx::raw_sql(rows).execute(&mut db).await.expect("inserted");
    sqlx::raw_sql(sqlx::AssertSqlSafe(step)).execute(&mut db).await.expect("migrated");

    let query = "SELECT json_array(name, page_id, status, description, in_doubt_since_ms, json(unanswered)) \
                 FROM ledger ORDER BY name";
    let ledger: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut db).await.expect("the ledger");
    let sent = r#"[{"status":1,"description":null,"sent_at_ms":50},{"status":3,"description":null,"sent_at_ms":70}]"#;
    assert_eq!(
        ledger,
        [
            format!(r#"["Database",7,4,null,null,{sent}]"#),
            r#"["Search",8,1,null,200,[]]"#.to_owned(),
            r#"["a | Database",null,4,"critical: no",300,[]]"#.to_owned(),
        ]
    );
    let left: Vec<i64> =
        sqlx::query_scalar("SELECT number FROM unanswered_writes").fetch_all(&mut db).await.expect("the rest");
    assert_eq!(left, [2], "those to incidents stay");
}

/// Takes an empty database through all steps before `step`, which is returned.
async fn migrate_before(db: &mut SqliteConnection, step: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut steps: Vec<_> =
        std::fs::read_dir(folder).expect("the steps").map(|step| step.expect("a step").path()).collect();
    steps.sort();
    let before = steps.iter().position(|path| path.ends_with(step)).expect("the step");
    for step in &steps[..before] {
        let sql = std::fs::read_to_string(step).expect("SQL");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *db).await.expect("migrated");
    }
    std::fs::read_to_string(&steps[before]).expect("SQL")
}

#[tokio::test]
async fn episodes_in_every_phase_become_outages_with_all_that_is_in_doubt() {
    let mut db = SqliteConnection::connect("sqlite::memory:").await.expect("a database");
    let step = migrate_before(&mut db, "0013_outages.sql").await;
    let rows = "INSERT INTO episodes (key, component, component_id, occurred_at_ms, began_at_ms, phase, incident_id,
            calm_since_ms, closed_at_ms, ended_at_ms, ended_by, lost_count, lost_missed_at_ms, lost_title) VALUES
        ('01-opening', 'Web', 1, 5, 6, 'opening', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL),
        ('02-absent', 'Web', 1, 5, 6, 'absent', NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL),
        ('03-lost', 'Web', 1, 5, 6, 'absent', NULL, NULL, NULL, NULL, NULL, 2, 30, 'Down'),
        ('04-open', 'Web', 1, 5, 6, 'open', 11, 7, NULL, NULL, NULL, 1, 30, NULL),
        ('05-closing', '', 0, 5, 6, 'closing', 12, NULL, NULL, NULL, NULL, 0, NULL, NULL),
        ('06-by-person', 'Web', 1, 5, 6, 'closed_by_person', 13, NULL, NULL, NULL, NULL, 0, NULL, NULL),
        ('07-closed', 'Web', 1, 5, 6, 'closed', 14, NULL, 40, NULL, 'person', 0, NULL, NULL),
        ('08-reopening', 'Web', 1, 5, 6, 'reopening', 15, NULL, NULL, NULL, NULL, 0, NULL, NULL),
        ('09-past', 'Web', 1, 5, 6, 'ended', 16, NULL, NULL, 50, 'recovery', 1, 30, NULL),
        ('10-reopened', 'Web', 1, 5, 6, 'ended', 17, NULL, NULL, 50, NULL, 0, NULL, NULL),
        ('11-over', 'Web', 1, 5, 6, 'ended', 18, NULL, NULL, 50, 'recovery', 0, NULL, NULL),
        ('00-of-another-cachet', 'Mail', 1, 5, 6, 'ended', 11, NULL, NULL, 50, 'recovery', 0, NULL, NULL),
        ('00-before', 'Web', 1, 5, 5, 'ended', 11, NULL, NULL, 50, 'recovery', 0, NULL, NULL);
        INSERT INTO unanswered_writes VALUES
        (1, 'incident', 11, 4, '', 'Web', 1, 60), (2, 'incident', 17, 1, '', 'Web', 1, 70),
        (3, 'incident', 11, 1, '', 'Web', 1, 80), (4, 'incident', 99, 4, '', 'Web', 1, 90),
        (5, 'incident', 13, 4, '', 'Web', 1, 95)";
    sqlx::raw_sql(rows).execute(&mut db).await.expect("inserted");
    sqlx::raw_sql(sqlx::AssertSqlSafe(step)).execute(&mut db).await.expect("migrated");

    let query = "SELECT concat_ws(' ', key, COALESCE(calm_since_ms, '-'), COALESCE(ended_at_ms, '-'), \
                 COALESCE(ended_by, '-'), COALESCE(incident_id, '-'), COALESCE(value, '-'), title, \
                 COALESCE(in_doubt_since_ms, '-'), (SELECT group_concat(COALESCE(json_extract(value, '$.value') || \
                 '@' || json_extract(value, '$.sent_at_ms'), ''), ',') FROM json_each(unanswered))) \
                 FROM outages ORDER BY key";
    let outages: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut db).await.expect("the outages");
    let began = "SELECT in_doubt_since_ms FROM outages WHERE key = '01-opening'";
    let began: i64 = sqlx::query_scalar(began).fetch_one(&mut db).await.expect("the time of the migration");
    assert!(began > 1_700_000_000_000, "what is being created may have been sent until a moment ago: {began}");
    assert_eq!(
        outages,
        [
            &format!("01-opening - - - - created  {began} created@{began}"),
            "02-absent - - - - created  0",
            "03-lost - - - - created Down 30 created@30,created@30",
            "04-open 7 - - 11 created  - created@30,fixed@60,reopened@80",
            "05-closing - - - 12 fixed  6",
            "06-by-person - - - 13 created  -",
            "07-closed - 40 person 14 fixed  -",
            "08-reopening - - - 15 reopened  6",
            "09-past - 0 recovery 16 fixed  - created@30",
            "10-reopened - 0 recovery 17 fixed  - reopened@70",
        ]
    );
}

#[tokio::test]
async fn the_last_reading_goes_into_rows_and_one_that_cannot_be_read_is_forgotten() {
    let good = r#"{"groups":[],"components":[{"id":3,"name":"Web"},{"id":4,"name":"Api"}],"open_incidents":[]}"#;
    for (snapshot, rows) in [(good, 2), ("no JSON", 0), (r#"{"components":null}"#, 0)] {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.expect("a database");
        let step = migrate_before(&mut db, "0014_observed_components.sql").await;
        let insert = sqlx::query("INSERT INTO observed (id, snapshot, taken_at_ms) VALUES (1, $1, 5)").bind(snapshot);
        insert.execute(&mut db).await.expect("inserted");
        sqlx::raw_sql(sqlx::AssertSqlSafe(step)).execute(&mut db).await.expect("migrated");
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM observed_components").fetch_one(&mut db).await;
        assert_eq!(count.map(|count: i64| count).expect("counted"), rows, "{snapshot}");
        let left: String = sqlx::query_scalar("SELECT snapshot FROM observed").fetch_one(&mut db).await.expect("a row");
        assert_eq!(left, r#"{"groups":[],"components":[],"open_incidents":[]}"#, "{snapshot}");
    }
}

#[tokio::test]
async fn when_an_alert_was_last_heard_of_is_stored_later_and_at_the_latest_when_the_store_is_closed() {
    let folder = folder();
    let store = Store::open(&url(&folder)).await.expect("opens");
    let fires = alert("a", "Web", NOW);
    for (seconds, effect) in [(0, Effect::Fired), (60, Effect::Repeated)] {
        let told = store.record(std::slice::from_ref(&fires), after(seconds)).await;
        assert_eq!(told.expect("recorded"), [effect]);
    }
    let stored = || async {
        let query = sqlx::query_scalar::<_, i64>("SELECT last_seen_ms FROM alerts");
        query.fetch_one(store.reader()).await.expect("a row")
    };
    assert_eq!(stored().await, NOW.as_millis(), "not worth a transaction");
    store.save_last_seen().await.expect("saved");
    assert_eq!(stored().await, after(60).as_millis());
    store.record(std::slice::from_ref(&fires), after(120)).await.expect("recorded");
    store.close().await;
    let store = Store::open(&url(&folder)).await.expect("opens again");
    assert_eq!(store.unresolved_alerts().await.expect("read")[0].last_seen_at, after(120));
}

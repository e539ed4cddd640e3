//! Stores as earlier releases left them (`tests/fixtures/stores`): this release opens each, sees all that is in it, and
//! goes on with it. How another one is kept when there is a release stands in tests/README.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alertmanager_cachet::clock;
use alertmanager_cachet::core::alert::AlertState;
use alertmanager_cachet::core::history::AlertEventKind;
use alertmanager_cachet::core::observed::{GroupId, NewGroup};
use alertmanager_cachet::core::target::ComponentName;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::Store;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::support::built_in::BuiltIn;
use crate::support::processes::{Process, program, run, written};
use crate::support::web::ADMIN;

const CONFIG: &str = r#"{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "refire_delay_seconds": 86400,
  "reopen_within_seconds": 0,
  "groups_configuration": [
    {"status_page_group": "Shop", "status_page_components": ["Database", "Website"]}
  ]
}"#;

const TARGETS: &str = r#"
scrape_configs:
  - static_configs:
      - targets: ["db:9100"]
        labels: {status_page_alert: "true", status_page_component: Database}
      - targets: ["web:9100"]
        labels: {status_page_alert: "true", status_page_component: Website}
"#;

/// When the alerts in the kept stores began to fire.
const STARTS_AT: &str = "2026-11-21T01:00:00Z";

/// A store that an earlier release left, copied into a folder from which the program can go on.
struct KeptStore {
    path: PathBuf,
    folder: TempDir,
    /// By how much its times were moved: the store is as old today as it was on the day on which it was made.
    moved_by: Duration,
}

/// Every store that was kept.
async fn kept_stores() -> Vec<KeptStore> {
    let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores");
    let files = fs::read_dir(stores).expect("the stores").map(|entry| entry.expect("an entry").path());
    let mut kept = Vec::new();
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "db")) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let copy = folder.path().join("data/alertmanager-cachet.db");
        fs::copy(&path, &copy).expect("copied");
        let moved_by = move_times_to_now(&copy).await;
        written(folder.path(), "config.json", CONFIG);
        written(folder.path(), "prometheus.yml", TARGETS);
        kept.push(KeptStore { path, folder, moved_by });
    }
    kept
}

/// Moves all times in the store by the same amount, so that the latest is a minute ago, and says by how much. Without
/// this, what the server makes of the store would depend on the day on which the test runs.
async fn move_times_to_now(store: &Path) -> Duration {
    let options = SqliteConnectOptions::new().filename(store);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the store opens");
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns \
         WHERE tables.type = 'table' AND columns.name LIKE '%\\_ms' ESCAPE '\\'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("its columns");
    assert!(columns.contains(&("alerts".to_owned(), "refired_at_ms".to_owned())), "{columns:?}");
    let latest = "SELECT max(last_seen_ms) FROM alerts";
    let latest: i64 = sqlx::query_scalar(latest).fetch_one(&mut connection).await.expect("its latest time");
    let moved_by = clock::now().before(Duration::from_secs(60)).since(Timestamp::from_millis(latest));
    for (table, column) in columns {
        let update = format!("UPDATE {table} SET {column} = {column} + $1");
        let moved_by_ms = i64::try_from(moved_by.as_millis()).expect("in range");
        let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(moved_by_ms);
        update.execute(&mut connection).await.expect("moved");
    }
    connection.close().await.expect("closed");
    moved_by
}

/// The rows of two tables that every release has, and the last schema step.
async fn contents(database: &Path) -> (Vec<i64>, i64) {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("it opens");
    let mut counts = Vec::new();
    for table in ["alerts", "cachet"] {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
        counts.push(count.fetch_one(&mut connection).await.expect("its rows"));
    }
    let schema = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut connection).await;
    connection.close().await.expect("closed");
    (counts, schema.expect("its schema"))
}

#[tokio::test]
async fn a_store_is_copied_before_its_schema_changes_and_one_that_is_up_to_date_is_not() {
    for KeptStore { folder, .. } in kept_stores().await {
        let database = folder.path().join("data/alertmanager-cachet.db");
        let url = format!("sqlite://{}", database.display());
        let before = contents(&database).await;
        let copy = database.with_extension(format!("db.schema-{}", before.1));
        // What a crash left in the middle of a copy.
        fs::write(database.with_extension(format!("db.schema-{}.unfinished", before.1)), "half").expect("written");
        drop(Store::open(&url).await.expect("opened"));
        assert_eq!(contents(&copy).await, before);
        assert!(contents(&database).await.1 > before.1);

        fs::remove_file(&copy).expect("removed");
        drop(Store::open(&url).await.expect("opened"));
        let copies = fs::read_dir(folder.path().join("data")).expect("the folder");
        let copies =
            copies.filter(|entry| entry.as_ref().expect("an entry").path().to_string_lossy().contains("schema-"));
        assert_eq!(copies.count(), 0);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_copied_keeps_its_schema_and_the_start_fails_with_the_cure() {
    for KeptStore { folder, .. } in kept_stores().await {
        let database = folder.path().join("data/alertmanager-cachet.db");
        let before = contents(&database).await;
        let occupied = database.with_extension(format!("db.schema-{}.unfinished", before.1));
        fs::create_dir(&occupied).expect("a folder in its place");
        let error = Store::open(&format!("sqlite://{}", database.display())).await.expect_err("no copy");
        assert!(error.to_string().contains("free space on its disk"), "{error}");
        assert_eq!(contents(&database).await, before);
    }
}

#[tokio::test]
async fn the_store_of_every_earlier_release_is_opened_with_all_that_is_in_it() {
    let stores = kept_stores().await;
    assert!(!stores.is_empty(), "the first release's is there");
    for KeptStore { path, folder, .. } in stores {
        let url = format!("sqlite://{}/data/alertmanager-cachet.db", folder.path().display());
        let store = Store::open(&url).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let alerts = store.unresolved_alerts().await.expect("its alerts");
        let states = alerts.iter().map(|record| (record.target.name().to_string(), record.name.as_str(), record.state));
        let states: Vec<_> = states.collect();
        let [(database, "TargetDown", AlertState::Firing), (website, "TargetDown", AlertState::Refired { .. })] =
            &states[..]
        else {
            panic!("{}: {states:?}", path.display());
        };
        assert_eq!((database.as_str(), website.as_str()), ("db:9100 | Database", "web:9100 | Website"));
        let ledger = store.ledger().await.expect("what was written");
        assert_eq!((ledger.components().count(), ledger.targets().count()), (2, 2), "{}", path.display());
        let open = ledger.outages.values().filter(|outage| {
            outage.is_active() && outage.incident.as_ref().is_some_and(|row| row.is_confirmed() && row.value.is_open())
        });
        assert_eq!(
            open.filter_map(|outage| outage.subject.component()).map(ToString::to_string).collect::<Vec<_>>(),
            ["Database"]
        );
        assert!(store.observed().await.expect("the last reading").is_some(), "{}", path.display());
        let content = store.page().content(Timestamp::from_millis(0), clock::now()).await.expect("the page");
        let page: Vec<_> = content.components.iter().map(|one| (one.name.as_str(), one.status.value())).collect();
        let targets = [("db:9100 | Database", 4), ("web:9100 | Website", 1)];
        assert_eq!(page, [&targets[..], &[("Database", 4), ("Website", 1)]].concat(), "{}", path.display());
        assert!(content.components.iter().all(|component| component.managed), "{content:?}");
        let [database, website] = &content.incidents[..] else { panic!("{:?}", content.incidents) };
        assert_eq!((database.title.as_str(), database.is_open()), ("Database is down", true));
        assert_eq!(database.opened_for.as_deref(), Some("Database"));
        assert_eq!((website.is_open(), website.updates[0].message.as_str()), (false, "It works again."));
        assert_eq!(website.fixed_at, Some(website.updates[0].at));
        let of_store = ledger.outages.values().map(|outage| outage.key.as_str());
        assert!(of_store.collect::<Vec<_>>().contains(&database.key.as_deref().expect("a key")), "{database:?}");
        let made = NewGroup { name: "new".to_owned(), order: 0 };
        assert_eq!(store.page().make_group(&made).await.expect("made"), GroupId(2), "numbers go on");
        let mut began = Vec::new();
        for component in ["Database", "Website"] {
            let name = ComponentName::try_from(component).expect("a name");
            let events = store.alert_history(&name, Timestamp::from_millis(0), 9).await.expect("its history");
            began.extend(events.into_iter().map(|event| (event.target, event.kind)));
        }
        let expected =
            alerts.iter().map(|record| record.target.clone()).zip([AlertEventKind::Fired, AlertEventKind::Refired]);
        assert_eq!(began, expected.collect::<Vec<_>>(), "its history begins with what is not over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_the_store_of_an_earlier_release_is_told_to_start_the_server_first() {
    for KeptStore { path, folder, .. } in kept_stores().await {
        let refused = run(program(folder.path()).args(["explain", "Database"]));
        assert_eq!(refused.code, Some(1), "{}: {}", path.display(), refused.stdout);
        let said = "is of an earlier release: start `serve` of this one";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_goes_on_with_the_store_of_every_earlier_release() {
    for KeptStore { folder, moved_by, .. } in kept_stores().await {
        let mut command = program(folder.path());
        command.args(["serve", "--web.listen-address=127.0.0.1:0"]).env("ENVIRONMENT", "local");
        let mut server = Process::start("server", &mut command, folder.path());
        let address = server.tells("listening on http://").await;
        let page = BuiltIn::of(folder.path()).await;
        let over = "Website is down: Fixed (It works again.)";
        page.comes_to_show(&["Database: Outage", "Website: Operational", over, "Database is down: Investigating"])
            .await;

        let starts_at = Timestamp::parse_rfc3339(STARTS_AT).expect("a time").after(moved_by);
        resolve(&address, starts_at, "db:9100", "Database").await;
        page.comes_to_show(&[
            "Database: Operational",
            "Website: Operational",
            over,
            "Database is down: Fixed (It works again.)",
        ])
        .await;
        let targets = ["db:9100 | Database", "web:9100 | Website"];
        let targets = targets.map(|target| format!("{target}: Operational (critical: no; no alerts)"));
        page.comes_to_know(&targets.each_ref().map(String::as_str)).await;
    }
}

/// Notifies the end of the alert that fires in the kept stores since `starts_at`.
async fn resolve(address: &str, starts_at: Timestamp, instance: &str, component: &str) {
    let alert: Value = json!({
        "status": "resolved",
        "startsAt": starts_at.to_string(),
        "fingerprint": "0000000000000001",
        "labels": {
            "alertname": "TargetDown",
            "instance": instance,
            "status_page_alert": "true",
            "status_page_component": component,
        },
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = client.post(format!("http://{address}/webhook")).header("Authorization", ADMIN);
    let answer = post.body(json!({"version": "4", "alerts": [alert]}).to_string()).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

//! `simulate --from-store`: what the page would have shown, from what the history in the store kept.

use std::fs;
use std::time::Duration;

use alertmanager_cachet::commands::simulate::play;
use alertmanager_cachet::core::names::{Group, GroupName};
use alertmanager_cachet::core::overrides::Override;
use alertmanager_cachet::core::repair::stale;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::target::ComponentName;
use fake_cachet::Release;
use serde_json::{Value, json};

use super::{files_in, with_watchdog};
use crate::support::installation::{Installation, LOCAL};
use crate::support::page::Page;
use crate::support::processes::{Process, eventually, run_with_input, written};
use crate::support::recordings::notifications;
use crate::support::web::ADMIN;
use crate::support::world::World;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What the recordings tell of.
const TARGETS: &str = r#"
scrape_configs:
  - static_configs:
      - targets: ["127.0.0.1:9201"]
        labels: {status_page_alert: "true", status_page_component: "Database, Backend", status_page_critical_target: "true"}
      - targets: ["127.0.0.1:9202"]
        labels: {status_page_alert: "true", status_page_component: Backend}
"#;

/// A server, its Cachet, and what it logs.
struct Site {
    installation: Installation,
    server: Process,
    _page: Page,
    address: String,
    client: reqwest::Client,
}

impl Site {
    async fn start(installation: Installation) -> Self {
        written(installation.folder.path(), "prometheus.yml", TARGETS);
        let page = Page::set_up(installation.folder.path()).await;
        let [url, token] = page.variables();
        let (server, address) = installation.serving(&[LOCAL, ("LOG_FORMAT", "json"), url, token]).await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { installation, server, _page: page, address, client }
    }

    async fn post(&self, body: String) {
        let post = self.client.post(format!("http://{}/webhook", self.address)).header("Authorization", ADMIN);
        assert!(post.body(body).send().await.expect("an answer").status().is_success());
    }

    /// Waits until the server has logged so many of these.
    async fn says(&self, event: &str, times: usize) {
        eventually(&format!("{times} times {event}"), async || {
            let said = self.server.stdout();
            if said.matches(&format!("\"{event}\"")).count() == times { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Two components go down and recover.
    async fn outage(&self) {
        self.post(notifications("09-prometheus-target-down-firing.json").remove(0)).await;
        self.says("INCIDENT_OPENED", 2).await;
        self.post(notifications("09c-prometheus-resolved.json").remove(0)).await;
        self.says("INCIDENT_CLOSED", 2).await;
    }

    /// What is replayed from its store, as JSON.
    fn replay(&self, arguments: &[&str]) -> Value {
        let arguments = [&["simulate", "--from-store", "--output=json"], arguments].concat();
        serde_json::from_str(&self.installation.prints(&arguments)).expect("JSON")
    }
}

/// The story without the times at which it was learned and what it was learned from: a log and the store date the same
/// notification a moment apart.
fn undated(mut story: Value) -> Value {
    for incident in story["incidents"].as_array_mut().expect("a list") {
        for time in ["opened_at", "closed_at"] {
            incident[time] = json!(incident[time].is_string());
        }
    }
    let changes: Vec<&Value> = story["moments"].as_array().expect("a list").iter().map(|it| &it["changes"]).collect();
    json!({"changes": changes, "before": story["page_before"], "incidents": story["incidents"],
           "page": story["page"], "missing": story["missing"]})
}

/// A configuration beside the usual one, with this changed.
fn configure(installation: &Installation, name: &str, change: impl FnOnce(&mut Value)) {
    let path = installation.folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
    change(&mut config);
    written(installation.folder.path(), name, &config.to_string());
}

#[tokio::test]
async fn a_running_servers_store_plays_as_its_log_does() {
    let mut site = Site::start(Installation::new()).await;
    site.outage().await;
    let from_store = site.replay(&[]);
    let log =
        run_with_input(&mut site.installation.command(&["simulate", "-", "--output=json"]), &site.server.stdout());
    let from_log = serde_json::from_str(&log.stdout).unwrap_or_else(|_| panic!("{}", log.stderr));
    assert_eq!(undated(from_store.clone()), undated(from_log));
    let incidents = from_store["incidents"].as_array().expect("a list");
    assert!(incidents.len() == 2 && incidents.iter().all(|it| it["closed_at"].is_string()), "{incidents:?}");
    let learned = from_store["moments"][0]["learned"][0].as_str().expect("a sentence");
    assert!(learned.ends_with(" fired"), "{learned}");

    assert_eq!(site.server.end().await.code(), Some(0));
    let store = site.installation.folder.path().join("data/alertmanager-cachet.db");
    let before = fs::read(&store).expect("the store");
    assert_eq!(undated(site.replay(&[])), undated(from_store), "no server is needed");
    assert_eq!(fs::read(&store).expect("the store"), before, "nothing is written");
}

#[tokio::test]
async fn another_configuration_tells_another_story_of_the_same_store() {
    let site = Site::start(Installation::new()).await;
    site.outage().await;
    configure(&site.installation, "patient.json", |config| config["recovery_hold_seconds"] = 3600.into());
    let patient = ["--config.file=patient.json"];
    let open =
        |story: &Value| story["incidents"].as_array().expect("a list").iter().all(|it| it["closed_at"].is_null());
    assert!(open(&site.replay(&patient)) && !open(&site.replay(&[])), "it is not waited out until now");
    configure(&site.installation, "small.json", |config| {
        config["groups_configuration"] = json!([{"status_page_group": "All", "status_page_components": ["Mail"]}]);
    });
    let small = site.replay(&["--config.file=small.json"]);
    assert_eq!(small["incidents"], json!([]));
    assert!(small["missing"].as_array().is_some_and(|missing| !missing.is_empty()), "{small}");
}

#[tokio::test]
async fn what_was_before_a_moment_is_only_where_the_story_begins() {
    let site = Site::start(Installation::new()).await;
    site.outage().await;
    let whole = site.replay(&[]);
    let closed_at = whole["incidents"][0]["closed_at"].as_str().expect("a time");
    let since = site.replay(&["--since", closed_at]);
    let (all, left) = (whole["moments"].as_array().expect("a list"), since["moments"].as_array().expect("a list"));
    assert_eq!(left[..], all[1..]);
    assert!(since["page_before"].to_string().contains("\"status\":4"), "{since}");
    assert_eq!(since["incidents"].as_array().map(Vec::len), Some(2));
    let until = site.replay(&["--until", closed_at]);
    assert_eq!(until["moments"].as_array().expect("a list")[..], all[..1]);
    assert!(until["incidents"].as_array().expect("a list").iter().all(|it| it["closed_at"].is_null()), "{until}");
    let early = site.installation.refuses(&["simulate", "--from-store", "--until=7d"]);
    assert!(early.contains("the history begins 20") && early.contains("give a later --until"), "{early}");
    let late = site.installation.refuses(&["simulate", "--from-store", "--since=2999-01-01T00:00:00Z"]);
    assert!(late.contains("nothing is known yet") && late.contains("give an earlier time"), "{late}");
    let text = site.installation.prints(&["simulate", "--from-store", "--since", closed_at]);
    assert!(text.contains("\nThe page at the beginning\n  \""), "{text}");
}

#[tokio::test]
async fn what_the_history_does_not_know_is_said_beside_the_story() {
    let installation = Installation::new();
    with_watchdog(&installation);
    let site = Site::start(installation).await;
    site.outage().await;
    let (fewer, _) = TARGETS.split_once("      - targets: [\"127.0.0.1:9202\"]").expect("it is there");
    written(site.installation.folder.path(), "fewer.yml", fewer);
    let played = site.installation.run(&["simulate", "--from-store", "--since=7d", "--targets.file=fewer.yml"]);
    assert_eq!(played.code, Some(0));
    for words in [
        "note: the history begins 20",
        "note: the history knows of no watchdog, so the absence of \"Watchdog\" is not played\n",
        "note: the targets file does not name \"127.0.0.1:9202 | Backend\": their alerts are played with the labels",
    ] {
        assert!(played.stderr.contains(words), "{words}: {}", played.stderr);
    }
}

#[tokio::test]
async fn without_a_targets_file_the_targets_are_those_that_the_server_found() {
    let site = Site::start(Installation::new()).await;
    site.outage().await;
    let with_file = site.replay(&[]);
    fs::remove_file(site.installation.folder.path().join("prometheus.yml")).expect("removed");
    assert_eq!(undated(site.replay(&[])), undated(with_file));
}

#[tokio::test]
async fn what_is_replayed_of_a_story_is_what_the_page_has_shown() {
    let specs = [("db:9100", "Database", false), ("mail:9100", "Mail", false), ("web:9100", "Website", false)];
    let mut world = World::set_up(Release::Current, &specs).await;
    world.watch();
    let mut shown = Vec::new();
    for step in 0..12 {
        match step {
            1 => drop(world.fire("db:9100", "Database").await),
            2 => set_override(&world, "Website").await,
            4 => world.pass(8 * MINUTE),
            6 => drop(
                world
                    .store
                    .repair_unresolved(|record| stale(record, world.now()), world.now())
                    .await
                    .expect("resolved"),
            ),
            8 => drop(world.store.end_override(&name("Website"), "ada", world.now()).await.expect("released")),
            _ => {}
        }
        if step != 4 {
            world.heartbeat().await;
        }
        world.wake().wake();
        world.settle().await;
        let statuses = [world.status("Database").await, world.status("Mail").await, world.status("Website").await];
        shown.push((world.now().after(SECOND), statuses));
        world.pass(MINUTE);
    }
    let mut statuses: Vec<[u8; 3]> = shown.iter().map(|(_, statuses)| *statuses).collect();
    statuses.dedup();
    // It fires; is held; the watchdog is missing; is heard; nothing was heard of the alert; it is released.
    assert_eq!(statuses, [[1, 1, 1], [4, 1, 1], [4, 1, 3], [4, 5, 3], [4, 1, 3], [1, 1, 3], [1, 1, 1]]);
    let kept = world.store.kept().await.expect("its history");
    let components = vec![name("Database"), name("Mail"), name("Website")];
    let groups = [Group { name: GroupName::try_from("All").expect("a name"), components }];
    let mut settings = world.settings.clone();
    settings.config.page.groups = groups.to_vec();
    let targets = settings.inventory.clone().expect("targets");
    let arrivals = kept.arrivals(settings.config.watchdog());
    for (at, statuses) in shown {
        let story = play(&settings, &targets, &arrivals, Some(at)).await.expect("it is played");
        assert_eq!(story.page.values().map(|status| status.value()).collect::<Vec<_>>(), statuses, "{at}");
    }
}

async fn set_override(world: &World, component: &str) {
    let until = world.now().after(60 * MINUTE);
    let override_ = Override::new(name(component), ComponentStatus::PartialOutage, until, ("ada", ""), world.now());
    world.store.set_override(&override_.expect("an override")).await.expect("held");
}

fn name(component: &str) -> ComponentName {
    ComponentName::try_from(component).expect("a name")
}

#[test]
fn a_store_without_a_history_is_refused_with_the_cure() {
    let installation = Installation::new();
    let none = installation.refuses(&["simulate", "--from-store"]);
    assert!(none.contains("there is no store at") && none.contains("start `serve` first"), "{none}");
    let data = installation.folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    assert_eq!(files_in(&data), 0, "a replay makes no store");
    let of_a_release = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stores/0.1.0.db");
    fs::copy(of_a_release, data.join("alertmanager-cachet.db")).expect("copied");
    let older = installation.refuses(&["simulate", "--from-store"]);
    assert!(older.contains("is of an earlier release: start `serve` of this one"), "{older}");
}

#[tokio::test]
async fn a_store_of_an_earlier_release_has_a_history_once_a_server_was_started_on_it() {
    let installation = Installation::new();
    let data = installation.folder.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let of_a_release = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/stores/0.1.0.db");
    fs::copy(of_a_release, data.join("alertmanager-cachet.db")).expect("copied");
    let site = Site::start(installation).await;
    let played = eventually("the server has looked", async || {
        let played = site.installation.run(&["simulate", "--from-store"]);
        if played.code == Some(0) { Ok(played) } else { Err(played.stderr) }
    })
    .await;
    let before = played.stdout.split_once("\nThe page at the beginning\n").expect("it was not green").1;
    assert!(before.contains("  \"Database\" 3 (Partial Outage)\n"), "{}", played.stdout);
}

#[test]
fn either_files_or_the_store_is_played_and_a_window_has_to_be_one() {
    let installation = Installation::new();
    for (arguments, words) in [
        (&["simulate"][..], "--from-store"),
        (&["simulate", "--from-store", "serve.log"], "cannot be used with"),
        (&["simulate", "--from-store", "--since=yesterday"], "how long ago, as in 7d"),
    ] {
        let ended = installation.run(arguments);
        assert!(ended.code == Some(2) && ended.stderr.contains(words), "{arguments:?}: {}", ended.stderr);
    }
    let refused = installation.refuses(&["simulate", "--from-store", "--since=1h", "--until=2h"]);
    assert!(refused.contains("nothing is between --since"), "{refused}");
}

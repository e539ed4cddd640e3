//! The whole way, with the real programs: Prometheus scrapes small targets, Alertmanager posts what fails, our server
//! writes to a Cachet, and that shows it.
//!
//! The Cachet is an imitation, of both releases.

mod monitoring;
mod shop;

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fake_cachet::Release;

use self::monitoring::{alertmanager, prometheus};
use self::shop::{CONFIG, Shop, targets_when_down};
use crate::support::page::Page;
use crate::support::processes::{Process, program, run, run_with_input, written};

/// Who posts.
const USER: &str = "alertmanager";
const PASSWORD: &str = "a password to look for";

/// The variables that a program of ours is given.
type Environment = Vec<(&'static str, String)>;

#[tokio::test(flavor = "multi_thread")]
async fn outages_of_real_targets_are_shown_by_cachet() {
    on(Release::Current).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_of_real_targets_are_shown_by_an_older_cachet() {
    on(Release::Older).await;
}

async fn on(release: Release) {
    let folder = tempfile::tempdir().expect("a folder");
    the_story(folder.path(), Page::of(release).await).await;
}

/// What fails and comes back, and what the page has to say of it.
async fn the_story(folder: &Path, mut page: Page) {
    let mut shop = Shop::start().await;
    shop.introduce_to(&mut page);
    written(folder, "config.json", CONFIG);
    written(folder, "prometheus.yml", &shop.scraped());
    let credentials = credentials(folder);
    let mut environment = vec![
        ("CACHET_API_URL", page.url.clone()),
        ("CACHET_API_TOKEN", page.token.clone()),
        ("WEBHOOK_BASIC_AUTH", credentials.clone()),
        ("LISTEN_ADDRESS", "127.0.0.1:0".to_owned()),
        // All that it can say, so that a secret would be found in it.
        ("LOG_LEVEL", "trace".to_owned()),
    ];
    set_up_twice(folder, &environment);
    page.comes_to_know(&targets_when_down(&[])).await;
    let (mut server, address) = serving(folder, &environment).await;
    let alertmanager = alertmanager(folder, &format!("http://{address}/webhook"), USER, PASSWORD).await;
    let _prometheus = prometheus(folder).await;
    page.comes_to_show(&["Database: Operational", "Website: Operational"]).await;

    targets_fail(&mut shop, &page).await;
    is_explained(folder, &environment, &page);
    they_come_back(&mut shop, &page).await;
    assert_eq!(server.end().await.code(), Some(0));
    has_logged(&server);
    keeps_secrets(&server, &[&page.token, &credentials, PASSWORD]);

    shop.web_1.stop().await;
    shop.web_2.stop().await;
    // The two, and what is nobody's business.
    alertmanager.comes_to_know(3).await;
    // The same store, and the address to which Alertmanager posts.
    environment.push(("LISTEN_ADDRESS", address));
    let (mut server, _) = serving(folder, &environment).await;
    page.comes_to_show(&[
        "Database: Operational",
        "Website: Major outage",
        "Database is down: Fixed (It works again.)",
        "Website is down: Investigating (Most of it works again. It happened again. We are investigating.)",
    ])
    .await;
    assert_eq!(server.end().await.code(), Some(0));
}

async fn targets_fail(shop: &mut Shop, page: &Page) {
    shop.db_1.stop().await;
    page.comes_to_show(&["Database: Partial outage", "Website: Operational"]).await;

    shop.db_critical.stop().await;
    page.comes_to_show(&["Database: Major outage", "Website: Operational", "Database is down: Investigating"]).await;
    page.comes_to_know(&targets_when_down(&["db-1", "db-critical"])).await;

    shop.web_1.stop().await;
    shop.web_2.stop().await;
    page.comes_to_show(&[
        "Database: Major outage",
        "Website: Major outage",
        "Database is down: Investigating",
        "Website is down: Investigating",
    ])
    .await;
}

async fn they_come_back(shop: &mut Shop, page: &Page) {
    shop.web_1.come_back().await;
    shop.db_1.come_back().await;
    page.comes_to_show(&[
        "Database: Major outage",
        "Website: Partial outage",
        "Database is down: Investigating",
        "Website is down: Fixed (Most of it works again.)",
    ])
    .await;
    page.comes_to_know(&targets_when_down(&["db-critical", "web-2"])).await;

    shop.db_critical.come_back().await;
    shop.web_2.come_back().await;
    page.comes_to_show(&[
        "Database: Operational",
        "Website: Operational",
        "Database is down: Fixed (It works again.)",
        "Website is down: Fixed (Most of it works again.)",
    ])
    .await;
    page.comes_to_know(&targets_when_down(&[])).await;
}

/// The line for `WEBHOOK_BASIC_AUTH`, made as an operator makes it.
fn credentials(folder: &Path) -> String {
    let hashed = run_with_input(program(folder).args(["hash-password", USER]), PASSWORD);
    assert_eq!((hashed.code, hashed.stderr.as_str()), (Some(0), ""));
    hashed.stdout.trim().to_owned()
}

/// While the database is in Major Outage.
fn is_explained(folder: &Path, environment: &Environment, page: &Page) {
    let explained = run(program(folder).args(["explain", "Database"]).envs(environment.clone()));
    let because = "because its critical target db-critical is down, since";
    assert!(page.named(&explained.stdout).contains(because), "{}{}", explained.stdout, explained.stderr);
}

/// Runs `setup` for a page that has nothing, and again.
fn set_up_twice(folder: &Path, environment: &Environment) {
    let setup = || run(program(folder).arg("setup").envs(environment.clone()));
    let first = setup();
    assert_eq!(first.code, Some(0), "{}{}", first.stdout, first.stderr);
    assert_ne!(first.stdout, "");
    let second = setup();
    assert_eq!(second.code, Some(0), "{}{}", second.stdout, second.stderr);
    assert!(second.stdout.starts_with("nothing to do"), "{}", second.stdout);
}

/// Starts `serve`; answers with its address as well.
async fn serving(folder: &Path, environment: &Environment) -> (Process, String) {
    let mut command = program(folder);
    let mut server = Process::start("server", command.arg("serve").envs(environment.clone()), folder);
    let address = server.tells("listening on http://").await;
    (server, address)
}

/// The lines that operators grep for.
fn has_logged(server: &Process) {
    let stdout = server.stdout();
    let changes = |component: &str| -> Vec<&str> {
        let start = format!("[COMPONENT_STATUS_CHANGE] component={component:?} ");
        stdout.lines().filter_map(|line| line.strip_prefix(&start)).collect()
    };
    let one_fails = "old_status=1 (Operational) new_status=3 (Partial Outage)";
    let the_others_too = "old_status=3 (Partial Outage) new_status=4 (Outage)";
    let one_is_back = "old_status=4 (Outage) new_status=3 (Partial Outage)";
    let all_are_back = "old_status=3 (Partial Outage) new_status=1 (Operational)";
    let from_red_to_green = "old_status=4 (Outage) new_status=1 (Operational)";
    assert_eq!(changes("Database"), [one_fails, the_others_too, from_red_to_green]);
    // Its two targets may be found down together or one after the other.
    assert_eq!(changes("Website").iter().rev().take(2).collect::<Vec<_>>(), [&all_are_back, &one_is_back]);
    let request = "[WEBHOOK_REQUEST] source_ip=127.0.0.1 headers=[";
    assert!(
        stdout.lines().any(|line| line.starts_with(request) && line.contains("Authorization: [redacted]")),
        "{stdout}"
    );
    for incident in ["[INCIDENT_OPENED]", "[INCIDENT_CLOSED]"] {
        assert_eq!(stdout.lines().filter(|line| line.starts_with(incident)).count(), 2, "{incident}");
    }
}

/// Nothing that lets anybody in stands in what the server wrote.
fn keeps_secrets(server: &Process, secrets: &[&str]) {
    let header = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let written = server.stdout() + &server.stderr();
    for secret in secrets.iter().chain([&header.as_str()]) {
        assert!(!written.contains(secret), "{secret:?} was written:\n{written}");
    }
}

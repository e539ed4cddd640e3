//! The command line as an operator meets it: the program itself, in a folder with the two example files.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use alertmanager_cachet::store::Store;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::installation::{Installation, LOCAL};
use crate::support::processes::{Process, run, run_with_input, written};
use crate::support::recordings::notifications;

#[test]
fn help_explains_every_command_and_flag_with_its_default() {
    let installation = Installation::new();
    insta::assert_snapshot!("help", installation.prints(&["--help"]));
    let commands = ["serve", "setup", "check", "explain", "simulate", "hash-password", "healthcheck", "demo"];
    for command in commands {
        let help = installation.prints(&[command, "--help"]);
        assert_eq!(help, installation.prints(&["help", command]));
        insta::assert_snapshot!(format!("help_{command}"), help);
    }
    assert_eq!(installation.prints(&["setup-components", "--help"]), installation.prints(&["setup", "--help"]));
}

#[test]
fn version_and_commit_are_printed() {
    let printed = Installation::new().prints(&["--version"]);
    let commit = printed
        .strip_prefix(concat!("alertmanager-cachet ", env!("CARGO_PKG_VERSION"), " (commit "))
        .and_then(|rest| rest.strip_suffix(")\n"));
    assert!(commit.is_some_and(|commit| !commit.is_empty()), "{printed}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_exit_code_2() {
    let installation = Installation::new();
    for arguments in [&["bogus"][..], &[], &["explain"], &["serve", "--web.listen-address=nowhere"]] {
        assert_eq!(installation.run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn check_finds_nothing_wrong_with_the_examples_and_says_what_is_in_them() {
    let installation = Installation::new();
    let ended = run(installation.command(&["check"]).envs([LOCAL]));
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    for found in ["3 groups with 5 components in config.json", "12 targets (1 critical) in prometheus.yml"] {
        assert!(ended.stdout.contains(found), "{}", ended.stdout);
    }
}

#[test]
fn a_problem_in_a_file_is_exit_code_1_of_check_and_keeps_setup_from_writing() {
    let installation = Installation::new();
    let path = installation.folder.path().join("prometheus.yml");
    let typo = fs::read_to_string(&path).expect("the targets file").replace("component: Mail", "component: Mial");
    written(installation.folder.path(), "prometheus.yml", &typo);
    let checked = run(installation.command(&["check"]).envs([LOCAL]));
    assert_eq!(checked.code, Some(1));
    assert!(checked.stdout.contains(r#"did you mean "Mail"?"#), "{}", checked.stdout);
    let refused = installation.refuses(&["setup"]);
    assert!(refused.contains("nothing was written"), "{refused}");
    assert!(!installation.folder.path().join("data").exists(), "not even a store was made");
}

#[tokio::test]
async fn the_line_that_hash_password_prints_lets_alertmanager_in_and_nobody_else() {
    let installation = Installation::new();
    let hashed = run_with_input(&mut installation.command(&["hash-password", "alertmanager"]), "s3cret\n");
    assert_eq!((hashed.code, hashed.stderr.as_str()), (Some(0), ""));
    let (_server, address) = installation.serving(&[("WEBHOOK_BASIC_AUTH", hashed.stdout.trim())]).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let body = notifications("09-prometheus-target-down-firing.json").remove(0);
    for (user, password, status) in [
        ("alertmanager", "s3cret", StatusCode::OK),
        ("alertmanager", "s3cret\n", StatusCode::UNAUTHORIZED),
        ("admin", "admin", StatusCode::UNAUTHORIZED),
    ] {
        let post = client.post(format!("http://{address}/webhook")).basic_auth(user, Some(password)).body(body.clone());
        assert_eq!(post.send().await.expect("an answer").status(), status, "{user}");
    }
}

#[tokio::test]
async fn healthcheck_knows_a_server_that_serves_from_one_that_is_gone() {
    let installation = Installation::new();
    let (mut server, address) = installation.serving(&[LOCAL]).await;
    let flag = format!("--web.listen-address={address}");
    assert_eq!(installation.prints(&["healthcheck", &flag]), "");
    assert_eq!(server.end().await.code(), Some(0));
    let gone = installation.refuses(&["healthcheck", &flag]);
    assert!(gone.contains("is `serve` running?"), "{gone}");
}

#[tokio::test]
async fn a_stop_that_is_asked_for_during_the_start_is_an_orderly_one() {
    let installation = Installation::new();
    let database = installation.folder.path().join("data/alertmanager-cachet.db");
    let store = Store::open(&format!("sqlite://{}", database.display())).await.expect("a store");
    // While somebody else writes, the start waits, for it has to set up the built-in page.
    let held = store.writer().begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
    let mut command = installation.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
    let mut server = Process::start("serve", command.envs([LOCAL]), installation.folder.path());
    server.tells("admin:admin").await;
    let (status, released) = tokio::join!(server.end(), held.rollback());
    released.expect("released");
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(server.stderr().contains("stopping"), "{}", server.stderr());
}

#[test]
fn serve_refuses_to_listen_to_just_anybody_and_names_the_cure() {
    let refused = Installation::new().refuses(&["serve"]);
    assert!(refused.contains("WEBHOOK_BASIC_AUTH: is missing, and without it anyone could post alerts"), "{refused}");
    assert!(refused.contains("alertmanager-cachet hash-password USER"), "{refused}");
}

#[test]
fn serve_refuses_without_its_configuration_and_names_the_example() {
    let installation = Installation::new();
    fs::remove_file(installation.folder.path().join("config.json")).expect("removed");
    let refused = run(installation.command(&["serve"]).envs([LOCAL]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("config.json: does not exist: copy config.json.example"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_second_server_on_the_same_store_is_refused_and_the_first_serves_on() {
    let installation = Installation::new();
    let (_server, address) = installation.serving(&[LOCAL]).await;
    let second = run(installation.command(&["serve", "--web.listen-address=127.0.0.1:0"]).envs([LOCAL]));
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another server is using the store"), "{}", second.stderr);
    installation.prints(&["healthcheck", &format!("--web.listen-address={address}")]);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let flag = format!("--web.listen-address={address}");
    let refused = run(Installation::new().command(&["serve", &flag]).envs([LOCAL]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains(&format!("cannot listen on {address}")), "{}", refused.stderr);
}

#[test]
fn a_folder_that_cannot_hold_the_store_is_named() {
    let installation = Installation::new();
    // A file stands where the folder should be: that stops even root.
    let url = "--storage.url=sqlite://config.json/alerts.db";
    let refused = run(installation.command(&["serve", url]).envs([LOCAL]));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains(r#"the folder "config.json" of the store cannot be made (File exists"#),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.ends_with("point --storage.url elsewhere\n"), "{}", refused.stderr);
}

#[test]
fn embedded_token_says_what_replaced_it() {
    let said = Installation::new().refuses(&["embedded-token"]);
    assert!(said.contains("has no API any more") && said.contains("/console/page"), "{said}");
}

#[tokio::test]
async fn explain_of_an_unknown_component_names_the_nearest() {
    let installation = Installation::new();
    let (_server, _) = installation.serving(&[LOCAL]).await;
    let unknown = installation.refuses(&["explain", "Databse"]);
    assert_eq!(unknown, "error: there is no component \"Databse\": did you mean \"Database\"?\n");
    let known = installation.prints(&["explain", "Database"]);
    assert!(known.starts_with("Database: 1 (Operational)\n  because all its 3 targets are up\n"), "{known}");
    let object = installation.prints(&["explain", "Database", "--output", "json"]);
    let object: Value = serde_json::from_str(&object).expect("JSON");
    assert_eq!((&object["component"], &object["status"]["value"]), (&"Database".into(), &1.into()));
}

const NOTHING_TO_DO: &str = "nothing to do: the page has everything that both files name\n";

#[test]
fn a_dry_run_of_setup_writes_nothing_and_setup_does_it_once() {
    let installation = Installation::new();
    let before = contents(&installation);
    let planned = installation.prints(&["setup", "--dry-run"]);
    assert_eq!(contents(&installation), before, "no store, no lock file");
    assert!(planned.contains("would create component \"Mail\" in group \"Communication\"\n"), "{planned}");
    assert!(planned.contains("would create target component \"192.168.1.20:9100 | Database, Backend\"\n"), "{planned}");
    assert_eq!(installation.prints(&["setup", "--dry-run"]), planned);
    assert_eq!(installation.prints(&["setup"]), "20 created, 0 changed, 0 removed\n");
    assert_eq!(installation.prints(&["setup"]), NOTHING_TO_DO);
    let before = contents(&installation);
    assert_eq!(installation.prints(&["setup", "--dry-run"]), NOTHING_TO_DO);
    assert_eq!(contents(&installation), before);
}

/// Every file below the folder, with its content.
fn contents(installation: &Installation) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut folders, mut found) = (vec![installation.folder.path().to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, Vec::new());
            } else {
                let content = fs::read(&path).expect("a file");
                found.insert(path, content);
            }
        }
    }
    found
}

#[test]
fn setup_prunes_only_when_somebody_said_yes() {
    let installation = Installation::new();
    installation.prints(&["setup"]);
    installation.forget("192.168.1.31:9100");
    let kept = "note: one target component has no target any more: --prune removes it\n";
    assert_eq!(installation.prints(&["setup"]), [kept, NOTHING_TO_DO].concat());
    let asked = installation.run(&["setup", "--prune"]);
    assert_eq!(asked.code, Some(1));
    assert!(asked.stdout.starts_with("remove component \"192.168.1.31:9100 | Backend\""), "{}", asked.stdout);
    assert!(asked.stderr.contains("run it again with --yes"), "{}", asked.stderr);
    assert_eq!(installation.prints(&["setup", "--prune", "--yes"]), "0 created, 0 changed, 1 removed\n");
    assert_eq!(installation.prints(&["setup", "--prune"]), NOTHING_TO_DO);
}

#[test]
fn setup_rebuilds_the_page_only_when_somebody_said_yes() {
    let installation = Installation::new();
    installation.prints(&["setup"]);
    let refused = installation.refuses(&["setup", "--reset"]);
    assert!(refused.contains("run it again with --yes"), "{refused}");
    assert_eq!(installation.prints(&["setup"]), NOTHING_TO_DO);
    assert_eq!(installation.prints(&["setup", "--reset", "--yes"]), "20 created, 0 changed, 20 removed\n");
    assert_eq!(installation.prints(&["setup"]), NOTHING_TO_DO);
}

#[test]
fn setup_takes_the_targets_from_another_file() {
    let installation = Installation::new();
    let targets = "prometheus_targets: {node: [{targets: [\"mail:25\"], labels: {status_page_alert: true, \
                   status_page_component: Mail}}]}\n";
    written(installation.folder.path(), "ansible.yml", targets);
    let planned = installation.prints(&["setup", "--dry-run", "--file", "ansible.yml"]);
    assert!(planned.contains("would create target component \"mail:25 | Mail\"\n"), "{planned}");
    assert!(!planned.contains("192.168.1.10"), "{planned}");
}

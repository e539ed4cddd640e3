//! `simulate`: what the page would have shown, from what a server leaves.
//!
//! `tests/fixtures/simulate/serve.log` is the log of a server as `podman logs --timestamps` gives it: the story of `demo`,
//! with an echo of an HA pair in it, a request that was refused, and a body that was cut.

mod from_store;
mod play;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::installation::{Installation, LOCAL};
use crate::support::processes::{eventually, run_with_input, written};
use crate::support::recordings::notifications;
use crate::support::web::ADMIN;

fn log() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/simulate/serve.log")
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("a folder").count()
}

/// `text` without the path of the fixture.
fn portable(text: &str) -> String {
    text.replace(&log().display().to_string(), "serve.log")
}

#[test]
fn a_log_is_told_as_the_page_would_have_shown_it_and_nothing_is_written() {
    let installation = Installation::new();
    let before = files_in(installation.folder.path());
    let log = log().display().to_string();
    insta::assert_snapshot!("simulate", portable(&installation.prints(&["simulate", &log])));
    let json = installation.prints(&["simulate", &log, "--output", "json"]);
    insta::assert_snapshot!("simulate_json", portable(&json));
    assert_eq!(files_in(installation.folder.path()), before);
}

#[test]
fn a_part_of_a_log_is_told_over_the_page_as_it_was_by_then() {
    let installation = Installation::new();
    let log = log().display().to_string();
    let window = ["--since=2026-11-21T04:02:27Z", "--until=2026-11-21T04:02:31Z"];
    let told = portable(&installation.prints(&[&["simulate", &log], &window[..]].concat()));
    let head = "2 notifications with 10 alerts of the page, from 2026-11-21T04:02:27Z to 2026-11-21T04:02:31Z\n\n\
                The page at the beginning\n  \"Backend\" 4 (Outage)\n  \"Database\" 4 (Outage)\n";
    assert!(told.starts_with(head), "{told}");
    assert_eq!(told.matches("serve.log:").count(), 2, "one of them is left out: {told}");
    let end = "\nThe page at the end\n  \"Backend\" 1 (Operational)\n  \"Database\" 3 (Partial Outage)\n";
    assert!(told.contains(end), "{told}");
}

#[test]
fn another_configuration_tells_another_story_of_the_same_log() {
    let installation = Installation::new();
    let path = installation.folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("JSON");
    config["refire_delay_seconds"] = 0.into();
    config["reopen_within_seconds"] = 0.into();
    written(installation.folder.path(), "impatient.json", &config.to_string());
    let log = log().display().to_string();
    let incidents = |arguments: &[&str]| {
        let json = installation.prints(&[&["simulate", &log, "--output=json"], arguments].concat());
        let story: Value = serde_json::from_str(&json).expect("JSON");
        story["incidents"].as_array().expect("a list").len()
    };
    // Without the refire delay, the echo counts, and each component that it concerns has a second incident.
    assert_eq!((incidents(&[]), incidents(&["--config.file=impatient.json"])), (2, 4));
}

/// A configuration with a watchdog, whatever else it has.
fn with_watchdog(installation: &Installation) {
    let path = installation.folder.path().join("config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a file")).expect("JSON");
    config["watchdog"] = json!({"alertname": "Watchdog", "timeout_seconds": 300});
    written(installation.folder.path(), "config.json", &config.to_string());
}

#[test]
fn a_watchdog_that_stayed_away_is_told_and_what_is_uncertain_of_it() {
    let installation = Installation::new();
    with_watchdog(&installation);
    // Its labels would make it an alert of the page, were it not the watchdog.
    let labels = json!({"alertname": "Watchdog", "instance": "prometheus:9090", "status_page_alert": "true",
                        "status_page_component": "Mail"});
    let beats = ["2026-11-21T02:00:00Z", "2026-11-21T02:01:00Z", "2026-11-21T02:31:00Z"].map(|received_at| {
        let alert = json!({"status": "firing", "labels": labels, "startsAt": "2026-11-20T01:00:00Z",
                           "fingerprint": "e029c70b1b64731f"});
        json!({"version": "4", "alerts": [alert], "received_at": received_at})
    });
    written(installation.folder.path(), "beats.json", &Value::from(beats.to_vec()).to_string());
    let played = installation.run(&["simulate", "beats.json"]);
    assert!(played.stdout.starts_with("3 notifications with 0 alerts of the page, "), "{}", played.stdout);
    let told = "\n2026-11-21T02:06:00Z  time passes\n  component \"Backend\" from 1 (Operational) to 5 (Unknown)\n";
    assert!(played.stdout.contains(told), "{}", played.stdout);
    let incident = "\nIncidents\n  1 \"Monitoring data is missing\"\n    began 2026-11-21T02:01:00Z, opened \
                    2026-11-21T02:06:00Z, closed 2026-11-21T02:31:00Z\n";
    assert!(played.stdout.contains(incident), "{}", played.stdout);
    for line in ["  incident 1, that monitoring data is missing, opens\n", "  \"Mail\" 1 (Operational)\n"] {
        assert!(played.stdout.contains(line), "{}", played.stdout);
    }
    assert!(played.stderr.contains("a server with ALERTMANAGER_URL hears it"), "{}", played.stderr);
}

#[test]
fn a_watchdog_that_no_notification_brings_is_not_missed() {
    let installation = Installation::new();
    let without = installation.prints(&["simulate", &log().display().to_string()]);
    with_watchdog(&installation);
    let played = installation.run(&["simulate", &log().display().to_string()]);
    assert_eq!(played.stdout, without);
    assert!(played.stderr.contains("\"Watchdog\" is in none of the notifications"), "{}", played.stderr);
}

#[test]
fn standard_input_is_read_and_what_holds_no_notification_is_refused() {
    let installation = Installation::new();
    let text = std::fs::read_to_string(log()).expect("the log");
    let piped = run_with_input(&mut installation.command(&["simulate", "-"]), &text);
    assert!(piped.stdout.starts_with("6 notifications with "), "{}{}", piped.stdout, piped.stderr);
    let empty = run_with_input(&mut installation.command(&["simulate", "-"]), "[INCIDENT_OPENED] component=\"X\"\n");
    assert_eq!(empty.code, Some(1));
    assert!(empty.stderr.contains("there is no notification to play: give the log of `serve`"), "{}", empty.stderr);
    let missing = installation.refuses(&["simulate", "no-such.log"]);
    assert!(missing.contains("\"no-such.log\" cannot be read: check its name"), "{missing}");
}

#[tokio::test]
async fn what_a_server_has_logged_and_done_is_what_its_log_plays() {
    for format in ["text", "json"] {
        let installation = Installation::new();
        let (server, address) = installation.serving(&[LOCAL, ("LOG_FORMAT", format)]).await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let body = notifications("09-prometheus-target-down-firing.json").remove(0);
        let post = client.post(format!("http://{address}/webhook")).header("Authorization", ADMIN).body(body);
        assert!(post.send().await.expect("an answer").status().is_success());
        let said = eventually("both components have their incident", async || {
            let said = server.stdout();
            if said.matches("INCIDENT_OPENED").count() == 2 { Ok(said) } else { Err(said) }
        })
        .await;
        let played = run_with_input(&mut installation.command(&["simulate", "-", "--output=json"]), &said);
        let story: Value = serde_json::from_str(&played.stdout).unwrap_or_else(|_| panic!("{}", played.stderr));
        assert_eq!((&story["notifications"], &story["left_out"]), (&1.into(), &Value::Array(Vec::new())), "{format}");
        let incidents = story["incidents"].as_array().expect("a list");
        assert_eq!(incidents.len(), 2, "{incidents:?}");
        for incident in incidents {
            for told in [&incident["name"], &incident["occurred_at"]] {
                assert!(said.contains(told.as_str().expect("a text")), "{format}: {told}\n{said}");
            }
        }
    }
}

//! What `docs/migration.md` promises, with the files that it shows: a page that the Python middleware made and kept, in
//! the middle of an outage, is taken over as it is.

use fake_cachet::Release;
use serde_json::{Value, json};

use super::page;
use crate::support::page::Page;
use crate::support::processes::{Process, program, run, written};

/// A Cachet, and what the middleware did to it. It knew no `meta`, so nothing here has any.
struct Cachet {
    page: Page,
    client: reqwest::Client,
}

impl Cachet {
    async fn start(release: Release) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { page: Page::of(release).await, client }
    }

    /// Makes something, and answers with its number.
    async fn make(&self, what: &str, body: Value) -> i64 {
        let request = self.client.post(format!("{}/{what}", self.page.url)).bearer_auth(&self.page.token).json(&body);
        let answer = request.send().await.expect("an answer").error_for_status().expect("made");
        let made: Value = answer.json().await.expect("JSON");
        made["data"]["attributes"]["id"].as_i64().expect("a number")
    }

    /// As `setup-components.py` made it, and as it was left by alerts that fire.
    async fn is_kept_by_the_middleware(&self) {
        let group = self.make("component-groups", json!({"name": "Database Services", "visible": 1})).await;
        let mut made = Vec::new();
        for (name, status) in [("Backend", 1), ("Database", 4), ("Mail", 1)] {
            let body = json!({"name": name, "status": status, "enabled": true, "component_group_id": group});
            made.push((name, self.make("components", body).await));
        }
        for (name, status, description) in [
            ("192.168.1.20:9100 | Database", 4, "critical: yes\nInstanceDown,DiskFull,"),
            ("192.168.1.21:9100 | Database", 1, "critical: no\nno alerts"),
            // Its label was written without a blank behind the comma.
            ("192.168.1.22:9100 | Database,Backend", 1, "critical: no\nno alerts"),
            // It is scraped no more.
            ("192.168.1.99:9100 | Database", 4, "critical: no\nInstanceDown,"),
        ] {
            let body = json!({"name": name, "status": status, "enabled": false, "description": description});
            self.make("components", body).await;
        }
        // One of an outage that goes on, and one that was never closed.
        for (name, id) in &made[1..] {
            let body = json!({"name": format!("System {name} is experiencing issues"), "message": "We are investigating.",
                "status": 1, "visible": 1, "component_id": id, "component_status": 4});
            self.make("incidents", body).await;
        }
        for (name, id) in made {
            // What an attached incident does to the component, the middleware undid when it had resolved.
            let status = if name == "Database" { 4 } else { 1 };
            let url = format!("{}/components/{id}", self.page.url);
            let request =
                self.client.put(url).bearer_auth(&self.page.token).json(&json!({"status": status, "enabled": true}));
            request.send().await.expect("an answer").error_for_status().expect("written");
        }
    }
}

/// The block of a kind in the page about it: there is one.
fn shown(kind: &str) -> String {
    let page = page("docs/migration.md");
    let of_kind: Vec<_> = page.blocks.iter().filter(|block| block.kind.as_deref() == Some(kind)).collect();
    let [block] = of_kind[..] else { panic!("one block of {kind}") };
    block.text.clone()
}

/// A notification that an alert has ended, with a fingerprint that nobody here has heard before.
fn resolved(alertname: &str, fingerprint: &str) -> Value {
    let labels = json!({"alertname": alertname, "instance": "192.168.1.20:9100", "job": "node", "status_page_alert": "true",
        "status_page_component": "Database", "status_page_critical_target": "true"});
    json!({"version": "4", "status": "resolved", "alerts": [{"status": "resolved", "labels": labels,
        "fingerprint": fingerprint, "startsAt": "2026-11-20T01:00:00Z", "endsAt": "2026-11-21T01:00:00Z"}]})
}

async fn post(address: &str, notification: &Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request =
        client.post(format!("http://{address}/webhook")).basic_auth("admin", Some("admin")).json(notification);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

/// The outage goes on as it was. The incident that the middleware opened goes on as
/// ours where Cachet tells which component it is about. A Cachet of 2026 does not, and there it is nobody's.
fn during_the_outage(release: Release) -> &'static [&'static str] {
    match release {
        Release::Older => &[
            "Backend: Operational",
            "Database: Major outage",
            "Mail: Operational",
            "System Database is experiencing issues: Investigating",
            "System Mail is experiencing issues: Fixed (The outage has been resolved.)",
        ],
        Release::Current => &[
            "Backend: Operational",
            "Database: Major outage",
            "Mail: Operational",
            "System Database is experiencing issues: Investigating",
            "System Mail is experiencing issues: Investigating",
            "System Database is experiencing issues: Investigating",
        ],
    }
}

fn after_the_outage(release: Release) -> &'static [&'static str] {
    match release {
        Release::Older => &[
            "Backend: Operational",
            "Database: Operational",
            "Mail: Operational",
            "System Database is experiencing issues: Fixed (The outage has been resolved.)",
            "System Mail is experiencing issues: Fixed (The outage has been resolved.)",
        ],
        Release::Current => &[
            "Backend: Operational",
            "Database: Operational",
            "Mail: Operational",
            "System Database is experiencing issues: Investigating",
            "System Mail is experiencing issues: Investigating",
            "System Database is experiencing issues: Fixed (The outage has been resolved.)",
        ],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_middleware_is_taken_over_in_the_middle_of_an_outage() {
    for release in Release::BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let cachet = Cachet::start(release).await;
        cachet.is_kept_by_the_middleware().await;
        written(folder.path(), "config.json", &shown("json config"));
        written(folder.path(), "prometheus.yml", &shown("yaml targets"));
        let ours = |arguments: &[&str]| {
            let mut command = program(folder.path());
            command.args(arguments).env("ENVIRONMENT", "local").env("CACHET_API_URL", &cachet.page.url);
            command.env("CACHET_API_TOKEN", &cachet.page.token);
            command
        };
        let checked = run(&mut ours(&["check"]));
        assert_eq!(checked.code, Some(0), "{}", checked.stdout);

        // Nothing is lacking but what was spelt in another way.
        let planned = run(&mut ours(&["setup", "--dry-run"]));
        assert!(planned.stdout.contains("would create target component \"192.168.1.22:9100 | Database, Backend\"\n"));
        assert!(planned.stdout.ends_with("1 created, 0 changed, 0 removed\n"), "{release:?}: {}", planned.stdout);
        let set_up = run(&mut ours(&["setup"]));
        assert!(set_up.stdout.ends_with("1 created, 0 changed, 0 removed\n"), "{}{}", set_up.stdout, set_up.stderr);

        let mut server =
            Process::start("server", &mut ours(&["serve", "--web.listen-address=127.0.0.1:0"]), folder.path());
        let address = server.tells("listening on http://").await;
        server.tells("adopted alerts and incidents from the page").await;
        cachet.page.comes_to_show(during_the_outage(release)).await;
        // It ends when both alerts that the description names have ended.
        post(&address, &resolved("DiskFull", "00000000000000a1")).await;
        post(&address, &resolved("InstanceDown", "00000000000000a2")).await;
        cachet.page.comes_to_show(after_the_outage(release)).await;
        // What nobody sees is written last.
        cachet.page.comes_to_know_of("192.168.1.20:9100 | Database: Operational (critical: yes; no alerts)").await;
        assert_eq!(server.end().await.code(), Some(0));

        // This program did not make what no file names any more, so it is named and stays.
        let pruned = run(&mut ours(&["setup", "--prune", "--yes"]));
        assert!(pruned.stdout.contains("setup did not make it"), "{release:?}: {}", pruned.stdout);
        assert!(
            pruned.stdout.ends_with("nothing to do: the page has everything that both files name\n"),
            "{release:?}"
        );
    }
}

//! What `setup` and `serve` report for a token that lacks abilities, with the real program.

use std::sync::Arc;

use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::core::observed::{IncidentId, Observed};
use alertmanager_cachet::core::status_page::StatusPage;
use fake_cachet::{FakeCachet, Faults, Options, Release, Server, serve};
use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::processes::{Ended, Process, eventually, run};
use crate::support::recordings::generated;
use crate::support::world::is_write;

/// The title of the incident that abilities are checked with.
const TITLE: &str = "Check of the token by alertmanager-cachet";

const ABILITIES: [&str; 4] =
    ["components.manage", "component-groups.manage", "incidents.manage", "incident-updates.manage"];

/// A Cachet over HTTP behind an injector of faults, and the program configured for it.
struct Site {
    installation: Arc<Installation>,
    faults: Faults,
    /// A client of the page that bypasses the faults.
    page: Cachet,
    page_url: String,
    token: String,
    environment: Vec<(&'static str, String)>,
    _servers: [Server; 2],
}

impl Site {
    async fn new(release: Release) -> Self {
        let installation = Installation::new();
        let fake = FakeCachet::open(Options::of(release)).await.expect("a database");
        let faults = Faults::new();
        let (url, behind_faults) = serve(faults.around(fake.router())).await;
        let (page_url, undisturbed) = serve(fake.router()).await;
        let token = fake.token();
        let authorization = format!("Bearer {token}").parse().expect("a header");
        let environment = vec![
            ("ENVIRONMENT", "local".to_owned()),
            ("CACHET_API_URL", format!("{url}/api")),
            ("CACHET_API_TOKEN", token.to_owned()),
        ];
        Self {
            installation: Arc::new(installation),
            faults,
            page: Cachet::over_http(&format!("{page_url}/api"), authorization, || 50).expect("a client"),
            page_url,
            token: token.to_owned(),
            environment,
            _servers: [behind_faults, undisturbed],
        }
    }

    async fn set_up(release: Release) -> Self {
        let site = Self::new(release).await;
        site.sets_up().await;
        site.faults.forget_calls();
        site
    }

    async fn run(&self, arguments: &'static [&'static str]) -> Ended {
        let (installation, environment) = (Arc::clone(&self.installation), self.environment.clone());
        let running = move || run(installation.command(arguments).envs(environment));
        tokio::task::spawn_blocking(running).await.expect("it runs")
    }

    /// Runs `setup`, which goes well.
    async fn sets_up(&self) {
        let ended = self.run(&["setup"]).await;
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    }

    async fn serving(&self) -> (Process, String) {
        let variables: Vec<_> = self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.installation.serving(&variables).await
    }

    /// The writes that arrived, without the check of the token (`PUT /components/0`).
    fn writes(&self) -> Vec<String> {
        self.faults.calls().into_iter().filter(|call| is_write(call)).collect()
    }

    async fn shown(&self) -> Observed {
        self.page.observe(&[]).await.expect("the page")
    }

    /// Refuses every change of an existing component with 403.
    async fn forbid_components(&self) {
        for component in self.shown().await.components {
            self.faults.on("PUT", &format!("/api/components/{}", component.id.0)).answer(403);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_names_every_missing_ability_at_once_and_writes_nothing() {
    for release in Release::BOTH {
        let site = Site::set_up(release).await;
        let before = site.shown().await;
        site.forbid_components().await;
        site.faults.on("PUT", "/api/component-groups/*").answer(403);
        site.faults.on("POST", "/api/incidents/*/updates").answer(403);
        let refused = site.run(&["setup"]).await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        let said = "the token lacks the abilities component-groups.manage, components.manage, incident-updates.manage";
        assert!(refused.stderr.contains(said), "{release:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("nothing was made or removed"), "{}", refused.stderr);
        assert_eq!(site.shown().await, before, "{release:?}");

        site.faults.heal();
        site.faults.on("POST", "/api/incidents").answer(403);
        let refused = site.run(&["setup"]).await.stderr;
        let said = "the token lacks the ability incidents.manage (HTTP 403), and it is not known whether it has \
                    incident-updates.manage";
        assert!(refused.contains(said), "{release:?}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checking_abilities_changes_nothing_that_is_shown() {
    for release in Release::BOTH {
        let site = Site::set_up(release).await;
        let before = site.shown().await;
        site.sets_up().await;
        let tried = site.writes();
        assert_eq!(tried.iter().filter(|call| call.starts_with("PUT /api/component")).count(), 2, "{tried:?}");
        assert_eq!(site.shown().await, before, "{release:?}");
        assert_eq!(site.page.incident(IncidentId(1)).await, Ok(None), "{release:?}");
        assert_eq!(site.page.incident(IncidentId(2)).await, Ok(None), "{release:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_may_not_remove_has_written_nothing() {
    for release in Release::BOTH {
        let site = Site::set_up(release).await;
        site.installation.forget("192.168.1.13:9100");
        let refused = site.run(&["setup", "--prune"]).await;
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(refused.stderr.contains("nobody can be asked"), "{}", refused.stderr);
        assert_eq!(site.writes(), [] as [&str; 0], "{release:?}");
        let dry = site.run(&["setup", "--prune", "--dry-run"]).await;
        assert_eq!((dry.code, site.writes()), (Some(0), Vec::new()), "{release:?}: {}", dry.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_that_the_token_may_not_delete_is_used_again_until_it_may() {
    for release in Release::BOTH {
        let site = Site::new(release).await;
        site.faults.on("DELETE", "/api/incidents/1").answer(403);
        for _ in 0..3 {
            site.sets_up().await;
        }
        assert_eq!(site.faults.count("POST", "/api/incidents"), 1, "{release:?}");
        assert_eq!(site.shown().await.open_incidents, [], "{release:?}");
        site.faults.heal();
        site.sets_up().await;
        assert_eq!(site.page.incident(IncidentId(1)).await, Ok(None), "{release:?}");
        site.faults.forget_calls();
        site.sets_up().await;
        assert_eq!(site.faults.count("GET", "/api/incidents/1"), 0, "{release:?}: it is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_in_the_middle_makes_no_second_incident() {
    for release in Release::BOTH {
        let site = Site::set_up(release).await;
        site.faults.on("POST", "/api/incidents/*/updates").times(1).answer(429);
        site.sets_up().await;
        assert_eq!(site.faults.count("POST", "/api/incidents"), 1, "{release:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_a_person_with_that_title_is_not_ours() {
    for release in Release::BOTH {
        let site = Site::new(release).await;
        let theirs = json!({"name": TITLE, "message": "By hand.", "status": 1, "visible": true});
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let post = client.post(format!("{}/api/incidents", site.page_url)).bearer_auth(&site.token).json(&theirs);
        assert!(post.send().await.expect("an answer").status().is_success());
        site.sets_up().await;
        let open: Vec<IncidentId> = site.shown().await.open_incidents.iter().map(|incident| incident.id).collect();
        assert_eq!(open, [IncidentId(1)], "{release:?}");
        let touched = site.writes().into_iter().filter(|call| call.contains("/api/incidents/1")).collect::<Vec<_>>();
        assert_eq!(touched, [] as [&str; 0], "{release:?}");
    }
}

/// The number alone does not suffice: there may be another Cachet at the same address by now.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_with_the_known_number_but_another_title_is_not_ours() {
    let site = Site::new(Release::Older).await;
    site.faults.on("DELETE", "/api/incidents/1").answer(403);
    site.sets_up().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let put = client.put(format!("{}/api/incidents/1", site.page_url)).bearer_auth(&site.token);
    let theirs = json!({"name": "Work on the network", "status": 1, "visible": true});
    assert!(put.json(&theirs).send().await.expect("an answer").status().is_success());
    site.faults.forget_calls();
    site.sets_up().await;
    let touched = site.writes().into_iter().filter(|call| call.contains("/api/incidents/1")).collect::<Vec<_>>();
    assert_eq!(touched, [] as [&str; 0]);
}

/// The status of `/-/ready`, and its part for Cachet.
async fn ready(address: &str) -> (Value, Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("http://{address}/-/ready")).send().await.expect("an answer");
    let mut said: Value = answer.json().await.expect("JSON");
    (said["status"].take(), said["parts"]["cachet"].take())
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_the_missing_ability_and_shows_untried_ones_as_unknown() {
    for release in Release::BOTH {
        let site = Site::set_up(release).await;
        site.faults.on("POST", "/api/incidents").answer(403);
        let (_server, address) = site.serving().await;
        let at_first = json!({
            "good": true,
            "abilities": {
                "components.manage": "unknown", "incident-updates.manage": "unknown", "incidents.manage": "unknown",
            },
        });
        eventually("Cachet is read", async || {
            let said = ready(&address).await;
            if said == (json!("ready"), at_first.clone()) { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;

        let outage = generated(1).replace("node-0000.example.internal:9100", "192.168.1.20:9100");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let post = client.post(format!("http://{address}/webhook")).basic_auth("admin", Some("admin")).body(outage);
        assert_eq!(post.send().await.expect("an answer").status(), 200);
        let known = json!({
            "components.manage": "works", "incident-updates.manage": "unknown", "incidents.manage": "missing",
        });
        eventually("the missing ability is named", async || {
            let (status, cachet) = ready(&address).await;
            let problem = cachet["problem"].as_str().unwrap_or_default();
            let is_named = problem.contains("the token lacks the ability incidents.manage (HTTP 403)");
            let is_so = status == "degraded" && cachet["good"] == false && is_named && cachet["abilities"] == known;
            if is_so { Ok(()) } else { Err(format!("{release:?}: {status} {cachet}")) }
        })
        .await;

        site.faults.heal();
        eventually("the token has it after all", async || {
            let (status, cachet) = ready(&address).await;
            let works = cachet["abilities"]["incidents.manage"] == "works";
            if status == "ready" && works { Ok(()) } else { Err(format!("{release:?}: {status} {cachet}")) }
        })
        .await;
    }
}

#[test]
fn every_ability_is_named_where_a_token_is_asked_for() {
    let read =
        |name| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("read");
    for name in ["README.md", ".env.example", "docs/configuration.md"] {
        let text = read(name);
        for ability in ABILITIES.into_iter().chain(["components.delete", "component-groups.delete"]) {
            assert!(text.contains(ability), "{name}: {ability}");
        }
    }
}

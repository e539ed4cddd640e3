//! The console of the real program.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::processes::{Process, eventually, program, written};
use crate::support::web::ADMIN;

const CONFIG: &str = r#"{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "groups_configuration": [{"status_page_group": "Shop", "status_page_components": ["Database"]}]
}"#;

const TARGETS: &str = r#"
scrape_configs:
  - static_configs:
      - targets: ["db:9100"]
        labels: {status_page_alert: "true", status_page_component: Database}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_override_made_in_the_console_is_on_the_page_and_an_open_console_does_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), "config.json", CONFIG);
    written(folder.path(), "prometheus.yml", TARGETS);
    let mut command = program(folder.path());
    command.args(["serve", "--web.listen-address=127.0.0.1:0"]).env("ENVIRONMENT", "local");
    let mut server = Process::start("server", &mut command, folder.path());
    let address = server.tells("listening on http://").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = |path: &str| client.get(format!("http://{address}{path}")).header("Authorization", ADMIN).send();
    assert_eq!(client.get(format!("http://{address}/console")).send().await.expect("an answer").status(), 401);

    let asked = get("/console/components/Database/override?status=3&for=3600").await.expect("an answer");
    let page = asked.text().await.expect("a page");
    let field = |name: &str| {
        let after = page.split_once(&format!("name=\"{name}\" value=\"")).expect("a field").1;
        after.split_once('"').expect("an end").0.to_owned()
    };
    let form = format!("token={}&status=3&until={}", field("token"), field("until"));
    let post = client.post(format!("http://{address}/console/components/Database/override"));
    let held = post.header("Authorization", ADMIN).body(form).send().await.expect("an answer");
    assert_eq!(held.status(), StatusCode::OK, "behind the redirect");
    eventually("the page says so", async || {
        let page = get("/").await.expect("an answer").text().await.expect("a page");
        let said = page.contains("Partial outage") && page.contains("Set by our staff until");
        if said { Ok(()) } else { Err(page) }
    })
    .await;
    // The console says what the reconciler saw when it last went, which is over a moment after the page has it.
    eventually("the console says so", async || {
        let explained = get("/console/api/v1/components/Database").await.expect("an answer");
        let explained: Value = explained.json().await.expect("JSON");
        let says = (&explained["override"]["user"], &explained["shown"]["status"]["value"]);
        if says == (&json!("admin"), &json!(3)) { Ok(()) } else { Err(explained.to_string()) }
    })
    .await;
    assert!(server.stdout().contains("[HOLD] component=\"Database\" status=3 (Partial Outage)"), "{}", server.stdout());

    let page = get("/console/api/v1/page").await.expect("an answer");
    assert_eq!(page.status(), StatusCode::OK, "no Cachet is driven");

    let mut events = get("/console/events").await.expect("an answer");
    events.chunk().await.expect("an event").expect("a chunk");
    let began = Instant::now();
    assert!(server.end().await.success());
    assert!(began.elapsed() < Duration::from_secs(8), "it waited for who watches: {:?}", began.elapsed());
}

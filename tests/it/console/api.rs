//! The read API against the document that describes it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use alertmanager_cachet::alertmanager::members;
use alertmanager_cachet::console::API_PATHS;
use alertmanager_cachet::repair::Repairer;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use fake_cachet::Release;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{HOUR, Site};
use crate::support::alertmanager::access;
use crate::support::world::{World, in_force, repairing};

pub fn document() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.yaml");
    serde_yaml::from_str(&std::fs::read_to_string(path).expect("the document")).expect("YAML")
}

/// What is wrong with a value by a schema of the document.
fn faults(document: &Value, schema: &str, value: &Value) -> Vec<String> {
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{schema}"),
        "components": document["components"],
    });
    let validator = jsonschema::options().should_validate_formats(true).build(&root).expect("a schema");
    validator.iter_errors(value).map(|error| format!("{schema}{}: {error}", error.instance_path())).collect()
}

/// Asks for a path, and holds the answer to the schema that the document names for it.
pub async fn ask(site: &Site, document: &Value, path: &str, template: &str, status: u16) -> Value {
    let answer = site.get(path).await;
    assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
    let described = &document["paths"][template]["get"]["responses"][status.to_string()];
    let described = match described["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a response"),
        None => described,
    };
    let schema = described["content"]["application/json"]["schema"]["$ref"].as_str().expect("a schema");
    let schema = schema.trim_start_matches("#/components/schemas/");
    let value = answer.json();
    assert_eq!(faults(document, schema, &value), Vec::<String>::new(), "{path}: {value:#}");
    value
}

/// Asks for every path, and returns what each said.
async fn ask_all(site: &Site, document: &Value) -> Vec<Value> {
    let [components, component, changes, ignored, held, alertmanager, monitoring, page, _] = API_PATHS;
    let database = component.replace("{component}", "Database");
    let mut answers = Vec::new();
    for (path, template) in [
        (components, components),
        (database.as_str(), component),
        (changes, changes),
        (ignored, ignored),
        (held, held),
        (alertmanager, alertmanager),
        (monitoring, monitoring),
        (page, page),
    ] {
        answers.push(ask(site, document, path, template, 200).await);
    }
    answers
}

#[tokio::test]
async fn every_path_is_documented_and_every_documented_path_is_there() {
    let documented = document()["paths"].as_object().expect("paths").keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(documented, API_PATHS.map(str::to_owned).into());
    let site = Site::start().await;
    for path in API_PATHS {
        let answer = site.get(&path.replace("{component}", "Database")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    let served = site.get("/console/api/v1/openapi.yaml").await;
    assert_eq!(serde_yaml::from_str::<Value>(&served.body).expect("YAML"), document());
}

#[tokio::test]
async fn every_answer_is_as_documented_on_a_quiet_page_and_in_the_middle_of_everything() {
    let document = document();
    let mut world = World::set_up(Release::Current, super::TARGETS).await;
    world.watch();
    world.heartbeat().await;
    let mut site = Site::with(world).await;
    ask_all(&site, &document).await;

    let alert = site.fail("db-1:9100", "Database").await;
    site.world.resolve(&alert).await;
    site.world.settle().await;
    site.world.tell(&alert).await;
    site.fail("db-2:9100", "Database").await;
    site.ignore("TooManyErrors");
    let confirm = site.get("/console/components/Database/override?status=2&for=3600&note=a+drill").await;
    let form = format!("token={}&status=2&until={}&note=a+drill", confirm.field("token"), confirm.field("until"));
    site.post("/console/components/Database/override", &form).await;
    site.world.faults.on("*", "/api/components/*").answer(500);
    site.world.fire("web-1:9100", "Website, A/B ü%").await;
    site.world.once().await;
    site.world.pass(HOUR / 2);
    site.world.once().await;
    repair_from_nowhere(&site).await;

    let answers = ask_all(&site, &document).await;
    let [components, database, changes, ignored, held, alertmanager, monitoring, _] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(components["components"].as_array().map(Vec::len), Some(3));
    assert_eq!((&database["status"]["value"], &database["override"]["user"]), (&json!(2), &json!("admin")));
    let override_ = &database["override"];
    assert_eq!((&override_["note"], &override_["rules_status"]["value"]), (&json!("a drill"), &json!(4)));
    assert_eq!(&database["hold"], override_, "its earlier name");
    let events: BTreeSet<&str> = database["past"]["timeline"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["event"].as_str())
        .collect();
    for event in ["alert_fired", "alert_resolved", "alert_held", "status", "written", "incident_opened", "held"] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
    assert!(changes["changes"].as_array().is_some_and(|changes| !changes.is_empty()), "{changes}");
    let failed = changes["changes"].as_array().expect("a list").iter().find(|one| one["problem"].is_string());
    assert!(failed.is_some_and(|one| one["since"].is_string()), "{changes:#}");
    assert_eq!(
        (&ignored["ignored"][0]["alertname"], &ignored["ignored"][0]["count"]),
        (&json!("TooManyErrors"), &json!(1))
    );
    assert_eq!(held["held"].as_array().map(Vec::len), Some(0), "its hold was over half an hour ago");
    assert_eq!(alertmanager["last_poll"]["members"], json!(1));
    assert!(alertmanager["last_poll"]["unheard"][0]["problem"].is_string(), "{alertmanager}");
    assert_eq!(monitoring["watchdog"], json!("Watchdog"));
    assert!(monitoring["missing_since"].is_string(), "{monitoring}");
}

/// Alertmanager is read where nobody listens.
async fn repair_from_nowhere(site: &Site) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let settings = in_force(repairing(members(&access(&url)).expect("members"), HOUR, Duration::ZERO));
    let (store, clock, wake) = (site.world.store.clone(), site.world.clock(), site.world.wake());
    let repairer = Repairer::new(store, settings, clock, wake, CancellationToken::new());
    repairer.shown_by(site.world.live()).once().await;
}

#[tokio::test]
async fn what_cannot_be_told_says_why_as_documented() {
    let (site, document) = (Site::start().await, document());
    let template = "/console/api/v1/components/{component}";
    let problem = ask(&site, &document, "/console/api/v1/components/Databse", template, 404).await;
    assert_eq!(problem["error"], json!("there is no component \"Databse\": did you mean \"Database\"?"));
    for days in ["0", "91", "x", "-1", ""] {
        let path = format!("/console/api/v1/components/Database?days={days}");
        let problem = ask(&site, &document, &path, template, 422).await;
        assert!(problem["error"].as_str().expect("text").contains("ask for 1 to 90"), "{problem}");
    }
    ask(&site, &document, "/console/api/v1/components/A%2FB%20%C3%BC%25?days=90", template, 200).await;
}

#[tokio::test]
async fn whatever_is_asked_for_is_answered_in_the_words_of_the_document() {
    let (site, document) = (Site::start().await, document());
    let template = "/console/api/v1/components/{component}";
    let one = "/console/api/v1/components/Database";
    ask(&site, &document, &format!("{one}?days=1&days=2&else=%FF"), template, 200).await;
    for path in [format!("{one}?days=%FF"), format!("{one}?days=1&days="), format!("{one}?days=99999999999")] {
        ask(&site, &document, &path, template, 422).await;
    }
    for name in ["%FF", "%00", "%20", "%3Cb%3E", "a%7Cb"] {
        ask(&site, &document, &format!("/console/api/v1/components/{name}"), template, 404).await;
    }
}

#[tokio::test]
async fn what_is_refused_at_the_gate_is_documented_for_every_path() {
    let (site, document) = (Site::start().await, document());
    for path in API_PATHS {
        let stranger = Request::get(path.replace("{component}", "Database"));
        let foreign = Request::get(path.replace("{component}", "Database")).header("Sec-Fetch-Site", "cross-site");
        for (request, status) in [(stranger, "401"), (foreign, "403")] {
            let answer = site.send(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.status.as_str(), status, "{path}");
            let reference = document["paths"][path]["get"]["responses"][status]["$ref"].as_str().expect("documented");
            let described = document.pointer(reference.trim_start_matches('#')).expect("a response");
            let kind = answer.headers["content-type"].to_str().expect("text").split(';').next().unwrap_or_default();
            assert!(described["content"][kind].is_object(), "{path} {status}: {kind}");
        }
        // Too many passwords wait to be verified.
        let busy = document["paths"][path]["get"]["responses"]["503"]["$ref"].as_str().expect("documented");
        let described = document.pointer(busy.trim_start_matches('#')).expect("a response");
        assert!(described["content"]["text/plain"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn what_a_cachet_refuses_for_good_does_not_wait() {
    let mut world = World::set_up(Release::Current, super::TARGETS).await;
    world.watch();
    world.refuse_unknown();
    world.heartbeat().await;
    let mut site = Site::with(world).await;
    site.world.pass(HOUR);
    site.world.settle().await;
    let changes = site.get("/console/api/v1/changes").await.json();
    assert_eq!(changes["changes"], json!([]), "nobody will ever write it");
    let components = site.get("/console/api/v1/components").await.json();
    assert_eq!(components["components"][0]["status"]["word"], json!("Unknown"));
}

#[test]
fn a_schema_of_the_document_refuses_what_it_does_not_name() {
    let document = document();
    let good = json!({"watchdog": "Watchdog", "last_heard_at": "2026-11-21T01:54:29.434Z"});
    assert_eq!(faults(&document, "Monitoring", &good), Vec::<String>::new());
    for bad in [json!({"watchdog": 1}), json!({"else": 1}), json!({"last_heard_at": "yesterday"}), json!([])] {
        assert_ne!(faults(&document, "Monitoring", &bad), Vec::<String>::new(), "{bad}");
    }
}

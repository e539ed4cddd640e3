//! Alert rules, runbooks and the dashboard.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{file, path_of, unknown_labels, unknown_names};
use crate::support::processes::{of_debian, run};

const RULES: &str = "monitoring/alerts.yml";
const TESTS: &str = "monitoring/alerts_test.yml";

/// The parts of a runbook's entry.
const PARTS: &[&str] = &["**Meaning.**", "**Impact.**", "**Diagnosis.**", "**Cure.**"];

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} of {value}"))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer} of {value}"))
}

fn rules() -> Vec<Value> {
    let groups = yaml(RULES);
    list(&groups, "/groups").iter().flat_map(|group| list(group, "/rules").to_vec()).collect()
}

/// Every query of the dashboard, with the title of its panel.
fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&file("monitoring/dashboard.json")).expect("JSON");
    let queries = |panel: &Value| -> Vec<(String, String)> {
        let title = text(panel, "/title").to_owned();
        let targets = panel.pointer("/targets").and_then(Value::as_array).cloned().unwrap_or_default();
        targets.iter().map(|target| (title.clone(), text(target, "/expr").to_owned())).collect()
    };
    list(&dashboard, "/panels").iter().flat_map(queries).collect()
}

/// The queries as Prometheus takes them: with what Grafana puts in for its variables.
pub fn all_queries() -> Vec<(String, String)> {
    let filled = |query: String| query.replace("$instance", ".*").replace("$__rate_interval", "1m");
    let dashboard = dashboard_queries().into_iter().map(|(title, query)| (title, filled(query)));
    let rules = rules().into_iter().map(|rule| (text(&rule, "/alert").to_owned(), text(&rule, "/expr").to_owned()));
    dashboard.chain(rules).collect()
}

#[test]
fn promtool_takes_the_rules_and_their_tests_hold() {
    for (command, path) in [("check", RULES), ("test", TESTS)] {
        let ended = run(of_debian("prometheus", "promtool").args([command, "rules"]).arg(path_of(path)));
        assert_eq!(ended.code, Some(0), "promtool {command} rules {path}:\n{}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn every_alert_is_shown_to_fire_and_to_be_silent() {
    let tests = yaml(TESTS);
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for test in list(&tests, "/tests").iter().flat_map(|test| list(test, "/alert_rule_test")) {
        let name = text(test, "/alertname").to_owned();
        if list(test, "/exp_alerts").is_empty() {
            is_silent.insert(name)
        } else {
            fires.insert(name)
        };
    }
    let alerts: BTreeSet<String> = rules().iter().map(|rule| text(rule, "/alert").to_owned()).collect();
    assert_eq!(fires, alerts);
    assert_eq!(is_silent, alerts);
}

#[test]
fn every_alert_says_how_urgent_it_is_and_has_a_runbook() {
    let runbooks = file("docs/runbooks.md");
    let entries: Vec<(&str, &str)> =
        runbooks.split("\n## ").skip(1).map(|entry| entry.split_once('\n').expect("a heading and a text")).collect();
    let rules = rules();
    for rule in &rules {
        let alert = text(rule, "/alert");
        assert!(["critical", "warning", "info"].contains(&text(rule, "/labels/severity")), "{alert}");
        for annotation in ["summary", "description"] {
            assert_ne!(text(rule, &format!("/annotations/{annotation}")), "", "{alert}");
        }
        let anchor = format!("docs/runbooks.md#{}", alert.to_lowercase());
        assert_eq!(text(rule, "/annotations/runbook_url"), anchor);
        let (_, entry) = entries.iter().find(|(heading, _)| *heading == alert).unwrap_or_else(|| panic!("{anchor}"));
        for part in PARTS {
            assert!(entry.contains(part), "{anchor} lacks {part}");
        }
        assert!(entry.contains("```sh\n"), "{anchor} has no command");
    }
    assert_eq!(entries.len(), rules.len(), "a runbook belongs to no alert");
}

#[test]
fn no_alert_about_the_machinery_shows_on_the_page() {
    assert!(!file(RULES).contains("status_page_alert:"), "it would be sent to the server that it is about");
}

#[test]
fn every_query_names_metrics_and_labels_that_exist() {
    for (place, query) in all_queries() {
        assert_eq!(unknown_names(&query), Vec::<String>::new(), "{place}: {query}");
        assert_eq!(unknown_labels(&query), Vec::<String>::new(), "{place}: {query}");
    }
}

#[test]
fn every_panel_has_a_title_a_unit_and_a_place() {
    let dashboard: Value = serde_json::from_str(&file("monitoring/dashboard.json")).expect("JSON");
    let (mut titles, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard, "/panels") {
        let title = text(panel, "/title");
        assert!(!title.is_empty() && titles.insert(title), "{title:?} is no title, or is there twice");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title}");
        assert!(panel["gridPos"]["w"].as_u64().is_some_and(|width| width <= 24), "{title}");
        if text(panel, "/type") != "row" {
            assert_ne!(text(panel, "/fieldConfig/defaults/unit"), "", "{title}");
            assert!(!list(panel, "/targets").is_empty(), "{title}");
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown: String = dashboard_queries().into_iter().map(|(_, query)| query + "\n").collect();
    let definitions = alertmanager_cachet::metrics::catalogue::DEFINITIONS.iter();
    let in_use = definitions.filter(|metric| !metric.help.starts_with("Deprecated"));
    let mut left_out: Vec<&str> = in_use.map(|metric| metric.name).collect();
    left_out.retain(|name| !shown.contains(*name));
    assert_eq!(left_out, Vec::<&str>::new());
}

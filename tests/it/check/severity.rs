//! What `serve` refuses, and what it goes on without, so that a start at night never fails for a typo.

use std::path::Path;

use alertmanager_cachet::config::{self, Files, Severity, TargetsFile};

use super::fixture;

/// Both files; the good ones with one text replaced in each.
fn load(config: (&str, &str), targets: (&str, &str)) -> Files {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |from: &str, to: &str, (old, new): (&str, &str)| {
        let text = std::fs::read_to_string(fixture(from)).expect("a fixture");
        assert!(text.contains(old), "{old:?} is not in {from}");
        let path = folder.path().join(to);
        std::fs::write(&path, text.replacen(old, new, 1)).expect("written");
        path
    };
    let config = copy("good/config/every_key.json", "config.json", config);
    let targets = copy("good/targets/prometheus.yml", "prometheus.yml", targets);
    config::load(&config, &targets)
}

/// The names of the targets that can be used.
fn targets(files: &Files) -> Vec<&str> {
    match &files.targets {
        TargetsFile::Read(inventory) => inventory.keys().map(|name| name.as_str()).collect(),
        other => panic!("{other:?}\n{}", files.report),
    }
}

fn worst(files: &Files) -> Option<Severity> {
    files.report.problems.iter().map(|problem| problem.severity).min()
}

const UNCHANGED: (&str, &str) = ("", "");

#[test]
fn a_configuration_that_cannot_be_served_with_is_fatal() {
    for change in [
        ("{", ""),
        ("{", "{ \"drift\": respect,"),
        ("\"new_incident_name\"", "\"new_incident_nam\""),
        ("\"new_incident_message\"", "\"x\""),
        ("\"resolved_incident_message\"", "\"x\""),
        ("\"groups_configuration\"", "\"x\""),
        ("\"cachet_per_page_param\": 100", "\"cachet_per_page_param\": \"100\""),
        ("\"cachet_per_page_param\": 100", "\"cachet_per_page_param\": 101"),
        ("\"drift\": \"enforce\"", "\"drift\": \"enforced\""),
        ("\"notify_subscribers\": true", "\"notify_subscribers\": \"true\""),
        ("\"We are investigating.\"", "\"\""),
    ] {
        let files = load(change, UNCHANGED);
        assert_eq!((worst(&files), files.config.is_none()), (Some(Severity::Fatal), true), "{change:?}");
        assert_eq!(targets(&files).len(), 4, "the other file is read all the same");
    }
}

#[test]
fn a_targets_file_that_is_none_is_fatal() {
    for change in [
        ("scrape_configs:", "scrape_configs: ["),
        ("scrape_configs:", "scrape_configs: nonsense\nx:"),
        ("scrape_configs:", "scrape_config:"),
    ] {
        let files = load(UNCHANGED, change);
        assert_eq!((worst(&files), &files.targets), (Some(Severity::Fatal), &TargetsFile::Unusable), "{change:?}");
        assert!(files.config.is_some(), "the other file is read all the same");
    }
    let files = config::load(Path::new("no/such.json"), Path::new("no/such.yml"));
    assert_eq!(files.report.problems.len(), 2);
    assert!(files.report.problems.iter().all(|problem| problem.severity == Severity::Fatal));
}

#[test]
fn a_bad_key_or_group_costs_nothing_else_of_the_configuration() {
    for (change, groups) in [
        (("\"drift\"", "\"drfit\""), 2),
        (("\"drift\": \"enforce\"", "\"drift\": \"enforce\", \"drift\": \"respect\""), 2),
        (("\"groups_configuration\": [", "\"groups_configuration\": [5,"), 2),
        (("\"Web Services\"", "\"\""), 1),
        (("\"Web Services\"", "5"), 1),
        (("\"Web Services\"", "\"Database Services\""), 1),
        (("\"status_page_group\": \"Web", "\"status_page\": \"Web"), 1),
        (("\"Database\",", "\"Database\", \"a|b\", 5, \"Database\","), 2),
        (("\"%s is experiencing", &format!("\"{}%s is experiencing", "x".repeat(255))), 2),
    ] {
        let files = load(change, UNCHANGED);
        assert_eq!(worst(&files), Some(Severity::Degraded), "{change:?}\n{}", files.report);
        let config = files.config.as_ref().expect("a configuration");
        assert_eq!((config.page.groups.len(), targets(&files).len()), (groups, 4), "{change:?}");
        let components: Vec<&str> =
            config.page.groups.iter().flat_map(|group| &group.components).map(|component| component.as_str()).collect();
        assert!(components.ends_with(&["Database", "Backend"]) || components.starts_with(&["Web Server"]));
    }
}

#[test]
fn a_bad_target_costs_nothing_but_itself() {
    const WEB: [&str; 2] = ["web-1:9100 | Web Server", "web-2:9100 | Web Server"];
    const DATABASE: [&str; 2] = ["db-1:9104 | Database, Backend", "db-2:9104 | Database"];
    let all = [DATABASE, WEB].concat();
    for (change, expected) in [
        (("[web-1:9100, web-2:9100]", "[web-1:9100, 'x|y', web-2:9100]"), all.clone()),
        (("[web-1:9100, web-2:9100]", "[web-1:9100, 5, web-2:9100]"), all.clone()),
        (("[web-1:9100, web-2:9100]", "web-1:9100"), DATABASE.to_vec()),
        (("\"true\"", "\"ture\""), DATABASE.to_vec()),
        (("status_page_component: Web Server", "status_page_component: 5"), DATABASE.to_vec()),
        (("status_page_component: Web Server", "x: y"), DATABASE.to_vec()),
        (("Web Server", "Web Server\n          status_page_criticle_target: \"true\""), all.clone()),
        (("Web Server", "\"Web Server, a|b\""), all.clone()),
        (("status_page_critical_target: \"true\"", "status_page_critical_target: very"), all.clone()),
        (("  - job_name: node", "  - 5\n  - job_name: node"), all.clone()),
        (("  - job_name: node", "  - {file_sd_configs: [{files: [x.yml]}]}\n  - job_name: node"), all.clone()),
    ] {
        let files = load(UNCHANGED, change);
        assert_eq!(worst(&files), Some(Severity::Degraded), "{change:?}\n{}", files.report);
        assert_eq!(targets(&files), expected, "{change:?}");
        assert!(files.config.is_some());
    }
}

#[test]
fn a_component_in_no_group_keeps_its_target() {
    let files = load(("\"Backend\"", "\"Back End\""), UNCHANGED);
    assert_eq!(worst(&files), Some(Severity::Degraded));
    assert_eq!(targets(&files).len(), 4);
}

//! Good files, in every form in the wild.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use alertmanager_cachet::config::{self, Environment, Files, TargetsFile, Variables};
use alertmanager_cachet::core::config::{Config, WatchdogConfig};
use alertmanager_cachet::core::rules::{CloseIncidentWhen, Drift};
use alertmanager_cachet::core::target::Inventory;
use alertmanager_cachet::core::watchdog::MonitoringTexts;

use super::fixture;

/// Both files, of which nothing may be said.
fn load(config_file: &Path, targets_file: &Path) -> (Config, Inventory) {
    let Files { config, targets, report } = config::load(config_file, targets_file);
    assert!(report.problems.is_empty() && report.remarks.is_empty(), "{}:\n{report}", targets_file.display());
    match (config, targets) {
        (Some(config), TargetsFile::Read(inventory)) => (config, inventory),
        other => panic!("{other:?}"),
    }
}

fn files_in(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture(folder)).expect("fixtures").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.is_file()).collect()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn every_form_of_the_targets_file_says_the_same() {
    let config_file = fixture("good/config/every_key.json");
    let files = files_in("good/targets");
    assert!(files.len() >= 9, "{files:?}");
    for path in files {
        let (_, inventory) = load(&config_file, &path);
        let targets: Vec<(&str, bool)> =
            inventory.iter().map(|(name, target)| (name.as_str(), target.critical)).collect();
        assert_eq!(
            targets,
            [
                ("db-1:9104 | Database, Backend", true),
                ("db-2:9104 | Database", false),
                ("web-1:9100 | Web Server", false),
                ("web-2:9100 | Web Server", false),
            ],
            "{}",
            path.display()
        );
    }
}

#[test]
fn every_key_of_the_configuration_is_read_with_or_without_byte_order_mark() {
    for name in ["every_key.json", "bom_and_crlf.json"] {
        let (config, _) = load(&fixture("good/config").join(name), &fixture("good/targets/prometheus.yml"));
        assert_eq!(config.incidents.new_message, "We are investigating.");
        assert_eq!(config.incidents.resolved_message, "It is resolved.");
        assert_eq!(config.incidents.partially_resolved_message, "It is resolved in part.");
        assert_eq!((config.page.cachet_per_page, config.incidents.notify_subscribers), (100, true));
        assert_eq!((config.incidents.close_when, config.page.drift), (CloseIncidentWhen::Operational, Drift::Enforce));
        assert_eq!((config.alerts.refire_delay.as_secs(), config.page.reconcile_interval.as_secs()), (0, 30));
        assert_eq!((config.alerts.poll.as_secs(), config.alerts.settle.as_secs()), (10, 0));
        assert_eq!((config.alerts.stale_after, config.history_days), (Some(Duration::from_secs(90_000)), 365));
        assert_eq!(config.alerts.max_stored, 5000);
        let WatchdogConfig { watchdog, texts } = config.watchdog.expect("a watchdog");
        assert_eq!((watchdog.alertname(), watchdog.timeout().as_secs()), ("DeadMansSwitch", 180));
        assert_eq!(texts.new_incident_name, "We are blind");
        assert_eq!(
            (texts.new_incident_message.as_str(), texts.resolved_incident_message.as_str()),
            ("Nothing reports.", "We can see again.")
        );
        let groups: Vec<(&str, usize)> =
            config.page.groups.iter().map(|group| (group.name.as_str(), group.components.len())).collect();
        assert_eq!(groups, [("Web Services", 1), ("Database Services", 2)]);
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let config_file = fixture("good/config/required_keys_only.json");
    let (config, _) = load(&config_file, &fixture("good/targets/prometheus.yml"));
    assert!(!config.incidents.partially_resolved_message.is_empty());
    assert_eq!((config.page.cachet_per_page, config.incidents.notify_subscribers), (50, false));
    assert_eq!((config.incidents.close_when, config.page.drift), (CloseIncidentWhen::NotMajorOutage, Drift::Respect));
    assert_eq!((config.alerts.refire_delay.as_secs(), config.page.reconcile_interval.as_secs()), (300, 60));
    assert_eq!((config.alerts.poll.as_secs(), config.alerts.settle.as_secs()), (60, 300));
    assert_eq!((config.alerts.stale_after, config.watchdog, config.history_days), (None, None, 90));
    assert_eq!(config.alerts.max_stored, 100_000);
}

#[test]
fn the_refire_delay_is_read_by_its_name_and_by_its_earlier_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(fixture("good/config/required_keys_only.json")).expect("a fixture");
    let path = folder.path().join("config.json");
    let read = |keys: &str| {
        std::fs::write(&path, text.replacen('{', &format!("{{{keys},"), 1)).expect("written");
        let Files { config, report, .. } = config::load(&path, &fixture("good/targets/prometheus.yml"));
        let delay = config.map(|config| config.alerts.refire_delay.as_secs());
        let findings: Vec<String> = report.problems.iter().chain(&report.remarks).map(ToString::to_string).collect();
        (delay, findings.join("\n"))
    };
    assert_eq!(read(r#""refire_delay_seconds": 60"#), (Some(60), String::new()));
    let (delay, report) = read(r#""refire_hold_seconds": 60"#);
    assert_eq!(delay, Some(60));
    assert!(report.contains("is now named refire_delay_seconds"), "{report}");
    let (_, report) = read(r#""refire_hold_seconds": 60, "refire_delay_seconds": 120"#);
    assert!(report.contains("remove refire_hold_seconds") && report.contains("refire_delay_seconds"), "{report}");
}

#[test]
fn of_a_watchdog_everything_has_a_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(fixture("good/config/required_keys_only.json")).expect("a fixture");
    let path = folder.path().join("config.json");
    std::fs::write(&path, text.replacen('{', r#"{"watchdog": {},"#, 1)).expect("written");
    let (config, _) = load(&path, &fixture("good/targets/prometheus.yml"));
    let WatchdogConfig { watchdog, texts } = config.watchdog.expect("a watchdog");
    assert_eq!((watchdog.alertname(), watchdog.timeout().as_secs()), ("Watchdog", 300));
    assert_eq!(texts, MonitoringTexts::default());
}

#[test]
fn the_examples_have_no_problem_and_no_remark() {
    let (config, inventory) = load(&example("config.json.example"), &example("prometheus.yml.example"));
    assert_eq!((config.page.groups.len(), inventory.len()), (3, 12));
}

#[test]
fn the_example_of_the_environment_names_every_variable_and_is_read() {
    let path = example(".env.example");
    let variables = Variables::overlay([], &path);
    assert!(variables.problems.is_empty(), "{:?}", variables.problems);
    // The token is the one thing that has to come from Cachet first.
    let (_, problems) = Environment::read(|name| variables.get(name));
    let places: Vec<&str> = problems.iter().map(|problem| problem.place.path.as_str()).collect();
    assert_eq!(places, ["CACHET_API_TOKEN"], "{problems:?}");
    assert_eq!(variables.get("ASSET_URL").as_deref(), Some("https://status.example.com"));
    let text = std::fs::read_to_string(&path).expect("the example");
    let mut names = vec!["CACHET_API_URL", "CACHET_API_TOKEN", "WEBHOOK_BASIC_AUTH", "ENVIRONMENT"];
    let alertmanager =
        ["ALERTMANAGER_URL", "ALERTMANAGER_BASIC_AUTH", "ALERTMANAGER_BEARER_TOKEN", "ALERTMANAGER_CA_FILE"];
    names.extend(alertmanager);
    let command = <alertmanager_cachet::cli::Cli as clap::CommandFactory>::command();
    let arguments = command.get_arguments().chain(command.get_subcommands().flat_map(clap::Command::get_arguments));
    let flags: Vec<&str> = arguments.filter_map(|argument| argument.get_env()?.to_str()).collect();
    assert!(flags.len() >= 8, "{flags:?}");
    names.extend(flags);
    for name in names {
        let is_named = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name}="));
        assert!(text.lines().any(is_named), "{name} is not in .env.example");
    }
}

#[test]
fn prometheus_itself_takes_the_example() {
    for path in [
        example("prometheus.yml.example"),
        fixture("good/targets/everything_of_prometheus.yml"),
        fixture("good/targets/file_sd.yml"),
    ] {
        let output = Command::new("promtool")
            .args(["check", "config"])
            .arg(&path)
            .output()
            .expect("promtool, of the Debian package prometheus, is needed: run ./test.sh, which installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

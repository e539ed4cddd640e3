//! `docs/configuration.md` and `docs/deployment.md` name every key, flag and variable that there is, and none more, with
//! the defaults and limits that the code has.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use alertmanager_cachet::cli::Cli;
use alertmanager_cachet::config::{self, Environment};
use alertmanager_cachet::core::config::Config;
use alertmanager_cachet::core::merge::DEFAULT_MAX_ALERTS;
use alertmanager_cachet::core::notification::{LABEL_LIMIT, LABELS_LIMIT_BYTES};
use alertmanager_cachet::core::target::{COMPONENT_LIMIT, NAME_LIMIT};
use alertmanager_cachet::web::places::Limits;
use alertmanager_cachet::web::serve::{HEADERS_LIMIT_BYTES, HEADERS_TIMEOUT};
use alertmanager_cachet::web::webhook::BODY_LIMIT_BYTES;
use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::page::{Table, code};
use super::{page, repository};
use crate::support::processes::{run, written};

const PAGE: &str = "docs/configuration.md";

/// What a cell says where there is nothing.
const NONE: &str = "–";

/// A flag as the command line has it: its name, its variable and its default.
type Flag = [String; 3];

/// Every flag, with the commands that take it.
fn flags() -> BTreeMap<Flag, BTreeSet<String>> {
    let cli = Cli::command();
    let of_all = cli.get_arguments().map(|arg| (arg, "all"));
    let of_one = cli.get_subcommands().flat_map(|one| one.get_arguments().map(|arg| (arg, one.get_name())));
    let mut flags: BTreeMap<Flag, BTreeSet<String>> = BTreeMap::new();
    for (arg, command) in of_all.chain(of_one) {
        let Some(name) = arg.get_long() else { continue };
        let variable = arg.get_env().and_then(|name| name.to_str());
        let default = arg.get_default_values().first().and_then(|value| value.to_str());
        let default = default.filter(|_| arg.get_action().takes_values());
        let cell = |text: Option<&str>| text.map_or_else(|| NONE.to_owned(), |text| format!("`{text}`"));
        let flag = [format!("`--{name}`"), cell(variable), cell(default)];
        flags.entry(flag).or_default().insert(command.to_owned());
    }
    flags
}

/// The variables without a flag: what the program asks its environment for.
fn asked_for() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let _ = Environment::read(|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    asked.into_inner()
}

/// Every variable that the program reads.
pub fn variables_of_the_program() -> BTreeSet<String> {
    let unquoted = |flag: Flag| flag[1].trim_matches('`').to_owned();
    let with_flag = flags().into_keys().map(unquoted).filter(|name| name != NONE);
    with_flag.chain(asked_for()).collect()
}

/// The one piece of code in the first cell of each row.
fn names(table: &Table) -> Vec<&str> {
    assert!(table.rows.iter().all(|row| code(&row[0]).len() == 1), "{:?}", table.rows);
    table.rows.iter().map(|row| code(&row[0])[0]).collect()
}

fn unique(names: &[&str]) -> BTreeSet<String> {
    let unique: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(unique.len(), names.len(), "one has two rows: {names:?}");
    unique
}

#[test]
fn every_flag_has_its_row_with_variable_default_and_commands() {
    let page = page(PAGE);
    let table = page.table("flags", &["flag", "variable", "default", "commands", "meaning"]);
    let documented: BTreeMap<Flag, BTreeSet<String>> = table
        .rows
        .iter()
        .map(|row| {
            let commands = if row[3] == "all" { vec!["all"] } else { code(&row[3]) };
            let flag = [row[0].clone(), row[1].clone(), row[2].clone()];
            (flag, commands.iter().map(|command| (*command).to_owned()).collect())
        })
        .collect();
    assert_eq!(documented, flags());
    assert_eq!(documented.len(), table.rows.len(), "one has two rows");
    assert!(table.rows.iter().all(|row| !row[4].is_empty()));
}

#[test]
fn every_command_has_its_row() {
    let page = page(PAGE);
    let table = page.table("commands", &["command", ""]);
    let documented: Vec<&str> =
        table.rows.iter().map(|row| code(&row[0])[0].split(' ').next().expect("a word")).collect();
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    assert_eq!(unique(&documented), shown.map(|one| one.get_name().to_owned()).collect());
}

#[test]
fn every_variable_without_a_flag_has_its_row() {
    let page = page(PAGE);
    let table = page.table("variables-without-a-flag", &["variable", "or from a file", "default", "meaning"]);
    let mut documented = names(table);
    documented.extend(table.rows.iter().flat_map(|row| code(&row[1])));
    assert_eq!(unique(&documented), asked_for());
    for row in table.rows.iter().filter(|row| row[1] != NONE) {
        assert_eq!(code(&row[1])[0], format!("{}_FILE", code(&row[0])[0]));
    }
}

#[test]
fn the_example_of_env_has_every_variable_and_the_deployment_page_those_that_only_it_reads() {
    let example = fs::read_to_string(repository(".env.example")).expect("the example");
    let assignment = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let lines = example.lines().map(|line| line.trim_start_matches("# "));
    let named: BTreeSet<String> =
        lines.filter_map(assignment).map(|(name, _)| name).filter(|name| is_name(name)).collect();
    let missing: Vec<String> = variables_of_the_program()
        .into_iter()
        .filter(|name| !name.ends_with("_FILE") || name.ends_with("CONFIG_FILE"))
        .collect();
    let missing: Vec<&String> = missing.iter().filter(|name| !named.contains(*name)).collect();
    assert!(missing.is_empty(), ".env.example does not name {missing:?}");

    let page = page("docs/deployment.md");
    let table = page.table("variables-of-env", &["variable", "example", "meaning"]);
    let documented: Vec<(String, String)> =
        table.rows.iter().map(|row| (code(&row[0])[0].to_owned(), row[1].clone())).collect();
    let shown =
        |value: String| if value.is_empty() { NONE.to_owned() } else { format!("`{}`", value.trim_matches('\'')) };
    let set: Vec<(String, String)> = example
        .lines()
        .filter_map(assignment)
        .filter(|(name, _)| is_name(name))
        .map(|(name, value)| (name, shown(value)))
        .collect();
    assert_eq!(documented, set);
}

#[test]
fn the_environment_of_the_deployment_has_its_rows() {
    let help = run(std::process::Command::new("bash").arg(repository("deploy.sh")).arg("--help"));
    let (_, environment) = help.stdout.split_once("\nEnvironment\n").expect("a part about it");
    let known: BTreeSet<String> = environment
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .map(str::to_owned)
        .collect();
    let page = page("docs/deployment.md");
    assert_eq!(unique(&names(page.table("environment-of-deploysh", &["variable", "default", "meaning"]))), known);
}

/// The rows about `config.json`: key, default, values.
fn keys() -> Vec<[String; 3]> {
    let page = page(PAGE);
    let table = page.table("configjson", &["key", "default", "values", "meaning"]);
    assert!(table.rows.iter().all(|row| code(&row[0]).len() == 1 && !row[3].is_empty()));
    table.rows.iter().map(|row| [code(&row[0])[0].to_owned(), row[1].clone(), row[2].clone()]).collect()
}

#[test]
fn every_key_of_the_configuration_has_its_row() {
    let keys = keys();
    let documented: Vec<&str> = keys.iter().map(|[key, ..]| key.as_str()).collect();
    assert_eq!(unique(&documented), config::known_keys()[0].iter().cloned().collect());
}

#[test]
fn every_key_of_the_web_configuration_has_its_row() {
    let page = page(PAGE);
    let table = page.table("tls-and-users", &["key", "meaning"]);
    assert_eq!(unique(&names(table)), config::known_keys()[1].iter().cloned().collect());
}

/// The smallest configuration, with a watchdog that says nothing of itself.
fn smallest() -> Value {
    json!({
        "new_incident_name": "%s is down", "new_incident_message": "a", "resolved_incident_message": "b",
        "groups_configuration": [{"status_page_group": "A", "status_page_components": ["B"]}],
        "watchdog": {},
    })
}

fn put(config: &mut Value, key: &str, value: Value) {
    match key.split_once('.') {
        Some((parent, key)) => config[parent][key] = value,
        None => config[key] = value,
    }
}

/// The configuration, or what is wrong with it.
fn read(config: &Value) -> Result<Config, String> {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), "config.json", &config.to_string());
    written(folder.path(), "targets.yml", "scrape_configs: []");
    let files = config::load(&folder.path().join("config.json"), &folder.path().join("targets.yml"));
    let problem = files.report.problems.iter().find(|problem| problem.place.file.ends_with("config.json"));
    match (problem, files.config) {
        (None, Some(config)) => Ok(config),
        (problem, _) => Err(problem.map(ToString::to_string).unwrap_or_default()),
    }
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let mut spelt_out = smallest();
    let mut checked = 0;
    for [key, default, _] in keys() {
        if let [default] = code(&default)[..] {
            let value = serde_json::from_str(default).unwrap_or_else(|error| panic!("{key}: {default}: {error}"));
            put(&mut spelt_out, &key, value);
            checked += 1;
        } else {
            assert!(["required", "off"].contains(&default.as_str()), "{key}: {default:?}");
        }
    }
    assert!(checked > 15, "only {checked} defaults are named");
    assert_eq!(read(&spelt_out).expect("valid"), read(&smallest()).expect("valid"));
}

#[test]
fn what_is_required_is_missed_where_it_is_missing() {
    for [key, default, _] in keys().into_iter().filter(|[key, ..]| !key.contains("[]")) {
        let mut without = smallest();
        without.as_object_mut().expect("an object").remove(&key);
        assert_eq!(read(&without).is_err(), default == "required", "{key}: {default}");
    }
}

#[test]
fn the_limits_are_those_of_the_documentation() {
    let mut checked = 0;
    for [key, _, values] in keys() {
        let takes = |value: Value| {
            let mut config = smallest();
            put(&mut config, &key, value);
            read(&config)
        };
        if let Some((least, most)) = range(&values) {
            for (number, is_taken) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
                assert_eq!(takes(json!(number)).is_ok(), is_taken, "{key}: {number}");
            }
            checked += 1;
        }
        let words = code(&values);
        for word in &words {
            let value = serde_json::from_str(word).unwrap_or_else(|error| panic!("{key}: {word}: {error}"));
            takes(value).unwrap_or_else(|error| panic!("{error}"));
        }
        if !words.is_empty() {
            assert!(takes(json!("something else")).is_err(), "{key}");
            checked += 1;
        }
    }
    assert!(checked > 8, "only {checked} limits are named");
}

#[test]
fn the_limits_on_what_is_sent_are_those_of_the_code() {
    let page = page(PAGE);
    let table = page.table("limits", &["what", "limit", "over the limit"]);
    let documented: Vec<u64> = table.rows.iter().map(|row| row[1].parse().expect("a number")).collect();
    let served = Limits::default();
    let bytes = |limit: usize| u64::try_from(limit).expect("a limit");
    let limits = [
        bytes(COMPONENT_LIMIT),
        bytes(NAME_LIMIT),
        bytes(NAME_LIMIT),
        bytes(NAME_LIMIT),
        bytes(LABEL_LIMIT),
        bytes(LABELS_LIMIT_BYTES),
        DEFAULT_MAX_ALERTS.into(),
        bytes(BODY_LIMIT_BYTES),
        bytes(HEADERS_LIMIT_BYTES),
        HEADERS_TIMEOUT.as_secs(),
        served.body_timeout.as_secs(),
        bytes(served.connections),
        bytes(served.requests),
    ];
    assert_eq!(documented, limits);
}

/// `1–100 seconds`: from the first number to the second one.
fn range(values: &str) -> Option<(i64, i64)> {
    let (least, rest) = values.split_once('–')?;
    let most: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    Some((least.parse().ok()?, most.replace(',', "").parse().ok()?))
}

/// The keys of the targets file and the labels are not listed in the code; they are the texts by which it asks for them.
#[test]
fn every_key_and_label_of_the_targets_file_has_its_row() {
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for source in
        ["targets.rs", "targets/blocks.rs", "targets/of_job.rs", "targets/relabelling.rs", "targets/watched.rs"]
    {
        let text = fs::read_to_string(repository("src/config").join(source)).expect("a source");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for mark in [
            ".get(\"",
            ".get_filled(\"",
            ".required(\"",
            "text(\"",
            "global(\"",
            ".read(job, \"",
            ".read(&root, \"",
            "ALERT: &str = \"",
            "COMPONENT: &str = \"",
            "CRITICAL: &str = \"",
            "INSTANCE: &str = \"",
        ] {
            let found = code.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
            asked.extend(found.map(str::to_owned));
        }
        let forms = code.split("const FORMS: &[&str] = &[").nth(1).and_then(|rest| rest.split(']').next());
        asked.extend(forms.unwrap_or_default().split('"').skip(1).step_by(2).map(str::to_owned));
    }
    // The keys of a rule, which are Prometheus' own.
    for known in ["action", "separator", "regex", "target_label", "replacement", "modulus", "source_labels"] {
        assert!(asked.remove(known), "{known} is gone: take it out here");
    }
    let page = page(PAGE);
    let mut documented = names(page.table("the-targets-file", &["key", "meaning"]));
    documented.extend(names(page.table("labels", &["label", "meaning"])));
    assert_eq!(unique(&documented), asked);
}

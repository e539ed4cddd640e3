//! The evaluation of the targets file beside Prometheus' own (`promtool check service-discovery`).
//!
//! promtool is of Prometheus 2.42. Since 3.0, Prometheus adds no port to an address without one, as this program; the feature
//! `no-default-scrape-port` is that. No label has a newline, which `.` matches only since 3.0, and no group sets a label
//! `__param_…` that the job's `params` set as well: in 2.42 these win, and later the group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;

use alertmanager_cachet::config::{self, TargetsFile};
use alertmanager_cachet::core::relabel::{BUDGET, Labels, RelabelRule, RuleFields};
use alertmanager_cachet::core::scrape::JobLabels;
use alertmanager_cachet::core::target::{ComponentList, Target};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::fixture;
use crate::support::processes::{of_debian, run};

/// How long promtool waits for targets. Those of files are there at once.
const WAIT: &str = "--timeout=300ms";

/// The labels of a target, without those that begin with `__`.
type Scraped = BTreeMap<String, String>;

/// The targets that Prometheus scrapes of a job.
fn scraped_by_prometheus(file: &Path, job: &str) -> BTreeSet<Scraped> {
    let arguments = ["check", "service-discovery", WAIT, "--enable-feature=no-default-scrape-port"];
    let ended = run(of_debian("prometheus", "promtool").args(arguments).arg(file).arg(job));
    assert_eq!(
        ended.code,
        Some(0),
        "{job}: {}{}\n{}",
        ended.stdout,
        ended.stderr,
        std::fs::read_to_string(file).unwrap_or_default()
    );
    let results: Vec<Value> = serde_json::from_str(&ended.stdout).expect(&ended.stdout);
    let labels = results
        .into_iter()
        .filter_map(|result| serde_json::from_value::<Option<Scraped>>(result["labels"].clone()).ok()?);
    labels
        .map(|labels| labels.into_iter().filter(|(name, _)| !name.starts_with("__")).collect::<Scraped>())
        .filter(|labels| !labels.is_empty())
        .collect()
}

/// Whether Prometheus takes a file.
fn is_taken(folder: &Path, text: &str) -> bool {
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, text).expect("written");
    run(of_debian("prometheus", "promtool").args(["check", "config"]).arg(&file)).code == Some(0)
}

/// The names of the jobs of a file.
fn jobs(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a fixture");
    let config: Value = serde_yaml::from_str(&text).expect("YAML");
    let jobs = config["scrape_configs"].as_array().cloned().unwrap_or_default();
    jobs.iter().filter_map(|job| job["job_name"].as_str().map(str::to_owned)).collect()
}

/// The names of the targets that labels are about.
fn named(labels: &BTreeSet<Scraped>) -> BTreeSet<String> {
    let text = |labels: &Scraped, name: &str| labels.get(name).cloned().unwrap_or_default();
    let ours = labels.iter().filter(|labels| text(labels, "status_page_alert").trim().eq_ignore_ascii_case("true"));
    let targets = ours.filter_map(|labels| {
        let components = ComponentList::parse(&text(labels, "status_page_component")).names;
        Some(Target::new(&text(labels, "instance"), components)?.name().to_string())
    });
    targets.collect()
}

/// The names of the targets that this program knows of a file.
fn known(file: &Path) -> BTreeSet<String> {
    let files = config::load(&fixture("good/config/every_key.json"), file);
    let TargetsFile::Read(inventory) = files.targets else { panic!("{}", files.report) };
    assert!(files.report.problems.is_empty(), "{}", files.report);
    inventory.keys().map(ToString::to_string).collect()
}

#[test]
fn every_targets_file_has_the_targets_that_prometheus_scrapes() {
    let folders = ["relabelled", "good/targets"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(fixture(folder)).expect("fixtures"));
    let files: Vec<_> =
        files.map(|entry| entry.expect("an entry").path()).filter(|path| !jobs_of(path).is_empty()).collect();
    assert!(files.len() >= 12, "{files:?}");
    thread::scope(|scope| {
        for file in &files {
            scope.spawn(move || {
                let scraped = jobs_of(file).iter().flat_map(|job| scraped_by_prometheus(file, job)).collect();
                assert_eq!(known(file), named(&scraped), "{}", file.display());
                let text = std::fs::read_to_string(file).expect("a fixture");
                if let Some((_, targets)) = text.split_once("# targets: ") {
                    assert_eq!(
                        known(file),
                        targets.trim().split("; ").map(str::to_owned).collect(),
                        "{}",
                        file.display()
                    );
                }
            });
        }
    });
}

/// The jobs of a file that Prometheus reads: the Ansible role's is none.
fn jobs_of(path: &Path) -> Vec<String> {
    let is_yaml = path.extension().is_some_and(|extension| extension == "yml");
    let is_other = |name: &str| path.file_name().is_some_and(|file| file == name);
    // promtool refuses the key with the anchors, and a byte order mark.
    if !is_yaml || is_other("anchors_and_merge_keys.yml") || is_other("bom_and_crlf.yml") { vec![] } else { jobs(path) }
}

const ADDRESSES: &[&str] = &[
    "web-01:9100",
    "web-02:9101",
    "db.example.com:5432",
    "https://www.example.com/x?y=1",
    "[::1]:9100",
    "10.0.0.1",
    "WEB-Ä:1",
    "a&b:2",
];
const LABELS: &[&str] = &[
    "__address__",
    "instance",
    "job",
    "__param_module",
    "__param_own",
    "__meta_a",
    "__tmp",
    "env",
    "host",
    "x_a",
    "x_b",
    "none",
    "status_page_component",
];
const PATTERNS: &[&str] = &[
    "(.*)",
    ".*",
    "(.+)",
    "",
    r"([^:]+):(\d+)",
    "([^:]+)(:[0-9]+)?",
    "web-.*",
    "prod",
    r"(?P<host>[^.:]+).*",
    r"(\w+)-(\w+).*",
    r"https?://([^/]+)(/.*)?",
    "(?i)WEB.*",
    "[[:alpha:]-]+.*",
    r"\Qweb-01\E.*",
    "[a&&b]*:.*",
    "a{,2}.*",
    "(a)|(w).*",
    r"\S+;\S*",
    r"[^\W\d_-]+.*",
    r".*\b9100",
    "x_(.+)",
    "(__meta_|x_)(a)",
    r"\x77eb.{2,6}?(.*)",
    r"\p{Lu}+-\pL:1",
];
const REPLACEMENTS: &[&str] = &[
    "$1",
    "${1}",
    "$1:$2",
    "${host}",
    "x",
    "",
    "$$",
    "a$",
    "$1x",
    "${1}-${2}",
    "$3",
    "$0",
    "${none}.$$1",
    "$01",
    "${1",
];
const TARGETS: &[&str] =
    &["instance", "__address__", "env", "host", "x_${1}", "${1}", "__param_module", "x_a", "status_page_component"];

/// A rule as it stands in a file, of every action.
fn any_rule() -> impl Strategy<Value = Value> {
    let sources = subsequence(LABELS, 0..=2);
    let target = select(TARGETS);
    let plain_target = target.clone().prop_filter("a name", |target| !target.contains('$'));
    let text = |name: &'static str, texts: &'static [&'static str]| {
        prop::option::of(select(texts)).prop_map(move |text| text.map(|text| (name, json!(text))))
    };
    let of_replace = (
        sources.clone(),
        target,
        text("regex", PATTERNS),
        text("replacement", REPLACEMENTS),
        text("separator", &["", "-", "::"]),
    );
    let of_replace = of_replace.prop_map(|(sources, target, regex, replacement, separator)| {
        let mut rule = json!({"source_labels": sources, "target_label": target});
        [regex, replacement, separator].into_iter().flatten().for_each(|(key, value)| rule[key] = value);
        rule
    });
    let of_filter = (sources.clone(), select(PATTERNS), select(vec!["keep", "drop", "Drop"]))
        .prop_map(|(sources, regex, action)| json!({"source_labels": sources, "regex": regex, "action": action}));
    let of_value = (sources, plain_target, select(vec!["keepequal", "dropequal", "lowercase", "uppercase", "hashmod"]))
        .prop_map(|(sources, target, action)| {
            let mut rule = json!({"source_labels": sources, "target_label": target, "action": action});
            if action == "hashmod" {
                rule["modulus"] = json!(7);
            }
            rule
        });
    let of_map = (select(vec!["x_(.+)", "__meta_(.+)", "(.*)_a"]), select(vec!["$1", "y_$1", "x_${1}"]))
        .prop_map(|(regex, replacement)| json!({"action": "labelmap", "regex": regex, "replacement": replacement}));
    let of_names = (
        select(vec!["labeldrop", "labelkeep"]),
        select(vec!["x_.*", "__meta_.*", "__tmp|env", "__.*|job|instance", "env|__address__|__scrape_.*"]),
    )
        .prop_map(|(action, regex)| json!({"action": action, "regex": regex}));
    prop_oneof![6 => of_replace, 1 => of_filter, 2 => of_value, 1 => of_map, 1 => of_names]
}

/// The rule for this program.
fn rule(rule: &Value) -> Result<RelabelRule, String> {
    let text = |key: &str| rule[key].as_str().map(str::to_owned);
    let names = |names: &Vec<Value>| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let fields = RuleFields {
        action: text("action"),
        source_labels: rule["source_labels"].as_array().map(names),
        separator: text("separator"),
        regex: text("regex"),
        modulus: rule["modulus"].as_u64(),
        target_label: text("target_label"),
        replacement: text("replacement"),
    };
    RelabelRule::new(fields).map_err(|error| error.to_string())
}

/// A configuration in which each list of rules is that of a job.
fn configuration(lists: &[Vec<Value>]) -> Value {
    let groups = [json!({"targets": ADDRESSES, "labels": group(0)}), json!({"targets": ADDRESSES, "labels": group(1)})];
    let job = |(number, rules): (usize, &Vec<Value>)| {
        json!({
            "job_name": format!("job-{number}"),
            "params": {"module": ["http_2xx", "unused"]},
            "static_configs": groups,
            "relabel_configs": rules,
        })
    };
    json!({"scrape_configs": lists.iter().enumerate().map(job).collect::<Vec<_>>()})
}

fn group(number: usize) -> Scraped {
    let groups: [&[(&str, &str)]; 2] = [
        &[("env", "Prod"), ("__meta_a", "web"), ("x_a", "1"), ("status_page_component", "Web Server")],
        &[("instance", "own"), ("__param_own", "tcp"), ("x_b", "env"), ("__tmp", "prod"), ("job", "of-group")],
    ];
    groups[number].iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The targets that this program finds in a job.
fn scraped_here(number: usize, rules: &[Value]) -> BTreeSet<Scraped> {
    let defaults = [
        ("job", format!("job-{number}")),
        ("__scheme__", "http".to_owned()),
        ("__metrics_path__", "/metrics".to_owned()),
        ("__param_module", "http_2xx".to_owned()),
    ];
    let rules = rules.iter().map(|value| rule(value).unwrap_or_else(|error| panic!("{value}: {error}"))).collect();
    let job = JobLabels { defaults: defaults.into_iter().collect(), rules };
    let groups = [0, 1].map(|number| group(number).into_iter().collect::<Labels>());
    let targets = groups.iter().flat_map(|group| ADDRESSES.iter().map(move |address| (group, address)));
    let scraped = targets.filter_map(|(group, address)| job.target(address, group, &mut BUDGET.clone()).ok());
    scraped
        .map(|target| target.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        .collect()
}

#[test]
fn any_rules_make_the_labels_that_prometheus_makes() {
    const JOBS: usize = 96;
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(any_rule(), 1..6);
    let lists: Vec<Vec<Value>> = (0..JOBS).map(|_| strategy.new_tree(&mut runner).expect("rules").current()).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, configuration(&lists).to_string()).expect("written");
    let numbers: Vec<usize> = (0..JOBS).collect();
    thread::scope(|scope| {
        for numbers in numbers.chunks(JOBS / 12) {
            let (file, lists) = (&file, &lists);
            scope.spawn(move || {
                for number in numbers {
                    let scraped = scraped_by_prometheus(file, &format!("job-{number}"));
                    let rules = json!(lists[*number]);
                    assert_eq!(scraped_here(*number, &lists[*number]), scraped, "{rules}");
                }
            });
        }
    });
}

#[test]
fn a_rule_that_prometheus_refuses_is_refused_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = || json!({"source_labels": ["a"], "target_label": "b"});
    let with = |key: &str, value: Value| {
        let mut rule = source();
        rule[key] = value;
        rule
    };
    let patterns = [
        "(", ")", "a)(b", "[", "*", "a**", "a+*", "a*?", "a*??", "a{2}{3}", "a{1001}", "a{2,1}", r"\1", r"\8", r"\07",
        r"\y", r"\ä", r"a\", "(?x)a", "(?u)a", "(?U)a*", "(?=a)", "(?<!a)", "[b-a]", r"[a-\d]", r"\p{", r"\pé",
        r"\p{Foo}", r"\xg1", "[[:no:]]", r"[\d-x]", r"\u0041", r"\C", r"\Z", r"\z", r"a|*", "a||b", "()", "[^]", "[]",
        "[a-]", "{", "a{", "a{x}", "^*",
    ];
    let mut rules: Vec<Value> = patterns.iter().map(|pattern| with("regex", json!(pattern))).collect();
    for action in [
        "replace",
        "keep",
        "drop",
        "keepequal",
        "dropequal",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "no",
    ] {
        rules.extend([
            with("action", json!(action)),
            json!({"action": action, "regex": "a"}),
            json!({"action": action}),
        ]);
        let mut full = with("action", json!(action));
        full["modulus"] = json!(3);
        rules.push(full.clone());
        full["replacement"] = json!("x");
        rules.push(full);
    }
    rules.push(with("separator", json!("-")));
    rules.push(with("replacement", json!("")));
    let file = |rules: &[&Value]| json!({"scrape_configs": [{"job_name": "j", "relabel_configs": rules}]}).to_string();
    let (taken, refused): (Vec<&Value>, Vec<&Value>) = rules.iter().partition(|value| rule(value).is_ok());
    if !is_taken(folder.path(), &file(&taken)) {
        let refused = taken.iter().find(|value| !is_taken(folder.path(), &file(&[**value])));
        panic!("Prometheus refuses {}", refused.expect("one of them"));
    }
    let faults: Vec<_> = refused.iter().filter(|value| is_taken(folder.path(), &file(&[**value]))).collect();
    assert!(faults.is_empty(), "Prometheus takes {faults:?}");
}

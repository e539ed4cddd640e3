//! `/metrics`, what is said about it, and what is made of it: the table in the documentation, the alert rules with their
//! runbooks and tests, the dashboard.

mod monitoring;
mod scrape;
mod stepped;
mod table;
mod webhook;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use alertmanager_cachet::cachet::CallObserver as _;
use alertmanager_cachet::clock;
use alertmanager_cachet::metrics::Metrics;
use alertmanager_cachet::metrics::catalogue::DEFINITIONS;

/// A file of the repository.
fn file(path: &str) -> String {
    let path = path_of(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn path_of(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The metrics of the process, which the library defines.
const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_threads",
    "process_virtual_memory_bytes",
];

/// What the server says after a first call to Cachet.
static SAID: LazyLock<String> = LazyLock::new(|| {
    let metrics = Metrics::default();
    metrics.called("GET", "/components", Ok(200), Duration::ZERO);
    metrics.text(clock::now()).expect("a text")
});

/// What kind of metric one of ours is. One that is not there yet is a gauge whose value is not known yet.
fn kind_of(name: &str) -> &'static str {
    SAID.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap_or("gauge")
}

/// Every name that a query may use.
fn series_names() -> Vec<String> {
    let ours = DEFINITIONS.iter().flat_map(|definition| match kind_of(definition.name) {
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", definition.name)).to_vec(),
        _ => vec![definition.name.to_owned()],
    });
    ours.chain(PROCESS.iter().map(|name| (*name).to_owned())).collect()
}

/// The names in a query that begin as ours or the process's do and are no metric.
fn unknown_names(query: &str) -> Vec<String> {
    let names = series_names();
    let words = query.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let metrics = words.filter(|word| word.starts_with("alertmanager_cachet_") || word.starts_with("process_"));
    metrics.filter(|word| !names.iter().any(|name| name == word)).map(str::to_owned).collect()
}

/// What Prometheus itself gives a series, and a histogram its buckets.
const LABELS_OF_EVERY_METRIC: &[&str] = &["instance", "job", "le"];

/// The labels, and values of labels, in a query that its metrics do not have.
fn unknown_labels(query: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    for (place, _) in query.match_indices("alertmanager_cachet_") {
        let rest = &query[place..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end_of| rest[..end].strip_suffix(end_of));
        let definition = DEFINITIONS.iter().find(|known| known.name == &rest[..end] || Some(known.name) == name);
        let matchers = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(inside, _)| inside);
        for matcher in matchers.unwrap_or_default().split(',').filter(|matcher| !matcher.trim().is_empty()) {
            let (label, value) = matcher.split_once('=').expect("label and value");
            let label = label.trim().trim_end_matches('!');
            let known = definition.and_then(|known| known.labels.iter().find(|known| known.name == label));
            let values: Vec<&str> = value.trim_matches(['~', '"', ' ']).split('|').collect();
            match known {
                None if LABELS_OF_EVERY_METRIC.contains(&label) => {}
                None => unknown.push(label.to_owned()),
                Some(known) if known.values.is_empty() => {}
                Some(known) => {
                    unknown.extend(values.into_iter().filter(|value| !known.values.contains(value)).map(str::to_owned));
                }
            }
        }
    }
    let all: Vec<&str> = DEFINITIONS.iter().flat_map(|definition| definition.labels).map(|label| label.name).collect();
    for aggregation in ["by (", "without ("] {
        let lists = query.split(aggregation).skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let labels = lists.flat_map(|list| list.split(',')).map(str::trim);
        unknown.extend(
            labels.filter(|label| !all.contains(label) && !LABELS_OF_EVERY_METRIC.contains(label)).map(str::to_owned),
        );
    }
    unknown
}

#[test]
fn a_misspelt_label_in_a_query_is_found() {
    for (query, unknown) in [
        (r#"sum by (resullt) (alertmanager_cachet_reconciles_total{result=~"complete|incomplete"})"#, "resullt"),
        (r#"alertmanager_cachet_reconciles_total{result=~"complete|incomplet"}"#, "incomplet"),
        (r#"alertmanager_cachet_targets{instance="a", owner!="ours"}"#, "owner"),
        (
            r#"rate(alertmanager_cachet_store_operation_duration_seconds_bucket{operation="recrod", le="1"}[5m])"#,
            "recrod",
        ),
    ] {
        assert_eq!(unknown_labels(query), [unknown], "{query}");
    }
}

#[test]
fn a_misspelt_metric_in_a_query_is_found() {
    let query = "sum(rate(alertmanager_cachet_notification_total[5m])) / alertmanager_cachet_targets";
    assert_eq!(unknown_names(query), ["alertmanager_cachet_notification_total"]);
    assert_eq!(
        unknown_names("alertmanager_cachet_reconcile_duration_seconds"),
        ["alertmanager_cachet_reconcile_duration_seconds"]
    );
}

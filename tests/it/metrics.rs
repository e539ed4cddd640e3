//! `/metrics`, what is said about it, and what is made of it: the table in the documentation, the alert rules with their
//! runbooks and tests, the dashboard.

mod monitoring;
mod scrape;
mod stepped;
mod table;
mod webhook;

use std::fs;
use std::path::{Path, PathBuf};

use alertmanager_cachet::metrics::{DEFINITIONS, Kind};

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

/// Every name that a query may use.
fn series_names() -> Vec<String> {
    let ours = DEFINITIONS.iter().flat_map(|definition| match definition.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", definition.name)).to_vec(),
        Kind::Counter | Kind::Gauge => vec![definition.name.to_owned()],
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

#[test]
fn a_misspelt_metric_in_a_query_is_found() {
    let query = "sum(rate(alertmanager_cachet_notification_total[5m])) / alertmanager_cachet_targets";
    assert_eq!(unknown_names(query), ["alertmanager_cachet_notification_total"]);
    assert_eq!(
        unknown_names("alertmanager_cachet_reconcile_duration_seconds"),
        ["alertmanager_cachet_reconcile_duration_seconds"]
    );
}

//! `docs/metrics.md` and the code say the same.

use std::collections::BTreeSet;

use alertmanager_cachet::metrics::catalogue::{DEFINITIONS, Definition, Label};

use super::{PROCESS, file, kind_of};

/// A row as the table has to have it.
fn row(definition: &Definition) -> String {
    let label = |label: &Label| match label.values {
        [] => format!("`{}`", label.name),
        values => format!("`{}`: {}", label.name, values.join(", ")),
    };
    let labels: Vec<String> = definition.labels.iter().map(label).collect();
    format!("| `{}` | {} | {} | {} |", definition.name, kind_of(definition.name), labels.join("; "), definition.help)
}

#[test]
fn every_metric_stands_in_the_documentation_as_it_is_defined() {
    let text = file("docs/metrics.md");
    let rows: BTreeSet<&str> = text.lines().collect();
    let missing: Vec<String> = DEFINITIONS.iter().map(row).filter(|row| !rows.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks these rows:\n{}", missing.join("\n"));
}

#[test]
fn every_metric_in_the_documentation_exists() {
    let text = file("docs/metrics.md");
    let named = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name);
    let known: BTreeSet<&str> = DEFINITIONS.iter().map(|definition| definition.name).chain(PROCESS.to_vec()).collect();
    let named: Vec<&str> = named.collect();
    let documented: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(documented, known);
    assert_eq!(named.len(), known.len(), "a metric has two rows");
}

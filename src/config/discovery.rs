//! `file_sd_configs`: the files in which Prometheus looks for more targets.

use std::path::{Path, PathBuf};

use super::block;
use super::file::{Unreadable, read_text};
use super::report::{Place, Report, Severity};
use super::targets::{Found, form_of};
use super::tree::{Node, Value, parse};

/// The most files that one pattern may name; those beyond it are not read, which is a problem.
const FILES_PER_PATTERN: usize = 1000;

/// Reads every file that the list of discoveries names. `targets_file`: patterns are relative to its folder.
pub(super) fn read_list(discoveries: &Value<'_>, targets_file: &Path, found: &mut Found, report: &mut Report) {
    for discovery in discoveries.list(report).unwrap_or_default() {
        let Some(map) = discovery.map(report) else { continue };
        let Some(patterns) = map.get_filled("files") else {
            report.degraded(map.place.key("files"), "is missing: name the files, or remove the entry");
            continue;
        };
        for pattern in patterns.list(report).unwrap_or_default() {
            for path in files_of(&pattern, targets_file, report) {
                read_file(&path, found, report);
            }
        }
    }
}

/// The files that a pattern names, in order.
fn files_of(pattern: &Value<'_>, targets_file: &Path, report: &mut Report) -> Vec<PathBuf> {
    let Some(text) = pattern.text(report) else { return Vec::new() };
    let mut files = match matches(text, targets_file) {
        Ok(files) => files,
        Err(error) => {
            pattern.problem(format!("is no pattern of file names ({error}): correct it"), report);
            return Vec::new();
        }
    };
    if files.is_empty() && is_wildcard(text) {
        report.remark(pattern.place.clone(), format!("{text:?} matches no file"));
    } else if files.is_empty() {
        pattern.problem(
            format!(
                "there is no file {text:?}, so its targets are unknown: create it, or correct the name (it is relative \
                 to the folder of {targets_file:?})"
            ),
            report,
        );
    }
    if files.len() > FILES_PER_PATTERN {
        pattern.problem(
            format!("names {} files, and only the first {FILES_PER_PATTERN} are read: use fewer", files.len()),
            report,
        );
        files.truncate(FILES_PER_PATTERN);
    }
    files
}

fn matches(pattern: &str, targets_file: &Path) -> Result<Vec<PathBuf>, glob::PatternError> {
    let folder = targets_file.parent().unwrap_or(Path::new("")).to_string_lossy();
    let pattern = match (Path::new(pattern).is_absolute() || folder.is_empty(), &folder) {
        (true, _) => pattern.to_owned(),
        (false, folder) => format!("{}/{pattern}", glob::Pattern::escape(folder)),
    };
    // A folder on the way that cannot be listed hides its files; a pattern that then names nothing is reported.
    Ok(glob::glob(&pattern)?.filter_map(Result::ok).collect())
}

fn is_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn read_file(path: &Path, found: &mut Found, report: &mut Report) {
    let place = Place::file(path.display().to_string());
    let text = match read_text(path) {
        Ok(text) => text,
        Err(Unreadable::Absent) => return report.degraded(place, "is gone: create it, or remove its name"),
        Err(Unreadable::Fault(fault)) => return report.degraded(place, fault),
    };
    match parse(&text, form_of(path), &place, Severity::Degraded, report) {
        None => {}
        Some(Node::Null) => report.remark(place, "is empty, so it names no targets"),
        Some(node) => block::read_list(&Value::root(&node, place, Severity::Degraded), found, report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Form;

    #[test]
    fn no_more_files_are_read_than_the_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..=FILES_PER_PATTERN {
            let block = format!(
                r#"[{{"targets": ["host-{number}:1"],
                     "labels": {{"status_page_alert": true, "status_page_component": "Database"}}}}]"#
            );
            std::fs::write(folder.path().join(format!("{number}.json")), block).expect("written");
        }
        let (mut found, mut report) = (Found::default(), Report::default());
        let place = Place::file("prometheus.yml");
        let list = parse("[{files: ['*.json']}]", Form::Yaml, &place, Severity::Fatal, &mut report).expect("a list");
        let list = Value::root(&list, place, Severity::Degraded);
        read_list(&list, &folder.path().join("prometheus.yml"), &mut found, &mut report);
        assert_eq!(found.targets.len(), FILES_PER_PATTERN);
        let messages: Vec<&str> = report.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["names 1001 files, and only the first 1000 are read: use fewer"]);
    }
}

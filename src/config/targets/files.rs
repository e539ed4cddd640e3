//! The files that patterns of `file_sd_configs` and `scrape_config_files` name.

use std::path::{Path, PathBuf};

use crate::config::tree::{Node, Value};
use crate::core::target::excerpt;

/// The most files that one pattern may name; those beyond it are not read, which is a problem.
pub(super) const FILES_PER_PATTERN: usize = 1000;

/// The pattern of the name in a pattern of files that the Ansible role makes, and the name itself if it is that of one file.
pub(super) fn file_of_role(pattern: &Value<'_>) -> Option<(glob::Pattern, Option<String>)> {
    let Node::Text(text) = pattern.node else { return None };
    let (folder, name) = text.rsplit_once('/')?;
    if folder != "file_sd" && !folder.ends_with("/file_sd") {
        return None;
    }
    let plain = (!name.contains(['*', '?', '['])).then(|| name.to_owned());
    Some((glob::Pattern::new(&translated(name)).ok()?, plain))
}

/// A pattern of Go's `filepath.Match` in the syntax of the `glob` crate, where `**` goes into folders and `!` negates.
fn translated(pattern: &str) -> String {
    let mut text = pattern.replace("[^", "[!");
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    text
}

/// Why Prometheus refuses a pattern of `file_sd_configs`, and the cure.
pub(super) fn fault_of_pattern(pattern: &Value<'_>) -> Option<String> {
    const EXTENSIONS: [&str; 6] = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let Node::Text(text) = pattern.node else { return None };
    let has_extension = EXTENSIONS.iter().any(|extension| text.ends_with(extension));
    let after_star = text.split_once('*').map_or("", |(_, rest)| rest);
    if has_extension && !after_star.contains(['*', '/']) {
        return None;
    }
    Some(format!(
        "is {:?}, and Prometheus takes only names of .json, .yml and .yaml files with at most one *, in the last part: \
         correct it",
        excerpt(text)
    ))
}

/// What is wrong with a JSON file of `file_sd_configs`, for which Prometheus drops the whole file: in JSON it takes only
/// texts, and no other keys.
pub(super) fn fault_of_json<'v>(blocks: &Value<'v>) -> Option<(Value<'v>, String)> {
    let fault = |value: Value<'v>, what: &str, cure: &str| {
        Some((value, format!("{what}, and Prometheus then drops the whole JSON file: {cure}")))
    };
    let no_text = |value: &Value<'v>| !matches!(value.node, Node::Text(_));
    for block in blocks.each() {
        for (key, value) in block.entries() {
            let inner: Vec<Value<'v>> = match key {
                "targets" => value.items(),
                "labels" => value.entries().into_iter().map(|(_, value)| value).collect(),
                _ => return fault(value, "is no key of a file of file_sd_configs", "remove it"),
            };
            if let Some(value) = inner.into_iter().find(no_text) {
                return fault(value, "is no text", "put it in quotes");
            }
        }
    }
    None
}

/// The files that a pattern names, in order, relative to the folder of `file`.
pub(super) fn files_of(pattern: &Value<'_>, file: &Path) -> Option<Vec<PathBuf>> {
    let text = pattern.text()?;
    let folder = file.parent().unwrap_or(Path::new("")).to_string_lossy();
    let text = &translated(text);
    let absolute = if Path::new(text).is_absolute() || folder.is_empty() {
        text.to_owned()
    } else {
        format!("{}/{text}", glob::Pattern::escape(&folder))
    };
    let found = glob::glob(&absolute);
    let found = found.map_err(|error| pattern.problem(format!("is no pattern of file names ({error}): correct it")));
    // A folder on the way that cannot be listed hides its files; a pattern that then names nothing is reported.
    let mut files: Vec<PathBuf> = found.ok()?.filter_map(Result::ok).collect();
    if files.len() > FILES_PER_PATTERN {
        pattern.problem(format!(
            "names {} files, and only the first {FILES_PER_PATTERN} are read: use fewer",
            files.len()
        ));
        files.truncate(FILES_PER_PATTERN);
    }
    Some(files)
}

/// Reports that a pattern of `file_sd_configs` in `file` names no file.
pub(super) fn report_absent(pattern: &Value<'_>, file: &Path) {
    let Node::Text(text) = pattern.node else { return };
    if text.contains(['*', '?', '[']) {
        pattern.remark(format!("{text:?} matches no file"));
    } else if Path::new(text).is_absolute() {
        pattern.problem(format!(
            "there is no file {text:?}, so its targets are unknown: create it there (in a container: mount it), or write \
             the name relative to the folder of {file:?}"
        ));
    } else {
        pattern.problem(format!(
            "there is no file {text:?}, so its targets are unknown: create it, or correct the name (it is relative \
                 to the folder of {file:?})"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_to_go() {
        for (pattern, matching, other) in [("[^_]*.yml", "on.yml", "_off.yml"), ("**.yml", "node.yml", "node.json")] {
            let compiled = glob::Pattern::new(&translated(pattern)).expect("a pattern");
            assert!(compiled.matches(matching) && !compiled.matches(other), "{pattern}");
        }
    }
}

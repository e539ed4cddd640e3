//! The targets file, in both forms in the wild: the Ansible role's `prometheus_targets`, and Prometheus' own
//! `scrape_configs` with `static_configs` and `file_sd_configs`. It is somebody else's file, so what is not ours in it
//! is left alone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Groups;
use super::report::{Place, Report, Severity, counted, did_you_mean};
use super::tree::{Form, Node, Value, read_file};
use crate::core::target::{
    ComponentList, ComponentName, Inventory, InventorySource, KnownTarget, NAME_LIMIT, Target, TargetName, excerpt,
};

/// The label that makes a target ours.
const ALERT: &str = "status_page_alert";
/// The label that names the components that a target feeds.
const COMPONENT: &str = "status_page_component";
/// The label that makes a target critical.
const CRITICAL: &str = "status_page_critical_target";
/// The label by which Prometheus knows a target; its address, unless the labels say otherwise.
const INSTANCE: &str = "instance";

/// What the names of our labels begin with, without what is easily mistaken; another label that begins so is a typo.
const OUR_PREFIX: &str = "statuspage";

/// The most files that one pattern may name; those beyond it are not read, which is a problem.
const FILES_PER_PATTERN: usize = 1000;

/// What is read of a targets file, and of the files that it names.
struct Reader<'a> {
    /// The targets file. Patterns of `file_sd_configs` are relative to its folder.
    path: &'a Path,
    report: &'a RefCell<Report>,
    /// Every target of ours, as often as it is named, and where.
    targets: Vec<(KnownTarget, Place)>,
    /// Every component that a label names.
    components: BTreeMap<ComponentName, Mentions>,
    /// The addresses without a port that name a target, and where.
    portless: Vec<(String, Place)>,
    /// Whether there may be targets of ours that no file names.
    unseen: bool,
}

/// Where labels name a component.
struct Mentions {
    first: Place,
    /// How many labels do.
    times: usize,
    /// How many other components were named before.
    order: usize,
}

/// Reads the targets file at `path`; `None` if it is no targets file. What is wrong goes into the report, also that its
/// components are not those of `groups`.
pub(super) fn read(path: &Path, groups: Option<&Groups>, report: &RefCell<Report>) -> Option<Inventory> {
    let if_absent = "does not exist: create it, or correct --targets.file (TARGETS_FILE)";
    let node = read_file(path, form_of(path), Severity::Fatal, if_absent, report)?;
    let root = Value::root(&node, path, Severity::Fatal, report).map()?;
    let (ansible, prometheus) = (root.get_filled("prometheus_targets"), root.get_filled("scrape_configs"));
    if ansible.is_none() && prometheus.is_none() {
        return root.refuse("has neither scrape_configs nor prometheus_targets: check that it is the right file");
    }
    if let (Some(_), Some(jobs)) = (&ansible, &prometheus) {
        jobs.remark("stands beside prometheus_targets, and both are read");
    }
    let mut reader =
        Reader { path, report, targets: vec![], components: BTreeMap::new(), portless: vec![], unseen: false };
    let problems_before = report.borrow().problems.len();
    if let Some(jobs) = ansible {
        for (_, job) in jobs.map()?.entries().into_iter().filter(|(_, job)| *job.node != Node::Null) {
            reader.read_blocks(&job.degraded());
        }
    }
    if let Some(jobs) = prometheus {
        for job in jobs.list()? {
            reader.read_job(&job.degraded());
        }
    }
    if let Some(files) = root.get_filled("scrape_config_files") {
        reader.unseen = true;
        files.remark("is not read: its targets are known only while they alert");
    }
    if reader.targets.is_empty() && !reader.unseen && report.borrow().problems.len() == problems_before {
        root.degraded().problem(
            "no target has the label status_page_alert: true, so nothing is watched: label the targets that count \
             (prometheus.yml.example shows how)",
        );
    }
    if let Some(groups) = groups {
        reader.compare_components(groups, &root.place);
    }
    reader.remark_repetitions(&root.place);
    // Prometheus before 3.0 gives an address without a port one, in the label `instance` too.
    if let Some((address, place)) = reader.portless.first() {
        let others = match reader.portless.len() - 1 {
            0 => String::new(),
            others => format!(" (likewise in {})", counted(others, "other place")),
        };
        let message = format!(
            "{:?} has no port{others}, and Prometheus before 3.0 adds :80 or :443 to the label instance, by which alerts \
             name the target: write the port, or set the label instance",
            excerpt(address)
        );
        report.borrow_mut().add(Severity::Remark, place.clone(), message);
    }
    Some(Inventory::new(InventorySource::File, reader.targets.into_iter().map(|(target, _)| target)))
}

/// JSON where the name says so; YAML otherwise, as Prometheus reads it.
fn form_of(path: &Path) -> Form {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("json") => Form::Json,
        _ => Form::Yaml,
    }
}

impl Reader<'_> {
    /// One entry of `scrape_configs`.
    fn read_job(&mut self, job: &Value<'_>) -> Option<()> {
        let job = job.map()?;
        let (targets_before, portless_before) = (self.targets.len(), self.portless.len());
        if let Some(blocks) = job.get_filled("static_configs") {
            self.read_blocks(&blocks);
        }
        if let Some(discoveries) = job.get_filled("file_sd_configs") {
            for discovery in discoveries.list().unwrap_or_default() {
                self.read_discovery(&discovery);
            }
        }
        for (key, value) in job.entries() {
            if key.ends_with("_sd_configs") && key != "file_sd_configs" {
                self.unseen = true;
                value.remark("finds targets that no file names: they are known only while they alert");
            }
        }
        let has_targets = self.targets.len() > targets_before;
        for rules in ["relabel_configs", "metric_relabel_configs"] {
            for rule in job.get_filled(rules).map(|rules| rules.items()).unwrap_or_default() {
                // Rules of a wrong form are Prometheus' business.
                let Some(Node::Text(label)) = rule.get("target_label").map(|label| label.node) else { continue };
                // They may change a label of ours behind the file's back, or the one that names the target.
                if ![INSTANCE, ALERT, COMPONENT, CRITICAL].contains(&label.as_str()) {
                    continue;
                }
                if label == INSTANCE {
                    self.portless.truncate(portless_before);
                    // The usual rules for the blackbox exporter make the label what stands in the file.
                    let sources = rule.get("source_labels").map(|sources| sources.items()).unwrap_or_default();
                    let is_address = matches!(sources.as_slice(), [Value { node: Node::Text(source), .. }]
                        if matches!(source.as_str(), "__address__" | "__param_target"));
                    let is_copy = |(key, _): (&str, _)| matches!(key, "source_labels" | "target_label");
                    if !has_targets || is_address && rule.entries().into_iter().all(is_copy) {
                        continue;
                    }
                }
                self.unseen = true;
                rule.remark(format!(
                    "sets the label {label}, so this file alone cannot tell what an alert will carry: prefer to \
                         set it under `labels`"
                ));
            }
        }
        Some(())
    }

    /// One entry of `file_sd_configs`: the files in which Prometheus looks for more targets.
    fn read_discovery(&mut self, discovery: &Value<'_>) -> Option<()> {
        let map = discovery.map()?;
        let patterns = map.required("files", "is missing: name the files, or remove the entry")?;
        for pattern in patterns.list()? {
            for path in files_of(&pattern, self.path).unwrap_or_default() {
                let if_absent = "is gone: create it, or remove its name";
                let node = read_file(&path, form_of(&path), Severity::Degraded, if_absent, self.report);
                let Some(node) = node else { continue };
                let blocks = Value::root(&node, &path, Severity::Degraded, self.report);
                if node == Node::Null {
                    blocks.remark("is empty, so it names no targets");
                } else {
                    self.read_blocks(&blocks);
                }
            }
        }
        Some(())
    }

    /// A list of targets with their labels, `{targets: […], labels: {…}}`, which both forms of the targets file and the
    /// files of `file_sd_configs` have in common.
    fn read_blocks(&mut self, blocks: &Value<'_>) {
        for block in blocks.list().unwrap_or_default() {
            self.read_block(&block);
        }
    }

    /// `None` where it has no targets of ours, or none that can be used.
    fn read_block(&mut self, block: &Value<'_>) -> Option<()> {
        let block = block.map()?;
        let labels = block.get_filled("labels")?.map()?;
        let ours = [ALERT, COMPONENT, CRITICAL];
        for (label, value) in labels.entries().into_iter().filter(|(label, _)| !ours.contains(label)) {
            if label.to_lowercase().replace(['_', '-'], "").starts_with(OUR_PREFIX) {
                let cure = did_you_mean(label, ours, "remove it");
                value.problem(format!("is no label of ours: {cure}"));
            }
        }
        let Some(alert) = labels.get_filled(ALERT) else {
            if let Some(component) = labels.get_filled(COMPONENT) {
                component.remark("counts for nothing without status_page_alert: true beside it");
            }
            return None;
        };
        truth(&alert).filter(|is_ours| *is_ours)?;
        let components = self.components(&labels);
        let critical = labels.get_filled(CRITICAL).and_then(|value| truth(&value)).unwrap_or(false);
        let addresses = block.required("targets", "is missing, so the labels label nothing: add the addresses")?;
        let mut usable: Vec<(&str, Value<'_>)> = Vec::new();
        for value in addresses.list()? {
            match value.text() {
                Some(text) if text.contains("{{") => value.problem(
                    "is a template that Ansible would fill in: write the address, or use the file that the role writes \
                     for Prometheus",
                ),
                Some(text) => usable.push((text, value)),
                None => {}
            }
        }
        let components = components?;
        let Some(label) = labels.get_filled(INSTANCE).filter(|label| *label.node != Node::Text(String::new())) else {
            for (address, value) in usable {
                let Some(target) = target(address, &components, &value) else { continue };
                self.targets.push((KnownTarget { target, critical }, value.place.clone()));
                if !address.contains([':', '/']) {
                    self.portless.push((address.to_owned(), value.place));
                }
            }
            return Some(());
        };
        if usable.is_empty() {
            return None;
        }
        let target = target(label.text()?, &components, &label)?;
        self.targets.push((KnownTarget { target, critical }, label.place.clone()));
        if usable.len() > 1 {
            label.remark(format!("is the same for {} addresses, which makes them one target", usable.len()));
        }
        Some(())
    }

    /// The components that the label names, of which there is at least one.
    fn components(&mut self, labels: &Value<'_>) -> Option<Arc<[ComponentName]>> {
        let missing = "is missing, so these targets feed nothing: name the components, separated by commas";
        let value = labels.required(COMPONENT, missing)?;
        let list = ComponentList::parse(value.text()?);
        for error in &list.rejected {
            value.problem(error.to_string());
        }
        if list.names.is_empty() && list.rejected.is_empty() {
            value.problem("is empty: name the components, separated by commas");
        }
        for name in &list.names {
            let order = self.components.len();
            let mentions = self.components.entry(name.clone());
            mentions.or_insert_with(|| Mentions { first: value.place.clone(), times: 0, order }).times += 1;
        }
        (!list.names.is_empty()).then(|| list.names.into())
    }

    /// Every component that a label names must be in a group, and should be fed by a target if it is.
    fn compare_components(&mut self, groups: &Groups, file: &Place) {
        let mut strangers: Vec<_> =
            self.components.iter().filter(|(name, _)| !groups.components.contains_key(name)).collect();
        strangers.sort_by_key(|(_, mentions)| mentions.order);
        for (name, mentions) in strangers {
            let known = groups.components.keys().map(ComponentName::as_str);
            let cure = did_you_mean(name.as_str(), known, "add it to a group in groups_configuration");
            let more = match mentions.times {
                1 => String::new(),
                times => format!(" (named in {times} places)"),
            };
            let message = format!("component {:?} is in no group{more}: {cure}", excerpt(name.as_str()));
            self.report.borrow_mut().add(Severity::Degraded, mentions.first.clone(), message);
        }
        for name in groups.usable.iter().flat_map(|group| &group.components) {
            if let Some(place) = groups.components.get(name)
                && !self.components.contains_key(name)
            {
                let message = format!(
                    "no target of {} feeds component {:?}, so it is operational unless an alert names it",
                    file.file,
                    excerpt(name.as_str())
                );
                self.report.borrow_mut().add(Severity::Remark, place.clone(), message);
            }
        }
    }

    /// A target that is named twice counts once; that is harmless unless the two disagree.
    fn remark_repetitions(&mut self, file: &Place) {
        let mut first: BTreeMap<TargetName, &(KnownTarget, Place)> = BTreeMap::new();
        let mut repeated: BTreeSet<TargetName> = BTreeSet::new();
        for mention in &self.targets {
            let (target, place) = mention;
            let name = target.target.name();
            let Some((earlier, earlier_place)) = first.get(&name) else {
                first.insert(name, mention);
                continue;
            };
            if earlier.critical != target.critical {
                let is_same_file = earlier_place.file == place.file;
                let earlier = if is_same_file { &earlier_place.path } else { &earlier_place.to_string() };
                let message = format!(
                    "target {:?} is critical in one place and not in the other ({earlier}), and counts as critical: give \
                     both the same status_page_critical_target",
                    excerpt(name.as_str())
                );
                self.report.borrow_mut().add(Severity::Degraded, place.clone(), message);
            }
            repeated.insert(name);
        }
        if let Some(example) = repeated.first() {
            let (count, verb) = (counted(repeated.len(), "target"), if repeated.len() == 1 { "is" } else { "are" });
            let example = excerpt(example.as_str());
            let message = format!("{count} {verb} named more than once and counted once, for example {example:?}");
            self.report.borrow_mut().add(Severity::Remark, file.clone(), message);
        }
    }
}

/// The files that a pattern names, in order.
fn files_of(pattern: &Value<'_>, targets_file: &Path) -> Option<Vec<PathBuf>> {
    let text = pattern.text()?;
    let folder = targets_file.parent().unwrap_or(Path::new("")).to_string_lossy();
    let absolute = if Path::new(text).is_absolute() || folder.is_empty() {
        text.to_owned()
    } else {
        format!("{}/{text}", glob::Pattern::escape(&folder))
    };
    let found = glob::glob(&absolute);
    let found = found.map_err(|error| pattern.problem(format!("is no pattern of file names ({error}): correct it")));
    // A folder on the way that cannot be listed hides its files; a pattern that then names nothing is reported.
    let mut files: Vec<PathBuf> = found.ok()?.filter_map(Result::ok).collect();
    if files.is_empty() && text.contains(['*', '?', '[']) {
        pattern.remark(format!("{text:?} matches no file"));
    } else if files.is_empty() {
        pattern.problem(format!(
            "there is no file {text:?}, so its targets are unknown: create it, or correct the name (it is relative \
                 to the folder of {targets_file:?})"
        ));
    }
    if files.len() > FILES_PER_PATTERN {
        pattern.problem(format!(
            "names {} files, and only the first {FILES_PER_PATTERN} are read: use fewer",
            files.len()
        ));
        files.truncate(FILES_PER_PATTERN);
    }
    Some(files)
}

/// A truth value, or its text form as Prometheus makes labels of it; anything else is a problem.
fn truth(value: &Value<'_>) -> Option<bool> {
    match value.node {
        Node::Bool(truth) => Some(*truth),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        Node::Text(text) => value.refuse(format!("is {:?}, must be true or false: write one of them", excerpt(text))),
        _ => value.wrong_type("true or false", "write one of them"),
    }
}

/// The target of that instance, if Cachet can have a component for it.
fn target(instance: &str, components: &Arc<[ComponentName]>, place: &Value<'_>) -> Option<Target> {
    let problem = if let Some(character) = instance.chars().find(|&c| c == '|' || c.is_control()) {
        let instance = excerpt(instance);
        format!("instance {instance:?} contains {character:?}, which no target's name may: leave it out")
    } else if let Some(target) = Target::new(instance, Arc::clone(components)) {
        let name = target.name();
        if name.fits_cachet() {
            return Some(target);
        }
        format!(
            "makes the name {:?} of {} characters, and Cachet takes at most {NAME_LIMIT}: shorten the instance, or name \
             fewer components",
            excerpt(name.as_str()),
            name.as_str().chars().count()
        )
    } else {
        "is empty: write an address, as in host:port".to_owned()
    };
    place.refuse(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let targets_file = folder.path().join("prometheus.yml");
        std::fs::write(&targets_file, "scrape_configs: [{file_sd_configs: [{files: ['*.json']}]}]").expect("written");
        let report = RefCell::default();
        let inventory = read(&targets_file, None, &report).expect("targets");
        assert_eq!(inventory.len(), FILES_PER_PATTERN);
        let report: Report = report.into_inner();
        let messages: Vec<&str> = report.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["names 1001 files, and only the first 1000 are read: use fewer"]);
    }
}

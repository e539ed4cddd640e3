//! The targets file, in both forms in the wild: the Ansible role's `prometheus_targets`, and Prometheus' own
//! `scrape_configs` with `static_configs` and `file_sd_configs`. It is somebody else's file, so what is not ours in it
//! is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::block;
use super::discovery;
use super::report::{Place, Report, Severity, counted};
use super::tree::{Form, Map, Node, Value, parse_filled};
use crate::core::target::{ComponentName, Inventory, InventorySource, KnownTarget, TargetName, excerpt};

/// Labels of ours that a job's relabelling may change behind the file's back, and `instance`, which names the target.
const LABELS_THAT_MATTER: &[&str] = &[block::INSTANCE, block::ALERT, block::COMPONENT, block::CRITICAL];

/// What a targets file, and the files that it names, say about targets of ours.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Every target, as often as it is named, and where.
    pub targets: Vec<(KnownTarget, Place)>,
    /// Every component that a label names.
    pub components: BTreeMap<ComponentName, Mentions>,
    /// The addresses without a port that name a target, and where.
    pub portless: Vec<(String, Place)>,
    /// Whether there may be targets of ours that no file names.
    pub unseen: bool,
}

/// Where labels name a component.
#[derive(Debug)]
pub(super) struct Mentions {
    /// The first of them.
    pub first: Place,
    /// How many labels do.
    pub times: usize,
    /// How many other components were named before.
    pub order: usize,
}

impl Found {
    /// Notes that the label at `place` names a component.
    pub(super) fn mention(&mut self, component: &ComponentName, place: &Place) {
        let order = self.components.len();
        let mentions = self.components.entry(component.clone());
        mentions.or_insert_with(|| Mentions { first: place.clone(), times: 0, order }).times += 1;
    }

    /// The targets, each once; what is wrong with their repetitions goes into the report.
    pub(super) fn into_inventory(self, file: &Place, report: &mut Report) -> Inventory {
        report_repetitions(&self.targets, file, report);
        remark_portless(&self.portless, report);
        Inventory::new(InventorySource::File, self.targets.into_iter().map(|(target, _)| target))
    }
}

/// Reads the text of the targets file at `path`; `None` if it is no targets file. What is wrong goes into the report.
pub(super) fn read(text: &str, path: &Path, place: &Place, report: &mut Report) -> Option<Found> {
    let form = form_of(path);
    let node = parse_filled(text, form, place, Severity::Fatal, report)?;
    let root = Value::root(&node, place.clone(), Severity::Fatal).map(report)?;
    let (ansible, prometheus) = (root.get_filled("prometheus_targets"), root.get_filled("scrape_configs"));
    if ansible.is_none() && prometheus.is_none() {
        report
            .fatal(place.clone(), "has neither scrape_configs nor prometheus_targets: check that it is the right file");
        return None;
    }
    if let (Some(_), Some(jobs)) = (&ansible, &prometheus) {
        report.remark(jobs.place.clone(), "stands beside prometheus_targets, and both are read");
    }
    let problems_before = report.problems.len();
    let mut found = Found::default();
    if let Some(jobs) = ansible {
        read_ansible_jobs(&jobs.map(report)?, &mut found, report);
    }
    if let Some(jobs) = prometheus {
        for job in jobs.list(report)? {
            read_prometheus_job(&job.degraded(), path, &mut found, report);
        }
    }
    if root.get_filled("scrape_config_files").is_some() {
        found.unseen = true;
        report.remark(place.key("scrape_config_files"), "is not read: its targets are known only while they alert");
    }
    if found.targets.is_empty() && !found.unseen && report.problems.len() == problems_before {
        report.degraded(
            place.clone(),
            "no target has the label status_page_alert: true, so nothing is watched: label the targets that count \
             (prometheus.yml.example shows how)",
        );
    }
    Some(found)
}

/// JSON where the name says so; YAML otherwise, as Prometheus reads it.
pub(super) fn form_of(path: &Path) -> Form {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("json") => Form::Json,
        _ => Form::Yaml,
    }
}

/// `prometheus_targets: {job: [{targets, labels}]}`.
fn read_ansible_jobs(jobs: &Map<'_>, found: &mut Found, report: &mut Report) {
    for (_, job) in jobs.iter().filter(|(_, job)| *job.node() != Node::Null) {
        block::read_list(&job.degraded(), found, report);
    }
}

/// One entry of `scrape_configs`.
fn read_prometheus_job(job: &Value<'_>, path: &Path, found: &mut Found, report: &mut Report) {
    let Some(map) = job.map(report) else { return };
    let (targets_before, portless_before) = (found.targets.len(), found.portless.len());
    if let Some(blocks) = map.get_filled("static_configs") {
        block::read_list(&blocks, found, report);
    }
    if let Some(discoveries) = map.get_filled("file_sd_configs") {
        discovery::read_list(&discoveries, path, found, report);
    }
    remark_unseen_targets(&map, found, report);
    let has_targets = found.targets.len() > targets_before;
    for rules in ["relabel_configs", "metric_relabel_configs"] {
        for (label, rule) in labelling_rules(&map, rules) {
            if label == block::INSTANCE {
                found.portless.truncate(portless_before);
                if !has_targets || copies_the_address(&rule) {
                    continue;
                }
            }
            found.unseen = true;
            report.remark(
                rule.place,
                format!(
                    "sets the label {label}, so this file alone cannot tell what an alert will carry: prefer to set \
                     it under `labels`"
                ),
            );
        }
    }
}

/// Says which targets the file cannot tell.
fn remark_unseen_targets(job: &Map<'_>, found: &mut Found, report: &mut Report) {
    for (key, value) in job.iter() {
        if key.ends_with("_sd_configs") && key != "file_sd_configs" {
            found.unseen = true;
            report.remark(value.place, "finds targets that no file names: they are known only while they alert");
        }
    }
}

/// The rules under `key` that set a label that matters, and which. Rules of a wrong form are Prometheus' business.
fn labelling_rules<'a>(job: &Map<'a>, key: &str) -> Vec<(&'a str, Map<'a>)> {
    let mut ignored = Report::default();
    let rules = job.get_filled(key).and_then(|rules| rules.list(&mut ignored)).unwrap_or_default();
    let labelled = |rule: Value<'a>| {
        let rule = rule.map(&mut ignored)?;
        let label = rule.get("target_label")?.text(&mut ignored)?;
        LABELS_THAT_MATTER.contains(&label).then_some((label, rule))
    };
    rules.into_iter().filter_map(labelled).collect()
}

/// Whether a rule makes the label what stands in the file, as the usual rules for the blackbox exporter do.
fn copies_the_address(rule: &Map<'_>) -> bool {
    let mut ignored = Report::default();
    let sources = rule.get("source_labels").and_then(|sources| sources.list(&mut ignored)).unwrap_or_default();
    let sources: Vec<_> = sources.iter().filter_map(|source| source.text(&mut ignored)).collect();
    matches!(sources.as_slice(), ["__address__" | "__param_target"])
        && rule.iter().all(|(key, _)| matches!(key, "source_labels" | "target_label"))
}

/// Prometheus before 3.0 gives an address without a port one, in the label `instance` too.
fn remark_portless(portless: &[(String, Place)], report: &mut Report) {
    let Some((address, place)) = portless.first() else { return };
    let others = match portless.len() - 1 {
        0 => String::new(),
        others => format!(" (likewise in {})", counted(others, "other place")),
    };
    report.remark(
        place.clone(),
        format!(
            "{:?} has no port{others}, and Prometheus before 3.0 adds :80 or :443 to the label instance, by which alerts \
             name the target: write the port, or set the label instance",
            excerpt(address)
        ),
    );
}

/// A target that is named twice counts once; that is harmless unless the two disagree.
fn report_repetitions(targets: &[(KnownTarget, Place)], file: &Place, report: &mut Report) {
    let mut first: BTreeMap<TargetName, &(KnownTarget, Place)> = BTreeMap::new();
    let mut repeated: BTreeSet<TargetName> = BTreeSet::new();
    for mention in targets {
        let (target, place) = mention;
        let name = target.target.name();
        let Some((earlier, earlier_place)) = first.get(&name) else {
            first.insert(name, mention);
            continue;
        };
        if earlier.critical != target.critical {
            let earlier =
                if earlier_place.file == place.file { &earlier_place.path } else { &earlier_place.to_string() };
            report.degraded(
                place.clone(),
                format!(
                    "target {:?} is critical in one place and not in the other ({earlier}), and counts as \
                     critical: give both the same status_page_critical_target",
                    excerpt(name.as_str())
                ),
            );
        }
        repeated.insert(name);
    }
    if let Some(example) = repeated.first() {
        let (count, verb) = (repeated.len(), if repeated.len() == 1 { "is" } else { "are" });
        let example = excerpt(example.as_str());
        report.remark(
            file.clone(),
            format!(
                "{} {verb} named more than once and counted once, for example {example:?}",
                counted(count, "target")
            ),
        );
    }
}

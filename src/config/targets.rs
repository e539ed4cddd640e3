//! The targets file, in both forms in the wild: the Ansible role's `prometheus_targets`, and Prometheus' own
//! `scrape_configs` with `static_configs` and `file_sd_configs`. It is somebody else's file, so what is not ours in it
//! is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::block;
use super::discovery;
use super::report::{Place, Report, Severity, counted};
use super::tree::{Form, Map, Value, parse};
use crate::core::target::{ComponentName, Inventory, InventorySource, KnownTarget, TargetName};

/// Labels of ours that a job's relabelling may change behind the file's back, and `instance`, which names the target.
const LABELS_THAT_MATTER: &[&str] = &["instance", block::ALERT, block::COMPONENT, block::CRITICAL];

/// What a targets file, and the files that it names, say about targets of ours.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Every target, as often as it is named, and where.
    pub targets: Vec<(KnownTarget, Place)>,
    /// Every component that a label names: where first, and how often.
    pub components: BTreeMap<ComponentName, (Place, usize)>,
}

impl Found {
    /// The targets, each once; what is wrong with their repetitions goes into the report.
    pub fn into_inventory(self, file: &Place, report: &mut Report) -> Inventory {
        report_repetitions(&self.targets, file, report);
        Inventory::new(InventorySource::File, self.targets.into_iter().map(|(target, _)| target))
    }
}

/// Reads the text of the targets file at `path`; `None` if it is no targets file. What is wrong goes into the report.
pub(super) fn read(text: &str, path: &Path, place: &Place, report: &mut Report) -> Option<Found> {
    let form = form_of(path);
    let node = parse(text, form, place, Severity::Fatal, report)?;
    let root = Value::root(&node, place.clone(), Severity::Fatal).map(report)?;
    let (ansible, prometheus) = (root.get_filled("prometheus_targets"), root.get_filled("scrape_configs"));
    if ansible.is_none() && prometheus.is_none() {
        report
            .fatal(place.clone(), "has neither scrape_configs nor prometheus_targets: check that it is the right file");
        return None;
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
        report.remark(place.key("scrape_config_files"), "is not read: its targets are known only while they alert");
    }
    if found.targets.is_empty() && report.problems.len() == problems_before {
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
    for (_, job) in jobs.iter() {
        block::read_list(&job.degraded(), found, report);
    }
}

/// One entry of `scrape_configs`.
fn read_prometheus_job(job: &Value<'_>, path: &Path, found: &mut Found, report: &mut Report) {
    let Some(map) = job.map(report) else { return };
    let targets_before = found.targets.len();
    if let Some(blocks) = map.get_filled("static_configs") {
        block::read_list(&blocks, found, report);
    }
    if let Some(discoveries) = map.get_filled("file_sd_configs") {
        discovery::read_list(&discoveries, path, found, report);
    }
    remark_unseen_targets(&map, report);
    for rules in ["relabel_configs", "metric_relabel_configs"] {
        remark_relabelling(&map, rules, found.targets.len() > targets_before, report);
    }
}

/// Says which targets the file cannot tell.
fn remark_unseen_targets(job: &Map<'_>, report: &mut Report) {
    for (key, value) in job.iter() {
        if key.ends_with("_sd_configs") && key != "file_sd_configs" {
            report.remark(value.place, "finds targets that no file names: they are known only while they alert");
        }
    }
}

/// Says which rules may make a label differ from what the file says. Rules of a wrong form are Prometheus' business.
fn remark_relabelling(job: &Map<'_>, key: &str, has_targets: bool, report: &mut Report) {
    let mut ignored = Report::default();
    let rules = job.get_filled(key).and_then(|rules| rules.list(&mut ignored)).unwrap_or_default();
    for rule in rules {
        let label = rule.map(&mut ignored).and_then(|rule| rule.get("target_label")?.text(&mut ignored));
        let Some(label) = label.filter(|label| LABELS_THAT_MATTER.contains(label)) else { continue };
        if label != "instance" || has_targets {
            report.remark(
                rule.place,
                format!(
                    "sets the label {label}, so this file alone cannot tell what an alert will carry: prefer to \
                         set it under `labels`"
                ),
            );
        }
    }
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
            report.degraded(
                place.clone(),
                format!(
                    "target {:?} is critical in one place and not in the other ({earlier_place}), and counts as \
                     critical: give both the same status_page_critical_target",
                    name.as_str()
                ),
            );
        }
        repeated.insert(name);
    }
    if let Some(example) = repeated.first() {
        let (count, verb) = (repeated.len(), if repeated.len() == 1 { "is" } else { "are" });
        let example = example.as_str();
        report.remark(
            file.clone(),
            format!(
                "{} {verb} named more than once and counted once, for example {example:?}",
                counted(count, "target")
            ),
        );
    }
}

//! The targets file, in all forms in the wild: Prometheus' own `scrape_configs` and `scrape_config_files`, with
//! `static_configs` and `file_sd_configs`, and the Ansible role's `prometheus_targets` and `prometheus_scrape_configs`. It is
//! somebody else's file, so what is not ours in it is left alone.
//!
//! It is evaluated as Prometheus does it. Blocks of targets are collected here, with the place of each value. Their labels go
//! through the rules of their job and those for alerts (`crate::core::scrape`). What the labels then say is read in
//! `watched`, and collected in `mentioned`.

mod mentioned;
mod of_job;
mod relabelling;
mod shapes;
mod watched;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::of_job::OfJob;
use self::relabelling::{Alerts, Job, RulesLeft, report_misplaced};
use self::watched::Watched;
use super::Groups;
use super::report::{Report, Severity, did_you_mean};
use super::tree::{Form, Node, Value, read_file};
use crate::core::target::Inventory;

/// The label that makes a target ours.
const ALERT: &str = "status_page_alert";
/// The label that names the components that a target feeds.
const COMPONENT: &str = "status_page_component";
/// The label that makes a target critical.
const CRITICAL: &str = "status_page_critical_target";
/// The label by which Prometheus knows a target; its address, unless the labels say otherwise.
const INSTANCE: &str = "instance";

/// Our labels.
const OUR_LABELS: [&str; 3] = [ALERT, COMPONENT, CRITICAL];
/// What the names of our labels begin with, without what is easily mistaken; another label that begins so is a typo.
const OUR_PREFIX: &str = "statuspage";

/// The most files that one pattern may name; those beyond it are not read, which is a problem.
const FILES_PER_PATTERN: usize = 1000;

/// The keys of which a targets file has at least one.
const FORMS: &[&str] = &["scrape_configs", "prometheus_targets", "prometheus_scrape_configs", "scrape_config_files"];
/// The keys of a job that are read here, which may be misspelt.
const JOB_KEYS: &[&str] =
    &["static_configs", "file_sd_configs", "relabel_configs", "metric_relabel_configs", "job_name"];
/// Keys that belong elsewhere, where a job has them, or the top of the file.
const NOT_OF_A_JOB: &[(&str, &str)] = &[
    ("targets", "stands in the job, where Prometheus takes none: move it into an entry of static_configs"),
    ("labels", "stands in the job, where Prometheus takes none: move it into an entry of static_configs"),
];
const NOT_AT_THE_TOP: &str = "stands beside scrape_configs, so no job has it: indent it below its job";

/// What there is to say of a value that is a template.
const TEMPLATE: &str = "is a template that Ansible would fill in: write the address, or use the file that the role writes for \
                        Prometheus";
/// The same, of more than an address.
const TEMPLATE_OF_MORE: &str = "is a template that Ansible would fill in: write what it stands for, or use the file that the \
                                role writes for Prometheus";

/// What is read of a targets file, and of the files that it names.
struct Reader<'a> {
    /// The targets file.
    path: &'a Path,
    report: &'a RefCell<Report>,
    /// The section `global`.
    global: Option<Value<'a>>,
    /// The blocks of the Ansible role, by the key for which the role makes a file.
    of_role: Vec<(&'a str, Value<'a>)>,
    watched: Watched<'a>,
    rules_left: RulesLeft,
    /// Whether the jobs that are read are the Ansible role's.
    is_of_role: bool,
    /// Whether there may be targets of ours that no file names.
    unseen: bool,
}

/// Reads the targets file at `path`; `None` if it is no targets file. What is wrong goes into the report, also that its
/// components are not those of `groups`.
pub(super) fn read(path: &Path, groups: Option<&Groups>, report: &RefCell<Report>) -> Option<Inventory> {
    let if_absent = "does not exist: create it, or correct --targets.file (TARGETS_FILE)";
    let node = read_file(path, form_of(path), Severity::Fatal, if_absent, report)?;
    let whole = Value::root(&node, path, Severity::Fatal, report);
    if !FORMS.iter().any(|form| whole.get_filled(form).is_some())
        && let Some(message) = shapes::recognised(&whole)
    {
        return whole.refuse(message);
    }
    let root = whole.map()?;
    let [prometheus, ansible, jobs_of_role, files] =
        [FORMS[0], FORMS[1], FORMS[2], FORMS[3]].map(|form| root.get_filled(form));
    if [&prometheus, &ansible, &jobs_of_role, &files].into_iter().all(Option::is_none) {
        return root.refuse("has neither scrape_configs nor prometheus_targets: check that it is the right file");
    }
    if let (Some(_), Some(jobs)) = (&ansible, &prometheus) {
        jobs.remark("stands beside prometheus_targets, and both are read");
    }
    let problems_before = report.borrow().problems.len();
    let rules_left = RulesLeft::default();
    let alerts = Alerts::read(&root, &rules_left);
    alerts.remark_external();
    let of_role = match &ansible {
        Some(keys) if is_template(keys.node) => return keys.refuse(TEMPLATE_OF_MORE),
        Some(keys) => keys.map()?.entries().into_iter().filter(|(_, blocks)| *blocks.node != Node::Null).collect(),
        None => Vec::new(),
    };
    let global = root.get_filled("global").or_else(|| root.get_filled("prometheus_global"));
    let mut reader = Reader {
        path,
        report,
        global,
        of_role,
        watched: Watched::new(report, alerts),
        rules_left,
        is_of_role: false,
        unseen: false,
    };
    let jobs_of_role = jobs_of_role.map(|jobs| jobs.degraded());
    reader.report_misplaced(&root, prometheus.is_some() || files.is_some());
    reader.read_role(&[prometheus.clone(), jobs_of_role.clone()].into_iter().flatten().collect::<Vec<_>>());
    if let Some(jobs) = prometheus {
        if is_template(jobs.node) {
            return jobs.refuse(TEMPLATE_OF_MORE);
        }
        reader.read_jobs(&jobs.list()?, path);
    }
    if let Some(jobs) = jobs_of_role {
        reader.is_of_role = true;
        reader.read_jobs(&reader.list_of(&jobs), path);
    }
    reader.is_of_role = false;
    if let Some(files) = files {
        reader.read_config_files(&files.degraded());
    }
    if reader.watched.is_empty() && !reader.unseen && report.borrow().problems.len() == problems_before {
        root.degraded().problem(if reader.watched.dropped > 0 {
            "relabelling drops every target with the label status_page_alert: true, so nothing is watched: correct the rules"
        } else {
            "no target has the label status_page_alert: true, so nothing is watched: label the targets that count \
             (prometheus.yml.example shows how)"
        });
    }
    Some(reader.watched.finish(groups, &root.degraded()))
}

/// JSON where the name says so; YAML otherwise, as Prometheus reads it.
fn form_of(path: &Path) -> Form {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("json") => Form::Json,
        _ => Form::Yaml,
    }
}

impl<'a> Reader<'a> {
    /// Keys at the top of the file that only a job may have.
    fn report_misplaced(&self, root: &Value<'a>, has_jobs: bool) {
        let keys = ["static_configs", "file_sd_configs", "relabel_configs", "targets", "labels"]
            .map(|key| (key, NOT_AT_THE_TOP));
        report_misplaced(&root.degraded(), &[], if has_jobs { &keys } else { &[] });
    }

    /// The targets of the Ansible role that none of these jobs reads: they are taken as they stand.
    fn read_role(&mut self, job_lists: &[Value<'a>]) {
        let jobs = job_lists.iter().flat_map(Value::items);
        let discoveries = jobs.filter_map(|job| job.get_filled("file_sd_configs")).flat_map(|list| list.items());
        let patterns =
            discoveries.filter_map(|discovery| discovery.get_filled("files")).flat_map(|files| files.items());
        let read: BTreeSet<&str> = patterns.flat_map(|pattern| self.keys_of(&pattern)).collect();
        let job = Job::unknown();
        let mut of_job = OfJob::default();
        for (key, blocks) in self.of_role.clone() {
            if !read.contains(key) {
                self.read_blocks(&job, &mut of_job, &blocks.degraded(), None);
            }
        }
        of_job.report(&job);
    }

    /// The keys of `prometheus_targets` for which the role makes a file of this pattern: `file_sd/KEY.yml`.
    fn keys_of(&self, pattern: &Value<'_>) -> Vec<&'a str> {
        let Some(name) = file_of_role(pattern) else { return Vec::new() };
        let keys = self.of_role.iter().map(|(key, _)| *key);
        keys.filter(|key| name.matches(&format!("{key}.yml"))).collect()
    }

    /// Entries of `scrape_configs`, in a file in whose folder their patterns begin.
    fn read_jobs(&mut self, jobs: &[Value<'_>], file: &Path) {
        let mut only_named: Option<usize> = None;
        for (index, job) in jobs.iter().enumerate() {
            if only_named.is_some() && job.get("job_name").is_none() && job.get("static_configs").is_some() {
                job.degraded().problem(
                    "has no job_name, and the entry before it has nothing else: remove the dash, so that they are one job",
                );
            }
            let is_alone =
                job.get("job_name").is_some() && !job.entries().iter().any(|(key, _)| key.ends_with("_configs"));
            only_named = is_alone.then_some(index);
            self.read_job(&job.degraded(), file);
        }
    }

    /// One entry of `scrape_configs`.
    fn read_job(&mut self, job: &Value<'_>, file: &Path) -> Option<()> {
        if is_template(job.node) {
            self.unseen = true;
            return job.refuse(TEMPLATE_OF_MORE);
        }
        let value = job.map()?;
        report_misplaced(&value, JOB_KEYS, NOT_OF_A_JOB);
        let (job, mut of_job) = (Job::read(&value, self.global.as_ref(), &self.rules_left), OfJob::default());
        if let Some(blocks) = value.get_filled("static_configs") {
            self.read_blocks(&job, &mut of_job, &blocks, None);
        }
        if let Some(discoveries) = value.get_filled("file_sd_configs") {
            for discovery in self.list_of(&discoveries) {
                self.read_discovery(&job, &mut of_job, &discovery, file);
            }
        }
        for (key, value) in value.entries() {
            if key.ends_with("_sd_configs") && key != "file_sd_configs" {
                self.unseen = true;
                value.remark("finds targets that no file names: they are known only while they alert");
            }
        }
        self.unseen |= of_job.report(&job);
        Some(())
    }

    /// One entry of `file_sd_configs`: the files in which Prometheus looks for more targets.
    fn read_discovery(&mut self, job: &Job<'_>, of_job: &mut OfJob, discovery: &Value<'_>, file: &Path) -> Option<()> {
        let map = discovery.map()?;
        let patterns = map.required("files", "is missing: name the files, or remove the entry")?;
        for pattern in self.list_of(&patterns) {
            let keys = self.keys_of(&pattern);
            for (key, blocks) in self.of_role.clone().into_iter().filter(|(key, _)| keys.contains(key)) {
                self.read_blocks(job, of_job, &blocks.degraded(), Some(&format!("/etc/prometheus/file_sd/{key}.yml")));
            }
            if !keys.is_empty() {
                continue;
            }
            if self.is_of_role && file_of_role(&pattern).is_some() {
                self.unseen = true;
                pattern.remark(
                    "is a file that the role makes of prometheus_targets, which has no such key here: its targets are known \
                     only while they alert",
                );
                continue;
            }
            if is_template(pattern.node) {
                // Which files these are is known only where the role runs; others of its files are not ours.
                self.unseen = true;
                pattern.remark(
                    "is a template, so the targets of its files are known only while they alert: write the name",
                );
                continue;
            }
            let Some(files) = files_of(&pattern, file) else { continue };
            if files.is_empty() {
                report_absent(&pattern, file);
            }
            for path in files {
                let if_absent = "is gone: create it, or remove its name";
                let node = read_file(&path, form_of(&path), Severity::Degraded, if_absent, self.report);
                let Some(node) = node else { continue };
                let blocks = Value::root(&node, &path, Severity::Degraded, self.report);
                if node == Node::Null {
                    blocks.remark("is empty, so it names no targets");
                } else {
                    self.read_blocks(job, of_job, &blocks, Some(&path.to_string_lossy()));
                }
            }
        }
        Some(())
    }

    /// The files of `scrape_config_files`, each of which has `scrape_configs` of its own.
    fn read_config_files(&mut self, patterns: &Value<'_>) {
        for pattern in self.list_of(patterns) {
            let Some(files) = files_of(&pattern, self.path) else { continue };
            if files.is_empty() {
                // Prometheus starts without them, whatever the name is.
                self.unseen = true;
                pattern
                    .remark("names no file here, so its targets are known only while they alert: put the files there");
            }
            for path in files {
                let if_absent = "is gone: create it, or remove its name";
                let node = read_file(&path, form_of(&path), Severity::Degraded, if_absent, self.report);
                let Some(node) = node else { continue };
                let root = Value::root(&node, &path, Severity::Degraded, self.report);
                let Some(map) = root.map() else { continue };
                match map.get_filled("scrape_configs") {
                    Some(jobs) => self.read_jobs(&self.list_of(&jobs), &path),
                    None => map.remark("has no scrape_configs, so it names no targets"),
                }
            }
        }
    }

    /// A list of targets with their labels, `{targets: […], labels: {…}}`, which both forms of the targets file and the
    /// files of `file_sd_configs` have in common. `file` is the one that Prometheus finds them in.
    fn read_blocks(&mut self, job: &Job<'_>, of_job: &mut OfJob, blocks: &Value<'_>, file: Option<&str>) {
        for block in self.list_of(blocks) {
            self.watched.read_block(job, of_job, &block, file);
        }
    }

    /// The elements of a list; of anything else none, which is a problem.
    fn list_of<'v>(&self, value: &Value<'v>) -> Vec<Value<'v>> {
        if is_template(value.node) {
            value.problem(TEMPLATE_OF_MORE);
            return Vec::new();
        }
        value.list().unwrap_or_default()
    }
}

/// The name in a pattern of files that the Ansible role makes.
fn file_of_role(pattern: &Value<'_>) -> Option<glob::Pattern> {
    let Node::Text(text) = pattern.node else { return None };
    let (folder, name) = text.rsplit_once('/')?;
    glob::Pattern::new(name).ok().filter(|_| folder == "file_sd" || folder.ends_with("/file_sd"))
}

/// The files that a pattern names, in order, relative to the folder of `file`.
fn files_of(pattern: &Value<'_>, file: &Path) -> Option<Vec<PathBuf>> {
    let text = pattern.text()?;
    let folder = file.parent().unwrap_or(Path::new("")).to_string_lossy();
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
fn report_absent(pattern: &Value<'_>, file: &Path) {
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

/// Whether it is a text that Ansible would fill in.
fn is_template(node: &Node) -> bool {
    matches!(node, Node::Text(text) if text.contains("{{") || text.contains("{%"))
}

/// The start of "they belong on the page", for that many targets.
fn belongs(targets: usize) -> &'static str {
    if targets == 1 { "it belongs" } else { "they belong" }
}

/// Whether a name is one of our labels, or may be meant to be one.
fn is_like_ours(name: &str) -> bool {
    name.to_lowercase().replace(['_', '-'], "").starts_with(OUR_PREFIX)
}

/// Reports the name of a label that is none of ours, and like them.
fn report_label_typo(label: &str, value: &Value<'_>) {
    if is_like_ours(label) && !OUR_LABELS.contains(&label) {
        let cure = did_you_mean(label, OUR_LABELS, "remove it");
        value.problem(format!("is no label of ours: {cure}"));
    }
}

#[cfg(test)]
mod tests {
    use super::relabelling::RULES_PER_FILE;
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

    #[test]
    fn no_more_rules_are_read_than_the_limit() {
        let targets_file = tempfile::NamedTempFile::new().expect("a file");
        let rules = "{action: labeldrop, regex: a},".repeat(usize::try_from(RULES_PER_FILE).expect("a number") + 1);
        std::fs::write(targets_file.path(), format!("scrape_configs: [{{relabel_configs: [{rules}]}}]"))
            .expect("written");
        let report = RefCell::default();
        read(targets_file.path(), None, &report);
        let report: Report = report.into_inner();
        let messages: Vec<&str> = report.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["has more rules than are read of one file (20000): use fewer"]);
    }
}

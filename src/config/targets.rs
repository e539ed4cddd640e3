//! The targets file, in all forms in the wild: Prometheus' own `scrape_configs` and `scrape_config_files`, with
//! `static_configs` and `file_sd_configs`, and the Ansible role's `prometheus_targets` and `prometheus_scrape_configs`. It is
//! somebody else's file, so what is not ours in it is left alone.
//!
//! It is evaluated as Prometheus does it. Blocks of targets are collected here, with the place of each value. Their labels go
//! through the rules of their job and those for alerts (`crate::core::scrape`). What the labels then say is read in
//! `watched`, and collected in `mentioned`.

mod blocks;
mod files;
mod mentioned;
mod of_job;
mod relabelling;
mod repeated;
mod shapes;
mod templates;
mod watched;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::files::{fault_of_json, fault_of_pattern, file_of_role, files_of, report_absent};
use self::of_job::OfJob;
use self::relabelling::{AlertRules, JobEntry, Reading, report_misplaced};
use self::templates::{is_template, report_template};
use self::watched::Watched;
use super::Groups;
use super::report::{Report, Severity, did_you_mean};
use super::tree::{Form, Node, Value, read_file};
use crate::core::scrape::duration_ms;
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

/// What it costs to compare a pattern with the name of one file that the role makes.
const NAME_COST: u64 = 4;
/// Variables of the Ansible role that name files of targets, which only the role finds.
const FILES_OF_ROLE: [&str; 2] = ["prometheus_scrape_config_files", "prometheus_static_targets_files"];

/// What is read of a targets file, and of the files that it names.
struct Reader<'a> {
    /// The targets file.
    path: &'a Path,
    report: &'a RefCell<Report>,
    reading: &'a Reading,
    /// The section `global`.
    global: Option<Value<'a>>,
    /// The blocks of the Ansible role, by the key for which the role makes a file.
    of_role: Vec<(&'a str, Value<'a>)>,
    /// Where each key stands among them.
    keys_of_role: BTreeMap<&'a str, usize>,
    /// Those of them that a job has read.
    read_of_role: BTreeSet<usize>,
    /// Files of the role that jobs name and that it does not make, by their names without what follows the dot.
    other_files_of_role: BTreeMap<String, String>,
    watched: Watched<'a>,
    /// The jobs by their names, with where they stand.
    job_names: BTreeMap<String, String>,
    /// Whether the jobs that are read are the Ansible role's.
    is_of_role: bool,
    /// Whether there are jobs, or files of theirs, that a template stands for.
    has_unknown_jobs: bool,
    /// Whether there may be targets of ours that no file names.
    unseen: bool,
}

/// Reads the targets file at `path`; `None` if it is no targets file. What is wrong goes into the report, also that its
/// components are not those of `groups`.
pub(super) fn read(path: &Path, groups: Option<&Groups>, report: &RefCell<Report>) -> Option<Inventory> {
    let before = {
        let report = report.borrow();
        (report.problems.len(), report.remarks.len())
    };
    let inventory = read_whole(path, groups, report);
    let mut report = report.borrow_mut();
    repeated::shorten(&mut report.problems, before.0);
    repeated::shorten(&mut report.remarks, before.1);
    inventory
}

fn read_whole(path: &Path, groups: Option<&Groups>, report: &RefCell<Report>) -> Option<Inventory> {
    let if_absent = "does not exist: create it, or correct --targets.file (TARGETS_FILE)";
    let node = read_file(path, form_of(path), Severity::Fatal, if_absent, report)?;
    let whole = Value::root(&node, path, Severity::Fatal, report);
    let files_of_role: Vec<Value<'_>> = FILES_OF_ROLE.iter().filter_map(|key| whole.get_filled(key)).collect();
    if !FORMS.iter().any(|form| whole.get_filled(form).is_some()) {
        if let Some(files) = files_of_role.first() {
            return files.refuse(
                "names files that only the Ansible role finds, and there are no other targets: set --targets.file to the \
                 file that the role writes for Prometheus",
            );
        }
        if let Some(message) = shapes::recognised(&whole) {
            return whole.refuse(message);
        }
    }
    if let Some(message) = shapes::of_promtail(&whole).filter(|_| !names_ours(&node)) {
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
    if let Some(template) = [&ansible, &prometheus].into_iter().flatten().find(|value| is_template(value.node)) {
        report_template(template);
        return None;
    }
    let problems_before = report.borrow().problems.len();
    let reading = Reading::default();
    let alerts = AlertRules::read(&root, &reading);
    alerts.remark_external();
    let of_role: Vec<(&str, Value<'_>)> = match &ansible {
        Some(keys) => keys.map()?.entries().into_iter().filter(|(_, blocks)| *blocks.node != Node::Null).collect(),
        None => Vec::new(),
    };
    let mut reader = Reader {
        path,
        report,
        reading: &reading,
        global: root.get_filled("global").or_else(|| root.get_filled("prometheus_global")),
        keys_of_role: of_role.iter().zip(0..).map(|((key, _), index)| (*key, index)).collect(),
        of_role,
        read_of_role: BTreeSet::new(),
        other_files_of_role: BTreeMap::new(),
        watched: Watched::new(report, &reading, alerts),
        job_names: BTreeMap::new(),
        is_of_role: false,
        has_unknown_jobs: false,
        unseen: !files_of_role.is_empty(),
    };
    for files in files_of_role {
        files.remark(
            "names files that only the Ansible role finds: their targets count only while one of their alerts fires",
        );
    }
    reader.report_misplaced(&root, prometheus.is_some() || files.is_some());
    if let Some(jobs) = prometheus {
        reader.read_jobs(&jobs.list()?, path);
    }
    if let Some(jobs) = jobs_of_role.map(|jobs| jobs.degraded()) {
        reader.is_of_role = true;
        reader.has_unknown_jobs |= is_template(jobs.node);
        reader.read_jobs(&reader.list_of(&jobs), path);
        reader.is_of_role = false;
    }
    if let Some(files) = files {
        reader.read_config_files(&files.degraded());
    }
    reader.read_role(root.get(FORMS[2]).is_some());
    reader.watched.report_templates();
    if reader.watched.is_empty() && !reader.unseen && report.borrow().problems.len() == problems_before {
        reader.report_nothing_watched(&root.degraded());
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
    /// Keys at the top of the file that belong elsewhere.
    fn report_misplaced(&self, root: &Value<'a>, has_jobs: bool) {
        let keys = ["static_configs", "file_sd_configs", "relabel_configs", "targets", "labels"]
            .map(|key| (key, NOT_AT_THE_TOP));
        report_misplaced(&root.degraded(), &[], if has_jobs { &keys } else { &[] });
        for (key, home, others) in
            [("alert_relabel_configs", "alerting", ["", "global"]), ("external_labels", "global", ["", "alerting"])]
        {
            let parents = others.map(|other| if other.is_empty() { Some(root.clone()) } else { root.get(other) });
            for value in parents.into_iter().flatten().filter_map(|parent| parent.get_filled(key)) {
                value.degraded().problem(format!("stands where Prometheus does not read it: move it below {home}"));
            }
        }
    }

    /// Why no target is on the page, where nothing else says so.
    fn report_nothing_watched(&self, root: &Value<'a>) {
        if self.watched.dropped > 0 {
            root.problem(
                "relabelling drops every target with the label status_page_alert: true, so nothing is watched: correct \
                 the rules",
            );
        } else if let Some((place, cause)) = &self.watched.first_loss {
            self.report.borrow_mut().add(Severity::Degraded, place.clone(), *cause);
        } else {
            root.problem(
                "no target has the label status_page_alert: true, so nothing is watched: label the targets that count \
                 (prometheus.yml.example shows how)",
            );
        }
    }

    /// The targets of the Ansible role that no job reads: Prometheus has none of them if `has_jobs`, the jobs of the role, are
    /// in the file. Otherwise they are taken as they stand.
    fn read_role(&mut self, has_jobs: bool) {
        let job = JobEntry::unknown();
        let mut of_job = OfJob::default();
        let unread: Vec<usize> = (0..self.of_role.len()).filter(|index| !self.read_of_role.contains(index)).collect();
        for index in unread {
            let Some((key, blocks)) = self.of_role.get(index).cloned() else { continue };
            let blocks = blocks.degraded();
            let are_jobs_known = has_jobs && !self.has_unknown_jobs && !self.watched.is_over_budget;
            match self.other_files_of_role.get(key) {
                _ if !are_jobs_known => self.read_blocks(&job, &mut of_job, &blocks, None),
                _ if !names_ours(blocks.node) => {}
                Some(other) => blocks.problem(format!(
                    "no job reads file_sd/{key}.yml, which the role makes, for one names {other:?}: write {key}.yml there"
                )),
                None => blocks.problem(format!(
                    "no job reads file_sd/{key}.yml: add a job whose file_sd_configs names it"
                )),
            }
        }
        of_job.report(&job);
    }

    /// The keys of `prometheus_targets` for which the role makes a file of this pattern: `file_sd/KEY.yml`.
    fn keys_of(&mut self, pattern: &Value<'_>) -> Vec<usize> {
        let Some((name, plain)) = file_of_role(pattern) else { return Vec::new() };
        if let Some(plain) = plain {
            let (stem, extension) = plain.rsplit_once('.').unwrap_or((&plain, ""));
            let found = self.keys_of_role.get(stem).copied().filter(|_| extension == "yml");
            if found.is_none() {
                self.other_files_of_role.insert(stem.to_owned(), plain.clone());
            }
            return found.into_iter().collect();
        }
        if !self.watched.may_spend(NAME_COST * self.of_role.len() as u64) {
            return Vec::new();
        }
        let keys = self.of_role.iter().zip(0..);
        keys.filter(|((key, _), _)| name.matches(&format!("{key}.yml"))).map(|(_, index)| index).collect()
    }

    /// Entries of `scrape_configs`, in a file in whose folder their patterns begin.
    fn read_jobs(&mut self, jobs: &[Value<'_>], file: &Path) {
        let mut only_named: Option<usize> = None;
        for (index, job) in jobs.iter().enumerate() {
            let is_nameless = job.get_filled("job_name").is_none_or(|name| *name.node == Node::Text(String::new()));
            if only_named.is_some() && job.get("job_name").is_none() && job.get("static_configs").is_some() {
                job.degraded().problem(
                    "has no job_name, and the entry before it has nothing else: remove the dash, so that they are one job",
                );
            } else if is_nameless && matches!(job.node, Node::Map(_)) {
                job.key("job_name").remark("is missing, and Prometheus does not start without it: name the job");
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
            (self.unseen, self.has_unknown_jobs) = (true, true);
            report_template(job);
            return None;
        }
        let value = job.map()?;
        report_misplaced(&value, JOB_KEYS, NOT_OF_A_JOB);
        self.check_job(&value);
        let (job, mut of_job) = (JobEntry::read(&value, self.global.as_ref(), self.reading), OfJob::default());
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
                value.remark("finds targets that no file names: they count only while one of their alerts fires");
            }
        }
        self.unseen |= of_job.report(&job);
        if of_job.hidden > 0 {
            let cause =
                "takes the label status_page_alert from every target that has it, so nothing is watched: keep it";
            self.watched.lose(value.key("relabel_configs").place, cause);
        }
        Some(())
    }

    /// What Prometheus refuses of a job, without which it does not start.
    fn check_job(&mut self, job: &Value<'_>) {
        let text = |key: &str| if let Some(Value { node: Node::Text(text), .. }) = job.get(key) { text } else { "" };
        let name = text("job_name");
        let place = job.place.to_string();
        if !name.is_empty()
            && let Some(first) = self.job_names.insert(name.to_owned(), place.clone()).filter(|first| *first != place)
        {
            job.key("job_name").remark(format!(
                "is the name of another job ({first}), and Prometheus does not start with two of one name: rename one"
            ));
        }
        let (interval, timeout) = (duration_ms(text("scrape_interval")), duration_ms(text("scrape_timeout")));
        if let (Some(interval), Some(timeout)) = (interval, timeout)
            && timeout > interval
        {
            job.key("scrape_timeout").remark(
                "is longer than scrape_interval, and Prometheus does not start with that: make it at most as long",
            );
        }
    }

    /// One entry of `file_sd_configs`: the files in which Prometheus looks for more targets.
    fn read_discovery(
        &mut self,
        job: &JobEntry<'_>,
        of_job: &mut OfJob,
        discovery: &Value<'_>,
        file: &Path,
    ) -> Option<()> {
        let map = discovery.map()?;
        let patterns = map.required("files", "is missing: name the files, or remove the entry")?;
        for pattern in self.list_of(&patterns) {
            let keys = self.keys_of(&pattern);
            for index in &keys {
                let Some((key, blocks)) = self.of_role.get(*index).cloned() else { continue };
                self.read_of_role.insert(*index);
                self.read_blocks(job, of_job, &blocks.degraded(), Some(&format!("/etc/prometheus/file_sd/{key}.yml")));
            }
            if keys.is_empty() && !self.watched.is_over_budget {
                self.read_files(job, of_job, &pattern, file);
            }
        }
        Some(())
    }

    /// The files of one pattern of `file_sd_configs`, other than those of the Ansible role.
    fn read_files(&mut self, job: &JobEntry<'_>, of_job: &mut OfJob, pattern: &Value<'_>, file: &Path) -> Option<()> {
        if self.is_of_role
            && let Some((_, name)) = file_of_role(pattern)
        {
            self.unseen = true;
            let stem = name.as_deref().and_then(|name| name.rsplit_once('.')).map(|(stem, _)| stem);
            if stem.is_some_and(|stem| self.keys_of_role.contains_key(stem)) {
                // What is wrong is said of the key.
                return None;
            }
            pattern.remark(
                "is a file that the role makes of prometheus_targets, which has no such key here: its targets count only \
                 while one of their alerts fires",
            );
            return None;
        }
        if is_template(pattern.node) {
            // Which files these are is known only where the role runs; others of its files are not ours.
            self.unseen = true;
            pattern.remark(
                "is a template, so the targets of its files count only while one of their alerts fires: write the name",
            );
            return None;
        }
        if let Some(fault) = fault_of_pattern(pattern) {
            return pattern.refuse(fault);
        }
        let files = files_of(pattern, file)?;
        if files.is_empty() {
            report_absent(pattern, file);
        }
        for path in files {
            let if_absent = "is gone: create it, or remove its name";
            let form = form_of(&path);
            let Some(node) = read_file(&path, form, Severity::Degraded, if_absent, self.report) else { continue };
            let blocks = Value::root(&node, &path, Severity::Degraded, self.report);
            if node == Node::Null {
                blocks.remark("is empty, so it names no targets");
            } else if let Some((value, fault)) = Some(&blocks).filter(|_| form == Form::Json).and_then(fault_of_json) {
                value.problem(fault);
            } else if !matches!(node, Node::List(_))
                && blocks.get("targets").is_none()
                && let Some(message) = shapes::recognised(&blocks)
            {
                blocks.problem(message);
            } else {
                self.read_blocks(job, of_job, &blocks, Some(&path.to_string_lossy()));
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
                    .remark("names no file here, so its targets count only while one of their alerts fires: put the files there");
            }
            for path in files {
                if is_same_file(&path, self.path) {
                    pattern.problem("names the file that it stands in, which has no targets for it: remove it");
                    continue;
                }
                let if_absent = "is gone: create it, or remove its name";
                let node = read_file(&path, form_of(&path), Severity::Degraded, if_absent, self.report);
                let Some(node) = node else { continue };
                let root = Value::root(&node, &path, Severity::Degraded, self.report);
                if root.get("scrape_configs").is_none()
                    && let Some(message) = shapes::recognised(&root)
                {
                    root.problem(message);
                    continue;
                }
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
    fn read_blocks(&mut self, job: &JobEntry<'_>, of_job: &mut OfJob, blocks: &Value<'_>, file: Option<&str>) {
        for block in self.list_of(blocks) {
            self.watched.read_block(job, of_job, &block, file);
        }
    }

    /// The elements of a list; of anything else none, which is a problem.
    fn list_of<'v>(&self, value: &Value<'v>) -> Vec<Value<'v>> {
        if is_template(value.node) {
            report_template(value);
            return Vec::new();
        }
        value.list().unwrap_or_default()
    }
}

/// Whether two names are of one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(one).is_some_and(|one| whole(other) == Some(one))
}

/// Whether one of our labels is named somewhere in it.
fn names_ours(node: &Node) -> bool {
    match node {
        Node::List(items) => items.iter().any(names_ours),
        Node::Map(entries) => {
            entries.iter().any(|(key, value)| OUR_LABELS.contains(&key.as_str()) || names_ours(value))
        }
        Node::Text(_) => is_template(node),
        _ => false,
    }
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
    use super::files::FILES_PER_PATTERN;
    use super::relabelling::RULES_PER_FILE;
    use super::*;

    #[test]
    fn no_more_files_are_read_than_the_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..=FILES_PER_PATTERN {
            let block = format!(
                r#"[{{"targets": ["host-{number}:1"],
                     "labels": {{"status_page_alert": "true", "status_page_component": "Database"}}}}]"#
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

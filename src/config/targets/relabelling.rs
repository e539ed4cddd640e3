//! What a configuration of Prometheus says of labels: the defaults and rules of a job, and what is done to alerts.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::config::report::{Place, did_you_mean};
use crate::config::tree::{Node, Value};
use crate::core::relabel::{Action, Labels, RelabelRule, RuleFields, is_label_name};
use crate::core::scrape;
use crate::core::target::excerpt;

use super::blocks::is_true;
use super::templates::{Templates, filled_in_as_rule, is_template};
use super::{FORMS, INSTANCE, OUR_LABELS, report_label_typo};

/// Every key that a rule may have.
const RULE_KEYS: &[&str] = &["source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"];
/// Those of them that may be templates in a rule that is applied: the label that it sets is then not known.
const OPAQUE_KEYS: &[&str] = &["source_labels", "regex", "replacement"];

/// The most rules that are read of a file and those that it names. One with a large regular expression counts as up to 64.
pub(super) const RULES_PER_FILE: u64 = 20_000;

/// What the reading of all jobs of a file has in common.
pub(super) struct Reading {
    /// How many more rules may be read.
    rules_left: Cell<u64>,
    /// The templates that stand for values.
    pub templates: Templates,
}

impl Default for Reading {
    fn default() -> Self {
        Self { rules_left: Cell::new(RULES_PER_FILE), templates: Templates::default() }
    }
}

/// A job, with what is needed to say where its labels come from.
pub(super) struct JobEntry<'a> {
    /// What decides about its targets.
    pub labels: scrape::JobLabels,
    /// The entry of `scrape_configs`; `None` for targets of the Ansible role that no job reads.
    pub value: Option<Value<'a>>,
    /// Its rules.
    pub rules: RulePlaces<'a>,
}

/// A list of rules as it stands in a file.
#[derive(Default)]
pub(super) struct RulePlaces<'a> {
    /// Where each of the rules that can be used stands.
    pub places: Vec<Value<'a>>,
    /// What in them is a template, so that they are not known.
    pub templates: Vec<Value<'a>>,
}

/// What is done to alerts, and where that stands.
#[derive(Default)]
pub(super) struct AlertRules<'a> {
    /// What decides about their labels.
    pub labels: scrape::AlertRelabelling,
    /// `external_labels`, as far as they can be used.
    pub external: Vec<(&'a str, Value<'a>)>,
    /// The rules.
    pub rules: RulePlaces<'a>,
    /// Where the rules for all Alertmanagers stand.
    pub place: Option<Place>,
    /// The labels that the targets of this file may have. An alert may have others.
    pub of_targets: BTreeSet<&'a str>,
}

impl<'a> JobEntry<'a> {
    /// The targets of the Ansible role that no job reads: nothing relabels them.
    pub(super) fn unknown() -> Self {
        Self { labels: scrape::JobLabels::default(), value: None, rules: RulePlaces::default() }
    }

    /// One entry of `scrape_configs`, which is a mapping; `section` is the section `global`.
    pub(super) fn read(job: &Value<'a>, section: Option<&Value<'a>>, reading: &Reading) -> Self {
        let text = |key: &str| job.get_filled(key).and_then(|value| scalar(value.node));
        let global = |key: &str| section.and_then(|global| scalar(global.get_filled(key)?.node));
        let scalars = [
            ("job", text("job_name")),
            ("__scheme__", text("scheme").or_else(|| Some("http".to_owned()))),
            ("__metrics_path__", text("metrics_path").or_else(|| Some("/metrics".to_owned()))),
            ("__scrape_interval__", text("scrape_interval").or_else(|| global("scrape_interval"))),
            ("__scrape_timeout__", text("scrape_timeout").or_else(|| global("scrape_timeout"))),
        ];
        let mut defaults: Labels =
            scalars.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let unknown = |value: Option<Value<'a>>| value.and_then(|value| reading.templates.origin(&value));
        for (label, key) in [
            ("job", "job_name"),
            ("__scheme__", "scheme"),
            ("__metrics_path__", "metrics_path"),
            ("__scrape_interval__", "scrape_interval"),
            ("__scrape_timeout__", "scrape_timeout"),
        ] {
            let of_global = || section.filter(|_| label.starts_with("__scrape_")).and_then(|s| s.get_filled(key));
            if let Some(origin) = unknown(job.get_filled(key).or_else(of_global)) {
                defaults.set_unknown(label, origin);
            }
        }
        for (name, values) in job.get_filled("params").map(|params| params.entries()).unwrap_or_default() {
            let label = format!("__param_{name}");
            let first = values.items().into_iter().next();
            if let Some(text) = first.as_ref().and_then(|value| scalar(value.node)) {
                defaults.set(&label, text);
            }
            if let Some(origin) = unknown(Some(values)).or_else(|| unknown(first)) {
                defaults.set_unknown(&label, origin);
            }
        }
        let mut rules = RulePlaces::default();
        let compiled = rules.read(job, "relabel_configs", reading);
        Self { labels: scrape::JobLabels { defaults, rules: compiled }, value: Some(job.clone()), rules }
    }

    /// Where a label comes from that neither the file's `labels` nor its `external_labels` have.
    pub(super) fn place_of_rules(&self) -> Option<Place> {
        self.value.as_ref().map(|job| job.key("relabel_configs").place)
    }
}

impl<'a> RulePlaces<'a> {
    /// Reads the rules at `key` of a mapping. One that Prometheus refuses is a problem, and left out; of one with a template
    /// only the place is kept.
    fn read(&mut self, parent: &Value<'a>, key: &str, reading: &Reading) -> Vec<RelabelRule> {
        let Some(list) = parent.get_filled(key) else { return Vec::new() };
        if is_template(list.node) {
            self.templates.push(list);
            return Vec::new();
        }
        let mut compiled = Vec::new();
        for rule in list.list().unwrap_or_default() {
            let unknown = unknown_keys(&rule);
            if is_template(rule.node) || unknown.iter().any(|key| !OPAQUE_KEYS.contains(key)) {
                self.templates.push(rule);
            } else if let Some(mut made) = read_rule(&rule, &unknown) {
                let left = &reading.rules_left;
                let Some(after) = left.get().checked_sub(made.weight()) else {
                    list.problem(format!("has more rules than are read of one file ({RULES_PER_FILE}): use fewer"));
                    break;
                };
                left.set(after);
                for key in unknown {
                    let value = rule.key(key);
                    let node = rule.get(key).map_or(&Node::Null, |value| value.node);
                    let tool = std::iter::once(node).chain(entries_of(node)).find_map(filled_in_as_rule);
                    let origin = reading.templates.add(value.place, tool.unwrap_or_default());
                    let is_value = key == "replacement" && made.action() == Action::Replace;
                    made = if is_value {
                        made.with_unknown_replacement(origin)
                    } else {
                        made.with_unknown_condition(origin)
                    };
                }
                compiled.push(made);
                self.places.push(rule);
            }
        }
        compiled
    }
}

/// The keys of a rule that are templates, or lists with one.
fn unknown_keys(rule: &Value<'_>) -> Vec<&'static str> {
    let is_unknown =
        |node: &Node| std::iter::once(node).chain(entries_of(node)).any(|node| filled_in_as_rule(node).is_some());
    let keys = RULE_KEYS.iter().filter(|key| rule.get(key).is_some_and(|value| is_unknown(value.node)));
    keys.copied().collect()
}

fn entries_of(node: &Node) -> &[Node] {
    if let Node::List(entries) = node { entries } else { &[] }
}

/// One rule, without its `unknown` keys; what is wrong with it is a problem.
fn read_rule(rule: &Value<'_>, unknown: &[&str]) -> Option<RelabelRule> {
    let map = rule.map()?;
    map.report_unknown_keys(RULE_KEYS, &[], "remove it: Prometheus knows no such key of a rule");
    let mut is_usable = true;
    let mut text = |key: &str| {
        let value = map.get(key).filter(|_| !unknown.contains(&key))?;
        let text = if *value.node == Node::Null { Some(String::new()) } else { scalar(value.node) };
        if text.is_none() {
            is_usable = false;
            value.wrong_type::<()>("a text", "write one in quotes");
        }
        text
    };
    let fields = RuleFields {
        action: text("action"),
        separator: text("separator"),
        regex: text("regex"),
        target_label: text("target_label"),
        replacement: text("replacement"),
        source_labels: None,
        modulus: None,
    };
    let modulus = match map.get_filled("modulus") {
        Some(value) => {
            let wanted = value.integer()?;
            let modulus = u64::try_from(wanted).ok();
            Some(modulus.or_else(|| value.refuse("is no modulus: write a number above 0"))?)
        }
        None => None,
    };
    let source_labels = match map.get_filled("source_labels").filter(|_| !unknown.contains(&"source_labels")) {
        Some(list) => Some(list.list()?.iter().map(|name| name.text().map(str::to_owned)).collect::<Option<Vec<_>>>()?),
        None => None,
    };
    if !is_usable {
        return None;
    }
    let made = RelabelRule::new(RuleFields { modulus, source_labels, ..fields })
        .map_err(|error| map.key(error.key).problem(error.message))
        .ok()?;
    let names_a_label = !matches!(
        made.action(),
        Action::LabelDrop | Action::LabelKeep | Action::LabelMap | Action::Keep | Action::Drop
    );
    let target = made.target_label();
    if names_a_label && !target.is_empty() {
        let value = map.key("target_label");
        report_label_typo(target, &value);
        if !target.contains('$') && !is_label_name(target) {
            value.remark(format!(
                "is {:?}, a name that Prometheus takes only since 3.0: use letters, digits and _",
                excerpt(target)
            ));
        }
    }
    Some(made)
}

impl<'a> AlertRules<'a> {
    /// What the file, with the variables of the Ansible role, says of alerts.
    pub(super) fn read(root: &Value<'a>, reading: &Reading) -> Self {
        let mut alerts = Self::default();
        let root = root.degraded();
        alerts.of_targets.extend(OUR_LABELS);
        for form in FORMS {
            root.get(form).into_iter().for_each(|jobs| collect_labels(jobs.node, &mut alerts.of_targets));
        }
        let global = root.get_filled("global").or_else(|| root.get_filled("prometheus_global"));
        let externals = [
            global.and_then(|global| global.get_filled("external_labels")),
            root.get_filled("prometheus_external_labels"),
        ];
        for (name, value) in externals.into_iter().flatten().flat_map(|labels| labels.entries()) {
            report_label_typo(name, &value);
            if let Some(origin) = reading.templates.origin(&value) {
                alerts.labels.external_labels.set_unknown(name, origin);
            } else if let Some(text) = scalar(value.node) {
                alerts.labels.external_labels.set(name, text);
                alerts.external.push((name, value));
            }
        }
        let alerting = root.get_filled("alerting");
        let key = alerting.as_ref().map(|alerting| alerting.key("alert_relabel_configs"));
        alerts.place = Some(key.unwrap_or_else(|| root.key("prometheus_alert_relabel_configs")).place);
        let mut rules = alerting.as_ref().map(|alerting| alerts.rules.read(alerting, "alert_relabel_configs", reading));
        let of_role = alerts.rules.read(&root, "prometheus_alert_relabel_configs", reading);
        rules.get_or_insert_default().extend(of_role);
        let mut rules = rules.unwrap_or_default();
        let receivers = alerting.and_then(|alerting| alerting.get_filled("alertmanagers"));
        let receivers = receivers.or_else(|| root.get_filled("prometheus_alertmanager_config"));
        let receivers = receivers.map(|receivers| receivers.items()).unwrap_or_default();
        let of_one = |receiver: &Value<'a>| receiver.get_filled("alert_relabel_configs");
        if let Some(first) = receivers.first() {
            rules.extend(alerts.rules.read(first, "alert_relabel_configs", reading));
            let own = of_one(first).map(|rules| rules.node);
            if let Some(other) = receivers.iter().find(|other| of_one(other).map(|rules| rules.node) != own) {
                other.remark(
                    "has other alert_relabel_configs than the first Alertmanager, and this file does not say which of them \
                     posts here: the rules of the first one count",
                );
            }
        }
        alerts.labels.rules = rules;
        alerts
    }

    /// Whether one of the rules, which was not decided, may change what is known of a target.
    pub(super) fn may_matter(&self, rule: usize) -> bool {
        let Some(rule) = self.labels.rules.get(rule) else { return false };
        let target = rule.target_label();
        matches!(rule.action(), Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual)
            || target.contains('$')
            || target == INSTANCE
            || OUR_LABELS.contains(&target)
    }

    /// Whether a rule sets a label of ours.
    pub(super) fn sets_ours(&self, rule: usize) -> bool {
        self.labels.rules.get(rule).is_some_and(|rule| OUR_LABELS.contains(&rule.target_label()))
    }

    /// `external_labels` that put every target on the page are worth a word.
    pub(super) fn remark_external(&self) {
        let is_set = |value: &Value<'_>| scalar(value.node).is_some_and(|text| is_true(&text));
        for (_, value) in self.external.iter().filter(|(name, value)| *name == super::ALERT && is_set(value)) {
            value.remark(
                "is put on every alert of this Prometheus, so each of its targets and alerts counts: set the label under \
                 `labels` of the targets that are on the page",
            );
        }
    }
}

/// The names of labels that blocks and rules set.
fn collect_labels<'a>(node: &'a Node, names: &mut BTreeSet<&'a str>) {
    match node {
        Node::List(items) => items.iter().for_each(|item| collect_labels(item, names)),
        Node::Map(entries) => {
            for (key, value) in entries {
                match (key.as_str(), value) {
                    ("labels", Node::Map(labels)) => names.extend(labels.iter().map(|(name, _)| name.as_str())),
                    ("target_label", Node::Text(name)) => drop(names.insert(name)),
                    _ => collect_labels(value, names),
                }
            }
        }
        _ => {}
    }
}

/// The text of a scalar, as Prometheus reads it of YAML.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) => Some(text.clone()),
        Node::Bool(value) => Some(value.to_string()),
        Node::Integer(number) => Some(number.to_string()),
        Node::Float(number) => Some(number.to_string()),
        Node::Null | Node::List(_) | Node::Map(_) => None,
    }
}

/// Keys that stand where nothing reads them, of a job, or of an entry of `static_configs`.
pub(super) fn report_misplaced(map: &Value<'_>, known: &[&str], misplaced: &[(&str, &str)]) {
    let plain = |key: &str| key.to_lowercase().replace(['_', '-', ' '], "").trim_end_matches('s').to_owned();
    for (key, value) in map.entries() {
        if let Some((_, message)) = misplaced.iter().find(|(name, _)| *name == key) {
            value.problem(*message);
        } else if OUR_LABELS.iter().any(|label| plain(label) == plain(key)) {
            value.problem("stands outside of `labels`, where nothing reads it: move it below `labels` of its targets");
        } else if !known.contains(&key) && known.iter().any(|name| plain(name) == plain(key)) {
            let cure = did_you_mean(key, known.iter().copied(), "remove it");
            value.problem(format!("is no key of Prometheus here, so nothing reads it: {cure}"));
        }
    }
}

//! What the labels of targets say after Prometheus' relabelling: which targets are on the page, by which instance alerts name
//! them, and which components they feed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::config::Groups;
use crate::config::report::{Place, Report, Severity, counted};
use crate::config::tree::{Node, Value};
use crate::core::relabel::{BUDGET, Labels, Relabelled};
use crate::core::scrape::{NotScraped, ScrapedTarget};
use crate::core::target::{ComponentList, ComponentName, Inventory, NAME_LIMIT, Target, TargetName, excerpt};

use super::mentioned::Mentioned;
use super::of_job::OfJob;
use super::relabelling::{Alerts, Job, report_misplaced, scalar};
use super::{
    ALERT, COMPONENT, CRITICAL, INSTANCE, OUR_LABELS, TEMPLATE, TEMPLATE_OF_MORE, belongs, is_template,
    report_label_typo,
};

/// The keys of an entry of `static_configs`.
const BLOCK_KEYS: &[&str] = &["targets", "labels"];

/// What is known of the targets of the file.
pub(super) struct Watched<'a> {
    report: &'a RefCell<Report>,
    alerts: Alerts<'a>,
    /// What is left of the work that one file may ask for.
    budget: u64,
    is_over_budget: bool,
    /// How many targets of ours Prometheus drops, or drops the alerts of.
    pub dropped: usize,
    mentioned: Mentioned,
    /// The rules for alerts that drop those of our targets, and of how many.
    silencing: BTreeMap<usize, usize>,
    /// The rules for alerts that this file cannot decide.
    undecided: BTreeSet<usize>,
    /// How many targets have lost the label that makes them ours, or their instance, to the rules for alerts.
    hidden_by_alert_rules: usize,
    /// What was said of values that rules or `external_labels` made, which many targets have.
    said: HashSet<(Place, String)>,
}

/// A target of a block, with what its alerts carry.
struct Found<'v> {
    /// Its address in the file.
    address: &'v str,
    value: Value<'v>,
    /// The address that Prometheus connects to, and whether a label `instance` of its own stands beside it.
    scraped_address: String,
    has_own_instance: bool,
    /// Our labels, and its instance.
    labels: Labels,
}

/// A block of targets.
struct Block<'v> {
    value: Value<'v>,
    /// Its `labels`.
    labels: Option<Value<'v>>,
    /// The same as Prometheus reads them.
    group: Labels,
    /// Whether its labels say that its targets are ours.
    is_ours: bool,
}

impl<'a> Watched<'a> {
    pub(super) fn new(report: &'a RefCell<Report>, alerts: Alerts<'a>) -> Self {
        Self {
            report,
            alerts,
            budget: BUDGET,
            is_over_budget: false,
            dropped: 0,
            mentioned: Mentioned::default(),
            silencing: BTreeMap::new(),
            undecided: BTreeSet::new(),
            hidden_by_alert_rules: 0,
            said: HashSet::new(),
        }
    }

    /// Whether no target is ours.
    pub(super) fn is_empty(&self) -> bool {
        self.mentioned.is_empty()
    }

    /// One block of targets. `None` where it has no targets of ours, or none that can be used.
    pub(super) fn read_block(
        &mut self,
        job: &Job<'_>,
        of_job: &mut OfJob,
        block: &Value<'_>,
        file: Option<&str>,
    ) -> Option<()> {
        let block = read_labels(block, file)?;
        let list = match block.value.get_filled("targets") {
            None if block.is_ours => {
                block.value.required("targets", "is missing, so the labels label nothing: add the addresses")?
            }
            Some(list) if is_template(list.node) && block.is_ours => return list.refuse(TEMPLATE_OF_MORE),
            list => list?,
        };
        let items = if block.is_ours { list.list()? } else { list.items() };
        let (mut found, mut unusable, dropped_before) = (Vec::new(), Vec::new(), self.dropped);
        for value in items {
            match value.node {
                Node::Text(address) if !is_template(value.node) => {
                    found.extend(self.evaluate(job, of_job, &block, address, &value));
                }
                _ => unusable.push(value),
            }
        }
        if found.is_empty() && block.is_ours && self.dropped == dropped_before {
            self.components(&block, job, block.group.get(COMPONENT));
        }
        if found.is_empty() && !block.is_ours {
            let labels = block.labels.as_ref();
            if let Some(component) = labels.filter(|labels| labels.get_filled(ALERT).is_none())?.get_filled(COMPONENT) {
                component.remark("counts for nothing without status_page_alert: true beside it");
            }
            return None;
        }
        of_job.has_ours = true;
        // Many targets have the same labels, and what is wrong with these is said once.
        let (mut components, mut critical) = (HashMap::new(), HashMap::new());
        for target in &found {
            let text = target.labels.get(COMPONENT);
            if !components.contains_key(text) {
                components.insert(text.to_owned(), self.components(&block, job, text));
            }
            let text = target.labels.get(CRITICAL);
            if !critical.contains_key(text) {
                critical.insert(text.to_owned(), !text.is_empty() && self.is_true(&block, job, CRITICAL, text));
            }
        }
        for value in unusable {
            match value.node {
                Node::Text(_) => value.problem(TEMPLATE),
                _ => value.text().map_or((), |_| ()),
            }
        }
        let mut by_label = ByLabel::default();
        for target in &found {
            let critical = critical.get(target.labels.get(CRITICAL)).copied().unwrap_or_default();
            let Some(Some(components)) = components.get(target.labels.get(COMPONENT)) else { continue };
            self.add(of_job, &block, &mut by_label, target, components, critical);
        }
        if let Some((label, true)) = by_label.label.filter(|_| by_label.addresses > 1) {
            label.remark(format!("is the same for {} addresses, which makes them one target", by_label.addresses));
        }
        Some(())
    }

    /// The target at an address, if it is ours after the rules of its job and those for alerts.
    fn evaluate<'v>(
        &mut self,
        job: &Job<'_>,
        of_job: &mut OfJob,
        block: &Block<'_>,
        address: &'v str,
        value: &Value<'v>,
    ) -> Option<Found<'v>> {
        let scraped = match job.labels.target(address, &block.group, &mut self.budget) {
            Ok(scraped) => scraped,
            Err(NotScraped::Url(target)) if job.value.is_none() => target,
            Err(NotScraped::Relabelled(Relabelled::OverBudget)) => {
                self.is_over_budget = true;
                return None;
            }
            Err(_) if !block.is_ours => return None,
            Err(NotScraped::Url(target)) if job.labels.rules.is_empty() && job.rules.templates.is_empty() => {
                value.problem(
                    "has a /, and Prometheus takes no URL as an address: write host:port, or relabel it as \
                     prometheus.yml.example does for the blackbox exporter",
                );
                target
            }
            Err(NotScraped::Url(target)) => {
                of_job.urls.push(target.address);
                return None;
            }
            Err(NotScraped::NoAddress) if address.is_empty() => {
                return value.refuse("is empty: write an address, as in host:port");
            }
            Err(NotScraped::NoInterval) => {
                of_job.without_interval += 1;
                return None;
            }
            Err(NotScraped::NoAddress) => {
                of_job.without_address += 1;
                return None;
            }
            Err(NotScraped::Relabelled(Relabelled::TooLong(rule))) => {
                of_job.too_long.insert(rule);
                return None;
            }
            Err(NotScraped::Relabelled(_)) => {
                self.dropped += 1;
                return None;
            }
        };
        let alert = self.alerts.labels.alert(&scraped.labels, &self.alerts.of_targets, &mut self.budget);
        let was_ours =
            is_said_true(scraped.labels.get(ALERT)) || is_said_true(self.alerts.labels.external_labels.get(ALERT));
        let is_ours = match alert.labels.get(ALERT) {
            "" => false,
            text if text == block.group.get(ALERT) => block.is_ours,
            text => self.is_true(block, job, ALERT, text),
        };
        for rule in alert.undecided {
            if self.alerts.may_matter(rule) && (is_ours || was_ours || self.alerts.sets_ours(rule)) {
                self.undecided.insert(rule);
            }
        }
        match alert.outcome {
            Relabelled::Kept if is_ours => {
                // There may be hundreds of thousands of them.
                let mut labels = alert.labels;
                labels.retain(|name| name == INSTANCE || OUR_LABELS.contains(&name));
                let ScrapedTarget { address: scraped_address, has_own_instance, .. } = scraped;
                return Some(Found { address, value: value.clone(), scraped_address, has_own_instance, labels });
            }
            Relabelled::OverBudget => self.is_over_budget = true,
            Relabelled::Kept if was_ours => self.hidden_by_alert_rules += 1,
            Relabelled::Kept if block.is_ours => of_job.hidden += 1,
            Relabelled::Dropped(rule) | Relabelled::TooLong(rule) if was_ours => {
                self.dropped += 1;
                *self.silencing.entry(rule).or_default() += 1;
            }
            _ => {}
        }
        None
    }

    /// Adds a target of ours, by the instance that its alerts carry.
    fn add<'v>(
        &mut self,
        of_job: &mut OfJob,
        block: &Block<'v>,
        by_label: &mut ByLabel<'v>,
        found: &Found<'_>,
        components: &Arc<[ComponentName]>,
        critical: bool,
    ) -> Option<()> {
        let instance = found.labels.get(INSTANCE);
        if instance.is_empty() {
            self.hidden_by_alert_rules += 1;
            return None;
        }
        let place = found.value.place.clone();
        if instance == block.group.get(INSTANCE)
            && let Some(label) = block.labels.as_ref().and_then(|labels| labels.get_filled(INSTANCE))
        {
            if !by_label.is_usable(&label, instance, components) {
                return None;
            }
            let target = target(instance, components, None)?;
            if by_label.named.insert((target.name(), critical)) {
                self.mentioned.add_target(target, critical, label.place);
            }
            return Some(());
        }
        let target = target(instance, components, Some(&found.value))?;
        let is_address = instance == found.scraped_address;
        if is_address && !found.has_own_instance && is_portless(instance) {
            self.mentioned.add_portless(instance, place.clone());
        }
        if instance != found.address {
            if is_address && !found.has_own_instance {
                let (addresses, has_url) = of_job.replaced.entry(instance.to_owned()).or_default();
                *addresses += 1;
                *has_url |= found.address.contains('/');
            } else {
                *of_job.derived.entry(instance.to_owned()).or_default() += 1;
            }
            if !of_job.named.insert((target.name(), critical)) {
                return Some(());
            }
        }
        self.mentioned.add_target(target, critical, place);
        Some(())
    }

    /// The components that a label names, of which there is at least one.
    fn components(&mut self, block: &Block<'_>, job: &Job<'_>, text: &str) -> Option<Arc<[ComponentName]>> {
        let node = Node::Text(text.to_owned());
        let value = self.origin(block, job, COMPONENT, &node);
        if *value.node == Node::Null {
            return value.refuse("is missing, so these targets feed nothing: name the components, separated by commas");
        }
        let list = ComponentList::parse(value.text()?);
        for error in &list.rejected {
            self.say(&value, error.to_string());
        }
        if list.names.is_empty() && list.rejected.is_empty() {
            self.say(&value, "is empty: name the components, separated by commas".to_owned());
        }
        for name in &list.names {
            self.mentioned.add_component(name, &value.place);
        }
        (!list.names.is_empty()).then(|| list.names.into())
    }

    /// Whether a label that has this value is true; a value that is neither true nor false is a problem.
    fn is_true(&mut self, block: &Block<'_>, job: &Job<'_>, label: &str, text: &str) -> bool {
        let node = Node::Text(text.to_owned());
        let value = self.origin(block, job, label, &node);
        match truth_of(&value) {
            Some(Ok(truth)) => truth,
            Some(Err(problem)) => {
                self.say(&value, problem);
                false
            }
            None => value.wrong_type::<bool>("true or false", "write one of them").unwrap_or(false),
        }
    }

    /// Reports a problem, once for each place and text.
    fn say(&mut self, value: &Value<'_>, problem: String) {
        if self.said.insert((value.place.clone(), problem.clone())) {
            value.problem(problem);
        }
    }

    /// Where a label got its value, `node`, from: the block, `external_labels`, or the rules. Without a value: null, where the
    /// block would have it.
    fn origin<'v>(&self, block: &Block<'v>, job: &Job<'_>, label: &str, node: &'v Node) -> Value<'v>
    where
        'a: 'v,
    {
        let of_block = block.labels.as_ref().and_then(|labels| labels.get_filled(label));
        let is_it = |value: &Value<'_>| scalar(value.node).is_none_or(|text| Node::Text(text) == *node);
        if let Some(value) = of_block.as_ref().filter(|value| is_it(value)) {
            return value.clone();
        }
        let mut external = self.alerts.external.iter().filter(|(name, _)| *name == label).map(|(_, value)| value);
        if let Some(value) = external.find(|value| is_it(value)) {
            return value.clone();
        }
        if of_block.is_none() && *node == Node::Text(String::new()) {
            let labels = block.labels.clone().unwrap_or_else(|| block.value.key("labels"));
            return labels.standing_at(&Node::Null, labels.key(label).place);
        }
        let place = Some(job).filter(|job| !job.labels.rules.is_empty()).and_then(Job::place_of_rules);
        let place = place.or_else(|| self.alerts.place.clone()).unwrap_or_else(|| block.value.place.clone());
        block.value.standing_at(node, place)
    }

    /// The targets of the file at `root`, with what there is to say of all of them.
    pub(super) fn finish(self, groups: Option<&Groups>, root: &Value<'_>) -> Inventory {
        if self.is_over_budget {
            root.problem(
                "needs more relabelling than is done for one file, so not all targets are known: use fewer rules or \
                 targets",
            );
        }
        for (index, targets) in &self.silencing {
            if let Some(rule) = self.alerts.rules.places.get(*index) {
                rule.remark(format!(
                    "drops the alerts of {}: keep them if {} on the page",
                    counted(*targets, "target"),
                    belongs(*targets)
                ));
            }
        }
        for index in &self.undecided {
            let Some(rule) = self.alerts.rules.places.get(*index) else { continue };
            let labels = self.alerts.labels.rules.get(*index).map(|rule| rule.decisive_labels().collect::<Vec<_>>());
            rule.remark(format!(
                "looks at labels of the alert ({}), so this file cannot tell which alerts it changes: targets are named as \
                 if it changed none",
                excerpt(&labels.unwrap_or_default().join(", "))
            ));
        }
        if let Some(place) = self.alerts.place.clone().filter(|_| self.hidden_by_alert_rules > 0) {
            let message = format!(
                "takes the label status_page_alert or instance from the alerts of {}: keep both if {} on the page",
                counted(self.hidden_by_alert_rules, "target"),
                belongs(self.hidden_by_alert_rules)
            );
            self.report.borrow_mut().add(Severity::Remark, place, message);
        }
        if !self.is_empty() {
            for template in &self.alerts.rules.templates {
                template.problem(TEMPLATE_OF_MORE);
            }
        }
        self.mentioned.inventory(groups, &root.place, self.report)
    }
}

/// The targets of a block that its own label `instance` names.
#[derive(Default)]
struct ByLabel<'v> {
    /// The label, and whether it can be used; once it was looked at.
    label: Option<(Value<'v>, bool)>,
    addresses: usize,
    named: BTreeSet<(TargetName, bool)>,
}

impl<'v> ByLabel<'v> {
    /// Counts one more address, and looks at the label for the first one.
    fn is_usable(&mut self, label: &Value<'v>, instance: &str, components: &Arc<[ComponentName]>) -> bool {
        self.addresses += 1;
        let check = || label.text().and_then(|_| target(instance, components, Some(label))).is_some();
        self.label.get_or_insert_with(|| (label.clone(), check())).1
    }
}

/// A block with its labels. `None` if it is none, or if its labels cannot be used.
fn read_labels<'v>(block: &Value<'v>, file: Option<&str>) -> Option<Block<'v>> {
    if is_template(block.node) {
        return block.refuse(TEMPLATE_OF_MORE);
    }
    let value = block.map()?;
    report_misplaced(&value, BLOCK_KEYS, &[]);
    let labels = match value.get_filled("labels") {
        Some(labels) if is_template(labels.node) => return labels.refuse(TEMPLATE_OF_MORE),
        Some(labels) => Some(labels.map()?),
        None => None,
    };
    let mut group = Labels::default();
    for (label, value) in labels.iter().flat_map(|labels| labels.entries()) {
        report_label_typo(label, &value);
        group.set(label, scalar(value.node).unwrap_or_default());
    }
    group.set("__meta_filepath", file.unwrap_or_default());
    let is_ours = match labels.as_ref().and_then(|labels| labels.get_filled(ALERT)) {
        Some(alert) => truth(&alert)?,
        None => false,
    };
    Some(Block { value, labels, group, is_ours })
}

/// A truth value, or its text form as Prometheus makes labels of it; anything else is a problem.
fn truth(value: &Value<'_>) -> Option<bool> {
    match truth_of(value) {
        Some(truth) => value.checked(truth),
        None => value.wrong_type("true or false", "write one of them"),
    }
}

/// The same, with what is wrong with a text. `None`: it is neither a truth value nor a text.
fn truth_of(value: &Value<'_>) -> Option<Result<bool, String>> {
    match value.node {
        Node::Bool(truth) => Some(Ok(*truth)),
        Node::Text(text) if is_said_true(text) => Some(Ok(true)),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(Ok(false)),
        Node::Text(text) => Some(Err(format!("is {:?}, must be true or false: write one of them", excerpt(text)))),
        _ => None,
    }
}

fn is_said_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

/// Whether it is a host without a port.
fn is_portless(address: &str) -> bool {
    !address.contains([':', '/']) || address.ends_with(']')
}

/// The target of that instance, if Cachet can have a component for it; what is wrong is a problem of `value`.
fn target(instance: &str, components: &Arc<[ComponentName]>, value: Option<&Value<'_>>) -> Option<Target> {
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
    value?.refuse(problem)
}

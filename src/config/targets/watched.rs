//! What the labels of targets say after Prometheus' relabelling: which targets are on the page, by which instance alerts name
//! them, and which components they feed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::config::Groups;
use crate::config::report::{Place, Report, Severity, counted};
use crate::config::tree::{Node, Value};
use crate::core::relabel::{BUDGET, Labels, Stop, spend};
use crate::core::scrape::{NotScraped, ScrapedTarget};
use crate::core::target::{ComponentList, ComponentName, Inventory, NAME_LIMIT, Target, TargetName, excerpt};

use super::blocks::{Block, fault_of_address, is_true, truth_of};
use super::mentioned::Mentioned;
use super::of_job::{OfJob, Probe};
use super::relabelling::{AlertRules, JobEntry, Reading, scalar};
use super::templates::{is_placeholder, is_template, report_template};
use super::{ALERT, COMPONENT, CRITICAL, INSTANCE, OUR_LABELS, belongs};

/// The most bytes that the value of a label that is read here may have, after relabelling. Names on the page are shorter.
const LABEL_LIMIT: usize = 4 << 10;

/// What it costs to read a block, beside its addresses.
const BLOCK_COST: u64 = 16;

/// What is known of the targets of the file.
pub(super) struct Watched<'a> {
    report: &'a RefCell<Report>,
    reading: &'a Reading,
    alerts: AlertRules<'a>,
    /// What is left of the work that one file may ask for.
    budget: u64,
    pub is_over_budget: bool,
    /// How many targets of ours Prometheus drops, or drops the alerts of.
    pub dropped: usize,
    /// The first place that takes targets off the page other than by dropping them, and how.
    pub first_loss: Option<(Place, &'static str)>,
    mentioned: Mentioned,
    /// The rules for alerts that drop those of our targets, and of how many.
    silencing: BTreeMap<usize, usize>,
    /// The rules for alerts that this file cannot decide.
    undecided: BTreeSet<usize>,
    /// The templates without which more of our targets would be known.
    decisive_templates: BTreeSet<usize>,
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
    /// The target that Prometheus connects to, without its labels.
    scraped: ScrapedTarget,
    /// Our labels, and its instance.
    labels: Labels,
}

/// What is known of the labels that the targets of one block have.
#[derive(Default)]
struct OfBlock<'v> {
    by_label: ByLabel<'v>,
    components: HashMap<String, Option<Arc<[ComponentName]>>>,
    critical: HashMap<String, bool>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(report: &'a RefCell<Report>, reading: &'a Reading, alerts: AlertRules<'a>) -> Self {
        Self {
            report,
            reading,
            alerts,
            budget: BUDGET,
            is_over_budget: false,
            dropped: 0,
            first_loss: None,
            mentioned: Mentioned::default(),
            silencing: BTreeMap::new(),
            undecided: BTreeSet::new(),
            decisive_templates: BTreeSet::new(),
            hidden_by_alert_rules: 0,
            said: HashSet::new(),
        }
    }

    /// Whether no target is ours.
    pub(super) fn is_empty(&self) -> bool {
        self.mentioned.is_empty()
    }

    /// Takes a cost from what the file may ask for. Whether there is enough.
    pub(super) fn may_spend(&mut self, cost: u64) -> bool {
        self.is_over_budget |= spend(&mut self.budget, cost).is_err();
        !self.is_over_budget
    }

    /// Reports the templates that are in the way of targets.
    pub(super) fn report_templates(&self) {
        self.reading.templates.report(&self.decisive_templates, self.report);
    }

    /// One block of targets. `None` where it has no targets of ours, or none that can be used.
    pub(super) fn read_block(
        &mut self,
        job: &JobEntry<'_>,
        of_job: &mut OfJob,
        block: &Value<'_>,
        file: Option<&str>,
    ) -> Option<()> {
        if !self.may_spend(BLOCK_COST) {
            return None;
        }
        let block = Block::read(block, file, &self.reading.templates)?;
        let list = match block.value.get_filled("targets") {
            None if block.is_ours => {
                block.value.required("targets", "is missing, so the labels label nothing: add the addresses")?
            }
            Some(list) if is_template(list.node) => {
                if block.is_ours || block.group.unknown(ALERT).is_some() {
                    report_template(&list);
                }
                return None;
            }
            list => list?,
        };
        if block.is_ours {
            list.list()?;
            if list.each().next().is_none() {
                self.lose(list.place.clone(), "is an empty list, so nothing is watched: write the addresses");
            }
        }
        let (mut of_block, mut unusable, dropped_before) = (OfBlock::default(), Vec::new(), self.dropped);
        let mut has_found = false;
        for value in list.each() {
            match value.node {
                Node::Text(address) if !is_template(value.node) && !is_placeholder(address) => {
                    if let Some(found) = self.evaluate(job, of_job, &block, address, &value) {
                        has_found = true;
                        self.take(job, of_job, &block, &mut of_block, &found);
                    }
                }
                _ => unusable.push(value),
            }
        }
        if !has_found && block.is_ours && self.dropped == dropped_before && block.group.unknown(COMPONENT).is_none() {
            self.components(&block, job, block.group.get(COMPONENT));
        }
        if !has_found && !block.is_ours {
            let labels = block.labels.as_ref();
            if let Some(component) = labels.filter(|labels| labels.get_filled(ALERT).is_none())?.get_filled(COMPONENT) {
                component.remark("counts for nothing without status_page_alert: true beside it");
            }
            return None;
        }
        of_job.has_ours = true;
        for value in unusable {
            match value.node {
                Node::Text(_) if is_template(value.node) => report_template(&value),
                Node::Text(_) => value.problem("is a placeholder: write the address, as in host:port"),
                _ => value.text().map_or((), |_| ()),
            }
        }
        let by_label = of_block.by_label;
        if let Some((label, true)) = by_label.label.filter(|_| by_label.addresses > 1) {
            label.remark(format!("is the same for {} addresses, which makes them one target", by_label.addresses));
        }
        Some(())
    }

    /// The target at an address, if it is ours after the rules of its job and those for alerts.
    fn evaluate<'v>(
        &mut self,
        job: &JobEntry<'_>,
        of_job: &mut OfJob,
        block: &Block<'_>,
        address: &'v str,
        value: &Value<'v>,
    ) -> Option<Found<'v>> {
        if self.is_over_budget {
            return None;
        }
        let mut scraped = match job.labels.target(address, &block.group, &mut self.budget) {
            Ok(scraped) => scraped,
            Err(NotScraped::Url(target)) if job.value.is_none() => *target,
            Err(reason) => return self.not_scraped(reason, job, of_job, block, value),
        };
        let was_ours = is_true(scraped.labels.get(ALERT)) || is_true(self.alerts.labels.external_labels.get(ALERT));
        let alert =
            self.alerts.labels.alert(std::mem::take(&mut scraped.labels), &self.alerts.of_targets, &mut self.budget);
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
            Ok(()) if is_ours => return self.found(job, block, address, value, scraped, alert.labels),
            Ok(()) if alert.labels.unknown(ALERT).is_some() => {
                self.decisive_templates.extend(alert.labels.unknown(ALERT));
            }
            Ok(()) if was_ours => self.hide_by_alert_rules(),
            Ok(()) if block.is_ours => of_job.hidden += 1,
            Err(Stop::OverBudget) => self.is_over_budget = true,
            Err(Stop::Dropped(rule) | Stop::TooLong(rule)) if was_ours => {
                self.dropped += 1;
                *self.silencing.entry(rule).or_default() += 1;
            }
            _ => {}
        }
        None
    }

    /// A target of ours with the labels of its alerts, unless these cannot be used.
    fn found<'v>(
        &mut self,
        job: &JobEntry<'_>,
        block: &Block<'_>,
        address: &'v str,
        value: &Value<'v>,
        scraped: ScrapedTarget,
        mut labels: Labels,
    ) -> Option<Found<'v>> {
        self.decisive_templates.extend(labels.undecided());
        self.decisive_templates.extend([INSTANCE, COMPONENT, CRITICAL].iter().filter_map(|name| labels.unknown(name)));
        if labels.unknown(INSTANCE).or(labels.unknown(COMPONENT)).is_some() {
            return None;
        }
        for name in [INSTANCE, COMPONENT, CRITICAL] {
            let text = labels.get(name);
            if text.len() > LABEL_LIMIT {
                let node = Node::Text(text.to_owned());
                let origin = if name == INSTANCE && text == address {
                    value.clone()
                } else {
                    self.origin(block, job, name, &node)
                };
                self.say(
                    &origin,
                    format!(
                        "makes a label {name} of more than {LABEL_LIMIT} bytes, so its targets are unknown: shorten it"
                    ),
                );
                return None;
            }
        }
        if job.value.is_some()
            && scraped.address == address
            && let Some(fault) = fault_of_address(address)
        {
            return value.refuse(fault);
        }
        labels.retain(|name| name == INSTANCE || OUR_LABELS.contains(&name));
        Some(Found { address, value: value.clone(), scraped, labels })
    }

    /// Counts, or reports, a target that Prometheus does not scrape.
    fn not_scraped<T>(
        &mut self,
        reason: NotScraped,
        job: &JobEntry<'_>,
        of_job: &mut OfJob,
        block: &Block<'_>,
        value: &Value<'_>,
    ) -> Option<T> {
        match reason {
            NotScraped::Relabelled(Stop::OverBudget) => self.is_over_budget = true,
            _ if !block.is_ours => {}
            NotScraped::Url(_) if job.labels.rules.is_empty() && job.rules.templates.is_empty() => value.problem(
                "has a /, and Prometheus takes no URL as an address: write host:port, or relabel it as \
                 prometheus.yml.example does for the blackbox exporter",
            ),
            NotScraped::Url(target) => of_job.urls.push(target.address),
            NotScraped::NoAddress if *value.node == Node::Text(String::new()) => {
                value.problem("is empty: write an address, as in host:port");
            }
            NotScraped::NoInterval => of_job.without_interval += 1,
            NotScraped::NoAddress => of_job.without_address += 1,
            NotScraped::Relabelled(Stop::TooLong(rule)) => {
                of_job.too_long.insert(rule);
            }
            NotScraped::Relabelled(Stop::Dropped(_)) => self.dropped += 1,
        }
        None
    }

    /// Remembers the first cause for which a target is not on the page.
    pub(super) fn lose(&mut self, place: Place, cause: &'static str) {
        self.first_loss.get_or_insert((place, cause));
    }

    fn hide_by_alert_rules(&mut self) {
        self.hidden_by_alert_rules += 1;
        if let Some(place) = self.alerts.place.clone() {
            self.lose(
                place,
                "takes the label status_page_alert or instance from the alerts of every target, so nothing is watched: \
                 keep both",
            );
        }
    }

    /// Adds a target with its components.
    fn take<'v>(
        &mut self,
        job: &JobEntry<'_>,
        of_job: &mut OfJob,
        block: &Block<'v>,
        of_block: &mut OfBlock<'v>,
        found: &Found<'_>,
    ) -> Option<()>
    where
        'a: 'v,
    {
        // Many targets have the same labels, and what is wrong with these is said once.
        let text = found.labels.get(COMPONENT);
        if !of_block.components.contains_key(text) {
            of_block.components.insert(text.to_owned(), self.components(block, job, text));
        }
        let text = found.labels.get(CRITICAL);
        if !of_block.critical.contains_key(text) {
            of_block.critical.insert(text.to_owned(), !text.is_empty() && self.is_true(block, job, CRITICAL, text));
        }
        let critical = of_block.critical.get(text).copied().unwrap_or_default();
        let components = Arc::clone(of_block.components.get(found.labels.get(COMPONENT))?.as_ref()?);
        self.add(of_job, block, &mut of_block.by_label, found, &components, critical)
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
            self.hide_by_alert_rules();
            return None;
        }
        if instance == block.group.get(INSTANCE)
            && let Some(label) = block.label(INSTANCE)
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
        let place = found.value.place.clone();
        let is_address = instance == found.scraped.address && !found.scraped.has_own_instance;
        if is_address && is_portless(instance) {
            self.mentioned.add_portless(instance, place.clone());
        }
        let probed = found.scraped.probed.as_str();
        if !probed.is_empty() && instance == found.scraped.address {
            if instance == found.address && probed != instance {
                of_job.probes.insert(instance.to_owned(), Probe::ByParams);
            } else if instance != found.address && probed == instance {
                of_job.probes.insert(instance.to_owned(), Probe::Itself);
            }
        }
        if instance != found.address {
            if is_address {
                let (addresses, is_probed) = of_job.replaced.entry(instance.to_owned()).or_default();
                *addresses += 1;
                *is_probed |= found.address.contains('/') || (!probed.is_empty() && probed != instance);
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
    fn components(&mut self, block: &Block<'_>, job: &JobEntry<'_>, text: &str) -> Option<Arc<[ComponentName]>> {
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
    fn is_true(&mut self, block: &Block<'_>, job: &JobEntry<'_>, label: &str, text: &str) -> bool {
        let node = Node::Text(text.to_owned());
        let value = self.origin(block, job, label, &node);
        match truth_of(value.node) {
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
    fn origin<'v>(&self, block: &Block<'v>, job: &JobEntry<'_>, label: &str, node: &'v Node) -> Value<'v>
    where
        'a: 'v,
    {
        let of_block = block.label(label);
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
        let place = Some(job).filter(|job| !job.labels.rules.is_empty()).and_then(JobEntry::place_of_rules);
        let place = place.or_else(|| self.alerts.place.clone()).unwrap_or_else(|| block.value.place.clone());
        block.value.standing_at(node, place)
    }

    /// The targets of the file at `root`, with what there is to say of all of them.
    pub(super) fn finish(self, groups: Option<&Groups>, root: &Value<'_>) -> Inventory {
        if self.is_over_budget {
            root.problem(
                "has more targets, or more rules for them, than are evaluated of one file, so not all targets are known: \
                 use fewer",
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
                report_template(template);
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
        let check = || target(instance, components, Some(label)).is_some();
        self.label.get_or_insert_with(|| (label.clone(), check())).1
    }
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

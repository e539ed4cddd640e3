//! What the page must show: a function of the inventory and of what the sources say, kept up to date by changes.
//!
//! A changed signal updates its target and the tallies of the components that this target feeds. [`DesiredPage::apply_rules`]
//! then builds every component from its tally. [`desired`] computes the same from nothing; the simulation compares the two
//! after each step.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::names::cut;
use super::observed::{Observed, ObservedComponent};
use super::overrides::{Overridden, Override};
use super::rules::{Condition, ConditionCounts, Signal, SignalId, Signals, TargetHealth, component_status};
use super::status::ComponentStatus;
use super::target::{ComponentName, Inventory, InventorySource, KnownTarget, Target, TargetName};
use super::time::Timestamp;
use super::watchdog::Monitoring;

/// The most characters of a description that Cachet keeps on every database (PostgreSQL answers 500 to one more).
pub const DESCRIPTION_LIMIT: usize = 255;

/// What the second line of a target's description says when nothing fires.
const NO_ALERTS: &str = "no alerts";

/// What the page must show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DesiredPage {
    /// Every visible component that a target feeds, or that an operator overrides; while the watchdog is missing, those of
    /// the configuration, too. As of the last [`DesiredPage::apply_rules`], and what was applied after it.
    pub components: BTreeMap<ComponentName, DesiredComponent>,
    /// Every target that is in the inventory, or of which a source says that it does not work.
    pub targets: BTreeMap<TargetName, DesiredTarget>,
    /// What is known of the monitoring; see [`DesiredPage::apply_watchdog`].
    pub monitoring: Monitoring,
    /// When time alone changes the page next: a waiting firing begins to count, the watchdog is missing, or an override is
    /// over.
    pub revisit_at: Option<Timestamp>,
    /// How the targets of each component are.
    tallies: BTreeMap<ComponentName, Tally>,
    /// The target of each signal. Signals with [`Condition::Ok`] are not kept.
    signals: HashMap<SignalId, TargetName>,
    targets_down: usize,
    /// Whether the inventory consists of the page's own target components.
    is_of_page: bool,
}

/// What a visible component must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredComponent {
    /// Its status.
    pub status: ComponentStatus,
    /// Since when it has this status by the signals: in a Major Outage since a critical target is down or the last of all went
    /// down, otherwise since the earliest signal. Or from when on nothing was heard of the monitoring, or since when it is
    /// overridden. `None` if it is Operational.
    pub since: Option<Timestamp>,
    /// The targets that feed it.
    pub targets: Arc<BTreeSet<TargetName>>,
    /// What an operator's override changes of it; see [`DesiredPage::apply_overrides`].
    pub overridden: Option<Overridden>,
}

/// What a target's own component must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredTarget {
    /// The target.
    pub target: Target,
    /// Whether it alone brings its components to Major Outage.
    pub critical: bool,
    /// How it is known.
    pub origin: TargetOrigin,
    /// Everything that is wrong with it, the earliest first.
    pub causes: Vec<Cause>,
    /// How many of the causes concern some components only. Mostly none does, and there may be thousands of causes.
    narrowed: usize,
}

/// How a target is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetOrigin {
    /// It is in the inventory.
    Inventory,
    /// Only signals know it; it counts while one of them says that it does not work.
    Signals,
}

/// One thing that is wrong with a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// When it began: of an alert, its `startsAt`.
    pub since: Timestamp,
    /// Why: of an alert, its name.
    pub why: String,
    /// How the target is for it.
    pub condition: Condition,
    /// Whether its source calls the target critical: that counts for targets which only signals know.
    critical: bool,
    /// The signal that says so.
    signal: SignalId,
    /// The target as the signal names it, if that is another name. Then the cause concerns only the components of this name.
    named: Option<Arc<Target>>,
}

impl DesiredComponent {
    /// One that no target feeds.
    pub(super) fn unfed() -> Self {
        Self { status: ComponentStatus::Operational, since: None, targets: Arc::default(), overridden: None }
    }

    /// Whether a target feeds it.
    pub fn is_fed(&self) -> bool {
        !self.targets.is_empty()
    }
}

impl DesiredTarget {
    fn of_signals(target: Target) -> Self {
        Self { target, critical: false, origin: TargetOrigin::Signals, causes: Vec::new(), narrowed: 0 }
    }

    fn add_cause(&mut self, cause: Cause) {
        self.narrowed += usize::from(cause.named.is_some());
        let place = self.causes.partition_point(|other| *other < cause);
        // Most targets have one cause, and there may be many targets.
        if self.causes.is_empty() {
            self.causes.reserve_exact(1);
        }
        self.causes.insert(place, cause);
    }

    fn remove_cause(&mut self, signal: SignalId) {
        let Some(place) = self.causes.iter().position(|cause| cause.signal == signal) else { return };
        let removed = self.causes.remove(place);
        self.narrowed -= usize::from(removed.named.is_some());
    }

    /// The worst that a source says of it.
    pub fn condition(&self) -> Condition {
        // There may be thousands, and nothing is worse than down.
        let is_down = self.causes.iter().any(|cause| cause.condition == Condition::Down);
        let worst = || self.causes.iter().map(|cause| cause.condition).max();
        if is_down { Condition::Down } else { worst().unwrap_or(Condition::Ok) }
    }

    /// Whether it is down.
    pub fn is_down(&self) -> bool {
        self.condition() == Condition::Down
    }

    /// The causes that concern `component`.
    fn causes_of(&self, component: &ComponentName) -> impl Iterator<Item = &Cause> {
        let feeds = self.narrowed == 0 || self.target.components().contains(component);
        self.causes.iter().filter(move |cause| match &cause.named {
            None => feeds,
            Some(named) => named.components().contains(component),
        })
    }

    /// The target with the causes that concern `component`, as this component has it.
    pub(super) fn within(&self, component: &ComponentName) -> Cow<'_, Self> {
        if self.narrowed == 0 {
            return Cow::Borrowed(self);
        }
        let causes = self.causes_of(component).cloned().collect();
        Cow::Owned(Self { target: self.target.clone(), causes, narrowed: 0, ..*self })
    }

    /// How the target is for `component`.
    fn health(&self, component: &ComponentName) -> Health {
        let mut health = Health { condition: Condition::Ok, critical: self.critical, began: None, down: None };
        for cause in self.causes_of(component) {
            health.began.get_or_insert(cause.since);
            health.condition = health.condition.max(cause.condition);
            if cause.condition == Condition::Down {
                health.down = Some(cause.since);
                // Nothing is worse, and the first cause that says so comes first. There may be thousands of causes.
                break;
            }
        }
        health
    }

    /// The components that it feeds, and those that only its causes name.
    pub(super) fn components(&self) -> impl Iterator<Item = &ComponentName> {
        let (own, causes) = (self.target.components(), if self.narrowed == 0 { &[] } else { &self.causes[..] });
        let of_causes = causes.iter().filter_map(|cause| cause.named.as_deref()).flat_map(Target::components);
        let others: BTreeSet<&ComponentName> = of_causes.filter(|component| !own.contains(component)).collect();
        own.iter().chain(others)
    }

    /// The status of its own component.
    pub fn status(&self) -> ComponentStatus {
        self.condition().status()
    }

    /// The description of its own component.
    pub fn description(&self) -> String {
        if let [cause] = &self.causes[..] {
            return describe(self.critical, [cause.why.as_str()]);
        }
        // Thousands may be wrong with it, and only the first names fit: each takes three characters at least.
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for cause in &self.causes {
            let is_full = names.len() > DESCRIPTION_LIMIT / 3;
            if !is_full || names.last().is_some_and(|last| cause.why.as_str() < *last) {
                names.insert(&cause.why);
            }
            if names.len() > DESCRIPTION_LIMIT / 3 + 1 {
                names.pop_last();
            }
        }
        describe(self.critical, names)
    }
}

/// How a target is for one component.
#[derive(Debug, Clone, Copy)]
struct Health {
    condition: Condition,
    critical: bool,
    /// When its first cause began.
    began: Option<Timestamp>,
    /// Since when it is down.
    down: Option<Timestamp>,
}

/// How the targets of one component are: all that its status depends on, in a form that a changed target updates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tally {
    targets: Arc<BTreeSet<TargetName>>,
    conditions: ConditionCounts,
    /// The start of the first cause of each target that has one, with the number of targets.
    troubled: BTreeMap<Timestamp, usize>,
    /// Since when targets are down, with the number of targets.
    down: BTreeMap<Timestamp, usize>,
    /// As `down`, for critical targets only.
    critical_down: BTreeMap<Timestamp, usize>,
}

impl Tally {
    fn add(&mut self, name: &TargetName, health: Health) {
        if let Some(targets) = Arc::get_mut(&mut self.targets) {
            targets.insert(name.clone());
        } else if !self.targets.contains(name) {
            Arc::make_mut(&mut self.targets).insert(name.clone());
        }
        self.conditions.add(TargetHealth { condition: health.condition, critical: health.critical });
        for (times, moment) in self.times(health) {
            *times.entry(moment).or_default() += 1;
        }
    }

    /// Takes a target out. Its name stays: most targets are put back at once with another health.
    fn remove(&mut self, health: Health) {
        self.conditions.remove(TargetHealth { condition: health.condition, critical: health.critical });
        for (times, moment) in self.times(health) {
            let count = times.get(&moment).copied().unwrap_or_default();
            if count > 1 {
                times.insert(moment, count - 1)
            } else {
                times.remove(&moment)
            };
        }
    }

    fn times(&mut self, health: Health) -> impl Iterator<Item = (&mut BTreeMap<Timestamp, usize>, Timestamp)> {
        let moments = [health.began, health.down, health.down.filter(|_| health.critical)];
        [&mut self.troubled, &mut self.down, &mut self.critical_down]
            .into_iter()
            .zip(moments)
            .filter_map(|(times, moment)| Some((times, moment?)))
    }

    fn component(&self) -> DesiredComponent {
        let first = |times: &BTreeMap<Timestamp, usize>| times.keys().next().copied();
        let status = component_status(&self.conditions);
        let since = match status {
            // Since its first critical target is down, or the last of all.
            ComponentStatus::MajorOutage => {
                let all_are_down = self.conditions.count(Condition::Down) == self.targets.len();
                let all_down = self.down.keys().next_back().copied().filter(|_| all_are_down);
                first(&self.critical_down).into_iter().chain(all_down).min()
            }
            _ => first(&self.troubled),
        };
        DesiredComponent { status, since, targets: Arc::clone(&self.targets), overridden: None }
    }
}

impl DesiredPage {
    /// Goes over to `inventory`. The targets that this changes are added to `touched`.
    ///
    /// A target of the inventory counts always, one that only signals know while one of them says that it does not work.
    pub fn set_inventory(&mut self, inventory: &Inventory, touched: &mut BTreeSet<TargetName>) {
        let is_of_page = inventory.source() == InventorySource::Cachet;
        let mut hosts: BTreeSet<String> = BTreeSet::new();
        if std::mem::replace(&mut self.is_of_page, is_of_page) != is_of_page {
            hosts.extend(
                self.signals.values().filter_map(|name| Some(self.targets.get(name)?.target.host().to_owned())),
            );
        }
        let is_known = |target: &DesiredTarget| target.origin == TargetOrigin::Inventory;
        let gone = self.targets.iter().filter(|(name, target)| is_known(target) && !inventory.contains_key(*name));
        let gone: Vec<TargetName> = gone.map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| hosts.extend(self.change_known(name, None, touched)));
        inventory.iter().for_each(|(name, known)| hosts.extend(self.change_known(name, Some(known), touched)));
        if !self.signals.is_empty() {
            hosts.iter().for_each(|host| self.move_signals_at(host, touched));
        }
    }

    /// Takes one target into the inventory, or out of it (`None`).
    pub fn set_known(&mut self, name: &TargetName, known: Option<&KnownTarget>, touched: &mut BTreeSet<TargetName>) {
        if let Some(host) = self.change_known(name, known, touched) {
            self.move_signals_at(&host, touched);
        }
    }

    /// As [`Self::set_known`], without moving signals. Returns the host of a target that came or left.
    fn change_known(
        &mut self,
        name: &TargetName,
        known: Option<&KnownTarget>,
        touched: &mut BTreeSet<TargetName>,
    ) -> Option<String> {
        let is_known = |target: &&DesiredTarget| target.origin == TargetOrigin::Inventory;
        let before = self.targets.get(name);
        let target = before.map(|target| &target.target).or(known.map(|known| &known.target))?;
        let (host, before) = (target.host().to_owned(), before.filter(is_known).map(|target| target.critical));
        if before == known.map(|known| known.critical) {
            return None;
        }
        touched.insert(name.clone());
        self.change(name, known.map(|known| &known.target), |target| match known {
            Some(known) => (target.origin, target.critical) = (TargetOrigin::Inventory, known.critical),
            None => target.origin = TargetOrigin::Signals,
        });
        (before.is_some() != known.is_some()).then_some(host)
    }

    /// Replaces what the signal `id` says; `None`: it says nothing any more. The targets that this changes are added to
    /// `touched`.
    pub fn set_signal(&mut self, id: SignalId, signal: Option<Signal>, touched: &mut BTreeSet<TargetName>) {
        let signal = signal.filter(|signal| signal.condition != Condition::Ok);
        let after = signal.as_ref().map(|signal| self.target_of(&signal.target));
        let before = self.signals.remove(&id);
        let is_new = before.is_none();
        if let Some(name) = before.filter(|name| Some(name) != after.as_ref()) {
            self.change(&name, None, |target| target.remove_cause(id));
            touched.insert(name);
        }
        let (Some(signal), Some(name)) = (signal, after) else { return };
        let Signal { target, critical, condition, since, why, .. } = signal;
        let named = (target.name() != name).then(|| Arc::new(target.clone()));
        let cause = Cause { since, why, condition, critical, signal: id, named };
        self.change(&name, Some(&target), |target| {
            if !is_new {
                target.remove_cause(id);
            }
            target.add_cause(cause);
        });
        self.signals.insert(id, name.clone());
        touched.insert(name);
    }

    /// Forgets what a source has said. The targets that this changes are added to `touched`.
    pub fn forget_signals(&mut self, source: u8, touched: &mut BTreeSet<TargetName>) {
        let ids: Vec<SignalId> = self.signals.keys().filter(|id| id.source == source).copied().collect();
        ids.into_iter().for_each(|id| self.set_signal(id, None, touched));
    }

    /// Changes one target and the tallies of its components. It is made from `target` if it is unknown, and dropped if
    /// nothing is left to know of it.
    fn change(&mut self, name: &TargetName, target: Option<&Target>, change: impl FnOnce(&mut DesiredTarget)) {
        let target = match self.targets.entry(name.clone()) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                self.targets_down -= usize::from(known.is_down());
                for component in known.components() {
                    if let Some(tally) = self.tallies.get_mut(component) {
                        tally.remove(known.health(component));
                    }
                }
                known
            }
            Entry::Vacant(unknown) => {
                let Some(target) = target else { return };
                unknown.insert(DesiredTarget::of_signals(target.clone()))
            }
        };
        let own = target.target.components().len();
        let named_before: Vec<ComponentName> = target.components().skip(own).cloned().collect();
        change(target);
        if target.origin == TargetOrigin::Signals {
            target.critical = target.causes.iter().any(|cause| cause.critical);
        }
        let stays = target.origin == TargetOrigin::Inventory || !target.causes.is_empty();
        let mut left = named_before;
        if stays {
            for component in target.components() {
                self.tallies.entry(component.clone()).or_default().add(name, target.health(component));
                left.retain(|before| before != component);
            }
            self.targets_down += usize::from(target.is_down());
        } else {
            left.extend_from_slice(target.target.components());
            self.targets.remove(name);
        }
        for component in left {
            let Some(tally) = self.tallies.get_mut(&component) else { continue };
            Arc::make_mut(&mut tally.targets).remove(name);
            if tally.targets.is_empty() {
                self.tallies.remove(&component);
            }
        }
    }

    /// The name of the target that a signal is about, which names its target `named`.
    ///
    /// A signal is about the target of the inventory with its instance and a common component, whatever other components it names:
    /// a rule may narrow the components of an alert. Of several such targets, it is the one with the most common components; if
    /// several have, the first by name. Where the inventory does not have the instance, one without a port stands for the only
    /// target with this host, and one with port 80 or 443 for the target without a port ([`Target::is_meant_by`]).
    ///
    /// The target components of a page were made for the names that signals gave. So if they are the inventory, another list of
    /// components is another target.
    fn target_of(&self, named: &Target) -> TargetName {
        let (name, instance) = (named.name(), named.instance());
        if let Some(equal) = self.targets.get(&name) {
            if self.is_of_page || equal.origin == TargetOrigin::Inventory {
                // With the components in its order.
                return equal.target.name();
            }
        } else if self.is_of_page {
            return name;
        }
        let mut best: Option<(usize, &Target)> = None;
        for known in self.inventory_beginning_with(instance, TargetName::SEPARATOR) {
            let shared = known.shared_with(named);
            if known.instance() == instance && best.is_none_or(|(most, _)| shared > most) {
                best = Some((shared, known));
            }
            if shared == named.components().len() {
                break;
            }
        }
        if let Some((shared, known)) = best {
            return if shared > 0 { known.name() } else { name };
        }
        let (host, separator) = match named.host() {
            host if host == instance => (host, ":"),
            host => (host, TargetName::SEPARATOR),
        };
        let mut meant = self.inventory_beginning_with(host, separator).filter(|known| known.is_meant_by(named));
        match (meant.next(), meant.next()) {
            (Some(known), None) => known.name(),
            _ => name,
        }
    }

    /// The targets of the inventory whose name begins with both texts.
    fn inventory_beginning_with(&self, instance: &str, separator: &str) -> impl Iterator<Item = &Target> + use<'_> {
        let named = self.beginning_with(instance, separator).map(|(_, target)| target);
        named.filter(|target| target.origin == TargetOrigin::Inventory).map(|target| &target.target)
    }

    /// The targets whose name begins with both texts.
    fn beginning_with<'a>(
        &'a self,
        instance: &str,
        separator: &str,
    ) -> impl Iterator<Item = (&'a TargetName, &'a DesiredTarget)> + use<'a> {
        let start = format!("{instance}{separator}");
        let named = self.targets.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
        named.take_while(move |(name, _)| name.key().starts_with(&start))
    }

    /// Moves the signals that are about another target now that targets of `host` came into the inventory or left it.
    fn move_signals_at(&mut self, host: &str, touched: &mut BTreeSet<TargetName>) {
        let mut moved: Vec<Signal> = Vec::new();
        let same_host = [TargetName::SEPARATOR, ":"].map(|separator| self.beginning_with(host, separator));
        for (name, target) in same_host.into_iter().flatten() {
            for cause in &target.causes {
                let named = cause.named.as_deref().unwrap_or(&target.target);
                if self.target_of(named) != *name {
                    let Cause { since, why, condition, critical, signal: id, .. } = cause.clone();
                    moved.push(Signal { id, target: named.clone(), critical, condition, since, why });
                }
            }
        }
        moved.into_iter().for_each(|signal| self.set_signal(signal.id, Some(signal), touched));
    }

    /// Computes all components by the rules. `revisit_at` is when time alone next changes a signal. Apply the watchdog and the
    /// overrides afterwards.
    pub fn apply_rules(mut self, revisit_at: Option<Timestamp>) -> Self {
        self.components = self.tallies.iter().map(|(name, tally)| (name.clone(), tally.component())).collect();
        (self.monitoring, self.revisit_at) = (Monitoring::Unwatched, revisit_at);
        self
    }

    /// The page with what is known of the monitoring.
    ///
    /// While the watchdog is missing, every Operational component becomes Unknown: those that a target feeds, and those `named`
    /// in the configuration. Other statuses stay.
    pub fn apply_watchdog(mut self, monitoring: Monitoring, named: &BTreeSet<ComponentName>) -> Self {
        self.monitoring = monitoring;
        match monitoring {
            Monitoring::Unwatched => {}
            Monitoring::Heard { until } => self.revisit_at = self.revisit_at.into_iter().chain([until]).min(),
            Monitoring::Missing { since, .. } => {
                for name in named {
                    self.components.entry(name.clone()).or_insert_with(DesiredComponent::unfed);
                }
                let green = self.components.values_mut().filter(|it| it.status == ComponentStatus::Operational);
                for component in green {
                    component.status = ComponentStatus::Unknown;
                    component.since = Some(since);
                }
            }
        }
        self
    }

    /// The page with the overrides of operators in place of what the rules say, as far as it counts at `now`.
    pub fn apply_overrides(mut self, overrides: &[Override], now: Timestamp) -> Self {
        for override_ in overrides.iter().filter(|override_| override_.is_in_force(now)) {
            let component = self.components.entry(override_.component.clone()).or_insert_with(DesiredComponent::unfed);
            let overridden =
                Overridden { by: override_.clone(), rules: component.status, rules_since: component.since };
            component.since = match override_.status {
                ComponentStatus::Operational => None,
                // Since the outage began, where the rules say the same.
                status if status == overridden.rules => overridden.rules_since.or(Some(override_.since)),
                _ => Some(override_.since),
            };
            component.status = override_.status;
            component.overridden = Some(overridden);
            self.revisit_at = self.revisit_at.into_iter().chain([override_.until]).min();
        }
        self
    }

    /// How many targets are down.
    pub fn targets_down(&self) -> usize {
        self.targets_down
    }

    /// How many signals say that something is wrong.
    pub fn troubles(&self) -> usize {
        self.signals.len()
    }
}

/// What the page must show, computed from nothing, given what the sources say: of each signal one word.
pub fn desired(inventory: &Inventory, signals: &Signals) -> DesiredPage {
    let is_of_page = inventory.source() == InventorySource::Cachet;
    let mut page = DesiredPage { is_of_page, ..DesiredPage::default() };
    let known = inventory.iter().map(|(name, KnownTarget { target, critical })| {
        let (target, critical, origin) = (target.clone(), *critical, TargetOrigin::Inventory);
        (name.clone(), DesiredTarget { target, critical, origin, causes: Vec::new(), narrowed: 0 })
    });
    page.targets = known.collect();
    for Signal { id, target, critical, condition, since, why } in &signals.signals {
        if *condition == Condition::Ok {
            continue;
        }
        let cause = |named| Cause {
            since: *since,
            why: why.clone(),
            condition: *condition,
            critical: *critical,
            signal: *id,
            named,
        };
        let name = target.name();
        // Mostly so.
        if let Some(known) = page.targets.get_mut(&name).filter(|known| known.origin == TargetOrigin::Inventory) {
            known.causes.push(cause(None));
            page.signals.insert(*id, name);
            continue;
        }
        let name = page.target_of(target);
        let named = (target.name() != name).then(|| Arc::new(target.clone()));
        let target = page.targets.entry(name.clone()).or_insert_with(|| DesiredTarget::of_signals(target.clone()));
        target.narrowed += usize::from(named.is_some());
        target.causes.push(cause(named));
        page.signals.insert(*id, name);
    }
    for (name, target) in &mut page.targets {
        target.causes.sort_unstable();
        if target.origin == TargetOrigin::Signals {
            target.critical = target.causes.iter().any(|cause| cause.critical);
        }
        for component in target.components() {
            page.tallies.entry(component.clone()).or_default().add(name, target.health(component));
        }
        page.targets_down += usize::from(target.is_down());
    }
    page.apply_rules(signals.changes_at)
}

/// A target's description: `critical: yes|no`, and on the second line the names of the alerts that fire, or `no alerts`.
///
/// An operator reads it in Cachet, and so did the older Python middleware. Cut to [`DESCRIPTION_LIMIT`] characters, and
/// without what Cachet would not keep of its end.
pub(super) fn describe<'a>(critical: bool, firing: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = firing.into_iter().collect();
    let alerts = if names.is_empty() { NO_ALERTS.to_owned() } else { names.join(", ") };
    let text = format!("critical: {}\n{alerts}", if critical { "yes" } else { "no" });
    cut(&text, DESCRIPTION_LIMIT)
}

/// The names of the alerts that a description says fire.
pub fn alerts_named(description: &str) -> Vec<&str> {
    let names = description.split_once('\n').map_or("", |(_, names)| names);
    names.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != NO_ALERTS).collect()
}

/// Whether a description says that its target is critical.
pub(super) fn says_critical(description: &str) -> bool {
    let first = description.lines().next().unwrap_or_default();
    first.split_once(':').is_some_and(|(key, value)| {
        key.trim().eq_ignore_ascii_case("critical") && value.trim().eq_ignore_ascii_case("yes")
    })
}

/// The description with its critical line as the inventory has it, the rest as it is; `None` if nothing changes.
pub(super) fn with_critical_line(description: Option<&str>, critical: bool) -> Option<String> {
    let Some(text) = description else { return Some(describe(critical, [])) };
    let has_line = text.lines().next().is_some_and(|line| line.trim_start().to_lowercase().starts_with("critical:"));
    if has_line && says_critical(text) == critical {
        return None;
    }
    let alerts = if has_line { text.split_once('\n').map_or(NO_ALERTS, |(_, rest)| rest) } else { text };
    Some(describe(critical, [alerts]))
}

/// The inventory from the page's target components, for an installation without a targets file.
pub fn inventory_of(observed: &Observed) -> Inventory {
    Inventory::new(InventorySource::Cachet, observed.components.iter().filter_map(known_target))
}

/// The target that a component of the page stands for, if it is disabled and has the name of one.
pub fn known_target(component: &ObservedComponent) -> Option<KnownTarget> {
    let critical = component.description.as_deref().is_some_and(says_critical);
    let target = Target::from_name(&component.name).filter(|_| !component.enabled)?;
    Some(KnownTarget { target, critical })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::alert::{Alert, AlertRecord, AlertStatus, Fingerprint, signals};
    use super::super::observed::ComponentId;
    use super::super::target::ComponentList;
    use super::*;

    const REFIRE_DELAY: Duration = Duration::from_secs(300);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn target(instance: &str, components: &str) -> Target {
        Target::new(instance, ComponentList::parse(components).names).expect("target")
    }

    fn name(text: &str) -> ComponentName {
        ComponentName::try_from(text).expect("component name")
    }

    fn inventory(targets: &[(&str, &str, bool)]) -> Inventory {
        let known = |&(instance, components, critical): &(&str, &str, bool)| KnownTarget {
            target: target(instance, components),
            critical,
        };
        Inventory::new(InventorySource::File, targets.iter().map(known))
    }

    fn firing(alert: &str, target: Target, starts_at: i64) -> AlertRecord {
        let bits = alert
            .bytes()
            .chain(target.name().as_str().bytes())
            .fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let fingerprint: Fingerprint = format!("{bits:016x}").parse().expect("fingerprint");
        let alert = Alert {
            fingerprint,
            name: alert.to_owned(),
            target,
            critical: false,
            status: AlertStatus::Firing,
            starts_at: Timestamp::from_millis(starts_at),
            ends_at: None,
        };
        AlertRecord::observe(None, &alert, NOW).0
    }

    #[test]
    fn a_quiet_inventory_is_a_green_page() {
        let page =
            desired(&inventory(&[("a", "Web", false), ("b", "Web, Database", true)]), &signals(&[], REFIRE_DELAY, NOW));
        assert_eq!(page.components.len(), 2);
        for component in page.components.values() {
            assert_eq!((component.status, component.since), (ComponentStatus::Operational, None));
        }
        assert_eq!(page.targets[&target("b", "Web, Database").name()].description(), "critical: yes\nno alerts");
        assert_eq!(page.revisit_at, None);
    }

    #[test]
    fn a_target_shows_the_worst_of_what_is_said_of_it_and_that_it_works_makes_no_target() {
        let said = |condition, since: i64| Signal {
            id: SignalId { source: 0, id: since.unsigned_abs() },
            target: target("a", "Web"),
            critical: false,
            condition,
            since: Timestamp::from_millis(since),
            why: format!("{condition:?}"),
        };
        let page = |signals| desired(&inventory(&[]), &Signals { signals, changes_at: Some(NOW) });
        assert!(page(vec![said(Condition::Ok, 1)]).targets.is_empty());
        let worst = page(vec![said(Condition::Degraded, 1), said(Condition::Partial, 2), said(Condition::Ok, 3)]);
        let web = &worst.targets[&target("a", "Web").name()];
        assert_eq!((web.status(), web.is_down()), (ComponentStatus::PartialOutage, false));
        assert_eq!(
            (web.health(&name("Web")).down, web.description().as_str()),
            (None, "critical: no\nDegraded, Partial")
        );
        assert_eq!(worst.components[&name("Web")].since, Some(Timestamp::from_millis(1)));
        assert_eq!(worst.components[&name("Web")].status, ComponentStatus::PartialOutage);
        assert_eq!(worst.revisit_at, Some(NOW));
    }

    proptest! {
        /// Whatever changes, and in whatever order, the page is the one that is computed from what is true in the end.
        #[test]
        fn a_page_that_follows_changes_is_the_page_computed_from_nothing(
            changes in prop::collection::vec((0_u64..6, 0_usize..10, 0_i64..5, 0_usize..6, any::<bool>()), 0..40)
        ) {
            let targets = [
                target("a", "Web"), target("b", "Web, Api"), target("c", "Api"), target("d", "Mail"), target("b", "Api, Web"),
                target("b", "Web"), target("b", "Mail, Web"), target("b:80", "Web"), target("b:9100", "Api"), target("a", "Mail"),
            ];
            let conditions = [Condition::Ok, Condition::Unknown, Condition::Degraded, Condition::Partial, Condition::Down];
            let (mut page, mut touched) = (DesiredPage::default(), BTreeSet::new());
            let (mut known, mut said) = (BTreeMap::new(), BTreeMap::new());
            let inventory_of = |known: &BTreeMap<TargetName, KnownTarget>, is_of_page| match is_of_page {
                true => Inventory::new(InventorySource::Cachet, known.values().cloned()),
                false => Inventory::new(InventorySource::File, known.values().cloned()),
            };
            let mut is_of_page = false;
            for (id, target, since, condition, flag) in changes {
                let target = targets[target].clone();
                let before = page.clone();
                touched.clear();
                if id == 0 {
                    let entry = KnownTarget { target: target.clone(), critical: since > 2 };
                    if flag { drop(known.insert(target.name(), entry)) } else { drop(known.remove(&target.name())) }
                    is_of_page = condition > 3;
                    page.set_inventory(&inventory_of(&known, is_of_page), &mut touched);
                } else {
                    let id = SignalId { source: 0, id };
                    let signal = conditions.get(condition).map(|condition| Signal {
                        id,
                        target,
                        critical: flag,
                        condition: *condition,
                        since: Timestamp::from_millis(since),
                        why: "Down".to_owned(),
                    });
                    match &signal {
                        Some(signal) => drop(said.insert(id, signal.clone())),
                        None => drop(said.remove(&id)),
                    }
                    page.set_signal(id, signal, &mut touched);
                }
                page = page.apply_rules(None);
                let signals = Signals { signals: said.values().cloned().collect(), changes_at: None };
                prop_assert_eq!(&page, &desired(&inventory_of(&known, is_of_page), &signals));
                let names: BTreeSet<_> = before.targets.keys().chain(page.targets.keys()).collect();
                for name in names {
                    prop_assert!(before.targets.get(name) == page.targets.get(name) || touched.contains(name), "{:?}", name);
                }
                prop_assert_eq!(page.targets_down(), page.targets.values().filter(|target| target.is_down()).count());
            }
        }
    }

    #[test]
    fn one_of_two_targets_down_is_a_partial_outage_of_each_component_that_it_feeds() {
        let inventory = inventory(&[("a", "Web, Api", false), ("b", "Web", false)]);
        let page = desired(&inventory, &signals(&[firing("Down", target("a", "Web, Api"), 5)], REFIRE_DELAY, NOW));
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::PartialOutage);
        assert_eq!(page.components[&name("Api")].status, ComponentStatus::MajorOutage);
        assert_eq!(page.components[&name("Api")].since, Some(Timestamp::from_millis(5)));
    }

    #[test]
    fn an_outage_began_when_a_critical_target_or_the_last_of_all_went_down_and_not_with_its_first_cause() {
        let down = |instance: &str, second| firing("Down", target(instance, "Web"), second);
        let [a, slow_a, b, c] = [down("a", 5), firing("Slow", target("a", "Web"), 3), down("b", 9), down("c", 12)];
        for (critical, alerts, status, since) in [
            (true, vec![a.clone(), b.clone()], ComponentStatus::MajorOutage, 9),
            (true, vec![a.clone(), b.clone(), c.clone()], ComponentStatus::MajorOutage, 9),
            (false, vec![a.clone(), b.clone()], ComponentStatus::PartialOutage, 5),
            (false, vec![a.clone(), b.clone(), c.clone()], ComponentStatus::MajorOutage, 12),
            (false, vec![slow_a, a, b, c], ComponentStatus::MajorOutage, 12),
        ] {
            let inventory = inventory(&[("a", "Web", false), ("b", "Web", critical), ("c", "Web", false)]);
            let page = desired(&inventory, &signals(&alerts, REFIRE_DELAY, NOW));
            let web = &page.components[&name("Web")];
            assert_eq!((web.status, web.since), (status, Some(Timestamp::from_millis(since))));
        }
    }

    #[test]
    fn a_target_that_only_alerts_know_counts_while_one_of_them_fires() {
        let inventory = inventory(&[("a", "Web", false)]);
        let stranger = firing("Down", target("x", "Web"), 5);
        let page = desired(&inventory, &signals(std::slice::from_ref(&stranger), REFIRE_DELAY, NOW));
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::PartialOutage);
        assert_eq!(page.targets[&stranger.target.name()].origin, TargetOrigin::Signals);
        let page = desired(&inventory, &signals(&[], REFIRE_DELAY, NOW));
        assert_eq!(page.components[&name("Web")].targets.len(), 1);
    }

    /// An alert about an instance of the inventory is about that target, which counts once.
    #[test]
    fn an_alert_is_about_the_known_target_of_its_instance_whatever_components_its_rule_names() {
        use ComponentStatus::{MajorOutage, Operational};
        let listed = inventory(&[("web-01:9100", "Web, Database", false)]);
        for (said, web, database, backup) in [
            (target("web-01:9100", "Web, Database"), MajorOutage, MajorOutage, None),
            (target("web-01:9100", "Database, Web"), MajorOutage, MajorOutage, None),
            (target("web-01:9100", "Web"), MajorOutage, Operational, None),
            // One that the inventory does not have of this target counts while the alert fires.
            (target("web-01:9100", "Web, Backup"), MajorOutage, Operational, Some(MajorOutage)),
            // Its rule takes the port off the instance.
            (target("web-01", "Web"), MajorOutage, Operational, None),
        ] {
            let page = desired(&listed, &signals(&[firing("Down", said.clone(), 5)], REFIRE_DELAY, NOW));
            let status = |component: &str| page.components.get(&name(component)).map(|it| it.status);
            assert_eq!((status("Web"), status("Database")), (Some(web), Some(database)), "{said:?}");
            assert_eq!(status("Backup"), backup, "{said:?}");
            let targets: Vec<&str> = page.targets.keys().map(TargetName::as_str).collect();
            assert_eq!(targets, ["web-01:9100 | Web, Database"], "{said:?}");
            assert_eq!((page.targets_down(), page.components[&name("Web")].targets.len()), (1, 1), "{said:?}");
        }
    }

    #[test]
    fn an_alert_of_an_instance_with_several_known_targets_is_about_the_one_with_the_most_of_its_components() {
        let listed = inventory(&[
            ("a", "Web", false),
            ("a", "Api, Mail", false),
            ("b:1", "Web", false),
            ("b:2", "Web", false),
            ("c", "Api", false),
            ("c:1", "Web", false),
        ]);
        for (said, known) in [
            (target("a", "Web"), "a | Web"),
            (target("a", "Mail, Api"), "a | Api, Mail"),
            (target("a", "Mail"), "a | Api, Mail"),
            (target("a", "Web, Api, Mail"), "a | Api, Mail"),
            // It has nothing in common with either.
            (target("a", "Database"), "a | Database"),
            (target("c", "Web"), "c | Web"),
            // Which of both it is cannot be told.
            (target("b", "Web"), "b | Web"),
            (target("b:3", "Web"), "b:3 | Web"),
        ] {
            let page = desired(&listed, &signals(&[firing("Down", said.clone(), 5)], REFIRE_DELAY, NOW));
            let down: Vec<&str> =
                page.targets.iter().filter(|(_, it)| it.is_down()).map(|(name, _)| name.as_str()).collect();
            assert_eq!(down, [known], "{said:?}");
        }
    }

    #[test]
    fn a_component_that_only_one_alert_names_has_the_beginning_and_the_causes_of_this_alert() {
        let listed = inventory(&[("a", "Web", false)]);
        let alerts = [firing("Down", target("a", "Web"), 5), firing("BackupFailed", target("a", "Web, Backup"), 10)];
        let page = desired(&listed, &signals(&alerts, REFIRE_DELAY, NOW));
        let since = |component: &str| page.components[&name(component)].since;
        assert_eq!(
            (since("Web"), since("Backup")),
            (Some(Timestamp::from_millis(5)), Some(Timestamp::from_millis(10)))
        );
        let target = page.targets[&target("a", "Web").name()].within(&name("Backup")).into_owned();
        assert_eq!(target.causes.iter().map(|cause| cause.why.as_str()).collect::<Vec<_>>(), ["BackupFailed"]);
    }

    /// Its target components were made for the names that alerts gave.
    #[test]
    fn without_a_file_another_list_of_components_is_another_target_and_another_order_is_not() {
        let known = KnownTarget { target: target("a", "Web, Api"), critical: false };
        let of_page = Inventory::new(InventorySource::Cachet, [known]);
        for (components, count) in [("Api, Web", 1), ("Web", 2), ("Web, Api, Mail", 2)] {
            let page = desired(&of_page, &signals(&[firing("Down", target("a", components), 5)], REFIRE_DELAY, NOW));
            assert_eq!(page.components[&name("Web")].targets.len(), count, "{components}");
        }
    }

    #[test]
    fn twenty_thousand_ports_of_one_host_are_taken_into_the_inventory_and_out_of_it_in_time() {
        let targets: Vec<(String, &str, bool)> =
            (0..20_000).map(|port| (format!("host:{port}"), "Web", false)).collect();
        let listed: Vec<(&str, &str, bool)> =
            targets.iter().map(|(name, web, critical)| (name.as_str(), *web, *critical)).collect();
        let (all, none) = (inventory(&listed), inventory(&[]));
        let alerts: Vec<_> = targets.iter().map(|(name, ..)| firing("Down", target(name, "Web"), 5)).collect();
        let (began, mut touched) = (std::time::Instant::now(), BTreeSet::new());
        let mut page = desired(&all, &signals(&alerts, REFIRE_DELAY, NOW));
        for inventory in [&none, &all] {
            page.set_inventory(inventory, &mut touched);
            assert_eq!(page.targets_down(), 20_000);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    /// Prometheus before 3.0 adds the port of the scheme to an address without one.
    #[test]
    fn the_port_of_the_scheme_makes_no_other_target() {
        let listed = inventory(&[("web-01", "Web", false), ("https://example.com", "Web", false)]);
        for (instance, targets) in
            [("web-01:80", 2), ("web-01:443", 2), ("web-01:8080", 3), ("https://example.com:443", 3)]
        {
            let page = desired(&listed, &signals(&[firing("Down", target(instance, "Web"), 5)], REFIRE_DELAY, NOW));
            assert_eq!(page.components[&name("Web")].targets.len(), targets, "{instance}");
        }
    }

    #[test]
    fn the_inventory_says_what_is_critical_and_the_alert_only_for_targets_that_it_does_not_know() {
        let listed = inventory(&[("a", "Web", false), ("b", "Web", false)]);
        let mut alert = firing("Down", target("a", "Web"), 5);
        alert.critical = true;
        let page = desired(&listed, &signals(&[alert.clone()], REFIRE_DELAY, NOW));
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::PartialOutage);
        alert.target = target("x", "Web");
        let page = desired(&listed, &signals(&[alert], REFIRE_DELAY, NOW));
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::MajorOutage);
    }

    #[test]
    fn a_target_with_two_alerts_is_down_until_both_have_ended_and_names_both() {
        let inventory = inventory(&[("a", "Web", false)]);
        let alerts = [firing("Slow", target("a", "Web"), 5), firing("Down", target("a", "Web"), 9)];
        let page = desired(&inventory, &signals(&alerts, REFIRE_DELAY, NOW));
        let web = &page.targets[&target("a", "Web").name()];
        assert_eq!(web.description(), "critical: no\nDown, Slow");
        assert_eq!(web.health(&name("Web")).down, Some(Timestamp::from_millis(5)));
        assert!(
            desired(&inventory, &signals(&alerts[..1], REFIRE_DELAY, NOW)).targets[&target("a", "Web").name()]
                .is_down()
        );
    }

    #[test]
    fn the_page_is_looked_at_again_when_a_waiting_firing_begins_to_count() {
        let mut waiting = firing("Down", target("a", "Web"), 5);
        waiting.state = super::super::alert::AlertState::Refired { since: NOW };
        let inventory = inventory(&[("a", "Web", false)]);
        let page = desired(&inventory, &signals(std::slice::from_ref(&waiting), REFIRE_DELAY, NOW));
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::Operational);
        let due = page.revisit_at.expect("a moment");
        let page = desired(&inventory, &signals(&[waiting], REFIRE_DELAY, due));
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::MajorOutage);
        assert_eq!(page.revisit_at, None);
    }

    #[test]
    fn a_description_is_cut_to_what_every_database_keeps() {
        let names: Vec<String> = (0..100).map(|n| format!("Störung{n:03}")).collect();
        let text = describe(true, names.iter().map(String::as_str));
        assert_eq!(text.chars().count(), DESCRIPTION_LIMIT);
        assert!(says_critical(&text));
    }

    #[test]
    fn a_description_is_as_cachet_keeps_it() {
        for length in 1..=40 {
            let names = vec!["x".repeat(length); 100];
            let text = describe(false, names.iter().map(String::as_str));
            assert_eq!(text.trim_end(), text);
        }
        assert_eq!(describe(false, ["Down "]), "critical: no\nDown");
    }

    #[test]
    fn the_critical_line_is_corrected_and_the_alerts_stay() {
        assert_eq!(with_critical_line(Some("critical: yes\nDown"), true), None);
        assert_eq!(with_critical_line(Some("critical: no\nDown"), true).as_deref(), Some("critical: yes\nDown"));
        assert_eq!(with_critical_line(Some("critical: no"), true).as_deref(), Some("critical: yes\nno alerts"));
        assert_eq!(with_critical_line(None, false).as_deref(), Some("critical: no\nno alerts"));
        assert_eq!(with_critical_line(Some("a note"), false).as_deref(), Some("critical: no\na note"));
    }

    #[test]
    fn cachets_disabled_components_are_an_inventory() {
        let component = |name: &str, enabled, description: Option<&str>| ObservedComponent {
            id: ComponentId(1),
            name: name.to_owned(),
            status: Some(ComponentStatus::Operational),
            enabled,
            description: description.map(str::to_owned),
            group: None,
            managed: false,
        };
        let observed = Observed {
            components: vec![
                component("Database", true, None),
                component("a:1 | Database", false, Some("critical: yes\nno alerts")),
                component("b:1 | Database", false, None),
                component("hidden on purpose", false, None),
                component("c:1 | Database", true, None),
            ],
            ..Observed::default()
        };
        let found = |inventory: Inventory| -> Vec<(String, bool)> {
            inventory.iter().map(|(name, known)| (name.to_string(), known.critical)).collect()
        };
        let (a, b) = (("a:1 | Database".to_owned(), true), ("b:1 | Database".to_owned(), false));
        assert_eq!(found(inventory_of(&observed)), [a, b]);
    }
}

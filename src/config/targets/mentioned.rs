//! The targets and components that a targets file names, and how they agree with each other and with the groups.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::Groups;
use crate::config::report::{Place, Report, Severity, counted, did_you_mean};
use crate::core::target::{ComponentName, Inventory, InventorySource, KnownTarget, Target, TargetName, excerpt};

/// Everything that is named, as often as it is, and where.
#[derive(Default)]
pub(super) struct Mentioned {
    targets: Vec<(KnownTarget, Place)>,
    components: BTreeMap<ComponentName, Mentions>,
    /// The addresses without a port that name a target.
    portless: Vec<(String, Place)>,
}

/// Where labels name a component.
struct Mentions {
    first: Place,
    /// How many labels do.
    times: usize,
    /// How many other components were named before.
    order: usize,
}

impl Mentioned {
    /// Whether no target is named.
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// A target is named at `place`.
    pub(super) fn add_target(&mut self, target: Target, critical: bool, place: Place) {
        self.targets.push((KnownTarget { target, critical }, place));
    }

    /// A label names a component at `place`.
    pub(super) fn add_component(&mut self, name: &ComponentName, place: &Place) {
        let order = self.components.len();
        let mentions = self.components.entry(name.clone());
        mentions.or_insert_with(|| Mentions { first: place.clone(), times: 0, order }).times += 1;
    }

    /// An address without a port names a target at `place`.
    pub(super) fn add_portless(&mut self, address: &str, place: Place) {
        self.portless.push((address.to_owned(), place));
    }

    /// The targets, with what there is to say of all of them and of `groups`. `file` is the targets file.
    pub(super) fn inventory(self, groups: Option<&Groups>, file: &Place, report: &RefCell<Report>) -> Inventory {
        if let Some(groups) = groups {
            self.compare_components(groups, file, report);
        }
        self.remark_repetitions(file, report);
        self.remark_portless(report);
        Inventory::new(InventorySource::File, self.targets.into_iter().map(|(target, _)| target))
    }

    /// Every component that a label names must be in a group, and should be fed by a target if it is.
    fn compare_components(&self, groups: &Groups, file: &Place, report: &RefCell<Report>) {
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
            report.borrow_mut().add(Severity::Degraded, mentions.first.clone(), message);
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
                report.borrow_mut().add(Severity::Remark, place.clone(), message);
            }
        }
    }

    /// A target that is named twice counts once; that is harmless unless the two disagree.
    fn remark_repetitions(&self, file: &Place, report: &RefCell<Report>) {
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
                report.borrow_mut().add(Severity::Degraded, place.clone(), message);
            }
            repeated.insert(name);
        }
        if let Some(example) = repeated.first() {
            let (count, verb) = (counted(repeated.len(), "target"), if repeated.len() == 1 { "is" } else { "are" });
            let example = excerpt(example.as_str());
            let message = format!("{count} {verb} named more than once and counted once, for example {example:?}");
            report.borrow_mut().add(Severity::Remark, file.clone(), message);
        }
    }

    /// Prometheus before 3.0 gives an address without a port one, in the label `instance` too.
    fn remark_portless(&self, report: &RefCell<Report>) {
        let Some((address, place)) = self.portless.first() else { return };
        let others = match self.portless.len() - 1 {
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
}

//! What the two files say about each other.

use super::groups::Groups;
use super::nearest::did_you_mean;
use super::report::{Place, Report};
use super::targets::Found;
use crate::core::target::{ComponentName, excerpt};

/// Every component that a label names must be in a group, and should be fed by a target if it is.
pub(super) fn check(groups: &Groups, found: &Found, targets_file: &Place, report: &mut Report) {
    let mut strangers: Vec<_> =
        found.components.iter().filter(|(name, _)| !groups.components.contains_key(name)).collect();
    strangers.sort_by_key(|(_, mentions)| mentions.order);
    for (name, mentions) in strangers {
        let known = groups.components.keys().map(ComponentName::as_str);
        let cure = did_you_mean(name.as_str(), known, "add it to a group in groups_configuration");
        let more = match mentions.times {
            1 => String::new(),
            times => format!(" (named in {times} places)"),
        };
        let name = excerpt(name.as_str());
        report.degraded(mentions.first.clone(), format!("component {name:?} is in no group{more}: {cure}"));
    }
    for name in groups.usable.iter().flat_map(|group| &group.components) {
        let Some(place) = groups.components.get(name).filter(|_| !found.components.contains_key(name)) else {
            continue;
        };
        let (name, file) = (excerpt(name.as_str()), &targets_file.file);
        report.remark(
            place.clone(),
            format!("no target of {file} feeds component {name:?}, so it is operational unless an alert names it"),
        );
    }
}

//! What the two files say about each other.

use super::Config;
use super::nearest::did_you_mean;
use super::report::{Place, Report};
use super::targets::Found;
use crate::core::target::ComponentName;

/// Every component that a label names must be in a group, and should be fed by a target if it is.
pub(super) fn check(config: &Config, config_place: &Place, found: &Found, report: &mut Report) {
    let known = || config.groups.iter().flat_map(|group| &group.components);
    for (name, (place, times)) in &found.components {
        if known().all(|component| component != name) {
            let cure = did_you_mean(
                name.as_str(),
                known().map(ComponentName::as_str),
                "add it to a group in groups_configuration",
            );
            let more = if *times > 1 { format!(" (named in {times} places)") } else { String::new() };
            report.degraded(place.clone(), format!("component {:?} is in no group{more}: {cure}", name.as_str()));
        }
    }
    for group in &config.groups {
        for component in group.components.iter().filter(|component| !found.components.contains_key(component)) {
            report.remark(
                config_place.key("groups_configuration"),
                format!("no target feeds component {:?}, so it is always operational", component.as_str()),
            );
        }
    }
}

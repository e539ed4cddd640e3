//! The rules that the page stands on: what sources say of targets, what the health of targets makes of a component, and
//! when a component has an incident.

use super::status::ComponentStatus;
use super::target::Target;
use super::time::Timestamp;

/// The condition of a target, ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It works.
    Ok,
    /// Nobody knows.
    Unknown,
    /// It works, slowly.
    Degraded,
    /// Some of it is down.
    Partial,
    /// It is down.
    Down,
}

impl Condition {
    /// How many conditions there are.
    const COUNT: usize = 5;

    /// The status of a target's own component in this condition.
    pub(crate) const fn status(self) -> ComponentStatus {
        match self {
            Self::Ok => ComponentStatus::Operational,
            Self::Unknown => ComponentStatus::Unknown,
            Self::Degraded => ComponentStatus::PerformanceIssues,
            Self::Partial => ComponentStatus::PartialOutage,
            Self::Down => ComponentStatus::MajorOutage,
        }
    }
}

/// Which signal of which source: what it says replaces what it said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalId {
    /// The source, by its number.
    pub source: u8,
    /// The signal within the source: of an alert, its fingerprint.
    pub id: u64,
}

/// What one source says of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Which signal it is.
    pub id: SignalId,
    /// What it is about.
    pub target: Target,
    /// Whether the source calls the target critical. The inventory takes precedence.
    pub critical: bool,
    /// How the target is.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// Why: of an alert, its name.
    pub why: String,
}

/// What a source says at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals {
    /// All of it.
    pub signals: Vec<Signal>,
    /// When the signals change next without news.
    pub changes_at: Option<Timestamp>,
}

/// The health of one target of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetHealth {
    /// The worst that a source says of it.
    pub condition: Condition,
    /// Whether its being down, or unknown, decides the status of the component alone.
    pub critical: bool,
}

/// How many targets of a component are in which condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConditionCounts {
    all: [usize; Condition::COUNT],
    critical: [usize; Condition::COUNT],
}

impl ConditionCounts {
    pub(crate) fn add(&mut self, target: TargetHealth) {
        self.all[target.condition as usize] += 1;
        self.critical[target.condition as usize] += usize::from(target.critical);
    }

    /// Takes out a target that was added with this health.
    pub(crate) fn remove(&mut self, target: TargetHealth) {
        self.all[target.condition as usize] -= 1;
        self.critical[target.condition as usize] -= usize::from(target.critical);
    }

    /// How many targets are in this condition.
    pub(crate) fn count(&self, condition: Condition) -> usize {
        self.all[condition as usize]
    }

    fn all_or_critical(&self, condition: Condition) -> bool {
        let count = self.count(condition);
        count > 0 && (count == self.all.iter().sum::<usize>() || self.critical[condition as usize] > 0)
    }
}

/// The status of a component, given the health of its targets.
///
/// A critical target that is down speaks for all of them. A component that nothing feeds has nothing to complain about.
pub(crate) fn component_status(targets: &ConditionCounts) -> ComponentStatus {
    if targets.all_or_critical(Condition::Down) {
        ComponentStatus::MajorOutage
    } else if targets.count(Condition::Down) + targets.count(Condition::Partial) > 0 {
        ComponentStatus::PartialOutage
    } else if targets.count(Condition::Degraded) > 0 {
        ComponentStatus::PerformanceIssues
    } else if targets.all_or_critical(Condition::Unknown) {
        ComponentStatus::Unknown
    } else {
        ComponentStatus::Operational
    }
}

/// What ends an outage, and with it the incident (`close_incident_when`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CloseIncidentWhen {
    /// As soon as the component is no longer in Major Outage. Cachet shows a component with an open incident as red
    /// whatever its own status says, so this is the default.
    #[default]
    NotMajorOutage,
    /// Only when the component is Operational again.
    Operational,
}

impl CloseIncidentWhen {
    /// Whether a component of this status is in an outage, given whether it was in one.
    pub(super) fn in_outage(self, status: ComponentStatus, was_in_outage: bool) -> bool {
        match (status, self) {
            (ComponentStatus::MajorOutage, _) => true,
            // Nobody knows whether it is over: Alertmanager also resolves alerts when Prometheus is dead.
            (ComponentStatus::Unknown, _) => was_in_outage,
            (ComponentStatus::Operational, _) | (_, Self::NotMajorOutage) => false,
            (_, Self::Operational) => was_in_outage,
        }
    }
}

/// What to do when a person changed a status on the page and the alerts say nothing new (`drift`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drift {
    /// Keep the person's status until the alerts change.
    #[default]
    Respect,
    /// Overwrite it.
    Enforce,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UP: TargetHealth = TargetHealth { condition: Condition::Ok, critical: false };
    const DOWN: TargetHealth = TargetHealth { condition: Condition::Down, critical: false };
    const CRITICAL_UP: TargetHealth = TargetHealth { condition: Condition::Ok, critical: true };
    const CRITICAL_DOWN: TargetHealth = TargetHealth { condition: Condition::Down, critical: true };

    fn status(targets: &[TargetHealth]) -> ComponentStatus {
        let mut counts = ConditionCounts::default();
        targets.iter().for_each(|target| counts.add(*target));
        component_status(&counts)
    }

    #[test]
    fn the_table_of_cases() {
        use ComponentStatus::{MajorOutage, Operational, PartialOutage, PerformanceIssues};
        use Condition::{Degraded, Partial, Unknown};
        let of = |condition| TargetHealth { condition, critical: false };
        for (targets, expected) in [
            (vec![], Operational),
            (vec![UP], Operational),
            (vec![UP, CRITICAL_UP], Operational),
            (vec![DOWN], MajorOutage),
            (vec![DOWN, UP], PartialOutage),
            (vec![DOWN, CRITICAL_UP], PartialOutage),
            (vec![DOWN, DOWN], MajorOutage),
            (vec![CRITICAL_DOWN, UP, UP], MajorOutage),
            (vec![CRITICAL_DOWN], MajorOutage),
            (vec![of(Partial), UP], PartialOutage),
            (vec![of(Partial), of(Partial)], PartialOutage),
            (vec![DOWN, of(Degraded)], PartialOutage),
            (vec![of(Degraded), UP], PerformanceIssues),
            (vec![of(Degraded), of(Unknown)], PerformanceIssues),
            (vec![of(Unknown), UP], Operational),
            (vec![of(Unknown), of(Unknown)], ComponentStatus::Unknown),
            (vec![DOWN, of(Unknown)], PartialOutage),
            (vec![TargetHealth { condition: Unknown, critical: true }, UP], ComponentStatus::Unknown),
        ] {
            assert_eq!(status(&targets), expected, "{targets:?}");
        }
    }

    #[test]
    fn an_outage_ends_below_major_outage_or_when_so_configured_only_at_operational() {
        use ComponentStatus::{MajorOutage, Operational, PartialOutage, Unknown};
        let default = CloseIncidentWhen::NotMajorOutage;
        let patient = CloseIncidentWhen::Operational;
        for (policy, status, was_in_outage, in_outage) in [
            (default, MajorOutage, false, true),
            (default, PartialOutage, true, false),
            (default, Operational, true, false),
            (patient, MajorOutage, false, true),
            (patient, PartialOutage, true, true),
            (patient, PartialOutage, false, false),
            (patient, Operational, true, false),
            (default, Unknown, true, true),
            (default, Unknown, false, false),
            (patient, Unknown, true, true),
        ] {
            assert_eq!(policy.in_outage(status, was_in_outage), in_outage, "{policy:?} {status} {was_in_outage}");
        }
    }

    fn health() -> impl Strategy<Value = TargetHealth> {
        use Condition::{Degraded, Down, Ok, Partial, Unknown};
        let condition = prop::sample::select(vec![Ok, Unknown, Degraded, Partial, Down]);
        (condition, any::<bool>()).prop_map(|(condition, critical)| TargetHealth { condition, critical })
    }

    proptest! {
        #[test]
        fn a_target_that_goes_down_never_improves_a_component(
            mut targets in prop::collection::vec(health(), 1..8), index in any::<prop::sample::Index>(),
        ) {
            let before = status(&targets);
            let at = index.index(targets.len());
            targets[at].condition = Condition::Down;
            prop_assert!(status(&targets).severity() >= before.severity());
        }

        #[test]
        fn green_means_that_everything_known_works(targets in prop::collection::vec(health(), 0..8)) {
            let wrong = targets.iter().any(|target| target.condition > Condition::Unknown);
            let status = status(&targets);
            prop_assert!(!(wrong && status == ComponentStatus::Operational), "{targets:?}: {status}");
            if targets.iter().all(|target| target.condition == Condition::Ok) {
                prop_assert_eq!(status, ComponentStatus::Operational);
            }
        }

        #[test]
        fn a_critical_target_that_is_down_is_a_major_outage(mut targets in prop::collection::vec(health(), 0..8)) {
            targets.push(CRITICAL_DOWN);
            prop_assert_eq!(status(&targets), ComponentStatus::MajorOutage);
        }
    }
}

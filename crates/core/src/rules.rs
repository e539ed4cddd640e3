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

/// What one source says of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
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
    /// How many alerts are still within their refire delay.
    pub waiting: usize,
    /// When the signals change next without news.
    pub changes_at: Option<Timestamp>,
}

impl Signals {
    /// What several sources say together.
    pub fn and(mut self, other: Self) -> Self {
        self.signals.extend(other.signals);
        self.waiting += other.waiting;
        self.changes_at = self.changes_at.into_iter().chain(other.changes_at).min();
        self
    }
}

/// The health of one target of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetHealth {
    /// The worst that a source says of it.
    pub condition: Condition,
    /// Whether its being down, or unknown, decides the status of the component alone.
    pub critical: bool,
}

/// The status of a component, given the health of its targets.
///
/// A critical target that is down speaks for all of them. A component that nothing feeds has nothing to complain about.
pub(crate) fn component_status(targets: &[TargetHealth]) -> ComponentStatus {
    let some = |condition| targets.iter().any(|target| target.condition == condition);
    let all_or_critical = |condition| {
        let all = !targets.is_empty() && targets.iter().all(|target| target.condition == condition);
        all || targets.iter().any(|target| target.critical && target.condition == condition)
    };
    if all_or_critical(Condition::Down) {
        ComponentStatus::MajorOutage
    } else if some(Condition::Down) || some(Condition::Partial) {
        ComponentStatus::PartialOutage
    } else if some(Condition::Degraded) {
        ComponentStatus::PerformanceIssues
    } else if all_or_critical(Condition::Unknown) {
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

    #[test]
    fn the_table_of_cases() {
        use ComponentStatus::{MajorOutage, Operational, PartialOutage, PerformanceIssues};
        use Condition::{Degraded, Partial, Unknown};
        let of = |condition| TargetHealth { condition, critical: false };
        for (targets, status) in [
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
            assert_eq!(component_status(&targets), status, "{targets:?}");
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
            let before = component_status(&targets);
            let at = index.index(targets.len());
            targets[at].condition = Condition::Down;
            prop_assert!(component_status(&targets).severity() >= before.severity());
        }

        #[test]
        fn green_means_that_everything_known_works(targets in prop::collection::vec(health(), 0..8)) {
            let wrong = targets.iter().any(|target| target.condition > Condition::Unknown);
            let status = component_status(&targets);
            prop_assert!(!(wrong && status == ComponentStatus::Operational), "{targets:?}: {status}");
            if targets.iter().all(|target| target.condition == Condition::Ok) {
                prop_assert_eq!(status, ComponentStatus::Operational);
            }
        }

        #[test]
        fn a_critical_target_that_is_down_is_a_major_outage(mut targets in prop::collection::vec(health(), 0..8)) {
            targets.push(CRITICAL_DOWN);
            prop_assert_eq!(component_status(&targets), ComponentStatus::MajorOutage);
        }
    }
}

//! The story: what is sent, and what the page must show then.

use crate::core::status::ComponentStatus;

/// One notification, and what it must bring about.
pub(super) struct Step {
    /// What happens.
    pub title: &'static str,
    /// What is sent, in words.
    pub sent: &'static str,
    /// The recording that is sent.
    pub recording: &'static str,
    /// What the page must show of the components that matter here; every open incident is of one of these.
    pub expected: &'static [Expected],
}

/// What the page must show of a component.
pub(super) struct Expected {
    /// The component.
    pub name: &'static str,
    /// Its status.
    pub status: ComponentStatus,
}

impl Expected {
    /// Whether it has an open incident.
    pub(super) fn has_incident(&self) -> bool {
        self.status == ComponentStatus::MajorOutage
    }
}

const fn shows(name: &'static str, status: ComponentStatus) -> Expected {
    Expected { name, status }
}

/// The story, step by step.
pub(super) const STORY: &[Step] = &[
    Step {
        title: "A target fails",
        sent: "one of the six targets of Web Server fires",
        recording: include_str!("1-a-target-fails.json"),
        expected: &[shows("Web Server", ComponentStatus::PartialOutage)],
    },
    Step {
        title: "Half of a component fails",
        sent: "two more targets of Web Server fire, and one of Database",
        recording: include_str!("2-half-a-component-fails.json"),
        expected: &[
            shows("Web Server", ComponentStatus::PartialOutage),
            shows("Database", ComponentStatus::PartialOutage),
        ],
    },
    Step {
        title: "A critical target fails",
        sent: "the critical target of Database and Backend fires",
        recording: include_str!("3-a-critical-target-fails.json"),
        expected: &[
            shows("Database", ComponentStatus::MajorOutage),
            shows("Backend", ComponentStatus::MajorOutage),
            shows("Web Server", ComponentStatus::PartialOutage),
        ],
    },
    Step {
        title: "The critical target recovers",
        sent: "its alert is resolved, in a notification that still says \"firing\" for the others",
        recording: include_str!("4-the-critical-target-recovers.json"),
        expected: &[
            shows("Database", ComponentStatus::PartialOutage),
            shows("Backend", ComponentStatus::Operational),
            shows("Web Server", ComponentStatus::PartialOutage),
        ],
    },
    Step {
        title: "Everything recovers",
        sent: "all other alerts are resolved",
        recording: include_str!("5-all-recovers.json"),
        expected: &[
            shows("Web Server", ComponentStatus::Operational),
            shows("Database", ComponentStatus::Operational),
            shows("Backend", ComponentStatus::Operational),
        ],
    },
];

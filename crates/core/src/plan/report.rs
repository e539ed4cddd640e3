//! What an operator should know, as data and as a line.

use std::collections::BTreeSet;
use std::fmt;

use crate::history::{About, EventKind};
use crate::ledger::{OutageSubject, ResourceKey};
use crate::observed::{ComponentId, IncidentId};
use crate::operation::shown;
use crate::status::ComponentStatus;
use crate::target::{ComponentName, NAME_LIMIT, Target, TargetName};
use crate::time::Timestamp;

/// Something that an operator should know, said once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// Alerts or targets speak of a visible component that the page does not have.
    ComponentMissing {
        /// The component.
        component: ComponentName,
    },
    /// Several components on the page have the name of one that we write.
    NameTaken {
        /// The name.
        name: String,
        /// All of them, by number; the first one is used.
        ids: Vec<ComponentId>,
    },
    /// The page has components of targets that the targets file does not name.
    Leftovers {
        /// Their names.
        targets: Vec<TargetName>,
    },
    /// Targets of the inventory have no component on the page.
    NotSetUp {
        /// Their names.
        targets: Vec<TargetName>,
    },
    /// The target's name is longer than Cachet takes: it counts, but has no component of its own.
    TargetNameTooLong {
        /// The target.
        target: TargetName,
    },
    /// A person gave a component another status than ours.
    ComponentDrifted {
        /// The component.
        component: ComponentName,
        /// What we wrote.
        expected: ComponentStatus,
        /// What the page shows; `None` for a number that we do not know.
        found: Option<ComponentStatus>,
    },
    /// A person closed the incident of an outage that goes on.
    IncidentClosedByPerson {
        /// What the outage is about.
        subject: OutageSubject,
        /// The incident.
        incident: IncidentId,
    },
    /// A component is down, and its incident waits until its maintenance is over.
    IncidentSuppressed {
        /// The component.
        component: ComponentName,
        /// The title of the maintenance.
        maintenance: String,
    },
    /// A component is down by the rules, and its incident waits until the override of an operator is over.
    IncidentSuppressedByOverride {
        /// The component.
        component: ComponentName,
        /// Who overrides it.
        user: String,
        /// Until when.
        until: Timestamp,
    },
}

impl Report {
    /// The components that it says something about; `None`: all of them.
    pub fn components(&self) -> Option<BTreeSet<ComponentName>> {
        let fed_by = |target: &TargetName| {
            Target::from_name(target.as_str()).map(|target| target.components().to_vec()).unwrap_or_default()
        };
        Some(match self {
            Self::ComponentMissing { component }
            | Self::ComponentDrifted { component, .. }
            | Self::IncidentSuppressed { component, .. }
            | Self::IncidentSuppressedByOverride { component, .. } => BTreeSet::from([component.clone()]),
            Self::IncidentClosedByPerson { subject, .. } => BTreeSet::from([subject.component()?.clone()]),
            Self::NameTaken { name, .. } => {
                ComponentName::try_from(name.as_str()).into_iter().filter(|it| it.as_str() == name).collect()
            }
            Self::Leftovers { targets } | Self::NotSetUp { targets } => targets.iter().flat_map(fed_by).collect(),
            Self::TargetNameTooLong { target } => fed_by(target).into_iter().collect(),
        })
    }

    /// What happened, if it says that something did.
    pub fn event(&self) -> Option<(About, EventKind)> {
        Some(match self {
            Self::ComponentDrifted { component, expected, found } => (
                About::Component(component.clone()),
                EventKind::StatusOverridden { expected: *expected, found: *found },
            ),
            Self::IncidentClosedByPerson { subject, incident } => {
                let about = About::from(&ResourceKey::Incident(subject.clone()));
                (about, EventKind::IncidentClosedByPerson { incident: *incident })
            }
            Self::IncidentSuppressed { component, maintenance } => (
                About::Component(component.clone()),
                EventKind::IncidentSuppressed { maintenance: maintenance.clone() },
            ),
            _ => return None,
        })
    }
}

/// How many names a report lists before it only counts.
const NAMES_LISTED: usize = 5;

/// One line, ending in the cure.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ComponentMissing { component } => write!(
                f,
                "component {component:?} does not exist on the page, so its alerts are kept and show nowhere: run `setup`"
            ),
            Self::NameTaken { name, ids } => {
                let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
                let ids = ids.join(", ");
                write!(
                    f,
                    "the page has several components named {name:?} ({ids}): the first is used, remove the others"
                )
            }
            Self::Leftovers { targets } => write!(
                f,
                "the page has {} of targets that the targets file does not name ({}), which count for nothing: run \
                 `setup --prune`, and remove on the page what that leaves",
                Counted(targets.len()),
                Listed(targets)
            ),
            Self::NotSetUp { targets } => {
                write!(
                    f,
                    "the page lacks {} of the inventory ({}): run `setup`",
                    Counted(targets.len()),
                    Listed(targets)
                )
            }
            Self::TargetNameTooLong { target } => write!(
                f,
                "target {target:?} counts but has no component of its own, for Cachet takes names of at most \
                 {NAME_LIMIT} characters: shorten its instance or its list of components"
            ),
            Self::ComponentDrifted { component, expected, found } => write!(
                f,
                "a person gave component {component:?} the status {} instead of {expected}: it stays until the alerts \
                 say something new",
                shown(*found)
            ),
            Self::IncidentClosedByPerson { subject: OutageSubject::Component(name), incident } => write!(
                f,
                "a person closed incident {} of component {name:?} while it is down: it stays closed until the \
                 component has recovered",
                incident.0
            ),
            Self::IncidentClosedByPerson { subject: OutageSubject::Monitoring, incident } => write!(
                f,
                "a person closed incident {} while monitoring data is missing: it stays closed until the watchdog is \
                 heard again",
                incident.0
            ),
            Self::IncidentSuppressed { component, maintenance } => write!(
                f,
                "component {component:?} is down during the maintenance {maintenance:?}, so no incident is opened: if it \
                 is still down when that is over, one will be"
            ),
            Self::IncidentSuppressedByOverride { component, user, until } => write!(
                f,
                "component {component:?} is down, but {user:?} overrides it with something better until {until}, so no \
                 incident is opened: if it is still down then, one will be"
            ),
        }
    }
}

struct Counted(usize);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} target component{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

struct Listed<'a>(&'a [TargetName]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().take(NAMES_LISTED).map(|name| format!("{name:?}")).collect();
        f.write_str(&names.join(", "))?;
        if self.0.len() > NAMES_LISTED { f.write_str(", …") } else { Ok(()) }
    }
}

//! One write to Cachet, as data: what it is about, when its turn is, and how it reads.

use std::fmt;

use super::{Shown, UnansweredWrite};
use crate::incident::{Episode, EpisodeKey, EpisodeSubject, LostPostings};
use crate::observed::{ComponentId, IncidentId};
use crate::status::ComponentStatus;
use crate::target::{ComponentName, TargetName};

/// One write to Cachet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Give a visible component its status.
    SetComponent {
        /// Its number.
        id: ComponentId,
        /// Its name.
        name: ComponentName,
        /// What Cachet shows.
        from: Option<ComponentStatus>,
        /// What it must show.
        to: ComponentStatus,
        /// The part of it that stays as it is: somebody may have hidden the component.
        enabled: bool,
        /// The earlier write that was carried out after a newer one, if that is why.
        late: Option<UnansweredWrite>,
    },
    /// Open the incident of an episode; looked up first if the episode was opening before.
    OpenIncident {
        /// The component that it is attached to; `None` for that of the monitoring.
        component: Option<ComponentId>,
        /// The episode.
        episode: Episode,
        /// Whether it may exist already.
        attempt: Attempt,
    },
    /// Close the incident of an episode that is over; looked up first if it may be closed already.
    CloseIncident {
        /// The incident.
        incident: IncidentId,
        /// The episode.
        episode: Episode,
        /// What the component is now: the closing message depends on it.
        now: ComponentStatus,
        /// Whether the closing update may exist already.
        attempt: Attempt,
        /// The earlier closing that was carried out late, if it is closed already.
        late: Option<UnansweredWrite>,
    },
    /// Open the incident of a component that relapsed again, or one that an earlier closing has closed late; looked up
    /// first if that may have been done.
    ReopenIncident {
        /// The incident.
        incident: IncidentId,
        /// The episode.
        episode: Episode,
        /// Whether the update that says so may exist already.
        attempt: Attempt,
        /// The earlier closing that was carried out late, if that is why.
        late: Option<UnansweredWrite>,
    },
    /// Find out whether the incident of an episode that is over was ever opened.
    FindIncident {
        /// The episode.
        episode: Episode,
    },
    /// Close an incident that a write opened long after we gave up on it.
    CloseStray {
        /// The incident.
        incident: IncidentId,
        /// What it is about.
        subject: EpisodeSubject,
        /// What opened it.
        origin: StrayOrigin,
    },
    /// Make the component of a target that is down and has none.
    CreateTarget {
        /// The target.
        target: TargetName,
        /// Its status.
        status: ComponentStatus,
        /// Its description.
        description: String,
    },
    /// Give a target's own component its status and description.
    UpdateTarget {
        /// Its number.
        id: ComponentId,
        /// The target.
        target: TargetName,
        /// What Cachet shows.
        from: Option<ComponentStatus>,
        /// What it must show.
        to: ComponentStatus,
        /// Its description.
        description: String,
        /// The earlier write that was carried out after a newer one, if that is why.
        late: Option<UnansweredWrite>,
    },
}

/// What opened an incident that nobody expected to be open any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrayOrigin {
    /// Its posting.
    Posting {
        /// The episode that it was posted for.
        episode: EpisodeKey,
        /// What else may turn up of that episode.
        lost: Option<LostPostings>,
    },
    /// A write that opens it again after a relapse, which is over.
    Reopening(UnansweredWrite),
}

/// Whether a write is tried for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It was never sent.
    First,
    /// It may have been sent, and its answer was lost: look before writing.
    Resumed,
}

/// What a change is about: one write at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The status of a visible component.
    Component(ComponentName),
    /// The incident of a component's episode.
    Incident(ComponentName),
    /// The incident that says that monitoring data is missing.
    MonitoringIncident,
    /// A target's own component.
    Target(TargetName),
}

/// What the public sees first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A component gets worse.
    Worse,
    /// An incident opens.
    Open,
    /// A component gets better.
    Better,
    /// An incident closes.
    Close,
    /// The targets' own components, which only operators see.
    Bookkeeping,
}

impl Subject {
    pub(super) fn of(episode: &EpisodeSubject) -> Self {
        match episode {
            EpisodeSubject::Component { name, .. } => Self::Incident(name.clone()),
            EpisodeSubject::Monitoring => Self::MonitoringIncident,
        }
    }
}

impl Change {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::SetComponent { name, .. } => Subject::Component(name.clone()),
            Self::OpenIncident { episode, .. }
            | Self::CloseIncident { episode, .. }
            | Self::ReopenIncident { episode, .. }
            | Self::FindIncident { episode, .. } => Subject::of(&episode.subject),
            Self::CloseStray { subject, .. } => Subject::of(subject),
            Self::CreateTarget { target, .. } | Self::UpdateTarget { target, .. } => Subject::Target(target.clone()),
        }
    }

    /// The earlier write that was carried out late, and is over with this one.
    pub fn late(&self) -> Option<&UnansweredWrite> {
        match self {
            Self::SetComponent { late, .. }
            | Self::UpdateTarget { late, .. }
            | Self::CloseIncident { late, .. }
            | Self::ReopenIncident { late, .. } => late.as_ref(),
            Self::CloseStray { origin: StrayOrigin::Reopening(write), .. } => Some(write),
            Self::CloseStray { .. }
            | Self::OpenIncident { .. }
            | Self::FindIncident { .. }
            | Self::CreateTarget { .. } => None,
        }
    }

    /// When its turn is.
    pub fn rank(&self) -> Rank {
        match self {
            Self::SetComponent { from, to, .. } if from.is_none_or(|from| to.severity() > from.severity()) => {
                Rank::Worse
            }
            Self::SetComponent { .. } => Rank::Better,
            Self::OpenIncident { .. } | Self::ReopenIncident { .. } => Rank::Open,
            Self::CloseIncident { .. } | Self::FindIncident { .. } | Self::CloseStray { .. } => Rank::Close,
            Self::CreateTarget { .. } | Self::UpdateTarget { .. } => Rank::Bookkeeping,
        }
    }

    /// Within a rank, the worse first.
    pub(super) fn severity(&self) -> u8 {
        match self {
            Self::SetComponent { to: status, .. }
            | Self::CreateTarget { status, .. }
            | Self::UpdateTarget { to: status, .. } => status.severity(),
            Self::OpenIncident { .. }
            | Self::CloseIncident { .. }
            | Self::ReopenIncident { .. }
            | Self::FindIncident { .. }
            | Self::CloseStray { .. } => 0,
        }
    }
}

/// One line, as `explain` prints it.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetComponent { name, from, to, .. } => {
                write!(f, "set component {name:?} from {} to {to}", Shown(*from))
            }
            Self::OpenIncident { episode, .. } => write!(f, "open an incident for {}", episode.subject),
            Self::CloseIncident { incident, episode, .. } => {
                write!(f, "close incident {} of {}", incident.0, episode.subject)
            }
            Self::ReopenIncident { incident, episode, .. } => {
                write!(f, "open incident {} of {} again", incident.0, episode.subject)
            }
            Self::FindIncident { episode, .. } => {
                write!(f, "look for the incident of {}, whose answer was lost", episode.subject)
            }
            Self::CloseStray { incident, subject, .. } => {
                write!(f, "close incident {} of {subject}, which was opened late", incident.0)
            }
            Self::CreateTarget { target, status, .. } => write!(f, "make target component {target:?} as {status}"),
            Self::UpdateTarget { target, from, to, .. } if *from == Some(*to) => {
                write!(f, "describe target component {target:?} anew")
            }
            Self::UpdateTarget { target, from, to, .. } => {
                write!(f, "set target component {target:?} from {} to {to}", Shown(*from))
            }
        }
    }
}

/// What it is about, as the log names it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "component {name:?}"),
            Self::Incident(name) => write!(f, "incident of component {name:?}"),
            Self::MonitoringIncident => f.write_str("incident of the monitoring"),
            Self::Target(name) => write!(f, "target component {name:?}"),
        }
    }
}

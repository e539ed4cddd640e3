//! One write to Cachet, as data: what it is about, when its turn is, and how it reads.

use std::fmt;

use super::{Shown, UnansweredWrite};
use crate::incident::{Episode, EpisodeKey, EpisodeSubject, LostPostings};
use crate::ledger::{ComponentValue, ResourceKey, Unanswered};
use crate::observed::{ComponentId, IncidentId};
use crate::status::ComponentStatus;

/// One write to Cachet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Give a component its value, or make the component of a target.
    Write {
        /// Which one.
        key: ResourceKey,
        /// Its number; `None` if it is made.
        page_id: Option<ComponentId>,
        /// What the page shows.
        from: Option<ComponentStatus>,
        /// What it must show.
        value: ComponentValue,
        /// Whether readers see it. Of a visible component this stays as it is: somebody may have hidden it.
        enabled: bool,
        /// The earlier write that was carried out after a newer one, if that is why.
        late: Option<Unanswered>,
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

impl From<&EpisodeSubject> for ResourceKey {
    fn from(subject: &EpisodeSubject) -> Self {
        match subject {
            EpisodeSubject::Component { name, .. } => Self::Incident(name.clone()),
            EpisodeSubject::Monitoring => Self::MonitoringIncident,
        }
    }
}

impl Change {
    /// What it is about.
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Write { key, .. } => key.clone(),
            Self::OpenIncident { episode, .. }
            | Self::CloseIncident { episode, .. }
            | Self::ReopenIncident { episode, .. }
            | Self::FindIncident { episode, .. } => (&episode.subject).into(),
            Self::CloseStray { subject, .. } => subject.into(),
        }
    }

    /// The earlier write to an incident that was carried out late, and is over with this one.
    pub fn late(&self) -> Option<&UnansweredWrite> {
        match self {
            Self::CloseIncident { late, .. } | Self::ReopenIncident { late, .. } => late.as_ref(),
            Self::CloseStray { origin: StrayOrigin::Reopening(write), .. } => Some(write),
            Self::CloseStray { .. } | Self::OpenIncident { .. } | Self::FindIncident { .. } | Self::Write { .. } => {
                None
            }
        }
    }

    /// Whether it makes a component.
    pub fn creates(&self) -> bool {
        matches!(self, Self::Write { page_id: None, .. })
    }

    /// When its turn is.
    pub fn rank(&self) -> Rank {
        match self {
            Self::Write { key: ResourceKey::Target(_), .. } => Rank::Bookkeeping,
            Self::Write { from, value, .. } if from.is_none_or(|from| value.status.severity() > from.severity()) => {
                Rank::Worse
            }
            Self::Write { .. } => Rank::Better,
            Self::OpenIncident { .. } | Self::ReopenIncident { .. } => Rank::Open,
            Self::CloseIncident { .. } | Self::FindIncident { .. } | Self::CloseStray { .. } => Rank::Close,
        }
    }

    /// Within a rank, the worse first.
    pub(super) fn severity(&self) -> u8 {
        match self {
            Self::Write { value, .. } => value.status.severity(),
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
            Self::Write { key, page_id: None, value, .. } => write!(f, "make {key} as {}", value.status),
            Self::Write { key, from, value, .. } if *from == Some(value.status) => write!(f, "describe {key} anew"),
            Self::Write { key, from, value, .. } => {
                write!(f, "set {key} from {} to {}", Shown(*from), value.status)
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
        }
    }
}

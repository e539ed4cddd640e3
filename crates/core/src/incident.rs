//! Episodes: one stretch of Major Outage of a component, or of silence of the monitoring, and the one incident that it
//! has in Cachet.

use std::fmt;

use super::observed::{ComponentId, IncidentId};
use super::target::ComponentName;
use super::time::Timestamp;

/// What names an episode, here and in the meta of its incident.
///
/// It is made and kept before the incident is posted, so that an incident whose answer was lost is found again.
/// Digits and a dash only: it has to survive a query string and Cachet's comma-splitting filters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpisodeKey(String);

impl EpisodeKey {
    /// The key of the episode that the component enters at `now`.
    pub fn new(component: ComponentId, now: Timestamp) -> Self {
        Self(format!("{}-{}", component.0, now.as_millis()))
    }

    /// The key of the episode in which nothing is heard of the monitoring from `now` on: no component has the number 0.
    pub fn of_monitoring(now: Timestamp) -> Self {
        Self::new(ComponentId::UNKNOWN, now)
    }

    /// A key as it was kept.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EpisodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an episode is about.
///
/// That monitoring data is missing is an episode like any other: it begins, may be over before its incident is opened,
/// is closed by people, relapses. So it goes through the same phases, and only what differs asks for its subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EpisodeSubject {
    /// A component in Major Outage.
    Component {
        /// Its name.
        name: ComponentName,
        /// Its number in Cachet when the episode began.
        id: ComponentId,
    },
    /// The monitoring, of which nothing is heard. No single component has that trouble, so the incident is attached to
    /// none: an attached one would show its component as red.
    Monitoring,
}

impl EpisodeSubject {
    /// The component's name, if it is one.
    pub fn component(&self) -> Option<&ComponentName> {
        match self {
            Self::Component { name, .. } => Some(name),
            Self::Monitoring => None,
        }
    }

    /// The component's number in Cachet when the episode began, if it is one.
    pub fn component_id(&self) -> Option<ComponentId> {
        match self {
            Self::Component { id, .. } => Some(*id),
            Self::Monitoring => None,
        }
    }
}

/// `component "Database"` or `the monitoring`.
impl fmt::Display for EpisodeSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { name, .. } => write!(f, "component {name:?}"),
            Self::Monitoring => f.write_str("the monitoring"),
        }
    }
}

/// An episode that is not over, or ended so lately that a relapse would continue it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// Its name.
    pub key: EpisodeKey,
    /// What it is about.
    pub subject: EpisodeSubject,
    /// When the outage began: the earliest cause's `startsAt`, or from when on nothing was heard of the monitoring.
    pub occurred_at: Timestamp,
    /// When it was decided that there is an episode; no incident of it is older.
    pub began_at: Timestamp,
    /// Since when its subject is no longer in the state that makes an episode, while that is waited out.
    pub calm_since: Option<Timestamp>,
    /// What was posted for it and may be carried out yet.
    pub lost: Option<LostPostings>,
    /// How far its incident is.
    pub phase: EpisodePhase,
}

impl Episode {
    /// Whether it goes on; a closed one is only remembered, in case of a relapse.
    pub fn is_active(&self) -> bool {
        !matches!(self.phase, EpisodePhase::Closed { .. })
    }
}

/// How far the incident of an episode is. Each step is kept before the call that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpisodePhase {
    /// It is being posted, and no answer is known yet: whether it exists has to be looked up.
    Opening,
    /// It could not be posted, or was not there when its answer was lost and it was looked up. It is posted again when
    /// no earlier posting is likely to be carried out any more.
    Absent,
    /// It is open.
    Open(IncidentId),
    /// The episode is over and its incident is being closed: whether the closing update exists has to be looked up.
    Closing(IncidentId),
    /// A person closed it while the outage went on; it stays closed for this episode.
    ClosedByPerson(IncidentId),
    /// It is closed, and the outage is over. A relapse soon after opens it again instead of posting another one.
    Closed {
        /// The incident.
        incident: IncidentId,
        /// When the outage was over.
        at: Timestamp,
        /// Who closed it. A person's word stays until our own view changes, and a relapse after a recovery is such a
        /// change.
        by: EndedBy,
    },
    /// The component relapsed and its incident is being opened again: whether that arrived has to be looked up.
    Reopening(IncidentId),
}

impl EpisodePhase {
    /// The incident, if it is known.
    pub fn incident(self) -> Option<IncidentId> {
        match self {
            Self::Opening | Self::Absent => None,
            Self::Open(id) | Self::Closing(id) | Self::ClosedByPerson(id) | Self::Reopening(id) => Some(id),
            Self::Closed { incident, .. } => Some(incident),
        }
    }
}

/// What ended an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The component recovered, and we closed the incident.
    Recovery,
    /// A person had closed the incident.
    Person,
    /// A person had removed the incident.
    Removal,
    /// The outage was over before its incident was ever opened.
    Unopened,
}

/// Postings of an episode's incident that got no answer and had done nothing when it was looked: Cachet may have been
/// slow, and carry them out long after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPostings {
    /// How many of them have not turned up.
    pub count: u32,
    /// When the last of them was looked for in vain.
    pub missed_at: Timestamp,
    /// The title that they bear, where nothing else tells the incident that one of them makes: `None` where Cachet has
    /// meta, which names the episode.
    pub title: Option<String>,
}

impl LostPostings {
    /// One more was looked for in vain.
    pub fn one_more(before: Option<Self>, title: Option<String>, now: Timestamp) -> Self {
        Self { count: before.map_or(1, |before| before.count.saturating_add(1)), missed_at: now, title }
    }

    /// One of them has turned up.
    pub fn one_fewer(self) -> Option<Self> {
        Some(Self { count: self.count.saturating_sub(1), ..self }).filter(|left| left.count > 0)
    }
}

/// An episode that is over, and of which an incident may still turn up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEpisode {
    /// Its name.
    pub key: EpisodeKey,
    /// What it was about.
    pub subject: EpisodeSubject,
    /// The incident that it had, if it had one.
    pub incident: Option<IncidentId>,
    /// What may turn up.
    pub lost: LostPostings,
}

impl PastEpisode {
    /// What remains of an episode that is over; `None` if nothing of it may still turn up.
    pub fn of(episode: Episode) -> Option<Self> {
        let Episode { key, subject, phase, lost, .. } = episode;
        Some(Self { key, subject, incident: phase.incident(), lost: lost? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_query_strings_and_comma_separated_filters() {
        let key = EpisodeKey::new(ComponentId(12), Timestamp::from_millis(1_763_690_212_345));
        assert_eq!(key.as_str(), "12-1763690212345");
        assert_eq!(key.to_string(), key.as_str());
        assert!(key.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
    }
}

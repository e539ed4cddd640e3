//! One change, carried out: the calls that it takes, what is remembered of it, and what operators read of it.

use crate::cachet::{Cachet, Error, IncidentSearch};
use crate::core::incident::{EndedBy, Episode, EpisodePhase};
use crate::core::observed::{ComponentId, ComponentUpdate, IncidentId, NewComponent, NewIncident, ObservedIncident};
use crate::core::plan::{AppliedComponent, AppliedTarget, Attempt, Certainty, Change, Note, Report};
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::time::Timestamp;
use crate::log::{Event, Log};
use crate::reconcile::{Settings, Subscribers, Texts};
use crate::store::Entry;

/// What is remembered before the change is sent, so that a crash or a lost answer leads to a look and not to a guess.
pub fn intent(change: &Change) -> Option<Entry> {
    let certainty = Certainty::Pending;
    match change.clone() {
        Change::SetComponent { id, name, to: status, .. } => {
            Some(Entry::Component(name, AppliedComponent { id, status, certainty }))
        }
        Change::UpdateTarget { id, target, to: status, description, .. } => {
            Some(Entry::Target(target, AppliedTarget { id, status, description, certainty }))
        }
        Change::OpenIncident { episode, .. } => Some(Entry::Episode(episode)),
        Change::CloseIncident { incident, episode, .. } => {
            // Which of us closed it is told by the phase, so a person's closing must not be taken for our own.
            let phase = EpisodePhase::Closing(incident);
            matches!(episode.phase, EpisodePhase::Open(_)).then(|| Entry::Episode(Episode { phase, ..episode }))
        }
        // It has no number yet; if the answer is lost, it is found by its name, and ours to bring back to Operational.
        Change::CreateTarget { target, status, description } => {
            Some(Entry::Target(target, AppliedTarget { id: ComponentId::UNKNOWN, status, description, certainty }))
        }
        Change::ReopenIncident { incident, episode, .. } => {
            Some(Entry::Episode(Episode { phase: EpisodePhase::Reopening(incident), ..episode }))
        }
        Change::FindIncident { .. } => None,
    }
}

/// Sends `change` to Cachet and says what is true afterwards.
///
/// # Errors
/// What Cachet or the way to it said; see [`Error::may_have_been_applied`].
pub async fn apply(cachet: &Cachet, settings: &Settings, change: &Change, now: Timestamp) -> Result<Entry, Error> {
    let certainty = Certainty::Settled;
    match change.clone() {
        Change::SetComponent { id, name, to: status, enabled, .. } => {
            let update = ComponentUpdate { status: Some(status), enabled, description: None, group: None };
            cachet.update_component(id, &update).await?;
            Ok(Entry::Component(name, AppliedComponent { id, status, certainty }))
        }
        Change::UpdateTarget { id, target, to: status, description, .. } => {
            let (status_sent, text) = (Some(status), Some(description.clone()));
            let update = ComponentUpdate { status: status_sent, enabled: false, description: text, group: None };
            cachet.update_component(id, &update).await?;
            Ok(Entry::Target(target, AppliedTarget { id, status, description, certainty }))
        }
        Change::CreateTarget { target, status, description } => {
            let component = NewComponent {
                name: target.as_str().to_owned(),
                status,
                enabled: false,
                description: Some(description.clone()),
                group: None,
                order: None,
            };
            let id = cachet.create_component(&component).await?;
            Ok(Entry::Target(target, AppliedTarget { id, status, description, certainty }))
        }
        Change::OpenIncident { component, episode, attempt } => {
            open(cachet, settings, component, episode, attempt).await
        }
        Change::CloseIncident { incident, episode, now: status, attempt } => {
            let by = close(cachet, &settings.texts, incident, &episode, status, attempt).await?;
            Ok(closed(settings, episode, incident, by, now))
        }
        Change::ReopenIncident { incident, episode, attempt } => {
            reopen(cachet, &settings.texts, incident, episode, attempt).await
        }
        Change::FindIncident { episode } => Ok(match find(cachet, &settings.texts, &episode).await? {
            Some(incident) => found(episode, &incident),
            None => Entry::EndEpisode(episode, EndedBy::Unopened),
        }),
    }
}

async fn open(
    cachet: &Cachet,
    settings: &Settings,
    component: ComponentId,
    episode: Episode,
    attempt: Attempt,
) -> Result<Entry, Error> {
    if attempt == Attempt::Resumed
        && let Some(incident) = find(cachet, &settings.texts, &episode).await?
    {
        return Ok(found(episode, &incident));
    }
    let incident = NewIncident {
        name: settings.texts.new_incident_name.render(&episode.component),
        message: settings.texts.new_incident_message.clone(),
        component,
        component_name: episode.component.to_string(),
        episode: episode.key.to_string(),
        occurred_at: episode.occurred_at,
        notify_subscribers: settings.subscribers == Subscribers::Notified,
    };
    let phase = EpisodePhase::Open(cachet.create_incident(&incident).await?);
    Ok(Entry::Episode(Episode { phase, ..episode }))
}

async fn find(cachet: &Cachet, texts: &Texts, episode: &Episode) -> Result<Option<ObservedIncident>, Error> {
    let search = IncidentSearch {
        episode: episode.key.as_str(),
        name: &texts.new_incident_name.render(&episode.component),
        component: episode.component_id,
        created_not_before: episode.began_at,
    };
    cachet.find_incident(&search).await
}

/// The episode whose incident was there after all.
fn found(episode: Episode, incident: &ObservedIncident) -> Entry {
    let phase = match incident.status {
        Some(IncidentStatus::Fixed) => EpisodePhase::ClosedByPerson(incident.id),
        _ => EpisodePhase::Open(incident.id),
    };
    Entry::Episode(Episode { phase, ..episode })
}

/// Closes the incident, and says whose closing it was.
async fn close(
    cachet: &Cachet,
    texts: &Texts,
    incident: IncidentId,
    episode: &Episode,
    status: ComponentStatus,
    attempt: Attempt,
) -> Result<EndedBy, Error> {
    if attempt == Attempt::Resumed {
        let fixed = match cachet.incident(incident).await? {
            None => return Ok(EndedBy::Person),
            Some(incident) => incident.status == Some(IncidentStatus::Fixed),
        };
        match episode.phase {
            EpisodePhase::Closing(_) if fixed => {
                // Our closing update arrived. Releases of 2025 keep a status of their own beside it.
                cachet.set_incident_status(incident, IncidentStatus::Fixed).await?;
                return Ok(EndedBy::Recovery);
            }
            _ if fixed => return Ok(EndedBy::Person),
            _ => {}
        }
    }
    let message = match status {
        ComponentStatus::Operational => &texts.resolved_incident_message,
        _ => &texts.partially_resolved_incident_message,
    };
    match update(cachet, incident, IncidentStatus::Fixed, message).await {
        Ok(()) => Ok(EndedBy::Recovery),
        Err(error) if error.is_not_found() => Ok(EndedBy::Person),
        Err(error) => Err(error),
    }
}

/// An update and then the status itself: releases of 2025 show the one and filter by the other.
async fn update(cachet: &Cachet, incident: IncidentId, status: IncidentStatus, message: &str) -> Result<(), Error> {
    cachet.add_incident_update(incident, status, message).await?;
    cachet.set_incident_status(incident, status).await
}

/// What becomes of an episode whose incident is closed: it is remembered for a relapse, if we closed it.
fn closed(settings: &Settings, episode: Episode, incident: IncidentId, by: EndedBy, now: Timestamp) -> Entry {
    if by != EndedBy::Recovery || settings.reopen_within.is_zero() {
        return Entry::EndEpisode(episode, by);
    }
    let phase = EpisodePhase::Closed { incident, at: now };
    Entry::Episode(Episode { phase, calm_since: None, ..episode })
}

async fn reopen(
    cachet: &Cachet,
    texts: &Texts,
    incident: IncidentId,
    episode: Episode,
    attempt: Attempt,
) -> Result<Entry, Error> {
    let phase = EpisodePhase::Open(incident);
    let reopened = Entry::Episode(Episode { phase, calm_since: None, ..episode.clone() });
    if attempt == Attempt::Resumed {
        match cachet.incident(incident).await? {
            // It was removed, so there is nothing to open again; the outage gets an incident of its own.
            None => return Ok(Entry::EndEpisode(episode, EndedBy::Person)),
            Some(incident) if incident.status == Some(IncidentStatus::Fixed) => {}
            Some(_) => {
                cachet.set_incident_status(incident, IncidentStatus::Investigating).await?;
                return Ok(reopened);
            }
        }
    }
    match update(cachet, incident, IncidentStatus::Investigating, &texts.relapse_message).await {
        Ok(()) => Ok(reopened),
        Err(error) if error.is_not_found() => Ok(Entry::EndEpisode(episode, EndedBy::Person)),
        Err(error) => Err(error),
    }
}

/// Says what was changed, in the words that operators grep for.
pub fn log(log: &Log, texts: &Texts, change: &Change, entry: &Entry) {
    match (change, entry) {
        (Change::SetComponent { name, from, to, .. }, _) => log_status(log, name.as_str(), *from, *to),
        (Change::UpdateTarget { target, from, to, .. }, _) if *from != Some(*to) => {
            log_status(log, target.as_str(), *from, *to);
        }
        (Change::CreateTarget { target, status, .. }, _) => log_status(log, target.as_str(), None, *status),
        (Change::OpenIncident { episode, .. }, Entry::Episode(Episode { phase: EpisodePhase::Open(id), .. })) => {
            let incident_name = &texts.new_incident_name.render(&episode.component);
            let (component, occurred_at) = (episode.component.as_str(), episode.occurred_at);
            log.emit(&Event::IncidentOpened { component, incident: *id, name: incident_name, occurred_at });
        }
        (Change::ReopenIncident { incident, .. }, Entry::Episode(episode)) => {
            log.emit(&Event::IncidentReopened { component: episode.component.as_str(), incident: *incident });
        }
        (Change::CloseIncident { incident, .. }, Entry::Episode(episode)) => {
            log_closed(log, episode, *incident, EndedBy::Recovery);
        }
        (_, Entry::EndEpisode(episode, by)) => {
            if let Some(incident) = episode.phase.incident() {
                log_closed(log, episode, incident, *by);
            }
        }
        _ => {}
    }
}

fn log_closed(log: &Log, episode: &Episode, incident: IncidentId, by: EndedBy) {
    let reason = match by {
        EndedBy::Recovery => "recovered",
        EndedBy::Person | EndedBy::Unopened => "closed by a person",
    };
    log.emit(&Event::IncidentClosed { component: episode.component.as_str(), incident, reason });
}

fn log_status(log: &Log, component: &str, old_status: Option<ComponentStatus>, new_status: ComponentStatus) {
    log.emit(&Event::ComponentStatusChange { component, old_status, new_status });
}

/// Says something that an operator should know.
pub fn log_report(log: &Log, report: &Report) {
    match report {
        Report::ComponentOverridden { component, expected, found } => log.emit(&Event::ManualOverride {
            component: component.as_str(),
            expected_status: *expected,
            found_status: *found,
        }),
        Report::IncidentHeldBack { component, maintenance } => {
            log.emit(&Event::IncidentHeldBack { component: component.as_str(), maintenance });
        }
        _ => tracing::warn!("{report}"),
    }
}

impl From<Note> for Entry {
    fn from(note: Note) -> Self {
        match note {
            Note::ComponentSettled(name, component) => Self::Component(name, component),
            Note::TargetSettled(name, target) => Self::Target(name, target),
            Note::ComponentReleased(name) => Self::ReleaseComponent(name),
            Note::TargetReleased(name) => Self::ReleaseTarget(name),
            Note::EpisodePhase(episode) => Self::Episode(episode),
            Note::EpisodeForgotten(episode) => Self::EndEpisode(episode, EndedBy::Recovery),
        }
    }
}

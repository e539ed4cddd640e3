//! One change, carried out: the calls that it takes, what is remembered of it, and what operators read of it.

use crate::core::config::Config;
use crate::core::incident::{EndedBy, Episode, EpisodePhase, EpisodeSubject, LostPostings};
use crate::core::ledger::{ComponentValue, Ledger, Recorded, ResourceKey};
use crate::core::observed::{
    AffectedComponent, ComponentId, ComponentUpdate, IncidentId, NewComponent, NewIncident, ObservedIncident,
};
use crate::core::plan::{Attempt, Change, Note, Report, StrayOrigin};
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::status_page::{IncidentSearch, Operation, PageError, StatusPage};
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::log::{Event, Log};
use crate::settings::Settings;
use crate::store::Entry;

/// What is remembered before the change is sent, so that a crash or a lost answer leads to a look and not to a guess.
pub fn intent(change: &Change, ledger: &Ledger, now: Timestamp) -> Option<Entry> {
    match change.clone() {
        Change::Write { key, page_id, value, late, .. } => {
            let row = ledger.sent(&key, page_id, &value, late.is_some(), now);
            Some(Entry::Row(key, row))
        }
        Change::OpenIncident { episode, .. } => {
            Some(Entry::Episode(Episode { phase: EpisodePhase::Opening, ..episode }))
        }
        Change::CloseIncident { incident, episode, .. } => {
            // Which of us closed it is told by the phase, so a person's closing must not be taken for our own.
            let phase = EpisodePhase::Closing(incident);
            matches!(episode.phase, EpisodePhase::Open(_)).then(|| Entry::Episode(Episode { phase, ..episode }))
        }
        Change::ReopenIncident { incident, episode, .. } => {
            Some(Entry::Episode(Episode { phase: EpisodePhase::Reopening(incident), ..episode }))
        }
        Change::FindIncident { .. } | Change::CloseStray { .. } => None,
    }
}

/// What is remembered of a change that failed in a way after which it will not be carried out any more.
pub fn refusal(change: &Change, error: &PageError) -> Option<Entry> {
    match change {
        // It was looked for and not posted, so it is the look that was refused: what was posted before may yet be done.
        Change::OpenIncident { episode, attempt: Attempt::Resumed, .. } if episode.phase == EpisodePhase::Opening => {
            None
        }
        Change::OpenIncident { episode, .. } if !error.may_be_applied_yet() => {
            Some(Entry::Episode(Episode { phase: EpisodePhase::Absent, ..episode.clone() }))
        }
        _ => None,
    }
}

/// Sends `change` to Cachet and says what is true afterwards.
///
/// # Errors
/// What Cachet or the way to it said; see [`PageError::may_have_been_applied`].
pub async fn apply(
    page: &dyn StatusPage,
    settings: &Settings,
    change: &Change,
    now: Timestamp,
) -> Result<Entry, PageError> {
    match change.clone() {
        Change::Write { key, page_id: Some(id), from, value, enabled, .. } => {
            let (status, description) = (Some(value.status), value.description.clone());
            let update = ComponentUpdate { status, enabled, description, group: None };
            let written = match (page.apply(&Operation::UpdateComponent(id, update)).await, from) {
                (Ok(()), _) => value,
                // It goes on showing what it showed. The next plan leaves it so: what is refused is not tried again.
                (Err(_), Some(shown))
                    if matches!(key, ResourceKey::Component(_))
                        && value.status == ComponentStatus::Unknown
                        && page.known().refuses_unknown =>
                {
                    ComponentValue { status: shown, ..value }
                }
                (Err(error), _) => return Err(error),
            };
            Ok(Entry::Row(key, Recorded::confirmed(id, written)))
        }
        Change::Write { key, page_id: None, value, enabled, .. } => {
            let ResourceKey::Target(target) = &key else { return Ok(Entry::Release(key)) };
            let component = NewComponent {
                name: target.as_str().to_owned(),
                status: value.status,
                enabled,
                description: value.description.clone(),
                group: None,
                order: None,
            };
            let id = page.create_component(&component).await?;
            Ok(Entry::Row(key, Recorded::confirmed(id, value)))
        }
        Change::OpenIncident { component, episode, attempt } => {
            open(page, settings, component, episode, attempt, now).await
        }
        Change::CloseIncident { incident, episode, now: status, attempt, .. } => {
            let by = close(page, &settings.config, incident, &episode, status, attempt).await?;
            Ok(over(settings, episode, incident, by, now))
        }
        Change::ReopenIncident { incident, episode, attempt, .. } => {
            reopen(page, &settings.config, incident, episode, attempt).await
        }
        Change::FindIncident { episode } => match find(page, &settings.config, &episode).await? {
            Some(incident) => Ok(found(episode, &incident)),
            None if episode.phase == EpisodePhase::Opening => missed(page, &settings.config, episode, now).await,
            None => Ok(Entry::EndEpisode(episode, EndedBy::Unopened)),
        },
        Change::CloseStray { incident, subject, origin } => {
            let closed = match &origin {
                // Without a word: the closing message may not be true, for the outage may go on under its own incident.
                StrayOrigin::Posting { .. } => set_status(page, incident, IncidentStatus::Fixed).await,
                StrayOrigin::Reopening(_) => {
                    let message = settings.config.last_message(&subject, ComponentStatus::Operational);
                    update(page, incident, IncidentStatus::Fixed, &message).await
                }
            };
            match closed {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(Entry::StrayClosed(incident, origin)),
            }
        }
    }
}

async fn open(
    page: &dyn StatusPage,
    settings: &Settings,
    component: Option<ComponentId>,
    episode: Episode,
    attempt: Attempt,
    now: Timestamp,
) -> Result<Entry, PageError> {
    if attempt == Attempt::Resumed {
        match find(page, &settings.config, &episode).await? {
            Some(incident) => return Ok(found(episode, &incident)),
            None if episode.phase == EpisodePhase::Opening => {
                return missed(page, &settings.config, episode, now).await;
            }
            None => {}
        }
    }
    let incident = NewIncident {
        name: settings.config.title(&episode.subject),
        message: settings.config.first_message(&episode.subject),
        component: component.zip(episode.subject.component()).map(affected),
        episode: episode.key.to_string(),
        occurred_at: episode.occurred_at,
        notify_subscribers: settings.config.incidents.notify_subscribers,
    };
    let phase = EpisodePhase::Open(page.open_incident(&incident).await?);
    Ok(Entry::Episode(Episode { phase, ..episode }))
}

fn affected((id, name): (ComponentId, &ComponentName)) -> AffectedComponent {
    AffectedComponent { id, name: name.to_string() }
}

async fn find(
    page: &dyn StatusPage,
    config: &Config,
    episode: &Episode,
) -> Result<Option<ObservedIncident>, PageError> {
    let search = IncidentSearch {
        episode: episode.key.as_str(),
        name: &config.title(&episode.subject),
        component: episode.subject.component_id(),
        occurred_at: episode.occurred_at,
        created_not_before: episode.began_at,
    };
    page.find_incident(&search).await
}

/// The episode whose incident was there after all.
fn found(episode: Episode, incident: &ObservedIncident) -> Entry {
    let phase = match incident.status {
        Some(IncidentStatus::Fixed) => EpisodePhase::ClosedByPerson(incident.id),
        _ => EpisodePhase::Open(incident.id),
    };
    // What was being posted was not counted as lost yet.
    let lost = match episode.phase {
        EpisodePhase::Absent => episode.lost.and_then(LostPostings::one_fewer),
        _ => episode.lost,
    };
    Entry::Episode(Episode { phase, lost, ..episode })
}

/// The episode whose incident is not there, though it may come yet.
async fn missed(page: &dyn StatusPage, config: &Config, episode: Episode, now: Timestamp) -> Result<Entry, PageError> {
    let has_meta = page.capabilities().await?.meta;
    let title = (!has_meta).then(|| config.title(&episode.subject));
    let lost = Some(LostPostings::one_more(episode.lost, title, now));
    Ok(Entry::Episode(Episode { phase: EpisodePhase::Absent, lost, ..episode }))
}

/// Closes the incident, and says whose closing it was.
async fn close(
    page: &dyn StatusPage,
    config: &Config,
    incident: IncidentId,
    episode: &Episode,
    status: ComponentStatus,
    attempt: Attempt,
) -> Result<EndedBy, PageError> {
    if attempt == Attempt::Resumed {
        let fixed = match page.incident(incident).await? {
            None => return Ok(EndedBy::Removal),
            Some(incident) => incident.status == Some(IncidentStatus::Fixed),
        };
        match episode.phase {
            EpisodePhase::Closing(_) | EpisodePhase::Reopening(_) if fixed => {
                // It never was opened again, or our closing update arrived. Releases of 2025 keep a status of their own beside it.
                set_status(page, incident, IncidentStatus::Fixed).await?;
                return Ok(EndedBy::Recovery);
            }
            _ if fixed => return Ok(EndedBy::Person),
            _ => {}
        }
    }
    let message = config.last_message(&episode.subject, status);
    match update(page, incident, IncidentStatus::Fixed, &message).await {
        Ok(()) => Ok(EndedBy::Recovery),
        Err(error) if error.is_not_found() => Ok(EndedBy::Removal),
        Err(error) => Err(error),
    }
}

/// Says something about the incident, which gives it its status.
async fn update(page: &dyn StatusPage, id: IncidentId, status: IncidentStatus, message: &str) -> Result<(), PageError> {
    page.apply(&Operation::UpdateIncident { id, status, message: message.to_owned() }).await
}

async fn set_status(page: &dyn StatusPage, id: IncidentId, status: IncidentStatus) -> Result<(), PageError> {
    page.apply(&Operation::SetIncidentStatus(id, status)).await
}

/// What becomes of an episode that is over: as long as its incident is there, it is remembered for a relapse.
fn over(settings: &Settings, episode: Episode, incident: IncidentId, by: EndedBy, now: Timestamp) -> Entry {
    if by == EndedBy::Removal || settings.config.incidents.reopen_within.is_zero() {
        return Entry::EndEpisode(episode, by);
    }
    let phase = EpisodePhase::Closed { incident, at: now, by };
    Entry::Episode(Episode { phase, calm_since: None, ..episode })
}

async fn reopen(
    page: &dyn StatusPage,
    config: &Config,
    incident: IncidentId,
    episode: Episode,
    attempt: Attempt,
) -> Result<Entry, PageError> {
    let phase = EpisodePhase::Open(incident);
    let reopened = Entry::Episode(Episode { phase, calm_since: None, ..episode.clone() });
    if attempt == Attempt::Resumed {
        match page.incident(incident).await? {
            // It seemed that we had closed it late. Whoever removed it wants none for this outage.
            None if matches!(episode.phase, EpisodePhase::Open(_)) => {
                return Ok(Entry::Episode(Episode { phase: EpisodePhase::ClosedByPerson(incident), ..episode }));
            }
            // It was removed, so there is nothing to open again; the outage gets an incident of its own.
            None => return Ok(Entry::EndEpisode(episode, EndedBy::Removal)),
            Some(incident) if incident.status == Some(IncidentStatus::Fixed) => {}
            Some(_) => {
                set_status(page, incident, IncidentStatus::Investigating).await?;
                return Ok(reopened);
            }
        }
    }
    match update(page, incident, IncidentStatus::Investigating, &config.incidents.relapse_message).await {
        Ok(()) => Ok(reopened),
        Err(error) if error.is_not_found() => Ok(Entry::EndEpisode(episode, EndedBy::Removal)),
        Err(error) => Err(error),
    }
}

/// Says what was changed, in the words that operators grep for.
pub fn log(log: &Log, config: &Config, change: &Change, entry: &Entry) {
    match (change, entry) {
        (Change::Write { key: ResourceKey::Component(name), value, .. }, Entry::Row(_, row)) if row.value != *value => {
            let to = value.status;
            tracing::warn!(
                "this Cachet does not take {to} of component {name:?}: it is left as it is, and so are others"
            );
        }
        // A new description alone is no change of status.
        (Change::Write { from, value, .. }, _) if *from == Some(value.status) => {}
        (Change::Write { key, from, value, late, .. }, _) => {
            let component = match key {
                ResourceKey::Component(name) => name.as_str(),
                ResourceKey::Target(name) => name.as_str(),
                ResourceKey::Incident(_) | ResourceKey::MonitoringIncident => return,
            };
            log_status(log, component, *from, value.status, late.is_some());
        }
        (Change::OpenIncident { episode, .. }, Entry::Episode(Episode { phase: EpisodePhase::Open(id), .. })) => {
            let incident_name = &config.title(&episode.subject);
            let (component, occurred_at) = (named(&episode.subject), episode.occurred_at);
            log.emit(&Event::IncidentOpened { component, incident: *id, name: incident_name, occurred_at });
        }
        (
            Change::ReopenIncident { incident, late, .. },
            Entry::Episode(Episode { subject, phase: EpisodePhase::Open(_), .. }),
        ) => {
            let reason = late.as_ref().map(|_| "closed late");
            log.emit(&Event::IncidentReopened { component: named(subject), incident: *incident, reason });
        }
        (
            Change::CloseIncident { .. },
            Entry::Episode(Episode { subject, phase: EpisodePhase::Closed { incident, by, .. }, .. }),
        ) => log_closed(log, subject, *incident, reason(*by, subject)),
        (Change::CloseStray { subject, incident, .. }, _) => log_closed(log, subject, *incident, "opened late"),
        (_, Entry::EndEpisode(episode, by)) => {
            if let Some(incident) = episode.phase.incident() {
                log_closed(log, &episode.subject, incident, reason(*by, &episode.subject));
            }
        }
        _ => {}
    }
}

pub(super) fn reason(by: EndedBy, subject: &EpisodeSubject) -> &'static str {
    match (by, subject) {
        (EndedBy::Recovery | EndedBy::Unopened, EpisodeSubject::Component { .. }) => "recovered",
        (EndedBy::Recovery | EndedBy::Unopened, EpisodeSubject::Monitoring) => "monitoring data comes in again",
        (EndedBy::Person, _) => "closed by a person",
        (EndedBy::Removal, _) => "removed by a person",
    }
}

fn log_closed(log: &Log, subject: &EpisodeSubject, incident: IncidentId, reason: &'static str) {
    log.emit(&Event::IncidentClosed { component: named(subject), incident, reason });
}

/// The component of an episode, as the log names it.
fn named(subject: &EpisodeSubject) -> Option<&str> {
    subject.component().map(ComponentName::as_str)
}

fn log_status(
    log: &Log,
    component: &str,
    old_status: Option<ComponentStatus>,
    new_status: ComponentStatus,
    late: bool,
) {
    let reason = match (late, new_status) {
        (true, _) => Some("carried out late"),
        // Alerts say why a component has any other status; this one it has for want of them.
        (false, ComponentStatus::Unknown) => Some("monitoring data is missing"),
        (false, _) => None,
    };
    log.emit(&Event::ComponentStatusChange { component, old_status, new_status, reason });
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

/// The store entry for a note.
pub(super) fn entry(note: Note) -> Entry {
    match note {
        Note::Confirmed(key, row) => Entry::Row(key, row),
        Note::Released(key) => Entry::Release(key),
        Note::EpisodePhase(episode) => Entry::Episode(episode),
        Note::EpisodeForgotten(episode) => {
            let by = match episode.phase {
                EpisodePhase::Closed { by, .. } => by,
                _ => EndedBy::Recovery,
            };
            Entry::EndEpisode(episode, by)
        }
    }
}

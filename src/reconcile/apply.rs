//! Carries out one operation: the calls it needs, and its outcome.

use crate::core::config::Config;
use crate::core::ledger::{ComponentValue, EndedBy, Outage, ResourceKey};
use crate::core::observed::{
    AffectedComponent, ComponentId, ComponentUpdate, IncidentId, NewComponent, NewIncident, ObservedIncident,
};
use crate::core::operation::{Operation, Outcome};
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::status_page::{IncidentSearch, PageError, PageWrite, StatusPage};
use crate::core::target::ComponentName;

/// Carries out `operation` on the page and returns its outcome.
///
/// An incident is read before it is closed or reopened, and only the calls that are missing are sent.
///
/// # Errors
/// What the page or the way to it said; its [`Failure`](crate::core::status_page::Failure) says whether it may have
/// been carried out.
pub async fn apply(page: &dyn StatusPage, config: &Config, operation: &Operation) -> Result<Outcome, PageError> {
    match operation {
        Operation::Write { key, page_id: Some(id), from, value, enabled, .. } => {
            let (status, description) = (Some(value.status), value.description.clone());
            let update = ComponentUpdate { status, enabled: *enabled, description, group: None };
            match (page.apply(&PageWrite::UpdateComponent(*id, update)).await, from) {
                (Ok(()), _) => Ok(Outcome::Written(*id, value.clone())),
                // The component keeps its status. The next plan does not try Unknown again.
                (Err(_), Some(shown))
                    if matches!(key, ResourceKey::Component(_))
                        && value.status == ComponentStatus::Unknown
                        && page.known().refuses_unknown =>
                {
                    Ok(Outcome::Written(*id, ComponentValue { status: *shown, ..value.clone() }))
                }
                (Err(error), _) => Err(error),
            }
        }
        Operation::Write { key, page_id: None, value, enabled, .. } => {
            let name = match key {
                ResourceKey::Component(name) => name.to_string(),
                ResourceKey::Target(name) => name.to_string(),
                ResourceKey::Incident(_) | ResourceKey::Structure => String::new(),
            };
            let component = NewComponent {
                name,
                status: value.status,
                enabled: *enabled,
                description: value.description.clone(),
                group: None,
                order: None,
            };
            Ok(Outcome::Written(page.create_component(&component).await?, value.clone()))
        }
        Operation::CreateComponent { new, .. } => {
            let value = ComponentValue { status: new.status, description: new.description.clone() };
            Ok(Outcome::Written(page.create_component(new).await?, value))
        }
        Operation::CreateGroup(new) => page.create_group(new).await.map(Outcome::CreatedGroup),
        Operation::Rearrange { write, .. } => page.apply(write).await.map(|()| Outcome::Rearranged),
        Operation::OpenIncident { component, outage } => open(page, config, *component, outage).await,
        Operation::FindIncident { outage } => Ok(find(page, config, outage).await?.map_or(Outcome::NotFound, found)),
        Operation::CloseIncident { incident, outage, now, late } => {
            close(page, config, *incident, outage, *now, late.is_some()).await
        }
        Operation::ReopenIncident { incident, late, .. } => reopen(page, config, *incident, late.is_some()).await,
        // No update is posted: the outage may go on under its own incident.
        Operation::HideDuplicate { incident, .. } => match page.apply(&PageWrite::HideIncident(*incident)).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(Outcome::Hidden(*incident)),
        },
    }
}

async fn open(
    page: &dyn StatusPage,
    config: &Config,
    component: Option<ComponentId>,
    outage: &Outage,
) -> Result<Outcome, PageError> {
    if outage.incident.is_some()
        && let Some(incident) = find(page, config, outage).await?
    {
        return Ok(found(incident));
    }
    let affected = |(id, name): (ComponentId, &ComponentName)| AffectedComponent { id, name: name.to_string() };
    let incident = NewIncident {
        name: config.title(&outage.subject),
        message: config.first_message(&outage.subject),
        component: component.zip(outage.subject.component()).map(affected),
        outage: outage.key.clone(),
        occurred_at: outage.occurred_at,
        notify_subscribers: config.incidents.notify_subscribers,
    };
    Ok(Outcome::Opened(page.open_incident(&incident).await?))
}

async fn find(page: &dyn StatusPage, config: &Config, outage: &Outage) -> Result<Option<ObservedIncident>, PageError> {
    let search = IncidentSearch {
        outage: &outage.key,
        name: &config.title(&outage.subject),
        component: outage.component_id,
        occurred_at: outage.occurred_at,
        created_not_before: outage.began_at,
    };
    page.find_incident(&search).await
}

fn found(incident: ObservedIncident) -> Outcome {
    Outcome::Found { incident: incident.id, is_open: incident.status != Some(IncidentStatus::Fixed) }
}

async fn close(
    page: &dyn StatusPage,
    config: &Config,
    id: IncidentId,
    outage: &Outage,
    status: ComponentStatus,
    is_late: bool,
) -> Result<Outcome, PageError> {
    let Some(incident) = page.incident(id).await? else { return Ok(Outcome::Closed(EndedBy::Removal)) };
    let is_fixed = incident.status == Some(IncidentStatus::Fixed);
    let is_in_doubt = outage.incident.as_ref().is_some_and(|row| !row.is_confirmed());
    if is_fixed && is_in_doubt {
        // Either the reopening was never carried out, or our close was. Releases of 2025 also store the status on the incident.
        page.apply(&PageWrite::SetIncidentStatus(id, IncidentStatus::Fixed)).await?;
        return Ok(Outcome::Closed(EndedBy::Recovery));
    }
    if is_fixed && !(is_late && outage.is_active()) {
        return Ok(Outcome::Closed(EndedBy::Person));
    }
    let message = config.last_message(&outage.subject, status);
    match page.apply(&PageWrite::UpdateIncident { id, status: IncidentStatus::Fixed, message }).await {
        Ok(()) => Ok(Outcome::Closed(EndedBy::Recovery)),
        Err(error) if error.is_not_found() => Ok(Outcome::Closed(EndedBy::Removal)),
        Err(error) => Err(error),
    }
}

async fn reopen(page: &dyn StatusPage, config: &Config, id: IncidentId, is_late: bool) -> Result<Outcome, PageError> {
    let status = IncidentStatus::Investigating;
    match page.incident(id).await? {
        // It looked closed late, but a person removed it: open no new one for this outage.
        None if is_late => return Ok(Outcome::Found { incident: id, is_open: false }),
        // There is nothing to open again; the outage gets an incident of its own.
        None => return Ok(Outcome::Closed(EndedBy::Removal)),
        Some(incident) if incident.status == Some(IncidentStatus::Fixed) => {}
        Some(_) => {
            page.apply(&PageWrite::SetIncidentStatus(id, status)).await?;
            return Ok(Outcome::Reopened);
        }
    }
    let message = config.incidents.relapse_message.clone();
    match page.apply(&PageWrite::UpdateIncident { id, status, message }).await {
        Ok(()) => Ok(Outcome::Reopened),
        Err(error) if error.is_not_found() => Ok(Outcome::Closed(EndedBy::Removal)),
        Err(error) => Err(error),
    }
}

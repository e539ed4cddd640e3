//! Carries the plan of `setup` out, step by step, with patience for Cachet's rate limit; and checks the abilities of the
//! token before anything is made. Otherwise a missing ability would show in the first outage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem::discriminant;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::cachet::{CHECK_TITLE, Cachet, Error, Fault};
use crate::core::observed::{ComponentUpdate, GroupId, IncidentId, NewComponent, NewGroup, Observed};
use crate::core::setup::{SetupPlan, Step};
use crate::core::status::ComponentStatus;
use crate::core::status_page::{Failure, PageError, PageWrite, StatusPage};
use crate::store::Made;

/// How many steps of one kind are under way at the same time.
const PARALLEL_STEPS: usize = 4;

/// How long a 429 without `Retry-After` is waited for: Cachet counts requests by the minute.
const RATE_LIMIT_WINDOW: Duration = Duration::from_secs(60);

/// What is told while the plan is carried out.
pub trait Progress {
    /// The step is done.
    fn done(&self, step: &Step) {
        tracing::debug!("{step}");
    }
    /// The object of that name was made. It is to be remembered before the next step, for a Cachet without meta does not
    /// say who made it.
    fn made(&self, _made: Made, _name: &str) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
    /// An object that was made before was removed.
    fn removed(&self, _made: Made) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
    /// Cachet's rate limit is used up; the call is tried again after `seconds`.
    fn waiting(&self, _seconds: u64) {}
}

/// Nobody watches.
impl Progress for () {}

/// Carries out `plan`, which was made from `observed`.
///
/// # Errors
/// What Cachet said to the first step that failed. What was done before stays; running it again does the rest.
pub async fn carry_out(
    page: &dyn StatusPage,
    plan: &SetupPlan,
    observed: &Observed,
    progress: &(impl Progress + Sync),
) -> Result<(), PageError> {
    let removed: BTreeSet<GroupId> = plan.steps.iter().filter_map(Step::removed_group).collect();
    let kept = observed.groups.iter().filter(|group| !removed.contains(&group.id));
    // Of several groups with one name, the plan uses the lowest number.
    let mut groups: BTreeMap<String, GroupId> = kept.rev().map(|group| (group.name.clone(), group.id)).collect();
    // A step needs at most what steps of an earlier kind have made.
    for steps in plan.steps.chunk_by(|one, next| discriminant(one) == discriminant(next)) {
        // A closure that borrows as the stream goes on would keep whoever awaits this on one thread.
        let calls: Vec<_> = steps.iter().map(|step| take(page, step, &groups, progress)).collect();
        let made: Vec<Option<(Made, String)>> = stream::iter(calls).buffered(PARALLEL_STEPS).try_collect().await?;
        groups.extend(made.into_iter().flatten().filter_map(|(made, name)| match made {
            Made::Group(id) => Some((name, id)),
            Made::Component(_) | Made::Incident(_) => None,
        }));
    }
    Ok(())
}

/// Takes one step; what it made, and its name.
async fn take(
    page: &dyn StatusPage,
    step: &Step,
    groups: &BTreeMap<String, GroupId>,
    progress: &(impl Progress + Sync),
) -> Result<Option<(Made, String)>, PageError> {
    let made = patiently(progress, || send(page, step, groups)).await?;
    if let Some((made, name)) = &made {
        progress.made(*made, name).await;
    }
    progress.done(step);
    Ok(made)
}

async fn send(
    page: &dyn StatusPage,
    step: &Step,
    groups: &BTreeMap<String, GroupId>,
) -> Result<Option<(Made, String)>, PageError> {
    let component = NewComponent {
        name: String::new(),
        status: ComponentStatus::Operational,
        enabled: true,
        description: None,
        group: None,
        order: None,
    };
    let operation = match step.clone() {
        Step::CreateGroup { name, order } => {
            let id = page.create_group(&NewGroup { name: name.to_string(), order }).await?;
            return Ok(Some((Made::Group(id), name.to_string())));
        }
        Step::CreateComponent { name, group, order } => {
            let group = groups.get(group.as_str()).copied();
            let component = NewComponent { name: name.to_string(), group, order: Some(order), ..component };
            let id = page.create_component(&component).await?;
            return Ok(Some((Made::Component(id), component.name)));
        }
        Step::CreateTarget { name, description } => {
            let description = Some(description);
            let component = NewComponent { name: name.to_string(), enabled: false, description, ..component };
            let id = page.create_component(&component).await?;
            return Ok(Some((Made::Component(id), component.name)));
        }
        Step::ShowGroup { id, .. } => PageWrite::ShowGroup(id),
        Step::MoveComponent { id, group, enabled, .. } => {
            let group = groups.get(group.as_str()).copied();
            PageWrite::UpdateComponent(id, ComponentUpdate { status: None, enabled, description: None, group })
        }
        Step::CorrectTarget { id, description, .. } => {
            let update = ComponentUpdate { status: None, enabled: false, description: Some(description), group: None };
            PageWrite::UpdateComponent(id, update)
        }
        Step::RemoveComponent { id, .. } => PageWrite::RemoveComponent(id),
        Step::RemoveGroup { id, .. } => PageWrite::RemoveGroup(id),
    };
    page.apply(&operation).await?;
    Ok(None)
}

/// What `call` comes to, once Cachet's rate limit lets it. There is no limit to this but the person who watches: each
/// wait is bounded.
///
/// # Errors
/// Whatever else Cachet says.
pub async fn patiently<T, E, F>(progress: &impl Progress, call: impl Fn() -> F) -> Result<T, E>
where
    E: Clone + Into<PageError>,
    F: Future<Output = Result<T, E>>,
{
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let PageError { failure: Failure::RateLimited { retry_after }, .. } = error.clone().into() else {
            return Err(error);
        };
        let wait = retry_after.unwrap_or(RATE_LIMIT_WINDOW);
        progress.waiting(wait.as_secs());
        tokio::time::sleep(wait).await;
    }
}

const COMPONENTS: &str = "components.manage";
const GROUPS: &str = "component-groups.manage";
const INCIDENTS: &str = "incidents.manage";
const UPDATES: &str = "incident-updates.manage";

/// The result of the check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TriedAbilities {
    /// The abilities that the token lacks.
    pub missing: BTreeSet<&'static str>,
    /// The abilities that could not be checked, because there is no object to check them with. The first call that needs one
    /// will show it.
    pub untried: BTreeSet<&'static str>,
}

/// Checks all abilities except those to delete. It changes nothing that a reader of the page can see.
///
/// The abilities for components and groups are checked with an existing one of `observed`: its current values are written to
/// it. The abilities for incidents need an invisible incident. It is removed afterwards, or kept for the next check if the
/// token may not delete it. `known` is the kept one, for a Cachet without meta, which cannot say that it is ours.
///
/// # Errors
/// Any error other than a missing ability.
pub(crate) async fn try_abilities(
    cachet: &Cachet,
    observed: &Observed,
    known: Option<IncidentId>,
    progress: &impl Progress,
) -> Result<TriedAbilities, Error> {
    let mut tried = TriedAbilities::default();
    // One of ours is preferred, then a disabled one: the write undoes a change of `enabled` that a person makes at this very
    // moment. A component without a status is not used: releases of 2025 answer 500 to its first change (2025-08: 131).
    let with_status = observed.components.iter().filter(|component| component.status.is_some());
    match with_status.min_by_key(|component| (!component.managed, component.enabled)) {
        Some(component) => tried.record(COMPONENTS, patiently(progress, || cachet.touch_component(component)).await)?,
        None => drop(tried.untried.insert(COMPONENTS)),
    }
    match observed.groups.iter().min_by_key(|group| !group.managed) {
        Some(group) => tried.record(GROUPS, patiently(progress, || cachet.touch_group(group)).await)?,
        None => drop(tried.untried.insert(GROUPS)),
    }
    let mut incident = patiently(progress, || cachet.check_incident(known)).await?;
    if incident.is_none() {
        match patiently(progress, || cachet.make_check_incident()).await {
            Ok(id) => {
                progress.made(Made::Incident(id), CHECK_TITLE).await;
                incident = Some(id);
            }
            Err(error) => tried.record(INCIDENTS, Err(error))?,
        }
    }
    let Some(incident) = incident else {
        tried.untried.insert(UPDATES);
        return Ok(tried);
    };
    tried.record(INCIDENTS, patiently(progress, || cachet.write_check_incident(incident)).await)?;
    tried.record(UPDATES, patiently(progress, || cachet.update_check_incident(incident)).await)?;
    match patiently(progress, || cachet.remove_check_incident(incident)).await {
        Ok(()) => progress.removed(Made::Incident(incident)).await,
        Err(Error { fault: Fault::Forbidden { .. }, .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(tried)
}

impl TriedAbilities {
    /// Records the outcome of a call that needs `ability`.
    fn record(&mut self, ability: &'static str, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {}
            Err(Error { fault: Fault::Forbidden { .. }, .. }) => drop(self.missing.insert(ability)),
            // The object was removed after it was read, so the answer shows nothing.
            Err(Error { fault: Fault::NotFound, .. }) => drop(self.untried.insert(ability)),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// All missing abilities, then the unknown ones, and what to do.
impl fmt::Display for TriedAbilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |abilities: &BTreeSet<&str>| abilities.iter().copied().collect::<Vec<_>>().join(", ");
        let noun = if self.missing.len() == 1 { "ability" } else { "abilities" };
        write!(f, "the token lacks the {noun} {} (HTTP 403)", names(&self.missing))?;
        if !self.untried.is_empty() {
            write!(f, ", and it is not known whether it has {}", names(&self.untried))?;
        }
        write!(f, ": make a token with these in Cachet's dashboard and set CACHET_API_TOKEN")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_abilities_are_named_in_one_message() {
        let one = TriedAbilities { missing: [UPDATES].into(), untried: BTreeSet::new() };
        assert!(one.to_string().starts_with("the token lacks the ability incident-updates.manage (HTTP 403): make"));
        let both = TriedAbilities { missing: [INCIDENTS, COMPONENTS].into(), untried: [UPDATES].into() };
        let said = "the token lacks the abilities components.manage, incidents.manage (HTTP 403), and it is not known \
                    whether it has incident-updates.manage: make a token";
        assert!(both.to_string().starts_with(said), "{both}");
    }
}

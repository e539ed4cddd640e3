//! Carries the plan of `setup` out, step by step, with patience for Cachet's rate limit.

mod abilities;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::core::observed::{ComponentUpdate, GroupId, NewComponent, NewGroup, Observed};
use crate::core::setup::{SetupPlan, Step};
use crate::core::status::ComponentStatus;
use crate::core::status_page::{Failure, Operation, PageError, StatusPage};
use crate::store::Made;

pub(crate) use self::abilities::try_abilities;

/// How many steps of one kind are under way at the same time.
const PARALLEL_STEPS: usize = 4;

/// How long a 429 without `Retry-After` is waited for: Cachet counts requests by the minute.
const RATE_LIMIT_WINDOW: Duration = Duration::from_secs(60);

/// What is told while the plan is carried out.
pub trait Progress {
    /// The step is done.
    fn done(&self, step: &Step);
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
    fn waiting(&self, seconds: u64);
}

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
        let made: Vec<Option<(String, GroupId)>> = stream::iter(calls).buffered(PARALLEL_STEPS).try_collect().await?;
        groups.extend(made.into_iter().flatten());
    }
    Ok(())
}

async fn take(
    page: &dyn StatusPage,
    step: &Step,
    groups: &BTreeMap<String, GroupId>,
    progress: &(impl Progress + Sync),
) -> Result<Option<(String, GroupId)>, PageError> {
    let made = patiently(progress, || send(page, step, groups)).await?;
    if let Some((made, name)) = &made {
        progress.made(*made, name).await;
    }
    progress.done(step);
    Ok(made.and_then(|(made, name)| match made {
        Made::Group(id) => Some((name, id)),
        Made::Component(_) | Made::Incident(_) => None,
    }))
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

async fn send(
    page: &dyn StatusPage,
    step: &Step,
    groups: &BTreeMap<String, GroupId>,
) -> Result<Option<(Made, String)>, PageError> {
    match step.clone() {
        Step::CreateGroup { name, order } => {
            let id = page.create_group(&NewGroup { name: name.to_string(), order }).await?;
            return Ok(Some((Made::Group(id), name.to_string())));
        }
        Step::ShowGroup { id, .. } => page.apply(&Operation::ShowGroup(id)).await?,
        Step::CreateComponent { name, group, order } => {
            let component = NewComponent {
                name: name.to_string(),
                status: ComponentStatus::Operational,
                enabled: true,
                description: None,
                group: groups.get(group.as_str()).copied(),
                order: Some(order),
            };
            let id = page.create_component(&component).await?;
            return Ok(Some((Made::Component(id), component.name)));
        }
        Step::MoveComponent { id, group, enabled, .. } => {
            let group = groups.get(group.as_str()).copied();
            let update = ComponentUpdate { status: None, enabled, description: None, group };
            page.apply(&Operation::UpdateComponent(id, update)).await?;
        }
        Step::CreateTarget { name, description } => {
            let component = NewComponent {
                name: name.to_string(),
                status: ComponentStatus::Operational,
                enabled: false,
                description: Some(description),
                group: None,
                order: None,
            };
            let id = page.create_component(&component).await?;
            return Ok(Some((Made::Component(id), component.name)));
        }
        Step::CorrectTarget { id, description, .. } => {
            let update = ComponentUpdate { status: None, enabled: false, description: Some(description), group: None };
            page.apply(&Operation::UpdateComponent(id, update)).await?;
        }
        Step::RemoveComponent { id, .. } => page.apply(&Operation::RemoveComponent(id)).await?,
        Step::RemoveGroup { id, .. } => page.apply(&Operation::RemoveGroup(id)).await?,
    }
    Ok(None)
}

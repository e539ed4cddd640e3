//! Checks the abilities of the token before `setup` makes anything. Otherwise a missing ability would show in the first outage.

use std::collections::BTreeSet;
use std::fmt;

use super::{Progress, patiently};
use crate::cachet::{CHECK_TITLE, Cachet, Error, Fault};
use crate::core::observed::{IncidentId, Observed};
use crate::store::Made;

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
        None => tried.skip(COMPONENTS),
    }
    match observed.groups.iter().min_by_key(|group| !group.managed) {
        Some(group) => tried.record(GROUPS, patiently(progress, || cachet.touch_group(group)).await)?,
        None => tried.skip(GROUPS),
    }
    let incident = match patiently(progress, || cachet.check_incident(known)).await? {
        Some(kept) => Some(kept),
        None => make_incident(cachet, progress, &mut tried).await?,
    };
    let Some(incident) = incident else {
        tried.skip(UPDATES);
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

async fn make_incident(
    cachet: &Cachet,
    progress: &impl Progress,
    tried: &mut TriedAbilities,
) -> Result<Option<IncidentId>, Error> {
    match patiently(progress, || cachet.make_check_incident()).await {
        Ok(id) => {
            progress.made(Made::Incident(id), CHECK_TITLE).await;
            Ok(Some(id))
        }
        Err(error) => tried.record(INCIDENTS, Err(error)).map(|()| None),
    }
}

impl TriedAbilities {
    /// Records the outcome of a call that needs `ability`.
    fn record(&mut self, ability: &'static str, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {}
            Err(Error { fault: Fault::Forbidden { .. }, .. }) => drop(self.missing.insert(ability)),
            // The object was removed after it was read, so the answer shows nothing.
            Err(Error { fault: Fault::NotFound, .. }) => self.skip(ability),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn skip(&mut self, ability: &'static str) {
        self.untried.insert(ability);
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

//! Tries the abilities that the token needs before anything is made, so that a token that lacks some is known for it at
//! once, and not in the first outage.

use std::collections::BTreeSet;
use std::fmt;

use super::{Progress, patiently};
use crate::cachet::{CHECK_TITLE, Cachet, Error};
use crate::core::observed::{IncidentId, Observed};
use crate::store::Made;

const COMPONENTS: &str = "components.manage";
const GROUPS: &str = "component-groups.manage";
const INCIDENTS: &str = "incidents.manage";
const UPDATES: &str = "incident-updates.manage";

/// What came of trying them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriedAbilities {
    /// Those that the token lacks.
    pub missing: BTreeSet<&'static str>,
    /// Those that could not be tried, for there is nothing to try them on. The first call that takes one tells.
    pub untried: BTreeSet<&'static str>,
}

/// Tries all abilities but those to delete, and changes nothing that anybody sees.
///
/// Those of components and groups are tried on one that is there (`observed`), by writing what it shows. Those of incidents
/// take one that nobody sees: it is removed again, or kept for the next time where the token may not delete. `known` is the
/// one that was kept, where Cachet does not say whose it is.
///
/// # Errors
/// Why they could not be tried, other than for want of an ability.
pub async fn try_abilities(
    cachet: &Cachet,
    observed: &Observed,
    known: Option<IncidentId>,
    progress: &impl Progress,
) -> Result<TriedAbilities, Error> {
    let mut tried = TriedAbilities::default();
    // One of ours, if there is one. If a person hides or shows it this very moment, that is undone: least is lost with one that is hidden. One without
    // a status is left alone, for releases of 2025 answer 500 to its first change (2025-08: 131).
    let with_status = observed.components.iter().filter(|component| component.status.is_some());
    match with_status.min_by_key(|component| (!component.managed, component.enabled)) {
        Some(component) => tried.take(COMPONENTS, patiently(progress, || cachet.touch_component(component)).await)?,
        None => tried.skip(COMPONENTS),
    }
    match observed.groups.iter().min_by_key(|group| !group.managed) {
        Some(group) => tried.take(GROUPS, patiently(progress, || cachet.touch_group(group)).await)?,
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
    tried.take(INCIDENTS, patiently(progress, || cachet.write_check_incident(incident)).await)?;
    tried.take(UPDATES, patiently(progress, || cachet.update_check_incident(incident)).await)?;
    match patiently(progress, || cachet.remove_check_incident(incident)).await {
        Ok(()) => progress.removed(Made::Incident(incident)).await,
        Err(Error::Forbidden { .. }) => {}
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
        Err(error) => tried.take(INCIDENTS, Err(error)).map(|()| None),
    }
}

impl TriedAbilities {
    /// Takes note of what came of a call that takes `ability`.
    fn take(&mut self, ability: &'static str, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {}
            Err(Error::Forbidden { .. }) => drop(self.missing.insert(ability)),
            // It was removed since it was read, which tells nothing.
            Err(Error::NotFound { .. }) => self.skip(ability),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn skip(&mut self, ability: &'static str) {
        self.untried.insert(ability);
    }
}

/// What is missing, all of it, with what is not known beside it, and the cure.
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
    fn everything_that_is_missing_is_said_in_one_line() {
        let one = TriedAbilities { missing: [UPDATES].into(), untried: BTreeSet::new() };
        assert!(one.to_string().starts_with("the token lacks the ability incident-updates.manage (HTTP 403): make"));
        let both = TriedAbilities { missing: [INCIDENTS, COMPONENTS].into(), untried: [UPDATES].into() };
        let said = "the token lacks the abilities components.manage, incidents.manage (HTTP 403), and it is not known \
                    whether it has incident-updates.manage: make a token";
        assert!(both.to_string().starts_with(said), "{both}");
    }
}

//! What keeps the component of a target from being made for now.
//!
//! Cachet accepts two components with one name, and nobody would remove the second. So no component is created while an
//! earlier create may still have made it, or while the rate limit leaves too few reads to check.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Reading, Reconciler, Round};
use crate::core::ledger::{Delivery, Ledger, Recorded, ResourceKey};
use crate::core::observed::Observed;
use crate::core::plan::Change;
use crate::core::status_page::REQUEST_TIMEOUT;
use crate::core::time::Timestamp;

/// The components that the last reading did not show and the one before did. When a component is removed while a list of
/// several pages is read, another one may be in none of them.
#[derive(Debug, Default)]
pub struct Vanished(BTreeSet<String>);

impl Vanished {
    /// The page was read, and shows `now` what was `known` differently.
    pub fn read(&mut self, known: Option<&Observed>, now: &Observed) {
        let shown: BTreeSet<&str> = now.components.iter().map(|component| component.name.as_str()).collect();
        let known = known.iter().flat_map(|known| &known.components).map(|component| &component.name);
        self.0 = known.filter(|name| !shown.contains(name.as_str())).cloned().collect();
    }
}

/// What the store has of an earlier run: a create in doubt may have been sent until a moment ago.
pub fn recall(ledger: &mut Ledger, now: Timestamp) {
    for (_, row) in ledger.iter_mut().filter(|(_, row)| row.page_id.is_none()) {
        row.delivery = Delivery::InDoubt { since: now };
    }
}

/// How long to wait before creating a component with this row: an earlier create may still be carried out.
fn in_doubt_for(row: Option<&Recorded>, now: Timestamp) -> Option<Duration> {
    let Recorded { page_id: None, delivery: Delivery::InDoubt { since }, .. } = row? else { return None };
    // A clock that was set back since must not put it off for longer.
    Some(since.after(REQUEST_TIMEOUT).since(now)).filter(|wait| *since <= now && !wait.is_zero())
}

impl Reconciler {
    /// `changes` without the making of components that has to wait.
    ///
    /// Before one is made, it is read whether it is there by now. A storm of new targets must not use up what it takes to
    /// keep what the public sees.
    pub(super) fn that_can_be_made(&self, mut changes: Vec<Change>, read: Reading, round: &mut Round) -> Vec<Change> {
        let (now, interval) = (self.clock.now(), self.settings.config.page.reconcile_interval);
        let unread = read < Reading::Everything;
        let too_dear = unread.then(|| self.page.reading_waits()).flatten();
        changes.retain(|change| {
            let Change::Write { key: key @ ResourceKey::Target(target), page_id: None, .. } = change else {
                return true;
            };
            let row = self.memory.applied.as_ref().and_then(|applied| applied.ledger.get(key));
            let vanished = self.memory.vanished.0.contains(target.as_str()).then_some(interval);
            let wait = vanished.or_else(|| in_doubt_for(row, now)).or(too_dear);
            round.saving = round.saving.into_iter().chain(wait).min();
            wait.is_none()
        });
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::ComponentValue;
    use crate::core::observed::ComponentId;
    use crate::core::status::ComponentStatus;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_create_in_doubt_is_waited_for_and_never_longer_because_a_clock_was_set_back() {
        let value = ComponentValue::of_target(ComponentStatus::MajorOutage, String::new());
        let row = Recorded {
            page_id: None,
            delivery: Delivery::InDoubt { since: NOW },
            ..Recorded::confirmed(ComponentId(1), value)
        };
        assert_eq!(in_doubt_for(Some(&row), NOW), Some(REQUEST_TIMEOUT));
        assert_eq!(in_doubt_for(Some(&row), NOW.after(REQUEST_TIMEOUT)), None);
        assert_eq!(in_doubt_for(Some(&row), NOW.before(MINUTE)), None);
        assert_eq!(in_doubt_for(None, NOW), None);
        let made = Recorded { page_id: Some(ComponentId(1)), ..row };
        assert_eq!(in_doubt_for(Some(&made), NOW), None);
    }
}

//! What keeps the component of a target from being made for now.
//!
//! Cachet takes the same name twice, and nobody would ever remove the second one. So none is made as long as it may be
//! there, or may yet come to be; and none with the last readings that Cachet's limit leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Reading, Reconciler, Round};
use crate::core::observed::{ComponentId, Observed};
use crate::core::plan::{Applied, Change};
use crate::core::status_page::{PageError, REQUEST_TIMEOUT};
use crate::core::target::TargetName;
use crate::core::time::Timestamp;

/// What is known of components of targets that are not there.
#[derive(Debug, Default)]
pub struct Creations {
    /// Those that were posted, and when no answer had come: Cachet may carry that out yet.
    unanswered: BTreeMap<TargetName, Timestamp>,
    /// Those that the last reading did not show and the one before did. When a component is removed while a list of
    /// several pages is read, another one may be in none of them.
    vanished: BTreeSet<String>,
}

impl Creations {
    /// Cachet was read, and shows `now` what was `known` differently.
    pub fn read(&mut self, known: Option<&Observed>, now: &Observed) {
        let shown: BTreeSet<&str> = now.components.iter().map(|component| component.name.as_str()).collect();
        let known = known.iter().flat_map(|known| &known.components).map(|component| &component.name);
        self.vanished = known.filter(|name| !shown.contains(name.as_str())).cloned().collect();
    }

    /// What the store has of an earlier run: a component without a number was posted, nobody knows when.
    pub fn recall(&mut self, applied: &Applied, now: Timestamp) {
        let posted = applied.targets.iter().filter(|(_, written)| written.id == ComponentId::UNKNOWN);
        for (target, _) in posted {
            self.unanswered.entry(target.clone()).or_insert(now);
        }
    }

    /// What came of `change` at `now`, if it makes a component.
    pub fn tried(&mut self, change: &Change, error: Option<&PageError>, now: Timestamp) {
        let Change::CreateTarget { target, .. } = change else { return };
        match error {
            Some(error) if error.may_be_applied_yet() => drop(self.unanswered.insert(target.clone(), now)),
            _ => drop(self.unanswered.remove(target)),
        }
    }

    /// How long the component of `target` is not made yet, if Cachet is read every `interval`.
    fn put_off(&self, target: &TargetName, interval: Duration, now: Timestamp) -> Option<Duration> {
        if self.vanished.contains(target.as_str()) {
            return Some(interval);
        }
        // A clock that was set back since must not put it off for longer.
        let lost_at = self.unanswered.get(target).filter(|lost_at| **lost_at <= now)?;
        Some(lost_at.after(REQUEST_TIMEOUT).since(now)).filter(|wait| !wait.is_zero())
    }
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
            let Change::CreateTarget { target, .. } = change else { return true };
            let wait = self.memory.creations.put_off(target, interval, now).or(too_dear);
            round.saving = round.saving.into_iter().chain(wait).min();
            wait.is_none()
        });
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::status::ComponentStatus;
    use crate::core::status_page::Failure;
    use crate::core::target::{ComponentList, Target};

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn only_what_may_be_carried_out_yet_is_waited_for_and_never_longer_because_a_clock_was_set_back() {
        let target = Target::new("db:9100", ComponentList::parse("Database").names).expect("a target").name();
        let status = ComponentStatus::MajorOutage;
        let change = Change::CreateTarget { target: target.clone(), status, description: String::new() };
        let failed =
            |yet| PageError::new(Failure::InDoubt { yet, of_a_read: false, retry_after: None }, "no answer".to_owned());
        let mut creations = Creations::default();
        creations.tried(&change, Some(&failed(true)), NOW);
        assert_eq!(creations.put_off(&target, MINUTE, NOW), Some(REQUEST_TIMEOUT));
        assert_eq!(creations.put_off(&target, MINUTE, NOW.after(REQUEST_TIMEOUT)), None);
        assert_eq!(creations.put_off(&target, MINUTE, NOW.before(MINUTE)), None);
        creations.tried(&change, Some(&failed(false)), NOW);
        assert_eq!(creations.put_off(&target, MINUTE, NOW), None, "that was Cachet's last word");
    }
}

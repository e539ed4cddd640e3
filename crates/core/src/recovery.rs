//! What stays valid of stored state after the clock was set back, a backup was restored, or the page moved.
//!
//! In each case the store is right about some of what it holds and wrong about the rest. The functions take what is
//! stored and return what is to be stored instead.

use std::collections::BTreeMap;

use super::alert::{AlertRecord, AlertState};
use super::expiry::{RoutedWatchdog, RoutedWatchdogs};
use super::incident::{Episode, EpisodePhase, LostPostings, PastEpisode};
use super::ledger::Delivery;
use super::plan::{Applied, UnansweredWrite};
use super::time::Timestamp;
use super::watchdog::Pulse;

/// The recorded state for a page at another address than before.
///
/// Ids of components and incidents mean nothing there. Every status counts as unconfirmed. An incident is looked up by
/// the key of its episode, and opened if it does not exist. No write to the other page is awaited any longer.
pub fn applied_to_another_page(applied: Applied) -> Applied {
    let active = applied.every_episode().filter(|episode| episode.is_active());
    let moved = |episode: &Episode| Episode { phase: EpisodePhase::Absent, lost: None, ..episode.clone() };
    let moved: Vec<Episode> = active.map(moved).collect();
    let mut applied = Applied { past: BTreeMap::new(), unanswered: Vec::new(), ..unconfirmed(applied) };
    applied.ledger.iter_mut().for_each(|(_, row)| row.unanswered.clear());
    with_episodes(applied, moved)
}

/// The recorded state in a store that is older than what was last written to the page: a restored backup.
///
/// The page is right then. Every status counts as unconfirmed, and every episode has ended: the open incidents are
/// adopted from the page.
pub fn applied_to_newer_page(applied: Applied) -> Applied {
    let mut applied = unconfirmed(applied);
    let ended: Vec<Episode> = applied.every_episode().cloned().collect();
    applied.past.extend(ended.into_iter().filter_map(PastEpisode::of).map(|past| (past.key.clone(), past)));
    with_episodes(applied, [])
}

/// From when on a restored backup has heard of alerts after it was restored; `None` if the store is none. The last server
/// looked at the page at `looked_at`, the store says that this was at `known`, and the server that runs now began at `start`.
///
/// A store that knows of an earlier look, or of none, is a backup. Of the look and the start, the earlier one counts: a
/// server that stopped before its first look may have received notifications. What was resolved before may have fired again
/// since, and is forgotten.
pub fn heard_since(known: Option<Timestamp>, looked_at: Timestamp, start: Timestamp) -> Option<Timestamp> {
    known.is_none_or(|known| known < looked_at).then(|| looked_at.min(start))
}

/// The pulse in a restored store: unknown, unless the watchdog was received after `heard_since`.
pub fn pulse_after_restore(pulse: Pulse, heard_since: Timestamp) -> Pulse {
    if pulse.last_heartbeat.is_some_and(|last| last >= heard_since) { pulse } else { Pulse::default() }
}

/// An alert by a clock that was set back to `now`.
///
/// If it were last heard of in the future, every poll of Alertmanager would be older than it and could not end it.
pub fn clamp_alert(record: &AlertRecord, now: Timestamp) -> AlertRecord {
    let state = match record.state {
        AlertState::Refired { since } => AlertState::Refired { since: since.min(now) },
        state => state,
    };
    let ends_at = record.ends_at.map(|ends_at| ends_at.min(now));
    AlertRecord { state, ends_at, last_seen_at: record.last_seen_at.min(now), ..record.clone() }
}

/// The recorded state by a clock that was set back to `now`: every wait in it begins at `now` at the latest.
pub fn clamp_applied(mut applied: Applied, now: Timestamp) -> Applied {
    let clamp_lost = |lost: &mut LostPostings| lost.missed_at = lost.missed_at.min(now);
    for episode in applied.every_episode_mut() {
        episode.calm_since = episode.calm_since.map(|since| since.min(now));
        if let EpisodePhase::Closed { at, .. } = &mut episode.phase {
            *at = (*at).min(now);
        }
        episode.lost.iter_mut().for_each(clamp_lost);
    }
    applied.past.values_mut().map(|past| &mut past.lost).for_each(clamp_lost);
    for UnansweredWrite { sent_at, .. } in &mut applied.unanswered {
        *sent_at = (*sent_at).min(now);
    }
    for (_, row) in applied.ledger.iter_mut() {
        if let Delivery::InDoubt { since } = &mut row.delivery {
            *since = (*since).min(now);
        }
        for sent in &mut row.unanswered {
            sent.sent_at = sent.sent_at.min(now);
        }
    }
    applied
}

/// The watchdogs of notifications by a clock that was set back to `now`.
pub fn clamp_watchdogs(watchdogs: &RoutedWatchdogs, now: Timestamp) -> RoutedWatchdogs {
    let clamped = watchdogs.0.iter().map(|(fingerprint, watchdog)| {
        (*fingerprint, RoutedWatchdog { notified_at: watchdog.notified_at.min(now), ..*watchdog })
    });
    RoutedWatchdogs(clamped.collect())
}

/// Every value in doubt, since the beginning of time.
fn unconfirmed(mut applied: Applied) -> Applied {
    for (_, row) in applied.ledger.iter_mut().filter(|(_, row)| row.is_confirmed()) {
        row.delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };
    }
    applied
}

/// `applied` with these episodes instead of its own.
fn with_episodes(applied: Applied, episodes: impl IntoIterator<Item = Episode>) -> Applied {
    let mut applied = Applied { episodes: BTreeMap::new(), monitoring: None, ..applied };
    for episode in episodes {
        applied.keep(episode);
    }
    applied
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::alert::Fingerprint;
    use super::super::incident::{EndedBy, EpisodeKey, EpisodeSubject};
    use super::super::ledger::{ComponentValue, Recorded, ResourceKey, Unanswered};
    use super::super::observed::{ComponentId, IncidentId};
    use super::super::status::{ComponentStatus, IncidentStatus};
    use super::super::target::{ComponentList, ComponentName, Target};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const EARLIER: Timestamp = Timestamp::from_millis(900_000);
    const LATER: Timestamp = Timestamp::from_millis(1_100_000);

    fn name(text: &str) -> ComponentName {
        ComponentName::try_from(text).expect("a name")
    }

    fn lost(count: u32) -> Option<LostPostings> {
        Some(LostPostings { count, missed_at: LATER, title: None })
    }

    fn episode(id: i64, component: &str, phase: EpisodePhase, lost: Option<LostPostings>) -> Episode {
        Episode {
            key: EpisodeKey::new(ComponentId(id), NOW),
            subject: EpisodeSubject::Component { name: name(component), id: ComponentId(id) },
            occurred_at: NOW,
            began_at: NOW,
            calm_since: Some(LATER),
            lost,
            phase,
        }
    }

    /// An open episode (1), a closed one (2), one that is over (3), and one of the monitoring.
    fn applied() -> Applied {
        let status = ComponentStatus::MajorOutage;
        let mut applied = Applied::default();
        let value = ComponentValue::of_component(status);
        let unanswered = vec![Unanswered { value: value.clone(), sent_at: LATER }];
        let row = Recorded { unanswered, ..Recorded::confirmed(ComponentId(1), value) };
        applied.ledger.set(ResourceKey::Component(name("Web")), Some(row));
        let target = Target::new("a", ComponentList::parse("Web").names).expect("a target").name();
        let value = ComponentValue::of_target(status, "critical: no\nTargetDown".to_owned());
        applied.ledger.set(ResourceKey::Target(target), Some(Recorded::confirmed(ComponentId(9), value)));
        applied.keep(episode(1, "Web", EpisodePhase::Open(IncidentId(5)), lost(2)));
        let closed = EpisodePhase::Closed { incident: IncidentId(6), at: LATER, by: EndedBy::Person };
        applied.keep(episode(2, "Shop", closed, None));
        applied.keep(Episode {
            key: EpisodeKey::of_monitoring(NOW),
            subject: EpisodeSubject::Monitoring,
            ..episode(0, "Web", EpisodePhase::Opening, None)
        });
        let past = PastEpisode::of(episode(3, "Mail", EpisodePhase::Absent, lost(1))).expect("something is lost");
        applied.past.insert(past.key.clone(), past);
        let (id, status) = (IncidentId(5), IncidentStatus::Fixed);
        applied.unanswered.push(UnansweredWrite { id, status, subject: EpisodeSubject::Monitoring, sent_at: LATER });
        applied
    }

    fn are_unconfirmed(applied: &Applied) -> bool {
        applied.ledger.iter().count() == 2 && applied.ledger.iter().all(|(_, row)| !row.is_confirmed())
    }

    #[test]
    fn on_another_page_active_episodes_are_looked_up_again_and_nothing_is_awaited() {
        let moved = applied_to_another_page(applied());
        assert!(are_unconfirmed(&moved));
        let phases: Vec<_> = moved.every_episode().map(|it| (it.key.as_str(), it.phase, it.lost.clone())).collect();
        let absent = EpisodePhase::Absent;
        assert_eq!(phases, [("1-1000000", absent, None), ("0-1000000", absent, None)]);
        assert_eq!((moved.past.len(), moved.unanswered.len()), (0, 0));
    }

    #[test]
    fn after_a_restore_every_episode_has_ended_and_lost_writes_are_still_awaited() {
        let restored = applied_to_newer_page(applied());
        assert!(are_unconfirmed(&restored));
        assert_eq!(restored.every_episode().count(), 0);
        let past: Vec<_> = restored.past.values().map(|past| (past.key.as_str(), past.lost.count)).collect();
        assert_eq!(past, [("1-1000000", 2), ("3-1000000", 1)]);
        assert_eq!(restored.unanswered, applied().unanswered);
    }

    #[test]
    fn after_a_restore_only_what_was_heard_since_is_believed() {
        assert_eq!((heard_since(None, NOW, LATER), heard_since(None, LATER, NOW)), (Some(NOW), Some(NOW)));
        assert_eq!((heard_since(Some(EARLIER), NOW, NOW), heard_since(Some(NOW), NOW, NOW)), (Some(NOW), None));
        let heard = |last_heartbeat| Pulse { last_heartbeat, missing_at: Some(EARLIER) };
        assert_eq!(pulse_after_restore(heard(Some(NOW)), NOW), heard(Some(NOW)));
        assert_eq!(pulse_after_restore(heard(Some(EARLIER)), NOW), Pulse::default());
        assert_eq!(pulse_after_restore(heard(None), NOW), Pulse::default());
    }

    fn record(last_seen_at: Timestamp) -> AlertRecord {
        AlertRecord {
            fingerprint: Fingerprint::of_text("a"),
            name: "TargetDown".to_owned(),
            target: Target::new("a", ComponentList::parse("Web").names).expect("a target"),
            critical: false,
            starts_at: LATER,
            reported_starts_at: LATER,
            state: AlertState::Firing,
            ends_at: None,
            last_seen_at,
        }
    }

    #[test]
    fn after_the_clock_was_set_back_no_wait_begins_in_the_future() {
        let later = AlertRecord { state: AlertState::Refired { since: LATER }, ends_at: Some(LATER), ..record(LATER) };
        let clamped = clamp_alert(&later, NOW);
        let refired = AlertState::Refired { since: NOW };
        assert_eq!((clamped.state, clamped.ends_at, clamped.last_seen_at), (refired, Some(NOW), NOW));
        assert_eq!(clamped.starts_at, LATER, "which occurrence it is does not depend on the clock");
        assert_eq!(clamp_alert(&record(EARLIER), NOW), record(EARLIER));

        let clamped = clamp_applied(applied(), NOW);
        for episode in clamped.every_episode() {
            assert_eq!(episode.calm_since, Some(NOW));
            assert!(episode.lost.as_ref().is_none_or(|lost| lost.missed_at == NOW));
            assert!(!matches!(episode.phase, EpisodePhase::Closed { at, .. } if at != NOW));
        }
        assert!(clamped.past.values().all(|past| past.lost.missed_at == NOW));
        assert!(clamped.unanswered.iter().all(|write| write.sent_at == NOW));
        let sent = clamped.ledger.iter().flat_map(|(_, row)| &row.unanswered);
        assert_eq!(sent.map(|sent| sent.sent_at).collect::<Vec<_>>(), [NOW]);
        assert_eq!(clamp_applied(applied(), LATER), applied());

        let watchdog = |notified_at| {
            let interval = Some(Duration::from_secs(60));
            let watchdog = RoutedWatchdog { starts_at: EARLIER, notified_at, interval };
            RoutedWatchdogs([(Fingerprint::of_text("a"), watchdog)].into())
        };
        assert_eq!(clamp_watchdogs(&watchdog(LATER), NOW), watchdog(NOW));
        assert_eq!(clamp_watchdogs(&watchdog(EARLIER), NOW), watchdog(EARLIER));
    }
}

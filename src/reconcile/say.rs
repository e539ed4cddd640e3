//! What is said of how it goes: each thing once, and once that it is over.

use std::collections::BTreeSet;

use super::{Reconciler, Round, apply, history};
use crate::core::history::{About, Event, Happening};
use crate::core::ledger::ResourceKey;
use crate::core::plan::Report;

impl Reconciler {
    /// Says each report once, and again only after it was no longer true in between.
    pub(super) fn say_reports(&mut self, reports: BTreeSet<Report>) {
        let now = self.clock.now();
        for report in reports.difference(&self.memory.reported) {
            apply::log_report(&self.log, report);
            self.memory.chronicle.find_out(report, now);
        }
        self.memory.reported = reports;
    }

    /// Says once of each thing why it could not be written, unless that is why nothing can be.
    pub(super) fn say_failures(&mut self, round: &Round) {
        let now = self.clock.now();
        for (subject, error) in &round.failures {
            let news = error.news.clone();
            let said = self.memory.failing.entry(subject.clone()).or_default();
            if said.as_ref() != Some(&news) && !self.memory.blocked_by.contains(&news) {
                tracing::warn!(subject = %subject, "{error}; it is tried again");
                *said = Some(news);
                self.memory.chronicle.add(history::of_failure(subject, error, now));
            }
        }
    }

    /// Says once why nothing can be written, and once that this is over.
    pub(super) fn say_what_is_wrong(&mut self, round: &Round) {
        let now = self.clock.now();
        if let Some(blocked) = &round.blocked {
            if self.memory.blocked_by.insert(blocked.news()) {
                tracing::error!("{blocked}; nothing is lost, it is tried again");
                self.memory.chronicle.add(history::of_block(blocked, now));
            }
            return;
        }
        // What was not tried again needs no writing any more, unless the rate limit has put it off.
        let fails = |failing: &ResourceKey| round.failures.iter().any(|(subject, _)| subject == failing);
        let is_put_off = |failing: &ResourceKey| round.saving.is_some() && matches!(failing, ResourceKey::Target(_));
        let failing = self.memory.failing.keys();
        let over: Vec<ResourceKey> =
            failing.filter(|failing| !fails(failing) && !is_put_off(failing)).cloned().collect();
        over.iter().for_each(|subject| self.no_longer_fails(subject));
        if !std::mem::take(&mut self.memory.blocked_by).is_empty() {
            tracing::info!("the page can be written again");
            let (at, about, event) = (now, About::Everything, Event::WritableAgain);
            self.memory.chronicle.add(Some(Happening { at, about, event }));
        }
    }

    /// Says that it is over, if it was said that it began.
    pub(super) fn no_longer_fails(&mut self, subject: &ResourceKey) {
        if let Some(Some(_)) = self.memory.failing.remove(subject) {
            tracing::info!(subject = %subject, "it is as it should be again");
        }
    }
}

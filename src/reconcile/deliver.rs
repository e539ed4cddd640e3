//! The third stage: chooses the next operations of a plan and carries them out, each recorded before and after.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::apply::apply;
use super::gather::Reading;
use super::report::Reporter;
use super::run::RunReport;
use super::view::View;
use super::{BATCH, Blocked, Context};
use crate::core::ledger::{ResourceKey, Update};
use crate::core::operation::{Operation, Outcome};
use crate::core::plan::TargetPlans;
use crate::core::status_page::{PageError, Spare};
use crate::core::target::TargetName;
use crate::core::time::Timestamp;
use crate::metrics::{Metrics, change_kind};
use crate::store::{Made, Store};

/// How many writes are under way at the same time.
const PARALLEL_WRITES: usize = 4;

/// The operations that wait to be written.
#[derive(Debug, Default)]
pub struct Deliverer {
    /// The operations on components and incidents, by kind and subject, each with the moment at which it became necessary.
    waiting: HashMap<(&'static str, ResourceKey), Timestamp>,
    /// The same of the targets' own components, each of which waits for one operation at most.
    waiting_targets: HashMap<TargetName, (&'static str, Timestamp)>,
}

impl Deliverer {
    /// Replaces the waiting operations on components and incidents by those planned at `now`, keeping since when each waits.
    pub fn wait_for_components(&mut self, operations: &[Operation], now: Timestamp, metrics: &Metrics) {
        let mut before = std::mem::take(&mut self.waiting);
        for operation in operations {
            let key = waiting_key(operation);
            let since = before.remove(&key).unwrap_or_else(|| {
                metrics.operation_planned(operation);
                now
            });
            self.waiting.insert(key, since);
        }
    }

    /// Replaces what the targets' own components wait for.
    pub fn wait_for_targets(&mut self, plans: &TargetPlans, now: Timestamp, metrics: &Metrics) {
        self.waiting_targets.retain(|name, _| plans.operation(name).is_some());
        for operation in plans.operations() {
            if let ResourceKey::Target(name) = operation.key() {
                self.wait_for_target(&name, Some(operation), now, metrics);
            }
        }
    }

    /// Replaces what the component of one target waits for.
    pub fn wait_for_target(
        &mut self,
        name: &TargetName,
        operation: Option<&Operation>,
        now: Timestamp,
        metrics: &Metrics,
    ) {
        let before = self.waiting_targets.remove(name);
        let Some(operation) = operation else { return };
        let kind = change_kind(operation);
        let waiting = before.filter(|(before, _)| *before == kind).unwrap_or_else(|| {
            metrics.operation_planned(operation);
            (kind, now)
        });
        self.waiting_targets.insert(name.clone(), waiting);
    }

    /// The operations that wait, by kind and subject, each with the moment at which it became necessary.
    pub fn waiting(&self) -> HashMap<(&'static str, ResourceKey), Timestamp> {
        let targets = self.waiting_targets.iter();
        let targets = targets.map(|(name, (kind, since))| ((*kind, ResourceKey::Target(name.clone())), *since));
        self.waiting.iter().map(|(key, since)| (key.clone(), *since)).chain(targets).collect()
    }

    /// The next operations to carry out: all of one rank, so that what the public sees comes first; none whose resource failed in
    /// this run; and of target components no more than the rate limit allows. Resources that failed in an earlier run come last.
    pub fn next_batch(
        &self,
        context: &Context,
        view: &View,
        (mut operations, targets): (Vec<Operation>, &TargetPlans),
        read: Reading,
        failing: &BTreeMap<ResourceKey, Option<String>>,
        run: &mut RunReport,
    ) -> Vec<Operation> {
        operations.retain(|operation| !run.failed_keys.contains(&operation.key()));
        if let Some(rank) = operations.first().map(Operation::rank) {
            operations.retain(|operation| operation.rank() == rank);
            operations.sort_by_key(|operation| failing.contains_key(&operation.key()));
            operations.truncate(BATCH);
            return operations;
        }
        let (mut batch, mut failed_before) = (Vec::new(), Vec::new());
        for operation in targets.operations() {
            if batch.len() == BATCH {
                break;
            }
            let key = operation.key();
            if run.failed_keys.contains(&key) || self.is_postponed(context, view, operation, read, run) {
                continue;
            }
            let place = if failing.contains_key(&key) { &mut failed_before } else { &mut batch };
            place.push(operation);
        }
        batch.extend(failed_before);
        if batch.is_empty() {
            return Vec::new();
        }
        // Keep enough writes to set every visible component to Major Outage and to open its incident.
        let spare = match context.page.spare(2 * view.index.enabled) {
            Spare::Exhausted(wait) => {
                run.saving = Some(wait);
                return Vec::new();
            }
            Spare::Writes(writes) => usize::try_from(writes).unwrap_or(BATCH),
            Spare::Unlimited => BATCH,
        };
        batch.into_iter().take(spare.min(BATCH)).cloned().collect()
    }

    /// Whether a component must not be created yet. A page accepts two components with one name, and nobody would remove the
    /// second. So none is created while an earlier create may still have created it, or while the rate limit leaves too few
    /// reads to check: many new targets must not use the calls that visible components need.
    fn is_postponed(
        &self,
        context: &Context,
        view: &View,
        operation: &Operation,
        read: Reading,
        run: &mut RunReport,
    ) -> bool {
        let Operation::Write { key: key @ ResourceKey::Target(target), page_id: None, .. } = operation else {
            return false;
        };
        let (now, interval) = (context.clock.now(), context.settings.config.page.reconcile_interval);
        let reads_are_limited = || (read < Reading::Everything).then(|| context.page.reading_waits()).flatten();
        let row = view.ledger.as_ref().and_then(|ledger| ledger.rows.get(key));
        let vanished = view.vanished.contains(target.key()).then_some(interval);
        let on_its_way = || Some(row?.on_its_way_until(now)?.since(now));
        let wait: Option<Duration> = vanished.or_else(on_its_way).or_else(reads_are_limited);
        run.saving = run.saving.into_iter().chain(wait).min();
        wait.is_some()
    }

    /// Carries out `batch`, each operation recorded before and after. What failed is in `run`.
    ///
    /// # Errors
    /// [`Blocked`] if the next operation would fail for the same reason.
    pub async fn deliver(
        &mut self,
        context: &Context,
        view: &mut View,
        reporter: &mut Reporter,
        batch: Vec<Operation>,
        run: &mut RunReport,
    ) -> Result<(), Blocked> {
        let (sent_at, config) = (context.clock.now(), &context.settings.config);
        let ledger = view.ledger.get_or_insert_default();
        let sent = |operation: &Operation| operation.sent(ledger, |subject| config.title(subject), sent_at);
        let intents: Vec<Update> = batch.iter().filter_map(sent).collect();
        if let Err(error) = reporter.remember(&context.store, &intents).await {
            // They may have been stored all the same.
            view.forget();
            return Err(error.into());
        }
        intents.into_iter().for_each(|update| view.record(update));

        let writes = stream::iter(batch).map(|operation| async move {
            if context.stop.is_cancelled() {
                return (operation, None);
            }
            let result = apply(context.page.as_ref(), config, &operation).await;
            (operation, Some(result))
        });
        let results: Vec<_> = writes.buffered(PARALLEL_WRITES).collect().await;
        self.conclude(context, view, reporter, results, sent_at, run).await
    }

    async fn conclude(
        &mut self,
        context: &Context,
        view: &mut View,
        reporter: &mut Reporter,
        results: Vec<(Operation, Option<Result<Outcome, PageError>>)>,
        sent_at: Timestamp,
        run: &mut RunReport,
    ) -> Result<(), Blocked> {
        let (now, config) = (context.clock.now(), &context.settings.config);
        let (mut written, mut not_written, mut blocked) = (Vec::new(), Vec::new(), None);
        let ledger = view.ledger.get_or_insert_default();
        for (operation, result) in results {
            match result {
                None => not_written.extend(operation.failed(ledger, None, sent_at, now)),
                Some(Ok(outcome)) => {
                    run.written += 1;
                    run.unanswered = 0;
                    match operation.key() {
                        ResourceKey::Target(name) => drop(self.waiting_targets.remove(&name)),
                        _ => drop(self.waiting.remove(&waiting_key(&operation))),
                    }
                    remember_made(&context.store, context.page.address(), &operation, &outcome).await;
                    reporter.written(context, &operation, &outcome, now);
                    let update = operation.answered(ledger, &outcome, sent_at, now);
                    written.extend(update.map(|update| (update, outcome)));
                }
                Some(Err(error)) => {
                    let unanswered = error.is_unanswered();
                    run.unanswered = if unanswered { run.unanswered + 1 } else { 0 };
                    run.page_in_doubt |= unanswered || error.is_not_found();
                    not_written.extend(operation.failed(ledger, Some(error.failure), sent_at, now));
                    run.failed_keys.insert(operation.key());
                    context.metrics.operation_failed(&operation);
                    if error.concerns_everything() && blocked.is_none() {
                        blocked = Some(error);
                    } else {
                        run.failures.push((operation.key(), error));
                    }
                }
            }
        }
        if run.page_in_doubt {
            view.doubt();
        }
        let all: Vec<Update> = written.iter().map(|(update, _)| update).chain(&not_written).cloned().collect();
        if let Err(error) = reporter.remember(&context.store, &all).await {
            // What the store does not know would be unknown after a restart, so it is looked up again now.
            view.forget();
            return Err(error.into());
        }
        written.into_iter().for_each(|(update, outcome)| view.written(update, &outcome, config));
        not_written.into_iter().for_each(|update| view.record(update));
        match blocked.or_else(|| run.give_up()) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn waiting_key(operation: &Operation) -> (&'static str, ResourceKey) {
    (change_kind(operation), operation.key())
}

/// Remembers the component of a target that was created, for pages that do not say who created it.
async fn remember_made(store: &Store, address: &str, operation: &Operation, outcome: &Outcome) {
    if let (Operation::Write { key: ResourceKey::Target(target), page_id: None, .. }, Outcome::Written(id, _)) =
        (operation, outcome)
        && let Err(error) = store.remember_made(address, Made::Component(*id), target.as_str()).await
    {
        tracing::warn!("`setup --prune` will not remove {:?}: {error}", target.as_str());
    }
}

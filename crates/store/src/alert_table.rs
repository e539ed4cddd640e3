//! The alerts in memory, and the log of their changes. The database is read at the first use, and again after a commit whose
//! result is unknown. When an alert was last heard of is in memory first; everything else changes here after its commit.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::StoreError;
use super::alert_rows::{RowId, all_rows, batches, in_rows, unresolved};
use alertmanager_cachet_core::alert::{AlertRecord, AlertState, Fingerprint};
use alertmanager_cachet_core::target::{ComponentName, TargetName};
use alertmanager_cachet_core::time::Timestamp;

/// What one unit of work changes in the table of alerts.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The alerts that were written.
    pub(super) records: Vec<Arc<AlertRecord>>,
    /// The row of each of them.
    pub(super) rows: HashMap<Fingerprint, RowId>,
    /// Those that were deleted.
    pub(super) deleted: Vec<Fingerprint>,
}

/// The stored alerts in memory: the row of each, and the whole record of those that are not resolved.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    unresolved: HashMap<Fingerprint, Arc<AlertRecord>>,
    /// Those of `unresolved` that do not just fire: adopted ones, refired ones, and those whose resolve is held.
    special: BTreeSet<Fingerprint>,
    /// The row of every alert, resolved or not.
    rows: HashMap<Fingerprint, RowId>,
    /// The last row that was ever used.
    last_row: RowId,
    /// Those of `unresolved` that were heard of later than the database says.
    unsaved: HashSet<Fingerprint>,
}

impl Alerts {
    /// Reads all of them.
    pub(super) async fn read(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let rows = all_rows(connection).await?;
        let mut alerts = Self { last_row: rows.values().copied().max().unwrap_or_default(), rows, ..Self::default() };
        unresolved(connection).await?.into_iter().for_each(|record| alerts.set(Arc::new(record)));
        Ok(alerts)
    }

    /// How many alerts are stored.
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// The row of a stored alert.
    pub(super) fn row(&self, fingerprint: Fingerprint) -> Option<RowId> {
        self.rows.get(&fingerprint).copied()
    }

    /// The row of each of `records`: of a new alert, one behind all others.
    pub(super) fn rows_of<'a>(&self, records: impl Iterator<Item = &'a AlertRecord>) -> HashMap<Fingerprint, RowId> {
        let mut last = self.last_row;
        let row = |record: &AlertRecord| {
            let row = self.row(record.fingerprint).unwrap_or_else(|| {
                last += 1;
                last
            });
            (record.fingerprint, row)
        };
        records.map(row).collect()
    }

    /// Those that are not resolved, ordered by fingerprint.
    pub(super) fn unresolved(&self) -> Vec<Arc<AlertRecord>> {
        let mut records: Vec<_> = self.unresolved.values().cloned().collect();
        records.sort_unstable_by_key(|record| record.fingerprint);
        records
    }

    /// Those about targets that feed `component`, ordered by fingerprint.
    pub(super) fn unresolved_about(&self, component: &ComponentName) -> Vec<AlertRecord> {
        let about = self.unresolved.values().filter(|record| record.target.components().contains(component));
        let mut records: Vec<AlertRecord> = about.map(|record| (**record).clone()).collect();
        records.sort_unstable_by_key(|record| record.fingerprint);
        records
    }

    /// Those that are neither resolved nor just fire: adopted ones, refired ones, and those whose resolve is held.
    pub(super) fn special(&self) -> impl Iterator<Item = &Arc<AlertRecord>> {
        self.special.iter().filter_map(|fingerprint| self.unresolved.get(fingerprint))
    }

    /// The names of the targets of those that are not resolved.
    pub(super) fn unresolved_targets(&self) -> impl Iterator<Item = TargetName> {
        self.unresolved.values().map(|record| record.target.name())
    }

    /// Those that were adopted from a page.
    pub(super) fn adopted(&self) -> Vec<AlertRecord> {
        let adopted = self.special().filter(|record| record.state == AlertState::Adopted);
        adopted.map(|record| (**record).clone()).collect()
    }

    /// An alert that is not resolved.
    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<&Arc<AlertRecord>> {
        self.unresolved.get(&fingerprint)
    }

    /// What is stored of these alerts. The database is read for the resolved ones only.
    pub(super) async fn with_fingerprints(
        &self,
        connection: &mut SqliteConnection,
        fingerprints: impl Iterator<Item = Fingerprint>,
    ) -> Result<HashMap<Fingerprint, Arc<AlertRecord>>, StoreError> {
        let (mut known, mut resolved) = (HashMap::new(), Vec::new());
        for fingerprint in fingerprints {
            match self.unresolved.get(&fingerprint) {
                Some(record) => drop(known.insert(fingerprint, Arc::clone(record))),
                None => resolved.extend(self.row(fingerprint)),
            }
        }
        let resolved = in_rows(connection, &resolved).await?;
        known.extend(resolved.into_iter().map(|record| (record.fingerprint, Arc::new(record))));
        Ok(known)
    }

    /// Takes over what was committed. Returns the changes of unresolved alerts. A later `last_seen_at` alone is no change.
    pub(super) fn change(&mut self, written: Written) -> Vec<Change> {
        let Written { records, rows, deleted } = written;
        let mut changes = Vec::with_capacity(records.len());
        for record in records {
            let is_unresolved = record.state != AlertState::Resolved;
            let is_news = match self.unresolved.get(&record.fingerprint) {
                Some(before) => !record.repeats(before),
                None => is_unresolved,
            };
            if is_news {
                changes.push((record.fingerprint, is_unresolved.then(|| Arc::clone(&record))));
            }
            let row = rows.get(&record.fingerprint).copied().unwrap_or_default();
            self.last_row = self.last_row.max(row);
            self.rows.insert(record.fingerprint, row);
            self.set(record);
        }
        for fingerprint in deleted {
            if self.unresolved.contains_key(&fingerprint) {
                changes.push((fingerprint, None));
            }
            self.forget(fingerprint);
            self.rows.remove(&fingerprint);
        }
        changes
    }

    fn set(&mut self, record: Arc<AlertRecord>) {
        let fingerprint = record.fingerprint;
        self.forget(fingerprint);
        if record.state == AlertState::Resolved {
            return;
        }
        if record.state != AlertState::Firing {
            self.special.insert(fingerprint);
        }
        self.unresolved.insert(fingerprint, record);
    }

    /// Forgets what an alert says, and keeps where it is stored.
    fn forget(&mut self, fingerprint: Fingerprint) {
        self.unresolved.remove(&fingerprint);
        self.special.remove(&fingerprint);
        self.unsaved.remove(&fingerprint);
    }

    /// Replaces an alert that is not resolved by one that was heard of later. That is stored by [`Self::save_last_seen`].
    pub(super) fn heard_of(&mut self, record: Arc<AlertRecord>) {
        self.unsaved.insert(record.fingerprint);
        self.unresolved.insert(record.fingerprint, record);
    }

    /// Whether alerts were heard of later than the database says.
    pub(super) fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Writes when alerts were last heard of. Call [`Self::mark_saved`] after the commit.
    pub(super) async fn save_last_seen(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let seen =
            |fingerprint: &Fingerprint| Some((self.row(*fingerprint)?, self.unresolved.get(fingerprint)?.last_seen_at));
        let seen: Vec<(RowId, Timestamp)> = self.unsaved.iter().filter_map(seen).collect();
        for some in batches(&seen) {
            let mut query = QueryBuilder::<Sqlite>::new("UPDATE alerts SET last_seen_ms = seen.column2 FROM (");
            query.push_values(some, |mut row, (id, last_seen_at)| {
                row.push_bind(*id).push_bind(last_seen_at.as_millis());
            });
            query.push(") AS seen WHERE id = seen.column1 AND last_seen_ms < seen.column2");
            query.build().execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// What [`Self::save_last_seen`] has written is committed.
    pub(super) fn mark_saved(&mut self) {
        self.unsaved = HashSet::new();
    }
}

/// How many changes of alerts are remembered for those who follow them. Who is further behind reads all alerts again.
const CHANGES_KEPT: usize = 4096;

/// An alert, and what is known of it now; `None`: it is resolved or deleted.
type Change = (Fingerprint, Option<Arc<AlertRecord>>);

/// The latest changes of alerts, numbered from the start of the server.
#[derive(Debug, Default)]
pub(super) struct AlertLog {
    /// The number of the first change that is kept.
    first: u64,
    /// Whether the changes were discarded since the last [`Self::take_reset`].
    was_reset: bool,
    changes: VecDeque<Change>,
}

impl AlertLog {
    /// The number of the next change.
    pub(super) fn position(&self) -> u64 {
        self.first.saturating_add(self.changes.len() as u64)
    }

    /// Adds what was committed.
    pub(super) fn add(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changes.extend(changes);
        let excess = self.changes.len().saturating_sub(CHANGES_KEPT);
        self.changes.drain(..excess);
        self.first = self.first.saturating_add(excess as u64);
    }

    /// Discards the changes, so that every reader reads all alerts again. From then on the position is never 0.
    pub(super) fn reset(&mut self) {
        // The first time, there was nothing to discard.
        self.was_reset |= self.position() > 0;
        self.first = self.position().saturating_add(1);
        self.changes.clear();
    }

    /// Whether the changes were discarded since the last call. Then something may have been committed of which nobody was told.
    pub(super) fn take_reset(&mut self) -> bool {
        std::mem::take(&mut self.was_reset)
    }

    /// The changes from `position` on, unless they are forgotten.
    pub(super) fn since(&self, position: u64) -> Option<Vec<Change>> {
        let skipped = usize::try_from(position.checked_sub(self.first)?).ok()?;
        (skipped <= self.changes.len()).then(|| self.changes.iter().skip(skipped).cloned().collect())
    }
}

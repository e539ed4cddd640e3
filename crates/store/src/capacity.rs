//! The limit on stored alerts.
//!
//! The alerts are counted at the first write after a start (10 ms for 100,000 rows, 18 ms for a million), and again after a
//! transaction that failed or that deleted alerts. Between these, the number is kept in memory: only the server that holds
//! the store's lock writes alerts, and it knows how many of them were new.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::SqliteConnection;
use tokio::sync::{Mutex, MutexGuard};

use super::alerts::upsert;
use super::{Store, StoreError};
use alertmanager_cachet_core::alert::{AlertRecord, Fingerprint};
use alertmanager_cachet_core::alert_limit::{DEFAULT_MAX_ALERTS, refused};

/// The limit of stored alerts, and their number.
#[derive(Debug)]
pub(super) struct Capacity {
    max: AtomicU32,
    stored: Mutex<Option<usize>>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { max: AtomicU32::new(DEFAULT_MAX_ALERTS), stored: Mutex::default() }
    }
}

impl Capacity {
    /// The number of stored alerts; `None` if they must be counted. A transaction that writes alerts holds this guard until
    /// its commit.
    pub(super) async fn stored(&self) -> MutexGuard<'_, Option<usize>> {
        self.stored.lock().await
    }

    /// How many alerts may be stored.
    pub(super) fn max(&self) -> u32 {
        self.max.load(Ordering::Relaxed)
    }
}

/// The result of [`upsert_within`].
pub(super) struct Written {
    /// How many alerts are stored now.
    pub(super) stored: usize,
    /// The new alerts that were not stored, because the limit is reached.
    pub(super) refused: HashSet<Fingerprint>,
}

impl Store {
    /// Limits the stored alerts to `max` from now on. For a new alert, the oldest resolved one is forgotten; if no alert is
    /// resolved, the new one is not stored. Alerts that are stored already stay, even if they are more than `max`.
    pub fn limit_alerts(&self, max: u32) {
        self.capacity.max.store(max, Ordering::Relaxed);
    }

    /// How many alerts may be stored.
    pub fn max_alerts(&self) -> u32 {
        self.capacity.max()
    }
}

/// Writes `records`. Those that are not `known` are new, and are written only within the limit `max`.
///
/// This takes the number out of `stored`. The caller puts the new number back after the commit; if the transaction fails,
/// the alerts are counted again.
pub(super) async fn upsert_within<'a>(
    max: u32,
    stored: &mut Option<usize>,
    connection: &mut SqliteConnection,
    records: impl Iterator<Item = &'a AlertRecord>,
    known: &HashMap<Fingerprint, AlertRecord>,
) -> Result<Written, StoreError> {
    let stored = match stored.take() {
        Some(stored) => stored,
        None => count(connection).await?,
    };
    let (updated, new): (Vec<_>, Vec<_>) = records.partition(|record| known.contains_key(&record.fingerprint));
    let mut inherited = if new.is_empty() { HashSet::new() } else { inherited(connection).await? };
    let (identified, mut new): (Vec<_>, Vec<_>) = new
        .into_iter()
        .partition(|record| inherited.remove(&(record.target.name().as_str().to_owned(), record.name.clone())));
    upsert(connection, &updated).await?;
    upsert(connection, &identified).await?;
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let excess = stored.saturating_add(new.len()).saturating_sub(max);
    let forgotten = if new.is_empty() { 0 } else { forget_oldest_resolved(connection, excess).await? };
    let stored = stored.saturating_sub(forgotten);
    let refused: HashSet<Fingerprint> =
        refused(&new, max.saturating_sub(stored)).iter().map(|record| record.fingerprint).collect();
    new.retain(|record| !refused.contains(&record.fingerprint));
    upsert(connection, &new).await?;
    Ok(Written { stored: stored + identified.len() + new.len(), refused })
}

/// Targets and names of what was inherited from a page. The first alert of each takes its place, so it needs none of its
/// own: [`super::alerts::end_inherited`].
async fn inherited(connection: &mut SqliteConnection) -> Result<HashSet<(String, String)>, StoreError> {
    let query = "SELECT target, name FROM alerts WHERE state = 'inherited'";
    Ok(sqlx::query_as(query).fetch_all(connection).await?.into_iter().collect())
}

async fn count(connection: &mut SqliteConnection) -> Result<usize, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM alerts").fetch_one(connection).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Forgets up to `count` resolved alerts, those with the oldest last notification first. Returns how many it forgot.
async fn forget_oldest_resolved(connection: &mut SqliteConnection, count: usize) -> Result<usize, StoreError> {
    if count == 0 {
        return Ok(0);
    }
    let query = "DELETE FROM alerts WHERE fingerprint IN \
                 (SELECT fingerprint FROM alerts WHERE state = 'resolved' ORDER BY last_seen_ms, fingerprint LIMIT $1)";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let done = sqlx::query(query).bind(count).execute(connection).await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

//! The table of alerts: one row a fingerprint.

use std::collections::{HashMap, HashSet, VecDeque};

use sqlx::sqlite::{SqliteArguments, SqliteExecutor, SqliteRow};
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{StoreError, optional_timestamp, timestamp};
use alertmanager_cachet_core::alert::{AlertRecord, AlertState, Fingerprint};
use alertmanager_cachet_core::expiry::WatchdogVerdict;
use alertmanager_cachet_core::merge::{NewAlerts, superseded};
use alertmanager_cachet_core::target::{Target, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// How many rows one statement carries. A connection keeps its statements prepared, one for each number of rows: longer ones
/// would take much memory, and be rarely needed again with as many rows.
pub(super) const ROWS_PER_STATEMENT: usize = 64;

const COLUMNS: &str = "fingerprint, name, target, critical, starts_at_ms, first_starts_at_ms, state, refired_at_ms, \
     ends_at_ms, last_seen_ms";

/// What is known of the table without reading it. A transaction that writes alerts holds its guard until the commit.
#[derive(Debug, Default)]
pub(super) struct AlertTable {
    /// The number of stored alerts; `None` if they must be counted.
    ///
    /// They are counted at the first write after a start (10 ms for 100,000 rows, 18 ms for a million), and again after a
    /// transaction that failed or that deleted alerts. Between these, the number is kept in memory: only the server that
    /// holds the store's lock writes alerts, and it knows how many of them were new.
    pub(super) count: Option<usize>,
    /// Whether there are alerts that were adopted from a page; `None` if that must be looked up.
    pub(super) has_adopted: Option<bool>,
    /// When alerts were last heard of, as far as that is not stored yet ([`AlertTable::save_last_seen`]).
    pub(super) last_seen: HashMap<Fingerprint, Timestamp>,
}

impl AlertTable {
    /// Gives `record` the time at which it was last heard of.
    pub(super) fn update(&self, record: &mut AlertRecord) {
        if let Some(last_seen_at) = self.last_seen.get(&record.fingerprint) {
            record.last_seen_at = record.last_seen_at.max(*last_seen_at);
        }
    }

    /// Stores when alerts were last heard of.
    pub(super) async fn save_last_seen(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let seen: Vec<(&Fingerprint, &Timestamp)> = self.last_seen.iter().collect();
        for some in seen.chunks(ROWS_PER_STATEMENT) {
            let mut query = QueryBuilder::<Sqlite>::new("UPDATE alerts SET last_seen_ms = seen.column2 FROM (");
            query.push_values(some, |mut row, (fingerprint, last_seen_at)| {
                row.push_bind(fingerprint.to_string()).push_bind(last_seen_at.as_millis());
            });
            query.push(") AS seen WHERE fingerprint = seen.column1 AND last_seen_ms < seen.column2");
            query.build().execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// How many changes of alerts are remembered for those who follow them. Who is further behind reads all alerts again.
const CHANGES_KEPT: usize = 4096;

/// The latest changes of alerts (`None`: resolved or deleted), numbered from the start of the server.
#[derive(Debug, Default)]
pub(super) struct AlertLog {
    /// The number of the first change that is kept.
    first: u64,
    changes: VecDeque<(Fingerprint, Option<AlertRecord>)>,
}

impl AlertLog {
    /// The number of the next change.
    pub(super) fn position(&self) -> u64 {
        self.first.saturating_add(self.changes.len() as u64)
    }

    /// Adds what was committed: `written` alerts, and the ones that were deleted though they were not resolved.
    pub(super) fn add<'a>(&mut self, written: impl IntoIterator<Item = &'a AlertRecord>, deleted: &[Fingerprint]) {
        let written = written
            .into_iter()
            .map(|record| (record.fingerprint, (record.state != AlertState::Resolved).then(|| record.clone())));
        self.changes.extend(written.chain(deleted.iter().map(|fingerprint| (*fingerprint, None))));
        let excess = self.changes.len().saturating_sub(CHANGES_KEPT);
        self.changes.drain(..excess);
        self.first = self.first.saturating_add(excess as u64);
    }

    /// Discards the changes, so that every reader reads all alerts again.
    pub(super) fn reset(&mut self) {
        self.first = self.position().saturating_add(1);
        self.changes.clear();
    }

    /// The changes from `position` on, unless they are forgotten.
    pub(super) fn since(&self, position: u64) -> Option<Vec<(Fingerprint, Option<AlertRecord>)>> {
        let skipped = usize::try_from(position.checked_sub(self.first)?).ok()?;
        (skipped <= self.changes.len()).then(|| self.changes.iter().skip(skipped).cloned().collect())
    }
}

/// The result of [`write_within`].
pub(super) struct Written {
    /// How many alerts are stored now.
    pub(super) stored: usize,
    /// The new alerts that were not stored, because the limit is reached.
    pub(super) refused: HashSet<Fingerprint>,
    /// The adopted alerts that ended, and were deleted.
    pub(super) ended: Vec<Fingerprint>,
}

/// Writes `records`. Those that are not `known` are new, and are written only within the limit `max`. `adopted` alerts
/// that end with this are deleted.
///
/// `stored` is the number of alerts before, if it is known. The caller takes it out of `table` before the transaction and
/// puts the new number back after the commit: if the transaction fails, the alerts are counted again.
pub(super) async fn write_within<'a>(
    (max, stored, table): (u32, Option<usize>, &AlertTable),
    connection: &mut SqliteConnection,
    records: impl Iterator<Item = &'a AlertRecord>,
    known: &HashMap<Fingerprint, AlertRecord>,
    adopted: &[AlertRecord],
) -> Result<Written, StoreError> {
    let stored = match stored {
        Some(stored) => stored,
        None => {
            let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM alerts").fetch_one(&mut *connection).await?;
            usize::try_from(count).unwrap_or_default()
        }
    };
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let (mut written, new): (Vec<_>, Vec<_>) = records.partition(|record| known.contains_key(&record.fingerprint));
    let new = NewAlerts::divide(new, adopted);
    written.extend(&new.replacing);
    // Written first, so that no alert of this notification is among the oldest that are deleted next.
    upsert(connection, &written).await?;
    let excess = new.excess(stored, max);
    if excess > 0 {
        table.save_last_seen(connection).await?;
    }
    let forgotten = forget_oldest_resolved(connection, excess).await?;
    let stored = stored.saturating_sub(forgotten);
    let refused: HashSet<Fingerprint> =
        new.refused(max.saturating_sub(stored)).iter().map(|record| record.fingerprint).collect();
    let admitted: Vec<_> = new.additional.into_iter().filter(|record| !refused.contains(&record.fingerprint)).collect();
    upsert(connection, &admitted).await?;
    let stored = stored + new.replacing.len() + admitted.len();
    let ended = superseded(adopted, written.into_iter().chain(admitted));
    delete(connection, &ended).await?;
    Ok(Written { stored: stored.saturating_sub(ended.len()), refused, ended })
}

/// Deletes up to `count` resolved alerts, those that were heard of least recently first. Returns how many it deleted.
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

/// Deletes the resolved alerts that were last heard of before `limit`. Returns how many there were.
pub(super) async fn forget_resolved(connection: &mut SqliteConnection, limit: Timestamp) -> Result<u64, StoreError> {
    let query = "DELETE FROM alerts WHERE state = 'resolved' AND last_seen_ms < $1";
    Ok(sqlx::query(query).bind(limit.as_millis()).execute(connection).await?.rows_affected())
}

/// Deletes the alerts with these fingerprints.
pub(super) async fn delete(connection: &mut SqliteConnection, fingerprints: &[Fingerprint]) -> Result<(), StoreError> {
    for fingerprint in fingerprints {
        let query = sqlx::query("DELETE FROM alerts WHERE fingerprint = $1").bind(fingerprint.to_string());
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Every alert that is not resolved, ordered by fingerprint. Alerts that this release does not accept are left out: a
/// store of an earlier one may have some, until `serve` drops them.
pub(super) async fn unresolved(executor: impl SqliteExecutor<'_>) -> Result<Vec<AlertRecord>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM alerts WHERE state <> 'resolved' ORDER BY fingerprint");
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(executor).await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        if Target::is_acceptable(row.try_get("target")?, row.try_get("name")?) {
            records.push(record_of(row)?);
        }
    }
    Ok(records)
}

/// The alerts that were adopted from a page.
pub(super) async fn adopted(connection: &mut SqliteConnection) -> Result<Vec<AlertRecord>, StoreError> {
    select(connection, "state = 'inherited'", |query| query).await
}

/// Every alert that `verdict` may correct. Only a death needs the ended alerts, of which there are many.
pub(super) async fn correctable(
    connection: &mut SqliteConnection,
    verdict: WatchdogVerdict,
) -> Result<Vec<AlertRecord>, StoreError> {
    match verdict.died_at.map(Timestamp::as_millis) {
        None if !verdict.may_correct() => Ok(Vec::new()),
        None => select(connection, "state = 'resolve_held'", |query| query).await,
        Some(died_at) => {
            let condition = "state = 'resolve_held' OR state IN ('resolved', 'refired') AND ends_at_ms > $1";
            select(connection, condition, |query| query.bind(died_at)).await
        }
    }
}

/// A query with its arguments.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The alerts that a condition is about.
pub(super) async fn select(
    connection: &mut SqliteConnection,
    condition: &'static str,
    bind: impl for<'q> FnOnce(Query<'q>) -> Query<'q>,
) -> Result<Vec<AlertRecord>, StoreError> {
    let query = AssertSqlSafe(format!("SELECT {COLUMNS} FROM alerts WHERE {condition}"));
    bind(sqlx::query(query)).fetch_all(connection).await?.iter().map(record_of).collect()
}

/// The alerts with these fingerprints.
pub(super) async fn with_fingerprints(
    connection: &mut SqliteConnection,
    fingerprints: impl Iterator<Item = Fingerprint>,
) -> Result<HashMap<Fingerprint, AlertRecord>, StoreError> {
    let fingerprints: Vec<String> = fingerprints.map(|fingerprint| fingerprint.to_string()).collect();
    let records = with_keys(connection, "fingerprint", &fingerprints).await?;
    Ok(records.into_iter().map(|record| (record.fingerprint, record)).collect())
}

/// The alerts of the targets of `records`. No index helps, so the whole table is read.
pub(super) async fn of_targets_of(
    connection: &mut SqliteConnection,
    records: &[AlertRecord],
) -> Result<Vec<AlertRecord>, StoreError> {
    let targets: HashSet<String> = records.iter().map(|record| record.target.name().as_str().to_owned()).collect();
    with_keys(connection, "target", &targets.into_iter().collect::<Vec<_>>()).await
}

async fn with_keys(
    connection: &mut SqliteConnection,
    column: &'static str,
    keys: &[String],
) -> Result<Vec<AlertRecord>, StoreError> {
    let mut records = Vec::with_capacity(keys.len());
    for some in keys.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS} FROM alerts WHERE {column} IN ("));
        let mut list = query.separated(", ");
        for key in some {
            list.push_bind(key);
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            records.push(record_of(&row)?);
        }
    }
    Ok(records)
}

/// Writes `records`, over what is stored of their fingerprints.
pub(super) async fn upsert(connection: &mut SqliteConnection, records: &[&AlertRecord]) -> Result<(), StoreError> {
    for some in records.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO alerts ({COLUMNS}) "));
        query.push_values(some, |mut row, record| {
            let (state, refired_at) = match record.state {
                AlertState::Firing => ("firing", None),
                AlertState::Resolved => ("resolved", None),
                AlertState::Adopted => ("inherited", None),
                AlertState::ResolveHeld => ("resolve_held", None),
                AlertState::Refired { since } => ("refired", Some(since.as_millis())),
            };
            row.push_bind(record.fingerprint.to_string())
                .push_bind(record.name.as_str())
                .push_bind(record.target.name().as_str().to_owned())
                .push_bind(i64::from(record.critical))
                .push_bind(record.starts_at.as_millis())
                .push_bind(record.reported_starts_at.as_millis())
                .push_bind(state)
                .push_bind(refired_at)
                .push_bind(record.ends_at.map(Timestamp::as_millis))
                .push_bind(record.last_seen_at.as_millis());
        });
        query.push(
            " ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name, target = excluded.target, \
             critical = excluded.critical, starts_at_ms = excluded.starts_at_ms, \
             first_starts_at_ms = excluded.first_starts_at_ms, state = excluded.state, \
             refired_at_ms = excluded.refired_at_ms, \
             ends_at_ms = excluded.ends_at_ms, last_seen_ms = excluded.last_seen_ms",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn record_of(row: &SqliteRow) -> Result<AlertRecord, StoreError> {
    let fingerprint: String = row.try_get("fingerprint")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("alert {fingerprint:?}: {what}") };
    let target: String = row.try_get("target")?;
    let state: String = row.try_get("state")?;
    let starts_at = timestamp(row, "starts_at_ms")?;
    let state = match (state.as_str(), optional_timestamp(row, "refired_at_ms")?) {
        ("firing", _) => AlertState::Firing,
        ("resolved", _) => AlertState::Resolved,
        ("inherited", _) => AlertState::Adopted,
        ("resolve_held", _) => AlertState::ResolveHeld,
        ("refired", Some(since)) => AlertState::Refired { since },
        _ => return Err(corrupt(&format!("state {state:?} makes no sense"))),
    };
    Ok(AlertRecord {
        fingerprint: fingerprint.parse().map_err(|_| corrupt("its fingerprint makes no sense"))?,
        name: row.try_get("name")?,
        target: Target::from_name(&target).ok_or_else(|| corrupt(&format!("{:?} is no target", excerpt(&target))))?,
        critical: row.try_get::<i64, _>("critical")? != 0,
        starts_at,
        reported_starts_at: optional_timestamp(row, "first_starts_at_ms")?.unwrap_or(starts_at),
        state,
        ends_at: optional_timestamp(row, "ends_at_ms")?,
        last_seen_at: timestamp(row, "last_seen_ms")?,
    })
}

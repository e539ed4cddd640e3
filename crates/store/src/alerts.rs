//! The alerts, one row a fingerprint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::{SqliteExecutor, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use tokio::sync::oneshot;

use super::StoreOperation;
use super::applied::{upsert_episode, upsert_observed};
use super::capacity::upsert_within;
use super::history::keep_alerts;
use super::limits::is_not_taken;
use super::{Store, StoreError};
use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertState, Effect, Fingerprint};
use alertmanager_cachet_core::expiry::{Hearing, KnownOfLife, ResolveRule, WatchdogAlert};
use alertmanager_cachet_core::history::{AlertHappening, Event, Source, Turn};
use alertmanager_cachet_core::inherit::Inheritance;
use alertmanager_cachet_core::observed::Observed;
use alertmanager_cachet_core::repair::Repair;
use alertmanager_cachet_core::target::{Target, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// How many rows one statement carries: within the 32766 variables that SQLite takes, at ten a row.
const ROWS_PER_STATEMENT: usize = 1000;

const COLUMNS: &str = "fingerprint, name, target, critical, starts_at_ms, first_starts_at_ms, state, refired_at_ms, ends_at_ms, \
     last_seen_ms";

/// What waits to be committed, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    waiting: Mutex<Vec<Recording>>,
    turn: tokio::sync::Mutex<()>,
}

/// What one notification states.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    /// Of alerts.
    pub alerts: Vec<Alert>,
    /// Of the watchdog.
    pub watchdogs: Vec<WatchdogAlert>,
    /// How its resolves are judged; `None`: each counts.
    pub resolve_rule: Option<ResolveRule>,
}

/// What a notification changed.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What each alert changed.
    pub effects: Vec<Effect>,
    /// What its watchdogs corrected of other alerts.
    pub repairs: Vec<Repair>,
    /// Whether the watchdog was missing until then.
    pub watchdog_is_back: bool,
}

/// What one notification states, and who wants to know what became of it.
#[derive(Debug)]
struct Recording {
    statements: Statements,
    now: Timestamp,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

/// What a group of recordings changes of alerts. They are kept in the order in which they changed first: if there is no
/// room for all, the first are stored.
#[derive(Debug, Default)]
struct Changed {
    records: HashMap<Fingerprint, AlertRecord>,
    order: Vec<Fingerprint>,
}

impl Changed {
    fn get(&self, fingerprint: Fingerprint) -> Option<&AlertRecord> {
        self.records.get(&fingerprint)
    }

    fn put(&mut self, record: AlertRecord) {
        let fingerprint = record.fingerprint;
        if self.records.insert(fingerprint, record).is_none() {
            self.order.push(fingerprint);
        }
    }

    fn in_order(&self) -> impl Iterator<Item = &AlertRecord> {
        self.order.iter().filter_map(|fingerprint| self.records.get(fingerprint))
    }

    /// Every alert as it is now, of those that were `known` and those that changed.
    fn over<'a>(&'a self, known: &'a HashMap<Fingerprint, AlertRecord>) -> impl Iterator<Item = &'a AlertRecord> {
        let unchanged = known.values().filter(|record| !self.records.contains_key(&record.fingerprint));
        unchanged.chain(self.records.values())
    }
}

impl Recordings {
    fn push(&self, recording: Recording) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(recording);
    }

    fn take(&self) -> Vec<Recording> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Keeps what a notification states, all of it or nothing, and says what each alert changed.
    ///
    /// When this returns, the alerts survive a power cut. A commit waits for the disk, so those who come while one is
    /// under way are committed together by the next. New alerts for which there is no room, see
    /// [`Self::limit_alerts`], are [`Effect::OverLimit`].
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing of it was kept.
    pub async fn record(&self, alerts: &[Alert], now: Timestamp) -> Result<Vec<Effect>, StoreError> {
        let statements = Statements { alerts: alerts.to_vec(), ..Statements::default() };
        self.record_statements(statements, now).await.map(|recorded| recorded.effects)
    }

    /// As [`Self::record`], with what the notification states of the watchdog, which counts before its alerts.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_statements(&self, statements: Statements, now: Timestamp) -> Result<Recorded, StoreError> {
        if statements.alerts.is_empty() && statements.watchdogs.is_empty() {
            return Ok(Recorded::default());
        }
        self.measured(StoreOperation::Record, self.record_in_turn(statements, now)).await
    }

    async fn record_in_turn(&self, statements: Statements, now: Timestamp) -> Result<Recorded, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.recordings.push(Recording { statements, now, answer });
        let turn = self.recordings.turn.lock().await;
        let group = self.recordings.take();
        // Empty if whoever had the turn before took ours along.
        if !group.is_empty() {
            self.commit(group).await;
        }
        drop(turn);
        answered.await.unwrap_or(Err(StoreError::Abandoned))
    }

    /// Commits the recordings of a group, in the order in which they came, and answers each.
    async fn commit(&self, group: Vec<Recording>) {
        match self.record_group(&group).await {
            Ok(recorded) => {
                for (recording, recorded) in group.into_iter().zip(recorded) {
                    // Whoever asked may have gone; what they said is kept all the same.
                    let _ = recording.answer.send(Ok(recorded));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for recording in group {
                    let _ = recording.answer.send(Err(StoreError::Group(Arc::clone(&error))));
                }
            }
        }
    }

    async fn record_group(&self, group: &[Recording]) -> Result<Vec<Recorded>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let alerts: Vec<&Alert> = group.iter().flat_map(|recording| &recording.statements.alerts).collect();
        let mut stored = self.capacity.stored().await;
        let mut known = known_alerts(&mut transaction, &alerts).await?;
        let mut changed = Changed::default();
        let inherited = inherited(&mut transaction).await?;
        let pulse_before = super::watchdog::read(&mut *transaction).await?;
        let routed_before = super::watchdog::read_routed(&mut transaction).await?;
        let (mut pulse, mut routed) = (pulse_before, routed_before.clone());
        let leases = self.leases();
        let (mut recorded, mut history) = (Vec::with_capacity(group.len()), Vec::new());
        for Recording { statements, now, .. } in group {
            let now = *now;
            let was_missing = pulse.missing_at.is_some();
            let rule = statements.resolve_rule.as_ref();
            let hearing = rule.map(|rule| rule.hear(&statements.watchdogs, &mut pulse, &mut routed, now));
            let mut repairs = Vec::new();
            if let Some(hearing) = hearing.filter(Hearing::may_correct) {
                let found = correctable(&mut transaction, hearing).await?;
                known.extend(found.into_iter().map(|record| (record.fingerprint, record)));
                repairs.extend(changed.over(&known).filter_map(|record| hearing.corrects(record, now)));
                for Repair { record, reason } in &repairs {
                    history.push(AlertHappening::of(record, Turn::of_repair(*reason), (*reason).into(), now));
                    changed.put(record.clone());
                }
            }
            let mut effects = Vec::with_capacity(statements.alerts.len());
            for alert in &statements.alerts {
                let inherited = inherited.iter().find(|record| record.is_inherited_of_ended(alert));
                let inherited = inherited.map(|record| record.identified_by(alert));
                let before = changed.get(alert.fingerprint).or_else(|| known.get(&alert.fingerprint));
                let before = before.or(inherited.as_ref());
                let life = KnownOfLife { pulse, routed: &routed, leases: &leases };
                let (record, effect) = ResolveRule::observe(rule, before, alert, life, now);
                effects.push(effect);
                let turn = Turn::of_effect(effect);
                history.extend(turn.map(|turn| AlertHappening::of(&record, turn, Source::Notification, now)));
                changed.put(record);
            }
            let watchdog_is_back = was_missing && pulse.missing_at.is_none();
            recorded.push(Recorded { effects, repairs, watchdog_is_back });
        }
        let written =
            upsert_within(self.max_alerts(), &mut stored, &mut transaction, changed.in_order(), &known).await?;
        for (recording, recorded) in group.iter().zip(&mut recorded).filter(|_| !written.refused.is_empty()) {
            let over = recording.statements.alerts.iter().zip(&mut recorded.effects);
            let over = over.filter(|(alert, _)| written.refused.contains(&alert.fingerprint));
            over.for_each(|(_, effect)| *effect = Effect::OverLimit);
        }
        history.retain(|happening| !written.refused.contains(&happening.fingerprint));
        let ended = end_inherited(&mut transaction).await?;
        keep_alerts(&mut transaction, &history).await?;
        super::watchdog::keep(&mut transaction, pulse_before, pulse, Event::WatchdogHeard).await?;
        if routed != routed_before {
            super::watchdog::write_routed(&mut transaction, &routed).await?;
        }
        transaction.commit().await?;
        *stored = Some(written.stored.saturating_sub(ended));
        Ok(recorded)
    }

    /// Keeps what a page leaves to a store that remembers nothing of it, and that it was read: this happens once.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn inherit(
        &self,
        inheritance: &Inheritance,
        observed: &Observed,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        *self.capacity.stored().await = None;
        let alerts: Vec<&AlertRecord> = inheritance.alerts.iter().collect();
        upsert(&mut transaction, &alerts).await?;
        // A notification may have come first.
        end_inherited(&mut transaction).await?;
        for episode in &inheritance.episodes {
            upsert_episode(&mut transaction, episode).await?;
        }
        upsert_observed(&mut transaction, observed, now).await?;
        let fired = alerts.iter().map(|record| AlertHappening::of(record, Turn::Fired, Source::Page, now));
        keep_alerts(&mut transaction, &fired.collect::<Vec<_>>()).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Every alert that may count as firing now or later: all but the resolved ones.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn unresolved_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        self.measured(StoreOperation::Read, unresolved(&self.reader)).await
    }

    /// Forgets resolved alerts that were last heard of before `limit`, and says how many.
    ///
    /// They are kept for a while only so that a late firing of the same occurrence is known for what it is.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn forget_resolved_alerts(&self, limit: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut stored = self.capacity.stored().await;
        let done = sqlx::query("DELETE FROM alerts WHERE state = 'resolved' AND last_seen_ms < $1")
            .bind(limit.as_millis())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if done.rows_affected() > 0 {
            *stored = None;
        }
        Ok(done.rows_affected())
    }
}

/// Every alert that is not resolved, by fingerprint. Those that are not taken any more, which a store of an earlier release
/// has until `serve` drops them, are left out.
pub(super) async fn unresolved(executor: impl SqliteExecutor<'_>) -> Result<Vec<AlertRecord>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM alerts WHERE state <> 'resolved' ORDER BY fingerprint");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(executor).await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        if !is_not_taken(&row.try_get::<String, _>("target")?, row.try_get("name")?) {
            records.push(record_of(row)?);
        }
    }
    Ok(records)
}

/// What was inherited from a page, and is not known by its own fingerprint yet.
async fn inherited(connection: &mut SqliteConnection) -> Result<Vec<AlertRecord>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM alerts WHERE state = 'inherited'");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(connection).await?;
    rows.iter().map(record_of).collect()
}

/// Every alert that the watchdogs of a notification may correct.
async fn correctable(connection: &mut SqliteConnection, hearing: Hearing) -> Result<Vec<AlertRecord>, StoreError> {
    let query = format!(
        "SELECT {COLUMNS} FROM alerts WHERE state = 'resolve_held' OR state IN ('resolved', 'refired') AND ends_at_ms > $1"
    );
    let died_at = hearing.died_at.map_or(i64::MAX, Timestamp::as_millis);
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(died_at).fetch_all(connection).await?;
    rows.iter().map(record_of).collect()
}

/// What is known of the fingerprints of `alerts`.
pub(super) async fn known_alerts(
    connection: &mut SqliteConnection,
    alerts: &[&Alert],
) -> Result<HashMap<Fingerprint, AlertRecord>, StoreError> {
    let mut known = HashMap::with_capacity(alerts.len());
    for some in alerts.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS} FROM alerts WHERE fingerprint IN ("));
        let mut list = query.separated(", ");
        for alert in some {
            list.push_bind(alert.fingerprint.to_string());
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            let record = record_of(&row)?;
            known.insert(record.fingerprint, record);
        }
    }
    Ok(known)
}

/// Writes `records`, over what is known of their fingerprints.
pub(super) async fn upsert(connection: &mut SqliteConnection, records: &[&AlertRecord]) -> Result<(), StoreError> {
    for some in records.chunks(ROWS_PER_STATEMENT) {
        upsert_some(connection, some).await?;
    }
    Ok(())
}

async fn upsert_some(connection: &mut SqliteConnection, records: &[&AlertRecord]) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO alerts ({COLUMNS}) "));
    query.push_values(records, |mut row, record| {
        let (state, refired_at) = match record.state {
            AlertState::Firing => ("firing", None),
            AlertState::Resolved => ("resolved", None),
            AlertState::Inherited => ("inherited", None),
            AlertState::ResolveHeld => ("resolve_held", None),
            AlertState::Refired { since } => ("refired", Some(since.as_millis())),
        };
        row.push_bind(record.fingerprint.to_string())
            .push_bind(record.name.as_str())
            .push_bind(record.target.name().as_str().to_owned())
            .push_bind(i64::from(record.critical))
            .push_bind(record.starts_at.as_millis())
            .push_bind(record.told_starts_at.as_millis())
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
    query.build().execute(connection).await?;
    Ok(())
}

/// Forgets what was inherited of alerts that are known by now: their own statements count instead. Returns how many.
pub(super) async fn end_inherited(connection: &mut SqliteConnection) -> Result<usize, StoreError> {
    let done = sqlx::query(
        "DELETE FROM alerts WHERE state = 'inherited' AND EXISTS (SELECT 1 FROM alerts AS known \
         WHERE known.state <> 'inherited' AND known.target = alerts.target AND known.name = alerts.name)",
    )
    .execute(connection)
    .await?;
    Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
}

fn record_of(row: &SqliteRow) -> Result<AlertRecord, StoreError> {
    let fingerprint: String = row.try_get("fingerprint")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("alert {fingerprint:?}: {what}") };
    let target: String = row.try_get("target")?;
    let state: String = row.try_get("state")?;
    let refired_at_ms: Option<i64> = row.try_get("refired_at_ms")?;
    let starts_at_ms: i64 = row.try_get("starts_at_ms")?;
    let first_starts_at_ms: Option<i64> = row.try_get("first_starts_at_ms")?;
    let state = match (state.as_str(), refired_at_ms) {
        ("firing", _) => AlertState::Firing,
        ("resolved", _) => AlertState::Resolved,
        ("inherited", _) => AlertState::Inherited,
        ("resolve_held", _) => AlertState::ResolveHeld,
        ("refired", Some(since)) => AlertState::Refired { since: Timestamp::from_millis(since) },
        _ => return Err(corrupt(&format!("state {state:?} makes no sense"))),
    };
    Ok(AlertRecord {
        fingerprint: fingerprint.parse().map_err(|_| corrupt("its fingerprint makes no sense"))?,
        name: row.try_get("name")?,
        target: Target::from_name(&target).ok_or_else(|| corrupt(&format!("{:?} is no target", excerpt(&target))))?,
        critical: row.try_get::<i64, _>("critical")? != 0,
        starts_at: Timestamp::from_millis(starts_at_ms),
        told_starts_at: Timestamp::from_millis(first_starts_at_ms.unwrap_or(starts_at_ms)),
        state,
        ends_at: row.try_get::<Option<i64>, _>("ends_at_ms")?.map(Timestamp::from_millis),
        last_seen_at: Timestamp::from_millis(row.try_get("last_seen_ms")?),
    })
}

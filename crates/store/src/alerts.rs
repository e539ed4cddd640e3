//! The alerts, one row a fingerprint.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::{SqliteExecutor, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use tokio::sync::oneshot;

use super::StoreOperation;
use super::applied::{upsert_episode, upsert_observed};
use super::capacity::{Written, upsert_within};
use super::history::keep_alerts;
use super::limits::is_not_taken;
use super::{Store, StoreError, watchdog};
use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertState, Effect, Fingerprint};
use alertmanager_cachet_core::expiry::{
    Evidence, Leases, ResolveRule, RoutedWatchdogs, WatchdogAlert, WatchdogVerdict,
};
use alertmanager_cachet_core::history::{AlertHappening, Event, Source, Turn};
use alertmanager_cachet_core::inherit::Inheritance;
use alertmanager_cachet_core::observed::Observed;
use alertmanager_cachet_core::repair::Repair;
use alertmanager_cachet_core::target::{Target, excerpt};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;

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

/// The contents of one notification.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    /// Its alerts of the status page.
    pub alerts: Vec<Alert>,
    /// Its alerts of the watchdog.
    pub watchdogs: Vec<WatchdogAlert>,
    /// How its resolves are judged. `None`: every resolve counts.
    pub resolve_rule: Option<ResolveRule>,
}

/// The result of recording one notification.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What each alert changed, in the order of [`Statements::alerts`].
    pub effects: Vec<Effect>,
    /// The corrections of other alerts that its watchdogs led to.
    pub repairs: Vec<Repair>,
    /// Whether it ended the absence of the watchdog.
    pub watchdog_is_back: bool,
}

/// What one notification states, and who wants to know what became of it.
#[derive(Debug)]
struct Recording {
    statements: Statements,
    now: Timestamp,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

/// The alerts that a group of recordings changes, in the order of their first change. If the limit of stored alerts does
/// not leave room for all, the first ones are stored.
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

    /// The current state of every alert that was `known` or has changed.
    fn over<'a>(&'a self, known: &'a HashMap<Fingerprint, AlertRecord>) -> impl Iterator<Item = &'a AlertRecord> {
        let unchanged = known.values().filter(|record| !self.records.contains_key(&record.fingerprint));
        unchanged.chain(self.records.values())
    }
}

/// One transaction for a group of recordings: what was read from the store, and what the recordings applied so far change.
struct GroupUpdate {
    known: HashMap<Fingerprint, AlertRecord>,
    changed: Changed,
    inherited: Vec<AlertRecord>,
    leases: Arc<Leases>,
    pulse_before: Pulse,
    pulse: Pulse,
    routed_before: RoutedWatchdogs,
    routed: RoutedWatchdogs,
    history: Vec<AlertHappening>,
}

impl GroupUpdate {
    /// Reads what is stored of the alerts of `group`, and of the watchdogs.
    async fn read(
        connection: &mut SqliteConnection,
        group: &[Recording],
        leases: Arc<Leases>,
    ) -> Result<Self, StoreError> {
        let alerts: Vec<&Alert> = group.iter().flat_map(|recording| &recording.statements.alerts).collect();
        let known = known_alerts(connection, &alerts).await?;
        let inherited = inherited(connection).await?;
        let pulse = watchdog::read(&mut *connection).await?;
        let routed = watchdog::read_routed(connection).await?;
        Ok(Self {
            known,
            changed: Changed::default(),
            inherited,
            leases,
            pulse_before: pulse,
            pulse,
            routed_before: routed.clone(),
            routed,
            history: Vec::new(),
        })
    }

    /// Applies one recording: its watchdogs first, then its alerts.
    async fn apply(
        &mut self,
        connection: &mut SqliteConnection,
        recording: &Recording,
    ) -> Result<Recorded, StoreError> {
        let Recording { statements, now, .. } = recording;
        let Statements { alerts, watchdogs, resolve_rule } = statements;
        let rule = resolve_rule.as_ref();
        let was_missing = self.pulse.missing_at.is_some();
        let repairs = match rule {
            Some(rule) => self.apply_watchdogs(connection, rule, watchdogs, *now).await?,
            None => Vec::new(),
        };
        let effects = alerts.iter().map(|alert| self.apply_alert(rule, alert, *now)).collect();
        Ok(Recorded { effects, repairs, watchdog_is_back: was_missing && self.pulse.missing_at.is_none() })
    }

    /// Applies the watchdogs of a notification, and corrects other alerts by what they prove.
    async fn apply_watchdogs(
        &mut self,
        connection: &mut SqliteConnection,
        rule: &ResolveRule,
        watchdogs: &[WatchdogAlert],
        now: Timestamp,
    ) -> Result<Vec<Repair>, StoreError> {
        let verdict = rule.observe_watchdogs(watchdogs, &mut self.pulse, &mut self.routed, now);
        if !verdict.may_correct() {
            return Ok(Vec::new());
        }
        let found = correctable(connection, verdict).await?;
        self.known.extend(found.into_iter().map(|record| (record.fingerprint, record)));
        let current = self.changed.over(&self.known);
        let repairs: Vec<Repair> = current.filter_map(|record| verdict.corrects(record, now)).collect();
        for Repair { record, reason } in &repairs {
            self.history.push(AlertHappening::of(record, Turn::of_repair(*reason), (*reason).into(), now));
            self.changed.put(record.clone());
        }
        Ok(repairs)
    }

    /// Applies one alert of a notification.
    fn apply_alert(&mut self, rule: Option<&ResolveRule>, alert: &Alert, now: Timestamp) -> Effect {
        let inherited = self.inherited.iter().find(|record| record.is_inherited_of_ended(alert));
        let inherited = inherited.map(|record| record.identified_by(alert));
        let before = self.changed.get(alert.fingerprint).or_else(|| self.known.get(&alert.fingerprint));
        let before = before.or(inherited.as_ref());
        let evidence = Evidence { pulse: self.pulse, routed: &self.routed, leases: &self.leases };
        let (record, effect) = ResolveRule::observe(rule, before, alert, evidence, now);
        let turn = Turn::of_effect(effect);
        self.history.extend(turn.map(|turn| AlertHappening::of(&record, turn, Source::Notification, now)));
        self.changed.put(record);
        effect
    }

    async fn write_alerts(
        &self,
        connection: &mut SqliteConnection,
        max: u32,
        stored: &mut Option<usize>,
    ) -> Result<Written, StoreError> {
        upsert_within(max, stored, connection, self.changed.in_order(), &self.known).await
    }

    /// Writes the history, without the alerts that were `refused`.
    async fn write_history(
        &mut self,
        connection: &mut SqliteConnection,
        refused: &HashSet<Fingerprint>,
    ) -> Result<(), StoreError> {
        self.history.retain(|happening| !refused.contains(&happening.fingerprint));
        keep_alerts(connection, &self.history).await
    }

    async fn write_watchdogs(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        watchdog::keep(&mut *connection, self.pulse_before, self.pulse, Event::WatchdogHeard).await?;
        if self.routed != self.routed_before {
            watchdog::write_routed(connection, &self.routed).await?;
        }
        Ok(())
    }
}

/// Changes the effect of every alert that was `refused` to [`Effect::OverLimit`].
fn mark_refused(group: &[Recording], recorded: &mut [Recorded], refused: &HashSet<Fingerprint>) {
    if refused.is_empty() {
        return;
    }
    for (recording, recorded) in group.iter().zip(recorded) {
        for (alert, effect) in recording.statements.alerts.iter().zip(&mut recorded.effects) {
            if refused.contains(&alert.fingerprint) {
                *effect = Effect::OverLimit;
            }
        }
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
    /// under way are committed together by the next. New alerts over the limit ([`Self::limit_alerts`]) are
    /// [`Effect::OverLimit`].
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing of it was kept.
    pub async fn record(&self, alerts: &[Alert], now: Timestamp) -> Result<Vec<Effect>, StoreError> {
        let statements = Statements { alerts: alerts.to_vec(), ..Statements::default() };
        self.record_statements(statements, now).await.map(|recorded| recorded.effects)
    }

    /// As [`Self::record`], with the watchdogs of the notification. They are applied before its alerts.
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

    /// Commits the recordings of a group in one transaction, and returns the result of each.
    async fn record_group(&self, group: &[Recording]) -> Result<Vec<Recorded>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut stored = self.capacity.stored().await;
        let mut update = GroupUpdate::read(&mut transaction, group, self.leases()).await?;
        let mut recorded = Vec::with_capacity(group.len());
        for recording in group {
            recorded.push(update.apply(&mut transaction, recording).await?);
        }
        let written = update.write_alerts(&mut transaction, self.max_alerts(), &mut stored).await?;
        mark_refused(group, &mut recorded, &written.refused);
        let ended = end_inherited(&mut transaction).await?;
        update.write_history(&mut transaction, &written.refused).await?;
        update.write_watchdogs(&mut transaction).await?;
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

/// Every alert that is not resolved, ordered by fingerprint. Alerts that are no longer taken are left out: a store of an
/// earlier release may have some, until `serve` drops them.
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

/// Every alert that `verdict` may correct. Only a death needs the ended alerts, of which there are many.
async fn correctable(
    connection: &mut SqliteConnection,
    verdict: WatchdogVerdict,
) -> Result<Vec<AlertRecord>, StoreError> {
    let condition = match verdict.died_at {
        Some(_) => "state = 'resolve_held' OR state IN ('resolved', 'refired') AND ends_at_ms > $1",
        None => "state = 'resolve_held'",
    };
    let query = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM alerts WHERE {condition}"));
    let mut query = sqlx::query(query);
    if let Some(died_at) = verdict.died_at {
        query = query.bind(died_at.as_millis());
    }
    query.fetch_all(connection).await?.iter().map(record_of).collect()
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
        reported_starts_at: Timestamp::from_millis(first_starts_at_ms.unwrap_or(starts_at_ms)),
        state,
        ends_at: row.try_get::<Option<i64>, _>("ends_at_ms")?.map(Timestamp::from_millis),
        last_seen_at: Timestamp::from_millis(row.try_get("last_seen_ms")?),
    })
}

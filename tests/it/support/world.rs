//! A page, a store, and the reconciler between them: everything but the sockets, stepped by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use alertmanager_cachet::alertmanager::Member;
use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::commands::setup::{Progress, carry_out};
use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::core::config::{AlertConfig, Config, IncidentConfig, PageConfig, WatchdogConfig};
use alertmanager_cachet::core::names::{Group, GroupName, IncidentName};
use alertmanager_cachet::core::observed::{ComponentId, IncidentId, Observed};
use alertmanager_cachet::core::rules::{CloseIncidentWhen, Drift};
use alertmanager_cachet::core::setup::{Removal, plan_setup};
use alertmanager_cachet::core::status::IncidentStatus;
use alertmanager_cachet::core::status_page::{PageWrite, REQUEST_TIMEOUT, StatusPage};
use alertmanager_cachet::core::target::{
    ComponentList, ComponentName, Inventory, InventorySource, KnownTarget, Target,
};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::watchdog::{MonitoringTexts, Watchdog};
use alertmanager_cachet::live::Live;
use alertmanager_cachet::log::Log;
use alertmanager_cachet::reconcile::{Reconciler, RunReport, Wake};
use alertmanager_cachet::settings::{Settings, SettingsInForce};
use alertmanager_cachet::store::Store;
use alertmanager_cachet::upkeep::Upkeep;
use axum::body::{Body, to_bytes};
use axum::http::Request;
pub use fake_cachet::Release;
use fake_cachet::{FakeCachet, Faults, Options, in_process, without_unknown};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::log::{self, KeptLines};

/// The story's world. Its time moves only by [`World::pass`].
pub struct World {
    pub faults: Faults,
    pub store: Store,
    pub log: KeptLines,
    pub settings: Settings,
    reconciler: Reconciler,
    wake: Wake,
    /// The way to the page that the faults do not touch.
    page: Cachet,
    fake: FakeCachet,
    release: Release,
    /// The way that the reconciler takes.
    client: Cachet,
    now_ms: Arc<AtomicI64>,
    /// How far the clock was set ahead in all.
    ahead_ms: Arc<AtomicI64>,
    clock: Clock,
    events: Log,
    live: Live,
    folder: TempDir,
}

/// The time of a world.
#[derive(Clone)]
pub struct Time(Arc<AtomicI64>);

impl Time {
    pub fn pass(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

/// One target: instance, components, critical.
pub type TargetSpec<'a> = (&'a str, &'a str, bool);

impl World {
    /// A page on which `setup` was run for these targets.
    pub async fn set_up(release: Release, targets: &[TargetSpec<'_>]) -> Self {
        let world = Self::empty(release, targets).await;
        world.run_setup().await;
        world
    }

    /// A page without anything on it.
    pub async fn empty(release: Release, targets: &[TargetSpec<'_>]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| {
            let url = format!("sqlite://{}/{name}.db", folder.path().display());
            async move { Store::open(&url).await.expect("a store") }
        };
        let now_ms = Arc::new(AtomicI64::new(1_795_226_400_000));
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let clock = clock(&now_ms, &ahead_ms);
        let fake = fake_cachet(release, &clock).await;
        let faults = Faults::new();
        let page = in_process(fake.router(), fake.token(), 50);
        let client = in_process(faults.around(fake.router()), fake.token(), 50);
        let (events, log) = log::kept();
        let settings = settings(targets);
        let store = open("ours").await;
        let reconciler = Reconciler::new(
            store.clone(),
            Arc::new(client.clone()),
            in_force(settings.clone()),
            clock.clone(),
            events.clone(),
            CancellationToken::new(),
        );
        let live = Live::default();
        let reconciler = reconciler.shown_by(live.clone());
        let wake = reconciler.wake();
        Self {
            faults,
            store,
            log,
            settings,
            reconciler,
            wake,
            page,
            fake,
            release,
            client,
            now_ms,
            ahead_ms,
            clock,
            events,
            live,
            folder,
        }
    }

    /// Makes what the targets name, as `setup` does.
    pub async fn run_setup(&self) {
        let inventory = self.settings.inventory.as_ref().expect("targets");
        let mut names: Vec<_> = inventory.values().flat_map(|known| known.target.components().to_vec()).collect();
        names.sort();
        names.dedup();
        set_up(&self.page, names, inventory).await;
    }

    /// The same program, started anew on the same store: nothing but the store is remembered.
    pub fn restart(&mut self) {
        self.reconciler = Reconciler::new(
            self.store.clone(),
            Arc::new(self.client.clone()),
            in_force(self.settings.clone()),
            self.clock.clone(),
            self.events.clone(),
            CancellationToken::new(),
        )
        .shown_by(self.live.clone());
        self.wake = self.reconciler.wake();
    }

    /// Which Cachet the page is.
    pub fn release(&self) -> Release {
        self.release
    }

    /// The world's time, for another part of the program.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// From now on an older Cachet is in a time zone that is so far ahead of UTC.
    pub fn move_cachet_ahead_of_utc_by(&self, minutes: i64) {
        self.fake.zone().is_ahead_of_utc_by(minutes);
    }

    /// What the running program tells beside its store.
    pub fn live(&self) -> Live {
        self.live.clone()
    }

    /// Where it is said what happens.
    pub fn events(&self) -> Log {
        self.events.clone()
    }

    /// What wakes the reconciler.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// From now on Cachet is another one, empty, at another address; the store knows the old one. Restarts.
    pub async fn move_to_another_cachet(&mut self, release: Release) {
        self.fake = fake_cachet(release, &self.clock).await;
        self.page = in_process(self.fake.router(), self.fake.token(), 50);
        self.client = in_process(self.faults.around(self.fake.router()), self.fake.token(), 50);
        self.store.keep_page_at("http://the-cachet-before/api").await.expect("kept");
        self.restart();
    }

    /// The store is lost: the program starts anew on an empty one.
    pub async fn lose_the_store(&mut self) {
        let url = format!("sqlite://{}/ours-{}.db", self.folder.path().display(), self.now().as_millis());
        self.store = Store::open(&url).await.expect("a store");
        self.restart();
    }

    /// A copy of the store as it is now.
    pub async fn back_up_the_store(&self) {
        let copy = format!("VACUUM INTO '{}'", self.folder.path().join("backup.db").display());
        sqlx::query(sqlx::AssertSqlSafe(copy)).execute(self.store.writer()).await.expect("copied");
    }

    /// The store is the copy again: the program starts anew on it.
    pub async fn restore_the_store(&mut self) {
        self.store.close().await;
        let path = self.folder.path().join("ours.db");
        std::fs::copy(self.folder.path().join("backup.db"), &path).expect("copied");
        for neighbour in ["ours.db-wal", "ours.db-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(neighbour));
        }
        self.store = Store::open(&format!("sqlite://{}", path.display())).await.expect("a store");
        self.restart();
    }

    /// From now on the store refuses `statement`: `INSERT ON alerts`.
    pub async fn break_store(&self, statement: &str) {
        let trigger =
            format!("CREATE TRIGGER broken BEFORE {statement} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
        sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(self.store.writer()).await.expect("a trigger");
    }

    /// It takes everything again.
    pub async fn heal_store(&self) {
        sqlx::query("DROP TRIGGER broken").execute(self.store.writer()).await.expect("healed");
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn pass(&self, span: Duration) {
        self.time().pass(span);
    }

    /// What makes time pass while the world is busy.
    pub fn time(&self) -> Time {
        Time(Arc::clone(&self.now_ms))
    }

    /// The clock is corrected.
    pub fn set_back(&self, span: Duration) {
        self.now_ms.fetch_sub(i64::try_from(span.as_millis()).expect("short"), Ordering::SeqCst);
    }

    /// The clock is corrected the other way, or the machine has slept.
    pub fn set_ahead(&self, span: Duration) {
        self.pass(span);
        self.ahead_ms.fetch_add(i64::try_from(span.as_millis()).expect("short"), Ordering::SeqCst);
    }

    /// A target begins to fail now.
    pub async fn fire(&self, instance: &str, components: &str) -> Alert {
        let alert = alert(instance, components, self.now());
        self.tell(&alert).await;
        alert
    }

    /// The settings, as the parts of a server have them.
    pub fn settings_in_force(&self) -> Arc<Settings> {
        Arc::new(self.settings.clone())
    }

    /// It has recovered.
    pub async fn resolve(&self, alert: &Alert) {
        self.tell(&Alert { status: AlertStatus::Resolved, ..alert.clone() }).await;
    }

    /// A notification arrives.
    pub async fn tell(&self, alert: &Alert) {
        self.store.record(std::slice::from_ref(alert), self.now()).await.expect("recorded");
        self.wake.wake();
    }

    /// The program, started anew with a watchdog that may stay away for less than five minutes.
    pub fn watch(&mut self) {
        self.settings = watched(self.settings.clone());
        self.restart();
    }

    /// From now on Cachet refuses the status Unknown. Restarts.
    pub fn refuse_unknown(&mut self) {
        let way = self.faults.around(without_unknown(self.fake.router()));
        self.client = in_process(way, self.fake.token(), 50);
        self.restart();
    }

    /// The watchdog is heard now.
    pub async fn heartbeat(&self) {
        if self.store.record_heartbeat(self.now()).await.expect("recorded") {
            self.wake.wake();
        }
    }

    /// One reconcile run; a second passes first.
    pub async fn once(&mut self) -> RunReport {
        self.pass(Duration::from_secs(1));
        self.reconciler.once().await
    }

    /// One reconcile run in which nothing fails.
    pub async fn settle(&mut self) {
        let history = Duration::from_secs(24 * 3600) * self.settings.config.history_days;
        Upkeep::new(self.store.clone()).once(history, self.now()).await.expect("kept in order");
        let run = self.once().await;
        assert!(run.is_complete(), "{run:?}");
    }

    /// Reconcile runs until one in which nothing fails, `runs` at most, and once more when a create that got no answer
    /// would be sent again.
    pub async fn settle_within(&mut self, runs: usize) {
        for _ in 0..runs {
            if self.once().await.is_complete() {
                self.pass(REQUEST_TIMEOUT);
                return self.settle().await;
            }
        }
        panic!("not settled after {runs} runs");
    }

    /// Everything that the page has.
    pub async fn shown(&self) -> Observed {
        self.page.observe(&[]).await.expect("the page")
    }

    /// A component's own status by Cachet's number.
    pub async fn status(&self, name: &str) -> u8 {
        let shown = self.shown().await;
        let component = shown.components.iter().find(|component| component.name == name);
        component.unwrap_or_else(|| panic!("no component {name:?}")).status.expect("a known status").value()
    }

    /// The incidents that are open, by what was read of Cachet and written since.
    pub async fn open_by_the_snapshot(&self) -> Vec<IncidentId> {
        let (observed, _) = self.store.observed().await.expect("read").expect("it was read");
        observed.open_incidents.iter().map(|incident| incident.id).collect()
    }

    /// How many incidents are open, and how many there are in all.
    pub async fn incidents(&self) -> (usize, usize) {
        let open = self.shown().await.open_incidents.len();
        let mut all = 0;
        // Numbers are given without gaps, and nothing is removed here.
        while self.page.incident(IncidentId(all + 1)).await.expect("read").is_some() {
            all += 1;
        }
        (open, usize::try_from(all).expect("few"))
    }

    /// The way to the page that the faults do not touch, for what people do in Cachet.
    pub fn person(&self) -> &Cachet {
        &self.page
    }

    /// The way to the page that the reconciler takes, faults and all.
    pub fn cachet(&self) -> &Cachet {
        &self.client
    }

    /// Carries out what a person does in Cachet.
    pub async fn by_hand(&self, operation: PageWrite) {
        self.page.apply(&operation).await.expect("done");
    }

    /// A person says something about an incident, and gives it a status.
    pub async fn says_by_hand(&self, id: IncidentId, status: IncidentStatus, message: &str) {
        self.by_hand(PageWrite::UpdateIncident { id, status, message: message.to_owned() }).await;
    }

    /// What a person makes in Cachet's dashboard: a component without our mark.
    pub async fn make_by_hand(&self, component: &str) {
        self.ask_by_hand("POST", "/api/components", json!({"name": component, "status": 1})).await;
    }

    /// As [`World::make_by_hand`], a component that guests do not see.
    pub async fn hide_by_hand(&self, component: &str) {
        let body = json!({"name": component, "status": 1, "enabled": false});
        self.ask_by_hand("POST", "/api/components", body).await;
    }

    /// A person renames a component in Cachet's dashboard.
    pub async fn rename(&self, id: ComponentId, name: &str) {
        self.ask_by_hand("PUT", &format!("/api/components/{}", id.0), json!({"name": name, "enabled": true})).await;
    }

    /// An incident that a person opens in Cachet's dashboard, without our mark.
    pub async fn open_by_hand(&self, incident: &str) {
        let body = json!({"name": incident, "message": "By hand.", "status": 1, "visible": true});
        self.ask_by_hand("POST", "/api/incidents", body).await;
    }

    /// A person removes an incident in Cachet's dashboard.
    pub async fn remove_incident(&self, incident: IncidentId) {
        self.ask_by_hand("DELETE", &format!("/api/incidents/{}", incident.0), Value::Null).await;
    }

    /// Maintenance that a person announces in Cachet's dashboard, and its number: it begins after `begins_in`, and lasts
    /// for so long.
    pub async fn maintain(&self, name: &str, components: &[&str], begins_in: Duration, lasts: Duration) -> i64 {
        let shown = self.shown().await;
        // the older release knows no status for it
        let status = match self.release {
            Release::Current => 6,
            Release::Older => 3,
        };
        let found = shown.components.iter().filter(|found| components.contains(&found.name.as_str()));
        let attached: Vec<Value> = found.map(|found| json!({"id": found.id.0, "status": status})).collect();
        // it has begun a moment ago; Cachet counts the first one out
        let begins_at = self.now().after(begins_in).before(Duration::from_millis(1));
        let ends_at = self.now().after(begins_in + lasts);
        let body = json!({"name": name, "message": "As announced.", "components": attached,
            "scheduled_at": begins_at.to_string(), "completed_at": ends_at.to_string()});
        let made = self.ask_by_hand("POST", "/api/schedules", body).await;
        made["data"]["attributes"]["id"].as_i64().expect("a number")
    }

    /// A person says in Cachet's dashboard that the maintenance is over.
    pub async fn end_maintenance(&self, id: i64) {
        let over_at = self.now().before(Duration::from_secs(1)).to_string();
        self.ask_by_hand("PUT", &format!("/api/schedules/{id}"), json!({"completed_at": over_at})).await;
    }

    /// The first incident as Cachet's API shows it, with its updates beside it.
    pub async fn first_incident(&self) -> Value {
        self.ask_by_hand("GET", "/api/incidents/1?include=updates", Value::Null).await
    }

    /// An incident as Cachet's API shows it.
    pub async fn incident_by_hand(&self, id: IncidentId) -> Value {
        self.ask_by_hand("GET", &format!("/api/incidents/{}", id.0), Value::Null).await
    }

    /// A person removes the first incident.
    pub async fn remove_first_incident(&self) {
        self.ask_by_hand("DELETE", "/api/incidents/1", Value::Null).await;
    }

    /// The open incidents that a reader sees who has no token, by number.
    pub async fn seen_by_guests(&self) -> Vec<IncidentId> {
        let request = Request::get("/api/incidents?per_page=50").body(Body::empty()).expect("a request");
        let answer = self.fake.router().oneshot(request).await.expect("an answer");
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        let list: Value = serde_json::from_slice(&bytes).expect("JSON");
        let rows = list["data"].as_array().expect("a list").iter().map(|row| &row["attributes"]);
        let fixed = i64::from(IncidentStatus::Fixed.value());
        let open = rows.filter(|row| row["status"]["value"].as_i64() != Some(fixed));
        let mut open: Vec<_> = open.map(|row| IncidentId(row["id"].as_i64().expect("a number"))).collect();
        open.sort();
        open
    }

    async fn ask_by_hand(&self, method: &str, path: &str, body: Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", format!("Bearer {}", self.fake.token()))
            .header("Content-Type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let answer = self.fake.router().oneshot(request).await.expect("an answer");
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// How many writes were sent.
    pub fn writes(&self) -> usize {
        self.faults.calls().iter().filter(|call| is_write(call)).count()
    }

    /// The lines of the log that begin with a word.
    pub fn lines(&self, word: &str) -> Vec<String> {
        self.log.lines().into_iter().filter(|line| line.starts_with(word)).collect()
    }
}

fn clock(now_ms: &Arc<AtomicI64>, ahead_ms: &Arc<AtomicI64>) -> Clock {
    let (time, now, ahead) = (Arc::clone(now_ms), Arc::clone(now_ms), Arc::clone(ahead_ms));
    let awake_ms = move || now.load(Ordering::SeqCst) - ahead.load(Ordering::SeqCst);
    Clock::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst)))
        .with_time_awake(move || Duration::from_millis(awake_ms().try_into().expect("after 1970")))
}

async fn fake_cachet(release: Release, clock: &Clock) -> FakeCachet {
    let clock = clock.clone();
    let options = Options { clock: Arc::new(move || clock.now()), ..Options::of(release) };
    FakeCachet::open(options).await.expect("a database")
}

/// Runs `setup` on a page, with these components in one group.
pub async fn set_up(page: &Cachet, components: Vec<ComponentName>, inventory: &Inventory) {
    let groups = [Group { name: GroupName::try_from("All").expect("a name"), components }];
    let observed = page.observe(&[]).await.expect("the page");
    let plan = plan_setup(&groups, inventory, &observed, Removal::Nothing);
    carry_out(page, &config(), &plan, &Progress::new(None)).await.expect("setup");
}

/// The check of the token is a write that changes nothing.
pub fn is_write(call: &str) -> bool {
    !call.starts_with("GET ") && !call.ends_with("/components/0")
}

pub fn alert(instance: &str, components: &str, starts_at: Timestamp) -> Alert {
    let target = Target::new(instance, ComponentList::parse(components).names).expect("a target");
    let name = target.name();
    let sum = name.as_str().bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Alert {
        fingerprint: format!("{sum:016x}").parse().expect("a fingerprint"),
        name: "TargetDown".to_owned(),
        target,
        critical: false,
        status: AlertStatus::Firing,
        starts_at,
        ends_at: None,
    }
}

fn settings(targets: &[TargetSpec<'_>]) -> Settings {
    let known = |&(instance, components, critical): &TargetSpec<'_>| KnownTarget {
        target: Target::new(instance, ComponentList::parse(components).names).expect("a target"),
        critical,
    };
    Settings {
        inventory: Some(Inventory::new(InventorySource::File, targets.iter().map(known))),
        ..Settings::from(config())
    }
}

/// What a `config.json` says that names no component, and closes and opens incidents at once.
pub fn config() -> Config {
    Config {
        page: PageConfig {
            groups: Vec::new(),
            drift: Drift::Respect,
            reconcile_interval: Duration::from_secs(60),
            cachet_per_page: 50,
        },
        incidents: IncidentConfig {
            new_name: IncidentName::new("%s is down").expect("a template"),
            new_message: "We are looking into it.".to_owned(),
            resolved_message: "It works again.".to_owned(),
            partially_resolved_message: "Most of it works again.".to_owned(),
            relapse_message: "It happened again.".to_owned(),
            close_when: CloseIncidentWhen::NotMajorOutage,
            recovery_hold: Duration::ZERO,
            reopen_within: Duration::ZERO,
            notify_subscribers: false,
        },
        alerts: AlertConfig {
            refire_delay: Duration::from_secs(300),
            stale_after: None,
            max_stored: 100_000,
            poll: Duration::from_secs(60),
            settle: Duration::from_secs(300),
        },
        watchdog: None,
        history_days: 90,
    }
}

/// A group with these components.
pub fn group(components: &str) -> Group {
    let name = GroupName::try_from("Group").expect("a name");
    Group { name, components: ComponentList::parse(components).names }
}

/// The settings, as the parts of a server find them.
pub fn in_force(settings: Settings) -> SettingsInForce {
    watch::channel(Arc::new(settings)).1
}

/// What an alert sync is configured with that reads `alertmanagers` every `poll`.
pub fn repairing(alertmanagers: Vec<Member>, poll: Duration, settle: Duration) -> Settings {
    let config = config();
    let alerts = AlertConfig { poll, settle, ..config.alerts };
    Settings { alertmanagers, ..Settings::from(Config { alerts, ..config }) }
}

/// The same with a watchdog that may stay away for less than five minutes.
pub fn watched(settings: Settings) -> Settings {
    let watchdog = Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog");
    let watchdog = Some(WatchdogConfig { watchdog, texts: MonitoringTexts::default() });
    Settings { config: Config { watchdog, ..settings.config }, ..settings }
}

/// As [`repairing`], where alerts end that nothing is heard of for `stale_after`.
pub fn growing_stale(stale_after: Duration, poll: Duration) -> Settings {
    let settings = watched(repairing(Vec::new(), poll, Duration::ZERO));
    let alerts = AlertConfig { stale_after: Some(stale_after), ..settings.config.alerts.clone() };
    Settings { config: Config { alerts, ..settings.config }, ..settings }
}

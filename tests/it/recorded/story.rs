//! What was told so far, kept as the server keeps it, and the page that follows from it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertRecord, Effect, Fingerprint, signals};
use alertmanager_cachet::core::notification::Notification;
use alertmanager_cachet::core::page::{DesiredPage, desired};
use alertmanager_cachet::core::target::{ComponentName, Inventory, InventorySource, KnownTarget, Target};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::Store;
use tempfile::TempDir;

use crate::support::recordings::{requests, with_labels};

/// How long a firing that comes after its resolve waits (`refire_delay_seconds`, the default).
pub const REFIRE_DELAY: Duration = Duration::from_secs(300);

/// What makes a recorded alert one of ours, where it is not.
pub const OURS: [(&str, &str); 2] = [("status_page_alert", "true"), ("status_page_component", "Database")];

/// The target that is never down, so that a component of which the others are down is in Partial Outage.
const BYSTANDER: &str = "quiet:1";

/// A store, an inventory and a clock. It hears recordings and says what the page shows.
pub struct Story {
    folder: TempDir,
    store: Store,
    /// The same without a database, on which the laws stand.
    memory: HashMap<Fingerprint, AlertRecord>,
    inventory: Inventory,
    labels: Vec<(&'static str, &'static str)>,
    began_at: Option<Timestamp>,
    now: Timestamp,
}

impl Story {
    /// A story about `targets` (`instance | component, component`), of which every component has a quiet one beside
    /// them.
    pub async fn about(targets: &[&str]) -> Self {
        let named = |name: &&str| Target::from_name(name).unwrap_or_else(|| panic!("{name:?} is no target"));
        let mut targets: Vec<Target> = targets.iter().map(named).collect();
        let mut components: Vec<ComponentName> = targets.iter().flat_map(Target::components).cloned().collect();
        components.sort();
        components.dedup();
        targets.push(Target::new(BYSTANDER, components).expect("a target"));
        let known = targets.into_iter().map(|target| KnownTarget { target, critical: false });
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            store: open(&folder).await,
            folder,
            memory: HashMap::new(),
            inventory: Inventory::new(InventorySource::File, known),
            labels: OURS.to_vec(),
            began_at: None,
            now: Timestamp::from_millis(0),
        }
    }

    /// The targets file calls this target critical.
    pub fn with_critical(mut self, target: &str) -> Self {
        let known = self.inventory.iter().map(|(name, known)| KnownTarget {
            target: known.target.clone(),
            critical: known.critical || name.as_str() == target,
        });
        self.inventory = Inventory::new(InventorySource::File, known);
        self
    }

    /// Alerts that lack this label have it, as rules or relabelling would add it.
    pub fn with_label(mut self, name: &'static str, value: &'static str) -> Self {
        self.labels.push((name, value));
        self
    }

    /// Hears a recording, and compares what each of its requests changed and what the page shows after it, as in
    /// `at 45 s Resolved: Database is 1 (Operational)`. Seconds count from the first request of the story. What was
    /// recorded before the present moment of the story comes late, at that moment.
    pub async fn hears(&mut self, file: &str, expected: &[&str]) -> Vec<Notification> {
        let mut notifications = Vec::new();
        let mut lines = Vec::new();
        for request in requests(file) {
            self.now = self.now.max(request.at);
            let (notification, effects) = self.hear(&request.body).await;
            let effects: Vec<String> = effects.iter().map(|effect| format!("{effect:?}")).collect();
            let effects = if effects.is_empty() { "nothing".to_owned() } else { effects.join(", ") };
            lines.push(format!("at {} s {effects}: {}", self.seconds(), self.shows().await));
            notifications.push(notification);
        }
        assert_eq!(lines, expected, "{file}");
        notifications
    }

    /// Hears one body at the present moment, by the way that a POST takes; says what each of its alerts changed.
    pub async fn hear(&mut self, body: &str) -> (Notification, Vec<Effect>) {
        self.began_at.get_or_insert(self.now);
        let notification = self.parsed(body);
        let effects = self.store.record(&notification.alerts, self.now).await.expect("recorded");
        let in_memory = observe(&mut self.memory, &notification, self.now);
        assert_eq!(effects, in_memory, "the store and the memory say the same");
        (notification, effects)
    }

    /// Every request of a recording comes while nothing can be stored, as with a full disk; afterwards all is well.
    pub async fn is_deaf_to(&mut self, file: &str) {
        self.store.close().await;
        for request in requests(file) {
            self.now = self.now.max(request.at);
            self.began_at.get_or_insert(self.now);
            let refused = self.store.record(&self.parsed(&request.body).alerts, self.now).await;
            assert!(refused.is_err(), "{file}");
        }
        self.store = open(&self.folder).await;
    }

    /// Nothing comes for so long.
    pub fn waits(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The page: each component's status, and which of its targets are down.
    pub async fn shows(&self) -> String {
        let page = self.page().await;
        let components = page.components.iter().map(|(name, component)| {
            let down = component.targets.iter().map(|name| &page.targets[name]).filter(|target| target.is_down());
            let down: Vec<&str> = down.map(|target| target.target.instance()).collect();
            match &down[..] {
                [] => format!("{name} is {}", component.status),
                down => format!("{name} is {}, down: {}", component.status, down.join(", ")),
            }
        });
        components.collect::<Vec<_>>().join("; ")
    }

    /// The page as a value.
    pub async fn page(&self) -> DesiredPage {
        let stored = self.store.unresolved_alerts().await.expect("alerts");
        let page = desired(&self.inventory, &signals(&stored, REFIRE_DELAY, self.now));
        assert_eq!(page, page_of(&self.memory, &self.inventory, self.now), "the store and the memory say the same");
        page
    }

    fn parsed(&self, body: &str) -> Notification {
        Notification::parse(with_labels(body, &self.labels).as_bytes(), None).expect("a notification")
    }

    fn seconds(&self) -> u64 {
        self.began_at.map_or(0, |began_at| self.now.since(began_at).as_secs())
    }
}

/// Keeps what a notification states, without a database.
pub fn observe(
    memory: &mut HashMap<Fingerprint, AlertRecord>,
    notification: &Notification,
    now: Timestamp,
) -> Vec<Effect> {
    let observe = |alert: &Alert| {
        let (record, effect) = AlertRecord::observe(memory.get(&alert.fingerprint), alert, now);
        memory.insert(alert.fingerprint, record);
        effect
    };
    notification.alerts.iter().map(observe).collect()
}

/// The page that `memory` gives.
pub fn page_of(memory: &HashMap<Fingerprint, AlertRecord>, inventory: &Inventory, now: Timestamp) -> DesiredPage {
    let in_order: BTreeMap<Fingerprint, AlertRecord> =
        memory.iter().map(|(key, value)| (*key, value.clone())).collect();
    desired(inventory, &signals(&in_order.into_values().collect::<Vec<_>>(), REFIRE_DELAY, now))
}

async fn open(folder: &TempDir) -> Store {
    Store::open(&format!("sqlite://{}/story.db", folder.path().display())).await.expect("a store")
}

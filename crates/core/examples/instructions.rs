//! The hot paths of the rules, for `dev/instructions.py` to count their instructions.
//!
//! `instructions TARGETS` builds a page with so many targets, all of them down except those of one component, and plays each
//! function of [`paths`] a few times. One call is one unit of work. What surrounds the calls is not counted.

use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertSignals, AlertStatus, Fingerprint, signals};
use alertmanager_cachet_core::explain::Facts;
use alertmanager_cachet_core::ledger::{
    ComponentValue, IncidentValue, Ledger, Outage, OutageSubject, Recorded, ResourceKey, outage_key,
};
use alertmanager_cachet_core::merge::Statements;
use alertmanager_cachet_core::observed::{
    ComponentId, ComponentIndex, IncidentId, Observed, ObservedComponent, ObservedIncident,
};
use alertmanager_cachet_core::page::DesiredPage;
use alertmanager_cachet_core::plan::{Plan, Policy, TargetPlans, Views};
use alertmanager_cachet_core::rules::{CloseIncidentWhen, Drift, Signals};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::target::{
    ComponentList, ComponentName, Inventory, InventorySource, KnownTarget, Target, TargetName,
};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;

const COMPONENTS: usize = 40;

/// How often a notification is parsed and merged.
const TIMES: usize = 4;

/// How many alerts a notification has.
const ALERTS: usize = 20;

/// How many targets of the first component, the only one that is up, go down; one of them is critical.
const CHANGES: usize = 4;

const BEGAN: Timestamp = Timestamp::from_millis(1_000_000);
const NOW: Timestamp = Timestamp::from_millis(2_000_000);

const REFIRE_DELAY: Duration = Duration::from_secs(300);

const POLICY: Policy = Policy {
    close_incident_when: CloseIncidentWhen::NotMajorOutage,
    drift: Drift::Respect,
    recovery_hold: Duration::ZERO,
    reopen_within: Duration::ZERO,
    takes_unknown: true,
    inventory: InventorySource::File,
};

/// What is counted, by the names in the table of `dev/instructions.py`.
mod paths {
    use std::collections::HashSet;

    use alertmanager_cachet_core::expiry::{Evidence, Leases, RoutedWatchdogs, WatchdogVerdict};
    use alertmanager_cachet_core::ledger::Update;
    use alertmanager_cachet_core::merge::Merge;
    use alertmanager_cachet_core::notification::Notification;
    use alertmanager_cachet_core::page::desired;
    use alertmanager_cachet_core::plan::plan_components;

    use super::*;

    /// Reads the body of a notification of [`ALERTS`] alerts.
    #[inline(never)]
    pub fn parse_notification(body: &[u8]) {
        let notification = Notification::parse(body, None).expect("a notification");
        assert_eq!(black_box(notification).alerts.len(), ALERTS);
    }

    /// Merges a notification whose [`ALERTS`] alerts all change what is `known` of them.
    #[inline(never)]
    pub fn merge_notification(known: HashMap<Fingerprint, Arc<AlertRecord>>, statements: &Statements, leases: &Leases) {
        let evidence = Evidence { pulse: Pulse::default(), routed: RoutedWatchdogs::default(), leases };
        let mut merge = Merge::new(known, Vec::new(), evidence);
        assert!(merge.apply(statements, WatchdogVerdict::default(), Vec::new(), NOW).is_news);
        assert_eq!((merge.touched().count(), merge.history(&HashSet::new()).len()), (ALERTS, ALERTS));
    }

    /// Brings the desired page up to date with one changed alert.
    #[inline(never)]
    pub fn desire_changed_alert(world: &mut World, record: &AlertRecord) -> BTreeSet<TargetName> {
        let mut touched = BTreeSet::new();
        let (id, signal) = world.alerts.set(record.fingerprint, Some(record));
        world.desired.set_signal(id, signal, &mut touched);
        world.desired = std::mem::take(&mut world.desired).apply_rules(None);
        touched
    }

    /// Plans one target again.
    #[inline(never)]
    pub fn plan_touched_target(plans: &mut TargetPlans, world: &World, name: &TargetName) {
        plans.update(name, world.views(), POLICY, NOW);
    }

    /// Plans all components that the public sees, and their incidents.
    #[inline(never)]
    pub fn plan_components_and_incidents(world: &World) -> Plan {
        plan_components(world.views(), POLICY, NOW)
    }

    /// Records that the page has taken the value of one target.
    #[inline(never)]
    pub fn follow_write(world: &mut World, name: &TargetName, value: ComponentValue) {
        let id = world.index.find(&world.observed, name.key()).expect("a component of the page").id;
        let shown = world.index.get_mut(&mut world.observed, id).expect("a component of the page");
        (shown.status, shown.description) = (Some(value.status), value.description.clone());
        let row = Recorded::confirmed(id, value);
        world.ledger.record(Update::Component(ResourceKey::Target(name.clone()), Some(row)));
    }

    /// Indexes a reading of the page: once an interval.
    #[inline(never)]
    pub fn index_reading(world: &mut World) {
        world.index = ComponentIndex::of(&world.observed, &[]);
    }

    /// Computes the desired page from nothing: at the start, and for the console's list of components.
    #[inline(never)]
    pub fn desire_whole_page(inventory: &Inventory, said: &Signals) -> DesiredPage {
        desired(inventory, said)
    }

    /// Sums up every component: for the console's list.
    #[inline(never)]
    pub fn sum_up_components(facts: &Facts) -> usize {
        facts.summaries().len()
    }

    /// Plans every target again: once an interval.
    #[inline(never)]
    pub fn plan_all_targets(plans: &mut TargetPlans, world: &World) {
        plans.update_all(world.views(), POLICY, NOW);
    }
}

/// What a reconcile run compares, at rest: the page shows what it must.
struct World {
    alerts: AlertSignals,
    desired: DesiredPage,
    ledger: Ledger,
    observed: Observed,
    index: ComponentIndex,
}

impl World {
    /// The page that `inventory` and `records` make.
    fn new(inventory: &Inventory, records: &[AlertRecord]) -> Self {
        let desired = paths::desire_whole_page(inventory, &signals(records, REFIRE_DELAY, NOW));
        let mut alerts = AlertSignals::default();
        for record in records {
            alerts.set(record.fingerprint, Some(record));
        }
        let (ledger, observed, index) = Default::default();
        let mut world = Self { alerts, desired, ledger, observed, index };
        world.settle();
        world
    }

    /// The page shows, and the ledger has, what is desired.
    fn settle(&mut self) {
        let components = self.desired.components.iter().map(|(name, component)| {
            (ResourceKey::Component(name.clone()), name.to_string(), ComponentValue::of_component(component.status))
        });
        let targets = self.desired.targets.iter().map(|(name, target)| {
            let value = ComponentValue::of_target(target.status(), target.description());
            (ResourceKey::Target(name.clone()), name.to_string(), value)
        });
        let values: Vec<_> = components.chain(targets).collect();
        for ((key, name, value), number) in values.into_iter().zip(1..) {
            let (id, enabled) = (ComponentId(number), matches!(key, ResourceKey::Component(_)));
            let (status, description) = (Some(value.status), value.description.clone());
            let shown = ObservedComponent { id, name, status, enabled, description, group: None, managed: true };
            self.observed.components.push(shown);
            if let ResourceKey::Component(name) = &key
                && value.status == ComponentStatus::MajorOutage
            {
                self.in_outage(name, id);
            }
            self.ledger.rows.insert(key, Recorded::confirmed(id, value));
        }
        self.index = ComponentIndex::of(&self.observed, &[]);
    }

    /// The component has an outage with an open incident.
    fn in_outage(&mut self, name: &ComponentName, component: ComponentId) {
        let (id, title) = (IncidentId(component.0), format!("{name} is experiencing issues"));
        let key = outage_key(Some(component), BEGAN);
        self.observed.open_incidents.push(ObservedIncident {
            id,
            name: title.clone(),
            status: Some(IncidentStatus::Investigating),
            outage: Some(key.clone()),
            component: Some(name.to_string()),
            component_id: None,
            is_anonymous: false,
            is_hidden: false,
        });
        let outage = Outage {
            key: key.clone(),
            subject: OutageSubject::Component(name.clone()),
            component_id: Some(component),
            occurred_at: BEGAN,
            began_at: BEGAN,
            calm_since: None,
            ended: None,
            incident: Some(Recorded::confirmed(id, IncidentValue::Created { title })),
        };
        self.ledger.outages.insert(key, outage);
    }

    fn views(&self) -> Views<'_> {
        Views { desired: &self.desired, ledger: &self.ledger, observed: &self.observed, index: &self.index }
    }
}

fn target(component: usize, number: usize) -> KnownTarget {
    let components = ComponentList::parse(&format!("Service {component:02}")).names;
    let target = Target::new(&format!("10.0.{component}.{number}:9100"), components).expect("a target");
    KnownTarget { target, critical: number == 2 }
}

fn alert(target: &Target, status: AlertStatus) -> Alert {
    Alert {
        fingerprint: Fingerprint::of_text(target.name().as_str()),
        name: "TargetDown".to_owned(),
        target: target.clone(),
        critical: false,
        status,
        starts_at: BEGAN,
        ends_at: (status == AlertStatus::Resolved).then_some(NOW),
    }
}

/// What Alertmanager posts of `alerts`.
fn body(alerts: &[Alert]) -> String {
    let alerts: Vec<serde_json::Value> = alerts
        .iter()
        .map(|alert| {
            serde_json::json!({
                "status": "firing",
                "labels": {
                    "alertname": alert.name,
                    "instance": alert.target.instance(),
                    "job": "node",
                    "severity": "critical",
                    "status_page_alert": "true",
                    "status_page_component": alert.target.components().first().map(ComponentName::as_str),
                    "status_page_critical_target": "false",
                },
                "annotations": {
                    "description": "The target did not answer for 30s.",
                    "summary": format!("Target {} is down", alert.target.instance()),
                },
                "startsAt": "2026-11-21T01:54:29.434Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.internal:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                "fingerprint": alert.fingerprint.to_string(),
            })
        })
        .collect();
    serde_json::json!({"version": "4", "receiver": "status-page", "status": "firing", "alerts": alerts}).to_string()
}

fn main() {
    let targets: Option<usize> = std::env::args().nth(1).and_then(|targets| targets.parse().ok());
    let targets_each = targets.expect("the number of targets") / COMPONENTS;
    let of_component = |component| (0..targets_each).map(move |number| target(component, number));
    let all: Vec<KnownTarget> = (0..COMPONENTS).flat_map(of_component).collect();
    let down = all.iter().skip(targets_each).map(|known| alert(&known.target, AlertStatus::Firing));
    let records: Vec<AlertRecord> = down.map(|alert| AlertRecord::observe(None, &alert, BEGAN).0).collect();
    let mut world = World::new(&Inventory::new(InventorySource::File, all), &records);
    let mut plans = TargetPlans::default();
    paths::index_reading(&mut world);
    paths::plan_all_targets(&mut plans, &world);
    assert_eq!(plans.operations().count(), 0, "the page shows what it must");
    assert!(paths::plan_components_and_incidents(&world).operations.is_empty());

    // glibc merges freed blocks at the next large request: here, not within what is counted.
    drop(black_box(Vec::<u8>::with_capacity(64 * 1024)));
    for number in 0..CHANGES {
        let KnownTarget { target, .. } = target(0, number);
        let (record, _) = AlertRecord::observe(None, &alert(&target, AlertStatus::Firing), NOW);
        let touched = paths::desire_changed_alert(&mut world, &record);
        assert_eq!(touched, BTreeSet::from([target.name()]));
        paths::plan_touched_target(&mut plans, &world, &target.name());
        paths::plan_components_and_incidents(&world);
        assert_eq!(plans.operations().count(), 1, "the target waits to be written");
        let desired = &world.desired.targets[&target.name()];
        let value = ComponentValue::of_target(desired.status(), desired.description());
        paths::follow_write(&mut world, &target.name(), value);
        paths::plan_touched_target(&mut plans, &world, &target.name());
        assert_eq!(plans.operations().count(), 0, "the target is written");
    }
    let operations = paths::plan_components_and_incidents(&world).operations;
    assert_eq!(operations.len(), 2, "the component gets worse and has an incident");
    notifications();

    let World { desired: page, ledger, observed, index, .. } = world;
    let (observed, plan, pulse) = (Some((observed, NOW)), Plan::default(), Pulse::default());
    let facts =
        Facts { page, alerts: records, ledger, observed, index, plan, pulse, refire_delay: REFIRE_DELAY, now: NOW };
    assert_eq!(paths::sum_up_components(&facts), COMPONENTS);
}

/// The paths whose cost depends on the notification alone.
fn notifications() {
    let firing: Vec<Alert> = (0..ALERTS).map(|number| alert(&target(0, number).target, AlertStatus::Firing)).collect();
    let body = body(&firing);
    let known: HashMap<Fingerprint, Arc<AlertRecord>> =
        firing.iter().map(|alert| (alert.fingerprint, Arc::new(AlertRecord::observe(None, alert, BEGAN).0))).collect();
    let resolved =
        firing.iter().map(|alert| Alert { status: AlertStatus::Resolved, ends_at: Some(NOW), ..alert.clone() });
    let statements = Statements { alerts: resolved.collect(), ..Statements::default() };
    for _ in 0..TIMES {
        paths::parse_notification(black_box(body.as_bytes()));
        paths::merge_notification(known.clone(), &statements, &Default::default());
    }
}

//! An outage on a page whose calls can be lost, and what is true when nothing is in doubt any more.

use std::time::Duration;

use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::observed::IncidentId;
use fake_cachet::{On, Release};

use super::world::{TargetSpec, World};

pub const DATABASE: &[TargetSpec<'_>] = &[("db:9100", "Database", true)];
pub const TARGET: &str = "db:9100 | Database";

pub type Call = (&'static str, &'static str);
pub const CREATE: Call = ("POST", "/api/incidents");
/// The two calls of a closing and of a reopening.
pub const UPDATE: Call = ("POST", "/api/incidents/*/updates");
pub const STATUS: Call = ("PUT", "/api/incidents/*");
pub const COMPONENT: Call = ("PUT", "/api/components/*");

/// Each way in which one call can go wrong.
pub type Fault = (&'static str, fn(On<'_>));
pub const FAULTS: [Fault; 6] = [
    ("500", |on| on.answer(500)),
    ("500 after", |on| on.answer_after(500)),
    ("cut before", |on| on.cut_before()),
    ("cut after", |on| on.cut_after()),
    ("503", |on| on.answer(503)),
    ("429", |on| on.answer(429)),
];

/// A page at rest, on which a relapse within ten minutes continues the outage.
pub async fn page(release: Release) -> World {
    page_of(release, DATABASE).await
}

pub async fn page_of(release: Release, targets: &[TargetSpec<'_>]) -> World {
    let mut world = World::set_up(release, targets).await;
    world.settings.config.incidents.reopen_within = Duration::from_secs(600);
    world.restart();
    world.settle().await;
    world
}

/// A page with an outage that is shown.
pub async fn outage(release: Release) -> (World, Alert) {
    let mut world = page(release).await;
    let alert = fire(&world).await;
    world.settle().await;
    (world, alert)
}

/// An outage whose incident was posted without an answer; the page creates it when it catches up.
pub async fn lost_create(release: Release) -> (World, Alert) {
    let mut world = page(release).await;
    loses(&world, CREATE);
    let alert = fire(&world).await;
    fails(&mut world).await;
    (world, alert)
}

pub async fn fire(world: &World) -> Alert {
    world.fire("db:9100", "Database").await
}

pub fn on(world: &World, (method, path): Call) -> On<'_> {
    world.faults.on(method, path).times(1)
}

/// The next such call gets no answer, and is carried out when the page catches up.
pub fn loses(world: &World, call: Call) {
    on(world, call).later();
}

/// The same of the next write to a component.
pub async fn loses_status(world: &World, component: &str) {
    world.faults.on("PUT", &path_of(world, component).await).times(1).later();
}

pub async fn path_of(world: &World, component: &str) -> String {
    let shown = world.shown().await;
    let found = shown.components.iter().find(|found| found.name == component).expect("there");
    format!("/api/components/{}", found.id.0)
}

/// One run in which something fails.
pub async fn fails(world: &mut World) {
    let round = world.once().await;
    assert!(!round.is_complete(), "{round:?}");
}

/// The page is read again, and everything is done that this asks for.
pub async fn is_read_again(world: &mut World) {
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
}

/// The page does now what it was asked to do, and is read again.
pub async fn catches_up(world: &mut World, calls: usize) {
    assert_eq!(world.faults.catch_up().await, calls);
    is_read_again(world).await;
}

/// Time passes until a lost create may be sent again, and what is due then is done.
pub async fn is_looked_up(world: &mut World) {
    let due = world.once().await.revisit_at.expect("a moment to look again");
    world.pass(due.since(world.now()));
    world.settle().await;
}

/// The component's status, and how many incidents are open and there are in all.
pub async fn shows(world: &World) -> (u8, (usize, usize)) {
    (world.status("Database").await, world.incidents().await)
}

pub async fn open(world: &World) -> Vec<IncidentId> {
    world.shown().await.open_incidents.iter().map(|incident| incident.id).collect()
}

/// How many writes are remembered that got no answer.
pub async fn unanswered(world: &World) -> usize {
    let ledger = world.store.ledger().await.expect("what was written");
    let of_components = ledger.rows.values().map(|row| row.unanswered.len()).sum::<usize>();
    of_components + ledger.outages.values().map(|outage| outage.unanswered().len()).sum::<usize>()
}

/// Nobody is accused, nothing is expected any more, and nothing is left to do.
pub async fn is_at_rest(world: &mut World) {
    assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    let closed_by_people = world.lines("[INCIDENT_CLOSED]").into_iter().filter(|line| line.contains("person"));
    assert_eq!(closed_by_people.count(), 0);
    assert_eq!(unanswered(world).await, 0);
    leaves_everything(world).await;
}

pub async fn leaves_everything(world: &mut World) {
    world.faults.forget_calls();
    is_read_again(world).await;
    assert_eq!(world.writes(), 0, "{:?}", world.faults.calls());
}

pub fn late_lines(world: &World) -> Vec<String> {
    let late = |line: &String| ["carried out late", "closed late", "opened late"].iter().any(|it| line.contains(it));
    world.log.lines().into_iter().filter(late).collect()
}

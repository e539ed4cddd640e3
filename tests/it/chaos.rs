//! Whatever happens, in whatever order: when it is over, the page says what the alerts say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alertmanager_cachet::core::alert::Alert;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

/// Targets of the inventory, and two that only their alerts know.
const TARGETS: &[TargetSpec<'_>] =
    &[("a:1", "Web", false), ("b:1", "Web, Database", false), ("c:1", "Database", true), ("d:1", "Mail", false)];
const ALL: [(&str, &str); 6] = [
    ("a:1", "Web"),
    ("b:1", "Web, Database"),
    ("c:1", "Database"),
    ("d:1", "Mail"),
    ("x:1", "Web"),
    ("y:1", "Mail, Database"),
];
const COMPONENTS: [&str; 3] = ["Web", "Database", "Mail"];

const WRITES: [(&str, &str); 5] = [
    ("PUT", "/api/components/*"),
    ("POST", "/api/components"),
    ("POST", "/api/incidents"),
    ("POST", "/api/incidents/*/updates"),
    ("PUT", "/api/incidents/*"),
];
const READS: [(&str, &str); 3] = [("GET", "/api/components"), ("GET", "/api/incidents"), ("GET", "/api/incidents/*")];

const REFUSED: [&str; 4] = [
    "INSERT ON ledger WHEN NEW.in_doubt_since_ms IS NULL",
    "DELETE ON ledger",
    "UPDATE ON outages WHEN NEW.incident_id IS NOT NULL AND NEW.ended_at_ms IS NULL",
    "UPDATE ON outages WHEN NEW.ended_at_ms IS NOT NULL",
];

/// Numbers that are the same in every run of a test.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

struct Story {
    dice: Dice,
    world: World,
    firing: BTreeMap<(&'static str, &'static str), Alert>,
    told: Vec<String>,
}

impl Story {
    async fn step(&mut self) {
        let (event, subject) = (self.dice.roll(11), self.dice.pick(&ALL));
        self.told.push(format!("{event} {subject:?}"));
        match event {
            0..=2 if !self.firing.contains_key(&subject) => {
                self.world.pass(Duration::from_millis(1));
                let alert = self.world.fire(subject.0, subject.1).await;
                self.firing.insert(subject, alert);
            }
            0..=4 => {
                if let Some(alert) = self.firing.remove(&subject) {
                    self.world.resolve(&alert).await;
                }
            }
            5 => self.fault(),
            6 => self.world.restart(),
            7 => self.world.pass(Duration::from_secs(70)),
            8 => self.go_with_a_full_disk().await,
            _ => drop(self.world.once().await),
        }
    }

    /// One go in which the store refuses some of what it is told.
    async fn go_with_a_full_disk(&mut self) {
        let refused = self.dice.pick(&REFUSED);
        let trigger = format!("CREATE TRIGGER broken BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'full'); END");
        let writer = self.world.store.writer().clone();
        sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(&writer).await.expect("a trigger");
        self.world.once().await;
        sqlx::query("DROP TRIGGER broken").execute(&writer).await.expect("dropped");
    }

    fn fault(&mut self) {
        let (method, path) = if self.dice.roll(4) == 0 { self.dice.pick(&READS) } else { self.dice.pick(&WRITES) };
        let rule = self.world.faults.on(method, path).times(1 + u32::try_from(self.dice.roll(2)).expect("few"));
        match self.dice.roll(7) {
            0 => rule.answer(500),
            1 => rule.answer_after(500),
            2 => rule.cut_before(),
            3 => rule.cut_after(),
            4 => rule.answer(503),
            5 => rule.answer(429),
            _ => rule.answer(302),
        }
    }

    fn expected(&self, component: &str) -> u8 {
        let of = |name: &str| name.split(", ").any(|name| name == component);
        let known: BTreeSet<&str> = TARGETS.iter().filter(|target| of(target.1)).map(|target| target.0).collect();
        let down: BTreeSet<&str> = self.firing.keys().filter(|key| of(key.1)).map(|key| key.0).collect();
        let critical = TARGETS.iter().any(|target| target.2 && down.contains(target.0));
        match down.len() {
            0 => 1,
            _ if critical || known.union(&down).count() == down.len() => 4,
            _ => 3,
        }
    }
}

async fn tell(release: Release, seed: u64) {
    let world = World::set_up(release, TARGETS).await;
    let mut story = Story { dice: Dice(seed), world, firing: BTreeMap::new(), told: Vec::new() };
    for _ in 0..40 {
        story.step().await;
    }
    story.world.faults.heal();
    story.world.settle_within(4).await;
    let context = format!("{release:?}, seed {seed}: {:#?}\n{:#?}", story.told, story.world.log.lines());
    let mut down = 0;
    for component in COMPONENTS {
        let expected = story.expected(component);
        assert_eq!(story.world.status(component).await, expected, "{component}, {context}");
        down += usize::from(expected == 4);
    }
    let shown = story.world.shown().await;
    let open: BTreeSet<&str> = shown.open_incidents.iter().map(|incident| incident.name.as_str()).collect();
    assert_eq!((open.len(), shown.open_incidents.len()), (down, down), "{open:?}, {context}");
    let names: BTreeSet<&str> = shown.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!(names.len(), shown.components.len(), "doubles, {context}");
    for component in shown.components.iter().filter(|component| component.name.contains('|')) {
        let fires = story.firing.keys().any(|key| component.name == format!("{} | {}", key.0, key.1));
        assert_eq!(component.status.expect("known").value(), if fires { 4 } else { 1 }, "{component:?}, {context}");
        assert!(!component.enabled, "{component:?}, {context}");
    }
    assert_eq!(story.world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0], "{context}");
    story.world.faults.forget_calls();
    story.world.restart();
    story.world.settle().await;
    story.world.pass(Duration::from_secs(70));
    story.world.settle().await;
    assert_eq!(story.world.writes(), 0, "{:?}, {context}", story.world.faults.calls());
}

/// `SEEDS=500 cargo test chaos` tells more of them.
#[tokio::test]
async fn the_page_is_right_in_the_end_whatever_happened() {
    let seeds = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    for seed in 0..seeds {
        for release in Release::BOTH {
            tell(release, seed).await;
        }
    }
}

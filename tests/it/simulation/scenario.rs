//! What happens in a simulation, as data: made from a seed, printed when it fails, and cut down to what is needed.

use std::fmt;

use super::maintenance::Maintenance;
use super::random::Random;
use crate::support::world::Release;

/// A whole simulation. All that is random is in here; running it is not.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub release: Release,
    pub policy: Policy,
    pub targets: Vec<Target>,
    pub alerts: Vec<Alert>,
    /// Whether `setup` was run before it begins.
    pub set_up: bool,
    pub steps: Vec<Step>,
}

/// How the server is configured; spans in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub incidents_last_until_operational: bool,
    pub enforce: bool,
    pub inventory_from_cachet: bool,
    pub refire_hold: u64,
    pub recovery_hold: u64,
    pub reopen_within: u64,
}

#[derive(Debug, Clone)]
pub struct Target {
    pub instance: &'static str,
    pub components: Vec<&'static str>,
    pub critical: bool,
    /// Whether the targets file names it; else only its alerts know it.
    pub listed: bool,
}

impl Target {
    /// Its name in Cachet.
    pub fn name(&self) -> String {
        format!("{} | {}", self.instance, self.components.join(", "))
    }
}

#[derive(Debug, Clone)]
pub struct Alert {
    pub name: &'static str,
    /// Which of the targets.
    pub target: usize,
    /// What its own label says.
    pub critical: bool,
}

#[derive(Debug, Clone)]
pub enum Step {
    /// A notification states something of one alert.
    Tell { alert: usize, occurrence: Occurrence, firing: bool },
    /// So many milliseconds pass.
    Pass(u64),
    /// The reconciler goes once.
    Reconcile,
    /// The reconciler goes once, and at one of its calls something happens.
    Interrupted { call: usize, side: Side, by: Interruption },
    /// The server is killed and started again.
    Restart,
    /// An operator runs `setup`.
    Setup,
    /// The next such calls fail.
    Fault { method: &'static str, path: &'static str, fault: Fault, times: u32 },
    /// Cachet takes so many writes a minute.
    RateLimit(u32),
    /// All faults are mended.
    Heal,
    /// Cachet does what it was asked for and did not do yet.
    CatchUp,
    /// A person does something in Cachet.
    Person(Edit),
    /// A person announces maintenance, or says that it is over.
    Maintenance(Maintenance),
}

/// Which occurrence of an alert is meant.
#[derive(Debug, Clone, Copy)]
pub enum Occurrence {
    /// One that begins now.
    New,
    /// So many before the latest. Nothing happens if there were not as many.
    Back(usize),
}

/// Whether Cachet has done yet what a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

#[derive(Debug, Clone)]
pub enum Interruption {
    /// kill -9.
    Crash,
    /// The world goes on meanwhile.
    By(Box<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Answer(u16),
    AnswerAfter(u16),
    CutBefore,
    CutAfter,
    /// A proxy's page instead of Cachet's answer.
    Html(u16),
    /// The connection is cut, and it is done when Cachet catches up.
    Later,
}

impl Fault {
    /// Whether a call that ends so may be done only later, for all that is known.
    pub fn may_come_late(self) -> bool {
        matches!(self, Self::CutBefore | Self::CutAfter | Self::Later | Self::Html(502))
    }
}

/// What people do. Components and incidents that do not exist are left alone.
#[derive(Debug, Clone, Copy)]
pub enum Edit {
    Status(&'static str, u8),
    Enabled(&'static str, bool),
    Rename(&'static str),
    Delete(&'static str),
    TargetStatus(usize, u8),
    TargetText(usize),
    TargetDelete(usize),
    /// Of our incidents of the component, the latest.
    CloseIncident(&'static str),
    ReopenIncident(&'static str),
    DeleteIncident(&'static str),
    /// An incident of their own, about the component.
    OwnIncident(&'static str),
    /// A component that no target feeds.
    OwnComponent,
}

pub const COMPONENTS: [&str; 3] = ["Web", "Database", "Mail"];
const INSTANCES: [&str; 6] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1"];
const HOLDS: [u64; 4] = [0, 0, 120, 300];

/// The call that tells of maintenance.
pub const UNTOLD: &str = "/api/schedules";

/// Calls that may be made to fail.
const CALLS: [(&str, &str); 10] = [
    ("PUT", "/api/components/*"),
    ("POST", "/api/components"),
    ("POST", "/api/incidents"),
    ("POST", "/api/incidents/*/updates"),
    ("PUT", "/api/incidents/*"),
    ("GET", "/api/incidents/*"),
    ("GET", "/api/incidents"),
    ("GET", "/api/components"),
    ("GET", "/api/component-groups"),
    ("GET", UNTOLD),
];

const FAULTS: [Fault; 10] = [
    Fault::Answer(500),
    Fault::AnswerAfter(500),
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::CutAfter,
    Fault::Answer(401),
    Fault::Answer(429),
    Fault::Answer(503),
    Fault::Html(200),
    Fault::Html(502),
];

impl Scenario {
    pub fn from_seed(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let targets = (0..2 + random.below(4)).map(|number| target(random, number)).collect::<Vec<_>>();
        let alerts = targets.iter().enumerate().flat_map(|(number, _)| alerts(random, number)).collect::<Vec<_>>();
        let policy = Policy {
            incidents_last_until_operational: random.chance(25),
            enforce: random.chance(15),
            inventory_from_cachet: random.chance(15),
            refire_hold: random.pick(&[0, 300, 300]),
            recovery_hold: random.pick(&HOLDS),
            reopen_within: random.pick(&[0, 300, 600]),
        };
        let calm = random.chance(25);
        let nobody = random.chance(40);
        let steps = (0..5 + random.below(36)).map(|_| step(random, &targets, &alerts, calm, nobody)).collect();
        Self { release: random.pick(&Release::BOTH), policy, set_up: random.chance(85), steps, targets, alerts }
    }
}

/// One line for each thing.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    {:?}, set up: {}, {:?}", self.release, self.set_up, self.policy)?;
        for (number, target) in self.targets.iter().enumerate() {
            writeln!(f, "    target {number}: {target:?}")?;
        }
        for (number, alert) in self.alerts.iter().enumerate() {
            writeln!(f, "    alert {number}: {alert:?}")?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "    {step:?}"))
    }
}

fn target(random: &mut Random, number: usize) -> Target {
    let first = random.below(COMPONENTS.len());
    let second = random.below(COMPONENTS.len());
    let mut components = vec![COMPONENTS[first]];
    if random.chance(25) && second != first {
        components.push(COMPONENTS[second]);
    }
    // the first is listed, so that there is a component at all
    let listed = number == 0 || random.chance(80);
    Target { instance: INSTANCES[number], components, critical: random.chance(30), listed }
}

fn alerts(random: &mut Random, target: usize) -> Vec<Alert> {
    let mut alerts = vec![Alert { name: "TargetDown", target, critical: random.chance(30) }];
    if random.chance(30) {
        alerts.push(Alert { name: "DiskFull", target, critical: random.chance(30) });
    }
    alerts
}

fn step(random: &mut Random, targets: &[Target], alerts: &[Alert], calm: bool, nobody: bool) -> Step {
    let trouble = usize::from(!calm);
    let people = usize::from(!nobody);
    match random.weighted(&[
        (30, 0),
        (14, 1),
        (34, 2),
        (6 * trouble, 3),
        (5, 4),
        (2, 5),
        (12 * trouble, 6),
        (trouble, 7),
        (2 * trouble, 8),
        (12 * people, 9),
        (9 * people, 10),
        (4 * trouble, 11),
    ]) {
        0 => tell(random, alerts),
        1 => Step::Pass(random.pick(&[5, 900, 30_000, 61_000, 119_000, 130_000, 301_000, 620_000, 7_200_000])),
        2 => Step::Reconcile,
        3 => interrupted(random, targets, alerts, nobody),
        4 => Step::Restart,
        5 => Step::Setup,
        6 => fault(random),
        7 => Step::RateLimit(random.pick(&[5, 12, 40])),
        8 => Step::Heal,
        9 => Step::Person(edit(random, targets)),
        10 => Step::Maintenance(Maintenance::any(random)),
        _ => Step::CatchUp,
    }
}

fn tell(random: &mut Random, alerts: &[Alert]) -> Step {
    let (occurrence, firing) = random.weighted(&[
        (40, (Occurrence::New, true)),
        (35, (Occurrence::Back(0), false)),
        (10, (Occurrence::Back(0), true)),
        (4, (Occurrence::New, false)),
        (4, (Occurrence::Back(1), true)),
        (4, (Occurrence::Back(1), false)),
        (2, (Occurrence::Back(2), true)),
    ]);
    Step::Tell { alert: random.below(alerts.len()), occurrence, firing }
}

fn interrupted(random: &mut Random, targets: &[Target], alerts: &[Alert], nobody: bool) -> Step {
    let by = match random.below(5) {
        0 | 1 => Interruption::Crash,
        4 if !nobody => Interruption::By(Box::new(Step::Maintenance(Maintenance::any(random)))),
        2 if !nobody => Interruption::By(Box::new(Step::Person(edit(random, targets)))),
        _ => Interruption::By(Box::new(tell(random, alerts))),
    };
    Step::Interrupted { call: random.below(12), side: random.pick(&[Side::Before, Side::After]), by }
}

fn fault(random: &mut Random) -> Step {
    // writes fail more often than reads
    let call = if random.chance(75) { random.below(5) } else { random.below(CALLS.len()) };
    let (method, path) = CALLS[call];
    // What is said late of an incident cannot be unsaid, so its story would not read as it should.
    let fault = if call == 0 && random.chance(30) { Fault::Later } else { random.pick(&FAULTS) };
    Step::Fault { method, path, fault, times: random.pick(&[1, 1, 1, 2, 3]) }
}

fn edit(random: &mut Random, targets: &[Target]) -> Edit {
    let component = random.pick(&COMPONENTS);
    let target = random.below(targets.len());
    let status = random.pick(&[1, 2, 3, 4, 5]);
    let shown = random.chance(50);
    random.weighted(&[
        (10, Edit::Status(component, status)),
        (2, Edit::Enabled(component, shown)),
        (1, Edit::Rename(component)),
        (1, Edit::Delete(component)),
        (2, Edit::TargetStatus(target, status)),
        (3, Edit::TargetText(target)),
        (2, Edit::TargetDelete(target)),
        (6, Edit::CloseIncident(component)),
        (3, Edit::ReopenIncident(component)),
        (3, Edit::DeleteIncident(component)),
        (3, Edit::OwnIncident(component)),
        (2, Edit::OwnComponent),
    ])
}

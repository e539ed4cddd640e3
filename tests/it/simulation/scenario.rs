//! What happens in a simulation, as data: made from a seed, printed when it fails, and cut down to what is needed.

use std::fmt;

use fake_cachet::Release;

use super::maintenance::Maintenance;
use super::oracle::MONITORING;
use super::overrides::PageWrite;
use super::random::Random;

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
    pub refire_delay: u64,
    pub recovery_hold: u64,
    pub reopen_within: u64,
    pub repair: Repair,
    /// How long the watchdog may stay away.
    pub watchdog: Option<u64>,
}

/// What the server has beside notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    Nothing,
    /// The lists of a pair of Alertmanagers.
    Alertmanager,
    /// What nothing was heard of for so many seconds has ended.
    Silence(u64),
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
    /// Whether its rule names the components in another order. This and the next only for targets in the targets file.
    pub reordered: bool,
    /// Whether its rule takes the port off the instance. Not where a store is lost: what is adopted then is not ended by it.
    pub without_port: bool,
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
    /// Cachet does what it has put off.
    CatchUp,
    /// A person does something in Cachet.
    Person(Edit),
    /// A person announces maintenance, or says that it is over.
    Maintenance(Maintenance),
    /// An operator overrides a component in the console, or ends that.
    Operator(PageWrite),
    /// As [`Step::Tell`], but the notification never comes.
    Lost { alert: usize, occurrence: Occurrence, firing: bool },
    /// Alertmanager sends nothing of the alert any more, or does again: a silence, or another alert that inhibits it.
    Suppressed { alert: usize, suppressed: bool },
    /// Something happens to one of the two Alertmanagers.
    Alertmanager { member: usize, fate: Fate },
    /// Prometheus stops sending the watchdog, or sends it again.
    Watchdog { comes: bool },
    /// The repairer goes once; while it reads, something else may happen.
    Repair(Option<Box<Step>>),
    /// The server is stopped, its store is lost, and it is started again.
    LoseStore,
    /// The store is copied.
    BackUp,
    /// The server is stopped, its store is the last copy again, and it is started.
    Restore,
    /// The clock of the server is set back by so many milliseconds.
    SetBack(u64),
    /// It is set ahead, to the right time.
    SetRight,
    /// The machine of the server sleeps for so many milliseconds.
    Sleep(u64),
}

/// What happens to an Alertmanager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is started anew, and knows of no alert until Prometheus has told it again.
    Restarted,
    /// It cannot be reached.
    Away,
    /// It hears nothing new: what it lists stays as it is.
    CutOff,
    /// It is well again.
    Well,
}

/// Which occurrence of an alert is meant.
#[derive(Debug, Clone, Copy)]
pub enum Occurrence {
    /// One that begins now.
    New,
    /// One that begins now, by a clock that is so many milliseconds ahead.
    Ahead(u64),
    /// So many before the latest. Nothing happens if there were not as many.
    Back(usize),
    /// The latest, if it was told here that it fires, but with an earlier beginning than was told: Alertmanager takes the
    /// earliest of two that overlap.
    Earlier,
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
    /// Cachet does it, but long after the client has given up.
    Later,
    /// A proxy's page instead of Cachet's answer.
    Html(u16),
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
    /// Of our incidents of the component, or of the monitoring, the latest.
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

/// The call that opens an incident.
pub const POSTINGS: &str = "/api/incidents";

/// Calls that Cachet may put off. What is said late of an incident cannot be unsaid, so its story would not read as it
/// should.
const PUT_OFF: [(&str, &str); 2] = [("POST", POSTINGS), ("PUT", "/api/components/*")];

/// Calls that may be made to fail.
const CALLS: [(&str, &str); 10] = [
    ("PUT", "/api/components/*"),
    ("POST", "/api/components"),
    ("POST", POSTINGS),
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

const FATES: [Fate; 5] = [Fate::Restarted, Fate::Away, Fate::CutOff, Fate::Well, Fate::Well];

impl Scenario {
    pub fn from_seed(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let targets = (0..2 + random.below(4)).map(|number| target(random, number)).collect::<Vec<_>>();
        let mut alerts = targets.iter().enumerate().flat_map(|(number, _)| alerts(random, number)).collect::<Vec<_>>();
        let policy = Policy {
            incidents_last_until_operational: random.chance(25),
            enforce: random.chance(15),
            inventory_from_cachet: random.chance(15),
            refire_delay: random.pick(&[0, 300, 300]),
            recovery_hold: random.pick(&HOLDS),
            reopen_within: random.pick(&[0, 300, 600]),
            repair: random.weighted(&[(5, Repair::Nothing), (4, Repair::Alertmanager), (1, Repair::Silence(3600))]),
            // as long as nothing else, so that what is due tells what is awaited
            watchdog: random.pick(&[None, None, None, Some(127), Some(307), Some(907)]),
        };
        let mood = Mood {
            calm: random.chance(25),
            nobody: random.chance(40),
            forgetful: random.chance(20),
            restored: random.chance(20),
            hasty_clock: random.chance(15),
            repair: policy.repair,
            // what a lost store does not know of is not expected any more
            late: random.chance(25),
            watched: policy.watchdog.is_some(),
        };
        let steps = (0..5 + random.below(36)).map(|_| step(random, &targets, &alerts, mood)).collect();
        let (release, set_up) = (random.pick(&Release::BOTH), random.chance(85));
        // By numbers of their own, so that each seed is otherwise what it was before alerts had these.
        let random = &mut Random::new(!seed);
        for alert in &mut alerts {
            let is_listed = !policy.inventory_from_cachet && targets[alert.target].listed;
            alert.reordered = is_listed && random.chance(25);
            alert.without_port = is_listed && !mood.forgetful && !mood.restored && random.chance(25);
        }
        Self { release, policy, set_up, steps, targets, alerts }
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
    let mut alerts =
        vec![Alert { name: "TargetDown", target, critical: random.chance(30), reordered: false, without_port: false }];
    if random.chance(30) {
        alerts.push(Alert {
            name: "DiskFull",
            target,
            critical: random.chance(30),
            reordered: false,
            without_port: false,
        });
    }
    alerts
}

/// What does not happen in a world, and what does.
#[derive(Clone, Copy)]
struct Mood {
    /// Nothing fails.
    calm: bool,
    /// No people.
    nobody: bool,
    /// Stores are lost.
    forgetful: bool,
    /// Stores are put back as they were.
    restored: bool,
    /// The clock is set back, and right again, and the machine sleeps.
    hasty_clock: bool,
    /// Cachet puts writes off.
    late: bool,
    repair: Repair,
    /// The watchdog is awaited.
    watched: bool,
}

fn step(random: &mut Random, targets: &[Target], alerts: &[Alert], mood: Mood) -> Step {
    let trouble = usize::from(!mood.calm);
    let people = usize::from(!mood.nobody);
    let late = usize::from(mood.late && !mood.calm && !mood.forgetful && !mood.restored);
    let alertmanager = usize::from(mood.repair == Repair::Alertmanager);
    let repair = usize::from(mood.repair != Repair::Nothing);
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
        (14 * alertmanager, 10),
        (5 * alertmanager, 11),
        (7 * alertmanager, 12),
        (30 * repair, 13),
        (4 * usize::from(mood.forgetful), 14),
        (8 * usize::from(mood.hasty_clock), 15),
        (9 * people, 16),
        (12 * usize::from(mood.watched), 17),
        (14 * late, 18),
        (8 * late, 19),
        (9 * people, 20),
        (9 * usize::from(mood.restored), 21),
        (12 * usize::from(mood.restored), 22),
        // a write that is carried out late is forgotten too early by a clock that is set ahead
        (6 * usize::from(mood.hasty_clock && late == 0), 23),
        (8 * usize::from(mood.hasty_clock), 24),
    ]) {
        0 => tell(random, alerts),
        1 => Step::Pass(random.pick(&[5, 900, 30_000, 61_000, 119_000, 130_000, 301_000, 620_000, 7_200_000])),
        2 => Step::Reconcile,
        3 => interrupted(random, targets, alerts, mood),
        4 => Step::Restart,
        5 => Step::Setup,
        6 => fault(random),
        7 => Step::RateLimit(random.pick(&[5, 12, 40])),
        8 => Step::Heal,
        9 => Step::Person(edit(random, targets)),
        10 => lost(random, alerts),
        11 => Step::Suppressed { alert: random.below(alerts.len()), suppressed: random.chance(60) },
        12 => Step::Alertmanager { member: random.below(2), fate: random.pick(&FATES) },
        13 => Step::Repair(random.chance(20).then(|| Box::new(tell(random, alerts)))),
        14 => Step::LoseStore,
        15 => Step::SetBack(random.pick(&[1_777, 61_333, 331_337, 3_601_777])),
        16 => Step::Maintenance(Maintenance::any(random)),
        17 => Step::Watchdog { comes: random.chance(50) },
        18 => put_off(random),
        20 => Step::Operator(PageWrite::any(random)),
        21 => Step::BackUp,
        22 => Step::Restore,
        23 => Step::SetRight,
        24 => Step::Sleep(random.pick(&[9_000, 61_333, 331_337, 7_200_000])),
        _ => Step::CatchUp,
    }
}

fn lost(random: &mut Random, alerts: &[Alert]) -> Step {
    let (occurrence, firing) = random.weighted(&[
        (10, (Occurrence::New, true)),
        (10, (Occurrence::Back(0), false)),
        (2, (Occurrence::Back(0), true)),
    ]);
    Step::Lost { alert: random.below(alerts.len()), occurrence, firing }
}

fn tell(random: &mut Random, alerts: &[Alert]) -> Step {
    let ahead_ms = random.pick(&[7, 61_777, 3_601_777]);
    let (occurrence, firing) = random.weighted(&[
        (40, (Occurrence::New, true)),
        (35, (Occurrence::Back(0), false)),
        (10, (Occurrence::Back(0), true)),
        (4, (Occurrence::New, false)),
        (4, (Occurrence::Back(1), true)),
        (4, (Occurrence::Back(1), false)),
        (2, (Occurrence::Back(2), true)),
        (5, (Occurrence::Earlier, false)),
        (5, (Occurrence::Ahead(ahead_ms), true)),
    ]);
    Step::Tell { alert: random.below(alerts.len()), occurrence, firing }
}

fn interrupted(random: &mut Random, targets: &[Target], alerts: &[Alert], mood: Mood) -> Step {
    let by = match random.below(6) {
        0 | 1 => Interruption::Crash,
        4 if !mood.nobody => Interruption::By(Box::new(Step::Maintenance(Maintenance::any(random)))),
        5 if !mood.nobody => Interruption::By(Box::new(Step::Operator(PageWrite::any(random)))),
        2 if !mood.nobody => Interruption::By(Box::new(Step::Person(edit(random, targets)))),
        3 if mood.watched => Interruption::By(Box::new(Step::Watchdog { comes: random.chance(80) })),
        _ => Interruption::By(Box::new(tell(random, alerts))),
    };
    Step::Interrupted { call: random.below(12), side: random.pick(&[Side::Before, Side::After]), by }
}

fn fault(random: &mut Random) -> Step {
    // writes fail more often than reads
    let call = if random.chance(75) { random.below(5) } else { random.below(CALLS.len()) };
    let (method, path) = CALLS[call];
    Step::Fault { method, path, fault: random.pick(&FAULTS), times: random.pick(&[1, 1, 1, 2, 3]) }
}

fn put_off(random: &mut Random) -> Step {
    let (method, path) = random.pick(&PUT_OFF);
    Step::Fault { method, path, fault: Fault::Later, times: random.pick(&[1, 1, 2]) }
}

fn edit(random: &mut Random, targets: &[Target]) -> Edit {
    let component = random.pick(&COMPONENTS);
    let subject = if random.chance(20) { MONITORING } else { component };
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
        (6, Edit::CloseIncident(subject)),
        (3, Edit::ReopenIncident(subject)),
        (3, Edit::DeleteIncident(subject)),
        (3, Edit::OwnIncident(component)),
        (2, Edit::OwnComponent),
    ])
}

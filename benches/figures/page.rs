//! From a notification to the page: how many calls, and how long until it is right.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use alertmanager_cachet::core::alert::AlertStatus;
use alertmanager_cachet::core::status::ComponentStatus;
use axum::http::Method;
use jiff::Timestamp;

use crate::fleet::{CRITICAL, Fleet, Target, notification};
use crate::outside_cachet::{Answered, Expected, OutsideCachet};
use crate::server::{Home, Server};
use crate::table::{Amount, Table, Times};

const FLEET: Fleet = Fleet { components: 10, targets_each: 20 };

/// How slowly Cachet answers, in milliseconds.
const LATENCIES: [u64; 2] = [30, 0];

const RUNS: usize = 5;

const CALLS_LIMIT: Amount = Amount::Calls(35);
const PAGE_LIMIT: Amount = Amount::Time(Duration::from_secs(1));

/// What the notifications of one measurement do to the page.
struct Outage {
    targets: Vec<Target>,
    expected: Expected,
}

/// What one kind of notification did, over its runs.
#[derive(Default)]
struct Outcome {
    calls: usize,
    visible: Times,
    all: Times,
}

struct Setting {
    server: Server,
    cachet: OutsideCachet,
    /// The paths of visible components.
    visible: BTreeSet<String>,
    _home: Home,
}

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    if let Err(error) = try_measure(table).await {
        table.unknown("from a notification to the page", &error);
    }
}

async fn try_measure(table: &mut Table) -> anyhow::Result<()> {
    let setting = Setting::start().await?;
    let partial = Outage::of(0..2, ComponentStatus::PartialOutage, 0);
    let major = Outage::of(CRITICAL, ComponentStatus::MajorOutage, FLEET.components);
    for latency_ms in LATENCIES {
        setting.cachet.set_latency(Duration::from_millis(latency_ms));
        let title = |what| {
            format!("20 alerts, 200 targets, 10 components {what}; warm start; Cachet answers in {latency_ms} ms")
        };
        table.section(&title("in Partial Outage"));
        let (fired, resolved) = setting.runs(&partial).await?;
        fired.print_limited(table, "alerts");
        resolved.print_limited(table, "resolves");
        table.section(&title("in Major Outage, an incident each"));
        let (fired, resolved) = setting.runs(&major).await?;
        fired.print(table, "alerts");
        resolved.print(table, "resolves");
    }
    table.section("the older Python middleware, 20 alerts, 200 targets, 10 components, Cachet answers at once");
    table.given("alerts: calls to Cachet", "277 calls");
    table.given("alerts: everything written", "10.4 s");
    setting.server.stop().await
}

impl Outage {
    fn of(numbers: std::ops::Range<usize>, visible: ComponentStatus, incidents: usize) -> Self {
        let targets = FLEET.targets(numbers);
        Self { expected: Expected { visible, down: targets.len(), incidents }, targets }
    }
}

impl Setting {
    /// A server that has read the page which `setup` made.
    async fn start() -> anyhow::Result<Self> {
        let cachet = OutsideCachet::start().await?;
        let home = Home::new(FLEET)?;
        home.setup(&cachet).await?;
        let server = home.serve(Some(&cachet)).await?;
        // the password is verified, which costs once
        server.post(notification(AlertStatus::Firing, "Nothing", &[], Timestamp::now())).await?;
        cachet.settles(Expected::ALL_WELL).await?;
        let components = cachet.shown().await?.components.into_iter().filter(|component| component.enabled);
        let visible = components.map(|component| format!("/api/components/{}", component.id.0)).collect();
        Ok(Self { server, cachet, visible, _home: home })
    }

    /// The outage comes and goes, several times.
    async fn runs(&self, outage: &Outage) -> anyhow::Result<(Outcome, Outcome)> {
        let (mut fired, mut resolved) = (Outcome::default(), Outcome::default());
        for _ in 0..RUNS {
            let starts_at = Timestamp::now();
            let body = |status| notification(status, "TargetDown", &outage.targets, starts_at);
            self.run(body(AlertStatus::Firing), outage.expected, &mut fired).await?;
            self.run(body(AlertStatus::Resolved), Expected::ALL_WELL, &mut resolved).await?;
        }
        Ok((fired, resolved))
    }

    async fn run(&self, body: String, expected: Expected, outcome: &mut Outcome) -> anyhow::Result<()> {
        self.cachet.take_calls();
        let posted = Instant::now();
        self.server.post(body).await?;
        self.cachet.settles(expected).await?;
        let calls = self.cachet.take_calls();
        let last_of = |calls: &mut dyn Iterator<Item = &Answered>| {
            calls.map(|call| call.at).max().map(|at| at.duration_since(posted)).unwrap_or_default()
        };
        outcome.calls = outcome.calls.max(calls.len());
        outcome.visible.add(last_of(&mut calls.iter().filter(|call| self.is_visible(call))));
        outcome.all.add(last_of(&mut calls.iter()));
        Ok(())
    }

    /// Whether the public sees what a call did.
    fn is_visible(&self, call: &Answered) -> bool {
        call.method != Method::GET && (self.visible.contains(&call.path) || call.path.starts_with("/api/incidents"))
    }
}

impl Outcome {
    /// With the limits, which are for alerts and, as they are news of the same kind, hold for resolves.
    fn print_limited(&self, table: &mut Table, what: &str) {
        table.limited(&calls(what), Amount::Calls(self.calls), CALLS_LIMIT, &self.most());
        table.limited(&visible(what), self.visible.median(), PAGE_LIMIT, &self.visible.runs());
        table.known(&all(what), self.all.median(), &self.all.runs());
    }

    /// For information.
    fn print(&self, table: &Table, what: &str) {
        table.known(&calls(what), Amount::Calls(self.calls), &self.most());
        table.known(&visible(what), self.visible.median(), &self.visible.runs());
        table.known(&all(what), self.all.median(), &self.all.runs());
    }

    fn most(&self) -> String {
        format!("most of {RUNS}")
    }
}

fn calls(what: &str) -> String {
    format!("{what}: calls to Cachet")
}

fn visible(what: &str) -> String {
    format!("{what}: the page is right")
}

fn all(what: &str) -> String {
    format!("{what}: the targets' own components as well")
}

//! How the costs of a notification, and of what operators ask, grow with the number of targets, all of them down except those
//! of one component.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use alertmanager_cachet::core::alert::AlertStatus;
use alertmanager_cachet::core::observed::Observed;
use alertmanager_cachet::core::status::ComponentStatus;
use anyhow::Context as _;
use axum::http::Method;
use jiff::Timestamp;

use crate::console;
use crate::fleet::{CRITICAL, Fleet, Target, notification};
use crate::outside_cachet::OutsideCachet;
use crate::server::Home;
use crate::table::{Amount, Table, Times};

const COMPONENTS: usize = 40;

/// How many targets there are.
const TARGETS: [usize; 3] = [200, 5_000, 20_000];

/// How many times one alert changes.
const CHANGES: usize = 100;

/// How slowly Cachet answers at first, and afterwards.
const LATENCIES: [Duration; 2] = [Duration::ZERO, Duration::from_millis(30)];

const MEDIAN_LIMIT: Amount = Amount::Time(Duration::from_millis(60));
const SLOWEST_LIMIT: Amount = Amount::Time(Duration::from_millis(150));

/// How many alerts a notification has while all begin to fire.
const ALERTS_EACH: usize = 500;

const REPEATS: usize = 1000;
const REPEATS_LIMIT: Amount = Amount::Time(Duration::from_millis(100));

const MEMORY_LIMIT: Amount = Amount::Memory(60_000_000 / 1024);

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    let mut at_smallest = BTreeMap::new();
    for targets in TARGETS {
        table.section(&format!("{targets} targets, all but those of one component down, outside Cachet"));
        if let Err(error) = at(targets, &mut at_smallest, table).await {
            table.unknown("the cost of a change", &error);
        }
    }
}

async fn at(targets: usize, at_smallest: &mut BTreeMap<Duration, Duration>, table: &mut Table) -> anyhow::Result<()> {
    let fleet = Fleet { components: COMPONENTS, targets_each: targets / COMPONENTS };
    let cachet = OutsideCachet::start().await?;
    let home = Home::new(fleet)?;
    home.setup(&cachet).await?;
    let server = home.serve(Some(&cachet)).await?;
    let all = fleet.targets(0..fleet.targets_each);
    let (quiet, down): (Vec<Target>, Vec<Target>) = all.into_iter().partition(|target| target.is_of(0));
    let (began, down_targets) = (Timestamp::now(), down.len());
    for some in down.chunks(ALERTS_EACH) {
        server.post(notification(AlertStatus::Firing, "TargetDown", some, began)).await?;
    }
    // Every target but those of one component, and every component but that one.
    let is_down = |shown: &Observed| {
        let down = shown.components.iter().filter(|it| it.status == Some(ComponentStatus::MajorOutage));
        down.count() == down_targets + COMPONENTS - 1
    };
    let shown = cachet.shows(is_down).await?;
    let critical = *quiet.get(CRITICAL.start).context("no critical target")?;

    let component = shown.components.iter().find(|component| component.enabled && component.name == "Service 00");
    let path = format!("/api/components/{}", component.context("no component")?.id.0);
    for latency in LATENCIES {
        cachet.set_latency(latency);
        let mut times = Times::default();
        for change in 0..CHANGES {
            let status = if change % 2 == 0 { AlertStatus::Firing } else { AlertStatus::Resolved };
            cachet.take_calls();
            server.post(notification(status, "TargetDown", &[critical], Timestamp::now())).await?;
            let answered = Instant::now();
            let written = cachet.call(&Method::PUT, &path).await?;
            times.add(written.saturating_duration_since(answered));
            cachet.quiet_for(Duration::from_millis(20)).await;
        }
        let name = format!("one alert changes: until the page is written, Cachet at {} ms", latency.as_millis());
        table.limited(&name, times.median(), MEDIAN_LIMIT, &times.runs());
        table.limited("the slowest but one of a hundred", times.slowest_but_one(), SLOWEST_LIMIT, "");
        let Amount::Time(median) = times.median() else { unreachable!("a time") };
        match at_smallest.get(&latency) {
            None => drop(at_smallest.insert(latency, median)),
            Some(smallest) => {
                let limit = Amount::Time(smallest.mul_f64(1.2));
                table.limited("the same beside the smallest number of targets", times.median(), limit, "1.2 x");
            }
        }
    }
    cachet.set_latency(Duration::ZERO);

    let before = server.cpu()?;
    for some in down.iter().cycle().take(REPEATS) {
        server.post(notification(AlertStatus::Firing, "TargetDown", &[*some], began)).await?;
    }
    let spent = server.cpu()?.saturating_sub(before);
    table.limited(
        &format!("CPU for {REPEATS} repeats"),
        Amount::Time(spent),
        REPEATS_LIMIT,
        "requests, parsing and bcrypt's cache included",
    );
    let memory = server.memory().await?;
    let peak = format!("peak so far {}", Amount::Memory(memory.peak_kib));
    table.limited("resident memory", Amount::Memory(memory.resident_kib), MEMORY_LIMIT, &peak);
    console::measure(&server, &home, &cachet, table).await?;
    server.stop().await
}

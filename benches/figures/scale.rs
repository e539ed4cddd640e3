//! How the costs of a notification, and of what operators ask, grow with the number of targets, all of them down except those
//! of one component.

use std::time::{Duration, Instant};

use alertmanager_cachet::core::alert::AlertStatus;
use alertmanager_cachet::core::observed::Observed;
use alertmanager_cachet::core::status::ComponentStatus;
use anyhow::Context as _;
use axum::http::Method;
use jiff::Timestamp;

use crate::console;
use crate::fleet::{CRITICAL, Fleet, Target, notification};
use crate::load::rate;
use crate::outside_cachet::OutsideCachet;
use crate::server::{Home, Server};
use crate::table::{Amount, Table, Times};

const COMPONENTS: usize = 40;

/// How many targets there are.
const TARGETS: [usize; 3] = [200, 5_000, 20_000];

/// How many times one alert changes.
const CHANGES: usize = 100;

const MEDIAN_LIMIT: Amount = Amount::Time(Duration::from_millis(60));
const SLOWEST_LIMIT: Amount = Amount::Time(Duration::from_millis(150));

/// How many alerts a notification has while all begin to fire.
const ALERTS_EACH: usize = 500;

const REPEATS: usize = 1000;
const REPEATS_LIMIT: Amount = Amount::Time(Duration::from_millis(100));

const MEMORY_LIMIT: Amount = Amount::Memory(60_000_000 / 1024);

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);

const NEW_ALERTS_LIMIT: Amount = Amount::Rate(1_500);

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    let mut at_smallest = None;
    for targets in TARGETS {
        table.section(&format!(
            "{targets} targets, all but those of one component down, outside Cachet that answers at once"
        ));
        if let Err(error) = at(targets, &mut at_smallest, table).await {
            table.unknown("the cost of a change", &error);
        }
    }
    table.section("requests a second, 200 targets, built-in page; the clients share the cores");
    if let Err(error) = rates(table).await {
        table.unknown("notifications a second", &error);
    }
}

async fn at(targets: usize, at_smallest: &mut Option<Duration>, table: &mut Table) -> anyhow::Result<()> {
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
    table.limited("one alert changes: until the page is written", times.median(), MEDIAN_LIMIT, &times.runs());
    table.limited("the slowest but one of a hundred", times.slowest_but_one(), SLOWEST_LIMIT, "");
    let Amount::Time(median) = times.median() else { unreachable!("a time") };
    match at_smallest {
        None => *at_smallest = Some(median),
        Some(smallest) => {
            let limit = Amount::Time(smallest.mul_f64(1.2));
            table.limited("the same beside the smallest number of targets", times.median(), limit, "1.2 x");
        }
    }

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
    let memory = server.memory()?;
    let peak = format!("peak so far {}", Amount::Memory(memory.peak_kib));
    table.limited("resident memory", Amount::Memory(memory.resident_kib), MEMORY_LIMIT, &peak);
    console::measure(&server, &home, &cachet, table).await?;
    server.stop().await
}

async fn rates(table: &mut Table) -> anyhow::Result<()> {
    let fleet = Fleet { components: COMPONENTS, targets_each: 5 };
    let home = Home::new(fleet)?;
    let server = home.serve(None).await?;
    let targets = fleet.targets(0..fleet.targets_each);
    let now = Timestamp::now();
    let first = targets.first().copied().context("no target")?;
    // The password is verified, which costs once.
    server.post(notification(AlertStatus::Firing, "Nothing", &[], now)).await?;
    let healthy = |_| "GET /-/healthy HTTP/1.1\r\nHost: figures\r\n\r\n".to_owned();
    let (bare, _) = rate(&server, 64, SPAN, healthy).await?;
    table.known("/-/healthy, 64 connections", Amount::Rate(bare), "1 run");
    let empty = Server::request(&notification(AlertStatus::Firing, "Nothing", &[], now));
    let (unstored, _) = rate(&server, 64, SPAN, move |_| empty.clone()).await?;
    table.known("without an alert, so not stored, 64 connections", Amount::Rate(unstored), "1 run");
    let repeated = notification(AlertStatus::Firing, "TargetDown", &[first], now);
    server.post(repeated.clone()).await?;
    let repeated = Server::request(&repeated);
    let (repeats, _) = rate(&server, 64, SPAN, move |_| repeated.clone()).await?;
    table.limited("1 alert, repeated, 64 connections", Amount::Rate(repeats), Amount::Rate(unstored / 2), "1 run");
    let twenty: Vec<Target> = targets.into_iter().take(20).collect();
    let new =
        move |number: u64| Server::request(&notification(AlertStatus::Firing, &format!("Alert{number}"), &twenty, now));
    let (rate, _) = rate(&server, 16, SPAN, new).await?;
    table.limited("20 new alerts each, 16 connections", Amount::Rate(rate), NEW_ALERTS_LIMIT, "1 run");
    server.stop().await
}

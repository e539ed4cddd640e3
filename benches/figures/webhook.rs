//! From a notification to its answer: authenticated, read, logged and stored.

use std::time::Duration;

use alertmanager_cachet::core::alert::AlertStatus;
use jiff::Timestamp;

use crate::fleet::{Fleet, Target, notification};
use crate::outside_cachet::OutsideCachet;
use crate::server::{Home, Server};
use crate::table::{Amount, Table, Times};

const FLEET: Fleet = Fleet { components: 20, targets_each: 100 };

/// How slowly Cachet answers. The page is written all the while, and no notification waits for it.
const LATENCY: Duration = Duration::from_millis(30);

const RUNS: usize = 11;

const LIMIT: Amount = Amount::Time(Duration::from_millis(50));

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    if let Err(error) = try_measure(table).await {
        table.unknown("from a notification to its answer", &error);
    }
}

async fn try_measure(table: &mut Table) -> anyhow::Result<()> {
    let cachet = OutsideCachet::start().await?;
    let home = Home::new(FLEET)?;
    home.setup(&cachet).await?;
    cachet.set_latency(LATENCY);
    table.section("a notification of 1,000 alerts, stored and answered, while an outside Cachet (30 ms) is written");
    let server = home.serve(Some(&cachet)).await?;
    cachet.quiet().await;
    kinds(&server, table).await?;
    server.stop().await?;

    table.section("the same, while the built-in page, in the same store, is written");
    let home = Home::new(FLEET)?;
    let server = home.serve(None).await?;
    kinds(&server, table).await
}

async fn kinds(server: &Server, table: &mut Table) -> anyhow::Result<()> {
    let (targets, others) = (FLEET.targets(0..50), FLEET.targets(50..100));
    let now = Timestamp::now();
    let empty = || notification(AlertStatus::Firing, "Nothing", &[], now);
    let (first, second) = (server.post(empty()).await?, server.post(empty()).await?);
    table.known("the first request ever, without alerts (verifies bcrypt)", Amount::Time(first), "1 run");
    table.known("the next one", Amount::Time(second), "1 run");
    server.post(notification(AlertStatus::Firing, "WarmUp", &others, now)).await?;

    let new = posts(server, |run| body(AlertStatus::Firing, run, &targets, now)).await?;
    let repeated = posts(server, |_| body(AlertStatus::Firing, 0, &targets, now)).await?;
    let resolved = posts(server, |run| body(AlertStatus::Resolved, run, &targets, now)).await?;
    table.limited("1,000 new alerts", new.median(), LIMIT, &new.runs());
    table.limited("1,000 alerts that are known already", repeated.median(), LIMIT, &repeated.runs());
    table.limited("1,000 resolves", resolved.median(), LIMIT, &resolved.runs());
    let memory = server.memory().await?;
    table.known("resident memory then, with 12,000 alerts in the store", Amount::Memory(memory.resident_kib), "1 run");
    Ok(())
}

/// The alerts of one run: each run has alerts of its own, of the same targets.
fn body(status: AlertStatus, run: usize, targets: &[Target], starts_at: Timestamp) -> String {
    notification(status, &format!("Alert{run}"), targets, starts_at)
}

async fn posts(server: &Server, body: impl Fn(usize) -> String) -> anyhow::Result<Times> {
    let mut times = Times::default();
    for run in 0..RUNS {
        times.add(server.post(body(run)).await?);
    }
    Ok(times)
}

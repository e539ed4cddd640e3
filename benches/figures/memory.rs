//! How much memory the server takes: after it has read the page, and after a storm.

use std::time::{Duration, Instant};

use alertmanager_cachet::core::alert::AlertStatus;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::store::Store;
use anyhow::bail;
use jiff::Timestamp;

use crate::fleet::{Fleet, notification};
use crate::outside_cachet::{Expected, OutsideCachet};
use crate::server::{Home, Memory, Server};
use crate::table::{Amount, Table};

const FLEET: Fleet = Fleet { components: 20, targets_each: 100 };

const LIMIT: Amount = Amount::Memory(40_000_000 / 1024);

/// Where 64,000 alerts fire: four of each target.
const MANY: Fleet = Fleet { components: 40, targets_each: 400 };
const ALERTS_OF_A_TARGET: usize = 4;

const MANY_LIMIT: Amount = Amount::Memory(60_000_000 / 1024);

/// How many alerts a notification has in a storm of many.
const ALERTS_EACH: usize = 500;

/// The pause between two looks at the store.
const PAUSE: Duration = Duration::from_millis(500);

/// How long the storm may take before the figure is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often all is measured.
const RUNS: usize = 3;

/// Memory at the two moments of one run.
struct Run {
    after_reading: Memory,
    after_storm: Memory,
}

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    table.section("resident memory, 2,000 targets, outside Cachet");
    match outside().await {
        Ok(runs) => print(table, &runs),
        Err(error) => table.unknown("resident memory", &error),
    }
    table.section("resident memory, 2,000 targets, built-in page in the same process");
    match built_in().await {
        Ok(runs) => print(table, &runs),
        Err(error) => table.unknown("resident memory", &error),
    }
    table.section("resident memory, 16,000 targets with 4 alerts each, outside Cachet");
    if let Err(error) = many(table).await {
        table.unknown("resident memory", &error);
    }
}

/// While 64,000 alerts fire, and after all are resolved.
async fn many(table: &mut Table) -> anyhow::Result<()> {
    let cachet = OutsideCachet::start().await?;
    let home = Home::new(MANY)?;
    home.setup(&cachet).await?;
    let server = home.serve(Some(&cachet)).await?;
    cachet.settles(Expected::ALL_WELL).await?;
    let before = server.memory().await?;
    table.known("before", Amount::Memory(before.resident_kib), "1 run");
    let (targets, began) = (MANY.targets(0..MANY.targets_each), Timestamp::now());
    for status in [AlertStatus::Firing, AlertStatus::Resolved] {
        for number in 0..ALERTS_OF_A_TARGET {
            for some in targets.chunks(ALERTS_EACH) {
                server.post(notification(status, &format!("Alert{number}"), some, began)).await?;
            }
        }
        let visible = ComponentStatus::MajorOutage;
        let expected = match status {
            AlertStatus::Firing => Expected { visible, down: targets.len(), incidents: MANY.components },
            AlertStatus::Resolved => Expected::ALL_WELL,
        };
        cachet.settles(expected).await?;
        let memory = server.memory().await?;
        let peak = format!("peak so far {}", Amount::Memory(memory.peak_kib));
        let (figure, limit) = match status {
            AlertStatus::Firing => ("64,000 different alerts fire", MANY_LIMIT),
            AlertStatus::Resolved => ("all are resolved", Amount::Memory(before.resident_kib * 6 / 5)),
        };
        table.limited(figure, Amount::Memory(memory.resident_kib), limit, &peak);
    }
    server.stop().await
}

async fn outside() -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let cachet = OutsideCachet::start().await?;
        let home = Home::new(FLEET)?;
        home.setup(&cachet).await?;
        let server = home.serve(Some(&cachet)).await?;
        cachet.settles(Expected::ALL_WELL).await?;
        let after_reading = server.memory().await?;
        storm(&server).await?;
        let (visible, incidents) = (ComponentStatus::MajorOutage, FLEET.components);
        cachet.settles(Expected { visible, down: all_targets(), incidents }).await?;
        runs.push(Run { after_reading, after_storm: server.memory().await? });
        server.stop().await?;
    }
    Ok(runs)
}

async fn built_in() -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let home = Home::new(FLEET)?;
        home.serve(None).await?.stop().await?;
        let server = home.serve(None).await?;
        let after_reading = server.memory().await?;
        storm(&server).await?;
        all_is_written(&home).await?;
        runs.push(Run { after_reading, after_storm: server.memory().await? });
        server.stop().await?;
    }
    Ok(runs)
}

fn print(table: &mut Table, runs: &[Run]) {
    print_moment(table, "after the start, the page read", runs.iter().map(|run| run.after_reading));
    print_moment(table, "after 2,000 alerts, all written", runs.iter().map(|run| run.after_storm));
}

fn print_moment(table: &mut Table, when: &str, runs: impl Iterator<Item = Memory>) {
    let (mut resident, peaks): (Vec<u64>, Vec<u64>) = runs.map(|run| (run.resident_kib, run.peak_kib)).unzip();
    resident.sort_unstable();
    let median = resident.get(resident.len() / 2).copied().unwrap_or_default();
    let peak = Amount::Memory(peaks.into_iter().max().unwrap_or_default());
    let runs = format!("median of {}, peak so far {peak}", resident.len());
    table.limited(when, Amount::Memory(median), LIMIT, &runs);
}

fn all_targets() -> usize {
    FLEET.targets(0..FLEET.targets_each).len()
}

/// Every target fires, in two notifications.
async fn storm(server: &Server) -> anyhow::Result<()> {
    let half = FLEET.targets_each / 2;
    for numbers in [0..half, half..FLEET.targets_each] {
        let targets = FLEET.targets(numbers);
        server.post(notification(AlertStatus::Firing, "TargetDown", &targets, Timestamp::now())).await?;
    }
    Ok(())
}

/// Waits until the server remembers to have written everything; it is not asked, for that would cost it memory.
async fn all_is_written(home: &Home) -> anyhow::Result<()> {
    let store = Store::open_read_only(&home.storage_url()).await?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        tokio::time::sleep(PAUSE).await;
        let ledger = store.ledger().await?;
        let mut targets = ledger.targets();
        if ledger.targets().count() == all_targets() && targets.all(|(_, row)| row.is_confirmed()) {
            return Ok(());
        }
    }
    bail!("after {PATIENCE:?} the storm is not yet written")
}

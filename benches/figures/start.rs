//! How long a start takes.

use crate::fleet::Fleet;
use crate::server::Home;
use crate::table::{Amount, Table, Times};

const FLEETS: [Fleet; 2] = [Fleet { components: 10, targets_each: 20 }, Fleet { components: 20, targets_each: 100 }];

const RUNS: usize = 7;

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    table.section("from the start of the process to /health 200, built-in page");
    for fleet in FLEETS {
        if let Err(error) = starts(fleet, table).await {
            table.unknown("starts", &error);
        }
    }
}

async fn starts(fleet: Fleet, table: &Table) -> anyhow::Result<()> {
    let targets = fleet.targets(0..fleet.targets_each).len();
    let home = Home::new(fleet)?;
    let first = home.serve(None).await?;
    let figure = format!("{targets} targets, first start (makes every component)");
    table.known(&figure, Amount::Time(first.started_in), "1 run");
    first.stop().await?;
    let mut times = Times::default();
    for _ in 0..RUNS {
        let server = home.serve(None).await?;
        times.add(server.started_in);
        server.stop().await?;
    }
    table.known(&format!("{targets} targets, each later start"), times.median(), &times.runs());
    Ok(())
}

//! How long an operator waits for the console, its API and `explain`.

use std::time::Duration;

use crate::outside_cachet::OutsideCachet;
use crate::server::{Home, Server};
use crate::table::{Amount, Table, Times};

const LIMIT: Amount = Amount::Time(Duration::from_millis(100));

/// How often each is asked.
const RUNS: usize = 9;

/// One component of many.
const COMPONENT: &str = "Service 05";

/// What is asked of the console.
const ASKED: [(&str, &str); 7] = [
    ("the console's overview", "/console"),
    ("the console's page of a component", "/console/components/Service%2005"),
    ("the API's list of components", "/console/api/v1/components"),
    ("the API's answer about a component", "/console/api/v1/components/Service%2005"),
    ("the API's list of changes", "/console/api/v1/changes"),
    ("the API's answer about the watchdog", "/console/api/v1/monitoring"),
    ("the first event of the stream that keeps pages fresh", "/console/events"),
];

/// Measures a server at rest, and prints.
pub async fn measure(server: &Server, home: &Home, cachet: &OutsideCachet, table: &mut Table) -> anyhow::Result<()> {
    let mut times = Times::default();
    for _ in 0..RUNS {
        times.add(home.explain(COMPONENT, cachet).await?);
    }
    table.limited("the command explain", times.median(), LIMIT, &times.runs());
    for (what, path) in ASKED {
        let mut times = Times::default();
        for _ in 0..RUNS {
            times.add(server.get(path).await?);
        }
        table.limited(what, times.median(), LIMIT, &times.runs());
    }
    Ok(())
}

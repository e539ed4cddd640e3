//! How many answers readers of the built-in page get a second, beside the smallest answer that the server has.

use std::time::Duration;

use crate::fleet::Fleet;
use crate::load::rate;
use crate::server::Home;
use crate::table::{Amount, Table};

const FLEET: Fleet = Fleet { components: 67, targets_each: 4 };

/// How many readers ask at the same time, each on one connection that is kept.
const READERS: usize = 32;

/// How long they ask.
const SPAN: Duration = Duration::from_secs(3);

const RUNS: usize = 5;

const LIMIT: Amount = Amount::Rate(10_000);

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    table.section(&format!(
        "answers a second to {READERS} readers of the built-in page, 67 components, connections kept; the readers share the cores"
    ));
    if let Err(error) = try_measure(table).await {
        table.unknown("answers to readers", &error);
    }
}

async fn try_measure(table: &mut Table) -> anyhow::Result<()> {
    let home = Home::new(FLEET)?;
    let server = home.serve(None).await?;
    let mut figures = [("/-/healthy", ""), ("/", "gzip"), ("/", "identity")].map(|asked| (asked, Vec::new()));
    let mut length = 0;
    for _ in 0..RUNS {
        for ((path, coding), rates) in &mut figures {
            let request = format!("GET {path} HTTP/1.1\r\nHost: figures\r\nAccept-Encoding: {coding}\r\n\r\n");
            let (rate, bytes) = rate(&server, READERS, SPAN, move |_| request.clone()).await?;
            rates.push(rate);
            length = bytes;
        }
    }
    for ((path, coding), rates) in &mut figures {
        rates.sort_unstable();
        let median = Amount::Rate(rates[RUNS / 2]);
        let runs = format!("median of {RUNS}, least {}", Amount::Rate(rates[0]));
        match *coding {
            "" => table.known(path, median, &runs),
            coding => table.limited(&format!("{path}, {coding}"), median, LIMIT, &runs),
        }
    }
    table.given("the length of the page, not compressed", &format!("{length} bytes"));
    server.stop().await
}

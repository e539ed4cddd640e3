//! Serves an imitation of Cachet's API. Prints its base on one line: `http://127.0.0.1:PORT/api`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use fake_cachet::{FakeCachet, Faults, Options, Release, TOKEN, serve_at, without_unknown};

/// A window of the rate limit, as Cachet has it.
const A_MINUTE: Duration = Duration::from_secs(60);

/// Serves an imitation of Cachet's API and prints its base on one line
#[derive(Parser)]
#[command(name = "fake-cachet", version)]
struct Arguments {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The bearer token that writes need
    #[arg(long, value_name = "TOKEN", default_value = TOKEN)]
    token: String,
    /// The release that is imitated: that of August 2026 or that of August 2025
    #[arg(long, value_name = "YEAR", default_value = "2026")]
    release: Year,
    /// The minutes by which the time zone of a Cachet of 2025 is ahead of UTC
    #[arg(long, value_name = "MINUTES", default_value_t = 0, allow_negative_numbers = true)]
    utc_offset_minutes: i64,
    /// Refuse the status Unknown of a component
    #[arg(long)]
    without_unknown: bool,
    /// The SQLite file that stores everything; without it, the data is in memory
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// How much longer every call takes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    latency_ms: u64,
    /// How many reads are answered in a minute, and how many writes; without it, all of them
    #[arg(long, value_name = "CALLS")]
    rate_limit: Option<u32>,
    /// Calls that are not carried out and the status that they are answered with: 'POST /api/incidents 503'. In place of
    /// the method or a part of the path, '*' stands for any. May be repeated
    #[arg(long, value_name = "CALLS", value_parser = failure)]
    fail: Vec<Failure>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Year {
    #[value(name = "2026")]
    Current,
    #[value(name = "2025")]
    Older,
}

#[derive(Clone)]
struct Failure {
    method: String,
    path: String,
    status: u16,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is the output of this program")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let release = match arguments.release {
        Year::Current => Release::Current,
        Year::Older => Release::Older,
    };
    let name = arguments.database.as_ref().map_or_else(|| "memory".to_owned(), |file| file.display().to_string());
    let options = Options { token: arguments.token, database: arguments.database, ..Options::of(release) };
    let cachet = FakeCachet::open(options).await.with_context(|| format!("cannot open the database {name}"))?;
    cachet.zone().is_ahead_of_utc_by(arguments.utc_offset_minutes);
    let faults = Faults::new();
    faults.latency(Duration::from_millis(arguments.latency_ms));
    if let Some(limit) = arguments.rate_limit {
        faults.rate_limit(limit, A_MINUTE);
    }
    for failure in &arguments.fail {
        faults.on(&failure.method, &failure.path).answer(failure.status);
    }
    let router = if arguments.without_unknown { without_unknown(cachet.router()) } else { cachet.router() };
    let listen = arguments.listen;
    let served = serve_at(listen, faults.around(router)).await;
    let (url, _server) = served.with_context(|| format!("cannot listen on {listen}"))?;
    println!("{url}/api");
    // until a signal ends it
    std::future::pending().await
}

fn failure(text: &str) -> Result<Failure, String> {
    const SHAPE: &str = "expected METHOD PATH STATUS, for example 'POST /api/incidents 503'";
    let &[method, path, status] = text.split_whitespace().collect::<Vec<_>>().as_slice() else {
        return Err(SHAPE.to_owned());
    };
    let status = status.parse().ok().filter(|status| (100..1000).contains(status)).ok_or(SHAPE)?;
    Ok(Failure { method: method.to_owned(), path: path.to_owned(), status })
}

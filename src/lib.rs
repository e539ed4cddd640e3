//! Keeps a Cachet status page true from Prometheus Alertmanager notifications.
//!
//! `web` authenticates and parses a notification, the store saves it, and the answer is sent. `reconcile` then compares what
//! the alerts say (`core::page`) with what was written and what the page shows, and writes only the difference
//! (`core::plan`). `repair` corrects the stored alerts by what Alertmanager lists. Operators see all of it in `console`, which
//! reads the store (`insight`) and what only the running server knows (`live`).
//!
//! The rules, the store and the client of Cachet are crates of their own (`crates/`). `ARCHITECTURE.md` has the map, and the
//! order in which modules may import each other.

use std::io::Write as _;
use std::process::ExitCode;

cfg_if::cfg_if! {
    if #[cfg(feature = "internals")] {
        pub use alertmanager_cachet_client as cachet;
        pub use alertmanager_cachet_core as core;
        pub use alertmanager_cachet_store as store;

        pub mod alertmanager;
        pub mod builtin;
        pub mod cli;
        pub mod clock;
        pub mod commands;
        pub mod config;
        pub mod console;
        pub mod live;
        pub mod log;
        pub mod metrics;
        pub mod readiness;
        pub mod reconcile;
        pub mod repair;
        pub mod settings;
        pub mod tls;
        pub mod upkeep;
        pub mod web;
    } else {
        use alertmanager_cachet_client as cachet;
        use alertmanager_cachet_core as core;
        use alertmanager_cachet_store as store;

        mod alertmanager;
        mod builtin;
        mod cli;
        mod clock;
        mod commands;
        mod config;
        mod console;
        mod live;
        mod log;
        mod metrics;
        mod readiness;
        mod reconcile;
        mod repair;
        mod settings;
        mod tls;
        mod upkeep;
        mod web;
    }
}

mod insight;
mod memory;
mod sources;

/// The program: reads the command line, sets up the log, runs one command.
pub fn main() -> ExitCode {
    let variables = config::Variables::load();
    let cli = cli::Cli::parse_over(&variables);
    log::init(cli.common.log_level, cli.common.log_format);
    commands::run(&cli, &variables).unwrap_or_else(|error| {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

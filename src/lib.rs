//! Keeps a Cachet status page true from Prometheus Alertmanager notifications.
//!
//! The way of an alert, straight down: `web` authenticates and parses a notification, `store` keeps it, and the
//! answer is sent; `reconcile` then compares what the alerts say (`core::page`) with what was written and what
//! Cachet shows, and writes only the difference (`core::plan`) through `cachet`. Nothing goes back up. Beside that,
//! `repair` makes the stored alerts agree with what Alertmanager lists, read through `alertmanager`.
//!
//! Operators look at all of it through `console`, which tells what `insight` reads and `live` was told.
//!
//! What happened is counted in `metrics`, and how the parts are is told in `readiness`; both are told, and ask nobody.
//!
//! The rules, the store and the client of Cachet are crates of their own (`crates/`), which the compiler keeps apart.
//!
//! What is configured and may change is one value (`settings`), which all of them share.
//!
//! Imports point one way: `core` ← `config`, `store`, `cachet`, `alertmanager` ← `tls` ← `settings` ← `reconcile` ← `repair`, `insight` ← `web` ←
//! `console` ← `commands` ← `main`.

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
        pub mod setup;
        pub mod tls;
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
        mod setup;
        mod tls;
        mod web;
    }
}

mod insight;
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

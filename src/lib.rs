//! Keeps a Cachet status page true from Prometheus Alertmanager notifications.
//!
//! The way of an alert, straight down: [`web`] authenticates and parses a notification, [`store`] keeps it, and the
//! answer is sent; [`reconcile`] then compares what the alerts say ([`core::page`]) with what was written and what
//! Cachet shows, and writes only the difference ([`core::plan`]) through [`cachet`]. Nothing goes back up. Beside that,
//! [`repair`] makes the stored alerts agree with what Alertmanager lists, read through [`alertmanager`].
//!
//! Operators look at all of it through [`console`], which tells what `insight` reads and [`live`] was told.
//!
//! What happened is counted in [`metrics`], and how the parts are is told in [`readiness`]; both are told, and ask nobody.
//!
//! The rules, the store and the client of Cachet are crates of their own (`crates/`), which the compiler keeps apart.
//!
//! What is configured and may change is one value ([`settings`]), which all of them share.
//!
//! Imports point one way: `core` ← `config`, `store`, `cachet`, `alertmanager` ← `tls` ← `settings` ← `reconcile` ← `repair`, `insight` ← `web` ←
//! `console` ← `commands` ← `main`.

pub mod alertmanager;
pub mod builtin;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod console;
mod insight;
pub mod live;
pub mod log;
pub mod metrics;
pub mod readiness;
pub mod reconcile;
pub mod repair;
pub mod settings;
pub mod setup;
mod sources;
pub mod tls;
pub mod web;

pub use alertmanager_cachet_client as cachet;
pub use alertmanager_cachet_core as core;
pub use alertmanager_cachet_store as store;

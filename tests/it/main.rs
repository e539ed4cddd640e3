//! The integration tests: one binary, so that it is linked once.

mod architecture;
mod browser;
mod chaos;
mod check;
mod cli;
mod contract;
mod convergence;
mod end_to_end;
mod hardship;
mod page_server;
mod reconcile;
mod recorded;
mod reload;
mod repair;
mod serving;
mod setup;
mod simulate;
mod simulation;
mod store;
mod support;
mod tls;
mod upgrade;
mod webhook;

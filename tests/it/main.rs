//! The integration tests: one binary, so that it is linked once.

mod architecture;
mod browser;
mod cli;
mod contract;
mod end_to_end;
mod page_server;
mod reconcile;
mod recorded;
mod serving;
mod setup;
mod simulation;
mod store;
mod support;
mod webhook;

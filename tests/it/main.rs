//! The integration tests: one binary, so that it is linked once.

mod architecture;
mod browser;
mod check;
mod contract;
mod page_server;
mod reconcile;
mod serving;
mod setup;
mod store;
mod support;
mod webhook;

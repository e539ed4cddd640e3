//! The integration tests: one binary, so that it is linked once.

mod architecture;
mod browser;
mod contract;
mod page_server;
mod recorded;
mod reconcile;
mod serving;
mod store;
mod support;
mod webhook;

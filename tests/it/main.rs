//! The integration tests: one binary, so that it is linked once.

mod browser;
mod contract;
mod page_server;
mod recorded;
mod serving;
mod support;
mod webhook;

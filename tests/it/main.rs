//! The integration tests: one binary, so that it is linked once.

mod browser;
mod contract;
mod support;

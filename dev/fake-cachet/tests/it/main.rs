//! The imitation against what was recorded of Cachet, and beyond that.

mod contract;
mod program;
mod schedules;
mod server;

//! The rules, as functions of values.
//!
//! Nothing here does I/O, reads a clock or logs; time is an argument. What the page must show ([`page`]), what has to
//! be written to get there ([`plan`]) and what an arriving alert changes ([`alert`]) are decided here and nowhere else.

pub mod alert;
pub mod builtin;
pub mod config;
pub mod expiry;
pub mod explain;
pub mod history;
pub mod ledger;
pub mod listing;
pub mod merge;
pub mod names;
pub mod notification;
pub mod observed;
pub mod operation;
pub mod overrides;
pub mod page;
pub mod plan;
pub mod recovery;
pub mod relabel;
pub mod repair;
pub mod rules;
pub mod scrape;
pub mod setup;
pub mod simulate;
pub mod status;
pub mod status_page;
pub mod target;
pub mod time;
pub mod uptime;
pub mod watchdog;

//! What the tests share.

pub mod alertmanager;
pub mod certificates;
pub mod faults;
pub mod installation;
pub mod metrics;
pub mod older_cachet;
pub mod page;
pub mod processes;
pub mod recordings;
pub mod said;
pub mod web;
pub mod without_unknown;
pub mod world;

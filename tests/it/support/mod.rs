//! What the tests share.

pub mod alertmanager;
pub mod built_in;
pub mod certificates;
pub mod doubt;
pub mod installation;
pub mod log;
pub mod metrics;
pub mod page;
pub mod processes;
pub mod recordings;
pub mod said;
pub mod web;
pub mod world;

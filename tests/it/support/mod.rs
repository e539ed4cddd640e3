//! What the tests share.

pub mod recordings;
pub mod web;

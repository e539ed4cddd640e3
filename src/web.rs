//! web
pub mod auth;

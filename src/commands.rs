//! One file a subcommand.

pub mod hash_password;
pub mod healthcheck;

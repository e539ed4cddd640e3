//! What the tests share.

pub mod faults;
pub mod older_cachet;

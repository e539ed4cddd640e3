//! cachet

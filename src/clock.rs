//! The one place that reads the clock; everything else is given the time.

use crate::core::time::Timestamp;

/// The time that the system's clock shows.
pub fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

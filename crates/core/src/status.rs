//! Cachet's status numbers and the words that operators read for them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What Cachet shows of a component.
///
/// The numbers are Cachet's own (its `ComponentStatusEnum`); status 6 is refused with 422 by releases of 2025.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(into = "u8", try_from = "u8")]
#[strum(serialize_all = "title_case")]
#[repr(u8)]
pub enum ComponentStatus {
    /// 1: everything works.
    Operational = 1,
    /// 2: it works, slowly.
    PerformanceIssues = 2,
    /// 3: some of it is down.
    PartialOutage = 3,
    /// 4: it is down.
    #[strum(serialize = "Outage")]
    MajorOutage = 4,
    /// 5: nobody knows.
    Unknown = 5,
    /// 6: it is being worked on, as announced.
    UnderMaintenance = 6,
}

impl ComponentStatus {
    /// How bad it is, as Cachet ranks them (4 > 3 > 2 > 6 > 5 > 1): a larger number is worse.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Operational => 0,
            Self::Unknown => 1,
            Self::UnderMaintenance => 2,
            Self::PerformanceIssues => 3,
            Self::PartialOutage => 4,
            Self::MajorOutage => 5,
        }
    }
}

/// `4 (Outage)`, as in the log.
impl fmt::Display for ComponentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.value(), self.word())
    }
}

/// How far the work on an incident is (Cachet's `IncidentStatusEnum`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantArray,
)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum IncidentStatus {
    /// 0: somebody said so.
    Reported = 0,
    /// 1: being looked into.
    Investigating = 1,
    /// 2: the cause is known.
    Identified = 2,
    /// 3: mended, being watched.
    Watching = 3,
    /// 4: over.
    Fixed = 4,
}

/// How far a planned maintenance is (Cachet's `ScheduleStatusEnum`). Cachet tells it from the schedule's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantArray)]
#[repr(u8)]
pub enum ScheduleStatus {
    /// 0: it is announced.
    Upcoming = 0,
    /// 1: it has begun.
    #[strum(serialize = "In progress")]
    InProgress = 1,
    /// 2: it is over.
    Complete = 2,
}

/// Reads a status from Cachet's number for it, and writes it as that.
macro_rules! numbered {
    ($($status:ty),*) => {$(
        impl $status {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

            /// Cachet's number.
            pub const fn value(self) -> u8 {
                self as u8
            }

            /// The word that operators and readers see for it.
            pub fn word(self) -> &'static str {
                self.into()
            }

            /// The status with Cachet's number `value`, if there is one.
            pub fn from_value(value: i64) -> Option<Self> {
                Self::ALL.iter().copied().find(|status| i64::from(status.value()) == value)
            }
        }

        impl From<$status> for u8 {
            fn from(status: $status) -> Self {
                status.value()
            }
        }

        impl TryFrom<u8> for $status {
            type Error = String;

            fn try_from(value: u8) -> Result<Self, String> {
                Self::from_value(i64::from(value)).ok_or_else(|| format!("{value} is no status that Cachet knows"))
            }
        }
    )*};
}

numbered!(ComponentStatus, IncidentStatus, ScheduleStatus);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_cachet_and_nothing_else_is_a_status() {
        let numbers: Vec<u8> = (-3..12).filter_map(ComponentStatus::from_value).map(ComponentStatus::value).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        let numbers: Vec<u8> = (-3..12).filter_map(IncidentStatus::from_value).map(IncidentStatus::value).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let numbers: Vec<u8> = (-3..12).filter_map(ScheduleStatus::from_value).map(ScheduleStatus::value).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }

    #[test]
    fn an_incidents_words_are_those_of_cachet() {
        let words = IncidentStatus::ALL.iter().map(|status| status.word());
        assert_eq!(words.collect::<Vec<_>>(), ["Reported", "Investigating", "Identified", "Watching", "Fixed"]);
    }

    #[test]
    fn cachet_ranks_them_4_3_2_6_5_1() {
        let mut statuses = ComponentStatus::ALL.to_vec();
        statuses.sort_by_key(|status| std::cmp::Reverse(status.severity()));
        assert_eq!(statuses.into_iter().map(ComponentStatus::value).collect::<Vec<_>>(), [4, 3, 2, 6, 5, 1]);
    }
}

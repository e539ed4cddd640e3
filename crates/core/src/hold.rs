//! Holds: an operator says what a component shows, until a time.
//!
//! Alerts are not always right, and who is awake may know better: a false alarm, or an outage that no alert sees. A hold
//! stands above the rules and the watchdog, and ends by itself, so that nobody has to remember it.
//!
//! | a component is held | and its incident |
//! | --- | --- |
//! | at Major Outage | is opened, as ever |
//! | at anything better, while it is down by the rules | is not opened, and not opened again; an open one stays open |
//! | … and the rules say that the outage is over | an open one is closed, as ever |
//! | and the hold is over | the rules say: what is still down gets its incident, dated from when it went down |

use std::time::Duration;

use super::page::{DesiredComponent, DesiredPage};
use super::status::ComponentStatus;
use super::target::ComponentName;
use super::time::Timestamp;

/// The longest time for which a component may be held: who wants longer says so again.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// The most characters of the reason that is given for a hold.
pub const NOTE_LIMIT: usize = 200;

/// A component that an operator holds at a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The component.
    pub component: ComponentName,
    /// What it shows.
    pub status: ComponentStatus,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The user who said so.
    pub user: String,
    /// Why, in the user's words; may be empty.
    pub note: String,
}

/// Why a component cannot be held so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// It is no status that somebody could know.
    #[error(
        "{0} is no status to hold a component at: choose one of 1 to 4, or announce maintenance (in the console, \
         or in Cachet under Schedules)"
    )]
    Status(ComponentStatus),
    /// It would be over before it began.
    #[error("{0} is over already: choose a later time")]
    Over(Timestamp),
    /// Nobody would remember it.
    #[error("{0} is more than 30 days away: choose an earlier time, and hold the component again then")]
    TooLong(Timestamp),
    /// The reason would fill pages.
    #[error("the reason has {0} characters: shorten it to {NOTE_LIMIT}")]
    Note(usize),
}

/// What a hold changes of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The hold.
    pub hold: Hold,
    /// What the component would show without it.
    pub rules: ComponentStatus,
    /// Since when it would.
    pub rules_since: Option<Timestamp>,
}

impl Hold {
    /// The statuses at which a component can be held: those that every Cachet takes, and that somebody can know.
    pub const STATUSES: [ComponentStatus; 4] = [
        ComponentStatus::Operational,
        ComponentStatus::PerformanceIssues,
        ComponentStatus::PartialOutage,
        ComponentStatus::MajorOutage,
    ];

    /// `user` holds `component` at `status` from `now` until `until`.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub fn new(
        component: ComponentName,
        status: ComponentStatus,
        until: Timestamp,
        (user, note): (&str, &str),
        now: Timestamp,
    ) -> Result<Self, HoldError> {
        // What is typed must not start a line of the log or hide in it.
        let note: String = note.split_whitespace().collect::<Vec<_>>().join(" ");
        let length = note.chars().count();
        if !Self::STATUSES.contains(&status) {
            Err(HoldError::Status(status))
        } else if until <= now {
            Err(HoldError::Over(until))
        } else if until > now.after(LONGEST_HOLD) {
            Err(HoldError::TooLong(until))
        } else if length > NOTE_LIMIT {
            Err(HoldError::Note(length))
        } else {
            Ok(Self { component, status, since: now, until, user: user.to_owned(), note })
        }
    }

    /// Whether it counts at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

impl DesiredPage {
    /// The page with what operators hold in place of what the rules say, as far as it counts at `now`.
    pub fn apply_overrides(mut self, holds: &[Hold], now: Timestamp) -> Self {
        for hold in holds.iter().filter(|hold| hold.is_in_force(now)) {
            let component = self.components.entry(hold.component.clone()).or_insert_with(DesiredComponent::unfed);
            let held = Held { hold: hold.clone(), rules: component.status, rules_since: component.since };
            component.since = match hold.status {
                ComponentStatus::Operational => None,
                // Since the outage began, where the rules say the same.
                status if status == held.rules => held.rules_since.or(Some(hold.since)),
                _ => Some(hold.since),
            };
            component.status = hold.status;
            component.held = Some(held);
            self.revisit_at = self.revisit_at.into_iter().chain([hold.until]).min();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::signals;
    use super::super::page::desired;
    use super::super::target::{ComponentList, Inventory, InventorySource, KnownTarget, Target};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn name(text: &str) -> ComponentName {
        ComponentName::try_from(text).expect("a name")
    }

    fn hold(component: &str, status: ComponentStatus) -> Hold {
        Hold::new(name(component), status, NOW.after(HOUR), ("ada", ""), NOW).expect("a hold")
    }

    /// A page with one component that all is well with.
    fn page() -> DesiredPage {
        let target = Target::new("db:9100", ComponentList::parse("Database").names).expect("a target");
        let inventory = Inventory::new(InventorySource::File, [KnownTarget { target, critical: false }]);
        desired(&inventory, &signals(&[], Duration::ZERO, NOW))
    }

    #[test]
    fn a_hold_stands_above_the_rules_and_is_looked_at_again_when_it_is_over() {
        let page = page().apply_overrides(&[hold("Database", ComponentStatus::MajorOutage)], NOW);
        let database = &page.components[&name("Database")];
        assert_eq!((database.status, database.since), (ComponentStatus::MajorOutage, Some(NOW)));
        assert_eq!(database.held.as_ref().map(|held| held.rules), Some(ComponentStatus::Operational));
        assert_eq!(page.revisit_at, Some(NOW.after(HOUR)));
    }

    #[test]
    fn a_hold_that_is_over_changes_nothing() {
        let holds = [hold("Database", ComponentStatus::MajorOutage)];
        assert_eq!(page().apply_overrides(&holds, NOW.after(HOUR)), page());
    }

    #[test]
    fn a_component_that_no_target_feeds_can_be_held() {
        let page = page().apply_overrides(&[hold("Web", ComponentStatus::PartialOutage)], NOW);
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::PartialOutage);
        assert!(!page.components[&name("Web")].is_fed());
    }

    #[test]
    fn what_cannot_be_held_says_why_and_what_helps() {
        let hold = |status, until: Timestamp, note: &str| {
            Hold::new(name("Web"), status, until, ("ada", note), NOW).map_err(|error| error.to_string())
        };
        let (good, soon) = (ComponentStatus::Operational, NOW.after(HOUR));
        let long = "x".repeat(NOTE_LIMIT + 1);
        for (outcome, words) in [
            (hold(ComponentStatus::Unknown, soon, ""), "1 to 4"),
            (hold(ComponentStatus::UnderMaintenance, soon, ""), "or announce maintenance"),
            (hold(good, NOW, ""), "choose a later time"),
            (hold(good, NOW.after(LONGEST_HOLD + HOUR), ""), "choose an earlier time"),
            (hold(good, soon, &long), "shorten it"),
        ] {
            let error = outcome.expect_err("no hold");
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(hold(good, soon, " two\nlines ").expect("a hold").note, "two lines");
        assert!(hold(good, NOW.after(LONGEST_HOLD), "").is_ok());
    }
}

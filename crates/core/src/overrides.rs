//! Overrides: an operator says what a component shows, until a time.
//!
//! Alerts are not always right, and who is awake may know better: a false alarm, or an outage that no alert sees. An
//! override stands above the rules and the watchdog, and ends by itself, so that nobody has to remember it. The log
//! tags them `[HOLD]` and `[RELEASE]`.
//!
//! | the status of the override | and its incident |
//! | --- | --- |
//! | Major Outage | is opened, as ever |
//! | anything better, while it is down by the rules | is not opened, and not opened again; an open one stays open |
//! | … and the rules say that the outage is over | an open one is closed, as ever |
//! | and the override is over | the rules say: what is still down gets its incident, dated from when it went down |

use std::time::Duration;

use super::status::ComponentStatus;
use super::target::ComponentName;
use super::time::Timestamp;

/// The longest time for which an override may last: who wants longer says so again.
const LONGEST_OVERRIDE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The most characters of the reason that is given for an override.
pub const NOTE_LIMIT: usize = 200;

/// An operator's word on the status of a component, with an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
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

/// What an override changes of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// The override.
    pub by: Override,
    /// What the component would show without it.
    pub rules: ComponentStatus,
    /// Since when it would.
    pub rules_since: Option<Timestamp>,
}

impl Override {
    /// The statuses that an override can have: those that every Cachet takes, and that somebody can know.
    pub const STATUSES: [ComponentStatus; 4] = [
        ComponentStatus::Operational,
        ComponentStatus::PerformanceIssues,
        ComponentStatus::PartialOutage,
        ComponentStatus::MajorOutage,
    ];

    /// `user` overrides `component` with `status` from `now` until `until`.
    ///
    /// # Errors
    /// Why it is not possible, and the cure: somebody could not know the status, it would be over before it began, nobody would
    /// remember it, or the reason would fill pages.
    pub fn new(
        component: ComponentName,
        status: ComponentStatus,
        until: Timestamp,
        (user, note): (&str, &str),
        now: Timestamp,
    ) -> Result<Self, String> {
        // What is typed must not start a line of the log or hide in it.
        let note: String = note.split_whitespace().collect::<Vec<_>>().join(" ");
        let length = note.chars().count();
        if !Self::STATUSES.contains(&status) {
            Err(format!(
                "{status} is no status to override a component with: choose one of 1 to 4, or announce maintenance (in \
                 the console, or in Cachet under Schedules)"
            ))
        } else if until <= now {
            Err(format!("{until} is over already: choose a later time"))
        } else if until > now.after(LONGEST_OVERRIDE) {
            Err(format!(
                "{until} is more than 30 days away: choose an earlier time, and override the component again then"
            ))
        } else if length > NOTE_LIMIT {
            Err(format!("the reason has {length} characters: shorten it to {NOTE_LIMIT}"))
        } else {
            Ok(Self { component, status, since: now, until, user: user.to_owned(), note })
        }
    }

    /// Whether it counts at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::signals;
    use super::super::page::{DesiredPage, desired};
    use super::super::target::{ComponentList, Inventory, InventorySource, KnownTarget, Target};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn name(text: &str) -> ComponentName {
        ComponentName::try_from(text).expect("a name")
    }

    fn override_of(component: &str, status: ComponentStatus) -> Override {
        Override::new(name(component), status, NOW.after(HOUR), ("ada", ""), NOW).expect("an override")
    }

    /// A page with one component that all is well with.
    fn page() -> DesiredPage {
        let target = Target::new("db:9100", ComponentList::parse("Database").names).expect("a target");
        let inventory = Inventory::new(InventorySource::File, [KnownTarget { target, critical: false }]);
        desired(&inventory, &signals(&[], Duration::ZERO, NOW))
    }

    #[test]
    fn an_override_stands_above_the_rules_and_is_looked_at_again_when_it_is_over() {
        let page = page().apply_overrides(&[override_of("Database", ComponentStatus::MajorOutage)], NOW);
        let database = &page.components[&name("Database")];
        assert_eq!((database.status, database.since), (ComponentStatus::MajorOutage, Some(NOW)));
        assert_eq!(database.overridden.as_ref().map(|overridden| overridden.rules), Some(ComponentStatus::Operational));
        assert_eq!(page.revisit_at, Some(NOW.after(HOUR)));
    }

    #[test]
    fn an_override_that_is_over_changes_nothing() {
        let overrides = [override_of("Database", ComponentStatus::MajorOutage)];
        assert_eq!(page().apply_overrides(&overrides, NOW.after(HOUR)), page());
    }

    #[test]
    fn a_component_that_no_target_feeds_can_be_overridden() {
        let page = page().apply_overrides(&[override_of("Web", ComponentStatus::PartialOutage)], NOW);
        assert_eq!(page.components[&name("Web")].status, ComponentStatus::PartialOutage);
        assert!(!page.components[&name("Web")].is_fed());
    }

    #[test]
    fn what_cannot_be_overridden_says_why_and_what_helps() {
        let override_of =
            |status, until: Timestamp, note: &str| Override::new(name("Web"), status, until, ("ada", note), NOW);
        let (good, soon) = (ComponentStatus::Operational, NOW.after(HOUR));
        let long = "x".repeat(NOTE_LIMIT + 1);
        for (outcome, words) in [
            (override_of(ComponentStatus::Unknown, soon, ""), "1 to 4"),
            (override_of(ComponentStatus::UnderMaintenance, soon, ""), "or announce maintenance"),
            (override_of(good, NOW, ""), "choose a later time"),
            (override_of(good, NOW.after(LONGEST_OVERRIDE + HOUR), ""), "choose an earlier time"),
            (override_of(good, soon, &long), "shorten it"),
        ] {
            let error = outcome.expect_err("no override");
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(override_of(good, soon, " two\nlines ").expect("an override").note, "two lines");
        assert!(override_of(good, NOW.after(LONGEST_OVERRIDE), "").is_ok());
    }
}

//! Maintenance that people announce, and that they say is over.

use fake_cachet::Release;
use serde_json::json;

use super::people::{Person, number};
use super::random::Random;
use super::run::INTERVAL_MS;
use super::scenario::COMPONENTS;

/// What people do about maintenance.
#[derive(Debug, Clone, Copy)]
pub enum Maintenance {
    /// It is announced for a component, with its end if it has one; in milliseconds from now.
    Announced { component: &'static str, begins_in: u64, lasts: Option<u64> },
    /// Whatever is in progress for the component is over.
    Over(&'static str),
}

impl Maintenance {
    pub fn any(random: &mut Random) -> Self {
        let component = random.pick(&COMPONENTS);
        if random.chance(40) {
            return Self::Over(component);
        }
        let begins_in = random.pick(&[0, 0, 0, 20_000, 130_000]);
        let lasts = random.pick(&[None, Some(90_000), Some(900_000), Some(2_700_000)]);
        Self::Announced { component, begins_in, lasts }
    }
}

/// When a person does something, as the page has the time: what is done between two rounds is known in the next one,
/// what is done in the middle of one perhaps later.
#[derive(Debug, Clone, Copy)]
pub struct When {
    pub now_ms: u64,
    pub in_a_round: bool,
}

/// One announced maintenance, in milliseconds.
struct Entry {
    id: i64,
    component: &'static str,
    from_ms: u64,
    /// From when on the server respects it.
    sure_from_ms: u64,
    until_ms: Option<u64>,
    /// From when on the server knows that it is over.
    sure_until_ms: Option<u64>,
}

/// Whether a component is under maintenance, as the server may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Under {
    No,
    Perhaps,
    Yes,
}

/// All maintenance that was announced.
pub struct Calendar {
    entries: Vec<Entry>,
    /// Whether Cachet may fail to tell of it, so that nothing of it is certain.
    may_be_untold: bool,
}

impl Calendar {
    pub fn new(may_be_untold: bool) -> Self {
        Self { entries: Vec::new(), may_be_untold }
    }

    pub fn at(&self, component: &str, now_ms: u64) -> Under {
        let of_component = self.entries.iter().filter(|entry| entry.component == component);
        let under = of_component.map(|entry| entry.at(now_ms)).max().unwrap_or(Under::No);
        if self.may_be_untold { under.min(Under::Perhaps) } else { under }
    }

    /// When the next maintenance ends that has an end.
    pub fn next_end_ms(&self, now_ms: u64) -> Option<u64> {
        self.entries.iter().filter_map(|entry| entry.until_ms).filter(|until_ms| *until_ms > now_ms).min()
    }

    /// Whether the whole second that begins then lies within a maintenance that the server must respect.
    pub fn covers_second(&self, component: &str, second_ms: u64) -> bool {
        let covers = |entry: &Entry| {
            // in the very millisecond in which it was announced, there is a before and an after
            entry.sure_from_ms < second_ms && entry.until_ms.is_none_or(|until_ms| second_ms + 999 < until_ms)
        };
        !self.may_be_untold && self.entries.iter().any(|entry| entry.component == component && covers(entry))
    }
}

impl Entry {
    fn at(&self, now_ms: u64) -> Under {
        if now_ms < self.from_ms || self.sure_until_ms.is_some_and(|until_ms| now_ms >= until_ms) {
            return Under::No;
        }
        let sure = now_ms >= self.sure_from_ms && self.until_ms.is_none_or(|until_ms| now_ms < until_ms);
        if sure { Under::Yes } else { Under::Perhaps }
    }
}

impl Person {
    pub async fn maintains(&self, what: Maintenance, at: When, calendar: &mut Calendar) {
        match what {
            Maintenance::Announced { component, begins_in, lasts } => {
                // the older release takes none without an end
                let lasts = lasts.or((self.release == Release::Older).then_some(2_700_000));
                self.announces(component, begins_in, lasts, at, calendar).await;
            }
            Maintenance::Over(component) => self.ends(component, at, calendar).await,
        }
    }

    async fn announces(
        &self,
        component: &'static str,
        begins_in: u64,
        lasts: Option<u64>,
        at: When,
        calendar: &mut Calendar,
    ) {
        let Some(found) = self.find(component).await else { return };
        let from_ms = at.now_ms + begins_in;
        let until_ms = lasts.map(|lasts| from_ms + lasts);
        let status = if self.release == Release::Current { 6 } else { 3 };
        let mut body = json!({"name": "New switch", "message": "As announced.",
            "scheduled_at": rfc3339(from_ms - 1), "components": [{"id": found.id, "status": status}]});
        if let Some(until_ms) = until_ms {
            body["completed_at"] = rfc3339(until_ms).into();
        }
        let made = self.ask("POST", "/schedules", &body).await;
        calendar.entries.push(Entry {
            id: number(&made["data"]),
            component,
            from_ms,
            sure_from_ms: if at.in_a_round { from_ms + INTERVAL_MS } else { from_ms },
            until_ms,
            // Cachet tells the end to the second, and it is asked for a second later
            sure_until_ms: until_ms.map(|until_ms| until_ms + 2000),
        });
    }

    async fn ends(&self, component: &str, at: When, calendar: &mut Calendar) {
        let in_progress = calendar.entries.iter_mut().filter(|entry| {
            let ends_later = entry.until_ms.is_none_or(|until_ms| until_ms > at.now_ms);
            entry.component == component && entry.from_ms <= at.now_ms && ends_later
        });
        for entry in in_progress {
            let over = json!({"completed_at": rfc3339(at.now_ms - 1000)});
            self.ask("PUT", &format!("/schedules/{}", entry.id), &over).await;
            entry.until_ms = Some(at.now_ms);
            entry.sure_until_ms = Some(at.now_ms + INTERVAL_MS);
        }
    }
}

fn rfc3339(milliseconds: u64) -> String {
    let moment = i64::try_from(milliseconds).expect("a time of today");
    jiff::Timestamp::from_millisecond(moment).expect("a time").to_string()
}

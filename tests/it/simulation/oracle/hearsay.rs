//! What of each alert is to be believed, from all that was said of it and what Alertmanager lists.

use super::Shown;
use crate::simulation::scenario::{Policy, Repair, Scenario};

/// What a member lists of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    pub starts_ms: u64,
    pub suppressed: bool,
}

/// How long a member was up, and what it lists of each alert; `None` if it could not be read.
pub type Reading = Option<(u64, Vec<Option<Listed>>)>;

/// How long a member has to be up before what it does not list counts.
const SETTLE_MS: u64 = 300_000;

/// How far apart two readings have to be at least that tell of an end.
const APART_MS: u64 = 30_000;

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    No,
    /// It cannot be known from outside.
    Perhaps,
    Yes,
}

/// An alert, and all that was said of it.
#[derive(Clone)]
pub struct Hearsay {
    /// Which of the targets.
    pub target: usize,
    pub name: String,
    pub critical: bool,
    words: Vec<Word>,
    /// When anything was heard of it last.
    heard_ms: u64,
    /// Since when no reading listed it.
    missing_since_ms: Option<u64>,
    /// Whether the page said that it fires when the store knew of nothing.
    left: Left,
}

#[derive(Clone, Copy)]
struct Word {
    at_ms: u64,
    /// When anything had been heard of the alert before.
    heard_before_ms: u64,
    /// When it arrived, as far as clocks could be believed then.
    arrived_ms: u64,
    starts_ms: u64,
    said: Said,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Fires,
    Ended,
    /// It truly fires, whatever was said before.
    Confirmed,
    /// What fires is over, whichever occurrence it is.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Perhaps,
    /// Perhaps, and if so, it was taken for the suppressed alert that was listed: what was said of it since may mean
    /// either.
    Muddled,
    Surely,
}

/// What follows from the words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Fires,
    Ended,
    /// It fires again, as was said first at this time.
    Waits(u64),
}

/// What follows from the words, and from which of them.
#[derive(Clone, Copy)]
struct Known {
    state: State,
    /// The beginning that a newer occurrence has to be later than; `None` if nothing is known.
    newest_ms: Option<u64>,
    /// The beginning that was stated, which may be in the future.
    stated_ms: u64,
}

impl Known {
    /// Whether a statement is about a newer occurrence. What is in the future is only compared with the future.
    fn is_older_than(&self, starts_ms: u64, arrived_ms: u64) -> bool {
        let future_ms = Some(self.stated_ms).filter(|_| starts_ms > arrived_ms);
        let than = self.newest_ms.map(|newest_ms| newest_ms.max(future_ms.unwrap_or(0)));
        than.is_none() || starts_ms != self.stated_ms && Some(starts_ms) > than
    }
}

#[derive(Clone)]
pub struct Hearsays {
    policy: Policy,
    pub alerts: Vec<Hearsay>,
    /// Since when somebody listens.
    listening_since_ms: u64,
    /// How often the server may have looked at the page since it began to know nothing; `None` once it surely has.
    looks: Option<usize>,
}

impl Hearsays {
    pub fn new(scenario: &Scenario, now_ms: u64) -> Self {
        let alerts = scenario.alerts.iter().map(|alert| Hearsay::new(alert.target, alert.name, alert.critical));
        Self { policy: scenario.policy, alerts: alerts.collect(), listening_since_ms: now_ms, looks: Some(0) }
    }

    pub fn told(&mut self, alert: usize, at_ms: u64, starts_ms: u64, firing: bool) {
        let alert = &mut self.alerts[alert];
        let before = (alert.follow().newest_ms, alert.state());
        alert.hear(at_ms, starts_ms, if firing { Said::Fires } else { Said::Ended });
        if alert.left != Left::Muddled {
            alert.left = Left::Nothing;
        }
        let news = (alert.follow().newest_ms, alert.state()) != before;
        alert.heard_ms = if news { at_ms } else { alert.heard_ms.max(at_ms) };
    }

    /// Both members were read from `began_ms` on; whether that says anything that was not known.
    pub fn read(&mut self, began_ms: u64, readings: &[Reading]) -> bool {
        let heard: Vec<_> = readings.iter().flatten().collect();
        let proves = heard.iter().any(|(up_ms, _)| *up_ms >= SETTLE_MS);
        let refire_delay_ms = self.policy.refire_delay * 1000;
        let mut news = false;
        for (number, alert) in self.alerts.iter_mut().enumerate() {
            let listed: Vec<Listed> =
                heard.iter().filter_map(|(_, listed)| listed.get(number).copied().flatten()).collect();
            news |= alert.read(began_ms, &listed, proves, refire_delay_ms);
        }
        news
    }

    /// Whether of an alert nothing is known but that the page may have said that it fires.
    pub fn are_unsure(&self) -> bool {
        self.looks.is_some() || self.alerts.iter().any(|alert| matches!(alert.left, Left::Perhaps | Left::Muddled))
    }

    /// Whether an alert is watched for a second reading that does not list it.
    pub fn is_something_missing(&self) -> bool {
        self.alerts.iter().any(|alert| alert.missing_since_ms.is_some())
    }

    /// The repairer went, and has nothing but the time to go by.
    pub fn grew_old(&mut self, now_ms: u64) {
        let Repair::Silence(seconds) = self.policy.repair else { return };
        self.listening_since_ms = self.listening_since_ms.min(now_ms);
        let limit_ms = now_ms.saturating_sub(seconds * 1000);
        if limit_ms >= self.listening_since_ms {
            self.alerts
                .iter_mut()
                .filter(|alert| alert.heard_ms < limit_ms)
                .for_each(|alert| alert.end(alert.heard_ms));
        }
    }

    /// The server was started at `now_ms`.
    pub fn restarted(&mut self, now_ms: u64) {
        self.listening_since_ms = now_ms;
        self.alerts.iter_mut().for_each(|alert| alert.missing_since_ms = None);
    }

    /// The server has seen that it is `now_ms` again: what came later came now.
    pub fn clock_was_set_back(&mut self, now_ms: u64) {
        for alert in &mut self.alerts {
            alert.words.iter_mut().for_each(|word| word.at_ms = word.at_ms.min(now_ms));
            alert.heard_ms = alert.heard_ms.min(now_ms);
        }
    }

    /// The server knows of nothing any more.
    pub fn lost(&mut self) {
        for alert in &mut self.alerts {
            alert.words.clear();
            (alert.left, alert.heard_ms) = (Left::Nothing, 0);
        }
        self.looks = Some(0);
    }

    /// The server knows what it knew then of alerts that fired; those that had ended may have fired again since.
    pub fn restored(&mut self, then: &Self) {
        self.alerts = then.alerts.clone();
        for alert in self.alerts.iter_mut().filter(|alert| alert.state() == State::Ended) {
            alert.words.clear();
            (alert.left, alert.heard_ms) = (Left::Nothing, 0);
        }
    }

    pub fn know_of(&self, alert: usize) -> bool {
        !self.alerts[alert].words.is_empty()
    }

    /// The server may read the page now, and take over what it says, if it never has.
    pub fn may_be_left(&mut self, now_ms: u64, targets: &[(usize, Shown)]) {
        let Some(looks) = &mut self.looks else { return };
        *looks += 1;
        let left = if *looks == 1 { Left::Surely } else { Left::Perhaps };
        // what was read the first time was perhaps not read at all
        self.alerts.iter_mut().filter(|alert| alert.left == Left::Surely).for_each(|alert| alert.left = Left::Perhaps);
        for (target, shown) in targets.iter().filter(|(_, shown)| !shown.enabled && shown.status == 4) {
            let names = shown.description.split_once('\n').map_or("", |(_, names)| names);
            for name in names.split(", ").filter(|name| !matches!(*name, "" | "no alerts")) {
                let alert = self.find_or_make(*target, name, shown.description.starts_with("critical: yes"));
                if alert.words.is_empty() && alert.left != Left::Muddled {
                    (alert.left, alert.heard_ms) = (left, now_ms);
                }
            }
        }
    }

    /// Whether the server has yet to read the page after it lost its store.
    pub fn may_inherit(&self) -> bool {
        self.looks.is_some()
    }

    /// The server has read the page.
    pub fn left(&mut self) {
        self.looks = None;
    }

    /// Alertmanager was read so often that it is believed, whatever was left.
    pub fn have_come_to_rest(&mut self, truth: &[Option<Listed>]) {
        for (number, alert) in self.alerts.iter_mut().enumerate() {
            let truth = truth.get(number).copied().flatten();
            if matches!(alert.left, Left::Nothing | Left::Surely) || truth.is_some_and(|truth| truth.suppressed) {
                continue;
            }
            alert.left = Left::Nothing;
            alert.words.clear();
            truth.into_iter().for_each(|truth| alert.hear(alert.heard_ms, truth.starts_ms, Said::Fires));
        }
    }

    pub fn belief(&self, alert: usize, now_ms: u64) -> Belief {
        let alert = &self.alerts[alert];
        match alert.left {
            Left::Surely => return Belief::Yes,
            Left::Perhaps | Left::Muddled => return Belief::Perhaps,
            Left::Nothing => {}
        }
        if alert.fires(now_ms, self.policy.refire_delay * 1000) { Belief::Yes } else { Belief::No }
    }

    fn find_or_make(&mut self, target: usize, name: &str, critical: bool) -> &mut Hearsay {
        let known = self.alerts.iter().position(|alert| alert.target == target && alert.name == name);
        let number = known.unwrap_or_else(|| {
            self.alerts.push(Hearsay::new(target, name, critical));
            self.alerts.len() - 1
        });
        &mut self.alerts[number]
    }
}

impl Hearsay {
    fn new(target: usize, name: &str, critical: bool) -> Self {
        let (words, name) = (Vec::new(), name.to_owned());
        Self { target, name, critical, words, heard_ms: 0, missing_since_ms: None, left: Left::Nothing }
    }

    fn hear(&mut self, at_ms: u64, starts_ms: u64, said: Said) {
        let arrived_ms = if self.words.is_empty() { at_ms } else { at_ms.max(self.heard_ms) };
        self.words.push(Word { at_ms, heard_before_ms: self.heard_ms, arrived_ms, starts_ms, said });
    }

    fn state(&self) -> State {
        if self.left == Left::Surely { State::Fires } else { self.follow().state }
    }

    /// What follows from the words. The newest occurrence has the say; within it a resolve. A firing after a resolve that
    /// is as new or newer, or that it cannot be proven to be newer than, is held until a resolve of its own occurrence.
    fn follow(&self) -> Known {
        let mut known = Known { state: State::Unknown, newest_ms: None, stated_ms: 0 };
        for word in &self.words {
            if word.said == Said::Over {
                known.state = State::Ended;
                continue;
            }
            // the clock was set back since
            known.newest_ms = known.newest_ms.map(|newest_ms| newest_ms.min(word.heard_before_ms));
            let (starts_ms, cut_ms) = (word.starts_ms, word.starts_ms.min(word.arrived_ms));
            let (is_newer, is_ahead) = (known.is_older_than(starts_ms, word.arrived_ms), starts_ms > word.arrived_ms);
            let newer = |state| Known { state, newest_ms: Some(cut_ms), stated_ms: starts_ms };
            let held = State::Waits(word.at_ms);
            known = match (word.said, known.state) {
                (Said::Over, _) => known,
                (Said::Confirmed, _) if Some(starts_ms) > known.newest_ms => newer(State::Fires),
                (Said::Confirmed, _) => Known { state: State::Fires, stated_ms: starts_ms, ..known },
                (Said::Fires, State::Ended) if is_ahead || !is_newer => {
                    Known { state: held, stated_ms: starts_ms, ..known }
                }
                (Said::Fires, State::Fires | State::Waits(_)) | (Said::Ended, State::Ended) if is_newer && is_ahead => {
                    Known { stated_ms: starts_ms, ..known }
                }
                (Said::Fires, _) if is_newer => newer(State::Fires),
                (Said::Ended, _) if is_newer => newer(State::Ended),
                (Said::Ended, _) if starts_ms == known.stated_ms => Known { state: State::Ended, ..known },
                (Said::Fires, State::Waits(_)) => Known { stated_ms: known.stated_ms.min(starts_ms), ..known },
                _ => known,
            };
        }
        known
    }

    /// A waiting firing counts once it has stood long enough.
    fn fires(&self, now_ms: u64, refire_delay_ms: u64) -> bool {
        match self.state() {
            State::Fires => true,
            State::Waits(since_ms) => now_ms >= since_ms + refire_delay_ms,
            State::Unknown | State::Ended => false,
        }
    }

    /// What the members list of it was read; whether that is news.
    fn read(&mut self, began_ms: u64, listed: &[Listed], proves: bool, refire_delay_ms: u64) -> bool {
        let missing_since_ms = self.missing_since_ms.take();
        // what was heard since is newer
        if self.heard_ms >= began_ms {
            return false;
        }
        if self.left == Left::Perhaps && !listed.is_empty() && listed.iter().all(|listed| listed.suppressed) {
            self.left = Left::Muddled;
        }
        if self.left == Left::Muddled {
            return false;
        }
        let adopted = self.left == Left::Surely;
        let active = listed.iter().filter(|listed| !listed.suppressed || adopted).map(|listed| listed.starts_ms);
        match active.max() {
            Some(starts_ms) => self.is_listed(began_ms, starts_ms),
            None if !listed.is_empty() || !proves => false,
            None => self.is_not_listed(began_ms, missing_since_ms, refire_delay_ms),
        }
    }

    fn is_listed(&mut self, began_ms: u64, starts_ms: u64) -> bool {
        let known = self.follow();
        let outranks = known.newest_ms.is_none() || known.is_older_than(starts_ms, began_ms) && starts_ms <= began_ms;
        let said = match self.state() {
            State::Waits(_) | State::Ended if !outranks => Said::Confirmed,
            State::Fires if !outranks => return false,
            _ => Said::Fires,
        };
        self.hear(began_ms, starts_ms, said);
        (self.left, self.heard_ms) = (Left::Nothing, began_ms);
        true
    }

    /// To have ended it must not be listed twice in a row; to be no echo, once.
    fn is_not_listed(&mut self, began_ms: u64, missing_since_ms: Option<u64>, refire_delay_ms: u64) -> bool {
        if matches!(self.state(), State::Waits(_)) && !self.fires(began_ms, refire_delay_ms) {
            self.end(began_ms);
            return true;
        }
        if !self.fires(began_ms, refire_delay_ms) {
            return false;
        }
        let first = missing_since_ms.filter(|first| *first > self.heard_ms && *first <= began_ms);
        match first {
            Some(first) if began_ms >= first + APART_MS => self.end(began_ms),
            _ => {
                self.missing_since_ms = Some(first.unwrap_or(began_ms));
                return false;
            }
        }
        true
    }

    /// It is over, whoever says so.
    fn end(&mut self, at_ms: u64) {
        if self.left == Left::Surely {
            self.left = Left::Nothing;
        }
        let Known { state, stated_ms, .. } = self.follow();
        if !matches!(state, State::Unknown | State::Ended) {
            self.hear(at_ms, stated_ms, Said::Over);
            self.heard_ms = self.heard_ms.max(at_ms);
        }
    }
}

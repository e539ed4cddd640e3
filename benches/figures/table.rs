//! The table: figure, measured, limit, met or missed. Each line is printed when it is known.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

/// The table, while it is printed.
pub struct Table {
    missed: usize,
    limits: usize,
}

/// What was measured, and may have a limit.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Amount {
    /// Calls to Cachet.
    Calls(usize),
    /// A time.
    Time(Duration),
    /// Memory, in KiB.
    Memory(u64),
    /// Answers a second: the only one whose limit is the least that it may be.
    Rate(u64),
}

impl Table {
    /// A table with its head; `on` says what was measured and where.
    pub fn new(on: &str) -> Self {
        say(&format!("{on}\n\n{:<60} {:>10}  {:>11}  {:<7} {}", "figure", "measured", "limit", "", "runs"));
        Self { missed: 0, limits: 0 }
    }

    /// How many limits were looked at.
    pub fn limits(&self) -> usize {
        self.limits
    }

    /// Lines that belong together follow.
    pub fn section(&self, title: &str) {
        say(&format!("\n{title}"));
    }

    /// A figure with a limit.
    pub fn limited(&mut self, figure: &str, measured: Amount, limit: Amount, runs: &str) {
        self.limits += 1;
        let (is_met, sign) = match limit {
            Amount::Rate(_) => (measured >= limit, ">="),
            _ => (measured <= limit, "<="),
        };
        let verdict = if is_met {
            "met"
        } else {
            self.missed += 1;
            "MISSED"
        };
        row(figure, &measured.to_string(), &format!("{sign} {limit}"), verdict, runs);
    }

    /// A figure for information.
    pub fn known(&self, figure: &str, measured: Amount, runs: &str) {
        row(figure, &measured.to_string(), "", "", runs);
    }

    /// A figure that was not measured here, but somewhere else.
    pub fn given(&self, figure: &str, amount: &str) {
        row(figure, amount, "", "given", "");
    }

    /// What could not be measured, and why. Its limits count as missed, for nobody knows.
    pub fn unknown(&mut self, what: &str, error: &anyhow::Error) {
        self.limits += 1;
        self.missed += 1;
        say(&format!("  {what}: NOT MEASURED: {error:#}"));
    }

    /// The last line.
    pub fn end(&self, summary: &str) {
        let verdict = match self.missed {
            0 => "every limit is met".to_owned(),
            missed => format!("{missed} MISSED"),
        };
        say(&format!("\n{summary}: {verdict}"));
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(calls) => write!(f, "{calls} calls"),
            Self::Time(time) if *time < Duration::from_secs(1) => write!(f, "{:.1} ms", time.as_secs_f64() * 1e3),
            Self::Time(time) => write!(f, "{:.2} s", time.as_secs_f64()),
            Self::Rate(rate) => write!(f, "{rate}/s"),
            Self::Memory(kib) => write!(f, "{:.1} MB", (kib * 1024) as f64 / 1e6),
        }
    }
}

fn row(figure: &str, measured: &str, limit: &str, verdict: &str, runs: &str) {
    say(format!("  {figure:<58} {measured:>10}  {limit:>11}  {verdict:<7} {runs}").trim_end());
}

/// Nobody is left to tell if stdout is closed.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Times of several runs, shortest first.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// One more run.
    pub fn add(&mut self, time: Duration) {
        let place = self.0.partition_point(|other| *other <= time);
        self.0.insert(place, time);
    }

    /// The one in the middle; zero without runs.
    pub fn median(&self) -> Amount {
        Amount::Time(self.0.get(self.0.len() / 2).copied().unwrap_or_default())
    }

    /// The longest but one: of a hundred runs, the 99th percentile.
    pub fn slowest_but_one(&self) -> Amount {
        Amount::Time(self.0.iter().rev().nth(1).copied().unwrap_or_default())
    }

    /// How many there were, and the longest.
    pub fn runs(&self) -> String {
        let worst = Amount::Time(self.0.last().copied().unwrap_or_default());
        format!("median of {}, worst {worst}", self.0.len())
    }
}

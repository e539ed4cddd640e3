//! The core, the reconciler, the client and the store, in random worlds: whatever is told, lost, broken, killed and
//! edited by hand, the page at rest shows what it should, says it once, and touches nothing that is not ours.
//!
//! A seed makes a [`Scenario`]; running it has no chance in it. A failing seed is cut down to the steps that it needs,
//! and printed with the command that runs it again:
//!
//! ```text
//! SIMULATION_SEED=123 cargo test --test it simulation -- --nocapture
//! SIMULATION_FROM=500 SIMULATION_SEEDS=1000000 cargo test --release --test it simulation -- --nocapture
//! ```
//!
//! Time stands still unless a step lets it pass, so nothing here waits.
//!
//! | file | what it does |
//! | --- | --- |
//! | `random` | chance from a seed |
//! | `scenario` | what happens, as data |
//! | `theatre` | a clock that stands still, a store, a page; one scenario at a time |
//! | `clock` | time that passes when it is told to |
//! | `run` | carries a scenario out and holds the laws to it |
//! | `laws` | what must be true of every round |
//! | `rest` | how it ends |
//! | `interruption` | stops at one call: for a kill, for news, for an edit |
//! | `layers` | keeps the page's time and order |
//! | `product` | a scenario in the product's own terms |
//! | `alertmanagers` | what truly fires, and what a pair of Alertmanagers lists of it |
//! | `backup` | a store that is lost, and one that is put back as it was |
//! | `people` | what is done by hand, and what of the page is not ours |
//! | `maintenance` | what people announce, and who is under it when |
//! | `overrides` | what operators override in the console |
//! | `model` | a small Cachet in memory |
//! | `oracle` | what the page must show |
//! | `shrink` | makes a failure small |

mod alertmanagers;
mod backup;
mod clock;
mod interruption;
mod laws;
mod layers;
mod maintenance;
mod model;
mod oracle;
mod overrides;
mod people;
mod product;
mod random;
mod rest;
mod run;
mod scenario;
mod shrink;
mod theatre;

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use scenario::Scenario;
use theatre::{Page, Theatre};

/// How many seeds are tried unless it is said otherwise.
const SEEDS: u64 = 500;

/// How many of them are compared between the page in memory and the fake Cachet.
const SEEDS_ON_BOTH: u64 = 60;

/// How long a single seed may take in real time; one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_happens_the_page_at_rest_is_what_the_oracle_says() {
    let first = number_from_environment("SIMULATION_FROM").unwrap_or(0);
    let seeds = match number_from_environment("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number_from_environment("SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let playing: Vec<AtomicU64> = (0..workers).map(|_| AtomicU64::new(seeds.start)).collect();
    let (next, end) = (&AtomicU64::new(seeds.start), seeds.end);
    let failed = thread::scope(|scope| {
        let (done, outcomes) = mpsc::channel();
        for playing in &playing {
            let done = done.clone();
            scope.spawn(move || play_seeds(next, end, playing, &done));
        }
        drop(done);
        let mut failed = Vec::new();
        loop {
            match outcomes.recv_timeout(PATIENCE) {
                Ok(outcome) => failed.extend(outcome),
                Err(mpsc::RecvTimeoutError::Disconnected) => return failed,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    // a panic would wait for the one that hangs
                    let _ = writeln!(std::io::stderr(), "one of these seeds hangs: {playing:?}");
                    std::process::abort();
                }
            }
        }
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Plays the seeds that are left, and tells of each what broke. After the first failure none is left.
fn play_seeds(next: &AtomicU64, end: u64, playing: &AtomicU64, done: &mpsc::Sender<Option<String>>) {
    let mut theatre = Theatre::new();
    loop {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= end {
            return;
        }
        playing.store(seed, Ordering::SeqCst);
        let scenario = Scenario::from_seed(seed);
        let failure = theatre.play(&scenario, Page::InMemory).err();
        let report = failure.map(|failure| {
            next.store(end, Ordering::SeqCst);
            shrink::report(seed, scenario, failure, &mut theatre)
        });
        // nobody listens any more if another one hangs
        let _ = done.send(report);
    }
}

#[test]
fn the_page_in_memory_and_the_fake_cachet_are_told_the_same_and_show_the_same() {
    let mut theatre = Theatre::new();
    // others than above
    for seed in (1..=SEEDS_ON_BOTH).map(|number| u64::MAX - number) {
        let scenario = Scenario::from_seed(seed);
        let in_memory = theatre.play(&scenario, Page::InMemory).expect("all laws are kept");
        let fake = theatre.play(&scenario, Page::Fake).expect("all laws are kept");
        assert_eq!(in_memory, fake, "seed {seed}:\n{scenario}");
    }
}

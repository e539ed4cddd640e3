//! `cargo bench --bench figures`: what the server costs, measured on the release binary over loopback. With names of parts
//! (`cargo bench --bench figures -- readers`), only these are measured.
//!
//! The binary is started as an operator starts it, and the Cachet that it drives is an imitation in this process,
//! over TCP and as slow as is wanted. Nothing is compared with earlier runs, and nothing fails: each figure is printed
//! beside its limit, by the median of its runs, and says whether that is met. What cannot be measured says why.

mod console;
mod fleet;
mod load;
mod memory;
mod outside_cachet;
mod page;
mod rates;
mod readers;
mod scale;
mod server;
mod start;
mod table;
mod webhook;

use std::fs::{self, File};
use std::io::Write as _;
use std::time::Instant;

use table::{Table, Times};

fn main() -> anyhow::Result<()> {
    // `cargo test --all-targets` comes here as well, with a binary that nobody has optimised
    let (flags, parts): (Vec<String>, _) = std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    if !flags.iter().any(|flag| flag == "--bench") {
        return Ok(());
    }
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let began = Instant::now();
    let runtime = tokio::runtime::Runtime::new()?;
    let mut table = Table::new(&format!("{} (release), over loopback", server::BINARY));
    machine(&mut table);
    runtime.block_on(async {
        if is_wanted("page") {
            page::measure(&mut table).await;
        }
        if is_wanted("webhook") {
            webhook::measure(&mut table).await;
        }
        if is_wanted("readers") {
            readers::measure(&mut table).await;
        }
        if is_wanted("scale") {
            scale::measure(&mut table).await;
        }
        if is_wanted("rates") {
            rates::measure(&mut table).await;
        }
        if is_wanted("memory") {
            memory::measure(&mut table).await;
        }
        if is_wanted("start") {
            start::measure(&mut table).await;
        }
    });
    table.end(&format!("{} limits, measured in {:.0?}", table.limits(), began.elapsed()));
    Ok(())
}

/// What the other figures depend on.
fn machine(table: &mut Table) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = load().map_or_else(String::new, |load| format!(", load before this {load:.1}"));
    table.section(&format!(
        "this machine: {cores} cores{load}; the server shares them with its Cachet and this process"
    ));
    match syncs() {
        Ok(times) => table.known("a page of 4 KiB, safe on the disk of the stores", times.median(), &times.runs()),
        Err(error) => table.unknown("the disk", &error),
    }
}

/// How many processes wanted a core over the last minute, where Linux tells.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// How long the disk takes until what was written survives a power cut; a store does that before each answer.
fn syncs() -> anyhow::Result<Times> {
    let folder = tempfile::tempdir_in(server::SCRATCH)?;
    let mut file = File::create(folder.path().join("page"))?;
    let mut times = Times::default();
    for _ in 0..21 {
        let began = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.add(began.elapsed());
    }
    Ok(times)
}

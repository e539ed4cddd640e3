//! The machine's clock is set while alerts fire: forwards by a day, backwards by an hour.
//!
//! libfaketime stands between the program and the clock. Only the time of day jumps, as it does on a real machine: the
//! monotonic clock, by which the program sleeps, goes on.

use std::fs;
use std::path::PathBuf;

use fake_cachet::Release;

use super::site::{Server, Site, Target, alert};
use crate::support::processes::written;

/// The file that says how far the program's clock is off.
const OFFSET: &str = "clock";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forwards_by_a_day_and_backwards_by_an_hour_shows_nothing_wrong_and_holds_nothing_up() {
    let site = Site::new(Release::Current).await;
    site.configure(r#""refire_delay_seconds": 2, "reconcile_interval_seconds": 1"#);
    let server = serving_by_a_wrong_clock(&site).await;
    tell(&server, "firing", 0).await;
    shows(&site, "Major outage", &["Investigating"]).await;

    set_clock(&site, "+1d");
    tell(&server, "resolved", 0).await;
    shows(&site, "Operational", &["Fixed (It works again.)"]).await;
    tell(&server, "firing", 1).await;
    shows(&site, "Major outage", &["Fixed (It works again.)", "Investigating"]).await;
    tell(&server, "resolved", 1).await;
    shows(&site, "Operational", &["Fixed (It works again.)", "Fixed (It works again.)"]).await;

    // Held by a clock that is then set back: it must not be held until that clock has caught up.
    tell(&server, "firing", 1).await;
    set_clock(&site, "+23h");
    let over = "Fixed (It works again.)";
    shows(&site, "Major outage", &[over, over, "Investigating"]).await;
    tell(&server, "resolved", 1).await;
    shows(&site, "Operational", &[over, over, over]).await;
    let said = ["the clock was set ahead", "the clock was set back"].map(|what| server.lines_with(what));
    assert_eq!(said, [1, 1], "{}", server.process.stderr());
}

async fn tell(server: &Server, status: &str, second: u32) {
    server.sender.post_until_taken(&[alert(0, Target::Database, status, second)]).await;
}

/// Waits until the database is in this state, and its incidents, in their order.
async fn shows(site: &Site, state: &str, incidents: &[&str]) {
    let components = [format!("Database: {state}"), "Website: Operational".to_owned()];
    let incidents = incidents.iter().map(|incident| format!("Database is down: {incident}"));
    let lines: Vec<String> = components.into_iter().chain(incidents).collect();
    site.page.comes_to_show(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

fn set_clock(site: &Site, offset: &str) {
    // Read anew whenever the program asks for the time, so it must never be half written.
    written(site.folder.path(), "clock.new", offset);
    fs::rename(site.folder.path().join("clock.new"), site.folder.path().join(OFFSET)).expect("renamed");
}

async fn serving_by_a_wrong_clock(site: &Site) -> Server {
    set_clock(site, "+0");
    let mut command = site.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
    command
        .env("LD_PRELOAD", faketime())
        .env("FAKETIME_TIMESTAMP_FILE", site.folder.path().join(OFFSET))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    site.started(command).await
}

/// The library, in whichever folder Debian keeps those of this architecture.
fn faketime() -> PathBuf {
    let mut found = glob::glob("/usr/lib/*/faketime/libfaketimeMT.so.1").expect("a pattern");
    let missing = "no libfaketime: install the package `faketime` (Debian: apt-get install faketime)";
    found.next().expect(missing).expect("a path")
}

//! A store that cannot be written: full, locked, or for reading only.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fake_cachet::Release;
use reqwest::StatusCode;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use super::site::{Server, Site, Target, alert, stored_in};
use crate::support::processes::run;

/// A small file system of its own in place of `data`, which is gone when the program ends.
const SMALL_DISK: [&str; 6] = [
    "unshare",
    "--mount",
    "--map-root-user",
    "sh",
    "-c",
    r#"mkdir -p data && mount -t tmpfs -o size=4m store data && exec "$0" "$@""#,
];

/// A `data` that is there already, and may only be read.
const READ_ONLY: [&str; 6] = [
    "unshare",
    "--mount",
    "--map-root-user",
    "sh",
    "-c",
    r#"mount --bind data data && mount -o remount,bind,ro data && exec "$0" "$@""#,
];

/// How long an answer may take while nothing can be stored: two seconds are waited for a lock, and two more if another
/// write is in front; the rest is for a busy machine.
const A_FEW_SECONDS: Duration = Duration::from_secs(10);

const BROKEN: &str = "notifications cannot be stored";
const WHOLE: &str = "notifications can be stored again";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_with_503_and_loses_nothing_and_is_over_when_there_is_room_again() {
    let site = Site::new(Release::Current).await;
    let server = site.started(site.command_through(&SMALL_DISK, &["serve", "--web.listen-address=127.0.0.1:0"])).await;
    let data = as_seen_by(&server, &site.folder.path().join("data"));
    server.sender.post_until_taken(&[alert(0, Target::Database, "firing", 0)]).await;
    // So that the incidents are opened in this order.
    site.page
        .comes_to_show(&["Database: Major outage", "Website: Operational", "Database is down: Investigating"])
        .await;
    let filler = data.join("filler");
    fill(&filler);

    let mut refused = 1;
    while server.sender.post(&[alert(refused, Target::Website, "firing", 0)]).await == Some(StatusCode::OK) {
        refused += 1;
        assert!(refused < 5_000, "the disk is not full");
    }
    cannot_store(&server, "free space on its disk").await;
    assert_eq!(stored_in_a_copy_of(&data).await, (0..refused).collect());

    fs::remove_file(filler).expect("removed");
    goes_on(&server, refused).await;
    assert_eq!(stored_in_a_copy_of(&data).await, (0..=refused).collect());
    both_are_down(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_store_is_answered_with_503_within_seconds_and_is_over_when_the_lock_is() {
    let site = Site::new(Release::Current).await;
    let server = site.serving().await;
    server.sender.post_until_taken(&[alert(0, Target::Database, "firing", 0)]).await;
    // So that the incidents are opened in this order.
    site.page
        .comes_to_show(&["Database: Major outage", "Website: Operational", "Database is down: Investigating"])
        .await;
    let store = site.folder.path().join("data/alertmanager-cachet.db");
    let mut other = SqliteConnectOptions::new().filename(store).connect().await.expect("a connection");
    // The server may be writing.
    other.execute("PRAGMA busy_timeout = 30000").await.expect("set");
    other.execute("BEGIN EXCLUSIVE").await.expect("locked");
    cannot_store(&server, "end the program that keeps it locked").await;
    other.execute("ROLLBACK").await.expect("unlocked");
    goes_on(&server, 1).await;
    assert_eq!(site.stored().await, [0, 1].into());
    both_are_down(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_may_only_be_read_is_refused_at_the_start_with_the_cure() {
    let site = Site::new(Release::Current).await;
    let mut server = site.serving().await;
    server.sender.post_until_taken(&[alert(0, Target::Database, "firing", 0)]).await;
    site.page
        .comes_to_show(&["Database: Major outage", "Website: Operational", "Database is down: Investigating"])
        .await;
    server.process.end().await;
    let refused = run(&mut site.command_through(&READ_ONLY, &["serve", "--web.listen-address=127.0.0.1:0"]));
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("check its permissions"), "{}", refused.stderr);
}

/// A path as a program sees it that has mounts of its own.
fn as_seen_by(server: &Server, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", server.process.id()));
    root.join(path.strip_prefix("/").expect("an absolute path"))
}

/// The alerts in the store in `data`, which may be on a disk that only another program has mounted: SQLite resolves
/// links, and would look for it on ours.
async fn stored_in_a_copy_of(data: &Path) -> BTreeSet<u64> {
    let copy = tempfile::tempdir().expect("a folder");
    for name in ["alertmanager-cachet.db", "alertmanager-cachet.db-wal"] {
        fs::copy(data.join(name), copy.path().join(name)).expect("a file of the store");
    }
    stored_in(copy.path()).await
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("made");
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Nobody is told that anything was stored, nobody waits, and one line says why.
async fn cannot_store(server: &Server, cure: &str) {
    for _ in 0..3 {
        let asked = Instant::now();
        let answer = server.sender.post(&[alert(1 << 40, Target::Website, "firing", 0)]).await;
        assert_eq!(answer, Some(StatusCode::SERVICE_UNAVAILABLE));
        assert!(asked.elapsed() < A_FEW_SECONDS, "it took {:?}", asked.elapsed());
    }
    server.comes_to_be(StatusCode::SERVICE_UNAVAILABLE).await;
    // A repeat of what is stored needs no write, and does not show that one would succeed.
    let repeat = server.sender.post(&[alert(0, Target::Database, "firing", 0)]).await;
    assert_eq!(repeat, Some(StatusCode::OK));
    server.comes_to_be(StatusCode::SERVICE_UNAVAILABLE).await;
    let said = server.process.stderr();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(BROKEN)).collect();
    assert!(matches!(lines[..], [line] if line.contains(cure)), "{said}");
}

/// Without anybody's doing; the alert of this number is taken at last.
async fn goes_on(server: &Server, number: u64) {
    server.comes_to_be(StatusCode::OK).await;
    server.sender.post_until_taken(&[alert(number, Target::Website, "firing", 0)]).await;
    assert_eq!((server.lines_with(BROKEN), server.lines_with(WHOLE)), (1, 1), "{}", server.process.stderr());
}

async fn both_are_down(site: &Site) {
    let expected = [
        "Database: Major outage",
        "Website: Major outage",
        "Database is down: Investigating",
        "Website is down: Investigating",
    ];
    site.page.comes_to_show(&expected).await;
}

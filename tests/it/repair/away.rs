//! A server that Alertmanager cannot reach for a while, or that cannot store.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use super::site::{GREEN, INSTANCES, RED, Setting, Site};
use crate::support::alertmanager::{Alertmanager, SILENT};

/// What the page knows of the targets while these are down.
fn down(instances: &[&str]) -> Vec<String> {
    let line = |instance: &&str| match instances.contains(instance) {
        true => format!("{instance} | Web: Major outage (critical: no; TargetDown)"),
        false => format!("{instance} | Web: Operational (critical: no; no alerts)"),
    };
    INSTANCES.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_and_what_ended_while_the_server_was_away_is_told_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let mut site = Site::start(Setting::default()).await;
    alertmanager.reload(&site.receiver(0)).await;
    alertmanager.fire(&["web-1", "web-2"], "Web").await;
    site.page.comes_to_know(&down(&["web-1", "web-2"])).await;

    site.server.end().await;
    alertmanager.resolve(&["web-1"], "Web").await;
    alertmanager.fire(&["web-3"], "Web").await;
    alertmanager.could_not_post("connection refused").await;
    site.start_again().await;
    site.page.comes_to_know(&down(&["web-2", "web-3"])).await;
    site.page.comes_to_show(&["Web: Partial outage"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_503_is_told_again_until_it_is_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let site = Site::start(Setting::default()).await;
    alertmanager.reload(&site.receiver(0)).await;
    alertmanager.fire(&INSTANCES[..1], "Web").await;
    site.page.comes_to_know(&down(&["web-1"])).await;

    let mut other = SqliteConnectOptions::new().filename(site.store()).connect().await.expect("a connection");
    // The server may be writing.
    other.execute("PRAGMA busy_timeout = 30000").await.expect("set");
    other.execute("BEGIN EXCLUSIVE").await.expect("locked");
    alertmanager.fire(&INSTANCES, "Web").await;
    alertmanager.could_not_post("503").await;
    other.execute("ROLLBACK").await.expect("unlocked");
    site.page.comes_to_show(&RED).await;
    alertmanager.resolve(&INSTANCES, "Web").await;
    site.page.comes_to_show(&GREEN).await;
}

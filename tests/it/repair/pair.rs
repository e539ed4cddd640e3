//! A pair of Alertmanagers that know each other and both post.

use super::site::{GREEN, INSTANCES, RED, Setting, Site};
use crate::support::alertmanager::{Alertmanager, SILENT};

/// Both post to the server, and all of `Web` is down.
async fn outage(site: &Site, pair: &[Alertmanager; 2]) {
    for member in pair {
        member.reload(&site.receiver(0)).await;
    }
    for member in pair {
        member.fire(&INSTANCES, "Web").await;
    }
    site.page.comes_to_show(&RED).await;
}

/// The second one learns of the end later, and posts meanwhile what it believes: the alert fires, as it did before.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_echo_of_the_other_member_does_not_turn_the_page_red_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Alertmanager::start_pair(folder.path(), SILENT).await;
    let site = Site::start(Setting::default()).await;
    outage(&site, &pair).await;

    pair[0].resolve(&INSTANCES, "Web").await;
    site.page.comes_to_show(&GREEN).await;
    let told = site.notifications().len();
    // Echo, and what follows it.
    site.is_notified(told, true).await;
    pair[1].resolve(&INSTANCES, "Web").await;
    site.is_notified(told + 1, false).await;
    site.page.comes_to_show(&GREEN).await;
    assert_eq!(site.statuses().iter().filter(|status| *status == "1 (Operational)").count(), 1);
    assert_eq!(site.statuses().last().map(String::as_str), Some("1 (Operational)"));
}

/// Of two Prometheus servers that notice a failure at different times, Alertmanager may hear the later one first, and
/// then takes the beginning of the earlier one.
#[tokio::test(flavor = "multi_thread")]
async fn what_two_prometheus_servers_noticed_at_different_times_ends_once_for_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let site = Site::start(Setting::default()).await;
    alertmanager.reload(&site.receiver(0)).await;
    alertmanager.fire_later(1, &INSTANCES, "Web").await;
    site.page.comes_to_show(&RED).await;

    alertmanager.fire(&INSTANCES, "Web").await;
    alertmanager.resolve(&INSTANCES, "Web").await;
    site.page.comes_to_show(&GREEN).await;
    let said = site.server.stdout();
    let end = said.lines().rfind(|line| line.starts_with("[WEBHOOK_REQUEST]")).expect("a notification");
    assert!(end.contains("2026-01-01T00:00:00Z") && !end.contains("2026-01-01T00:01:00Z"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pair_one_may_die_in_an_outage_and_the_other_tells_of_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pair = Alertmanager::start_pair(folder.path(), SILENT).await;
    let site = Site::start(Setting { alertmanagers: &[&pair[0], &pair[1]], ..Setting::default() }).await;
    outage(&site, &pair).await;

    pair[0].stop().await;
    site.reads_again(3).await;
    site.page.comes_to_show(&RED).await;
    pair[1].resolve(&INSTANCES, "Web").await;
    site.page.comes_to_show(&GREEN).await;
}

/// Alertmanager's list confirms what the echo says as long as one of them believes it, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_lists_of_both_the_page_is_right_when_both_know_of_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = Alertmanager::start_pair(folder.path(), SILENT).await;
    let site = Site::start(Setting { alertmanagers: &[&pair[0], &pair[1]], ..Setting::default() }).await;
    outage(&site, &pair).await;
    for member in &pair {
        member.resolve(&INSTANCES, "Web").await;
    }
    site.page.comes_to_show(&GREEN).await;
    site.reads_again(3).await;
    site.page.comes_to_show(&GREEN).await;
}

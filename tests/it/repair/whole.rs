//! One Alertmanager, which silences, inhibits, cuts off, and is started again.

use tempfile::TempDir;

use super::site::{GREEN, INSTANCES, NETWORK, NEVER_SECONDS, RED, Setting, Site};
use crate::support::alertmanager::{Alertmanager, SILENT};

/// While something is about the network, what is about the web is not told.
const INHIBITED: &str = r#"
inhibit_rules:
  - source_matchers: [status_page_component="Network"]
    target_matchers: [status_page_component="Web"]
"#;

/// What the incident of the watchdog says in the end, if nothing else is configured.
const BACK: &str = "Our monitoring reports again, and this page shows the status of our services.";

async fn alertmanager() -> (Alertmanager, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Alertmanager::start(folder.path(), SILENT).await, folder)
}

/// The server beside an Alertmanager that posts to it, and all of `Web` is down.
async fn outage(setting: Setting<'_>, alertmanager: &Alertmanager) -> Site {
    let site = Site::start(Setting { alertmanagers: &[alertmanager], ..setting }).await;
    alertmanager.reload(&site.receiver(0)).await;
    alertmanager.fire(&INSTANCES, "Web").await;
    site.page.comes_to_show(&RED).await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_ends_while_it_is_silenced_leaves_the_page() {
    let (alertmanager, _folder) = alertmanager().await;
    let site = Site::start(Setting { alertmanagers: &[&alertmanager], ..Setting::default() }).await;
    alertmanager.reload(&site.receiver(0)).await;
    alertmanager.fire(&["web-1"], "Web").await;
    site.page.comes_to_show(&["Web: Partial outage"]).await;

    alertmanager.silence("web-1").await;
    alertmanager.resolve(&["web-1"], "Web").await;
    site.page.comes_to_show(&["Web: Operational"]).await;
    site.has_repaired(r#""TargetDown" of "web-1 | Web" has ended"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_that_ends_before_its_alert_has_changed_nothing() {
    let (alertmanager, _folder) = alertmanager().await;
    let site = outage(Setting::default(), &alertmanager).await;
    let before = site.statuses();
    let silence = alertmanager.silence("web-1").await;
    site.reads_again(3).await;
    alertmanager.unsilence(&silence, "web-1").await;
    site.reads_again(3).await;
    site.page.comes_to_show(&RED).await;
    assert_eq!(site.statuses(), before);
    alertmanager.resolve(&INSTANCES, "Web").await;
    site.page.comes_to_show(&GREEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_ends_while_it_is_inhibited_leaves_the_page() {
    let (alertmanager, _folder) = alertmanager().await;
    let setting = Setting { components: &["Network", "Web"], alertmanagers: &[&alertmanager], ..Setting::default() };
    let site = Site::start(setting).await;
    alertmanager.reload(&format!("{}{INHIBITED}", site.receiver(0))).await;
    alertmanager.fire(&["web-1"], "Web").await;
    site.page.comes_to_show(&["Network: Operational", "Web: Partial outage"]).await;

    alertmanager.fire(&[NETWORK], "Network").await;
    alertmanager.comes_to_be("web-1", "suppressed").await;
    // One that is inhibited from its beginning is not put on the page.
    alertmanager.fire(&["web-2"], "Web").await;
    site.reads_again(3).await;
    let network = "Network is down: Investigating";
    site.page.comes_to_show(&["Network: Major outage", "Web: Partial outage", network]).await;

    alertmanager.resolve(&["web-1", "web-2"], "Web").await;
    site.page.comes_to_show(&["Network: Major outage", "Web: Operational", network]).await;
    assert_eq!(site.statuses(), ["3 (Partial Outage)", "1 (Operational)"]);
    alertmanager.resolve(&[NETWORK], "Network").await;
    let network = "Network is down: Fixed (It works again.)";
    site.page.comes_to_show(&["Network: Operational", "Web: Operational", network]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_is_started_again_in_an_outage_does_not_end_it_with_its_empty_list() {
    for its_files_are_lost in [false, true] {
        let (mut alertmanager, _folder) = alertmanager().await;
        let site = outage(Setting { settle_seconds: NEVER_SECONDS, ..Setting::default() }, &alertmanager).await;
        let before = site.statuses();
        if its_files_are_lost {
            alertmanager.restart_empty().await;
        } else {
            alertmanager.restart().await;
        }
        site.reads_again(3).await;
        let told = site.notifications().len();
        alertmanager.fire(&INSTANCES, "Web").await;
        alertmanager.comes_to_know(INSTANCES.len()).await;
        if its_files_are_lost {
            site.is_notified(told + 1, true).await;
        }
        site.page.comes_to_show(&RED).await;
        assert_eq!(site.statuses(), before);
        alertmanager.resolve(&INSTANCES, "Web").await;
        site.page.comes_to_show(&GREEN).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_alertmanager_was_away_leaves_the_page_once_it_knows_again_what_fires() {
    let (mut alertmanager, _folder) = alertmanager().await;
    let site = outage(Setting { settle_seconds: 3, ..Setting::default() }, &alertmanager).await;
    alertmanager.restart_empty().await;
    alertmanager.fire(&["web-1"], "Web").await;
    site.has_repaired(r#""TargetDown" of "web-5 | Web" has ended"#).await;
    let partly = "Web is down: Fixed (Most of it works again.)";
    site.page.comes_to_show(&["Web: Partial outage", partly]).await;
    alertmanager.resolve(&["web-1"], "Web").await;
    site.page.comes_to_show(&["Web: Operational", partly]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fired_while_the_server_was_away_is_on_the_page_when_it_is_back() {
    let (alertmanager, _folder) = alertmanager().await;
    alertmanager.fire(&INSTANCES, "Web").await;
    alertmanager.comes_to_know(INSTANCES.len()).await;
    let setting = Setting { alertmanagers: &[&alertmanager], poll_seconds: NEVER_SECONDS, ..Setting::default() };
    let mut site = Site::start(setting).await;
    site.page.comes_to_show(&RED).await;
    site.has_repaired(r#""TargetDown" of "web-5 | Web" fires: Alertmanager lists it"#).await;
    assert_eq!(site.server.end().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_were_cut_off_are_looked_up_at_once() {
    let (alertmanager, _folder) = alertmanager().await;
    let setting = Setting { alertmanagers: &[&alertmanager], poll_seconds: NEVER_SECONDS, ..Setting::default() };
    let mut site = Site::start(setting).await;
    // From here on, only a notification makes it read again.
    site.server.tells("Alertmanager was read").await;
    alertmanager.reload(&site.receiver(2)).await;
    alertmanager.fire(&INSTANCES, "Web").await;
    site.page.comes_to_show(&RED).await;
    site.has_repaired(r#""TargetDown" of "#).await;
}

/// Alertmanager lists the watchdog for long, and goes on notifying of what it lists; Prometheus sent it once.
#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_only_remembers_the_watchdog_does_not_vouch_for_prometheus() {
    let (alertmanager, _folder) = alertmanager().await;
    alertmanager.watchdog().await;
    let (alertmanagers, watchdog) = (&[&alertmanager], r#""watchdog": {"timeout_seconds": 3},"#);
    let site = Site::start(Setting { alertmanagers, watchdog, ..Setting::default() }).await;
    let silent = ["Web: Unknown", "Monitoring data is missing: Investigating"];
    site.page.comes_to_show(&silent).await;
    alertmanager.comes_to_know(1).await;
    site.page.comes_to_show(&silent).await;
    let fixed = format!("Monitoring data is missing: Fixed ({BACK})");
    let heard = ["Web: Operational", &fixed];
    tokio::select! {
        () = alertmanager.watchdog_for_ever() => {}
        () = site.page.comes_to_show(&heard) => {}
    }
}

/// Nothing but notifications, as where Alertmanager's API cannot be reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_that_is_notified_often_enough_is_heard_and_a_resolved_one_is_missed() {
    let (alertmanager, _folder) = alertmanager().await;
    let watchdog = r#""watchdog": {"timeout_seconds": 4},"#;
    let site = Site::start(Setting { watchdog, ..Setting::default() }).await;
    let silent = ["Web: Unknown", "Monitoring data is missing: Investigating"];
    site.page.comes_to_show(&silent).await;
    alertmanager.reload(&site.receiver(0).replace("repeat_interval: 1h", "repeat_interval: 1s")).await;
    alertmanager.watchdog().await;
    let fixed = format!("Monitoring data is missing: Fixed ({BACK})");
    site.page.comes_to_show(&["Web: Operational", &fixed]).await;
    alertmanager.watchdog_ends().await;
    // Within ten minutes it is the same incident.
    let relapsed =
        format!("Monitoring data is missing: Investigating ({BACK} It happened again. We are investigating.)");
    site.page.comes_to_show(&["Web: Unknown", &relapsed]).await;
}

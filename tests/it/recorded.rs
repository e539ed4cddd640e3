//! Every recorded notification, and the page that it must give: one test a trap, named after it.
//!
//! The way is the server's: parsed, stored, read back, judged at a moment. Alerts that were recorded without the labels
//! of the status page get them; what the server makes of them as they are is seen with the webhook.

mod laws;
mod story;

use std::time::Duration;

use alertmanager_cachet::core::alert::Effect;
use alertmanager_cachet::core::notification::{IgnoreReason, Notification};
use alertmanager_cachet::core::page::DesiredTarget;

use self::story::{REFIRE_DELAY, Story};
use crate::support::recordings::{files, generated, notifications};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn no_recording_is_left_out() {
    // Looks for the names in this very text: a list beside the tests would not know which of them are told.
    let tests = include_str!("recorded.rs");
    let left_out: Vec<String> = files().into_iter().filter(|file| !tests.contains(&format!("{file:?}"))).collect();
    assert_eq!(left_out, Vec::<String>::new());
}

#[tokio::test]
async fn a_target_that_fails_is_down_until_its_alert_resolves() {
    let mut story = Story::about(&["10.0.0.5:9100 | Database"]).await;
    story.hears("01-single-firing.json", &["at 0 s Fired: Database is 3 (Partial Outage), down: 10.0.0.5:9100"]).await;
    story.hears("02-single-resolved.json", &["at 98 s Resolved: Database is 1 (Operational)"]).await;
}

#[tokio::test]
async fn a_receiver_that_was_out_hears_an_old_firing_after_its_end_and_shows_it_never() {
    let mut story = Story::about(&["10.0.0.5:9100 | Database"]).await;
    story.hears("02-single-resolved.json", &["at 0 s ResolvedUnknown: Database is 1 (Operational)"]).await;
    story.hears("01-single-firing.json", &["at 0 s Refired: Database is 1 (Operational)"]).await;
    story.hears("02-single-resolved.json", &["at 0 s RefireWithdrawn: Database is 1 (Operational)"]).await;
    story.waits(A_DAY);
    assert_eq!(story.shows().await, "Database is 1 (Operational)");
}

#[tokio::test]
async fn a_group_that_grows_is_listed_anew_and_only_its_new_alert_changes_the_page() {
    let targets = ["db-1:9100 | Database", "db-2:9100 | Database", "db-3:9100 | Database", "db-4:9100 | Database"];
    let mut story = Story::about(&targets).await;
    story
        .hears(
            "03-group3-firing.json",
            &["at 0 s Fired, Fired, Fired: Database is 3 (Partial Outage), down: db-1:9100, db-2:9100, db-3:9100"],
        )
        .await;
    story
        .hears(
            "03b-group4-firing.json",
            &["at 97 s Repeated, Repeated, Repeated, Fired: \
               Database is 3 (Partial Outage), down: db-1:9100, db-2:9100, db-3:9100, db-4:9100"],
        )
        .await;
}

#[tokio::test]
async fn in_a_mixed_group_each_alert_speaks_for_itself() {
    let mut story = Story::about(&["web-1:443 | Database", "web-2:443 | Database", "web-3:443 | Database"]).await;
    story
        .hears(
            "04-mixed.json",
            &["at 0 s Fired, ResolvedUnknown, Fired: \
               Database is 3 (Partial Outage), down: web-1:443, web-3:443"],
        )
        .await;
    story.hears("04b-mixed-rest-resolved.json", &["at 20 s Resolved, Resolved: Database is 1 (Operational)"]).await;
}

/// What is cut off is not known: the page shows what was listed, and the notification says how much is missing.
#[tokio::test]
async fn of_a_truncated_group_the_listed_alerts_count_and_the_others_may_come_and_go_unheard() {
    let targets: Vec<String> = (1..=5).map(|number| format!("cache-{number}:6379 | Database")).collect();
    let mut story = Story::about(&targets.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = story
        .hears(
            "05-truncated-firing.json",
            &["at 0 s Fired, Fired: Database is 3 (Partial Outage), down: cache-1:6379, cache-2:6379"],
        )
        .await;
    let second = story
        .hears(
            "05b-truncated-one-resolved.json",
            &["at 0 s Repeated, Repeated: Database is 3 (Partial Outage), down: cache-1:6379, cache-2:6379"],
        )
        .await;
    assert_eq!(first[0].truncated_alerts, 3);
    assert_eq!(second[0].truncated_alerts, 3);
}

#[tokio::test]
async fn a_repeat_changes_nothing() {
    let mut story = Story::about(&["rep-1:9100 | Database"]).await;
    story.hears("06-repeat-1.json", &["at 0 s Fired: Database is 3 (Partial Outage), down: rep-1:9100"]).await;
    let page = story.page().await;
    story.waits(Duration::from_secs(6));
    story.hears("06b-repeat-2.json", &["at 6 s Repeated: Database is 3 (Partial Outage), down: rep-1:9100"]).await;
    assert_eq!(story.page().await, page);
}

#[tokio::test]
async fn an_alert_without_an_instance_is_about_no_target_and_ignored_with_that_reason() {
    let mut story = Story::about(&["backup:9100 | Backend"]).await;
    for file in ["07-no-instance-firing.json", "07b-no-instance-resolved-by-expiry.json"] {
        let body = notifications(file).remove(0);
        let (notification, effects) = story.hear(&body).await;
        assert_eq!(effects, []);
        assert_eq!(reasons(&notification), [("BackupStale", &IgnoreReason::NoInstance)]);
        assert_eq!(story.shows().await, "Backend is 1 (Operational)");
    }
}

#[tokio::test]
async fn an_alert_that_expired_and_truly_fires_again_with_its_old_start_is_shown_after_the_refire_delay() {
    let mut story = Story::about(&["backup:9100 | Backend"]).await.with_label("instance", "backup:9100");
    let firing = "07-no-instance-firing.json";
    story.hears(firing, &["at 0 s Fired: Backend is 3 (Partial Outage), down: backup:9100"]).await;
    story.hears("07b-no-instance-resolved-by-expiry.json", &["at 390 s Resolved: Backend is 1 (Operational)"]).await;
    story.waits(Duration::from_secs(60));
    story.hears(firing, &["at 450 s Refired: Backend is 1 (Operational)"]).await;
    story.waits(Duration::from_secs(60));
    story.hears(firing, &["at 510 s Repeated: Backend is 1 (Operational)"]).await;
    let revisit_at = story.page().await.revisit_at.expect("the moment at which the refire delay ends");
    story.waits(REFIRE_DELAY - Duration::from_secs(61));
    assert_eq!(story.shows().await, "Backend is 1 (Operational)");
    story.waits(Duration::from_secs(1));
    assert_eq!(story.now(), revisit_at);
    assert_eq!(story.shows().await, "Backend is 3 (Partial Outage), down: backup:9100");
}

#[tokio::test]
async fn labels_hold_anything_and_component_names_come_out_as_they_went_in() {
    let target = "høst-ü.example:9100 | Datenbank, Büro & <b>Web</b>, 日本語, 🚨";
    let mut story = Story::about(&[target]).await;
    story
        .hears(
            "08-unicode-firing.json",
            &["at 0 s Fired: \
               Büro & <b>Web</b> is 3 (Partial Outage), down: høst-ü.example:9100; \
               Datenbank is 3 (Partial Outage), down: høst-ü.example:9100; \
               日本語 is 3 (Partial Outage), down: høst-ü.example:9100; \
               🚨 is 3 (Partial Outage), down: høst-ü.example:9100"],
        )
        .await;
    assert_eq!(down(&story).await, [(target.to_owned(), "critical: no\nTargetDown".to_owned())]);
}

#[tokio::test]
async fn what_prometheus_scrapes_a_critical_target_and_one_beside_it_go_down_and_come_back() {
    let critical = "127.0.0.1:9201 | Database, Backend";
    let mut story = Story::about(&[critical, "127.0.0.1:9202 | Backend"]).await.with_critical(critical);
    story
        .hears(
            "09-prometheus-target-down-firing.json",
            &["at 0 s Fired: \
               Backend is 4 (Outage), down: 127.0.0.1:9201; \
               Database is 4 (Outage), down: 127.0.0.1:9201"],
        )
        .await;
    story
        .hears(
            "09b-prometheus-two-targets-firing.json",
            &["at 9 s Repeated, Fired: \
               Backend is 4 (Outage), down: 127.0.0.1:9201, 127.0.0.1:9202; \
               Database is 4 (Outage), down: 127.0.0.1:9201"],
        )
        .await;
    story
        .hears(
            "09c-prometheus-resolved.json",
            &["at 15 s Resolved, Resolved: Backend is 1 (Operational); Database is 1 (Operational)"],
        )
        .await;
}

#[tokio::test]
async fn an_aggregate_is_about_no_target_and_ignored_with_that_reason() {
    let mut story = Story::about(&["127.0.0.1:9201 | Database, Backend"]).await;
    let green = "Backend is 1 (Operational); Database is 1 (Operational)";
    let firing =
        story.hears("09d-prometheus-aggregate-no-instance-firing.json", &[&format!("at 0 s nothing: {green}")]).await;
    let resolved = story.hears("09e-prometheus-aggregate-resolved.json", &[&format!("at 15 s nothing: {green}")]).await;
    let no_instance = ("StatusPageAggregate", &IgnoreReason::NoInstance);
    assert_eq!(reasons(&firing[0]), [no_instance]);
    assert_eq!(reasons(&resolved[0]), [no_instance; 2]);
}

#[tokio::test]
async fn an_ha_pair_that_agrees_tells_everything_once() {
    let critical = "127.0.0.1:9201 | Database, Backend";
    let mut story = Story::about(&[critical, "127.0.0.1:9202 | Backend"]).await.with_critical(critical);
    let one_down = "Backend is 4 (Outage), down: 127.0.0.1:9201; Database is 4 (Outage), down: 127.0.0.1:9201";
    let both_down = "Backend is 4 (Outage), down: 127.0.0.1:9201, 127.0.0.1:9202; \
                     Database is 4 (Outage), down: 127.0.0.1:9201";
    let green = "Backend is 1 (Operational); Database is 1 (Operational)";
    story
        .hears(
            "10-ha-pair-normal.json",
            &[
                &format!("at 0 s Fired: {one_down}"),
                &format!("at 0 s nothing: {one_down}"),
                &format!("at 10 s Repeated, Fired: {both_down}"),
                &format!("at 10 s nothing: {both_down}"),
                &format!("at 15 s Resolved, Resolved: {green}"),
                &format!("at 15 s nothing: {green}"),
            ],
        )
        .await;
}

const HA_ECHO: &str = "10b-ha-pair-stale-firing-after-resolved.json";

#[tokio::test]
async fn the_echo_of_an_ha_pair_never_turns_the_page_red_again() {
    let mut story = Story::about(&["h:3 | Database"]).await;
    story
        .hears(
            HA_ECHO,
            &[
                "at 0 s Fired: Database is 3 (Partial Outage), down: h:3",
                "at 45 s Resolved: Database is 1 (Operational)",
                "at 60 s Refired: Database is 1 (Operational)",
                "at 75 s RefireWithdrawn: Database is 1 (Operational)",
            ],
        )
        .await;
    assert_eq!(story.page().await.revisit_at, None);
    story.waits(A_DAY);
    assert_eq!(story.shows().await, "Database is 1 (Operational)");
}

#[tokio::test]
async fn an_echo_that_nobody_takes_back_is_green_in_every_second_of_the_refire_delay_and_then_believed() {
    let mut story = Story::about(&["h:3 | Database"]).await;
    let bodies = notifications(HA_ECHO);
    for (body, effect) in bodies[..3].iter().zip([Effect::Fired, Effect::Resolved, Effect::Refired]) {
        assert_eq!(story.hear(body).await.1, [effect]);
    }
    for _ in 0..REFIRE_DELAY.as_secs() {
        assert_eq!(story.shows().await, "Database is 1 (Operational)");
        story.waits(Duration::from_secs(1));
    }
    assert_eq!(story.shows().await, "Database is 3 (Partial Outage), down: h:3");
}

#[tokio::test]
async fn a_duplicate_resolve_whose_end_differs_by_a_millisecond_changes_nothing() {
    let mut story = Story::about(&["h:3 | Database"]).await;
    let bodies = notifications(HA_ECHO);
    let effects = [Effect::Fired, Effect::Resolved, Effect::Repeated];
    for (body, effect) in [&bodies[0], &bodies[1], &bodies[3]].into_iter().zip(effects) {
        assert_eq!(story.hear(body).await.1, [effect]);
    }
    assert_eq!(story.shows().await, "Database is 1 (Operational)");
}

/// `s:1` is rightly down for SilA. SilB ended while it was silenced, of which Alertmanager never tells: only a look
/// into its API could know.
#[tokio::test]
async fn an_alert_that_resolves_while_silenced_stays_on_the_page() {
    let mut story = Story::about(&["s:1 | Database", "s:2 | Database"]).await;
    let both_down = "Database is 3 (Partial Outage), down: s:1, s:2";
    let one_down = "Database is 3 (Partial Outage), down: s:1";
    story
        .hears(
            "11-silenced.json",
            &[
                &format!("at 0 s Fired, Fired: {both_down}"),
                &format!("at 0 s Fired: {both_down}"),
                &format!("at 0 s Fired: {both_down}"),
                &format!("at 0 s Fired: {both_down}"),
                // The group says "resolved" and leaves out what is silenced and fires: only its alerts count.
                &format!("at 20 s Resolved: {one_down}"),
                &format!("at 35 s Repeated: {one_down}"),
                &format!("at 45 s Resolved: {one_down}"),
                &format!("at 45 s Resolved: {one_down}"),
            ],
        )
        .await;
    story.waits(A_DAY);
    assert_eq!(down(&story).await, [("s:1 | Database".to_owned(), "critical: no\nSilA, SilB".to_owned())]);
}

/// `i:2` is rightly down. `i:1` is not any more, of which Alertmanager never tells.
#[tokio::test]
async fn an_alert_that_resolves_while_inhibited_stays_on_the_page() {
    let mut story = Story::about(&["i:1 | Database", "i:2 | Database"]).await;
    let both_down = "Database is 3 (Partial Outage), down: i:1, i:2";
    story
        .hears(
            "11b-inhibited.json",
            &[
                &format!("at 0 s Fired, Fired: {both_down}"),
                &format!("at 12 s Fired: {both_down}"),
                &format!("at 47 s Resolved: {both_down}"),
            ],
        )
        .await;
    story.waits(A_DAY);
    assert_eq!(
        down(&story).await,
        [
            ("i:1 | Database".to_owned(), "critical: no\nInhWarn".to_owned()),
            ("i:2 | Database".to_owned(), "critical: no\nInhWarn".to_owned()),
        ]
    );
}

#[tokio::test]
async fn how_alertmanager_proves_itself_changes_nothing_in_what_it_says() {
    let mut story = Story::about(&["sec-1:9100 | Database", "sec-2:9100 | Database"]).await;
    story.hears("12-basic-auth.json", &["at 0 s Fired: Database is 3 (Partial Outage), down: sec-1:9100"]).await;
    story
        .hears("12b-bearer-auth.json", &["at 0 s Fired: Database is 3 (Partial Outage), down: sec-1:9100, sec-2:9100"])
        .await;
}

#[tokio::test]
async fn a_thousand_alerts_in_one_notification_are_a_thousand_targets_down() {
    let mut story = Story::about(&["known:9100 | Database, Backend"]).await;
    let body = generated(1000);
    let (_, effects) = story.hear(&body).await;
    assert_eq!(effects, [Effect::Fired; 1000]);
    let page = story.page().await;
    for component in page.components.values() {
        // With the one that is known and its bystander, which are up.
        assert_eq!((component.status.value(), component.targets.len()), (3, 1002));
    }
    assert_eq!(page.targets.values().filter(|target| target.is_down()).count(), 1000);
    let (_, effects) = story.hear(&body).await;
    assert_eq!(effects, [Effect::Repeated; 1000]);
    assert_eq!(story.page().await, page);
}

#[tokio::test]
async fn after_a_flap_between_two_flushes_the_resolve_of_the_second_start_ends_the_first() {
    let mut story = Story::about(&["f:1 | Database"]).await;
    story
        .hears(
            "16-flap-within-group-interval.json",
            &[
                "at 0 s Fired: Database is 3 (Partial Outage), down: f:1",
                "at 120 s Resolved: Database is 1 (Operational)",
            ],
        )
        .await;
}

const OUTAGE: &str = "18-fired-and-resolved-during-outage.json";

#[tokio::test]
async fn what_fired_and_resolved_while_nothing_could_be_stored_never_was_on_the_page() {
    let mut story = Story::about(&["m:1 | Database"]).await;
    story.is_deaf_to(OUTAGE).await;
    assert_eq!(story.shows().await, "Database is 1 (Operational)");
}

#[tokio::test]
async fn a_notification_that_is_sent_until_it_is_stored_is_one_firing() {
    let mut story = Story::about(&["m:1 | Database"]).await;
    let red = "Database is 3 (Partial Outage), down: m:1";
    let again = |second: u32| format!("at {second} s Repeated: {red}");
    let first = format!("at 0 s Fired: {red}");
    story.hears(OUTAGE, &[&first, &again(0), &again(1), &again(2), &again(4), &again(7)]).await;
}

#[tokio::test]
async fn an_alert_that_comes_by_two_routes_is_one_alert() {
    let mut story = Story::about(&["c:1 | Database"]).await;
    let file = "19-continue-route-group-by-all.json";
    story.hears(file, &["at 0 s Fired: Database is 3 (Partial Outage), down: c:1"]).await;
    let other_route = notifications(file).remove(0).replace("\"ci\"", "\"other\"");
    assert_eq!(story.hear(&other_route).await.1, [Effect::Repeated]);
}

#[tokio::test]
async fn a_newer_alertmanager_says_the_same() {
    let mut story = Story::about(&["x:1 | Database"]).await;
    story.hears("20-am028-firing.json", &["at 0 s Fired: Database is 3 (Partial Outage), down: x:1"]).await;
    story.hears("20b-am028-resolved.json", &["at 5 s Resolved: Database is 1 (Operational)"]).await;
}

/// The alerts that are left out, by name, each with its reason.
fn reasons(notification: &Notification) -> Vec<(&str, &IgnoreReason)> {
    notification.ignored.iter().map(|ignored| (ignored.alertname.as_str(), &ignored.reason)).collect()
}

/// The targets that are down, each with its description.
async fn down(story: &Story) -> Vec<(String, String)> {
    let described = |target: DesiredTarget| (target.target.name().as_str().to_owned(), target.description());
    story.page().await.targets.into_values().filter(DesiredTarget::is_down).map(described).collect()
}

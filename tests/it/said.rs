//! What is wrong is said once, and once that it is over.

use std::time::Duration;

use alertmanager_cachet::repair::Repairer;
use fake_cachet::Release;

use crate::repair::stepped::{INTERVAL, repairer};
use crate::support::alertmanager::{Alertmanager, SILENT};
use crate::support::said::Said;
use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] = &[("web-1", "Web", true), ("net-1", "Network", false)];

const NOTHING: [&str; 0] = [];

async fn world() -> World {
    World::set_up(Release::Current, WEB).await
}

/// It is time to read everything.
async fn goes(world: &mut World) {
    world.pass(world.settings.config.page.reconcile_interval);
    world.once().await;
}

async fn repairs(world: &World, repairer: &mut Repairer) {
    world.pass(INTERVAL);
    repairer.once().await;
}

/// As many lines as there are starts, each beginning so.
#[track_caller]
fn assert_begin(lines: &[String], starts: &[&str]) {
    let begin = lines.len() == starts.len() && lines.iter().zip(starts).all(|(line, start)| line.starts_with(start));
    assert!(begin, "{lines:#?} do not begin with {starts:#?}");
}

#[track_caller]
fn the_only(said: &Said) -> String {
    let mut lines = said.news();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

#[tokio::test]
async fn of_each_alertmanager_that_cannot_be_read_and_of_all_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Alertmanager::start(&folder.path().join("first"), SILENT).await;
    let mut second = Alertmanager::start(&folder.path().join("second"), SILENT).await;
    let (world, said) = (world().await, Said::listen());
    let addresses = [first.url(""), second.url("")];
    let [one, other] = addresses.each_ref().map(|address| format!("WARN Alertmanager {address}: "));
    let [one_back, other_back] = addresses.each_ref().map(|address| format!("INFO Alertmanager {address} can be read"));
    let members = || vec![first.member(), second.member()];
    let (mut early, mut late) =
        (repairer(&world, members(), Duration::ZERO), repairer(&world, members(), Duration::ZERO));

    first.stop().await;
    repairs(&world, &mut early).await;
    assert_begin(&said.news(), &[&one]);
    second.stop().await;
    repairs(&world, &mut late).await;
    let mut expected = [one.as_str(), other.as_str()];
    expected.sort_unstable();
    assert_begin(&said.news(), &[expected[0], expected[1], "ERROR no Alertmanager can be read: only notifications"]);
    repairs(&world, &mut late).await;
    assert_eq!(said.news(), NOTHING);
    for (alertmanager, back) in [(&mut second, &other_back), (&mut first, &one_back)] {
        alertmanager.start_again().await;
        repairs(&world, &mut late).await;
        assert_begin(&said.news(), &[back]);
        repairs(&world, &mut late).await;
        assert_eq!(said.news(), NOTHING);
    }
}

#[tokio::test]
async fn of_a_store_that_takes_no_repair() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let (world, said) = (world().await, Said::listen());
    let mut repairer = repairer(&world, vec![alertmanager.member()], Duration::ZERO);
    alertmanager.fire(&["web-1"], "Web").await;
    world.break_store("INSERT ON alerts").await;
    repairs(&world, &mut repairer).await;
    assert_begin(&said.news(), &["ERROR the alert sync cannot correct alerts: "]);
    repairs(&world, &mut repairer).await;
    assert_eq!(said.news(), NOTHING);
    world.heal_store().await;
    repairs(&world, &mut repairer).await;
    assert_begin(
        &said.news(),
        &["INFO repaired: \"TargetDown\" of \"web-1 | Web\" ", "INFO the alert sync can correct alerts again"],
    );
    repairs(&world, &mut repairer).await;
    assert_eq!(said.news(), NOTHING);
}

#[tokio::test]
async fn of_a_watchdog_that_is_missing() {
    let (mut world, said) = (world().await, Said::listen());
    world.watch();
    world.heartbeat().await;
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
    world.pass(Duration::from_secs(360));
    goes(&mut world).await;
    assert_begin(&said.news(), &["ERROR nothing was heard of the alert \"Watchdog\" since "]);
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
    world.heartbeat().await;
    goes(&mut world).await;
    assert_begin(&said.news(), &["INFO the alert \"Watchdog\" is heard again"]);
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
}

#[tokio::test]
async fn of_maintenance_that_cachet_does_not_tell() {
    let (mut world, said) = (world().await, Said::listen());
    goes(&mut world).await;
    world.faults.on("GET", "/api/schedules").answer(500);
    goes(&mut world).await;
    let line = the_only(&said);
    assert!(line.starts_with("WARN ") && line.contains("; the page is kept all the same"), "{line}");
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
    world.faults.heal();
    goes(&mut world).await;
    assert_begin(&said.news(), &["INFO the page tells again which maintenance is in progress"]);
}

#[tokio::test]
async fn of_what_cachet_does_not_take_and_of_a_cachet_that_takes_nothing() {
    let (mut world, said) = (world().await, Said::listen());
    goes(&mut world).await;
    world.faults.on("POST", "/api/incidents").answer(422);
    world.fire("web-1", "Web").await;
    goes(&mut world).await;
    let line = the_only(&said);
    assert!(line.starts_with("WARN ") && line.contains("; it is tried again"), "{line}");
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
    world.faults.heal();
    goes(&mut world).await;
    assert_begin(&said.news(), &["INFO resource is in sync again"]);

    world.faults.on("*", "/api/*").cut_before();
    goes(&mut world).await;
    let line = the_only(&said);
    assert!(line.starts_with("ERROR ") && line.contains("; nothing is lost, it is tried again"), "{line}");
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
    world.faults.heal();
    world.faults.on("*", "/api/*").answer(503);
    goes(&mut world).await;
    let line = the_only(&said);
    assert!(line.starts_with("ERROR ") && line.contains("503"), "another cause: {line}");
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING);
    world.faults.heal();
    goes(&mut world).await;
    assert_begin(&said.news(), &["INFO the page can be written again"]);
}

#[tokio::test]
async fn of_what_failed_and_need_not_be_written_any_more() {
    let (mut world, said) = (world().await, Said::listen());
    goes(&mut world).await;
    world.faults.on("POST", "/api/components").answer(422);
    let alert = world.fire("new-1", "Web").await;
    goes(&mut world).await;
    let line = the_only(&said);
    assert!(line.starts_with("WARN ") && line.contains("new-1 | Web"), "{line}");
    world.resolve(&alert).await;
    goes(&mut world).await;
    let line = the_only(&said);
    assert!(line.starts_with("INFO resource is in sync again") && line.contains("new-1 | Web"), "{line}");
}

#[tokio::test]
async fn of_a_page_that_was_there_before_and_of_a_clock_that_was_set_back() {
    let (mut world, said) = (world().await, Said::listen());
    goes(&mut world).await;
    assert_eq!(said.news(), NOTHING, "there was nothing to take over");
    world.set_back(Duration::from_secs(3600));
    world.once().await;
    assert_eq!(said.news(), NOTHING, "nothing was held");

    let alert = world.fire("web-1", "Web").await;
    world.resolve(&alert).await;
    world.tell(&alert).await;
    world.set_back(Duration::from_secs(3600));
    world.once().await;
    assert_begin(&said.news(), &["WARN the clock was set back: running delays start again"]);
    world.pass(world.settings.config.alerts.refire_delay);
    world.settle().await;
    assert_eq!(world.status("Web").await, 4, "it is held no longer than ever");

    world.lose_the_store().await;
    world.settle().await;
    let line = the_only(&said);
    assert!(
        line.contains("adopted alerts and incidents from the page") && line.contains("alerts=1 incidents=1"),
        "{line}"
    );
}

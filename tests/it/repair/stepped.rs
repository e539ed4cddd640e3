//! The repairer step by step, against real Alertmanagers.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::alertmanager::{Error, Member, members};
use alertmanager_cachet::config::AlertmanagerAccess;
use alertmanager_cachet::core::alert::{Alert, AlertStatus, Effect};
use alertmanager_cachet::core::config::Config;
use alertmanager_cachet::core::expiry::{ResolveRule, WatchdogSource};
use alertmanager_cachet::core::repair::Reason;
use alertmanager_cachet::core::watchdog::Watchdog;
use alertmanager_cachet::metrics::Metrics;
use alertmanager_cachet::repair::{Repairer, RunReport};
use alertmanager_cachet::settings::{Settings, SettingsInForce};
use alertmanager_cachet::store::Statements;
use axum::http::HeaderValue;
use fake_cachet::Release;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::support::alertmanager::{Alertmanager, SILENT, access};
use crate::support::metrics::value;
use crate::support::processes::{run, written};
use crate::support::world::{World, growing_stale, in_force, repairing, watched};

pub const INTERVAL: Duration = Duration::from_secs(60);

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(3600);

const NOTHING: [Reason; 0] = [];

/// An Alertmanager that inhibits whatever is about the component `Web` while something is about `Network`.
const INHIBITING: &str = r#"
route: {receiver: nobody}
receivers: [{name: nobody}]
inhibit_rules:
  - source_matchers: [status_page_component="Network"]
    target_matchers: [status_page_component="Web"]
"#;

async fn world() -> World {
    World::set_up(Release::Current, &[("web-1", "Web", true), ("net-1", "Network", false)]).await
}

pub fn repairer(world: &World, members: Vec<Member>, settle: Duration) -> Repairer {
    configured(world, in_force(repairing(members, INTERVAL, settle)))
}

fn configured(world: &World, settings: SettingsInForce) -> Repairer {
    Repairer::new(world.store.clone(), settings, world.clock(), world.wake(), CancellationToken::new())
}

/// An interval passes, and Alertmanager is read; the reconciler is woken for what was repaired.
async fn step(world: &World, repairer: &mut Repairer) -> RunReport {
    let wake = world.wake();
    // What it was told before is no news.
    let _ = wake.woken().now_or_never();
    world.pass(INTERVAL);
    let round = repairer.once().await;
    assert!(round.failure.is_none(), "{:?}", round.failure);
    assert_eq!(wake.woken().now_or_never().is_some(), !round.repairs.is_empty(), "{round:?}");
    round
}

fn reasons(round: &RunReport) -> Vec<Reason> {
    round.repairs.iter().map(|repair| repair.reason).collect()
}

#[tokio::test]
async fn a_silence_neither_reddens_nor_greens_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let mut world = world().await;
    let mut repairer = repairer(&world, vec![alertmanager.member()], Duration::ZERO);
    alertmanager.fire(&["web-1"], "Web").await;
    assert_eq!(reasons(&step(&world, &mut repairer).await), [Reason::Unnotified]);
    world.settle().await;
    assert_eq!(world.status("Web").await, 4);

    alertmanager.silence("web-1").await;
    alertmanager.fire(&["net-1"], "Network").await;
    alertmanager.silence("net-1").await;
    for _ in 0..3 {
        assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING);
    }
    world.settle().await;
    assert_eq!((world.status("Web").await, world.status("Network").await), (4, 1));

    alertmanager.resolve(&["web-1"], "Web").await;
    alertmanager.comes_to_know(1).await;
    assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING);
    assert_eq!(reasons(&step(&world, &mut repairer).await), [Reason::Unlisted]);
    world.settle().await;
    assert_eq!(world.status("Web").await, 1);
    assert_eq!(world.incidents().await, (0, 1));
}

#[tokio::test]
async fn an_inhibited_alert_is_not_put_on_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), INHIBITING).await;
    let mut world = world().await;
    let mut repairer = repairer(&world, vec![alertmanager.member()], Duration::ZERO);
    alertmanager.fire(&["net-1"], "Network").await;
    alertmanager.comes_to_know(1).await;
    alertmanager.fire(&["web-1"], "Web").await;
    alertmanager.comes_to_know(2).await;
    assert_eq!(reasons(&step(&world, &mut repairer).await), [Reason::Unnotified]);
    world.settle().await;
    assert_eq!((world.status("Web").await, world.status("Network").await), (1, 4));
}

#[tokio::test]
async fn the_empty_list_of_an_alertmanager_that_just_started_is_no_all_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let mut world = world().await;
    let mut patient = repairer(&world, vec![alertmanager.member()], LONG);
    alertmanager.fire(&["web-1"], "Web").await;
    assert_eq!(reasons(&step(&world, &mut patient).await), [Reason::Unnotified]);
    alertmanager.restart().await;
    for _ in 0..5 {
        let round = step(&world, &mut patient).await;
        assert!(round.repairs.is_empty() && round.unheard.is_empty(), "{round:?}");
    }
    world.settle().await;
    assert_eq!(world.status("Web").await, 4);

    let settle = Duration::from_secs(1);
    alertmanager.has_been_up_for(settle).await;
    let mut settled = repairer(&world, vec![alertmanager.member()], settle);
    assert_eq!(reasons(&step(&world, &mut settled).await), NOTHING);
    assert_eq!(reasons(&step(&world, &mut settled).await), [Reason::Unlisted]);
}

#[tokio::test]
async fn of_a_pair_what_either_lists_counts_and_one_is_enough_to_see_an_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Alertmanager::start(&folder.path().join("first"), SILENT).await;
    let second = Alertmanager::start(&folder.path().join("second"), SILENT).await;
    let world = world().await;
    let mut repairer = repairer(&world, vec![first.member(), second.member()], Duration::ZERO);
    first.fire(&["web-1"], "Web").await;
    second.fire(&["net-1"], "Network").await;
    assert_eq!(reasons(&step(&world, &mut repairer).await), [Reason::Unnotified; 2]);
    for _ in 0..3 {
        assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING);
    }

    first.stop().await;
    let round = step(&world, &mut repairer).await;
    assert_eq!(round.unheard.keys().collect::<Vec<_>>(), [&first.url("")]);
    assert!(round.repairs.is_empty());
    let ended = step(&world, &mut repairer).await;
    assert_eq!(reasons(&ended), [Reason::Unlisted]);
    assert_eq!(ended.repairs[0].record.target.instance(), "web-1");
}

#[tokio::test]
async fn each_reading_is_counted_by_how_it_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Alertmanager::start(&folder.path().join("first"), SILENT).await;
    let mut second = Alertmanager::start(&folder.path().join("second"), SILENT).await;
    let (world, metrics) = (world().await, Metrics::default());
    let repairer = repairer(&world, vec![first.member(), second.member()], Duration::ZERO);
    let mut repairer = repairer.measured_by(metrics.clone());
    let results = ["complete", "incomplete", "not_stored", "unheard"];
    for (number, result) in results.iter().enumerate() {
        match *result {
            "incomplete" => first.stop().await,
            "not_stored" => world.store.close().await,
            "unheard" => second.stop().await,
            _ => {}
        }
        repairer.once().await;
        let counts = results
            .map(|result| value(&metrics, world.now(), &format!("alertmanager_polls_total{{result=\"{result}\"}}")));
        let expected = [0, 1, 2, 3].map(|earlier| if earlier <= number { 1.0 } else { 0.0 });
        assert_eq!(counts, expected, "{result}");
    }
    assert_eq!(value(&metrics, world.now(), "alertmanager_members_unheard"), 2.0);
}

#[tokio::test]
async fn while_no_alertmanager_can_be_read_nothing_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let mut world = world().await;
    let mut repairer = repairer(&world, vec![alertmanager.member()], Duration::ZERO);
    world.fire("web-1", "Web").await;
    assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING, "unlisted for the first time");
    alertmanager.stop().await;
    let address = alertmanager.url("");
    let round = step(&world, &mut repairer).await;
    // The connection of before may be tried first.
    assert!(matches!(&round.unheard[&address], Error::Unreachable(_) | Error::NoAnswer(_)), "{round:?}");
    for _ in 0..2 {
        let round = step(&world, &mut repairer).await;
        assert!(matches!(&round.unheard[&address], Error::Unreachable(_)), "{round:?}");
    }
    world.settle().await;
    assert_eq!(world.status("Web").await, 4);
}

#[tokio::test]
async fn a_held_firing_is_believed_or_not_as_soon_as_alertmanager_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    let world = world().await;
    alertmanager.fire(&["web-1"], "Web").await;
    alertmanager.comes_to_know(1).await;
    let listed = alertmanager.member().hear(None, world.now()).await.expect("heard").listed.remove(0);
    let fires = listed.alert;
    let mut repairer = repairer(&world, vec![alertmanager.member()], Duration::ZERO);
    world.tell(&fires).await;
    assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING, "it is the same alert");

    for has_ended in [false, true] {
        if has_ended {
            alertmanager.resolve(&["web-1"], "Web").await;
            alertmanager.comes_to_know(0).await;
        }
        world.resolve(&fires).await;
        world.tell(&fires).await;
        let reason = if has_ended { Reason::Refuted } else { Reason::Confirmed };
        assert_eq!(reasons(&step(&world, &mut repairer).await), [reason]);
    }
}

#[tokio::test]
async fn a_guarded_alertmanager_is_read_with_a_password_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut alertmanager = Alertmanager::start(folder.path(), SILENT).await;
    for (arguments, name) in [
        ("-subj /CN=ca -keyout ca.key -out ca.pem", "a CA"),
        (
            "-subj /CN=am -keyout am.key -out am.pem -CA ca.pem -CAkey ca.key -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=CA:FALSE",
            "a certificate",
        ),
    ] {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(folder.path()).args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
        let made = run(openssl.args(arguments.split_whitespace()));
        assert_eq!(made.code, Some(0), "{name}: {}", made.stderr);
    }
    let hash = bcrypt::hash("a password", 4).expect("a hash");
    let web =
        format!("tls_server_config: {{cert_file: am.pem, key_file: am.key}}\nbasic_auth_users: {{page: {hash:?}}}\n");
    written(folder.path(), "web.yml", &web);
    alertmanager.restart_guarded().await;

    let url = format!("https://{}", alertmanager.address);
    let ca_pem = std::fs::read_to_string(folder.path().join("ca.pem")).expect("a CA");
    // page:a password
    let basic = || Some(HeaderValue::from_static("Basic cGFnZTphIHBhc3N3b3Jk"));
    let hear = async |authorization, ca_pem: Option<&str>| {
        let access = AlertmanagerAccess { authorization, ca_pem: ca_pem.map(str::to_owned), ..access(&url) };
        members(&access).expect("settings")[0].hear(None, alertmanager_cachet::clock::now()).await
    };
    assert_eq!(hear(basic(), Some(&ca_pem)).await.expect("heard").listed, []);
    let error = hear(None, Some(&ca_pem)).await.expect_err("no password");
    assert_eq!(error, Error::Refused(401));
    let error = hear(basic(), None).await.expect_err("an unknown CA");
    assert!(matches!(error, Error::Certificate(_)), "{error}");
}

#[tokio::test]
async fn without_an_alertmanager_what_nothing_was_heard_of_for_long_has_ended() {
    let mut world = world().await;
    let hour = Duration::from_secs(3600);
    let mut repairer = configured(&world, in_force(growing_stale(hour, INTERVAL)));
    let web = world.fire("web-1", "Web").await;
    world.fire("net-1", "Network").await;
    world.pass(hour);
    world.tell(&web).await;
    assert_eq!(reasons(&repairer.once().await), NOTHING, "an hour is not over an hour");
    let mut restarted = configured(&world, in_force(growing_stale(hour, INTERVAL)));
    assert_eq!(reasons(&step(&world, &mut restarted).await), NOTHING, "nobody listened before");
    let round = step(&world, &mut repairer).await;
    assert_eq!(reasons(&round), [Reason::Stale]);
    assert_eq!(round.repairs[0].record.target.instance(), "net-1");
    world.settle().await;
    assert_eq!((world.status("Web").await, world.status("Network").await), (4, 1));
}

#[tokio::test]
async fn new_settings_count_from_the_next_run_on() {
    let world = world().await;
    let (settings, in_force) = watch::channel(Arc::new(watched(repairing(Vec::new(), INTERVAL, INTERVAL))));
    let mut repairer = configured(&world, in_force);
    world.fire("web-1", "Web").await;
    for _ in 0..3 {
        assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING);
    }
    settings.send_replace(Arc::new(growing_stale(INTERVAL, INTERVAL)));
    assert_eq!(reasons(&step(&world, &mut repairer).await), [Reason::Stale]);
}

/// The alert is resolved ten minutes after Prometheus was heard last.
async fn hold_resolve(world: &World, alert: Alert) {
    world.store.record_heartbeat(world.now()).await.expect("recorded");
    world.pass(Duration::from_secs(600));
    let resolve_rule = Some(ResolveRule {
        watchdog: Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog"),
        source: WatchdogSource::List,
        refire_delay: Duration::from_secs(300),
    });
    let alerts = vec![Alert { status: AlertStatus::Resolved, ..alert }];
    let statements = Statements { alerts, resolve_rule, ..Statements::default() };
    let recorded = world.store.record_statements(statements, world.now()).await.expect("recorded");
    assert_eq!(recorded.effects, [Effect::HeldResolve]);
}

#[tokio::test]
async fn what_was_held_for_a_watchdog_counts_once_none_is_configured() {
    for watched in [watched(repairing(Vec::new(), INTERVAL, INTERVAL)), growing_stale(50 * INTERVAL, INTERVAL)] {
        let world = world().await;
        let fires = world.fire("web-1", "Web").await;
        hold_resolve(&world, fires).await;
        let (settings, in_force) = watch::channel(Arc::new(watched.clone()));
        let mut repairer = configured(&world, in_force);
        assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING);
        let config = Config { watchdog: None, ..watched.config.clone() };
        settings.send_replace(Arc::new(Settings { config, ..watched }));
        assert_eq!(reasons(&step(&world, &mut repairer).await), [Reason::ResolveConfirmed]);
        assert_eq!(reasons(&step(&world, &mut repairer).await), NOTHING);
    }
}

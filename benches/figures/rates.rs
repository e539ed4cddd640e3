//! How many notifications a second are answered, with the built-in page.

use std::time::Duration;

use alertmanager_cachet::core::alert::AlertStatus;
use anyhow::Context as _;
use jiff::Timestamp;

use crate::fleet::{Fleet, Target, notification};
use crate::load::rate;
use crate::server::{Home, Server};
use crate::table::{Amount, Table};

const FLEET: Fleet = Fleet { components: 40, targets_each: 5 };

/// How long each rate is measured.
const SPAN: Duration = Duration::from_secs(3);

/// How many different notifications of new alerts there are: more than are sent.
const NEW_REQUESTS: usize = 15_000;

const NEW_ALERTS_LIMIT: Amount = Amount::Rate(1_500);

/// Measures and prints.
pub async fn measure(table: &mut Table) {
    table.section("requests a second, 200 targets, built-in page; the clients share the cores");
    if let Err(error) = try_measure(table).await {
        table.unknown("notifications a second", &error);
    }
}

async fn try_measure(table: &mut Table) -> anyhow::Result<()> {
    let home = Home::new(FLEET)?;
    let server = home.serve(None).await?;
    let targets = FLEET.targets(0..FLEET.targets_each);
    let now = Timestamp::now();
    let first = targets.first().copied().context("no target")?;
    // The password is verified, which costs once.
    server.post(notification(AlertStatus::Firing, "Nothing", &[], now)).await?;
    let healthy = |_| "GET /-/healthy HTTP/1.1\r\nHost: figures\r\n\r\n".to_owned();
    let (bare, _) = rate(&server, 64, SPAN, healthy).await?;
    table.known("/-/healthy, 64 connections", Amount::Rate(bare), "1 run");
    let empty = Server::request(&notification(AlertStatus::Firing, "Nothing", &[], now));
    let (unstored, _) = rate(&server, 64, SPAN, move |_| empty.clone()).await?;
    table.known("without an alert, so not stored, 64 connections", Amount::Rate(unstored), "1 run");
    let repeated = notification(AlertStatus::Firing, "TargetDown", &[first], now);
    server.post(repeated.clone()).await?;
    let repeated = Server::request(&repeated);
    let (repeats, _) = rate(&server, 64, SPAN, move |_| repeated.clone()).await?;
    table.limited("1 alert, repeated, 64 connections", Amount::Rate(repeats), Amount::Rate(unstored / 2), "1 run");
    let twenty: Vec<Target> = targets.into_iter().take(20).collect();
    // Made before, so that the server gets what is left of the cores. It does not come to their end.
    let body = |number| notification(AlertStatus::Firing, &format!("Alert{number}"), &twenty, now);
    let requests: Vec<String> = (0..NEW_REQUESTS).map(|number| Server::request(&body(number))).collect();
    let new = move |number: u64| requests[usize::try_from(number).expect("few") % requests.len()].clone();
    let (rate, _) = rate(&server, 16, SPAN, new).await?;
    table.limited("20 new alerts each, 16 connections", Amount::Rate(rate), NEW_ALERTS_LIMIT, "1 run");
    server.stop().await
}

//! That something changed is told at once, to no more than can be borne, and to nobody when the server stops.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout;
use tower::ServiceExt;

use super::Site;
use crate::support::web::ADMIN;

/// Longer than any event takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

async fn watch(site: &Site) -> Response {
    let request = Request::get("/console/events").header("Authorization", ADMIN).body(Body::empty());
    site.router.clone().oneshot(request.expect("a request")).await.expect("an answer")
}

/// The next event, or `None` at the end.
async fn next(events: &mut BodyDataStream) -> Option<String> {
    let chunk = timeout(SOON, events.next()).await.expect("an event in time")?;
    Some(String::from_utf8(chunk.expect("a chunk").to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn who_watches_is_told_of_what_happens_and_let_go_when_the_server_stops() {
    let mut site = Site::start().await;
    let response = watch(&site).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut events = response.into_body().into_data_stream();
    assert!(next(&mut events).await.expect("a greeting").contains("event: changed"));
    site.fail("db-1:9100", "Database").await;
    assert!(next(&mut events).await.expect("an event").contains("something changed"));
    site.stop.cancel();
    assert_eq!(next(&mut events).await, None);
}

#[tokio::test]
async fn no_more_pages_are_kept_fresh_than_leave_room_for_those_who_post() {
    let site = Site::start().await;
    let mut watched = Vec::new();
    for _ in 0..32 {
        watched.push(watch(&site).await);
    }
    assert!(watched.iter().all(|response| response.status() == StatusCode::OK));
    assert_eq!(watch(&site).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    watched.pop();
    assert_eq!(watch(&site).await.status(), StatusCode::OK, "who leaves makes room");
}

#[tokio::test]
async fn those_who_ask_at_the_same_time_share_what_is_read() {
    let site = Site::start().await;
    let reads = || {
        let told = site.metrics.text(site.world.now()).expect("told");
        let name = "alertmanager_cachet_store_operation_duration_seconds_count{operation=\"read\"} ";
        told.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|count| count.parse::<u64>().ok())
            .expect("a count")
    };
    site.get("/console").await;
    let of_one = reads();
    let answers = join_all((0..50).map(|_| site.get("/console"))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert!(reads() <= 4 * of_one, "{} readings of 50 pages", reads() / of_one);
}

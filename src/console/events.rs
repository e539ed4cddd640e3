//! That something changed, as server-sent events. What changed is fetched by who wants to know, so nothing is told twice
//! in two forms.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};

use super::{Console, Parts};

/// How many pages are kept fresh at the same time; one more reloads by hand. Each holds one of the server's connections,
/// which those who post need.
pub const WATCHERS_AT_ONCE: usize = 32;

/// The shortest time between two events: in a storm, a page that is made anew twice a second is fresh enough.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// How often a connection on which nothing happens is kept from being taken for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a browser waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);

/// Keeps nginx, if it is in front, from waiting until there is enough to pass on.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// `GET /console/events`.
pub async fn events(State(console): State<Console>) -> Response {
    let Ok(place) = console.watchers.clone().try_acquire_owned() else {
        let text = "too many pages are kept fresh already: reload by hand\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], text).into_response();
    };
    let Parts { live, stop, .. } = &console.parts;
    // What changed between the page and this connection is not lost: the page looks once more now.
    let connected = stream::once(async { Event::default().event("changed").data("connected").retry(RECONNECT) });
    let state = (live.watch(), stop.clone(), place);
    let changes = stream::unfold(state, |(mut changes, stop, place)| async move {
        let changed = stop.run_until_cancelled(async {
            tokio::time::sleep(SHORTEST_PAUSE).await;
            changes.changed().await
        });
        changed.await?.ok()?;
        Some((Event::default().event("changed").data("something changed"), (changes, stop, place)))
    });
    let events = connected.chain(changes).map(Ok::<_, Infallible>);
    ([UNBUFFERED], Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

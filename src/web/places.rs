//! The connections that are open, and the requests in progress on them.
//!
//! Once all places are taken, a new connection takes the place of the one that is idle for the longest time. Requests in
//! progress keep their connection, so they are bounded below the number of places: the rest is for the paths in
//! [`RESERVED`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// The paths that the limit on requests does not count: they are answered quickly, or authenticate before the body.
const RESERVED: &[&str] = &["/webhook", "/webhook/", "/health", "/-/ready", "/-/healthy"];

/// How much is served at the same time, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are open; over it, idle connections are closed for new ones.
    pub connections: usize,
    /// How many requests are in progress that are not for [`RESERVED`]; over it, they are answered with 503.
    pub requests: usize,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, requests: 384, body_timeout: Duration::from_secs(30) }
    }
}

/// The places of one server.
pub struct Places {
    limits: Limits,
    requests: Arc<Semaphore>,
    open: Mutex<Open>,
    /// A connection was closed or became idle.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Connection>,
    last_number: u64,
}

struct Connection {
    /// Of two idle connections, the lower number is idle for the longer time. None while a request is in progress.
    idle_since: Option<u64>,
    close: CancellationToken,
}

impl Open {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Has the connection closed that is idle for the longest time, unless one is being closed already.
    fn close_longest_idle(&self) {
        let idle = || self.connections.values().filter(|connection| connection.idle_since.is_some());
        if idle().any(|connection| connection.close.is_cancelled()) {
            return;
        }
        if let Some(longest) = idle().min_by_key(|connection| connection.idle_since) {
            longest.close.cancel();
        }
    }
}

impl Places {
    pub fn new(limits: Limits) -> Arc<Self> {
        let requests = Arc::new(Semaphore::new(limits.requests));
        Arc::new(Self { limits, requests, open: Mutex::default(), changed: Notify::new() })
    }

    /// A place for a connection that was accepted, once there is one.
    pub async fn place(self: &Arc<Self>) -> Arc<Place> {
        loop {
            if let Some(place) = self.place_now() {
                return place;
            }
            // What changes meanwhile is kept for this one waiter.
            self.changed.notified().await;
        }
    }

    fn place_now(self: &Arc<Self>) -> Option<Arc<Place>> {
        let mut open = self.open();
        if open.connections.len() >= self.limits.connections {
            open.close_longest_idle();
            return None;
        }
        let number = open.next_number();
        let close = CancellationToken::new();
        open.connections.insert(number, Connection { idle_since: Some(number), close: close.clone() });
        Some(Arc::new(Place { number, close, places: Arc::clone(self) }))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, given back when it is dropped.
pub struct Place {
    number: u64,
    close: CancellationToken,
    places: Arc<Places>,
}

impl Place {
    /// The connection is to be closed, because a new one needs its place.
    pub async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// Whether no request is in progress.
    pub fn is_idle(&self) -> bool {
        self.places.open().connections.get(&self.number).is_none_or(|connection| connection.idle_since.is_some())
    }

    /// A request has begun; none if there are too many.
    pub fn begin(self: &Arc<Self>, path: &str) -> Option<InProgress> {
        let permit = if RESERVED.contains(&path) {
            None
        } else {
            Some(Arc::clone(&self.places.requests).try_acquire_owned().ok()?)
        };
        self.update(|_| None);
        Some(InProgress { place: Arc::clone(self), _permit: permit })
    }

    /// A request's body, with a deadline.
    pub fn timed(&self, body: Body) -> Body {
        // A body that is empty needs no timer.
        if body.is_end_stream() {
            return body;
        }
        Body::new(TimedBody { body, deadline: Box::pin(sleep(self.places.limits.body_timeout)) })
    }

    fn update(&self, idle_since: impl FnOnce(&mut Open) -> Option<u64>) {
        let mut open = self.places.open();
        let idle_since = idle_since(&mut open);
        if let Some(connection) = open.connections.get_mut(&self.number) {
            connection.idle_since = idle_since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open().connections.remove(&self.number);
        self.places.changed.notify_one();
    }
}

/// A request in progress, until it is dropped.
pub struct InProgress {
    place: Arc<Place>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl InProgress {
    /// The body of the answer; the request is in progress until it is sent.
    pub fn until_sent(self, body: Body) -> Body {
        // The closure keeps the request until the body is dropped.
        Body::new(body.map_err(move |error| {
            let _request = &self;
            error
        }))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.place.update(|open| Some(open.next_number()));
        self.place.places.changed.notify_one();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct TooSlow;

struct TimedBody {
    body: Body,
    deadline: Pin<Box<Sleep>>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Some(Err(axum::Error::new(TooSlow))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

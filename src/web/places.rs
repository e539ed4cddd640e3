//! The connections that are open, and the requests in progress on them.
//!
//! Once all places are taken, a new connection takes the place of an idle one. Requests in progress keep their connection,
//! so they are bounded below the number of places: the rest is for the paths in [`RESERVED`].
//!
//! Nobody can take all places from the others: what makes room belongs to the address that holds most. Behind a reverse
//! proxy there is one address, which may have everything.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// The paths that the limit on requests does not count: they are answered quickly, or authenticate before the body.
const RESERVED: &[&str] = &["/webhook", "/webhook/", "/health", "/-/ready", "/-/healthy"];

/// How much is served at the same time, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are open; over it, idle connections are closed for new ones.
    pub connections: usize,
    /// How many requests are in progress that are not for [`RESERVED`]; over it, one of the address that has most is cut
    /// for one of another address, or the new one is answered with 503.
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
    client: Client,
    activity: Activity,
    /// It is idle, and its place is needed.
    close: CancellationToken,
    /// Its request is cut for another one.
    cut: CancellationToken,
}

/// Of two idle connections, the lower number is idle for the longer time; of two requests, it is the older one.
#[derive(Clone, Copy)]
enum Activity {
    Idle(u64),
    /// A request for one of [`RESERVED`].
    Reserved,
    /// Another request, which the server works on.
    Working(u64),
    /// Another request, of which the client has yet to send the body or to take the answer.
    Waiting(u64),
    /// A request that does not count any more, because it is cut for another one.
    Cut,
}

/// Who shares its places: an address, or a network of IPv6 that one customer has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl Open {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The connections with a request in progress that counts.
    fn with_request(&self) -> impl Iterator<Item = &Connection> {
        let counts =
            |connection: &&Connection| matches!(connection.activity, Activity::Working(_) | Activity::Waiting(_));
        self.connections.values().filter(counts)
    }

    /// Has an idle connection closed, unless one is being closed already: of the client that has most connections, the
    /// one that is idle for the longest time.
    fn close_an_idle_one(&self) {
        let counts = count_by_client(self.connections.values());
        let idle = self.connections.values().filter_map(|connection| match connection.activity {
            Activity::Idle(since) => Some((connection, since)),
            _ => None,
        });
        if idle.clone().any(|(connection, _)| connection.close.is_cancelled()) {
            return;
        }
        let first = idle.max_by_key(|(connection, since)| (counts.get(&connection.client), std::cmp::Reverse(*since)));
        if let Some((connection, _)) = first {
            connection.close.cancel();
        }
    }

    /// Cuts the oldest request that waits for its client, of the client that has most requests, if that one has more than
    /// `client` will have with one more; whether there is such a request.
    fn cut_for(&mut self, client: Client) -> bool {
        let counts = count_by_client(self.with_request());
        let count = |client| counts.get(&client).copied().unwrap_or_default();
        let waiting = self.connections.values_mut().filter_map(|connection| match connection.activity {
            Activity::Waiting(since) => Some((connection, since)),
            _ => None,
        });
        let others = waiting.filter(|(connection, _)| count(connection.client) > count(client) + 1);
        let first = others.max_by_key(|(connection, since)| (count(connection.client), std::cmp::Reverse(*since)));
        let Some((connection, _)) = first else { return false };
        connection.activity = Activity::Cut;
        connection.cut.cancel();
        true
    }
}

fn count_by_client<'a>(connections: impl Iterator<Item = &'a Connection>) -> HashMap<Client, usize> {
    let mut counts = HashMap::new();
    connections.for_each(|connection| *counts.entry(connection.client).or_default() += 1);
    counts
}

impl Places {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default(), changed: Notify::new() })
    }

    /// A place for a connection that was accepted from `peer`, once there is one.
    pub async fn place(self: &Arc<Self>, peer: IpAddr) -> Arc<Place> {
        loop {
            if let Some(place) = self.place_now(peer) {
                return place;
            }
            // What changes meanwhile is kept for this one waiter.
            self.changed.notified().await;
        }
    }

    fn place_now(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Place>> {
        let mut open = self.open();
        if open.connections.len() >= self.limits.connections {
            open.close_an_idle_one();
            return None;
        }
        let number = open.next_number();
        let (close, cut) = (CancellationToken::new(), CancellationToken::new());
        let activity = Activity::Idle(number);
        let connection = Connection { client: peer.into(), activity, close: close.clone(), cut: cut.clone() };
        open.connections.insert(number, connection);
        Some(Arc::new(Place { number, close, cut, places: Arc::clone(self) }))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection, given back when it is dropped.
pub struct Place {
    number: u64,
    close: CancellationToken,
    cut: CancellationToken,
    places: Arc<Places>,
}

impl Place {
    /// The connection is to be closed, because a new one needs its place.
    pub async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// The connection is to be cut in the middle of a request, because a request of another client needs its place.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether no request is in progress.
    pub fn is_idle(&self) -> bool {
        let open = self.places.open();
        open.connections.get(&self.number).is_none_or(|connection| matches!(connection.activity, Activity::Idle(_)))
    }

    /// A request has begun; none if there are too many.
    pub fn begin(self: &Arc<Self>, path: &str) -> Option<InProgress> {
        let mut open = self.places.open();
        let number = open.next_number();
        let client = open.connections.get(&self.number)?.client;
        let activity = if RESERVED.contains(&path) {
            Activity::Reserved
        } else if open.with_request().count() < self.places.limits.requests || open.cut_for(client) {
            Activity::Working(number)
        } else {
            return None;
        };
        open.connections.get_mut(&self.number)?.activity = activity;
        Some(InProgress { place: Arc::clone(self) })
    }

    /// Who has to act next for the request to go on: the client, or else the server.
    fn waits(&self, is_for_client: bool) {
        if let Some(connection) = self.places.open().connections.get_mut(&self.number)
            && let Activity::Working(since) | Activity::Waiting(since) = connection.activity
        {
            connection.activity = if is_for_client { Activity::Waiting(since) } else { Activity::Working(since) };
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
}

impl InProgress {
    /// The request's body, with a deadline.
    pub fn timed(&self, body: Body) -> Body {
        // A body that is empty needs no timer.
        if body.is_end_stream() {
            return body;
        }
        self.place.waits(true);
        let deadline = Box::pin(sleep(self.place.places.limits.body_timeout));
        Body::new(TimedBody { body, deadline, place: Arc::clone(&self.place) })
    }

    /// The body of the answer; the request is in progress until it is sent.
    pub fn until_sent(self, body: Body) -> Body {
        self.place.waits(true);
        // The closure keeps the request until the body is dropped.
        Body::new(body.map_err(move |error| {
            let _request = &self;
            error
        }))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut open = self.place.places.open();
        let number = open.next_number();
        if let Some(connection) = open.connections.get_mut(&self.place.number) {
            connection.activity = Activity::Idle(number);
        }
        drop(open);
        self.place.places.changed.notify_one();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct TooSlow;

struct TimedBody {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    place: Arc<Place>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            if frame.is_none() || self.body.is_end_stream() {
                self.place.waits(false);
            }
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

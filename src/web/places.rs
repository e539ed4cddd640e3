//! Limits the open connections and the requests in progress.
//!
//! A place is room for one connection. When all places are taken, an idle connection is closed for a new one. A request in
//! progress keeps its connection, so the limit of requests is below the number of places: the rest is for the paths in
//! `RESERVED`.
//!
//! Places are shared by address, so one address cannot keep the others out: the address that holds most makes room. Behind
//! a reverse proxy there is only one address, and it may use every place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// The paths without a limit of requests: they answer quickly, or authenticate before they read the body.
const RESERVED: &[&str] = &["/webhook", "/webhook/", "/health", "/-/ready", "/-/healthy"];

/// The limits of connections and requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections may be open. Over it, an idle connection is closed for a new one.
    pub connections: usize,
    /// How many requests may be in progress, without those for reserved paths. Over it, a request of the address with most
    /// requests is aborted for one of another address, or the new one is answered with 503.
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
pub(super) struct Places {
    limits: Limits,
    open: Mutex<Open>,
    /// Notified when a connection is closed or becomes idle.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Connection>,
    last_number: u64,
}

struct Connection {
    /// The unit that places are shared by: an IPv4 address, or an IPv6 network of 64 bits, which usually belongs to one
    /// customer.
    client: IpAddr,
    activity: Activity,
    /// Cancelled to close it while it is idle, because its place is needed.
    close: CancellationToken,
    /// Cancelled to abort its request, because another request needs the room.
    cut: CancellationToken,
}

/// What a connection does. The numbers are a sequence: of two idle connections, the lower number is idle for longer; of two
/// requests, it is the older one.
#[derive(Clone, Copy)]
enum Activity {
    Idle(u64),
    /// A request for one of [`RESERVED`].
    Reserved,
    /// Any other request, while the server works on it.
    Working(u64),
    /// Any other request, while the server waits for the client to send the body or to read the answer.
    Waiting(u64),
    /// A request that is being aborted for another one, and no longer counts.
    Cut,
}

impl Open {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The connections with a request in progress that counts against the limit.
    fn with_request(&self) -> impl Iterator<Item = &Connection> {
        let counts =
            |connection: &&Connection| matches!(connection.activity, Activity::Working(_) | Activity::Waiting(_));
        self.connections.values().filter(counts)
    }

    /// Closes one idle connection, unless one is being closed already. Of the client with most connections, it closes the one
    /// that is idle for the longest time.
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

    /// Makes room for one more request of `client`; returns whether it could.
    ///
    /// It aborts a request of the client with most requests: the oldest one that waits for its client. That client must have
    /// more requests than `client` will have with the new one.
    fn cut_for(&mut self, client: IpAddr) -> bool {
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

fn count_by_client<'a>(connections: impl Iterator<Item = &'a Connection>) -> HashMap<IpAddr, usize> {
    let mut counts = HashMap::new();
    connections.for_each(|connection| *counts.entry(connection.client).or_default() += 1);
    counts
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default(), changed: Notify::new() })
    }

    /// Waits for a place for a connection that was accepted from `peer`.
    pub(super) async fn place(self: &Arc<Self>, peer: IpAddr) -> Arc<Place> {
        let client = match peer.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address @ IpAddr::V4(_) => address,
        };
        loop {
            {
                let mut open = self.open.lock();
                if open.connections.len() < self.limits.connections {
                    let number = open.next_number();
                    let (close, cut) = (CancellationToken::new(), CancellationToken::new());
                    let activity = Activity::Idle(number);
                    let connection = Connection { client, activity, close: close.clone(), cut: cut.clone() };
                    open.connections.insert(number, connection);
                    return Arc::new(Place { number, close, cut, places: Arc::clone(self) });
                }
                open.close_an_idle_one();
            }
            // There is only one waiter, and `notify_one` keeps a notification for it.
            self.changed.notified().await;
        }
    }
}

/// The place of one connection, given back when it is dropped.
pub(super) struct Place {
    number: u64,
    /// Cancelled when the connection must be closed, because a new one needs its place.
    pub close: CancellationToken,
    /// Cancelled when the request must be aborted, because a request of another client needs the room.
    pub cut: CancellationToken,
    places: Arc<Places>,
}

impl Place {
    /// Whether no request is in progress.
    pub(super) fn is_idle(&self) -> bool {
        let open = self.places.open.lock();
        open.connections.get(&self.number).is_none_or(|connection| matches!(connection.activity, Activity::Idle(_)))
    }

    /// Begins a request; `None` if there are too many.
    pub(super) fn begin(self: &Arc<Self>, path: &str) -> Option<InProgress> {
        let mut open = self.places.open.lock();
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

    /// Marks the request as waiting for its client, or as worked on by the server.
    fn waits(&self, is_for_client: bool) {
        if let Some(connection) = self.places.open.lock().connections.get_mut(&self.number)
            && let Activity::Working(since) | Activity::Waiting(since) = connection.activity
        {
            connection.activity = if is_for_client { Activity::Waiting(since) } else { Activity::Working(since) };
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open.lock().connections.remove(&self.number);
        self.places.changed.notify_one();
    }
}

/// A request in progress, until it is dropped.
pub(super) struct InProgress {
    place: Arc<Place>,
}

impl InProgress {
    /// The body of the request, with a deadline ([`Limits::body_timeout`]).
    pub(super) fn timed(&self, body: Body) -> Body {
        // A body that is empty needs no timer.
        if body.is_end_stream() {
            return body;
        }
        self.place.waits(true);
        let deadline = Box::pin(sleep(self.place.places.limits.body_timeout));
        Body::new(TimedBody { body, deadline, place: Arc::clone(&self.place) })
    }

    /// The body of the answer. The request is in progress until the body is sent.
    pub(super) fn until_sent(self, body: Body) -> Body {
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
        let mut open = self.place.places.open.lock();
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

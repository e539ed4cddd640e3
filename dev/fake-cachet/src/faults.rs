//! A layer around a router that makes it fail on command, and counts the calls.
//!
//! ```text
//! let faults = Faults::new();
//! let (url, _server) = serve(faults.around(page)).await;
//! faults.on("PUT", "/api/components/*").times(2).answer(500);
//! …
//! faults.seen(3, "PUT", "/api/components/*").await;
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{Full, Limited};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tower::ServiceExt;

/// A handle to one layer; clones control the same one. Without settings nothing fails.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    calls: watch::Sender<Vec<(Method, String)>>,
    /// A call hangs.
    hanging: Arc<Notify>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    /// Calls that [`Faults::catch_up`] carries out.
    late: Vec<BoxFuture<'static, Response>>,
    latency: Duration,
    rate_limit: Option<RateLimit>,
    pace: Option<Pace>,
}

/// What every call waits for.
type Pace = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// A method or `*`, and a path in which `*` stands for one segment.
#[derive(Clone)]
struct Pattern {
    method: String,
    path: String,
}

struct Rule {
    pattern: Pattern,
    fault: Fault,
    left: Option<u32>,
}

#[derive(Clone, Copy)]
enum Fault {
    Answer(StatusCode),
    AnswerWithRetryAfter(StatusCode, Option<u32>),
    AnswerAfter(StatusCode),
    CutBefore,
    CutAfter,
    Html(StatusCode),
    Hang,
    HangAfter,
    Later,
    Refuse,
    Twice,
}

/// In an answer: there was no connection.
#[derive(Clone, Copy)]
pub(crate) struct NoConnection;

/// Calls that a fault is chosen for; see [`Faults::on`].
#[must_use = "nothing fails before a fault is chosen"]
pub struct On<'a> {
    faults: &'a Faults,
    pattern: Pattern,
    left: Option<u32>,
}

impl Faults {
    /// A layer that lets everything through.
    pub fn new() -> Self {
        Self::default()
    }

    /// `router`, behind this layer.
    pub fn around(&self, router: Router) -> Router {
        let faults = self.clone();
        Router::new().fallback(move |request: Request| async move { faults.pass(router, request).await })
    }

    /// Selects the calls that fail: `on("PUT", "/api/components/*")`, `on("*", "/api/incidents")`. Of several rules for a
    /// call, the oldest one that is not used up applies.
    pub fn on(&self, method: &str, path: &str) -> On<'_> {
        On { faults: self, pattern: Pattern::new(method, path), left: None }
    }

    /// Delays every call.
    pub fn latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Every call waits for this future, in which a test can make time pass.
    pub fn pace(&self, pace: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) {
        self.state().pace = Some(Arc::new(pace));
    }

    /// Limits the reads in a window of time, and likewise the writes. Cachet's window is one minute.
    pub fn rate_limit(&self, limit: u32, window: Duration) {
        self.state().rate_limit = Some(RateLimit { limit, window, used: HashMap::new() });
    }

    /// Removes all faults, latency and limits. The recorded calls stay, and so do those for [`Faults::catch_up`].
    pub fn heal(&self) {
        let mut state = self.state();
        *state = State { late: std::mem::take(&mut state.late), ..State::default() };
    }

    /// Carries out the calls of [`On::later`] in their order, discards the answers and returns the number of calls.
    pub async fn catch_up(&self) -> usize {
        let late = std::mem::take(&mut self.state().late);
        let count = late.len();
        for call in late {
            call.await;
        }
        count
    }

    /// The number of such calls since [`Faults::forget_calls`], failed ones included.
    pub fn count(&self, method: &str, path: &str) -> usize {
        Pattern::new(method, path).count(&self.calls.borrow())
    }

    /// Every call in order: `PUT /api/components/3`.
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().iter().map(|(method, path)| format!("{method} {path}")).collect()
    }

    /// Forgets the recorded calls.
    pub fn forget_calls(&self) {
        self.calls.send_modify(Vec::clear);
    }

    /// Waits for at least `count` such calls.
    pub async fn seen(&self, count: usize, method: &str, path: &str) {
        let pattern = Pattern::new(method, path);
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| pattern.count(calls) >= count).await.expect("this handle keeps it open");
    }

    /// Waits for a call that hangs, before or after it is carried out.
    pub async fn hangs(&self) {
        self.hanging.notified().await;
    }

    async fn pass(&self, router: Router, request: Request) -> Response {
        // a caller that gives up does not send the rest of the body
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else { return cut() };
        let request = Request::from_parts(parts, Body::from(body.clone()));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        self.calls.send_modify(|calls| calls.push((method.clone(), path.clone())));
        let (latency, fault) = self.what_happens_to(&method, &path);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let pace = self.state().pace.clone();
        if let Some(pace) = pace {
            pace().await;
        }
        let anonymous = !request.headers().contains_key(AUTHORIZATION);
        let bucket = Bucket::of(&method);
        let headers = match self.take(bucket, anonymous) {
            Ok(headers) => headers,
            Err(refusal) => return *refusal,
        };
        let first = matches!(fault, Some(Fault::Twice)).then(|| router.clone().oneshot(copy_of(&request, &body)));
        let answered = async { router.oneshot(request).await.into_response() };
        let mut response = match fault {
            None => answered.await,
            Some(Fault::Answer(status)) => refusal(status),
            Some(Fault::AnswerWithRetryAfter(status, seconds)) => {
                let mut refused = refusal(status);
                refused.headers_mut().remove(RETRY_AFTER);
                refused.headers_mut().extend(seconds.map(|seconds| (RETRY_AFTER, seconds.into())));
                refused
            }
            Some(Fault::AnswerAfter(status)) => {
                answered.await;
                refusal(status)
            }
            Some(Fault::CutBefore) => cut(),
            Some(Fault::CutAfter) => {
                answered.await;
                cut()
            }
            Some(Fault::Html(status)) => (status, Html("<html>A proxy's own page.</html>")).into_response(),
            Some(Fault::Hang) => self.hang().await,
            Some(Fault::HangAfter) => {
                answered.await;
                self.hang().await
            }
            Some(Fault::Later) => {
                self.state().late.push(answered.boxed());
                cut()
            }
            Some(Fault::Refuse) => {
                let mut refused = cut();
                refused.extensions_mut().insert(NoConnection);
                refused
            }
            Some(Fault::Twice) => {
                if let Some(first) = first {
                    let _ = first.await;
                }
                answered.await
            }
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            self.give_back(bucket);
        } else {
            response.headers_mut().extend(headers);
        }
        response
    }

    async fn hang(&self) -> Response {
        self.hanging.notify_one();
        std::future::pending().await
    }

    fn what_happens_to(&self, method: &Method, path: &str) -> (Duration, Option<Fault>) {
        let mut state = self.state();
        let rule =
            state.rules.iter_mut().find(|rule| rule.left != Some(0) && rule.pattern.matches(method.as_str(), path));
        let fault = rule.map(|rule| {
            rule.left = rule.left.map(|left| left - 1);
            rule.fault
        });
        (state.latency, fault)
    }

    fn take(&self, bucket: Bucket, anonymous: bool) -> Result<Vec<(HeaderName, HeaderValue)>, Box<Response>> {
        match &mut self.state().rate_limit {
            // a write without a token has no user to count
            Some(limit) if !(anonymous && bucket == Bucket::Writes) => limit.take(bucket),
            _ => Ok(Vec::new()),
        }
    }

    fn give_back(&self, bucket: Bucket) {
        if let Some((_, used)) = self.state().rate_limit.as_mut().and_then(|limit| limit.used.get_mut(&bucket)) {
            *used = used.saturating_sub(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }
}

impl On<'_> {
    /// Only the next `times` of them.
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// They are not carried out and answered with this status.
    pub fn answer(self, status: u16) {
        self.fails(Fault::Answer(status_code(status)));
    }

    /// They are not carried out and answered with this status, without a `Retry-After`, as by a proxy.
    pub fn answer_without_retry_after(self, status: u16) {
        self.fails(Fault::AnswerWithRetryAfter(status_code(status), None));
    }

    /// They are not carried out and answered with this status and this `Retry-After`.
    pub fn answer_with_retry_after(self, status: u16, seconds: u32) {
        self.fails(Fault::AnswerWithRetryAfter(status_code(status), Some(seconds)));
    }

    /// They are carried out and still answered with this status, as by releases of 2025 (2025-08: 131).
    pub fn answer_after(self, status: u16) {
        self.fails(Fault::AnswerAfter(status_code(status)));
    }

    /// The connection is cut before they are carried out.
    pub fn cut_before(self) {
        self.fails(Fault::CutBefore);
    }

    /// They are carried out, and the connection is cut within the answer.
    pub fn cut_after(self) {
        self.fails(Fault::CutAfter);
    }

    /// They are not carried out and answered with HTML, as by a proxy.
    pub fn answer_html(self, status: u16) {
        self.fails(Fault::Html(status_code(status)));
    }

    /// They are neither carried out nor answered.
    pub fn hang(self) {
        self.fails(Fault::Hang);
    }

    /// They are carried out and never answered.
    pub fn hang_after(self) {
        self.fails(Fault::HangAfter);
    }

    /// No connection is established. Only a client in the same process notices the difference to [`On::cut_before`].
    pub fn refuse(self) {
        self.fails(Fault::Refuse);
    }

    /// They are carried out twice, as by a proxy that sends them again, and the second answer is given.
    pub fn twice(self) {
        self.fails(Fault::Twice);
    }

    /// The connection is cut, and they are carried out when [`Faults::catch_up`] is called.
    pub fn later(self) {
        self.fails(Fault::Later);
    }

    fn fails(self, fault: Fault) {
        self.faults.state().rules.push(Rule { pattern: self.pattern, fault, left: self.left });
    }
}

impl Pattern {
    fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned() }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let (wanted, found) = (self.path.split('/'), path.split('/'));
        (self.method == "*" || self.method == method)
            && wanted.clone().count() == found.clone().count()
            && wanted.zip(found).all(|(wanted, found)| wanted == "*" || wanted == found)
    }

    fn count(&self, calls: &[(Method, String)]) -> usize {
        calls.iter().filter(|(method, path)| self.matches(method.as_str(), path)).count()
    }
}

/// Cachet counts reads by client address, and writes by user (401).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Bucket {
    Reads,
    Writes,
}

impl Bucket {
    fn of(method: &Method) -> Self {
        if method.is_safe() { Self::Reads } else { Self::Writes }
    }
}

/// A fixed window, as in Laravel: it begins with the first request after the end of the last one.
struct RateLimit {
    limit: u32,
    window: Duration,
    used: HashMap<Bucket, (Instant, u32)>,
}

impl RateLimit {
    /// The headers for one more request, or its 429.
    fn take(&mut self, bucket: Bucket) -> Result<Vec<(HeaderName, HeaderValue)>, Box<Response>> {
        let now = Instant::now();
        let (began, used) = self.used.entry(bucket).or_insert((now, 0));
        if now.duration_since(*began) >= self.window {
            (*began, *used) = (now, 0);
        }
        let name = HeaderName::from_static;
        if *used < self.limit {
            *used += 1;
            let (limit, remaining) = (self.limit.into(), (self.limit - *used).into());
            return Ok(vec![(name("x-ratelimit-limit"), limit), (name("x-ratelimit-remaining"), remaining)]);
        }
        let wait = (*began + self.window).duration_since(now).as_secs_f64().ceil() as u64;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut response =
            (StatusCode::TOO_MANY_REQUESTS, Json(json!({"message": "Too Many Attempts."}))).into_response();
        response.headers_mut().extend([
            (name("x-ratelimit-limit"), self.limit.into()),
            (name("x-ratelimit-remaining"), 0.into()),
            (name("x-ratelimit-reset"), (now + wait).into()),
            (RETRY_AFTER, wait.into()),
        ]);
        Err(response.into())
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("an HTTP status")
}

/// 429 and 503 carry a `Retry-After`.
fn refusal(status: StatusCode) -> Response {
    let message = Json(json!({"message": status.canonical_reason().unwrap_or("refused")}));
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            (status, [(RETRY_AFTER, "1")], message).into_response()
        }
        _ => (status, message).into_response(),
    }
}

fn copy_of(request: &Request, body: &Bytes) -> Request {
    let mut copy = Request::new(Body::from(body.clone()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// An answer whose body fails after the head. Over TCP the server closes the connection; in process, reading the body
/// fails.
fn cut() -> Response {
    Response::new(Body::new(Limited::new(Full::from("an answer that nobody reads to its end"), 1)))
}

#[cfg(test)]
mod tests;

//! `POST /webhook`: authenticate, parse, store, wake, answer. Never waits for the page.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tracing::{debug, error, warn};

use super::App;
use super::guard::{client_address, is_from_here, with_advice};
use crate::clock;
use crate::core::alert::Effect;
use crate::core::notification::{IgnoreReason, IgnoredAlert, Notification, NotificationError};
use crate::log::{Line, logged_body, logged_headers};
use crate::metrics::{Metrics, NotificationResult, Refusal};
use crate::repair::log_repairs;
use crate::store::{Recorded, Statements};

/// The longest body that is taken: about 28,000 alerts. A longer one is answered with 413.
pub const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// How many ignored alerts of one notification are logged one by one; the rest is counted.
const IGNORED_LOGGED: usize = 100;

/// Why a notification was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookError {
    #[error("a notification is posted: use POST")]
    Method,
    #[error("{}", words_for_senders(*.0))]
    Refused(Refusal),
    #[error(
        "the body is over the limit of {BODY_LIMIT_BYTES} bytes: group alerts more finely (group_by) in Alertmanager"
    )]
    TooLarge,
    #[error("the body did not arrive: send it again")]
    BodyLost,
    #[error(transparent)]
    NoNotification(#[from] NotificationError),
    #[error("the notification could not be stored: send it again")]
    NotStored,
}

fn words_for_senders(refusal: Refusal) -> String {
    match refusal {
        Refusal::Missing => {
            "Basic Auth is wanted: set http_config.basic_auth in Alertmanager's webhook_configs".to_owned()
        }
        Refusal::Wrong => {
            "user or password is wrong: compare http_config.basic_auth in Alertmanager with WEBHOOK_BASIC_AUTH here"
                .to_owned()
        }
        Refusal::CrossSite => {
            "another site sent this through a browser: notifications are taken from Alertmanager alone".to_owned()
        }
        Refusal::Busy | Refusal::NotAnOperator => refusal.to_string(),
    }
}

impl WebhookError {
    /// The status code, and how it is counted. The code decides what becomes of the alerts: Alertmanager sends again after
    /// 5xx, and **drops the notification after anything else, 429 included**. So 4xx is only for what would fail for ever
    /// as it stands, and whatever may go better next time is a 503.
    fn outcome(&self) -> (StatusCode, NotificationResult) {
        match self {
            // It can never be right: somebody has to change the sender.
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, NotificationResult::WrongMethod),
            Self::Refused(Refusal::Missing | Refusal::Wrong) => {
                (StatusCode::UNAUTHORIZED, NotificationResult::Unauthorized)
            }
            Self::Refused(Refusal::CrossSite | Refusal::NotAnOperator) => {
                (StatusCode::FORBIDDEN, NotificationResult::Unauthorized)
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, NotificationResult::TooLarge),
            Self::NoNotification(_) => (StatusCode::BAD_REQUEST, NotificationResult::Invalid),
            // It may be right: we could not look at it, get it, or keep it.
            Self::Refused(Refusal::Busy) => (StatusCode::SERVICE_UNAVAILABLE, NotificationResult::Busy),
            Self::BodyLost => (StatusCode::SERVICE_UNAVAILABLE, NotificationResult::BodyLost),
            Self::NotStored => (StatusCode::SERVICE_UNAVAILABLE, NotificationResult::NotStored),
        }
    }
}

impl IntoResponse for WebhookError {
    fn into_response(self) -> Response {
        let (status, _) = self.outcome();
        let mut response = (status, Json(json!({ "status": "error", "error": self.to_string() }))).into_response();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        with_advice(response)
    }
}

/// Takes a notification. 200 means that its alerts are in the store.
pub(super) async fn receive(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, WebhookError> {
    let (metrics, result) = (app.parts.metrics.clone(), NotificationResult::Abandoned);
    let mut counted = Counted { metrics, began: Instant::now(), result };
    let outcome = take(app, peer, request).await;
    counted.result = outcome.as_ref().map_or_else(|error| error.outcome().1, |_| NotificationResult::Stored);
    outcome
}

/// A request under way; counted when it is answered, or its sender hung up and nobody works on it any more.
struct Counted {
    metrics: Metrics,
    began: Instant,
    result: NotificationResult,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.notification(self.result, self.began.elapsed(), clock::now());
    }
}

async fn take(app: App, peer: SocketAddr, request: Request) -> Result<Response, WebhookError> {
    let source_ip = client_address(peer.ip(), request.headers(), &app.parts.trusted_proxies);
    let headers = logged_headers(request.headers());
    let received = read(&app, source_ip, request).await;
    let body = match &received {
        Ok(body) => logged_body(body, app.parts.logged_body_limit_bytes),
        // A body that was refused is not even read: a stranger's flood must not fill the disk.
        Err(error) => format!("(not read, status {})", error.outcome().0.as_u16()),
    };
    app.parts.log.line(&Line::webhook_request(source_ip, headers, &body));

    let (resolve_rule, max_stored) = {
        let settings = app.parts.settings.borrow();
        (settings.resolve_rule(), settings.config.alerts.max_stored)
    };
    let watchdog = resolve_rule.as_ref().map(|rule| &rule.watchdog);
    let mut notification = match received.and_then(|body| Ok(Notification::parse(&body, watchdog)?)) {
        Ok(notification) => notification,
        Err(error) => {
            match error.outcome().0 {
                // Their request's own line says the status, and strangers must not fill the log.
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
                status => warn!(%source_ip, status = status.as_u16(), "notification not taken: {error}"),
            }
            return Err(error);
        }
    };
    let alerts = mem::take(&mut notification.alerts);
    let (sent, heartbeats) = (alerts.len(), notification.heartbeats());
    let is_watched = resolve_rule.is_some();
    let watchdogs = mem::take(&mut notification.watchdogs);
    let over_limit = store(app.clone(), Statements { alerts, watchdogs, resolve_rule, max_stored }).await?;
    let taken = sent - over_limit.len();
    notification.ignored.extend(over_limit);
    report(&app, &notification);
    let mut answer = json!({
        "status": "ok",
        "alerts": taken,
        "ignored": notification.ignored.len(),
        "not_ours": notification.not_ours,
    });
    if is_watched {
        answer["heartbeats"] = json!(heartbeats);
    }
    Ok(Json(answer).into_response())
}

/// The body of a request that is let in.
async fn read(app: &App, source_ip: IpAddr, request: Request) -> Result<Bytes, WebhookError> {
    if request.method() != Method::POST {
        return Err(WebhookError::Method);
    }
    // A browser that has an operator's password sends it along with whatever another site has it post.
    if !is_from_here(request.headers()) {
        return Err(WebhookError::Refused(app.parts.metrics.refused(Refusal::CrossSite)));
    }
    let authorization = request.headers().get(AUTHORIZATION);
    let allowed = app.authenticator.check(authorization, Some(source_ip)).await;
    allowed.map_err(|refusal| WebhookError::Refused(app.parts.metrics.refused(refusal)))?;
    collect(request.into_body()).await
}

/// The body, which the server breaks off once it took too long.
async fn collect(body: Body) -> Result<Bytes, WebhookError> {
    // What is announced as too long is refused before it is sent.
    if body.size_hint().lower() > BODY_LIMIT_BYTES as u64 {
        return Err(WebhookError::TooLarge);
    }
    match Limited::new(body, BODY_LIMIT_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(WebhookError::TooLarge),
        Err(_) => Err(WebhookError::BodyLost),
    }
}

/// Says what of a notification is left out.
fn report(app: &App, notification: &Notification) {
    app.parts.metrics.left_out(notification);
    app.parts.live.left_out(notification, clock::now());
    let left_out = || notification.ignored.iter().chain(&notification.partly_ignored);
    for IgnoredAlert { fingerprint, alertname, reason } in left_out().take(IGNORED_LOGGED) {
        app.parts.log.line(&Line::alert_ignored(alertname, fingerprint, &reason.to_string()));
    }
    let unsaid = left_out().count().saturating_sub(IGNORED_LOGGED);
    if unsaid > 0 {
        warn!(unsaid, receiver = notification.receiver, "more alerts of the notification were ignored");
    }
    if notification.truncated_alerts > 0 {
        warn!(
            truncated = notification.truncated_alerts,
            receiver = notification.receiver,
            "Alertmanager cut alerts off, which may fire and resolve unseen: set max_alerts: 0 in its webhook_configs"
        );
        app.parts.wakes.repairer.wake();
    }
}

/// Stores the contents of a notification, then wakes the reconciler. Returns the alerts over the limit of stored alerts.
///
/// It runs in its own task. If the sender hangs up in the middle, the stored alerts still wake the reconciler.
async fn store(app: App, statements: Statements) -> Result<Vec<IgnoredAlert>, WebhookError> {
    let wakes = app.parts.wakes.clone();
    let task = tokio::spawn(async move {
        let (alerts, max_stored) = (statements.alerts.clone(), statements.max_stored);
        let recorded = app.parts.store.record_statements(statements, clock::now()).await;
        if recorded.as_ref().map_or(true, |recorded| recorded.is_written) {
            app.store_health.note(&recorded.as_ref().map(drop));
        }
        let Recorded { mut effects, repairs, watchdog_is_back, is_news, .. } = recorded.ok()?;
        // Those over the limit of stored alerts are ignored for that reason.
        let over_limit = alerts.iter().zip(&effects).filter(|(_, effect)| **effect == Effect::OverLimit);
        let over_limit = over_limit.map(|(alert, _)| IgnoredAlert {
            fingerprint: alert.fingerprint.to_string(),
            alertname: alert.name.clone(),
            reason: IgnoreReason::StoreFull(max_stored),
        });
        let over_limit: Vec<IgnoredAlert> = over_limit.collect();
        effects.retain(|effect| *effect != Effect::OverLimit);
        debug!(?effects, "notification stored");
        app.parts.metrics.alerts(&effects);
        log_repairs(&repairs);
        app.parts.metrics.repaired(&repairs);
        let held = effects.iter().filter(|effect| **effect == Effect::HeldResolve).count();
        if held > 0 {
            warn!(
                held,
                "resolves are held until the watchdog is received: Alertmanager sends the same resolves when Prometheus is dead; \
                 their alerts count as firing meanwhile"
            );
        }
        // A repeat and an ordinary heartbeat of the watchdog change nothing for the reconciler.
        if is_news || watchdog_is_back {
            app.parts.wakes.reconciler.wake();
        }
        if effects.contains(&Effect::Refired) || effects.contains(&Effect::HeldResolve) {
            app.parts.wakes.repairer.wake();
        }
        Some(over_limit)
    });
    match task.await {
        Ok(Some(over_limit)) => return Ok(over_limit),
        // Said where it is noted.
        Ok(None) => {}
        Err(error) => error!(%error, "notification not stored, its task ended early; Alertmanager sends it again"),
    }
    // What it said may be over before it is sent again.
    wakes.repairer.wake();
    Err(WebhookError::NotStored)
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_arrive_in_time_is_asked_for_again() {
        let broken_off = stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::TimedOut)) });
        let error = collect(Body::from_stream(broken_off)).await.expect_err("nothing arrived");
        assert_eq!(error.outcome().0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn what_may_go_better_next_time_is_never_a_4xx() {
        for error in [WebhookError::Refused(Refusal::Busy), WebhookError::BodyLost, WebhookError::NotStored] {
            assert!(error.outcome().0.is_server_error(), "{error}");
        }
    }
}

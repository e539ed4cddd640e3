//! `POST /webhook`: authenticate, parse, store, wake, answer. Never waits for Cachet.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tracing::{debug, error, warn};

use super::App;
use super::auth::AuthError;
use super::client_address::client_address;
use super::guard::is_from_here;
use crate::clock;
use crate::core::alert::{Alert, Effect};
use crate::core::notification::{IgnoreReason, IgnoredAlert, Notification, NotificationError};
use crate::log::{Event, LoggedBody, LoggedHeaders};
use crate::metrics::{Metrics, NotificationResult, Refusal};
use crate::repair::log_repairs;
use crate::store::{Recorded, Statements};

/// The longest body that is taken: about 28,000 alerts. A longer one is answered with 413.
pub const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// When those who are told to come again should. Alertmanager does not look at it, others do.
const RETRY_AFTER_SECONDS: &str = "5";

/// How many ignored alerts of one notification are logged one by one; the rest is counted.
const IGNORED_LOGGED: usize = 100;

/// Why a notification was not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookError {
    #[error("a notification is posted: use POST")]
    Method,
    #[error("another site sent this through a browser: notifications are taken from Alertmanager alone")]
    CrossSite,
    #[error(transparent)]
    Auth(#[from] AuthError),
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

impl WebhookError {
    /// The status code, which decides what becomes of the alerts: Alertmanager sends again after 5xx, and **drops the
    /// notification after anything else, 429 included**. So 4xx is only for what would fail for ever as it stands, and
    /// whatever may go better next time is a 503.
    fn status(&self) -> StatusCode {
        match self {
            // It can never be right: somebody has to change the sender.
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::Auth(AuthError::Missing | AuthError::Wrong) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoNotification(_) => StatusCode::BAD_REQUEST,
            // It may be right: we could not look at it, get it, or keep it.
            Self::Auth(AuthError::Busy) | Self::BodyLost | Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl WebhookError {
    /// As it is counted.
    fn result(&self) -> NotificationResult {
        match self {
            Self::Method => NotificationResult::WrongMethod,
            Self::CrossSite | Self::Auth(AuthError::Missing | AuthError::Wrong) => NotificationResult::Unauthorized,
            Self::Auth(AuthError::Busy) => NotificationResult::Busy,
            Self::TooLarge => NotificationResult::TooLarge,
            Self::BodyLost => NotificationResult::BodyLost,
            Self::NoNotification(_) => NotificationResult::Invalid,
            Self::NotStored => NotificationResult::NotStored,
        }
    }
}

impl IntoResponse for WebhookError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(json!({ "status": "error", "error": self.to_string() }))).into_response();
        let header = match status {
            StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "POST")),
            StatusCode::UNAUTHORIZED => {
                Some((WWW_AUTHENTICATE, r#"Basic realm="alertmanager-cachet", charset="UTF-8""#))
            }
            StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, RETRY_AFTER_SECONDS)),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Takes a notification. 200 means that its alerts are in the store.
pub(super) async fn receive(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, WebhookError> {
    let mut counted = Counted::new(app.metrics.clone());
    let outcome = take(app, peer, request).await;
    counted.result = outcome.as_ref().map_or_else(WebhookError::result, |_| NotificationResult::Stored);
    outcome
}

/// A request under way; counted when it is answered, or its sender hung up and nobody works on it any more.
struct Counted {
    metrics: Metrics,
    began: Instant,
    result: NotificationResult,
}

impl Counted {
    fn new(metrics: Metrics) -> Self {
        Self { metrics, began: Instant::now(), result: NotificationResult::Abandoned }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.notification(self.result, self.began.elapsed(), clock::now());
    }
}

async fn take(app: App, peer: SocketAddr, request: Request) -> Result<Response, WebhookError> {
    let source_ip = client_address(peer.ip(), request.headers(), &app.shared.settings.trusted_proxies);
    let headers = LoggedHeaders::new(request.headers());
    let received = read(&app, source_ip, request).await;
    let body = match &received {
        Ok(body) => LoggedBody::new(body, app.shared.settings.logged_body_limit_bytes),
        // A body that was refused is not even read: a stranger's flood must not fill the disk.
        Err(error) => LoggedBody::Absent(format!("not read, status {}", error.status().as_u16())),
    };
    app.shared.log.emit(&Event::WebhookRequest { source_ip, headers, body });

    let (resolve_rule, max_stored) = {
        let settings = app.shared.settings.in_force.borrow();
        (settings.resolve_rule(), settings.config.alerts.max_stored)
    };
    let watchdog = resolve_rule.as_ref().map(|rule| &rule.watchdog);
    let mut notification = match received.and_then(|body| Ok(Notification::parse(&body, watchdog)?)) {
        Ok(notification) => notification,
        Err(error) => {
            warn_of(&error, source_ip);
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

/// Says why a notification is not taken, except to those who need not be one: their request's own line says the status,
/// and strangers must not fill the log.
fn warn_of(error: &WebhookError, source_ip: IpAddr) {
    match error.status() {
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
        status => warn!(%source_ip, status = status.as_u16(), "notification not taken: {error}"),
    }
}

/// The body of a request that is let in.
async fn read(app: &App, source_ip: IpAddr, request: Request) -> Result<Bytes, WebhookError> {
    if request.method() != Method::POST {
        return Err(WebhookError::Method);
    }
    // A browser that has an operator's password sends it along with whatever another site has it post.
    if !is_from_here(request.headers()) {
        app.metrics.authentication_refused(Refusal::CrossSite);
        return Err(WebhookError::CrossSite);
    }
    let authorization = request.headers().get(AUTHORIZATION);
    let allowed = app.shared.authenticator.check_from(authorization, Some(source_ip)).await;
    allowed.inspect_err(|error| app.metrics.authentication_refused(error.into()))?;
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
    app.metrics.left_out(notification);
    app.live.left_out(notification, clock::now());
    let left_out = || notification.ignored.iter().chain(&notification.partly_ignored);
    for IgnoredAlert { fingerprint, alertname, reason } in left_out().take(IGNORED_LOGGED) {
        app.shared.log.emit(&Event::AlertIgnored { alertname, fingerprint, reason: &reason.to_string() });
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
        app.shared.wakes.repairer.wake();
    }
}

/// Stores the contents of a notification, then wakes the reconciler. Returns the alerts over the limit of stored alerts.
///
/// It runs in its own task. If the sender hangs up in the middle, the stored alerts still wake the reconciler.
async fn store(app: App, statements: Statements) -> Result<Vec<IgnoredAlert>, WebhookError> {
    let wakes = app.shared.wakes.clone();
    let task = tokio::spawn(async move {
        let (alerts, max_stored) = (statements.alerts.clone(), statements.max_stored);
        let recorded = app.shared.store.record_statements(statements, clock::now()).await;
        app.shared.store_health.note(&recorded.as_ref().map(drop));
        let Recorded { mut effects, repairs, watchdog_is_back } = recorded.ok()?;
        let over_limit = over_limit(&alerts, &effects, max_stored);
        effects.retain(|effect| *effect != Effect::OverLimit);
        debug!(?effects, "notification stored");
        app.metrics.alerts(&effects);
        log_repairs(&repairs);
        app.metrics.repaired(&repairs);
        log_held_resolves(&effects);
        // An ordinary heartbeat of the watchdog changes nothing for the reconciler.
        if !alerts.is_empty() || watchdog_is_back || !repairs.is_empty() {
            app.shared.wakes.reconciler.wake();
        }
        if effects.contains(&Effect::HeldRefire) || effects.contains(&Effect::HeldResolve) {
            app.shared.wakes.repairer.wake();
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

/// Logs how many resolves are held.
fn log_held_resolves(effects: &[Effect]) {
    let held = effects.iter().filter(|effect| **effect == Effect::HeldResolve).count();
    if held > 0 {
        warn!(
            held,
            "resolves are held until the watchdog is received: Alertmanager sends the same resolves when Prometheus is dead; \
             their alerts count as firing meanwhile"
        );
    }
}

/// The alerts over the limit of stored alerts, as ignored alerts with that reason.
fn over_limit(alerts: &[Alert], effects: &[Effect], max: u32) -> Vec<IgnoredAlert> {
    let over = alerts.iter().zip(effects).filter(|(_, effect)| **effect == Effect::OverLimit);
    over.map(|(alert, _)| IgnoredAlert {
        fingerprint: alert.fingerprint.to_string(),
        alertname: alert.name.clone(),
        reason: IgnoreReason::StoreFull(max),
    })
    .collect()
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
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn what_may_go_better_next_time_is_never_a_4xx() {
        for error in [WebhookError::Auth(AuthError::Busy), WebhookError::BodyLost, WebhookError::NotStored] {
            assert!(error.status().is_server_error(), "{error}");
        }
    }
}

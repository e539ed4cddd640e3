//! The console: what an operator asks of the page in the middle of the night, and what can be done about
//! it. It is not for the public: whoever comes in says who they are, and a reverse proxy forwards `/webhook` only.
//!
//! | file | what is there |
//! | --- | --- |
//! | `gate` | who comes in, what every answer carries, and that a form was sent from here |
//! | `api` | the read API, which `docs/openapi.yaml` documents |
//! | `pages` | the overview, the page of a component with its override, and the events that keep pages fresh |
//! | `page` | the status page that the server serves itself: what is on it, and the forms that edit it |
//!
//! Pages and API tell the values of [`core::explain`](crate::core::explain), as `explain` does.

mod api;
mod gate;
mod page;
mod pages;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use minijinja::Environment;
use serde_json::json;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use self::gate::Forged;
use self::pages::OverrideAction;
use crate::clock::Clock;
use crate::config::nearest;
use crate::core::explain::{Explanation, Facts};
use crate::core::plan::Policy;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::insight;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::reconcile::Wake;
use crate::settings::{Settings, SettingsInForce};
use crate::store::{PageTables, Store, StoreError};
use crate::web::auth::{Authenticator, NoRandomness};

/// Every path of the read API, as OpenAPI writes them.
pub const API_PATHS: [&str; 9] = [
    "/console/api/v1/components",
    "/console/api/v1/components/{component}",
    "/console/api/v1/changes",
    "/console/api/v1/ignored-alerts",
    "/console/api/v1/held-refires",
    "/console/api/v1/alertmanager",
    "/console/api/v1/monitoring",
    "/console/api/v1/page",
    "/console/api/v1/openapi.yaml",
];

/// The longest form that is taken.
const FORM_LIMIT_BYTES: usize = 16 * 1024;

/// What the console is made of.
#[derive(Clone)]
pub struct Parts {
    /// What it tells, and where it keeps overrides.
    pub store: Store,
    /// The built-in page; `None`: a Cachet is driven, and edited in its own dashboard.
    pub page: Option<PageTables>,
    /// Who comes in.
    pub authenticator: Arc<Authenticator>,
    /// How the page is kept, now and after a reload.
    pub settings: SettingsInForce,
    /// What the running server knows.
    pub live: Live,
    /// Who is told that something is overridden or edited.
    pub wake: Wake,
    /// Where it is said who did.
    pub log: Log,
    /// Where it is counted who is not let in.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Ends what would go on for ever.
    pub stop: CancellationToken,
}

/// The console.
pub struct Console {
    parts: Parts,
    tokens: gate::Tokens,
    pages: Environment<'static>,
    watchers: Arc<Semaphore>,
    /// How many have asked for what is known.
    asked: AtomicU64,
    /// What was read last, and how many had asked when that began; until the last of these has it.
    last_read: Mutex<Option<(u64, Arc<Facts>)>>,
    /// Held while something is done, so that of two who act at once the later one has seen the earlier.
    acting: Mutex<()>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the template does not fit its content ({0}): this is a fault of the program, please report it")]
    Template(#[from] minijinja::Error),
    #[error(transparent)]
    Forged(#[from] Forged),
    /// What a path names is not there.
    #[error("{0}")]
    NotFound(String),
    #[error("the form is longer than {} KiB: shorten the message", page::FORM_LIMIT_BYTES / 1024)]
    TooLong,
    #[error("{0}")]
    Bad(String),
}

impl Console {
    /// The console of a server.
    ///
    /// # Errors
    /// [`NoRandomness`] if no key can be made.
    pub fn new(parts: Parts) -> Result<Arc<Self>, NoRandomness> {
        Ok(Arc::new(Self {
            parts,
            tokens: gate::Tokens::new()?,
            pages: pages::templates(),
            watchers: Arc::new(Semaphore::new(pages::WATCHERS_AT_ONCE)),
            asked: AtomicU64::new(0),
            last_read: Mutex::default(),
            acting: Mutex::default(),
        }))
    }

    /// Everything below `/console`.
    pub fn router(self: &Arc<Self>) -> Router {
        let one = "/console/components/{component}";
        let asset = |kind, text: &'static str| ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text);
        let of_override = |action| {
            get(move |visit| pages::ask_override(visit, action))
                .post(move |visit, body| pages::submit_override(visit, action, body))
        };
        api::routes()
            .route("/console", get(pages::overview))
            .route("/console/", get(pages::overview))
            .route(one, get(pages::component))
            .route(&format!("{one}/override"), of_override(OverrideAction::Set))
            .route(&format!("{one}/override/end"), of_override(OverrideAction::End))
            // Their earlier paths.
            .route(&format!("{one}/hold"), of_override(OverrideAction::Set))
            .route(&format!("{one}/release"), of_override(OverrideAction::End))
            .route("/console/page", get(page::list))
            .route("/console/page/", get(page::list))
            .route(
                "/console/page/{*edit}",
                get(page::ask).post(page::submit).layer(DefaultBodyLimit::max(page::FORM_LIMIT_BYTES)),
            )
            .route("/console/events", get(pages::events))
            .route("/console/assets/console.css", get(asset("text/css", include_str!("console/console.css"))))
            .route("/console/assets/console.js", get(asset("text/javascript", include_str!("console/console.js"))))
            .layer(DefaultBodyLimit::max(FORM_LIMIT_BYTES))
            .layer(from_fn_with_state(self.clone(), gate::let_in))
            .with_state(self.clone())
    }

    /// What is known now.
    ///
    /// One reads at a time, and those who ask meanwhile share the next reading: in a storm every open page asks at every
    /// moment, and the store has better things to do.
    async fn facts(&self) -> Result<Arc<Facts>, StoreError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last_read.lock().await;
        // It was read after this was asked.
        if let Some((asked, facts)) = last.take().filter(|(asked, _)| ticket <= *asked) {
            *last = (ticket < asked).then(|| (asked, Arc::clone(&facts)));
            return Ok(facts);
        }
        let parts = &self.parts;
        let settings = parts.settings.borrow().clone();
        let asked = self.asked.load(Ordering::SeqCst);
        let policy = self.policy(&settings);
        let facts = Arc::new(insight::facts(&parts.store, &settings, policy, parts.clock.now()).await?);
        *last = (asked > ticket).then(|| (asked, Arc::clone(&facts)));
        Ok(facts)
    }

    fn policy(&self, settings: &Settings) -> Policy {
        Policy { takes_unknown: !self.parts.live.told().writing.unknown_is_refused, ..settings.policy() }
    }

    /// A component that a path names, explained, and the time for which that is said.
    async fn explained(&self, name: &str) -> Result<(ComponentName, Explanation, Timestamp), Failure> {
        let parts = &self.parts;
        if let Ok(component) = ComponentName::try_from(name) {
            let (settings, now) = (parts.settings.borrow().clone(), parts.clock.now());
            let policy = self.policy(&settings);
            let facts = insight::facts_about(&component, &parts.store, &settings, policy, now).await?;
            if let Some(explanation) = facts.explain(&component) {
                return Ok((component, explanation, now));
            }
        }
        let components = self.facts().await?.components();
        let cure = nearest(name, components.iter().map(ComponentName::as_str))
            .map_or_else(|| "the overview has all of them".to_owned(), |near| format!("did you mean {near:?}?"));
        let name: String = name.chars().take(100).collect();
        Err(Failure::NotFound(format!("there is no component {name:?}: {cure}")))
    }
}

impl Failure {
    /// The status code, wherever the failure is told.
    fn status(&self) -> StatusCode {
        match self {
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Forged(_) => StatusCode::FORBIDDEN,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Reads RFC 3339, or a date and a time in UTC. A zone that is named (`[Europe/Berlin]`) is refused: it would be passed
/// over, and the override end hours too early or too late.
fn moment(text: &str) -> Option<Timestamp> {
    let in_utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    if text.contains('[') {
        return None;
    }
    Timestamp::parse_rfc3339(text)
        .ok()
        .or_else(|| in_utc().map(|zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond())))
}

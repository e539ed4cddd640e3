//! The console: what an operator asks of the page in the middle of the night, and what can be done about
//! it. It is not for the public: whoever comes in says who they are, and a reverse proxy forwards `/webhook` only.
//!
//! | file | what is there |
//! | --- | --- |
//! | `gate` | who comes in, what every answer carries, and that a form was sent from here |
//! | `api` | the read API, which `docs/openapi.yaml` documents |
//! | `pages` | the pages, which are HTML without a single outside resource, and the events that keep them fresh |
//! | `overrides` | overrides, set and ended: asked, confirmed, logged |
//! | `page` | the status page that the server serves itself: what is on it, and the forms that edit it |
//!
//! Pages and API tell the values of [`core::explain`](crate::core::explain), as `explain` does.

mod api;
mod gate;
mod overrides;
mod page;
mod pages;

use std::ops::Deref;
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
use crate::clock::Clock;
use crate::config::nearest;
use crate::core::explain::{Explanation, summaries};
use crate::core::plan::Policy;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::insight::Insight;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::reconcile::Wake;
use crate::settings::SettingsInForce;
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

/// The console. Clones share it.
#[derive(Clone)]
pub struct Console(Arc<Shared>);

impl Deref for Console {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What the clones of a [`Console`] share.
pub struct Shared {
    parts: Parts,
    tokens: gate::Tokens,
    pages: Environment<'static>,
    watchers: Arc<Semaphore>,
    /// How many have asked for what is known.
    asked: AtomicU64,
    last_read: Mutex<LastRead>,
    /// Held while something is done, so that of two who act at once the later one has seen the earlier.
    acting: Mutex<()>,
}

/// What was read last, until the last of those who had asked when that began has it.
#[derive(Default)]
struct LastRead {
    asked: u64,
    insight: Option<Arc<Insight>>,
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
    #[error("there is no component {name:?}: {cure}")]
    UnknownComponent { name: String, cure: String },
    /// What a path below `/console/page` names is not there.
    #[error("{0}")]
    UnknownOnPage(String),
    #[error(
        "this server drives a Cachet (CACHET_API_URL) and has no page of its own: edit the page in Cachet's dashboard"
    )]
    NoPage,
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
    pub fn new(parts: Parts) -> Result<Self, NoRandomness> {
        let watchers = Arc::new(Semaphore::new(pages::WATCHERS_AT_ONCE));
        let (tokens, pages) = (gate::Tokens::new()?, pages::templates());
        let (asked, last_read, acting) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Shared { parts, tokens, pages, watchers, asked, last_read, acting })))
    }

    /// Everything below `/console`.
    pub fn router(&self) -> Router {
        let one = "/console/components/{component}";
        let asset = |kind, text: &'static str| ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text);
        let set = get(overrides::ask_set).post(overrides::set);
        let end = get(overrides::ask_end).post(overrides::end);
        api::routes()
            .route("/console", get(pages::overview))
            .route("/console/", get(pages::overview))
            .route(one, get(pages::component))
            .route(&format!("{one}/override"), set.clone())
            .route(&format!("{one}/override/end"), end.clone())
            // Their earlier paths.
            .route(&format!("{one}/hold"), set)
            .route(&format!("{one}/release"), end)
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
    async fn insight(&self) -> Result<Arc<Insight>, StoreError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last_read.lock().await;
        let shared = if ticket < last.asked { last.insight.clone() } else { last.insight.take() };
        // It was read after this was asked.
        if let Some(insight) = shared.filter(|_| ticket <= last.asked) {
            return Ok(insight);
        }
        let parts = &self.parts;
        let settings = parts.settings.borrow().clone();
        let asked = self.asked.load(Ordering::SeqCst);
        let policy = Policy { takes_unknown: !parts.live.writing().unknown_is_refused, ..settings.policy() };
        let insight = Arc::new(Insight::read(&parts.store, &settings, policy, parts.clock.now()).await?);
        *last = LastRead { asked, insight: (asked > ticket).then(|| Arc::clone(&insight)) };
        Ok(insight)
    }

    /// A component that a path names, explained.
    async fn explained(&self, name: &str) -> Result<(ComponentName, Explanation, Arc<Insight>), Failure> {
        let insight = self.insight().await?;
        let component = ComponentName::try_from(name).ok();
        let explanation = component.as_ref().and_then(|component| insight.explain(component));
        match (component, explanation) {
            (Some(component), Some(explanation)) => Ok((component, explanation, insight)),
            _ => {
                let components = summaries(insight.facts());
                let near = nearest(name, components.iter().map(|summary| summary.component.as_str()));
                let cure = near.map_or_else(
                    || "the overview has all of them".to_owned(),
                    |near| format!("did you mean {near:?}?"),
                );
                Err(Failure::UnknownComponent { name: name.chars().take(100).collect(), cure })
            }
        }
    }
}

impl Failure {
    /// The status code, wherever the failure is told.
    fn status(&self) -> StatusCode {
        match self {
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownComponent { .. } | Self::UnknownOnPage(_) | Self::NoPage => StatusCode::NOT_FOUND,
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

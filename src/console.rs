//! The console: what an operator asks of the page in the middle of the night, and what can be done about
//! it. It is not for the public: whoever comes in says who they are, and a reverse proxy forwards `/webhook` only.
//!
//! | file | what is there |
//! | --- | --- |
//! | `gate` | who comes in, what every answer carries, and that a form was sent from here |
//! | `asked` | what a path and a query ask for |
//! | `api` | the read API, which `docs/openapi.yaml` documents |
//! | `view` | what the pages say |
//! | `pages` | the pages: HTML without a single outside resource |
//! | `actions` | hold and release: asked, confirmed, logged |
//! | `page` | the status page that the server serves itself: what is on it, and the forms that edit it |
//! | `events` | that something changed, as server-sent events |
//!
//! Pages and API tell the values of [`core::explain`](crate::core::explain), as `explain` does.

mod actions;
mod api;
mod asked;
mod events;
mod gate;
mod page;
mod pages;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::core::explain::Explanation;
use crate::core::plan::Policy;
use crate::core::target::ComponentName;
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
    /// What it tells, and where it keeps what is held.
    pub store: Store,
    /// The built-in page; `None`: a Cachet is driven, and edited in its own dashboard.
    pub page: Option<PageTables>,
    /// Who comes in.
    pub authenticator: Authenticator,
    /// How the page is kept, now and after a reload.
    pub settings: SettingsInForce,
    /// What the running server knows.
    pub live: Live,
    /// Who is told that something is held, released or edited.
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
pub struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    tokens: gate::Tokens,
    pages: pages::Templates,
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
    #[error("there is no component {name:?}: {cure}")]
    UnknownComponent { name: String, cure: String },
    /// What a path below `/console/page` names is not there.
    #[error("{0}")]
    UnknownOnPage(String),
    #[error(
        "this server drives a Cachet (CACHET_API_URL) and has no page of its own: edit the page in Cachet's dashboard"
    )]
    NoPage,
    #[error("{0}")]
    Bad(String),
}

impl Console {
    /// The console of a server.
    ///
    /// # Errors
    /// [`NoRandomness`] if no key can be made.
    pub fn new(parts: Parts) -> Result<Self, NoRandomness> {
        let watchers = Arc::new(Semaphore::new(events::WATCHERS_AT_ONCE));
        let (tokens, pages) = (gate::Tokens::new()?, pages::Templates::new());
        let (asked, last_read, acting) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        let shared = Shared { parts, tokens, pages, watchers, asked, last_read, acting };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Everything below `/console`.
    pub fn router(&self) -> Router {
        let one = "/console/components/{component}";
        api::routes()
            .route("/console", get(pages::overview))
            .route("/console/", get(pages::overview))
            .route(one, get(pages::component))
            .route(&format!("{one}/hold"), get(actions::ask_hold).post(actions::hold))
            .route(&format!("{one}/release"), get(actions::ask_release).post(actions::release))
            .route("/console/page", get(page::list))
            .route("/console/page/", get(page::list))
            .route(
                "/console/page/{*edit}",
                get(page::ask).post(page::submit).layer(DefaultBodyLimit::max(page::FORM_LIMIT_BYTES)),
            )
            .route("/console/events", get(events::events))
            .route("/console/assets/console.css", get(pages::css))
            .route("/console/assets/console.js", get(pages::js))
            .layer(DefaultBodyLimit::max(FORM_LIMIT_BYTES))
            .layer(from_fn_with_state(self.clone(), gate::let_in))
            .with_state(self.clone())
    }

    /// What is known now.
    ///
    /// One reads at a time, and those who ask meanwhile share the next reading: in a storm every open page asks at every
    /// moment, and the store has better things to do.
    async fn insight(&self) -> Result<Arc<Insight>, StoreError> {
        let ticket = self.shared.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.shared.last_read.lock().await;
        let shared = if ticket < last.asked { last.insight.clone() } else { last.insight.take() };
        // It was read after this was asked.
        if let Some(insight) = shared.filter(|_| ticket <= last.asked) {
            return Ok(insight);
        }
        let parts = &self.shared.parts;
        let settings = parts.settings.borrow().clone();
        let asked = self.shared.asked.load(Ordering::SeqCst);
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
            _ => Err(unknown(name, &insight)),
        }
    }
}

fn unknown(name: &str, insight: &Insight) -> Failure {
    let components = crate::core::explain::summaries(insight.facts());
    let known = components.iter().map(|summary| summary.component.as_str());
    let cure = match crate::config::nearest(name, known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "the overview has all of them".to_owned(),
    };
    Failure::UnknownComponent { name: name.chars().take(100).collect(), cure }
}

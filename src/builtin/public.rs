//! What readers ask for, served from memory: the page and its assets.
//!
//! The page is rendered again only if its content changes, and every reader gets those bytes. The content is read again after
//! a write to the page by this process, after any other commit (checked at most once a second), and when time changes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::RwLock;

use super::document::Document;
use super::{API_IS_GONE, BuiltinPage, html};
use crate::core::builtin::first_day;
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;
use crate::store::StoreError;

/// How long a reader may get an outdated page after another process changed the store.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Nobody may guess a type from bytes.
const NO_SNIFFING: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-cache"),
    // Only our own resources, no other destinations, no framing.
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    NO_SNIFFING,
];

/// How long a reader waits for the store.
const PATIENCE: Duration = Duration::from_secs(3);

/// Assets are revalidated after an hour: a new release shows soon, and a page that reloads does not request them each time.
const ASSET_HEADERS: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "public, max-age=3600"), NO_SNIFFING];

/// `page` at `/`, with its assets.
pub(super) fn router(page: BuiltinPage) -> Router {
    let asset = |kind, text: String| Document::new(kind, &ASSET_HEADERS, text);
    let icons = ComponentStatus::ALL.iter().map(|status| html::tone(*status));
    let mut assets: HashMap<String, Document> =
        icons.map(|tone| (format!("{}.svg", tone.key), asset("image/svg+xml", tone.icon()))).collect();
    assets.insert("page.css".to_owned(), asset("text/css; charset=utf-8", include_str!("page.css").to_owned()));
    assets.insert("page.js".to_owned(), asset("text/javascript; charset=utf-8", include_str!("page.js").to_owned()));
    let public = Arc::new(Public { page, last: RwLock::default(), failures: AtomicU64::new(0), assets });
    let gone = async || (StatusCode::GONE, Json(json!({ "message": API_IS_GONE })));
    Router::new()
        .route("/", get(async |State(public): State<Arc<Public>>, asked: HeaderMap| public.answer(&asked).await))
        .route(
            "/assets/{name}",
            get(async |State(public): State<Arc<Public>>, Path(name): Path<String>, asked: HeaderMap| {
                let asset = public.assets.get(&name);
                asset.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| asset.answer(&asked))
            }),
        )
        // Earlier releases imitated Cachet's API there.
        .route("/api", any(gone))
        .route("/api/", any(gone))
        .route("/api/{*path}", any(gone))
        .with_state(public)
}

struct Public {
    page: BuiltinPage,
    last: RwLock<Option<Rendering>>,
    /// How many refreshes have failed.
    failures: AtomicU64,
    assets: HashMap<String, Document>,
}

/// The page, and how long it is true.
struct Rendering {
    document: Document,
    /// What it was rendered from.
    told: String,
    own_writes: u64,
    data_version: i64,
    read_at: Timestamp,
    /// When time alone changes it.
    changes_at: Timestamp,
    /// When it was last known that no other process had changed it.
    checked_at: Timestamp,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the store did not answer within {PATIENCE:?}: check its disk")]
    Slow,
    #[error("the template does not fit its content ({0}): this is a fault of the program, please report it")]
    Template(#[from] minijinja::Error),
}

impl Public {
    /// `GET /`.
    async fn answer(&self, asked: &HeaderMap) -> Response {
        let failures = self.failures.load(Ordering::Relaxed);
        if let Some(rendering) = self.current(&*self.last.read().await) {
            return rendering.document.answer(asked);
        }
        let mut last = self.last.write().await;
        // Readers that came before this refresh had ended share its result, also its failure.
        if self.current(&last).is_none()
            && self.failures.load(Ordering::Relaxed) == failures
            && let Err(error) = self.refresh_in_time(&mut last).await
        {
            tracing::error!(%error, "the page could not be made");
            *last = None;
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        match &*last {
            Some(rendering) => rendering.document.answer(asked),
            None => (StatusCode::INTERNAL_SERVER_ERROR, "The status cannot be shown at the moment.").into_response(),
        }
    }

    /// [`Self::refresh`] within [`PATIENCE`]: while a disk stands still, readers wait no longer than that.
    async fn refresh_in_time(&self, last: &mut Option<Rendering>) -> Result<(), Failure> {
        tokio::time::timeout(PATIENCE, self.refresh(last)).await.unwrap_or(Err(Failure::Slow))
    }

    /// The last rendering, if nothing can have changed since.
    fn current<'a>(&self, last: &'a Option<Rendering>) -> Option<&'a Rendering> {
        let rendering = last.as_ref()?;
        let ends = rendering.changes_at.min(rendering.checked_at.after(CHECK_INTERVAL));
        let is_in_time = (rendering.checked_at..ends).contains(&self.page.clock.now());
        (is_in_time && rendering.own_writes == self.page.tables.own_writes()).then_some(rendering)
    }

    /// Brings the last rendering up to date. Nothing is rendered if the page still says the same.
    async fn refresh(&self, last: &mut Option<Rendering>) -> Result<(), Failure> {
        let BuiltinPage { store, tables, clock } = &self.page;
        // Before the content is read, so that what is written meanwhile is a change of its own.
        let (now, own_writes) = (clock.now(), tables.own_writes());
        let data_version = tables.data_version().await?;
        if let Some(last) = last
            && (last.own_writes, last.data_version) == (own_writes, data_version)
            && (last.read_at..last.changes_at).contains(&now)
        {
            last.checked_at = now;
            return Ok(());
        }
        let content = tables.content(first_day(now), now).await?;
        let overrides = store.overrides().await?;
        let told = html::told(&content, &overrides, now);
        let ends = overrides.iter().map(|override_| override_.until).filter(|until| *until > now);
        let changes_at = ends.fold(content.changes_at(now), Timestamp::min);
        let text = told.to_string();
        let document = match last.take() {
            Some(last) if last.told == text => last.document,
            _ => Document::new("text/html; charset=utf-8", &PAGE_HEADERS, html::render(&told)?),
        };
        let (read_at, checked_at) = (now, now);
        *last = Some(Rendering { document, told: text, own_writes, data_version, read_at, changes_at, checked_at });
        Ok(())
    }
}

//! What readers ask for, served from memory: the page and its assets.
//!
//! The page is rendered once for each change of what it says, and every reader gets those bytes. Whether something changed is
//! known without reading the store: this process counts its own writes, SQLite tells of those of others (`setup`), which is
//! asked once a second at most, and the content itself says when time alone changes it.

use std::collections::HashMap;
use std::sync::Arc;
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

/// How long readers may be told what another process has changed meanwhile.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Nobody may guess a type from bytes.
const NO_SNIFFING: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-cache"),
    // Nothing but what we serve ourselves, nowhere else to send anything to, and nobody may frame it.
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    NO_SNIFFING,
];

/// Revalidated after an hour: an upgrade shows soon, and a page that refreshes does not ask each time.
/// How long a reader waits for the store.
const PATIENCE: Duration = Duration::from_secs(3);

const ASSET_HEADERS: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "public, max-age=3600"), NO_SNIFFING];

/// `page` at `/`, with its assets.
pub(super) fn router(page: BuiltinPage) -> Router {
    let asset = |kind, text: String| Document::new(kind, &ASSET_HEADERS, text);
    let icons = ComponentStatus::ALL.iter().map(|status| html::tone(*status));
    let mut assets: HashMap<String, Document> =
        icons.map(|tone| (format!("{}.svg", tone.key), asset("image/svg+xml", tone.icon()))).collect();
    assets.insert("page.css".to_owned(), asset("text/css; charset=utf-8", include_str!("page.css").to_owned()));
    assets.insert("page.js".to_owned(), asset("text/javascript; charset=utf-8", include_str!("page.js").to_owned()));
    let public = Arc::new(Public { page, last: RwLock::default(), assets });
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
    last: RwLock<Last>,
    assets: HashMap<String, Document>,
}

#[derive(Default)]
struct Last {
    rendering: Option<Rendering>,
    /// How often there was none to be had.
    failures: u64,
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
        let failures = {
            let last = self.last.read().await;
            if let Some(rendering) = self.current(&last) {
                return rendering.document.answer(asked);
            }
            last.failures
        };
        let mut last = self.last.write().await;
        // Of those who came while there was none, the first has made it, or has failed for all of them.
        if self.current(&last).is_none()
            && last.failures == failures
            && let Err(error) = self.refresh_in_time(&mut last.rendering).await
        {
            tracing::error!(%error, "the page could not be made");
            *last = Last { rendering: None, failures: failures.wrapping_add(1) };
        }
        match &last.rendering {
            Some(rendering) => rendering.document.answer(asked),
            None => (StatusCode::INTERNAL_SERVER_ERROR, "The status cannot be shown at the moment.").into_response(),
        }
    }

    /// [`Self::refresh`] within [`PATIENCE`]: while a disk stands still, readers wait no longer than that.
    async fn refresh_in_time(&self, last: &mut Option<Rendering>) -> Result<(), Failure> {
        tokio::time::timeout(PATIENCE, self.refresh(last)).await.unwrap_or(Err(Failure::Slow))
    }

    /// The last rendering, if nothing can have changed since.
    fn current<'a>(&self, last: &'a Last) -> Option<&'a Rendering> {
        let rendering = last.rendering.as_ref()?;
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

//! What readers ask for, served from memory: the page and its assets.
//!
//! The page is rendered again only if its content changes, and every reader gets those bytes. The content is read again after
//! a write to the page by this process, after any other commit (checked at most once a second), and when time changes it.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;
use tokio::time::timeout;

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
        if self.current(&last).is_none() && self.failures.load(Ordering::Relaxed) == failures {
            // While a disk stands still, readers wait no longer than that.
            let refreshed = timeout(PATIENCE, self.refresh(&mut last)).await;
            if let Err(error) = refreshed.unwrap_or(Err(Failure::Slow)) {
                tracing::error!(%error, "the page could not be made");
                *last = None;
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        match &*last {
            Some(rendering) => rendering.document.answer(asked),
            None => (StatusCode::INTERNAL_SERVER_ERROR, "The status cannot be shown at the moment.").into_response(),
        }
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

/// A document, kept in memory with everything that an answer needs: compressed and not, each with its tag.
struct Document {
    identity: Representation,
    /// `None` if it would not be smaller.
    gzip: Option<Representation>,
}

/// The document in one coding.
struct Representation {
    /// The strong ETag is among them.
    headers: HeaderMap,
    body: Bytes,
}

impl Document {
    /// The document `text` of the media type `kind`, whose answers carry `headers`.
    fn new(kind: &'static str, headers: &[(HeaderName, &'static str)], text: String) -> Self {
        let digest: String = Sha256::digest(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let represented = |body: Vec<u8>, tag: String, coding: Option<&'static str>| {
            let fixed = [(header::CONTENT_TYPE, kind), (header::VARY, "accept-encoding")].into_iter();
            let coding = coding.map(|coding| (header::CONTENT_ENCODING, coding));
            let fixed = fixed.chain(coding).chain(headers.iter().cloned());
            let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
            let tag = HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag));
            Representation { headers: fixed.chain(tag).collect(), body: body.into() }
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
        let compressed = compressed.ok().filter(|body| body.len() < text.len());
        let gzip = compressed.map(|body| represented(body, format!("\"{digest}-gzip\""), Some("gzip")));
        Self { identity: represented(text.into_bytes(), format!("\"{digest}\""), None), gzip }
    }

    /// The answer to a GET or HEAD with these headers: 304 if the client has it.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let chosen = self.gzip.as_ref().filter(|_| takes_gzip(asked)).unwrap_or(&self.identity);
        // RFC 9110, section 13.1.2. A proxy that changes the coding makes the tag a weak one.
        let is_known = items(asked, &header::IF_NONE_MATCH).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || chosen.headers.get(header::ETAG).is_some_and(|known| known == tag)
        });
        let mut response = Response::new(if is_known { Body::empty() } else { chosen.body.clone().into() });
        *response.headers_mut() = chosen.headers.clone();
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_ENCODING);
        }
        response
    }
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3): it is named, or anything is welcome; with a weight that is not 0.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let (mut named, mut any) = (None, false);
    for item in items(asked, &header::ACCEPT_ENCODING) {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix(['q', 'Q']).and_then(|weight| weight.strip_prefix('='));
        // An unreadable weight counts as a refusal: every client accepts the uncompressed text.
        let is_accepted =
            weight.map_or(parameters.trim().is_empty(), |weight| weight.parse().is_ok_and(|it: f32| it > 0.0));
        match coding.trim_end() {
            "*" => any = is_accepted,
            coding if coding.eq_ignore_ascii_case("gzip") => named = Some(is_accepted),
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// The items of a list that a client sent, in one header or several.
fn items<'a>(asked: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = asked.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_name_it_or_take_anything_and_do_not_refuse_it() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("", false),
            ("identity", false),
            ("br, deflate", false),
            ("gzip;q=0", false),
            ("*, gzip; q=0.0", false),
            ("*;q=0", false),
        ] {
            let asked = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&asked), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()), "who says nothing may not know it");
    }
}

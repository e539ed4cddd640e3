//! The built-in page over a fresh store, with a clock that the test turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use alertmanager_cachet::builtin::BuiltinPage;
use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::core::builtin::AffectedStatus;
use alertmanager_cachet::core::observed::{ComponentId, GroupId, IncidentId, NewComponent, NewGroup};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::{ComponentChange, NewIncident, PageTables, Store};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower::ServiceExt;

/// 2026-11-21 02:06:50 UTC.
pub const START_MS: i64 = 1_795_226_810_000;

/// The built-in page over a fresh store.
pub struct PageServer {
    pub router: Router,
    pub page: BuiltinPage,
    pub tables: PageTables,
    pub store: Store,
    clock_ms: Arc<AtomicI64>,
    url: String,
    _folder: TempDir,
}

impl PageServer {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("store.db").display());
        let store = Store::open(&url).await.expect("opens");
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let hand = Arc::clone(&clock_ms);
        let clock = Clock::new(move || Timestamp::from_millis(hand.load(Ordering::Relaxed)));
        let page = BuiltinPage::new(&store, clock);
        Self { router: page.router(), page, tables: store.page(), store, clock_ms, url, _folder: folder }
    }

    /// The tables as another process has them.
    pub async fn another_process(&self) -> PageTables {
        Store::open(&self.url).await.expect("opens").page()
    }

    pub fn set_clock(&self, now_ms: i64) {
        self.clock_ms.store(now_ms, Ordering::Relaxed);
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock_ms.load(Ordering::Relaxed))
    }

    /// A call as it is.
    pub async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("an answer")
    }

    /// What a reader gets at `path`.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.send(Request::get(path).body(Body::empty()).expect("a request")).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    pub async fn group(&self, name: &str) -> GroupId {
        self.tables.make_group(&NewGroup { name: name.to_owned(), order: 0 }).await.expect("made")
    }

    /// A component, visible unless it is of a target.
    pub async fn component(&self, name: &str, status: ComponentStatus, group: Option<GroupId>) -> ComponentId {
        let enabled = !name.contains('|');
        let new = NewComponent { name: name.to_owned(), status, enabled, description: None, group, order: None };
        self.tables.make_component(&new).await.expect("made")
    }

    pub async fn set_status(&self, component: ComponentId, status: ComponentStatus) {
        let change = ComponentChange { status: Some(status), ..ComponentChange::default() };
        assert!(self.tables.change_component(component, &change).await.expect("changed"));
    }

    /// An incident that begins now and gives a component Major Outage.
    pub async fn incident(&self, title: &str, message: &str, component: ComponentId) -> IncidentId {
        let incident = NewIncident {
            title: title.to_owned(),
            message: message.to_owned(),
            status: IncidentStatus::Investigating,
            key: None,
            opened_for: None,
            began_at: self.now(),
            affected: vec![AffectedStatus { component, status: ComponentStatus::MajorOutage }],
        };
        self.tables.open_incident(&incident, self.now()).await.expect("opened")
    }

    pub async fn say(&self, incident: IncidentId, status: IncidentStatus, message: &str) {
        assert!(self.tables.update_incident(incident, status, message, self.now()).await.expect("said"));
    }
}

//! The console, over the real store and the real reconciler: what it tells, who may come in, and what can be done.

mod actions;
mod api;
mod browser;
mod events;
mod gate;
mod page;
mod pages;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::config::Users;
use alertmanager_cachet::console::{Console, Parts};
use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::notification::{IgnoreReason, IgnoredAlert, Notification};
use alertmanager_cachet::metrics::Metrics;
use alertmanager_cachet::store::PageTables;
use alertmanager_cachet::web::auth::Authenticator;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use fake_cachet::Release;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::support::web::{ADMIN, USERS};
use crate::support::world::{TargetSpec, World, in_force};

const TARGETS: &[TargetSpec<'_>] = &[
    ("db-1:9100", "Database", true),
    ("db-2:9100", "Database", false),
    ("web-1:9100", "Website, A/B ü%", false),
    ("web-2:9100", "Website", false),
];

/// A console beside a world that is stepped by hand.
struct Site {
    world: World,
    router: Router,
    metrics: Metrics,
    stop: CancellationToken,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn location(&self) -> &str {
        self.headers["location"].to_str().expect("text")
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let after = self.body.split_once(&start).unwrap_or_else(|| panic!("{name}: {}", self.body)).1;
        after.split_once('"').expect("an end").0.to_owned()
    }
}

impl Site {
    /// All is well.
    async fn start() -> Self {
        Self::with(World::set_up(Release::Current, TARGETS).await).await
    }

    async fn with(world: World) -> Self {
        Self::for_users(world, Users::parse(USERS).expect("users").0).await
    }

    async fn for_users(world: World, users: Users) -> Self {
        let page = world.store.page();
        Self::of(world, users, Some(page)).await
    }

    /// One of a server that drives a Cachet.
    async fn beside_a_cachet() -> Self {
        let world = World::set_up(Release::Current, TARGETS).await;
        Self::of(world, Users::parse(USERS).expect("users").0, None).await
    }

    async fn of(mut world: World, users: Users, page: Option<PageTables>) -> Self {
        world.settle().await;
        let mut settings = world.settings.clone();
        settings.web.users = users;
        let settings = in_force(settings);
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let console = Console::new(Parts {
            store: world.store.clone().observed_by(Arc::new(metrics.clone())),
            page,
            authenticator: Authenticator::new(settings.clone()).expect("an authenticator"),
            settings,
            live: world.live(),
            wake: world.wake(),
            log: world.events(),
            metrics: metrics.clone(),
            clock: world.clock(),
            stop: stop.clone(),
        });
        let router = console.expect("a console").router();
        Self { world, router, metrics, stop }
    }

    /// A call as it is.
    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
    }

    /// What `admin` gets.
    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("Authorization", ADMIN).body(Body::empty());
        self.send(request.expect("a request")).await
    }

    /// What `admin` posts from a page of the console.
    async fn post(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header("Authorization", ADMIN)
            .header("Sec-Fetch-Site", "same-origin")
            .header("Content-Type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).expect("a request")).await
    }

    /// A target fails, and the page says so.
    async fn fail(&mut self, instance: &str, components: &str) -> Alert {
        let alert = self.world.fire(instance, components).await;
        self.world.settle().await;
        alert
    }

    /// An alert comes that is about no target.
    fn ignore(&self, alertname: &str) {
        let ignored = IgnoredAlert {
            fingerprint: "e029c70b1b64731f".to_owned(),
            alertname: alertname.to_owned(),
            reason: IgnoreReason::NoInstance,
        };
        let notification = Notification { ignored: vec![ignored], ..Notification::default() };
        self.world.live().left_out(&notification, self.world.now());
    }

    /// The console on a port of its own.
    async fn serve(&self) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = self.router.clone();
        (url, tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") }))
    }
}

const HOUR: Duration = Duration::from_secs(3600);

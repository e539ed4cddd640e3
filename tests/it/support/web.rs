//! A server on a port of its own, with a store of its own.

use std::net::SocketAddr;
use std::time::Duration;

use alertmanager_cachet::config::Users;
use alertmanager_cachet::live::Live;
use alertmanager_cachet::metrics::Metrics;
use alertmanager_cachet::readiness::Readiness;
use alertmanager_cachet::reconcile::Wake;
use alertmanager_cachet::settings as configuration;
use alertmanager_cachet::store::Store;
use alertmanager_cachet::web::places::Limits;
use alertmanager_cachet::web::{self, App, Parts, Wakes};
use reqwest::RequestBuilder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::log::{self, KeptLines};
use super::world::in_force;

/// `admin` with the password `admin`, at the lowest cost; and `grafana` with `password`, as `$apr1$`.
pub const USERS: &str = "admin:$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju\n\
                         grafana:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1";

/// `Authorization` of `admin`.
pub const ADMIN: &str = "Basic YWRtaW46YWRtaW4=";

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub store: Store,
    pub wake: Wake,
    pub repair: Wake,
    pub log: KeptLines,
    pub metrics: Metrics,
    pub readiness: Readiness,
    pub client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

/// What a server is started with.
pub struct Settings {
    /// The only network whose `X-Forwarded-For` is believed.
    pub trusted_proxy: Option<&'static str>,
    pub logged_body_limit_bytes: usize,
    pub in_force: configuration::SettingsInForce,
}

/// What a server is started with if a test has no wish of its own.
pub fn settings() -> Settings {
    configured(with_users())
}

/// The same with these settings.
pub fn configured(settings: configuration::Settings) -> Settings {
    Settings { trusted_proxy: None, logged_body_limit_bytes: 65_536, in_force: in_force(settings) }
}

/// What is configured where nothing but [`USERS`] is.
pub fn with_users() -> configuration::Settings {
    let mut settings = configuration::Settings::from(super::world::config());
    settings.web.users = Users::parse(USERS).expect("users").0;
    settings
}

impl Server {
    /// A server that finishes requests within ten seconds when it is stopped.
    pub async fn start(settings: Settings) -> Self {
        Self::start_with_grace(settings, Duration::from_secs(10)).await
    }

    pub async fn start_with_grace(settings: Settings, grace: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&format!("sqlite://{}/test.db", folder.path().display())).await.expect("a store");
        let (wake, repair) = (Wake::default(), Wake::default());
        let (log, lines) = log::kept();
        let wakes = Wakes { reconciler: wake.clone(), repairer: repair.clone() };
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        let parts = Parts {
            trusted_proxies: settings.trusted_proxy.iter().map(|network| network.parse().expect("a network")).collect(),
            logged_body_limit_bytes: settings.logged_body_limit_bytes,
            settings: settings.in_force,
            store: store.clone(),
            wakes,
            log,
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            live: Live::default(),
        };
        let app = App::new(parts).expect("an app");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(web::serve(Limits::default(), listener, None, web::router(app), shutdown, grace));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self {
            address,
            store,
            wake,
            repair,
            log: lines,
            metrics,
            readiness,
            client,
            stop: Some(stop),
            serving,
            _folder: folder,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A POST to the webhook without authentication.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client.post(self.url("/webhook")).header("Content-Type", "application/json").body(body)
    }

    /// A POST to the webhook by `admin`.
    pub fn post_as_admin(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.post(body).header("Authorization", ADMIN)
    }

    /// How many alerts the store holds.
    pub async fn stored_alerts(&self) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM alerts").fetch_one(self.store.reader()).await.expect("a count")
    }

    /// The only line of the log that begins with `start`.
    pub fn line(&self, start: &str) -> String {
        let lines: Vec<String> = self.log.lines().into_iter().filter(|line| line.starts_with(start)).collect();
        let [line] = &lines[..] else { panic!("one line with {start}: {lines:#?}") };
        line.clone()
    }

    /// Asks the server to end.
    pub fn stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).expect("it runs");
    }

    /// Waits until it has ended.
    pub async fn ended(self) {
        self.serving.await.expect("no panic").expect("an orderly end");
    }

    /// Opens a connection and writes `text` to it.
    pub async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }
}

/// What comes until the server closes the connection.
pub async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("UTF-8")
}

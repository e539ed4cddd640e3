//! A Cachet outside of the server: an imitation in this process, over TCP, as slow as is wanted, which notes when
//! each call was answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::core::observed::Observed;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::status_page::StatusPage;
use anyhow::bail;
use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use fake_cachet::{FakeCachet, Options, in_process};
use tower::ServiceExt as _;

/// How long there must be no call before all is taken to be written. The longest latency is well below it.
const QUIET: Duration = Duration::from_millis(200);

/// How long the page may take before the figure is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// The Cachet.
pub struct OutsideCachet {
    address: SocketAddr,
    token: String,
    /// A way to the page that takes no time and is not noted.
    page: Cachet,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    latency: Duration,
    under_way: usize,
    calls: Vec<Answered>,
}

/// A call that was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    pub method: Method,
    pub path: String,
    pub at: Instant,
}

/// What the page has to show.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The status of every visible component.
    pub visible: ComponentStatus,
    /// How many targets are down.
    pub down: usize,
    /// How many incidents are open.
    pub incidents: usize,
}

impl Expected {
    /// Nothing is wrong.
    pub const ALL_WELL: Self = Self { visible: ComponentStatus::Operational, down: 0, incidents: 0 };

    fn is_shown_by(self, page: &Observed) -> bool {
        let down = |status| status == Some(ComponentStatus::MajorOutage);
        let (visible, targets): (Vec<_>, Vec<_>) = page.components.iter().partition(|component| component.enabled);
        visible.iter().all(|component| component.status == Some(self.visible))
            && targets.iter().filter(|target| down(target.status)).count() == self.down
            && page.open_incidents.len() == self.incidents
    }
}

impl OutsideCachet {
    /// An empty page that answers at once.
    pub async fn start() -> anyhow::Result<Self> {
        let fake = FakeCachet::open(Options::default()).await?;
        let notes = Arc::<Mutex<Notes>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = noted(fake.router(), Arc::clone(&notes));
        tokio::spawn(async move { axum::serve(listener, service).await });
        let page = in_process(fake.router(), fake.token(), 100);
        Ok(Self { address, token: fake.token().to_owned(), page, notes })
    }

    /// The base of its API.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Its token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// From now on every call takes so much longer.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.notes).latency = latency;
    }

    /// The calls since this was last asked.
    pub fn take_calls(&self) -> Vec<Answered> {
        std::mem::take(&mut lock(&self.notes).calls)
    }

    /// Everything that the page has.
    pub async fn shown(&self) -> anyhow::Result<Observed> {
        Ok(self.page.observe(&[]).await?)
    }

    /// Waits until nobody calls any more and the page is as expected.
    pub async fn settles(&self, expected: Expected) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            self.quiet().await;
            // The page is looked at only in silence, so that looking costs those who are measured nothing.
            if expected.is_shown_by(&self.shown().await?) {
                return Ok(());
            }
        }
        bail!("after {PATIENCE:?} the page is not yet {expected:?}")
    }

    /// Waits until nobody calls any more and the page is as wanted, and returns it.
    pub async fn shows(&self, is_wanted: impl Fn(&Observed) -> bool) -> anyhow::Result<Observed> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            self.quiet().await;
            let shown = self.shown().await?;
            if is_wanted(&shown) {
                return Ok(shown);
            }
        }
        bail!("after {PATIENCE:?} the page is not yet as wanted")
    }

    /// Waits for the first call of this kind since the calls were taken, and says when it was answered.
    pub async fn call(&self, method: &Method, path: &str) -> anyhow::Result<Instant> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let found = lock(&self.notes)
                .calls
                .iter()
                .find(|call| call.method == method && call.path == path)
                .map(|call| call.at);
            if let Some(at) = found {
                return Ok(at);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("no {method} {path} within {PATIENCE:?}")
    }

    /// Waits until there was no call for a while.
    pub async fn quiet(&self) {
        self.quiet_for(QUIET).await;
    }

    /// Waits until there was no call for the time `span`.
    pub async fn quiet_for(&self, span: Duration) {
        let mut silent_since = Instant::now();
        let began = silent_since;
        while silent_since.elapsed() < span && began.elapsed() < PATIENCE {
            tokio::time::sleep(span / 10).await;
            let notes = lock(&self.notes);
            if notes.under_way > 0 {
                silent_since = Instant::now();
            } else if let Some(last) = notes.calls.last() {
                silent_since = silent_since.max(last.at);
            }
        }
    }
}

/// `page`, behind the latency, each call noted.
fn noted(page: Router, notes: Arc<Mutex<Notes>>) -> Router {
    Router::new().fallback(move |request: Request| async move { answer(page, &notes, request).await })
}

async fn answer(page: Router, notes: &Mutex<Notes>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let latency = {
        let mut notes = lock(notes);
        notes.under_way += 1;
        notes.latency
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let response = page.oneshot(request).await.into_response();
    let mut notes = lock(notes);
    notes.under_way -= 1;
    notes.calls.push(Answered { method, path, at: Instant::now() });
    response
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

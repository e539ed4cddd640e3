//! How Cachet is asked: one call, a list to its end, and what the answers show of this Cachet.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
use super::http::{Call, Http, Response, Transport, headers};
use super::wire::{Document, Group, Page, Row, Written};
use super::zone::{Offset, answered_at};
use super::{CallObserver, Error};
use alertmanager_cachet_core::observed::IncidentId;
use alertmanager_cachet_core::status_page::{Capabilities, REQUEST_TIMEOUT};
use alertmanager_cachet_core::time::Timestamp;

/// How many requests are under way at a time; more wait. Cachet's PHP workers are few, and its rate limit is what bounds
/// throughput anyway.
pub(super) const MAX_PARALLEL: u32 = 4;

/// The longest list that is read; a page that always claims to have a next one ends there, as [`Error::NotCachet`].
const MAX_ROWS: u32 = 100_000;

/// A component that cannot exist: Cachet counts from 1.
const NO_COMPONENT: &str = "/components/0";

/// A client of one Cachet, which it shows as a [`StatusPage`](alertmanager_cachet_core::status_page::StatusPage). Clones
/// are cheap and share connections, limits and what was probed.
#[derive(Clone)]
pub struct Cachet {
    pub(super) shared: Arc<Shared>,
    observer: Option<Arc<dyn CallObserver>>,
}

pub(super) struct Shared {
    pub transport: Box<dyn Transport>,
    /// What every request carries.
    headers: HeaderMap,
    /// How many rows of a list are asked for at a time.
    per_page: Box<dyn Fn() -> u8 + Send + Sync>,
    permits: Semaphore,
    pub capabilities: OnceCell<Capabilities>,
    /// What is left of writes.
    pub writes: Budget,
    /// What is left of reads.
    pub reads: Budget,
    learned: Mutex<Learned>,
}

/// What the calls so far have shown.
#[derive(Default)]
pub(super) struct Learned {
    /// How many requests were sent, answered or not.
    pub calls: u64,
    /// How many of them the last reading of everything took.
    pub calls_of_a_reading: u64,
    /// Whether the status Unknown of a component was refused.
    pub refuses_unknown: bool,
    /// For each ability, the last answer to a call that needed it: the refusal, or `None` if the call was carried out.
    pub abilities: BTreeMap<&'static str, Option<Error>>,
    /// When incidents were last updated, where that matters; those of the last second.
    pub updates: HashMap<IncidentId, Instant>,
    /// The UTC offset of the time zone; `None` before the first write.
    pub offset: Option<Offset>,
}

impl Cachet {
    /// A client that speaks HTTP. Nothing is sent yet.
    ///
    /// `base_url` is the whole base of the API, for example `http://cachet/api`; trailing slashes do no harm. `token` is as
    /// Cachet's dashboard shows it once (`1|…`). `per_page` is asked before each list how many rows of it are asked for at
    /// a time, 1 to 100 (more is taken as 100, as Cachet does).
    ///
    /// # Errors
    /// [`Error::Settings`] if the address or the token cannot be one.
    pub fn over_http(
        base_url: &str,
        token: &SecretString,
        per_page: impl Fn() -> u8 + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let transport = Http::new(base_url, REQUEST_TIMEOUT)?;
        if headers(token).is_none() {
            let what = "the API token holds characters that no token has: check CACHET_API_TOKEN for line breaks";
            return Err(Error::Settings { what: what.into() });
        }
        Ok(Self::over(Box::new(transport), token, per_page))
    }

    /// A client that reaches its Cachet another way.
    ///
    /// A token that no header can hold is left out, and refused like any other wrong one.
    pub fn over(
        transport: Box<dyn Transport>,
        token: &SecretString,
        per_page: impl Fn() -> u8 + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            transport,
            headers: headers(token).unwrap_or_default(),
            per_page: Box::new(per_page),
            permits: Semaphore::new(MAX_PARALLEL as usize),
            capabilities: OnceCell::new(),
            writes: Budget::default(),
            reads: Budget::default(),
            learned: Mutex::default(),
        };
        Self { shared: Arc::new(shared), observer: None }
    }

    /// This client, with its calls observed by `observer`. Later clones share the observer.
    pub fn observed_by(self, observer: Arc<dyn CallObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    pub(super) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.shared.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this Cachet can do; asked once, then remembered for the life of the client and its clones. When Cachet does
    /// not answer, the next call asks again.
    pub(super) async fn probe(&self) -> Result<Capabilities, Error> {
        let ask = || async {
            let groups = Call::new(Method::GET, "/component-groups").with("include", "meta");
            match self.read::<Page<Group>>(groups.with("sort", "id").with("per_page", 1)).await {
                Ok(_) => Ok(Capabilities { meta: true }),
                // An include that a release does not know is 400 and names it (2025-08: 030).
                Err(Error::Invalid { status: 400, message, .. }) if message.contains("meta") => {
                    Ok(Capabilities { meta: false })
                }
                Err(error) => Err(error),
            }
        };
        self.shared.capabilities.get_or_try_init(ask).await.copied()
    }

    /// Whether Cachet takes the token, without changing anything: a write to a component that cannot exist is 404 with
    /// a good token (152) and 401 with any other (153). A read would not tell, for a wrong token is answered as a guest
    /// (014). Which abilities the token has shows only when they are used.
    pub(super) async fn check_token(&self) -> Result<(), Error> {
        let write = Call::new(Method::PUT, NO_COMPONENT).body(json!({"status": 1, "enabled": false}));
        match self.send(&write).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every row of a list, by number, each once.
    ///
    /// Without `sort=id` pages skip rows. Cachet never says how many pages there are, so pages are read ahead: one,
    /// then two, then four at a time; those beyond the end are empty (127). A row that is removed meanwhile may push
    /// another to a page already read; the next reading has it.
    pub(super) async fn list<A: DeserializeOwned>(&self, list: Call) -> Result<Vec<Row<A>>, Error> {
        let per_page = (self.shared.per_page)().clamp(1, 100);
        let list = list.with("sort", "id").with("per_page", per_page);
        let last_page = MAX_ROWS / u32::from(per_page);
        let (mut rows, mut next, mut ahead) = (BTreeMap::new(), 1, 1);
        while next <= last_page {
            let pages = (next..next + ahead).map(|number| self.read::<Page<A>>(list.clone().with("page", number)));
            for page in try_join_all(pages).await? {
                let is_last = !page.has_next();
                rows.extend(page.data.into_iter().map(|row| (row.id, row)));
                if is_last {
                    return Ok(rows.into_values().collect());
                }
            }
            next += ahead;
            ahead = (ahead * 2).min(MAX_PARALLEL);
        }
        let what = format!("its list has not ended after {MAX_ROWS} rows");
        Err(Error::NotCachet { call: list.to_string(), status: 200, what })
    }

    /// Makes an object.
    pub(super) async fn create(&self, path: &str, body: Value) -> Result<Row<Written>, Error> {
        let call = Call::new(Method::POST, path).body(body);
        let answer = self.send(&call).await?;
        let made = answer.json::<Document<Written>>(&call)?.data;
        self.learn_offset(made.attributes.created_if_utc, &answer.headers);
        Ok(made)
    }

    /// Changes an object.
    pub(super) async fn update(&self, path: String, body: Value) -> Result<(), Error> {
        self.read::<Document<Written>>(Call::new(Method::PUT, path).body(body)).await.map(drop)
    }

    /// Removes an object. One that is not there is as good as removed.
    pub(super) async fn delete(&self, path: String) -> Result<(), Error> {
        match self.send(&Call::new(Method::DELETE, path)).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The value that the answer to `call` holds.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        self.send(&call).await?.json(&call)
    }

    /// The successful answer to `call`. Whatever the answer, it shows what is left of the rate limit, and that to a write,
    /// whether the token has the ability for it.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Error> {
        // it is never closed, so a permit always comes
        let _permit = self.shared.permits.acquire().await.ok();
        self.learned().calls += 1;
        let began = Instant::now();
        let transport = &self.shared.transport;
        let sent = transport.send(call.request(&self.shared.headers)).await;
        if let Some(observer) = &self.observer {
            let code = sent.as_ref().map(|answer| answer.status.as_u16()).map_err(|error| error.word());
            observer.called(call.method.as_str(), &call.path, code, began.elapsed());
        }
        let answer = sent.map_err(|error| error.of(call, transport.address()))?;
        let budget = if call.is_write() { &self.shared.writes } else { &self.shared.reads };
        budget.learn(&answer.headers);
        let answer = if answer.status.is_success() { Ok(answer) } else { Err(answer.error(call)) };
        if let Err(error @ Error::RateLimited { .. }) = &answer
            && let Some(wait) = error.retry_after()
        {
            budget.exhausted(wait);
        }
        // Only the check of abilities deletes incidents, and it works without the ability to do so.
        let is_optional = call.method == Method::DELETE && call.path.starts_with("/incidents");
        if call.is_write() && !is_optional {
            match &answer {
                Ok(_) => drop(self.learned().abilities.insert(call.ability(), None)),
                Err(error @ Error::Forbidden { ability, .. }) => {
                    drop(self.learned().abilities.insert(ability, Some(error.clone())));
                }
                Err(_) => {}
            }
        }
        answer
    }

    /// Learns the offset from the answer to a write. `local` is the time of the write as Cachet shows it. Every write updates
    /// the offset, because summer time begins and ends.
    pub(super) fn learn_offset(&self, local: Option<Timestamp>, headers: &HeaderMap) {
        let learned = local.and_then(|local| Offset::between(local, answered_at(headers)));
        let Some(offset) = learned else { return };
        let before = self.learned().offset.replace(offset).unwrap_or(Offset::UTC);
        // A release with meta respects the offset of a time that is sent to it (2026-08: 215).
        if before != offset && self.shared.capabilities.get().is_some_and(|known| !known.meta) {
            tracing::info!("Cachet is in the time zone {offset}");
        }
    }
}

/// The address and no more: the rest is of no use to a reader, and the token none of their business.
impl fmt::Debug for Cachet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cachet").field("address", &self.shared.transport.address()).finish_non_exhaustive()
    }
}

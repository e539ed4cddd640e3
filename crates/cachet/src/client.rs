//! How Cachet is asked: one call, a list to its end, and what the answers show of this Cachet.
//!
//! One of these things is its time zone, as an offset from UTC. Releases of 2025 show times in the time zone of the
//! installation, and never say which zone that is. They also read the times that they are sent as local, and ignore the
//! offset in them (2025-08: 215). But the answer to a write has the local time of that write, and the header `Date` has the
//! time of the answer in UTC. The difference is the offset of the zone.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
use super::http::{Http, Request, Response, Transport, answered_at};
use super::wire::{Data, Group, Page, Row, Written};
use super::{CallObserver, Error, Fault, NoHttpClient};
use alertmanager_cachet_core::observed::IncidentId;
use alertmanager_cachet_core::status_page::{Capabilities, REQUEST_TIMEOUT};
use alertmanager_cachet_core::time::Timestamp;

/// How many requests are under way at a time; more wait. Cachet's PHP workers are few, and its rate limit is what bounds
/// throughput anyway.
pub(super) const MAX_PARALLEL: u32 = 4;

/// The longest list that is read; a page that always claims to have a next one ends there, as [`Fault::NotCachet`].
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
    learned: Mutex<Learned>,
}

/// What the calls so far have shown.
#[derive(Default)]
pub(super) struct Learned {
    /// How many requests were sent, answered or not.
    pub calls: u64,
    /// How many of them the last reading of everything took.
    pub calls_of_a_reading: u64,
    /// What is left of writes.
    pub writes: Budget,
    /// What is left of reads.
    pub reads: Budget,
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
    /// `base_url` is the whole base of the API without a slash at its end, for example `http://cachet/api`. `authorization`
    /// is the header with the token, `Bearer 1|…`. `per_page` is asked before each list how many rows of it are asked for
    /// at a time, 1 to 100 (more is taken as 100, as Cachet does).
    ///
    /// # Errors
    /// If no HTTP client can be made on this system.
    pub fn over_http(
        base_url: &str,
        authorization: HeaderValue,
        per_page: impl Fn() -> u8 + Send + Sync + 'static,
    ) -> Result<Self, NoHttpClient> {
        Ok(Self::over(Box::new(Http::new(base_url, REQUEST_TIMEOUT)?), authorization, per_page))
    }

    /// A client that reaches its Cachet another way.
    pub fn over(
        transport: Box<dyn Transport>,
        mut authorization: HeaderValue,
        per_page: impl Fn() -> u8 + Send + Sync + 'static,
    ) -> Self {
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            // without it releases of 2025 answer errors as HTML, and a missing token with 500 (2025-08: 012)
            (ACCEPT, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static(concat!("alertmanager-cachet/", env!("CARGO_PKG_VERSION")))),
        ]);
        let shared = Shared {
            transport,
            headers,
            per_page: Box::new(per_page),
            permits: Semaphore::new(MAX_PARALLEL as usize),
            capabilities: OnceCell::new(),
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
            let groups = Request::new(Method::GET, "/component-groups").with("include", "meta");
            match self.read::<Page<Group>>(groups.with("sort", "id").with("per_page", 1)).await {
                Ok(_) => Ok(Capabilities { meta: true }),
                // An include that a release does not know is 400 and names it (2025-08: 030).
                Err(Error { fault: Fault::Invalid { status: 400, message }, .. }) if message.contains("meta") => {
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
        let write = Request::new(Method::PUT, NO_COMPONENT).body(json!({"status": 1, "enabled": false}));
        found(self.send(&write).await).map(drop)
    }

    /// Every row of a list, by number, each once.
    ///
    /// Without `sort=id` pages skip rows. Cachet never says how many pages there are, so pages are read ahead: one,
    /// then two, then four at a time; those beyond the end are empty (127). A row that is removed meanwhile may push
    /// another to a page already read; the next reading has it.
    pub(super) async fn list<A: DeserializeOwned>(&self, list: Request) -> Result<Vec<Row<A>>, Error> {
        let per_page = (self.shared.per_page)().clamp(1, 100);
        let list = list.with("sort", "id").with("per_page", per_page);
        let last_page = MAX_ROWS / u32::from(per_page);
        let (mut rows, mut next, mut ahead) = (BTreeMap::new(), 1, 1);
        while next <= last_page {
            let pages = (next..next + ahead).map(|number| self.read::<Page<A>>(list.clone().with("page", number)));
            for page in try_join_all(pages).await? {
                let is_last = page.links.next.is_none();
                rows.extend(page.data.into_iter().map(|row| (row.id, row)));
                if is_last {
                    return Ok(rows.into_values().collect());
                }
            }
            next += ahead;
            ahead = (ahead * 2).min(MAX_PARALLEL);
        }
        let what = format!("its list has not ended after {MAX_ROWS} rows");
        Err(list.failed(Fault::NotCachet { status: 200, what }))
    }

    /// Makes an object.
    pub(super) async fn create(&self, path: &str, body: Value) -> Result<Row<Written>, Error> {
        let call = Request::new(Method::POST, path).body(body);
        let answer = self.send(&call).await?;
        let made = answer.json::<Data<Row<Written>>>(&call)?.data;
        self.learn_offset(made.attributes.created_if_utc, &answer.headers);
        Ok(made)
    }

    /// Changes an object.
    pub(super) async fn update(&self, path: String, body: Value) -> Result<(), Error> {
        self.read::<Data<Row<Written>>>(Request::new(Method::PUT, path).body(body)).await.map(drop)
    }

    /// Removes an object. One that is not there is as good as removed.
    pub(super) async fn delete(&self, path: String) -> Result<(), Error> {
        found(self.send(&Request::new(Method::DELETE, path)).await).map(drop)
    }

    /// The value that the answer to `call` holds.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Request) -> Result<T, Error> {
        self.send(&call).await?.json(&call)
    }

    /// The successful answer to `call`. Whatever the answer, it shows what is left of the rate limit, and that to a write,
    /// whether the token has the ability for it.
    pub(super) async fn send(&self, call: &Request) -> Result<Response, Error> {
        // it is never closed, so a permit always comes
        let _permit = self.shared.permits.acquire().await.ok();
        self.learned().calls += 1;
        let began = Instant::now();
        let mut request = call.clone();
        request.headers.extend(self.shared.headers.clone());
        let sent = self.shared.transport.send(request).await;
        if let Some(observer) = &self.observer {
            let code = sent.as_ref().map(|answer| answer.status.as_u16()).map_err(|fault| match fault {
                Fault::Unreachable { .. } => "unreachable",
                Fault::NotCachet { .. } => "too_large",
                _ => "no_answer",
            });
            observer.called(call.method.as_str(), call.path(), code, began.elapsed());
        }
        let answer = sent.map_err(|fault| call.failed(fault))?;
        let mut learned = self.learned();
        let learned = &mut *learned;
        let budget = if call.is_write() { &mut learned.writes } else { &mut learned.reads };
        budget.learn(&answer.headers);
        // Only the check of abilities deletes incidents, and it works without the ability to do so.
        let is_optional = call.method == Method::DELETE && call.path().starts_with("/incidents");
        let needs_ability = call.is_write() && !is_optional;
        if answer.status.is_success() {
            if needs_ability {
                learned.abilities.insert(call.ability(), None);
            }
            return Ok(answer);
        }
        let error = call.failed(answer.fault(call));
        match &error.fault {
            Fault::RateLimited { .. } => error.fault.retry_after().into_iter().for_each(|wait| budget.exhausted(wait)),
            Fault::Forbidden { ability } if needs_ability => {
                learned.abilities.insert(ability, Some(error.clone()));
            }
            _ => {}
        }
        Err(error)
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

/// What a call came to; `None` if Cachet has no such object.
pub(super) fn found<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Err(Error { fault: Fault::NotFound, .. }) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// The address and no more: the rest is of no use to a reader, and the token none of their business.
impl fmt::Debug for Cachet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cachet").field("address", &self.shared.transport.address()).finish_non_exhaustive()
    }
}

/// Every UTC offset in use is a multiple of 15 minutes (IANA time zone database).
const STEP_MS: i64 = 15 * 60 * 1000;

/// The largest UTC offset: +14:00, on Kiritimati. The most negative one is -12:00 (IANA time zone database).
const MAX_OFFSET_MS: i64 = 14 * 60 * 60 * 1000;

/// How much later than the write its answer may be, clock differences included. A time that is further from a multiple of
/// [`STEP_MS`] was not set by that write.
const MAX_AGE_MS: i64 = 60 * 1000;

/// How far local time is ahead of UTC, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset(i64);

impl Offset {
    pub(super) const UTC: Self = Self(0);

    /// The offset of a clock that showed `local` (parsed as UTC) at `moment`, give or take a minute. `None` if no time zone
    /// has that offset.
    pub(super) fn between(local: Timestamp, moment: Timestamp) -> Option<Self> {
        let ahead_ms = local.as_millis().checked_sub(moment.as_millis())?;
        let nearest_ms = ahead_ms.checked_add(STEP_MS / 2)?.div_euclid(STEP_MS) * STEP_MS;
        let is_zone = nearest_ms.abs() <= MAX_OFFSET_MS && (ahead_ms - nearest_ms).abs() <= MAX_AGE_MS;
        is_zone.then_some(Self(nearest_ms))
    }

    /// The local time at `moment`, as a [`Timestamp`] that reads as UTC. It is one hour off for a moment before the last
    /// change to or from summer time: this is the current offset, and the name of the zone is unknown.
    pub(super) fn local(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_millis(moment.as_millis().saturating_add(self.0))
    }

    /// The moment at which the local time is `local`.
    pub(super) fn moment(self, local: Timestamp) -> Timestamp {
        Timestamp::from_millis(local.as_millis().saturating_sub(self.0))
    }
}

/// `UTC+05:45`.
impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.abs() / 60_000);
        write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn between(local: &str, moment: &str) -> Option<String> {
        Offset::between(at(local), at(moment)).map(|offset| offset.to_string())
    }

    #[test]
    fn the_offset_is_a_whole_number_of_quarters_of_an_hour_as_zones_have_it() {
        let moment = "2026-11-21T02:00:15Z";
        for (local, offset) in [
            ("2026-11-21T02:00:14Z", "UTC+00:00"),
            ("2026-11-21T07:45:00Z", "UTC+05:45"),
            ("2026-11-20T22:30:01Z", "UTC-03:30"),
            ("2026-11-21T16:00:15Z", "UTC+14:00"),
            ("2026-11-20T14:00:15Z", "UTC-12:00"),
            // the clocks disagree
            ("2026-11-21T03:01:15Z", "UTC+01:00"),
            ("2026-11-21T02:59:15Z", "UTC+01:00"),
        ] {
            assert_eq!(between(local, moment).as_deref(), Some(offset), "{local}");
        }
    }

    #[test]
    fn a_time_that_the_write_did_not_set_gives_no_offset() {
        let moment = "2026-11-21T02:00:15Z";
        for local in ["2026-11-21T03:07:00Z", "2026-11-21T03:01:16Z", "2026-11-21T16:15:15Z", "2026-11-06T02:00:15Z"] {
            assert_eq!(between(local, moment), None, "{local}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(Offset::between(Timestamp::from_millis(extreme), at(moment)), None);
            assert_eq!(Offset::between(at(moment), Timestamp::from_millis(extreme)), None);
        }
    }

    #[test]
    fn a_moment_converted_to_local_time_and_back_is_the_same() {
        let moment = at("2026-11-21T23:00:00Z");
        let offset = Offset::between(at("2026-11-22T04:45:00Z"), moment).expect("Kathmandu");
        assert_eq!(offset.local(moment), at("2026-11-22T04:45:00Z"));
        assert_eq!(offset.moment(offset.local(moment)), moment);
    }
}

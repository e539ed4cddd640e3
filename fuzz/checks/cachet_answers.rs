//! Whatever Cachet answers: everything that the client asks ends, in a value or in an error that stays within its line.
//!
//! The input is what Cachet answers about groups, components, incidents, to writes, and about schedules, apart by a
//! record separator (0x1e): a byte that chooses the status, then the body. The token is always right, or little else would be asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::core::observed::{ComponentId, IncidentId};
use alertmanager_cachet::core::status::IncidentStatus;
use alertmanager_cachet::core::status_page::{IncidentSearch, PageWrite, StatusPage};
use alertmanager_cachet::core::time::Timestamp;
use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use fake_cachet::in_process;
use tokio::runtime::{Builder, Runtime};

const SEPARATOR: u8 = 0x1e;

/// 200 as often as all others, for there is most to read.
const STATUSES: [u16; 16] = [200, 200, 200, 200, 200, 200, 200, 200, 201, 204, 302, 401, 404, 422, 429, 400];

/// How many calls are answered before Cachet is broken, for a list may never end.
const CALLS: usize = 64;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

type Answer = (StatusCode, Vec<u8>);

pub fn check(data: &[u8]) {
    let answers: Vec<Answer> = data.split(|&byte| byte == SEPARATOR).map(answer).collect();
    let answers = Arc::new(answers);
    let calls = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback(move |request: Request| {
        let answer = match calls.fetch_add(1, Ordering::Relaxed) {
            ..CALLS => answer_to(&request, &answers),
            _ => None,
        };
        async move { answer.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Vec::new())) }
    });
    RUNTIME.block_on(ask(&in_process(router, "1|token", 50)));
}

fn answer(part: &[u8]) -> Answer {
    let (choice, body) = part.split_first().map_or((0, part), |(choice, body)| (*choice, body));
    let status = STATUSES[usize::from(choice) % STATUSES.len()];
    (StatusCode::from_u16(status).expect("a status"), body.to_vec())
}

fn answer_to(request: &Request, answers: &[Answer]) -> Option<Answer> {
    let path = request.uri().path();
    let part = match path {
        "/api/components/0" => return Some((StatusCode::NOT_FOUND, Vec::new())),
        _ if request.method() != Method::GET => 3,
        _ if path.starts_with("/api/component-groups") => 0,
        _ if path.starts_with("/api/components") => 1,
        _ if path.starts_with("/api/schedules") => 4,
        _ => 2,
    };
    answers.get(part).cloned()
}

async fn ask(cachet: &Cachet) {
    let search = IncidentSearch {
        outage: "1-1",
        name: "Database is down",
        component: Some(ComponentId(1)),
        occurred_at: Timestamp::from_millis(0),
        created_not_before: Timestamp::from_millis(0),
    };
    let errors = [
        cachet.observe(&[]).await.err(),
        cachet.maintenance().await.err(),
        cachet.incident(IncidentId(1)).await.err(),
        cachet.find_incident(&search).await.err(),
        cachet.apply(&PageWrite::SetIncidentStatus(IncidentId(1), IncidentStatus::Fixed)).await.err(),
        cachet.apply(&PageWrite::RemoveComponent(ComponentId(1))).await.err(),
    ];
    for error in errors.into_iter().flatten() {
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
}

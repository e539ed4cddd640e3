//! Servers, proxies and networks that misbehave, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::client::MAX_PARALLEL;
use super::super::http::Http;
use super::super::{Cachet, Error, Fault};
use super::{TOKEN, authorization, in_process, over_http};
use alertmanager_cachet_core::observed::{ComponentId, ComponentUpdate, IncidentId};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::status_page::{PageError, PageWrite};

/// Serves `router` until the test ends; answers with the base of its API.
async fn serving(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/api")
}

/// Takes connections, reads what is sent, answers `answer` and closes.
async fn answering_bytes(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 8192];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(answer).await;
        }
    });
    format!("http://{address}/api")
}

async fn fix_component(base_url: &str) -> Result<(), Error> {
    fix_component_of(&over_http(base_url)).await
}

async fn fix_component_of(cachet: &Cachet) -> Result<(), Error> {
    let update =
        ComponentUpdate { status: Some(ComponentStatus::Operational), enabled: true, description: None, group: None };
    cachet.carry_out(&PageWrite::UpdateComponent(ComponentId(12), update)).await
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_unreachable_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = format!("http://{}/api", listener.local_addr().expect("an address"));
    drop(listener);
    let error = fix_component(&base_url).await.expect_err("nobody there");
    assert!(matches!(error.fault, Fault::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("PUT /components/12: no connection to {base_url} (")), "{error}");
    assert!(PageError::from(error.clone()).concerns_everything());
    assert!(!PageError::from(error.clone()).failure.may_have_been_applied());
}

#[tokio::test]
async fn a_cut_connection_leaves_open_whether_it_was_applied() {
    for (what, bytes) in [
        ("before the answer", b"".as_slice()),
        ("within the head", b"HTTP/1.1 200 OK\r\nContent-".as_slice()),
        ("within the body", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"data\":".as_slice()),
    ] {
        let error = fix_component(&answering_bytes(bytes).await).await.expect_err("cut");
        assert!(matches!(error.fault, Fault::NoAnswer { .. }), "{what}: {error}");
        assert!(PageError::from(error.clone()).failure.may_have_been_applied(), "{what}");
        assert!(!PageError::from(error.clone()).concerns_everything(), "{what}");
    }
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_given_up() {
    let router = Router::new().fallback(any(std::future::pending::<StatusCode>));
    let transport = Http::new(&serving(router).await, Duration::from_millis(50)).expect("settings");
    let cachet = Cachet::over(Box::new(transport), authorization(), || 50);
    let error = fix_component_of(&cachet).await.expect_err("too late");
    assert!(error.fault == Fault::too_late(), "{error}");
}

#[tokio::test]
async fn the_rate_limit_says_when_to_come_back() {
    let router = Router::new().fallback(|| async {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "48")], Json(json!({"message": "Too Many Attempts."})))
    });
    let error = fix_component(&serving(router).await).await.expect_err("limited");
    assert_eq!(error.fault.retry_after(), Some(Duration::from_secs(48)));
    assert!(PageError::from(error.clone()).concerns_everything());
    assert!(!PageError::from(error.clone()).failure.may_have_been_applied());
    assert!(error.to_string().contains("(HTTP 429, Retry-After: 48 s)"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_names_the_setting_to_correct() {
    let router = Router::new().route(
        "/api/components/12",
        any(|| async { Redirect::permanent("https://status.example.org/api/components/12") }),
    );
    let error = fix_component(&serving(router).await).await.expect_err("redirect");
    assert_eq!(
        error.to_string(),
        "PUT /components/12: this is not Cachet's API (it redirects to \
         \"https://status.example.org/api/components/12\"): check CACHET_API_URL, the whole base such as http://cachet/api"
    );
    assert!(matches!(error.fault, Fault::NotCachet { .. }));
    assert!(!PageError::from(error.clone()).failure.may_have_been_applied());
}

#[tokio::test]
async fn html_is_not_cachet_whatever_its_status() {
    for (status, kind) in [
        (StatusCode::OK, "not Cachet"),
        (StatusCode::FORBIDDEN, "not Cachet"),
        (StatusCode::NOT_FOUND, "not Cachet"),
        (StatusCode::BAD_GATEWAY, "server"),
    ] {
        let router = Router::new().fallback(move || async move { (status, Html("<h1>nginx\n</h1>")) });
        let error = fix_component(&serving(router).await).await.expect_err("html");
        let found = match error.fault {
            Fault::NotCachet { .. } => "not Cachet",
            Fault::Server { status: 502, ref message, .. } if message.is_empty() => "server",
            _ => "another",
        };
        assert_eq!(found, kind, "{status}: {error}");
    }
}

#[tokio::test]
async fn an_answer_in_other_words_may_still_have_been_applied() {
    let router = Router::new().fallback(|| async { (StatusCode::CREATED, Json(json!({"data": {"uuid": "x"}}))) });
    let error = fix_component(&serving(router).await).await.expect_err("another wire format");
    assert!(PageError::from(error.clone()).failure.may_have_been_applied());
    assert!(error.to_string().contains("its answer cannot be read at data"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let router = Router::new().fallback(|| async { "x".repeat(16 * 1024 * 1024 + 1) });
    let error = fix_component(&serving(router).await).await.expect_err("too large");
    assert!(error.to_string().contains("an answer of more than 16 MiB"), "{error}");
}

#[tokio::test]
async fn the_missing_ability_is_named() {
    let router = Router::new()
        .fallback(|| async { (StatusCode::FORBIDDEN, Json(json!({"message": "Invalid ability provided."}))) });
    let cachet = in_process(router);
    let missing = |result: Result<(), Error>| match result {
        Err(Error { fault: Fault::Forbidden { ability }, .. }) => ability,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(fix_component_of(&cachet).await), "components.manage");
    let (id, status) = (IncidentId(1), IncidentStatus::Fixed);
    for (operation, ability) in [
        (PageWrite::RemoveComponent(ComponentId(1)), "components.delete"),
        (PageWrite::SetIncidentStatus(id, status), "incidents.manage"),
        (PageWrite::UpdateIncident { id, status, message: "m".into() }, "incident-updates.manage"),
    ] {
        assert_eq!(missing(cachet.carry_out(&operation).await), ability);
    }
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    page: u32,
    per_page: u32,
    sort: String,
}

/// A list of `rows` groups, of which `groups_of` serves the pages as Cachet does, links that lead astray included.
fn groups_of(rows: u32) -> Router {
    let list = move |Query(query): Query<ListQuery>| async move {
        assert_eq!(query.sort, "id");
        let first = (query.page - 1) * query.per_page + 1;
        let data: Vec<_> = (first..(first + query.per_page).min(rows + 1))
            .map(|id| json!({"id": id.to_string(), "attributes": {"id": id, "name": format!("group {id}")}}))
            .collect();
        let links = match first + query.per_page <= rows {
            true => json!({"next": "http://elsewhere.invalid/api/component-groups?page=2"}),
            false => json!({}),
        };
        Json(json!({"data": data, "links": links}))
    };
    // the probe asks without a page
    let first_page = |request: Request| async move { Json(json!({"data": [], "uri": request.uri().to_string()})) };
    Router::new().route(
        "/api/component-groups",
        get(move |request: Request| async move {
            match Query::<ListQuery>::try_from_uri(request.uri()) {
                Ok(query) => list(query).await.into_response(),
                Err(_) => first_page(request).await.into_response(),
            }
        }),
    )
}

#[tokio::test]
async fn a_list_is_read_to_its_end_page_by_counted_page() {
    for rows in [0, 1, 49, 50, 51, 100, 101, 333] {
        let cachet = over_http(&serving(groups_of(rows)).await);
        let groups = cachet.groups().await.expect("groups");
        let numbers: Vec<_> = groups.iter().map(|group| group.id.0).collect();
        assert_eq!(numbers, (1..=i64::from(rows)).collect::<Vec<_>>(), "{rows} rows");
        let pages = u64::from(rows.div_ceil(50).max(1));
        assert!(
            cachet.learned().calls <= 1 + pages + u64::from(MAX_PARALLEL),
            "{rows} rows took {} calls",
            cachet.learned().calls
        );
    }
}

#[tokio::test]
async fn each_list_is_asked_for_with_the_rows_per_page_of_that_moment() {
    let (set, rows) = (Arc::new(AtomicU8::new(100)), 200);
    let per_page = {
        let set = Arc::clone(&set);
        move || set.load(Ordering::Relaxed)
    };
    let url = serving(groups_of(rows)).await;
    let cachet = Cachet::over_http(&url, authorization(), per_page).expect("a client");
    let mut calls = Vec::new();
    for size in [100, 5, 255, 0] {
        set.store(size, Ordering::Relaxed);
        let before = cachet.learned().calls;
        assert_eq!(cachet.groups().await.expect("groups").len(), 200, "{size}");
        calls.push(cachet.learned().calls - before);
    }
    assert!(calls[0] < 8 && calls[1] >= 40 && calls[2] < 8 && calls[3] >= 200, "{calls:?}");
}

#[tokio::test]
async fn a_list_that_never_ends_is_given_up() {
    let router = Router::new().fallback(|| async {
        let row = json!({"id": "1", "attributes": {"name": "again"}});
        Json(json!({"data": [row], "links": {"next": "http://elsewhere.invalid/"}}))
    });
    let error = in_process(router).groups().await.expect_err("no end");
    assert!(error.to_string().contains("its list has not ended after 100000 rows"), "{error}");
}

#[tokio::test]
async fn no_more_than_four_requests_are_under_way_at_a_time() {
    let (under_way, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = most.clone();
    let router = Router::new().fallback(move || async move {
        seen.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        under_way.fetch_sub(1, Ordering::SeqCst);
        StatusCode::NO_CONTENT
    });
    let cachet = in_process(router);
    let removals: Vec<_> = (1..=20).map(|id| PageWrite::RemoveComponent(ComponentId(id))).collect();
    let removals = try_join_all(removals.iter().map(|removal| cachet.carry_out(removal))).await;
    assert_eq!((removals.map(|all| all.len()), cachet.learned().calls), (Ok(20), 20));
    assert_eq!(most.load(Ordering::SeqCst), MAX_PARALLEL);
}

#[tokio::test]
async fn every_request_says_who_asks_and_for_what() {
    async fn echo(uri: Uri, headers: HeaderMap) -> (StatusCode, Json<serde_json::Value>) {
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let message = ["authorization", "accept", "user-agent"].map(header).join(", ");
        (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"message": format!("{} {message}", uri.path())})))
    }
    let expected = format!(
        "/api/component-groups Bearer {TOKEN}, application/json, alertmanager-cachet/{}",
        env!("CARGO_PKG_VERSION")
    );
    let router = Router::new().fallback(echo);
    for cachet in [over_http(&serving(router.clone()).await), in_process(router)] {
        match cachet.probe().await {
            Err(Error { fault: Fault::Invalid { message, .. }, .. }) => assert_eq!(message, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_token_is_in_no_text() {
    let cachet = over_http("http://cachet/api");
    assert_eq!(format!("{cachet:?}"), "Cachet { address: \"http://cachet/api\", .. }");
}

//! How readers of the built-in page are served: from memory, rendered once for each change, compressed if they like.

use std::io::Read as _;
use std::time::Duration;

use alertmanager_cachet::core::builtin::AffectedStatus;
use alertmanager_cachet::core::overrides::Override;
use alertmanager_cachet::core::status::ComponentStatus::{MajorOutage, Operational, PartialOutage, UnderMaintenance};
use alertmanager_cachet::core::target::ComponentName;
use alertmanager_cachet::store::{Announcement, ComponentChange};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;

use crate::page_server::{PageServer, START_MS};

/// The end of the day of [`START_MS`].
const MIDNIGHT_MS: i64 = START_MS - START_MS % 86_400_000 + 86_400_000;

async fn ask(
    server: &PageServer,
    method: Method,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = server.send(request.body(Body::empty()).expect("a request")).await;
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.expect("a body").to_bytes())
}

/// The page; two that are at one place in memory are one rendering.
async fn page(server: &PageServer) -> Bytes {
    let (status, _, body) = ask(server, Method::GET, "/", &[]).await;
    assert_eq!(status, StatusCode::OK);
    body
}

fn says(page: &Bytes, text: &str) -> bool {
    std::str::from_utf8(page).expect("UTF-8").contains(text)
}

fn is_one_rendering(pages: &[Bytes]) -> bool {
    pages.windows(2).all(|two| two[0].as_ptr() == two[1].as_ptr())
}

#[tokio::test]
async fn an_edit_and_an_override_are_seen_by_the_next_reader() {
    let server = PageServer::start().await;
    let database = server.component("Database", Operational, None).await;
    assert!(says(&page(&server).await, "All systems operational"));
    server.set_status(database, PartialOutage).await;
    assert!(says(&page(&server).await, "Affected: Database."));
    let component = ComponentName::try_from("Database").expect("a name");
    let until = server.now().after(Duration::from_millis(500));
    let (user, note) = ("ann".to_owned(), String::new());
    let override_ = Override { component, status: MajorOutage, since: server.now(), until, user, note };
    server.store.set_override(&override_).await.expect("set");
    assert!(says(&page(&server).await, "Set by our staff until"));
    server.store.end_override(&override_.component, "ann", server.now()).await.expect("ended");
    assert!(!says(&page(&server).await, "Set by our staff until"));

    server.store.set_override(&override_).await.expect("set");
    server.set_clock(START_MS + 499);
    assert!(says(&page(&server).await, "Set by our staff until"));
    server.set_clock(START_MS + 500);
    assert!(!says(&page(&server).await, "Set by our staff until"), "its time is over");
}

#[tokio::test]
async fn nothing_is_rendered_until_the_page_says_something_else() {
    let server = PageServer::start().await;
    let database = server.component("Database", Operational, None).await;
    let of_target = server.component("db-1 | Database", Operational, None).await;
    let before = page(&server).await;
    server.set_status(of_target, MajorOutage).await;
    let after_hidden_change = page(&server).await;
    server.set_clock(START_MS + 1000);
    server.store.record_heartbeat(server.now()).await.expect("another table");
    let after_other_write = page(&server).await;
    server.set_clock(START_MS + 100_000);
    let much_later = page(&server).await;
    server.set_clock(START_MS - 100_000);
    let earlier = page(&server).await;
    assert!(is_one_rendering(&[before.clone(), after_hidden_change, after_other_write, much_later, earlier]));
    server.set_status(database, MajorOutage).await;
    let changed = page(&server).await;
    assert!(says(&changed, "Affected: Database.") && !is_one_rendering(&[before, changed.clone()]));
    assert!(is_one_rendering(&[changed, page(&server).await]));
}

#[tokio::test]
async fn a_write_of_another_process_is_seen_after_a_second() {
    let server = PageServer::start().await;
    let database = server.component("Database", Operational, None).await;
    assert!(says(&page(&server).await, "All systems operational"));
    let change = ComponentChange { status: Some(PartialOutage), ..ComponentChange::default() };
    assert!(server.another_process().await.change_component(database, &change).await.expect("changed"));
    server.set_clock(START_MS + 999);
    assert!(says(&page(&server).await, "All systems operational"), "nobody has looked");
    server.set_clock(START_MS + 1000);
    assert!(says(&page(&server).await, "Affected: Database."));
}

#[tokio::test]
async fn what_time_alone_changes_is_seen_at_its_moment() {
    let server = PageServer::start().await;
    let component = server.component("Database", Operational, None).await;
    let at = |ms| server.now().after(Duration::from_millis(ms));
    let announcement = Announcement {
        title: "New switch".to_owned(),
        message: "Short breaks.".to_owned(),
        begins_at: at(200),
        ends_at: Some(at(400)),
        affected: vec![AffectedStatus { component, status: UnderMaintenance }],
    };
    server.tables.announce(&announcement, server.now()).await.expect("announced");
    for (after_ms, text) in [
        (200, "Planned maintenance"),
        (201, "Maintenance in progress"),
        (400, "Maintenance in progress"),
        (401, "All systems operational"),
    ] {
        server.set_clock(START_MS + after_ms);
        assert!(says(&page(&server).await, text), "{text} after {after_ms} ms");
    }
    for (moment_ms, days) in [(MIDNIGHT_MS - 1, "8 – 21 November 2026"), (MIDNIGHT_MS, "9 – 22 November 2026")] {
        server.set_clock(moment_ms);
        assert!(says(&page(&server).await, days), "{days}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_at_once_get_one_rendering() {
    let server = PageServer::start().await;
    let database = server.component("Database", Operational, None).await;
    for (status, text) in [(Operational, "All systems operational"), (MajorOutage, "Affected: Database.")] {
        server.set_status(database, status).await;
        let pages = join_all((0..200).map(|_| page(&server))).await;
        assert!(is_one_rendering(&pages) && says(&pages[0], text), "{text}");
    }
}

#[tokio::test]
async fn readers_are_told_if_the_store_cannot_be_read() {
    let server = PageServer::start().await;
    page(&server).await;
    server.store.close().await;
    server.set_clock(START_MS + 1000);
    for (status, _, body) in join_all((0..20).map(|_| ask(&server, Method::GET, "/", &[]))).await {
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body, "The status cannot be shown at the moment.");
    }
}

#[tokio::test]
async fn the_page_and_its_assets_are_compressed_for_those_who_take_it() {
    let server = PageServer::start().await;
    server.component("Database", Operational, None).await;
    for path in ["/", "/assets/page.css", "/assets/page.js", "/assets/operational.svg"] {
        let (_, plain, identity) = ask(&server, Method::GET, path, &[]).await;
        let gzip = (header::ACCEPT_ENCODING, "br, gzip");
        let (_, compressed, gzipped) = ask(&server, Method::GET, path, std::slice::from_ref(&gzip)).await;
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&gzipped[..]).read_to_end(&mut text).expect("gzip");
        assert_eq!(text, identity, "{path}");
        assert!(gzipped.len() < identity.len(), "{path}");
        assert_eq!(compressed[header::CONTENT_ENCODING], "gzip", "{path}");
        assert!(!plain.contains_key(header::CONTENT_ENCODING), "{path}");
        assert_ne!(plain[header::ETAG], compressed[header::ETAG], "{path}: strong tags");
        assert_eq!(plain[header::CONTENT_TYPE], compressed[header::CONTENT_TYPE], "{path}");

        for (accepted, headers, body) in [("identity", &plain, &identity), ("gzip", &compressed, &gzipped)] {
            let accept = (header::ACCEPT_ENCODING, accepted);
            assert_eq!(headers[header::VARY], "accept-encoding", "{path}");
            assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string(), "{path}");
            let (status, head, nothing) = ask(&server, Method::HEAD, path, std::slice::from_ref(&accept)).await;
            assert_eq!((status, &head, nothing.len()), (StatusCode::OK, headers, 0), "{path}");

            let tag = headers[header::ETAG].to_str().expect("text");
            let known = [accept, (header::IF_NONE_MATCH, tag)];
            let (status, known, nothing) = ask(&server, Method::GET, path, &known).await;
            assert_eq!((status, nothing.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
            for name in [header::ETAG, header::VARY, header::CACHE_CONTROL] {
                assert_eq!(known[&name], headers[&name], "{path} {name}");
            }
            assert!(!known.contains_key(header::CONTENT_TYPE) && !known.contains_key(header::CONTENT_ENCODING));
        }
    }
}

//! Who comes in, and what every answer carries.

use alertmanager_cachet::config::Users;
use alertmanager_cachet::core::time::Timestamp;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use fake_cachet::Release;

use super::{Site, TARGETS};
use crate::support::web::{ADMIN, USERS};
use crate::support::world::World;

const PATHS: [&str; 14] = [
    "/console",
    "/console/",
    "/console/components/Database",
    "/console/components/Database/override",
    "/console/components/Database/override/end",
    "/console/components/Database/hold",
    "/console/components/Database/release",
    "/console/page",
    "/console/page/maintenance/new",
    "/console/page/incidents/new",
    "/console/events",
    "/console/assets/console.js",
    "/console/api/v1/components",
    "/console/api/v1/page",
];

#[tokio::test]
async fn nobody_comes_in_without_a_password_and_those_who_try_are_counted() {
    let site = Site::start().await;
    for path in PATHS {
        for authorization in [None, Some("Basic YWRtaW46d3Jvbmc="), Some("Bearer x")] {
            let request = Request::get(path);
            let request =
                authorization.into_iter().fold(request, |request, value| request.header("Authorization", value));
            let answer = site.send(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(answer.headers["www-authenticate"].to_str().expect("text").starts_with("Basic "), "{path}");
            assert!(!answer.body.contains("Database"), "{path}");
        }
    }
    let told = site.metrics.text(Timestamp::from_millis(0)).expect("told");
    let wrong = format!("authentications_refused_total{{reason=\"wrong\"}} {}", PATHS.len());
    assert!(told.contains(&wrong), "{told}");
}

/// `ada`, an operator, with the password `admin`.
const ADA: &str = "Basic YWRhOmFkbWlu";

#[tokio::test]
async fn where_there_are_operators_who_posts_does_not_come_in() {
    let mut users = Users::parse(USERS).expect("users").0;
    let hash = "$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju";
    users.add_operator("ada", hash).expect("an operator");
    let site = Site::for_users(World::set_up(Release::Current, TARGETS).await, users).await;
    for path in PATHS {
        for (authorization, is_in) in [(ADMIN, false), (ADA, true)] {
            let request = Request::get(path).header("Authorization", authorization).body(Body::empty());
            let answer = tower::ServiceExt::oneshot(site.router.clone(), request.expect("a request")).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status() != StatusCode::FORBIDDEN, is_in, "{path}");
            assert!(answer.headers().contains_key("content-security-policy"), "{path}");
        }
    }
    let request = Request::post("/console/components/Database/hold").header("Authorization", ADMIN);
    let answer = site.send(request.body(Body::from("status=1&for=60")).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("basic_auth_users"), "{}", answer.body);
    let told = site.metrics.text(Timestamp::from_millis(0)).expect("told");
    let refused = format!("authentications_refused_total{{reason=\"not_an_operator\"}} {}\n", PATHS.len() + 1);
    assert!(told.contains(&refused), "{told}");
}

#[tokio::test]
async fn another_site_may_link_here_and_gets_nothing_for_itself() {
    let site = Site::start().await;
    for path in PATHS {
        for (from, mode, is_in) in [
            ("cross-site", "no-cors", false),
            ("cross-site", "cors", false),
            ("same-site", "cors", false),
            ("cross-site", "navigate", true),
            ("same-origin", "cors", true),
            ("none", "navigate", true),
        ] {
            let request = Request::get(path)
                .header("Authorization", ADMIN)
                .header("Sec-Fetch-Site", from)
                .header("Sec-Fetch-Mode", mode)
                .body(Body::empty());
            let answer = tower::ServiceExt::oneshot(site.router.clone(), request.expect("a request")).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.status() != StatusCode::FORBIDDEN, is_in, "{path} {from} {mode}");
            assert_eq!(answer.headers()["cross-origin-resource-policy"], "same-origin", "{path}");
        }
        // As a browser asks that is not reached over TLS.
        for (origin, is_in) in [("http://evil.example", false), ("null", false), ("http://console:5000", true)] {
            let request = Request::get(path)
                .header("Authorization", ADMIN)
                .header("Host", "console:5000")
                .header("Origin", origin)
                .body(Body::empty());
            let answer = tower::ServiceExt::oneshot(site.router.clone(), request.expect("a request")).await;
            assert_eq!(answer.expect("an answer").status() != StatusCode::FORBIDDEN, is_in, "{path} {origin}");
        }
    }
}

#[tokio::test]
async fn every_answer_is_sealed_and_kept_by_nobody() {
    let site = Site::start().await;
    for path in PATHS.into_iter().chain(["/console/components/Nobody", "/console/components/Database?days=0"]) {
        let request = Request::get(path).header("Authorization", ADMIN).body(Body::empty());
        let response = tower::ServiceExt::oneshot(site.router.clone(), request.expect("a request")).await;
        let headers = response.expect("an answer").headers().clone();
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert_eq!(
            policy,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        assert!(["no-store", "no-cache"].contains(&headers["cache-control"].to_str().expect("text")), "{path}");
    }
}

#[tokio::test]
async fn what_it_does_not_know_is_not_found() {
    let site = Site::start().await;
    for path in [
        "/console/nothing",
        "/console/api/v2/components",
        "/console/components/Database/drop",
        "/console/page/groups/1/drop",
    ] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(site.post("/console", "").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

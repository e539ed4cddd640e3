//! The layer, over real sockets.

use std::sync::atomic::{AtomicU32, Ordering};

use alertmanager_cachet_client::Cachet;
use alertmanager_cachet_core::observed::ComponentId;
use alertmanager_cachet_core::status_page::{PageWrite, StatusPage};

use super::*;
use crate::{in_process, serve, serve_at};

/// A router that counts how often it was really asked.
fn counting() -> (Router, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let answer = move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { "ok" }
    };
    (Router::new().fallback(answer), asked)
}

async fn put(url: &str, path: &str) -> reqwest::Result<u16> {
    let response = reqwest::Client::new().put(format!("{url}{path}")).bearer_auth("t").send().await?;
    let status = response.status().as_u16();
    response.bytes().await.map(|_| status)
}

#[tokio::test]
async fn a_fault_hits_the_calls_it_is_meant_for_as_often_as_it_should() {
    let faults = Faults::new();
    let (router, asked) = counting();
    let (url, _server) = serve(faults.around(router)).await;
    faults.on("PUT", "/api/components/*").times(2).answer(500);
    faults.on("PUT", "/api/components/*").times(1).answer_after(503);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(put(&url, "/api/components/3").await.expect("answered"));
    }
    assert_eq!(statuses, [500, 500, 503, 200]);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "the third was done although it says otherwise");
    assert_eq!(put(&url, "/api/components/3/more").await.expect("answered"), 200);
    assert_eq!((faults.count("PUT", "/api/components/*"), faults.count("*", "/api/incidents")), (4, 0));
    faults.forget_calls();
    assert!(faults.calls().is_empty());
}

#[tokio::test]
async fn what_is_done_later_is_done_when_it_is_asked_for_and_whole() {
    let faults = Faults::new();
    let (router, asked) = counting();
    let (url, _server) = serve(faults.around(router)).await;
    faults.on("PUT", "/api/components/*").times(2).later();
    for _ in 0..2 {
        assert!(put(&url, "/api/components/3").await.is_err());
    }
    faults.heal();
    assert_eq!((asked.load(Ordering::SeqCst), faults.catch_up().await), (0, 2));
    assert_eq!((asked.load(Ordering::SeqCst), faults.catch_up().await), (2, 0));
}

#[tokio::test]
async fn a_cut_connection_is_an_error_before_and_after_the_call_is_done() {
    let faults = Faults::new();
    let (router, asked) = counting();
    let (url, _server) = serve(faults.around(router)).await;
    faults.on("*", "/before").cut_before();
    faults.on("*", "/after").cut_after();
    assert!(put(&url, "/before").await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(put(&url, "/after").await.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    faults.heal();
    assert_eq!(put(&url, "/after").await.expect("answered"), 200);
    assert_eq!(faults.calls(), ["PUT /before", "PUT /after", "PUT /after"]);
}

#[tokio::test]
async fn a_call_can_be_carried_out_twice_or_refused_or_carried_out_and_never_answered() {
    let faults = Faults::new();
    let (router, asked) = counting();
    let cachet = in_process(faults.around(router), "1|token", 50);
    let removal = PageWrite::RemoveComponent(ComponentId(0));
    faults.on("DELETE", "/api/components/0").times(1).twice();
    assert_eq!((cachet.apply(&removal).await, asked.load(Ordering::SeqCst)), (Ok(()), 2));
    faults.on("DELETE", "/api/components/0").times(1).refuse();
    let refused = cachet.apply(&removal).await.expect_err("no connection");
    assert!(!refused.failure.may_have_been_applied(), "{refused}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    faults.on("DELETE", "/api/components/0").times(1).hang_after();
    tokio::select! {
        answer = cachet.apply(&removal) => panic!("it hangs, and was answered: {answer:?}"),
        () = faults.hangs() => {}
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_client_feels_a_fault_over_http_as_in_process() {
    let faults = Faults::new();
    let router = faults.around(counting().0);
    let (url, _server) = serve(router.clone()).await;
    faults.on("DELETE", "/api/components/0").times(2).cut_after();
    faults.on("DELETE", "/api/components/0").answer(404);
    let over_http =
        Cachet::over_http(&format!("{url}/api"), HeaderValue::from_static("Bearer 1|token"), || 50).expect("a client");
    let in_process = in_process(router, "1|token", 50);
    let removal = PageWrite::RemoveComponent(ComponentId(0));
    for cachet in [&over_http, &in_process] {
        assert!(cachet.apply(&removal).await.expect_err("cut").failure.may_be_applied_yet());
    }
    faults.rate_limit(2, Duration::from_secs(60));
    for cachet in [&over_http, &in_process] {
        assert_eq!(cachet.apply(&removal).await, Ok(()));
    }
    for cachet in [over_http, in_process] {
        let wait = cachet.apply(&removal).await.expect_err("limited").retry_after().expect("Retry-After");
        assert!((1..=60).contains(&wait.as_secs()), "{wait:?}");
    }
}

#[tokio::test]
async fn the_rate_limit_answers_as_cachet_does() {
    let faults = Faults::new();
    let (router, asked) = counting();
    let (url, _server) = serve(faults.around(router)).await;
    faults.rate_limit(1, Duration::from_secs(60));
    let client = reqwest::Client::new();
    let call = |method| client.request(method, format!("{url}/x")).bearer_auth("t").send();
    let header = |response: &reqwest::Response, name: &str| response.headers()[name].clone();

    let first = call(Method::PUT).await.expect("answered");
    assert_eq!(first.status(), 200);
    assert_eq!(header(&first, "x-ratelimit-remaining"), "0");
    let second = call(Method::PUT).await.expect("answered");
    assert_eq!(second.status(), 429);
    assert_eq!(header(&second, "retry-after"), "60");
    assert_eq!(header(&second, "x-ratelimit-limit"), "1");
    assert_eq!(call(Method::GET).await.expect("answered").status(), 200, "reads are counted for themselves");
    assert_eq!(asked.load(Ordering::SeqCst), 2);

    faults.rate_limit(1, Duration::ZERO);
    assert_eq!(put(&url, "/x").await.expect("answered"), 200);
    assert_eq!(put(&url, "/x").await.expect("answered"), 200, "the window is over");
}

#[tokio::test]
async fn calls_can_be_waited_for_while_they_hang_or_take_long() {
    let faults = Faults::new();
    let router = faults.around(counting().0);
    faults.on("GET", "/hangs").hang();
    faults.latency(Duration::from_millis(1));
    let hanging = tokio::spawn(router.clone().oneshot(Request::get("/hangs").body(Body::empty()).expect("valid")));
    faults.seen(1, "GET", "/hangs").await;
    assert!(!hanging.is_finished());
    hanging.abort();
    let before = Instant::now();
    router.oneshot(Request::get("/x").body(Body::empty()).expect("valid")).await.expect("infallible");
    assert!(before.elapsed() >= Duration::from_millis(1));
}

#[tokio::test]
async fn a_server_can_go_away_and_come_back_at_its_address() {
    let (router, _) = counting();
    let (url, server) = serve(router.clone()).await;
    assert_eq!(put(&url, "/x").await.expect("answered"), 200);
    let address = server.address;
    server.stop().await;
    assert!(put(&url, "/x").await.expect_err("gone").is_connect());
    let (again, _server) = serve_at(address, router).await.expect("its port is free");
    assert_eq!(again, url);
    assert_eq!(put(&url, "/x").await.expect("answered"), 200);
}

//! Setting and ending an override, step by step, and what keeps others from doing it.

use alertmanager_cachet::core::status::ComponentStatus;
use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::{HOUR, Site};
use crate::support::web::ADMIN;

const OVERRIDE: &str = "/console/components/Database/override";
const END: &str = "/console/components/Database/override/end";

/// The body that the page of confirmation sends.
async fn confirmed(site: &Site, query: &str) -> String {
    let page = site.get(&format!("{OVERRIDE}?{query}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let fields = ["token", "seen", "status", "until", "note"].map(|name| format!("{name}={}", page.field(name)));
    fields.join("&")
}

#[tokio::test]
async fn a_component_is_overridden_and_that_is_ended_by_who_says_so_twice() {
    let mut site = Site::start().await;
    site.fail("db-1:9100", "Database").await;
    let form = confirmed(&site, "status=1&for=3600&note=drill").await;
    assert_eq!(site.world.store.overrides().await.expect("read"), [], "to ask changes nothing");

    let answer = site.post(OVERRIDE, &form).await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/console/components/Database?done=overridden")
    );
    let override_ = site.world.store.overrides().await.expect("read").remove(0);
    assert_eq!((override_.status, override_.user.as_str()), (ComponentStatus::Operational, "admin"));
    assert_eq!((override_.note.as_str(), override_.until), ("drill", site.world.now().after(HOUR)));
    let line = format!(
        r#"[HOLD] component="Database" status=1 (Operational) until={} user="admin" note="drill""#,
        override_.until
    );
    assert_eq!(site.world.lines("[HOLD]"), [line]);
    site.world.settle().await;
    assert_eq!(site.world.status("Database").await, 1);
    let page = site.get(answer.location()).await;
    assert!(
        page.body.contains("It is overridden.") && page.body.contains("<strong>Overridden</strong> by admin"),
        "{}",
        page.body
    );

    let release = asked_to_end(&site).await;
    let released = site.post(END, &release).await;
    assert_eq!(released.location(), "/console/components/Database?done=ended");
    site.world.settle().await;
    assert_eq!(site.world.status("Database").await, 4);
    assert_eq!(site.world.lines("[RELEASE]"), [r#"[RELEASE] component="Database" user="admin" reason="released""#]);
    assert!(site.get(released.location()).await.body.contains("The override is ended"));
    assert!(!site.get(answer.location()).await.body.contains("It is overridden."), "it no longer is");
    for answer in [site.post(END, &release).await, site.get(END).await] {
        assert_eq!(answer.location(), "/console/components/Database?done=nothing");
        assert!(site.get(answer.location()).await.body.contains("there is nothing to end"));
    }
    assert_eq!(site.world.lines("[RELEASE]").len(), 1, "what is ended is not ended again");
}

/// The body that the page of confirmation sends.
async fn asked_to_end(site: &Site) -> String {
    let page = site.get(END).await;
    ["token", "seen"].map(|name| format!("{name}={}", page.field(name))).join("&")
}

#[tokio::test]
async fn who_was_slower_than_another_operator_sees_what_is_true_now_and_says_it_again() {
    let site = Site::start().await;
    let slow = confirmed(&site, "status=1&for=3600&note=slow").await;
    let fast = confirmed(&site, "status=3&for=7200&note=fast").await;
    assert_eq!(site.post(OVERRIDE, &fast).await.status, StatusCode::SEE_OTHER);

    let refused = site.post(OVERRIDE, &slow).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    for words in ["The override changed meanwhile", "role=\"alert\"", "(fast)", "your override takes the place of that"]
    {
        assert!(refused.body.contains(words), "{words}: {}", refused.body);
    }
    assert_eq!(site.world.store.overrides().await.expect("read")[0].note, "fast");
    let again = ["token", "seen", "status", "until", "note"].map(|name| format!("{name}={}", refused.field(name)));
    assert_eq!(site.post(OVERRIDE, &again.join("&")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.world.store.overrides().await.expect("read")[0].note, "slow");
}

#[tokio::test]
async fn only_the_override_that_was_seen_is_ended() {
    let site = Site::start().await;
    site.post(OVERRIDE, &confirmed(&site, "status=3&for=7200&note=one").await).await;
    let release = asked_to_end(&site).await;
    site.world.pass(HOUR / 2);
    site.post(OVERRIDE, &confirmed(&site, "status=4&for=7200&note=other").await).await;
    let refused = site.post(END, &release).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.body.contains("(other)"), "{}", refused.body);
    assert_eq!(site.world.store.overrides().await.expect("read").len(), 1);
    assert_eq!(site.world.lines("[RELEASE]"), Vec::<String>::new());
}

#[tokio::test]
async fn of_two_who_act_at_the_same_moment_one_does() {
    let site = Site::start().await;
    let forms = [confirmed(&site, "status=1&for=3600").await, confirmed(&site, "status=3&for=3600").await];
    let (one, other) = tokio::join!(site.post(OVERRIDE, &forms[0]), site.post(OVERRIDE, &forms[1]));
    let mut statuses = [one.status, other.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::CONFLICT]);
    assert_eq!(site.world.lines("[HOLD]").len(), 1);
}

#[tokio::test]
async fn what_is_confirmed_is_shown_with_its_reason_and_what_becomes_of_the_incident() {
    let mut site = Site::start().await;
    site.fail("db-1:9100", "Database").await;
    for (query, words) in [
        ("status=1&for=60&note=a+%3Cdrill%3E", "your reason: a &lt;drill&gt;"),
        ("status=1&for=60", "Incident 1 stays open until the alerts say"),
        ("status=4&for=60", "Incident 1 stays open as long as it is overridden"),
    ] {
        let page = site.get(&format!("{OVERRIDE}?{query}")).await;
        assert!(page.body.contains(words) && page.body.contains("Override Database?"), "{words}: {}", page.body);
    }
}

#[tokio::test]
async fn a_form_that_was_not_sent_from_the_console_does_nothing() {
    let site = Site::start().await;
    let good = confirmed(&site, "status=1&for=3600").await;
    let without_token = good.split_once('&').expect("fields").1.to_owned();
    let foreign = |name: &str, value: &str, body: &str| {
        Request::post(OVERRIDE)
            .header("Authorization", ADMIN)
            .header("Host", "console:5000")
            .header(name.to_owned(), value.to_owned())
            .body(Body::from(body.to_owned()))
            .expect("a request")
    };
    for request in [
        foreign("Sec-Fetch-Site", "cross-site", &good),
        foreign("Sec-Fetch-Site", "same-site", &good),
        foreign("Origin", "https://evil.example", &good),
        foreign("Origin", "null", &good),
        foreign("Sec-Fetch-Site", "same-origin", &without_token),
        foreign("Sec-Fetch-Site", "same-origin", &format!("token=00&{without_token}")),
    ] {
        let answer = site.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    }
    // the token of one user in the hands of another
    let request = Request::post(OVERRIDE)
        .header("Authorization", "Basic Z3JhZmFuYTpwYXNzd29yZA==")
        .header("Sec-Fetch-Site", "same-origin")
        .body(Body::from(good.clone()));
    assert_eq!(site.send(request.expect("a request")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.world.store.overrides().await.expect("read"), []);
    assert_eq!(site.world.lines("[HOLD]"), Vec::<String>::new());
    let told = site.metrics.text(site.world.now()).expect("told");
    assert!(told.contains("authentications_refused_total{reason=\"cross_site\"} 4\n"), "{told}");

    let same_host = foreign("Origin", "http://console:5000", &good);
    assert_eq!(site.send(same_host).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_cannot_be_overridden_is_asked_again_with_what_was_typed() {
    let site = Site::start().await;
    for (query, words) in [
        ("status=1&until=2020-01-01T00:00&note=%3Cb%3E", "choose a later time"),
        ("status=1&until=2027-11-21T00:00&note=%3Cb%3E", "choose an earlier time"),
        ("status=6&for=60&note=%3Cb%3E", "or announce maintenance"),
        ("note=%3Cb%3E", "choose the status"),
    ] {
        let answer = site.get(&format!("{OVERRIDE}?{query}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(answer.body.contains(words) && answer.body.contains("role=\"alert\""), "{query}: {}", answer.body);
        assert!(answer.body.contains("value=\"&lt;b&gt;\""), "{query}: what was typed is there, and no markup");
        let token = confirmed(&site, "status=1&for=60").await;
        let token = token.split_once('&').expect("fields").0;
        let posted = site.post(OVERRIDE, &format!("{token}&{query}")).await;
        assert_eq!(posted.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    let too_long = format!("status=1&for=60&note={}", "x".repeat(20_000));
    assert_eq!(site.post(OVERRIDE, &too_long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(site.world.store.overrides().await.expect("read"), []);
}

#[tokio::test]
async fn nothing_is_overridden_that_is_not_on_the_page() {
    let site = Site::start().await;
    let form = confirmed(&site, "status=1&for=3600").await;
    let answer = site.post("/console/components/Databse/override", &form).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("did you mean"), "{}", answer.body);
    assert_eq!(site.world.store.overrides().await.expect("read"), []);
}

#[tokio::test]
async fn the_earlier_paths_of_an_override_still_work() {
    let site = Site::start().await;
    let form = confirmed(&site, "status=1&for=3600").await;
    let answer = site.post("/console/components/Database/hold", &form).await;
    assert_eq!(answer.location(), "/console/components/Database?done=overridden");
    let form = asked_to_end(&site).await;
    let answer = site.post("/console/components/Database/release", &form).await;
    assert_eq!(answer.location(), "/console/components/Database?done=ended");
}

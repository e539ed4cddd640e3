//! What the pages say, without a browser and without script.

use axum::http::StatusCode;
use fake_cachet::Release;

use super::{HOUR, Site};
use crate::support::world::World;

/// The text of a page, without its markup and with single blanks.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for character in html.chars() {
        match character {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                text.push(' ');
            }
            _ if !in_tag => text.push(character),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",").replace(" .", ".")
}

#[tokio::test]
async fn the_overview_says_what_is_why_and_what_waits() {
    let mut site = Site::start().await;
    let quiet = text(&site.get("/console").await.body);
    for words in ["All operational", "all its 2 targets are up", "Nothing: Cachet shows all", "None since the start"] {
        assert!(quiet.contains(words), "{words}: {quiet}");
    }
    site.fail("db-1:9100", "Database").await;
    site.ignore("Slow <script>");
    let page = site.get("/console").await;
    assert!(!page.body.contains("<script>alert") && page.body.contains("Slow &lt;script&gt;"), "escaped");
    let told = text(&page.body);
    for words in [
        "Database: Outage – console",
        "its critical target db-1:9100 is down, since 21 Nov 2026, 02:00 UTC",
        "Incident 1 is open",
        "Ignored alerts 1",
        "keep it in the rule",
        "No watchdog is configured",
        "is not read",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[tokio::test]
async fn the_overview_says_what_cannot_be_written_and_why() {
    let mut site = Site::start().await;
    site.world.faults.on("*", "/api/components/*").answer(500);
    site.world.fire("db-1:9100", "Database").await;
    site.world.once().await;
    let told = text(&site.get("/console").await.body);
    for words in
        ["set component \"Database\" from 1 (Operational) to 4 (Outage)", "HTTP 500", "Cachet shows Operational"]
    {
        let words = words.replace('"', "&quot;");
        assert!(told.contains(&words), "{words}: {told}");
    }
}

#[tokio::test]
async fn a_cachet_that_cannot_be_asked_is_not_said_to_show_what_it_should() {
    let mut site = Site::start().await;
    site.world.faults.on("*", "/api/*").answer(500);
    site.world.pass(HOUR);
    site.world.once().await;
    let told = text(&site.get("/console").await.body);
    assert!(told.contains("Nothing can be written to Cachet.") && told.contains("Nothing that is known of"), "{told}");
    assert!(!told.contains("Cachet shows all"), "{told}");
}

#[tokio::test]
async fn a_components_page_says_why_and_what_happened_by_day() {
    let mut site = Site::start().await;
    let alert = site.fail("db-1:9100", "Database").await;
    site.world.pass(HOUR);
    site.world.resolve(&alert).await;
    site.world.settle().await;
    site.world.pass(23 * HOUR);
    site.fail("db-2:9100", "Database").await;
    let told = text(&site.get("/console/components/Database").await.body);
    for words in [
        "Partial Outage: 1 of its 2 targets is down",
        "db-1:9100 critical Up",
        "db-2:9100 Down",
        "22 November 2026",
        "21 November 2026",
        "incident 1 was closed: recovered",
        "TargetDown of db-1:9100 fired",
        "The last 7 days",
        "7 days 95.",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let one_day = text(&site.get("/console/components/Database?days=1").await.body);
    assert!(one_day.contains("The last day") && !one_day.contains("db-1:9100 fired"), "{one_day}");
}

#[tokio::test]
async fn what_is_not_operational_is_named_at_the_top_the_worst_first() {
    let mut site = Site::start().await;
    site.fail("web-2:9100", "Website").await;
    assert!(!site.get("/console").await.body.contains("class=\"affected\""), "one is in the headline");
    site.fail("db-1:9100", "Database").await;
    let told = text(&site.get("/console").await.body);
    let top = "2 of 3 components are not operational Database Outage Website Partial Outage Components";
    assert!(told.contains(top), "{told}");
}

#[tokio::test]
async fn a_component_that_is_overridden_says_what_the_alerts_say() {
    let mut site = Site::start().await;
    site.fail("db-1:9100", "Database").await;
    let ask = site.get("/console/components/Database/override?status=1&for=3600").await;
    let form = ["token", "status", "until"].map(|name| format!("{name}={}", ask.field(name))).join("&");
    assert_eq!(site.post("/console/components/Database/override", &form).await.status, StatusCode::SEE_OTHER);
    let told = text(&site.get("/console").await.body);
    assert!(
        told.contains("All operational") && told.contains("; the alerts say Outage. Cachet shows Outage"),
        "{told}"
    );
}

#[tokio::test]
async fn of_a_long_list_the_overview_has_the_beginning_and_says_so() {
    let site = Site::start().await;
    for number in 0..23 {
        site.ignore(&format!("Slow{number}"));
    }
    let told = text(&site.get("/console").await.body);
    assert!(told.contains("Ignored alerts 23 Slow22 1×"), "the latest first: {told}");
    assert!(told.contains("and 3 more, which the API has") && !told.contains("Slow2 "), "{told}");
}

#[tokio::test]
async fn of_many_targets_those_that_are_down_come_first_and_the_rest_is_counted() {
    let names: Vec<String> = (0..150).map(|number| format!("web-{number:03}:9100")).collect();
    let targets: Vec<_> = names.iter().map(|name| (name.as_str(), "Website", name.contains("149"))).collect();
    let mut site = Site::with(World::set_up(Release::Current, &targets).await).await;
    for instance in ["web-120:9100", "web-149:9100"] {
        site.fail(instance, "Website").await;
    }
    let told = text(&site.get("/console/components/Website").await.body);
    assert!(told.contains("Targets 150 web-149:9100 critical Down TargetDown since"), "{told}");
    assert!(told.contains("web-097:9100 Up and 50 more, of which none is down"), "{told}");
    let down = told.find("web-120:9100 Down").expect("it is there");
    assert!(down < told.find("web-000:9100 Up").expect("so is this"), "{told}");
}

#[tokio::test]
async fn a_component_of_any_name_has_a_page() {
    let site = Site::start().await;
    let overview = site.get("/console").await.body;
    let path = "/console/components/A%2FB%20%C3%BC%25";
    assert!(overview.contains(&format!("href=\"{path}\"")), "{overview}");
    assert_eq!(site.get(path).await.status, StatusCode::OK);
    let missing = site.get("/console/components/%3Cb%3E").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.body.contains("&lt;b&gt;") && !missing.body.contains("<b>"), "{}", missing.body);
}

#[tokio::test]
async fn the_pages_are_a_few_kilobytes_and_know_nothing_from_outside() {
    let site = Site::start().await;
    for (path, limit) in [
        ("/console", 8_000),
        ("/console/components/Database", 10_000),
        ("/console/assets/console.css", 8_000),
        ("/console/assets/console.js", 5_000),
    ] {
        let body = site.get(path).await.body;
        assert!(body.len() < limit, "{path}: {} bytes", body.len());
        assert!(!body.contains("http://") && !body.contains("https://") && !body.contains("style="), "{path}: {body}");
    }
}

//! What the pages say, without a browser and without script.

use axum::http::StatusCode;

use super::{HOUR, Site};

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

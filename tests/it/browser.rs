//! The built-in page in a real browser: what a reader sees, in light and dark, wide and narrow, while things change.

pub mod chromium;
mod maintenance;

use alertmanager_cachet::core::observed::{ComponentId, IncidentId};
use alertmanager_cachet::core::status::ComponentStatus::{MajorOutage, Operational, PartialOutage};
use alertmanager_cachet::core::status::IncidentStatus;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::chromium::{Chromium, Scheme};
use crate::page_server::{PageServer, START_MS};

/// The numbers of components of the [`Story`].
const DATABASE: ComponentId = ComponentId(4);
const SEARCH: ComponentId = ComponentId(5);

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Every element whose own text has a contrast under 4.5 to what is behind it (WCAG AA).
pub const LOW_CONTRAST: &str = r#"(() => {
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")].filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim())
    && element.checkVisibility() && !["SCRIPT", "STYLE"].includes(element.tagName)
  ).map((element) => {
    const [one, other] = [channels(getComputedStyle(element).color), behind(element)].map(luminance);
    return [element.textContent.trim(), (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)];
  }).filter(([, contrast]) => contrast < 4.5).map(([text, contrast]) => `${text}: ${contrast.toFixed(2)}`);
})()"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_an_outage_come_and_go_without_reloading() {
    let story = Story::begin().await;
    let (url, serving) = story.serve().await;
    let mut browser = Chromium::start();
    browser.show_as(1280, 900, Scheme::Light);

    browser.open(&url);
    assert_eq!(browser.text("document.title"), "All systems operational – System status");
    assert_eq!(row(&mut browser, "Database"), "Operational");
    browser.screenshot("quiet-light");
    browser.evaluate("window.isTheSamePage = true");
    browser.evaluate("document.getElementById('group-2').open = false");

    let incident = story.outage().await;
    // by the page's own timer: the only wait of this test that is not for the machine
    browser.wait_for("document.getElementById('headline').innerText === 'Major outage'");
    assert_eq!(browser.evaluate("window.isTheSamePage"), json!(true), "the page was reloaded");
    assert_eq!(browser.evaluate("document.getElementById('group-2').open"), json!(false), "what was folded unfolded");
    assert_eq!(browser.text("document.title"), "Major outage – System status");
    assert_eq!(browser.text("document.querySelector('link[rel=icon]').getAttribute('href')"), "assets/major.svg");
    assert_eq!(browser.text("document.getElementById('announcement').textContent"), "Major outage");
    browser.evaluate("document.getElementById('group-2').open = true");
    assert_eq!(row(&mut browser, "Database"), "Major outage");
    assert_eq!(row(&mut browser, "Search"), "Partial outage");
    assert_eq!(row(&mut browser, "Website"), "Operational");
    let open = browser.text("document.querySelector('[aria-labelledby=open-incidents]').innerText");
    for text in ["Database is down", "Identified", "affects Database", "<b>us-east</b> & others", "A switch lost power"]
    {
        assert!(open.contains(text), "{text}: {open}");
    }
    assert!(open.find("A switch lost power") < open.find("Connections to"), "the newest comes first: {open}");
    for (name, width, scheme) in [
        ("outage-light", 1280, Scheme::Light),
        ("outage-dark", 1280, Scheme::Dark),
        ("outage-phone-light", 360, Scheme::Light),
        ("outage-phone-dark", 360, Scheme::Dark),
        ("outage-narrow", 320, Scheme::Light),
    ] {
        browser.show_as(width, 900, scheme);
        assert_eq!(browser.evaluate(LOW_CONTRAST), json!([]), "{name}");
        let overflow = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(overflow, json!(0), "{name} scrolls sideways");
        browser.screenshot(name);
    }

    story.recovery(incident).await;
    browser.show_as(1280, 900, Scheme::Light);
    refresh_now(&mut browser);
    browser.wait_for("document.getElementById('headline').innerText === 'All systems operational'");
    assert_eq!(row(&mut browser, "Database"), "Operational");
    assert_eq!(browser.evaluate("document.querySelector('[aria-labelledby=open-incidents]')"), Value::Null);
    let past = browser.text("document.querySelector('[aria-labelledby=past-incidents]').innerText");
    assert!(past.contains("Database is down") && past.contains("Fixed"), "{past}");
    browser.evaluate(&format!("document.getElementById('story-{incident}').open = true"));
    let past = browser.text("document.querySelector('[aria-labelledby=past-incidents]').innerText");
    assert!(past.contains("Everything is back."), "{past}");
    browser.screenshot("recovered-light");
    browser.show_as(1280, 900, Scheme::Dark);
    assert_eq!(browser.evaluate(LOW_CONTRAST), json!([]));
    browser.screenshot("recovered-dark");
    assert_eq!(browser.evaluate("window.isTheSamePage"), json!(true), "the page was reloaded");
    assert_eq!(browser.complaints(), Vec::<String>::new());

    serving.abort();
    let _ = serving.await;
    for _ in 0..2 {
        refresh_now(&mut browser);
    }
    browser.wait_for("document.getElementById('stale').checkVisibility()");
    browser.screenshot("stale-dark");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_components_are_no_burden() {
    let server = PageServer::start().await;
    for group in 1..=10 {
        let id = server.group(&format!("Group {group}")).await;
        for component in 1..=20 {
            let name = format!("Component {group}.{component}");
            let status = if component % 7 == 0 { PartialOutage } else { Operational };
            server.component(&name, status, Some(id)).await;
        }
    }
    let (url, _serving) = serve(&server).await;
    let mut browser = Chromium::start();
    browser.show_as(360, 900, Scheme::Light);
    browser.open(&url);
    assert_eq!(browser.evaluate("document.querySelectorAll('.components li').length"), json!(200));
    assert_eq!(browser.text("document.getElementById('headline').innerText"), "Partial outage");
    browser.screenshot("large-phone");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_page_is_sealed_and_works_without_script() {
    let server = PageServer::start().await;
    let response = server.send(Request::get("/").body(Body::empty()).expect("a request")).await;
    let headers = response.headers().clone();
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
    assert_eq!(
        policy,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    let (_, html) = server.get("/").await;
    assert!(html.contains(r#"<noscript><meta http-equiv="refresh" content="30"></noscript>"#), "{html}");
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("style="), "{html}");

    let etag = headers[header::ETAG].to_str().expect("text");
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let again = Request::get("/").header(header::IF_NONE_MATCH, &known).body(Body::empty());
        assert_eq!(server.send(again.expect("a request")).await.status(), StatusCode::NOT_MODIFIED, "{known}");
    }
    server.component("new", Operational, None).await;
    let again = Request::get("/").header(header::IF_NONE_MATCH, &headers[header::ETAG]).body(Body::empty());
    assert_eq!(server.send(again.expect("a request")).await.status(), StatusCode::OK);
    for (asset, status) in [("page.css", 200), ("page.js", 200), ("major.svg", 200), ("nothing.svg", 404)] {
        assert_eq!(server.get(&format!("/assets/{asset}")).await.0.as_u16(), status, "{asset}");
    }
}

#[tokio::test]
async fn who_still_calls_the_api_is_told_what_replaced_it() {
    let server = PageServer::start().await;
    for (method, path) in [("GET", "/api"), ("GET", "/api/components?per_page=50"), ("POST", "/api/incidents")] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let response = server.send(request).await;
        assert_eq!(response.status(), StatusCode::GONE, "{method} {path}");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert!(body["message"].as_str().expect("a message").contains("/console/page"), "{body}");
    }
}

/// A status page in the life of a company.
struct Story {
    server: PageServer,
}

impl Story {
    /// All is well, after two incidents of the last days.
    async fn begin() -> Self {
        let server = PageServer::start().await;
        for (group, components) in [
            ("Products", &["Website", "Mobile app", "Public API"][..]),
            ("Platform", &["Database", "Search", "E-mail delivery"]),
        ] {
            let group = server.group(group).await;
            for component in components {
                server.component(component, Operational, Some(group)).await;
            }
        }
        server.component("db-1:9100 | Database", MajorOutage, None).await;
        for (days, title, component, minutes) in [(9, "Slow deliveries", 6, 95), (2, "Website is down", 1, 12)] {
            let began = START_MS - days * DAY_MS;
            server.set_clock(began);
            let incident = server.incident(title, "We are looking into it.", ComponentId(component)).await;
            server.set_clock(began + minutes * MINUTE_MS);
            server.say(incident, IncidentStatus::Fixed, "Everything is back to normal.").await;
        }
        server.set_clock(START_MS);
        Self { server }
    }

    async fn serve(&self) -> (String, JoinHandle<()>) {
        serve(&self.server).await
    }

    async fn outage(&self) -> i64 {
        let server = &self.server;
        server.set_clock(START_MS + MINUTE_MS);
        let message = "Connections to the database fail.\n\nThis concerns <b>us-east</b> & others.";
        let incident = server.incident("Database is down", message, DATABASE).await;
        server.set_status(SEARCH, PartialOutage).await;
        server.set_clock(START_MS + 9 * MINUTE_MS);
        server.say(incident, IncidentStatus::Identified, "A switch lost power. It is being replaced.").await;
        incident.0
    }

    async fn recovery(&self, incident: i64) {
        let server = &self.server;
        server.set_clock(START_MS + 31 * MINUTE_MS);
        server.say(IncidentId(incident), IncidentStatus::Fixed, "Everything is back.").await;
        server.set_status(SEARCH, Operational).await;
    }
}

async fn serve(server: &PageServer) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let router = server.router.clone();
    (url, tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") }))
}

/// The word beside a component.
fn row(browser: &mut Chromium, component: &str) -> String {
    let rows = "[...document.querySelectorAll('.components li')]";
    let found = format!("{rows}.find((row) => row.querySelector('.name').innerText === {})", json!(component));
    browser.text(&format!("{found}.querySelector('.state').innerText"))
}

/// What happens when the reader comes back to the tab.
fn refresh_now(browser: &mut Chromium) {
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
}

//! Maintenance as a reader sees it: planned, in progress, and over, without reloading.

use alertmanager_cachet::core::builtin::AffectedStatus;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::Announcement;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_maintenance_planned_and_in_progress() {
    let story = Story::begin().await;
    let server = &story.server;
    let at = |text| Timestamp::parse_rfc3339(text).expect("a time");
    let announcement = Announcement {
        title: "New switch".to_owned(),
        message: "Short breaks of <b>seconds</b>.\n\nNo data is lost.".to_owned(),
        begins_at: at("2026-11-21T03:00:00Z"),
        ends_at: Some(at("2026-11-21T05:00:00Z")),
        affected: vec![AffectedStatus { component: DATABASE, status: ComponentStatus::UnderMaintenance }],
    };
    let id = server.tables.announce(&announcement, server.now()).await.expect("announced");
    let (url, _serving) = story.serve().await;
    let mut browser = Chromium::start();
    browser.show_as(1280, 900, Scheme::Light);
    browser.open(&url);
    let planned = browser.text("document.querySelector('[aria-labelledby=planned-maintenance]').innerText");
    for text in ["Planned maintenance", "New switch", "Upcoming", "affects Database", "<b>seconds</b>"] {
        assert!(planned.contains(text), "{text}: {planned}");
    }
    assert_eq!(row(&mut browser, "Database"), "Operational");
    look_at(&mut browser, "maintenance-planned");

    server.set_clock(START_MS + 60 * MINUTE_MS);
    let said = server.tables.update_maintenance(id, "The old switch is out.", None, server.now()).await;
    assert!(said.expect("said"));
    refresh_now(&mut browser);
    browser.wait_for("document.getElementById('headline').innerText === 'Under maintenance'");
    let running = browser.text("document.querySelector('[aria-labelledby=maintenance-in-progress]').innerText");
    for text in ["In progress", "since", "until", "The old switch is out."] {
        assert!(running.contains(text), "{text}: {running}");
    }
    assert_eq!(row(&mut browser, "Database"), "Under maintenance");
    assert_eq!(browser.text("document.getElementById('announcement').textContent"), "Under maintenance");
    look_at(&mut browser, "maintenance-in-progress");

    server.set_clock(START_MS + 180 * MINUTE_MS);
    refresh_now(&mut browser);
    browser.wait_for("document.getElementById('headline').innerText === 'All systems operational'");
    assert_eq!(browser.evaluate("document.querySelector('[aria-labelledby=maintenance-in-progress]')"), Value::Null);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Wide and narrow, light and dark: everything can be read, and nothing scrolls sideways.
fn look_at(browser: &mut Chromium, name: &str) {
    for (size, width, scheme) in [
        ("light", 1280, Scheme::Light),
        ("phone-light", 360, Scheme::Light),
        ("narrow-dark", 320, Scheme::Dark),
        ("dark", 1280, Scheme::Dark),
    ] {
        browser.show_as(width, 900, scheme);
        assert_eq!(browser.evaluate(LOW_CONTRAST), json!([]), "{name} {size}");
        let overflow = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(overflow, json!(0), "{name} {size} scrolls sideways");
        browser.screenshot(&format!("{name}-{size}"));
    }
}

//! The console in a real browser: live without a reload, by mouse and by keyboard, on a phone, in light and in dark.

use std::time::Duration;

use alertmanager_cachet::commands::setup::{Progress, carry_out};
use alertmanager_cachet::core::names::{Group, GroupName};
use alertmanager_cachet::core::setup::{Removal, plan_setup};
use alertmanager_cachet::core::target::ComponentName;
use fake_cachet::Release;
use serde_json::json;

use super::{HOUR, Site, page};
use crate::browser::LOW_CONTRAST;
use crate::browser::chromium::{Chromium, Scheme};
use crate::support::web::ADMIN;
use crate::support::world::{TargetSpec, World};

const MINUTE: Duration = Duration::from_secs(60);

const SHOP: &[TargetSpec<'_>] = &[
    ("web-1:9100", "Website", false),
    ("web-2:9100", "Website", false),
    ("app-1:9100", "Mobile app", false),
    ("db-1:9104", "Database, Search", true),
    ("search-1:9100", "Search", false),
    ("mail-1:9100", "E-mail delivery", false),
];

const GROUPS: &[(&str, &[&str])] =
    &[("Products", &["Website", "Mobile app"]), ("Platform", &["Database", "Search", "E-mail delivery"])];

/// A shop, after a night with an outage.
async fn shop() -> Site {
    let mut world = World::empty(Release::Current, SHOP).await;
    let group = |(name, components): &(&str, &[&str])| Group {
        name: GroupName::try_from(*name).expect("a name"),
        components: components.iter().map(|name| ComponentName::try_from(*name).expect("a name")).collect(),
    };
    let groups: Vec<Group> = GROUPS.iter().map(group).collect();
    let observed = world.shown().await;
    let inventory = world.settings.inventory.clone().expect("targets");
    let plan = plan_setup(&groups, &inventory, &observed, Removal::Nothing);
    carry_out(world.person(), &world.settings.config, &plan, &Progress::new(None)).await.expect("setup");
    world.watch();
    world.heartbeat().await;
    let mut site = Site::with(world).await;
    for (minutes, instance, components) in [(700, "search-1:9100", "Search"), (900, "web-2:9100", "Website")] {
        pass(&mut site, minutes * MINUTE).await;
        let alert = site.fail(instance, components).await;
        pass(&mut site, 14 * MINUTE).await;
        site.world.resolve(&alert).await;
        site.world.settle().await;
    }
    pass(&mut site, 6 * HOUR).await;
    site
}

/// Time passes, and the server looks and hears its watchdog.
async fn pass(site: &mut Site, span: Duration) {
    let until = site.world.now().after(span);
    while site.world.now() < until {
        site.world.pass(4 * MINUTE);
        site.world.heartbeat().await;
        site.world.settle().await;
    }
}

/// A browser of somebody who has given their password.
fn reader(width: u32, scheme: Scheme) -> Chromium {
    let mut browser = Chromium::start();
    browser.authenticate(ADMIN);
    browser.show_as(width, 900, scheme);
    browser
}

/// What is wrong with how a page looks.
fn assert_readable(browser: &mut Chromium, name: &str) {
    assert_eq!(browser.evaluate(LOW_CONTRAST), json!([]), "{name}");
    let overflow = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert_eq!(overflow, json!(0), "{name} scrolls sideways");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_comes_and_is_overridden_and_shown_again_without_a_reload() {
    let mut site = shop().await;
    let (url, _serving) = site.serve().await;
    let mut browser = reader(1000, Scheme::Light);
    browser.open(&format!("{url}/console"));
    browser.wait_for("document.getElementById('freshness').textContent === 'Live'");
    assert_eq!(browser.text("document.getElementById('summary').innerText"), "All operational");
    browser.evaluate("window.isTheSamePage = true");

    site.fail("db-1:9104", "Database, Search").await;
    browser.wait_for("document.getElementById('summary').textContent.startsWith('2 of 5')");
    assert_eq!(browser.evaluate("window.isTheSamePage"), json!(true), "the page was reloaded");
    let announced = browser.text("document.getElementById('announcement').textContent");
    assert_eq!(announced, "2 of 5 components are not operational");
    site.world.pass(7 * MINUTE);
    site.world.heartbeat().await;
    site.ignore("HighErrorRate");
    site.world.settle().await;
    browser.wait_for("document.getElementById('ignored').textContent.includes('1')");
    browser.screenshot("console");

    let link = "[...document.querySelectorAll('.component a')].find((link) => link.textContent === 'Database')";
    browser.click_through_to(link, "/console/components/Database");
    browser.evaluate("document.getElementById('status').value = '3'");
    browser.evaluate("document.getElementById('for').value = '14400'");
    browser.evaluate("document.getElementById('note').value = 'Replica serves reads'");
    browser.evaluate("window.isTheSamePage = true");
    site.world.wake().wake();
    site.world.settle().await;
    assert_eq!(browser.text("document.getElementById('note').value"), "Replica serves reads", "a form stays as it is");

    let asked = "/console/components/Database/override?status=3&for=14400&until=&note=Replica+serves+reads";
    browser.click_through_to("document.querySelector('form button')", asked);
    browser.screenshot("console-confirm");
    browser.click_through_to("document.querySelector('form button')", "/console/components/Database?done=overridden");
    site.world.settle().await;
    browser.wait_for("document.getElementById('live').innerText.includes('written to the page: Partial Outage')");
    assert_eq!(site.world.status("Database").await, 3);
    let live = browser.text("document.getElementById('live').innerText");
    assert!(live.contains("overridden by admin until") && live.contains("Replica serves reads"), "{live}");
    browser.open(&format!("{url}/console/components/Database"));
    browser.wait_for("document.getElementById('freshness').textContent === 'Live'");
    browser.screenshot("console-component");

    browser.click_through_to("document.querySelector('a.button')", "/console/components/Database/override/end");
    browser.click_through_to("document.querySelector('form button')", "/console/components/Database?done=ended");
    site.world.settle().await;
    browser.wait_for("document.getElementById('summary').textContent.startsWith('Outage')");
    assert_eq!(site.world.status("Database").await, 4);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_and_in_the_dark_everything_can_be_read() {
    let mut site = shop().await;
    site.fail("db-1:9104", "Database, Search").await;
    site.ignore("AnAlertWithAVeryLongNameThatNobodyCouldBreakAnywhereButHereOrThere");
    let (url, _serving) = site.serve().await;
    let mut browser = reader(360, Scheme::Dark);
    for (name, path) in [
        ("overview", "/console"),
        ("component", "/console/components/Database"),
        ("confirm", "/console/components/Database/override?status=1&for=3600"),
        ("problem", "/console/components/Nobody"),
        ("refused", "/console/components/Database/override?status=1&until=2020-01-01T00:00"),
    ] {
        browser.open(&format!("{url}{path}"));
        for (look, width, scheme) in
            [("phone-dark", 360, Scheme::Dark), ("phone-light", 360, Scheme::Light), ("light", 1000, Scheme::Light)]
        {
            browser.show_as(width, 900, scheme);
            assert_readable(&mut browser, &format!("{name}-{look}"));
            browser.screenshot(&format!("console-{name}-{look}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_reached_and_done_by_keyboard_and_said_to_a_screen_reader() {
    let mut site = shop().await;
    let (url, _serving) = site.serve().await;
    let mut browser = reader(1000, Scheme::Light);
    browser.open(&format!("{url}/console/components/Database"));
    let mut reached = Vec::new();
    for _ in 0..30 {
        browser.press("Tab");
        let name = "(document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent).trim()";
        let seen = browser.text(&format!(
            "document.activeElement.matches(':focus-visible') ? {name} : 'not visible: ' + document.activeElement.tagName"
        ));
        reached.push(seen);
        if reached.last().is_some_and(|last| last == "Override…") {
            break;
        }
    }
    for wanted in [
        "Skip to content",
        "Overview",
        "Database",
        "Override its status",
        "30",
        "Status",
        "For",
        "or until (UTC)",
        "Why",
        "Override…",
    ] {
        assert!(reached.iter().any(|name| name == wanted), "{wanted}: {reached:?}");
    }
    assert_eq!(reached[0], "Skip to content");
    browser.press("Enter");
    browser.arrive_at("/console/components/Database/override?status=1&for=3600&until=&note=");
    assert_eq!(browser.text("document.activeElement.textContent"), "Override Database?", "what is asked is read first");
    browser.press("Enter");
    assert_eq!(site.world.store.overrides().await.expect("read"), [], "a key that is held down confirms nothing");
    browser.press("Tab");
    let button = "document.activeElement.textContent + document.getElementById(\
                  document.activeElement.getAttribute('aria-describedby')).textContent";
    let said = browser.text(button);
    assert!(said.starts_with("Override it") && said.contains("It is logged with your name, admin"), "{said}");
    browser.press("Enter");
    browser.arrive_at("/console/components/Database?done=overridden");
    assert_eq!(site.world.store.overrides().await.expect("read").len(), 1);

    site.world.settle().await;
    let unnamed = "[...document.querySelectorAll('section, nav')].filter((part) => !part.getAttribute('aria-label') \
                   && !document.getElementById(part.getAttribute('aria-labelledby'))?.textContent.trim()).length";
    for path in ["/console", "/console/components/Database"] {
        browser.open(&format!("{url}{path}"));
        assert_eq!(browser.evaluate(unnamed), json!(0), "{path}: a region without a name");
        let landmarks = "['header', 'nav', 'main', 'h1'].map((name) => document.querySelectorAll(name).length)";
        assert_eq!(browser.evaluate(landmarks), json!([1, 1, 1, 1]), "{path}");
        let fields =
            "[...document.querySelectorAll('input:not([type=hidden]), select')].every((one) => one.labels.length)";
        assert_eq!(browser.evaluate(fields), json!(true), "{path}: a field without a label");
        let ids = "document.querySelectorAll('[id]').length - new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size";
        assert_eq!(browser.evaluate(ids), json!(0), "{path}: an id twice");
    }
    assert_eq!(browser.text("document.documentElement.lang"), "en");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_when_it_is_not_live_and_takes_no_connection_while_nobody_looks() {
    let mut site = shop().await;
    let (url, _serving) = site.serve().await;
    let mut browser = reader(360, Scheme::Dark);
    browser.open(&format!("{url}/console"));
    browser.wait_for("document.getElementById('freshness').textContent === 'Live'");
    let look = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.evaluate(&look(true));
    site.fail("db-1:9104", "Database, Search").await;
    assert_eq!(browser.text("document.getElementById('summary').innerText"), "All operational", "nobody told it");
    browser.evaluate(&look(false));
    browser.wait_for("document.getElementById('summary').textContent.startsWith('2 of 5')");
    assert_readable(&mut browser, "live");

    // The password was changed meanwhile.
    browser.authenticate("Basic YWRtaW46d3Jvbmc=");
    site.fail("mail-1:9100", "E-mail delivery").await;
    browser.wait_for("document.getElementById('freshness').textContent.startsWith('Not live')");
    let color = "getComputedStyle(document.getElementById('freshness')).color";
    assert_eq!(browser.text(color), "rgb(255, 125, 125)", "not in the colour of what is well");
    assert_readable(&mut browser, "not-live");
    browser.screenshot("console-not-live");
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_announced_in_the_console_and_is_in_the_list() {
    let site = page::site().await;
    let (url, _serving) = site.serve().await;
    let mut browser = reader(1000, Scheme::Light);
    browser.open(&format!("{url}/console"));
    browser.click_through_to("document.querySelector('nav a[href=\"/console/page\"]')", "/console/page");
    browser.wait_for("document.getElementById('freshness').textContent === 'Live'");
    let announce = "document.querySelector('a[href=\"/console/page/maintenance/new\"]')";
    browser.click_through_to(announce, "/console/page/maintenance/new");
    for (field, content) in [
        ("title", "'New switch'"),
        ("message", "'Short breaks of <b>seconds</b>.\\n\\nNo data is lost.'"),
        ("begins", "'2026-11-21T03:00'"),
        ("ends", "'2026-11-21T01:00'"),
    ] {
        browser.evaluate(&format!("document.getElementById('{field}').value = {content}"));
    }
    browser.evaluate("document.getElementById('c1').checked = true");
    let submit = "document.querySelector('form button').click()";
    browser.evaluate(submit);
    browser.arrive_where("document.querySelector('[role=alert]')?.innerText.includes('Ends is not after')");
    assert_eq!(browser.text("document.getElementById('begins').value"), "2026-11-21T03:00", "what was typed is there");
    assert_eq!(browser.evaluate("document.getElementById('c1').checked"), json!(true));
    browser.evaluate("document.getElementById('ends').value = '2026-11-21T05:00'");
    browser.evaluate(submit);
    browser.arrive_where("document.querySelector('h1').innerText === 'Announce maintenance?'");
    assert_eq!(browser.text("document.activeElement.tagName"), "H1", "what is asked is read first");
    browser.screenshot("console-page-confirm");
    browser.click_through_to("document.querySelector('button[value=do]')", "/console/page?done=announce");
    let list = browser.text("document.querySelector('[aria-labelledby=maintenance]').innerText");
    for words in ["New switch", "Upcoming", "Short breaks of <b>seconds</b>.\n\nNo data is lost.", "Database"] {
        assert!(list.contains(words), "{words}: {list}");
    }

    page::edit(&site, "/console/page/incidents/new", "title=Search+is+slow&message=We+look.&status=1&c2=2").await;
    page::open_by_the_server(&site).await;
    site.world.live().changed();
    browser.wait_for("document.getElementById('summary').textContent.startsWith('2 incidents open')");
    browser.screenshot("console-page");
    let unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].every((one) => one.labels.length)";
    let ids = "document.querySelectorAll('[id]').length - new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size";
    for (name, path) in [
        ("list", "/console/page"),
        ("maintenance", "/console/page/maintenance/1/change"),
        ("incident", "/console/page/incidents/new"),
        ("move", "/console/page/components/1/move"),
        ("remove", "/console/page/components/5/remove"),
        ("refused", "/console/page/components/1/remove"),
    ] {
        browser.open(&format!("{url}{path}"));
        assert_eq!(browser.evaluate(unnamed), json!(true), "{path}: a field without a label");
        assert_eq!(browser.evaluate(ids), json!(0), "{path}: an id twice");
        for (look, width, scheme) in
            [("phone-dark", 360, Scheme::Dark), ("phone-light", 360, Scheme::Light), ("light", 1000, Scheme::Light)]
        {
            browser.show_as(width, 900, scheme);
            assert_readable(&mut browser, &format!("page-{name}-{look}"));
            browser.screenshot(&format!("console-page-{name}-{look}"));
        }
    }
}

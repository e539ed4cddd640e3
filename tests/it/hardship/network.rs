//! Between the server and the page, everything goes wrong that can: at random, for a while, then no more.

use std::time::Duration;

use fake_cachet::Release;
use futures_util::future::join_all;

use super::site::{Site, Target, alert};

/// How often the dice fall before all is well again. Each time the alerts are repeated, which is news: what failed is
/// tried again at once.
const ROLLS: usize = 20;

/// How long each roll stands.
const ROLL: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_network_does_the_page_is_right_at_the_end_and_every_incident_is_there_once() {
    join_all(Release::BOTH.map(the_story)).await;
}

async fn the_story(release: Release) {
    let site = Site::new(release).await;
    let server = site.serving().await;
    let database_is_down = alert(1, Target::Database, "firing", 0);
    let website_is_down = alert(2, Target::Website, "firing", 0);
    let database_is_back = alert(1, Target::Database, "resolved", 0);
    let website_is_back = alert(2, Target::Website, "resolved", 0);

    for (told, expected) in [
        (
            vec![database_is_down],
            vec!["Database: Major outage", "Website: Operational", "Database is down: Investigating"],
        ),
        (
            vec![database_is_back, website_is_down],
            vec![
                "Database: Operational",
                "Website: Major outage",
                "Database is down: Fixed (It works again.)",
                "Website is down: Investigating",
            ],
        ),
        (
            vec![website_is_back],
            vec![
                "Database: Operational",
                "Website: Operational",
                "Database is down: Fixed (It works again.)",
                "Website is down: Fixed (It works again.)",
            ],
        ),
    ] {
        let mut chaos = Chaos::of(expected.len());
        for _ in 0..ROLLS {
            chaos.goes_on(&site);
            server.sender.post_until_taken(&told).await;
            tokio::time::sleep(ROLL).await;
        }
        site.faults.heal();
        server.sender.post_until_taken(&told).await;
        site.page.comes_to_show(&expected).await;
    }
    assert!(server.lines_with("tried again") > 0, "nothing went wrong: {}", server.process.stderr());
    let targets = ["db:9100 | Database", "web:9100 | Website"];
    let known = targets.map(|target| format!("{target}: Operational (critical: no; no alerts)"));
    site.page.comes_to_know(&known).await;
}

/// Faults by the dice; the same ones in every run.
struct Chaos(u64);

impl Chaos {
    fn of(seed: usize) -> Self {
        Self(seed as u64)
    }

    /// A number below `limit`.
    fn roll(&mut self, limit: u64) -> u64 {
        // Knuth's constants; the high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn goes_on(&mut self, site: &Site) {
        site.faults.heal();
        site.faults.latency(Duration::from_millis(self.roll(80)));
        let patterns =
            ["/api/components/*", "/api/incidents", "/api/incidents/*", "/api/incidents/*/updates", "/api/components"];
        for _ in 0..4 {
            let method = ["GET", "PUT", "POST", "*"][self.roll(4) as usize];
            let pattern = patterns[self.roll(patterns.len() as u64) as usize];
            let on = site.faults.on(method, pattern).times(1 + self.roll(3) as u32);
            match self.roll(6) {
                0 | 1 => on.cut_after(),
                2 => on.cut_before(),
                3 => on.answer(429),
                4 => on.answer(503),
                _ => on.answer_after(500),
            }
        }
    }
}

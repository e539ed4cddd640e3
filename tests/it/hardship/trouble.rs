//! Each way in which Cachet can fail as a whole: the webhook answers as ever, the log says once what is wrong and once
//! that it is over, and the page is right when it is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fake_cachet::{On, Release};
use reqwest::StatusCode;
use serde_json::Value;

use super::site::{Server, Site, Target, alert};
use crate::support::processes::eventually;

/// How long an answer to a notification may take: two commits on a machine that is busy with other tests, and far less
/// than a call to a Cachet that does not answer.
const AS_EVER: Duration = Duration::from_secs(5);

const WRONG: &str = "nothing is lost, it is tried again";
const OVER: &str = "the page can be written again";

/// The same of a single thing.
const FAILS: &str = "; it is tried again subject=";
const WELL: &str = "resource is in sync again subject=";

fn subject(line: &str) -> Option<&str> {
    line.split_once(" subject=").map(|(_, subject)| subject)
}

/// One fault of everything that Cachet is asked, and the words of the line that names it.
struct Trouble {
    what: &'static str,
    sets_in: fn(On<'_>),
}

const TROUBLES: [Trouble; 8] = [
    Trouble { what: "this is not Cachet's API (it answers with HTML)", sets_in: |on| on.answer_html(200) },
    Trouble { what: "this is not Cachet's API (it answers HTTP 404", sets_in: |on| on.answer_html(404) },
    Trouble { what: "Cachet refused the token (HTTP 401)", sets_in: |on| on.answer(401) },
    Trouble { what: "Cachet's rate limit is used up (HTTP 429", sets_in: |on| on.answer(429) },
    Trouble { what: "Cachet failed (HTTP 500", sets_in: |on| on.answer(500) },
    Trouble { what: "Cachet is not available (HTTP 503", sets_in: |on| on.answer(503) },
    Trouble { what: "no answer came back", sets_in: |on| on.cut_before() },
    Trouble { what: "no answer came back", sets_in: |on| on.cut_after() },
];

/// One outage that comes and goes; in each of its two turns there is some trouble.
struct Story {
    site: Site,
    server: Server,
    turn: u32,
    incidents: Vec<String>,
}

impl Story {
    async fn begin() -> Self {
        let site = Site::new(Release::Current).await;
        let server = site.serving().await;
        let mut story = Self { site, server, turn: 0, incidents: Vec::new() };
        // From here on the password is known, and Cachet was read.
        story.turns().await;
        story.ends_well().await;
        story
    }

    /// What Alertmanager says now.
    fn news(&self) -> [Value; 1] {
        let status = if self.turn % 2 == 1 { "firing" } else { "resolved" };
        [alert(1, Target::Database, status, self.turn.div_ceil(2))]
    }

    /// The database fails, or is back.
    async fn turns(&mut self) {
        self.turn += 1;
        self.is_told().await;
    }

    /// The webhook answers as fast as ever.
    async fn is_told(&self) {
        let asked = Instant::now();
        assert_eq!(self.server.sender.post(&self.news()).await, Some(StatusCode::OK));
        assert!(asked.elapsed() < AS_EVER, "it took {:?}", asked.elapsed());
    }

    /// The page is right.
    async fn ends_well(&mut self) {
        let down = self.turn % 2 == 1;
        if down {
            self.incidents.push("Database is down: Investigating".to_owned());
        } else if let Some(last) = self.incidents.last_mut() {
            *last = "Database is down: Fixed (It works again.)".to_owned();
        }
        let database = if down { "Database: Major outage" } else { "Database: Operational" };
        let mut expected = vec![database, "Website: Operational"];
        expected.extend(self.incidents.iter().map(String::as_str));
        self.site.page.comes_to_show(&expected).await;
    }

    /// Waits until the log has so many lines with a mark.
    async fn says(&self, count: usize, mark: &str) {
        eventually(&format!("the log says {mark:?}"), async || {
            if self.server.lines_with(mark) >= count { Ok(()) } else { Err(self.server.process.stderr()) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_cachet_is_said_once_and_once_that_it_is_over() {
    let mut story = Story::begin().await;
    for (number, Trouble { what, sets_in }) in (1..).zip(TROUBLES) {
        let said_before = story.server.process.stderr().len();
        for path in ["/api/*", "/api/*/*", "/api/*/*/*"] {
            sets_in(story.site.faults.on("*", path));
        }
        story.turns().await;
        story.says(number, WRONG).await;
        // It goes on trying, and has said all that there is to say.
        for _ in 0..2 {
            let tried = story.site.faults.calls().len();
            story.is_told().await;
            eventually(
                "it tries again",
                async || {
                    if story.site.faults.calls().len() > tried { Ok(()) } else { Err("no call") }
                },
            )
            .await;
        }
        story.site.faults.heal();
        story.is_told().await;
        story.ends_well().await;
        story.says(number, OVER).await;
        let said = story.server.process.stderr().split_off(said_before);
        let lines_with = |mark| said.lines().filter(|line| line.contains(mark)).count();
        assert_eq!((lines_with(WRONG), lines_with(OVER)), (1, 1), "{what}: {said}");
        assert!(lines_with(what) > 0, "{what}: {said}");
        // And of each thing that it could not write.
        let begun: Vec<&str> = said.lines().filter(|line| line.contains(FAILS)).filter_map(subject).collect();
        let ended: Vec<&str> = said.lines().filter(|line| line.contains(WELL)).filter_map(subject).collect();
        let (begun_once, ended_once) = (BTreeSet::from_iter(&begun), BTreeSet::from_iter(&ended));
        assert_eq!((begun.len(), ended.len()), (begun_once.len(), ended_once.len()), "{what}: {said}");
        assert_eq!(begun_once, ended_once, "{what}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cachet_that_is_away_is_missed_once_and_welcomed_once() {
    let mut story = Story::begin().await;
    let address = story.site.cachet_address();
    story.site.cachet_goes_away().await;
    story.turns().await;
    story.says(1, "no connection to").await;
    for _ in 0..3 {
        story.is_told().await;
    }
    story.site.cachet_is_back(address).await;
    story.is_told().await;
    story.ends_well().await;
    story.says(1, OVER).await;
    assert_eq!((story.server.lines_with("no connection to"), story.server.lines_with(OVER)), (1, 1));
}

/// Waits for a request to time out, as the program does.
#[tokio::test(flavor = "multi_thread")]
async fn a_cachet_that_does_not_answer_holds_up_no_notification() {
    let mut story = Story::begin().await;
    for path in ["/api/*", "/api/*/*", "/api/*/*/*"] {
        story.site.faults.on("*", path).hang();
    }
    story.site.faults.forget_calls();
    story.turns().await;
    // While a write hangs, until its time is up, and while the next calls hang.
    story.site.faults.seen(1, "PUT", "/api/components/*").await;
    for _ in 0..20 {
        story.is_told().await;
    }
    story.says(1, "it took too long").await;
    for _ in 0..20 {
        story.is_told().await;
    }
    story.site.faults.heal();
    story.is_told().await;
    story.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_was_removed_is_reported_with_the_cure_and_the_others_go_on() {
    let mut story = Story::begin().await;
    story.site.page.loses("Website").await;
    assert_eq!(story.server.sender.post(&[alert(2, Target::Website, "firing", 0)]).await, Some(StatusCode::OK));
    story.says(1, r#"component "Website" does not exist on the page"#).await;
    story.says(1, "run `setup`").await;
    story.turns().await;
    let database = ["Database: Operational", "Database is down: Fixed (It works again.)"];
    story.site.page.comes_to_show(&database).await;
}

//! `kill -9`, again and again, under load.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fake_cachet::Release;
use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::sync::watch;

use super::site::{Sender, Server, Site, Target, alert};

const KILLS: usize = 10;

/// How many notifications are under way at the same time.
const POSTERS: usize = 3;

/// How many alerts each of them has.
const ALERTS: u64 = 3;

/// The fingerprint of the story's alert; those of the load are below.
const STORY: u64 = 1 << 40;

/// What came of the notifications of the load, which are numbered.
#[derive(Default)]
struct Answers {
    stored: Vec<u64>,
    unknown: Vec<u64>,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_every_kill_and_the_page_is_right_with_one_incident_an_episode() {
    let site = Site::new(Release::Current).await;
    let server = site.serving().await;
    let sender = server.sender.clone();
    let (over, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let answered = watch::Sender::new(0);
    let posters = join_all((0..POSTERS).map(|_| posting(&sender, &next, &answered, &over)));
    let story = async {
        let (_server, episodes) =
            tokio::join!(killed_again_and_again(&site, server, &answered, &over), outages(&site, &sender, &over));
        // The last one goes on.
        sender.post_until_taken(&[alert(STORY, Target::Website, "firing", episodes)]).await;
        shows(&site, episodes, "Investigating").await;
        site.stored().await
    };
    let (answers, stored) = tokio::join!(posters, story);

    assert!(answered.borrow().gt(&(KILLS * POSTERS)), "{} notifications are no load", *answered.borrow());
    for notification in answers.iter().flat_map(|answers| &answers.stored) {
        assert!(
            numbers(*notification).all(|number| stored.contains(&number)),
            "{notification} was answered, and is lost"
        );
    }
    for notification in answers.iter().flat_map(|answers| &answers.unknown) {
        let kept = numbers(*notification).filter(|number| stored.contains(number)).count() as u64;
        assert!(kept == 0 || kept == ALERTS, "of the {ALERTS} alerts of {notification} {kept} were kept");
    }
}

/// The fingerprints of a notification's alerts.
fn numbers(notification: u64) -> Range<u64> {
    notification * ALERTS..(notification + 1) * ALERTS
}

/// Posts one notification after the other, each once.
async fn posting(sender: &Sender, next: &AtomicU64, answered: &watch::Sender<usize>, over: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    while !over.load(Ordering::SeqCst) {
        let notification = next.fetch_add(1, Ordering::SeqCst);
        let alerts: Vec<_> = numbers(notification).map(|number| alert(number, Target::Database, "firing", 0)).collect();
        match sender.post(&alerts).await {
            Some(StatusCode::OK) => {
                answers.stored.push(notification);
                answered.send_modify(|count| *count += 1);
            }
            Some(status) => assert!(status.is_server_error(), "{status}: Alertmanager would drop it"),
            None => answers.unknown.push(notification),
        }
    }
    answers
}

/// Ends the server with SIGKILL in the middle of its work, and starts it again.
async fn killed_again_and_again(
    site: &Site,
    mut server: Server,
    answered: &watch::Sender<usize>,
    over: &AtomicBool,
) -> Server {
    for kill in 0..KILLS {
        // Each time a few answers later, so that it is caught at all stages: at the start, at rest, in a storm.
        let enough = *answered.borrow() + 1 + 8 * kill;
        answered.subscribe().wait_for(|count| *count >= enough).await.expect("this handle keeps it open");
        server.process.kill();
        server = site.serving_at(&server.address).await;
    }
    over.store(true, Ordering::SeqCst);
    server
}

/// The website fails and comes back until nobody kills any more; says how often.
async fn outages(site: &Site, sender: &Sender, over: &AtomicBool) -> u32 {
    site.page
        .comes_to_show(&["Database: Major outage", "Website: Operational", "Database is down: Investigating"])
        .await;
    let mut episode = 0;
    while !over.load(Ordering::SeqCst) {
        sender.post_until_taken(&[alert(STORY, Target::Website, "firing", episode)]).await;
        shows(site, episode, "Investigating").await;
        sender.post_until_taken(&[alert(STORY, Target::Website, "resolved", episode)]).await;
        shows(site, episode, "Fixed (It works again.)").await;
        episode += 1;
    }
    episode
}

/// Waits until the page shows every outage of the website so far, the last one in this state.
async fn shows(site: &Site, episode: u32, state: &str) {
    let website = if state == "Investigating" { "Website: Major outage" } else { "Website: Operational" };
    let mut lines = vec!["Database: Major outage", website, "Database is down: Investigating"];
    lines.extend((0..episode).map(|_| "Website is down: Fixed (It works again.)"));
    let last = format!("Website is down: {state}");
    lines.push(&last);
    site.page.comes_to_show(&lines).await;
}

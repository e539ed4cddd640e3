//! Other programs on the same store: a second server is sent away, and those who only look or set up may stay.

use std::sync::atomic::{AtomicBool, Ordering};

use fake_cachet::Release;
use reqwest::StatusCode;
use tokio::task::spawn_blocking;

use super::site::{Sender, Site, Target, alert};
use crate::support::processes::run;

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_on_the_same_store_cost_a_server_at_work_nothing() {
    let site = Site::new(Release::Current).await;
    let server = site.serving().await;
    let over = AtomicBool::new(false);
    let neighbours = async {
        for _ in 0..3 {
            let second = site.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
            let commands = [second, site.command(&["explain", "Database"]), site.command(&["setup"])];
            let run_all = spawn_blocking(move || commands.map(|mut command| run(&mut command)));
            let [second, explained, set_up] = run_all.await.expect("they run");
            assert_eq!(second.code, Some(1), "{}", second.stderr);
            assert!(second.stderr.contains("another server is using the store"), "{}", second.stderr);
            assert_eq!((explained.code, set_up.code), (Some(0), Some(0)), "{}{}", explained.stderr, set_up.stderr);
            assert!(explained.stdout.starts_with("Database: "), "{}", explained.stdout);
        }
        over.store(true, Ordering::SeqCst);
    };
    let (posted, ()) = tokio::join!(post_all_the_while(&server.sender, &over), neighbours);
    assert_eq!(site.stored().await, (0..posted).collect());
    server.comes_to_be(StatusCode::OK).await;
    site.page
        .comes_to_show(&["Database: Major outage", "Website: Operational", "Database is down: Investigating"])
        .await;
}

/// Every single one is taken at the first attempt.
async fn post_all_the_while(sender: &Sender, over: &AtomicBool) -> u64 {
    let mut number = 0;
    while !over.load(Ordering::SeqCst) {
        assert_eq!(sender.post(&[alert(number, Target::Database, "firing", 0)]).await, Some(StatusCode::OK));
        number += 1;
    }
    number
}

//! Strangers in great number: whoever is known is served all the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fake_cachet::Release;
use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::site::{Sender, Site, Target, alert};
use crate::support::processes::run_with_input;

const PASSWORD: &str = "right";

/// How many notifications are timed.
const POSTS: u64 = 100;

/// How long an answer to one in a hundred may take.
const LIMIT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_requests_that_never_end_hold_up_nobody() {
    let site = Site::new(Release::Current).await;
    let server = site.serving().await;
    let half_open = (0..500).map(async |number| {
        let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
        // Some stop in the middle of the head, some before the body.
        let end = if number % 2 == 0 { "Content-Le" } else { "Content-Length: 100\r\n\r\n" };
        stream.write_all(format!("POST /webhook HTTP/1.1\r\nHost: x\r\n{end}").as_bytes()).await.expect("written");
        stream
    });
    let _half_open = join_all(half_open).await;
    let times = posts_take(&server.sender, crate::support::web::ADMIN).await;
    assert!(times[POSTS as usize - 2] < LIMIT, "{times:?}");
    assert_eq!(site.stored().await.len() as u64, POSTS);
}

/// More than there are places.
const CROWD: usize = 530;

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_and_slow_bodies_leave_room_for_the_webhook_and_health() {
    let site = Site::new(Release::Current).await;
    let mut command = site.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
    // Without Cachet it serves the built-in page.
    command.env_remove("CACHET_API_URL").env_remove("CACHET_API_TOKEN");
    let server = site.started(command).await;
    let head = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\n");
    for request in [
        head("POST /api/components") + "Content-Length: 100\r\n\r\n{",
        head("GET /") + "\r\n",
        head("POST /health") + "Content-Length: 100\r\n\r\n{",
    ] {
        let crowd = (0..CROWD).map(async |_| {
            let mut stream = TcpStream::connect(&server.address).await.expect("a connection");
            stream.write_all(request.as_bytes()).await.expect("written");
            stream
        });
        let _crowd = join_all(crowd).await;
        let began = Instant::now();
        // As Alertmanager does: a connection that was kept alive may be closed at the moment of the request.
        while server.sender.post_as(crate::support::web::ADMIN, &[]).await != Some(StatusCode::OK) {
            assert!(began.elapsed() < 5 * LIMIT, "no notification is taken: {request}");
        }
        let health = reqwest::get(format!("http://{}/health", server.address)).await.expect("an answer");
        assert_eq!(health.status(), StatusCode::OK, "{request}");
        assert!(began.elapsed() < 5 * LIMIT, "{:?} with {request}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_passwords_does_not_hold_up_who_is_known() {
    let site = Site::new(Release::Current).await;
    let users = run_with_input(&mut site.command(&["hash-password", "alertmanager"]), PASSWORD);
    let mut command = site.command(&["serve", "--web.listen-address=127.0.0.1:0"]);
    command.env("WEBHOOK_BASIC_AUTH", users.stdout.trim());
    let server = site.started(command).await;
    let right = basic(PASSWORD);
    // From here on it is known.
    let first = server.sender.post_as(&right, &[alert(0, Target::Database, "firing", 0)]).await;
    assert_eq!(first, Some(StatusCode::OK));

    let over = AtomicBool::new(false);
    let flood = join_all((0..8).map(async |attacker| {
        let mut guesses = 0;
        while !over.load(Ordering::SeqCst) {
            let guess = basic(&format!("{attacker} {guesses}"));
            let answer = server.sender.post_as(&guess, &[alert(1 << 40, Target::Website, "firing", 0)]).await;
            assert!(answer != Some(StatusCode::OK), "a guess was let in");
            guesses += 1;
        }
        guesses
    }));
    let legitimate = async {
        let times = posts_take(&server.sender, &right).await;
        over.store(true, Ordering::SeqCst);
        times
    };
    let (guesses, times) = tokio::join!(flood, legitimate);
    assert!(guesses.iter().sum::<u64>() >= 8, "{guesses:?} are no flood");
    assert!(times[POSTS as usize - 2] < LIMIT, "{times:?}");
    assert_eq!(site.stored().await, (0..POSTS).collect());
}

fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("alertmanager:{password}")))
}

/// How long each of a row of notifications takes, the longest last. All are taken at the first attempt.
async fn posts_take(sender: &Sender, authorization: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..POSTS {
        let sent = Instant::now();
        let answer = sender.post_as(authorization, &[alert(number, Target::Database, "firing", 0)]).await;
        assert_eq!(answer, Some(StatusCode::OK), "notification {number}");
        times.push(sent.elapsed());
    }
    times.sort();
    times
}

//! What is counted of requests to the webhook that do not end well.

use alertmanager_cachet::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::processes::eventually;
use crate::support::web::{ADMIN, Server, settings};

/// Waits until the metrics have this line.
async fn tells(server: &Server, line: &str) {
    eventually("the metrics say it", async || {
        let text = server.metrics.text(clock::now()).expect("a text");
        if text.lines().any(|told| told == line) { Ok(()) } else { Err(format!("{line:?} is missing in\n{text}")) }
    })
    .await;
}

#[tokio::test]
async fn a_sender_that_hangs_up_before_the_answer_is_counted() {
    let server = Server::start(settings()).await;
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut under_way = server.connect(&head).await;
    // The body is asked for as soon as the request is let in.
    let mut asked = [0; 12];
    under_way.read_exact(&mut asked).await.expect("an interim answer");
    assert_eq!(&asked, b"HTTP/1.1 100");
    under_way.write_all(b"{").await.expect("written");
    drop(under_way);
    // Cut in the middle of the body, it is lost; cut while nobody reads it, abandoned.
    eventually("it is counted", async || {
        let text = server.metrics.text(clock::now()).expect("a text");
        let counted = ["abandoned", "body_lost"].iter().any(|result| {
            text.contains(&format!("alertmanager_cachet_notifications_total{{result=\"{result}\"}} 1\n"))
        });
        if counted { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn a_notification_that_is_not_stored_is_no_success() {
    let server = Server::start(settings()).await;
    server.store.close().await;
    let body = r#"{"alerts": [{"status": "firing", "fingerprint": "00000000000000aa", "startsAt": "2026-11-21T01:00:00Z",
        "labels": {"alertname": "Down", "instance": "db:1", "status_page_alert": "true", "status_page_component": "Db"}}]}"#;
    let answer = server.post_as_admin(body).send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    tells(&server, r#"alertmanager_cachet_notifications_total{result="not_stored"} 1"#).await;
    tells(&server, "alertmanager_cachet_notification_last_success_timestamp_seconds 0").await;
}

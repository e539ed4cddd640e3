//! The limit on stored alerts (`max_stored_alerts`), as operators see it. `crates/store` has the tests of the limit itself.

use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::time::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::metrics::value;
use crate::support::web::{Server, configured, with_users};
use crate::support::world::alert;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);

fn firing(instance: &str) -> Alert {
    alert(instance, "Database", NOW)
}

#[tokio::test]
async fn an_alert_over_the_limit_is_ignored_with_its_reason_and_the_others_are_stored() {
    let mut settings = with_users();
    settings.config.alerts.max_stored = 1;
    let server = Server::start(configured(settings)).await;
    let entry = |instance: &str, status: &str| {
        let alert = firing(instance);
        let labels = json!({"alertname": alert.name, "instance": instance, "status_page_alert": "true",
                            "status_page_component": "Database"});
        json!({"status": status, "labels": labels, "startsAt": NOW.to_string(), "endsAt": NOW.to_string(),
               "fingerprint": alert.fingerprint.to_string()})
    };
    let post = async |alerts: &[Value]| {
        let body = json!({"version": "4", "status": "firing", "receiver": "x", "alerts": alerts}).to_string();
        let response = server.post_as_admin(body).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.expect("JSON");
        (answer["alerts"].as_u64().expect("a count"), answer["ignored"].as_u64().expect("a count"))
    };
    assert_eq!(post(&[entry("a", "firing"), entry("b", "firing")]).await, (1, 1));
    assert_eq!(server.stored_alerts().await, 1);
    let line = server.line("[ALERT_IGNORED]");
    assert!(line.contains("none is resolved: find the rule that makes so many, or raise max_stored_alerts"), "{line}");
    assert!(line.contains(&firing("b").fingerprint.to_string()), "{line}");
    let metric = |series: &str| value(&server.metrics, alertmanager_cachet::clock::now(), series);
    assert_eq!(metric(r#"alerts_ignored_total{reason="store_full"}"#), 1.0);
    assert_eq!(metric(r#"alerts_total{result="ignored"}"#), 1.0);
    assert_eq!(metric(r#"alerts_total{result="fired"}"#), 1.0);

    assert_eq!(post(&[entry("a", "resolved"), entry("b", "firing")]).await, (2, 0));
}

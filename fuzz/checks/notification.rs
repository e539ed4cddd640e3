//! Whatever is posted: it is read or refused, every alert in it is accounted for, and what is said of it is fit for a
//! log.

use std::time::Duration;

use alertmanager_cachet::core::notification::Notification;
use alertmanager_cachet::core::watchdog::Watchdog;

pub fn check(body: &[u8]) {
    let watchdog = Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog");
    match Notification::parse(body, Some(&watchdog)) {
        Ok(notification) => {
            let json: serde_json::Value = match serde_json::from_slice(body) {
                Ok(json) => json,
                // Deeper than the plain reader goes: ours skips what it does not know.
                Err(_) => return,
            };
            let listed = json["alerts"].as_array().map_or(0, Vec::len);
            let Notification { alerts, ignored, not_ours, watchdogs, .. } = &notification;
            let accounted = alerts.len() + ignored.len() + not_ours + watchdogs.len();
            assert_eq!(accounted, listed, "every alert is taken, ignored, the watchdog's or not ours");
            for alert in alerts {
                assert_ne!(alert.name, watchdog.alertname(), "the watchdog is about no target");
                let name = alert.target.name();
                assert_eq!(
                    alertmanager_cachet::core::target::Target::from_name(name.as_str()).as_ref(),
                    Some(&alert.target),
                    "a stored target is found again by its name"
                );
            }
            for left_out in ignored.iter().chain(&notification.partly_ignored) {
                assert!(!left_out.reason.to_string().contains('\n'), "a reason stays within its line");
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "a refusal stays within its line"),
    }
}

//! What the metrics say.

use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::metrics::Metrics;

/// The value of `series`, which is named without the prefix of the product: `name` or `name{label="value"}`.
pub fn value(metrics: &Metrics, now: Timestamp, series: &str) -> f64 {
    let text = metrics.text(now).expect("a text");
    let start = format!("alertmanager_cachet_{series} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().expect("a number")
}

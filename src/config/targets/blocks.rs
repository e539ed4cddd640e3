//! One entry of `static_configs`, of a file of `file_sd_configs` or of `prometheus_targets`: addresses with labels.

use crate::config::tree::{Node, Value};
use crate::core::relabel::Labels;
use crate::core::target::excerpt;

use super::relabelling::{report_misplaced, scalar};
use super::templates::{Templates, is_template, report_template};
use super::{ALERT, report_label_typo};

/// The keys of a block.
const BLOCK_KEYS: &[&str] = &["targets", "labels"];
/// Keys of a job, which are in no block.
const NOT_OF_A_BLOCK: [&str; 8] = [
    "job_name",
    "static_configs",
    "file_sd_configs",
    "relabel_configs",
    "metric_relabel_configs",
    "metrics_path",
    "params",
    "scrape_interval",
];
const BELONGS_INTO_THE_JOB: &str =
    "stands in an entry of addresses, where Prometheus takes none: move it into the job, beside static_configs";

/// A block of targets.
pub(super) struct Block<'v> {
    pub value: Value<'v>,
    /// Its `labels`.
    pub labels: Option<Value<'v>>,
    /// The same as Prometheus reads them.
    pub group: Labels,
    /// Whether its labels say that its targets are ours.
    pub is_ours: bool,
}

impl<'v> Block<'v> {
    /// Reads a block of `file`, the one that Prometheus finds it in. `None` if it is none, or if its labels cannot be used.
    pub(super) fn read(block: &Value<'v>, file: Option<&str>, templates: &Templates) -> Option<Self> {
        if is_template(block.node) {
            report_template(block);
            return None;
        }
        let value = block.map()?;
        report_misplaced(&value, BLOCK_KEYS, &NOT_OF_A_BLOCK.map(|key| (key, BELONGS_INTO_THE_JOB)));
        let labels = match value.get_filled("labels") {
            Some(labels) if is_template(labels.node) => {
                report_template(&labels);
                return None;
            }
            Some(labels) => Some(labels.map()?),
            None => None,
        };
        let mut group = Labels::default();
        for (label, value) in labels.iter().flat_map(|labels| labels.entries()) {
            report_label_typo(label, &value);
            match templates.origin(&value) {
                Some(origin) => group.set_unknown(label, origin),
                None => group.set(label, scalar(value.node).unwrap_or_default()),
            }
        }
        group.set("__meta_filepath", file.unwrap_or_default());
        let is_ours = match labels.as_ref().and_then(|labels| labels.get_filled(ALERT)) {
            Some(alert) if is_template(alert.node) => false,
            Some(alert) => truth(&alert)?,
            None => false,
        };
        Some(Self { value, labels, group, is_ours })
    }

    /// The value of one of its labels.
    pub(super) fn label(&self, name: &str) -> Option<Value<'v>> {
        self.labels.as_ref().and_then(|labels| labels.get_filled(name))
    }
}

/// A truth value, or its text form as Prometheus makes labels of it; anything else is a problem.
fn truth(value: &Value<'_>) -> Option<bool> {
    match truth_of(value.node) {
        Some(truth) => value.checked(truth),
        None => value.wrong_type("true or false", "write one of them"),
    }
}

/// The same, with what is wrong with a text. `None`: it is neither a truth value nor a text.
pub(super) fn truth_of(node: &Node) -> Option<Result<bool, String>> {
    match node {
        Node::Bool(truth) => Some(Ok(*truth)),
        Node::Text(text) if is_true(text) => Some(Ok(true)),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(Ok(false)),
        Node::Text(text) => Some(Err(format!("is {:?}, must be true or false: write one of them", excerpt(text)))),
        _ => None,
    }
}

/// Whether the text of a label says true.
pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

/// What makes an address one that Prometheus can connect to nowhere, and the cure.
pub(super) fn fault_of_address(address: &str) -> Option<String> {
    let shown = excerpt(address);
    if address.contains([' ', '\t', ',', ';']) {
        return Some(format!(
            "{shown:?} has a space or a comma, and each entry is one address: write one entry for each, as host:port"
        ));
    }
    let (host, port) = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))?;
    if host.is_empty() {
        return Some(format!("{shown:?} has no host: write host:port"));
    }
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Some(format!("{shown:?} has no valid port: write a number from 1 to 65535 after the colon"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_host_with_a_valid_port() {
        for address in ["web:9100", "web", "[::1]:9100", "[::1]", "10.0.0.1:80"] {
            assert_eq!(fault_of_address(address), None, "{address}");
        }
        for address in ["a b:1", "a:1,b:1", "a:", "a:99999", "a:0", ":9100", "a:http"] {
            assert!(fault_of_address(address).is_some(), "{address}");
        }
    }
}

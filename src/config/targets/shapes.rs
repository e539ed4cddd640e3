//! What a file is that is no targets file, and what to do with it.

use crate::config::report::{did_you_mean, nearest};
use crate::config::tree::{Node, Value};

use super::FORMS;

/// How deep a form is looked for below other keys.
const DEPTH: usize = 6;

/// What Helm charts call a list of jobs.
const OF_HELM: &[&str] = &["additionalScrapeConfigs", "extraScrapeConfigs"];

/// What is said of addresses alone, whether they are a list or a text.
const OF_ADDRESSES: &str = "is a list of addresses: write them below targets, with labels";

/// What the file at `root` is, and what helps; `None` if it is like nothing that is known.
pub(super) fn recognised(root: &Value<'_>) -> Option<String> {
    match root.node {
        Node::List(_) => list(root),
        Node::Map(_) => kubernetes(root)
            .or_else(|| of_another_program(root).map(str::to_owned))
            .or_else(|| nested(root))
            .or_else(|| mapping(root)),
        Node::Text(text) if !text.is_empty() && text.split_whitespace().all(is_address) => {
            Some(OF_ADDRESSES.to_owned())
        }
        _ => None,
    }
}

/// Whether a text is like `web-01:9100`, `web-01` or `10.0.0.1`, and like no word of a sentence.
fn is_address(text: &str) -> bool {
    let of_a_host = |c: char| c.is_ascii_alphanumeric() || "._-:[]/".contains(c);
    text.chars().all(of_a_host) && text.contains(|c: char| c.is_ascii_digit()) && !text.ends_with([':', '.'])
}

/// What is said of the configuration of promtail, whose jobs look like those of Prometheus.
pub(super) fn of_promtail(root: &Value<'_>) -> Option<&'static str> {
    let has_both = root.get("clients").is_some() && root.get("scrape_configs").is_some();
    has_both.then_some("is promtail's configuration: name Prometheus' configuration, which has the targets")
}

/// Programs that have jobs of Prometheus below keys of their own, or tell of them.
fn of_another_program(root: &Value<'_>) -> Option<&'static str> {
    let below = |key: &str, inner: &str| root.get(key).is_some_and(|value| value.get(inner).is_some());
    let receivers = root.get("receivers").map(|receivers| receivers.entries()).unwrap_or_default();
    if below("data", "activeTargets") {
        return Some("is an answer of Prometheus (/api/v1/targets): name the configuration that Prometheus reads");
    }
    if below("metrics", "configs") {
        return Some(
            "is Grafana Agent's configuration: write the scrape_configs of its metrics.configs to a file, and name that",
        );
    }
    receivers.iter().any(|(name, _)| *name == "prometheus" || name.starts_with("prometheus/")).then_some(
        "is the OpenTelemetry Collector's configuration: write what is below config of its receiver prometheus to a file, \
         and name that",
    )
}

fn list(root: &Value<'_>) -> Option<String> {
    let has = |key: &str| root.items().iter().any(|item| item.get(key).is_some());
    let has_discovery = || {
        let mut keys = root.items().into_iter().flat_map(|item| item.entries());
        keys.any(|(key, _)| key.ends_with("_sd_configs"))
    };
    let is_address = |item: Value<'_>| matches!(item.node, Node::Text(text) if is_address(text));
    let message = if !root.items().is_empty() && root.each().all(is_address) {
        OF_ADDRESSES
    } else if has("targets") {
        "is a file of file_sd_configs: name the Prometheus configuration that reads it"
    } else if has("hosts") || has("tasks") || has("roles") {
        "is an Ansible playbook: name the file of variables that has prometheus_targets"
    } else if has("job_name") || has("static_configs") || has_discovery() {
        "is a list of jobs: write it below the key scrape_configs"
    } else {
        return None;
    };
    Some(message.to_owned())
}

/// Kubernetes' resources, which may have a configuration of Prometheus as a text.
fn kubernetes(root: &Value<'_>) -> Option<String> {
    let text = |value: Value<'_>| if let Node::Text(text) = value.node { Some(text.clone()) } else { None };
    let (kind, _) = (text(root.get("kind")?)?, root.get("apiVersion")?);
    let message = match kind.as_str() {
        "ConfigMap" | "Secret" => {
            let data = ["data", "stringData"].into_iter().find_map(|key| root.get_filled(key));
            let entries = data.map(|data| data.entries()).unwrap_or_default();
            let has_jobs =
                |value: &Value<'_>| matches!(value.node, Node::Text(text) if text.contains("scrape_configs"));
            let is_named_so = |name: &str| name.contains("prometheus") || name.ends_with(".yml");
            let wrapped = entries.iter().find(|(_, value)| has_jobs(value));
            let wrapped = wrapped.or_else(|| entries.iter().find(|(name, _)| is_named_so(name)));
            let name = wrapped.map_or("prometheus.yml", |(name, _)| *name);
            let text = if kind == "Secret" { "decoded text" } else { "text" };
            format!("is a Kubernetes {kind}: write the {text} of its key {name:?} to a file, and name that")
        }
        "List" => {
            "is a list of Kubernetes resources: write the Prometheus configuration in one of them to a file, and \
                   name that"
                .to_owned()
        }
        "PrometheusRule" => {
            "is a PrometheusRule, which has rules and no targets: name Prometheus' configuration".to_owned()
        }
        _ => format!(
            "is a Kubernetes resource ({}): name the Prometheus configuration that is made of it",
            crate::core::target::excerpt(&kind)
        ),
    };
    Some(message)
}

/// A form that stands below other keys: Helm's values, an Ansible inventory, a whole configuration under a key.
fn nested(root: &Value<'_>) -> Option<String> {
    let (place, name) = below(root, DEPTH)?;
    if OF_HELM.contains(&name) || root.get("serverFiles").is_some() {
        return Some(format!(
            "looks like a Helm values file ({name}): name the Prometheus configuration that is made of it"
        ));
    }
    Some(format!("has {name} below {place}, and it is read only at the top of a file: move it there"))
}

fn below(value: &Value<'_>, depth: usize) -> Option<(String, &'static str)> {
    for (key, inner) in value.entries() {
        if let Some(name) = FORMS.iter().chain(OF_HELM).find(|name| **name == key)
            && *inner.node != Node::Null
        {
            return Some((value.place.path.clone(), name));
        }
        if depth > 1
            && let Some(found) = below(&inner, depth - 1)
        {
            return Some(found);
        }
    }
    None
}

fn mapping(root: &Value<'_>) -> Option<String> {
    let has = |key: &str| root.get(key).is_some();
    let is_rules = || root.get("groups").is_some_and(|groups| groups.items().iter().any(|g| g.get("rules").is_some()));
    let has_list = |key: &str| root.get(key).is_some_and(|value| matches!(value.node, Node::List(_)));
    let message = if has_list("receivers") || has("route") && has("receivers") {
        "is Alertmanager's configuration: name Prometheus' configuration, which has the targets"
    } else if is_rules() {
        "is a file of rules: name the Prometheus configuration, which has the targets"
    } else if has("services") {
        "is a compose file: name the Prometheus configuration that it mounts"
    } else if has("groups_configuration") {
        "is the file for --config.file (CONFIG_FILE): name the targets file"
    } else if has("modules") {
        "is the blackbox exporter's configuration: name Prometheus' configuration, which has the targets"
    } else if has("static_configs") || has("job_name") || has("file_sd_configs") {
        "is a job alone: write it as an entry of scrape_configs"
    } else if has("targets") {
        "is an entry of static_configs or file_sd_configs alone: name the Prometheus configuration that reads it"
    } else if root.entries().iter().any(|(_, value)| value.items().iter().any(|block| block.get("targets").is_some())) {
        "looks like the value of prometheus_targets: write it below that key"
    } else {
        let keys = root.entries();
        let is_typo = |key: &str| !FORMS.contains(&key) && nearest(key, FORMS.iter().copied()).is_some();
        if let Some((typo, _)) = keys.iter().find(|(key, _)| is_typo(key)) {
            let cure = did_you_mean(typo, FORMS.iter().copied(), "rename it");
            return Some(format!("has neither scrape_configs nor prometheus_targets, but {typo:?}: {cure}"));
        }
        if !has("global") {
            return None;
        }
        "is a configuration of Prometheus without scrape_configs, so it has no targets: name the one that has them"
    };
    Some(message.to_owned())
}

//! What there is to say of one job, when its blocks are read.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::report::counted;
use crate::config::tree::Node;
use crate::core::relabel::VALUE_LIMIT;
use crate::core::target::{TargetName, excerpt};

use super::relabelling::{JobEntry, scalar};
use super::templates::report_template;
use super::{INSTANCE, OUR_LABELS, belongs};

/// How a job asks an exporter to probe something else than the instance says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// `params.target` names it.
    ByParams,
    /// The rules take it from the address after they have replaced that.
    Itself,
}

/// What is counted of the targets of one job.
#[derive(Default)]
pub(super) struct OfJob {
    /// Whether a target of ours is in it.
    pub has_ours: bool,
    /// Instances that are an address which rules have made, with how many addresses of the file they stand for, and whether
    /// one of these is a URL.
    pub replaced: BTreeMap<String, (usize, bool)>,
    /// Instances that rules have made, likewise.
    pub derived: BTreeMap<String, usize>,
    /// The targets that are named by such instances, and whether they are critical.
    pub named: BTreeSet<(TargetName, bool)>,
    /// How many targets the rules take the label from that makes them ours.
    pub hidden: usize,
    /// How many targets the rules leave without an address.
    pub without_address: usize,
    /// How many targets the rules, or the job, leave without a valid interval or timeout.
    pub without_interval: usize,
    /// The exporters that are asked to probe what no instance names, and how.
    pub probes: BTreeMap<String, Probe>,
    /// The addresses that are URLs after the rules.
    pub urls: Vec<String>,
    /// The rules that make values that are too long.
    pub too_long: BTreeSet<usize>,
}

impl OfJob {
    /// Says what is worth knowing of a job whose blocks are read. `true`: it may have targets of ours that no file names.
    pub(super) fn report(&self, job: &JobEntry<'_>) -> bool {
        let Some(value) = &job.value else { return false };
        let rules = value.key("relabel_configs");
        for rule in &self.too_long {
            if let Some(rule) = job.rules.places.get(*rule) {
                rule.problem(format!(
                    "makes a value of more than {VALUE_LIMIT} bytes, so its targets are unknown: correct it"
                ));
            }
        }
        if let Some(address) = self.urls.first() {
            rules.problem(format!(
                "leaves a URL as the address of {}, for example {:?}, and Prometheus scrapes none: set __address__ to host:port",
                counted(self.urls.len(), "target"),
                excerpt(address)
            ));
        }
        if self.without_address > 0 {
            let count = counted(self.without_address, "target");
            rules.problem(format!(
                "leaves {count} without an address, so Prometheus scrapes none there: set __address__"
            ));
        }
        if self.without_interval > 0 {
            let count = counted(self.without_interval, "target");
            rules.problem(format!(
                "leaves {count} without a valid __scrape_interval__ or __scrape_timeout__, so Prometheus scrapes none \
                 there: keep both labels"
            ));
        }
        if self.hidden > 0 {
            rules.remark(format!(
                "takes the label status_page_alert from {}: keep it if {} on the page",
                counted(self.hidden, "target"),
                belongs(self.hidden)
            ));
        }
        if !self.has_ours {
            return false;
        }
        for template in &job.rules.templates {
            report_template(template);
        }
        for (instance, (addresses, has_url)) in &self.replaced {
            if *addresses > 1 || *has_url {
                let others =
                    if *addresses > 1 { format!(", and its {addresses} targets are one") } else { String::new() };
                rules.remark(format!(
                    "replaces __address__ and sets no label instance, so every alert of this job carries instance \
                     {:?}{others}: set instance to the address before that (prometheus.yml.example shows how)",
                    excerpt(instance)
                ));
            }
        }
        for (instance, probe) in &self.probes {
            let shown = excerpt(instance);
            match probe {
                Probe::ByParams => value.key("params").key("target").remark(format!(
                    "is what is probed, but every alert of this job carries instance {shown:?}: set instance to \
                     __param_target (prometheus.yml.example shows how)"
                )),
                Probe::Itself => rules.remark(format!(
                    "sets __param_target to {shown:?}, for __address__ is replaced before: put the rule that sets \
                     __param_target first (prometheus.yml.example shows how)"
                )),
            }
        }
        let shared: Vec<_> = self
            .derived
            .iter()
            .filter(|(name, addresses)| **addresses > 1 && !self.probes.contains_key(*name))
            .collect();
        if let Some((instance, addresses)) = shared.first() {
            let others = match shared.len() - 1 {
                0 => String::new(),
                others => format!(" (likewise for {})", counted(others, "other instance")),
            };
            rules.remark(format!(
                "gives {addresses} addresses the instance {:?}, which makes them one target{others}",
                excerpt(instance)
            ));
        }
        for rule in value.get_filled("metric_relabel_configs").map(|rules| rules.items()).unwrap_or_default() {
            let label = rule.get("target_label").map(|label| label.node);
            if let Some(Node::Text(label)) = label
                && (label == INSTANCE || OUR_LABELS.contains(&label.as_str()))
            {
                rule.remark(format!(
                    "changes the label {label} of metrics, but not of `up`: an alert about these metrics is about another \
                     target"
                ));
            }
        }
        let text = |key: &str| value.get_filled(key).and_then(|value| scalar(value.node)).unwrap_or_default();
        let is_of_others = text("metrics_path").ends_with("/federate") || text("job_name").contains("pushgateway");
        if let Some(honor_labels) =
            value.get_filled("honor_labels").filter(|value| is_of_others && *value.node == Node::Bool(true))
        {
            honor_labels.remark(
                "keeps the instances of what is scraped, which no file names: they are known only while they alert",
            );
            return true;
        }
        false
    }
}

//! The labels that Prometheus gives a target of a job, and those that its alerts carry.

use std::collections::BTreeSet;

use super::relabel::{Labels, RelabelRule, Relabelled, relabel};

/// The label that Prometheus connects to.
const ADDRESS: &str = "__address__";
/// The label by which alerts name a target.
const INSTANCE: &str = "instance";

/// The labels that say how often and how long Prometheus tries, with Prometheus' defaults.
const DEFAULT_INTERVALS: [(&str, &str); 2] = [("__scrape_interval__", "1m"), ("__scrape_timeout__", "10s")];

/// One entry of `scrape_configs`.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The labels that each of its targets has unless its group sets them: `job`, `__scheme__`, `__metrics_path__`,
    /// `__scrape_interval__`, `__scrape_timeout__` and one `__param_…` for each of `params`. (Up to about Prometheus 2.42,
    /// `params` win over the group.)
    pub defaults: Labels,
    /// Its `relabel_configs`.
    pub rules: Vec<RelabelRule>,
}

/// A target as Prometheus has it after relabelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapedTarget {
    /// Its labels, without those that begin with `__`.
    pub labels: Labels,
    /// The address that Prometheus connects to.
    pub address: String,
    /// Whether `instance` was set. Otherwise it is the address.
    pub has_own_instance: bool,
}

/// Why Prometheus does not scrape a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotScraped {
    /// A rule drops it, makes a value too long, or the budget is used up.
    Relabelled(Relabelled),
    /// It has no address.
    NoAddress,
    /// It has no valid interval or timeout.
    NoInterval,
    /// Its address has a `/`, which none may have. This is the target that it would be.
    Url(ScrapedTarget),
}

impl Job {
    /// The target at `address`, in a group with these labels.
    ///
    /// # Errors
    /// Prometheus does not scrape it.
    pub fn target(&self, address: &str, group: &Labels, budget: &mut u64) -> Result<ScrapedTarget, NotScraped> {
        let mut labels = group.clone();
        labels.set(ADDRESS, address);
        for (name, value) in self.defaults.iter().chain(DEFAULT_INTERVALS) {
            if labels.get(name).is_empty() {
                labels.set(name, value);
            }
        }
        match relabel(&self.rules, &mut labels, budget) {
            Relabelled::Kept => {}
            otherwise => return Err(NotScraped::Relabelled(otherwise)),
        }
        let address = labels.get(ADDRESS).to_owned();
        if address.is_empty() {
            return Err(NotScraped::NoAddress);
        }
        if !DEFAULT_INTERVALS.iter().all(|(name, _)| is_duration(labels.get(name))) {
            return Err(NotScraped::NoInterval);
        }
        let has_own_instance = !labels.get(INSTANCE).is_empty();
        if !has_own_instance {
            // Before 3.0, Prometheus adds :80 or :443 to an address without a port first.
            labels.set(INSTANCE, address.as_str());
        }
        labels.retain(|name| !name.starts_with("__"));
        let is_url = address.contains('/');
        let target = ScrapedTarget { labels, address, has_own_instance };
        if is_url { Err(NotScraped::Url(target)) } else { Ok(target) }
    }
}

/// What Prometheus does to the labels of every alert before it sends it.
#[derive(Debug, Clone, Default)]
pub struct AlertRelabelling {
    /// `external_labels`: an alert that has no such label gets it.
    pub external_labels: Labels,
    /// `alert_relabel_configs`, also those of the Alertmanager that posts.
    pub rules: Vec<RelabelRule>,
}

/// The labels of an alert about a target, as far as they are known without the alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertLabels {
    /// The labels after relabelling.
    pub labels: Labels,
    /// `Kept`, or why no alert about the target is sent.
    pub outcome: Relabelled,
    /// The rules that were not applied, because they look at labels that only the alert has.
    pub undecided: Vec<usize>,
}

impl AlertRelabelling {
    /// The labels of an alert about a target with these labels. A label that it does not have is unknown, for the alert may
    /// have it; except for those that `are_known`, which are then known to be empty.
    pub fn alert(&self, target: &Labels, are_known: &BTreeSet<&str>, budget: &mut u64) -> AlertLabels {
        let mut labels = target.clone();
        for (name, value) in self.external_labels.iter() {
            if labels.get(name).is_empty() {
                labels.set(name, value);
            }
        }
        let mut undecided = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let is_known = |name: &str| !labels.get(name).is_empty() || are_known.contains(name);
            if !rule.decisive_labels().all(is_known) {
                undecided.push(index);
                continue;
            }
            let outcome = match relabel(std::slice::from_ref(rule), &mut labels, budget) {
                Relabelled::Kept => continue,
                Relabelled::Dropped(_) => Relabelled::Dropped(index),
                Relabelled::TooLong(_) => Relabelled::TooLong(index),
                Relabelled::OverBudget => Relabelled::OverBudget,
            };
            return AlertLabels { labels, outcome, undecided };
        }
        AlertLabels { labels, outcome: Relabelled::Kept, undecided }
    }
}

/// Whether it is a duration of Prometheus that is not 0, for example `1m30s`.
fn is_duration(text: &str) -> bool {
    let (mut rest, mut is_positive) = (text, false);
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = rest.strip_suffix(after).unwrap_or_default();
        let units = ["ms", "y", "w", "d", "h", "m", "s"];
        let Some(next) = units.iter().find_map(|unit| after.strip_prefix(unit)).filter(|_| !digits.is_empty()) else {
            return false;
        };
        is_positive |= digits.contains(|c| c != '0');
        rest = next;
    }
    is_positive
}

#[cfg(test)]
mod tests {
    use super::super::relabel::{BUDGET, RuleFields};
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> Labels {
        labels.iter().copied().collect()
    }

    fn rule(source: &str, regex: &str, target: &str, replacement: &str, action: &str) -> RelabelRule {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let source_labels = text(source).map(|source| vec![source]);
        let fields = RuleFields {
            action: text(action),
            source_labels,
            regex: text(regex),
            target_label: text(target),
            replacement: text(replacement),
            ..RuleFields::default()
        };
        RelabelRule::new(fields).expect("valid")
    }

    fn target(job: &Job, address: &str, group: &[(&str, &str)]) -> Result<ScrapedTarget, NotScraped> {
        job.target(address, &labels(group), &mut BUDGET.clone())
    }

    #[test]
    fn a_target_has_the_labels_of_its_group_and_then_those_of_its_job() {
        let defaults = labels(&[("job", "node"), ("__scheme__", "http"), ("__param_module", "http_2xx")]);
        let job = Job { defaults, rules: vec![rule("__param_module", "", "module", "", "")] };
        let scraped = target(&job, "web:9100", &[("dc", "eu"), ("__meta_filepath", "/a.yml")]).expect("scraped");
        let expected = labels(&[("dc", "eu"), ("instance", "web:9100"), ("job", "node"), ("module", "http_2xx")]);
        assert_eq!((scraped.labels, scraped.has_own_instance), (expected, false));
        let scraped = target(&job, "web:9100", &[("job", "own"), ("instance", "w"), ("__param_module", "tcp")]);
        let expected = labels(&[("instance", "w"), ("job", "own"), ("module", "tcp")]);
        assert_eq!(scraped.map(|target| (target.labels, target.has_own_instance)), Ok((expected, true)));
    }

    #[test]
    fn without_a_rule_for_it_the_instance_is_the_address_after_relabelling() {
        let rules =
            vec![rule("__address__", "", "__param_target", "", ""), rule("", "", "__address__", "blackbox:9115", "")];
        let scraped = target(&Job { rules, ..Job::default() }, "https://www.example.com/x", &[]).expect("scraped");
        assert_eq!(scraped.labels.get("instance"), "blackbox:9115");
        assert!(!scraped.has_own_instance);
    }

    #[test]
    fn a_target_without_a_usable_address_is_not_scraped() {
        let emptied = Job { rules: vec![rule("x", "", "__address__", "", "")], ..Job::default() };
        assert_eq!(target(&emptied, "web:9100", &[]), Err(NotScraped::NoAddress));
        assert_eq!(target(&Job::default(), "", &[]), Err(NotScraped::NoAddress));
        let url = target(&Job::default(), "http://web/", &[]);
        assert!(matches!(url, Err(NotScraped::Url(target)) if target.labels.get("instance") == "http://web/"));
        let without = Job { rules: vec![rule("", "__scrape_.*", "", "", "labeldrop")], ..Job::default() };
        assert_eq!(target(&without, "web:9100", &[]), Err(NotScraped::NoInterval));
        let dropped = Job { rules: vec![rule("__address__", "web.*", "", "", "drop")], ..Job::default() };
        assert_eq!(target(&dropped, "web:9100", &[]), Err(NotScraped::Relabelled(Relabelled::Dropped(0))));
    }

    #[test]
    fn a_duration_has_numbers_with_units_and_is_not_zero() {
        for (text, expected) in [
            ("15s", true),
            ("1h30m", true),
            ("500ms", true),
            ("0s", false),
            ("", false),
            ("15", false),
            ("s", false),
            ("1.5h", false),
        ] {
            assert_eq!(is_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn external_labels_do_not_override_and_rules_come_after_them() {
        let relabelling = AlertRelabelling {
            external_labels: labels(&[("dc", "eu"), ("replica", "a")]),
            rules: vec![rule("dc", "", "region", "", ""), rule("", "replica|job", "", "", "labeldrop")],
        };
        let alert = relabelling.alert(&labels(&[("dc", "us"), ("job", "x")]), &BTreeSet::new(), &mut BUDGET.clone());
        assert_eq!(alert.labels, labels(&[("dc", "us"), ("region", "us")]));
        assert_eq!((alert.outcome, alert.undecided), (Relabelled::Kept, vec![]));
    }

    #[test]
    fn a_rule_that_looks_at_labels_of_the_alert_is_not_decided() {
        let relabelling = AlertRelabelling {
            external_labels: Labels::default(),
            rules: vec![
                rule("severity", "critical", "", "", "keep"),
                rule("critical", "true", "x", "y", ""),
                rule("instance", "web", "", "", "drop"),
            ],
        };
        let alert =
            relabelling.alert(&labels(&[("instance", "web")]), &BTreeSet::from(["critical"]), &mut BUDGET.clone());
        assert_eq!((alert.outcome, alert.undecided), (Relabelled::Dropped(2), vec![0]));
    }
}

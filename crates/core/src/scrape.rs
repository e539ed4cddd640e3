//! The labels that Prometheus gives a target of a job, and those that its alerts carry.

use std::collections::BTreeSet;

use super::relabel::{Labels, RelabelRule, Stop, relabel, spend};

/// The label that Prometheus connects to.
const ADDRESS: &str = "__address__";
/// The label by which alerts name a target.
const INSTANCE: &str = "instance";
/// The label that names what an exporter probes.
const PROBED: &str = "__param_target";

/// The labels that say how often and how long Prometheus tries, with Prometheus' defaults.
const DEFAULT_INTERVALS: [(&str, &str); 2] = [("__scrape_interval__", "1m"), ("__scrape_timeout__", "10s")];

/// One entry of `scrape_configs`.
#[derive(Debug, Clone, Default)]
pub struct JobLabels {
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
    /// What the exporter at the address is asked to probe (`__param_target`); empty if nothing.
    pub probed: String,
}

/// Why Prometheus does not scrape a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotScraped {
    /// A rule drops it, makes a value too long, or the budget is used up.
    Relabelled(Stop),
    /// It has no address.
    NoAddress,
    /// It has no valid interval or timeout.
    NoInterval,
    /// Its address has a `/`, which none may have. This is the target that it would be.
    Url(Box<ScrapedTarget>),
}

impl JobLabels {
    /// The target at `address`, in a group with these labels. Where the address or an interval is not known, it is taken as
    /// valid.
    ///
    /// # Errors
    /// Prometheus does not scrape it.
    pub fn target(&self, address: &str, group: &Labels, budget: &mut u64) -> Result<ScrapedTarget, NotScraped> {
        spend(budget, 16 + (group.count() + self.defaults.count()) as u64 / 4).map_err(NotScraped::Relabelled)?;
        let mut labels = group.clone();
        labels.set(ADDRESS, address);
        labels.fill(&self.defaults);
        for (name, value) in DEFAULT_INTERVALS {
            if !labels.has(name) {
                labels.set(name, value);
            }
        }
        relabel(&self.rules, &mut labels, budget).map_err(NotScraped::Relabelled)?;
        if !labels.has(ADDRESS) {
            return Err(NotScraped::NoAddress);
        }
        let is_interval = |name: &str| labels.unknown(name).is_some() || duration_ms(labels.get(name)).is_some();
        if !DEFAULT_INTERVALS.iter().all(|(name, _)| is_interval(name)) {
            return Err(NotScraped::NoInterval);
        }
        let address = labels.get(ADDRESS).to_owned();
        let has_own_instance = labels.has(INSTANCE);
        if !has_own_instance {
            // Before 3.0, Prometheus adds :80 or :443 to an address without a port first.
            match labels.unknown(ADDRESS) {
                Some(origin) => labels.set_unknown(INSTANCE, origin),
                None => labels.set(INSTANCE, address.as_str()),
            }
        }
        let probed = labels.get(PROBED).to_owned();
        labels.retain(|name| !name.starts_with("__"));
        let is_url = address.contains('/');
        let target = ScrapedTarget { labels, address, has_own_instance, probed };
        if is_url { Err(NotScraped::Url(Box::new(target))) } else { Ok(target) }
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
    /// Why no alert about the target is sent.
    pub outcome: Result<(), Stop>,
    /// The rules that were not applied, because they look at labels that only the alert has.
    pub undecided: Vec<usize>,
}

impl AlertRelabelling {
    /// The labels of an alert about a target with these labels. A label that it does not have is unknown, for the alert may
    /// have it; except for those that `are_known`, which are then known to be empty.
    pub fn alert(&self, mut labels: Labels, are_known: &BTreeSet<&str>, budget: &mut u64) -> AlertLabels {
        labels.fill(&self.external_labels);
        let mut undecided = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let is_known = |name: &str| labels.has(name) || are_known.contains(name);
            if !rule.decisive_labels().all(is_known) {
                undecided.push(index);
                continue;
            }
            let stop = match relabel(std::slice::from_ref(rule), &mut labels, budget) {
                Ok(()) => continue,
                Err(Stop::Dropped(_)) => Stop::Dropped(index),
                Err(Stop::TooLong(_)) => Stop::TooLong(index),
                Err(Stop::OverBudget) => Stop::OverBudget,
            };
            return AlertLabels { labels, outcome: Err(stop), undecided };
        }
        AlertLabels { labels, outcome: Ok(()), undecided }
    }
}

/// The milliseconds of a duration of Prometheus, for example `1m30s`; `None` if it is 0, or no duration. Its units stand in
/// order.
pub fn duration_ms(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let (mut rest, mut total, mut units) = (text, 0_u64, UNITS.as_slice());
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let count: u64 = rest.strip_suffix(after)?.parse().ok()?;
        let unit = after.split(|c: char| c.is_ascii_digit()).next()?;
        let index = units.iter().position(|(name, _)| *name == unit)?;
        let (_, milliseconds) = units.get(index)?;
        total = total.checked_add(count.checked_mul(*milliseconds)?)?;
        units = units.get(index + 1..)?;
        rest = after.strip_prefix(unit)?;
    }
    (total > 0).then_some(total)
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

    fn target(job: &JobLabels, address: &str, group: &[(&str, &str)]) -> Result<ScrapedTarget, NotScraped> {
        job.target(address, &labels(group), &mut BUDGET.clone())
    }

    #[test]
    fn a_target_has_the_labels_of_its_group_and_then_those_of_its_job() {
        let defaults = labels(&[("job", "node"), ("__scheme__", "http"), ("__param_module", "http_2xx")]);
        let job = JobLabels { defaults, rules: vec![rule("__param_module", "", "module", "", "")] };
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
        let scraped =
            target(&JobLabels { rules, ..JobLabels::default() }, "https://www.example.com/x", &[]).expect("scraped");
        assert_eq!(scraped.labels.get("instance"), "blackbox:9115");
        assert!(!scraped.has_own_instance);
    }

    #[test]
    fn a_target_without_a_usable_address_is_not_scraped() {
        let emptied = JobLabels { rules: vec![rule("x", "", "__address__", "", "")], ..JobLabels::default() };
        assert_eq!(target(&emptied, "web:9100", &[]), Err(NotScraped::NoAddress));
        assert_eq!(target(&JobLabels::default(), "", &[]), Err(NotScraped::NoAddress));
        let url = target(&JobLabels::default(), "http://web/", &[]);
        assert!(matches!(url, Err(NotScraped::Url(target)) if target.labels.get("instance") == "http://web/"));
        let without = JobLabels { rules: vec![rule("", "__scrape_.*", "", "", "labeldrop")], ..JobLabels::default() };
        assert_eq!(target(&without, "web:9100", &[]), Err(NotScraped::NoInterval));
        let dropped = JobLabels { rules: vec![rule("__address__", "web.*", "", "", "drop")], ..JobLabels::default() };
        assert_eq!(target(&dropped, "web:9100", &[]), Err(NotScraped::Relabelled(Stop::Dropped(0))));
    }

    #[test]
    fn a_duration_has_numbers_with_units_in_order_and_is_not_zero() {
        for (text, expected) in [
            ("15s", Some(15_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1m500ms", Some(60_500)),
            ("0s", None),
            ("", None),
            ("15", None),
            ("s", None),
            ("1.5h", None),
            ("1s1h", None),
            ("1m1m", None),
        ] {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn external_labels_do_not_override_and_rules_come_after_them() {
        let relabelling = AlertRelabelling {
            external_labels: labels(&[("dc", "eu"), ("replica", "a")]),
            rules: vec![rule("dc", "", "region", "", ""), rule("", "replica|job", "", "", "labeldrop")],
        };
        let alert = relabelling.alert(labels(&[("dc", "us"), ("job", "x")]), &BTreeSet::new(), &mut BUDGET.clone());
        assert_eq!(alert.labels, labels(&[("dc", "us"), ("region", "us")]));
        assert_eq!((alert.outcome, alert.undecided), (Ok(()), vec![]));
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
            relabelling.alert(labels(&[("instance", "web")]), &BTreeSet::from(["critical"]), &mut BUDGET.clone());
        assert_eq!((alert.outcome, alert.undecided), (Err(Stop::Dropped(2)), vec![0]));
    }

    #[test]
    fn an_address_or_interval_that_is_not_known_is_no_fault() {
        let mut defaults = labels(&[("job", "node")]);
        defaults.set_unknown("__scrape_interval__", 1);
        let replaced = rule("", "", "__address__", "x", "").with_unknown_replacement(2);
        let job = JobLabels { defaults, rules: vec![replaced] };
        let scraped = target(&job, "https://www.example.com/", &[("instance", "www")]).expect("scraped");
        assert_eq!((scraped.labels.get("instance"), scraped.has_own_instance), ("www", true));
        let scraped = target(&job, "https://www.example.com/", &[]).expect("scraped");
        assert_eq!((scraped.labels.get("instance"), scraped.labels.unknown("instance")), ("", Some(2)));
    }

    #[test]
    fn the_labels_of_each_target_are_charged() {
        let group: Labels = (0..160).map(|n| (format!("l{n}"), "v")).collect();
        let mut budget = 61;
        assert!(JobLabels::default().target("a:1", &group, &mut budget).is_ok());
        assert_eq!(budget, 5);
        let stopped = JobLabels::default().target("a:1", &group, &mut budget);
        assert_eq!(stopped, Err(NotScraped::Relabelled(Stop::OverBudget)));
    }
}

//! Relabelling as Prometheus does it: rules that change a set of labels, or drop what has them.
//!
//! The rules of `relabel_configs` and `alert_relabel_configs` are the same. A [`RelabelRule`] is checked as Prometheus checks
//! it when it loads its configuration, and [`relabel`] applies a list of them.

mod pattern;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use md5::{Digest as _, Md5};
use strum::VariantNames as _;

use self::pattern::{Pattern, Template};

/// The most bytes that the value of a label, or the joined values that a rule looks at, may have. Rules can double a value.
pub const VALUE_LIMIT: usize = 64 << 10;

/// How much relabelling one file may ask for. The application of a rule costs 1, and as much for each 16 bytes that it looks
/// at or makes; a regular expression costs 2 more, or still more if it is large. A target costs 16, and 1 for each 4 of its
/// labels. 50,000 targets with 20 rules each are within it.
pub const BUDGET: u64 = 4_000_000;

/// Labels with their values. An empty value is no label. Clones share the texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    values: BTreeMap<Arc<str>, Arc<str>>,
    /// The labels whose values are not known, with the caller's number of what makes them unknown.
    unknown: BTreeMap<Arc<str>, usize>,
    /// The numbers of what decides whether rules drop these labels and is not known. They are taken as kept.
    undecided: BTreeSet<usize>,
}

impl Labels {
    /// The value of a label; empty if there is none, or if it is not known.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |value| value)
    }

    /// What makes the value of a label unknown, as [`Self::set_unknown`] was told; `None` if it is known, or if there is none.
    pub fn unknown(&self, name: &str) -> Option<usize> {
        self.unknown.get(name).copied()
    }

    /// What decides whether rules drop these labels, and is not known.
    pub fn undecided(&self) -> impl Iterator<Item = usize> {
        self.undecided.iter().copied()
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: impl Into<Arc<str>>) {
        let value = value.into();
        if !self.unknown.is_empty() {
            self.unknown.remove(name);
        }
        if value.is_empty() {
            self.values.remove(name);
        } else if let Some(known) = self.values.get_mut(name) {
            *known = value;
        } else {
            self.values.insert(name.into(), value);
        }
    }

    /// Sets a label to a value that is not known. `origin` is the caller's number of what makes it unknown.
    pub fn set_unknown(&mut self, name: &str, origin: usize) {
        self.values.remove(name);
        self.unknown.insert(name.into(), origin);
    }

    /// Whether there is such a label, with a known or unknown value.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.unknown.contains_key(name)
    }

    /// Sets each label of `defaults` that is not set.
    pub fn fill(&mut self, defaults: &Self) {
        for (name, value) in &defaults.values {
            if !self.has(name) {
                self.values.insert(Arc::clone(name), Arc::clone(value));
            }
        }
        for (name, origin) in &defaults.unknown {
            if !self.has(name) {
                self.unknown.insert(Arc::clone(name), *origin);
            }
        }
    }

    /// The labels whose values are known, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Removes the labels whose names are not wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.values.retain(|name, _| is_wanted(name));
        self.unknown.retain(|name, _| is_wanted(name));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.values.len() + self.unknown.len()
    }
}

impl<N: AsRef<str>, V: Into<Arc<str>>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(labels: I) -> Self {
        let mut set = Self::default();
        labels.into_iter().for_each(|(name, value)| set.set(name.as_ref(), value));
        set
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Action {
    /// Sets the target label to what the replacement makes of the sources, if they match.
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops what has another value in the target label.
    KeepEqual,
    /// Drops what has the same value in the target label.
    DropEqual,
    /// Sets the target label to a hash of the sources, modulo a number.
    HashMod,
    /// Copies each label whose name matches to the name that the replacement makes of it.
    LabelMap,
    /// Removes the labels whose names match.
    LabelDrop,
    /// Removes the labels whose names do not match.
    LabelKeep,
    /// Sets the target label to the sources in lower case.
    Lowercase,
    /// Sets the target label to the sources in upper case.
    Uppercase,
}

/// A rule as a file has it. `None`: the file does not say.
#[derive(Debug, Clone, Default)]
pub struct RuleFields {
    /// What to do: `replace`.
    pub action: Option<String>,
    /// The labels whose values are joined: none.
    pub source_labels: Option<Vec<String>>,
    /// What stands between them: `;`.
    pub separator: Option<String>,
    /// What they must match: `(.*)`.
    pub regex: Option<String>,
    /// Of `hashmod`.
    pub modulus: Option<u64>,
    /// The label that is set.
    pub target_label: Option<String>,
    /// What it is set to: `$1`.
    pub replacement: Option<String>,
}

/// Why Prometheus does not take a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// The key of the rule that is wrong.
    pub key: &'static str,
    /// What is wrong with it, and what helps.
    pub message: String,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct RelabelRule {
    action: Action,
    source_labels: Vec<String>,
    separator: String,
    pattern: Pattern,
    modulus: u64,
    target_label: String,
    /// The target label as a template, which it is only for `replace`.
    target: Template,
    replacement: Template,
    /// What makes the replacement unknown.
    unknown_replacement: Option<usize>,
    /// What makes it unknown when the rule applies, or to which values.
    unknown_condition: Option<usize>,
}

/// Why rules make no labels. The number is the place of the rule in the list, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// This rule drops it.
    Dropped(usize),
    /// This rule looks at, or makes, a value of more than [`VALUE_LIMIT`] bytes.
    TooLong(usize),
    /// The budget is used up.
    OverBudget,
}

impl RelabelRule {
    /// Checks a rule as Prometheus does.
    ///
    /// # Errors
    /// Prometheus refuses it, or its regular expression is one that is not supported here.
    pub fn new(fields: RuleFields) -> Result<Self, RuleError> {
        let error = |key, message: String| Err(RuleError { key, message });
        let action = fields.action.as_deref().unwrap_or("replace");
        let Ok(action) = action.parse::<Action>() else {
            let actions = Action::VARIANTS.join(", ");
            return error("action", format!("is no action of a rule: write one of {actions}"));
        };
        let name: &str = action.into();
        let pattern = Pattern::compile(fields.regex.as_deref().unwrap_or("(.*)"));
        let pattern = pattern.map_err(|message| RuleError { key: "regex", message })?;
        let target_label = fields.target_label.unwrap_or_default();
        let replacement = fields.replacement.as_deref().unwrap_or("$1");
        let is_changed = |text: &Option<String>, default: &str| text.as_deref().is_some_and(|text| text != default);
        let given = [
            ("source_labels", fields.source_labels.is_some()),
            ("separator", is_changed(&fields.separator, ";")),
            ("regex", fields.regex.is_some()),
            ("modulus", fields.modulus.is_some_and(|modulus| modulus != 0)),
            ("target_label", !target_label.is_empty()),
            ("replacement", is_changed(&fields.replacement, "$1")),
        ];
        let refused: &[&str] = match action {
            Action::Lowercase | Action::Uppercase => &["replacement"],
            Action::KeepEqual | Action::DropEqual => &["separator", "regex", "modulus", "replacement"],
            Action::LabelDrop | Action::LabelKeep => {
                &["source_labels", "separator", "modulus", "target_label", "replacement"]
            }
            _ => &[],
        };
        if let Some((key, _)) = given.iter().find(|(key, is_given)| *is_given && refused.contains(key)) {
            return error(key, format!("has no meaning for the action {name}, and Prometheus refuses it: remove it"));
        }
        let lacks_target_label = match action {
            Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep => false,
            _ => target_label.is_empty(),
        };
        if lacks_target_label {
            return error("target_label", format!("is missing, and the action {name} needs it: name the label to set"));
        }
        if action == Action::HashMod && fields.modulus.unwrap_or_default() == 0 {
            return error("modulus", "is missing or 0, and the action hashmod needs it: write a number".to_owned());
        }
        if action == Action::LabelMap && replacement.is_empty() {
            return error("replacement", "is empty, and the action labelmap makes names of it: write one".to_owned());
        }
        Ok(Self {
            action,
            source_labels: fields.source_labels.unwrap_or_default(),
            separator: fields.separator.unwrap_or_else(|| ";".to_owned()),
            pattern,
            modulus: fields.modulus.unwrap_or_default(),
            target: Template::parse(&target_label),
            target_label,
            replacement: Template::parse(replacement),
            unknown_replacement: None,
            unknown_condition: None,
        })
    }

    /// The same rule with a replacement that is not known. `origin` is the caller's number of what makes it unknown.
    #[must_use]
    pub fn with_unknown_replacement(self, origin: usize) -> Self {
        Self { unknown_replacement: Some(origin), ..self }
    }

    /// The same rule, of which it is not known when it applies, or to which values.
    #[must_use]
    pub fn with_unknown_condition(self, origin: usize) -> Self {
        Self { unknown_condition: Some(origin), ..self }
    }

    /// What it costs to compile, and to match 16 bytes: 1, or more with a large regular expression.
    pub fn weight(&self) -> u64 {
        self.pattern.weight
    }

    /// What it does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The label that it sets, which may be a template; empty if it sets none by name.
    pub fn target_label(&self) -> &str {
        &self.target_label
    }

    /// The labels whose values decide what it does. Names that match a pattern are not among them.
    pub fn decisive_labels(&self) -> impl Iterator<Item = &str> {
        let is_constant =
            self.pattern.matches_anything() && self.replacement.is_constant() && self.target.is_constant();
        let sources = match self.action {
            Action::Replace if is_constant => None,
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => None,
            _ => Some(&self.source_labels),
        };
        let compares = matches!(self.action, Action::KeepEqual | Action::DropEqual);
        let target = compares.then_some(self.target_label.as_str());
        sources.into_iter().flatten().map(String::as_str).chain(target)
    }

    /// Applies it, and gives the number of bytes that it made.
    ///
    /// # Errors
    /// Why nothing has these labels any more.
    fn apply(&self, labels: &mut Labels, value: &str) -> Result<usize, fn(usize) -> Stop> {
        let is_kept = match self.action {
            Action::Keep => self.pattern.is_match(value),
            Action::Drop => !self.pattern.is_match(value),
            Action::KeepEqual => labels.get(&self.target_label) == value,
            Action::DropEqual => labels.get(&self.target_label) != value,
            Action::Replace => {
                let Some(found) = self.pattern.captures(value) else { return Ok(0) };
                let target = self.target.expand(&found);
                if !is_label_name(&target) {
                    return Ok(target.len());
                }
                if let Some(origin) = self.unknown_replacement {
                    labels.set_unknown(&target, origin);
                    return Ok(0);
                }
                let replacement = self.replacement.expand(&found);
                if replacement.len() > VALUE_LIMIT {
                    return Err(Stop::TooLong);
                }
                let made = target.len() + replacement.len();
                labels.set(&target, replacement);
                return Ok(made);
            }
            Action::HashMod => {
                let hash = Md5::digest(value.as_bytes());
                let last = hash.iter().skip(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                labels.set(&self.target_label, last.checked_rem(self.modulus).unwrap_or_default().to_string());
                true
            }
            Action::LabelMap => return self.map_names(labels),
            Action::LabelDrop => {
                labels.retain(|name| !self.pattern.is_match(name));
                true
            }
            Action::LabelKeep => {
                labels.retain(|name| self.pattern.is_match(name));
                true
            }
            Action::Lowercase => {
                labels.set(&self.target_label, in_case(value, char::to_lowercase));
                true
            }
            Action::Uppercase => {
                labels.set(&self.target_label, in_case(value, char::to_uppercase));
                true
            }
        };
        if is_kept { Ok(0) } else { Err(Stop::Dropped) }
    }

    /// Applies `labelmap`.
    fn map_names(&self, labels: &mut Labels) -> Result<usize, fn(usize) -> Stop> {
        let renamed = |name: &str| Some(self.replacement.expand(&self.pattern.captures(name)?));
        let known: Vec<(String, Arc<str>)> =
            labels.values.iter().filter_map(|(name, value)| Some((renamed(name)?, Arc::clone(value)))).collect();
        let unknown: Vec<(String, usize)> =
            labels.unknown.iter().filter_map(|(name, origin)| Some((renamed(name)?, *origin))).collect();
        let mut made = 0;
        for name in known.iter().map(|(name, _)| name).chain(unknown.iter().map(|(name, _)| name)) {
            if name.len() > VALUE_LIMIT {
                return Err(Stop::TooLong);
            }
            // A label costs more than its bytes.
            made += 16 + name.len();
        }
        known.into_iter().for_each(|(name, value)| labels.set(&name, value));
        unknown.into_iter().for_each(|(name, origin)| labels.set_unknown(&name, origin));
        Ok(made)
    }

    /// What makes it unknown what the rule does with these labels.
    fn unknown_origin(&self, labels: &Labels) -> Option<usize> {
        let of_labels = || self.decisive_labels().find_map(|name| labels.unknown(name));
        self.unknown_condition.or_else(|| if labels.unknown.is_empty() { None } else { of_labels() })
    }

    /// Makes unknown what the rule might change.
    fn apply_unknown(&self, labels: &mut Labels, origin: usize) {
        let sets = !matches!(
            self.action,
            Action::Keep
                | Action::Drop
                | Action::KeepEqual
                | Action::DropEqual
                | Action::LabelMap
                | Action::LabelDrop
                | Action::LabelKeep
        );
        if sets && self.target.is_constant() {
            labels.set_unknown(&self.target_label, origin);
        } else {
            labels.undecided.insert(origin);
        }
    }

    fn joined_sources<'l>(&self, labels: &'l Labels) -> Cow<'l, str> {
        match self.source_labels.as_slice() {
            [] => Cow::Borrowed(""),
            [only] => Cow::Borrowed(labels.get(only)),
            several => {
                let values: Vec<&str> = several.iter().map(|name| labels.get(name)).collect();
                Cow::Owned(values.join(&self.separator))
            }
        }
    }

    /// What its application costs, without what it makes.
    fn cost(&self, value: &str, labels: &Labels) -> u64 {
        let length = match self.action {
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => {
                labels.iter().map(|(name, _)| 16 + name.len()).sum()
            }
            _ => value.len(),
        };
        self.pattern.base_cost() + (length as u64 / 16) * self.pattern.weight
    }
}

/// Applies `rules` in their order, and takes what that costs from `budget`.
///
/// # Errors
/// A rule drops what has these labels, a value is too long, or the budget is used up.
pub fn relabel(rules: &[RelabelRule], labels: &mut Labels, budget: &mut u64) -> Result<(), Stop> {
    for (index, rule) in rules.iter().enumerate() {
        if let Some(origin) = rule.unknown_origin(labels) {
            spend(budget, 1)?;
            rule.apply_unknown(labels, origin);
            continue;
        }
        let value = rule.joined_sources(labels);
        if value.len() > VALUE_LIMIT {
            return Err(Stop::TooLong(index));
        }
        spend(budget, rule.cost(&value, labels))?;
        let value = value.into_owned();
        let made = rule.apply(labels, &value).map_err(|stop| stop(index))?;
        spend(budget, made as u64 / 16)?;
    }
    Ok(())
}

/// Takes `cost` from a budget.
///
/// # Errors
/// It has less.
pub fn spend(budget: &mut u64, cost: u64) -> Result<(), Stop> {
    *budget = budget.checked_sub(cost).ok_or(Stop::OverBudget)?;
    Ok(())
}

/// Whether every release of Prometheus takes it as the name of a label. Since 3.0, any text is one where it is written out.
pub fn is_label_name(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}

/// Go maps each character to one; where Unicode has several for it, it stays (but for the dotted İ).
fn in_case<I: Iterator<Item = char>>(text: &str, map: fn(char) -> I) -> String {
    let one = |c: char| {
        let mut mapped = map(c);
        match (mapped.next(), mapped.next()) {
            (Some(only), None) => only,
            (Some(first @ 'i'), _) => first,
            _ => c,
        }
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: &str, fields: RuleFields) -> RelabelRule {
        let fields = RuleFields { action: Some(action.to_owned()), ..fields };
        RelabelRule::new(fields).unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    fn sources(names: &[&str]) -> RuleFields {
        RuleFields {
            source_labels: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..RuleFields::default()
        }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn labels(labels: &[(&str, &str)]) -> Labels {
        labels.iter().copied().collect()
    }

    fn applied(rules: &[RelabelRule], before: &[(&str, &str)]) -> (Result<(), Stop>, Labels) {
        let mut labels = labels(before);
        (relabel(rules, &mut labels, &mut BUDGET.clone()), labels)
    }

    fn check(rule: RelabelRule, before: &[(&str, &str)], after: &[(&str, &str)]) {
        assert_eq!(applied(&[rule], before), (Ok(()), labels(after)));
    }

    #[test]
    fn replace_sets_what_the_sources_match() {
        let address = [("__address__", "web-01:9100"), ("x", "1")];
        let fields = || RuleFields { target_label: text("instance"), ..sources(&["__address__"]) };
        let with = |instance| [address[0], ("instance", instance), address[1]];
        check(rule("replace", fields()), &address, &with("web-01:9100"));
        check(rule("REPLACE", RuleFields { regex: text("([^:]+):.*"), ..fields() }), &address, &with("web-01"));
        check(rule("replace", RuleFields { regex: text("db.*"), ..fields() }), &address, &address);
        check(rule("replace", RuleFields { replacement: text("a"), ..fields() }), &address, &with("a"));
        let both = RuleFields { source_labels: sources(&["x", "none", "x"]).source_labels, ..fields() };
        check(rule("replace", both.clone()), &address, &with("1;;1"));
        check(rule("replace", RuleFields { separator: text("-"), ..both }), &address, &with("1--1"));
    }

    #[test]
    fn an_empty_replacement_removes_the_label_and_an_invalid_target_is_skipped() {
        let before = [("a", "b-c"), ("x", "1")];
        let fields = RuleFields { replacement: text(""), target_label: text("x"), ..sources(&["a"]) };
        check(rule("replace", fields), &before, &[("a", "b-c")]);
        let fields = RuleFields { target_label: text("${1}"), ..sources(&["a"]) };
        check(rule("replace", fields), &before, &before);
        let fields = RuleFields { target_label: text("l_${1}"), regex: text("(b).*"), ..sources(&["a"]) };
        check(rule("replace", fields), &before, &[("a", "b-c"), ("l_b", "b"), ("x", "1")]);
    }

    #[test]
    fn keep_and_drop_decide_by_a_match_or_by_equality() {
        let before = [("a", "1"), ("b", "1"), ("c", "2")];
        let with = |regex: &str| RuleFields { regex: text(regex), ..sources(&["a"]) };
        let compared = |label: &str| RuleFields { target_label: text(label), ..sources(&["a"]) };
        for (rule, is_kept) in [
            (rule("keep", with("1|2")), true),
            (rule("keep", with("2")), false),
            (rule("drop", with("1|2")), false),
            (rule("drop", with("2")), true),
            (rule("keepequal", compared("b")), true),
            (rule("keepequal", compared("c")), false),
            (rule("dropequal", compared("b")), false),
            (rule("dropequal", compared("c")), true),
        ] {
            let expected = if is_kept { Ok(()) } else { Err(Stop::Dropped(0)) };
            assert_eq!(applied(std::slice::from_ref(&rule), &before).0, expected, "{rule:?}");
        }
    }

    #[test]
    fn hashmod_is_what_prometheus_computes() {
        let fields = RuleFields { modulus: Some(1000), target_label: text("d"), ..sources(&["c"]) };
        check(rule("hashmod", fields), &[("c", "baz")], &[("c", "baz"), ("d", "976")]);
        let fields = RuleFields { modulus: Some(1000), target_label: text("d"), ..sources(&["c"]) };
        check(rule("hashmod", fields), &[("c", "foo\nbar")], &[("c", "foo\nbar"), ("d", "734")]);
    }

    #[test]
    fn names_are_mapped_dropped_and_kept_by_a_pattern() {
        let before = [("__meta_a", "1"), ("__meta_b", "2"), ("c", "3")];
        let named = |regex: &str| RuleFields { regex: text(regex), ..RuleFields::default() };
        let after = [before[0], before[1], ("a", "1"), ("b", "2"), before[2]];
        check(rule("labelmap", named("__meta_(.+)")), &before, &after);
        let fields = RuleFields { replacement: text("x_${1}"), ..named("__meta_(a)") };
        check(rule("labelmap", fields), &before, &[before[0], before[1], before[2], ("x_a", "1")]);
        check(rule("labeldrop", named("__meta_.*")), &before, &before[2..]);
        check(rule("labelkeep", named("__meta_.*")), &before, &before[..2]);
    }

    #[test]
    fn the_case_is_changed_character_by_character() {
        let fields = || RuleFields { target_label: text("b"), ..sources(&["a"]) };
        check(rule("lowercase", fields()), &[("a", "WEB-Ä1İ")], &[("a", "WEB-Ä1İ"), ("b", "web-ä1i")]);
        check(rule("uppercase", fields()), &[("a", "web-ß")], &[("a", "web-ß"), ("b", "WEB-ß")]);
        check(rule("lowercase", fields()), &[("b", "x")], &[]);
    }

    #[test]
    fn a_rule_that_prometheus_refuses_is_refused() {
        let fields = || RuleFields { target_label: text("b"), ..sources(&["a"]) };
        for (action, fields, key) in [
            ("", fields(), "action"),
            ("remove", fields(), "action"),
            ("replace", RuleFields { regex: text("("), ..fields() }, "regex"),
            ("replace", sources(&["a"]), "target_label"),
            ("lowercase", sources(&["a"]), "target_label"),
            ("uppercase", RuleFields { replacement: text("x"), ..fields() }, "replacement"),
            ("hashmod", fields(), "modulus"),
            ("hashmod", RuleFields { modulus: Some(0), ..fields() }, "modulus"),
            ("hashmod", RuleFields { modulus: Some(2), ..sources(&["a"]) }, "target_label"),
            ("keepequal", RuleFields { regex: text("(.*)"), ..fields() }, "regex"),
            ("dropequal", RuleFields { separator: text(""), ..fields() }, "separator"),
            ("labeldrop", sources(&["a"]), "source_labels"),
            ("labelkeep", RuleFields { target_label: text("a"), ..RuleFields::default() }, "target_label"),
            ("labelmap", RuleFields { replacement: text(""), ..RuleFields::default() }, "replacement"),
        ] {
            let error = RelabelRule::new(RuleFields { action: text(action), ..fields }).expect_err(action);
            assert_eq!(error.key, key, "{action}: {error}");
        }
    }

    #[test]
    fn rules_that_double_a_value_or_are_too_many_are_stopped() {
        let double = || RuleFields { replacement: text("$1$1"), target_label: text("a"), ..sources(&["a"]) };
        let rules: Vec<RelabelRule> = (0..64).map(|_| rule("replace", double())).collect();
        assert_eq!(applied(&rules, &[("a", "x")]).0, Err(Stop::TooLong(16)));
        let mut budget = 3;
        let outcome = relabel(&rules[..5], &mut labels(&[("a", "x")]), &mut budget);
        assert_eq!((outcome, budget), (Err(Stop::OverBudget), 0));
    }

    #[test]
    fn only_labels_that_can_change_the_outcome_are_decisive() {
        let decisive = |rule: &RelabelRule| rule.decisive_labels().map(str::to_owned).collect::<Vec<_>>();
        let constant = RuleFields { replacement: text("x"), target_label: text("b"), ..sources(&["a"]) };
        assert!(decisive(&rule("replace", constant.clone())).is_empty());
        assert_eq!(decisive(&rule("replace", RuleFields { regex: text("y"), ..constant })), ["a"]);
        let compared = RuleFields { target_label: text("b"), ..sources(&["a"]) };
        assert_eq!(decisive(&rule("keepequal", compared)), ["a", "b"]);
        assert!(decisive(&rule("labeldrop", RuleFields::default())).is_empty());
    }

    #[test]
    fn what_a_rule_makes_is_charged() {
        let long = "x".repeat(1600);
        let fields = RuleFields { replacement: text(&long), target_label: text("a"), ..RuleFields::default() };
        let mut budget = 1000;
        assert_eq!(relabel(&[rule("replace", fields)], &mut Labels::default(), &mut budget), Ok(()));
        assert_eq!(budget, 1000 - 1 - 100);
        let before = labels(&[("l_a", "1"), ("l_b", "2")]);
        let fields = RuleFields { regex: text("l_(.*)"), ..RuleFields::default() };
        let mut budget = 1000;
        assert_eq!(relabel(&[rule("labelmap", fields)], &mut before.clone(), &mut budget), Ok(()));
        assert!(budget < 1000 - 4, "{budget}");
    }

    #[test]
    fn what_is_unknown_stays_unknown_and_drops_nothing() {
        let mut before = labels(&[("a", "1")]);
        before.set_unknown("b", 7);
        let from = |source: &str, target: &str| RuleFields { target_label: text(target), ..sources(&[source]) };
        let copied = rule("replace", from("b", "c"));
        let dropped = rule("drop", RuleFields { regex: text(".*"), ..sources(&["b"]) });
        let mapped =
            rule("labelmap", RuleFields { regex: text("(b)"), replacement: text("m_$1"), ..RuleFields::default() });
        let mut after = before.clone();
        assert_eq!(relabel(&[copied, dropped, mapped], &mut after, &mut BUDGET.clone()), Ok(()));
        assert_eq!((after.unknown("c"), after.unknown("m_b"), after.get("a")), (Some(7), Some(7), "1"));
        assert_eq!(after.undecided().collect::<Vec<_>>(), [7]);

        let only_if = |regex: &str| RuleFields { regex: text(regex), ..from("a", "c") };
        for (rule, expected) in [
            (rule("replace", only_if("1")).with_unknown_replacement(3), Some(3)),
            (rule("replace", only_if("2")).with_unknown_replacement(3), None),
            (rule("replace", only_if("2")).with_unknown_condition(4), Some(4)),
        ] {
            let mut after = labels(&[("a", "1")]);
            assert_eq!(relabel(&[rule], &mut after, &mut BUDGET.clone()), Ok(()));
            assert_eq!(after.unknown("c"), expected);
        }
    }
}

//! Targets, the components that they feed, and their names in Cachet.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

use super::names::trimmed;

/// The most characters that Cachet takes in a name; one more is answered with 422.
pub const NAME_LIMIT: usize = 255;

/// The most component names that an alert or a target may list, repetitions included; a longer list is not used at all.
pub const COMPONENT_LIMIT: usize = 64;

/// How many characters of a name an error repeats.
const EXCERPT: usize = 60;

/// The name of a visible component: [`trimmed`], not empty, at most [`NAME_LIMIT`] characters, without `|`, `,` and control
/// characters, so that it can stand in a label's list and in a target's name. Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ComponentName(Arc<str>);

/// Why a text cannot be a name or a title: what is wrong with it, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(pub(super) String);

/// As much of a name as a message needs; what was meant to be a name may be as long as a file.
pub fn excerpt(name: &str) -> String {
    cut_to(name, EXCERPT)
}

pub(super) fn cut_to(name: &str, limit: usize) -> String {
    match name.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or(name)),
        None => name.to_owned(),
    }
}

/// `text` as the name of a `kind` of thing, without what Cachet would take off its ends; or why Cachet, or what the name
/// stands in, would not take it.
pub(super) fn checked_name<'a>(kind: &str, text: &'a str, forbidden: &[char]) -> Result<&'a str, NameError> {
    let name = trimmed(text);
    let length = name.chars().count();
    if name.is_empty() {
        return Err(NameError(format!("a {kind} name is empty: give it a name")));
    }
    if let Some(character) = name.chars().find(|c| forbidden.contains(c) || c.is_control()) {
        let what = if forbidden.is_empty() { "the control character " } else { "" };
        return Err(NameError(format!("{kind} name {:?} contains {what}{character:?}: leave it out", excerpt(name))));
    }
    if length > NAME_LIMIT {
        return Err(NameError(format!(
            "{kind} name {:?} has {length} characters: Cachet takes at most {NAME_LIMIT}, shorten it",
            excerpt(name)
        )));
    }
    Ok(name)
}

/// What every name can do: it is shown as it is, and in quotes as `Debug`, as messages have it. Of a name that Cachet does
/// not take, they have as much as it takes.
macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&$crate::target::cut_to(&self.0, $crate::target::NAME_LIMIT), f)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(super) use name;

name!(ComponentName);

impl TryFrom<&str> for ComponentName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        checked_name("component", text, &['|', ',']).map(|name| Self(name.into()))
    }
}

/// What the label `status_page_component` says: the names that can be used, in their order and each once, and what is
/// wrong with the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComponentList {
    /// The usable names, without repetitions.
    pub names: Vec<ComponentName>,
    /// What is wrong with the rest; an empty entry between two commas is dropped without a word.
    pub rejected: Vec<NameError>,
}

impl ComponentList {
    /// Reads a comma-separated list. One of more than [`COMPONENT_LIMIT`] names gives none, however long it is.
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        let parts: Vec<&str> =
            text.split(',').filter(|part| !trimmed(part).is_empty()).take(COMPONENT_LIMIT + 1).collect();
        if parts.len() > COMPONENT_LIMIT {
            let most = COMPONENT_LIMIT;
            list.rejected.push(NameError(format!("more than {most} component names are listed: list at most {most}")));
            return list;
        }
        for part in parts {
            match ComponentName::try_from(part) {
                Ok(name) if list.names.contains(&name) => {}
                Ok(name) => list.names.push(name),
                Err(error) => list.rejected.push(error),
            }
        }
        list
    }
}

/// The name of a target's own, disabled component in Cachet: `<instance> | <component>, <component>`.
///
/// A target is its instance and its *set* of components: names that list the same components in another order are equal.
/// Clones share the text.
#[derive(Clone)]
pub struct TargetName {
    text: Arc<str>,
    /// The name with its components sorted: the same for all orders, and mostly the text itself.
    key: Arc<str>,
}

impl PartialEq for TargetName {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for TargetName {}

impl PartialOrd for TargetName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TargetName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for TargetName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&cut_to(&self.text, NAME_LIMIT), f)
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A target is found by its [key](TargetName::key).
impl Borrow<str> for TargetName {
    fn borrow(&self) -> &str {
        &self.key
    }
}

impl TargetName {
    /// What stands between the instance and the components.
    pub(super) const SEPARATOR: &'static str = " | ";

    fn new(instance: &str, components: &[ComponentName]) -> Self {
        let named = |components: &[&str]| -> Arc<str> {
            format!("{instance}{}{}", Self::SEPARATOR, components.join(", ")).into()
        };
        let mut components: Vec<&str> = components.iter().map(ComponentName::as_str).collect();
        let text = named(&components);
        if components.is_sorted() {
            return Self { key: Arc::clone(&text), text };
        }
        components.sort_unstable();
        Self { text, key: named(&components) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name with its components sorted by their bytes, which all names of one target have in common.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether Cachet takes a component of this name.
    pub fn fits_cachet(&self) -> bool {
        self.text.chars().count() <= NAME_LIMIT
    }
}

/// What alerts are about: an instance, and the visible components that it feeds. Two are equal if their names are
/// ([`TargetName`]). Clones share the texts.
#[derive(Debug, Clone)]
pub struct Target {
    name: TargetName,
    /// How many bytes of the name are the instance.
    instance_length: usize,
    components: Arc<[ComponentName]>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Target {}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Target {
    /// A target; `None` if the instance is empty or the list of components is.
    pub fn new(instance: &str, components: impl Into<Arc<[ComponentName]>>) -> Option<Self> {
        let (instance, components) = (trimmed(instance), components.into());
        if instance.is_empty() || components.is_empty() {
            return None;
        }
        let name = TargetName::new(instance, &components);
        Some(Self { name, instance_length: instance.len(), components })
    }

    /// Reads a target back from the name of its component, if the name has the form of one and is within the limits.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_earlier_name(name).filter(|target| target.name.as_str() == name)
    }

    /// Reads a target from a name as an earlier release gave it, with what nobody sees around its parts: its name is
    /// another one now.
    pub fn from_earlier_name(name: &str) -> Option<Self> {
        // A component name has no `|`, so the last separator is the one that counts.
        let (instance, components) = name.rsplit_once(TargetName::SEPARATOR)?;
        if instance.chars().nth(NAME_LIMIT).is_some() {
            return None;
        }
        let list = ComponentList::parse(components);
        if !list.rejected.is_empty() {
            return None;
        }
        Self::new(instance, list.names)
    }

    /// Whether a stored target name, and the name of an alert of it, are within the limits of this release and without
    /// characters that it removes. An earlier release may have stored others. `true` for a name that is invalid for another
    /// reason.
    ///
    /// It is cheap, as it is asked for each stored alert: only a suspicious name is parsed.
    pub fn is_acceptable(target: &str, alert_name: &str) -> bool {
        let is_long = |text: &str| text.chars().nth(NAME_LIMIT).is_some();
        let is_suspicious = is_long(target)
            || target.matches(',').nth(COMPONENT_LIMIT - 1).is_some()
            || target.chars().any(|character| !matches!(character, ' '..='~'));
        !is_long(alert_name) && (!is_suspicious || Self::from_name(target).is_some())
    }

    /// The name by which this release knows a target that an earlier one stored, if it is acceptable.
    pub fn renamed(target: &str, alert_name: &str) -> Option<TargetName> {
        let name = Self::from_earlier_name(target)?.name();
        Self::is_acceptable(name.as_str(), alert_name).then_some(name)
    }

    /// Its name in Cachet.
    pub fn name(&self) -> TargetName {
        self.name.clone()
    }

    /// What Prometheus scrapes: the label `instance`.
    pub fn instance(&self) -> &str {
        self.name.as_str().get(..self.instance_length).unwrap_or_default()
    }

    /// The visible components that it feeds; at least one, none twice.
    pub fn components(&self) -> &[ComponentName] {
        &self.components
    }

    /// Whether an alert that names its target `named` is about this one: they share a component, and the instance is the same
    /// but for its port.
    ///
    /// A rule may take the port off the label `instance`, and Prometheus before 3.0 adds port 80 or 443 to an address without one.
    pub fn is_meant_by(&self, named: &Self) -> bool {
        let is_port =
            |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let (known, named_instance) = (self.instance(), named.instance());
        let is_same = known == named_instance
            || !known.contains('/')
                && match named_instance.rsplit_once(':') {
                    Some((host, "80" | "443")) => host == known,
                    Some(_) => false,
                    None => known.strip_prefix(named_instance).is_some_and(is_port),
                };
        is_same && self.shared_with(named) > 0
    }

    /// How many components both feed.
    pub(super) fn shared_with(&self, other: &Self) -> usize {
        other.components.iter().filter(|component| self.components.contains(component)).count()
    }

    /// The instance without its port. All targets that an alert may be about ([`Self::is_meant_by`]) have the same.
    pub fn host(&self) -> &str {
        host_of(self.instance())
    }
}

/// What a component of the page is found by: if its name is that of a target, the target's key, otherwise the name itself.
pub fn key_of_name(name: &str) -> Cow<'_, str> {
    // Only a list of several components has an order.
    match name.contains(", ").then(|| Target::from_name(name)).flatten() {
        Some(target) if target.name.key() != name => Cow::Owned(target.name.key().to_owned()),
        _ => Cow::Borrowed(name),
    }
}

/// The [host](Target::host) in a target's name.
pub fn host_of_name(name: &str) -> &str {
    host_of(name.rsplit_once(TargetName::SEPARATOR).map_or(name, |(instance, _)| instance))
}

fn host_of(instance: &str) -> &str {
    match instance.rsplit_once(':') {
        Some((host, port)) if !instance.contains('/') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => instance,
    }
}

/// A target that is known without an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTarget {
    /// The target.
    pub target: Target,
    /// Whether it alone brings its components to Major Outage.
    pub critical: bool,
}

/// Where the list of targets comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InventorySource {
    /// The targets file. Where there is one, it decides.
    File,
    /// The disabled components in Cachet.
    Cachet,
}

/// All targets that are known without an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    source: InventorySource,
    targets: BTreeMap<TargetName, KnownTarget>,
}

impl Inventory {
    /// The inventory of `targets`; of a target that is named twice, one critical mention makes it critical.
    pub fn new(source: InventorySource, targets: impl IntoIterator<Item = KnownTarget>) -> Self {
        let mut known: BTreeMap<TargetName, KnownTarget> = BTreeMap::new();
        for target in targets {
            known
                .entry(target.target.name())
                .and_modify(|earlier| earlier.critical |= target.critical)
                .or_insert(target);
        }
        Self { source, targets: known }
    }

    /// Where it comes from.
    pub fn source(&self) -> InventorySource {
        self.source
    }
}

/// The targets, by name.
impl Deref for Inventory {
    type Target = BTreeMap<TargetName, KnownTarget>;

    fn deref(&self) -> &Self::Target {
        &self.targets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stored_name_of_an_earlier_release_is_accepted_renamed_or_neither() {
        let named = |target: &str, alert: &str| (Target::is_acceptable(target, alert), Target::renamed(target, alert));
        let renamed = |name: &str| Target::from_name(name).map(|target| target.name());
        assert_eq!(named("a | Web", "TargetDown"), (true, renamed("a | Web")));
        assert_eq!(named("a\u{200b} | Web, Web", "TargetDown"), (false, renamed("a | Web")));
        assert_eq!(named("\u{200b} | Web", "TargetDown"), (false, None));
        assert_eq!(named("a | Web", &"x".repeat(NAME_LIMIT + 1)), (false, None));
        let list = |length: usize| (0..length).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
        assert!(Target::is_acceptable(&format!("a | {}", list(COMPONENT_LIMIT)), "TargetDown"));
        assert_eq!(named(&format!("a | {}", list(COMPONENT_LIMIT + 1)), "TargetDown"), (false, None));
        assert!(Target::is_acceptable("no target", "TargetDown"), "another fault, which is reported");
    }

    #[test]
    fn names_are_trimmed_and_empty_and_repeated_ones_dropped() {
        let list = ComponentList::parse(" Web Server , Database,, Web Server ,");
        assert_eq!(list.names.iter().map(ComponentName::as_str).collect::<Vec<_>>(), ["Web Server", "Database"]);
        assert!(list.rejected.is_empty());
    }

    #[test]
    fn a_bad_name_does_not_cost_the_good_ones() {
        let list = ComponentList::parse("Database, a|b");
        assert_eq!(list.names.len(), 1);
        assert_eq!(list.rejected[0].to_string(), "component name \"a|b\" contains '|': leave it out");
    }

    #[test]
    fn a_list_over_the_limit_gives_no_name_and_one_reason() {
        let names = |count: usize| (0..count).map(|number| format!("c{number}")).collect::<Vec<_>>().join(", ");
        let most = ComponentList::parse(&names(COMPONENT_LIMIT));
        assert_eq!((most.names.len(), most.rejected.len()), (COMPONENT_LIMIT, 0));
        for count in [COMPONENT_LIMIT + 1, 1_000_000] {
            let list = ComponentList::parse(&names(count));
            assert!(list.names.is_empty(), "{count}");
            let [error] = &list.rejected[..] else { panic!("one reason: {list:?}") };
            assert_eq!(error.to_string(), "more than 64 component names are listed: list at most 64");
            assert_eq!(Target::from_name(&format!("a | {}", names(count))), None, "{count}");
        }
        let blanks = ComponentList::parse(&format!("Database{}", ", ".repeat(1000)));
        assert_eq!((blanks.names.len(), blanks.rejected.len()), (1, 0));
        assert_eq!(Target::from_name(&format!("{} | Database", "a".repeat(NAME_LIMIT + 1))), None);
    }

    #[test]
    fn a_line_of_the_log_has_no_more_of_a_targets_name_than_of_any_other() {
        let target = |length: usize| Target::new(&"ä".repeat(length), ComponentList::parse("X").names).expect("target");
        assert_eq!(format!("{:?}", target(NAME_LIMIT - 4).name()), format!("\"{} | X\"", "ä".repeat(NAME_LIMIT - 4)));
        assert_eq!(format!("{:?}", target(NAME_LIMIT).name()), format!("\"{}…\"", "ä".repeat(NAME_LIMIT)));
    }

    #[test]
    fn a_target_is_named_as_the_older_middleware_named_it() {
        let target =
            Target::new("192.168.1.10:9100", ComponentList::parse("Web Server,Database").names).expect("target");
        assert_eq!(target.name().as_str(), "192.168.1.10:9100 | Web Server, Database");
    }

    #[test]
    fn a_persons_component_with_a_pipe_in_its_name_is_no_target() {
        for name in ["api|eu-west|prod", "a |b", " | Database", "x | ", "x | a,b", "x | a, a", "plain"] {
            assert_eq!(Target::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn one_critical_mention_makes_a_target_critical() {
        let target = Target::new("a", ComponentList::parse("X").names).expect("target");
        let mention = |critical| KnownTarget { target: target.clone(), critical };
        let inventory = Inventory::new(InventorySource::File, [mention(false), mention(true), mention(false)]);
        assert_eq!(inventory.len(), 1);
        assert!(inventory.get(&target.name()).expect("known").critical);
    }

    #[test]
    fn an_inventory_counts_its_targets() {
        let known = ["a", "b"].map(|instance| {
            let target = Target::new(instance, ComponentList::parse("X").names).expect("target");
            KnownTarget { target, critical: false }
        });
        let (two, none) = (Inventory::new(InventorySource::File, known), Inventory::new(InventorySource::File, []));
        assert_eq!((two.len(), two.is_empty()), (2, false));
        assert_eq!((none.len(), none.is_empty()), (0, true));
    }

    proptest! {
        #[test]
        fn a_target_is_read_back_from_its_name(instance in "\\PC{1,40}", list in "\\PC{1,60}") {
            let components = ComponentList::parse(&list).names;
            if let Some(target) = Target::new(&instance, components) {
                prop_assert_eq!(Target::from_name(target.name().as_str()), Some(target));
            }
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in "\\PC*") {
            let _ = ComponentList::parse(&text);
            let _ = Target::from_name(&text);
        }
    }
}

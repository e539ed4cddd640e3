//! Reads a file of text, up to a limit, and a JSON or YAML file as a tree. The tree still holds what serde's types would
//! hide, repeated keys and wrong types beside right ones, so that all problems are found at once, each with its path.

mod foreign;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::report::{Place, Report, Severity, did_you_mean};
use crate::core::target::excerpt;

/// The key by which YAML merges another mapping into this one.
const MERGE_KEY: &str = "<<";

/// A value of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, and with repeated keys.
    Map(Vec<(String, Node)>),
}

/// The language of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Yaml,
}

/// The most bytes that a file of configuration may have; a larger one is a problem and not read. Ten thousand targets
/// need about one million.
const FILE_LIMIT: u64 = 8 << 20;

/// The text of a file, without its byte order mark; `None`: there is no such file.
///
/// # Errors
/// There is something, but no text can be had of it; the message ends in the cure.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, String> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > FILE_LIMIT => {
            return Err(format!("is larger than {} MiB: check that it is the right file", FILE_LIMIT >> 20));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        if let Some(fault) = foreign::binary(error.as_bytes()) {
            return fault.to_owned();
        }
        let readable = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + readable.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 (line {line}): save it as UTF-8")
    })?;
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "may not be read: give this program's user permission to read it and to enter its folder".to_owned()
        }
        ErrorKind::IsADirectory => "is a folder: name a file (a container engine makes a folder where the file that \
                                    it should mount is missing)"
            .to_owned(),
        _ => format!("cannot be read ({error}): check the file and its disk"),
    }
}

/// Reads the file at `path`; of an empty one, [`Node::Null`]. What is wrong goes into the report: as `severity` what is no
/// such file at all (`if_absent` if there is none), as degraded what is repeated in it.
pub(super) fn read_file(
    path: &Path,
    form: Form,
    severity: Severity,
    if_absent: &str,
    report: &RefCell<Report>,
) -> Option<Node> {
    let place = Place::file(path);
    let text = match read_text(path).and_then(|text| text.ok_or_else(|| if_absent.to_owned())) {
        Ok(text) => text,
        Err(fault) => {
            report.borrow_mut().add(severity, place, fault);
            return None;
        }
    };
    let parsed = match form {
        // serde_json takes an empty file for one that was cut.
        Form::Json if text.trim().is_empty() => Ok(Node::Null),
        Form::Json => serde_json::from_str(&text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let detail = error.to_string();
            let detail = detail.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&detail);
            let position = if column > 0 { format!("line {line}, column {column}") } else { format!("line {line}") };
            (position, format!("is not valid JSON ({detail}): correct it here, or just before"))
        }),
        Form::Yaml => match serde_yaml::from_str(&text).map(Node::merged) {
            // What is no YAML at all is often a text to the parser.
            Ok(node @ Node::Text(_)) => foreign::text(&text).map_or(Ok(node), Err),
            Ok(node) => Ok(node),
            Err(error) => Err(foreign::text(&text).unwrap_or_else(|| yaml_fault(&error, &text))),
        },
    };
    match parsed {
        Ok(node) => {
            report_repeated_keys(&node, &place, &mut report.borrow_mut());
            Some(node)
        }
        Err((path, message)) => {
            report.borrow_mut().add(severity, Place { path, ..place }, message);
            None
        }
    }
}

/// Where a YAML text is wrong, and how.
fn yaml_fault(error: &serde_yaml::Error, text: &str) -> (String, String) {
    /// The words of the YAML crate repeat keys of the file as they stand there: of any length and with any character.
    const LIMIT: usize = 200;
    let (mut position, mut detail) = (String::new(), error.to_string());
    // The place of what is wrong is told apart; those of other things stay in the text.
    if let Some(at) = error.location() {
        position = format!("line {}, column {}", at.line(), at.column());
        detail = detail.replacen(&format!(" at line {} column {}", at.line(), at.column()), "", 1);
    }
    if detail.contains("more than one document") {
        return (position, "holds more than one YAML document: keep one, and remove the `---` between them".to_owned());
    }
    if error.location().is_some_and(|at| is_tab_in_indentation(text, at.line(), at.column())) {
        return (position, "a tab stands here, and YAML takes only spaces for indentation: replace it".to_owned());
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let printable: String = detail.chars().take(LIMIT).map(shown).collect();
    if let Some(language) = template_language(text) {
        let message = format!("looks like a template ({language}): use the file that is made of it ({printable})");
        return (position, message);
    }
    if detail.contains("did not find expected '-' indicator") {
        let message = format!(
            "is not valid YAML ({printable}): a key stands beside the entries of a list, indent it below its entry"
        );
        return (position, message);
    }
    (position, format!("is not valid YAML ({printable}): correct it here, or just before"))
}

/// Whether a tab in the indentation stands at the line and column, from 1, of a fault. Within brackets YAML takes tabs, and a
/// fault there stands behind them.
fn is_tab_in_indentation(text: &str, line: usize, column: usize) -> bool {
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let indentation = content.chars().take_while(|c| c.is_whitespace());
    indentation.zip(1..).any(|found| found == ('\t', column))
}

/// The language of a text that has tags of a template where YAML has none, outside of quotes.
fn template_language(text: &str) -> Option<&'static str> {
    let is_tag = |line: &&str| {
        let before = line.find("{{").or_else(|| line.find("{%")).and_then(|at| line.get(..at));
        before.is_some_and(|before| !before.contains(['"', '\'', '#']))
    };
    let tag = text.lines().find(is_tag)?;
    let is_helm = !text.contains("{%") && ["{{ .", "{{.", "{{-"].iter().any(|start| tag.contains(start));
    Some(if is_helm { "Helm" } else { "Jinja" })
}

fn report_repeated_keys(node: &Node, place: &Place, report: &mut Report) {
    match node {
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                report_repeated_keys(item, &place.index(index), report);
            }
        }
        Node::Map(entries) => {
            let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
            for (key, value) in entries {
                let place = place.key(key);
                if !seen.insert(key) && repeated.insert(key) {
                    let message = "stands here more than once, and only the last counts: keep one";
                    report.add(Severity::Degraded, place.clone(), message);
                }
                report_repeated_keys(value, &place, report);
            }
        }
        _ => {}
    }
}

impl Node {
    /// The same with YAML's merge keys applied: a mapping's own keys win over merged ones, earlier ones over later.
    fn merged(self) -> Self {
        match self {
            Self::List(items) => Self::List(items.into_iter().map(Self::merged).collect()),
            Self::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key, value.merged()));
                let (merges, mut own): (Vec<_>, Vec<_>) = entries.partition(|(key, _)| key == MERGE_KEY);
                let mut known: HashSet<String> = own.iter().map(|(key, _)| key.clone()).collect();
                for (_, merge) in merges {
                    let sources = if let Self::List(sources) = merge { sources } else { vec![merge] };
                    for source in sources {
                        let Self::Map(entries) = source else { continue };
                        // A key that repeats within one source stays repeated.
                        let missing: Vec<_> = entries.into_iter().filter(|(key, _)| !known.contains(key)).collect();
                        known.extend(missing.iter().map(|(key, _)| key.clone()));
                        own.extend(missing);
                    }
                }
                Self::Map(own)
            }
            scalar => scalar,
        }
    }
}

/// Whether a list has one key with a plain value in each entry, as labels look with a dash before each.
fn is_split_mapping(items: &[Node]) -> bool {
    let is_plain = |value: &Node| !matches!(value, Node::List(_) | Node::Map(_));
    let is_pair = |item: &Node| {
        if let Node::Map(entries) = item {
            matches!(entries.as_slice(), [(_, value)] if is_plain(value))
        } else {
            false
        }
    };
    !items.is_empty() && items.iter().all(is_pair)
}

/// A value of a file and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Value<'a> {
    pub node: &'a Node,
    /// Where it stands.
    pub place: Place,
    /// What a problem here costs.
    severity: Severity,
    /// Where problems go.
    pub report: &'a RefCell<Report>,
}

impl<'a> Value<'a> {
    /// The whole file at `path`.
    pub(super) fn root(node: &'a Node, path: &Path, severity: Severity, report: &'a RefCell<Report>) -> Self {
        Self { node, place: Place::file(path), severity, report }
    }

    /// The same; what is wrong from here on concerns only a single target, component or key.
    pub(super) fn degraded(&self) -> Self {
        Self { severity: Severity::Degraded, ..self.clone() }
    }

    /// Another value, which stands at `place`; what is wrong with it costs the same.
    pub(super) fn standing_at<'b>(&self, node: &'b Node, place: Place) -> Value<'b>
    where
        'a: 'b,
    {
        Value { node, place, severity: self.severity, report: self.report }
    }

    /// Its text; anything else is a problem.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.node {
            Node::Text(text) => Some(text),
            Node::Bool(_) | Node::Integer(_) | Node::Float(_) => self.wrong_type("a text", "put it in quotes"),
            _ => self.wrong_type("a text", "write one in quotes"),
        }
    }

    /// Its whole number; anything else is a problem.
    pub(super) fn integer(&self) -> Option<i128> {
        match self.node {
            Node::Integer(number) => Some(*number),
            // `50.0` is one, and so is a number that is too large for any integer; a cast stops at the largest.
            Node::Float(number) if number.fract() == 0.0 => Some(*number as i128),
            Node::Text(_) => self.wrong_type("a whole number", "leave the quotes out"),
            _ => self.wrong_type("a whole number", "write one"),
        }
    }

    /// Its truth value; anything else is a problem.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.node {
            Node::Bool(value) => Some(*value),
            Node::Text(_) => self.wrong_type("true or false", "leave the quotes out"),
            _ => self.wrong_type("true or false", "write one of them"),
        }
    }

    /// Its elements; anything else than a list is a problem.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match self.node {
            Node::List(_) => Some(self.items()),
            _ => {
                let cure = self.dash_missing();
                self.wrong_type("a list", cure.as_deref().unwrap_or("write one, even of a single entry"))
            }
        }
    }

    /// The cure of a mapping that is meant to be the only entry of a list. One of mappings has an entry for each of its keys.
    fn dash_missing(&self) -> Option<String> {
        let Node::Map(entries) = self.node else { return None };
        let (first, _) = entries.first().filter(|_| self.is_yaml())?;
        let is_entry = entries.iter().any(|(_, value)| !matches!(value, Node::Map(_)));
        let others = if entries.len() > 1 { ", and align the other keys with it" } else { "" };
        is_entry.then(|| format!("put a dash before {:?}{others}", excerpt(first)))
    }

    /// Whether its file has the name of a YAML file; in JSON there are no dashes.
    fn is_yaml(&self) -> bool {
        let extension = Path::new(&self.place.file).extension();
        extension.is_some_and(|extension| ["yml", "yaml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml)))
    }

    /// The elements of a list; of anything else, none.
    pub(super) fn items(&self) -> Vec<Self> {
        self.each().collect()
    }

    /// The elements of a list, one after the other; of anything else, none.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        let items: &'a [Node] = if let Node::List(items) = self.node { items } else { &[] };
        let item = |(index, node)| Self { node, place: self.place.index(index), ..self.clone() };
        items.iter().enumerate().map(item)
    }

    /// Itself, if it has keys and values; anything else is a problem.
    pub(super) fn map(&self) -> Option<Self> {
        match self.node {
            Node::Map(_) => Some(self.clone()),
            Node::Null if self.place.path.is_empty() => self.refuse("is empty: fill it, or name another file"),
            Node::List(items) if self.is_yaml() && is_split_mapping(items) => {
                self.wrong_type("a mapping", "remove the dashes")
            }
            _ => self.wrong_type("a mapping", "write keys with values"),
        }
    }

    /// The value of a mapping's `key`; of a repeated key, the last.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let Node::Map(entries) = self.node else { return None };
        let (_, node) = entries.iter().rfind(|(known, _)| known == key)?;
        Some(Self { node, ..self.key(key) })
    }

    /// The place of a mapping's `key`, which may be missing, to report what is wrong with it.
    pub(super) fn key(&self, key: &str) -> Self {
        Self { node: &Node::Null, place: self.place.key(key), ..self.clone() }
    }

    /// The value of `key`, where a key without a value counts as none, as it does for Prometheus.
    pub(super) fn get_filled(&self, key: &str) -> Option<Self> {
        self.get(key).filter(|value| *value.node != Node::Null)
    }

    /// The same; that it is `missing` is a problem.
    pub(super) fn required(&self, key: &str, missing: &str) -> Option<Self> {
        self.get_filled(key).or_else(|| self.key(key).refuse(missing))
    }

    /// Every key of a mapping with its value; of a repeated key, the last.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let Node::Map(entries) = self.node else { return Vec::new() };
        let last: HashMap<&str, usize> =
            entries.iter().zip(0..).map(|((key, _), index)| (key.as_str(), index)).collect();
        let counts = entries.iter().zip(0..).filter(|((key, _), index)| last.get(key.as_str()) == Some(index));
        counts.map(|((key, node), _)| (key.as_str(), Self { node, ..self.key(key) })).collect()
    }

    /// Reports that it is not of the type that it must have.
    pub(super) fn wrong_type<T>(&self, wanted: &str, cure: &str) -> Option<T> {
        let kind = match self.node {
            Node::Null => "null",
            Node::Bool(true) => "true",
            Node::Bool(false) => "false",
            Node::Integer(_) => "a number",
            Node::Float(_) => "a number with a fraction",
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        };
        self.refuse(format!("is {kind}, must be {wanted}: {cure}"))
    }

    /// Reports what is wrong with it, for which there is no value of it.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.problem(message);
        None
    }

    /// What `check` made of it, unless there is something wrong with it.
    pub(super) fn checked<T>(&self, check: Result<T, impl fmt::Display>) -> Option<T> {
        check.map_err(|error| self.problem(error.to_string())).ok()
    }

    /// Reports each key of a mapping that is not `known`: why it is `refused`, or which one it may be meant to be; if it is
    /// like none of them, what to do `otherwise`.
    pub(super) fn report_unknown_keys(&self, known: &[&str], refused: &[(&str, &str)], otherwise: &str) {
        for (key, value) in self.entries().into_iter().filter(|(key, _)| !known.contains(key)) {
            match refused.iter().find(|(name, _)| *name == key) {
                Some((_, reason)) => value.problem(*reason),
                None => {
                    let cure = did_you_mean(key, known.iter().copied(), otherwise);
                    value.problem(format!("is not a known key: {cure}"));
                }
            }
        }
    }

    /// Reports what is wrong with it.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.report.borrow_mut().add(self.severity, self.place.clone(), message);
    }

    /// Reports what is worth knowing of it.
    pub(super) fn remark(&self, message: impl Into<String>) {
        self.report.borrow_mut().add(Severity::Remark, self.place.clone(), message);
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    /// How an empty YAML document is told.
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Integer(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Node, Node>()? {
            let key = match key {
                Node::Null => "null".to_owned(),
                Node::Bool(value) => value.to_string(),
                Node::Integer(value) => value.to_string(),
                Node::Float(value) => value.to_string(),
                Node::Text(text) => text,
                Node::List(_) | Node::Map(_) => return Err(A::Error::custom("a key is a list or a mapping")),
            };
            map.push((key, value));
        }
        Ok(Node::Map(map))
    }

    /// A YAML tag, such as Ansible's `!vault`: the value counts.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        let (_, value) = data.variant::<String>()?;
        value.newtype_variant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, form: Form) -> (Option<Node>, Report) {
        let (report, file) = (RefCell::default(), tempfile::NamedTempFile::new().expect("a file"));
        std::fs::write(file.path(), text).expect("written");
        let node = read_file(file.path(), form, Severity::Fatal, "is absent", &report);
        (node, report.into_inner())
    }

    #[test]
    fn every_repeated_key_is_reported_in_json_and_in_yaml() {
        for (text, form) in [
            (r#"{"a": [{"b": 1, "b": 2}], "c": 1, "c": {"d": 1, "d": 1, "d": 1}}"#, Form::Json),
            ("a:\n- b: 1\n  b: 2\nc: 1\nc: {d: 1, d: 1, d: 1}\n", Form::Yaml),
        ] {
            let (_, report) = read(text, form);
            let paths: Vec<&str> = report.problems.iter().map(|problem| problem.place.path.as_str()).collect();
            assert_eq!(paths, ["a[0].b", "c", "c.d"], "{form:?}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_followed_and_tags_dropped() {
        let (node, report) = read("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\nsecret: !vault x\n", Form::Yaml);
        assert!(report.problems.is_empty(), "{report}");
        let node = node.expect("valid");
        let report = RefCell::default();
        let map = Value::root(&node, Path::new("file"), Severity::Fatal, &report).map().expect("a mapping");
        let own = map.get("own").and_then(|own| own.map()).expect("a mapping");
        assert_eq!(own.get("a").map(|value| value.node), Some(&Node::Integer(1)));
        assert_eq!(own.get("b").map(|value| value.node), Some(&Node::Integer(3)));
        assert_eq!(map.get("secret").map(|value| value.node), Some(&Node::Text("x".to_owned())));
    }

    #[test]
    fn a_fault_repeats_no_control_character_of_the_file() {
        let (_, report) = read(&format!("'{}\t': {{{{ x }}}}", "x".repeat(50)), Form::Yaml);
        let problem = report.problems.first().expect("a problem");
        assert!(problem.message.contains("x\\t: a key is a list or a mapping"), "{problem}");
    }

    #[test]
    fn a_tab_is_the_fault_only_where_yaml_takes_none() {
        for (text, is_tab) in
            [("a:\n\tb: 1\n", true), ("a:\n- b: 1\n  \tc: 2\n", true), ("{\n\t\"a\": 1\n\t\"b\": 2\n}\n", false)]
        {
            let (_, report) = read(text, Form::Yaml);
            let problem = report.problems.first().expect(text);
            assert_eq!(problem.message.starts_with("a tab stands here"), is_tab, "{text}: {problem}");
        }
    }

    #[test]
    fn depth_without_end_is_a_problem_and_no_crash() {
        for (text, form) in [("[".repeat(100_000), Form::Json), ("[".repeat(10_000), Form::Yaml)] {
            assert!(!read(&text, form).1.problems.is_empty());
        }
        assert!(!read("&a [*a]", Form::Yaml).1.problems.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        assert_eq!(read_text(&path), Ok(None));
        assert!(matches!(read_text(folder.path()), Err(fault) if fault.starts_with("is a folder")));
        std::fs::write(&path, b"a\nb\xffb").expect("written");
        assert_eq!(read_text(&path), Err("is not UTF-8 (line 2): save it as UTF-8".to_owned()));
        std::fs::write(&path, b"\xfe\xff\0a").expect("written");
        assert_eq!(read_text(&path), Err("is in UTF-16: save it as UTF-8".to_owned()));
        std::fs::write(&path, "\u{feff}text").expect("written");
        assert_eq!(read_text(&path), Ok(Some("text".to_owned())));
    }

    /// The tests may run as root, who may read everything.
    #[test]
    fn a_file_without_permission_says_who_needs_it() {
        let fault = unreadable(&ErrorKind::PermissionDenied.into());
        assert!(fault.starts_with("may not be read: give this program's"), "{fault}");
        let fault = unreadable(&io::Error::other("the disk is gone"));
        assert!(fault.starts_with("cannot be read (the disk is gone): "), "{fault}");
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        File::create(&path).and_then(|file| file.set_len(FILE_LIMIT + 1)).expect("a large file");
        assert!(matches!(read_text(&path), Err(fault) if fault.starts_with("is larger than 8 MiB")));
    }
}

//! Regular expressions and templates of relabelling rules, with the meaning that they have for Prometheus.
//!
//! Prometheus uses Go's `regexp` (RE2's syntax). The `regex` crate has the same matching rules and another syntax in places:
//! `\w`, `\d` and `\s` are ASCII in Go, and `&&`, `--`, `~~` and `[` in a class are plain characters there. So a text is
//! translated before it is compiled. A template is expanded as Go does it.

use regex::{Captures, Regex, RegexBuilder};

/// The most bytes that a compiled regular expression may take, by what it costs to match with it; the last is the limit.
const SIZES: [(usize, u64); 4] = [(1 << 14, 1), (1 << 16, 4), (1 << 18, 16), (1 << 20, 64)];
/// The highest number of a repetition, as in Go.
const REPETITION_LIMIT: u32 = 1000;

/// What is said of names of groups that Go takes and the `regex` crate does not.
const NAMES_OF_GROUPS: &str = "has a group whose name stands twice, or begins with a digit, which this program does not take: name each group otherwise";

/// The classes of characters that stand as `[:name:]`.
const POSIX_CLASSES: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A regular expression that must match a whole value.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    kind: Kind,
    /// What it costs to match 16 bytes of a value.
    pub weight: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Matches everything; with this many groups (0 or 1), each of the whole value.
    Anything {
        groups: usize,
    },
    /// Matches only this text.
    Plain(String),
    Regex(Regex),
}

/// A value that a pattern matched, with its groups.
pub(super) enum Match<'v> {
    Whole { value: &'v str, groups: usize },
    Captures(Captures<'v>),
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with it, and the cure: Prometheus takes no such expression, or it is one that is not supported here.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let kind = match text {
            "(.*)" => Kind::Anything { groups: 1 },
            ".*" => Kind::Anything { groups: 0 },
            _ if is_plain(text) => Kind::Plain(text.to_owned()),
            _ => {
                let text = format!("^(?s:{})$", translated(text)?);
                for (size, weight) in SIZES {
                    match RegexBuilder::new(&text).size_limit(size).build() {
                        Ok(regex) => return Ok(Self { kind: Kind::Regex(regex), weight }),
                        Err(regex::Error::CompiledTooBig(_)) => {}
                        Err(error) => return Err(refusal(&error.to_string())),
                    }
                }
                return Err("is a regular expression that is too large: use smaller repetitions".to_owned());
            }
        };
        Ok(Self { kind, weight: 1 })
    }

    /// What a match costs whatever the length of the value.
    pub(super) fn base_cost(&self) -> u64 {
        if matches!(self.kind, Kind::Regex(_)) { 3 } else { 1 }
    }

    /// Whether it matches every value.
    pub(super) fn matches_anything(&self) -> bool {
        matches!(self.kind, Kind::Anything { .. })
    }

    /// Whether it matches `value`.
    pub(super) fn is_match(&self, value: &str) -> bool {
        match &self.kind {
            Kind::Anything { .. } => true,
            Kind::Plain(text) => text == value,
            Kind::Regex(regex) => regex.is_match(value),
        }
    }

    /// The groups of `value`, if it matches.
    pub(super) fn captures<'v>(&self, value: &'v str) -> Option<Match<'v>> {
        match &self.kind {
            Kind::Anything { groups } => Some(Match::Whole { value, groups: *groups }),
            Kind::Plain(text) => (text == value).then_some(Match::Whole { value, groups: 0 }),
            Kind::Regex(regex) => regex.captures(value).map(Match::Captures),
        }
    }
}

/// Whether it has only characters that stand for themselves.
fn is_plain(text: &str) -> bool {
    !text.contains(['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'])
}

/// What the `regex` crate says of a text, in one line.
fn refusal(error: &str) -> String {
    let last = error.lines().last().unwrap_or_default();
    let reason = last.split_once(": ").map_or(last, |(_, reason)| reason);
    if reason.contains("capture") { NAMES_OF_GROUPS.to_owned() } else { invalid(reason) }
}

fn invalid(detail: &str) -> String {
    format!("is no regular expression for Prometheus ({detail}): correct it")
}

/// A text with references to groups: `$1`, `${1}`, `$name`, `${name}`; `$$` is a dollar sign.
#[derive(Debug, Clone, Default)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Number(usize),
    Name(String),
}

impl Template {
    /// Every text is a template: what is no reference stands for itself.
    pub(super) fn parse(text: &str) -> Self {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(name);
                rest = after;
            } else {
                plain.push('$');
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self(parts)
    }

    /// Whether it is the same for every value.
    pub(super) fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text that it makes of a match. A group that is missing or did not take part is empty.
    pub(super) fn expand(&self, found: &Match<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match (part, found) {
                (Part::Text(plain), _) => plain,
                (Part::Number(index), Match::Whole { value, groups }) if index <= groups => value,
                (Part::Number(_) | Part::Name(_), Match::Whole { .. }) => "",
                (Part::Number(index), Match::Captures(captures)) => captures.get(*index).map_or("", |m| m.as_str()),
                (Part::Name(name), Match::Captures(captures)) => captures.name(name).map_or("", |m| m.as_str()),
            });
        }
        text
    }
}

/// The reference after a dollar sign, and what follows it.
fn reference(text: &str) -> Option<(Part, &str)> {
    let (inner, has_brace) = text.strip_prefix('{').map_or((text, false), |inner| (inner, true));
    let length = inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(length);
    if name.is_empty() {
        return None;
    }
    let rest = if has_brace { rest.strip_prefix('}')? } else { rest };
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    let number = Some(name).filter(|_| is_number).and_then(|name| name.parse().ok()).filter(|n| *n < 1_000_000_000);
    Some((number.map_or_else(|| Part::Name(name.to_owned()), Part::Number), rest))
}

/// `text` in the syntax of the `regex` crate.
fn translated(text: &str) -> Result<String, String> {
    let (mut out, mut rest, mut is_repeated) = (String::new(), text, false);
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        let repetition = match character {
            '*' | '+' | '?' => rest.get(..1),
            '{' => counted_repetition(rest)?,
            _ => None,
        };
        if let Some(operator) = repetition {
            if is_repeated {
                return Err(invalid("a repetition of a repetition"));
            }
            is_repeated = true;
            out.push_str(operator);
            rest = rest.get(operator.len()..).unwrap_or_default();
            if let Some(after) = rest.strip_prefix('?') {
                out.push('?');
                rest = after;
            }
            continue;
        }
        is_repeated = false;
        rest = match character {
            '\\' => escape(after, &mut out)?,
            '[' => class(after, &mut out)?,
            '{' => {
                out.push_str("\\{");
                after
            }
            '(' if after.starts_with('?') => {
                let flags: String =
                    after.chars().skip(1).take_while(|c| c.is_ascii_alphabetic() || *c == '-').collect();
                if let Some(flag) = flags.chars().find(|flag| !"imsUP-".contains(*flag)) {
                    return Err(invalid(&format!("there is no flag {flag}")));
                }
                out.push('(');
                after
            }
            other => {
                out.push(other);
                after
            }
        };
    }
    Ok(out)
}

/// The repetition `{n}`, `{n,}` or `{n,m}` at the start of `text`; another brace stands for itself.
fn counted_repetition(text: &str) -> Result<Option<&str>, String> {
    let Some(end) = text.find('}') else { return Ok(None) };
    let inner = text.get(1..end).unwrap_or_default();
    let (least, most) = inner.split_once(',').map_or((inner, ""), |(least, most)| (least, most));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(least) || !(most.is_empty() || is_number(most)) {
        return Ok(None);
    }
    let is_too_many = |text: &str| !text.is_empty() && !text.parse::<u32>().is_ok_and(|n| n <= REPETITION_LIMIT);
    if is_too_many(least) || is_too_many(most) {
        return Err(invalid(&format!("more than {REPETITION_LIMIT} repetitions")));
    }
    Ok(text.get(..=end))
}

/// Translates what follows a backslash outside of a class; gives what comes after it.
fn escape<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    if let Some(literal) = text.strip_prefix('Q') {
        let (literal, rest) = literal.split_once("\\E").unwrap_or((literal, ""));
        out.push_str(&regex::escape(literal));
        return Ok(rest);
    }
    if let Some((members, rest)) = set(text)? {
        out.push('[');
        out.push_str(&members);
        out.push(']');
        return Ok(rest);
    }
    let rest = text.get(1..).unwrap_or_default();
    match text.bytes().next() {
        Some(b'b') => out.push_str("(?-u:\\b)"),
        Some(b'A') => out.push_str("\\A"),
        Some(b'z') => out.push_str("\\z"),
        Some(b'B') => {
            return Err("has \\B, which Prometheus takes and this program does not: write it without".to_owned());
        }
        _ => {
            let (character, rest) = escaped_character(text)?;
            push_literal(character, out);
            return Ok(rest);
        }
    }
    Ok(rest)
}

/// The set of characters that an escape names (`\d`, `\pL`), as it stands in a class, and what comes after it.
fn set(text: &str) -> Result<Option<(String, &str)>, String> {
    let rest = text.get(1..).unwrap_or_default();
    let members = match text.bytes().next() {
        Some(b'd') => "0-9",
        Some(b'D') => "[^0-9]",
        Some(b'w') => "0-9A-Za-z_",
        Some(b'W') => "[^0-9A-Za-z_]",
        Some(b's') => "\\t\\n\\x0C\\r\\x20",
        Some(b'S') => "[^\\t\\n\\x0C\\r\\x20]",
        Some(kind @ (b'p' | b'P')) => {
            let is_negated = kind == b'P';
            let (name, rest) = match rest.strip_prefix('{') {
                Some(inner) => inner.split_once('}').ok_or_else(|| invalid("a brace is missing after \\p"))?,
                None => rest.split_at(rest.chars().next().map_or(0, char::len_utf8)),
            };
            let (name, is_negated) = name.strip_prefix('^').map_or((name, is_negated), |name| (name, !is_negated));
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(invalid("no class of characters after \\p"));
            }
            return Ok(Some((format!("\\{}{{{name}}}", if is_negated { 'P' } else { 'p' }), rest)));
        }
        _ => return Ok(None),
    };
    Ok(Some((members.to_owned(), rest)))
}

/// The character that an escape stands for, and what comes after it.
fn escaped_character(text: &str) -> Result<(char, &str), String> {
    let first = text.chars().next().ok_or_else(|| invalid("a backslash at the end"))?;
    let rest = text.get(first.len_utf8()..).unwrap_or_default();
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let is_octal = |c: char| matches!(c, '0'..='7');
    match first {
        'a' => Ok(('\x07', rest)),
        'f' => Ok(('\x0c', rest)),
        'n' => Ok(('\n', rest)),
        'r' => Ok(('\r', rest)),
        't' => Ok(('\t', rest)),
        'v' => Ok(('\x0b', rest)),
        'x' => {
            let (digits, rest) = match rest.strip_prefix('{') {
                Some(inner) => inner.split_once('}').unwrap_or_default(),
                None => (rest.get(..2).unwrap_or_default(), rest.get(2..).unwrap_or_default()),
            };
            let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            let character = number(digits, 16).filter(|_| is_hex);
            Ok((character.ok_or_else(|| invalid("no hexadecimal number after \\x"))?, rest))
        }
        '0' | '1'..='7' if first == '0' || rest.starts_with(is_octal) => {
            let length = text.chars().take(3).take_while(|c| is_octal(*c)).count();
            let (digits, rest) = text.split_at(length);
            Ok((number(digits, 8).unwrap_or_default(), rest))
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok((c, rest)),
        c => Err(invalid(&format!("there is no escape \\{}", c.escape_default()))),
    }
}

/// Translates a class of characters, after its `[`; gives what comes after it.
fn class<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let missing = || invalid("a bracket is missing");
    out.push('[');
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut is_first = true;
    loop {
        if !is_first && let Some(after) = rest.strip_prefix(']') {
            out.push(']');
            return Ok(after);
        }
        is_first = false;
        if let Some(end) = rest.strip_prefix("[:").and_then(|inner| inner.find(":]")) {
            let (named, after) = rest.split_at(end + 4);
            if !POSIX_CLASSES.contains(&named.trim_matches(['[', ']', ':', '^'])) {
                return Err(invalid("no class of characters in [: and :]"));
            }
            out.push_str(named);
            rest = after;
            continue;
        }
        if let Some((members, after)) = rest.strip_prefix('\\').map(set).transpose()?.flatten() {
            out.push_str(&members);
            rest = after;
            continue;
        }
        let (low, after) = class_character(rest).ok_or_else(missing)??;
        rest = after;
        push_literal(low, out);
        if let Some(after) = rest.strip_prefix('-').filter(|after| !after.starts_with(']')) {
            let (high, after) = class_character(after).ok_or_else(missing)??;
            if high < low {
                return Err(invalid("a range ends before it begins"));
            }
            out.push('-');
            push_literal(high, out);
            rest = after;
        }
    }
}

/// One character of a class, and what comes after it; `None` at the end of the text.
fn class_character(text: &str) -> Option<Result<(char, &str), String>> {
    let first = text.chars().next()?;
    let rest = text.get(first.len_utf8()..).unwrap_or_default();
    Some(if first == '\\' { escaped_character(rest) } else { Ok((first, rest)) })
}

fn push_literal(character: char, out: &mut String) {
    if character.is_alphanumeric() {
        out.push(character);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(value)
    }

    #[test]
    fn a_pattern_must_match_the_whole_value() {
        assert!(matches("web", "web") && !matches("web", "web-01") && !matches("eb", "web"));
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches(".+", "a\nb"), "a dot is any character");
    }

    #[test]
    fn classes_have_the_characters_that_go_gives_them() {
        for (pattern, value, expected) in [
            (r"\d", "٣", false),
            (r"\w+", "aB_9", true),
            (r"\w", "ä", false),
            (r"[\w.-]+", "web-01.example", true),
            (r"[^\s:]+", "a b", false),
            (r"[\D]+", "ab", true),
            (r"\S+", "ä", true),
            (r"[a&&b]+", "a&b", true),
            (r"[a[b]+", "a[b", true),
            (r"[+--]+", "+,-", true),
            (r"[a~~]+", "~", true),
            (r"[]a]+", "]a", true),
            (r"[^]a]", "]", false),
            (r"[[:alpha:]]+", "ab", true),
            (r"\pL+", "äb", true),
            (r"\p{^Greek}", "a", true),
            (r"\P{Greek}", "α", false),
            (r"a\_b\<\-", "a_b<-", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\x41\x{42}\103", "ABC", true),
            (r"a{,2}", "a{,2}", true),
            (r"{{ x }}", "{{ x }}", true),
            (r"a{2}", "aa", true),
            (r"\bab\b", "ab", true),
            (r"(?i)WEB", "web", true),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} on {value}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "(", ")", "[", "[a", "*", "a**", "a+*", "a{2}{3}", "a{1001}", r"\1", r"\8", r"\y", r"\ä", r"a\", "(?x)a",
            "(?u)a", "(?=a)", "(?!a)", "[b-a]", r"[a-\d]", r"\p{", r"\pé", r"\xg1", "[[:no:]]", r"\u0041",
        ] {
            let error = Pattern::compile(pattern).expect_err(pattern);
            assert!(error.starts_with("is no regular expression for Prometheus (") && !error.contains('\n'), "{error}");
        }
        for pattern in ["(?P<a>b)(?P<a>c)", "(?P<1>a)"] {
            assert!(Pattern::compile(pattern).is_err_and(|error| error.contains("does not take")), "{pattern}");
        }
        assert!(Pattern::compile(r"a\Bb").is_err_and(|error| error.contains("this program does not")));
        assert!(Pattern::compile("((a{1000}){1000}){9}").is_err_and(|error| error.contains("too large")));
    }

    #[test]
    fn a_template_is_expanded_as_in_go() {
        let expanded = |template: &str, pattern: &str, value: &str| {
            let pattern = Pattern::compile(pattern).expect("valid");
            pattern.captures(value).map(|found| Template::parse(template).expand(&found))
        };
        let pattern = "(?P<host>[^:]+):([0-9]+)(x)?";
        for (template, expected) in [
            ("$1", "web"),
            ("${1}-${2}", "web-9100"),
            ("$host", "web"),
            ("${host}.de", "web.de"),
            ("$1x", ""),
            ("$1-x", "web-x"),
            ("$3|$4|$01", "||"),
            ("$$1", "$1"),
            ("$", "$"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("${a-b}", "${a-b}"),
            ("$0", "web:9100"),
            ("", ""),
        ] {
            assert_eq!(expanded(template, pattern, "web:9100").as_deref(), Some(expected), "{template}");
        }
        assert_eq!(expanded("$1$0$2", "(.*)", "a").as_deref(), Some("aa"));
        assert_eq!(expanded("$1$0", ".*", "a").as_deref(), Some("a"));
        assert_eq!(expanded("$0", "a", "b"), None);
    }
}

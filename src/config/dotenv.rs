//! A `.env` file, read as podman-compose reads it.
//!
//! podman-compose uses python-dotenv, whose rules this reader follows to the letter, so that one `.env` serves both. No
//! crate does: dotenvy and dotenvs replace `$2y` and `$05` in an unquoted bcrypt hash by nothing, and dotenvor and
//! dotenvs end an unquoted value at any `#`. Here only `${NAME}` and `${NAME:-default}` are replaced (in quotes too),
//! and a `#` starts a comment only after white space.

use std::collections::BTreeMap;

/// Reads the text of a `.env` file: its variables (of a name that is given twice, the last value), and the lines, counted
/// from 1, that could not be read and were skipped. `environment` looks up what `${NAME}` means where the file has not said
/// it before; a default counts where the name is not known at all.
pub(super) fn parse(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
) -> (BTreeMap<String, String>, Vec<usize>) {
    // Python makes every line end the same when it opens a file.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = Reader { rest: &text };
    // A name without `=` has no value, but still hides the environment's in `${NAME}`.
    let mut said: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut bad_lines = Vec::new();
    loop {
        reader.take_while(char::is_whitespace);
        if reader.rest.is_empty() {
            break;
        }
        let start = text.len() - reader.rest.len();
        match reader.binding() {
            Some((Some(name), value)) => {
                let value = value.map(|value| {
                    interpolate(&value, |name| match said.get(name) {
                        Some(value) => Some(value.clone().unwrap_or_default()),
                        None => environment(name),
                    })
                });
                said.insert(name, value);
            }
            Some((None, _)) => {}
            None => {
                bad_lines.push(1 + text.get(..start).unwrap_or(&text).matches('\n').count());
                reader.take_while(|c| c != '\n');
            }
        }
    }
    (said.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(), bad_lines)
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// One `NAME=value`, to the end of its line; a comment has no name. `None` if it has not that form.
    fn binding(&mut self) -> Option<(Option<String>, Option<String>)> {
        // A shell's `export`.
        if let Some(rest) = self.rest.strip_prefix("export").filter(|rest| rest.starts_with(is_blank)) {
            self.rest = rest.trim_start_matches(is_blank);
        }
        let name = if let Some(quoted) = self.rest.strip_prefix('\'') {
            let (name, rest) = quoted.split_once('\'')?;
            self.rest = rest;
            Some(name)
        } else if self.rest.starts_with('#') {
            None
        } else {
            Some(self.take_while(|c| !matches!(c, '=' | '#') && !c.is_whitespace()))
        };
        if name.is_some_and(str::is_empty) {
            return None;
        }
        self.take_while(is_blank);
        let value = match self.rest.strip_prefix('=') {
            Some(rest) => {
                self.rest = rest;
                Some(self.value()?)
            }
            None => None,
        };
        self.take_while(is_blank);
        if self.rest.starts_with('#') {
            self.take_while(|c| c != '\n');
        }
        (self.rest.is_empty() || self.rest.starts_with('\n')).then(|| (name.map(str::to_owned), value))
    }

    fn value(&mut self) -> Option<String> {
        let after_blank = !self.take_while(is_blank).is_empty();
        match self.rest.chars().next() {
            Some('#') if after_blank => Some(String::new()),
            Some('\'') => self.quoted('\'').map(|text| unescape(text, "\\'")),
            Some('"') => self.quoted('"').map(|text| unescape(text, "\\'\"abfnrtv")),
            _ => {
                // A `#` after white space starts a comment.
                let line = self.take_while(|c| c != '\n');
                let comments = line.match_indices('#').map(|(at, _)| line.split_at(at).0);
                let value = comments.into_iter().find(|before| before.ends_with(char::is_whitespace)).unwrap_or(line);
                Some(value.trim_end().to_owned())
            }
        }
    }

    /// The text between quotes, which may go over several lines. A backslash keeps the quote after it from closing.
    fn quoted(&mut self, quote: char) -> Option<&'a str> {
        let inside = self.rest.strip_prefix(quote)?;
        let mut escaped = false;
        let end = inside.find(|character| {
            let closes = character == quote && !escaped;
            escaped = character == '\\' && !escaped;
            closes
        })?;
        let (text, rest) = inside.split_at(end);
        self.rest = rest.strip_prefix(quote)?;
        Some(text)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() && character != '\n'
}

/// Replaces a backslash and one of `escapes` by what they stand for; other backslashes stay.
fn unescape(text: &str, escapes: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.next_if(|&next| character == '\\' && escapes.contains(next)) {
            None => plain.push(character),
            Some('a') => plain.push('\u{7}'),
            Some('b') => plain.push('\u{8}'),
            Some('f') => plain.push('\u{c}'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('v') => plain.push('\u{b}'),
            Some(itself) => plain.push(itself),
        }
    }
    plain
}

/// Replaces `${NAME}` and `${NAME:-default}`; the default counts where the name is not known at all.
fn interpolate(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        result.push_str(before);
        let inside = from.strip_prefix("${").unwrap_or_default();
        let (name, behind) = inside.split_at(inside.find(['}', ':']).unwrap_or(inside.len()));
        let default_and_after = match behind.strip_prefix('}') {
            Some(after) => Some(("", after)),
            None => behind.strip_prefix(":-").and_then(|behind| behind.split_once('}')),
        };
        rest = match default_and_after {
            Some((default, after)) => {
                result.push_str(&lookup(name).unwrap_or_else(|| default.to_owned()));
                after
            }
            None => {
                result.push('$');
                from.strip_prefix('$').unwrap_or_default()
            }
        };
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".to_owned())
    }

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text, environment).0.into_iter().collect()
    }

    #[test]
    fn a_bcrypt_hash_survives_with_and_without_quotes() {
        let hash = "admin:$2y$05$abcdefghijklmnopqrstuv.ABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
        for text in [format!("A={hash}"), format!("A='{hash}'"), format!("A=\"{hash}\""), format!("export A = {hash} ")]
        {
            assert_eq!(read(&text), [("A".to_owned(), hash.to_owned())], "{text}");
        }
    }

    /// Each value is what python-dotenv 1.2.4 answers (`dotenv_values`).
    #[test]
    fn values_are_what_python_dotenv_makes_of_them() {
        for (text, value) in [
            ("A=", Some("")),
            ("A", None),
            ("# A=1", None),
            ("A=x#y", Some("x#y")),
            ("A=x #y", Some("x")),
            ("A= #y", Some("")),
            ("A=#y", Some("#y")),
            ("A='x #y' # z", Some("x #y")),
            ("A=two words  ", Some("two words")),
            ("A=it's", Some("it's")),
            ("A='it\\'s'", Some("it's")),
            ("A='C:\\dir\\\\'", Some("C:\\dir\\")),
            ("A='C:\\dir\\'", None),
            ("A='one\r\ntwo'", Some("one\ntwo")),
            ("A='a\\nb'", Some("a\\nb")),
            ("A=\"a\\nb\\q\"", Some("a\nb\\q")),
            ("A='one\ntwo'", Some("one\ntwo")),
            ("'A' = 1", Some("1")),
            ("export A=1", Some("1")),
            ("A=1\r\nB=2\r\n", Some("1")),
            ("A=1\nA=2", Some("2")),
            ("A=${HOME}/x", Some("/root/x")),
            ("A='${HOME}'", Some("/root")),
            ("A=$HOME", Some("$HOME")),
            ("A=${NO}", Some("")),
            ("A=${NO:-yes}", Some("yes")),
            ("HOME=\nA=${HOME:-unused}", Some("")),
            ("A=${HOME", Some("${HOME")),
            ("A=${HOME:x}", Some("${HOME:x}")),
        ] {
            assert_eq!(parse(text, environment).0.get("A").map(String::as_str), value, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_read_costs_only_itself() {
        let (values, bad_lines) = parse("A=1\r\n= 2\r\n\r\nB='open\nC=3\nD x\n", environment);
        assert_eq!(bad_lines, [2, 4, 6]);
        assert_eq!(values.keys().collect::<Vec<_>>(), ["A", "C"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(A|=|'|\"|\\\\|\\$|\\{|\\}|:-|#| |\n|\r|export |\\PC)*") {
            let _ = parse(&text, environment);
        }

        #[test]
        fn a_quoted_value_is_read_back(value in "[^'\\\\$\r]*") {
            prop_assert_eq!(read(&format!("A='{value}'")), [("A".to_owned(), value)]);
        }
    }
}

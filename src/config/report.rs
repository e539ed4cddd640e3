//! Everything that is wrong with the files and the environment, in one report.

use std::fmt;
use std::path::Path;

use crate::core::target::excerpt;

/// What stands for the file in the place of a variable.
pub(crate) const ENVIRONMENT: &str = "environment";

/// The width that a report is wrapped to, in characters.
const WIDTH: usize = 80;

/// What a finding costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The server cannot serve: a file that is unreadable or no such file, a required key missing, a wrong type.
    Fatal,
    /// It concerns a single target, component or key: `serve` warns and goes on without it; `check` and `setup` fail.
    Degraded,
    /// Nothing: it is worth knowing, and not wrong.
    Remark,
}

/// Something that was found.
///
/// Printed, it is one line for a log: `config.json: groups_configuration[1]: what is wrong: its cure`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it costs.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What is wrong, and what to do about it: lower case, ends in the cure.
    pub message: String,
}

/// Where a value stands: a file, and the way to it inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as it was named, or `environment`.
    pub file: String,
    /// The way inside it, for example `groups_configuration[1].status_page_components[0]`, or `line 3, column 7` (counted
    /// from 1) in a text that makes no tree; empty for the whole file.
    pub path: String,
}

impl Place {
    /// A whole file.
    pub(crate) fn file(file: impl AsRef<Path>) -> Self {
        Self { file: file.as_ref().display().to_string(), path: String::new() }
    }

    /// A variable of the environment.
    pub(crate) fn variable(name: &str) -> Self {
        Self::file(ENVIRONMENT).key(name)
    }

    /// The value of `key` in the mapping that stands here.
    pub(crate) fn key(&self, key: &str) -> Self {
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let key = if plain { excerpt(key) } else { format!("{:?}", excerpt(key)) };
        let separator = if self.path.is_empty() { "" } else { "." };
        Self { path: format!("{}{separator}{key}", self.path), ..self.clone() }
    }

    /// The element at `index`, counted from 0, of the list that stands here.
    pub(super) fn index(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), ..self.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{separator}{}", self.file, self.path)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that was found; printed, it is plain text of at most 80 characters a line, problems first, grouped by
/// file. Only the name of a file may be wider, so that it can be copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What must be put right, in the order of the files.
    pub problems: Vec<Finding>,
    /// What is worth knowing.
    pub remarks: Vec<Finding>,
}

impl Report {
    /// Adds what was found at `place`.
    pub(crate) fn add(&mut self, severity: Severity, place: Place, message: impl Into<String>) {
        let findings = if severity == Severity::Remark { &mut self.remarks } else { &mut self.problems };
        findings.push(Finding { severity, place, message: message.into() });
    }

    /// Adds everything that `other` holds.
    pub(crate) fn append(&mut self, other: Self) {
        self.problems.extend(other.problems);
        self.remarks.extend(other.remarks);
    }

    /// Whether something is wrong that the server cannot serve with.
    pub fn is_fatal(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Fatal)
    }
}

/// `2 problems`, then each file with its own; likewise the remarks.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, findings) in [("problem", &self.problems), ("remark", &self.remarks)] {
            let mut files: Vec<(&str, Vec<&Finding>)> = Vec::new();
            for finding in findings {
                match files.iter_mut().find(|(file, _)| *file == finding.place.file) {
                    Some((_, of_file)) => of_file.push(finding),
                    None => files.push((&finding.place.file, vec![finding])),
                }
            }
            if word == "remark" && !self.problems.is_empty() && !findings.is_empty() {
                writeln!(f)?;
            }
            if !findings.is_empty() {
                writeln!(f, "{}", counted(findings.len(), word))?;
            }
            for (file, findings) in files {
                writeln!(f, "\n{file}")?;
                for Finding { place, message, .. } in findings {
                    let texts = [&place.path, message].into_iter().filter(|text| !text.is_empty());
                    for (depth, text) in (1..).zip(texts) {
                        let indent = "  ".repeat(depth);
                        let lines = wrapped(text, WIDTH - indent.len());
                        lines.iter().try_for_each(|line| writeln!(f, "{indent}{}", line.trim_end()))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A number and its noun: `1 problem`, `2 problems`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `text` in lines of at most `width` characters, broken at spaces, and within a word only if it is longer than a line.
/// Two spaces in a row stay two, for a name may differ from another by just that.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let characters: Vec<char> = word.chars().collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + characters.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(characters.chunks(width).map(String::from_iter)),
        }
    }
    lines
}

/// The candidate that is most like `name`, whatever their case; `None` if none is like it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// How alike two names must be (0 to 1) for one to be suggested for the other.
    const LIKENESS: f64 = 0.6;
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The question that ends an error message, or `otherwise` if no candidate is like `name`.
pub(super) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(name, candidates).map_or_else(|| otherwise.to_owned(), |candidate| format!("did you mean {candidate:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_grouped_by_file_with_the_problems_first() {
        let config = Place::file("config.json");
        let mut report = Report::default();
        report.add(Severity::Remark, config.key("recurring_alert_update_message"), "is unused for now");
        report.add(
            Severity::Fatal,
            config.key("groups").index(1).key("my name"),
            "is a number: ".to_owned() + &"words ".repeat(20),
        );
        report.add(Severity::Degraded, Place::file("prometheus.yml"), "is empty: fill it");
        let path = "line 3, column 7".to_owned();
        report.add(Severity::Degraded, Place { path, ..config }, "a comma is missing: add it");
        assert_eq!(
            report.to_string(),
            "3 problems\n\
             \n\
             config.json\n\
             \x20 groups[1].\"my name\"\n\
             \x20   is a number: words words words words words words words words words words\n\
             \x20   words words words words words words words words words words\n\
             \x20 line 3, column 7\n\
             \x20   a comma is missing: add it\n\
             \n\
             prometheus.yml\n\
             \x20 is empty: fill it\n\
             \n\
             1 remark\n\
             \n\
             config.json\n\
             \x20 recurring_alert_update_message\n\
             \x20   is unused for now\n"
        );
    }

    #[test]
    fn a_line_is_never_too_long_and_keeps_double_spaces() {
        assert_eq!(wrapped("a  b cd", 5), ["a  b", "cd"]);
        assert_eq!(wrapped("ab abcdefghij k", 4), ["ab", "abcd", "efgh", "ij k"]);
    }

    #[test]
    fn a_problem_alone_is_one_line_of_a_log() {
        let place = Place::file("config.json").key("drift");
        let problem = Finding { severity: Severity::Fatal, place, message: "is a number: write a text".to_owned() };
        assert_eq!(problem.to_string(), "config.json: drift: is a number: write a text");
    }

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_none() {
        let names = ["Database", "Web Server", "Load Balancer"];
        for (typo, name) in [
            ("Databse", Some("Database")),
            ("web-server", Some("Web Server")),
            ("DATABASE", Some("Database")),
            ("Mail", None),
            ("", None),
        ] {
            assert_eq!(nearest(typo, names), name, "{typo}");
        }
    }
}

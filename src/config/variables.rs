//! The environment, with what a `.env` file adds to it.

use std::collections::BTreeMap;
use std::path::Path;

use super::dotenv;
use super::file::{Unreadable, read_text};
use super::report::{Place, Position, Problem, Severity};

/// The file that is read from the working directory.
const DOTENV_FILE: &str = ".env";

/// The variables of the environment, and those of `.env` that the environment does not have.
///
/// They are a value and not the process's own environment, because that cannot be changed safely once there are
/// threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Variables {
    /// The environment of this process over the `.env` of its working directory, if there is one.
    pub fn load() -> Self {
        let process = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Self::overlay(process, Path::new(DOTENV_FILE))
    }

    /// `process` over the file at `dotenv`, which may be absent. A variable that `process` has wins even if it is
    /// empty, so that one can be switched off.
    pub fn overlay(process: impl IntoIterator<Item = (String, String)>, dotenv: &Path) -> Self {
        let mut values: BTreeMap<String, String> = process.into_iter().collect();
        let place = Place::file(dotenv.display().to_string());
        let problem = |place, message| Problem { severity: Severity::Degraded, place, message };
        let text = match read_text(dotenv) {
            Ok(text) => text,
            Err(Unreadable::Absent) => return Self { values, problems: Vec::new() },
            Err(Unreadable::Fault(fault)) => return Self { values, problems: vec![problem(place, fault)] },
        };
        let file = dotenv::parse(&text, |name| values.get(name).cloned());
        for (name, value) in file.values {
            values.entry(name).or_insert(value);
        }
        let at = |line| place.at(Position { line, column: None });
        let message = "is not of the form NAME=value and was skipped: correct it (quotes must be closed)";
        let problems = file.bad_lines.into_iter().map(|line| problem(at(line), message.to_owned())).collect();
        Self { values, problems }
    }

    /// The value of a variable; an empty one counts as not set, because compose files pass variables on empty.
    pub fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// What is wrong with the `.env` file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(process: &[(&str, &str)], text: &str) -> Variables {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(".env");
        std::fs::write(&path, text).expect("written");
        Variables::overlay(process.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())), &path)
    }

    #[test]
    fn the_real_environment_wins_even_when_it_is_empty() {
        let variables = overlay(&[("A", "real"), ("B", "")], "A=file\nB=file\nC=file\nD=");
        let values = ["A", "B", "C", "D", "E"].map(|name| variables.get(name));
        assert_eq!(values, [Some("real".to_owned()), None, Some("file".to_owned()), None, None]);
        assert!(variables.problems().is_empty());
    }

    #[test]
    fn a_file_refers_to_the_real_environment() {
        assert_eq!(
            overlay(&[("HOST", "cachet")], "URL=http://${HOST}/api").get("URL"),
            Some("http://cachet/api".into())
        );
    }

    #[test]
    fn a_bad_line_is_a_problem_with_its_number() {
        let variables = overlay(&[], "A=1\nB='open\n");
        assert_eq!(variables.get("A"), Some("1".to_owned()));
        let problem = variables.problems().first().expect("a problem");
        assert_eq!(problem.place.position, Some(Position { line: 2, column: None }));
    }

    #[test]
    fn no_file_is_no_problem() {
        let variables = Variables::overlay([("A".to_owned(), "1".to_owned())], Path::new("does/not/exist"));
        assert_eq!((variables.get("A"), variables.problems()), (Some("1".to_owned()), [].as_slice()));
    }
}

//! What only the environment may say: secrets, and how strict to be.

use std::path::Path;

use reqwest::Url;
use secrecy::SecretString;

use super::alertmanager::{self, AlertmanagerAccess};
use super::file::{Unreadable, read_text};
use super::report::did_you_mean;
use super::report::{Place, Problem, Severity};
use crate::core::target::excerpt;

/// The variable with the base of Cachet's API.
pub const CACHET_API_URL: &str = "CACHET_API_URL";
/// The variable with the token for it.
pub const CACHET_API_TOKEN: &str = "CACHET_API_TOKEN";
/// The variable with the users of the webhook.
pub const WEBHOOK_BASIC_AUTH: &str = "WEBHOOK_BASIC_AUTH";
/// The variable that says how strict to be.
pub const ENVIRONMENT: &str = "ENVIRONMENT";

/// What stands for the file in a problem's place.
pub(crate) const PLACE: &str = "environment";

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The webhook needs authentication.
    #[default]
    Production,
    /// A developer's machine: the webhook may do with `admin:admin`.
    Local,
}

/// How Cachet is reached.
#[derive(Debug, Clone)]
pub struct CachetAccess {
    /// The base of its API without a slash at the end, for example `http://cachet/api`.
    pub base_url: String,
    /// Its bearer token.
    pub token: SecretString,
}

/// What the environment says, checked.
#[derive(Debug, Clone)]
pub struct Environment {
    /// How strict to be.
    pub mode: Mode,
    /// How Cachet is reached; `None`: the built-in page is the page.
    pub cachet: Option<CachetAccess>,
    /// The users of the webhook as they were given, `user:hash` and so on; not empty.
    pub webhook_basic_auth: Option<SecretString>,
    /// How Alertmanager is read; `None`: it is not.
    pub alertmanager: Option<AlertmanagerAccess>,
}

impl Environment {
    /// Reads the variables, and the files that their `…_FILE` forms name. An empty variable counts as not set.
    ///
    /// # Errors
    /// Every problem, each with the variable that has it.
    pub(crate) fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Problem>> {
        let (environment, problems) = Self::read(lookup);
        if problems.is_empty() { Ok(environment) } else { Err(problems) }
    }

    /// The same, as far as it can be used beside its problems.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<Problem>) {
        let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let mut problems = Vec::new();
        let mode = mode(lookup, &mut problems);
        let url = secret(lookup, CACHET_API_URL, &mut problems);
        let token = secret(lookup, CACHET_API_TOKEN, &mut problems);
        let cachet = cachet(url, token, &mut problems);
        let webhook_basic_auth = match secret(lookup, WEBHOOK_BASIC_AUTH, &mut problems) {
            Given::Value(users) => Some(SecretString::from(users)),
            Given::Nothing | Given::Wrong => None,
        };
        let alertmanager = alertmanager::access(lookup, &mut problems);
        (Self { mode, cachet, webhook_basic_auth, alertmanager }, problems)
    }

    /// The problem of a webhook that anyone may post to; `None` if there are users, or if this is a developer's
    /// machine.
    pub(crate) fn missing_authentication(&self) -> Option<Problem> {
        let missing = self.mode == Mode::Production && self.webhook_basic_auth.is_none();
        missing.then(|| {
            problem(
                WEBHOOK_BASIC_AUTH,
                "is missing, and without it anyone could post alerts: set it to what `alertmanager-cachet \
                 hash-password USER` prints (or set ENVIRONMENT=local on a developer's machine)",
            )
        })
    }
}

pub(super) fn problem(variable: &str, message: impl Into<String>) -> Problem {
    Problem { severity: Severity::Fatal, place: Place::file(PLACE).key(variable), message: message.into() }
}

fn mode(lookup: impl Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Mode {
    match lookup(ENVIRONMENT).as_deref().map(str::trim) {
        None | Some("" | "production") => Mode::Production,
        Some("local") => Mode::Local,
        Some(other) => {
            let cure = did_you_mean(other, ["production", "local"], "write one of the two");
            let other = excerpt(other);
            problems.push(problem(ENVIRONMENT, format!("is {other:?}, must be \"production\" or \"local\": {cure}")));
            Mode::Production
        }
    }
}

/// Whether a variable was given, and whether it could be had.
pub(super) enum Given {
    Nothing,
    Value(String),
    /// It was given, and what is wrong with it is already reported.
    Wrong,
}

/// The value of `name`, or the content of the file that `name_FILE` names.
pub(super) fn secret(lookup: impl Fn(&str) -> Option<String>, name: &str, problems: &mut Vec<Problem>) -> Given {
    let file_variable = format!("{name}_FILE");
    let path = match (lookup(name), lookup(&file_variable)) {
        (Some(_), Some(_)) => {
            problems.push(problem(name, format!("is set, and {file_variable} too: unset one of them")));
            return Given::Wrong;
        }
        (Some(value), None) => return Given::Value(value),
        (None, None) => return Given::Nothing,
        (None, Some(path)) => path,
    };
    match secret_file(Path::new(&path)) {
        Ok(value) => Given::Value(value),
        Err(fault) => {
            problems.push(problem(&file_variable, format!("names the file {path:?}, which {fault}")));
            Given::Wrong
        }
    }
}

/// The content of a file without the newline at its end, which editors and `echo` leave there.
fn secret_file(path: &Path) -> Result<String, String> {
    let text = read_text(path).map_err(|error| match error {
        Unreadable::Absent => "does not exist: create it, or correct the name".to_owned(),
        Unreadable::Fault(fault) => fault,
    })?;
    let value = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text);
    if value.trim().is_empty() {
        return Err("is empty: write the value into it, or unset the variable".to_owned());
    }
    Ok(value.to_owned())
}

/// URL and token, which only make sense together.
fn cachet(url: Given, token: Given, problems: &mut Vec<Problem>) -> Option<CachetAccess> {
    let has_url = !matches!(url, Given::Nothing);
    let has_token = !matches!(token, Given::Nothing);
    if has_url && !has_token {
        let message =
            "is missing beside CACHET_API_URL: create a token in Cachet (Settings, Manage API Keys) and set it";
        problems.push(problem(CACHET_API_TOKEN, message));
    }
    if has_token && !has_url {
        let message = "is missing beside CACHET_API_TOKEN: set it, as in http://cachet/api, or unset the token to use the \
                       built-in page";
        problems.push(problem(CACHET_API_URL, message));
    }
    let base_url = checked(url, CACHET_API_URL, |text| base_url(text, "http://cachet/api"), problems);
    let token = checked(token, CACHET_API_TOKEN, bearer_token, problems);
    Some(CachetAccess { base_url: base_url?, token: SecretString::from(token?) })
}

fn checked(
    given: Given,
    variable: &str,
    check: impl Fn(&str) -> Result<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let Given::Value(value) = given else { return None };
    check(&value).map_err(|message| problems.push(problem(variable, message))).ok()
}

/// The base of an API without slashes at its end. `example` is one.
pub(super) fn base_url(text: &str, example: &str) -> Result<String, String> {
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URL ({error}): write it as in {example}"))?;
    // Whether the URL holds a password is not known here, so none of these repeats it.
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with http:// or https://: write it as in {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or a password: leave them out, credentials have a variable of their own".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("holds a `?` or a `#`: leave out everything from there on".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A token that can stand in a header.
pub(super) fn bearer_token(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.contains(|c: char| !c.is_ascii_graphic()) {
        return Err("holds a space, a line break or a letter that no token has: copy it again".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const URL: (&str, &str) = (CACHET_API_URL, "http://cachet/api");
    const TOKEN: (&str, &str) = (CACHET_API_TOKEN, "1|secret");

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Vec<String>> {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Environment::from_vars(lookup)
            .map_err(|problems| problems.iter().map(|p| format!("{}: {}", p.place.path, p.message)).collect())
    }

    #[test]
    fn an_empty_environment_is_production_with_the_built_in_page() {
        for variables in [&[][..], &[(ENVIRONMENT, ""), (CACHET_API_URL, ""), ("CACHET_API_TOKEN_FILE", "")]] {
            let environment = read(variables).expect("valid");
            assert_eq!(environment.mode, Mode::Production);
            assert!(environment.cachet.is_none() && environment.webhook_basic_auth.is_none());
            let missing = environment.missing_authentication().expect("a problem");
            assert!(missing.message.contains("alertmanager-cachet hash-password USER"), "{missing}");
        }
    }

    #[test]
    fn a_developers_machine_needs_no_authentication() {
        let environment = read(&[(ENVIRONMENT, "local")]).expect("valid");
        assert_eq!(environment.mode, Mode::Local);
        assert_eq!(environment.missing_authentication(), None);
    }

    #[test]
    fn the_url_is_the_whole_base_and_slashes_at_its_end_do_no_harm() {
        for (url, base) in [
            ("http://cachet/api", "http://cachet/api"),
            ("http://cachet/api/", "http://cachet/api"),
            (" http://cachet/api//\n", "http://cachet/api"),
            ("https://Example.com:8443/status/api/", "https://example.com:8443/status/api"),
            ("http://cachet", "http://cachet"),
            ("http://[::1]:8000/api", "http://[::1]:8000/api"),
        ] {
            let cachet = read(&[(CACHET_API_URL, url), TOKEN]).expect("valid").cachet.expect("a Cachet");
            assert_eq!((cachet.base_url.as_str(), cachet.token.expose_secret()), (base, "1|secret"));
        }
    }

    #[test]
    fn a_secret_may_stand_in_a_file_whose_last_newline_does_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        for (content, value) in [("admin:hash\n", "admin:hash"), ("a:b\r\n", "a:b"), ("a:b\nc:d\n", "a:b\nc:d")] {
            let path = folder.path().join("secret");
            std::fs::write(&path, content).expect("written");
            let path = path.to_str().expect("a path in UTF-8");
            let environment = read(&[("WEBHOOK_BASIC_AUTH_FILE", path)]).expect("valid");
            let users = environment.webhook_basic_auth.expect("users");
            assert_eq!(users.expose_secret(), value);
        }
    }

    #[test]
    fn every_problem_is_named_with_its_variable_and_no_secret() {
        for (variables, expected) in [
            (
                &[(ENVIRONMENT, "prodction")][..],
                "ENVIRONMENT: is \"prodction\", must be \"production\" or \"local\": did you mean \"production\"?",
            ),
            (&[(ENVIRONMENT, "x")], "ENVIRONMENT: is \"x\", must be \"production\" or \"local\": write one of the two"),
            (&[URL], "CACHET_API_TOKEN: is missing beside CACHET_API_URL: "),
            (&[TOKEN], "CACHET_API_URL: is missing beside CACHET_API_TOKEN: "),
            (
                &[URL, TOKEN, ("CACHET_API_TOKEN_FILE", "x")],
                "CACHET_API_TOKEN: is set, and CACHET_API_TOKEN_FILE too: ",
            ),
            (
                &[("WEBHOOK_BASIC_AUTH_FILE", "no/such")],
                "WEBHOOK_BASIC_AUTH_FILE: names the file \"no/such\", which does not exist: ",
            ),
            (
                &[("WEBHOOK_BASIC_AUTH_FILE", "/dev/null")],
                "WEBHOOK_BASIC_AUTH_FILE: names the file \"/dev/null\", which is empty: ",
            ),
            (&[(CACHET_API_URL, "cachet/api"), TOKEN], "CACHET_API_URL: is no URL (relative URL without a base): "),
            (&[(CACHET_API_URL, "cachet:8000/api"), TOKEN], "CACHET_API_URL: must begin with http:// or https://: "),
            (&[(CACHET_API_URL, "htp://secret/api"), TOKEN], "CACHET_API_URL: must begin with http:// or https://: "),
            (&[(CACHET_API_URL, "http://"), TOKEN], "CACHET_API_URL: is no URL (empty host): "),
            (&[(CACHET_API_URL, "http://ca chet/"), TOKEN], "CACHET_API_URL: is no URL (invalid international domain"),
            (&[(CACHET_API_URL, "http://u:secret@c/"), TOKEN], "CACHET_API_URL: holds a user or a password: "),
            (&[(CACHET_API_URL, "http://c/?x"), TOKEN], "CACHET_API_URL: holds a `?` or a `#`: "),
            (&[URL, (CACHET_API_TOKEN, "1|se cret")], "CACHET_API_TOKEN: holds a space, "),
        ] {
            let problems = read(variables).expect_err(expected);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(expected), "{problems:?}\n{expected}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let problems = read(&[(ENVIRONMENT, "x"), URL, ("WEBHOOK_BASIC_AUTH_FILE", "no/such")]).expect_err("problems");
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn a_debug_print_shows_no_secret() {
        let environment = read(&[URL, TOKEN, (WEBHOOK_BASIC_AUTH, "admin:secret")]).expect("valid");
        assert!(!format!("{environment:?}").contains("secret"));
    }
}

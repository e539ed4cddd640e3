//! The environment with what a `.env` file adds to it, and what only it may say: secrets, and how strict to be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use secrecy::SecretString;

use super::report::{self, Finding, Place, Severity};
use super::tree::{Node, Value, read_text};
use super::{choice, dotenv};

/// The variable with the base of Cachet's API.
const CACHET_API_URL: &str = "CACHET_API_URL";
/// The variable with the token for it.
const CACHET_API_TOKEN: &str = "CACHET_API_TOKEN";
/// The variable with the users of the webhook.
pub(crate) const WEBHOOK_BASIC_AUTH: &str = "WEBHOOK_BASIC_AUTH";
/// The variable that says how strict to be.
const ENVIRONMENT: &str = "ENVIRONMENT";
/// The variable with the bases of Alertmanager's members, separated by commas.
const ALERTMANAGER_URL: &str = "ALERTMANAGER_URL";
/// The variable with `user:password`.
const ALERTMANAGER_BASIC_AUTH: &str = "ALERTMANAGER_BASIC_AUTH";
/// The variable with a bearer token.
const ALERTMANAGER_BEARER_TOKEN: &str = "ALERTMANAGER_BEARER_TOKEN";
/// The variable with the path of certificates that are trusted beside the system's.
const ALERTMANAGER_CA_FILE: &str = "ALERTMANAGER_CA_FILE";

/// The variables that may be given as files, too, whose names `…_FILE` variables hold.
const SECRETS: [&str; 6] = [
    CACHET_API_URL,
    CACHET_API_TOKEN,
    WEBHOOK_BASIC_AUTH,
    ALERTMANAGER_URL,
    ALERTMANAGER_BASIC_AUTH,
    ALERTMANAGER_BEARER_TOKEN,
];

/// The file that is read from the working directory.
const DOTENV_FILE: &str = ".env";

/// The variables of the environment, and those of `.env` that the environment does not have.
///
/// They are a value and not the process's own environment, because that cannot be changed safely once there are
/// threads.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    /// What is wrong with the `.env` file.
    pub problems: Vec<Finding>,
}

impl Variables {
    /// The environment of this process over the `.env` of its working directory, if there is one.
    pub(crate) fn load() -> Self {
        let process = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Self::overlay(process, Path::new(DOTENV_FILE))
    }

    /// `process` over the file at `dotenv`, which may be absent. A variable that `process` has wins even if it is
    /// empty, so that one can be switched off.
    pub fn overlay(process: impl IntoIterator<Item = (String, String)>, dotenv: &Path) -> Self {
        let mut values: BTreeMap<String, String> = process.into_iter().collect();
        let place = Place::file(dotenv);
        let problem = |place, message| Finding { severity: Severity::Degraded, place, message };
        let text = match read_text(dotenv) {
            Ok(text) => text.unwrap_or_default(),
            Err(fault) => return Self { values, problems: vec![problem(place, fault)] },
        };
        let (file, bad_lines) = dotenv::parse(&text, |name| values.get(name).cloned());
        for (name, value) in file {
            values.entry(name).or_insert(value);
        }
        let bad_lines = bad_lines.into_iter().map(|line| {
            let message = "is not of the form NAME=value and was skipped: correct it (quotes must be closed)";
            problem(Place { path: format!("line {line}"), ..place.clone() }, message.to_owned())
        });
        Self { problems: bad_lines.collect(), values }
    }

    /// The value of a variable; an empty one counts as not set, because compose files pass variables on empty.
    pub fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

/// How Cachet is reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CachetAccess {
    /// The base of its API without a slash at the end, for example `http://cachet/api`.
    pub base_url: String,
    /// The header with its token; it does not print itself.
    pub authorization: HeaderValue,
}

/// How Alertmanager is read.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerAccess {
    /// The base of each member's web interface, for example `http://alertmanager:9093`.
    pub base_urls: Vec<Url>,
    /// The header with a user and a password, or with a token; it does not print itself.
    pub authorization: Option<HeaderValue>,
    /// Certificates in PEM that are trusted beside the system's.
    pub ca_pem: Option<String>,
}

/// What the environment says, checked.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Whether this is a developer's machine, where the webhook may do with `admin:admin` (`ENVIRONMENT=local`).
    pub(crate) is_local: bool,
    /// How Cachet is reached; `None`: the built-in page is the page.
    pub(crate) cachet: Option<CachetAccess>,
    /// The users of the webhook as they were given, `user:hash` and so on; not empty.
    pub(crate) webhook_basic_auth: Option<SecretString>,
    /// How Alertmanager is read; `None`: it is not.
    pub(crate) alertmanager: Option<AlertmanagerAccess>,
}

impl Environment {
    /// Reads the variables, and the files that their `…_FILE` forms name, as far as they can be used beside their problems,
    /// each of which names the variable that has it. An empty variable counts as not set.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<Finding>) {
        let names = SECRETS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}_FILE")]);
        let names = names.chain([ENVIRONMENT, ALERTMANAGER_CA_FILE].map(str::to_owned));
        let given = names.filter_map(|name| {
            let value = lookup(&name)?;
            let value = if name == ENVIRONMENT { value.trim().to_owned() } else { value };
            Some((name, Node::Text(value))).filter(|(_, value)| *value != Node::Text(String::new()))
        });
        let (node, report) = (Node::Map(given.collect()), RefCell::default());
        let variables = Value::root(&node, Path::new(report::ENVIRONMENT), Severity::Fatal, &report);
        let environment = Self {
            is_local: choice(&variables, ENVIRONMENT, &[("production", false), ("local", true)]),
            cachet: cachet(&variables),
            webhook_basic_auth: secret(&variables, WEBHOOK_BASIC_AUTH).map(SecretString::from),
            alertmanager: alertmanager(&variables),
        };
        (environment, report.into_inner().problems)
    }

    /// The problem of a webhook that anyone may post to; `None` if there are users, or if this is a developer's
    /// machine.
    pub(crate) fn missing_authentication(&self) -> Option<Finding> {
        let missing = !self.is_local && self.webhook_basic_auth.is_none();
        let message = "is missing, and without it anyone could post alerts: set it to what `alertmanager-cachet \
                       hash-password USER` prints (or set ENVIRONMENT=local on a developer's machine)";
        let place = Place::variable(WEBHOOK_BASIC_AUTH);
        missing.then(|| Finding { severity: Severity::Fatal, place, message: message.to_owned() })
    }
}

/// The value of `name`, or the content of the file that `name_FILE` names, without the newline at its end, which editors
/// and `echo` leave there. `None`: neither is given, or what is wrong is reported.
fn secret(variables: &Value<'_>, name: &str) -> Option<String> {
    let (value, file_variable) = (variables.get(name), format!("{name}_FILE"));
    let Some(file) = variables.get(&file_variable) else { return value?.text().map(str::to_owned) };
    if let Some(value) = value {
        return value.refuse(format!("is set, and {file_variable} too: unset one of them"));
    }
    let text = file_text(&file)?;
    let value = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&text);
    if value.trim().is_empty() {
        let (path, fault) = (file.text()?, "is empty: write the value into it, or unset the variable");
        return file.refuse(format!("names the file {path:?}, which {fault}"));
    }
    Some(value.to_owned())
}

/// The text of the file that a variable names.
fn file_text(variable: &Value<'_>) -> Option<String> {
    let path = variable.text()?;
    let fault = match read_text(Path::new(path)) {
        Ok(Some(text)) => return Some(text),
        Ok(None) => "does not exist: create it, or correct the name".to_owned(),
        Err(fault) => fault,
    };
    variable.refuse(format!("names the file {path:?}, which {fault}"))
}

/// URL and token, which only make sense together.
fn cachet(variables: &Value<'_>) -> Option<CachetAccess> {
    let is_given = |name: &str| variables.get(name).or_else(|| variables.get(&format!("{name}_FILE"))).is_some();
    let (url, token) = (secret(variables, CACHET_API_URL), secret(variables, CACHET_API_TOKEN));
    let (url_variable, token_variable) = (variables.key(CACHET_API_URL), variables.key(CACHET_API_TOKEN));
    match (is_given(CACHET_API_URL), is_given(CACHET_API_TOKEN)) {
        (true, false) => token_variable.problem(
            "is missing beside CACHET_API_URL: create a token in Cachet (Settings, Manage API Keys) and set it",
        ),
        (false, true) => url_variable.problem(
            "is missing beside CACHET_API_TOKEN: set it, as in http://cachet/api, or unset the token to use the built-in \
             page",
        ),
        _ => {}
    }
    let url = url.and_then(|text| base_url(&url_variable, &text, "http://cachet/api"));
    let authorization = token.and_then(|text| authorization(bearer_token(&token_variable, &text)?));
    let base_url = url?.as_str().trim_end_matches('/').to_owned();
    Some(CachetAccess { base_url, authorization: authorization? })
}

/// `None` if no Alertmanager is named, or something is wrong.
fn alertmanager(variables: &Value<'_>) -> Option<AlertmanagerAccess> {
    let (urls, url_variable) = (secret(variables, ALERTMANAGER_URL), variables.key(ALERTMANAGER_URL));
    let (basic_variable, token_variable) =
        (variables.key(ALERTMANAGER_BASIC_AUTH), variables.key(ALERTMANAGER_BEARER_TOKEN));
    let problems_before = variables.report.borrow().problems.len();
    let (basic, token) = (secret(variables, ALERTMANAGER_BASIC_AUTH), secret(variables, ALERTMANAGER_BEARER_TOKEN));
    let credentials = match (basic, token) {
        (Some(_), Some(_)) => token_variable.refuse("is set, and ALERTMANAGER_BASIC_AUTH too: unset one of them"),
        (Some(basic), None) => match basic.split_once(':') {
            Some((user, _)) if !user.is_empty() => Some(format!("Basic {}", BASE64_STANDARD.encode(basic))),
            _ => basic_variable.refuse("is no user and password: write it as user:password"),
        },
        (None, token) => token.and_then(|token| bearer_token(&token_variable, &token)),
    };
    let is_usable = variables.report.borrow().problems.len() == problems_before;
    let authorization = credentials.and_then(authorization);
    let ca_pem = variables.get(ALERTMANAGER_CA_FILE).and_then(|file| {
        let text = file_text(&file)?;
        if text.contains("BEGIN CERTIFICATE") {
            return Some(text);
        }
        let (path, fault) = (file.text()?, "holds no certificate in PEM: name a file with BEGIN CERTIFICATE in it");
        file.refuse(format!("names the file {path:?}, which {fault}"))
    });
    let urls = urls?;
    let parts = urls.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let base_urls = parts.map(|part| base_url(&url_variable, part, "http://alertmanager:9093"));
    let base_urls = base_urls.collect::<Option<Vec<Url>>>()?;
    if base_urls.is_empty() {
        return url_variable.refuse("names no address: write it as in http://alertmanager:9093, or unset it");
    }
    is_usable.then_some(AlertmanagerAccess { base_urls, authorization, ca_pem })
}

/// The base of an API. `example` is one.
fn base_url(variable: &Value<'_>, text: &str, example: &str) -> Option<Url> {
    // Whether the URL holds a password is not known here, so nothing repeats it.
    let fault = match Url::parse(text.trim()) {
        Err(error) => format!("is no URL ({error}): write it as in {example}"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            format!("must begin with http:// or https://: write it as in {example}")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user or a password: leave them out, credentials have a variable of their own".to_owned()
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            "holds a `?` or a `#`: leave out everything from there on".to_owned()
        }
        Ok(url) => return Some(url),
    };
    variable.refuse(fault)
}

/// The header with these credentials, which does not print itself.
fn authorization(credentials: String) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(credentials).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The credentials that a token makes, if it can stand in a header.
fn bearer_token(variable: &Value<'_>, text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.contains(|c: char| !c.is_ascii_graphic()) {
        return variable.refuse("holds a space, a line break or a letter that no token has: copy it again");
    }
    Some(format!("Bearer {text}"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const URL: (&str, &str) = (CACHET_API_URL, "http://cachet/api");
    const TOKEN: (&str, &str) = (CACHET_API_TOKEN, "1|secret");

    fn read(variables: &[(&str, &str)]) -> Result<Environment, Vec<String>> {
        let lookup =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let (environment, problems) = Environment::read(lookup);
        let told = problems.iter().map(|problem| format!("{}: {}", problem.place.path, problem.message)).collect();
        if problems.is_empty() { Ok(environment) } else { Err(told) }
    }

    #[test]
    fn an_empty_environment_is_production_with_the_built_in_page() {
        for variables in [&[][..], &[(ENVIRONMENT, ""), (CACHET_API_URL, ""), ("CACHET_API_TOKEN_FILE", "")]] {
            let environment = read(variables).expect("valid");
            assert!(!environment.is_local);
            assert!(environment.cachet.is_none() && environment.webhook_basic_auth.is_none());
            let missing = environment.missing_authentication().expect("a problem");
            assert!(missing.message.contains("alertmanager-cachet hash-password USER"), "{missing}");
        }
    }

    #[test]
    fn a_developers_machine_needs_no_authentication() {
        let environment = read(&[(ENVIRONMENT, "local")]).expect("valid");
        assert!(environment.is_local);
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
            assert_eq!((cachet.base_url.as_str(), cachet.authorization.as_bytes()), (base, &b"Bearer 1|secret"[..]));
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

    const ALERTMANAGER: (&str, &str) = (ALERTMANAGER_URL, "http://am:9093");

    fn alertmanager(variables: &[(&str, &str)]) -> Option<AlertmanagerAccess> {
        read(variables).expect("valid").alertmanager
    }

    #[test]
    fn without_an_address_no_alertmanager_is_read() {
        assert!(alertmanager(&[]).is_none());
        assert!(alertmanager(&[(ALERTMANAGER_BASIC_AUTH, "a:b")]).is_none());
    }

    #[test]
    fn the_members_of_a_pair_are_separated_by_commas() {
        let access = alertmanager(&[(ALERTMANAGER_URL, "http://am-1:9093/, https://am-2/alertmanager,")]);
        let urls: Vec<String> = access.expect("an access").base_urls.iter().map(Url::to_string).collect();
        assert_eq!(urls, ["http://am-1:9093/", "https://am-2/alertmanager"]);
    }

    #[test]
    fn the_credentials_are_a_user_with_a_password_or_a_token() {
        for (variable, expected) in [
            ((ALERTMANAGER_BASIC_AUTH, "page:se:cret"), "Basic cGFnZTpzZTpjcmV0"),
            ((ALERTMANAGER_BEARER_TOKEN, "se:cret"), "Bearer se:cret"),
        ] {
            let header = alertmanager(&[ALERTMANAGER, variable]).expect("an access").authorization.expect("a header");
            assert_eq!(header.to_str().expect("a text"), expected);
            assert_eq!(format!("{header:?}"), "Sensitive");
        }
    }

    #[test]
    fn every_problem_with_alertmanager_is_named_with_its_variable_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let no_certificate = folder.path().join("ca.pem");
        std::fs::write(&no_certificate, "hello").expect("written");
        let no_certificate = no_certificate.to_str().expect("UTF-8");
        for (variables, expected) in [
            (&[(ALERTMANAGER_URL, "http://am,am-2:9093")][..], "ALERTMANAGER_URL: must begin with http:// or https://"),
            (&[(ALERTMANAGER_URL, ",")], "ALERTMANAGER_URL: names no address: "),
            (&[(ALERTMANAGER_URL, "http://u:secret@am/")], "ALERTMANAGER_URL: holds a user or a password: "),
            (
                &[ALERTMANAGER, (ALERTMANAGER_BASIC_AUTH, "secret")],
                "ALERTMANAGER_BASIC_AUTH: is no user and password: ",
            ),
            (&[ALERTMANAGER, (ALERTMANAGER_BEARER_TOKEN, "a secret")], "ALERTMANAGER_BEARER_TOKEN: holds a space, "),
            (
                &[ALERTMANAGER, (ALERTMANAGER_BEARER_TOKEN, "secret"), (ALERTMANAGER_BASIC_AUTH, "a:secret")],
                "ALERTMANAGER_BEARER_TOKEN: is set, and ALERTMANAGER_BASIC_AUTH too: ",
            ),
            (
                &[ALERTMANAGER, (ALERTMANAGER_CA_FILE, "no/such")],
                "ALERTMANAGER_CA_FILE: names the file \"no/such\", which does ",
            ),
            (&[ALERTMANAGER, (ALERTMANAGER_CA_FILE, no_certificate)], "ALERTMANAGER_CA_FILE: names the file "),
        ] {
            let problems = read(variables).expect_err(expected);
            let [problem] = &problems[..] else { panic!("one problem: {problems:?}") };
            assert!(problem.starts_with(expected) && !problem.contains("secret"), "{problem}\n{expected}");
        }
    }

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
        assert!(variables.problems.is_empty());
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
        let problem = variables.problems.first().expect("a problem");
        assert_eq!(problem.place.path, "line 2");
    }

    #[test]
    fn no_file_is_no_problem() {
        let variables = Variables::overlay([("A".to_owned(), "1".to_owned())], Path::new("does/not/exist"));
        assert_eq!((variables.get("A"), variables.problems), (Some("1".to_owned()), Vec::new()));
    }
}

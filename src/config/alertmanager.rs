//! The part of the environment that says how Alertmanager is read.

use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::environment::{Given, base_url, bearer_token, problem, secret};
use super::file::{Unreadable, read_text};
use super::report::Problem;

/// The variable with the bases of the members, separated by commas.
pub const ALERTMANAGER_URL: &str = "ALERTMANAGER_URL";
/// The variable with `user:password`.
pub const ALERTMANAGER_BASIC_AUTH: &str = "ALERTMANAGER_BASIC_AUTH";
/// The variable with a bearer token.
pub const ALERTMANAGER_BEARER_TOKEN: &str = "ALERTMANAGER_BEARER_TOKEN";
/// The variable with the path of certificates that are trusted beside the system's.
pub const ALERTMANAGER_CA_FILE: &str = "ALERTMANAGER_CA_FILE";

/// How Alertmanager is read.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerAccess {
    /// The base of each member's web interface without a slash at the end, for example `http://alertmanager:9093`.
    pub base_urls: Vec<String>,
    /// Who we are to them.
    pub credentials: AlertmanagerCredentials,
    /// The text of [`ALERTMANAGER_CA_FILE`].
    pub ca_pem: Option<String>,
}

/// Who we are to Alertmanager.
#[derive(Debug, Clone)]
pub enum AlertmanagerCredentials {
    /// Nobody.
    None,
    /// Basic Auth.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// A bearer token.
    Bearer(SecretString),
}

impl PartialEq for AlertmanagerCredentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Basic { user, password }, Self::Basic { user: other_user, password: other_password }) => {
                user == other_user && password.expose_secret() == other_password.expose_secret()
            }
            (Self::Bearer(token), Self::Bearer(other)) => token.expose_secret() == other.expose_secret(),
            _ => false,
        }
    }
}

/// Reads the variables; `None` if no Alertmanager is named, or something is wrong.
pub(super) fn access(
    lookup: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<AlertmanagerAccess> {
    let urls = secret(&lookup, ALERTMANAGER_URL, problems);
    let credentials = credentials(&lookup, problems);
    let ca_pem = ca_pem(&lookup, problems);
    let Given::Value(urls) = urls else { return None };
    let base_urls = base_urls(&urls, problems)?;
    Some(AlertmanagerAccess { base_urls, credentials: credentials?, ca_pem })
}

fn base_urls(list: &str, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
    let parts = list.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let read: Result<Vec<String>, String> = parts.map(|part| base_url(part, "http://alertmanager:9093")).collect();
    let message = match read {
        Ok(urls) if !urls.is_empty() => return Some(urls),
        Ok(_) => "names no address: write it as in http://alertmanager:9093, or unset it".to_owned(),
        Err(message) => message,
    };
    problems.push(problem(ALERTMANAGER_URL, message));
    None
}

fn credentials(
    lookup: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<AlertmanagerCredentials> {
    let basic = secret(&lookup, ALERTMANAGER_BASIC_AUTH, problems);
    let bearer = secret(&lookup, ALERTMANAGER_BEARER_TOKEN, problems);
    let (variable, message) = match (basic, bearer) {
        (Given::Nothing, Given::Nothing) => return Some(AlertmanagerCredentials::None),
        (Given::Value(_), Given::Value(_)) => {
            (ALERTMANAGER_BEARER_TOKEN, "is set, and ALERTMANAGER_BASIC_AUTH too: unset one of them".to_owned())
        }
        (Given::Value(basic), Given::Nothing) => match basic.split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                let password = SecretString::from(password.to_owned());
                return Some(AlertmanagerCredentials::Basic { user: user.to_owned(), password });
            }
            _ => (ALERTMANAGER_BASIC_AUTH, "is no user and password: write it as user:password".to_owned()),
        },
        (Given::Nothing, Given::Value(token)) => match bearer_token(&token) {
            Ok(token) => return Some(AlertmanagerCredentials::Bearer(SecretString::from(token))),
            Err(message) => (ALERTMANAGER_BEARER_TOKEN, message),
        },
        // What is wrong is reported already.
        (Given::Wrong, _) | (_, Given::Wrong) => return None,
    };
    problems.push(problem(variable, message));
    None
}

fn ca_pem(lookup: impl Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Option<String> {
    let path = lookup(ALERTMANAGER_CA_FILE).filter(|path| !path.is_empty())?;
    let fault = match read_text(Path::new(&path)) {
        Ok(text) if text.contains("BEGIN CERTIFICATE") => return Some(text),
        Ok(_) => "holds no certificate in PEM: name a file with BEGIN CERTIFICATE in it".to_owned(),
        Err(Unreadable::Absent) => "does not exist: create it, or correct the name".to_owned(),
        Err(Unreadable::Fault(fault)) => fault,
    };
    problems.push(problem(ALERTMANAGER_CA_FILE, format!("names the file {path:?}, which {fault}")));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: (&str, &str) = (ALERTMANAGER_URL, "http://am:9093");

    fn read(variables: &[(&str, &str)]) -> Result<Option<AlertmanagerAccess>, Vec<String>> {
        let mut problems = Vec::new();
        let access = access(
            |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
            &mut problems,
        );
        let told = problems.iter().map(|problem| format!("{}: {}", problem.place.path, problem.message)).collect();
        if problems.is_empty() { Ok(access) } else { Err(told) }
    }

    #[test]
    fn without_an_address_nothing_is_read() {
        assert!(read(&[]).expect("valid").is_none());
        assert!(read(&[(ALERTMANAGER_BASIC_AUTH, "a:b")]).expect("valid").is_none());
    }

    #[test]
    fn the_members_of_a_pair_are_separated_by_commas() {
        let access = read(&[(ALERTMANAGER_URL, "http://am-1:9093/, https://am-2/alertmanager,")]);
        let urls = access.expect("valid").expect("an access").base_urls;
        assert_eq!(urls, ["http://am-1:9093", "https://am-2/alertmanager"]);
    }

    #[test]
    fn the_credentials_are_a_user_with_a_password_or_a_token() {
        let access = |variable| read(&[URL, variable]).expect("valid").expect("an access").credentials;
        let basic = access((ALERTMANAGER_BASIC_AUTH, "page:se:cret"));
        assert!(matches!(&basic, AlertmanagerCredentials::Basic { user, password }
            if user == "page" && password.expose_secret() == "se:cret"));
        let bearer = access((ALERTMANAGER_BEARER_TOKEN, "se:cret"));
        assert!(matches!(&bearer, AlertmanagerCredentials::Bearer(token) if token.expose_secret() == "se:cret"));
        assert!(!format!("{basic:?} {bearer:?}").contains("se:cret"));
    }

    #[test]
    fn every_problem_is_named_with_its_variable_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let no_certificate = folder.path().join("ca.pem");
        std::fs::write(&no_certificate, "hello").expect("written");
        let no_certificate = no_certificate.to_str().expect("UTF-8");
        for (variables, expected) in [
            (&[(ALERTMANAGER_URL, "http://am,am-2:9093")][..], "ALERTMANAGER_URL: must begin with http:// or https://"),
            (&[(ALERTMANAGER_URL, ",")], "ALERTMANAGER_URL: names no address: "),
            (&[(ALERTMANAGER_URL, "http://u:secret@am/")], "ALERTMANAGER_URL: holds a user or a password: "),
            (&[URL, (ALERTMANAGER_BASIC_AUTH, "secret")], "ALERTMANAGER_BASIC_AUTH: is no user and password: "),
            (&[URL, (ALERTMANAGER_BEARER_TOKEN, "a secret")], "ALERTMANAGER_BEARER_TOKEN: holds a space, "),
            (
                &[URL, (ALERTMANAGER_BEARER_TOKEN, "secret"), (ALERTMANAGER_BASIC_AUTH, "a:secret")],
                "ALERTMANAGER_BEARER_TOKEN: is set, and ALERTMANAGER_BASIC_AUTH too: ",
            ),
            (
                &[URL, (ALERTMANAGER_CA_FILE, "no/such")],
                "ALERTMANAGER_CA_FILE: names the file \"no/such\", which does ",
            ),
            (&[URL, (ALERTMANAGER_CA_FILE, no_certificate)], "ALERTMANAGER_CA_FILE: names the file "),
        ] {
            let problems = read(variables).expect_err(expected);
            let [problem] = &problems[..] else { panic!("one problem: {problems:?}") };
            assert!(problem.starts_with(expected) && !problem.contains("secret"), "{problem}\n{expected}");
        }
    }
}

//! `--web.config.file`: TLS, users and headers of the server, in the format of Prometheus' exporter-toolkit.
//!
//! The toolkit's `docs/web-configuration.md` is the reference. What is not offered here is refused by name and never
//! passed over: a server that ignores a line about its security is worse than one that does not start.

pub mod tls;

use std::path::Path;

use axum::http::{HeaderName, HeaderValue};
use secrecy::SecretString;

pub use self::tls::{ClientAuth, Preference, TlsConfig, TlsVersion};

use super::file::{Unreadable, read_text};
use super::report::did_you_mean;
use super::report::{Place, Report, Severity};
use super::tree::{Form, Map, Value, parse_filled};
use crate::core::target::excerpt;

/// Every key of the file.
pub const KEYS: &[&str] = &["tls_server_config", "http_server_config", "basic_auth_users"];

/// Every key of `http_server_config`.
pub const HTTP_KEYS: &[&str] = &["http2", "headers"];

/// What the toolkit has and this program has not, each with the reason and the cure.
const REFUSED: &[(&str, &str)] = &[(
    "rate_limit",
    "is not supported, for Alertmanager drops what is answered with 429, and with it alerts: remove it",
)];

/// The headers that may be added to answers; where there is a list, one of its values. As in the toolkit.
pub const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// The file, checked as far as its own text goes: nothing that it names was read yet.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// The file as it was named.
    pub place: Place,
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<TlsConfig>,
    /// `basic_auth_users`.
    pub users: Vec<WebUser>,
    /// What answers carry that do not say otherwise themselves.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// An entry of `basic_auth_users`.
#[derive(Debug, Clone)]
pub struct WebUser {
    /// Where it stands.
    pub place: Place,
    /// The name.
    pub name: String,
    /// What should be a bcrypt hash.
    pub hash: SecretString,
}

/// Reads the file at `path`. What is wrong goes into the report, and nearly all of it is fatal; `None` if there is no
/// such file, or it is none.
pub fn read(path: &Path, report: &mut Report) -> Option<WebConfig> {
    let place = Place::file(path.display().to_string());
    let text = match read_text(path) {
        Ok(text) => text,
        Err(Unreadable::Absent) => {
            report.fatal(place, "does not exist: create it, or correct --web.config.file (WEB_CONFIG_FILE)");
            return None;
        }
        Err(Unreadable::Fault(fault)) => {
            report.fatal(place, fault);
            return None;
        }
    };
    // An empty file would be one without TLS and without users, which somebody who is just writing it does not mean.
    let node = parse_filled(&text, Form::Yaml, &place, Severity::Fatal, report)?;
    let map = Value::root(&node, place.clone(), Severity::Fatal).map(report)?;
    refuse_unknown_keys(&map, KEYS, REFUSED, report);
    let folder = path.parent().unwrap_or(Path::new(""));
    let tls = map.get_filled("tls_server_config").and_then(|tls| tls::read(&tls.map(report)?, folder, report));
    let users = users(&map, report);
    let headers = map.get_filled("http_server_config").map(|http| http_headers(&http, report)).unwrap_or_default();
    Some(WebConfig { place, tls, users, headers })
}

/// Reports keys that nothing reads.
fn refuse_unknown_keys(map: &Map<'_>, known: &[&str], refused: &[(&str, &str)], report: &mut Report) {
    for (key, value) in map.iter().filter(|(key, _)| !known.contains(key)) {
        match refused.iter().find(|(name, _)| *name == key) {
            Some((_, reason)) => value.problem(*reason, report),
            None => {
                let cure = did_you_mean(key, known.iter().copied(), "remove it");
                value.problem(format!("is not a known key: {cure}"), report);
            }
        }
    }
}

fn users(map: &Map<'_>, report: &mut Report) -> Vec<WebUser> {
    let Some(users) = map.get_filled("basic_auth_users").and_then(|users| users.map(report)) else { return Vec::new() };
    let users = users.iter().filter_map(|(name, hash)| {
        let hash_text = SecretString::from(hash.text(report)?.to_owned());
        Some(WebUser { place: hash.place, name: name.to_owned(), hash: hash_text })
    });
    users.collect()
}

fn http_headers(http: &Value<'_>, report: &mut Report) -> Vec<(HeaderName, HeaderValue)> {
    let Some(http) = http.map(report) else { return Vec::new() };
    refuse_unknown_keys(&http, HTTP_KEYS, &[], report);
    if http.get_filled("http2").and_then(|value| value.boolean(report)) == Some(true) {
        report.remark(http.place.key("http2"), "HTTP/2 is not spoken; every client of it speaks HTTP/1.1 as well");
    }
    let Some(headers) = http.get_filled("headers").and_then(|headers| headers.map(report)) else { return Vec::new() };
    headers.iter().filter_map(|(name, value)| header(name, &value, report)).collect()
}

/// A header with its value; `None` if it is left blank, which unsets it, or cannot be used.
fn header(name: &str, value: &Value<'_>, report: &mut Report) -> Option<(HeaderName, HeaderValue)> {
    let Some((known, words)) = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        let known = HEADERS.iter().map(|(known, _)| *known);
        let cure = did_you_mean(name, known, "remove it, or let a reverse proxy set it");
        value.problem(format!("is not a header that can be set: {cure}"), report);
        return None;
    };
    let text = value.text(report)?;
    if text.is_empty() {
        return None;
    }
    if !words.is_empty() && !words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        let cure = did_you_mean(text, words.iter().copied(), "remove it");
        value.problem(format!("is {:?}, must be {}: {cure}", excerpt(text), words.join(" or ")), report);
        return None;
    }
    match (HeaderName::try_from(*known), HeaderValue::from_str(text)) {
        (Ok(name), Ok(text)) => Some((name, text)),
        _ => {
            value.problem("holds a character that no header may have: leave it out", report);
            None
        }
    }
}

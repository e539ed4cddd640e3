//! `--web.config.file`: TLS, users and headers of the server, in the format of Prometheus' exporter-toolkit.
//!
//! The toolkit's `docs/web-configuration.md` is the reference. What is not offered here is refused by name and never
//! passed over: a server that ignores a line about its security is worse than one that does not start.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::report::{Report, Severity, did_you_mean};
use super::tree::{Form, Value, read_file};
use super::users::Users;
use crate::core::target::excerpt;

/// Every key of the file, of its part about HTTP, and of its part about TLS.
pub(super) const KEYS: &[&str] = &["tls_server_config", "http_server_config", "basic_auth_users"];
pub(super) const HTTP_KEYS: &[&str] = &["http2", "headers"];
pub(super) const TLS_KEYS: &[&str] = &[
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// What the toolkit has and this program has not, each with the reason and the cure.
const REFUSED: &[(&str, &str)] = &[(
    "rate_limit",
    "is not supported, for Alertmanager drops what is answered with 429, and with it alerts: remove it",
)];
const REFUSED_OF_TLS: &[(&str, &str)] = &[
    ("cert", "is not supported: write the certificate to a file, and name that as cert_file"),
    ("key", "is not supported: write the key to a file, and name that as key_file"),
    ("client_ca", "is not supported: write the certificates to a file, and name that as client_ca_file"),
    (
        "client_allowed_sans",
        "is not supported: let a certificate authority of its own sign the clients, and name that as client_ca_file",
    ),
];

/// The headers that may be added to answers; where there is a list, one of its values. As in the toolkit.
pub(super) const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// The words of `client_auth_type`, with an older one that the toolkit still takes: whether clients are asked for a
/// certificate, and if so, whether they must have one, and whether a known authority must have signed it.
const CLIENT_AUTH: &[(&str, Option<(bool, bool)>)] = &[
    ("NoClientCert", None),
    ("RequestClientCert", Some((false, false))),
    ("RequireAnyClientCert", Some((true, false))),
    ("VerifyClientCertIfGiven", Some((false, true))),
    ("RequireAndVerifyClientCert", Some((true, true))),
    ("RequireClientCert", Some((true, false))),
];

/// The versions that are spoken, the older first, and their words.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];
const VERSION_WORDS: &[(&str, usize)] = &[("TLS12", 0), ("TLS13", 1)];

/// The file, checked as far as its own text goes: nothing that it names was read yet.
#[derive(Debug, Clone)]
pub(crate) struct WebConfig {
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<TlsConfig>,
    /// What answers carry that do not say otherwise themselves.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// How TLS is spoken.
#[derive(Debug, Clone)]
pub(crate) struct TlsConfig {
    /// The server's certificate and those between it and its authority, in PEM.
    pub(crate) cert_file: PathBuf,
    /// Its key, in PEM.
    pub(crate) key_file: PathBuf,
    /// The certificate that clients are asked for; `None`: none.
    pub(crate) client_auth: Option<ClientAuth>,
    /// The versions that are spoken.
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    /// The suites and curves that are taken, the preferred first.
    pub(crate) provider: Arc<CryptoProvider>,
    /// Whether the server's preference decides among the suites of both, and not the client's.
    pub(crate) prefer_server_cipher_suites: bool,
}

/// The certificate that clients are asked for (`client_auth_type`, with the meaning that Go gives the words).
#[derive(Debug, Clone)]
pub(crate) struct ClientAuth {
    /// Whether a client without one is turned away.
    pub(crate) is_mandatory: bool,
    /// Whether a known authority has to have signed it; else it may be anybody's.
    pub(crate) verifies: bool,
    /// The authorities, in PEM; there is one if certificates are verified.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Reads the file at `path`, and adds its `basic_auth_users` to `users`. What is wrong goes into the report, and nearly all
/// of it is fatal; `None` if there is no such file, or it is none.
pub(crate) fn read_web_config(path: &Path, users: &mut Users, report: &mut Report) -> Option<WebConfig> {
    let found = RefCell::default();
    let if_absent = "does not exist: create it, or correct --web.config.file (WEB_CONFIG_FILE)";
    // An empty file would be one without TLS and without users, which somebody who is just writing it does not mean.
    let node = read_file(path, Form::Yaml, Severity::Fatal, if_absent, &found);
    let config = node.as_ref().and_then(|node| Value::root(node, path, Severity::Fatal, &found).map()).map(|map| {
        map.report_unknown_keys(KEYS, REFUSED, "remove it");
        let folder = path.parent().unwrap_or(Path::new(""));
        let tls = map.get_filled("tls_server_config").and_then(|tls| read_tls(&tls.map()?, folder));
        let operators = map.get_filled("basic_auth_users").and_then(|operators| operators.map());
        let operators = operators.iter().flat_map(Value::entries);
        let operators: Vec<_> = operators.filter_map(|(name, hash)| Some((name, hash.text()?, hash))).collect();
        let http = map.get_filled("http_server_config").and_then(|http| http.map());
        let headers = http.and_then(|http| {
            http.report_unknown_keys(HTTP_KEYS, &[], "remove it");
            if http.get_filled("http2").and_then(|value| value.boolean()) == Some(true) {
                http.key("http2").remark("HTTP/2 is not spoken; every client of it speaks HTTP/1.1 as well");
            }
            let headers = http.get_filled("headers")?.map()?;
            Some(headers.entries().into_iter().filter_map(|(name, value)| header(name, &value)).collect())
        });
        for (name, text, hash) in operators {
            hash.checked(users.add_operator(name, text));
        }
        WebConfig { tls, headers: headers.unwrap_or_default() }
    });
    report.append(found.into_inner());
    config
}

/// A header with its value; `None` if it is left blank, which unsets it, or cannot be used.
fn header(name: &str, value: &Value<'_>) -> Option<(HeaderName, HeaderValue)> {
    let Some((known, words)) = HEADERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        let known = HEADERS.iter().map(|(known, _)| *known);
        let cure = did_you_mean(name, known, "remove it, or let a reverse proxy set it");
        return value.refuse(format!("is not a header that can be set: {cure}"));
    };
    let text = value.text()?;
    if text.is_empty() {
        return None;
    }
    if !words.is_empty() && !words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        let cure = did_you_mean(text, words.iter().copied(), "remove it");
        return value.refuse(format!("is {:?}, must be {}: {cure}", excerpt(text), words.join(" or ")));
    }
    let header = HeaderName::try_from(*known).ok().zip(HeaderValue::from_str(text).ok());
    header.or_else(|| value.refuse("holds a character that no header may have: leave it out"))
}

/// Reads the mapping; paths are relative to `folder`. `None` if certificate or key is missing.
fn read_tls(map: &Value<'_>, folder: &Path) -> Option<TlsConfig> {
    map.report_unknown_keys(TLS_KEYS, REFUSED_OF_TLS, "remove it");
    let path = |value: Value<'_>| match value.text()? {
        "" => value.refuse("is empty: name a file"),
        text => Some(folder.join(text)),
    };
    let client_auth = client_auth(map, map.get_filled("client_ca_file").and_then(path));
    let version = |key| {
        let value = map.get_filled(key)?;
        match value.text()? {
            // The toolkit knows these, and nobody should speak them any more.
            "TLS10" | "TLS11" => value.refuse("is not supported, for it is no longer safe: write TLS12 or TLS13"),
            text => choice(&value, text, VERSION_WORDS),
        }
    };
    let mut min_version = version("min_version").unwrap_or(0);
    let max_version = version("max_version").unwrap_or(1);
    if min_version > max_version {
        map.key("min_version").problem("is above max_version: correct one of the two");
        min_version = max_version;
    }
    let mut provider = aws_lc_rs::default_provider();
    let cure = "remove it; without cipher_suites all safe ones are taken";
    if let Some(mut suites) = names(map, "cipher_suites", &suites(), cure) {
        suites.retain(|suite| suite.tls13().is_none());
        if suites.is_empty() && max_version == 0 {
            map.key("cipher_suites").problem("names no suite of TLS 1.2, and max_version is TLS12: add one");
        }
        // Those of TLS 1.3 are always offered: as in Go, the list says nothing about them.
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.extend(suites);
    }
    // The curves that there are, by Go's names.
    let curves: [(_, &dyn SupportedKxGroup); 3] = [
        ("CurveP256", aws_lc_rs::kx_group::SECP256R1),
        ("CurveP384", aws_lc_rs::kx_group::SECP384R1),
        ("X25519", aws_lc_rs::kx_group::X25519),
    ];
    let cure = "remove it; without curve_preferences all are taken";
    if let Some(curves) = names(map, "curve_preferences", &curves, cure) {
        provider.kx_groups = curves;
    }
    let prefer_server = map.get_filled("prefer_server_cipher_suites").and_then(|value| value.boolean());
    let missing = "is missing: TLS takes a certificate (cert_file) and its key (key_file)";
    let cert_file = map.required("cert_file", missing).and_then(path);
    let key_file = map.required("key_file", missing).and_then(path);
    Some(TlsConfig {
        client_auth,
        versions: VERSIONS[min_version..=max_version].to_vec(),
        provider: Arc::new(provider),
        prefer_server_cipher_suites: prefer_server.unwrap_or(true),
        cert_file: cert_file?,
        key_file: key_file?,
    })
}

fn client_auth(map: &Value<'_>, ca_file: Option<PathBuf>) -> Option<ClientAuth> {
    let asked = match map.get_filled("client_auth_type").map(|value| (value.text(), value)) {
        // An empty text is the default, as in the toolkit.
        None | Some((Some(""), _)) => None,
        Some((text, value)) => choice(&value, text?, CLIENT_AUTH)?,
    };
    let ca_key = map.key("client_ca_file");
    match (asked, map.get_filled("client_ca_file").is_some()) {
        (Some((_, true)), false) => ca_key.problem("is missing: name the certificates of who signs the clients' ones"),
        (None | Some((_, false)), true) => {
            ca_key.problem("is given, but this client_auth_type verifies nothing: set it to RequireAndVerifyClientCert")
        }
        _ => {}
    }
    let (is_mandatory, verifies) = asked?;
    if !verifies {
        let message = "any certificate will do, and anybody can make one: RequireAndVerifyClientCert is safe";
        map.key("client_auth_type").remark(message);
    }
    Some(ClientAuth { is_mandatory, verifies, ca_file: ca_file.filter(|_| verifies) })
}

/// Every suite that there is, by Go's name. Go's others are without forward secrecy or authentication.
fn suites() -> Vec<(&'static str, SupportedCipherSuite)> {
    let name = |suite: &SupportedCipherSuite| match suite.suite().as_str()? {
        "TLS13_AES_128_GCM_SHA256" => Some("TLS_AES_128_GCM_SHA256"),
        "TLS13_AES_256_GCM_SHA384" => Some("TLS_AES_256_GCM_SHA384"),
        "TLS13_CHACHA20_POLY1305_SHA256" => Some("TLS_CHACHA20_POLY1305_SHA256"),
        name => Some(name),
    };
    aws_lc_rs::ALL_CIPHER_SUITES.iter().filter_map(|suite| Some((name(suite)?, *suite))).collect()
}

/// A list of what has `known` names; `None` if it is absent or empty, which both mean the default.
fn names<T: Copy>(map: &Value<'_>, key: &str, known: &[(&str, T)], cure: &str) -> Option<Vec<T>> {
    let items = map.get_filled(key)?.list()?;
    let named = items.iter().filter_map(|item| {
        let text = item.text()?;
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.or_else(|| {
            let cure = did_you_mean(text, known.iter().map(|(name, _)| *name), cure);
            item.refuse(format!("{:?} is not supported: {cure}", excerpt(text)))
        })
    });
    Some(named.collect()).filter(|_| !items.is_empty())
}

/// One of several words.
fn choice<T: Copy>(value: &Value<'_>, text: &str, words: &[(&str, T)]) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
    found.or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let otherwise = format!("write one of {}", all.join(", "));
        let cure = did_you_mean(text, all, &otherwise);
        value.refuse(format!("is {:?}, which has no meaning here: {cure}", excerpt(text)))
    })
}

//! `tls_server_config`: how TLS is spoken, as the file says it.

use std::path::{Path, PathBuf};

use super::refuse_unknown_keys;
use crate::config::report::Report;
use crate::config::report::did_you_mean;
use crate::config::tree::{Map, Value};
use crate::core::target::excerpt;

/// Every key that is read.
pub const KEYS: &[&str] = &[
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

/// What the toolkit has and this program has not, each with the cure.
const REFUSED: &[(&str, &str)] = &[
    ("cert", "is not supported: write the certificate to a file, and name that as cert_file"),
    ("key", "is not supported: write the key to a file, and name that as key_file"),
    ("client_ca", "is not supported: write the certificates to a file, and name that as client_ca_file"),
    (
        "client_allowed_sans",
        "is not supported: let a certificate authority of its own sign the clients, and name that as client_ca_file",
    ),
];

/// The words of `client_auth_type`, and an older one that the toolkit still takes.
const CLIENT_AUTH: &[(&str, ClientAuth)] = &[
    ("NoClientCert", ClientAuth::None),
    ("RequestClientCert", ClientAuth::Request),
    ("RequireAnyClientCert", ClientAuth::RequireAny),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ("RequireClientCert", ClientAuth::RequireAny),
];

const VERSIONS: &[(&str, TlsVersion)] = &[("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)];

/// Versions that the toolkit knows and that nobody should speak any more.
const OLD_VERSIONS: &[&str] = &["TLS10", "TLS11"];

/// The suites of TLS 1.2 that there are, by Go's names. Go's others are without forward secrecy or authentication.
pub(crate) const TLS12_SUITES: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Those of TLS 1.3, which are always offered: as in Go, the list says nothing about them.
const TLS13_SUITES: &[&str] = &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// The curves that there are, by Go's names.
pub(crate) const CURVES: &[&str] = &["CurveP256", "CurveP384", "X25519"];

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The server's certificate and those between it and its authority, in PEM.
    pub cert_file: PathBuf,
    /// Its key, in PEM.
    pub key_file: PathBuf,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Who signs clients' certificates, in PEM; there is one if they are verified.
    pub client_ca_file: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest one.
    pub max_version: TlsVersion,
    /// The suites of TLS 1.2 that are taken, the preferred first (of `TLS12_SUITES`); `None`: all.
    pub cipher_suites: Option<Vec<&'static str>>,
    /// Whose preference decides among the suites of both.
    pub preference: Preference,
    /// The curves, the preferred first (of `CURVES`); `None`: rustls' own choice.
    pub curves: Option<Vec<&'static str>>,
}

/// Whose order of cipher suites counts (`prefer_server_cipher_suites`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// The server's.
    Server,
    /// The client's.
    Client,
}

/// What is asked of clients (`client_auth_type`, with the meaning that Go gives the words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate.
    None,
    /// A certificate, which may be missing or anybody's.
    Request,
    /// A certificate, which may be anybody's.
    RequireAny,
    /// If there is a certificate, one that is signed by a known authority.
    VerifyIfGiven,
    /// A certificate that is signed by a known authority.
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether certificates are compared with known authorities.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// Reads the mapping; paths are relative to `folder`. `None` if certificate or key is missing.
pub(super) fn read(map: &Map<'_>, folder: &Path, report: &mut Report) -> Option<TlsConfig> {
    refuse_unknown_keys(map, KEYS, REFUSED, report);
    let (client_auth, client_ca_file) = client_auth(map, folder, report);
    let (min_version, max_version) = versions(map, report);
    let cipher_suites = cipher_suites(map, max_version, report);
    let curves = names(map, "curve_preferences", CURVES, "remove it; without curve_preferences all are taken", report);
    let prefer_server = map.get_filled("prefer_server_cipher_suites").and_then(|value| value.boolean(report));
    let cert_file = required_path(map, "cert_file", folder, report);
    let key_file = required_path(map, "key_file", folder, report);
    Some(TlsConfig {
        client_auth,
        client_ca_file,
        min_version,
        max_version,
        cipher_suites,
        preference: if prefer_server.unwrap_or(true) { Preference::Server } else { Preference::Client },
        curves,
        cert_file: cert_file?,
        key_file: key_file?,
    })
}

fn required_path(map: &Map<'_>, key: &str, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let path = path(map, key, folder, report);
    if map.get_filled(key).is_none() {
        report.fatal(map.place.key(key), "is missing: TLS takes a certificate (cert_file) and its key (key_file)");
    }
    path
}

fn path(map: &Map<'_>, key: &str, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let value = map.get_filled(key)?;
    let text = value.text(report)?;
    if text.is_empty() {
        value.problem("is empty: name a file", report);
        return None;
    }
    Some(folder.join(text))
}

fn client_auth(map: &Map<'_>, folder: &Path, report: &mut Report) -> (ClientAuth, Option<PathBuf>) {
    let file = path(map, "client_ca_file", folder, report);
    let given = map.get_filled("client_auth_type");
    let wanted = match &given {
        // An empty text is the default, as in the toolkit.
        Some(value) => value.text(report).and_then(|text| match text {
            "" => Some(ClientAuth::None),
            text => choice(value, text, CLIENT_AUTH, report),
        }),
        None => Some(ClientAuth::None),
    };
    let Some(client_auth) = wanted else { return (ClientAuth::None, file) };
    let place = map.place.key("client_ca_file");
    match (client_auth.verifies(), map.get_filled("client_ca_file").is_some()) {
        (true, false) => report.fatal(place, "is missing: name the certificates of who signs the clients' ones"),
        (false, true) => report
            .fatal(place, "is given, but this client_auth_type verifies nothing: set it to RequireAndVerifyClientCert"),
        _ => {}
    }
    if matches!(client_auth, ClientAuth::Request | ClientAuth::RequireAny) {
        let place = map.place.key("client_auth_type");
        report.remark(place, "any certificate will do, and anybody can make one: RequireAndVerifyClientCert is safe");
    }
    (client_auth, file)
}

fn versions(map: &Map<'_>, report: &mut Report) -> (TlsVersion, TlsVersion) {
    let min = version(map, "min_version", report).unwrap_or(TlsVersion::Tls12);
    let max = version(map, "max_version", report).unwrap_or(TlsVersion::Tls13);
    if min > max {
        report.fatal(map.place.key("min_version"), "is above max_version: correct one of the two");
        return (max, max);
    }
    (min, max)
}

fn version(map: &Map<'_>, key: &str, report: &mut Report) -> Option<TlsVersion> {
    let value = map.get_filled(key)?;
    let text = value.text(report)?;
    if OLD_VERSIONS.contains(&text) {
        value.problem("is not supported, for it is no longer safe: write TLS12 or TLS13", report);
        return None;
    }
    choice(&value, text, VERSIONS, report)
}

fn cipher_suites(map: &Map<'_>, max_version: TlsVersion, report: &mut Report) -> Option<Vec<&'static str>> {
    let all = [TLS12_SUITES, TLS13_SUITES].concat();
    let cure = "remove it; without cipher_suites all safe ones are taken";
    let mut suites = names(map, "cipher_suites", &all, cure, report)?;
    suites.retain(|suite| TLS12_SUITES.contains(suite));
    if suites.is_empty() && max_version == TlsVersion::Tls12 {
        report.fatal(map.place.key("cipher_suites"), "names no suite of TLS 1.2, and max_version is TLS12: add one");
    }
    Some(suites)
}

/// A list of known names; `None` if it is absent or empty, which both mean the default.
fn names(
    map: &Map<'_>,
    key: &str,
    known: &[&'static str],
    cure: &str,
    report: &mut Report,
) -> Option<Vec<&'static str>> {
    let items = map.get_filled(key)?.list(report)?;
    let names = items.iter().filter_map(|item| {
        let text = item.text(report)?;
        let name = known.iter().find(|name| **name == text);
        if name.is_none() {
            let cure = did_you_mean(text, known.iter().copied(), cure);
            item.problem(format!("{:?} is not supported: {cure}", excerpt(text)), report);
        }
        name.copied()
    });
    Some(names.collect()).filter(|_| !items.is_empty())
}

/// One of several words.
fn choice<T: Copy>(value: &Value<'_>, text: &str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
    if found.is_none() {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let otherwise = format!("write one of {}", all.join(", "));
        let cure = did_you_mean(text, all, &otherwise);
        value.problem(format!("is {:?}, which has no meaning here: {cure}", excerpt(text)), report);
    }
    found
}

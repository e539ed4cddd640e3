//! TLS with rustls: from the files that `--web.config.file` names to what handshakes are made with.
//!
//! `Material` is what was read, as bytes, so that a change is known for one; `Material::server_config` makes sense of it.

mod current;
mod verifier;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion};

pub use self::current::Tls;
pub(crate) use self::current::keep_fresh;
use self::verifier::ClientVerifier;
use crate::config::web::{ClientAuth, TlsConfig, TlsVersion};

/// What is wrong with a file that TLS takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {file:?} {fault}")]
pub struct TlsError {
    /// The key of the file in `tls_server_config`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, and the cure.
    pub fault: String,
}

impl TlsError {
    fn new(key: &'static str, file: &Path, fault: impl Into<String>) -> Self {
        Self { key, file: file.to_owned(), fault: fault.into() }
    }
}

/// The contents of the files, unread as yet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Material {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Material {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// [`TlsError`] of each one that cannot be read.
    pub(crate) fn read(config: &TlsConfig) -> Result<Self, Vec<TlsError>> {
        let mut errors = Vec::new();
        let mut read = |key, file| read(key, file).map_err(|error| errors.push(error)).unwrap_or_default();
        let material = Self {
            cert: read("cert_file", &config.cert_file),
            key: read("key_file", &config.key_file),
            client_ca: config
                .client_ca_file
                .as_deref()
                .filter(|_| config.client_auth.verifies())
                .map(|file| read("client_ca_file", file)),
        };
        if errors.is_empty() { Ok(material) } else { Err(errors) }
    }

    /// What handshakes are made with.
    ///
    /// # Errors
    /// [`TlsError`] if a file does not hold what it should, or certificate and key do not belong together.
    pub(crate) fn server_config(&self, config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(provider(config));
        let identity = Arc::new(self.identity(config, &provider)?);
        let unusable = |error: rustls::Error| TlsError::new("cert_file", &config.cert_file, unusable(&error));
        let versions = versions(config);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
        let builder = builder.map_err(unusable)?;
        let builder = match self.client_verifier(config, &identity, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)));
        server.ignore_client_order = config.prefer_server_cipher_suites;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(server))
    }

    fn identity(&self, config: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let of_cert = |fault: String| TlsError::new("cert_file", &config.cert_file, fault);
        let of_key = |fault: String| TlsError::new("key_file", &config.key_file, fault);
        let chain = certificates(&self.cert).map_err(of_cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            of_key(match error {
                pem::Error::NoItemsFound => "holds no private key in PEM: name one that is not encrypted".to_owned(),
                _ => "is cut off or damaged: write it anew".to_owned(),
            })
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_key(format!(
                "is not the key of the certificate in {:?}: name the two that belong together",
                config.cert_file
            )),
            rustls::Error::InvalidCertificate(_) => of_cert(unusable(&error)),
            error => of_key(unusable(&error)),
        })
    }

    fn client_verifier(
        &self,
        config: &TlsConfig,
        identity: &CertifiedKey,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<ClientVerifier>, TlsError> {
        let own = identity.cert.first().cloned();
        let algorithms = provider.signature_verification_algorithms;
        match config.client_auth {
            ClientAuth::None => return Ok(None),
            ClientAuth::Request => return Ok(Some(ClientVerifier::anybody_or_none(algorithms))),
            ClientAuth::RequireAny => return Ok(Some(ClientVerifier::anybody(algorithms))),
            ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {}
        }
        let file = config.client_ca_file.as_deref().unwrap_or(Path::new(""));
        let fault = |fault: String| TlsError::new("client_ca_file", file, fault);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(self.client_ca.as_deref().unwrap_or_default()).map_err(fault)? {
            roots.add(certificate).map_err(|error| fault(unusable(&error)))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match config.client_auth {
            ClientAuth::VerifyIfGiven => builder.allow_unauthenticated(),
            _ => builder,
        };
        let known = builder.build().map_err(|error| fault(format!("cannot be used ({error}): name another one")))?;
        Ok(Some(ClientVerifier::known(known, own, algorithms)))
    }
}

/// What does not belong into a log.
impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Material({} and {} bytes)", self.cert.len(), self.key.len())
    }
}

/// The most bytes of one of these files that are read; a chain takes a few thousand.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

fn read(key: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    use io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TlsError::new(
            key,
            file,
            "does not exist: create it, or correct the name, which is relative to the folder of the web configuration",
        )),
        Err(error) => Err(TlsError::new(key, file, format!("cannot be read ({error}): check it and its permissions"))),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err("holds no certificate in PEM: name a file with BEGIN CERTIFICATE in it".to_owned())
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err("is cut off or damaged: write it anew".to_owned()),
    }
}

fn unusable(error: &rustls::Error) -> String {
    format!("cannot be used ({error}): name another one")
}

/// aws-lc-rs with what the file says of suites and curves.
fn provider(config: &TlsConfig) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(names) = &config.cipher_suites {
        let is_tls13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let named = names.iter().filter_map(|name| tls12_suite(&provider, name));
        provider.cipher_suites = provider.cipher_suites.iter().copied().filter(is_tls13).chain(named).collect();
    }
    if let Some(names) = &config.curves {
        provider.kx_groups = names.iter().filter_map(|name| curve(name)).collect();
    }
    provider
}

fn tls12_suite(provider: &CryptoProvider, name: &str) -> Option<SupportedCipherSuite> {
    provider.cipher_suites.iter().copied().find(|suite| suite.suite().as_str() == Some(name))
}

fn curve(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    match name {
        "CurveP256" => Some(aws_lc_rs::kx_group::SECP256R1),
        "CurveP384" => Some(aws_lc_rs::kx_group::SECP384R1),
        "X25519" => Some(aws_lc_rs::kx_group::X25519),
        _ => None,
    }
}

fn versions(config: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let spoken = |version: TlsVersion| (config.min_version..=config.max_version).contains(&version);
    all.into_iter().filter(|(version, _)| spoken(*version)).map(|(_, version)| version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::web::{CURVES, TLS12_SUITES};

    #[test]
    fn every_name_of_a_suite_or_curve_that_the_file_may_have_is_one_of_rustls() {
        let provider = aws_lc_rs::default_provider();
        for name in TLS12_SUITES {
            assert!(tls12_suite(&provider, name).is_some(), "{name}");
        }
        for name in CURVES {
            assert!(curve(name).is_some(), "{name}");
        }
    }
}

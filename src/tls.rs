//! TLS with rustls: from the files that `--web.config.file` names to what handshakes are made with, kept as the files are.
//!
//! `Material` is what was read, as bytes, so that a change is known for one; `Material::server_config` makes sense of it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, InconsistentKeys, RootCertStore, SignatureScheme};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::{ClientAuth, TlsConfig};

/// How often the files are compared with what is in use. They are a few thousand bytes.
const INTERVAL: Duration = Duration::from_secs(2);

/// The most bytes of one of these files that are read; a chain takes a few thousand.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

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

/// What handshakes are made with. Clones share it.
#[derive(Clone)]
pub struct Tls {
    config: Arc<TlsConfig>,
    state: Arc<Mutex<State>>,
}

struct State {
    material: Material,
    server: Arc<ServerConfig>,
    /// What was last said of files that cannot be used.
    said: Vec<TlsError>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.config).finish()
    }
}

impl Tls {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// [`TlsError`] for each that cannot be used.
    pub(crate) fn open(config: TlsConfig) -> Result<Self, Vec<TlsError>> {
        let material = Material::read(&config)?;
        let server = material.server_config(&config).map_err(|error| vec![error])?;
        let state = Arc::new(Mutex::new(State { material, server, said: Vec::new() }));
        Ok(Self { config: Arc::new(config), state })
    }

    /// Makes the next handshake; connections that are open keep what theirs was made with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.state.lock().server))
    }

    /// Reads the files again; whether new handshakes are made with what they hold now. Blocks while it reads.
    ///
    /// # Errors
    /// What is wrong with them, which is logged once. What was read before stays in use.
    fn refresh(&self) -> Result<bool, Vec<TlsError>> {
        let read = Material::read(&self.config).and_then(|material| {
            if self.state.lock().material == material {
                return Ok(None);
            }
            let server = material.server_config(&self.config).map_err(|error| vec![error])?;
            Ok(Some((material, server)))
        });
        let mut state = self.state.lock();
        match read {
            Ok(None) => {
                state.said.clear();
                Ok(false)
            }
            Ok(Some((material, server))) => {
                *state = State { material, server, said: Vec::new() };
                let cert_file = &self.config.cert_file;
                tracing::info!("the certificate was renewed: new connections get the one in {cert_file:?}");
                Ok(true)
            }
            Err(errors) => {
                for error in errors.iter().filter(|error| !state.said.contains(error)) {
                    tracing::error!("tls_server_config.{error}; the certificate that was read before stays in use");
                }
                state.said.clone_from(&errors);
                Err(errors)
            }
        }
    }
}

/// Keeps the certificate of the `configured` TLS as its files are, until `stop`.
pub(crate) async fn keep_fresh(configured: impl Fn() -> Option<Tls>, stop: CancellationToken) {
    let goes_on = || stop.run_until_cancelled(tokio::time::sleep(INTERVAL));
    while goes_on().await.is_some() {
        let Some(tls) = configured() else { continue };
        // A panic in there would leave the old certificate in use, which is all that can be done about it.
        let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
    }
}

/// The contents of the files, unread as yet.
#[derive(Clone, PartialEq, Eq)]
struct Material {
    cert: Vec<u8>,
    key: Vec<u8>,
    /// Empty unless clients' certificates are compared with it.
    client_ca: Vec<u8>,
}

impl Material {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// [`TlsError`] of each one that cannot be read.
    fn read(config: &TlsConfig) -> Result<Self, Vec<TlsError>> {
        let mut errors = Vec::new();
        let mut read = |key, file: &Path| {
            let mut bytes = Vec::new();
            let read = File::open(file).and_then(|file| file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes));
            if let Err(error) = read {
                let fault = match error.kind() {
                    io::ErrorKind::NotFound => "does not exist: create it, or correct the name, which is relative to \
                                                the folder of the web configuration"
                        .to_owned(),
                    _ => format!("cannot be read ({error}): check it and its permissions"),
                };
                errors.push(TlsError::new(key, file, fault));
            }
            bytes
        };
        let (cert, key) = (read("cert_file", &config.cert_file), read("key_file", &config.key_file));
        let client_ca = config.client_auth.as_ref().and_then(|auth| auth.ca_file.as_ref());
        let client_ca = client_ca.map(|file| read("client_ca_file", file)).unwrap_or_default();
        if errors.is_empty() { Ok(Self { cert, key, client_ca }) } else { Err(errors) }
    }

    /// What handshakes are made with.
    ///
    /// # Errors
    /// [`TlsError`] if a file does not hold what it should, or certificate and key do not belong together.
    fn server_config(&self, config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
        let identity = Arc::new(self.identity(config)?);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&config.provider));
        let builder = builder
            .with_protocol_versions(&config.versions)
            .map_err(|error| TlsError::new("cert_file", &config.cert_file, unusable(&error)))?;
        let builder = match &config.client_auth {
            None => builder.with_no_client_auth(),
            Some(ClientAuth { is_mandatory, verifies, ca_file }) => {
                let mut authorities = None;
                if *verifies {
                    let file = ca_file.as_deref().unwrap_or(Path::new(""));
                    let fault = |fault: String| TlsError::new("client_ca_file", file, fault);
                    let mut roots = RootCertStore::empty();
                    for certificate in certificates(&self.client_ca).map_err(fault)? {
                        roots.add(certificate).map_err(|error| fault(unusable(&error)))?;
                    }
                    let provider = Arc::clone(&config.provider);
                    let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                    authorities = Some(built.map_err(|error| fault(unusable(&error)))?);
                }
                builder.with_client_cert_verifier(Arc::new(ClientVerifier {
                    is_mandatory: *is_mandatory,
                    authorities,
                    own: identity.cert.first().cloned(),
                    algorithms: config.provider.signature_verification_algorithms,
                }))
            }
        };
        let mut server = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        server.ignore_client_order = config.prefer_server_cipher_suites;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(server))
    }

    fn identity(&self, config: &TlsConfig) -> Result<CertifiedKey, TlsError> {
        let of_cert = |fault: String| TlsError::new("cert_file", &config.cert_file, fault);
        let of_key = |fault: String| TlsError::new("key_file", &config.key_file, fault);
        let chain = certificates(&self.cert).map_err(of_cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            of_key(match error {
                pem::Error::NoItemsFound => "holds no private key in PEM: name one that is not encrypted".to_owned(),
                _ => "is cut off or damaged: write it anew".to_owned(),
            })
        })?;
        CertifiedKey::from_der(chain, key, &config.provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => of_key(format!(
                "is not the key of the certificate in {:?}: name the two that belong together",
                config.cert_file
            )),
            rustls::Error::InvalidCertificate(_) => of_cert(unusable(&error)),
            error => of_key(unusable(&error)),
        })
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

fn unusable(error: &dyn fmt::Display) -> String {
    format!("cannot be used ({error}): name another one")
}

/// Verifies clients' certificates as `client_auth_type` says.
///
/// In whichever way, the client has to prove that it holds the certificate's key.
#[derive(Debug)]
struct ClientVerifier {
    /// Whether a client without a certificate is turned away.
    is_mandatory: bool,
    /// Those of whom one has to have signed it; `None`: anybody's is taken.
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    /// The server's own, which `healthcheck` shows. Whoever holds its key could be the server, so that it lets them in gives
    /// nothing away.
    own: Option<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.as_ref().map_or(&[], |authorities| authorities.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match &self.authorities {
            Some(authorities) if self.own.as_ref() != Some(end_entity) => {
                authorities.verify_client_cert(end_entity, intermediates, now)
            }
            _ => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A certificate for `localhost` and its key, in PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn write(folder: &Path, name: &str, text: &str) {
        std::fs::write(folder.join(name), text).expect("written");
    }

    fn opened() -> (TempDir, Tls) {
        let folder = tempfile::tempdir().expect("a folder");
        let (cert, key) = pair();
        write(folder.path(), "cert.pem", &cert);
        write(folder.path(), "key.pem", &key);
        let config = TlsConfig {
            cert_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
            client_auth: None,
            versions: rustls::ALL_VERSIONS.to_vec(),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            prefer_server_cipher_suites: true,
        };
        let tls = Tls::open(config).expect("a pair");
        (folder, tls)
    }

    fn kept(tls: &Tls) -> TlsError {
        let before = Arc::clone(&tls.state.lock().server);
        let mut errors = tls.refresh().expect_err("it was taken");
        assert!(Arc::ptr_eq(&before, &tls.state.lock().server));
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    }

    #[test]
    fn a_pair_that_is_half_replaced_is_taken_when_its_second_half_is_there() {
        let (folder, tls) = opened();
        assert_eq!(tls.refresh(), Ok(false));
        let (cert, key) = pair();
        write(folder.path(), "cert.pem", &cert);
        let error = kept(&tls);
        assert!(error.fault.starts_with("is not the key of the certificate in "), "{error}");
        write(folder.path(), "key.pem", &key);
        assert_eq!(tls.refresh(), Ok(true));
        assert_eq!(tls.refresh(), Ok(false));
    }

    #[test]
    fn what_cannot_be_used_leaves_the_old_certificate_in_use() {
        let (folder, tls) = opened();
        let (cert, _) = pair();
        for (text, fault) in [
            ("", "holds no certificate in PEM: "),
            (&cert[..cert.len() / 2], "is cut off or damaged: "),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used ("),
        ] {
            write(folder.path(), "cert.pem", text);
            let error = kept(&tls);
            assert!(error.key == "cert_file" && error.fault.starts_with(fault), "{error}");
        }
        std::fs::remove_file(folder.path().join("key.pem")).expect("removed");
        assert_eq!(kept(&tls).key, "key_file");
    }
}

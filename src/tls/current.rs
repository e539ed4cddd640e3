//! The certificate in use, kept as its files are.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::server::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Material, TlsError};
use crate::config::web::TlsConfig;

/// How often the files are compared with what is in use. They are a few thousand bytes.
const INTERVAL: Duration = Duration::from_secs(2);

/// What handshakes are made with. Clones share it.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    config: TlsConfig,
    state: Mutex<State>,
}

struct State {
    material: Material,
    server: Arc<ServerConfig>,
    /// What was last said of files that cannot be used.
    said: Vec<TlsError>,
}

/// What a look at the files came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refreshed {
    /// They are as they were.
    Unchanged,
    /// New handshakes are made with what they hold now.
    Renewed,
    /// What they hold cannot be used, so what was read before stays in use.
    Kept(Vec<TlsError>),
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.inner.config).finish()
    }
}

impl Tls {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// [`TlsError`] for each that cannot be used.
    pub fn open(config: TlsConfig) -> Result<Self, Vec<TlsError>> {
        let material = Material::read(&config)?;
        let server = material.server_config(&config).map_err(|error| vec![error])?;
        let state = Mutex::new(State { material, server, said: Vec::new() });
        Ok(Self { inner: Arc::new(Inner { config, state }) })
    }

    /// Makes the next handshake; connections that are open keep what theirs was made with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.lock().server))
    }

    /// Reads the files again, and says once what is wrong with them. Blocks while it reads.
    fn refresh(&self) -> Refreshed {
        let config = &self.inner.config;
        let read = Material::read(config).and_then(|material| {
            if self.lock().material == material {
                return Ok(None);
            }
            let server = material.server_config(config).map_err(|error| vec![error])?;
            Ok(Some((material, server)))
        });
        let mut state = self.lock();
        match read {
            Ok(None) => {
                state.said.clear();
                Refreshed::Unchanged
            }
            Ok(Some((material, server))) => {
                *state = State { material, server, said: Vec::new() };
                tracing::info!("the certificate was renewed: new connections get the one in {:?}", config.cert_file);
                Refreshed::Renewed
            }
            Err(errors) => {
                for error in errors.iter().filter(|error| !state.said.contains(error)) {
                    tracing::error!("tls_server_config.{error}; the certificate that was read before stays in use");
                }
                state.said.clone_from(&errors);
                Refreshed::Kept(errors)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::config::web::{ClientAuth, TlsVersion};

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
            client_auth: ClientAuth::None,
            client_ca_file: None,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: None,
            prefer_server_cipher_suites: true,
            curves: None,
        };
        let tls = Tls::open(config).expect("a pair");
        (folder, tls)
    }

    fn kept(tls: &Tls) -> TlsError {
        let before = Arc::clone(&tls.lock().server);
        let Refreshed::Kept(mut errors) = tls.refresh() else { panic!("it was taken") };
        assert!(Arc::ptr_eq(&before, &tls.lock().server));
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    }

    #[test]
    fn a_pair_that_is_half_replaced_is_taken_when_its_second_half_is_there() {
        let (folder, tls) = opened();
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        let (cert, key) = pair();
        write(folder.path(), "cert.pem", &cert);
        let error = kept(&tls);
        assert!(error.fault.starts_with("is not the key of the certificate in "), "{error}");
        write(folder.path(), "key.pem", &key);
        assert_eq!(tls.refresh(), Refreshed::Renewed);
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
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

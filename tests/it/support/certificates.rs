//! Certificates that a test makes for itself.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};

use reqwest::{Certificate, Client, ClientBuilder, Identity};

use super::processes::written;

/// Who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for 127.0.0.1.
    pub fn server(&self) -> Pair {
        self.sign(ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client.
    pub fn client(&self) -> Pair {
        self.sign(ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, purpose: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A client that trusts it and nobody else; it shows `pair`, if there is one.
    pub fn trusting(&self, pair: Option<&Pair>) -> Client {
        self.client_of(pair, |builder| builder)
    }

    /// The same, with a wish of its own.
    pub fn client_of(&self, pair: Option<&Pair>, wish: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        let root = Certificate::from_pem(self.pem().as_bytes()).expect("a certificate");
        let builder = wish(Client::builder().no_proxy().tls_certs_only([root]));
        let builder = match pair {
            Some(Pair { cert, key }) => {
                builder.identity(Identity::from_pem(format!("{cert}\n{key}").as_bytes()).expect("a pair"))
            }
            None => builder,
        };
        builder.build().expect("a client")
    }
}

impl Pair {
    /// Writes `server.crt` and `server.key` to `folder`.
    pub fn write(&self, folder: &Path) {
        written(folder, "server.crt", &self.cert);
        written(folder, "server.key", &self.key);
    }
}

//! Which certificates of clients are taken.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// Verifies clients' certificates as `client_auth_type` says.
///
/// In whichever way, the client has to prove that it holds the certificate's key.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    taken: Taken,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Taken {
    /// Anybody's.
    Anybody,
    /// Anybody's, or none.
    AnybodyOrNone,
    /// What a known authority has signed.
    Known {
        authorities: Arc<dyn ClientCertVerifier>,
        /// The server's own, which `healthcheck` shows. Whoever holds its key could be the server, so that it lets
        /// them in gives nothing away.
        own: Option<CertificateDer<'static>>,
    },
}

impl ClientVerifier {
    pub(super) fn anybody(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { taken: Taken::Anybody, algorithms }
    }

    pub(super) fn anybody_or_none(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { taken: Taken::AnybodyOrNone, algorithms }
    }

    pub(super) fn known(
        authorities: Arc<dyn ClientCertVerifier>,
        own: Option<CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self { taken: Taken::Known { authorities, own }, algorithms }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        match &self.taken {
            Taken::Anybody => true,
            Taken::AnybodyOrNone => false,
            Taken::Known { authorities, .. } => authorities.client_auth_mandatory(),
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.taken {
            Taken::Anybody | Taken::AnybodyOrNone => &[],
            Taken::Known { authorities, .. } => authorities.root_hint_subjects(),
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.taken {
            Taken::Anybody | Taken::AnybodyOrNone => Ok(ClientCertVerified::assertion()),
            Taken::Known { own, .. } if own.as_ref() == Some(end_entity) => Ok(ClientCertVerified::assertion()),
            Taken::Known { authorities, .. } => authorities.verify_client_cert(end_entity, intermediates, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

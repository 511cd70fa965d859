//! How both ends talk TLS: version 1.3 and nothing older, each end rooted in the one site's authority.
use crate::identity::{Authority, fingerprint, hex, unhex};
use crate::register::Fault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::Arc;

/// The server's side towards the agents of one site. Who has no certificate yet may come in, but only to enrol.
pub fn server(site: &str, authority: &Authority) -> Result<Arc<ServerConfig>, Fault> {
    let roots = Arc::new(roots(authority.certificate())?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated();
    let verifier = verifier.build().map_err(|error| unready(&error))?;
    let (chain, key) = authority.present(site)?;
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(|error| unready(&error))?.with_client_cert_verifier(verifier);
    config.with_single_cert(chain, key).map(Arc::new).map_err(|error| unready(&error))
}

/// An agent's side, with its certificate.
pub fn agent(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>, Fault> {
    let roots = roots(CertificateDer::from(authority.to_vec()))?;
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(|error| unready(&error))?.with_root_certificates(roots);
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    config.with_client_auth_cert(chain, key).map(Arc::new).map_err(|error| unready(&error))
}

/// The side of an agent that has no certificate yet, only the fingerprint of the authority to expect.
pub fn newcomer(pin: &str) -> Result<Arc<ClientConfig>, Fault> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(|error| unready(&error))?.dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(Pinned { pin: pin.to_owned() }));
    Ok(Arc::new(config.with_no_client_auth()))
}

fn roots(authority: CertificateDer<'static>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(|error| unready(&error))?;
    Ok(roots)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn unready(error: &dyn std::error::Error) -> Fault {
    Fault::new("internal", format!("failed to make TLS ready: {error}"))
}

/// Takes a server whose chain holds the authority of this fingerprint.
#[derive(Debug)]
struct Pinned {
    pin: String,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = others.iter().find(|other| hex(&fingerprint(other)) == self.pin);
        let authority = pinned.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(own, &[], name, &[], now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _own: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, own, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The secret and the fingerprint that an invitation is told as.
pub fn invitation(text: &str) -> Option<(&str, &str)> {
    let (secret, pin) = text.trim().split_once('.')?;
    let is_hash = |text: &str| unhex(text).is_some_and(|bytes| bytes.len() == 32);
    (is_hash(secret) && is_hash(pin)).then_some((secret, pin))
}

//! Keys and certificates. Each site has an authority of its own: what is signed for one site means nothing at another,
//! so no key opens every site.
//!
//! Invariants: a private key leaves this process only for the store it is kept in; a certificate of an agent is good
//! for a link to the server only, one of a server for its site's agents only.
use crate::register::Fault;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::time::{Duration, SystemTime};

/// How far two clocks may be apart.
const SKEW: Duration = Duration::from_secs(24 * 3_600);
/// How long an authority is good.
const AUTHORITY: Duration = Duration::from_secs(20 * 365 * 24 * 3_600);
/// How long a server's certificate is good; it makes another each day.
const SERVER: Duration = Duration::from_secs(8 * 24 * 3_600);

/// A site's own authority, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authority {
    /// Key that certificates are signed with, PKCS 8 in hexadecimal.
    key: String,
    /// Its certificate, DER in hexadecimal.
    pub certificate: String,
    /// Key that notes are signed with, PKCS 8 in hexadecimal.
    voice: String,
}

/// A public key that somebody else holds the private half of.
struct Theirs(Vec<u8>);

impl PublicKeyData for Theirs {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl Authority {
    /// A new one for a site.
    pub fn make(site: &str) -> Result<Authority, Fault> {
        let key = new_key()?;
        let certificate = authority_of(site).self_signed(&key).map_err(unmade)?;
        let voice = new_key()?;
        Ok(Authority {
            key: hex(key.serialized_der()),
            certificate: hex(certificate.der()),
            voice: hex(voice.serialized_der()),
        })
    }

    /// The certificate's fingerprint: what an invitation pins.
    pub fn pin(&self) -> String {
        hex(&fingerprint(&unhex(&self.certificate).unwrap_or_default()))
    }

    /// The key that notes are signed with.
    pub fn voice(&self) -> Result<Ed25519KeyPair, Fault> {
        let key = unhex(&self.voice).ok_or_else(|| Fault::new("damaged", "a site's key in the store is damaged"))?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key)
            .map_err(|error| Fault::new("damaged", format!("a site's key in the store is damaged: {error}")))
    }

    /// Its public half, in hexadecimal.
    pub fn public_voice(&self) -> Result<String, Fault> {
        Ok(hex(self.voice()?.public_key().as_ref()))
    }

    /// A certificate for an agent's public key (hexadecimal), good until then.
    pub fn certify(&self, site: &str, key: &str, until: SystemTime) -> Result<Vec<u8>, Fault> {
        let key = unhex(key).filter(|key| key.len() == 32);
        let key = Theirs(key.ok_or_else(|| Fault::new("invalid", "the agent's key is no key"))?);
        let mut params = plain(&format!("agent of {site}"), until);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let made = params.signed_by(&key, &self.issuer(site)?).map_err(unmade)?;
        Ok(made.der().to_vec())
    }

    /// A certificate for this server towards the site's agents, with its key.
    pub fn present(&self, site: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Fault> {
        let key = new_key()?;
        let mut params = plain("server", SystemTime::now() + SERVER);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let name = server_name(&self.pin()).try_into().map_err(unmade)?;
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
        let made = params.signed_by(&key, &self.issuer(site)?).map_err(unmade)?;
        let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![made.der().clone(), self.certificate()], own))
    }

    /// Its certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(unhex(&self.certificate).unwrap_or_default())
    }

    fn issuer(&self, site: &str) -> Result<Issuer<'static, KeyPair>, Fault> {
        let der = unhex(&self.key).ok_or_else(|| Fault::new("damaged", "a site's key in the store is damaged"))?;
        let der = PrivatePkcs8KeyDer::from(der);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(unmade)?;
        Ok(Issuer::new(authority_of(site), key))
    }
}

/// What an agent calls the server of a site's authority: its mark, so that no site's name crosses the wire in the clear.
pub fn server_name(pin: &str) -> String {
    format!("{}.madang", pin.get(..32).unwrap_or(pin))
}

fn authority_of(site: &str) -> CertificateParams {
    let mut params = plain(&format!("authority of {site}"), SystemTime::now() + AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn plain(name: &str, until: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params.not_before = (SystemTime::now() - SKEW).into();
    params.not_after = until.into();
    params
}

fn new_key() -> Result<KeyPair, Fault> {
    KeyPair::generate_for(&PKCS_ED25519).map_err(unmade)
}

fn unmade(error: rcgen::Error) -> Fault {
    Fault::new("internal", format!("failed to make a certificate: {error}"))
}

/// A new key of an agent: its private half (PKCS 8) and its public one, both in hexadecimal.
pub fn agent_key() -> Result<(String, String), Fault> {
    let key = new_key()?;
    Ok((hex(key.serialized_der()), hex(key.public_key_raw())))
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// 256 bits from the system.
pub fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(format!("failed to draw a secret: {error}")))?;
    Ok(bytes)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

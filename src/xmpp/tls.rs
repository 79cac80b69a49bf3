//! TLS (RFC 7590): who the server must be.
//!
//! By certificate authorities, the certificate must name the account's domain (RFC 6120 13.7), not the SRV target. By pin,
//! the key must be the pinned one, and names and dates do not matter: that is for servers that sign for themselves. Either
//! way the server proves in the handshake that it has the key.

use super::{Result, Tls, Trouble, Trust};
use crate::clock::Clock;
use crate::clock::system::System;
use data_encoding::BASE64;
use futures_rustls::TlsConnector;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Reads `sha256/BASE64`, also in URL's alphabet or without `=`.
pub fn pin(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("sha256/")?.trim_end_matches('=').replace('-', "+").replace('_', "/");
    data_encoding::BASE64_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// A connector and what it has seen.
pub struct Verifier {
    trust: Check,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<[u8; 32]>>,
}

enum Check {
    Authorities(Arc<WebPkiServerVerifier>),
    Pin([u8; 32]),
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// A connector for this trust.
pub fn connector(trust: &Trust, tls: Tls) -> Result<(TlsConnector, Arc<Verifier>)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let check = match trust {
        Trust::Pin(pin) => Check::Pin(*pin),
        Trust::Roots(pem) => Check::Authorities(authorities(own_roots(pem)?, &provider)?),
        Trust::System => Check::Authorities(authorities(system_roots(), &provider)?),
    };
    let verifier = Arc::new(Verifier { trust: check, provider: provider.clone(), seen: Mutex::new(None) });
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Now))
        .with_safe_default_protocol_versions()
        .map_err(|e| Trouble::broken(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    // One connection for days: nothing is there to resume, and tickets only take memory.
    config.resumption = rustls::client::Resumption::disabled();
    if tls == Tls::Direct {
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    }
    Ok((TlsConnector::from(Arc::new(config)), verifier))
}

fn authorities(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().map_err(|e| Trouble::broken(e.to_string()))
}

fn own_roots(pem: &[u8]) -> Result<RootCertStore> {
    let bad =
        || Trouble::refused("xmpp.ca_file has no certificate that can be used", "give ca_file a PEM file with the authority's certificate");
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(pem) {
        roots.add(cert.map_err(|_| bad())?).map_err(|_| bad())?;
    }
    if roots.is_empty() { Err(bad()) } else { Ok(roots) }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// The time by which certificates are judged. Not by std, see [`System`].
#[derive(Debug)]
struct Now;

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let now = System.now();
        Some(UnixTime::since_unix_epoch(Duration::new(u64::try_from(now.s).ok()?, now.ns)))
    }
}

impl Verifier {
    /// Why a handshake failed, with the server's key where a pin could answer it.
    pub fn explain(&self, e: &std::io::Error, domain: &str) -> Trouble {
        let why = match e.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(why)) => why,
            Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
                return Trouble::refused(format!("the XMPP server does not know {domain}"), "set jid, or host, in the config's [xmpp]");
            }
            _ => return Trouble::broken(format!("no TLS with the XMPP server: {e}")),
        };
        let seen = self.seen.lock().ok().and_then(|s| *s).map(|s| format!("sha256/{}", BASE64.encode(&s))).unwrap_or_default();
        if let Check::Pin(_) = self.trust {
            let remedy = format!("look on the server whether its key was changed; then set in [xmpp]: pin = \"{seen}\"");
            return Trouble::refused("the XMPP server has another key than the pinned one; nothing was sent", remedy);
        }
        let why = match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_string(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet (is the clock right?)".into(),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!("does not name {domain}"),
            CertificateError::UnknownIssuer => "is signed by nobody that this device knows".into(),
            CertificateError::Revoked => "was revoked".into(),
            other => format!("cannot be verified ({other})"),
        };
        let remedy = format!("if the server is yours, set ca_file, or look there whether this is its key: pin = \"{seen}\"");
        Trouble::refused(format!("the XMPP server's certificate {why}; nothing was sent"), remedy)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let hash: [u8; 32] = Sha256::digest(key.as_ref()).into();
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(hash);
        }
        match &self.trust {
            Check::Authorities(a) => a.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            Check::Pin(pin) if *pin == hash => Ok(ServerCertVerified::assertion()),
            Check::Pin(_) => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read() {
        let text = format!("sha256/{}", BASE64.encode(&[0xfb; 32]));
        assert_eq!(pin(&text), Some([0xfb; 32]));
        assert_eq!(pin(text.trim_end_matches('=')), Some([0xfb; 32]));
        assert_eq!(pin(&text.replace('+', "-").replace("/+", "/-")), Some([0xfb; 32]));
        for bad in ["", "sha256/", "sha1/AAAA", "AAAA", "sha256/AAAA"] {
            assert_eq!(pin(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        for pem in [&b""[..], b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let e = connector(&Trust::Roots(pem.to_vec()), Tls::Start).err().unwrap();
            assert!(matches!(&e, Trouble::Refused { why, .. } if why.contains("ca_file")), "{e}");
        }
    }

    #[test]
    fn the_fallback_has_roots() {
        connector(&Trust::System, Tls::Direct).unwrap();
    }
}

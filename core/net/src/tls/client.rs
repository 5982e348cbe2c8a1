//! What TLS found out about a client.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use ring::digest;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::server::ServerConnection;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// What TLS found out about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The certificate the client showed, verified; `None` if it showed none.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// The protocol both sides agreed on, if ALPN was spoken.
    pub alpn: Option<Arc<[u8]>>,
    /// The host name the client asked for (SNI), in lower case.
    pub server_name: Option<Arc<str>>,
    /// The TLS version, such as `TLSv1.3`.
    pub version: &'static str,
}

/// A client's certificate, verified against the listener's authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject in the form of RFC 4514, such as `CN=alice,O=Example`.
    pub subject: String,
    /// SHA-256 of the whole certificate (DER).
    pub fingerprint: [u8; 32],
}

impl ClientCertificate {
    /// The fingerprint in lower-case hexadecimal, as tools print it without colons.
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    fn of(der: &CertificateDer<'_>) -> Result<Self, io::Error> {
        let certificate = Certificate::from_der(der).map_err(io::Error::other)?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Ok(Self {
            subject: certificate.tbs_certificate().subject().to_string(),
            fingerprint,
        })
    }
}

impl TlsInfo {
    pub(super) fn of(connection: &ServerConnection) -> Result<Self, io::Error> {
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        Ok(Self {
            client_certificate: certificate.map(ClientCertificate::of).transpose()?.map(Arc::new),
            alpn: connection.alpn_protocol().map(Arc::from),
            server_name: connection.server_name().map(Arc::from),
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "unknown",
            },
        })
    }
}

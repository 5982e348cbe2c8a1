//! TLS for listeners: certificates from PEM files that can be read anew, client certificates, ALPN.
//!
//! The cryptography is ring's, named wherever it is used; no process-wide default is installed or relied on.

mod client;
mod self_signed;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

pub use client::{ClientCertificate, TlsInfo};

/// What a listener's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Who we are.
    pub certificate: Certificate,
    /// Whether clients must, may or need not show who they are.
    pub clients: ClientCertificates,
    /// Protocols offered by ALPN, the preferred one first; none means that ALPN is not spoken.
    pub alpn: Vec<Vec<u8>>,
}

/// Where our certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files, read again on [`Tls::reload`]. After a chroot the paths must be valid within it.
    Files {
        /// The chain, our own certificate first.
        chain: PathBuf,
        /// The private key: PKCS#8, PKCS#1 or SEC1.
        key: PathBuf,
    },
    /// A self-signed certificate, for trying out: nobody can check it without having been given it.
    SelfSigned {
        /// Names and addresses it is good for, beside `localhost`, `127.0.0.1` and `::1`.
        names: Vec<String>,
        /// Where it is kept (`self-signed.crt`, and `self-signed.key` with mode 0600, both the folder owner's) and found
        /// again at the next start; `None` keeps it in memory only.
        directory: Option<PathBuf>,
    },
}

/// What is asked of clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// No certificate is asked for.
    #[default]
    Off,
    /// A client may show one; if it does, it must be issued by one of these authorities.
    Optional {
        /// PEM file of the authorities' certificates.
        authorities: PathBuf,
    },
    /// A client must show one that is issued by one of these authorities.
    Required {
        /// PEM file of the authorities' certificates.
        authorities: PathBuf,
    },
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A PEM file holds no certificate.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The certificate and the key are refused, for instance because they do not belong together.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[source] rustls::Error),
    /// The authorities for client certificates are refused.
    #[error("the authorities in {} cannot be used: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// A self-signed certificate cannot be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// A self-signed certificate cannot be kept.
    #[error("cannot keep the self-signed certificate in {}: {source}", path.display())]
    Keep {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// TLS as it is served now. Clones are handles to the same certificate, so several listeners can share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: TlsSettings,
    /// A self-signed certificate that lives in memory only, so that a reload does not change it.
    in_memory: Option<Identity>,
    current: RwLock<Arc<ServerConfig>>,
}

/// A certificate chain with its key.
#[derive(Debug)]
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Reads or makes the certificate.
    ///
    /// Blocks while it reads files; meant for the start of a program.
    ///
    /// # Errors
    /// A [`TlsError`] that names the file at fault.
    pub fn new(settings: TlsSettings) -> Result<Self, TlsError> {
        let in_memory = match &settings.certificate {
            Certificate::SelfSigned {
                names,
                directory: None,
            } => Some(self_signed::make(names)?),
            _ => None,
        };
        let current = RwLock::new(build(&settings, in_memory.as_ref())?);
        Ok(Self(Arc::new(Shared {
            settings,
            in_memory,
            current,
        })))
    }

    /// Reads the files again and serves new connections with them; open ones keep what they have.
    ///
    /// Blocks while it reads.
    ///
    /// # Errors
    /// If the new files are bad, in which case the old certificate stays, and the error was logged.
    pub fn reload(&self) -> Result<(), TlsError> {
        match build(&self.0.settings, self.0.in_memory.as_ref()) {
            Ok(config) => {
                *self.0.current.write() = config;
                tracing::info!(certificate = %self.0.settings.certificate, "certificate read again");
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is bad, the old one stays");
                Err(error)
            }
        }
    }

    /// What accepts the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.current.read()))
    }
}

impl std::fmt::Display for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Files { chain, .. } => chain.display().fmt(f),
            Self::SelfSigned {
                directory: Some(directory),
                ..
            } => {
                write!(f, "self-signed, in {}", directory.display())
            }
            Self::SelfSigned { directory: None, .. } => f.write_str("self-signed, in memory"),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn build(settings: &TlsSettings, in_memory: Option<&Identity>) -> Result<Arc<ServerConfig>, TlsError> {
    let identity = match (&settings.certificate, in_memory) {
        (Certificate::Files { chain, key }, _) => read_identity(chain, key)?,
        (
            Certificate::SelfSigned {
                names,
                directory: Some(directory),
            },
            _,
        ) => self_signed::keep(names, directory)?,
        (Certificate::SelfSigned { .. }, Some(identity)) => identity.copy(),
        (
            Certificate::SelfSigned {
                names,
                directory: None,
            },
            None,
        ) => self_signed::make(names)?,
    };
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Certificate)?;
    let builder = match &settings.clients {
        ClientCertificates::Off => builder.with_no_client_auth(),
        ClientCertificates::Optional { authorities } => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(read_authorities(authorities)?, provider)
                    .allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(authorities, error))?)
        }
        ClientCertificates::Required { authorities } => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(read_authorities(authorities)?, provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(authorities, error))?)
        }
    };
    let mut config = builder
        .with_single_cert(identity.chain, identity.key)
        .map_err(TlsError::Certificate)?;
    config.alpn_protocols.clone_from(&settings.alpn);
    Ok(Arc::new(config))
}

impl Identity {
    fn copy(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

fn read_identity(chain: &Path, key: &Path) -> Result<Identity, TlsError> {
    let read = |source| TlsError::Read {
        path: key.into(),
        source,
    };
    Ok(Identity {
        chain: read_certificates(chain)?,
        key: PrivateKeyDer::from_pem_file(key).map_err(read)?,
    })
}

/// The certificates of a PEM file, at least one.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |source| TlsError::Read {
        path: path.into(),
        source,
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(read)?.collect();
    match certificates.map_err(read)? {
        none if none.is_empty() => Err(TlsError::NoCertificate { path: path.into() }),
        certificates => Ok(certificates),
    }
}

fn read_authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, error))?;
    }
    Ok(Arc::new(roots))
}

fn bad(path: &Path, reason: impl std::fmt::Display) -> TlsError {
    TlsError::Authorities {
        path: path.into(),
        reason: reason.to_string(),
    }
}

/// What there is to know about a connection whose handshake is done.
///
/// # Errors
/// If the client's certificate was verified but cannot be described.
pub(crate) fn info(connection: &ServerConnection) -> Result<TlsInfo, io::Error> {
    TlsInfo::of(connection)
}

//! TLS from both sides: certificates, their exchange, and what a bad handshake gets.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use switchboard_net::{
    Certificate, ClientCertificates, Limits, ListenerConfig, ProxyProtocol, Tls, TlsError, TlsSettings,
};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::*;

/// An authority, and the files it issues.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate with its key, in files.
#[derive(Clone)]
struct Issued {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("authority.crt"), issuer.pem()).expect("written");
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("authority.crt")
    }

    /// Issues a certificate for `name` into files of that name, over what they held.
    fn issue(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let path = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        let issued = Issued {
            certificate: path("crt"),
            key: path("key"),
        };
        fs::write(&issued.certificate, certificate.pem()).expect("written");
        fs::write(&issued.key, key.serialize_pem()).expect("written");
        issued
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    fn client(&self, certificate: Option<&Issued>) -> ClientConfig {
        client_of(self.issuer.der().clone(), certificate)
    }
}

fn client_of(trusted: CertificateDer<'static>, certificate: Option<&Issued>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots);
    match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = vec![CertificateDer::from_pem_file(&issued.certificate).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(&issued.key).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("they fit")
        }
    }
}

fn settings(issued: &Issued) -> TlsSettings {
    TlsSettings {
        certificate: Certificate::Files {
            chain: issued.certificate.clone(),
            key: issued.key.clone(),
        },
        clients: ClientCertificates::Off,
        alpn: Vec::new(),
    }
}

fn listen(tls: &Tls) -> ListenerConfig {
    let mut config = config("tls://127.0.0.1:0");
    config.tls = Some(tls.clone());
    config
}

async fn handshake<S>(client: ClientConfig, name: &str, stream: S) -> std::io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    patient(TlsConnector::from(Arc::new(client)).connect(name, stream)).await
}

/// Connects and says something; in TLS 1.3 only an answer shows that the server took the client's certificate.
async fn reach(address: SocketAddr, client: ClientConfig, name: &str) -> Option<TlsStream<TcpStream>> {
    let mut stream = handshake(client, name, connect(address).await).await.ok()?;
    echoes(&mut stream).await.then_some(stream)
}

/// The certificate that the server shows.
async fn shown(address: SocketAddr, client: ClientConfig) -> Vec<u8> {
    let stream = reach(address, client, "localhost").await.expect("a connection");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

#[tokio::test]
async fn a_certificate_from_files_serves_and_tells_the_handler() {
    let authority = Authority::new();
    let mut with_alpn = settings(&authority.issue("localhost"));
    with_alpn.alpn = vec![b"gotalk".to_vec(), b"other".to_vec()];
    let tls = Tls::new(with_alpn).expect("good files");
    let mut server = Server::start(listen(&tls), Limits::default()).await;

    let mut client = authority.client(None);
    client.alpn_protocols = vec![b"other".to_vec(), b"gotalk".to_vec()];
    let stream = reach(server.ip(), client, "localhost")
        .await
        .expect("a connection");
    assert_eq!(
        stream.get_ref().1.alpn_protocol(),
        Some(&b"gotalk"[..]),
        "our preference leads"
    );
    let info = server.begun().await.tls.expect("TLS");
    assert_eq!(info.alpn.as_deref(), Some(&b"gotalk"[..]));
    assert_eq!(info.server_name.as_deref(), Some("localhost"));
    assert_eq!(info.version, "TLSv1.3");
    assert_eq!(info.client_certificate, None);

    let mut stranger = authority.client(None);
    stranger.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert!(
        reach(server.ip(), stranger, "localhost").await.is_none(),
        "no protocol in common"
    );
    assert!(
        reach(server.ip(), authority.client(None), "localhost")
            .await
            .is_some(),
        "ALPN is the client's choice"
    );
}

#[tokio::test]
async fn large_transfers_survive_in_both_halves() {
    let authority = Authority::new();
    let tls = Tls::new(settings(&authority.issue("localhost"))).expect("good files");
    let server = Server::start(listen(&tls), Limits::default()).await;
    let stream = handshake(authority.client(None), "localhost", connect(server.ip()).await)
        .await
        .expect("TLS");
    let (mut read, mut write) = tokio::io::split(stream);
    let payload: Vec<u8> = (0..1_000_000).map(|n| (n % 251) as u8).collect();
    let sent = payload.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.expect("written");
        write.shutdown().await.expect("half closed");
    });
    let mut echoed = Vec::new();
    patient(read.read_to_end(&mut echoed))
        .await
        .expect("all comes back, and then the end");
    assert!(echoed == payload);
    writing.await.expect("no panic");
}

#[tokio::test]
async fn a_reload_changes_the_certificate_and_a_bad_file_does_not() {
    let authority = Authority::new();
    let issued = authority.issue("localhost");
    let tls = Tls::new(settings(&issued)).expect("good files");
    let server = Server::start(listen(&tls), Limits::default()).await;
    let mut old = reach(server.ip(), authority.client(None), "localhost")
        .await
        .expect("a connection");
    let first = shown(server.ip(), authority.client(None)).await;

    authority.issue("localhost");
    assert_eq!(
        shown(server.ip(), authority.client(None)).await,
        first,
        "not before it is asked"
    );
    tls.reload().expect("good files");
    let second = shown(server.ip(), authority.client(None)).await;
    assert_ne!(second, first);
    assert!(echoes(&mut old).await, "open connections live on");

    // A key that does not belong to the certificate, then garbage, then nothing at all.
    let other = authority.issue("other");
    fs::copy(&other.key, &issued.key).expect("copied");
    assert!(matches!(tls.reload(), Err(TlsError::Certificate(_))));
    fs::write(&issued.certificate, "garbage").expect("written");
    assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
    fs::remove_file(&issued.certificate).expect("removed");
    let error = tls.reload().expect_err("nothing there");
    assert!(error.to_string().contains("localhost.crt"), "{error}");
    assert_eq!(
        shown(server.ip(), authority.client(None)).await,
        second,
        "the old one stays"
    );
}

#[tokio::test]
async fn bad_files_are_named_at_the_start() {
    let authority = Authority::new();
    let issued = authority.issue("localhost");
    let with_key = |key: PathBuf| {
        settings(&Issued {
            certificate: issued.certificate.clone(),
            key,
        })
    };
    let error = Tls::new(with_key(issued.certificate.clone())).expect_err("a certificate is no key");
    assert!(matches!(error, TlsError::Read { .. }), "{error}");
    assert!(
        Tls::new(with_key(authority.issue("other").key)).is_err(),
        "another's key"
    );
    let mut mutual = settings(&issued);
    mutual.clients = ClientCertificates::Required {
        authorities: issued.key.clone(),
    };
    let error = Tls::new(mutual).expect_err("a key is no authority");
    assert!(error.to_string().contains("localhost.key"), "{error}");
}

#[tokio::test]
async fn client_certificates_are_off_optional_or_required() {
    let authority = Authority::new();
    let strangers = Authority::new();
    let served = authority.issue("localhost");
    let alice = authority.issue("alice");
    let mallory = strangers.issue("alice");
    let authorities = authority.file();
    for (clients, none, good, bad) in [
        // Who is not asked does not show anything, so a bad one does no harm.
        (ClientCertificates::Off, true, true, true),
        (
            ClientCertificates::Optional {
                authorities: authorities.clone(),
            },
            true,
            true,
            false,
        ),
        (
            ClientCertificates::Required {
                authorities: authorities.clone(),
            },
            false,
            true,
            false,
        ),
    ] {
        let asked = clients != ClientCertificates::Off;
        let tls = Tls::new(TlsSettings {
            clients,
            ..settings(&served)
        })
        .expect("good files");
        let mut server = Server::start(listen(&tls), Limits::default()).await;
        for (certificate, welcome) in [(None, none), (Some(&alice), good), (Some(&mallory), bad)] {
            let client = authority.client(certificate);
            let stream = reach(server.ip(), client, "localhost").await;
            assert_eq!(
                stream.is_some(),
                welcome,
                "{:?}",
                certificate.map(|issued| &issued.certificate)
            );
            if welcome {
                let shown = server.begun().await.tls.expect("TLS").client_certificate;
                assert_eq!(shown.is_some(), asked && certificate.is_some());
                if let Some(shown) = shown {
                    assert_eq!(shown.subject, "CN=alice");
                    let der = CertificateDer::from_pem_file(&alice.certificate).expect("a certificate");
                    let expected = ring::digest::digest(&ring::digest::SHA256, &der);
                    assert_eq!(shown.fingerprint, expected.as_ref());
                    assert_eq!(shown.fingerprint_hex().len(), 64);
                }
            }
        }
        let failures = [none, good, bad].iter().filter(|welcome| !**welcome).count() as u64;
        assert_eq!(server.network.stats().handshake_failures(), failures);
    }
}

fn self_signed(names: &[&str], directory: Option<PathBuf>) -> TlsSettings {
    TlsSettings {
        certificate: Certificate::SelfSigned {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            directory,
        },
        clients: ClientCertificates::Off,
        alpn: Vec::new(),
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_kept_for_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("tls");
    let tls = Tls::new(self_signed(&["hub.example"], Some(directory.clone()))).expect("made");
    let mode = |name: &str| {
        fs::metadata(directory.join(name))
            .expect(name)
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("self-signed.key"), 0o600);
    assert_eq!(
        fs::read_dir(&directory).expect("a folder").count(),
        2,
        "no drafts are left"
    );

    let trusted = CertificateDer::from_pem_file(directory.join("self-signed.crt")).expect("a certificate");
    for tls in [
        tls,
        Tls::new(self_signed(&["hub.example"], Some(directory.clone()))).expect("found again"),
    ] {
        let server = Server::start(listen(&tls), Limits::default()).await;
        for name in ["localhost", "127.0.0.1", "::1", "hub.example"] {
            assert!(
                reach(server.ip(), client_of(trusted.clone(), None), name)
                    .await
                    .is_some(),
                "{name}"
            );
        }
        assert!(
            reach(server.ip(), client_of(trusted.clone(), None), "other.example")
                .await
                .is_none()
        );
    }

    fs::remove_file(directory.join("self-signed.crt")).expect("removed");
    Tls::new(self_signed(&[], Some(directory.clone()))).expect("half a pair is made anew");
    let renewed = CertificateDer::from_pem_file(directory.join("self-signed.crt")).expect("a certificate");
    assert_ne!(renewed, trusted);
    assert!(Tls::new(self_signed(&[], Some("/proc/nowhere".into()))).is_err());
}

#[tokio::test]
async fn a_self_signed_certificate_in_memory_outlives_a_reload() {
    let tls = Tls::new(self_signed(&["localhost"], None)).expect("made");
    let server = Server::start(listen(&tls), Limits::default()).await;
    let stranger = Authority::new().client(None);
    assert!(
        reach(server.ip(), stranger, "localhost").await.is_none(),
        "nobody trusts it unasked"
    );
    tls.reload().expect("nothing to read");
}

#[tokio::test]
async fn a_slow_handshake_times_out_while_others_are_served() {
    let authority = Authority::new();
    let tls = Tls::new(settings(&authority.issue("localhost"))).expect("good files");
    let mut config = listen(&tls);
    config.connection.handshake_timeout = Duration::from_secs(2);
    let server = Server::start(config, Limits::default()).await;
    let mut silent = connect(server.ip()).await;
    let mut slow = connect(server.ip()).await;
    // The header of a handshake record that announces 512 bytes, and two of them.
    slow.write_all(b"\x16\x03\x01\x02\x00\x01\x00")
        .await
        .expect("written");
    let mut good = reach(server.ip(), authority.client(None), "localhost")
        .await
        .expect("while two are half way");
    closed(&mut silent).await;
    closed(&mut slow).await;
    assert_eq!(server.network.stats().handshake_timeouts(), 2);
    assert!(echoes(&mut good).await, "the deadline is for handshakes only");
    assert_eq!(server.network.stats().open(), 1);
}

#[tokio::test]
async fn what_is_no_tls_fails_and_harms_nobody() {
    let authority = Authority::new();
    let tls = Tls::new(settings(&authority.issue("localhost"))).expect("good files");
    let server = Server::start(listen(&tls), Limits::default()).await;
    let mut plain = connect(server.ip()).await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("written");
    // An alert comes back, then the end.
    let mut answer = Vec::new();
    let _ = patient(plain.read_to_end(&mut answer)).await;
    assert_eq!(answer.first(), Some(&0x15), "a TLS alert");
    drop(connect(server.ip()).await);
    assert!(
        reach(server.ip(), authority.client(None), "localhost")
            .await
            .is_some()
    );
    while server.network.stats().handshake_failures() < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn tls_runs_over_unix_sockets_and_behind_proxies() {
    let authority = Authority::new();
    let tls = Tls::new(settings(&authority.issue("localhost"))).expect("good files");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let mut unix = config(&format!("unix:{}", path.display()));
    unix.tls = Some(tls.clone());
    let mut server = Server::start(unix, Limits::default()).await;
    let stream = patient(UnixStream::connect(&path))
        .await
        .expect("somebody listens");
    let mut stream = handshake(authority.client(None), "localhost", stream)
        .await
        .expect("TLS");
    assert!(echoes(&mut stream).await);
    let info = server.begun().await;
    assert!(info.tls.is_some() && info.peer_uid.is_some());

    let mut proxied = listen(&tls);
    proxied.proxy = ProxyProtocol::Required {
        trusted: vec!["127.0.0.0/8".parse().expect("a network")],
    };
    let mut server = Server::start(proxied, Limits::default()).await;
    let mut stream = connect(server.ip()).await;
    stream
        .write_all(b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n")
        .await
        .expect("written");
    let mut stream = handshake(authority.client(None), "localhost", stream)
        .await
        .expect("TLS");
    assert!(echoes(&mut stream).await);
    let info = server.begun().await;
    assert!(info.tls.is_some());
    assert_eq!(info.peer.to_string(), "192.0.2.1:1");
}

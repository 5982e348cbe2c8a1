//! The greeting over TLS: the server shows a self-signed certificate, which its client trusts and no other.
//!
//! ```text
//! $ cargo run -p switchboard-examples --example tls
//! Hello, Rasmus!
//! who trusts others: invalid peer certificate: UnknownIssuer
//! ```

use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use switchboard_peer::{
    CancellationToken, ConnectError, Connector, Handlers, Options, TlsListener, serve, tls_with_roots,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;

    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("tls://{}", tcp.local_addr()?).parse()?;
    let listener = TlsListener::new(tcp, Arc::new(tls));
    let handlers = Handlers::new().handle(
        "greet",
        |_, name: String| async move { Ok(format!("Hello, {name}!")) },
    );
    let (stop, grace) = (CancellationToken::new(), Duration::from_secs(1));
    let server = tokio::spawn(serve(listener, handlers, Options::default(), stop.clone(), grace));

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone())?;
    let connector = |roots| -> Result<Connector, ConnectError> {
        let tls = Some(Arc::new(tls_with_roots(roots)?));
        Ok(Connector {
            tls,
            ..Connector::default()
        })
    };
    let peer = connector(roots)?.connect(&url, Handlers::new()).await?;
    let greeting: String = peer.request("greet", "Rasmus").await?;
    println!("{greeting}");

    let refused = connector(RootCertStore::empty())?
        .connect(&url, Handlers::new())
        .await;
    if let Err(ConnectError::Unreachable { source, .. }) = refused {
        println!("who trusts others: {source}");
    }

    stop.cancel();
    server.await?;
    Ok(())
}

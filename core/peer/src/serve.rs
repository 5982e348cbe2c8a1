//! Accepting peers without a daemon.

use std::future::{Future, Ready, ready};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use switchboard_unix::UnixStream;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::driver::Transport;
use crate::options::Options;
use crate::peer::{Peer, Side};
use crate::service::{BoxFuture, Caller, Service};

/// Something that connections come from.
pub trait Listener: Send + 'static {
    /// What a connection is made of.
    type Transport: Transport;

    /// What is left to be done before it can be talked over. It runs in the connection's own task, within
    /// [`Options::handshake_timeout`]: a slow one holds up no other.
    type Handshake: Future<Output = io::Result<Self::Transport>> + Send + 'static;

    /// The next connection, and a text that names its other end. An error is the listener's own, such as too many
    /// open files; what is wrong with one connection is an error of its handshake.
    ///
    /// Must be cancel safe: no connection is lost when the future is dropped.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Handshake, String)>> + Send;
}

impl Listener for TcpListener {
    type Transport = TcpStream;
    type Handshake = Ready<io::Result<TcpStream>>;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, String)> {
        let (stream, address) = TcpListener::accept(self).await?;
        let prepared = stream.set_nodelay(true).map(|()| stream);
        Ok((ready(prepared), address.to_string()))
    }
}

impl Listener for UnixListener {
    type Transport = UnixStream;
    type Handshake = Ready<io::Result<UnixStream>>;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, String)> {
        let (stream, _) = UnixListener::accept(self).await?;
        let uid = stream.peer_cred().map(|peer| peer.uid());
        let name = uid.map_or_else(|_| "unix".to_owned(), |uid| format!("unix:uid={uid}"));
        Ok((ready(stream.try_into()), name))
    }
}

/// TLS over the connections of another listener.
pub struct TlsListener<L> {
    listener: L,
    tls: TlsAcceptor,
}

impl<L: Listener> TlsListener<L> {
    /// Secures what comes from `listener`, as `config` says.
    pub fn new(listener: L, config: Arc<ServerConfig>) -> Self {
        Self {
            listener,
            tls: config.into(),
        }
    }
}

impl<L: Listener> Listener for TlsListener<L> {
    type Transport = TlsStream<L::Transport>;
    type Handshake = BoxFuture<io::Result<Self::Transport>>;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, String)> {
        let (handshake, address) = self.listener.accept().await?;
        let tls = self.tls.clone();
        Ok((
            Box::pin(async move { tls.accept(handshake.await?).await }),
            address,
        ))
    }
}

/// How long accepting rests after an error of the system's, such as too many open files. Doubled at each in a row.
const REST_MIN: Duration = Duration::from_millis(5);

/// The longest such rest.
const REST_MAX: Duration = Duration::from_secs(1);

/// Accepts peers from `listener` and answers them with `service`, until `stop` fires; then lets each finish what is
/// under way within `grace`.
///
/// An error of the listener never ends it: it is logged, and accepting goes on after a rest.
///
/// # Cancel safety
/// Dropping the future stops accepting; connections already made go on.
pub async fn serve<L, S>(
    mut listener: L,
    service: S,
    options: Options,
    stop: CancellationToken,
    grace: Duration,
) where
    L: Listener,
    S: Service,
{
    let service = Arc::new(service);
    let mut peers = JoinSet::new();
    let mut rest = REST_MIN;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = peers.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((handshake, address)) => {
                rest = REST_MIN;
                let stop = stop.clone();
                peers.spawn(serve_one(
                    handshake,
                    address,
                    Arc::clone(&service),
                    options.clone(),
                    stop,
                    grace,
                ));
            }
            Err(error) => {
                tracing::warn!(%error, ?rest, "cannot accept a connection");
                tokio::time::sleep(rest).await;
                rest = (rest * 2).min(REST_MAX);
            }
        }
    }
    drop(listener);
    while peers.join_next().await.is_some() {}
}

async fn serve_one<T: Transport>(
    handshake: impl Future<Output = io::Result<T>>,
    address: String,
    service: Arc<impl Service>,
    options: Options,
    stop: CancellationToken,
    grace: Duration,
) {
    let transport = match timeout(options.handshake_timeout, handshake).await {
        Ok(Ok(transport)) => transport,
        Ok(Err(error)) => return tracing::debug!(address, %error, "a connection came to nothing"),
        Err(_) => return tracing::debug!(address, "a connection was not secured in time"),
    };
    let caller = Caller {
        address: Some(address.clone()),
        ..Caller::default()
    };
    match Peer::start(transport, Side::Accepting, service, options, caller).await {
        Ok(peer) => {
            tokio::select! {
                reason = peer.closed() => tracing::debug!(address, %reason, "a peer has gone"),
                () = stop.cancelled() => peer.shutdown(grace).await,
            }
        }
        Err(error) => tracing::debug!(address, %error, "a connection came to nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_holds_no_small_write_back() {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (handshake, _) = Listener::accept(&mut listener).await.unwrap();
        assert!(handshake.await.unwrap().nodelay().unwrap());
    }
}

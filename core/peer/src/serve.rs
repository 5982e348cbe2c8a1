//! Accepting peers without a daemon.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::driver::Transport;
use crate::options::Options;
use crate::peer::{Peer, Side};
use crate::service::{Caller, Service};

/// Something that connections come from.
pub trait Listener: Send + 'static {
    /// What a connection is made of.
    type Transport: Transport;

    /// The next connection, and a text that names its other end.
    ///
    /// Must be cancel safe: no connection is lost when the future is dropped.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Transport, String)>> + Send;
}

impl Listener for TcpListener {
    type Transport = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Transport, String)> {
        let (stream, address) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, address.to_string()))
    }
}

impl Listener for UnixListener {
    type Transport = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Transport, String)> {
        let (stream, _) = UnixListener::accept(self).await?;
        let uid = stream.peer_cred().map(|peer| peer.uid());
        Ok((
            stream,
            uid.map_or_else(|_| "unix".to_owned(), |uid| format!("unix:uid={uid}")),
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
            Ok((transport, address)) => {
                rest = REST_MIN;
                let stop = stop.clone();
                peers.spawn(serve_one(
                    transport,
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
    transport: T,
    address: String,
    service: Arc<impl Service>,
    options: Options,
    stop: CancellationToken,
    grace: Duration,
) {
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

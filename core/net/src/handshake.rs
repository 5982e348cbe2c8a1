//! From an accepted socket to a connection: socket options, PROXY header, TLS. Runs in the connection's own task.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::config::{ListenerConfig, ProxyProtocol};
use crate::connection::{Connection, ConnectionInfo, LocalAddress, PeerAddress};
use crate::limits::Refusal;
use crate::network::{Network, Slot};
use crate::proxy::{self, HEADER_BYTES_MAX, Header, Parsed, ProxyError};
use crate::socket::{self, Accepted, canonical};
use crate::stream::{Carrier, Stream};
use crate::tls::{self, TlsInfo};

/// Bytes looked at in one go while reading a PROXY header: the usual ones fit.
const PEEK_BYTES: usize = 536;

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    #[error("the peer ended the connection within the PROXY header")]
    ProxyEnd,
    #[error("PROXY header: {0}")]
    ProxyRead(io::Error),
    #[error("TLS handshake: {0}")]
    Tls(io::Error),
    #[error("not complete within {0:?}")]
    Timeout(std::time::Duration),
}

/// What the parts of a connection are made with.
pub(crate) struct Handshake<'a> {
    pub(crate) network: &'a Network,
    pub(crate) config: &'a ListenerConfig,
    pub(crate) local: &'a LocalAddress,
}

impl Handshake<'_> {
    /// Whether there is anything to wait for.
    fn waits(&self) -> bool {
        self.config.tls.is_some() || self.config.proxy != ProxyProtocol::Off
    }

    /// Does whatever the listener asks of a new connection, within its deadline.
    pub(crate) async fn complete(
        &self,
        accepted: Accepted,
        slot: Slot,
    ) -> Result<Connection, HandshakeError> {
        if !self.waits() {
            return self.plain(accepted, slot);
        }
        let timeout = self.config.connection.handshake_timeout;
        // Boxed, so that its buffers are gone once the connection is served.
        match tokio::time::timeout(timeout, Box::pin(self.negotiate(accepted, slot))).await {
            Ok(result) => result,
            Err(_) => Err(HandshakeError::Timeout(timeout)),
        }
    }

    fn plain(&self, accepted: Accepted, slot: Slot) -> Result<Connection, HandshakeError> {
        Ok(match accepted {
            Accepted::Tcp(stream, peer) => {
                self.tune(&stream);
                let info = self.info(PeerAddress::Ip(peer), self.tcp_local(&stream));
                self.connection(Carrier::Tcp(stream), info, slot)
            }
            Accepted::Unix(stream, uid) => {
                let info = self.unix_info(uid);
                self.connection(Carrier::Unix(stream), info, slot)
            }
        })
    }

    async fn negotiate(&self, accepted: Accepted, slot: Slot) -> Result<Connection, HandshakeError> {
        match accepted {
            Accepted::Tcp(stream, peer) => self.negotiate_tcp(stream, peer, slot).await,
            Accepted::Unix(stream, uid) => {
                let mut info = self.unix_info(uid);
                let Some(tls) = &self.config.tls else {
                    return Ok(self.connection(Carrier::Unix(stream), info, slot));
                };
                let stream = tls.acceptor().accept(stream).await.map_err(HandshakeError::Tls)?;
                info.tls = Some(tls_info(stream.get_ref().1)?);
                Ok(self.connection(Carrier::TlsUnix(Box::new(stream)), info, slot))
            }
        }
    }

    async fn negotiate_tcp(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        mut slot: Slot,
    ) -> Result<Connection, HandshakeError> {
        self.tune(&stream);
        let mut info = self.info(PeerAddress::Ip(peer), self.tcp_local(&stream));
        if self.config.proxy != ProxyProtocol::Off {
            let header = read_proxy_header(&stream).await?;
            let client = header.client.map_or(peer, |client| client.source);
            slot.charge(client.ip(), Instant::now())
                .map_err(HandshakeError::Refused)?;
            info.peer = PeerAddress::Ip(client);
            info.proxy = Some(peer);
        }
        let Some(tls) = &self.config.tls else {
            return Ok(self.connection(Carrier::Tcp(stream), info, slot));
        };
        let stream = tls.acceptor().accept(stream).await.map_err(HandshakeError::Tls)?;
        info.tls = Some(tls_info(stream.get_ref().1)?);
        Ok(self.connection(Carrier::TlsTcp(Box::new(stream)), info, slot))
    }

    fn tune(&self, stream: &TcpStream) {
        // It fails only if the peer is gone already, which reading will tell.
        if let Err(error) = socket::tune(stream, self.config.connection.link_timeout) {
            tracing::debug!(%error, "socket options could not be set");
        }
    }

    /// Our end of `stream`: not the listener's address if that is unspecified.
    fn tcp_local(&self, stream: &TcpStream) -> LocalAddress {
        stream.local_addr().map_or_else(
            |_| self.local.clone(),
            |address| LocalAddress::Ip(canonical(address)),
        )
    }

    fn unix_info(&self, uid: Option<u32>) -> ConnectionInfo {
        let mut info = self.info(PeerAddress::Unix, self.local.clone());
        info.peer_uid = uid;
        info
    }

    fn info(&self, peer: PeerAddress, local: LocalAddress) -> ConnectionInfo {
        ConnectionInfo {
            id: self.network.next_id(),
            peer,
            proxy: None,
            local,
            tls: None,
            peer_uid: None,
        }
    }

    fn connection(&self, carrier: Carrier, info: ConnectionInfo, slot: Slot) -> Connection {
        Connection {
            stream: Stream::new(carrier, &self.config.connection, slot),
            info,
        }
    }
}

fn tls_info(connection: &rustls::ServerConnection) -> Result<TlsInfo, HandshakeError> {
    tls::info(connection).map_err(HandshakeError::Tls)
}

/// Reads a PROXY header and not a byte more, so that nothing needs to be put back for whoever reads next.
///
/// Looks before it takes: all bytes of an incomplete header belong to it and may be taken; of a complete one exactly
/// those up to its end.
async fn read_proxy_header(stream: &TcpStream) -> Result<Header, HandshakeError> {
    let mut header = Vec::with_capacity(PEEK_BYTES);
    loop {
        let taken = header.len();
        header.resize((taken + PEEK_BYTES).min(HEADER_BYTES_MAX), 0);
        let part = header.get_mut(taken..).unwrap_or_default();
        let seen = receive(stream, part, RecvFlags::PEEK)
            .await
            .map_err(HandshakeError::ProxyRead)?;
        if seen == 0 {
            return Err(HandshakeError::ProxyEnd);
        }
        header.truncate(taken + seen);
        let (end, complete) = match proxy::parse(&header)? {
            Parsed::Complete(found) => (found.length, Some(found)),
            Parsed::Incomplete => (header.len(), None),
        };
        // Those bytes are there: one call takes them all.
        let part = header.get_mut(taken..end).unwrap_or_default();
        receive(stream, part, RecvFlags::empty())
            .await
            .map_err(HandshakeError::ProxyRead)?;
        if let Some(found) = complete {
            return Ok(found);
        }
    }
}

async fn receive(stream: &TcpStream, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let mut attempt = || Ok(rustix::net::recv(stream, &mut *buffer, flags)?.0);
    stream.async_io(Interest::READABLE, &mut attempt).await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Limits, Listener, Shutdown};

    /// What a gateway gets when a client connects, and says something, to a listener of this configuration.
    async fn accepted(config: ListenerConfig, said: &[u8]) -> Stream {
        let network = Network::new(Limits::default());
        let listener = Listener::bind(config, &network).await.expect("a port");
        let address = listener.local_address().ip().expect("TCP");
        let (tell, mut told) = mpsc::unbounded_channel();
        let gateway = move |connection: Connection| {
            // The test waits for it.
            let _ = tell.send(connection.stream);
            async {}
        };
        tokio::spawn(listener.run(gateway, Shutdown::new()));
        let mut client = TcpStream::connect(address).await.expect("it listens");
        client.write_all(said).await.expect("written");
        told.recv().await.expect("a connection")
    }

    #[tokio::test]
    async fn no_gateway_gets_a_connection_that_holds_small_writes_back() {
        let plain = || ListenerConfig::new("tcp://127.0.0.1:0".parse().expect("an address"));
        let behind_proxy = ListenerConfig {
            proxy: ProxyProtocol::Required {
                trusted: vec!["127.0.0.0/8".parse().expect("a network")],
            },
            ..plain()
        };
        let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 4700\r\n";
        for (config, said) in [(plain(), &b""[..]), (behind_proxy, header)] {
            let stream = accepted(config, said).await;
            let Carrier::Tcp(stream) = stream.carrier() else {
                panic!("TCP, not {stream:?}")
            };
            assert!(stream.nodelay().expect("an option"));
        }
    }
}

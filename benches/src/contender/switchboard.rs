//! Switchboard's own peers, without a daemon between them.

use anyhow::Result;
use bytes::Bytes;
use switchboard_peer::{Handlers, Options, Peer, connect, serve};
use tokio_util::sync::CancellationToken;

use super::{Contender, Echo, Greeting};
use crate::address::{Address, Listener};

/// The operation that returns its payload.
pub const ECHO: &str = "echo";

/// What a gotalk peer says first.
pub const GREETING: Greeting = Greeting {
    bytes: b"01",
    answered: true,
};

/// Two peers of core/peer.
pub struct Switchboard;

impl Contender for Switchboard {
    type Client = EchoPeer;

    async fn serve(listener: Listener) -> Result<()> {
        let handlers = Handlers::new().handle_raw(ECHO, |_, payload| async { Ok(payload) });
        let (options, never, grace) = (
            Options::default(),
            CancellationToken::new(),
            std::time::Duration::ZERO,
        );
        match listener {
            Listener::Tcp(listener) => serve(listener, handlers, options, never, grace).await,
            Listener::Unix(listener, _) => serve(listener, handlers, options, never, grace).await,
        }
        Ok(())
    }

    async fn connect(address: &Address) -> Result<EchoPeer> {
        let peer = connect(&address.to_string(), Handlers::new()).await?;
        Ok(EchoPeer(peer))
    }
}

/// The asking end.
#[derive(Clone)]
pub struct EchoPeer(Peer);

impl Echo for EchoPeer {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        Ok(self.0.request_raw(ECHO, payload).await?)
    }
}

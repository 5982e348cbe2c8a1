//! One client for all sides, so that it is never the client that is compared: a task for each connection, which sends
//! what the callers have asked meanwhile and flushes once.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use slab::Slab;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::dialect::Dialect;
use crate::address::{Address, Stream};
use crate::contender::Echo;
use crate::web_client::target;

/// The calling end; clones share the connection.
#[derive(Clone)]
pub struct Socket {
    calls: mpsc::UnboundedSender<Call>,
}

struct Call {
    payload: Bytes,
    answer: oneshot::Sender<Bytes>,
}

impl Socket {
    /// Opens a connection to a server at `address` that speaks `D`.
    pub async fn open<D: Dialect>(address: &Address) -> Result<Self> {
        let mut request = format!("ws://{}{}", target(address)?, D::PATH).into_client_request()?;
        if let Some(name) = D::SUBPROTOCOL {
            request
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        let (mut socket, _) = client_async(request, address.connect().await?).await?;
        let mut dialect = D::default();
        dialect.greet(&mut socket).await?;
        let (calls, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            if let Err(error) = carry(socket, dialect, asked).await {
                eprintln!("websocket: {error:#}");
            }
        });
        Ok(Self { calls })
    }
}

impl Echo for Socket {
    async fn echo(&mut self, payload: Bytes) -> Result<Bytes> {
        let (answer, answered) = oneshot::channel();
        let call = Call { payload, answer };
        self.calls.send(call).ok().context("the connection is closed")?;
        answered.await.context("the connection was closed")
    }
}

async fn carry<D: Dialect>(
    mut socket: WebSocketStream<Stream>,
    mut dialect: D,
    mut asked: mpsc::UnboundedReceiver<Call>,
) -> Result<()> {
    let mut waiting: Slab<oneshot::Sender<Bytes>> = Slab::new();
    let mut answers = Vec::new();
    loop {
        tokio::select! {
            call = asked.recv() => {
                let Some(call) = call else { return Ok(()) };
                let mut next = Some(call);
                while let Some(Call { payload, answer }) = next {
                    let id = u32::try_from(waiting.insert(answer))?;
                    socket.feed(dialect.call(id, &payload)?).await?;
                    next = asked.try_recv().ok();
                }
                socket.flush().await?;
            }
            message = socket.next() => match message.context("the server has closed")?? {
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(frame) => bail!("the server closes: {frame:?}"),
                message => {
                    if let Some(reply) = dialect.hear(message, &mut answers)? {
                        socket.send(reply).await?;
                    }
                    for (id, payload) in answers.drain(..) {
                        let answer = waiting.try_remove(id as usize).context("an answer nobody waits for")?;
                        // A caller that is gone misses nothing.
                        let _ = answer.send(payload);
                    }
                }
            },
        }
    }
}

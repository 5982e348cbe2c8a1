//! What each side's messages look like: how a call finds its answer is all that differs.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use switchboard_wire::gotalk::{self, Bounds, Head};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::address::Stream;
use crate::web::OPERATION;

/// A way of calling by WebSocket messages.
pub trait Dialect: Default + Send + 'static {
    /// Where the server is.
    const PATH: &'static str;

    /// The sub-protocol to ask for.
    const SUBPROTOCOL: Option<&'static str> = None;

    /// Says hello.
    fn greet(&mut self, socket: &mut WebSocketStream<Stream>) -> impl Future<Output = Result<()>> + Send;

    /// The call `id`.
    fn call(&mut self, id: u32, payload: &Bytes) -> Result<Message>;

    /// Adds the answers that `message` brings, and returns what is to be said to it.
    fn hear(&mut self, message: Message, answers: &mut Vec<(u32, Bytes)>) -> Result<Option<Message>>;
}

/// The id in four bytes, then the payload; sent back as it is.
#[derive(Default)]
pub struct Plain;

impl Dialect for Plain {
    const PATH: &'static str = "/echo";

    async fn greet(&mut self, _: &mut WebSocketStream<Stream>) -> Result<()> {
        Ok(())
    }

    fn call(&mut self, id: u32, payload: &Bytes) -> Result<Message> {
        let mut message = BytesMut::with_capacity(size_of::<u32>() + payload.len());
        message.put_u32(id);
        message.put_slice(payload);
        Ok(Message::Binary(message.freeze()))
    }

    fn hear(&mut self, message: Message, answers: &mut Vec<(u32, Bytes)>) -> Result<Option<Message>> {
        let mut payload = message.into_data();
        answers.push((payload.try_get_u32()?, payload));
        Ok(None)
    }
}

/// socket.io 4 (protocol 5) inside engine.io 4: text, with the payload as a JSON string.
#[derive(Default)]
pub struct SocketIo;

/// engine.io's ping, and the pong that answers it.
const PING: &str = "2";
const PONG: Message = text("3");

/// An engine.io message that connects to the default namespace, and the start of what confirms it.
const CONNECT: &str = "40";

/// The start of a message that is an event and wants to be acknowledged; its id follows.
const EVENT: &str = "42";

/// The start of a message that acknowledges one.
const ACKNOWLEDGED: &str = "43";

const fn text(text: &'static str) -> Message {
    Message::Text(tokio_tungstenite::tungstenite::Utf8Bytes::from_static(text))
}

impl Dialect for SocketIo {
    const PATH: &'static str = "/socket.io/?EIO=4&transport=websocket";

    async fn greet(&mut self, socket: &mut WebSocketStream<Stream>) -> Result<()> {
        let opened = socket.next().await.context("no handshake")??.into_text()?;
        ensure!(opened.starts_with('0'), "the handshake is {opened:?}");
        socket.send(text(CONNECT)).await?;
        let connected = socket.next().await.context("no namespace")??.into_text()?;
        ensure!(connected.starts_with(CONNECT), "the namespace is {connected:?}");
        Ok(())
    }

    fn call(&mut self, id: u32, payload: &Bytes) -> Result<Message> {
        // The payloads here need no escape.
        let payload = std::str::from_utf8(payload)?;
        Ok(Message::text(format!(r#"{EVENT}{id}["echo","{payload}"]"#)))
    }

    fn hear(&mut self, message: Message, answers: &mut Vec<(u32, Bytes)>) -> Result<Option<Message>> {
        let said = message.into_text()?;
        if said.as_str() == PING {
            return Ok(Some(PONG));
        }
        let answer = said.strip_prefix(ACKNOWLEDGED).and_then(|rest| {
            let (id, arguments) = rest.split_once("[\"")?;
            let payload = arguments.strip_suffix("\"]")?;
            let from = payload.as_ptr() as usize - said.as_ptr() as usize;
            Some((id.parse().ok()?, from..from + payload.len()))
        });
        let Some((id, payload)) = answer else {
            bail!("the server said {said:?}")
        };
        answers.push((id, Bytes::from(said).slice(payload)));
        Ok(None)
    }
}

/// gotalk: a stream of messages, whatever the frames; several in one frame where that was agreed.
#[derive(Default)]
pub struct Gotalk {
    read: BytesMut,
    version_read: bool,
}

impl Dialect for Gotalk {
    const PATH: &'static str = "/gotalk/";
    const SUBPROTOCOL: Option<&'static str> = Some(switchboard_peer::websocket::SUBPROTOCOL);

    async fn greet(&mut self, socket: &mut WebSocketStream<Stream>) -> Result<()> {
        Ok(socket
            .send(Message::Binary(Bytes::from_static(&gotalk::VERSION)))
            .await?)
    }

    fn call(&mut self, id: u32, payload: &Bytes) -> Result<Message> {
        let head = Head::SingleRequest {
            id: id.into(),
            operation: OPERATION,
        };
        let mut message = BytesMut::with_capacity(head.encoded_len() + payload.len());
        head.encode(payload.len(), &mut message)?;
        message.put_slice(payload);
        Ok(Message::Binary(message.freeze()))
    }

    fn hear(&mut self, message: Message, answers: &mut Vec<(u32, Bytes)>) -> Result<Option<Message>> {
        self.read.extend_from_slice(&message.into_data());
        if !self.version_read {
            self.version_read = gotalk::decode_version(&mut self.read)?.is_some();
        }
        while let Some(message) = gotalk::decode(&mut self.read, &Bounds::default())? {
            match message {
                gotalk::Message::SingleResult { id, payload } => answers.push((id.into(), payload)),
                gotalk::Message::Heartbeat { .. } => {}
                message => bail!("the server said {message:?}"),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers_of(dialect: &mut impl Dialect, message: Message) -> Vec<(u32, Bytes)> {
        let mut answers = Vec::new();
        dialect.hear(message, &mut answers).unwrap();
        answers
    }

    #[test]
    fn an_echo_in_each_dialect_is_read_back() {
        let payload = Bytes::from_static(b"hello");
        let plain = Plain.call(7, &payload).unwrap();
        assert_eq!(answers_of(&mut Plain, plain), [(7, payload.clone())]);

        assert_eq!(
            SocketIo.call(7, &payload).unwrap(),
            Message::text(r#"427["echo","hello"]"#)
        );
        assert_eq!(
            answers_of(&mut SocketIo, Message::text(r#"437["hello"]"#)),
            [(7, payload.clone())]
        );

        let mut answer = BytesMut::from(&gotalk::VERSION[..]);
        for id in [7_u32, 8] {
            Head::SingleResult { id: id.into() }
                .encode(payload.len(), &mut answer)
                .unwrap();
            answer.put_slice(&payload);
        }
        assert_eq!(
            answers_of(&mut Gotalk::default(), Message::Binary(answer.freeze())),
            [(7, payload.clone()), (8, payload)]
        );
    }

    #[test]
    fn a_ping_of_socket_io_is_answered() {
        let mut answers = Vec::new();
        assert_eq!(
            SocketIo.hear(Message::text("2"), &mut answers).unwrap(),
            Some(PONG)
        );
        assert!(answers.is_empty());
        assert!(SocketIo.hear(Message::text("41"), &mut answers).is_err());
    }
}

//! Our end and a foreign implementation's.

use futures_util::{SinkExt, StreamExt};
use switchboard_peer::websocket::{Framing, server_transport};
use switchboard_peer::{Caller, CloseReason, Handlers, Peer, Side};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::common::{self, handlers};
use crate::frames::{PIPE_BYTES, quiet};

type Foreign = WebSocketStream<DuplexStream>;

async fn foreign_client(service: Handlers, framing: Framing) -> (Peer, Foreign) {
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    let transport = server_transport(ours, framing, &quiet());
    let options = common::quiet();
    let starting = Peer::start(transport, Side::Accepting, service, options, Caller::default());
    let (peer, ()) = tokio::join!(starting, async {
        client.send(Message::binary("01")).await.unwrap();
        assert_eq!(next(&mut client).await, Message::binary("01"));
    });
    (peer.unwrap(), client)
}

async fn next(foreign: &mut Foreign) -> Message {
    foreign.next().await.expect("a message").unwrap()
}

#[tokio::test]
async fn a_foreign_client_calls_and_closes() {
    let (peer, mut client) = foreign_client(handlers(), Framing::Pieces).await;
    client
        .send(Message::binary("r0001004echo00000003"))
        .await
        .unwrap();
    client.send(Message::Ping("?".into())).await.unwrap();
    client.send(Message::text("\u{20ac}")).await.unwrap();
    let mut heard = vec![next(&mut client).await, next(&mut client).await];
    heard.push(next(&mut client).await);
    let pong = heard
        .iter()
        .position(|message| *message == Message::Pong("?".into()));
    heard.remove(pong.expect("a pong"));
    assert_eq!(
        heard,
        [Message::binary("R000100000003"), Message::binary("\u{20ac}")]
    );
    client.close(None).await.unwrap();
    let Message::Close(Some(CloseFrame { code, .. })) = next(&mut client).await else {
        panic!("no close frame");
    };
    assert_eq!(u16::from(code), 1000);
    assert!(client.next().await.is_none());
    assert_eq!(peer.closed().await, CloseReason::Remote);
}

#[tokio::test]
async fn a_foreign_client_is_closed() {
    let (peer, mut client) = foreign_client(handlers(), Framing::Batch).await;
    peer.notify_raw("bye", "").await.unwrap();
    peer.close();
    assert_eq!(next(&mut client).await, Message::binary("n003bye00000000"));
    assert!(next(&mut client).await.is_close());
    assert!(client.next().await.is_none());
    assert_eq!(peer.closed().await, CloseReason::Local);
}

#[tokio::test]
async fn a_foreign_client_sends_a_large_payload_in_one_frame() {
    let large: Vec<u8> = (0..10_000_000_u32).map(|at| (at % 253) as u8).collect();
    for framing in [Framing::Pieces, Framing::Batch] {
        let (_peer, client) = foreign_client(handlers(), framing).await;
        let (mut sink, stream) = client.split();
        let payload = large.clone();
        let sending = tokio::spawn(async move {
            let head = format!("r0001004echo{:08x}", payload.len());
            sink.send(Message::binary(head)).await.unwrap();
            sink.send(Message::binary(payload)).await.unwrap();
            sink
        });
        let head = format!("R0001{:08x}", large.len());
        let wanted = head.len() + large.len();
        let heard = stream.scan(0, |heard, message| {
            let payload = message.unwrap().into_data();
            let go_on = *heard < wanted;
            *heard += payload.len();
            let done = *heard >= wanted;
            std::future::ready(go_on.then_some((payload, done)))
        });
        let mut bytes = vec![];
        let mut heard = std::pin::pin!(heard);
        while let Some((payload, done)) = heard.next().await {
            bytes.extend(payload);
            if done {
                break;
            }
        }
        drop(sending.await.unwrap());
        assert_eq!(bytes[..head.len()], *head.as_bytes());
        assert!(bytes[head.len()..] == large);
    }
}

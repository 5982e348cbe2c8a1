//! Streams of tagged messages in memory.

use bytes::BytesMut;
use switchboard_peer::{TagOptions, TagQueues};
use switchboard_wire::tagged;
use tokio::io::DuplexStream;

pub fn start(stream: DuplexStream, options: TagOptions) -> TagQueues {
    let (reader, writer) = tokio::io::split(stream);
    TagQueues::start(reader, writer, options)
}

/// Two ends of one stream.
pub fn pair(options: TagOptions) -> (TagQueues, TagQueues) {
    let (one, other) = tokio::io::duplex(4096);
    (start(one, options.clone()), start(other, options))
}

/// One end, and the bytes of the other.
pub fn raw(options: TagOptions) -> (TagQueues, DuplexStream) {
    let (one, other) = tokio::io::duplex(1 << 20);
    (start(one, options), other)
}

pub fn message(tag: u64, payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    tagged::encode(tag, payload, &mut bytes).unwrap();
    bytes
}

/// Waits until so many messages have come.
pub async fn received(queues: &TagQueues, count: u64) {
    while queues.counts().received < count {
        tokio::task::yield_now().await;
    }
}

/// Gives the two tasks many turns.
pub async fn quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

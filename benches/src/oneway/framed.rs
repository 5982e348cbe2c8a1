//! Length-prefixed messages as most Rust programs write them: tokio-util's codec at both ends.
//!
//! As with the raw sockets, an empty message ends a burst and is answered by the count.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::Burst;
use crate::address::{Listener, Stream};

/// Counts the messages of every connection on `listener`.
pub async fn serve(listener: Listener) -> Result<()> {
    loop {
        let stream = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = count(stream).await {
                eprintln!("framed: {error:#}");
            }
        });
    }
}

async fn count(stream: Stream) -> Result<()> {
    let mut messages = Framed::new(stream, LengthDelimitedCodec::new());
    let mut counted: u64 = 0;
    while let Some(message) = messages.next().await {
        if message?.is_empty() {
            messages
                .send(Bytes::copy_from_slice(&counted.to_le_bytes()))
                .await?;
            counted = 0;
        } else {
            counted += 1;
        }
    }
    Ok(())
}

/// Sends through the codec's own buffer.
pub fn sender(stream: Stream) -> impl Burst {
    Sender {
        messages: Framed::new(stream, LengthDelimitedCodec::new()),
    }
}

struct Sender {
    messages: Framed<Stream, LengthDelimitedCodec>,
}

impl Burst for Sender {
    fn burst<'a>(&'a mut self, count: u64, payload: &'a Bytes) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            for _ in 0..count {
                self.messages.feed(payload.clone()).await?;
            }
            self.messages.send(Bytes::new()).await?;
            let answer = self.messages.next().await.context("the receiver is gone")??;
            Ok(u64::from_le_bytes(answer[..].try_into()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;

    #[tokio::test]
    async fn every_message_is_counted() {
        let listener = Listener::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()))
            .await
            .unwrap();
        let address = listener.address().unwrap();
        tokio::spawn(serve(listener));
        let mut sender = sender(address.connect().await.unwrap());
        for count in [0, 1, 10_000] {
            assert_eq!(
                sender.burst(count, &Bytes::from_static(b"x")).await.unwrap(),
                count
            );
        }
    }
}

//! gotalk notifications between two of Switchboard's peers, each handed to a handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use switchboard_peer::{Caller, Handlers, Options, Peer, Side, serve};
use tokio_util::sync::CancellationToken;

use super::Burst;
use crate::address::{Listener, Stream};

/// The notification that is counted.
const TICK: &str = "tick";

/// The operation that answers with the count, and starts it anew.
const COUNTED: &str = "counted";

/// Counts the notifications of every connection on `listener`. One connection at a time sends.
pub async fn serve_counting(listener: Listener) -> Result<()> {
    let counting = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&counting);
    let handlers = Handlers::new()
        .on_raw(TICK, move |_, _| {
            counting.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .handle(COUNTED, move |_, ()| {
            let count = counted.swap(0, Ordering::Relaxed);
            async move { Ok(count) }
        });
    let (options, never) = (Options::default(), CancellationToken::new());
    match listener {
        Listener::Tcp(listener) => serve(listener, handlers, options, never, Duration::ZERO).await,
        Listener::Unix(listener, _) => serve(listener, handlers, options, never, Duration::ZERO).await,
    }
    Ok(())
}

/// Sends as a program would: one notification after the other.
pub async fn sender(stream: Stream) -> Result<impl Burst> {
    let options = Options::default();
    Ok(Sender(
        Peer::start(
            stream,
            Side::Connecting,
            Handlers::new(),
            options,
            Caller::default(),
        )
        .await?,
    ))
}

struct Sender(Peer);

impl Burst for Sender {
    fn burst<'a>(&'a mut self, count: u64, payload: &'a Bytes) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            for _ in 0..count {
                self.0.notify_raw(TICK, payload.clone()).await?;
            }
            Ok(self.0.request(COUNTED, &()).await?)
        })
    }
}

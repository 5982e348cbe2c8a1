//! Ends that meet an answer from another thread. Each is tried often: the moment that matters is short.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{Handlers, Peer};
use tokio::sync::Notify;

use crate::common::{handlers, pair, quiet, raw, until};

const TRIES: u32 = 3000;

/// Answers when told to, from whichever thread is free.
fn on_demand() -> (Handlers, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let going = Arc::clone(&go);
    let handlers = handlers().handle_raw("op", move |_, _| {
        let going = Arc::clone(&going);
        async move {
            going.notified().await;
            Ok(Bytes::from("answer"))
        }
    });
    (handlers, go)
}

/// Keeps the driver of `peer` looking at its tables.
fn keep_awake(peer: &Peer) -> tokio::task::JoinHandle<()> {
    let peer = peer.clone();
    tokio::spawn(async move {
        let grace = Duration::from_secs(20);
        while !peer.is_closed() {
            // Each shutdown wakes the driver once; all but the first change nothing.
            let _ = futures_util::future::poll_immediate(std::pin::pin!(peer.shutdown(grace))).await;
            tokio::task::yield_now().await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_last_answer_is_not_lost_to_a_shutdown() {
    for attempt in 0..TRIES {
        let (handlers, go) = on_demand();
        let (left, right) = pair(Handlers::new(), handlers).await;
        let caller = left.clone();
        let call = tokio::spawn(async move { caller.request_raw("op", "").await });
        until(|| right.requests_in_service() == 1).await;
        let awake = keep_awake(&right);
        go.notify_one();
        assert_eq!(
            call.await.unwrap(),
            Ok(Bytes::from("answer")),
            "at attempt {attempt}"
        );
        left.close();
        awake.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_last_answer_is_not_lost_to_a_half_close() {
    for attempt in 0..TRIES {
        let (handlers, go) = on_demand();
        let (peer, mut raw) = raw(handlers, quiet()).await;
        raw.send("r0001002op00000000").await;
        until(|| peer.requests_in_service() == 1).await;
        raw.half_close().await;
        go.notify_one();
        assert!(raw.message().await.is_some(), "at attempt {attempt}");
        assert_eq!(raw.message().await, None);
    }
}

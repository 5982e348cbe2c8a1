//! What the tests are written with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchboard_engine::keys::{Entry, Watch, WatchEvent, Write, Written};
use switchboard_engine::{Bucket, Engine, EngineError, Key, Result};
use switchboard_engine_nats::{Nats, NatsOptions};

use crate::server::Server;

/// How long something that has to happen may take on a busy machine before it counts as never. Elections of leaders
/// take up to ten seconds by themselves.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn open(server: &Server) -> Arc<Nats> {
    Nats::open(NatsOptions::new([server.url()]))
        .await
        .expect("opening")
}

pub fn key(name: impl AsRef<[u8]>) -> Key {
    Key::new(Bytes::copy_from_slice(name.as_ref())).expect("a legal key")
}

pub async fn try_put(engine: &Nats, name: &str, value: &str) -> Result<Entry> {
    let write = Write::put(value.to_owned());
    match soon(
        "a write",
        engine.keys().write(&Bucket::default(), key(name), write),
    )
    .await?
    {
        Written::Done {
            after: Some(after), ..
        } => Ok(after),
        other => panic!("a put put nothing: {other:?}"),
    }
}

pub async fn put(engine: &Nats, name: &str, value: &str) -> Entry {
    try_put(engine, name, value).await.expect("putting")
}

pub async fn value(engine: &Nats, name: &str) -> Result<Option<Bytes>> {
    let entry = soon("a read", engine.keys().get(&Bucket::default(), name.as_bytes())).await?;
    Ok(entry.map(|entry| entry.value))
}

/// What it comes to, which it must.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("never happened: {what}"),
    }
}

/// Tries again and again, until it is so.
pub async fn in_the_end<T>(what: &str, mut so: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(outcome) = so().await {
            return outcome;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came to be: {what}");
}

/// The next event of a watch.
pub async fn next(watch: &mut Watch) -> WatchEvent {
    use futures_util::StreamExt;
    let event = soon("an event", watch.next()).await.expect("the watch goes on");
    event.expect("watching")
}

pub fn reason<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Err(EngineError::Unavailable { reason, .. }) => reason,
        other => panic!("it is not unavailable: {other:?}"),
    }
}

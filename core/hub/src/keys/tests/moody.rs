//! An engine that does what a test wants: is away, holds writes up, ends watches, is shared.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use switchboard_engine::keys::{BatchOutcome, Edit, Entry, Page, Scan, Watch, WatchFrom, Write, Written};
use switchboard_engine::{
    Answer, Blobs, Bucket, Bus, Engine, EngineError, Health, Key, Keys, Queues, Result,
};
use switchboard_engine_embedded::Embedded;
use tokio::sync::{Semaphore, broadcast};

/// How long it says to wait when it is away.
pub(crate) const AWAY_WAIT: Duration = Duration::from_secs(1);

/// A real engine, and its moods.
#[derive(Clone)]
pub(crate) struct Moody {
    pub(crate) inner: Arc<Embedded>,
    shared: bool,
    moods: Arc<Moods>,
}

struct Moods {
    away: AtomicBool,
    writes: AtomicU64,
    /// A write takes one of these, if writes are held up.
    gate: Mutex<Option<Arc<Semaphore>>>,
    ends: broadcast::Sender<()>,
    /// For each watch that was begun, where.
    watches: Mutex<Vec<(Bucket, WatchFrom)>>,
}

impl fmt::Debug for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moody")
    }
}

impl Moody {
    pub(crate) fn new(shared: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: super::engine(),
            shared,
            moods: Arc::new(Moods {
                away: AtomicBool::new(false),
                writes: AtomicU64::new(0),
                gate: Mutex::new(None),
                ends: broadcast::channel(1).0,
                watches: Mutex::default(),
            }),
        })
    }

    /// Another one with the same state, as another hub of a cluster has it.
    pub(crate) fn beside(&self) -> Arc<Self> {
        let other = Self::new(self.shared);
        Arc::new(Self {
            inner: Arc::clone(&self.inner),
            ..(*other).clone()
        })
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.moods.away.store(away, Ordering::SeqCst);
    }

    /// Writes wait from now on until they are let through.
    pub(crate) fn hold_writes(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.moods.gate.lock() = Some(Arc::clone(&gate));
        gate
    }

    /// How many writes were asked for.
    pub(crate) fn writes(&self) -> u64 {
        self.moods.writes.load(Ordering::SeqCst)
    }

    /// Ends all watches with an error.
    pub(crate) fn end_watches(&self) {
        let _ = self.moods.ends.send(());
    }

    /// Where watches of a bucket were begun.
    pub(crate) fn watches_of(&self, bucket: &Bucket) -> Vec<WatchFrom> {
        let watches = self.moods.watches.lock();
        watches
            .iter()
            .filter(|(of, _)| of == bucket)
            .map(|(_, from)| *from)
            .collect()
    }

    fn away(&self) -> Option<EngineError> {
        let away = self.moods.away.load(Ordering::SeqCst);
        away.then(|| EngineError::unavailable(AWAY_WAIT, "nobody leads"))
    }
}

impl Engine for Moody {
    fn description(&self) -> String {
        "moody".to_owned()
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    fn health(&self) -> Health {
        match self.away() {
            Some(why) => Health::Impaired(why.to_string()),
            None => Health::Ready,
        }
    }

    fn bus(&self) -> &dyn Bus {
        self.inner.bus()
    }

    fn keys(&self) -> &dyn Keys {
        self
    }

    fn queues(&self) -> &dyn Queues {
        self.inner.queues()
    }

    fn blobs(&self) -> &dyn Blobs {
        self.inner.blobs()
    }

    fn flush(&self) -> Answer<()> {
        self.inner.flush()
    }

    /// The state stays, for another hub.
    fn close(&self) -> Answer<()> {
        Answer::ok(())
    }
}

impl Keys for Moody {
    fn get(&self, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>> {
        self.inner.keys().get(bucket, key)
    }

    fn get_many(&self, bucket: &Bucket, keys: &[Key]) -> Answer<Vec<Option<Entry>>> {
        self.inner.keys().get_many(bucket, keys)
    }

    fn write(&self, bucket: &Bucket, key: Key, write: Write) -> Answer<Written> {
        self.moods.writes.fetch_add(1, Ordering::SeqCst);
        if let Some(away) = self.away() {
            return Answer::err(away);
        }
        let Some(gate) = self.moods.gate.lock().clone() else {
            return self.inner.keys().write(bucket, key, write);
        };
        let (inner, bucket) = (Arc::clone(&self.inner), bucket.clone());
        Answer::later(async move {
            gate.acquire().await.expect("never closed").forget();
            inner.keys().write(&bucket, key, write).await
        })
    }

    fn batch(&self, bucket: &Bucket, writes: Vec<(Key, Write)>) -> Answer<BatchOutcome> {
        self.inner.keys().batch(bucket, writes)
    }

    fn edit(&self, bucket: &Bucket, edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
        self.inner.keys().edit(bucket, edit)
    }

    fn scan(&self, bucket: &Bucket, scan: Scan) -> Answer<Page> {
        self.inner.keys().scan(bucket, scan)
    }

    fn watch(&self, bucket: &Bucket, prefix: Bytes, from: WatchFrom) -> Answer<Watch> {
        self.moods.watches.lock().push((bucket.clone(), from));
        let mut ends = self.moods.ends.subscribe();
        self.inner.keys().watch(bucket, prefix, from).map(move |watch| {
            let ended = async move {
                let _ = ends.recv().await;
            };
            let error =
                || -> Result<_> { Err(EngineError::unavailable(AWAY_WAIT, "the connection was lost")) };
            let last = futures_util::stream::once(async move { error() });
            watch.take_until(Box::pin(ended)).chain(last).boxed()
        })
    }

    fn count(&self, bucket: &Bucket) -> Answer<u64> {
        self.inner.keys().count(bucket)
    }

    fn clear(&self, bucket: &Bucket) -> Answer<()> {
        self.inner.keys().clear(bucket)
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        self.inner.keys().buckets()
    }
}

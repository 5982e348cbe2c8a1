//! Values by key: [`switchboard_engine::keys`].

mod batches;
mod concurrency;
mod conditions;
mod crashes;
mod editing;
mod edits;
mod edits_at_once;
mod edits_model;
mod expiry;
mod follower;
mod model;
mod numbers;
mod scans;
mod structures;
mod values;
mod watches;

pub use batches::*;
pub use concurrency::*;
pub use conditions::*;
pub use crashes::*;
pub use edits::*;
pub use edits_at_once::*;
pub use edits_model::*;
pub use expiry::*;
pub use model::*;
pub use numbers::*;
pub use scans::*;
pub use structures::*;
pub use values::*;
pub use watches::*;

use std::sync::Arc;

use bytes::Bytes;
use switchboard_engine::keys::{BatchOutcome, Entry, Page, Scan, Watch, WatchFrom, Write, Written};
use switchboard_engine::{Bucket, Engine, EngineError, Key};

use crate::TestBed;
use crate::tools::{self, key, soon};

/// One bucket of an engine, in few words.
#[derive(Clone)]
struct Store {
    engine: Arc<dyn Engine>,
    bucket: Bucket,
}

impl Store {
    /// A bucket that nobody has used.
    fn new(bed: &dyn TestBed) -> Self {
        Self::at(bed, tools::bucket())
    }

    fn at(bed: &dyn TestBed, bucket: Bucket) -> Self {
        Self {
            engine: bed.engine(),
            bucket,
        }
    }

    async fn reopen(self, bed: &mut dyn TestBed) -> Self {
        let bucket = self.bucket.clone();
        drop(self);
        bed.reopen().await;
        Self::at(bed, bucket)
    }

    async fn crash_and_reopen(self, bed: &mut dyn TestBed) -> Self {
        let bucket = self.bucket.clone();
        drop(self);
        bed.crash_and_reopen().await;
        Self::at(bed, bucket)
    }

    async fn flush(&self) {
        soon("a flush", self.engine.flush()).await.expect("flushing");
    }

    async fn get(&self, name: impl AsRef<[u8]>) -> Option<Entry> {
        let answer = self.engine.keys().get(&self.bucket, name.as_ref());
        soon("a get", answer).await.expect("getting")
    }

    async fn value(&self, name: impl AsRef<[u8]>) -> Option<Bytes> {
        self.get(name).await.map(|entry| entry.value)
    }

    async fn get_many(&self, names: &[Key]) -> Vec<Option<Entry>> {
        let answer = self.engine.keys().get_many(&self.bucket, names);
        soon("a get of many", answer).await.expect("getting many")
    }

    async fn try_write(&self, name: impl AsRef<[u8]>, write: Write) -> Result<Written, EngineError> {
        let answer = self.engine.keys().write(&self.bucket, key(name), write);
        soon("a write", answer).await
    }

    async fn write(&self, name: impl AsRef<[u8]>, write: Write) -> Written {
        self.try_write(name, write).await.expect("writing")
    }

    /// A write whose condition is met: what was there before, and what is there now.
    async fn done(&self, name: impl AsRef<[u8]>, write: Write) -> (Option<Entry>, Option<Entry>) {
        match self.write(name, write).await {
            Written::Done { before, after } => (before, after),
            Written::Unmet { current } => panic!("the condition was not met by {current:?}"),
        }
    }

    async fn put(&self, name: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Entry {
        let (_, after) = self.done(name, Write::put(value)).await;
        after.expect("what was put is there")
    }

    async fn delete(&self, name: impl AsRef<[u8]>) {
        let (_, after) = self.done(name, Write::delete()).await;
        assert_eq!(after, None, "a deleted key has nothing");
    }

    async fn try_batch(&self, writes: Vec<(Key, Write)>) -> Result<BatchOutcome, EngineError> {
        soon("a batch", self.engine.keys().batch(&self.bucket, writes)).await
    }

    async fn page(&self, scan: Scan) -> Page {
        soon("a scan", self.engine.keys().scan(&self.bucket, scan))
            .await
            .expect("scanning")
    }

    /// All entries with that prefix, by pages of `limit`.
    async fn scan(&self, prefix: impl AsRef<[u8]>, limit: usize) -> Vec<(Key, Entry)> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .page(Scan {
                    prefix: Bytes::copy_from_slice(prefix.as_ref()),
                    after: after.take(),
                    limit,
                    values: true,
                })
                .await;
            assert!(
                limit == 0 || page.entries.len() <= limit,
                "a page keeps to its limit"
            );
            all.extend(page.entries);
            match page.cursor {
                Some(cursor) => after = Some(cursor),
                None => return all,
            }
        }
    }

    async fn names(&self) -> Vec<Key> {
        let entries = self.scan("", 0).await;
        entries.into_iter().map(|(name, _)| name).collect()
    }

    async fn count(&self) -> u64 {
        soon("a count", self.engine.keys().count(&self.bucket))
            .await
            .expect("counting")
    }

    async fn clear(&self) {
        soon("a clearing", self.engine.keys().clear(&self.bucket))
            .await
            .expect("clearing");
    }

    async fn is_listed(&self) -> bool {
        let buckets = soon("the buckets", self.engine.keys().buckets())
            .await
            .expect("listing");
        assert!(buckets.is_sorted(), "buckets come in order: {buckets:?}");
        buckets.contains(&self.bucket)
    }

    async fn watch(&self, prefix: impl AsRef<[u8]>, from: WatchFrom) -> Watch {
        let prefix = Bytes::copy_from_slice(prefix.as_ref());
        soon("a watch", self.engine.keys().watch(&self.bucket, prefix, from))
            .await
            .expect("watching")
    }
}

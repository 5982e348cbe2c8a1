//! Values by key: hot ones in memory, all of them in the store.
//!
//! A write locks the lane of its key, decides on what the key has, publishes a new slot for readers, and notes it for
//! the commit thread; the store hears of it within milliseconds. What is in memory is therefore always the truth, and
//! the store what the truth was a moment ago: a key that is not in memory is read from the store, unless everything is
//! in memory ([`Shared::is_complete`]), when what is not there is nowhere.
//!
//! | module | what it is |
//! | --- | --- |
//! | `slot`, `name` | one key with what it has; what it is found by |
//! | `home` | a structure in memory, and its parts in the store |
//! | `lane` | the map of hot keys, and what of it is to be written |
//! | `buckets` | counts and revisions by bucket |
//! | `read`, `write`, `batch`, `edit` | the verbs |
//! | `collect` | what the commit thread takes and writes |
//! | `rounds` | changes as a log, as long as nobody reads records |
//! | `memory` | keys that are not hot: read from the store when asked for, dropped when memory is short |
//! | `expiry` | clears up what has expired |
//! | `scan`, `watch`, `ring` | keys in order; changes in order |

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_engine::keys::{self, BatchOutcome, Edit, Entry, Page, Scan, Watch, WatchFrom, Write};
use switchboard_engine::{Answer, Bucket, Clock, EngineError, Key, Keys, Result, Timestamp};

use crate::commit::Committer;

mod batch;
mod buckets;
mod collect;
mod edit;
mod expiry;
mod home;
mod lane;
mod memory;
mod name;
mod open;
mod read;
mod record;
mod ring;
mod rounds;
mod scan;
mod slot;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub(crate) use collect::CLOSED_KEY;
pub(crate) use rounds::fold_all;

use buckets::{BucketState, Buckets};
use collect::{InFlight, Written};
use expiry::Expiries;
use lane::{Counts, Lane, LaneState};
use memory::Memory;
use name::Name;
use rounds::Records;

/// The keys of the embedded engine.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddedKeys {
    shared: Arc<Shared>,
}

/// What verbs, watches and the commit thread share.
pub(crate) struct Shared {
    lanes: Box<[Lane; lane::LANES]>,
    buckets: Buckets,
    committer: Arc<Committer>,
    clock: Arc<dyn Clock>,
    memory: Memory,
    /// What is being written.
    in_flight: Mutex<InFlight>,
    written: Mutex<Written>,
    expiries: Expiries,
    records: Records,
}

impl Shared {
    #[inline]
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    #[inline]
    fn lane_index(&self, name: &Name<'_>) -> usize {
        // The table uses the low bits.
        (name.hash >> 58) as usize % lane::LANES
    }

    #[inline]
    fn lane(&self, name: &Name<'_>) -> &Lane {
        &self.lanes[self.lane_index(name)]
    }

    /// Tells what a lane counted, and that something was changed.
    #[inline]
    fn tell(&self, bucket: &BucketState, counts: Counts) {
        self.memory.grow(counts.grown);
        self.committer.changed(counts.unwritten);
        if bucket.changes.is_watched() {
            bucket.changes.tell();
        }
    }

    /// Whether all keys are in memory, so that one that is not there is nowhere.
    #[inline]
    fn is_complete(&self) -> bool {
        self.memory.is_complete()
    }

    /// Locks all lanes: nothing changes then.
    fn lock_all(&self) -> Vec<parking_lot::MutexGuard<'_, LaneState>> {
        self.lanes.iter().map(Lane::lock).collect()
    }

    /// # Errors
    /// Unavailable after the engine was closed.
    #[inline]
    fn check_open(&self) -> Result<()> {
        if self.committer.is_closed() {
            return Err(closed());
        }
        Ok(())
    }

    /// A bucket, with its ring being kept for one watcher more.
    fn begin_watch(&self, name: &Bucket) -> Arc<BucketState> {
        loop {
            let bucket = self.buckets.find_or_create(name);
            let lanes = self.lock_all();
            if !bucket.is_retired() {
                bucket.changes.begin(bucket.last_revision());
                drop(lanes);
                // A tick frees the ring when nobody watches any more.
                self.committer.wake();
                return bucket;
            }
        }
    }
}

fn closed() -> EngineError {
    EngineError::unavailable(crate::commit::MEND_INTERVAL, "the engine is closed")
}

impl EmbeddedKeys {
    /// Waits until what is stored is records, one for each key, as it stays for a while.
    ///
    /// # Errors
    /// Unavailable while the disk fails.
    pub(crate) async fn settle(&self) -> Result<()> {
        self.shared.when_records_are_right().await
    }

    /// Ends all watches.
    pub(crate) fn close(&self) {
        self.shared.buckets.end_watches();
    }
}

impl Keys for EmbeddedKeys {
    #[inline]
    fn get(&self, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>> {
        read::get(&self.shared, bucket, key)
    }

    fn get_many(&self, bucket: &Bucket, keys: &[Key]) -> Answer<Vec<Option<Entry>>> {
        read::get_many(&self.shared, bucket, keys)
    }

    #[inline]
    fn write(&self, bucket: &Bucket, key: Key, write: Write) -> Answer<keys::Written> {
        write::write(&self.shared, bucket, key, write)
    }

    fn batch(&self, bucket: &Bucket, writes: Vec<(Key, Write)>) -> Answer<BatchOutcome> {
        batch::batch(&self.shared, bucket, writes)
    }

    fn edit(&self, bucket: &Bucket, edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
        edit::edit(&self.shared, bucket, edit)
    }

    fn scan(&self, bucket: &Bucket, scan: Scan) -> Answer<Page> {
        if let Err(error) = self.shared.check_open() {
            return Answer::err(error);
        }
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { scan::scan(&shared, bucket, scan).await })
    }

    fn watch(&self, bucket: &Bucket, prefix: Bytes, from: WatchFrom) -> Answer<Watch> {
        Answer::now(
            self.shared
                .check_open()
                .map(|()| watch::watch(&self.shared, bucket, prefix, from)),
        )
    }

    fn count(&self, bucket: &Bucket) -> Answer<u64> {
        let count = || {
            self.shared
                .buckets
                .with(bucket, |bucket| bucket.keys())
                .unwrap_or(0)
        };
        Answer::now(self.shared.check_open().map(|()| count()))
    }

    fn clear(&self, bucket: &Bucket) -> Answer<()> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { write::clear(&shared, &bucket).await })
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        Answer::now(self.shared.check_open().map(|()| self.shared.buckets.occupied()))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("memory", &self.memory)
            .field("committer", &self.committer)
            .finish_non_exhaustive()
    }
}

//! What lies below everything: ordered records in [`Space`]s, changed by atomic [`Batch`]es.
//!
//! Only the commit thread, or one in its stead, writes ([`Store::write`], [`Store::sync`]); anybody may read. Parts that
//! keep state hand their changes to it (see [`commit`](crate::commit)), and it puts those of one moment into one batch.
//!
//! **Integrity**: every record carries a checksum over its space, key and value. It is added by [`Batch::put`] and
//! checked by every read: what was changed on the disk is [`StoreError::Damaged`], never a value. Batches are numbered
//! one by one; the number of the last one is part of each, so that a loss shows (see [`mark`](crate::mark)).
//!
//! **Blocking**: all methods may wait for the disk. Call them from the commit thread, or from
//! [`tokio::task::spawn_blocking`], never while holding a lock that an async thread may want.

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;

mod batch;
mod fjall;
mod journal;
mod manifest;
mod memory;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use batch::Batch;
pub(crate) use fjall::{FjallOptions, FjallStore};
pub(crate) use journal::COMMIT_NAME;
pub(crate) use memory::MemoryStore;

/// What a record belongs to. One byte before each key, so that all spaces share one tree of the store: a crash can
/// never take a batch out of one and leave it in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Space {
    /// The engine itself: the number of the last batch, and what must outlast a restart.
    Engine = 0,
    /// Values by bucket and key.
    Keys = 1,
    /// Which keys expire, by moment.
    Expiries = 2,
    /// How many keys a bucket has, and its last revision.
    Buckets = 3,
    /// Queues.
    Queues = 4,
    /// What is known of blobs.
    Blobs = 5,
    /// The parts of large structures, by generation and sequence.
    Structures = 6,
    /// Rounds of changes of keys that are no records yet.
    Rounds = 7,
}

impl Space {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Engine,
        Self::Keys,
        Self::Expiries,
        Self::Buckets,
        Self::Queues,
        Self::Blobs,
        Self::Structures,
        Self::Rounds,
    ];
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "engine",
            Self::Keys => "keys",
            Self::Expiries => "expiries",
            Self::Buckets => "buckets",
            Self::Queues => "queues",
            Self::Blobs => "blobs",
            Self::Structures => "structures",
            Self::Rounds => "rounds",
        })
    }
}

/// Why the store did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// What is on the disk is not what was written; the message says where.
    #[error("{0}")]
    Damaged(String),
    /// The disk did not do it: it is full, it failed. Trying again may help.
    #[error("{0}")]
    Disk(String),
}

/// What the store's methods come to.
pub(crate) type StoreResult<T> = Result<T, StoreError>;

/// A record as it is read: key and value.
pub(crate) type Record = (Bytes, Bytes);

/// Goes through records in the order of their keys. After an error it has ended.
pub(crate) type Records<'a> = Box<dyn Iterator<Item = StoreResult<Record>> + 'a>;

/// Ordered records.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// The value of a key. It sees every batch whose [`write`](Self::write) has returned.
    fn get(&self, space: Space, key: &[u8]) -> StoreResult<Option<Bytes>>;

    /// All that there is at one moment, between two batches or in the midst of the one being written. Let go of it
    /// soon: it may keep the writer waiting, and keeps old records on the disk.
    fn view(&self) -> Box<dyn View + '_>;

    /// As [`Self::view`], but certainly between two batches.
    fn view_between(&self) -> Box<dyn View + '_> {
        self.view()
    }

    /// Applies a batch as one step: after a crash all of it is there or nothing. It outlasts the process, not yet the
    /// loss of power. `number` is one more than that of the batch before.
    ///
    /// # Errors
    /// Disk: the batch may be there after the next [`mend`](Self::mend), or not; nothing else can be written before.
    fn write(&self, batch: &Batch, number: u64) -> StoreResult<()>;

    /// Makes all that was written safe from the loss of power.
    fn sync(&self) -> StoreResult<()>;

    /// After an error of a write or a sync: brings the store to where it can write again, and tells the number of the
    /// last batch that it has.
    fn mend(&self) -> StoreResult<u64>;

    /// Writes what is in memory in the form that is fastest to open. What was written is safe without it.
    fn settle(&self) -> StoreResult<()>;

    /// Whether to write many keys takes so long that it should be put off, as long as nobody reads them.
    fn prefers_logs(&self) -> bool {
        false
    }

    /// Lets go of the files, when those who read have finished. What is asked for afterwards fails. Idempotent.
    fn close(&self) {}
}

/// Records at one moment.
pub(crate) trait View {
    /// The records of a space whose keys are in the range, in order.
    fn range(&self, space: Space, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Records<'_>;
}

/// The records of a space whose keys begin so, from the one at or after `from`.
pub(crate) fn with_prefix<'a>(view: &'a dyn View, space: Space, prefix: &[u8]) -> Records<'a> {
    match after_prefix(prefix) {
        Some(end) => view.range(space, Bound::Included(prefix), Bound::Excluded(&end)),
        None => view.range(space, Bound::Included(prefix), Bound::Unbounded),
    }
}

/// The first key after all those that begin so; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

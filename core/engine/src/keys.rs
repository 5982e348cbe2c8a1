//! Buckets of values, by key.
//!
//! **Atomicity**: each [write](Keys::write) is one step, condition and change together; a [batch](Keys::batch) is one
//! step over all its keys, for readers, watchers and crashes alike. **Ordering**: the writes of a bucket are totally
//! ordered by their [`Revision`]s; whoever has the answer of a write sees it in everything that he asks afterwards, at
//! this hub. **Durability**: as the engine's [`Durability`](crate::Durability) says; what a crash loses is always the
//! youngest. **Expiry**: absolute, by the engine's [`Clock`](crate::Clock); what has expired is not there for any
//! reader, condition or scan, from its millisecond on; watchers hear of it soon after.
//!
//! **Bounds**: [`KEY_BYTES_MAX`](crate::names::KEY_BYTES_MAX), [`VALUE_BYTES_MAX`](crate::names::VALUE_BYTES_MAX) and
//! [`STRUCTURE_BYTES_MAX`](crate::names::STRUCTURE_BYTES_MAX) (an engine may have to be stricter: too large says so),
//! [`BATCH_WRITES_MAX`], [`SCAN_ENTRIES_MAX`], [`SCAN_BYTES_MAX`].

use std::fmt;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{Answer, Bucket, Key, Kind, Result, Timestamp};

mod decision;
pub mod edit;

pub use decision::Decision;
pub use edit::{Cell, Cells, Edit, Outcome, Reach, look_at_entries};

/// Most writes in a batch.
pub const BATCH_WRITES_MAX: usize = 1_000;

/// Most entries in one page of a scan.
pub const SCAN_ENTRIES_MAX: usize = 1_000;

/// A page of a scan ends after so many bytes of keys and values: 4 MiB. It holds at least one entry, whatever its size.
pub const SCAN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The number of a write: greater than that of every earlier write in its bucket, also after the key was deleted, and
/// after a restart. Never 0, which stands for before all writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value; it may be empty. That of a structure is its [encoding](crate::structures::Structure::encode) where a
    /// value is asked for: in [`Keys::get`], [`Keys::get_many`] and scans with values. Elsewhere it is empty.
    pub value: Bytes,
    /// What kind of value it is.
    pub kind: Kind,
    /// The write that made it so.
    pub revision: Revision,
    /// When the key came to be: of the first write since it was absent.
    pub created: Timestamp,
    /// When it will be gone.
    pub expires: Option<Timestamp>,
}

impl Entry {
    /// The same where no value was asked for: without the encoding of a structure.
    #[must_use]
    pub fn told(mut self) -> Self {
        if self.kind != Kind::Plain {
            self.value = Bytes::new();
        }
        self
    }
}

/// What must be so for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// The key has no value.
    Absent,
    /// The key has a value.
    Present,
    /// The key has the value of that write.
    At(Revision),
}

/// What a write does to the value.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sets it.
    Put(Bytes),
    /// Sets a structure, of that kind, to what was [encoded](crate::structures::Structure::encode).
    PutStructure {
        /// Which.
        kind: Kind,
        /// What it has. Nothing is as [`Self::Delete`].
        encoded: Bytes,
    },
    /// Takes it away; where there is none, nothing happens and no revision is used.
    Delete,
    /// Adds to a decimal integer of 64 bits; an absent value counts as 0.
    Increment(i64),
    /// Adds to a decimal number; an absent value counts as 0. The result is written shortest, so that it reads back
    /// the same, and never with an exponent.
    IncrementFloat(f64),
    /// Appends to it; an absent value counts as empty.
    Append(Bytes),
    /// Leaves it, for writes that change only the expiry; where there is none, nothing happens.
    Touch,
}

/// What a write does to the expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expiry {
    /// Leaves it: for a new key, that is never.
    #[default]
    Keep,
    /// The key never expires.
    Never,
    /// The key expires at that moment. If that has passed, the write deletes.
    At(Timestamp),
}

/// One write to one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What must be so.
    pub condition: Condition,
    /// What becomes of the value.
    pub change: Change,
    /// What becomes of the expiry.
    pub expiry: Expiry,
}

impl Write {
    /// Sets the value, whatever was there, and never expires.
    pub fn put(value: impl Into<Bytes>) -> Self {
        Self {
            condition: Condition::Always,
            change: Change::Put(value.into()),
            expiry: Expiry::Never,
        }
    }

    /// Takes the value away.
    pub fn delete() -> Self {
        Self::change(Change::Delete)
    }

    /// A change that keeps the expiry.
    pub fn change(change: Change) -> Self {
        Self {
            condition: Condition::Always,
            change,
            expiry: Expiry::Keep,
        }
    }

    /// The same, on a condition.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// The same, with that expiry.
    #[must_use]
    pub fn expiring(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It happened.
    Done {
        /// What the key had before.
        before: Option<Entry>,
        /// What it has now; `None` if it was deleted, or was absent and stayed so.
        after: Option<Entry>,
    },
    /// The condition was not met: nothing was changed.
    Unmet {
        /// What the key has.
        current: Option<Entry>,
    },
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOutcome {
    /// All writes happened; for each, in the order of the batch, what its key had before and has now.
    Done(Vec<(Option<Entry>, Option<Entry>)>),
    /// Nothing was changed, because the condition of one write was not met.
    Unmet {
        /// Which write, counted from 0.
        index: usize,
        /// What its key has.
        current: Option<Entry>,
    },
}

/// What to scan for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Only keys that begin so; empty for all.
    pub prefix: Bytes,
    /// Only keys greater than this one: the [`Page::cursor`] of the page before.
    pub after: Option<Key>,
    /// Most entries in the page, at most [`SCAN_ENTRIES_MAX`]; 0 stands for that.
    pub limit: usize,
    /// Whether values are wanted, not only keys: if not, [`Entry::value`] is empty.
    pub values: bool,
}

/// A part of a scan, in the order of the keys' bytes.
///
/// A scan of several pages is not one moment: each page shows what was there when it was read. A key that is there
/// during the whole scan is seen once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<(Key, Entry)>,
    /// Where the next page begins; `None` after the last.
    pub cursor: Option<Key>,
}

/// From where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchFrom {
    /// With what there is, then with what changes.
    #[default]
    Everything,
    /// With what has changed after that revision. Where the engine does not know that any more, as
    /// [`Everything`](Self::Everything), with [`WatchEvent::Reset`] first.
    After(Revision),
    /// With what changes from now on.
    Now,
}

/// What a watch brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A key has this value.
    Put {
        /// Which.
        key: Key,
        /// What it has.
        entry: Entry,
    },
    /// A key has no value any more.
    Delete {
        /// Which.
        key: Key,
        /// The write that took it away.
        revision: Revision,
        /// Whether nobody deleted it: its time had come.
        expired: bool,
    },
    /// Forget what you know: all that there is follows. Because the reader was too far behind, or came back too late.
    Reset,
    /// What there was when the watch began (or was reset) has been said; what follows is what changes. Every watch
    /// brings it once, from wherever it begins, and once more after each reset.
    Current {
        /// All that was written up to this has been said, or is older than what was asked for: a watch
        /// [after](WatchFrom::After) it misses nothing.
        revision: Revision,
    },
}

/// The changes of a bucket. Each change is told after those of lower revision (what there was at first comes in the
/// order of keys), and the last change of every key is told in the end; when a key changes faster than the watch is
/// read, changes in between may be left out. It costs its engine a bounded amount of memory, whether it is read or
/// not. Dropping it ends it; the end of it says that the engine was closed. An error is its last item.
pub type Watch = BoxStream<'static, Result<WatchEvent>>;

/// Values by key.
pub trait Keys: fmt::Debug + Send + Sync {
    /// What a key has.
    fn get(&self, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>>;

    /// What several keys have, in their order, all at one moment where the engine can do that (the embedded one can).
    fn get_many(&self, bucket: &Bucket, keys: &[Key]) -> Answer<Vec<Option<Entry>>>;

    /// Changes a key.
    ///
    /// # Errors
    /// Too large; wrong kind, for increments and appending to a structure; not an integer, not a number, overflow, for increments; unavailable.
    fn write(&self, bucket: &Bucket, key: Key, write: Write) -> Answer<Written>;

    /// Changes several keys of a bucket in one step, or none. A later write to the same key sees the earlier one.
    ///
    /// # Errors
    /// As [`Self::write`]; too large over [`BATCH_WRITES_MAX`]; unsupported where the engine has no batches.
    fn batch(&self, bucket: &Bucket, writes: Vec<(Key, Write)>) -> Answer<BatchOutcome>;

    /// Runs an edit on the keys of a bucket that it reaches, in one step; and gives it back, with what it found.
    ///
    /// # Errors
    /// Too large; unsupported, for [any](Reach::Any) key, and for several where the engine has no batches; damaged, for
    /// a structure; unavailable.
    fn edit(&self, bucket: &Bucket, edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>>;

    /// Reads keys in order.
    fn scan(&self, bucket: &Bucket, scan: Scan) -> Answer<Page>;

    /// Tells what changes, of the keys that begin with `prefix`.
    fn watch(&self, bucket: &Bucket, prefix: Bytes, from: WatchFrom) -> Answer<Watch>;

    /// How many keys a bucket has; those that have expired a moment ago may still be counted.
    fn count(&self, bucket: &Bucket) -> Answer<u64>;

    /// Deletes every key of a bucket. Not one step: what is written meanwhile may stay.
    fn clear(&self, bucket: &Bucket) -> Answer<()>;

    /// The buckets that hold something, in order.
    fn buckets(&self) -> Answer<Vec<Bucket>>;
}

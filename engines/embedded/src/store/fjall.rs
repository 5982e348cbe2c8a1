//! The store on disk: fjall, a log-structured store, with what it leaves open closed.
//!
//! One tree holds all spaces, so its tables hold all batches up to one, and its journals those after it. What fjall
//! would not notice is looked for when opening: batches that a changed byte drops ([`journal`]), changed manifests
//! ([`manifest`]), and a journal that is missing between the tables and the rest. What it answers with a panic is an error here.
//!
//! After a failed write or sync fjall refuses all others until it is opened anew; [`Store::mend`] does that, and moves
//! everything from the journals into tables: what a failed sync left in the kernel's memory only is written once more.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{
    AbstractTree, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable,
};
use parking_lot::{Mutex, RwLock};

use super::journal::{self, COMMIT_KEY, Commit, Journals};
use super::manifest;
use super::record::{checked, full_bounds, full_key};
use super::{Batch, Records, Space, Store, StoreError, StoreResult, View};

/// The name of the one tree.
const TREE: &str = "records";

/// What fjall creates first.
const VERSION_FILE: &str = "version";

/// What was written last stays in memory up to so many bytes, then becomes a table.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// So many of those wait at most to become tables; then a batch waits. From four on fjall waits itself, 100 ms at a time.
const SEALED_MEMTABLES_MAX: usize = 3;

/// How often a batch that waits looks whether there is room.
const ROOM_POLL: Duration = Duration::from_millis(1);

/// Values from this size on stand apart from the tree, so that compaction does not copy them again and again.
const LARGE_VALUE_BYTES: u32 = 16 * 1024;

/// Most bytes of journals: what has to be read again after a crash. fjall's minimum is 64 MiB.
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// fjall's background threads: one to flush, one to compact.
const WORKERS: usize = 2;

/// How long [`Store::mend`] and [`Store::settle`] wait for a table to be written.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long [`Store::close`] waits for readers: none reads more than a page at once.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often they look whether it is so.
const SETTLE_POLL: Duration = Duration::from_millis(5);

/// How to open the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FjallOptions {
    /// Bytes of table blocks that are kept in memory.
    pub(crate) cache_bytes: u64,
    /// The number of a batch that must be there.
    pub(crate) required: u64,
    /// Whether to go on without what is lost.
    pub(crate) accept_loss: bool,
}

/// What was found when opening.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The number of the last batch; 0 if there is none.
    pub(crate) number: u64,
    /// What was repaired, for the log.
    pub(crate) repaired: Option<String>,
}

/// Records on disk.
pub(crate) struct FjallStore {
    path: PathBuf,
    options: FjallOptions,
    /// `None` after an attempt to mend it that failed, and when it is closed.
    open: RwLock<Option<Arc<Open>>>,
    /// Held while a batch is written.
    writing: Mutex<()>,
}

struct Open {
    tree: Keyspace,
    database: Database,
}

impl FjallStore {
    /// Creates a store in a directory that has none.
    pub(crate) fn create(path: &Path, options: FjallOptions) -> StoreResult<Self> {
        let open = guarded(|| Open::new(path, options))?;
        Ok(Self::new(path, options, open))
    }

    /// Opens the store in a directory.
    ///
    /// # Errors
    /// Damaged, with the place; nothing was changed then. With `accept_loss` what is damaged is given up where that is
    /// possible.
    pub(crate) fn open(path: &Path, options: FjallOptions) -> StoreResult<(Self, Found)> {
        let (open, found) = guarded(|| Open::checked(path, options))?;
        Ok((Self::new(path, options, open), found))
    }

    fn new(path: &Path, options: FjallOptions, open: Open) -> Self {
        Self {
            path: path.to_owned(),
            options,
            open: RwLock::new(Some(Arc::new(open))),
            writing: Mutex::new(()),
        }
    }

    fn opened(&self) -> StoreResult<Arc<Open>> {
        self.open.read().clone().ok_or_else(|| {
            StoreError::Disk("the store is closed, or is being opened again after an error".to_owned())
        })
    }
}

impl Store for FjallStore {
    fn get(&self, space: Space, key: &[u8]) -> StoreResult<Option<Bytes>> {
        let open = self.opened()?;
        let key = full_key(space, key);
        let stored = guarded(|| Ok(open.tree.get(&key)?)).map_err(|error| at(&key, error))?;
        stored
            .map(|stored| checked(&key, &stored).map(Bytes::copy_from_slice))
            .transpose()
    }

    fn view(&self) -> Box<dyn View + '_> {
        Box::new(match self.opened() {
            Ok(open) => FjallView::At(open.database.snapshot(), open),
            Err(error) => FjallView::Closed(error),
        })
    }

    fn view_between(&self) -> Box<dyn View + '_> {
        // fjall's own threads may make a batch visible that is being written.
        let _writing = self.writing.lock();
        self.view()
    }

    fn write(&self, batch: &Batch, number: u64) -> StoreResult<()> {
        let open = self.opened()?;
        let _writing = self.writing.lock();
        guarded(|| {
            open.make_room()?;
            let commit = Commit {
                number,
                sequence: open.database.seqno(),
            };
            let mut changes = fjall::OwnedWriteBatch::with_capacity(open.database.clone(), batch.len() + 1)
                .durability(Some(PersistMode::Buffer));
            for (key, value) in batch.changes() {
                match value {
                    Some(value) => changes.insert(&open.tree, key, value),
                    None => changes.remove(&open.tree, key),
                }
            }
            changes.insert(&open.tree, COMMIT_KEY, commit.encode());
            changes.commit()?;
            open.seal_memtable()
        })
    }

    fn sync(&self) -> StoreResult<()> {
        let open = self.opened()?;
        guarded(|| Ok(open.database.persist(PersistMode::SyncData)?))
    }

    fn mend(&self) -> StoreResult<u64> {
        let mut slot = self.open.write();
        if let Some(open) = slot.take()
            && let Err(shared) = Arc::try_unwrap(open).map(drop)
        {
            *slot = Some(shared);
            return Err(StoreError::Disk("readers are still at the store".to_owned()));
        }
        let (open, found) = guarded(|| Open::checked(&self.path, self.options))?;
        let open = slot.insert(Arc::new(open));
        guarded(|| open.settle())?;
        Ok(found.number)
    }

    fn settle(&self) -> StoreResult<()> {
        let open = self.opened()?;
        guarded(|| open.settle())
    }

    fn prefers_logs(&self) -> bool {
        true
    }

    fn close(&self) {
        let Some(mut open) = self.open.write().take() else {
            return;
        };
        let started = Instant::now();
        while let Err(shared) = Arc::try_unwrap(open).map(drop) {
            if started.elapsed() > CLOSE_TIMEOUT {
                tracing::warn!("a reader holds on to the store, which closes when it has finished");
                return;
            }
            open = shared;
            std::thread::sleep(SETTLE_POLL);
        }
    }
}

impl Open {
    /// Looks at everything before fjall does, then opens.
    fn checked(path: &Path, options: FjallOptions) -> Result<(Self, Found), Failure> {
        let version = path.join(VERSION_FILE);
        if !version.exists() {
            return Err(damaged(format!("{} is missing", version.display())));
        }
        manifest::check(path)?;
        let journals = journal::inspect(path)?;
        let repaired = repair(&journals, options)?;
        let open = Self::new(path, options)?;
        let number = open.number(&journals, options)?;
        if number < options.required && !options.accept_loss {
            let missing = options.required - number;
            return Err(damaged(format!(
                "the last {missing} commits, {} to {}, are missing",
                number + 1,
                options.required
            )));
        }
        Ok((open, Found { number, repaired }))
    }

    fn new(path: &Path, options: FjallOptions) -> Result<Self, Failure> {
        let database = Database::builder(path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()?;
        let large = KvSeparationOptions::default().separation_threshold(LARGE_VALUE_BYTES);
        let tree = database.keyspace(TREE, || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                // In parts: a table's whole index is read again and again when the cache is small.
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
                .with_kv_separation(Some(large))
        })?;
        Ok(Self { tree, database })
    }

    /// The number of the last batch, after a look at whether the tables reach to where the journals begin.
    fn number(&self, journals: &Journals, options: FjallOptions) -> Result<u64, Failure> {
        let number = |stored: Option<fjall::UserValue>| match stored {
            Some(stored) => Commit::decode(&stored).map(|commit| commit.number),
            None => Ok(0),
        };
        let tree = &self.tree.tree;
        let in_tables = match tree.get_highest_persisted_seqno() {
            Some(sequence) => number(tree.get(COMMIT_KEY, sequence + 1).map_err(fjall::Error::from)?)?,
            None => 0,
        };
        let first = journals.first.unwrap_or(in_tables + 1);
        if first > in_tables + 1 && !options.accept_loss {
            return Err(damaged(format!(
                "commits {} to {} are missing: a journal was taken away",
                in_tables + 1,
                first - 1
            )));
        }
        let last = number(self.tree.get(COMMIT_KEY)?)?;
        let expected = journals.last.unwrap_or(0).max(in_tables);
        if last != expected && !options.accept_loss {
            return Err(damaged(format!(
                "commit {expected} was read, but the store came to {last}"
            )));
        }
        Ok(last)
    }

    /// Waits while too much of what was written is in memory only.
    fn make_room(&self) -> Result<(), Failure> {
        self.wait_for_tables(SEALED_MEMTABLES_MAX, ROOM_POLL)
    }

    /// Sees to it that what is in memory becomes a table when it is long. fjall leaves that to its threads, which may be
    /// at a table for seconds while memory fills.
    fn seal_memtable(&self) -> Result<(), Failure> {
        if self.tree.tree.active_memtable().size() > MEMTABLE_BYTES {
            self.tree.rotate_memtable()?;
        }
        Ok(())
    }

    /// Moves what is in the journals into tables.
    fn settle(&self) -> Result<(), Failure> {
        self.tree.rotate_memtable()?;
        self.wait_for_tables(1, SETTLE_POLL)
    }

    /// Waits until fewer than so many memtables are to become tables.
    fn wait_for_tables(&self, fewer_than: usize, poll: Duration) -> Result<(), Failure> {
        let started = Instant::now();
        while self.tree.sealed_memtable_count() >= fewer_than {
            // It tells whether the thread that writes the table has failed.
            self.database.persist(PersistMode::Buffer)?;
            if started.elapsed() > SETTLE_TIMEOUT {
                return Err(Failure::Store(StoreError::Disk(
                    "writing a table takes too long".to_owned(),
                )));
            }
            std::thread::sleep(poll);
        }
        Ok(())
    }
}

/// Cuts off what a crash left half written; with `accept_loss`, whatever cannot be read. What was done is told.
fn repair(journals: &Journals, options: FjallOptions) -> Result<Option<String>, Failure> {
    let Some(broken) = &journals.broken else {
        return Ok(None);
    };
    let place = format!(
        "{}, from byte {} on: {}",
        broken.path.display(),
        broken.offset,
        broken.reason
    );
    let last = journals.last.unwrap_or(0);
    let is_torn = broken.is_tail && last >= options.required;
    if !is_torn && !options.accept_loss {
        let lost = match options.required.checked_sub(last) {
            Some(missing @ 1..) if broken.is_tail => {
                format!("; {missing} commits, from {} on, are lost", last + 1)
            }
            _ => String::new(),
        };
        return Err(damaged(format!("{place}{lost}")));
    }
    broken.cut().map_err(fjall::Error::from)?;
    Ok(Some(format!("cut off what followed commit {last} ({place})")))
}

enum FjallView {
    At(fjall::Snapshot, Arc<Open>),
    Closed(StoreError),
}

impl View for FjallView {
    fn range(&self, space: Space, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Records<'_> {
        let (snapshot, open) = match self {
            Self::At(snapshot, open) => (snapshot, open),
            Self::Closed(error) => return Box::new(std::iter::once(Err(error.clone()))),
        };
        let mut records = snapshot.range(&open.tree, full_bounds(space, from, to));
        let mut last = vec![space as u8];
        let mut ended = false;
        Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let next = guarded(|| match records.next() {
                Some(record) => Ok(Some(record.into_inner()?)),
                None => Ok(None),
            });
            let next = next.map_err(|error| at(&last, error)).transpose()?;
            let record = next.and_then(|(key, stored)| {
                let value = Bytes::copy_from_slice(checked(&key, &stored)?);
                last.clear();
                last.extend_from_slice(&key);
                Ok((Bytes::copy_from_slice(key.get(1..).unwrap_or_default()), value))
            });
            ended = record.is_err();
            Some(record)
        }))
    }
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What went wrong, before it is known whether that is damage.
enum Failure {
    Fjall(fjall::Error),
    Store(StoreError),
}

impl From<fjall::Error> for Failure {
    fn from(error: fjall::Error) -> Self {
        Self::Fjall(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn damaged(reason: String) -> Failure {
    Failure::Store(StoreError::Damaged(reason))
}

/// Runs what may panic over what it reads.
fn guarded<T>(run: impl FnOnce() -> Result<T, Failure>) -> StoreResult<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Store(error))) => Err(error),
        Ok(Err(Failure::Fjall(error))) => Err(classified(&error)),
        Err(panic) => {
            let reason = (panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(StoreError::Damaged(format!(
                "the store cannot make sense of its files: {reason}"
            )))
        }
    }
}

fn classified(error: &fjall::Error) -> StoreError {
    let io = match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error,
        fjall::Error::Poisoned => {
            return StoreError::Disk("an earlier write to the disk has failed".to_owned());
        }
        fjall::Error::Locked => return StoreError::Disk("the store is still in use".to_owned()),
        other => return StoreError::Damaged(other.to_string()),
    };
    match io.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::NotFound => StoreError::Damaged(format!("a file of the store is not whole: {io}")),
        _ => StoreError::Disk(io.to_string()),
    }
}

/// Adds the place to what a read came to.
fn at(full_key: &[u8], error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged(reason) => {
            let key = full_key.get(1..).unwrap_or_default().escape_ascii();
            StoreError::Damaged(format!("at or after the record {key}: {reason}"))
        }
        disk @ StoreError::Disk(_) => disk,
    }
}

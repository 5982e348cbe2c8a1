//! What keeps keys: Switchboard's engine by its Rust API, the store below it bare, and maps behind a lock.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use fjall::config::PartitioningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use parking_lot::{Condvar, Mutex, RwLock};
use switchboard_engine::keys::Write;
use switchboard_engine::{Answer, Bucket, Durability, Engine, Key};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions, MEMORY_BYTES_DEFAULT};
use tokio::runtime::Handle;

/// How often bare fjall is told to sync: what durability `second` promises.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How long the bare commit thread gathers, and how many bytes may wait for it: what the engine does.
const GATHER_TIME: Duration = Duration::from_millis(5);
const UNWRITTEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The settings of fjall that the engine has, so that both keep the same tree.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
const LARGE_VALUE_BYTES: u32 = 16 * 1024;
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
const WORKERS: usize = 2;
const CACHE_BYTES: u64 = (MEMORY_BYTES_DEFAULT / 8) as u64;

/// Keeps values by key, safe from the loss of power within a second where it is on disk.
pub trait Kept: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>>;

    /// Sets it.
    fn put(&self, key: &Bytes, value: &Bytes) -> Result<()>;

    /// Has the disk take all that was put.
    fn settle(&self) -> Result<()>;
}

/// The ways of keeping keys that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// Switchboard's embedded engine by its Rust API.
    Switchboard,
    /// fjall bare: each put is an insert; it goes to the system when the journal's buffer is full, and is synced once a
    /// second.
    Fjall,
    /// fjall behind one thread that writes what came within 5 ms as one batch, and syncs once a second. What is not yet
    /// written is not found.
    FjallBatched,
    /// A `HashMap` behind parking_lot's `RwLock`.
    Rwlock,
    /// A `HashMap` behind parking_lot's `Mutex`.
    Mutex,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Switchboard => "switchboard",
            Self::Fjall => "fjall",
            Self::FjallBatched => "fjall-batched",
            Self::Rwlock => "rwlock",
            Self::Mutex => "mutex",
        })
    }
}

impl Name {
    /// Opens an empty one in `directory`.
    pub fn open(self, directory: &Path) -> Result<Arc<dyn Kept>> {
        Ok(match self {
            Self::Switchboard => Arc::new(InEngine::open(directory)?),
            Self::Fjall => Arc::new(Bare::open(directory)?),
            Self::FjallBatched => Arc::new(Batched::open(directory)?),
            Self::Rwlock => Arc::new(RwLock::new(HashMap::new())),
            Self::Mutex => Arc::new(Mutex::new(HashMap::new())),
        })
    }
}

/// Opens the engine in `directory`.
pub fn open_engine(directory: &Path, durability: Durability) -> Result<Arc<Embedded>> {
    let mut options = EmbeddedOptions::new(DataDir::Path(directory.to_owned()));
    options.durability = durability;
    Ok(Embedded::open(options)?)
}

struct InEngine {
    engine: Arc<Embedded>,
    bucket: Bucket,
    runtime: Handle,
}

impl InEngine {
    fn open(directory: &Path) -> Result<Self> {
        Ok(Self {
            engine: open_engine(directory, Durability::Second)?,
            bucket: Bucket::default(),
            runtime: Handle::current(),
        })
    }

    /// Waits only where the engine says that it has to.
    fn wait<T: Unpin>(&self, answer: Answer<T>) -> Result<T> {
        Ok(match answer {
            Answer::Now(Some(outcome)) => outcome?,
            later => self.runtime.block_on(later)?,
        })
    }
}

impl Kept for InEngine {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>> {
        let entry = self.wait(self.engine.keys().get(&self.bucket, key))?;
        Ok(entry.map(|entry| entry.value))
    }

    fn put(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        let write = Write::put(value.clone());
        self.wait(
            self.engine
                .keys()
                .write(&self.bucket, Key::new(key.clone())?, write),
        )?;
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.wait(self.engine.flush())
    }
}

/// fjall with the settings that the engine gives it.
struct Bare {
    database: Database,
    tree: Keyspace,
}

impl Bare {
    /// Opens it, and starts the thread that syncs once a second.
    fn open(directory: &Path) -> Result<Self> {
        let bare = Self::unsynced(directory)?;
        let database = bare.database.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(SYNC_INTERVAL);
                if let Err(error) = database.persist(PersistMode::SyncData) {
                    eprintln!("syncing fjall: {error}");
                    std::process::exit(1);
                }
            }
        });
        Ok(bare)
    }

    fn unsynced(directory: &Path) -> Result<Self> {
        let database = Database::builder(directory)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()?;
        let large = KvSeparationOptions::default().separation_threshold(LARGE_VALUE_BYTES);
        let tree = database.keyspace("records", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .manual_journal_persist(true)
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
                .with_kv_separation(Some(large))
        })?;
        Ok(Self { database, tree })
    }
}

impl Kept for Bare {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>> {
        let value = self.tree.get(key)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn put(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        Ok(self.tree.insert(&key[..], &value[..])?)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}

/// The least that a commit thread above fjall can be.
struct Batched {
    bare: Arc<Bare>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    puts: Mutex<Vec<(Bytes, Bytes)>>,
    bytes: AtomicUsize,
    written: Condvar,
}

impl Batched {
    fn open(directory: &Path) -> Result<Self> {
        let (bare, waiting) = (Arc::new(Bare::open(directory)?), Arc::<Waiting>::default());
        let (below, above) = (Arc::clone(&bare), Arc::clone(&waiting));
        thread::spawn(move || {
            loop {
                thread::sleep(GATHER_TIME);
                if let Err(error) = above.write_to(&below) {
                    eprintln!("writing to fjall: {error:#}");
                    std::process::exit(1);
                }
            }
        });
        Ok(Self { bare, waiting })
    }
}

impl Waiting {
    fn write_to(&self, below: &Bare) -> Result<()> {
        let puts = std::mem::take(&mut *self.puts.lock());
        if puts.is_empty() {
            return Ok(());
        }
        let mut batch = fjall::OwnedWriteBatch::with_capacity(below.database.clone(), puts.len())
            .durability(Some(PersistMode::Buffer));
        for (key, value) in &puts {
            batch.insert(&below.tree, &key[..], &value[..]);
        }
        batch.commit()?;
        let bytes = puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let _order = self.puts.lock();
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.written.notify_all();
        Ok(())
    }
}

impl Kept for Batched {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>> {
        self.bare.get(key)
    }

    fn put(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        let mut puts = self.waiting.puts.lock();
        while self.waiting.bytes.load(Ordering::Acquire) > UNWRITTEN_BYTES_MAX {
            self.waiting.written.wait(&mut puts);
        }
        self.waiting
            .bytes
            .fetch_add(key.len() + value.len(), Ordering::AcqRel);
        puts.push((key.clone(), value.clone()));
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let mut puts = self.waiting.puts.lock();
        while self.waiting.bytes.load(Ordering::Acquire) > 0 {
            self.waiting.written.wait(&mut puts);
        }
        drop(puts);
        self.bare.settle()
    }
}

impl Kept for RwLock<HashMap<Bytes, Bytes>> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>> {
        Ok(self.read().get(key).cloned())
    }

    fn put(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        self.write().insert(key.clone(), value.clone());
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

impl Kept for Mutex<HashMap<Bytes, Bytes>> {
    fn get(&self, key: &Bytes) -> Result<Option<Bytes>> {
        Ok(self.lock().get(key).cloned())
    }

    fn put(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        self.lock().insert(key.clone(), value.clone());
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

/// One insert, then a sync: what a single writer under `always` costs without anything above.
pub struct SyncedFjall(Bare);

impl SyncedFjall {
    /// Opens it.
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self(Bare::unsynced(directory)?))
    }

    /// Puts and syncs, on this thread.
    pub fn put(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        self.0.put(key, value)?;
        self.0.settle().context("syncing fjall")
    }
}

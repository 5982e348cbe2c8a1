//! The whole: opening, closing, and what the parts share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use switchboard_engine::{Answer, Blobs, Bus, Durability, Engine, EngineError, Health, Keys, Queues, Result};

use crate::backup::{self, Backup};
use crate::blobs::EmbeddedBlobs;
use crate::bus::LocalBus;
use crate::commit::{Committer, Marking, Rounds};
use crate::directory::{BLOBS, Contents, Directory, MARK, STORE, failed};
use crate::keys::{EmbeddedKeys, fold_all};
use crate::mark::{Mark, this_boot};
use crate::queues::EmbeddedQueues;
use crate::store::{FjallOptions, FjallStore, MemoryStore, Store, StoreError};
use crate::{DataDir, EmbeddedOptions, OpenError};

/// Least bytes of memory for hot keys.
const MEMORY_BYTES_MIN: usize = 1024 * 1024;

/// What part of the memory for hot keys the store's cache gets besides, and how much at least and at most, in bytes. What
/// is hot is in memory already: in a large cache would mostly be what was read once, to fold the log of keys.
const CACHE_PART: usize = 8;
const CACHE_BYTES_MIN: usize = 8 * 1024 * 1024;
const CACHE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long to wait before asking a closed engine again, by which time there may be another one.
const CLOSED_WAIT: Duration = Duration::from_secs(1);

/// State in this process, durable on disk.
#[derive(Debug)]
pub struct Embedded {
    description: String,
    durability: Durability,
    bus: LocalBus,
    keys: EmbeddedKeys,
    queues: EmbeddedQueues,
    blobs: EmbeddedBlobs,
    committer: Arc<Committer>,
    running: Arc<Mutex<Option<Running>>>,
}

/// What is let go of when the engine is closed, in this order.
#[derive(Debug)]
struct Running {
    rounds: Rounds,
    directory: Option<Directory>,
}

/// The store, with what else is known when it is open.
struct Opened {
    store: Arc<dyn Store>,
    /// The number of the last batch.
    number: u64,
    mark: Marking,
    directory: Option<Directory>,
}

impl Embedded {
    /// Opens the state in a directory, or begins one there.
    ///
    /// It waits for the disk: after a crash for as long as it takes to read up to 128 MiB of journals and to fold the log
    /// of rounds, usually at most 512 MiB, and for as long as it takes to read all keys, if they fit into memory. From an async task, call it in
    /// [`tokio::task::spawn_blocking`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: EmbeddedOptions) -> Result<Arc<Self>, OpenError> {
        let opened = match &options.data {
            DataDir::Memory => Opened {
                store: Arc::new(MemoryStore::default()),
                number: 0,
                mark: None,
                directory: None,
            },
            DataDir::Path(path) => open_directory(path, &options)?,
        };
        Self::start(opened, options)
    }

    fn start(opened: Opened, options: EmbeddedOptions) -> Result<Arc<Self>, OpenError> {
        let (description, damaged_in) = match &options.data {
            DataDir::Memory => ("embedded, data in memory".to_owned(), Path::new(":memory:")),
            DataDir::Path(path) => (format!("embedded, data in {}", path.display()), path.as_path()),
        };
        let read = |error| unreadable(damaged_in, error);
        let number = fold_all(&*opened.store, opened.number, options.accept_loss).map_err(read)?;
        let clock = options.clock;
        let committer = Committer::new(opened.store, options.durability);
        let memory_bytes = options.memory_bytes.max(MEMORY_BYTES_MIN);
        let keys = EmbeddedKeys::open(&committer, Arc::clone(&clock), memory_bytes, options.accept_loss)
            .map_err(read)?;
        let queues = EmbeddedQueues::load(Arc::clone(&committer), Arc::clone(&clock)).map_err(read)?;
        committer.add_source(queues.source());
        let root = opened.directory.as_ref().map(|directory| directory.join(BLOBS));
        let blobs = EmbeddedBlobs::open(
            Arc::clone(&committer),
            Arc::clone(&clock),
            options.durability,
            root,
        )?;
        committer.add_source(blobs.source());
        let rounds = Rounds::start(Arc::clone(&committer), number, opened.mark)
            .map_err(|source| failed("start a thread for", damaged_in, source))?;
        let running = Running {
            rounds,
            directory: opened.directory,
        };
        Ok(Arc::new(Self {
            description,
            durability: options.durability,
            bus: LocalBus::new(clock),
            keys,
            queues,
            blobs,
            committer,
            running: Arc::new(Mutex::new(Some(running))),
        }))
    }

    /// The durability that it was opened with.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Does now what is due by the clock and would otherwise be done within a moment: clears up what has expired. For
    /// tests that move the clock.
    pub fn clear_up(&self) -> Answer<()> {
        let committer = Arc::clone(&self.committer);
        Answer::later(async move {
            // What is due is done at the end of a round, and is in the store after the next one.
            committer.when_stored().await?;
            committer.when_stored().await
        })
    }
}

impl Embedded {
    /// Copies the whole state, as it is at one moment, into a new directory, while the engine goes on working. The copy
    /// is a data directory like any other; contents of blobs are linked, where the file system can do that.
    ///
    /// # Errors
    /// Invalid, if there is something in the directory already; unsupported for a state in memory; unavailable when the
    /// disk does not do it; damaged, with the place. What was copied until then is left there, and is no data directory.
    ///
    /// # Cancel safety
    /// Dropping the answer leaves the copying under way, to its end.
    pub fn backup(self: &Arc<Self>, directory: PathBuf) -> Answer<Backup> {
        let engine = Arc::clone(self);
        Answer::later(async move {
            engine.keys.settle().await?;
            engine.committer.when_stored().await?;
            let kept = engine.blobs.keep_all().await;
            let source = (engine.running.lock().as_ref())
                .and_then(|running| running.directory.as_ref())
                .map(|directory| directory.join(BLOBS));
            let store = Arc::clone(engine.committer.store());
            let copying = tokio::task::spawn_blocking(move || {
                let Some(blobs) = source else {
                    return Err(EngineError::Unsupported(
                        "a state in memory has no files to copy: export it instead".to_owned(),
                    ));
                };
                backup::copy(&*store, &blobs, kept, &directory)
            });
            copying
                .await
                .unwrap_or_else(|_| Err(EngineError::Failed("the backup has failed".to_owned())))
        })
    }
}

/// Opens what is on disk, and checks that all is there.
fn open_directory(path: &Path, options: &EmbeddedOptions) -> Result<Opened, OpenError> {
    let (directory, contents) = Directory::open(path)?;
    let (store_path, mark_path) = (directory.join(STORE), directory.join(MARK));
    let memory_bytes = options.memory_bytes.max(MEMORY_BYTES_MIN);
    let fjall = FjallOptions {
        cache_bytes: (memory_bytes / CACHE_PART).clamp(CACHE_BYTES_MIN, CACHE_BYTES_MAX) as u64,
        required: 0,
        accept_loss: options.accept_loss,
    };
    if contents == Contents::New {
        let mark =
            Mark::create(&mark_path, this_boot()).map_err(|source| failed("create", &mark_path, source))?;
        let store = FjallStore::create(&store_path, fjall).map_err(|error| unreadable(&store_path, error))?;
        directory.finish_creation()?;
        return Ok(Opened {
            store: Arc::new(store),
            number: 0,
            mark: Some(mark),
            directory: Some(directory),
        });
    }
    let mark = open_mark(path, &mark_path, options.accept_loss)?;
    let fjall = FjallOptions {
        required: mark.required(),
        ..fjall
    };
    let (store, found) = FjallStore::open(&store_path, fjall).map_err(|error| unreadable(path, error))?;
    if let Some(repaired) = found.repaired {
        tracing::warn!("repaired the data in {}: {repaired}", path.display());
    }
    if let Some(missing @ 1..) = fjall.required.checked_sub(found.number) {
        tracing::error!("the last {missing} commits to {} are lost", path.display());
    }
    if contents == Contents::OlderState {
        directory.finish_creation()?;
    }
    Ok(Opened {
        store: Arc::new(store),
        number: found.number,
        mark: Some(mark),
        directory: Some(directory),
    })
}

fn open_mark(directory: &Path, path: &Path, accept_loss: bool) -> Result<Mark, OpenError> {
    let damage = |problem| OpenError::Damaged {
        directory: directory.to_owned(),
        reason: format!("{} {problem}", path.display()),
    };
    match Mark::open(path, this_boot()) {
        Ok(Some(mark)) => Ok(mark),
        Ok(None) if !accept_loss => Err(damage("makes no sense")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("open", path, error)),
        Err(_) if !accept_loss => Err(damage("is missing")),
        _ => Mark::create(path, this_boot()).map_err(|source| failed("create", path, source)),
    }
}

fn unreadable(directory: &Path, error: StoreError) -> OpenError {
    match error {
        StoreError::Damaged(reason) => OpenError::Damaged {
            directory: directory.to_owned(),
            reason,
        },
        StoreError::Disk(reason) => failed("use", directory, io::Error::other(reason)),
    }
}

impl Engine for Embedded {
    fn description(&self) -> String {
        self.description.clone()
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn health(&self) -> Health {
        self.committer.health()
    }

    fn bus(&self) -> &dyn Bus {
        &self.bus
    }

    fn keys(&self) -> &dyn Keys {
        &self.keys
    }

    fn queues(&self) -> &dyn Queues {
        &self.queues
    }

    fn blobs(&self) -> &dyn Blobs {
        &self.blobs
    }

    fn flush(&self) -> Answer<()> {
        self.committer.when_synced()
    }

    fn close(&self) -> Answer<()> {
        self.committer.refuse();
        self.bus.close();
        self.queues.close();
        self.keys.close();
        self.blobs.close();
        let running = Arc::clone(&self.running);
        Answer::later(async move {
            let stop = move || match running.lock().take() {
                Some(mut running) => running.rounds.stop(),
                None => Ok(()),
            };
            let stopped = tokio::task::spawn_blocking(stop).await;
            stopped.unwrap_or_else(|_| Err(EngineError::unavailable(CLOSED_WAIT, "closing has failed")))
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.committer.refuse();
        self.bus.close();
        self.queues.close();
        self.keys.close();
        self.blobs.close();
    }
}

//! Copies the state of a running engine.
//!
//! A view of the store is one moment; as long as contents of blobs are kept from being removed, all that it speaks of
//! are there. They never change, so a link is as good as a copy. Records are written anew, batch by batch, into a store
//! of their own; `format` is written last, so that half a copy is not taken for a whole one.

use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use switchboard_engine::{EngineError, Result};
use tokio::sync::OwnedRwLockReadGuard;

use crate::OpenError;
use crate::commit::MEND_INTERVAL;
use crate::directory::{BLOBS, Contents, Directory, MARK, STORE};
use crate::mark::{Mark, this_boot};
use crate::store::{Batch, FjallOptions, FjallStore, Space, Store, StoreError, View};

/// A batch of the copy ends after so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;

/// The copy reads nothing back.
const CACHE_BYTES: u64 = 1024 * 1024;

/// What a backup copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backup {
    /// Records of keys, queues, and blobs.
    pub records: u64,
    /// Contents of blobs.
    pub contents: u64,
    /// Bytes of records, and of contents that could not be linked.
    pub bytes: u64,
}

/// Copies what is in the store and below `blobs` into a directory that is empty, or not there.
pub(crate) fn copy(
    store: &dyn Store,
    blobs: &Path,
    kept: OwnedRwLockReadGuard<()>,
    target: &Path,
) -> Result<Backup> {
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(EngineError::Invalid(format!(
            "{} is not empty: a backup needs a directory of its own",
            target.display()
        )));
    }
    let (directory, contents) = Directory::open(target).map_err(not_opened)?;
    debug_assert_eq!(contents, Contents::New);
    let mark_path = directory.join(MARK);
    let mut mark = Mark::create(&mark_path, this_boot()).map_err(|error| failed(&mark_path, &error))?;

    let view = store.view_between();
    let mut backup = Backup::default();
    let blobs_path = directory.join(BLOBS);
    link_all(blobs, &blobs_path, &mut backup).map_err(|error| failed(&blobs_path, &error))?;
    drop(kept);
    let number = copy_records(&*view, &directory.join(STORE), &mut backup)?;

    let marked = mark.durable(number).and_then(|()| mark.sync());
    marked.map_err(|error| failed(&mark_path, &error))?;
    directory.finish_creation().map_err(not_opened)?;
    Ok(backup)
}

/// Tells the number of the last batch.
fn copy_records(view: &dyn View, target: &Path, backup: &mut Backup) -> Result<u64> {
    let options = FjallOptions {
        cache_bytes: CACHE_BYTES,
        required: 0,
        accept_loss: false,
    };
    let copy = FjallStore::create(target, options).map_err(not_stored)?;
    let (mut batch, mut bytes, mut number) = (Batch::default(), 0, 0);
    for space in Space::ALL {
        for record in view.range(space, Bound::Unbounded, Bound::Unbounded) {
            let (key, value) = record.map_err(not_stored)?;
            // The numbers are the copy's own. That the engine was closed is not so: this one goes on, and gives revisions
            // that the copy must not give again.
            if space == Space::Engine && [crate::store::COMMIT_NAME, crate::keys::CLOSED_KEY].contains(&&*key)
            {
                continue;
            }
            batch.put(space, &key, &value);
            backup.records += 1;
            bytes += key.len() + value.len();
            if bytes >= BATCH_BYTES {
                backup.bytes += bytes as u64;
                number += 1;
                copy.write(&batch, number).map_err(not_stored)?;
                batch.clear();
                bytes = 0;
            }
        }
    }
    if !batch.is_empty() {
        backup.bytes += bytes as u64;
        number += 1;
        copy.write(&batch, number).map_err(not_stored)?;
    }
    copy.sync().map_err(not_stored)?;
    copy.settle().map_err(not_stored)?;
    copy.close();
    Ok(number)
}

/// Links all files below a directory; copies them, where they cannot be linked.
fn link_all(from: &Path, to: &Path, backup: &mut Backup) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_name() == crate::blobs::TEMPORARY {
            continue;
        }
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &target, backup)?;
            continue;
        }
        if fs::hard_link(entry.path(), &target).is_err() {
            backup.bytes += fs::copy(entry.path(), &target)?;
            fs::File::open(&target)?.sync_all()?;
        }
        backup.contents += 1;
    }
    fs::File::open(to)?.sync_all()
}

fn failed(path: &Path, error: &io::Error) -> EngineError {
    EngineError::unavailable(MEND_INTERVAL, format!("{}: {error}", path.display()))
}

fn not_opened(error: OpenError) -> EngineError {
    match error {
        OpenError::Io { .. } => EngineError::unavailable(MEND_INTERVAL, error.to_string()),
        _ => EngineError::Invalid(error.to_string()),
    }
}

fn not_stored(error: StoreError) -> EngineError {
    match error {
        StoreError::Damaged(reason) => EngineError::Damaged(reason),
        StoreError::Disk(reason) => EngineError::unavailable(MEND_INTERVAL, reason),
    }
}

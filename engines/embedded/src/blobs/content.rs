//! The contents of blobs: each is written once, under an id of its own, and never changed.
//!
//! On disk a content is one file:
//!
//! ```text
//! header   8 bytes   "swblob", then the version of this format, 16 bits, big-endian
//! chunk    64 KiB    the content; the last chunk may be shorter, none is empty
//! sum      8 bytes   XXH3 (64 bits, little-endian) of the chunk, seeded with its content's id and its place
//! …                  chunks with their sums, to the end of the file
//! ```
//!
//! So every part that is read is checked before it is handed out, whole blobs and ranges alike, and writing and reading
//! take the same little memory whatever the size. All functions here wait for the disk: they belong into
//! [`tokio::task::spawn_blocking`].

use std::io;
use std::time::Duration;

use switchboard_engine::EngineError;

mod file;
mod memory;

pub(crate) use file::{FileContents, TEMPORARY};
pub(crate) use memory::MemoryContents;

use super::id::ContentId;

/// Bytes of a chunk: what is read and checked for the shortest range.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks that are read and written in one go: 256 KiB, so that a hand-over to another thread is paid for.
pub(crate) const CHUNKS_AT_ONCE: usize = 4;

/// How long to wait for a disk that is full, or a process that has too many files open.
const RETRY: Duration = Duration::from_secs(5);

/// Where contents are.
#[derive(Debug)]
pub(crate) enum Contents {
    /// On disk.
    Files(FileContents),
    /// In memory, for an engine that keeps nothing.
    Memory(MemoryContents),
}

/// A content that is being written. Dropped before it was finished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) enum Draft {
    File(file::FileDraft),
    Memory(memory::MemoryDraft),
}

/// A content that is being read.
#[derive(Debug)]
pub(crate) enum Reading {
    File(file::FileReading),
    Memory(memory::MemoryReading),
}

impl Contents {
    /// Begins to write.
    pub(crate) fn begin(&self) -> Result<Draft, EngineError> {
        let id = ContentId::random()?;
        Ok(match self {
            Self::Files(files) => Draft::File(files.begin(id)?),
            Self::Memory(memory) => Draft::Memory(memory.begin(id)),
        })
    }

    /// Opens a content of that size. Whoever has it open can read it to its end, even if it is removed meanwhile. `None`
    /// if there is none.
    pub(crate) fn open(&self, id: ContentId, size: u64) -> Result<Option<Reading>, EngineError> {
        Ok(match self {
            Self::Files(files) => files.open_content(id, size)?.map(Reading::File),
            Self::Memory(memory) => memory.open(id).map(Reading::Memory),
        })
    }

    /// Removes a content, if it is there.
    pub(crate) fn remove(&self, id: ContentId) -> Result<(), EngineError> {
        match self {
            Self::Files(files) => files.remove(id),
            Self::Memory(memory) => {
                memory.remove(id);
                Ok(())
            }
        }
    }
}

impl Draft {
    pub(crate) fn id(&self) -> ContentId {
        match self {
            Self::File(draft) => draft.id(),
            Self::Memory(draft) => draft.id(),
        }
    }

    /// Adds to the end.
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<(), EngineError> {
        match self {
            Self::File(draft) => draft.write(part),
            Self::Memory(draft) => {
                draft.write(part);
                Ok(())
            }
        }
    }

    /// Puts the content where it is opened, as safe as it can be.
    pub(crate) fn finish(self) -> Result<(), EngineError> {
        match self {
            Self::File(draft) => draft.finish(),
            Self::Memory(draft) => {
                draft.finish();
                Ok(())
            }
        }
    }
}

impl Reading {
    /// Reads some chunks, from that one on, into parts of at most [`CHUNK_BYTES`] each.
    ///
    /// # Errors
    /// Damaged, with what is wrong but not with the blob's name.
    pub(crate) fn read(&mut self, first: u64, chunks: usize) -> Result<Vec<bytes::Bytes>, EngineError> {
        match self {
            Self::File(reading) => reading.read(first, chunks),
            Self::Memory(reading) => Ok(reading.read(first, chunks)),
        }
    }
}

/// What an error of the disk means to the caller.
pub(crate) fn disk_error(doing: &str, error: &io::Error) -> EngineError {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, StorageFull};
    /// Too many open files, in the process and in the system.
    const NO_DESCRIPTOR: [i32; 2] = [24, 23];
    let passes = matches!(error.kind(), StorageFull | QuotaExceeded | OutOfMemory)
        || error
            .raw_os_error()
            .is_some_and(|code| NO_DESCRIPTOR.contains(&code));
    let reason = format!("{doing}: {error}");
    match passes {
        true => EngineError::unavailable(RETRY, reason),
        false => EngineError::Failed(reason),
    }
}

//! Contents in files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foldhash::HashSet;
use parking_lot::Mutex;
use switchboard_engine::{Durability, EngineError, Result};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{CHUNK_BYTES, CHUNKS_AT_ONCE, disk_error};
use crate::blobs::id::ContentId;

#[cfg(test)]
mod tests;

/// Begins every file: what it is, and the version of its format.
const HEADER: [u8; 8] = *b"swblob\x00\x01";

/// Bytes of a chunk's checksum.
const SUM_BYTES: usize = 8;

/// Bytes of a full chunk in its file.
const STORED_CHUNK_BYTES: usize = CHUNK_BYTES + SUM_BYTES;

/// The directory of contents that are being written. It is no hexadecimal digit, as its neighbours are.
pub(crate) const TEMPORARY: &str = "tmp";

/// Contents below a directory.
#[derive(Debug, Clone)]
pub(crate) struct FileContents {
    root: PathBuf,
    durability: Durability,
    /// Directories that are there for good; at most as many as [`ContentId::path`] knows.
    prepared: Arc<Mutex<HashSet<PathBuf>>>,
}

/// A content that is being written to a temporary file.
#[derive(Debug)]
pub(crate) struct FileDraft {
    id: ContentId,
    contents: FileContents,
    file: File,
    temporary: Temporary,
    /// The header, or full chunks with their sums, then a chunk that is not full.
    buffer: Vec<u8>,
    /// Bytes of the chunk that is not full.
    filled: usize,
    /// Its place.
    chunk: u64,
}

/// A content that is being read.
#[derive(Debug)]
pub(crate) struct FileReading {
    id: ContentId,
    file: File,
    size: u64,
}

/// A file that is gone soon after this, unless it was moved to its place.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    is_moved: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.is_moved {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // If it cannot be removed now, it is when the engine is opened again.
        let remove = move || drop(fs::remove_file(path));
        // To remove a large file takes a while: not on a thread that others wait for.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

impl FileContents {
    /// Contents below `root`, which is created if it is missing. What was being written when the process ended is
    /// removed.
    ///
    /// # Errors
    /// Failed and unavailable when the disk does not do it.
    pub(crate) fn open(root: PathBuf, durability: Durability) -> Result<Self> {
        let temporary = root.join(TEMPORARY);
        let emptied = fs::create_dir_all(&temporary)
            .and_then(|()| fs::read_dir(&temporary))
            .and_then(|mut entries| entries.try_for_each(|entry| fs::remove_file(entry?.path())));
        emptied.map_err(|error| disk_error(&format!("{}", temporary.display()), &error))?;
        Ok(Self {
            root,
            durability,
            prepared: Arc::default(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file of a content is.
    pub(crate) fn path(&self, id: ContentId) -> PathBuf {
        id.path(&self.root)
    }

    pub(super) fn begin(&self, id: ContentId) -> Result<FileDraft> {
        let path = self.root.join(TEMPORARY).join(id.to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| disk_error(&format!("creating {}", path.display()), &error))?;
        Ok(FileDraft::new(id, self.clone(), file, path))
    }

    /// Opens a content. `None` if there is no such file.
    pub(super) fn open_content(&self, id: ContentId, size: u64) -> Result<Option<FileReading>> {
        let path = self.path(id);
        let failed = |error: io::Error| read_error(&format!("opening {}", path.display()), &error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut header = HEADER;
        file.read_exact_at(&mut header, 0).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let reading = FileReading { id, file, size };
        if header != HEADER {
            return Err(damaged("its file does not begin as one of this version does"));
        }
        if length != reading.offset(reading.chunks()) {
            return Err(damaged("its file has a wrong length"));
        }
        Ok(Some(reading))
    }

    pub(super) fn remove(&self, id: ContentId) -> Result<()> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk_error(&format!("removing {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// Creates a directory of contents if it is missing, and has the disk know of it before anybody relies on it: once in
    /// the life of a process, as the one before may have ended between the two.
    fn prepare(&self, directory: &Path) -> io::Result<()> {
        let mut prepared = self.prepared.lock();
        if prepared.contains(directory) {
            return Ok(());
        }
        fs::create_dir_all(directory)?;
        if self.is_durable() {
            let above = directory.ancestors().skip(1);
            // Its parent, the root, and what the root is in.
            above.take(3).try_for_each(sync_directory)?;
        }
        prepared.insert(directory.to_owned());
        Ok(())
    }

    fn is_durable(&self) -> bool {
        self.durability != Durability::Never
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl FileDraft {
    fn new(id: ContentId, contents: FileContents, file: File, path: PathBuf) -> Self {
        let mut buffer = Vec::with_capacity(HEADER.len() + CHUNKS_AT_ONCE * STORED_CHUNK_BYTES);
        buffer.extend_from_slice(&HEADER);
        Self {
            id,
            contents,
            file,
            temporary: Temporary {
                path,
                is_moved: false,
            },
            buffer,
            filled: 0,
            chunk: 0,
        }
    }

    pub(super) fn id(&self) -> ContentId {
        self.id
    }

    pub(super) fn write(&mut self, mut part: &[u8]) -> Result<()> {
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(CHUNK_BYTES - self.filled));
            self.buffer.extend_from_slice(now);
            self.filled += now.len();
            part = later;
            if self.filled == CHUNK_BYTES {
                self.seal();
                if self.buffer.len() >= CHUNKS_AT_ONCE * STORED_CHUNK_BYTES {
                    self.write_out().map_err(|error| self.failed(&error))?;
                }
            }
        }
        Ok(())
    }

    /// Under [`Durability::Second`], too, the content is on the disk before anything that speaks of it can be. It is moved
    /// first: one sync then makes a file system write down both.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.filled > 0 {
            self.seal();
        }
        let path = self.contents.path(self.id);
        let directory = path.parent().unwrap_or(&path);
        let moved = self
            .write_out()
            .and_then(|()| self.contents.prepare(directory))
            .and_then(|()| fs::rename(&self.temporary.path, &path));
        moved.map_err(|error| self.failed(&error))?;
        self.temporary.is_moved = true;
        if !self.contents.is_durable() {
            return Ok(());
        }
        let synced = self.file.sync_data().and_then(|()| sync_directory(directory));
        synced.map_err(|error| self.failed(&error))
    }

    /// Ends a chunk: its sum follows it.
    fn seal(&mut self) {
        let begin = self.buffer.len() - self.filled;
        let chunk = self.buffer.get(begin..).unwrap_or_default();
        let sum = xxh3_64_with_seed(chunk, self.id.seed(self.chunk));
        self.buffer.extend_from_slice(&sum.to_le_bytes());
        self.filled = 0;
        self.chunk += 1;
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> EngineError {
        disk_error(&format!("writing {}", self.temporary.path.display()), error)
    }
}

impl FileReading {
    /// How many chunks it has.
    fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK_BYTES as u64)
    }

    /// Where a chunk begins in the file; for the one after the last, the end of the file.
    fn offset(&self, chunk: u64) -> u64 {
        let content = chunk.saturating_mul(CHUNK_BYTES as u64).min(self.size);
        let sums = chunk.saturating_mul(SUM_BYTES as u64);
        content.saturating_add(sums).saturating_add(HEADER.len() as u64)
    }

    pub(super) fn read(&self, first: u64, chunks: usize) -> Result<Vec<Bytes>> {
        let end = self.chunks().min(first.saturating_add(chunks as u64));
        let (from, to) = (self.offset(first), self.offset(end));
        let mut stored = BytesMut::zeroed(usize::try_from(to.saturating_sub(from)).unwrap_or_default());
        self.file
            .read_exact_at(&mut stored, from)
            .map_err(|error| read_error(&format!("reading content {}", self.id), &error))?;
        let mut parts = Vec::with_capacity(CHUNKS_AT_ONCE);
        for chunk in first..end {
            let mut part = stored.split_to(stored.len().min(STORED_CHUNK_BYTES));
            let sum = part.split_off(part.len().saturating_sub(SUM_BYTES));
            if xxh3_64_with_seed(&part, self.id.seed(chunk)).to_le_bytes() != *sum {
                return Err(damaged(&format!(
                    "the 64 KiB from byte {} on are not what was written",
                    chunk * CHUNK_BYTES as u64
                )));
            }
            parts.push(part.freeze());
        }
        Ok(parts)
    }
}

fn damaged(how: &str) -> EngineError {
    EngineError::Damaged(how.to_owned())
}

/// A file that ends too early was cut by somebody, or by the loss of power under [`Durability::Never`].
fn read_error(doing: &str, error: &io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("its file ends too early"),
        _ => disk_error(doing, error),
    }
}

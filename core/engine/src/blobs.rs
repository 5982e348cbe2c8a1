//! Large values, written and read as streams.
//!
//! **Atomicity**: a blob is visible whole, from the moment that [`BlobWriter::finish`] answers, or not at all; putting
//! over an existing one replaces it in one step, and whoever is reading the old one reads it to its end or gets an
//! error, never a mixture. **Durability**: once `finish` answered, as the engine's [`Durability`](crate::Durability)
//! says. **Integrity**: SHA-256 over the whole, computed while writing, checked while reading a whole blob: damage is
//! an error before the end of the stream, and nothing damaged is passed off as whole. **Bounds**: names of 1 to
//! [`BLOB_NAME_BYTES_MAX`](crate::names::BLOB_NAME_BYTES_MAX) bytes of UTF-8; size by disk.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::stream::BoxStream;

use crate::{Answer, Bucket, EngineError, Result, Timestamp};

/// Most bytes in one part that is read.
pub const PART_BYTES_MAX: usize = 256 * 1024;

/// Most blobs in one page of a list.
pub const LIST_MAX: usize = 1_000;

/// What is known of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name in its bucket.
    pub name: ByteString,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// When it was put.
    pub created: Timestamp,
    /// What the content is, as a media type, if that was said.
    pub content_type: Option<ByteString>,
}

/// Writes one blob. Dropping it before [`finish`](Self::finish) leaves nothing behind.
pub trait BlobWriter: fmt::Debug + Send {
    /// Adds to the end. It waits while the disk or network is behind.
    ///
    /// # Errors
    /// Unavailable on a full disk. After an error the blob cannot be finished.
    ///
    /// # Cancel safety
    /// After the answer was dropped before it was ready, the blob cannot be finished.
    fn write(&mut self, part: Bytes) -> Answer<()>;

    /// Makes it visible.
    fn finish(self: Box<Self>) -> Answer<BlobInfo>;
}

/// One blob, being read.
pub struct BlobReader {
    /// What is known of it.
    pub info: BlobInfo,
    /// The bytes that were asked for, in parts of at most [`PART_BYTES_MAX`]. An error is its last item.
    pub parts: BoxStream<'static, Result<Bytes>>,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Large values.
pub trait Blobs: fmt::Debug + Send + Sync {
    /// Begins to write a blob.
    ///
    /// # Errors
    /// Invalid for an illegal name.
    fn put(
        &self,
        bucket: &Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
    ) -> Answer<Box<dyn BlobWriter>>;

    /// Reads a blob, or the bytes in `range` of it (what of the range lies beyond its end is left out). `None` if there
    /// is none.
    fn get(&self, bucket: &Bucket, name: &str, range: Option<Range<u64>>) -> Answer<Option<BlobReader>>;

    /// What is known of a blob.
    fn info(&self, bucket: &Bucket, name: &str) -> Answer<Option<BlobInfo>>;

    /// Takes a blob away. False if there was none.
    fn delete(&self, bucket: &Bucket, name: &str) -> Answer<bool>;

    /// The blobs whose names begin with `prefix`, in order, after the name `after`; at most `limit` (up to
    /// [`LIST_MAX`]).
    fn list(&self, bucket: &Bucket, prefix: &str, after: Option<&str>, limit: usize)
    -> Answer<Vec<BlobInfo>>;

    /// The buckets that hold a blob, in order.
    fn buckets(&self) -> Answer<Vec<Bucket>>;
}

/// Checks the name of a blob.
///
/// # Errors
/// Invalid when it is empty, too long, or holds a NUL character.
pub fn check_name(name: &str) -> Result<()> {
    let max = crate::names::BLOB_NAME_BYTES_MAX;
    if (1..=max).contains(&name.len()) && !name.contains('\0') {
        return Ok(());
    }
    Err(EngineError::Invalid(format!(
        "a blob's name has 1 to {max} bytes and no NUL character; this one has {} bytes",
        name.len()
    )))
}

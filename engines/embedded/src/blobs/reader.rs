//! One blob, being read.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use ring::digest::{Context, SHA256};
use switchboard_engine::blobs::BlobInfo;
use switchboard_engine::{Bucket, EngineError, Result};

use super::content::{CHUNK_BYTES, CHUNKS_AT_ONCE, Reading};
use super::shelf::{blocking, named};

const CHUNK: u64 = CHUNK_BYTES as u64;

/// See the module.
pub(crate) struct Reader {
    bucket: Bucket,
    info: BlobInfo,
    reading: Reading,
    /// The bytes that are still to be read.
    range: Range<u64>,
    /// Of what was read, if all of it is.
    digest: Option<Context>,
    /// What was read and not handed out.
    parts: VecDeque<Bytes>,
}

impl Reader {
    /// Reads a range, or all of it.
    pub(crate) fn new(bucket: Bucket, info: BlobInfo, reading: Reading, range: Option<Range<u64>>) -> Self {
        let all = 0..info.size;
        let range = range.map_or(all.clone(), |range| range.start..range.end.min(info.size));
        let digest = (range == all).then(|| Context::new(&SHA256));
        Self {
            bucket,
            info,
            reading,
            range,
            digest,
            parts: VecDeque::new(),
        }
    }

    /// The parts of it. At most [`CHUNKS_AT_ONCE`] are in memory.
    pub(crate) fn parts(self) -> BoxStream<'static, Result<Bytes>> {
        stream::unfold(Some(self), async |reader| reader?.next().await).boxed()
    }

    async fn next(mut self) -> Option<(Result<Bytes>, Option<Self>)> {
        if self.parts.is_empty() && self.range.is_empty() {
            return None;
        }
        if self.parts.is_empty() {
            let read = blocking(move || {
                self.read_on()?;
                Ok(self)
            });
            match read.await {
                Ok(reader) => self = reader,
                Err(error) => return Some((Err(error), None)),
            }
        }
        let part = self.parts.pop_front()?;
        Some((Ok(part), Some(self)))
    }

    /// Reads some chunks. Waits for the disk.
    fn read_on(&mut self) -> Result<()> {
        let read = self.read_chunks();
        read.map_err(|error| named(&self.bucket, &self.info, error))
    }

    fn read_chunks(&mut self) -> Result<()> {
        let chunk = self.range.start / CHUNK;
        let chunks = self.range.end.div_ceil(CHUNK).saturating_sub(chunk);
        let chunks = usize::try_from(chunks).map_or(CHUNKS_AT_ONCE, |chunks| chunks.min(CHUNKS_AT_ONCE));
        for (part, place) in self.reading.read(chunk, chunks)?.into_iter().zip(chunk..) {
            let begin = place * CHUNK;
            let from = self.range.start.saturating_sub(begin);
            let to = self.range.end.saturating_sub(begin).min(part.len() as u64);
            if from >= to {
                return Err(EngineError::Damaged("its content is too short".to_owned()));
            }
            if let Some(digest) = &mut self.digest {
                digest.update(&part);
            }
            self.range.start = begin + to;
            self.parts.push_back(part.slice(to_usize(from)..to_usize(to)));
        }
        if self.parts.is_empty() {
            return Err(EngineError::Damaged("its content ends too early".to_owned()));
        }
        if self.range.is_empty()
            && let Some(digest) = self.digest.take()
            && digest.finish().as_ref() != self.info.sha256
        {
            return Err(EngineError::Damaged(
                "its SHA-256 is not that of what was written".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Of numbers up to the bytes of a chunk.
fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(CHUNK_BYTES)
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("bucket", &self.bucket)
            .field("info", &self.info)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

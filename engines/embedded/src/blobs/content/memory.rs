//! Contents in memory.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;

use super::CHUNK_BYTES;
use crate::blobs::id::ContentId;

type Chunks = Arc<Vec<Bytes>>;

/// All contents of an engine that keeps nothing on disk.
#[derive(Debug, Clone)]
pub(crate) struct MemoryContents(Arc<Mutex<HashMap<ContentId, Chunks>>>);

/// A content that is being written.
#[derive(Debug)]
pub(crate) struct MemoryDraft {
    id: ContentId,
    contents: MemoryContents,
    chunks: Vec<Bytes>,
    chunk: BytesMut,
}

/// A content that is being read.
#[derive(Debug)]
pub(crate) struct MemoryReading(Chunks);

impl MemoryContents {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }

    pub(super) fn begin(&self, id: ContentId) -> MemoryDraft {
        MemoryDraft {
            id,
            contents: self.clone(),
            chunks: Vec::new(),
            chunk: BytesMut::new(),
        }
    }

    pub(super) fn open(&self, id: ContentId) -> Option<MemoryReading> {
        self.0.lock().get(&id).cloned().map(MemoryReading)
    }

    pub(super) fn remove(&self, id: ContentId) {
        self.0.lock().remove(&id);
    }
}

impl MemoryDraft {
    pub(super) fn id(&self) -> ContentId {
        self.id
    }

    pub(super) fn write(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let (now, later) = part.split_at(part.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            part = later;
            if self.chunk.len() == CHUNK_BYTES {
                self.chunks.push(self.chunk.split().freeze());
            }
        }
    }

    pub(super) fn finish(mut self) {
        if !self.chunk.is_empty() {
            self.chunks.push(self.chunk.freeze());
        }
        self.contents.0.lock().insert(self.id, Arc::new(self.chunks));
    }
}

impl MemoryReading {
    pub(super) fn read(&self, first: u64, chunks: usize) -> Vec<Bytes> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        self.0.iter().skip(first).take(chunks).cloned().collect()
    }
}

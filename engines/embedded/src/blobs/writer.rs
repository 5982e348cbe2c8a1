//! One blob, being written.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use ring::digest::{Context, SHA256};
use switchboard_engine::blobs::{BlobInfo, BlobWriter, PART_BYTES_MAX};
use switchboard_engine::{Answer, Bucket, EngineError, Result};

use super::content::Draft;
use super::record::BlobRecord;
use super::shelf::{Shelf, blocking};

/// Small parts are gathered up to so many bytes before they are handed to a thread that may wait for the disk. Beside
/// it, a writer holds as many bytes that are being written, and the part that was handed in.
const GATHERED_BYTES: usize = PART_BYTES_MAX;

/// See the module.
pub(crate) struct Writer {
    shelf: Arc<Shelf>,
    bucket: Bucket,
    name: ByteString,
    content_type: Option<ByteString>,
    /// `None` while it is being written to, and after that failed or was given up.
    work: Arc<Mutex<Option<Work>>>,
}

/// What is written so far. Dropping it leaves nothing behind.
struct Work {
    draft: Draft,
    digest: Context,
    size: u64,
    gathered: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(
        shelf: Arc<Shelf>,
        bucket: Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
        draft: Draft,
    ) -> Self {
        let work = Work {
            draft,
            digest: Context::new(&SHA256),
            size: 0,
            gathered: Vec::new(),
        };
        Self {
            shelf,
            bucket,
            name,
            content_type,
            work: Arc::new(Mutex::new(Some(work))),
        }
    }
}

impl Work {
    /// Waits for the disk.
    fn write(&mut self, part: &[u8]) -> Result<()> {
        self.digest.update(part);
        self.size += part.len() as u64;
        self.draft.write(part)
    }

    fn write_gathered(&mut self) -> Result<()> {
        let mut gathered = std::mem::take(&mut self.gathered);
        self.write(&gathered)?;
        gathered.clear();
        self.gathered = gathered;
        Ok(())
    }
}

impl BlobWriter for Writer {
    fn write(&mut self, part: Bytes) -> Answer<()> {
        let mut slot = self.work.lock();
        let Some(mut work) = slot.take() else {
            return Answer::err(cannot_be_finished());
        };
        if work.gathered.len() + part.len() < GATHERED_BYTES {
            work.gathered.extend_from_slice(&part);
            *slot = Some(work);
            return Answer::ok(());
        }
        drop(slot);
        let slot = Arc::clone(&self.work);
        Answer::later(async move {
            let work = blocking(move || {
                work.write_gathered()?;
                work.write(&part)?;
                Ok(work)
            });
            // Only whoever hears of it may go on: else a part might be missing.
            let work = work.await?;
            *slot.lock() = Some(work);
            Ok(())
        })
    }

    fn finish(self: Box<Self>) -> Answer<BlobInfo> {
        let Some(mut work) = self.work.lock().take() else {
            return Answer::err(cannot_be_finished());
        };
        Answer::later(async move {
            let Self {
                shelf,
                bucket,
                name,
                content_type,
                ..
            } = *self;
            let hold = shelf.hold(bucket, name.clone()).await?;
            let content = work.draft.id();
            let arrival = shelf.arrive(content);
            let (sha256, size) = blocking(move || {
                work.write_gathered()?;
                work.draft.finish()?;
                let digest = work.digest.finish();
                let sha256 = digest.as_ref().try_into().unwrap_or_default();
                Ok((sha256, work.size))
            })
            .await?;
            let info = BlobInfo {
                name,
                size,
                sha256,
                created: shelf.clock.now(),
                content_type,
            };
            let record = BlobRecord {
                content,
                info: info.clone(),
            };
            shelf.put(hold, arrival, record).await?;
            Ok(info)
        })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("bucket", &self.bucket)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn cannot_be_finished() -> EngineError {
    EngineError::Failed("writing a part of the blob failed or was given up: it cannot be finished".to_owned())
}

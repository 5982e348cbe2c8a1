//! Large values, as [`switchboard_engine::blobs`] promises.
//!
//! ```text
//! put ─► Writer ─► a temporary file, in chunks with checksums ─► moved to its place, synced
//!                                            then ─► index: bucket, name → content, size, SHA-256 … (commit thread)
//!                                                              then ─► the content before it is removed
//! ```
//!
//! A content is written once and never changed, so whoever has it open reads it to its end. The index is what counts: a
//! content of which it does not speak is removed when the engine is opened again; a blob whose content is missing is
//! damaged. **Memory**: a writer and a reader hold at most about half a MiB each, beside the part that is handed in or
//! out. **Disk**: every wait for it is on a thread made for that; the next part is taken when the one before is written,
//! and read when the one before was taken.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytestring::ByteString;
use parking_lot::Mutex;
use switchboard_engine::blobs::{BlobInfo, BlobReader, BlobWriter, Blobs, LIST_MAX, check_name};
use switchboard_engine::{Answer, Bucket, Clock, Durability, EngineError, Result};
use tokio::sync::OwnedRwLockReadGuard;

mod content;
mod id;
mod list;
mod orphans;
mod reader;
mod record;
mod shelf;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use self::content::TEMPORARY;
use self::content::{Contents, FileContents, MemoryContents, Reading};
use self::reader::Reader;
use self::record::BlobRecord;
use self::shelf::{Shelf, blocking, damaged, named};
use self::writer::Writer;
use crate::commit::{Committer, Source};

/// The blobs of an embedded engine.
#[derive(Debug)]
pub(crate) struct EmbeddedBlobs {
    shelf: Arc<Shelf>,
    /// Looks for contents that belong to nobody.
    collector: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedBlobs {
    /// The blobs whose index is in the store below the committer, and whose contents are below `root`; in memory, if
    /// there is none. They have to be the committer's [`source`](Self::source) before its thread is started.
    ///
    /// # Errors
    /// Failed and unavailable when the disk does not do it, or the system gives no thread.
    pub(crate) fn open(
        committer: Arc<Committer>,
        clock: Arc<dyn Clock>,
        durability: Durability,
        root: Option<PathBuf>,
    ) -> Result<Self> {
        let Some(root) = root else {
            let contents = Contents::Memory(MemoryContents::new());
            return Ok(Self {
                shelf: Arc::new(Shelf::new(committer, clock, contents)),
                collector: Mutex::new(None),
            });
        };
        let files = FileContents::open(root, durability)?;
        let shelf = Arc::new(Shelf::new(committer, clock, Contents::Files(files.clone())));
        let collecting = Arc::clone(&shelf);
        let collector = thread::Builder::new()
            .name("engine-blobs".to_owned())
            .spawn(move || match orphans::collect(&collecting, &files) {
                Ok(0) => {}
                Ok(removed) => tracing::info!("{removed} contents that belonged to no blob were removed"),
                Err(error) => tracing::warn!("looking for contents that belong to no blob: {error}"),
            })
            .map_err(|error| EngineError::Failed(format!("no thread for the blobs: {error}")))?;
        Ok(Self {
            shelf,
            collector: Mutex::new(Some(collector)),
        })
    }

    /// What the commit thread asks for changes.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.shelf) as Arc<dyn Source>
    }

    /// As long as it is held, no content is removed: whatever a view of the store speaks of stays.
    pub(crate) async fn keep_all(&self) -> OwnedRwLockReadGuard<()> {
        self.shelf.keep_all().await
    }

    /// Ends all but the reading of what is open. The commit thread is stopped after this. Contents that nobody needs and
    /// that are not removed yet are when the engine is opened again. Idempotent.
    pub(crate) fn close(&self) {
        self.shelf.close();
        self.await_collector();
    }

    fn await_collector(&self) {
        if let Some(collector) = self.collector.lock().take()
            && collector.join().is_err()
        {
            tracing::error!("the thread of the blobs has failed");
        }
    }

    fn later<T: Send + 'static>(&self, work: impl FnOnce(&Shelf) -> Result<T> + Send + 'static) -> Answer<T> {
        let shelf = Arc::clone(&self.shelf);
        Answer::later(blocking(move || work(&shelf)))
    }
}

impl Drop for EmbeddedBlobs {
    fn drop(&mut self) {
        self.close();
    }
}

impl Blobs for EmbeddedBlobs {
    fn put(
        &self,
        bucket: &Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
    ) -> Answer<Box<dyn BlobWriter>> {
        if let Err(error) = check_name(&name) {
            return Answer::err(error);
        }
        let (shelf, bucket) = (Arc::clone(&self.shelf), bucket.clone());
        // Texts of their own: the caller's may be slices of something large.
        let name = ByteString::from(name.to_string());
        let content_type = content_type.map(|content_type| ByteString::from(content_type.to_string()));
        self.later(move |now| {
            now.check_open()?;
            let draft = now.contents.begin()?;
            Ok(Box::new(Writer::new(shelf, bucket, name, content_type, draft)) as Box<dyn BlobWriter>)
        })
    }

    fn get(&self, bucket: &Bucket, name: &str, range: Option<Range<u64>>) -> Answer<Option<BlobReader>> {
        let (bucket, name) = (bucket.clone(), name.to_owned());
        self.later(move |shelf| {
            let Some((record, reading)) = open(shelf, &bucket, &name)? else {
                return Ok(None);
            };
            let info = record.info;
            let reader = Reader::new(bucket, info.clone(), reading, range);
            Ok(Some(BlobReader {
                info,
                parts: reader.parts(),
            }))
        })
    }

    fn info(&self, bucket: &Bucket, name: &str) -> Answer<Option<BlobInfo>> {
        let (bucket, name) = (bucket.clone(), name.to_owned());
        self.later(move |shelf| Ok(shelf.find(&bucket, &name)?.map(|record| record.info)))
    }

    fn delete(&self, bucket: &Bucket, name: &str) -> Answer<bool> {
        let shelf = Arc::clone(&self.shelf);
        let (bucket, name) = (bucket.clone(), ByteString::from(name));
        Answer::later(async move {
            let hold = shelf.hold(bucket, name).await?;
            shelf.delete(hold).await
        })
    }

    fn list(
        &self,
        bucket: &Bucket,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Answer<Vec<BlobInfo>> {
        let (bucket, prefix, after) = (bucket.clone(), prefix.to_owned(), after.map(str::to_owned));
        self.later(move |shelf| list::list(shelf, &bucket, &prefix, after.as_deref(), limit.min(LIST_MAX)))
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        self.later(list::buckets)
    }
}

/// Finds a blob and opens its content.
fn open(shelf: &Shelf, bucket: &Bucket, name: &str) -> Result<Option<(BlobRecord, Reading)>> {
    let mut missing = None;
    while let Some(record) = shelf.find(bucket, name)? {
        let reading = shelf.contents.open(record.content, record.info.size);
        if let Some(reading) = reading.map_err(|error| named(bucket, &record.info, error))? {
            return Ok(Some((record, reading)));
        }
        // It may have been replaced between the two steps; then there is another one now.
        if missing.replace(record.content) == Some(record.content) {
            return Err(damaged(bucket, name, "its content is missing"));
        }
    }
    Ok(None)
}

//! Large values: parts in one stream, what is known of each blob in that of keys.
//!
//! Parts are written under an id of their own, so nobody sees them until the message that names the id is stored: that
//! is the one step in which a blob comes to be, or replaces another. In the same step it is noted whose parts are
//! wanted no more, so that they are taken away also if the hub that should do that is gone.

mod meta;
mod reader;
mod sweep;
mod writer;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytestring::ByteString;
use switchboard_engine::blobs::{BlobInfo, BlobReader, BlobWriter, LIST_MAX, check_name};
use switchboard_engine::keys::{Entry, Scan, Write, Written};
use switchboard_engine::{Answer, Blobs, Bucket, Key, Result};

use crate::keys::Shared;
use crate::keys::scan::Scanner;
use crate::link::Outgoing;
use crate::names::Family;
use meta::Meta;
use sweep::{Work, discard};

/// See the module.
#[derive(Clone)]
pub(crate) struct NatsBlobs {
    shared: Arc<Shared>,
}

impl NatsBlobs {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        sweep::start(&shared);
        Self { shared }
    }

    async fn meta(&self, bucket: &Bucket, name: &str) -> Result<Option<Meta>> {
        let Ok(key) = key(name) else { return Ok(None) };
        let mut current = self.shared.current(Family::Blobs, bucket, &[key]).await?;
        let entry = current.pop().and_then(|current| current.entry);
        entry.map(|entry| Meta::of(&entry)).transpose()
    }

    async fn list_page(
        &self,
        bucket: &Bucket,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<BlobInfo>> {
        let mut blobs = Vec::new();
        let mut scan = Scan {
            prefix: prefix.into(),
            after: after.and_then(|after| key(&after).ok()),
            limit,
            values: true,
        };
        while blobs.len() < limit {
            let scanner = Scanner {
                link: &self.shared.link,
                family: Family::Blobs,
                bucket,
            };
            scan.limit = limit - blobs.len();
            let page = scanner.page(&scan).await?;
            for (name, entry) in page.entries {
                let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
                blobs.push(Meta::of(&entry)?.info(name.into()));
            }
            match page.cursor {
                Some(cursor) => scan.after = Some(cursor),
                None => break,
            }
        }
        Ok(blobs)
    }

    async fn delete_blob(&self, bucket: &Bucket, name: &str) -> Result<bool> {
        self.shared.link.check_open()?;
        let Ok(key) = key(name) else { return Ok(false) };
        let shared = &self.shared;
        let written = shared
            .write(Family::Blobs, bucket, key, &Write::delete(), |before| {
                unwanted(shared, before)
            })
            .await?;
        let Written::Done {
            before: Some(before), ..
        } = written
        else {
            return Ok(false);
        };
        take_away(shared, &before);
        Ok(true)
    }
}

/// A blob's name as a key.
fn key(name: &str) -> Result<Key> {
    check_name(name)?;
    Key::new(name.as_bytes().to_vec())
}

/// Notes that the parts of a blob are wanted no more.
fn unwanted(shared: &Shared, before: Option<&Entry>) -> Vec<Outgoing> {
    let blob = before.and_then(|entry| Meta::of(entry).ok());
    blob.map(|meta| Work::Unwanted.message(shared, &meta.id, None))
        .into_iter()
        .collect()
}

/// Takes the parts of a blob away, behind the caller's back.
fn take_away(shared: &Arc<Shared>, before: &Entry) {
    let Ok(meta) = Meta::of(before) else { return };
    let (shared, closed) = (Arc::clone(shared), shared.link.closed.clone());
    tokio::spawn(closed.run_until_cancelled_owned(async move {
        if let Err(error) = discard(&shared, &meta.id).await {
            tracing::debug!("the parts of a blob are left to the sweep: {error}");
        }
    }));
}

impl Blobs for NatsBlobs {
    fn put(
        &self,
        bucket: &Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
    ) -> Answer<Box<dyn BlobWriter>> {
        if let Err(error) = check_name(&name) {
            return Answer::err(error);
        }
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move {
            let writer = writer::begin(shared, bucket, name, content_type).await?;
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        })
    }

    fn get(&self, bucket: &Bucket, name: &str, range: Option<Range<u64>>) -> Answer<Option<BlobReader>> {
        let (blobs, bucket, name) = (self.clone(), bucket.clone(), name.to_owned());
        Answer::later(async move {
            let Some(meta) = blobs.meta(&bucket, &name).await? else {
                return Ok(None);
            };
            let parts = reader::parts(Arc::clone(&blobs.shared.link), &meta, range);
            Ok(Some(BlobReader {
                info: meta.info(name.into()),
                parts,
            }))
        })
    }

    fn info(&self, bucket: &Bucket, name: &str) -> Answer<Option<BlobInfo>> {
        let (blobs, bucket, name) = (self.clone(), bucket.clone(), name.to_owned());
        Answer::later(async move {
            let meta = blobs.meta(&bucket, &name).await?;
            Ok(meta.map(|meta| meta.info(name.into())))
        })
    }

    fn delete(&self, bucket: &Bucket, name: &str) -> Answer<bool> {
        let (blobs, bucket, name) = (self.clone(), bucket.clone(), name.to_owned());
        Answer::later(async move { blobs.delete_blob(&bucket, &name).await })
    }

    fn list(
        &self,
        bucket: &Bucket,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Answer<Vec<BlobInfo>> {
        let (blobs, bucket) = (self.clone(), bucket.clone());
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        Answer::later(async move { blobs.list_page(&bucket, prefix, after, limit.min(LIST_MAX)).await })
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        let shared = Arc::clone(&self.shared);
        Answer::later(async move { shared.buckets(Family::Blobs).await })
    }
}

impl fmt::Debug for NatsBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBlobs").finish_non_exhaustive()
    }
}

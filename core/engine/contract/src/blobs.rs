//! Large values: [`switchboard_engine::blobs`].

mod reading;
mod writing;

pub use reading::*;
pub use writing::*;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::StreamExt;
use ring::digest::{SHA256, digest};
use switchboard_engine::blobs::{BlobInfo, BlobReader, BlobWriter, PART_BYTES_MAX};
use switchboard_engine::{Bucket, Engine, EngineError};

use crate::TestBed;
use crate::tools::{self, soon};

/// A blob that fits neither a part nor a message: 20 MiB and a bit.
const BIG: usize = 20 * 1024 * 1024 + 17;

/// How blobs are handed in: neither a power of two nor all of one size with what is read.
const PART: usize = 300_007;

/// One bucket of an engine, in few words.
#[derive(Clone)]
struct Shelf {
    engine: Arc<dyn Engine>,
    bucket: Bucket,
}

impl Shelf {
    /// A bucket that nobody has used.
    fn new(bed: &dyn TestBed) -> Self {
        Self::at(bed, tools::bucket())
    }

    fn at(bed: &dyn TestBed, bucket: Bucket) -> Self {
        Self {
            engine: bed.engine(),
            bucket,
        }
    }

    async fn begin(
        &self,
        name: &str,
        content_type: Option<&str>,
    ) -> Result<Box<dyn BlobWriter>, EngineError> {
        let content_type = content_type.map(ByteString::from);
        let answer = self.engine.blobs().put(&self.bucket, name.into(), content_type);
        soon("a writer", answer).await
    }

    /// Writes a blob in parts, and leaves it unfinished.
    async fn half(&self, name: &str, content: &Bytes) -> Box<dyn BlobWriter> {
        let mut writer = self.begin(name, None).await.expect("beginning to write");
        for start in (0..content.len()).step_by(PART) {
            let part = content.slice(start..content.len().min(start + PART));
            soon("writing a part", writer.write(part)).await.expect("writing");
        }
        writer
    }

    async fn put(&self, name: &str, content: &Bytes) -> BlobInfo {
        let writer = self.half(name, content).await;
        soon("finishing", writer.finish()).await.expect("finishing")
    }

    async fn open(&self, name: &str, range: Option<Range<u64>>) -> Option<BlobReader> {
        let answer = self.engine.blobs().get(&self.bucket, name, range);
        soon("a reader", answer).await.expect("opening")
    }

    async fn read(&self, name: &str) -> Option<Bytes> {
        match self.open(name, None).await {
            Some(reader) => Some(rest(reader).await.expect("reading")),
            None => None,
        }
    }

    async fn info(&self, name: &str) -> Option<BlobInfo> {
        soon("an info", self.engine.blobs().info(&self.bucket, name))
            .await
            .expect("asking")
    }

    async fn delete(&self, name: &str) -> bool {
        soon("a deletion", self.engine.blobs().delete(&self.bucket, name))
            .await
            .expect("deleting")
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<BlobInfo> {
        soon(
            "a list",
            self.engine.blobs().list(&self.bucket, prefix, after, limit),
        )
        .await
        .expect("listing")
    }

    async fn names(&self) -> Vec<ByteString> {
        self.list("", None, 100)
            .await
            .into_iter()
            .map(|info| info.name)
            .collect()
    }

    async fn is_listed(&self) -> bool {
        let buckets = soon("the buckets", self.engine.blobs().buckets())
            .await
            .expect("listing");
        assert!(buckets.is_sorted(), "buckets come in order: {buckets:?}");
        buckets.contains(&self.bucket)
    }
}

/// What is left to read.
async fn rest(mut reader: BlobReader) -> Result<Bytes, EngineError> {
    let mut content = Vec::new();
    while let Some(part) = soon("a part", reader.parts.next()).await {
        let part = match part {
            Ok(part) => part,
            Err(error) => {
                let next = soon("the end of a failed stream", reader.parts.next()).await;
                assert!(next.is_none(), "an error is the last item");
                return Err(error);
            }
        };
        assert!(part.len() <= PART_BYTES_MAX, "a part of {} bytes", part.len());
        content.extend_from_slice(&part);
    }
    Ok(content.into())
}

fn sha256(content: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, content);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

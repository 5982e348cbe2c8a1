//! Large values.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::{StreamExt, stream};
use ring::digest::{SHA256, digest};
use switchboard_engine::blobs::{BlobInfo, BlobReader, BlobWriter, LIST_MAX, PART_BYTES_MAX, check_name};
use switchboard_engine::{Answer, Blobs, Bucket, Result};

use super::flaw::Flaw;
use super::state::Blob;
use super::world::Reference;

#[derive(Debug)]
struct Writer {
    engine: Reference,
    bucket: Bucket,
    name: ByteString,
    content_type: Option<ByteString>,
    content: Vec<u8>,
}

impl Writer {
    fn show(&self) -> Result<BlobInfo> {
        self.engine.try_look(|state| {
            let sha256 = digest(&SHA256, &self.content);
            let info = BlobInfo {
                name: self.name.clone(),
                size: self.content.len() as u64,
                sha256: sha256.as_ref().try_into().expect("SHA-256 has 32 bytes"),
                created: state.now,
                content_type: self.content_type.clone(),
            };
            let blob = Blob {
                info: info.clone(),
                content: Bytes::copy_from_slice(&self.content),
            };
            let shelf = state.blobs.entry(self.bucket.clone()).or_default();
            shelf.insert(self.name.clone(), Arc::new(blob));
            Ok(info)
        })
    }
}

impl BlobWriter for Writer {
    fn write(&mut self, part: Bytes) -> Answer<()> {
        self.content.extend_from_slice(&part);
        if self.engine.world.flaw == Flaw::VisibleEarly {
            return Answer::now(self.show().map(drop));
        }
        Answer::now(self.engine.check())
    }

    fn finish(self: Box<Self>) -> Answer<BlobInfo> {
        Answer::now(self.show())
    }
}

impl Reference {
    fn find(&self, bucket: &Bucket, name: &str) -> Result<Option<Arc<Blob>>> {
        self.try_look(|state| Ok(state.blobs.get(bucket).and_then(|shelf| shelf.get(name)).cloned()))
    }
}

impl Blobs for Reference {
    fn put(
        &self,
        bucket: &Bucket,
        name: ByteString,
        content_type: Option<ByteString>,
    ) -> Answer<Box<dyn BlobWriter>> {
        let writer = Writer {
            engine: self.clone(),
            bucket: bucket.clone(),
            content_type,
            content: Vec::new(),
            name,
        };
        let legal = self.check().and_then(|()| check_name(&writer.name));
        Answer::now(legal.map(|()| Box::new(writer) as Box<dyn BlobWriter>))
    }

    fn get(&self, bucket: &Bucket, name: &str, range: Option<Range<u64>>) -> Answer<Option<BlobReader>> {
        let blob = match self.find(bucket, name) {
            Ok(Some(blob)) => blob,
            outcome => return Answer::now(outcome.map(|_| None)),
        };
        let size = blob.info.size;
        let range = range.unwrap_or(0..size);
        let end = range.end.min(size) as usize;
        let start = (range.start.min(size) as usize).min(end);
        let info = blob.info.clone();
        let mixes = (self.world.flaw == Flaw::MixesBlobs).then(|| (self.clone(), bucket.clone()));
        let parts = (start..end).step_by(PART_BYTES_MAX).map_while(move |from| {
            let to = (from + PART_BYTES_MAX).min(end);
            let now = mixes
                .as_ref()
                .and_then(|(engine, bucket)| engine.find(bucket, &blob.info.name).ok()?);
            let content = &now.as_ref().unwrap_or(&blob).content;
            (to <= content.len()).then(|| Ok(content.slice(from..to)))
        });
        let parts = stream::iter(parts).boxed();
        Answer::ok(Some(BlobReader { info, parts }))
    }

    fn info(&self, bucket: &Bucket, name: &str) -> Answer<Option<BlobInfo>> {
        Answer::now(
            self.find(bucket, name)
                .map(|blob| blob.map(|blob| blob.info.clone())),
        )
    }

    fn delete(&self, bucket: &Bucket, name: &str) -> Answer<bool> {
        self.look(|state| {
            Ok(state
                .blobs
                .get_mut(bucket)
                .and_then(|shelf| shelf.remove(name))
                .is_some())
        })
    }

    fn list(
        &self,
        bucket: &Bucket,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Answer<Vec<BlobInfo>> {
        self.look(|state| {
            let Some(shelf) = state.blobs.get(bucket) else {
                return Ok(Vec::new());
            };
            let listed = shelf
                .iter()
                .filter(|(name, _)| name.starts_with(prefix) && Some(&name[..]) > after);
            Ok(listed
                .take(limit.min(LIST_MAX))
                .map(|(_, blob)| blob.info.clone())
                .collect())
        })
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        self.look(|state| {
            let full = state.blobs.iter().filter(|(_, shelf)| !shelf.is_empty());
            Ok(full.map(|(bucket, _)| bucket.clone()).collect())
        })
    }
}

//! How blobs look in the store: two records each.
//!
//! One stands under the bucket and the name, and says what is known of the blob; one stands under the content's id, and
//! says whose it is: a content that has none belongs to nobody. All numbers are big-endian.

use bytes::{Buf, BufMut};
use bytestring::ByteString;
use switchboard_engine::blobs::BlobInfo;
use switchboard_engine::{Bucket, Timestamp};

use super::id::ContentId;

/// The version of what this writes.
const VERSION: u8 = 1;

/// Bytes of a record before the media type: version, id, size, moment, SHA-256, whether there is a media type.
const HEAD_BYTES: usize = 1 + 16 + 8 + 8 + 32 + 1;

/// The first byte of the key of a record: what kind it is.
mod kind {
    pub(super) const BLOB: u8 = 1;
    pub(super) const OWNER: u8 = 2;
}

/// What is known of a blob, and where its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobRecord {
    pub(crate) content: ContentId,
    pub(crate) info: BlobInfo,
}

impl BlobRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let content_type = self.info.content_type.as_deref();
        let mut record = Vec::with_capacity(HEAD_BYTES + content_type.map_or(0, str::len));
        record.put_u8(VERSION);
        record.put_slice(self.content.as_bytes());
        record.put_u64(self.info.size);
        record.put_u64(self.info.created.as_millis());
        record.put_slice(&self.info.sha256);
        record.put_u8(u8::from(content_type.is_some()));
        record.put_slice(content_type.unwrap_or_default().as_bytes());
        record
    }

    /// `None` when it is damaged.
    pub(crate) fn decode(name: ByteString, mut record: &[u8]) -> Option<Self> {
        if record.len() < HEAD_BYTES || record.get_u8() != VERSION {
            return None;
        }
        let mut content = [0; 16];
        record.copy_to_slice(&mut content);
        let size = record.get_u64();
        let created = Timestamp::from_millis(record.get_u64());
        let mut sha256 = [0; 32];
        record.copy_to_slice(&mut sha256);
        let has_content_type = record.get_u8() != 0;
        let content_type = std::str::from_utf8(record).ok()?;
        Some(Self {
            content: ContentId::from_bytes(content),
            info: BlobInfo {
                name,
                size,
                sha256,
                created,
                content_type: has_content_type.then(|| content_type.into()),
            },
        })
    }
}

/// The key of a blob.
pub(crate) fn blob_key(bucket: &Bucket, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + bucket.as_str().len() + name.len());
    key.push(kind::BLOB);
    key.extend_from_slice(bucket.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(name.as_bytes());
    key
}

/// What the keys of all blobs begin with.
pub(crate) const BLOBS: [u8; 1] = [kind::BLOB];

/// The bucket and the name in a key; `None` if it is none of a blob.
pub(crate) fn parse_blob_key(key: &[u8]) -> Option<(Bucket, ByteString)> {
    let rest = key.strip_prefix(&BLOBS)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (bucket, name) = rest.split_at(end);
    let bucket = Bucket::new(std::str::from_utf8(bucket).ok()?).ok()?;
    let name = std::str::from_utf8(name.get(1..)?).ok()?;
    Some((bucket, name.into()))
}

/// The key of a content's owner.
pub(crate) fn owner_key(content: ContentId) -> [u8; 17] {
    let mut key = [kind::OWNER; 17];
    let (_, id) = key.split_at_mut(1);
    id.copy_from_slice(content.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_read_back(
            content: [u8; 16], size: u64, created: u64, sha256: [u8; 32],
            content_type in proptest::option::of(".{0,30}"), name in "[^\0]{1,30}",
        ) {
            let bucket = Bucket::new("a.b").unwrap();
            let record = BlobRecord {
                content: ContentId::from_bytes(content),
                info: BlobInfo {
                    name: name.into(),
                    size,
                    sha256,
                    created: Timestamp::from_millis(created),
                    content_type: content_type.map(ByteString::from),
                },
            };
            let (read_bucket, read_name) = parse_blob_key(&blob_key(&bucket, &record.info.name)).unwrap();
            prop_assert_eq!(&read_bucket, &bucket);
            prop_assert_eq!(BlobRecord::decode(read_name, &record.encode()), Some(record));
        }

        #[test]
        fn what_is_damaged_is_refused_or_read_but_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = BlobRecord::decode("a".into(), &bytes);
            let _ = parse_blob_key(&bytes);
        }
    }

    #[test]
    fn keys_of_other_kinds_are_none_of_blobs() {
        let owner = owner_key(ContentId::from_bytes([0; 16]));
        assert_eq!(parse_blob_key(&owner), None);
        assert_eq!(parse_blob_key(&[kind::BLOB, b'a']), None);
    }
}

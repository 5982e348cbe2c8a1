//! What is known of a blob, as it is stored.

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use switchboard_engine::blobs::BlobInfo;
use switchboard_engine::keys::Entry;
use switchboard_engine::{EngineError, Result, Timestamp};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// What its parts are called.
    pub(super) id: String,
    pub(super) size: u64,
    /// Bytes in each part but the last.
    pub(super) part_bytes: u64,
    sha256: String,
    /// In ms since 1970.
    created: u64,
    content_type: Option<String>,
}

impl Meta {
    pub(super) fn new(
        id: String,
        size: u64,
        part_bytes: u64,
        sha256: &[u8],
        created: Timestamp,
        content_type: Option<&ByteString>,
    ) -> Self {
        Self {
            id,
            size,
            part_bytes,
            sha256: const_hex::encode(sha256),
            created: created.as_millis(),
            content_type: content_type.map(ToString::to_string),
        }
    }

    /// # Errors
    /// Damaged.
    pub(super) fn of(entry: &Entry) -> Result<Self> {
        serde_json::from_slice(&entry.value)
            .ok()
            .filter(|meta: &Self| {
                meta.part_bytes > 0 && const_hex::decode_to_array::<_, 32>(&meta.sha256).is_ok()
            })
            .ok_or_else(|| {
                EngineError::Damaged(format!("what is known of a blob, in message {}", entry.revision))
            })
    }

    pub(super) fn bytes(&self) -> Bytes {
        // Its fields are texts and numbers.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn sha256(&self) -> [u8; 32] {
        const_hex::decode_to_array(&self.sha256).unwrap_or_default()
    }

    pub(super) fn info(&self, name: ByteString) -> BlobInfo {
        BlobInfo {
            name,
            size: self.size,
            sha256: self.sha256(),
            created: Timestamp::from_millis(self.created),
            content_type: self.content_type.as_deref().map(Into::into),
        }
    }
}

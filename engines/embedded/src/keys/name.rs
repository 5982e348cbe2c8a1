//! What a slot is found by.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use super::slot::Slot;

/// A key of a bucket, with its hash: it is computed once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) bucket: u32,
    pub(crate) key: &'a [u8],
    pub(crate) hash: u64,
}

impl<'a> Name<'a> {
    #[inline]
    pub(crate) fn new(bucket: u32, key: &'a [u8]) -> Self {
        Self {
            bucket,
            key,
            hash: hash(bucket, key),
        }
    }

    pub(crate) fn of(slot: &'a Slot) -> Self {
        Self::new(slot.bucket(), slot.key())
    }
}

/// Seeded anew in each process, so that nobody can choose keys that collide.
static HASHER: LazyLock<foldhash::quality::RandomState> =
    LazyLock::new(foldhash::quality::RandomState::default);

fn hash(bucket: u32, key: &[u8]) -> u64 {
    let mut hasher = HASHER.build_hasher();
    hasher.write_u32(bucket);
    hasher.write(key);
    hasher.finish()
}

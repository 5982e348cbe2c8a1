//! How a record looks in the store: a key with its space's byte before it, a value with its checksum after it.
//!
//! A stored value is what was given, followed by 8 bytes: XXH3 (64 bits, little-endian) over the space's byte, the
//! key and the value. So a value that comes back under another key is damage too.

use std::ops::Bound;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3Default;

use super::{Space, StoreError, StoreResult};

/// What a record costs beside its key and value.
pub(super) const CHECKSUM_BYTES: usize = 8;

/// The checksum of a record; `key` with its space's byte before it.
pub(super) fn checksum(full_key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = Xxh3Default::new();
    hasher.update(full_key);
    hasher.update(value);
    hasher.digest().to_le_bytes()
}

/// The value out of what is stored, if its checksum is right.
pub(super) fn checked<'a>(full_key: &[u8], stored: &'a [u8]) -> StoreResult<&'a [u8]> {
    let right = stored
        .split_last_chunk::<CHECKSUM_BYTES>()
        .filter(|(value, sum)| checksum(full_key, value) == **sum);
    match right {
        Some((value, _)) => Ok(value),
        None => Err(wrong(full_key)),
    }
}

/// As [`checked`], for what is shared.
pub(super) fn checked_bytes(full_key: &[u8], stored: Bytes) -> StoreResult<Bytes> {
    let length = checked(full_key, &stored)?.len();
    Ok(stored.slice(..length))
}

fn wrong(full_key: &[u8]) -> StoreError {
    let (space, key) = full_key
        .split_first()
        .map_or((None, full_key), |(space, key)| (Some(*space), key));
    let space = Space::ALL
        .into_iter()
        .find(|known| Some(*known as u8) == space)
        .map_or_else(|| "an unknown space".to_owned(), |space| space.to_string());
    StoreError::Damaged(format!(
        "the record {} of {space} is not what was written",
        key.escape_ascii()
    ))
}

/// A key with its space's byte before it.
pub(super) fn full_key(space: Space, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(key.len() + 1);
    full.push(space as u8);
    full.extend_from_slice(key);
    full
}

/// A range of keys within a space, as a range of the whole store.
pub(super) fn full_bounds(
    space: Space,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = match from {
        Bound::Unbounded => Bound::Included(vec![space as u8]),
        bound => bound.map(|key| full_key(space, key)),
    };
    let to = match to {
        Bound::Unbounded => Bound::Excluded(vec![space as u8 + 1]),
        bound => bound.map(|key| full_key(space, key)),
    };
    (from, to)
}

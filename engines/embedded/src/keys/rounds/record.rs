//! How the log stands in the store.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::{APART, GONE, ROUNDS_KEY, Seen};
use crate::store::{Batch, Space, Store, StoreError, StoreResult};

/// Notes which rounds there are.
pub(super) fn put_numbers(batch: &mut Batch, first: u64, next: u64) {
    let numbers = [first.to_le_bytes(), next.to_le_bytes()].concat();
    batch.put(Space::Engine, ROUNDS_KEY, &numbers);
}

/// Which rounds there are: the first, and the one after the last.
pub(super) fn read_numbers(store: &dyn Store) -> StoreResult<(u64, u64)> {
    let Some(value) = store.get(Space::Engine, ROUNDS_KEY)? else {
        return Ok((0, 0));
    };
    match value.as_chunks::<8>() {
        ([first, next], []) if u64::from_le_bytes(*first) <= u64::from_le_bytes(*next) => {
            Ok((u64::from_le_bytes(*first), u64::from_le_bytes(*next)))
        }
        _ => Err(StoreError::Damaged(
            "the numbers of the log of rounds make no sense".to_owned(),
        )),
    }
}

/// What a round has.
pub(super) fn read_round(store: &dyn Store, number: u64) -> StoreResult<Bytes> {
    let round = store.get(Space::Rounds, &number.to_be_bytes())?;
    round.ok_or_else(|| StoreError::Damaged(format!("round {number} of the log of keys is missing")))
}

/// Writes the records of those keys of a round that have none of a later one.
pub(super) fn fold_round(round: &[u8], seen: &mut Seen, batch: &mut Batch) -> StoreResult<()> {
    let mut rest = round;
    while !rest.is_empty() {
        let change = Change::read(&mut rest)
            .ok_or_else(|| StoreError::Damaged("a round of the log of keys makes no sense".to_owned()))?;
        if !seen.insert(xxh3_128(change.key)) {
            continue;
        }
        match change.value {
            Logged::Value(value) => batch.put(Space::Keys, change.key, value),
            Logged::Gone => batch.delete(Space::Keys, change.key),
            Logged::Apart => {}
        }
    }
    Ok(())
}

/// A change of a round.
struct Change<'a> {
    key: &'a [u8],
    value: Logged<'a>,
}

/// What a key has since then.
enum Logged<'a> {
    Value(&'a [u8]),
    Gone,
    Apart,
}

impl<'a> Change<'a> {
    /// Takes one off the beginning.
    fn read(bytes: &mut &'a [u8]) -> Option<Self> {
        let (key_bytes, rest) = bytes.split_first_chunk::<4>()?;
        let (value_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_bytes) as usize)?;
        let (value, rest) = match u32::from_le_bytes(*value_bytes) {
            GONE => (Logged::Gone, rest),
            APART => (Logged::Apart, rest),
            value_bytes => {
                let (value, rest) = rest.split_at_checked(value_bytes as usize)?;
                (Logged::Value(value), rest)
            }
        };
        *bytes = rest;
        Some(Self { key, value })
    }
}

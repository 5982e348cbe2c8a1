//! How keys look in the store.
//!
//! | space | key | value |
//! | --- | --- | --- |
//! | keys | bucket, 0, key | revision:u64 created:u56 kind:u8 expires:u64, then the value; `expires` 0 for never |
//! | structures | generation:u64 sequence:u64 (big-endian) | a piece of a structure |
//! | rounds | number:u64 (big-endian) | changes of keys that are no records yet: see [`rounds`](super::rounds) |
//! | expiries | moment:u64 (big-endian), bucket, 0, key | nothing |
//! | buckets | bucket | keys:u64 revision:u64, the last one in the store |
//!
//! Integers are little-endian but for those whose order counts. Names of buckets have no byte 0. The value of a
//! structure is its encoding; if the highest bit of its kind is set, it has parts in the space of structures, and the
//! value tells which: generation:u64 end:u64 snapshot bytes:u64 all bytes:u64, and where the snapshot stands apart nine
//! numbers more (see [`home`](super::home)).

use bytes::Bytes;
use switchboard_engine::keys::{Entry, Revision};
use switchboard_engine::{Key, Kind, Timestamp};

use super::home::{self, Home, Parts, Script};
use super::name::Name;
use super::rounds::{self, RoundLog};
use super::slot::{Content, Slot, Value};
use crate::store::{Batch, Space, StoreError, StoreResult, View};

/// What stands before the value of a key, in bytes.
const HEAD_BYTES: usize = 24;

/// So many bits tell when a key came to be, in milliseconds: more than two million years. The kind is above them.
const CREATED_BITS: u32 = 56;
const CREATED_MASK: u64 = (1 << CREATED_BITS) - 1;

/// The bit of the kind which says that a structure has parts.
const HAS_PARTS: u8 = 0x80;

/// A key under its bucket.
pub(crate) fn key_of(bucket: &str, key: &[u8]) -> Vec<u8> {
    [bucket.as_bytes(), &[0], key].concat()
}

/// The bucket and the key out of [`key_of`].
pub(crate) fn parts_of(stored_key: &[u8]) -> StoreResult<(&str, &[u8])> {
    let middle = stored_key.iter().position(|byte| *byte == 0);
    let parts = middle.and_then(|middle| {
        let (bucket, rest) = stored_key.split_at_checked(middle)?;
        Some((std::str::from_utf8(bucket).ok()?, rest.get(1..)?))
    });
    parts
        .ok_or_else(|| StoreError::Damaged(format!("the record {} has no bucket", stored_key.escape_ascii())))
}

fn moment_key(bytes: &mut Vec<u8>, moment: Timestamp, bucket: &str, key: &[u8]) {
    bytes.extend_from_slice(&moment.as_millis().to_be_bytes());
    bytes.extend_from_slice(bucket.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key);
}

/// The moment, the bucket and the key out of a key in the space of expiries.
pub(crate) fn expiry_parts(stored_key: &[u8]) -> StoreResult<(Timestamp, &str, &[u8])> {
    let Some((moment, rest)) = stored_key.split_first_chunk::<8>() else {
        return Err(StoreError::Damaged("an expiry without a moment".to_owned()));
    };
    let (bucket, key) = parts_of(rest)?;
    Ok((Timestamp::from_millis(u64::from_be_bytes(*moment)), bucket, key))
}

/// Writes what a key has, or that it has nothing any more, to the log or as a record. A structure is written as its
/// script says.
pub(crate) fn put_slot(
    batch: &mut Batch,
    log: &mut RoundLog,
    bucket: &str,
    slot: &Slot,
    script: Option<&Script>,
) {
    let key = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(bucket.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(slot.key());
    };
    if !slot.has_value() {
        match log.takes(key, 0) {
            true => log.add(key, |_| Some(rounds::GONE)),
            false => batch.delete_with(Space::Keys, key),
        }
        return;
    }
    let parts = script.and_then(|script| script.parts);
    let encoded = parts.map(Parts::encode);
    let value = match (&encoded, script) {
        (Some(encoded), _) => &encoded[..],
        (None, Some(script)) => &script.bytes,
        (None, None) => slot.value(),
    };
    let kind = slot.kind().number() | parts.map_or(0, |_| HAS_PARTS);
    let put_value = |bytes: &mut Vec<u8>| {
        let expires = slot.expires().map_or(0, Timestamp::as_millis);
        bytes.extend_from_slice(&slot.revision().0.to_le_bytes());
        let created = slot.created().as_millis() & CREATED_MASK | u64::from(kind) << CREATED_BITS;
        bytes.extend_from_slice(&created.to_le_bytes());
        bytes.extend_from_slice(&expires.to_le_bytes());
        bytes.extend_from_slice(value);
    };
    if log.takes(key, value.len()) {
        log.add(key, |bytes| {
            put_value(bytes);
            None
        });
    } else {
        batch.put_with(Space::Keys, key, put_value);
    }
}

/// Writes when a key expires.
pub(crate) fn put_expiry(batch: &mut Batch, moment: Timestamp, bucket: &str, key: &[u8]) {
    batch.put_with(
        Space::Expiries,
        |bytes| moment_key(bytes, moment, bucket, key),
        |_| {},
    );
}

/// Takes away when a key expires.
pub(crate) fn delete_expiry(batch: &mut Batch, moment: Timestamp, bucket: &str, key: &[u8]) {
    batch.delete_with(Space::Expiries, |bytes| moment_key(bytes, moment, bucket, key));
}

/// What a key has, out of the value of its record. A structure with parts has no value in it.
pub(crate) fn entry_of(value: &Bytes) -> StoreResult<(Entry, Option<Parts>)> {
    let Some((head, rest)) = value.split_first_chunk::<HEAD_BYTES>() else {
        return Err(StoreError::Damaged("the record of a key is too short".to_owned()));
    };
    let number = |at: usize| {
        let bytes = head.get(at..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let expires = number(16);
    let number_of_kind = (number(8) >> CREATED_BITS) as u8;
    let kind = Kind::of_number(number_of_kind & !HAS_PARTS);
    let kind =
        kind.ok_or_else(|| StoreError::Damaged("the record of a key has an unknown kind".to_owned()))?;
    let parts = match number_of_kind & HAS_PARTS {
        0 => None,
        _ => Some(Parts::decode(rest)?),
    };
    let entry = Entry {
        value: parts.map_or_else(|| value.slice(HEAD_BYTES..), |_| Bytes::new()),
        kind,
        revision: Revision(number(0)),
        created: Timestamp::from_millis(number(8) & CREATED_MASK),
        expires: (expires != 0).then(|| Timestamp::from_millis(expires)),
    };
    Ok((entry, parts))
}

/// The value that a reader gets, if there are parts: a structure's encoding.
pub(crate) fn value_of(view: &dyn View, entry: &Entry, parts: Parts) -> StoreResult<Bytes> {
    Ok(parts.read(view, entry.kind)?.encode().into())
}

/// Whether the record of a key says that its structure has parts.
pub(crate) fn has_parts(value: &[u8]) -> bool {
    const KIND_PLACE: usize = 15;
    value.get(KIND_PLACE).is_some_and(|kind| kind & HAS_PARTS != 0)
}

/// A slot of what the store has. Parts are read from `view`, which must be the one that the record is from.
pub(crate) fn slot_of(name: &Name<'_>, value: Option<&Bytes>, view: Option<&dyn View>) -> StoreResult<Slot> {
    let Some(value) = value else {
        return Ok(Slot::new(name, Revision(0), 0, None));
    };
    let (entry, parts) = entry_of(value)?;
    let (created, expires) = (entry.created, entry.expires);
    let slot = |value| {
        let content = Content {
            value,
            created,
            expires,
        };
        Slot::new(name, entry.revision, 0, Some(content))
    };
    if entry.kind == Kind::Plain {
        return Ok(slot(Value::Plain(&entry.value)));
    }
    let structure = match (parts, view) {
        (Some(parts), Some(view)) => parts.read(view, entry.kind)?,
        (Some(_), None) => return Err(StoreError::Damaged("its parts cannot be read".to_owned())),
        (None, _) => home::decode(entry.kind, &entry.value)?,
    };
    let bytes = structure.bytes();
    let home = Home::new(structure, parts);
    Ok(slot(Value::Structure {
        home: home.borrow_arc(),
        kind: entry.kind,
        bytes,
        unwritten: 0,
    }))
}

/// What the store knows of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StoredBucket {
    /// How many keys it has.
    pub(crate) keys: u64,
    /// The last revision that is in the store.
    pub(crate) revision: u64,
}

/// Writes what is known of a bucket; a bucket without keys is not.
pub(crate) fn put_bucket(batch: &mut Batch, bucket: &str, stored: StoredBucket) {
    if stored.keys == 0 {
        batch.delete(Space::Buckets, bucket.as_bytes());
        return;
    }
    let value = [stored.keys.to_le_bytes(), stored.revision.to_le_bytes()].concat();
    batch.put(Space::Buckets, bucket.as_bytes(), &value);
}

/// What is known of a bucket, out of the value of its record.
pub(crate) fn bucket_of(value: &[u8]) -> StoreResult<StoredBucket> {
    match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(keys), Some(revision)) if value.len() == 16 => Ok(StoredBucket {
            keys: u64::from_le_bytes(*keys),
            revision: u64::from_le_bytes(*revision),
        }),
        _ => Err(StoreError::Damaged(
            "the record of a bucket has a wrong length".to_owned(),
        )),
    }
}

/// The key that follows all keys of a bucket.
pub(crate) fn end_of(bucket: &str) -> Vec<u8> {
    [bucket.as_bytes(), &[1]].concat()
}

/// A key for a reader, out of what the store has.
pub(crate) fn to_key(key: &[u8]) -> StoreResult<Key> {
    Key::new(Bytes::copy_from_slice(key)).map_err(|error| StoreError::Damaged(error.to_string()))
}

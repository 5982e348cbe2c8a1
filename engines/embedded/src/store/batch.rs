//! Changes that are applied as one step.

use super::Space;
use super::record::{CHECKSUM_BYTES, checksum};

/// Changes that are applied as one step, in their order: of several to one key the last one counts.
///
/// One buffer holds them all, so that a batch that is filled again and again allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// One change: where its key (with its space's byte) and its stored value are in the buffer.
#[derive(Debug, Clone, Copy)]
struct Change {
    key: usize,
    value: usize,
    end: usize,
    deletes: bool,
}

/// A buffer over this size, in bytes, is given back when its batch is cleared: a burst is not paid for ever after.
const BUFFER_KEPT: usize = 4 * 1024 * 1024;

impl Batch {
    /// Sets the value of a key.
    pub(crate) fn put(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.put_with(
            space,
            |bytes| bytes.extend_from_slice(key),
            |bytes| {
                bytes.extend_from_slice(value);
            },
        );
    }

    /// As [`Self::put`], with what writes key and value to the end of a buffer.
    pub(crate) fn put_with(
        &mut self,
        space: Space,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let begin = self.begin(space, key);
        let middle = self.bytes.len();
        value(&mut self.bytes);
        self.bytes.reserve(CHECKSUM_BYTES);
        let (full_key, value) = self.bytes.split_at(middle);
        let sum = checksum(full_key.get(begin..).unwrap_or_default(), value);
        self.bytes.extend_from_slice(&sum);
        self.end(begin, middle, false);
    }

    /// Takes a key away, if it is there.
    pub(crate) fn delete(&mut self, space: Space, key: &[u8]) {
        self.delete_with(space, |bytes| bytes.extend_from_slice(key));
    }

    /// As [`Self::delete`], with what writes the key to the end of a buffer.
    pub(crate) fn delete_with(&mut self, space: Space, key: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.begin(space, key);
        let middle = self.bytes.len();
        self.end(begin, middle, true);
    }

    fn begin(&mut self, space: Space, key: impl FnOnce(&mut Vec<u8>)) -> usize {
        let begin = self.bytes.len();
        self.bytes.push(space as u8);
        key(&mut self.bytes);
        begin
    }

    fn end(&mut self, key: usize, value: usize, deletes: bool) {
        self.changes.push(Change {
            key,
            value,
            end: self.bytes.len(),
            deletes,
        });
    }

    /// How many changes there are.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Forgets all changes.
    pub(crate) fn clear(&mut self) {
        self.changes.clear();
        self.bytes.clear();
        if self.bytes.capacity() > BUFFER_KEPT {
            *self = Self::default();
        }
    }

    /// The changes, in order: keys with their space's byte before them, values with their checksum after them; `None`
    /// takes the key away.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let slice = |from, to| self.bytes.get(from..to).unwrap_or_default();
        self.changes.iter().map(move |change| {
            let value = (!change.deletes).then(|| slice(change.value, change.end));
            (slice(change.key, change.value), value)
        })
    }
}

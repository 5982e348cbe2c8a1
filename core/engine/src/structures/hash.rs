//! Values by field.

use indexmap::IndexMap;

use super::less_room;
use super::log::{LENGTH_BYTES, Log, LogReader, damaged};
use crate::Result;

const SET: u8 = 1;
const REMOVE: u8 = 2;

/// What a field costs beside its bytes and those of its value.
const FIELD_COST_BYTES: usize = 64;

/// What a field takes in an encoding beside its bytes, at most: what the change is, two lengths.
const CHANGE_BYTES: usize = 1 + 2 * LENGTH_BYTES;

type Fields = IndexMap<Box<[u8]>, Box<[u8]>, foldhash::fast::RandomState>;

/// Values by field. The fields have places, from 0 to one less than there are: a new one gets the last, and when one is
/// removed the last takes its place.
#[derive(Debug, Clone, Default)]
pub struct Hash {
    fields: Fields,
    bytes: usize,
    log: Log,
}

impl Hash {
    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.fields.get(field).map(|value| &**value)
    }

    /// Whether there is such a field.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.fields.contains_key(field)
    }

    /// The field at a place, with its value.
    pub fn at(&self, place: usize) -> Option<(&[u8], &[u8])> {
        self.fields
            .get_index(place)
            .map(|(field, value)| (&**field, &**value))
    }

    /// All fields with their values, by their places.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator {
        self.fields.iter().map(|(field, value)| (&**field, &**value))
    }

    /// Sets a field. Tells whether it is new.
    pub fn insert(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.log.change(SET).bytes(field).bytes(value);
        self.set(field, value)
    }

    /// Takes a field away. Tells whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let was_there = self.unset(field);
        if was_there {
            self.log.change(REMOVE).bytes(field);
        }
        was_there
    }

    fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.bytes += value.len();
        if let Some(known) = self.fields.get_mut(field) {
            self.bytes -= known.len();
            *known = value.into();
            return false;
        }
        self.bytes += field.len() + FIELD_COST_BYTES;
        self.fields.insert(field.into(), value.into());
        true
    }

    fn unset(&mut self, field: &[u8]) -> bool {
        let Some(value) = self.fields.swap_remove(field) else {
            return false;
        };
        self.bytes -= field.len() + value.len() + FIELD_COST_BYTES;
        if let Some(room) = less_room(self.len(), self.fields.capacity()) {
            self.fields.shrink_to(room);
        }
        true
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.bytes - self.len() * (FIELD_COST_BYTES - CHANGE_BYTES)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut log = Log::with_capacity(self.encoded_bytes());
        for (field, value) in self.iter() {
            log.change(SET).bytes(field).bytes(value);
        }
        log.take()
    }

    pub(super) fn replay(&mut self, log: &[u8]) -> Result<()> {
        let mut log = LogReader::new(log);
        while let Some(what) = log.change() {
            match what {
                SET => {
                    let field = log.bytes()?;
                    self.set(field, log.bytes()?);
                }
                REMOVE if self.unset(log.bytes()?) => {}
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }
}

impl PartialEq for Hash {
    /// Whether they have the same fields, with the same values.
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

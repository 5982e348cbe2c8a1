//! What was changed, as bytes.
//!
//! A log is a row of changes: one byte that says what (each structure has its own numbers), then its fields. A field of
//! bytes is its length (LEB128) and itself; a number is LEB128; a score is its 8 bytes, little-endian.

use crate::{EngineError, Result};

/// Most bytes of the length of a field, as long as that is under 2 MiB; two more suffice for any.
pub(super) const LENGTH_BYTES: usize = 3;

/// Changes, in the order in which they were made.
#[derive(Debug, Clone, Default)]
pub struct Log {
    bytes: Vec<u8>,
}

impl Log {
    /// An empty one, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes it, leaving an empty one.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Begins a change.
    pub(super) fn change(&mut self, what: u8) -> &mut Self {
        self.bytes.push(what);
        self
    }

    /// Adds a field of bytes.
    pub(super) fn bytes(&mut self, field: &[u8]) -> &mut Self {
        self.number(field.len());
        self.bytes.extend_from_slice(field);
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: usize) -> &mut Self {
        let mut rest = number as u64;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
        self
    }

    /// Adds a score.
    pub(super) fn score(&mut self, score: f64) -> &mut Self {
        self.bytes.extend_from_slice(&score.to_le_bytes());
        self
    }
}

/// Reads a log.
#[derive(Debug)]
pub(super) struct LogReader<'a> {
    rest: &'a [u8],
}

impl<'a> LogReader<'a> {
    pub(super) fn new(log: &'a [u8]) -> Self {
        Self { rest: log }
    }

    /// What the next change is; `None` at the end.
    pub(super) fn change(&mut self) -> Option<u8> {
        let (what, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*what)
    }

    /// A field of bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.number()?;
        let (field, rest) = self.rest.split_at_checked(length).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(field)
    }

    /// A number.
    pub(super) fn number(&mut self) -> Result<usize> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(damaged)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).map_err(|_| damaged());
            }
        }
        Err(damaged())
    }

    /// A score.
    pub(super) fn score(&mut self) -> Result<f64> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(damaged)?;
        self.rest = rest;
        let score = f64::from_le_bytes(*bytes);
        if score.is_nan() {
            return Err(damaged());
        }
        Ok(score)
    }
}

/// A log that is none.
pub(super) fn damaged() -> EngineError {
    EngineError::Damaged("what was changed in a structure is not written as it should be".to_owned())
}

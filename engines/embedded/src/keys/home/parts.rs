//! The parts of a structure in the store.

use switchboard_engine::Kind;
use switchboard_engine::structures::Structure;

use super::decode;
use crate::store::{Batch, Space, StoreError, StoreResult, View, with_prefix};

/// Most bytes in a part.
const PART_BYTES_MAX: usize = 1024 * 1024;

/// What a part costs beside its bytes, about.
const PART_COST_BYTES: u64 = 64;

/// The number of a row of parts; never given twice, and never 0.
pub(crate) type Generation = u64;

/// Parts of one generation, without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(super) generation: Generation,
    /// The sequence number of the first, and the one after the last.
    pub(super) first: u64,
    pub(super) end: u64,
    /// How many bytes they have.
    pub(super) bytes: u64,
}

/// The parts of a structure in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The snapshot, if it has a row of its own. If not, `log` begins with it.
    pub(super) snapshot: Option<Row>,
    /// What was changed since the snapshot.
    pub(super) log: Row,
    /// How many bytes the snapshot has.
    pub(super) snapshot_bytes: u64,
    /// The next snapshot, as far as it is written.
    pub(super) next: Option<Next>,
}

/// A snapshot that is being written, piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Next {
    pub(super) row: Row,
    /// From which part on the log is about what was changed since it began, and how many bytes are before that.
    pub(super) log_first: u64,
    pub(super) log_bytes: u64,
}

impl Row {
    pub(super) fn new(generation: Generation) -> Self {
        Self {
            generation,
            first: 0,
            end: 0,
            bytes: 0,
        }
    }

    /// With more behind it.
    pub(super) fn and(self, more: &[u8]) -> Self {
        Self {
            end: self.end + more.len().div_ceil(PART_BYTES_MAX) as u64,
            bytes: self.bytes + more.len() as u64,
            ..self
        }
    }

    /// Writes what comes behind it.
    pub(super) fn put(self, more: &[u8], batch: &mut Batch) {
        for (sequence, piece) in (self.end..).zip(more.chunks(PART_BYTES_MAX)) {
            batch.put(Space::Structures, &part_key(self.generation, sequence), piece);
        }
    }

    /// Takes its parts away.
    pub(super) fn delete(self, batch: &mut Batch) {
        for sequence in self.first..self.end {
            batch.delete(Space::Structures, &part_key(self.generation, sequence));
        }
    }

    /// What they take, about.
    fn cost(self) -> u64 {
        self.bytes + (self.end - self.first) * PART_COST_BYTES
    }

    /// # Errors
    /// Damaged, if one is, or is missing, or is too many.
    fn read(self, view: &dyn View, kind: Kind, log: &mut Vec<u8>) -> StoreResult<()> {
        let begin = log.len();
        let mut sequence = self.first;
        for record in with_prefix(view, Space::Structures, &self.generation.to_be_bytes()) {
            let (key, piece) = record?;
            if *key != part_key(self.generation, sequence) {
                return Err(StoreError::Damaged(format!(
                    "part {sequence} of a {kind} is missing"
                )));
            }
            log.extend_from_slice(&piece);
            sequence += 1;
        }
        let bytes = log.len() - begin;
        if (sequence, bytes as u64) != (self.end, self.bytes) {
            return Err(StoreError::Damaged(format!(
                "a {kind} has parts up to {sequence} of {bytes} bytes where those up to {} of {} were written",
                self.end, self.bytes
            )));
        }
        Ok(())
    }
}

impl Parts {
    /// A snapshot, and nothing since.
    pub(super) fn new(snapshot: Row) -> Self {
        Self {
            snapshot: None,
            log: snapshot,
            snapshot_bytes: snapshot.bytes,
            next: None,
        }
    }

    /// What a reader reads, about, in bytes: all of it, and what is not of the snapshot.
    pub(super) fn costs(self) -> (u64, u64) {
        let all = self.log.cost() + self.snapshot.map_or(0, Row::cost);
        (all, all - self.snapshot_bytes)
    }

    #[cfg(test)]
    pub(crate) fn is_unfinished(self) -> bool {
        self.next.is_some()
    }

    /// A snapshot takes the place of the one before, and of what was changed until it began. Tells the parts of that.
    pub(super) fn replace_snapshot(&mut self, next: Next) -> Row {
        let gone = Row {
            end: next.log_first,
            bytes: next.log_bytes,
            ..self.log
        };
        self.log.first = next.log_first;
        self.log.bytes -= next.log_bytes;
        self.snapshot = Some(next.row);
        self.snapshot_bytes = next.row.bytes;
        self.next = None;
        gone
    }

    pub(super) fn rows(self) -> impl Iterator<Item = Row> {
        let next = self.next.map(|next| next.row);
        self.snapshot.into_iter().chain([self.log]).chain(next)
    }

    /// Takes them away.
    pub(crate) fn delete(self, batch: &mut Batch) {
        self.rows().for_each(|row| row.delete(batch));
    }

    /// Reads them: the structure.
    ///
    /// # Errors
    /// Damaged, if one is, or is missing, or is too many.
    pub(crate) fn read(self, view: &dyn View, kind: Kind) -> StoreResult<Structure> {
        let mut log = Vec::new();
        for row in self.snapshot.into_iter().chain([self.log]) {
            row.read(view, kind, &mut log)?;
        }
        decode(kind, &log)
    }

    /// How they stand in the record of their key.
    pub(crate) fn encode(self) -> Vec<u8> {
        let log = self.log;
        let mut numbers = vec![log.generation, log.end, self.snapshot_bytes, log.bytes];
        if log.first > 0 || self.snapshot.is_some() || self.next.is_some() {
            let snapshot = self.snapshot.unwrap_or(Row::new(0));
            let next = self.next.unwrap_or(Next {
                row: Row::new(0),
                log_first: 0,
                log_bytes: 0,
            });
            numbers.extend([log.first, snapshot.generation, snapshot.end, snapshot.bytes]);
            numbers.extend([next.row.generation, next.row.end, next.row.bytes]);
            numbers.extend([next.log_first, next.log_bytes]);
        }
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Out of what [`Self::encode`] made.
    ///
    /// # Errors
    /// Damaged, when the numbers make no sense.
    pub(crate) fn decode(encoded: &[u8]) -> StoreResult<Self> {
        let (numbers, rest) = encoded.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let row = |generation: &u64, end: &u64, bytes: &u64| Row {
            end: *end,
            bytes: *bytes,
            ..Row::new(*generation)
        };
        let parts = match (&numbers[..], rest) {
            ([generation, end, snapshot_bytes, bytes], []) => Some(Self {
                snapshot_bytes: *snapshot_bytes,
                ..Self::new(row(generation, end, bytes))
            }),
            (
                [
                    generation,
                    end,
                    snapshot_bytes,
                    bytes,
                    first,
                    snapshot_generation,
                    snapshot_end,
                    snapshot_row_bytes,
                    next_generation,
                    next_end,
                    next_bytes,
                    log_first,
                    log_bytes,
                ],
                [],
            ) => Some(Self {
                snapshot: (*snapshot_generation > 0)
                    .then(|| row(snapshot_generation, snapshot_end, snapshot_row_bytes)),
                log: Row {
                    first: *first,
                    ..row(generation, end, bytes)
                },
                snapshot_bytes: *snapshot_bytes,
                next: (*next_generation > 0).then(|| Next {
                    row: row(next_generation, next_end, next_bytes),
                    log_first: *log_first,
                    log_bytes: *log_bytes,
                }),
            }),
            _ => None,
        };
        let parts = parts.filter(Self::make_sense);
        parts.ok_or_else(|| StoreError::Damaged("the record of a key names no parts".to_owned()))
    }

    fn make_sense(&self) -> bool {
        let log = self.log;
        let all = log.bytes.saturating_add(self.snapshot.map_or(0, |row| row.bytes));
        let is_in_log =
            |next: Next| (log.first..=log.end).contains(&next.log_first) && next.log_bytes <= log.bytes;
        log.first <= log.end && self.snapshot_bytes <= all && self.next.is_none_or(is_in_log)
    }
}

/// The generation of a key in the space of structures.
pub(crate) fn generation_of(part_key: &[u8]) -> Option<Generation> {
    part_key
        .first_chunk::<8>()
        .map(|generation| u64::from_be_bytes(*generation))
}

fn part_key(generation: Generation, sequence: u64) -> [u8; 16] {
    (u128::from(generation) << 64 | u128::from(sequence)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Row = Row {
        generation: 7,
        first: 3,
        end: 9,
        bytes: 1_000,
    };

    fn apart() -> Parts {
        Parts {
            snapshot: Some(Row::new(8).and(&[0; 2_000])),
            log: LOG,
            snapshot_bytes: 2_000,
            next: Some(Next {
                row: Row::new(9).and(&[0; 10]),
                log_first: 5,
                log_bytes: 400,
            }),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let whole = Parts::new(Row::new(1).and(&[0; PART_BYTES_MAX + 1]));
        let replaced = {
            let mut parts = apart();
            let gone = parts.replace_snapshot(apart().next.expect("it is there"));
            assert_eq!((gone.first, gone.end, gone.bytes), (3, 5, 400));
            parts
        };
        for (parts, length) in [(whole, 32), (apart(), 104), (replaced, 104)] {
            let encoded = parts.encode();
            assert_eq!(encoded.len(), length);
            assert_eq!(Parts::decode(&encoded), Ok(parts));
            for shorter in 0..length {
                let decoded = Parts::decode(&encoded[..shorter]);
                assert!(decoded.is_err() || shorter == 32, "{shorter} bytes: {decoded:?}");
            }
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_damage() {
        let senseless: [fn(&mut Parts); 5] = [
            |parts| parts.log.first = parts.log.end + 1,
            |parts| parts.snapshot_bytes = 3_001,
            |parts| parts.next.iter_mut().for_each(|next| next.log_first = 2),
            |parts| parts.next.iter_mut().for_each(|next| next.log_first = 10),
            |parts| parts.next.iter_mut().for_each(|next| next.log_bytes = 1_001),
        ];
        for change in senseless {
            let mut parts = apart();
            change(&mut parts);
            assert!(Parts::decode(&parts.encode()).is_err(), "{parts:?}");
        }
    }
}

//! Structures in memory, and how they look in the store.
//!
//! All slots of a key share its structure: a change in place publishes a new slot over the same [`Home`]. A structure is
//! looked at and changed under the lock of its key's lane only, so that its own lock never makes anybody wait.
//!
//! A small structure stands in the record of its key. A larger one has parts in a space of their own: under
//! `generation:u64 sequence:u64` (big-endian) there is a piece of the log that makes it, first the snapshot, then what
//! was changed since, round by round; the sequence runs from 0 without a gap. When there is more of the latter than of
//! the former, and most of it is about what is no more, a new snapshot is written under a new generation and the old
//! parts are taken away: so what a change costs to write does not grow with its structure, a structure that only grows
//! is written once, and no more is read than a few times what there is or was.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{ArcMutexGuard, Mutex, RawMutex};
use switchboard_engine::Kind;
use switchboard_engine::structures::Structure;
use triomphe::Arc;

use crate::store::{Batch, Space, StoreError, StoreResult, View, with_prefix};

/// Structures that take at most so many bytes of memory stand in the records of their keys, written whole each time:
/// a record more would cost as much.
const WHOLE_BYTES_MAX: usize = 2 * 1024;

/// A structure goes back into its record when it takes at most so many bytes, so that none goes to and fro.
const WHOLE_AGAIN_BYTES_MAX: usize = 1024;

/// Most bytes in a part.
const PART_BYTES_MAX: usize = 1024 * 1024;

/// What a part costs beside its bytes, about.
const PART_COST_BYTES: u64 = 64;

/// So many bytes of changes are kept before there is a new snapshot, however small the last one was.
const CHANGES_BYTES_MIN: u64 = 16 * 1024;

/// The parts have at most so many times the bytes of what there is, or twice those of the last snapshot: so what is
/// written anew is at most two thirds of what was changed since.
const PARTS_TO_WHOLE_MAX: u64 = 3;

/// A snapshot of a structure of more bytes is not made while all lanes are locked.
const QUICK_BYTES_MAX: usize = 64 * 1024;

/// The number of a set of parts; never given twice.
pub(crate) type Generation = u64;

/// A guard of a structure, for a cell.
pub(crate) type StructureGuard = ArcMutexGuard<RawMutex, Structure>;

/// A structure in memory, with what the store has of it.
pub(crate) struct Home {
    structure: std::sync::Arc<Mutex<Structure>>,
    /// How many bytes of memory it takes, as it was last counted.
    counted: AtomicUsize,
    /// Its parts in the store, once the last round that was begun is there; none, if it stands in the record.
    parts: Mutex<Option<Parts>>,
}

/// The parts of a structure in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) generation: Generation,
    /// How many there are.
    pub(crate) count: u64,
    /// How many bytes of them are the snapshot.
    pub(crate) snapshot_bytes: u64,
    /// How many bytes all of them have.
    pub(crate) bytes: u64,
}

/// What a round writes of a structure.
#[derive(Debug)]
pub(crate) struct Script {
    /// The parts that there will be; none, if `bytes` stand in the record.
    pub(crate) parts: Option<Parts>,
    /// The sequence number of the first part that is written.
    first: u64,
    /// What is written, all of it together.
    pub(crate) bytes: Vec<u8>,
    /// The parts that are taken away.
    outdated: Option<Parts>,
}

impl Home {
    pub(crate) fn new(structure: Structure, parts: Option<Parts>) -> Arc<Self> {
        Arc::new(Self {
            structure: std::sync::Arc::new(Mutex::new(structure)),
            counted: AtomicUsize::new(0),
            parts: Mutex::new(parts),
        })
    }

    /// Counts how many bytes of memory it takes, when a slot with it is made, under the lock of the lane.
    pub(crate) fn count(&self, bytes: usize) {
        self.counted.store(bytes, Ordering::Relaxed);
    }

    /// What was counted last.
    pub(crate) fn counted(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }

    /// The structure, under the lock of the lane.
    pub(crate) fn lock(&self) -> StructureGuard {
        self.structure.lock_arc()
    }

    /// The whole, under the lock of the lane.
    pub(crate) fn encode(&self) -> Bytes {
        self.structure.lock().encode().into()
    }

    /// Its parts in the store.
    pub(crate) fn parts(&self) -> Option<Parts> {
        *self.parts.lock()
    }

    /// Whether to take its script takes long, so that other lanes should not be locked meanwhile.
    pub(crate) fn is_long(&self) -> bool {
        let structure = self.structure.lock();
        structure.bytes() > QUICK_BYTES_MAX && self.needs_snapshot(&structure)
    }

    fn needs_snapshot(&self, structure: &Structure) -> bool {
        self.parts().is_none_or(|parts| {
            let all = parts.bytes + parts.count * PART_COST_BYTES + structure.log().len() as u64;
            let changes = all - parts.snapshot_bytes;
            changes > parts.snapshot_bytes.max(CHANGES_BYTES_MIN)
                && all > PARTS_TO_WHOLE_MAX * structure.encoded_bytes() as u64
        })
    }

    /// Takes what is to be written, under the lock of the lane.
    pub(crate) fn take_script(&self, next_generation: impl FnOnce() -> Generation) -> Script {
        let mut structure = self.structure.lock();
        let before = self.parts();
        let whole_max = before.map_or(WHOLE_BYTES_MAX, |_| WHOLE_AGAIN_BYTES_MAX);
        let script = if structure.bytes() <= whole_max {
            structure.take_log();
            Script {
                parts: None,
                first: 0,
                bytes: structure.encode(),
                outdated: before,
            }
        } else if self.needs_snapshot(&structure) {
            structure.take_log();
            let bytes = structure.encode();
            let parts = Parts {
                generation: next_generation(),
                count: count_of(&bytes),
                snapshot_bytes: bytes.len() as u64,
                bytes: bytes.len() as u64,
            };
            Script {
                parts: Some(parts),
                first: 0,
                bytes,
                outdated: before,
            }
        } else {
            let bytes = structure.take_log();
            Script {
                parts: before.map(|before| Parts {
                    count: before.count + count_of(&bytes),
                    bytes: before.bytes + bytes.len() as u64,
                    ..before
                }),
                first: before.map_or(0, |before| before.count),
                bytes,
                outdated: None,
            }
        };
        *self.parts.lock() = script.parts;
        script
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Script {
    /// Writes the parts, and takes away those that there were.
    pub(crate) fn put_parts(&self, batch: &mut Batch) {
        if let Some(outdated) = self.outdated {
            outdated.delete(batch);
        }
        if let Some(parts) = self.parts {
            let pieces = self.bytes.chunks(PART_BYTES_MAX);
            for (sequence, piece) in (self.first..).zip(pieces) {
                batch.put(Space::Structures, &part_key(parts.generation, sequence), piece);
            }
        }
    }
}

impl Parts {
    /// Takes them away.
    pub(crate) fn delete(self, batch: &mut Batch) {
        for sequence in 0..self.count {
            batch.delete(Space::Structures, &part_key(self.generation, sequence));
        }
    }

    /// Reads them: the structure.
    ///
    /// # Errors
    /// Damaged, if one is, or is missing, or is too many.
    pub(crate) fn read(self, view: &dyn View, kind: Kind) -> StoreResult<Structure> {
        let mut log = Vec::with_capacity(
            usize::try_from(self.bytes)
                .unwrap_or_default()
                .min(PART_BYTES_MAX),
        );
        let mut count = 0;
        for record in with_prefix(view, Space::Structures, &self.generation.to_be_bytes()) {
            let (key, piece) = record?;
            if *key != part_key(self.generation, count) {
                return Err(StoreError::Damaged(format!(
                    "part {count} of a {kind} is missing"
                )));
            }
            log.extend_from_slice(&piece);
            count += 1;
        }
        if (count, log.len() as u64) != (self.count, self.bytes) {
            return Err(StoreError::Damaged(format!(
                "a {kind} has {count} parts of {} bytes where {} of {} were written",
                log.len(),
                self.count,
                self.bytes
            )));
        }
        decode(kind, &log)
    }

    /// How it stands in the record of its key.
    pub(crate) fn encode(self) -> [u8; 32] {
        let numbers = [self.generation, self.count, self.snapshot_bytes, self.bytes];
        let mut encoded = [0; 32];
        for (place, number) in encoded.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        encoded
    }

    /// Out of what [`Self::encode`] made.
    pub(crate) fn decode(encoded: &[u8]) -> StoreResult<Self> {
        let (numbers, rest) = encoded.as_chunks::<8>();
        match (numbers, rest) {
            ([generation, count, snapshot_bytes, bytes], [])
                if u64::from_le_bytes(*snapshot_bytes) <= u64::from_le_bytes(*bytes) =>
            {
                Ok(Self {
                    generation: u64::from_le_bytes(*generation),
                    count: u64::from_le_bytes(*count),
                    snapshot_bytes: u64::from_le_bytes(*snapshot_bytes),
                    bytes: u64::from_le_bytes(*bytes),
                })
            }
            _ => Err(StoreError::Damaged(
                "the record of a key names no parts".to_owned(),
            )),
        }
    }
}

/// A structure out of what the store has of it.
pub(crate) fn decode(kind: Kind, log: &[u8]) -> StoreResult<Structure> {
    match Structure::decode(kind, log) {
        Ok(structure) if !structure.is_empty() => Ok(structure),
        Ok(_) => Err(StoreError::Damaged(format!("a {kind} has nothing"))),
        Err(error) => Err(StoreError::Damaged(error.to_string())),
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

fn count_of(bytes: &[u8]) -> u64 {
    bytes.len().div_ceil(PART_BYTES_MAX) as u64
}

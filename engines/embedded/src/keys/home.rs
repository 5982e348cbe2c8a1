//! Structures in memory, and how they look in the store.
//!
//! All slots of a key share its structure: a change in place publishes a new slot over the same [`Home`]. A structure is
//! looked at and changed under the lock of its key's lane only, so that its own lock never makes anybody wait.
//!
//! A small structure stands in the record of its key. A larger one has parts in a space of their own: under
//! `generation:u64 sequence:u64` (big-endian) there is a piece of the log that makes it, first the snapshot, then what
//! was changed since, round by round; the sequence runs without a gap. When there is more of the latter than of the
//! former, and most of it is about what is no more, there is a new snapshot, and the parts before it are taken away: so
//! what a change costs to write does not grow with its structure, a structure that only grows is written once, and no
//! more is read than a few times what there is or was.
//!
//! A snapshot has a generation of its own. That of a long list is written over many rounds, each with some of it, while
//! the list goes on changing and its changes are written as before; what the record names is whole all the time. When
//! the snapshot is, the record names it, and those changes that came after its beginning.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{ArcMutexGuard, Mutex, RawMutex};
use switchboard_engine::Kind;
use switchboard_engine::structures::Structure;
use triomphe::Arc;

use crate::store::{Batch, StoreError, StoreResult};

mod parts;

pub(crate) use parts::{Generation, Parts, generation_of};
use parts::{Next, Row};

/// Structures that take at most so many bytes of memory stand in the records of their keys, written whole each time:
/// a record more would cost as much.
const IN_RECORD_BYTES_MAX: usize = 2 * 1024;

/// A structure goes back into its record when it takes at most so many bytes, so that none goes to and fro.
const IN_RECORD_AGAIN_BYTES_MAX: usize = 1024;

/// So many bytes of changes are kept before there is a new snapshot, however small the last one was.
const CHANGES_BYTES_MIN: u64 = 16 * 1024;

/// The parts have at most so many times the bytes of what there is, or twice those of the last snapshot: so what is
/// written anew is at most two thirds of what was changed since.
const PARTS_TO_WHOLE_MAX: u64 = 3;

/// A snapshot of a structure of more bytes is not made while all lanes are locked; and comes in pieces, if it can.
const QUICK_BYTES_MAX: usize = 64 * 1024;

/// A round writes so many bytes of a snapshot in pieces, or twice as many as of changes: so that it comes to an end. It
/// takes about a hundred microseconds.
const PIECE_BYTES_MIN: usize = 256 * 1024;

/// A guard of a structure, for a cell.
pub(crate) type StructureGuard = ArcMutexGuard<RawMutex, Structure>;

/// A structure in memory, with what the store has of it.
pub(crate) struct Home {
    structure: std::sync::Arc<Mutex<Structure>>,
    /// How many bytes of memory it takes, as it was last counted.
    counted: AtomicUsize,
    /// Whether a snapshot in pieces was begun since it is in memory.
    has_begun: AtomicBool,
    /// Its parts in the store, once the last round that was begun is there; none, if it stands in the record.
    parts: Mutex<Option<Parts>>,
}

/// What a round writes of a structure.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The parts that there will be; none, if `bytes` stand in the record.
    pub(crate) parts: Option<Parts>,
    /// What stands in the record.
    pub(crate) bytes: Vec<u8>,
    /// What is written behind a row.
    more: Vec<(Row, Vec<u8>)>,
    /// The parts that are taken away.
    outdated: Vec<Row>,
}

/// How a round writes a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In the record of its key.
    InRecord,
    /// As a snapshot.
    Whole,
    /// What was changed, after these.
    Changes(Parts),
    /// The same, and the first piece of a snapshot.
    BeginSnapshot(Parts),
    /// The same, and another piece of it.
    GoOn(Parts, Next),
}

impl Home {
    pub(crate) fn new(structure: Structure, parts: Option<Parts>) -> Arc<Self> {
        Arc::new(Self {
            structure: std::sync::Arc::new(Mutex::new(structure)),
            counted: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
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
        structure.bytes() > QUICK_BYTES_MAX && self.way(&structure) == Way::Whole
    }

    fn way(&self, structure: &Structure) -> Way {
        let before = self.parts();
        let in_record_max = before.map_or(IN_RECORD_BYTES_MAX, |_| IN_RECORD_AGAIN_BYTES_MAX);
        let has_begun = self.has_begun.load(Ordering::Relaxed);
        match before {
            _ if structure.bytes() <= in_record_max => Way::InRecord,
            None => Way::Whole,
            Some(parts) => match parts.next {
                Some(next) if structure.is_in_pieces() => Way::GoOn(parts, next),
                // It was changed in the midst, and may be again.
                Some(_) if has_begun => Way::Whole,
                // It came from the store amid a snapshot.
                Some(_) => Way::BeginSnapshot(parts),
                None if !needs_snapshot(structure, parts) => Way::Changes(parts),
                None if structure.bytes() > QUICK_BYTES_MAX && structure.comes_in_pieces() => {
                    Way::BeginSnapshot(parts)
                }
                None => Way::Whole,
            },
        }
    }

    /// Takes what is to be written, under the lock of the lane.
    pub(crate) fn take_script(&self, mut next_generation: impl FnMut() -> Generation) -> Script {
        let mut structure = self.structure.lock();
        let way = self.way(&structure);
        let log = structure.take_log();
        let before = self.parts();
        let outdated = || before.into_iter().flat_map(Parts::rows).collect();
        let script = match way {
            Way::InRecord => Script {
                bytes: structure.encode(),
                outdated: outdated(),
                ..Script::default()
            },
            Way::Whole => {
                let (row, bytes) = (Row::new(next_generation()), structure.encode());
                Script {
                    parts: Some(Parts::new(row.and(&bytes))),
                    more: vec![(row, bytes)],
                    outdated: outdated(),
                    ..Script::default()
                }
            }
            Way::Changes(parts) => Script::of_changes(parts, log),
            Way::BeginSnapshot(parts) => {
                structure.begin_pieces();
                self.has_begun.store(true, Ordering::Relaxed);
                let piece = structure.next_piece(piece_bytes(&log)).unwrap_or_default();
                Script::of_changes(parts, log).beginning(Row::new(next_generation()), piece)
            }
            Way::GoOn(parts, next) => {
                let piece = structure.next_piece(piece_bytes(&log)).unwrap_or_default();
                Script::of_changes(parts, log).going_on(next, piece)
            }
        };
        *self.parts.lock() = script.parts;
        script
    }
}

/// Whether there should be a new snapshot.
fn needs_snapshot(structure: &Structure, parts: Parts) -> bool {
    let (all, changes) = parts.costs();
    let more = structure.log().len() as u64;
    changes + more > parts.snapshot_bytes.max(CHANGES_BYTES_MIN)
        && all + more > PARTS_TO_WHOLE_MAX * structure.encoded_bytes() as u64
}

fn piece_bytes(log: &[u8]) -> usize {
    PIECE_BYTES_MIN.max(2 * log.len())
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Script {
    fn of_changes(parts: Parts, log: Vec<u8>) -> Self {
        Self {
            parts: Some(Parts {
                log: parts.log.and(&log),
                ..parts
            }),
            more: vec![(parts.log, log)],
            ..Self::default()
        }
    }

    /// With the first piece of a snapshot. That of another one which was not finished is given up.
    fn beginning(mut self, row: Row, piece: Vec<u8>) -> Self {
        if let Some(parts) = &mut self.parts {
            self.outdated.extend(parts.next.map(|given_up| given_up.row));
            parts.next = Some(Next {
                row: row.and(&piece),
                log_first: parts.log.end,
                log_bytes: parts.log.bytes,
            });
            self.more.push((row, piece));
        }
        self
    }

    /// With another piece of a snapshot; an empty one ends it.
    fn going_on(mut self, next: Next, piece: Vec<u8>) -> Self {
        if let Some(parts) = &mut self.parts {
            if piece.is_empty() {
                self.outdated.extend(parts.snapshot);
                self.outdated.push(parts.replace_snapshot(next));
            } else {
                parts.next = Some(Next {
                    row: next.row.and(&piece),
                    ..next
                });
                self.more.push((next.row, piece));
            }
        }
        self
    }

    /// Writes the parts, and takes away those that there were.
    pub(crate) fn put_parts(&self, batch: &mut Batch) {
        self.outdated.iter().for_each(|row| row.delete(batch));
        for (row, more) in &self.more {
            row.put(more, batch);
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

//! What a key can have beside plain bytes: a hash, a list, a set, a sorted set.
//!
//! They live in memory, change in place, and keep a [`Log`] of their changes: an engine that writes down a log instead
//! of the whole pays for what was changed only. A whole structure is written as the log that makes it out of nothing,
//! so there is one format for both (see [`log`]).
//!
//! | type | what it is | what is quick |
//! | --- | --- | --- |
//! | [`Hash`](struct@Hash) | values by field | a field; any by its place |
//! | [`List`] | values in order | both ends; any by its place |
//! | [`Set`] | members | a member; any by its place |
//! | [`SortedSet`] | members in the order of their scores | a member; its rank; ranges by rank, score and name |
//!
//! **Bounds**: none of their own; [`Structure::bytes`] tells what one takes, for those who set them.

use std::fmt;

use crate::{EngineError, Result};

mod hash;
mod list;
pub mod log;
mod set;
mod sorted_set;

pub use hash::Hash;
pub use list::List;
pub use log::Log;
pub use set::Set;
pub use sorted_set::SortedSet;

/// Room for fewer elements is not given back.
const ROOM_MIN: usize = 64;

/// How many elements there is to be room for, if there is room for far too many.
fn less_room(len: usize, room: usize) -> Option<usize> {
    (room > ROOM_MIN && len < room / 8).then_some(len * 2)
}

/// What kind of value a key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Kind {
    /// Bytes.
    #[default]
    Plain,
    /// A [`Hash`](struct@Hash).
    Hash,
    /// A [`List`].
    List,
    /// A [`Set`].
    Set,
    /// A [`SortedSet`].
    SortedSet,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Hash, Self::List, Self::Set, Self::SortedSet];

    /// Its number in what is stored: it never changes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Hash => 1,
            Self::List => 2,
            Self::Set => 3,
            Self::SortedSet => 4,
        }
    }

    /// The kind of that number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain value",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted set",
        })
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub enum Structure {
    /// Values by field.
    Hash(Hash),
    /// Values in order.
    List(List),
    /// Members.
    Set(Set),
    /// Members in the order of their scores.
    SortedSet(SortedSet),
}

impl Structure {
    /// An empty one; `None` for plain values.
    pub fn new(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Plain => return None,
            Kind::Hash => Self::Hash(Hash::default()),
            Kind::List => Self::List(List::default()),
            Kind::Set => Self::Set(Set::default()),
            Kind::SortedSet => Self::SortedSet(SortedSet::default()),
        })
    }

    /// Which it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hash(_) => Kind::Hash,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::SortedSet(_) => Kind::SortedSet,
        }
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Hash(hash) => hash.len(),
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Hash(hash) => hash.bytes(),
            Self::List(list) => list.bytes(),
            Self::Set(set) => set.bytes(),
            Self::SortedSet(set) => set.bytes(),
        }
    }

    /// About how many bytes [`Self::encode`] makes; not fewer than those, unless fields of 2 MiB and more are among them.
    pub fn encoded_bytes(&self) -> usize {
        match self {
            Self::Hash(hash) => hash.encoded_bytes(),
            Self::List(list) => list.encoded_bytes(),
            Self::Set(set) => set.encoded_bytes(),
            Self::SortedSet(set) => set.encoded_bytes(),
        }
    }

    /// What was changed since the log was last taken, or since it was made or decoded.
    pub fn log(&self) -> &Log {
        match self {
            Self::Hash(hash) => hash.log(),
            Self::List(list) => list.log(),
            Self::Set(set) => set.log(),
            Self::SortedSet(set) => set.log(),
        }
    }

    /// Takes what was changed since it was last taken.
    pub fn take_log(&mut self) -> Vec<u8> {
        match self {
            Self::Hash(hash) => hash.log_mut().take(),
            Self::List(list) => list.log_mut().take(),
            Self::Set(set) => set.log_mut().take(),
            Self::SortedSet(set) => set.log_mut().take(),
        }
    }

    /// The whole, as the log that makes it.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hash(hash) => hash.encode(),
            Self::List(list) => list.encode(),
            Self::Set(set) => set.encode(),
            Self::SortedSet(set) => set.encode(),
        }
    }

    /// Whether it can be encoded piece by piece while it changes: lists can.
    pub fn comes_in_pieces(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Begins to encode it piece by piece, as it is now, if it [can be](Self::comes_in_pieces).
    pub fn begin_pieces(&mut self) {
        if let Self::List(list) = self {
            list.begin_pieces();
        }
    }

    /// Whether there is a [next piece](Self::next_piece).
    pub fn is_in_pieces(&self) -> bool {
        matches!(self, Self::List(list) if list.is_in_pieces())
    }

    /// The next piece of what it was when that was [begun](Self::begin_pieces), of about so many bytes; an empty one
    /// at the end. All of them in their order, and then what was logged since, make it out of nothing. It may be changed
    /// between two pieces. `None` if nothing was begun, or it was changed in a way that makes the pieces useless: in
    /// the midst of a list.
    pub fn next_piece(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        match self {
            Self::List(list) => list.next_piece(bytes_max),
            Self::Hash(_) | Self::Set(_) | Self::SortedSet(_) => None,
        }
    }

    /// Out of what [`Self::encode`] made, with an empty log.
    ///
    /// # Errors
    /// [`EngineError::Damaged`], also for plain values.
    pub fn decode(kind: Kind, encoded: &[u8]) -> Result<Self> {
        let mut structure = Self::new(kind)
            .ok_or_else(|| EngineError::Damaged("a plain value is no structure".to_owned()))?;
        structure.replay(encoded)?;
        Ok(structure)
    }

    /// Does what a log says, which is not logged again.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] when it is no log of such a structure, or one of another state of it, as far as that
    /// can be told: it takes away what is not there. A part of it may have been done then.
    pub fn replay(&mut self, log: &[u8]) -> Result<()> {
        match self {
            Self::Hash(hash) => hash.replay(log),
            Self::List(list) => list.replay(log),
            Self::Set(set) => set.replay(log),
            Self::SortedSet(set) => set.replay(log),
        }
    }
}

#[cfg(test)]
mod tests;

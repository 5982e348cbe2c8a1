//! A map split by key, so that those who change one part hold up only those who read the same part.

use std::hash::{BuildHasher, Hash};

use bytestring::ByteString;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use parking_lot::RwLock;

/// Enough that two of a hundred threads rarely meet, few enough to walk through in no time. A power of two.
const SHARDS: usize = 64;

/// A sharded map from names to `T`. Reading takes one uncontended lock.
///
/// Preferred to an immutable map that is swapped as a whole: ten thousand sessions that come at once, each with a name
/// of its own, would copy that map ten thousand times; and who reads here goes on to change a counter beside the value
/// anyway, so that a read without any shared write is not to be had.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    hasher: RandomState,
    shards: Box<[RwLock<HashMap<ByteString, T>>]>,
}

impl<T> Shards<T> {
    pub(crate) fn new() -> Self {
        let hasher = RandomState::default();
        let shards = (0..SHARDS)
            .map(|_| RwLock::new(HashMap::with_hasher(RandomState::default())))
            .collect();
        Self { hasher, shards }
    }

    /// The part of the map in which the name stands, if it is there at all.
    pub(crate) fn of(&self, name: &str) -> &RwLock<HashMap<ByteString, T>> {
        let mut hasher = self.hasher.build_hasher();
        name.hash(&mut hasher);
        // The mask keeps the index below the number of shards.
        &self.shards[std::hash::Hasher::finish(&hasher) as usize & (SHARDS - 1)]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RwLock<HashMap<ByteString, T>>> {
        self.shards.iter()
    }
}

//! The dedupe ids of the last while.

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt};
use ring::digest;

use super::moment::NEVER;

/// Most dedupe ids that one queue remembers: 4 Mi, so that a queue takes 35,000 such pushes a second for the whole of
/// the window in about 300 MB. Beyond, a push with a dedupe id waits until older ones are forgotten.
pub(crate) const DEDUPES_MAX: usize = 4 * 1024 * 1024;

/// What stands for a dedupe id: the first 128 bits of its SHA-256, so that what is remembered is small, and nobody finds
/// two that look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DedupeHash(pub(crate) u128);

impl DedupeHash {
    pub(crate) fn of(dedupe: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, dedupe.as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u128::from_be_bytes(first))
    }
}

/// What is remembered of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The job of the first push.
    pub(crate) job: u64,
    /// The monotonic millisecond in which it is forgotten.
    pub(crate) until: u64,
}

/// The dedupe ids of one queue.
#[derive(Debug)]
pub(crate) struct Dedupes {
    known: HashMap<DedupeHash, Remembered>,
    /// By the ends of their windows.
    order: VecDeque<(u64, DedupeHash)>,
}

impl Dedupes {
    pub(crate) fn new() -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.known.len() >= DEDUPES_MAX
    }

    pub(crate) fn find(&self, hash: DedupeHash, now: u64) -> Option<Remembered> {
        self.known.get(&hash).copied().filter(|known| known.until > now)
    }

    /// Remembers one. Ends come in order, since all windows are of one length; at loading, the caller sorts.
    pub(crate) fn insert(&mut self, hash: DedupeHash, remembered: Remembered) {
        self.known.insert(hash, remembered);
        self.order.push_back((remembered.until, hash));
    }

    /// When the next one is forgotten.
    pub(crate) fn quiet_until(&self) -> u64 {
        self.order.front().map_or(NEVER, |(until, _)| *until)
    }

    /// Forgets one whose window is over.
    pub(crate) fn forget_one(&mut self, now: u64) -> Option<DedupeHash> {
        let (_, hash) = self.order.pop_front_if(|(until, _)| *until <= now)?;
        if self.known.get(&hash).is_some_and(|known| known.until <= now) {
            self.known.remove(&hash);
            return Some(hash);
        }
        None
    }
}

//! Members in the order of their scores.

use std::sync::Arc;

use indexmap::IndexMap;

use super::less_room;
use super::log::{LENGTH_BYTES, Log, LogReader, damaged};
use crate::Result;

mod order;

use order::Order;

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// What a member costs beside its bytes.
const MEMBER_COST_BYTES: usize = 96;

/// What a member takes in an encoding beside its bytes, at most: what the change is, its score, a length.
const CHANGE_BYTES: usize = 1 + size_of::<f64>() + LENGTH_BYTES;

/// Members in the order of their scores; those of one score in the order of their bytes.
#[derive(Debug, Clone, Default)]
pub struct SortedSet {
    scores: IndexMap<Arc<[u8]>, f64, foldhash::fast::RandomState>,
    order: Order,
    bytes: usize,
    log: Log,
}

impl SortedSet {
    /// How many members there are.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).copied()
    }

    /// How many members come before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        Some(self.order.rank(member, self.score(member)?))
    }

    /// The rank of the first member that does not satisfy the predicate, which all members before it must.
    pub fn partition_point(&self, predicate: impl FnMut(f64, &[u8]) -> bool) -> usize {
        self.order.partition_point(predicate)
    }

    /// The member of that rank.
    pub fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.range(rank, rank.saturating_add(1)).next()
    }

    /// A member at a place that has nothing to do with its rank, from 0 to one less than there are: a new one gets the
    /// last, and when one is removed the last takes its place.
    pub fn at_place(&self, place: usize) -> Option<(&[u8], f64)> {
        self.scores
            .get_index(place)
            .map(|(member, score)| (&**member, *score))
    }

    /// All members with their scores, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        self.range(0, self.len())
    }

    /// Those from a rank on to before another; fewer if there are fewer.
    pub fn range(&self, from: usize, to: usize) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        let to = to.min(self.len());
        self.order.range(from.min(to), to)
    }

    /// Gives a member a score. Tells the one that it had. What is not a number is no score, and changes nothing.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        if score.is_nan() {
            return self.score(member);
        }
        let before = self.put(member, score);
        if before != Some(score) {
            self.log.change(PUT).score(score).bytes(member);
        }
        before
    }

    /// Takes a member away. Tells its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.take(member)?;
        self.log.change(REMOVE).bytes(member);
        Some(score)
    }

    fn put(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let (before, member) = match self.scores.get_full_mut(member) {
            Some((_, _, known)) if *known == score => return Some(score),
            Some((_, name, known)) => {
                let (name, before) = (Arc::clone(name), std::mem::replace(known, score));
                self.order.remove(&name, before);
                (Some(before), name)
            }
            None => {
                let member: Arc<[u8]> = member.into();
                self.bytes += member.len() + MEMBER_COST_BYTES;
                self.scores.insert(Arc::clone(&member), score);
                (None, member)
            }
        };
        self.order.insert(member, score);
        before
    }

    fn take(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.scores.swap_remove(member)?;
        self.bytes -= member.len() + MEMBER_COST_BYTES;
        if let Some(room) = less_room(self.len(), self.scores.capacity()) {
            self.scores.shrink_to(room);
        }
        self.order.remove(member, score);
        Some(score)
    }

    #[cfg(test)]
    pub(super) fn part_lengths(&self) -> Vec<usize> {
        self.order.part_lengths()
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.bytes - self.len() * (MEMBER_COST_BYTES - CHANGE_BYTES)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut log = Log::with_capacity(self.encoded_bytes());
        // By their places, which are the same again when it is decoded: who goes through them need not begin anew.
        for (member, score) in &self.scores {
            log.change(PUT).score(*score).bytes(member);
        }
        log.take()
    }

    pub(super) fn replay(&mut self, log: &[u8]) -> Result<()> {
        let mut log = LogReader::new(log);
        while let Some(what) = log.change() {
            match what {
                PUT => {
                    let score = log.score()?;
                    self.put(log.bytes()?, score);
                }
                REMOVE if self.take(log.bytes()?).is_some() => {}
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }
}

impl PartialEq for SortedSet {
    /// Whether they have the same members with the same scores.
    fn eq(&self, other: &Self) -> bool {
        self.scores == other.scores
    }
}

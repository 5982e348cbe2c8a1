//! Members in the order of their scores.

use std::cmp::Ordering;
use std::sync::Arc;

use indexmap::IndexMap;

use super::log::{Log, LogReader, damaged};
use crate::Result;

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// What a member costs beside its bytes.
const MEMBER_COST_BYTES: usize = 96;

/// Most members in a part of the order: to put one in moves at most half as many, and a million members have a few
/// thousand parts to count through.
const PART_MEMBERS_MAX: usize = 512;

/// Members in the order of their scores; those of one score in the order of their bytes.
#[derive(Debug, Clone, Default)]
pub struct SortedSet {
    scores: IndexMap<Arc<[u8]>, f64, foldhash::fast::RandomState>,
    /// None of them is empty.
    parts: Vec<Vec<(f64, Arc<[u8]>)>>,
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
        let score = self.score(member)?;
        Some(self.partition_point(|other_score, other| order(other_score, other, score, member).is_lt()))
    }

    /// The rank of the first member that does not satisfy the predicate, which all members before it must.
    pub fn partition_point(&self, mut predicate: impl FnMut(f64, &[u8]) -> bool) -> usize {
        let part = self.parts.partition_point(|part| {
            part.last()
                .is_some_and(|(score, member)| predicate(*score, member))
        });
        let before: usize = self.parts.iter().take(part).map(Vec::len).sum();
        let within = self.parts.get(part).map_or(0, |part| {
            part.partition_point(|(score, member)| predicate(*score, member))
        });
        before + within
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
        self.parts
            .iter()
            .flatten()
            .map(|(score, member)| (&**member, *score))
    }

    /// Those from a rank on to before another; fewer if there are fewer.
    pub fn range(&self, from: usize, to: usize) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        let to = to.min(self.len());
        let from = from.min(to);
        let mut before = 0;
        let parts = self.parts.iter().filter_map(move |part| {
            let (start, end) = (before, before + part.len());
            before = end;
            let (from, to) = (from.max(start), to.min(end));
            (from < to).then(|| part.get(from - start..to - start)).flatten()
        });
        // Collected, as counting goes one way only; a range of a few members has one part or two.
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .flatten()
            .map(|(score, member)| (&**member, *score))
    }

    /// Gives a member a score, which must be a number. Tells the one that it had.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
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
                self.take_from_order(&name, before);
                (Some(before), name)
            }
            None => {
                let member: Arc<[u8]> = member.into();
                self.bytes += member.len() + MEMBER_COST_BYTES;
                self.scores.insert(Arc::clone(&member), score);
                (None, member)
            }
        };
        self.put_in_order(member, score);
        before
    }

    fn take(&mut self, member: &[u8]) -> Option<f64> {
        let score = self.scores.swap_remove(member)?;
        self.bytes -= member.len() + MEMBER_COST_BYTES;
        self.take_from_order(member, score);
        Some(score)
    }

    /// The part where a member is, or belongs.
    fn part_of(&self, member: &[u8], score: f64) -> usize {
        self.parts.partition_point(|part| {
            part.last()
                .is_some_and(|(last_score, last)| order(*last_score, last, score, member).is_lt())
        })
    }

    fn put_in_order(&mut self, member: Arc<[u8]>, score: f64) {
        if self.parts.is_empty() {
            self.parts.push(Vec::new());
        }
        let at = self.part_of(&member, score).min(self.parts.len() - 1);
        let Some(part) = self.parts.get_mut(at) else {
            return;
        };
        let within = part.partition_point(|(other, name)| order(*other, name, score, &member).is_lt());
        part.insert(within, (score, member));
        if part.len() > PART_MEMBERS_MAX {
            // What comes in order fills its parts.
            let is_end = within + 1 == part.len() && at + 1 == self.parts.len();
            let half = if is_end {
                PART_MEMBERS_MAX
            } else {
                PART_MEMBERS_MAX / 2
            };
            if let Some(part) = self.parts.get_mut(at) {
                let second = part.split_off(half);
                self.parts.insert(at + 1, second);
            }
        }
    }

    fn take_from_order(&mut self, member: &[u8], score: f64) {
        let at = self.part_of(member, score);
        let Some(part) = self.parts.get_mut(at) else {
            return;
        };
        let within = part.partition_point(|(other, name)| order(*other, name, score, member).is_lt());
        if within < part.len() {
            part.remove(within);
        }
        if part.is_empty() {
            self.parts.remove(at);
        }
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut log = Log::default();
        for (member, score) in self.iter() {
            log.change(PUT).score(score).bytes(member);
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
                REMOVE => {
                    self.take(log.bytes()?);
                }
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }
}

/// How one member stands to another. Scores are numbers, and 0 is -0.
fn order(score: f64, member: &[u8], other_score: f64, other: &[u8]) -> Ordering {
    score
        .partial_cmp(&other_score)
        .unwrap_or(Ordering::Equal)
        .then_with(|| member.cmp(other))
}

impl PartialEq for SortedSet {
    /// Whether they have the same members with the same scores.
    fn eq(&self, other: &Self) -> bool {
        self.scores == other.scores
    }
}

//! The order of a sorted set: its members in parts, so that none has to be moved for most of the others.

use std::cmp::Ordering;
use std::sync::Arc;

/// Most members in a part: to put one in moves at most as many, and a million members have a few thousand parts to
/// count through.
pub(super) const PART_MEMBERS_MAX: usize = 512;

/// A part with fewer is joined with one beside it, if both together have at most [`JOINED_MEMBERS_MAX`].
const PART_MEMBERS_MIN: usize = PART_MEMBERS_MAX / 4;

/// What was joined has room for more, so that it is not split again by the next.
const JOINED_MEMBERS_MAX: usize = PART_MEMBERS_MAX * 3 / 4;

type Part = Vec<(f64, Arc<[u8]>)>;

/// Members by their scores, and by their bytes where these are equal.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    /// None of them is empty.
    parts: Vec<Part>,
    len: usize,
}

impl Order {
    /// How many members come before this one, which has that score.
    pub(super) fn rank(&self, member: &[u8], score: f64) -> usize {
        self.partition_point(|other_score, other| order(other_score, other, score, member).is_lt())
    }

    /// How many satisfy the predicate, which all before the first that does not must.
    pub(super) fn partition_point(&self, mut predicate: impl FnMut(f64, &[u8]) -> bool) -> usize {
        let at = self.parts.partition_point(|part| {
            part.last()
                .is_some_and(|(score, member)| predicate(*score, member))
        });
        let within = self.parts.get(at).map_or(0, |part| {
            part.partition_point(|(score, member)| predicate(*score, member))
        });
        self.before(at) + within
    }

    /// Members from a rank on to before another; there are so many.
    pub(super) fn range(&self, from: usize, to: usize) -> impl DoubleEndedIterator<Item = (&[u8], f64)> {
        let (first, start) = self.part_at(from);
        let (last, end) = self.part_at(to);
        let parts = self.parts.get(first..=last).unwrap_or_default();
        let members = parts.iter().enumerate().flat_map(move |(number, part)| {
            let from = if number == 0 { start } else { 0 };
            let to = if first + number == last { end } else { part.len() };
            part.get(from..to).unwrap_or_default()
        });
        members.map(|(score, member)| (&**member, *score))
    }

    /// How many members the parts before that one have.
    fn before(&self, at: usize) -> usize {
        let (before, after) = self.parts.split_at_checked(at).unwrap_or((&self.parts, &[]));
        // Counted from the end that is nearer.
        if before.len() <= after.len() {
            before.iter().map(Vec::len).sum()
        } else {
            self.len - after.iter().map(Vec::len).sum::<usize>()
        }
    }

    /// The part where the member of that rank is, and its place there; the end of the last part if there are not so
    /// many.
    fn part_at(&self, rank: usize) -> (usize, usize) {
        if rank <= self.len / 2 {
            let mut before = 0;
            for (at, part) in self.parts.iter().enumerate() {
                if rank < before + part.len() {
                    return (at, rank - before);
                }
                before += part.len();
            }
        }
        let mut after = self.len;
        for (at, part) in self.parts.iter().enumerate().rev() {
            after -= part.len();
            if rank >= after {
                return (at, (rank - after).min(part.len()));
            }
        }
        (0, 0)
    }

    /// Puts a member in, that is not there.
    pub(super) fn insert(&mut self, member: Arc<[u8]>, score: f64) {
        let last = self.parts.len().saturating_sub(1);
        let mut at = self.part_of(&member, score).min(last);
        let Some(part) = self.parts.get_mut(at) else {
            self.parts.push(vec![(score, member)]);
            self.len += 1;
            return;
        };
        let mut within = place_of(part, &member, score);
        if part.len() >= PART_MEMBERS_MAX {
            // What comes in order, from either end, fills its parts.
            let split = match within {
                PART_MEMBERS_MAX if at == last => PART_MEMBERS_MAX,
                0 if at == 0 => 0,
                _ => PART_MEMBERS_MAX / 2,
            };
            let second = part.split_off(split);
            self.parts.insert(at + 1, second);
            if within > split || split == PART_MEMBERS_MAX {
                at += 1;
                within -= split;
            }
        }
        if let Some(part) = self.parts.get_mut(at) {
            part.insert(within, (score, member));
            self.len += 1;
        }
    }

    /// Takes a member out, that has that score.
    pub(super) fn remove(&mut self, member: &[u8], score: f64) {
        let at = self.part_of(member, score);
        let Some(part) = self.parts.get_mut(at) else {
            return;
        };
        let within = place_of(part, member, score);
        if within < part.len() {
            part.remove(within);
            self.len -= 1;
        }
        if part.is_empty() {
            self.parts.remove(at);
        } else if part.len() < PART_MEMBERS_MIN {
            self.join(at);
        }
    }

    /// Joins a part with the one before or after it, if they are small enough.
    fn join(&mut self, at: usize) {
        let together = |at: usize| {
            let (first, second) = (self.parts.get(at)?, self.parts.get(at + 1)?);
            (first.len() + second.len() <= JOINED_MEMBERS_MAX).then_some(at)
        };
        let Some(at) = at.checked_sub(1).and_then(together).or_else(|| together(at)) else {
            return;
        };
        let mut second = self.parts.remove(at + 1);
        if let Some(first) = self.parts.get_mut(at) {
            first.append(&mut second);
        }
    }

    /// The part where a member is, or belongs.
    fn part_of(&self, member: &[u8], score: f64) -> usize {
        self.parts.partition_point(|part| {
            part.last()
                .is_some_and(|(last_score, last)| order(*last_score, last, score, member).is_lt())
        })
    }

    #[cfg(test)]
    pub(super) fn part_lengths(&self) -> Vec<usize> {
        self.parts.iter().map(Vec::len).collect()
    }
}

fn place_of(part: &Part, member: &[u8], score: f64) -> usize {
    part.partition_point(|(other, name)| order(*other, name, score, member).is_lt())
}

/// How one member stands to another. Scores are numbers, and 0 is -0.
fn order(score: f64, member: &[u8], other_score: f64, other: &[u8]) -> Ordering {
    score
        .partial_cmp(&other_score)
        .unwrap_or(Ordering::Equal)
        .then_with(|| member.cmp(other))
}

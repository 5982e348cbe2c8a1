//! What several sets are combined from.

use smallvec::SmallVec;
use switchboard_hub::keys::structures::{Set, SortedSet};
use switchboard_hub::keys::{Cell, Cells, Key, Kind};

use crate::refusal::Refusal;

/// A sorted set, or a set, whose members have the score 1.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    None,
    Set(&'a Set),
    Sorted(&'a SortedSet),
}

/// Several, as they were named.
pub(super) type Sources<'a> = SmallVec<[Source<'a>; 8]>;

/// The score that a member of a set has.
const SCORE_IN_SET: f64 = 1.0;

impl<'a> Source<'a> {
    fn of(cell: &'a Cell<'_>) -> Result<Self, Refusal> {
        Ok(match cell.kind() {
            Some(Kind::Set) => cell.set()?.map_or(Self::None, Self::Set),
            _ => cell.sorted_set()?.map_or(Self::None, Self::Sorted),
        })
    }

    /// Those at keys.
    pub(super) fn all(cells: &'a mut Cells<'_>, keys: &[Key]) -> Result<Sources<'a>, Refusal> {
        for key in keys {
            Source::of(cells.cell(key)?)?;
        }
        let cells = &*cells;
        keys.iter()
            .map(|key| cells.known(key).map_or(Ok(Self::None), Self::of))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Set(set) => set.len(),
            Self::Sorted(set) => set.len(),
        }
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Set(set) => set.contains(member).then_some(SCORE_IN_SET),
            Self::Sorted(set) => set.score(member),
        }
    }

    /// Its members with their scores.
    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [u8], f64)> {
        let (set, sorted) = match self {
            Self::None => (None, None),
            Self::Set(set) => (Some(set), None),
            Self::Sorted(sorted) => (None, Some(sorted)),
        };
        let members = set.into_iter().flat_map(Set::iter);
        members
            .map(|member| (member, SCORE_IN_SET))
            .chain(sorted.into_iter().flat_map(SortedSet::iter))
    }
}

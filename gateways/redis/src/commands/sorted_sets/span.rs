//! Parts of a sorted set that have everything between two ends.

use std::ops::Range;

use switchboard_hub::keys::structures::SortedSet;

use crate::args::Args;
use crate::refusal::Refusal;

/// What the ends are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Name,
}

/// Everything between two ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Span<'a> {
    /// From one rank to another, that one too; counted from the end if negative.
    Ranks(i64, i64),
    /// From one cut to another.
    Cuts(Cut<'a>, Cut<'a>),
}

/// A place between two members, or before or after all.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut<'a> {
    Begin,
    End,
    /// Before or after those of a score.
    Score {
        score: f64,
        is_after: bool,
    },
    /// Before or after one of a name. All scores are the same; if not, it is somewhere.
    Name {
        name: &'a [u8],
        is_after: bool,
    },
}

impl<'a> Span<'a> {
    /// Between two arguments, of which one says the lower end and one the upper.
    ///
    /// # Errors
    /// When they are no ends.
    pub(super) fn read(args: &'a Args, by: By, lower: usize, upper: usize) -> Result<Self, Refusal> {
        let cut = |index, is_upper| match by {
            By::Name => Cut::of_name(args.at(index), is_upper)
                .ok_or(Refusal::new("ERR min or max not valid string range item")),
            _ => Cut::of_score(args.at(index), is_upper).ok_or(Refusal::new("ERR min or max is not a float")),
        };
        Ok(match by {
            By::Rank => Self::Ranks(args.integer(lower)?, args.integer(upper)?),
            By::Score | By::Name => Self::Cuts(cut(lower, false)?, cut(upper, true)?),
        })
    }

    /// The ranks that it has in a set. Backwards, ranks are counted from the greatest member.
    pub(super) fn ranks(&self, set: &SortedSet, is_backwards: bool) -> Range<usize> {
        let len = set.len();
        let (from, to) = match self {
            Self::Ranks(first, last) => {
                let from = rank(*first, len).min(len);
                let to = match rank(*last, len) {
                    0 if *last < 0 && last.unsigned_abs() > len as u64 => 0,
                    last => last.saturating_add(1).min(len),
                };
                if is_backwards {
                    (len - to, len - from)
                } else {
                    (from, to)
                }
            }
            Self::Cuts(lower, upper) => (lower.rank(set), upper.rank(set)),
        };
        from.min(to)..to
    }
}

/// A rank that may be counted from the end, as one from the begin; 0 if it is before that.
fn rank(rank: i64, len: usize) -> usize {
    let from_end = || len.saturating_sub(usize::try_from(rank.unsigned_abs()).unwrap_or(usize::MAX));
    usize::try_from(rank).unwrap_or_else(|_| from_end())
}

impl<'a> Cut<'a> {
    /// Out of `1.5`, `(1.5`, `-inf`: with a parenthesis, the score itself is outside.
    fn of_score(text: &[u8], is_upper: bool) -> Option<Self> {
        let (text, is_outside) = match text {
            [b'(', rest @ ..] => (rest, true),
            text => (text, false),
        };
        let score: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        (!score.is_nan()).then_some(Self::Score {
            score,
            is_after: is_upper != is_outside,
        })
    }

    /// Out of `-`, `+`, `[name`, `(name`: with a parenthesis, the name itself is outside.
    fn of_name(text: &'a [u8], is_upper: bool) -> Option<Self> {
        Some(match text {
            b"-" => Self::Begin,
            b"+" => Self::End,
            [mark @ (b'[' | b'('), name @ ..] => Self::Name {
                name,
                is_after: is_upper != (*mark == b'('),
            },
            _ => return None,
        })
    }

    /// How many members are before it.
    fn rank(&self, set: &SortedSet) -> usize {
        match *self {
            Self::Begin => 0,
            Self::End => set.len(),
            Self::Score { score, is_after } => {
                set.partition_point(|other, _| other < score || (is_after && other == score))
            }
            Self::Name { name, is_after } => {
                set.partition_point(|_, other| other < name || (is_after && other == name))
            }
        }
    }
}

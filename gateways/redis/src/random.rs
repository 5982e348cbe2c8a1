//! Random choices among elements that have places.

use foldhash::{HashSet, HashSetExt as _};

use crate::long;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// Most elements that are drawn when one may be drawn again: any number could be asked for, and all are answered at once.
const AGAIN_MAX: u64 = 1 << 20;

/// Most bytes that are answered then, for the same reason.
const AGAIN_BYTES_MAX: usize = 64 << 20;

/// How many elements are to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draw {
    /// So many different ones, or all.
    Distinct(usize),
    /// So many, each of which may be drawn again.
    Again(usize),
}

impl Draw {
    /// As `SRANDMEMBER`, `ZRANDMEMBER` and `HRANDFIELD` count: below 0, an element may be drawn again.
    ///
    /// # Errors
    /// When there would be too many.
    pub(crate) fn of(count: i64) -> Result<Self, Refusal> {
        match (usize::try_from(count), count.unsigned_abs()) {
            (Ok(count), _) => Ok(Self::Distinct(count)),
            (Err(_), count @ ..=AGAIN_MAX) => Ok(Self::Again(count as usize)),
            _ => Err(Refusal::OUT_OF_RANGE),
        }
    }

    /// Draws places below `len`, and answers what `say` says of each, after the head that `head` makes for so many.
    ///
    /// # Errors
    /// When the answer becomes too large.
    pub(crate) fn answer(
        self,
        len: usize,
        reply: &mut Reply,
        head: impl FnOnce(&mut Reply, usize),
        mut say: impl FnMut(&mut Reply, usize),
    ) -> Result<(), Refusal> {
        match self {
            Self::Distinct(count) => long::through(count.min(len), || {
                let places = places(len, count);
                head(reply, places.len());
                for place in places {
                    say(reply, place);
                }
                Ok(())
            }),
            Self::Again(count) => long::through(count, || {
                let count = if len == 0 { 0 } else { count };
                head(reply, count);
                let begin = reply.len();
                for _ in 0..count {
                    say(reply, fastrand::usize(..len));
                    if reply.len() - begin > AGAIN_BYTES_MAX {
                        return Err(Refusal::OUT_OF_RANGE);
                    }
                }
                Ok(())
            }),
        }
    }
}

/// Distinct places below `len`: as many as asked for, or all. Each choice is as likely as any other; nothing is said
/// about their order. The memory it takes is for what it chooses, not for what it chooses from.
pub(crate) fn places(len: usize, count: usize) -> Vec<usize> {
    if count >= len {
        return (0..len).collect();
    }
    // Floyd's way: each step may choose from one place more, and takes that one if what it drew was taken before.
    let mut chosen = HashSet::with_capacity(count);
    let mut places = Vec::with_capacity(count);
    for last in len - count..len {
        let drawn = fastrand::usize(..=last);
        let place = if chosen.insert(drawn) { drawn } else { last };
        chosen.insert(place);
        places.push(place);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_distinct_and_there() {
        for len in 0..20 {
            for count in 0..25 {
                let mut places = places(len, count);
                assert_eq!(places.len(), len.min(count));
                assert!(places.iter().all(|place| *place < len));
                places.sort_unstable();
                places.dedup();
                assert_eq!(places.len(), len.min(count), "{count} of {len}");
            }
        }
    }

    #[test]
    fn counts_are_bounded() {
        assert_eq!(Draw::of(i64::MAX), Ok(Draw::Distinct(i64::MAX as usize)));
        assert_eq!(Draw::of(-3), Ok(Draw::Again(3)));
        assert_eq!(Draw::of(-(1 << 20)), Ok(Draw::Again(1 << 20)));
        assert_eq!(Draw::of(-(1 << 20) - 1), Err(Refusal::OUT_OF_RANGE));
        assert_eq!(Draw::of(i64::MIN), Err(Refusal::OUT_OF_RANGE));
        let mut reply = Reply::default();
        let value = vec![0; 1 << 20];
        let outcome = Draw::Again(100).answer(1, &mut reply, Reply::array, |reply, _| reply.bulk(&value));
        assert_eq!(outcome, Err(Refusal::OUT_OF_RANGE));
    }

    #[test]
    fn every_place_has_its_turn() {
        fastrand::seed(7);
        let mut drawn = [0; 10];
        for _ in 0..10_000 {
            for place in places(10, 3) {
                drawn[place] += 1;
            }
        }
        // 3,000 each, give or take what is next to impossible.
        assert!(
            drawn.iter().all(|times| (2_700..3_300).contains(times)),
            "{drawn:?}"
        );
    }
}

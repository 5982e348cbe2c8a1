//! Random choices among elements that have places.

use foldhash::{HashSet, HashSetExt as _};

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

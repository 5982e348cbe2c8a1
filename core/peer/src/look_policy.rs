//! Whether it pays to look for more before sleeping. Pure: no socket, no clock.

use std::time::Duration;

/// A chance is passed over at least so often, at most, after misses: one that does not pay costs next to nothing.
const SKIPS_MAX: u32 = 1023;

/// So many hits in a row, and the misses before them are forgotten.
const HITS_TO_FORGIVE: u32 = 32;

/// So long may be looked, hit after hit, before the other tasks of the thread and the runtime's own look at all sockets
/// get their turn. Far longer than that turn takes, and far shorter than anybody would notice.
const TURN: Duration = Duration::from_micros(200);

/// What to do now that there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Wait to be woken.
    Sleep,
    /// Give the other tasks their turn, then look.
    GiveWay,
    /// Look, again and again, for so long as the limit is.
    Look,
}

/// Remembers how the last looks ended.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    /// Chances to pass over now.
    skips: u32,
    /// Chances passed over after the last miss.
    skipped: u32,
    /// Hits since the last miss.
    hits: u32,
    /// Time spent on looks since the others' last turn.
    looked: Duration,
}

impl Policy {
    /// Something is expected.
    pub(crate) fn decide(&mut self) -> Decision {
        if self.skips > 0 {
            self.skips -= 1;
            self.looked = Duration::ZERO;
            return Decision::Sleep;
        }
        if self.looked >= TURN {
            self.looked = Duration::ZERO;
            return Decision::GiveWay;
        }
        Decision::Look
    }

    /// A look for at most `limit` found something or not, and took so long. If that is far more, then the thread was not
    /// let run: other programs want the processor, and whom we wait for may need just this one.
    pub(crate) fn looked(&mut self, found: bool, took: Duration, limit: Duration) {
        let crowded = took > limit * 2;
        if found && !crowded {
            self.looked += took;
            self.hits += 1;
            if self.hits >= HITS_TO_FORGIVE {
                self.skipped = 0;
            }
            return;
        }
        self.hits = 0;
        self.looked = Duration::ZERO;
        self.skipped = if crowded {
            SKIPS_MAX
        } else {
            (self.skipped * 2 + 1).min(SKIPS_MAX)
        };
        self.skips = self.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);
    const QUICK: Duration = Duration::from_micros(5);

    /// How many chances are passed over until the next look.
    fn skips(policy: &mut Policy) -> u32 {
        let mut skips = 0;
        while policy.decide() == Decision::Sleep {
            skips += 1;
        }
        skips
    }

    #[test]
    fn misses_make_looks_ever_rarer_up_to_a_bound() {
        let mut policy = Policy::default();
        let mut seen = Vec::new();
        for _ in 0..12 {
            seen.push(skips(&mut policy));
            policy.looked(false, LIMIT, LIMIT);
        }
        assert_eq!(seen, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023]);
    }

    #[test]
    fn hits_go_on_at_once_but_only_many_make_up_for_misses() {
        let mut policy = Policy::default();
        for _ in 0..3 {
            policy.looked(false, LIMIT, LIMIT);
        }
        assert_eq!(skips(&mut policy), 7);
        for _ in 1..HITS_TO_FORGIVE {
            policy.looked(true, Duration::ZERO, LIMIT);
            assert_eq!(policy.decide(), Decision::Look);
        }
        policy.looked(false, LIMIT, LIMIT);
        assert_eq!(skips(&mut policy), 15);
        for _ in 0..HITS_TO_FORGIVE {
            policy.looked(true, Duration::ZERO, LIMIT);
        }
        policy.looked(false, LIMIT, LIMIT);
        assert_eq!(skips(&mut policy), 1);
    }

    #[test]
    fn a_thread_that_was_kept_from_running_stops_looking() {
        for found in [true, false] {
            let mut policy = Policy::default();
            policy.looked(found, LIMIT * 3, LIMIT);
            assert_eq!(skips(&mut policy), SKIPS_MAX, "{found}");
        }
    }

    #[test]
    fn others_get_their_turn_between_hits() {
        let mut policy = Policy::default();
        for _ in 0..2 {
            let mut looked = Duration::ZERO;
            while policy.decide() == Decision::Look {
                policy.looked(true, QUICK, LIMIT);
                looked += QUICK;
            }
            assert_eq!(looked, TURN);
        }
        assert_eq!(policy.decide(), Decision::Look);
    }
}

//! Those who wait for a job, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::moment::NEVER;

/// Most reservations that wait at one queue: as many as a daemon has connections, several times over.
pub(crate) const WAITING_MAX: usize = 65_536;

/// One who waits. `T` is what he is told by.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    /// Most jobs he takes.
    pub(crate) max: usize,
    /// For how long.
    pub(crate) lease: Duration,
    /// Under which token.
    pub(crate) token: u64,
    /// The monotonic millisecond in which he gives up.
    pub(crate) until: u64,
    /// What he is told by.
    pub(crate) tell: T,
}

/// Those who wait at one queue. As long as there is one, no job is ready: who is first gets it at once, and nobody else
/// is woken for it.
#[derive(Debug)]
pub(crate) struct Line<T> {
    waiters: BTreeMap<u64, Waiter<T>>,
    ends: BTreeSet<(u64, u64)>,
    last: u64,
}

impl<T> Line<T> {
    pub(crate) fn new() -> Self {
        Self {
            waiters: BTreeMap::new(),
            ends: BTreeSet::new(),
            last: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Joins at the end. The place is told, to leave by.
    pub(crate) fn join(&mut self, waiter: Waiter<T>) -> u64 {
        self.last += 1;
        self.ends.insert((waiter.until, self.last));
        self.waiters.insert(self.last, waiter);
        self.last
    }

    /// Leaves; `None` if he was served, or his time was over.
    pub(crate) fn leave(&mut self, place: u64) -> Option<Waiter<T>> {
        let waiter = self.waiters.remove(&place)?;
        self.ends.remove(&(waiter.until, place));
        Some(waiter)
    }

    /// The first of those who wait.
    pub(crate) fn serve(&mut self) -> Option<Waiter<T>> {
        let place = *self.waiters.first_key_value()?.0;
        self.leave(place)
    }

    /// One whose time is over.
    pub(crate) fn give_up(&mut self, now: u64) -> Option<Waiter<T>> {
        let (until, place) = *self.ends.first()?;
        if until > now {
            return None;
        }
        self.leave(place)
    }

    /// When the next one gives up.
    pub(crate) fn quiet_until(&self) -> u64 {
        self.ends.first().map_or(NEVER, |(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(name: char, until: u64) -> Waiter<char> {
        Waiter {
            max: 1,
            lease: Duration::from_secs(1),
            token: 1,
            until,
            tell: name,
        }
    }

    #[test]
    fn who_came_first_is_served_first_and_who_left_is_not() {
        let mut line = Line::new();
        let places: Vec<_> = "abc".chars().map(|name| line.join(waiter(name, 5))).collect();
        assert_eq!(line.leave(places[1]).map(|waiter| waiter.tell), Some('b'));
        assert!(line.leave(places[1]).is_none());
        assert_eq!(line.serve().map(|waiter| waiter.tell), Some('a'));
        assert_eq!(line.serve().map(|waiter| waiter.tell), Some('c'));
        assert!(line.serve().is_none() && line.is_empty());
        assert_eq!(line.quiet_until(), NEVER);
    }

    #[test]
    fn who_waited_long_enough_gives_up() {
        let mut line = Line::new();
        for (name, until) in [('a', 9), ('b', 3), ('c', NEVER)] {
            line.join(waiter(name, until));
        }
        assert!(line.give_up(2).is_none());
        assert_eq!(line.quiet_until(), 3);
        assert_eq!(line.give_up(9).map(|waiter| waiter.tell), Some('b'));
        assert_eq!(line.give_up(9).map(|waiter| waiter.tell), Some('a'));
        assert!(line.give_up(9).is_none());
        assert!(!line.is_empty());
    }
}

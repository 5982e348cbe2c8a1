//! Who waits for elements: `BLPOP` and its like, when there is nothing.
//!
//! Each key has a line, first come first served. Whoever adds an element wakes the first of the line, who tries again
//! and, served or gone, wakes the next: so that several elements reach as many, and nobody's going away loses one. Until
//! the last of them has found nothing, the line is promised what there is: who comes then does not try, but stands
//! behind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use foldhash::HashMap;
use parking_lot::Mutex;
use switchboard_hub::keys::Key;
use tokio::sync::Notify;

/// The lines of all keys of all databases.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lines: Mutex<HashMap<Place, Line>>,
    /// How many wait: mostly nobody, and then nothing is locked.
    count: AtomicUsize,
}

/// Those who wait for one key.
#[derive(Debug, Default)]
struct Line {
    waiters: VecDeque<Arc<Notify>>,
    /// Whether one of them was woken, and nobody has found since that nothing is left for them.
    is_promised: bool,
}

/// Database and key.
type Place = (u32, Bytes);

/// One who stands in line. Dropped, it is out of it, and the next is woken.
#[derive(Debug)]
pub(crate) struct Ticket<'w> {
    waiting: &'w Waiting,
    places: Vec<Place>,
    woken: Arc<Notify>,
    /// Whether those who stand before it are to try first.
    pub(crate) is_behind: bool,
}

impl Waiting {
    /// Whether what these keys have is for others, who have waited for it. Mostly nobody waits.
    pub(crate) fn is_promised(&self, database: u32, keys: &[Key]) -> bool {
        if self.count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let lines = self.lines.lock();
        let is_promised = |key: &Key| {
            let line = lines.get(&(database, key.to_bytes()));
            line.is_some_and(|line| line.is_promised)
        };
        keys.iter().any(is_promised)
    }

    /// Stands in line for these keys. What was added before may have been missed: unless it stands
    /// [behind](Ticket::is_behind) others, try again after this.
    pub(crate) fn enter(&self, database: u32, keys: &[Key]) -> Ticket<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        // A key may be a slice of a read buffer, which the wait should not keep.
        let place = |key: &Key| (database, Bytes::copy_from_slice(key.as_ref()));
        let mut places: Vec<_> = keys.iter().map(place).collect();
        places.sort_unstable();
        places.dedup();
        let woken = Arc::new(Notify::new());
        let (mut lines, mut is_behind) = (self.lines.lock(), false);
        for place in &places {
            let line = lines.entry(place.clone()).or_default();
            is_behind |= line.is_promised;
            line.waiters.push_back(Arc::clone(&woken));
        }
        drop(lines);
        Ticket {
            waiting: self,
            places,
            woken,
            is_behind,
        }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Wakes the first who waits for that key.
    pub(crate) fn feed(&self, database: u32, key: &Key) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let place = (database, key.to_bytes());
        if let Some(line) = self.lines.lock().get_mut(&place) {
            line.wake_first();
        }
    }
}

impl Line {
    fn wake_first(&mut self) {
        if let Some(first) = self.waiters.front() {
            self.is_promised = true;
            first.notify_one();
        }
    }
}

impl Ticket<'_> {
    /// Waits until it may be worth while to try again. Cancel safe.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Wakes those who stand right behind: what is there is nothing for this one.
    pub(crate) fn pass(&self) {
        let mut lines = self.waiting.lines.lock();
        for place in &self.places {
            let Some(line) = lines.get_mut(place) else {
                continue;
            };
            let mut others = line.waiters.iter();
            others.find(|other| Arc::ptr_eq(other, &self.woken));
            match others.next() {
                Some(next) => next.notify_one(),
                None => line.is_promised = false,
            }
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut lines = self.waiting.lines.lock();
        for place in &self.places {
            let Some(line) = lines.get_mut(place) else {
                continue;
            };
            line.waiters.retain(|other| !Arc::ptr_eq(other, &self.woken));
            if line.waiters.is_empty() {
                lines.remove(place);
            } else {
                line.wake_first();
            }
        }
        drop(lines);
        self.waiting.count.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn who_comes_while_others_are_woken_stands_behind_them() {
        let (waiting, keys) = (Waiting::default(), [Key::new("list").unwrap()]);
        let first = waiting.enter(0, &keys);
        assert!(!first.is_behind && !waiting.is_promised(0, &keys));
        waiting.feed(0, &keys[0]);
        assert!(waiting.is_promised(0, &keys) && !waiting.is_promised(1, &keys));
        let second = waiting.enter(0, &keys);
        assert!(second.is_behind);
        assert!(first.woken().now_or_never().is_some());
        assert!(second.woken().now_or_never().is_none());
        // It was served: there may be more.
        drop(first);
        assert!(second.woken().now_or_never().is_some());
        assert!(waiting.is_promised(0, &keys));
        second.pass();
        assert!(!waiting.is_promised(0, &keys));
        assert!(!waiting.enter(0, &keys).is_behind);
    }

    #[test]
    fn what_is_nothing_for_those_before_reaches_who_comes_late() {
        let (waiting, keys) = (Waiting::default(), [Key::new("list").unwrap()]);
        let first = waiting.enter(0, &keys);
        waiting.feed(0, &keys[0]);
        let second = waiting.enter(0, &keys);
        first.pass();
        assert!(second.woken().now_or_never().is_some());
        drop((first, second));
        assert_eq!(waiting.count(), 0);
        assert!(!waiting.is_promised(0, &keys));
    }
}

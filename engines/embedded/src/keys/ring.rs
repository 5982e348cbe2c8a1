//! What changed in a bucket a short while ago, for those who watch it.
//!
//! A watcher is no more than a place in this ring, so one that is not read costs nothing, and holds up nobody: what it
//! does not read in time is gone, and it has to begin anew. The ring is kept from the first watch on until nobody has
//! watched for [`KEPT_TIME`], so that a watcher who comes back soon misses nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use switchboard_engine::keys::Revision;
use tokio::sync::Notify;

use super::slot::Slot;

/// Most bytes that a ring keeps from being freed: 8 MiB, some 50,000 changes of small keys.
const RING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a change in a ring costs beside its slot.
const EVENT_BYTES: usize = 32;

/// How long a ring is kept when nobody watches.
const KEPT_TIME: Duration = Duration::from_secs(60);

/// A change of a key.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What it has since then.
    pub(crate) slot: Slot,
    /// Whether it expired.
    pub(crate) is_expiry: bool,
}

/// The changes of a bucket.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    is_watched: AtomicBool,
    ring: Mutex<Ring>,
    news: Notify,
}

/// Changes by their number, the youngest of them.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    events: VecDeque<Event>,
    /// The number of the first one that is kept.
    first: u64,
    bytes: usize,
    /// Every change of a greater revision is in the ring.
    since: u64,
    watchers: usize,
    /// Since when there are none.
    alone: Option<Instant>,
    has_ended: bool,
}

/// What a watcher finds in the ring.
#[derive(Debug)]
pub(crate) enum News {
    /// Changes, and the number of the next one.
    Events(Vec<Event>, u64),
    /// What it would have to read next is gone.
    Overtaken,
    /// The engine was closed.
    Ended,
}

impl Changes {
    /// Whether changes have to be put into the ring. Under the lock of a lane.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }

    /// Wakes the watchers.
    #[inline]
    pub(crate) fn tell(&self) {
        self.news.notify_waiters();
    }

    /// What to wait for; made before looking into the ring, it misses nothing.
    pub(crate) fn news(&self) -> impl Future<Output = ()> {
        self.news.notified()
    }

    /// Begins to keep changes, from that revision on, if that has not begun, and counts a watcher. All lanes are locked.
    pub(crate) fn begin(&self, last: Revision) {
        let mut ring = self.ring.lock();
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            ring.first += ring.events.len() as u64;
            ring.events.clear();
            ring.bytes = 0;
            ring.since = last.0;
        }
        ring.watchers += 1;
        ring.alone = None;
    }

    /// Counts a watcher less.
    pub(crate) fn leave(&self) {
        let mut ring = self.ring.lock();
        ring.watchers -= 1;
        if ring.watchers == 0 {
            ring.alone = Some(Instant::now());
        }
    }

    /// Frees the ring if nobody has watched for long. Tells whether it is still kept.
    pub(crate) fn clear_up(&self) -> bool {
        if !self.is_watched() {
            return false;
        }
        let mut ring = self.ring.lock();
        if ring.alone.is_none_or(|since| since.elapsed() < KEPT_TIME) {
            return true;
        }
        self.is_watched.store(false, Ordering::Relaxed);
        ring.events = VecDeque::new();
        false
    }

    /// Ends all watches.
    pub(crate) fn end(&self) {
        self.ring.lock().has_ended = true;
        self.tell();
    }

    /// What follows from that number on, at most `max`.
    pub(crate) fn read(&self, from: u64, max: usize) -> News {
        let ring = self.ring.lock();
        if ring.has_ended {
            return News::Ended;
        }
        let Some(skipped) = from.checked_sub(ring.first) else {
            return News::Overtaken;
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let events: Vec<Event> = ring.events.iter().skip(skipped).take(max).cloned().collect();
        let next = from + events.len() as u64;
        News::Events(events, next)
    }
}

impl Ring {
    /// Adds a change, of a greater revision than all before. Structures are not told, and not kept.
    pub(crate) fn push(&mut self, slot: &Slot, is_expiry: bool) {
        let slot = slot.without_structure();
        self.bytes += slot.cost() + EVENT_BYTES;
        self.events.push_back(Event { slot, is_expiry });
        while self.bytes > RING_BYTES_MAX
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.slot.cost() + EVENT_BYTES;
            self.first += 1;
            self.since = oldest.slot.revision().0;
        }
    }

    /// The number of the change to come.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The number of the first change after that revision, if all of those are in the ring.
    pub(crate) fn after(&self, revision: Revision) -> Option<u64> {
        if revision.0 < self.since {
            return None;
        }
        let earlier = self
            .events
            .partition_point(|event| event.slot.revision() <= revision);
        Some(self.first + earlier as u64)
    }
}

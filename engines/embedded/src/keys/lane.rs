//! Hot keys, shared out among lanes by their hash.
//!
//! A lane has a map that anybody reads without a lock, and a state that writers lock. A plain write publishes one slot,
//! which is one step by itself. A batch publishes several, so readers must not see some of them and then miss others:
//! while it does, [`Lane::publishing`] is odd, and a reader who meets that, or a change of it, takes the lock instead
//! (see [`Lane::read`]). So only a batch under way ever makes a reader wait, and it holds the lock for no longer than it
//! takes to swap the slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use papaya::{HashMap, LocalGuard};
use parking_lot::{Mutex, MutexGuard};
use seize::Collector;
use switchboard_engine::Timestamp;

use super::home::Home;
use super::slot::{BroughtHashes, Name, Place, SLOT_COST_BYTES, Slot};

/// How many lanes there are: enough that writers on a few dozen cores seldom meet; few enough that the commit thread
/// locks all of them in microseconds. A power of two.
pub(crate) const LANES: usize = 64;

/// A lane tells the sum of bytes only in steps of this many, so that writers do not meet at the sum.
pub(crate) const REPORT_BYTES: usize = 16 * 1024;

/// So many slots that were replaced gather in a thread before they are freed together: that takes a memory barrier in
/// every thread of the process, by a system call. Of small slots they are some ten kilobytes.
const RETIRED_SLOTS: usize = 256;

/// A part of the keys in memory.
#[derive(Debug)]
pub(crate) struct Lane {
    hot: HashMap<Slot, (), BroughtHashes>,
    publishing: AtomicU64,
    state: Mutex<LaneState>,
}

/// What writers lock.
#[derive(Debug)]
pub(crate) struct LaneState {
    /// The round of the commit thread that changes made now go with; the first is 1.
    pub(crate) round: u64,
    /// The last round that is in the store.
    pub(crate) stored_round: u64,
    /// What is to be written.
    pub(crate) changes: Vec<Change>,
    /// Of the bytes of `changes`, those that the committer was told of, and the rest.
    pub(crate) told_bytes: usize,
    untold_bytes: usize,
    /// By how many bytes the hot keys have grown since that was told.
    grown_bytes: isize,
    /// How often a slot was dropped: what was read from the store before may be out of date.
    pub(crate) drops: u64,
    /// Nothing is changed any more.
    pub(crate) is_closed: bool,
}

/// What a lane has to tell about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes to be written.
    pub(crate) unwritten: usize,
    /// Bytes of memory.
    pub(crate) grown: isize,
}

/// A key that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// What it has now.
    pub(crate) slot: Slot,
    /// What the store will have before this round is written.
    pub(crate) stored: Stored,
    /// About how many bytes of memory it takes until it is written: of a structure what is written of it, not the whole.
    pub(crate) cost: usize,
}

/// What the store has of a key.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) is_there: bool,
    pub(crate) expires: Option<Timestamp>,
    /// Its structure, which may have parts there.
    pub(crate) home: Option<Arc<Home>>,
}

impl Stored {
    pub(crate) fn of(slot: Option<&Slot>) -> Self {
        Self {
            is_there: slot.is_some_and(Slot::has_value),
            expires: slot.and_then(Slot::expires),
            home: slot.and_then(Slot::home).cloned(),
        }
    }
}

/// All lanes, without a key. What was replaced in them is freed together.
pub(crate) fn lanes() -> Box<[Lane; LANES]> {
    let collector = Arc::new(Collector::new().batch_size(RETIRED_SLOTS));
    Box::new(std::array::from_fn(|_| Lane::new(&collector)))
}

impl Lane {
    fn new(collector: &Arc<Collector>) -> Self {
        let hot = HashMap::builder().hasher(BroughtHashes::default());
        Self {
            hot: hot.shared_collector(Arc::clone(collector)).build(),
            publishing: AtomicU64::new(0),
            state: Mutex::new(LaneState {
                round: 1,
                stored_round: 0,
                changes: Vec::new(),
                told_bytes: 0,
                untold_bytes: 0,
                grown_bytes: 0,
                drops: 0,
                is_closed: false,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock()
    }

    /// Looks at a slot, as part of no moment in the midst of a batch.
    #[inline]
    pub(crate) fn read<T>(&self, name: &Name<'_>, look: impl Fn(&Slot) -> T) -> Option<T> {
        let before = self.publishing.load(Ordering::Acquire);
        if before.is_multiple_of(2) {
            let found = self.peek(name, &look);
            // The load of the slot was an acquiring one, so this one comes after it.
            if self.publishing.load(Ordering::Acquire) == before {
                return found;
            }
        }
        let _state = self.lock();
        self.peek(name, look)
    }

    /// What keeps a slot from being freed while it is looked at.
    #[inline]
    pub(crate) fn guard(&self) -> LocalGuard<'_> {
        self.hot.guard()
    }

    /// A slot, under the lock.
    #[inline]
    pub(crate) fn get<'g>(&self, name: &Name<'_>, guard: &'g LocalGuard<'_>) -> Option<&'g Slot> {
        self.hot.get_key_value(name, guard).map(|(slot, ())| slot)
    }

    /// Looks at a slot; for those who hold the lock, or do not mind batches.
    #[inline]
    pub(crate) fn peek<T>(&self, name: &Name<'_>, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        let guard = self.hot.guard();
        self.hot.get_key_value(name, &guard).map(|(slot, ())| look(slot))
    }

    /// Begins or ends the publishing of a batch, under the lock.
    pub(crate) fn turn_publishing(&self) {
        let now = self.publishing.load(Ordering::Relaxed);
        self.publishing.store(now + 1, Ordering::Release);
        // What is published comes after this, for whoever sees it: publishing a slot releases.
    }

    /// Puts a slot into the map, under the lock. `before` is what it takes the place of.
    pub(crate) fn publish(&self, state: &mut LaneState, slot: Slot, before_cost: usize) {
        let cost = slot.cost();
        self.hot.insert(slot, (), &self.hot.guard());
        state.grown_bytes += cost as isize - before_cost as isize;
    }

    /// Takes a slot out of the map, under the lock.
    pub(crate) fn drop_slot(&self, state: &mut LaneState, slot: &Slot) {
        let name = Name::new(slot.bucket(), slot.key());
        if self.hot.remove(&name, &self.hot.guard()).is_some() {
            state.drops += 1;
            state.grown_bytes -= slot.cost() as isize;
        }
    }

    /// Goes through all slots.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&Slot)) {
        let guard = self.hot.guard();
        for (slot, ()) in self.hot.iter(&guard) {
            visit(slot);
        }
    }
}

impl LaneState {
    /// Where the next change of a key stands that has `before`.
    pub(crate) fn place(&self, before: Option<&Slot>) -> Place {
        match before {
            Some(slot) if self.is_of_this_round(slot) => slot.place(),
            _ => Place::new(self.round, self.changes.len()),
        }
    }

    /// Whether a slot is to be written with the round that changes made now go with.
    pub(crate) fn is_of_this_round(&self, slot: &Slot) -> bool {
        slot.place().round() == self.round && slot.place().index() < self.changes.len()
    }

    /// Notes that a slot is to be written, with so many bytes of its value, at the place that it was given, where
    /// `before` was.
    pub(crate) fn note(&mut self, slot: Slot, before: Option<&Slot>, value_bytes: usize) {
        let index = slot.place().index();
        let cost = SLOT_COST_BYTES + slot.key().len() + value_bytes;
        match self.changes.get_mut(index) {
            Some(change) => {
                self.untold_bytes += cost.saturating_sub(change.cost);
                change.cost = change.cost.max(cost);
                change.slot = slot;
            }
            None => {
                self.untold_bytes += cost;
                let stored = Stored::of(before);
                self.changes.push(Change { slot, stored, cost });
            }
        }
    }

    /// What is to be told, if it is worth it.
    pub(crate) fn take_counts(&mut self) -> Counts {
        let mut counts = Counts {
            unwritten: 0,
            grown: 0,
        };
        if self.untold_bytes >= REPORT_BYTES {
            counts.unwritten = std::mem::take(&mut self.untold_bytes);
            self.told_bytes += counts.unwritten;
        }
        if self.grown_bytes.unsigned_abs() >= REPORT_BYTES {
            counts.grown = std::mem::take(&mut self.grown_bytes);
        }
        counts
    }

    /// Begins a new round. What the one before has to write, and how many bytes of it were told; and by how many bytes
    /// the hot keys have grown.
    pub(crate) fn take_round(&mut self) -> (Vec<Change>, usize, isize) {
        self.round += 1;
        self.untold_bytes = 0;
        (
            std::mem::take(&mut self.changes),
            std::mem::take(&mut self.told_bytes),
            std::mem::take(&mut self.grown_bytes),
        )
    }

    /// Whether a slot is in the store as it is.
    pub(crate) fn is_stored(&self, slot: &Slot) -> bool {
        slot.place().round() <= self.stored_round
    }
}

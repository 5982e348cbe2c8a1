//! Hot keys, shared out among lanes by their hash.
//!
//! A lane has a table that anybody reads without a lock, and a state that writers lock. A plain write publishes one slot,
//! which is one step by itself. A batch publishes several, so readers must not see some of them and then miss others:
//! while it does, [`Lane::publishing`] is odd, and a reader who meets that, or a change of it, takes the lock instead
//! (see [`Lane::read`]). So only a batch under way ever makes a reader wait, and it holds the lock for no longer than it
//! takes to swap the slots.

use std::iter::Sum;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use seize::Collector;
use switchboard_engine::Timestamp;
use switchboard_engine::blocking::block_in_place;
use switchboard_table::{Found, Item, Look, Reader, Writer, table};

use super::home::Home;
use super::name::Name;
use super::slot::{Head, SLOT_COST_BYTES, Slot};

/// How many lanes there are: enough that writers on a few dozen cores seldom meet; few enough that the commit thread
/// locks all of them in microseconds. A power of two.
pub(crate) const LANES: usize = 64;

/// A lane tells the sum of bytes only in steps of this many, so that writers do not meet at the sum.
pub(crate) const REPORT_BYTES: usize = 16 * 1024;

/// So many slots that were replaced gather in a thread before they are freed together: that takes a memory barrier in
/// every thread of the process, by a system call. Of small slots they are some ten kilobytes.
const RETIRED_SLOTS: usize = 256;

/// Who has waited for a lane for so long lets another thread have what else there is to do.
const SHORT_WAIT: Duration = Duration::from_millis(1);

/// A part of the keys in memory.
#[derive(Debug)]
pub(crate) struct Lane {
    hot: Reader<Head>,
    publishing: AtomicU64,
    state: Mutex<LaneState>,
}

/// What writers lock.
#[derive(Debug)]
pub(crate) struct LaneState {
    hot: Writer<Head>,
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

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        let nothing = Self {
            unwritten: 0,
            grown: 0,
        };
        counts.fold(nothing, |sum, counts| Self {
            unwritten: sum.unwritten + counts.unwritten,
            grown: sum.grown + counts.grown,
        })
    }
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
    pub(crate) home: Option<triomphe::Arc<Home>>,
}

impl Stored {
    pub(crate) fn of(slot: Option<&Slot>) -> Self {
        Self {
            is_there: slot.is_some_and(Slot::has_value),
            expires: slot.and_then(Slot::expires),
            home: slot.and_then(Slot::home).map(|home| home.clone_arc()),
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
        let (reader, writer) = table(collector);
        Self {
            hot: reader,
            publishing: AtomicU64::new(0),
            state: Mutex::new(LaneState {
                hot: writer,
                changes: Vec::new(),
                told_bytes: 0,
                untold_bytes: 0,
                grown_bytes: 0,
                drops: 0,
                is_closed: false,
            }),
        }
    }

    /// Waits for the lock: mostly for microseconds, but an edit may hold it for as long as a script runs.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LaneState> {
        (self.state.try_lock_for(SHORT_WAIT)).unwrap_or_else(|| block_in_place(|| self.state.lock()))
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

    /// What keeps slots from being freed while they are looked at.
    #[inline]
    pub(crate) fn look(&self) -> Hot<'_> {
        Hot(self.hot.look())
    }

    /// Looks at a slot; for those who hold the lock, or do not mind batches.
    #[inline]
    pub(crate) fn peek<T>(&self, name: &Name<'_>, look: impl FnOnce(&Slot) -> T) -> Option<T> {
        self.look().get(name).map(|slot| look(&slot))
    }

    /// Begins or ends the publishing of a batch, under the lock.
    pub(crate) fn turn_publishing(&self) {
        let now = self.publishing.load(Ordering::Relaxed);
        self.publishing.store(now + 1, Ordering::Release);
        // What is published comes after this, for whoever sees it: publishing a slot releases.
    }

    /// Goes through all slots.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&Slot)) {
        self.hot.look().visit(|item| visit(Slot::of(item)));
    }
}

/// A look at the hot keys of a lane.
pub(crate) struct Hot<'a>(Look<'a, Head>);

/// A hot slot that was found.
pub(crate) struct HotSlot<'a>(Found<'a, Head>);

impl Hot<'_> {
    /// A slot.
    #[inline]
    pub(crate) fn get(&self, name: &Name<'_>) -> Option<HotSlot<'_>> {
        self.0.find(name.hash, is_of(name)).map(HotSlot)
    }

    /// Has the part of the table read where a slot would be.
    #[inline]
    pub(crate) fn touch(&self, name: &Name<'_>) {
        self.0.touch(name.hash);
    }
}

impl<'a> HotSlot<'a> {
    /// As [`Slot::value`], for as long as the look.
    #[inline]
    pub(crate) fn value(&self) -> &'a [u8] {
        self.0.head().value_of(self.0.bytes())
    }
}

impl Deref for HotSlot<'_> {
    type Target = Slot;

    #[inline]
    fn deref(&self) -> &Slot {
        Slot::of(&self.0)
    }
}

#[inline]
fn is_of(name: &Name<'_>) -> impl Fn(&Item<Head>) -> bool {
    |item| Slot::of(item).is_of(name)
}

impl LaneState {
    /// Makes a slot hot, in the place of the one that is, if one is, and what that cost: to be asked before the new one
    /// is made, as they may share a structure, which knows only what it takes now.
    pub(crate) fn publish(&mut self, name: &Name<'_>, slot: Slot, hot: Option<(&Slot, usize)>) {
        self.grown_bytes += slot.cost() as isize - hot.map_or(0, |(_, cost)| cost) as isize;
        let is_it = |item: &Item<Head>| hot.is_some_and(|(hot, _)| hot.is(Slot::of(item)));
        let hash_of = |item: &Item<Head>| Name::of(Slot::of(item)).hash;
        let was_there = self.hot.put(name.hash, slot.into_item(), is_it, hash_of);
        debug_assert_eq!(
            was_there,
            hot.is_some(),
            "the hot slot is looked for under this lock"
        );
    }

    /// A slot is hot no more.
    pub(crate) fn drop_slot(&mut self, slot: &Slot) {
        let name = Name::of(slot);
        if self.hot.remove(name.hash, is_of(&name)) {
            self.drops += 1;
            self.grown_bytes -= slot.cost() as isize;
        }
    }

    /// Where the next change of a key stands that has `before`.
    pub(crate) fn place(&self, before: Option<&Slot>) -> usize {
        match before {
            Some(slot) if self.is_unwritten(slot) => slot.place(),
            _ => self.changes.len(),
        }
    }

    /// Whether a slot is to be written with the next round of the commit thread.
    pub(crate) fn is_unwritten(&self, slot: &Slot) -> bool {
        let change = self.changes.get(slot.place());
        change.is_some_and(|change| change.slot.is(slot))
    }

    /// Notes that a slot is to be written, with so many bytes of its value, at the place that it was given, where
    /// `before` was.
    pub(crate) fn note(&mut self, slot: Slot, before: Option<&Slot>, value_bytes: usize) {
        let index = slot.place();
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
        self.untold_bytes = 0;
        (
            std::mem::take(&mut self.changes),
            std::mem::take(&mut self.told_bytes),
            std::mem::take(&mut self.grown_bytes),
        )
    }
}

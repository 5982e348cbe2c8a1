//! Which keys are in memory.
//!
//! What is read from the store stays, until memory is short; then the commit thread goes round the lanes and drops
//! what is in the store and was not used since it came by before (a clock, as for the pages of an operating system). As
//! long as nothing was dropped all keys are in memory, and a key that is not there needs no look at the store.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use foldhash::HashMap;
use switchboard_engine::{Bucket, EngineError, Key, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::lane::{LANES, Lane, LaneState};
use super::name::Name;
use super::slot::Slot;
use super::{Shared, record};
use crate::store::{Space, StoreError, StoreResult};

/// Memory is nearly short when this part of it is left.
const NEAR_PART: usize = 8;

/// How many slots are dropped under one lock.
const DROPS_AT_ONCE: usize = 128;

/// Most keys that are read on a thread which others wait for.
const KEYS_AT_ONCE_MAX: usize = 4;

/// What reading a key may take on such a thread.
const QUICK_READ: Duration = Duration::from_micros(100);

/// A slower read counts as this, so that one of them does not count for long.
const READ_NOTED_MAX: Duration = Duration::from_millis(2);

/// So many edits read what they need from the store at once. Each has its own copy of it until it is done, and a
/// structure may be large.
const LOADS_AT_ONCE: usize = 2;

/// What is known of the memory that hot keys take.
#[derive(Debug)]
pub(super) struct Memory {
    /// About how many bytes; a lane tells its own in steps.
    bytes: AtomicIsize,
    /// Most bytes.
    limit: usize,
    is_complete: AtomicBool,
    /// The lane that is next to be looked through.
    hand: AtomicUsize,
    /// How long reading a key from the store takes of late, in nanoseconds.
    read_nanos: AtomicU64,
    loads: Semaphore,
}

impl Memory {
    /// Of a start without keys.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: AtomicIsize::new(0),
            limit,
            is_complete: AtomicBool::new(true),
            hand: AtomicUsize::new(0),
            read_nanos: AtomicU64::new(0),
            loads: Semaphore::new(LOADS_AT_ONCE),
        }
    }

    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    /// From now on a key that is not in memory may be in the store.
    pub(super) fn is_no_more_complete(&self) {
        self.is_complete.store(false, Ordering::SeqCst);
    }

    pub(super) fn grow(&self, bytes: isize) {
        if bytes != 0 {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// About how many bytes hot keys take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> isize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until it is somebody's turn to load, and to keep what was loaded for as long as the turn is kept.
    pub(super) async fn turn_to_load(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.loads.acquire().await.ok()
    }

    fn reads_are_quick(&self) -> bool {
        Duration::from_nanos(self.read_nanos.load(Ordering::Relaxed)) < QUICK_READ
    }

    /// Notes how long a read took. Of several at a time one may be overlooked.
    fn note_read(&self, time: Duration) {
        let nanos = u64::try_from(time.min(READ_NOTED_MAX).as_nanos()).unwrap_or_default();
        let before = self.read_nanos.load(Ordering::Relaxed);
        self.read_nanos.store((before * 7 + nanos) / 8, Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether keys will have to be dropped soon.
    pub(super) fn is_nearly_over(&self) -> bool {
        self.is_over(self.limit - self.limit / NEAR_PART)
    }

    fn is_over(&self, limit: usize) -> bool {
        usize::try_from(self.bytes.load(Ordering::Relaxed)).is_ok_and(|bytes| bytes > limit)
    }
}

/// What was read from the store of keys that were not in memory.
pub(super) type Loaded = HashMap<Key, Cold>;

/// What the store had of a key.
#[derive(Debug)]
pub(super) struct Cold {
    slot: Slot,
    /// How much its lane had dropped before.
    drops: u64,
}

impl Cold {
    /// What the key has, if it is not in memory: unless something was dropped in between, which may have been younger.
    pub(super) fn slot(&self, lane: &LaneState) -> Option<&Slot> {
        (lane.drops == self.drops).then_some(&self.slot)
    }
}

/// Reads keys from the store: on this thread if they are few and the store was quick of late, which it is when it finds
/// its blocks in memory; to go to another thread and back takes longer then.
///
/// # Errors
/// Damaged, with bucket and key; unavailable while the store is being mended.
pub(super) async fn load(shared: &Arc<Shared>, bucket: &Bucket, keys: Vec<Key>) -> Result<Loaded> {
    if keys.len() <= KEYS_AT_ONCE_MAX && shared.memory.reads_are_quick() {
        return load_now(shared, bucket, keys);
    }
    let (shared, bucket) = (Arc::clone(shared), bucket.clone());
    let loading = tokio::task::spawn_blocking(move || load_now(&shared, &bucket, keys));
    loading
        .await
        .unwrap_or_else(|_| Err(EngineError::Failed("reading the store has failed".to_owned())))
}

fn load_now(shared: &Shared, bucket: &Bucket, keys: Vec<Key>) -> Result<Loaded> {
    let load = |key: Key| {
        let started = Instant::now();
        let cold = load_one(shared, bucket, &key)?;
        shared.memory.note_read(started.elapsed());
        Ok((key, cold))
    };
    keys.into_iter().map(load).collect()
}

fn load_one(shared: &Shared, bucket: &Bucket, key: &Key) -> Result<Cold> {
    let state = shared.buckets.find_or_create(bucket);
    let name = Name::new(state.id, key.as_bytes());
    let drops = shared.lane(&name).lock().drops;
    let slot = read(shared, bucket.as_str(), &name);
    let slot = slot.map_err(|error| named(error, bucket.as_str(), key.as_bytes()))?;
    Ok(Cold { slot, drops })
}

/// Reads what the store has of a key.
pub(super) fn read(shared: &Shared, bucket: &str, name: &Name<'_>) -> StoreResult<Slot> {
    let store = shared.committer.store();
    let stored_key = record::key_of(bucket, name.key);
    let value = store.get(Space::Keys, &stored_key)?;
    if !value.as_deref().is_some_and(record::has_parts) {
        return record::slot_of(name, value.as_ref(), None);
    }
    // Record and parts of one moment.
    let view = store.view_between();
    let key = Bound::Included(&*stored_key);
    let record = view.range(Space::Keys, key, key).next().transpose()?;
    record::slot_of(name, record.as_ref().map(|(_, value)| value), Some(&*view))
}

/// What the store cannot read of a key is taken for a value that has expired, so that it can be replaced.
pub(super) fn give_up(shared: &Shared, bucket: &Bucket, key: Key, damage: &str) -> Loaded {
    tracing::warn!("what is written now takes the place of something damaged: {damage}");
    let state = shared.buckets.find_or_create(bucket);
    let name = Name::new(state.id, key.as_bytes());
    let stored_key = record::key_of(bucket.as_str(), key.as_bytes());
    // Its parts go with it, if the record names them.
    let value = shared.committer.store().get(Space::Keys, &stored_key);
    let parts = value
        .ok()
        .flatten()
        .and_then(|value| record::entry_of(&value).ok()?.1);
    let cold = Cold {
        slot: Slot::given_up(&name, parts),
        drops: shared.lane(&name).lock().drops,
    };
    Loaded::from_iter([(key, cold)])
}

/// Keeps in memory what was read, and tells what each key has that was not: that, or what was written since.
pub(super) fn keep(shared: &Shared, loaded: &Loaded) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(loaded.len());
    for Cold { slot, drops } in loaded.values() {
        let name = Name::of(slot);
        let lane = shared.lane(&name);
        let mut state = lane.lock();
        if let Some(newer) = lane.peek(&name, Slot::clone) {
            slots.push(newer);
            continue;
        }
        if state.drops == *drops && shared.buckets.by_id(slot.bucket()).is_some() {
            state.publish(&name, slot.clone(), None);
            shared.memory.grow(state.take_counts().grown);
        }
        slots.push(slot.clone());
    }
    if shared.memory.is_over(shared.memory.limit) {
        shared.committer.wake();
    }
    slots
}

/// An error of the store, with the key that it is about.
pub(super) fn named(error: StoreError, bucket: &str, key: &[u8]) -> EngineError {
    match error {
        StoreError::Damaged(reason) => EngineError::Damaged(format!(
            "key {} in bucket {bucket}: {reason}; put or delete it, or restore a backup",
            key.escape_ascii()
        )),
        StoreError::Disk(reason) => EngineError::unavailable(crate::commit::MEND_INTERVAL, reason),
    }
}

/// Drops keys from memory if they take too much of it.
pub(super) fn evict(shared: &Shared) {
    let memory = &shared.memory;
    if !memory.is_over(memory.limit) {
        return;
    }
    if !shared.records.are_right() {
        // They are soon, as memory is short.
        return;
    }
    memory.is_no_more_complete();
    // Some more than needed, so that this is not to be done again at once.
    let target = memory.limit - memory.limit / 8;
    // Twice round, as the first round may only find that all were used. That holds for structures too, but to read one
    // again may take long: those go when they were not used from one time to the next.
    for step in 0..2 * LANES {
        let hand = memory.hand.fetch_add(1, Ordering::Relaxed);
        if let Some(lane) = shared.lanes.get(hand % LANES) {
            evict_from(shared, lane, step < LANES);
        }
        if !memory.is_over(target) {
            return;
        }
    }
}

fn evict_from(shared: &Shared, lane: &Lane, drops_structures: bool) {
    let mut unused = Vec::new();
    lane.visit(|slot| {
        if slot.home().is_some() && !drops_structures {
            return;
        }
        if !slot.was_used() {
            unused.push(slot.clone());
        }
    });
    for some in unused.chunks(DROPS_AT_ONCE) {
        let mut state = lane.lock();
        for slot in some {
            let name = Name::of(slot);
            let is_unchanged = lane.peek(&name, |now| now.is(slot));
            // It is between two rounds.
            if is_unchanged == Some(true) && !state.is_unwritten(slot) {
                state.drop_slot(slot);
            }
        }
        shared.memory.grow(state.take_counts().grown);
    }
}

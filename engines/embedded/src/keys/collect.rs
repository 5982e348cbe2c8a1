//! What the commit thread takes and writes.
//!
//! It takes the changes of all lanes at one moment, so that what the store has is always a state that there was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use parking_lot::MutexGuard;
use triomphe::ArcBorrow;

use super::buckets::BucketState;
use super::home::{Generation, Script};
use super::lane::{Change, Lane, LaneState};
use super::name::Name;
use super::record::{self, StoredBucket};
use super::rounds::RoundLog;
use super::slot::Slot;
use super::{Shared, expiry, memory};
use crate::commit::Source;
use crate::store::{Batch, Space};

/// What is being written, by lanes.
pub(super) type InFlight = Arc<Vec<Vec<Change>>>;

/// The greatest revision of buckets that the store has forgotten.
pub(super) const FLOOR_KEY: &[u8] = b"floor";

/// The greatest generation of parts of structures that was given.
pub(super) const GENERATION_KEY: &[u8] = b"generation";

/// There if the engine was closed, and no key was changed since.
pub(crate) const CLOSED_KEY: &[u8] = b"closed";

/// How often is looked for buckets and rings that nobody needs any more.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// What the store knows of the engine. The commit thread's own.
#[derive(Debug)]
pub(super) struct Written {
    /// Of the buckets, by their ids.
    pub(super) buckets: HashMap<u32, StoredBucket>,
    /// Whether it says that the engine was closed.
    pub(super) says_closed: bool,
    /// The greatest generation of parts of structures that was given.
    generation: Generation,
    /// What is not yet written as records.
    pub(super) log: RoundLog,
    /// Buckets that the store knows wrongly.
    recounted: Vec<Arc<BucketState>>,
    is_closing: bool,
    tidied: Instant,
    keeps_rings: bool,
}

impl Written {
    pub(super) fn new(
        buckets: HashMap<u32, StoredBucket>,
        says_closed: bool,
        generation: Generation,
        log: RoundLog,
        recounted: Vec<Arc<BucketState>>,
    ) -> Self {
        Self {
            buckets,
            says_closed,
            generation,
            log,
            recounted,
            is_closing: false,
            tidied: Instant::now(),
            keeps_rings: false,
        }
    }
}

impl Source for Shared {
    fn collect(&self, batch: &mut Batch) -> usize {
        let mut written = self.written.lock();
        let is_closing = written.is_closing;
        written.log.begin(self, is_closing);
        let generation = written.generation;
        let (in_flight, scripts, bytes) = self.take(&mut written.generation);
        if written.generation != generation {
            batch.put(Space::Engine, GENERATION_KEY, &written.generation.to_le_bytes());
        }
        let mut changed = put_changes(self, &mut written, &in_flight, &scripts, batch);
        changed.append(&mut written.recounted);
        put_buckets(self, &mut written, &changed, batch);
        written.log.end(self, batch);
        self.expiries.collect(batch);
        if written.is_closing && !(written.says_closed && changed.is_empty()) {
            batch.put(Space::Engine, CLOSED_KEY, b"");
            written.says_closed = true;
        } else if written.says_closed && !changed.is_empty() {
            batch.delete(Space::Engine, CLOSED_KEY);
            written.says_closed = false;
        }
        bytes
    }

    fn stored(&self) {
        let in_flight = self.in_flight.lock().clone();
        for (lane, changes) in self.lanes.iter().zip(in_flight.iter()) {
            if !changes.is_empty() {
                forget_what_is_gone(self, lane, changes);
            }
        }
        self.written.lock().log.stored(self);
        *self.in_flight.lock() = InFlight::default();
    }

    fn tick(&self) -> bool {
        let will_expire = expiry::clear_up(self);
        memory::evict(self);
        let mut written = self.written.lock();
        if written.tidied.elapsed() >= TIDY_INTERVAL {
            written.tidied = Instant::now();
            written.keeps_rings = self.buckets.clear_up_rings();
            self.buckets.retire_idle(|| self.lock_all());
        }
        written.log.tick(self) || will_expire || written.keeps_rings
    }

    fn close(&self) {
        for mut state in self.lock_all() {
            state.is_closed = true;
        }
        self.written.lock().is_closing = true;
    }
}

/// What is to be written of structures, by lane and number of the change.
type Scripts = HashMap<(usize, usize), Script>;

impl Shared {
    /// Takes what is to be written, all of one moment, and tells how many bytes of it were told.
    fn take(&self, generation: &mut Generation) -> (InFlight, Scripts, usize) {
        let mut lanes = self.lock_all();
        let mut bytes = 0;
        let take = |state: &mut MutexGuard<'_, LaneState>| {
            let (changes, told, grown) = state.take_round();
            bytes += told;
            self.memory.grow(grown);
            changes
        };
        let in_flight: InFlight = Arc::new(lanes.iter_mut().map(take).collect());
        // Still under the locks: a scan finds each change in one of the two places.
        *self.in_flight.lock() = Arc::clone(&in_flight);
        let scripts = take_scripts(lanes, &in_flight, generation);
        (in_flight, scripts, bytes)
    }
}

/// Takes what is to be written of structures. Lanes are unlocked one by one, so that those with large structures make
/// only their own writers wait.
fn take_scripts(
    lanes: Vec<MutexGuard<'_, LaneState>>,
    in_flight: &InFlight,
    generation: &mut Generation,
) -> Scripts {
    let mut scripts = Scripts::default();
    let mut next_generation = || {
        *generation += 1;
        *generation
    };
    let mut late = Vec::new();
    for (lane, (state, changes)) in lanes.into_iter().zip(in_flight.iter()).enumerate() {
        let mut long = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            match change.slot.home() {
                None => {}
                Some(home) if home.is_long() => long.push((index, home)),
                Some(home) => {
                    scripts.insert((lane, index), home.take_script(&mut next_generation));
                }
            }
        }
        if !long.is_empty() {
            late.push((lane, state, long));
        }
    }
    for (lane, state, long) in late {
        for (index, home) in long {
            scripts.insert((lane, index), home.take_script(&mut next_generation));
        }
        drop(state);
    }
    scripts
}

/// Writes what keys have. Tells the buckets that were changed.
fn put_changes(
    shared: &Shared,
    written: &mut Written,
    in_flight: &InFlight,
    scripts: &Scripts,
    batch: &mut Batch,
) -> Vec<Arc<BucketState>> {
    let mut changed: HashMap<u32, Arc<BucketState>> = HashMap::default();
    let of_lanes = in_flight.iter().enumerate();
    let numbered = of_lanes.flat_map(|(lane, changes)| {
        let places = (0..).map(move |index| (lane, index));
        places.zip(changes)
    });
    for (place, change) in numbered {
        let id = change.slot.bucket();
        let bucket = match changed.get(&id) {
            Some(bucket) => bucket,
            None => match shared.buckets.by_id(id) {
                Some(bucket) => changed.entry(id).or_insert(bucket),
                // Buckets with changes are not forgotten.
                None => continue,
            },
        };
        let script = change.slot.home().and_then(|_| scripts.get(&place));
        put_change(shared, bucket, change, script, &mut written.log, batch);
        let stored = written.buckets.entry(id).or_default();
        stored.revision = stored.revision.max(change.slot.revision().0);
        match (change.stored.is_there, change.slot.has_value()) {
            (false, true) => stored.keys += 1,
            (true, false) => stored.keys = stored.keys.saturating_sub(1),
            _ => {}
        }
    }
    changed.into_values().collect()
}

fn put_change(
    shared: &Shared,
    bucket: &BucketState,
    change: &Change,
    script: Option<&Script>,
    log: &mut RoundLog,
    batch: &mut Batch,
) {
    let (slot, stored) = (&change.slot, &change.stored);
    let name = bucket.name.as_str();
    if let Some(before) = &stored.home
        && slot
            .home()
            .is_none_or(|now| !ArcBorrow::ptr_eq(&now, &before.borrow_arc()))
        && let Some(parts) = before.parts()
    {
        parts.delete(batch);
    }
    if slot.has_value() || stored.is_there {
        record::put_slot(batch, log, name, slot, script);
    }
    if let Some(script) = script {
        script.put_parts(batch);
    }
    if stored.expires == slot.expires() {
        return;
    }
    if let Some(moment) = stored.expires {
        record::delete_expiry(batch, moment, name, slot.key());
    }
    if let Some(moment) = slot.expires() {
        record::put_expiry(batch, moment, name, slot.key());
        shared.expiries.note(moment);
    }
}

fn put_buckets(shared: &Shared, written: &mut Written, changed: &[Arc<BucketState>], batch: &mut Batch) {
    for bucket in changed {
        let Some(stored) = written.buckets.get(&bucket.id).copied() else {
            continue;
        };
        record::put_bucket(batch, bucket.name.as_str(), stored);
        if stored.keys == 0 {
            written.buckets.remove(&bucket.id);
            let floor = shared.buckets.raise_floor(stored.revision);
            batch.put(Space::Engine, FLOOR_KEY, &floor.to_le_bytes());
        }
    }
}

/// What has no value any more need not stay in memory, now that the store has none either.
fn forget_what_is_gone(shared: &Shared, lane: &Lane, changes: &[Change]) {
    let mut state = lane.lock();
    for Change { slot, .. } in changes.iter().filter(|change| !change.slot.has_value()) {
        let name = Name::of(slot);
        let is_same = |now: &Slot| now.revision() == slot.revision() && !now.has_value();
        if lane.peek(&name, is_same) == Some(true) {
            state.drop_slot(slot);
        }
    }
    shared.memory.grow(state.take_counts().grown);
}

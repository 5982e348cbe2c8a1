//! Clears up what has expired.
//!
//! Readers see nothing of an expired key, whether it was cleared up or not; this is for memory, disk, counts and
//! watchers. The store has a list of expiries in the order of their moments, so nothing is searched: the commit thread
//! looks at its beginning, between rounds, when the earliest moment has come. Clearing up is a write like any other.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use switchboard_engine::Timestamp;

use super::buckets::BucketState;
use super::lane::Lane;
use super::name::Name;
use super::slot::Slot;
use super::write::Publication;
use super::{Shared, memory, record};
use crate::store::{Batch, Space, StoreError, StoreResult};

/// Most keys that are cleared up between two rounds, so that writers do not wait long for the next one.
const CLEARED_AT_ONCE: usize = 1_000;

/// No moment.
const NEVER: u64 = u64::MAX;

/// When something is to be cleared up.
#[derive(Debug)]
pub(super) struct Expiries {
    /// Nothing in the store expires before this moment, in milliseconds.
    next: AtomicU64,
    /// Keys of the store's list to which no key belongs (any more): to be taken away.
    orphans: Mutex<Vec<Vec<u8>>>,
}

impl Default for Expiries {
    /// The beginning of the list has to be looked at first.
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            orphans: Mutex::default(),
        }
    }
}

impl Expiries {
    /// Notes that something expires then, before the store has it.
    pub(super) fn note(&self, moment: Timestamp) {
        self.next.fetch_min(moment.as_millis(), Ordering::Relaxed);
    }

    /// Adds what is to be taken away.
    pub(super) fn collect(&self, batch: &mut Batch) {
        for orphan in std::mem::take(&mut *self.orphans.lock()) {
            batch.delete(Space::Expiries, &orphan);
        }
    }
}

/// Clears up what is due. Tells whether anything will be.
pub(super) fn clear_up(shared: &Shared) -> bool {
    let expiries = &shared.expiries;
    let from = expiries.next.load(Ordering::Relaxed);
    let now = shared.now();
    if from <= now.as_millis() {
        let next = match due(shared, from, now) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!("what has expired cannot be cleared up: {error}");
                return true;
            }
        };
        // This thread alone notes moments, so none is lost here.
        expiries.next.store(next, Ordering::Relaxed);
    }
    expiries.next.load(Ordering::Relaxed) != NEVER
}

/// Clears up some of what is due, and tells the moment before which nothing is left.
fn due(shared: &Shared, from: u64, now: Timestamp) -> StoreResult<u64> {
    let store = Arc::clone(shared.committer.store());
    let view = store.view();
    let from = from.to_be_bytes();
    let mut found = Vec::new();
    let mut next = NEVER;
    for record in view.range(Space::Expiries, Bound::Included(&from), Bound::Unbounded) {
        let (key, _) = record?;
        let (moment, _, _) = record::expiry_parts(&key)?;
        if moment > now || found.len() == CLEARED_AT_ONCE {
            next = moment.as_millis();
            break;
        }
        found.push(key);
    }
    drop(view);
    for listed in &found {
        clear_up_one(shared, listed, now)?;
    }
    Ok(next)
}

fn clear_up_one(shared: &Shared, listed: &[u8], now: Timestamp) -> StoreResult<()> {
    let (moment, bucket, key) = record::expiry_parts(listed)?;
    let orphan = || shared.expiries.orphans.lock().push(listed.to_vec());
    let Some(bucket) = shared.buckets.find_named(bucket) else {
        orphan();
        return Ok(());
    };
    let name = Name::new(bucket.id, key);
    let lane = shared.lane(&name);
    let look = lane.look();
    if look.get(&name).is_none() && !shared.is_complete() {
        // Nobody but this thread drops slots, so what is read now is what there is, if nothing is in memory below.
        let slot = match memory::read(shared, bucket.name.as_str(), &name) {
            Err(StoreError::Damaged(_)) if is_listed(shared, &bucket, key, moment) => {
                return expire_damaged(shared, &bucket, &name);
            }
            slot => slot?,
        };
        let mut state = lane.lock();
        if look.get(&name).is_none() {
            state.publish(&name, slot, None);
        }
    }
    match look.get(&name) {
        Some(slot) if slot.expires() == Some(moment) && moment <= now => expire(shared, &bucket, lane, &slot),
        // It was changed, and the list will be with it.
        Some(slot) if lane.lock().is_unwritten(&slot) => {}
        _ => orphan(),
    }
    Ok(())
}

/// Whether the record of a key says that it expires then, whatever became of its parts.
fn is_listed(shared: &Shared, bucket: &BucketState, key: &[u8], moment: Timestamp) -> bool {
    let stored_key = record::key_of(bucket.name.as_str(), key);
    let value = shared
        .committer
        .store()
        .get(Space::Keys, &stored_key)
        .ok()
        .flatten();
    let entry = value.and_then(|value| record::entry_of(&value).ok());
    entry.is_some_and(|(entry, _)| entry.expires == Some(moment))
}

/// Takes away a structure that has expired and cannot be read.
fn expire_damaged(shared: &Shared, bucket: &Arc<BucketState>, name: &Name<'_>) -> StoreResult<()> {
    let Ok(key) = record::to_key(name.key) else {
        return Ok(());
    };
    let loaded = memory::give_up(shared, &bucket.name, key, "a structure that has expired");
    if let Some(given_up) = memory::keep(shared, &loaded).first() {
        expire(shared, bucket, shared.lane(name), given_up);
    }
    Ok(())
}

/// Takes away what a key has, unless somebody was faster.
fn expire(shared: &Shared, bucket: &Arc<BucketState>, lane: &Lane, expired: &Slot) {
    let name = Name::new(bucket.id, expired.key());
    let look = lane.look();
    let mut state = lane.lock();
    let hot = look.get(&name);
    let before = hot.as_deref();
    if state.is_closed || before.is_none_or(|slot| slot.revision() != expired.revision()) {
        return;
    }
    let publication = Publication {
        bucket,
        name: &name,
        before,
        hot: before,
        is_expiry: true,
    };
    publication.publish_next(&mut state, None);
    let counts = state.take_counts();
    drop(state);
    shared.tell(bucket, counts);
}

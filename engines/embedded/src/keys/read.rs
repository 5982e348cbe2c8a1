//! Reading keys.

use std::sync::Arc;

use parking_lot::MutexGuard;
use smallvec::SmallVec;
use switchboard_engine::keys::Entry;
use switchboard_engine::names::KEY_BYTES_MAX;
use switchboard_engine::{Answer, Bucket, EngineError, Key, Result};

use super::Shared;
use super::lane::{LANES, LaneState};
use super::memory::{self, Loaded};
use super::name::Name;
use super::slot::Slot;

/// Up to so many keys of one edit are looked at without memory for the lists of what was found.
pub(super) const USUAL_KEYS: usize = 16;

/// How often what was just read from the store may be dropped before it is used, until something is wrong.
pub(super) const TRIES: usize = 32;

/// What a key has.
#[inline]
pub(super) fn get(shared: &Arc<Shared>, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>> {
    if let Err(error) = shared.check_open() {
        return Answer::err(error);
    }
    let found = shared.buckets.with(bucket, |bucket| {
        let name = Name::new(bucket.id, key);
        let look = |slot: &Slot| {
            slot.use_it();
            slot.entry(|| shared.now())
        };
        let lane = shared.lane(&name);
        let found = lane.read(&name, |slot| slot.home().is_none().then(|| look(slot)));
        match found {
            Some(None) => {
                let _state = lane.lock();
                lane.peek(&name, look)
            }
            found => found.flatten(),
        }
    });
    match found {
        Some(Some(entry)) => Answer::ok(entry),
        // Every bucket that holds something is known.
        None => Answer::ok(None),
        Some(None) if shared.is_complete() || key.len() > KEY_BYTES_MAX => Answer::ok(None),
        Some(None) => get_cold(shared, bucket, key),
    }
}

#[cold]
fn get_cold(shared: &Arc<Shared>, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>> {
    let Ok(key) = Key::new(bytes::Bytes::copy_from_slice(key)) else {
        return Answer::ok(None);
    };
    let (shared, bucket) = (Arc::clone(shared), bucket.clone());
    Answer::later(async move {
        let loaded = memory::load(&shared, &bucket, vec![key]).await?;
        // That it was absent from memory is the moment of this reading, so what was read is right.
        Ok(memory::keep(&shared, &loaded).first().and_then(|slot| {
            let name = Name::of(slot);
            let lane = shared.lane(&name);
            let _state = lane.lock();
            let entry = |slot: &Slot| slot.entry(|| shared.now());
            lane.peek(&name, entry).unwrap_or_else(|| entry(slot))
        }))
    })
}

/// What several keys have, all at one moment.
pub(super) fn get_many(shared: &Arc<Shared>, bucket: &Bucket, keys: &[Key]) -> Answer<Vec<Option<Entry>>> {
    if let Err(error) = shared.check_open() {
        return Answer::err(error);
    }
    if let [key] = keys {
        return get(shared, bucket, key.as_bytes()).map(|entry| vec![entry]);
    }
    match get_known(shared, bucket, keys, &Loaded::default()) {
        Ok(entries) => Answer::ok(entries),
        Err(cold) => {
            let (shared, bucket, keys) = (Arc::clone(shared), bucket.clone(), keys.to_vec());
            Answer::later(async move { get_many_cold(&shared, &bucket, &keys, cold).await })
        }
    }
}

/// What several keys have, if all are in memory or were loaded; else those that are not.
fn get_known(
    shared: &Arc<Shared>,
    bucket: &Bucket,
    keys: &[Key],
    loaded: &Loaded,
) -> Result<Vec<Option<Entry>>, Vec<Key>> {
    let Some(id) = shared.buckets.with(bucket, |bucket| bucket.id) else {
        return Ok(vec![None; keys.len()]);
    };
    let names: Vec<Name<'_>> = keys.iter().map(|key| Name::new(id, key.as_bytes())).collect();
    let locked = lock_lanes(shared, &names);
    let now = shared.now();
    let mut cold = Vec::new();
    let mut entries = Vec::with_capacity(keys.len());
    for (name, key) in names.iter().zip(keys) {
        let look = |slot: &Slot| {
            slot.use_it();
            slot.entry(|| now)
        };
        let was_loaded = || {
            let slot = loaded
                .get(key)?
                .slot(lane_of(&locked, shared.lane_index(name))?)?;
            Some(look(slot))
        };
        match shared.lane(name).peek(name, look).or_else(was_loaded) {
            Some(entry) => entries.push(entry),
            None if shared.is_complete() => entries.push(None),
            None => cold.push(key.clone()),
        }
    }
    drop(locked);
    if cold.is_empty() { Ok(entries) } else { Err(cold) }
}

async fn get_many_cold(
    shared: &Arc<Shared>,
    bucket: &Bucket,
    keys: &[Key],
    mut cold: Vec<Key>,
) -> Result<Vec<Option<Entry>>> {
    for _ in 0..TRIES {
        let loaded = memory::load(shared, bucket, cold).await?;
        match get_known(shared, bucket, keys, &loaded) {
            Ok(entries) => {
                memory::keep(shared, &loaded);
                return Ok(entries);
            }
            Err(more) => cold = more,
        }
    }
    Err(too_little_memory())
}

/// Lanes that are locked, by their index.
pub(super) type Locked<'a> = SmallVec<[(usize, MutexGuard<'a, LaneState>); USUAL_KEYS]>;

/// The one of that index.
pub(super) fn lane_of<'a>(locked: &'a Locked<'_>, index: usize) -> Option<&'a LaneState> {
    let lane = locked.iter().find(|(locked, _)| *locked == index);
    lane.map(|(_, state)| &**state)
}

/// The lanes of some keys, locked in an order that all keep to.
pub(super) fn lock_lanes<'a>(shared: &'a Shared, names: &[Name<'_>]) -> Locked<'a> {
    let mut wanted = [false; LANES];
    for name in names {
        if let Some(wanted) = wanted.get_mut(shared.lane_index(name)) {
            *wanted = true;
        }
    }
    let lanes = shared.lanes.iter().zip(wanted).enumerate();
    lanes
        .filter(|(_, (_, wanted))| *wanted)
        .map(|(index, (lane, _))| (index, lane.lock()))
        .collect()
}

pub(super) fn too_little_memory() -> EngineError {
    EngineError::unavailable(
        std::time::Duration::from_secs(1),
        "what is read from the disk is dropped from memory at once: give the engine more memory",
    )
}

//! Changing several keys in one step.
//!
//! All lanes of the batch are locked, in their order, from deciding to publishing: so nothing comes in between, the
//! commit thread takes all of it or nothing, and readers wait out the moment of publishing (see
//! [`lane`](super::lane)).

use std::sync::Arc;

use bytes::Bytes;
use foldhash::{HashMap, HashMapExt};
use switchboard_engine::keys::{BATCH_WRITES_MAX, BatchOutcome, Decision, Entry, Revision, Write};
use switchboard_engine::{Answer, Bucket, EngineError, Key, Kind, Result};

use super::buckets::BucketState;
use super::memory::{self, Loaded};
use super::name::Name;
use super::read::{Locked, TRIES, lane_of, lock_lanes, too_little_memory};
use super::ring::Ring;
use super::slot::Slot;
use super::write::{self, Attempt, Publication};
use super::{Shared, closed};
use crate::commit::Admission;

type Writes = Vec<(Key, Write)>;

/// Changes several keys, or none.
pub(super) fn batch(shared: &Arc<Shared>, bucket: &Bucket, writes: Writes) -> Answer<BatchOutcome> {
    if writes.len() > BATCH_WRITES_MAX {
        return Answer::err(EngineError::TooLarge(format!(
            "the batch has {} writes: at most {BATCH_WRITES_MAX} are possible",
            writes.len()
        )));
    }
    match shared.committer.admit() {
        Ok(Admission::Yes) => {}
        Ok(Admission::Wait) => return batch_later(shared, bucket, writes),
        Err(error) => return Answer::err(error),
    }
    match attempt(
        shared,
        &shared.buckets.find_or_create(bucket),
        writes,
        &Loaded::default(),
    ) {
        Attempt::Done(outcome) => acknowledge(shared, outcome),
        Attempt::Again(writes) => batch_later(shared, bucket, writes),
    }
}

fn acknowledge(shared: &Arc<Shared>, outcome: Result<BatchOutcome>) -> Answer<BatchOutcome> {
    match outcome {
        Ok(done @ BatchOutcome::Done(_)) => shared.committer.acknowledge(done),
        outcome => Answer::now(outcome),
    }
}

#[cold]
fn batch_later(shared: &Arc<Shared>, bucket: &Bucket, mut writes: Writes) -> Answer<BatchOutcome> {
    let (shared, name) = (Arc::clone(shared), bucket.clone());
    Answer::later(async move {
        let mut loaded = Loaded::default();
        for _ in 0..TRIES {
            shared.committer.room().await?;
            let bucket = shared.buckets.find_or_create(&name);
            match attempt(&shared, &bucket, writes, &loaded) {
                Attempt::Done(outcome) => return acknowledge(&shared, outcome).await,
                Attempt::Again(again) => writes = again,
            }
            let keys = writes.iter().map(|(key, _)| key.clone()).collect();
            loaded = memory::load(&shared, &name, keys).await?;
        }
        Err(too_little_memory())
    })
}

/// Changes several keys, if they are in memory or were loaded.
fn attempt(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    writes: Writes,
    loaded: &Loaded,
) -> Attempt<BatchOutcome, Writes> {
    let keys: Vec<Key> = writes.iter().map(|(key, _)| key.clone()).collect();
    let names: Vec<Name<'_>> = keys
        .iter()
        .map(|key| Name::new(bucket.id, key.as_bytes()))
        .collect();
    let mut locked = lock_lanes(shared, &names);
    if locked.iter().any(|(_, state)| state.is_closed) {
        return Attempt::Done(Err(closed()));
    }
    if bucket.is_retired() {
        return Attempt::Again(writes);
    }
    let mut cold: Vec<Option<&Slot>> = Vec::with_capacity(keys.len());
    for (key, name) in keys.iter().zip(&names) {
        let is_hot = shared.lane(name).peek(name, |_| ()).is_some();
        let was_loaded = || loaded.get(key)?.slot(lane_of(&locked, shared.lane_index(name))?);
        let slot = if is_hot { None } else { was_loaded() };
        if !is_hot && slot.is_none() && !shared.is_complete() {
            return Attempt::Again(writes);
        }
        cold.push(slot);
    }
    let changes = &bucket.changes;
    let mut ring = changes.is_watched().then(|| changes.lock());
    let first = bucket.next_revisions(writes.len() as u64);
    let decided = match decide(shared, &names, &cold, writes, first) {
        Ok(Ok(decided)) => decided,
        Ok(Err(unmet)) => return Attempt::Done(Ok(unmet)),
        Err(error) => return Attempt::Done(Err(error)),
    };
    let decided_of = names.iter().zip(&cold).zip(&decided);
    let changes = decided_of.filter(|(_, one)| one.is_change);
    let changes = changes.map(|((name, cold), one)| (name, *cold, one));
    publish(shared, bucket, changes, &mut locked, ring.as_deref_mut());
    drop(ring);
    let counts = locked.iter_mut().map(|(_, state)| state.take_counts()).sum();
    drop(locked);
    shared.tell(bucket, counts);
    let told = |entry: Entry| match entry.kind {
        Kind::Plain => entry,
        _ => Entry {
            value: Bytes::new(),
            ..entry
        },
    };
    let outcomes = decided
        .into_iter()
        .map(|one| (one.before.map(told), one.after.map(told)));
    Attempt::Done(Ok(BatchOutcome::Done(outcomes.collect())))
}

/// What a write of a batch comes to.
struct Decided {
    before: Option<Entry>,
    after: Option<Entry>,
    is_change: bool,
    revision: Revision,
}

/// What all writes come to, or which of them is not met. The write at index `i` has the revision `first + i`.
fn decide(
    shared: &Shared,
    names: &[Name<'_>],
    cold: &[Option<&Slot>],
    writes: Writes,
    first: Revision,
) -> Result<Result<Vec<Decided>, BatchOutcome>> {
    let now = shared.now();
    let mut decided: Vec<Decided> = Vec::with_capacity(writes.len());
    // The last write of the batch to each key.
    let mut latest: HashMap<&[u8], usize> = HashMap::with_capacity(writes.len());
    for (index, (((_, write), name), cold)) in writes.into_iter().zip(names).zip(cold).enumerate() {
        let earlier = latest.get(name.key).and_then(|earlier| decided.get(*earlier));
        let before = match earlier {
            Some(earlier) => earlier.after.clone(),
            None => match cold {
                Some(slot) => slot.told(|| now),
                None => shared.lane(name).peek(name, |slot| slot.told(|| now)).flatten(),
            },
        };
        let revision = Revision(first.0 + index as u64);
        let (is_change, after) = match write.decide(before.as_ref(), || now)? {
            Decision::Unmet => {
                return Ok(Err(BatchOutcome::Unmet {
                    index,
                    current: before,
                }));
            }
            Decision::Nothing => (false, None),
            Decision::Delete => (true, None),
            Decision::Set {
                value,
                kind,
                created,
                expires,
            } => {
                let after = Entry {
                    value,
                    kind,
                    revision,
                    created,
                    expires,
                };
                (true, Some(after))
            }
        };
        latest.insert(name.key, index);
        decided.push(Decided {
            before,
            after,
            is_change,
            revision,
        });
    }
    Ok(Ok(decided))
}

fn publish<'a>(
    shared: &Shared,
    bucket: &Arc<BucketState>,
    changes: impl Iterator<Item = (&'a Name<'a>, Option<&'a Slot>, &'a Decided)>,
    locked: &mut Locked<'_>,
    mut ring: Option<&mut Ring>,
) {
    let lanes: Vec<_> = locked.iter().map(|(index, _)| *index).collect();
    let turn = || {
        lanes
            .iter()
            .for_each(|index| shared.lanes[*index].turn_publishing())
    };
    turn();
    for (name, cold, one) in changes {
        let index = shared.lane_index(name);
        let Some((_, state)) = locked.iter_mut().find(|(locked, _)| *locked == index) else {
            continue;
        };
        let lane = &shared.lanes[index];
        let look = lane.look();
        let hot = look.get(name);
        let publication = Publication {
            bucket,
            name,
            before: hot.as_deref().or(cold),
            hot: hot.as_deref(),
            is_expiry: false,
        };
        let value = one.after.as_ref().map(|entry| {
            // What it is made of was looked at when it was decided.
            let value = write::Decided::new(publication.before, entry.kind, entry.value.clone());
            value.unwrap_or_else(|_| write::Decided::Plain(entry.value.clone()))
        });
        let content = (value.as_ref().zip(one.after.as_ref()))
            .map(|(value, entry)| value.content(entry.created, entry.expires));
        publication.publish(state, one.revision, content, ring.as_deref_mut());
    }
    turn();
}

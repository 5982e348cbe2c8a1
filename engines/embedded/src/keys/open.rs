//! Begins with what the store has.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_engine::{Bucket, Clock};

use super::buckets::Buckets;
use super::collect::{CLOSED_KEY, FLOOR_KEY, GENERATION_KEY, Written};
use super::expiry::Expiries;
use super::home::{self, Generation};
use super::lane;
use super::memory::Memory;
use super::name::Name;
use super::record::StoredBucket;
use super::rounds::{self, Records, RoundLog};
use super::slot::{SLOT_COST_BYTES, Slot};
use super::{EmbeddedKeys, Shared, record};
use crate::commit::Committer;
use crate::store::{Space, Store, StoreError, StoreResult, View};

impl EmbeddedKeys {
    /// The keys in the committer's store, of which they become a source. If all of them fit into memory they are read
    /// into it. With `accept_loss` the keys that can be read are counted anew.
    pub(crate) fn open(
        committer: &Arc<Committer>,
        clock: Arc<dyn Clock>,
        memory_bytes: usize,
        accept_loss: bool,
    ) -> StoreResult<Self> {
        let store = Arc::clone(committer.store());
        let view = store.view();
        let known = match read_buckets(&*view) {
            Ok(buckets) => buckets,
            Err(error) if accept_loss => {
                tracing::error!("counting keys anew: {error}");
                Known::default()
            }
            Err(error) => return Err(error),
        };
        let floor = read_floor(&*store)?;
        let generation = read_generation(&*store, accept_loss)?;
        let log = RoundLog::new(rounds::next_round(&*store)?);
        let was_closed = store.get(Space::Engine, CLOSED_KEY)?.is_some();
        let is_new = known.is_empty() && floor == 0;
        let counted = if accept_loss {
            count_anew(&*view, &known)
        } else {
            known.clone()
        };
        drop(view);
        let keys: u64 = counted.values().map(|bucket| bucket.keys).sum();
        let buckets = Buckets::new(counted.clone(), floor, was_closed || is_new);
        let recounted = counted
            .iter()
            .filter(|(name, bucket)| known.get(*name) != Some(*bucket));
        let recounted = recounted.filter_map(|(name, _)| buckets.find(name)).collect();
        let by_id = counted
            .iter()
            .filter_map(|(name, bucket)| Some((buckets.find(name)?.id, *bucket)));
        let written = Written::new(by_id.collect(), was_closed, generation, log, recounted);
        let shared = Arc::new(Shared {
            lanes: lane::lanes(),
            buckets,
            committer: Arc::clone(committer),
            clock,
            memory: Memory::new(memory_bytes),
            in_flight: Mutex::default(),
            written: Mutex::new(written),
            expiries: Expiries::default(),
            records: Records::default(),
        });
        match shared.load_all(&*store, keys) {
            Err(StoreError::Damaged(reason)) if accept_loss => {
                tracing::error!("some keys are lost: {reason}");
                shared.memory.is_no_more_complete();
            }
            loaded => loaded?,
        }
        committer.add_source(Arc::clone(&shared) as _);
        Ok(Self { shared })
    }
}

impl Shared {
    /// Reads all keys into memory, if they fit.
    ///
    /// # Errors
    /// Damaged, when there are not as many as there should be.
    fn load_all(&self, store: &dyn Store, keys: u64) -> StoreResult<()> {
        let least_bytes = keys.saturating_mul(SLOT_COST_BYTES as u64);
        if least_bytes > self.memory.limit() as u64 {
            self.memory.is_no_more_complete();
            return Ok(());
        }
        let view = store.view();
        let (mut bytes, mut found) = (0, 0);
        for stored in view.range(Space::Keys, Bound::Unbounded, Bound::Unbounded) {
            match stored.and_then(|(key, value)| self.slot_of(&*view, &key, &value)) {
                Ok(slot) if bytes + slot.cost() <= self.memory.limit() => {
                    bytes += slot.cost();
                    found += 1;
                    let held = slot.clone();
                    let name = Name::of(&held);
                    let mut state = self.lane(&name).lock();
                    state.publish(&name, slot, None);
                    self.memory.grow(state.take_counts().grown);
                }
                Ok(_) => {
                    self.memory.is_no_more_complete();
                    return Ok(());
                }
                // Whoever asks for it will be told; the rest can be used.
                Err(StoreError::Damaged(reason)) => {
                    tracing::error!("some keys are damaged: {reason}");
                    self.memory.is_no_more_complete();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if found != keys {
            return Err(StoreError::Damaged(format!(
                "{found} keys were found where {keys} were written"
            )));
        }
        Ok(())
    }

    fn slot_of(&self, view: &dyn View, key: &[u8], value: &Bytes) -> StoreResult<Slot> {
        let (bucket, key) = record::parts_of(key)?;
        let state = self.buckets.find_named(bucket);
        let state = state.ok_or_else(|| StoreError::Damaged(format!("bucket {bucket} has no record")))?;
        record::slot_of(&Name::new(state.id, key), Some(value), Some(view)).map_err(|error| match error {
            StoreError::Damaged(reason) => {
                StoreError::Damaged(format!("key {}: {reason}", key.escape_ascii()))
            }
            disk => disk,
        })
    }
}

/// What the store knows of buckets.
type Known = BTreeMap<Bucket, StoredBucket>;

fn read_buckets(view: &dyn View) -> StoreResult<Known> {
    let records = view.range(Space::Buckets, Bound::Unbounded, Bound::Unbounded);
    let bucket = |(name, value): (Bytes, Bytes)| Ok((bucket_named(&name)?, record::bucket_of(&value)?));
    records.map(|record| record.and_then(bucket)).collect()
}

fn bucket_named(name: &[u8]) -> StoreResult<Bucket> {
    let name = std::str::from_utf8(name).ok();
    let bucket = name.and_then(|name| Bucket::new(name.to_owned()).ok());
    bucket.ok_or_else(|| StoreError::Damaged("a bucket has an illegal name".to_owned()))
}

/// Counts the keys that can be read. Revisions go on above those that are known from anywhere.
fn count_anew(view: &dyn View, known: &Known) -> Known {
    let mut counted = known.clone();
    counted.values_mut().for_each(|bucket| bucket.keys = 0);
    for stored in view.range(Space::Keys, Bound::Unbounded, Bound::Unbounded) {
        let entry = stored.and_then(|(key, value)| {
            let (bucket, _) = record::parts_of(&key)?;
            Ok((bucket_named(bucket.as_bytes())?, record::entry_of(&value)?.0))
        });
        match entry {
            Ok((name, entry)) => {
                let bucket = counted.entry(name).or_default();
                bucket.keys += 1;
                bucket.revision = bucket.revision.max(entry.revision.0);
            }
            Err(error) => tracing::error!("not counted: {error}"),
        }
    }
    counted
}

fn read_floor(store: &dyn Store) -> StoreResult<u64> {
    read_number(store, FLOOR_KEY, "the greatest revision")
}

/// The greatest generation that was given. If that is lost, the greatest one that has parts.
fn read_generation(store: &dyn Store, accept_loss: bool) -> StoreResult<Generation> {
    let known = read_number(store, GENERATION_KEY, "the greatest generation of structures");
    if !accept_loss {
        return known;
    }
    let view = store.view();
    let parts = view.range(Space::Structures, Bound::Unbounded, Bound::Unbounded);
    // It ends with what is damaged; nothing is known of what follows, so that is skipped by far.
    const SKIP: Generation = 1 << 32;
    let mut greatest = known.unwrap_or_default();
    for part in parts {
        match part {
            Ok((key, _)) => greatest = greatest.max(home::generation_of(&key).unwrap_or_default()),
            Err(error) => tracing::error!("a structure is damaged: {error}"),
        }
    }
    Ok(greatest.saturating_add(SKIP))
}

fn read_number(store: &dyn Store, key: &[u8], what: &str) -> StoreResult<u64> {
    let Some(value) = store.get(Space::Engine, key)? else {
        return Ok(0);
    };
    let number = value.first_chunk::<8>().filter(|_| value.len() == 8);
    number
        .map(|number| u64::from_le_bytes(*number))
        .ok_or_else(|| StoreError::Damaged(format!("{what} has a wrong length")))
}

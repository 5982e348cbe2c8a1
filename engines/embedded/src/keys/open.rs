//! Begins with what the store has.

use std::sync::Arc;

use parking_lot::Mutex;
use switchboard_engine::{Bucket, Clock};

use super::buckets::Buckets;
use super::collect::{CLOSED_KEY, FLOOR_KEY, Written};
use super::expiry::Expiries;
use super::lane::Lane;
use super::memory::Memory;
use super::slot::{Name, SLOT_COST_BYTES, Slot};
use super::{EmbeddedKeys, Shared, record};
use crate::commit::Committer;
use crate::store::{Space, Store, StoreError, StoreResult, View};
use std::ops::Bound;

impl EmbeddedKeys {
    /// The keys in the committer's store, of which they become a source. If all of them fit into memory they are read
    /// into it.
    pub(crate) fn open(
        committer: &Arc<Committer>,
        clock: Arc<dyn Clock>,
        memory_bytes: usize,
    ) -> StoreResult<Self> {
        let store = Arc::clone(committer.store());
        let (buckets, floor) = {
            let view = store.view();
            (read_buckets(&*view)?, read_floor(&*store)?)
        };
        let was_closed = store.get(Space::Engine, CLOSED_KEY)?.is_some();
        let is_new = buckets.is_empty() && floor == 0;
        let keys: u64 = buckets.iter().map(|(_, bucket)| bucket.keys).sum();
        let stored = buckets.clone();
        let buckets = Buckets::new(buckets, floor, was_closed || is_new);
        let by_id = stored
            .into_iter()
            .filter_map(|(name, stored)| Some((buckets.find(&name)?.id, stored)));
        let written = Written::new(by_id.collect(), was_closed);
        let shared = Arc::new(Shared {
            lanes: Box::new(std::array::from_fn(|_| Lane::new())),
            buckets,
            committer: Arc::clone(committer),
            clock,
            memory: Memory::new(memory_bytes),
            in_flight: Mutex::default(),
            written: Mutex::new(written),
            expiries: Expiries::default(),
        });
        shared.load_all(&*store, keys)?;
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
            match stored.and_then(|(key, value)| self.slot_of(&key, &value)) {
                Ok(slot) if bytes + slot.cost() <= self.memory.limit() => {
                    bytes += slot.cost();
                    found += 1;
                    let lane = self.lane(&Name::new(slot.bucket(), slot.key()));
                    let mut state = lane.lock();
                    lane.publish(&mut state, slot, 0);
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

    fn slot_of(&self, key: &[u8], value: &bytes::Bytes) -> StoreResult<Slot> {
        let (bucket, key) = record::parts_of(key)?;
        let state = self.buckets.find_named(bucket);
        let state = state.ok_or_else(|| StoreError::Damaged(format!("bucket {bucket} has no record")))?;
        record::slot_of(&Name::new(state.id, key), Some(value))
    }
}

fn read_buckets(view: &dyn View) -> StoreResult<Vec<(Bucket, record::StoredBucket)>> {
    let records = view.range(Space::Buckets, Bound::Unbounded, Bound::Unbounded);
    let bucket = |(name, value): (bytes::Bytes, bytes::Bytes)| {
        let name = std::str::from_utf8(&name)
            .ok()
            .and_then(|name| Bucket::new(name.to_owned()).ok());
        let name = name.ok_or_else(|| StoreError::Damaged("a bucket has an illegal name".to_owned()))?;
        Ok((name, record::bucket_of(&value)?))
    };
    records.map(|record| record.and_then(bucket)).collect()
}

fn read_floor(store: &dyn Store) -> StoreResult<u64> {
    let Some(value) = store.get(Space::Engine, FLOOR_KEY)? else {
        return Ok(0);
    };
    let number = value.first_chunk::<8>().filter(|_| value.len() == 8);
    number
        .map(|number| u64::from_le_bytes(*number))
        .ok_or_else(|| StoreError::Damaged("the greatest revision has a wrong length".to_owned()))
}

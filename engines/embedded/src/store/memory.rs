//! The store of an engine that keeps nothing on disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};

use super::record::{checked_bytes, full_bounds, full_key};
use super::{Batch, Records, Space, Store, StoreResult, View};

/// Records in memory. A view holds up the writer for as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    records: RwLock<Map>,
    number: AtomicU64,
    /// To try with it what a store on disk wants.
    #[cfg(test)]
    prefers_logs: bool,
}

type Map = BTreeMap<Box<[u8]>, Bytes>;

#[cfg(test)]
impl MemoryStore {
    pub(crate) fn that_prefers_logs() -> Self {
        Self {
            prefers_logs: true,
            ..Self::default()
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, space: Space, key: &[u8]) -> StoreResult<Option<Bytes>> {
        let key = full_key(space, key);
        let stored = self.records.read().get(&*key).cloned();
        stored.map(|stored| checked_bytes(&key, stored)).transpose()
    }

    fn view(&self) -> Box<dyn View + '_> {
        Box::new(MemoryView(self.records.read()))
    }

    fn write(&self, batch: &Batch, number: u64) -> StoreResult<()> {
        let mut records = self.records.write();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => records.insert(key.into(), Bytes::copy_from_slice(value)),
                None => records.remove(key),
            };
        }
        self.number.store(number, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> StoreResult<()> {
        Ok(())
    }

    fn mend(&self) -> StoreResult<u64> {
        Ok(self.number.load(Ordering::Acquire))
    }

    fn settle(&self) -> StoreResult<()> {
        Ok(())
    }

    #[cfg(test)]
    fn prefers_logs(&self) -> bool {
        self.prefers_logs
    }
}

struct MemoryView<'a>(RwLockReadGuard<'a, Map>);

impl View for MemoryView<'_> {
    fn range(&self, space: Space, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Records<'_> {
        let (from, to) = full_bounds(space, from, to);
        let bounds = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        if is_empty(bounds) {
            return Box::new(std::iter::empty());
        }
        Box::new(self.0.range::<[u8], _>(bounds).map(|(key, stored)| {
            let value = checked_bytes(key, stored.clone())?;
            let key = key.get(1..).unwrap_or_default();
            Ok((Bytes::copy_from_slice(key), value))
        }))
    }
}

/// Whether nothing can be in a range: a map panics over such.
fn is_empty(bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match bounds {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to) | Bound::Included(to)) => {
            from >= to
        }
        _ => false,
    }
}

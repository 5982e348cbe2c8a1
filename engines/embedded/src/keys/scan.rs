//! Keys in order.
//!
//! A page is what there is at one moment: with all lanes locked, what is to be written is copied as far as the page may
//! need it, and a view of the store is taken; after that nothing holds up writers. So a page needs no wait for the
//! commit thread, whoever wrote something finds it, and no batch is torn.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use switchboard_engine::keys::{Entry, Page, SCAN_BYTES_MAX, SCAN_ENTRIES_MAX, Scan};
use switchboard_engine::{Bucket, EngineError, Key, Result, Timestamp};

use super::collect::InFlight;
use super::slot::Slot;
use super::{Shared, memory, record};
use crate::store::{Space, StoreError, after_prefix};

/// Reads one page.
pub(super) async fn scan(shared: &Arc<Shared>, bucket: Bucket, scan: Scan) -> Result<Page> {
    shared.check_open()?;
    let Some(id) = shared.buckets.with(&bucket, |bucket| bucket.id) else {
        return Ok(Page::default());
    };
    let shared = Arc::clone(shared);
    let reading = tokio::task::spawn_blocking(move || {
        let mut paging = Paging::new(&bucket, id, scan);
        paging.read(&shared)?;
        Ok(paging.page)
    });
    reading
        .await
        .unwrap_or_else(|_| Err(EngineError::Failed("reading the store has failed".to_owned())))
}

/// A page, being filled.
struct Paging<'a> {
    bucket: &'a str,
    id: u32,
    scan: Scan,
    /// The range of keys, as the store has them.
    from: Bound<Vec<u8>>,
    to: Vec<u8>,
    page: Page,
    bytes: usize,
    is_full: bool,
}

impl<'a> Paging<'a> {
    fn new(bucket: &'a Bucket, id: u32, mut scan: Scan) -> Self {
        let bucket = bucket.as_str();
        scan.limit = match scan.limit {
            0 => SCAN_ENTRIES_MAX,
            limit => limit.min(SCAN_ENTRIES_MAX),
        };
        let first = record::key_of(bucket, &scan.prefix);
        let from = match &scan.after {
            Some(after) if **after.as_bytes() >= *scan.prefix => {
                Bound::Excluded(record::key_of(bucket, after.as_bytes()))
            }
            _ => Bound::Included(first.clone()),
        };
        let to = match scan.prefix.is_empty() {
            true => record::end_of(bucket),
            // Nothing of another bucket comes in between: a name and a 0 come before.
            false => after_prefix(&first).unwrap_or_else(|| record::end_of(bucket)),
        };
        Self {
            bucket,
            id,
            scan,
            from,
            to,
            page: Page::default(),
            bytes: 0,
            is_full: false,
        }
    }

    fn read(&mut self, shared: &Shared) -> Result<()> {
        let store = Arc::clone(shared.committer.store());
        let lanes = shared.lock_all();
        let unwritten = lanes
            .iter()
            .flat_map(|state| &state.changes)
            .map(|change| &change.slot);
        let unwritten: Vec<Slot> = unwritten.filter(|slot| self.is_wanted(slot)).cloned().collect();
        let in_flight: InFlight = shared.in_flight.lock().clone();
        let view = store.view();
        drop(lanes);

        let now = shared.now();
        let in_flight = in_flight.iter().flatten().map(|change| &change.slot);
        let mut newer: BTreeMap<&[u8], &Slot> = (in_flight.filter(|slot| self.is_wanted(slot)))
            .map(|slot| (slot.key(), slot))
            .collect();
        newer.extend(unwritten.iter().map(|slot| (slot.key(), slot)));

        let (from, to) = (self.from.clone(), self.to.clone());
        for stored in view.range(
            Space::Keys,
            from.as_ref().map(Vec::as_slice),
            Bound::Excluded(&to),
        ) {
            let (key, value) = stored.map_err(|error| self.located(error))?;
            let (_, key) = record::parts_of(&key).map_err(|error| self.located(error))?;
            while let Some((newer_key, slot)) = newer.first_key_value()
                && *newer_key < key
            {
                let slot = *slot;
                newer.pop_first();
                self.add_slot(slot, now)?;
            }
            match newer.remove(key) {
                Some(slot) => self.add_slot(slot, now)?,
                None => self.add_stored(key, &value, now)?,
            }
            if self.is_full {
                return Ok(());
            }
        }
        for slot in newer.into_values() {
            self.add_slot(slot, now)?;
        }
        Ok(())
    }

    fn is_wanted(&self, slot: &Slot) -> bool {
        let is_after = || {
            self.scan
                .after
                .as_ref()
                .is_none_or(|after| slot.key() > &after.as_bytes()[..])
        };
        slot.bucket() == self.id && slot.key().starts_with(&self.scan.prefix) && is_after()
    }

    fn add_slot(&mut self, slot: &Slot, now: Timestamp) -> Result<()> {
        if !slot.is_live(|| now) {
            return Ok(());
        }
        let mut entry = slot.entry_without_value();
        if self.scan.values {
            entry.value = slot.shared_value();
        }
        self.add(slot.key(), entry)
    }

    fn add_stored(&mut self, key: &[u8], value: &Bytes, now: Timestamp) -> Result<()> {
        let mut entry = record::entry_of(value).map_err(|error| memory::named(error, self.bucket, key))?;
        if entry.expires.is_some_and(|moment| moment <= now) {
            return Ok(());
        }
        if !self.scan.values {
            entry.value = Bytes::new();
        }
        self.add(key, entry)
    }

    /// Adds an entry, or finds that it belongs to the next page.
    fn add(&mut self, key: &[u8], entry: Entry) -> Result<()> {
        if self.is_full {
            return Ok(());
        }
        let bytes = key.len() + entry.value.len();
        let is_first = self.page.entries.is_empty();
        if !is_first && (self.page.entries.len() >= self.scan.limit || self.bytes + bytes > SCAN_BYTES_MAX) {
            self.is_full = true;
            self.page.cursor = self.page.entries.last().map(|(key, _)| key.clone());
            return Ok(());
        }
        self.bytes += bytes;
        let key = record::to_key(key).map_err(|error| self.located(error))?;
        self.page.entries.push((key, entry));
        Ok(())
    }

    fn located(&self, error: StoreError) -> EngineError {
        let last: &[u8] = self
            .page
            .entries
            .last()
            .map_or(&[], |(key, _): &(Key, Entry)| key.as_bytes());
        match error {
            StoreError::Damaged(reason) => EngineError::Damaged(format!(
                "bucket {}, after key {}: {reason}",
                self.bucket,
                last.escape_ascii()
            )),
            disk => memory::named(disk, self.bucket, last),
        }
    }
}

//! Keys in order.
//!
//! A page is what there is at one moment: with all lanes locked, what is to be written is copied as far as the page may
//! need it, and a view of the store is taken; after that nothing holds up writers. So a page needs no wait for the
//! commit thread, whoever wrote something finds it, and no batch is torn.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;
use switchboard_engine::keys::{Entry, Page, SCAN_BYTES_MAX, SCAN_ENTRIES_MAX, Scan};
use switchboard_engine::{Bucket, EngineError, Key, Kind, Result, Timestamp};

use super::collect::InFlight;
use super::slot::Slot;
use super::{Shared, memory, record};
use crate::store::{Space, StoreError, View, after_prefix};

/// Structures that are newer than the store, by key.
type Encodings = HashMap<Vec<u8>, Bytes>;

/// Reads one page.
pub(super) async fn scan(shared: &Arc<Shared>, bucket: Bucket, scan: Scan) -> Result<Page> {
    read_page(shared, bucket, scan, true).await
}

/// Reads one page, with no values for structures.
pub(super) async fn scan_plain(shared: &Arc<Shared>, bucket: Bucket, scan: Scan) -> Result<Page> {
    read_page(shared, bucket, scan, false).await
}

async fn read_page(shared: &Arc<Shared>, bucket: Bucket, scan: Scan, structures: bool) -> Result<Page> {
    shared.check_open()?;
    let Some(id) = shared.buckets.with(&bucket, |bucket| bucket.id) else {
        return Ok(Page::default());
    };
    let shared = Arc::clone(shared);
    loop {
        shared.when_records_are_right().await?;
        let (shared, bucket, scan) = (Arc::clone(&shared), bucket.clone(), scan.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut paging = Paging::new(&bucket, id, scan);
            paging.wants_structures &= structures;
            Ok(paging.read(&shared)?.then_some(paging.page))
        });
        let page = reading.await;
        let page =
            page.unwrap_or_else(|_| Err(EngineError::Failed("reading the store has failed".to_owned())))?;
        if let Some(page) = page {
            return Ok(page);
        }
    }
}

/// A page, being filled.
struct Paging<'a> {
    bucket: &'a str,
    id: u32,
    scan: Scan,
    /// Whether values of structures are wanted.
    wants_structures: bool,
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
            Some(after) if *after.as_bytes() >= *scan.prefix => {
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
            wants_structures: scan.values,
            scan,
            from,
            to,
            page: Page::default(),
            bytes: 0,
            is_full: false,
        }
    }

    /// Reads the page. Tells whether there was one to be read.
    fn read(&mut self, shared: &Shared) -> Result<bool> {
        let store = Arc::clone(shared.committer.store());
        let lanes = shared.lock_all();
        if !shared.records.are_right() {
            return Ok(false);
        }
        let unwritten = lanes
            .iter()
            .flat_map(|state| &state.changes)
            .map(|change| &change.slot);
        let unwritten: Vec<Slot> = unwritten.filter(|slot| self.is_wanted(slot)).cloned().collect();
        let in_flight: InFlight = shared.in_flight.lock().clone();
        let view = store.view();
        let now = shared.now();
        let newest = || {
            let in_flight = in_flight.iter().flatten().map(|change| &change.slot);
            let mut newest: BTreeMap<&[u8], &Slot> = (in_flight.filter(|slot| self.is_wanted(slot)))
                .map(|slot| (slot.key(), slot))
                .collect();
            newest.extend(unwritten.iter().map(|slot| (slot.key(), slot)));
            newest
        };
        // Structures change in place, so that they are encoded at this moment.
        let early = self.wants_structures.then(|| {
            let newest = newest();
            let encodings = self.encodings(&newest, now);
            (newest, encodings)
        });
        drop(lanes);
        let (mut newer, encodings) = early.unwrap_or_else(|| (newest(), Encodings::default()));

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
                self.add_slot(slot, &encodings, now)?;
            }
            match newer.remove(key) {
                Some(slot) => self.add_slot(slot, &encodings, now)?,
                None => self.add_stored(&*view, key, &value, now)?,
            }
            if self.is_full {
                return Ok(true);
            }
        }
        for slot in newer.into_values() {
            self.add_slot(slot, &encodings, now)?;
        }
        Ok(true)
    }

    /// The encodings of the structures among the newest slots, as many of the first as may be in the page. All lanes are
    /// locked.
    fn encodings(&self, newest: &BTreeMap<&[u8], &Slot>, now: Timestamp) -> Encodings {
        let (mut encodings, mut bytes) = (Encodings::default(), 0);
        let live = newest.iter().filter(|(_, slot)| slot.is_live(|| now));
        for (key, slot) in live.take(self.scan.limit + 1) {
            if bytes > SCAN_BYTES_MAX {
                break;
            }
            if let Some(home) = slot.home() {
                let encoding = home.encode();
                bytes += encoding.len();
                encodings.insert(key.to_vec(), encoding);
            } else {
                bytes += slot.value().len();
            }
        }
        encodings
    }

    fn is_wanted(&self, slot: &Slot) -> bool {
        let is_after = || {
            self.scan
                .after
                .as_ref()
                .is_none_or(|after| slot.key() > after.as_bytes())
        };
        slot.bucket() == self.id && slot.key().starts_with(&self.scan.prefix) && is_after()
    }

    fn add_slot(&mut self, slot: &Slot, encodings: &Encodings, now: Timestamp) -> Result<()> {
        if !slot.is_live(|| now) {
            return Ok(());
        }
        let mut entry = slot.entry_without_value();
        match slot.home() {
            None if self.scan.values => entry.value = slot.shared_value(),
            Some(_) if self.wants_structures => match encodings.get(slot.key()) {
                Some(encoding) => entry.value = encoding.clone(),
                None => {
                    self.end();
                    return Ok(());
                }
            },
            _ => {}
        }
        self.add(slot.key(), entry)
    }

    fn add_stored(&mut self, view: &dyn View, key: &[u8], value: &Bytes, now: Timestamp) -> Result<()> {
        let damaged = |error| memory::named(error, self.bucket, key);
        let (mut entry, parts) = record::entry_of(value).map_err(damaged)?;
        if entry.expires.is_some_and(|moment| moment <= now) {
            return Ok(());
        }
        if !self.scan.values || entry.kind != Kind::Plain && !self.wants_structures {
            entry.value = Bytes::new();
        } else if let Some(parts) = parts
            && !self.is_full
        {
            entry.value = record::value_of(view, &entry, parts).map_err(damaged)?;
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
            self.end();
            return Ok(());
        }
        self.bytes += bytes;
        let key = record::to_key(key).map_err(|error| self.located(error))?;
        self.page.entries.push((key, entry));
        Ok(())
    }

    fn end(&mut self) {
        if !self.is_full {
            self.is_full = true;
            self.page.cursor = self.page.entries.last().map(|(key, _)| key.clone());
        }
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

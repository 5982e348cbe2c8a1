//! Values by key.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream;
use switchboard_engine::keys::{
    BATCH_WRITES_MAX, BatchOutcome, Change, Condition, Edit, Entry, Expiry, Page, Revision, SCAN_BYTES_MAX,
    SCAN_ENTRIES_MAX, Scan, Watch, WatchEvent, WatchFrom, Write, Written,
};
use switchboard_engine::names::{check_structure, check_value};
use switchboard_engine::structures::Structure;
use switchboard_engine::{Answer, Bucket, EngineError, Key, Keys, Kind, Result, Timestamp};

use super::flaw::Flaw;
use super::state::Kept;
use super::world::Reference;

impl Keys for Reference {
    fn get(&self, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>> {
        self.look(|state| {
            Ok(state
                .buckets
                .get(bucket)
                .and_then(|kept| kept.entries.get(key))
                .cloned())
        })
    }

    fn get_many(&self, bucket: &Bucket, keys: &[Key]) -> Answer<Vec<Option<Entry>>> {
        self.look(|state| {
            let kept = state.buckets.get(bucket);
            let get = |key| kept.and_then(|kept| kept.entries.get(key)).cloned();
            Ok(keys.iter().map(get).collect())
        })
    }

    fn write(&self, bucket: &Bucket, key: Key, write: Write) -> Answer<Written> {
        let flaw = self.world.flaw;
        if flaw == Flaw::ConditionApart && write.condition != Condition::Always {
            return self.write_in_two_steps(bucket.clone(), key, write);
        }
        self.look(|state| {
            let now = state.now;
            state
                .buckets
                .entry(bucket.clone())
                .or_default()
                .write(&key, write, now, flaw)
        })
    }

    fn batch(&self, bucket: &Bucket, writes: Vec<(Key, Write)>) -> Answer<BatchOutcome> {
        let flaw = self.world.flaw;
        self.look(|state| {
            let now = state.now;
            if writes.len() > BATCH_WRITES_MAX {
                return Err(EngineError::TooLarge("a batch".to_owned()));
            }
            let kept = state.buckets.entry(bucket.clone()).or_default();
            let before_all = kept.clone();
            let mut outcomes = Vec::new();
            for (index, (key, write)) in writes.into_iter().enumerate() {
                let failed = match kept.write(&key, write, now, flaw) {
                    Ok(Written::Done { before, after }) => {
                        outcomes.push((before, after));
                        continue;
                    }
                    Ok(Written::Unmet { current }) => Ok(BatchOutcome::Unmet { index, current }),
                    Err(error) => Err(error),
                };
                if flaw != Flaw::HalfBatch {
                    *kept = before_all;
                }
                return failed;
            }
            Ok(BatchOutcome::Done(outcomes))
        })
    }

    fn edit(&self, bucket: &Bucket, edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
        self.run(bucket, edit)
    }

    fn scan(&self, bucket: &Bucket, scan: Scan) -> Answer<Page> {
        let flaw = self.world.flaw;
        self.look(|state| {
            Ok(state
                .buckets
                .get(bucket)
                .map(|kept| kept.scan(&scan, flaw))
                .unwrap_or_default())
        })
    }

    fn watch(&self, bucket: &Bucket, prefix: Bytes, from: WatchFrom) -> Answer<Watch> {
        let flaw = self.world.flaw;
        let mut watch = Watching {
            engine: self.clone(),
            bucket: bucket.clone(),
            prefix,
            seen: 0,
            told: VecDeque::new(),
        };
        let begun = self.try_look(|state| {
            let kept = state.buckets.entry(bucket.clone()).or_default();
            match from {
                WatchFrom::Everything => watch.begin(kept),
                WatchFrom::After(revision) => {
                    watch.seen = revision.0;
                    if watch.look(kept, flaw) {
                        return Ok(());
                    }
                    watch.current(kept);
                }
                WatchFrom::Now => watch.current(kept),
            }
            Ok(())
        });
        Answer::now(begun.map(|()| watch.stream()))
    }

    fn count(&self, bucket: &Bucket) -> Answer<u64> {
        self.look(|state| {
            Ok(state
                .buckets
                .get(bucket)
                .map_or(0, |kept| kept.entries.len() as u64))
        })
    }

    fn clear(&self, bucket: &Bucket) -> Answer<()> {
        self.look(|state| {
            if let Some(kept) = state.buckets.get_mut(bucket) {
                let keys: Vec<Key> = kept.entries.keys().cloned().collect();
                keys.iter().for_each(|key| kept.remove(key, false));
            }
            Ok(())
        })
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        self.look(|state| {
            let full = state.buckets.iter().filter(|(_, kept)| !kept.entries.is_empty());
            Ok(full.map(|(bucket, _)| bucket.clone()).collect())
        })
    }
}

impl Reference {
    fn write_in_two_steps(&self, bucket: Bucket, key: Key, write: Write) -> Answer<Written> {
        let engine = self.clone();
        Answer::later(async move {
            let current = engine.get(&bucket, key.as_ref()).await?;
            if !is_met(write.condition, current.as_ref()) {
                return Ok(Written::Unmet { current });
            }
            tokio::task::yield_now().await;
            engine.write(&bucket, key, write.when(Condition::Always)).await
        })
    }
}

/// What is told of an entry where its value was not asked for.
fn told(entry: Entry) -> Entry {
    match entry.kind {
        Kind::Plain => entry,
        _ => Entry {
            value: Bytes::new(),
            ..entry
        },
    }
}

fn is_met(condition: Condition, current: Option<&Entry>) -> bool {
    match (condition, current) {
        (Condition::Always, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => true,
        (Condition::At(revision), Some(entry)) => entry.revision == revision,
        _ => false,
    }
}

/// What a change makes of a value; `None` for nothing.
fn changed(change: Change, old: Option<Bytes>, flaw: Flaw) -> Result<Option<Bytes>> {
    let text = || std::str::from_utf8(old.as_deref().unwrap_or(b"0"));
    Ok(Some(match change {
        Change::Delete => return Ok(None),
        Change::Touch => return Ok(old),
        Change::Put(value) => value,
        Change::PutStructure { kind, encoded } => {
            check_structure(encoded.len())?;
            if Structure::decode(kind, &encoded)?.is_empty() {
                return Ok(None);
            }
            encoded
        }
        Change::Append(more) => [old.unwrap_or_default(), more].concat().into(),
        Change::Increment(by) => {
            let number: Option<i64> = text().ok().and_then(|text| text.parse().ok());
            let number = number.ok_or(EngineError::NotAnInteger)?;
            number
                .checked_add(by)
                .ok_or(EngineError::Overflow)?
                .to_string()
                .into()
        }
        Change::IncrementFloat(by) => {
            let number: Option<f64> = text().ok().and_then(|text| text.parse().ok());
            let number = number
                .filter(|number| number.is_finite())
                .ok_or(EngineError::NotANumber)?;
            match number + by {
                sum if !sum.is_finite() => return Err(EngineError::Overflow),
                sum if flaw == Flaw::Exponents => format!("{sum:e}").into(),
                sum => sum.to_string().into(),
            }
        }
    }))
}

impl Kept {
    pub fn write(&mut self, key: &Key, write: Write, now: Timestamp, flaw: Flaw) -> Result<Written> {
        let before = self.entries.get(key).cloned();
        if !is_met(write.condition, before.as_ref()) {
            return Ok(Written::Unmet {
                current: before.map(told),
            });
        }
        let old = before.as_ref().map(|entry| entry.value.clone());
        let expires = match write.expiry {
            Expiry::Keep => before.as_ref().and_then(|entry| entry.expires),
            Expiry::Never => None,
            Expiry::At(moment) => Some(moment),
        };
        let kind = match (&write.change, &before) {
            (Change::PutStructure { .. }, _) if flaw == Flaw::ForgetsKind => Kind::Plain,
            (Change::PutStructure { kind, .. }, _) => *kind,
            (Change::Touch, Some(entry)) => entry.kind,
            (Change::Append(_) | Change::Increment(_) | Change::IncrementFloat(_), Some(entry))
                if entry.kind != Kind::Plain =>
            {
                return Err(EngineError::WrongKind(entry.kind));
            }
            _ => Kind::Plain,
        };
        let value = changed(write.change, old, flaw)?;
        check_value(value.as_ref().map_or(0, Bytes::len))?;
        let passed = expires.is_some_and(|moment| moment <= now);
        let Some(value) = value.filter(|_| !passed) else {
            self.remove(key, false);
            return Ok(Written::Done {
                before: before.map(told),
                after: None,
            });
        };
        if flaw == Flaw::ReusesRevisions && self.entries.is_empty() {
            self.revision = 0;
        }
        let entry = Entry {
            value,
            kind,
            revision: self.next_revision(),
            created: before.as_ref().map_or(now, |entry| entry.created),
            expires,
        };
        self.entries.insert(key.clone(), entry.clone());
        let entry = told(entry);
        let put = WatchEvent::Put {
            key: key.clone(),
            entry: entry.clone(),
        };
        self.tell(entry.revision, put);
        Ok(Written::Done {
            before: before.map(told),
            after: Some(entry),
        })
    }

    fn scan(&self, scan: &Scan, flaw: Flaw) -> Page {
        let limit = match scan.limit {
            0 => SCAN_ENTRIES_MAX,
            limit => limit.min(SCAN_ENTRIES_MAX),
        };
        let mut under = self
            .entries
            .iter()
            .filter(|(key, _)| key.as_bytes().starts_with(&scan.prefix) && Some(*key) > scan.after.as_ref());
        if flaw == Flaw::ScanSkips && scan.after.is_some() {
            under.next();
        }
        let mut page = Page::default();
        let mut bytes = 0;
        for (key, entry) in under {
            if page.entries.len() >= limit || bytes >= SCAN_BYTES_MAX {
                page.cursor = page.entries.last().map(|(key, _)| key.clone());
                break;
            }
            let mut entry = entry.clone();
            if !scan.values {
                entry.value = Bytes::new();
            }
            bytes += key.as_bytes().len() + entry.value.len();
            page.entries.push((key.clone(), entry));
        }
        page
    }
}

/// A watch, and how far it has read.
struct Watching {
    engine: Reference,
    bucket: Bucket,
    prefix: Bytes,
    seen: u64,
    told: VecDeque<WatchEvent>,
}

impl Watching {
    fn current(&mut self, kept: &Kept) {
        self.seen = kept.revision;
        let revision = Revision(kept.revision);
        self.told.push_back(WatchEvent::Current { revision });
    }

    fn begin(&mut self, kept: &Kept) {
        for (key, entry) in &kept.entries {
            if key.as_bytes().starts_with(&self.prefix) {
                let (key, entry) = (key.clone(), told(entry.clone()));
                self.told.push_back(WatchEvent::Put { key, entry });
            }
        }
        self.current(kept);
    }

    /// Looks what has changed. Tells whether it had to begin anew.
    fn look(&mut self, kept: &Kept, flaw: Flaw) -> bool {
        if self.seen < kept.forgotten && flaw != Flaw::WatchSkips {
            self.told.push_back(WatchEvent::Reset);
            self.begin(kept);
            return true;
        }
        for (revision, event) in &kept.changes {
            let (WatchEvent::Put { key, .. } | WatchEvent::Delete { key, .. }) = event else {
                continue;
            };
            if revision.0 > self.seen && key.as_bytes().starts_with(&self.prefix) {
                self.told.push_back(event.clone());
            }
        }
        self.seen = kept.revision;
        false
    }

    async fn next(&mut self) -> Option<WatchEvent> {
        let engine = self.engine.clone();
        let mut changed = engine.world.changed.subscribe();
        while !engine.is_closed() {
            if let Some(event) = self.told.pop_front() {
                return Some(event);
            }
            let bucket = self.bucket.clone();
            changed.mark_unchanged();
            // Not by `look`, which tells all others that something may have changed.
            engine.world.peek(|state| {
                if let Some(kept) = state.buckets.get(&bucket) {
                    self.look(kept, engine.world.flaw);
                }
            });
            if self.told.is_empty() && !engine.is_closed() {
                changed.changed().await.ok()?;
            }
        }
        None
    }

    fn stream(self) -> Watch {
        Box::pin(stream::unfold(self, async |mut watching| {
            let event = watching.next().await?;
            Some((Ok(event), watching))
        }))
    }
}

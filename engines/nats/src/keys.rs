//! Values by key, in a stream that keeps the last message of each subject.
//!
//! A write reads its key, decides, and publishes on the condition that the key has not changed; if it has, it begins
//! again. A delete is a message without a value in place of the last one. It is soon taken away, so that only what is
//! there is counted and scanned; another one for watchers, written before the delete is answered, is kept for
//! [`DELETED_KEPT`].

mod batch;
mod change;
mod edit;
mod expiring;
pub(crate) mod record;
pub(crate) mod scan;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_engine::keys::{
    BatchOutcome, Change, Edit, Entry, Page, Revision, Scan, Watch, WatchFrom, Write, Written,
};
use switchboard_engine::names::KEY_BYTES_MAX;
use switchboard_engine::{Answer, Bucket, EngineError, Key, Keys, Result};
use tokio::sync::{Mutex, MutexGuard};

use crate::feed;
use crate::janitor::{Chore, Janitor};
use crate::link::{Committed, DELETED_KEPT, Link, Outgoing, Patience, Read, SUBJECT_BYTES_MAX, SUBJECTS_MAX};
use crate::names::{Family, Stream};
use crate::register::Register;
use change::{Decision, decide};
use record::{Record, Writer};
use scan::Scanner;

/// What a message needs besides its value: the longest key, and headers.
const MESSAGE_OVERHEAD_MAX: usize = KEY_BYTES_MAX + 4 * 1024;

/// How often a write begins again because its key was changed by another hub: one of as many writers is served at
/// each round.
const CONFLICTS_MAX: usize = 200;

/// Longest pause before a write begins again.
const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Writers of this hub to one key wait for each other, instead of disturbing each other; so do those that share one of
/// so many locks with it.
const LOCKS: usize = 256;

/// How long the answer of a delete waits for its message to watchers; then that is left to the janitor.
const TELLING_TIME_MAX: Duration = Duration::from_secs(1);

/// Buckets that are looked into at a time, to see whether they hold something.
const LOOKED_INTO_MAX: usize = 16;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct NatsKeys {
    pub(crate) shared: Arc<Shared>,
}

/// What the parts of the engine share that keep something in the stream of keys.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) link: Arc<Link>,
    pub(crate) janitor: Janitor,
    pub(crate) register: Register,
    locks: Vec<Mutex<()>>,
}

/// What a key has, and the sequence of its last message: 0 if there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Current {
    pub(crate) sequence: u64,
    pub(crate) entry: Option<Entry>,
}

/// A key that has gone, and the message that says so.
struct Absent<'a> {
    key: &'a Key,
    sequence: u64,
    expired: bool,
    /// Whether the message before it tells watchers.
    is_told: bool,
}

/// The value that a change brings.
fn value_of(change: &Change) -> Option<&Bytes> {
    match change {
        Change::Put(value) | Change::Append(value) | Change::PutStructure { encoded: value, .. } => {
            Some(value)
        }
        Change::Delete | Change::Increment(_) | Change::IncrementFloat(_) | Change::Touch => None,
    }
}

impl Shared {
    pub(crate) fn new(link: Arc<Link>, janitor: Janitor) -> Self {
        Self {
            link,
            janitor,
            register: Register::default(),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Most bytes in a value.
    pub(crate) fn value_bytes_max(&self) -> usize {
        let max = self.link.message_bytes_max().saturating_sub(MESSAGE_OVERHEAD_MAX);
        max.min(switchboard_engine::names::VALUE_BYTES_MAX)
    }

    fn check_value(&self, bytes: usize) -> Result<()> {
        let max = self.value_bytes_max();
        if bytes <= max {
            return Ok(());
        }
        Err(EngineError::TooLarge(format!(
            "the value has {bytes} bytes: at most {max} are possible, as the NATS server's max_payload is {}; larger \
             things are kept as blobs",
            self.link.message_bytes_max()
        )))
    }

    pub(crate) async fn lock(&self, key: &[u8]) -> Option<MutexGuard<'_, ()>> {
        match self.locks.get(lock_of(key)) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        }
    }

    /// The locks of several keys.
    pub(super) async fn lock_all(&self, keys: &[Key]) -> Vec<MutexGuard<'_, ()>> {
        // In one order for all, so that nobody waits for somebody who waits for him.
        let places: BTreeSet<usize> = keys.iter().map(|key| lock_of(key.as_bytes())).collect();
        let mut guards = Vec::with_capacity(places.len());
        for lock in places.into_iter().filter_map(|at| self.locks.get(at)) {
            guards.push(lock.lock().await);
        }
        guards
    }

    /// What keys have, in their order, as far as possible at one moment.
    pub(crate) async fn current(
        &self,
        family: Family,
        bucket: &Bucket,
        keys: &[Key],
    ) -> Result<Vec<Current>> {
        let mut all = Vec::with_capacity(keys.len());
        let mut rest = keys;
        let mut together = keys.len();
        while !rest.is_empty() {
            let subjects = self.subjects(family, bucket, &rest[..together.min(rest.len())]);
            match self.link.latest(Stream::Keys, &subjects).await? {
                Read::All(stored) => {
                    let now = self.link.clock.now();
                    let (read, left) = rest.split_at(subjects.len());
                    let mut found: std::collections::HashMap<Key, Record> = stored
                        .into_iter()
                        .filter_map(|stored| Record::of(&self.link.names, stored))
                        .map(|record| (record.key.clone(), record))
                        .collect();
                    // A key may be asked for twice.
                    for key in read {
                        let record = found.get(key).cloned();
                        all.push(Current {
                            sequence: record.as_ref().map_or(0, |record| record.sequence),
                            entry: record.and_then(|record| record.entry_at(now)),
                        });
                    }
                    found.clear();
                    rest = left;
                }
                Read::TooMany => together = (subjects.len() / 2).max(1),
            }
        }
        Ok(all)
    }

    fn subjects(&self, family: Family, bucket: &Bucket, keys: &[Key]) -> Vec<String> {
        let mut bytes = 0;
        let subjects = keys
            .iter()
            .take(SUBJECTS_MAX)
            .map(|key| self.link.names.key(family, bucket, key.as_bytes()));
        subjects
            .take_while(|subject| {
                bytes += subject.len();
                bytes <= SUBJECT_BYTES_MAX
            })
            .collect()
    }

    async fn one(&self, family: Family, bucket: &Bucket, key: &Key) -> Result<Current> {
        let mut all = self.current(family, bucket, std::slice::from_ref(key)).await?;
        all.pop()
            .ok_or_else(|| EngineError::Failed("a read came to nothing".to_owned()))
    }

    /// Changes one key, and writes other messages in the same step, which may depend on what the key had.
    pub(crate) async fn write(
        &self,
        family: Family,
        bucket: &Bucket,
        key: Key,
        write: &Write,
        besides: impl Fn(Option<&Entry>) -> Vec<Outgoing>,
    ) -> Result<Written> {
        if let Some(value) = value_of(&write.change) {
            self.check_value(value.len())?;
        }
        let register = self.link.names.bucket(family, bucket);
        self.register.add(&self.link, Stream::Keys, &register).await?;
        let _waiting = self.lock(key.as_bytes()).await;
        let mut is_newest = !self.link.has_copies();
        for conflict in 0..CONFLICTS_MAX {
            let current = self.one(family, bucket, &key).await?;
            let now = self.link.clock.now();
            let decision = decide(current.entry.as_ref(), write, now)?;
            if matches!(decision, Decision::Unmet | Decision::Nothing) && !is_newest {
                // Another hub may have written what this copy has not yet.
                self.link.catch_up(Stream::Keys).await?;
                is_newest = true;
                continue;
            }
            let before = current.entry.clone();
            let told = || before.clone().map(Entry::told);
            let done = match decision {
                Decision::Unmet => return Ok(Written::Unmet { current: told() }),
                Decision::Nothing => {
                    return Ok(Written::Done {
                        after: told(),
                        before: told(),
                    });
                }
                Decision::Put(entry) => {
                    self.check_value(entry.value.len())?;
                    self.put(family, bucket, &key, &current, entry, besides(before.as_ref()))
                        .await?
                }
                Decision::Delete => self
                    .delete(
                        family,
                        bucket,
                        &key,
                        current.sequence,
                        false,
                        besides(before.as_ref()),
                    )
                    .await?
                    .then_some(None),
            };
            if let Some(after) = done {
                // The cluster may have come back empty in between.
                self.register.add(&self.link, Stream::Keys, &register).await?;
                return Ok(Written::Done {
                    before: told(),
                    after: after.map(Entry::told),
                });
            }
            self.after_conflict(conflict).await?;
            is_newest = true;
        }
        Err(contended(&self.link))
    }

    /// Lets others get on, and sees to it that what they have written is read.
    pub(super) async fn after_conflict(&self, conflict: usize) -> Result<()> {
        if self.link.has_copies() {
            self.link.catch_up(Stream::Keys).await?;
        }
        let most = CONFLICT_PAUSE_MAX.as_millis() as u64;
        let millis = (1_u64 << conflict.min(6)).min(most);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=millis))).await;
        Ok(())
    }

    /// None after a conflict.
    async fn put(
        &self,
        family: Family,
        bucket: &Bucket,
        key: &Key,
        current: &Current,
        mut entry: Entry,
        mut besides: Vec<Outgoing>,
    ) -> Result<Option<Option<Entry>>> {
        let names = &self.link.names;
        let writer = Writer {
            names,
            family,
            bucket,
        };
        let message = writer.put(key, Some(current.sequence), &entry, self.link.clock.now());
        besides.push(message);
        match self.link.commit(Stream::Keys, &besides).await? {
            Committed::Conflict => Ok(None),
            Committed::Stored(sequence) => {
                entry.revision = Revision(sequence);
                Ok(Some(Some(entry)))
            }
        }
    }

    /// False after a conflict.
    pub(crate) async fn delete(
        &self,
        family: Family,
        bucket: &Bucket,
        key: &Key,
        sequence: u64,
        expired: bool,
        mut messages: Vec<Outgoing>,
    ) -> Result<bool> {
        let names = &self.link.names;
        let writer = Writer {
            names,
            family,
            bucket,
        };
        messages.push(writer.absent(key, Some(sequence), expired));
        match self.link.commit(Stream::Keys, &messages).await? {
            Committed::Conflict => Ok(false),
            Committed::Stored(sequence) => {
                let absent = Absent {
                    key,
                    sequence,
                    expired,
                    is_told: false,
                };
                self.bury(family, bucket, absent).await;
                Ok(true)
            }
        }
    }

    /// Clears away the message that a key is absent, once watchers are told. If this hub is gone before, the server
    /// clears it away later, and until then it tells watchers itself.
    async fn bury(&self, family: Family, bucket: &Bucket, absent: Absent<'_>) {
        let names = &self.link.names;
        let writer = Writer {
            names,
            family,
            bucket,
        };
        let Absent {
            key,
            sequence,
            expired,
            is_told,
        } = absent;
        let is_watched = family == Family::Values && !is_told;
        let mut before = is_watched.then(|| writer.deleted_later(key, sequence, expired));
        if let Some(message) = &before {
            // Who writes after the delete was answered writes after this, too: so watchers hear of them in this order.
            let telling = self.link.commit(Stream::Keys, std::slice::from_ref(message));
            if let Ok(Ok(_)) = tokio::time::timeout(TELLING_TIME_MAX, telling).await {
                before = None;
            }
        }
        let chore = Chore {
            stream: Stream::Keys,
            before,
            purge: (names.key(family, bucket, key.as_bytes()), sequence),
            after: None,
        };
        self.janitor.add(chore).await;
    }

    /// The names of buckets that hold something of that family.
    pub(crate) async fn buckets(&self, family: Family) -> Result<Vec<Bucket>> {
        let filter = self.link.names.buckets(family);
        let names = self.register.all(&self.link, Stream::Keys, &filter).await?;
        let buckets = names.into_iter().filter_map(|name| Bucket::new(name).ok());
        let first = Scan {
            limit: 1,
            ..Scan::default()
        };
        let first = &first;
        let looked_into = futures_util::stream::iter(buckets).map(|bucket| async move {
            let scanner = Scanner {
                link: &self.link,
                family,
                bucket: &bucket,
            };
            let page = scanner.page(first).await?;
            Ok((!page.entries.is_empty()).then_some(bucket))
        });
        let found: Vec<Result<Option<Bucket>>> = looked_into.buffered(LOOKED_INTO_MAX).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    async fn count(&self, bucket: &Bucket) -> Result<u64> {
        self.janitor.is_done(&self.link).await?;
        let filter = self.link.names.keys_under(Family::Values, bucket, b"");
        if let Read::All(stored) = self
            .link
            .latest(Stream::Keys, std::slice::from_ref(&filter))
            .await?
        {
            let now = self.link.clock.now();
            let there = stored
                .into_iter()
                .filter_map(|stored| Record::of(&self.link.names, stored)?.entry_at(now));
            return Ok(there.count() as u64);
        }
        let mut patience = Patience::new(&self.link);
        loop {
            match feed::count(&self.link, Stream::Keys, filter.clone()).await {
                Ok(count) => return Ok(count),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    async fn clear(&self, bucket: &Bucket) -> Result<()> {
        let last = self.link.catch_up(Stream::Keys).await?;
        let filter = self.link.names.keys_under(Family::Values, bucket, b"");
        self.link.purge(Stream::Keys, &filter, Some(last)).await?;
        let told = Outgoing {
            subject: self.link.names.cleared(bucket),
            expected: None,
            about: None,
            again: false,
            record: "c".to_owned(),
            ttl: Some(DELETED_KEPT),
            body: Bytes::new(),
        };
        self.link.commit(Stream::Keys, &[told]).await?;
        Ok(())
    }
}

pub(crate) fn contended(link: &Link) -> EngineError {
    Patience::new(link).give_up("other hubs change this all the time")
}

fn lock_of(key: &[u8]) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    usize::try_from(hash % LOCKS as u64).unwrap_or(0)
}

fn nothing_besides(_: Option<&Entry>) -> Vec<Outgoing> {
    Vec::new()
}

impl Keys for NatsKeys {
    fn get(&self, bucket: &Bucket, key: &[u8]) -> Answer<Option<Entry>> {
        let Ok(key) = Key::new(Bytes::copy_from_slice(key)) else {
            return Answer::ok(None);
        };
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { Ok(shared.one(Family::Values, &bucket, &key).await?.entry) })
    }

    fn get_many(&self, bucket: &Bucket, keys: &[Key]) -> Answer<Vec<Option<Entry>>> {
        let (shared, bucket, keys) = (Arc::clone(&self.shared), bucket.clone(), keys.to_vec());
        Answer::later(async move {
            let all = shared.current(Family::Values, &bucket, &keys).await?;
            Ok(all.into_iter().map(|current| current.entry).collect())
        })
    }

    fn write(&self, bucket: &Bucket, key: Key, write: Write) -> Answer<Written> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move {
            shared
                .write(Family::Values, &bucket, key, &write, nothing_besides)
                .await
        })
    }

    fn batch(&self, bucket: &Bucket, writes: Vec<(Key, Write)>) -> Answer<BatchOutcome> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { shared.batch(&bucket, &writes).await })
    }

    fn edit(&self, bucket: &Bucket, edit: Box<dyn Edit>) -> Answer<Box<dyn Edit>> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { shared.edit(&bucket, edit).await })
    }

    fn scan(&self, bucket: &Bucket, scan: Scan) -> Answer<Page> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move {
            scan::check(&scan)?;
            let scanner = Scanner {
                link: &shared.link,
                family: Family::Values,
                bucket: &bucket,
            };
            scanner.page(&scan).await
        })
    }

    fn watch(&self, bucket: &Bucket, prefix: Bytes, from: WatchFrom) -> Answer<Watch> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(watch::begin(shared, bucket, prefix, from))
    }

    fn count(&self, bucket: &Bucket) -> Answer<u64> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { shared.count(&bucket).await })
    }

    fn clear(&self, bucket: &Bucket) -> Answer<()> {
        let (shared, bucket) = (Arc::clone(&self.shared), bucket.clone());
        Answer::later(async move { shared.clear(&bucket).await })
    }

    fn buckets(&self) -> Answer<Vec<Bucket>> {
        let shared = Arc::clone(&self.shared);
        Answer::later(async move { shared.buckets(Family::Values).await })
    }
}

//! Values by key, in a stream that keeps the last message of each subject.
//!
//! A write reads its key, decides, and publishes on the condition that the key has not changed; if it has, it begins
//! again. A delete is a message without a value in place of the last one. It is soon taken away, so that only what is
//! there is counted and scanned; another one for watchers, written before the delete is answered, is kept for
//! [`DELETED_KEPT`].

mod batch;
mod buckets;
mod change;
mod edit;
mod expiring;
pub(crate) mod record;
pub(crate) mod scan;
mod watch;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use switchboard_engine::keys::{
    BatchOutcome, Change, Edit, Entry, Page, Scan, Watch, WatchFrom, Write, Written,
};
use switchboard_engine::names::KEY_BYTES_MAX;
use switchboard_engine::{Answer, Bucket, EngineError, Key, Keys, Result};
use tokio::sync::Mutex;

use crate::janitor::Janitor;
use crate::link::{Link, Read, SUBJECT_BYTES_MAX, SUBJECTS_MAX};
use crate::names::{Family, Stream};
use crate::register::Register;
use record::Record;
use scan::Scanner;
pub(crate) use write::contended;
use write::{Absent, CONFLICTS_MAX, nothing_besides};

/// What a message needs besides its value: the longest key, and headers.
const MESSAGE_OVERHEAD_MAX: usize = KEY_BYTES_MAX + 4 * 1024;

/// Writers of this hub to one key wait for each other, instead of disturbing each other; so do those that share one of
/// so many locks with it.
const LOCKS: usize = 256;

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

//! Keys, as one party sees them: the verbs over the engine, with its permissions.
//!
//! Two things are the hub's: buckets whose names begin with `hub.`, where it keeps what is its own, and in the bucket
//! `default` the keys that begin with `topic:`, which show the last values of topics and are written by publishing.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use switchboard_engine::keys::look_at_entries;
use switchboard_engine::{Answer, Keys};
use switchboard_peer::{ErrorKind, Fault};

use crate::permissions::Verb;
use crate::session::SessionCore;

mod confined;
pub(crate) mod events;
pub mod json;
mod topics;

pub use switchboard_engine::blocking::block_in_place;
pub use switchboard_engine::keys::{
    BATCH_WRITES_MAX, BatchOutcome, Cell, Cells, Change, Condition, Edit, Entry, Expiry, Page, Reach,
    Revision, SCAN_ENTRIES_MAX, Scan, WatchEvent, WatchFrom, Write, Written,
};
pub use switchboard_engine::names::{DEFAULT_BUCKET, KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use switchboard_engine::{Bucket, EngineError, Key, Kind, Timestamp, structures};

pub use events::{CHANGE, KIND, REVISION};
pub use topics::TOPIC_KEY_PREFIX;
pub(crate) use topics::is_of_topics;

/// The keys of the hub, with what one session may do. Made by [`Session::keys`](crate::Session::keys); cheap.
///
/// What the verbs promise stands in [`switchboard_engine::keys`]. Each is refused at once when the session may not, and
/// else is under way.
#[derive(Debug, Clone, Copy)]
pub struct SessionKeys<'a> {
    pub(crate) core: &'a SessionCore,
    pub(crate) keys: &'a dyn Keys,
}

/// What becomes of a verb: a future, that often is ready at once.
///
/// # Cancel safety
/// Dropping it gives up only on hearing of the outcome.
#[derive(Debug)]
#[must_use = "it may be a fault, and what takes time is not done until it is awaited"]
pub struct Stored<T>(Answer<T>);

impl<T> Stored<T> {
    /// The outcome, if it is there already.
    ///
    /// # Errors
    /// Itself, when it takes time.
    pub fn now(self) -> Result<Result<T, Fault>, Self> {
        match self.0 {
            Answer::Now(Some(outcome)) => Ok(outcome.map_err(fault)),
            other => Err(Self(other)),
        }
    }
}

impl<T: Unpin> Future for Stored<T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(fault)
    }
}

/// Changes, as they happen: see [`SessionKeys::watch`]. A fault is the last of it.
pub type Changes = BoxStream<'static, Result<WatchEvent, Fault>>;

impl SessionKeys<'_> {
    /// What a key has.
    ///
    /// # Errors
    /// Denied.
    pub fn get(&self, bucket: &Bucket, key: &Key) -> Result<Stored<Option<Entry>>, Fault> {
        self.core.check_key(Verb::Read, bucket, key)?;
        if let Some(topic) = topics::topic_of(bucket, key) {
            return Ok(Stored(topics::get(self.keys, topic)));
        }
        Ok(Stored(self.keys.get(bucket, key.as_ref())))
    }

    /// What several keys have, in their order.
    ///
    /// # Errors
    /// Denied, for any of them.
    pub fn get_many(&self, bucket: &Bucket, keys: &[Key]) -> Result<Stored<Vec<Option<Entry>>>, Fault> {
        for key in keys {
            self.core.check_key(Verb::Read, bucket, key)?;
        }
        if keys.iter().any(|key| is_of_topics(bucket, key.as_ref())) {
            return Ok(Stored(topics::get_many(self.keys, bucket, keys)));
        }
        Ok(Stored(self.keys.get_many(bucket, keys)))
    }

    /// Changes a key.
    ///
    /// # Errors
    /// Denied.
    pub fn write(&self, bucket: &Bucket, key: Key, write: Write) -> Result<Stored<Written>, Fault> {
        self.core.check_key(Verb::Write, bucket, &key)?;
        Ok(Stored(self.keys.write(bucket, key, write)))
    }

    /// Changes several keys in one step, or none.
    ///
    /// # Errors
    /// Denied, for any of them.
    pub fn batch(&self, bucket: &Bucket, writes: Vec<(Key, Write)>) -> Result<Stored<BatchOutcome>, Fault> {
        for (key, _) in &writes {
            self.core.check_key(Verb::Write, bucket, key)?;
        }
        Ok(Stored(self.keys.batch(bucket, writes)))
    }

    /// Runs an edit on keys, in one step, and gives it back with what it found. The last values of topics can be looked
    /// at, by an edit that reaches nothing else and changes nothing.
    ///
    /// # Errors
    /// Denied, for any key that it reaches.
    pub fn edit(&self, bucket: &Bucket, mut edit: Box<dyn Edit>) -> Result<Stored<Box<dyn Edit>>, Fault> {
        let verbs = if edit.changes() {
            &[Verb::Read, Verb::Write][..]
        } else {
            &[Verb::Read]
        };
        if matches!(edit.reach(), Reach::Any) {
            let check = |verb: &Verb| self.core.check_prefix(*verb, bucket, &[]).err();
            match verbs.iter().find_map(check) {
                None => return Ok(Stored(confined::edit(self.keys, bucket, edit))),
                Some(fault) if !edit.narrow() => return Err(fault),
                Some(_) => {}
            }
        }
        let Reach::Keys(keys) = edit.reach() else {
            return Err(Fault::failed("the edit reaches any key, though it was narrowed"));
        };
        for (verb, key) in verbs
            .iter()
            .flat_map(|verb| keys.iter().map(move |key| (*verb, key)))
        {
            self.core.check_key(verb, bucket, key)?;
        }
        if keys.iter().any(|key| is_of_topics(bucket, key.as_ref())) {
            return Ok(Stored(self.look_at_topics(bucket, keys.to_vec(), edit)));
        }
        Ok(Stored(self.keys.edit(bucket, edit)))
    }

    fn look_at_topics(
        &self,
        bucket: &Bucket,
        keys: Vec<Key>,
        mut edit: Box<dyn Edit>,
    ) -> Answer<Box<dyn Edit>> {
        let entries = topics::get_many(self.keys, bucket, &keys);
        entries.try_map(move |entries| {
            look_at_entries(&mut *edit, &keys, &entries, SystemTime::now().into())?;
            Ok(edit)
        })
    }

    /// Reads keys in order. Last values of topics are seen only by a scan whose prefix begins with
    /// [`TOPIC_KEY_PREFIX`].
    ///
    /// # Errors
    /// Denied.
    pub fn scan(&self, bucket: &Bucket, scan: Scan) -> Result<Stored<Page>, Fault> {
        self.core.check_prefix(Verb::Read, bucket, &scan.prefix)?;
        if topics::is_of_topics(bucket, &scan.prefix) {
            return Ok(Stored(topics::scan(self.keys, scan)));
        }
        Ok(Stored(self.keys.scan(bucket, scan)))
    }

    /// Tells what changes, of the keys that begin with `prefix`.
    ///
    /// # Errors
    /// Denied; unsupported for the last values of topics, which one subscribes to.
    pub fn watch(&self, bucket: &Bucket, prefix: Bytes, from: WatchFrom) -> Result<Stored<Changes>, Fault> {
        self.core.check_prefix(Verb::Read, bucket, &prefix)?;
        if is_of_topics(bucket, &prefix) {
            return Err(Fault::error(
                ErrorKind::Unsupported,
                format!("keys that begin with `{TOPIC_KEY_PREFIX}` show topics: subscribe to these instead"),
            ));
        }
        let watch = self.keys.watch(bucket, prefix, from);
        Ok(Stored(watch.map(|changes| {
            changes.map(|change| change.map_err(fault)).boxed()
        })))
    }

    /// How many keys a bucket has, about.
    ///
    /// # Errors
    /// Denied.
    pub fn count(&self, bucket: &Bucket) -> Result<Stored<u64>, Fault> {
        self.core.check_prefix(Verb::Read, bucket, &[])?;
        Ok(Stored(self.keys.count(bucket)))
    }

    /// Deletes every key of a bucket.
    ///
    /// # Errors
    /// Denied.
    pub fn clear(&self, bucket: &Bucket) -> Result<Stored<()>, Fault> {
        self.core.check_prefix(Verb::Write, bucket, &[])?;
        Ok(Stored(self.keys.clear(bucket)))
    }

    /// The buckets that hold something and are not the hub's own, in order.
    pub fn buckets(&self) -> Stored<Vec<Bucket>> {
        Stored(self.keys.buckets().map(|mut buckets| {
            buckets.retain(|bucket| !is_own_bucket(bucket));
            buckets
        }))
    }
}

/// Buckets whose names begin so are the hub's own.
pub(crate) const OWN_BUCKET_PREFIX: &str = "hub.";

pub(crate) fn is_own_bucket(bucket: &Bucket) -> bool {
    bucket.as_str().starts_with(OWN_BUCKET_PREFIX)
}

/// The fault that an engine's error is: the one place where it is decided.
pub(crate) fn fault(error: EngineError) -> Fault {
    let kind = match error {
        EngineError::Unavailable { wait, reason } => return Fault::retry(wait, reason),
        EngineError::Invalid(_) => ErrorKind::Invalid,
        EngineError::TooLarge(_) => ErrorKind::TooLarge,
        EngineError::NotAnInteger
        | EngineError::NotANumber
        | EngineError::WrongKind(_)
        | EngineError::Overflow
        | EngineError::LeaseLost(_) => ErrorKind::Conflict,
        EngineError::Unsupported(_) => ErrorKind::Unsupported,
        EngineError::Damaged(_) | EngineError::Failed(_) => ErrorKind::Failed,
    };
    Fault::error(kind, error.to_string())
}

#[cfg(test)]
pub(crate) mod tests;

//! Writes to one key: read, decide, publish on the condition that nothing has changed.

use std::collections::BTreeSet;
use std::time::Duration;

use switchboard_engine::keys::{Entry, Revision, Write, Written};
use switchboard_engine::{Bucket, EngineError, Key, Result};
use tokio::sync::MutexGuard;

use super::change::{Decision, decide};
use super::record::Writer;
use super::{Current, LOCKS, Shared, value_of};
use crate::janitor::Chore;
use crate::link::{Committed, Link, Outgoing, Patience};
use crate::names::{Family, Stream};

/// How often a write begins again because its key was changed by another hub: one of as many writers is served at
/// each round.
pub(super) const CONFLICTS_MAX: usize = 200;

/// Longest pause before a write begins again.
const CONFLICT_PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long the answer of a delete waits for its message to watchers; then that is left to the janitor.
const TELLING_TIME_MAX: Duration = Duration::from_secs(1);

/// A key that has gone, and the message that says so.
pub(super) struct Absent<'a> {
    pub(super) key: &'a Key,
    pub(super) sequence: u64,
    pub(super) expired: bool,
    /// Whether the message before it tells watchers.
    pub(super) is_told: bool,
}

impl Shared {
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
    pub(super) async fn put(
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
    pub(super) async fn bury(&self, family: Family, bucket: &Bucket, absent: Absent<'_>) {
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

pub(super) fn nothing_besides(_: Option<&Entry>) -> Vec<Outgoing> {
    Vec::new()
}

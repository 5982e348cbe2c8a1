//! Several writes in one step.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::StreamExt;
use switchboard_engine::keys::{BATCH_WRITES_MAX, BatchOutcome, Condition, Entry, Revision, Write};
use switchboard_engine::{Bucket, EngineError, Key, Result, Timestamp};

use super::change::{Decision, decide};
use super::record::Writer;
use super::{Absent, CONFLICTS_MAX, Current, Shared, contended};
use crate::link::{BATCH_MESSAGES_MAX, Committed, Outgoing};
use crate::names::{Family, Stream};

/// Revisions that are still to come are counted from here while a batch is put together: no stream gets there.
const TO_COME: u64 = 1 << 63;

/// Keys that are cleared up after at a time.
const BURIED_TOGETHER_MAX: usize = 32;

/// How many messages may be added to a step that has a message for each of so many keys or writes. To one alone none: a
/// step of several takes the servers many times as long.
pub(super) fn room_beside(messages: usize) -> usize {
    match messages {
        1 => 0,
        messages => BATCH_MESSAGES_MAX.saturating_sub(messages),
    }
}

/// A key that goes.
pub(super) struct Going {
    pub(super) key: Key,
    /// Of the message that says so.
    pub(super) place: usize,
    /// Whether the message before it says so to watchers.
    pub(super) is_told: bool,
}

/// A batch as it grows.
struct Plan<'a> {
    writer: Writer<'a>,
    now: Timestamp,
    /// What each key has, and whether a message of this batch has been about it.
    keys: HashMap<Key, (Current, bool)>,
    messages: Vec<Outgoing>,
    /// The keys that go.
    absent: Vec<Going>,
    /// How many messages may be added to one for each write.
    room: usize,
    outcomes: Vec<(Option<Entry>, Option<Entry>)>,
}

impl Plan<'_> {
    /// The sequence that a key has to have for the first message about it.
    fn expected(&mut self, key: &Key) -> Option<u64> {
        let (current, is_written) = self.keys.get_mut(key)?;
        let expected = (!*is_written).then_some(current.sequence);
        *is_written = true;
        expected
    }

    /// What the key has if the condition is not met.
    fn add(&mut self, key: &Key, write: &Write, shared: &Shared) -> Result<Result<(), Option<Entry>>> {
        let before = self.keys.get(key).and_then(|(current, _)| current.entry.clone());
        let after = match decide(before.as_ref(), write, self.now)? {
            Decision::Unmet => return Ok(Err(before)),
            Decision::Nothing => {
                // What was decided on has to stay so until the batch is stored.
                if before.is_none() && write.condition != Condition::Always {
                    self.say_absent(key);
                }
                before.clone()
            }
            Decision::Put(mut entry) => {
                shared.check_value(entry.value.len())?;
                let expected = self.expected(key);
                entry.revision = Revision(TO_COME + self.messages.len() as u64);
                self.messages
                    .push(self.writer.put(key, expected, &entry, self.now));
                Some(entry)
            }
            Decision::Delete => {
                self.say_absent(key);
                None
            }
        };
        if let Some((current, _)) = self.keys.get_mut(key) {
            current.entry.clone_from(&after);
        }
        self.outcomes.push((before, after));
        Ok(Ok(()))
    }

    fn say_absent(&mut self, key: &Key) {
        let expected = self.expected(key);
        let is_told = self.room > 0;
        if is_told {
            self.room -= 1;
            self.messages.push(self.writer.deleted(key, false));
        }
        self.absent.push(Going {
            key: key.clone(),
            place: self.messages.len(),
            is_told,
        });
        self.messages.push(self.writer.absent(key, expected, false));
    }

    /// Where several messages have one subject, only the last shall stay.
    fn settle_subjects(&mut self) {
        let mut last: HashMap<String, usize> = HashMap::new();
        for at in 0..self.messages.len() {
            let Some(message) = self.messages.get_mut(at) else {
                return;
            };
            let earlier = last.insert(message.subject.clone(), at);
            message.again = earlier.is_some();
            if let Some(earlier) = earlier.and_then(|earlier| self.messages.get_mut(earlier)) {
                earlier.ttl = Some(Duration::from_secs(1));
            }
        }
    }

    /// The outcomes with their revisions, now that the sequence of the last message is known.
    fn outcomes(self, last: u64) -> Vec<(Option<Entry>, Option<Entry>)> {
        let first = (last + 1).saturating_sub(self.messages.len() as u64);
        let settle = |entry: Option<Entry>| {
            entry.map(|mut entry| {
                if let Some(number) = entry.revision.0.checked_sub(TO_COME) {
                    entry.revision = Revision(first + number);
                }
                entry.told()
            })
        };
        self.outcomes
            .into_iter()
            .map(|(before, after)| (settle(before), settle(after)))
            .collect()
    }
}

impl Shared {
    pub(super) async fn batch(&self, bucket: &Bucket, writes: &[(Key, Write)]) -> Result<BatchOutcome> {
        if writes.len() > BATCH_WRITES_MAX {
            return Err(EngineError::TooLarge(format!(
                "the batch has {} writes: at most {BATCH_WRITES_MAX} are possible",
                writes.len()
            )));
        }
        for (_, write) in writes {
            if let Some(value) = super::value_of(&write.change) {
                self.check_value(value.len())?;
            }
        }
        if writes.is_empty() {
            return Ok(BatchOutcome::Done(Vec::new()));
        }
        let register = self.link.names.bucket(Family::Values, bucket);
        self.register.add(&self.link, Stream::Keys, &register).await?;
        let mut is_newest = !self.link.has_copies();
        for conflict in 0..CONFLICTS_MAX {
            let plan = match self.plan(bucket, writes).await? {
                Ok(plan) => plan,
                Err(unmet) if is_newest => return Ok(unmet),
                Err(_) => {
                    self.link.catch_up(Stream::Keys).await?;
                    is_newest = true;
                    continue;
                }
            };
            if plan.messages.is_empty() {
                return Ok(BatchOutcome::Done(plan.outcomes(0)));
            }
            match self.link.commit(Stream::Keys, &plan.messages).await? {
                Committed::Stored(last) => {
                    self.bury_all(bucket, &plan.absent, last, plan.messages.len())
                        .await;
                    self.register.add(&self.link, Stream::Keys, &register).await?;
                    return Ok(BatchOutcome::Done(plan.outcomes(last)));
                }
                Committed::Conflict => {
                    self.after_conflict(conflict).await?;
                    is_newest = true;
                }
            }
        }
        Err(contended(&self.link))
    }

    /// Clears up after so many messages that were stored in one step, up to that sequence.
    pub(super) async fn bury_all(&self, bucket: &Bucket, absent: &[Going], last: u64, messages: usize) {
        let first = (last + 1).saturating_sub(messages as u64);
        let mut burying = Vec::with_capacity(absent.len());
        for Going { key, place, is_told } in absent {
            let absent = Absent {
                key,
                sequence: first + *place as u64,
                expired: false,
                is_told: *is_told,
            };
            burying.push(self.bury(Family::Values, bucket, absent));
        }
        futures_util::stream::iter(burying)
            .buffer_unordered(BURIED_TOGETHER_MAX)
            .collect::<()>()
            .await;
    }

    async fn plan<'a>(
        &'a self,
        bucket: &'a Bucket,
        writes: &[(Key, Write)],
    ) -> Result<Result<Plan<'a>, BatchOutcome>> {
        let keys: BTreeSet<&Key> = writes.iter().map(|(key, _)| key).collect();
        let keys: Vec<Key> = keys.into_iter().cloned().collect();
        let current = self.current(Family::Values, bucket, &keys).await?;
        let mut plan = Plan {
            writer: Writer {
                names: &self.link.names,
                family: Family::Values,
                bucket,
            },
            now: self.link.clock.now(),
            keys: keys
                .into_iter()
                .zip(current.into_iter().map(|current| (current, false)))
                .collect(),
            messages: Vec::new(),
            absent: Vec::new(),
            room: room_beside(writes.len()),
            outcomes: Vec::with_capacity(writes.len()),
        };
        for (index, (key, write)) in writes.iter().enumerate() {
            if let Err(current) = plan.add(key, write, self)? {
                return Ok(Err(BatchOutcome::Unmet {
                    index,
                    current: current.map(Entry::told),
                }));
            }
        }
        plan.settle_subjects();
        Ok(Ok(plan))
    }
}

//! The last value of each topic that has one, in memory.
//!
//! Pure: the time is handed in, the lock around it is the hub's. What is expired is gone for every reader, and its
//! memory is given back with the next look at the store, oldest first, without walking over the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};
use switchboard_engine::Timestamp;
use switchboard_peer::{ErrorKind, Fault};
use tokio::time::Instant;

use crate::filter::Filter;
use crate::message::Message;
use crate::names::LEVEL_SEPARATOR;
use crate::tree::LevelTree;

pub(crate) mod keeper;
pub(crate) mod loading;
pub(crate) mod record;

/// What a level of a topic weighs in the index, counted as if no two topics shared one.
const LEVEL_BYTES: usize = 160;

/// How much is retained at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetainedLimits {
    /// Most topics with a last value.
    pub messages: usize,
    /// Most bytes in all of them: topics, payloads, headers, and what it takes to find them.
    pub bytes: usize,
}

impl Default for RetainedLimits {
    /// 100,000 topics, 256 MiB: a large house or a small factory, on a small computer.
    fn default() -> Self {
        Self {
            messages: 100_000,
            bytes: 256 * 1024 * 1024,
        }
    }
}

/// The store.
#[derive(Debug)]
pub(crate) struct Retained {
    limits: RetainedLimits,
    values: HashMap<ByteString, Value>,
    /// Every topic in `values`, to be found by filter.
    index: LevelTree<ByteString>,
    /// Every topic in `values` that expires, the first to expire first.
    expiries: BTreeMap<Expiry, ByteString>,
    bytes: usize,
    serial: u64,
}

/// When, and a number that tells those of the same moment apart.
type Expiry = (Instant, u64);

#[derive(Debug)]
struct Value {
    message: Arc<Message>,
    expiry: Option<Expiry>,
}

impl Retained {
    pub(crate) fn new(limits: RetainedLimits) -> Self {
        Self {
            limits,
            values: HashMap::new(),
            index: LevelTree::new(),
            expiries: BTreeMap::new(),
            bytes: 0,
            serial: 0,
        }
    }

    /// Makes the message its topic's last value; one without payload deletes that instead.
    ///
    /// # Errors
    /// When the store is full. The value from before stays.
    pub(crate) fn store(&mut self, message: &Arc<Message>, now: Instant) -> Result<(), Fault> {
        self.forget_expired(now);
        if takes_away(message, now) {
            self.remove(&message.topic);
            return Ok(());
        }
        let bytes = self.bytes_with(message)?;
        let expiry = message.expires.map(|expires| {
            self.serial += 1;
            (expires, self.serial)
        });
        if let Some(expiry) = expiry {
            self.expiries.insert(expiry, message.topic.clone());
        }
        let topic = message.topic.clone();
        let new = Value {
            message: Arc::clone(message),
            expiry,
        };
        if let Some(old) = self.values.insert(topic.clone(), new) {
            if let Some(expiry) = old.expiry {
                self.expiries.remove(&expiry);
            }
        } else {
            self.index.edit(&topic, |place| *place = Some(topic.clone()));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Whether a message could be [stored](Self::store).
    ///
    /// # Errors
    /// When the store is full.
    pub(crate) fn check_room(&mut self, message: &Message, now: Instant) -> Result<(), Fault> {
        self.forget_expired(now);
        if takes_away(message, now) {
            return Ok(());
        }
        self.bytes_with(message).map(drop)
    }

    /// What the store weighs with that message in it.
    fn bytes_with(&self, message: &Message) -> Result<usize, Fault> {
        let old = self.values.get(&message.topic).map(|old| weight(&old.message));
        let bytes = self.bytes - old.unwrap_or(0) + weight(message);
        if bytes > self.limits.bytes || (old.is_none() && self.values.len() >= self.limits.messages) {
            return Err(self.full());
        }
        Ok(bytes)
    }

    /// Whether the topic's last value is just that: published at the same time with the same words.
    pub(crate) fn has_same(&self, message: &Message) -> bool {
        let millis = |message: &Message| Timestamp::from(message.published);
        self.values.get(&message.topic).is_some_and(|value| {
            millis(&value.message) == millis(message)
                && value.message.payload == message.payload
                && value.message.headers == message.headers
                && value.expiry.is_some() == message.expires.is_some()
        })
    }

    /// Forgets the last value of a topic.
    pub(crate) fn forget(&mut self, topic: &str) {
        self.remove(topic);
    }

    /// The last values of the topics that the filter matches, in no order.
    ///
    /// # Errors
    /// How many they are, when they are more than `max`.
    pub(crate) fn matching(
        &mut self,
        filter: &Filter,
        max: usize,
        now: Instant,
    ) -> Result<Vec<Arc<Message>>, usize> {
        self.forget_expired(now);
        if filter.is_exact() {
            let found = self.values.get(filter.as_str());
            let found: Vec<_> = found
                .map(|value| Arc::clone(&value.message))
                .into_iter()
                .collect();
            return if found.len() > max {
                Err(found.len())
            } else {
                Ok(found)
            };
        }
        let (mut found, mut count) = (Vec::new(), 0);
        self.index.for_each_matched_by(filter.as_str(), &mut |topic| {
            count += 1;
            if count <= max {
                found.extend(self.values.get(topic).map(|value| Arc::clone(&value.message)));
            }
        });
        if count > max { Err(count) } else { Ok(found) }
    }

    /// The topics that have a last value, in no order.
    pub(crate) fn topics(&self) -> Vec<ByteString> {
        self.values.keys().cloned().collect()
    }

    /// How many topics have a last value, and what these weigh in bytes.
    pub(crate) fn usage(&mut self, now: Instant) -> (usize, usize) {
        self.forget_expired(now);
        (self.values.len(), self.bytes)
    }

    fn forget_expired(&mut self, now: Instant) {
        while let Some(first) = self.expiries.first_entry() {
            if first.key().0 > now {
                return;
            }
            let topic = first.remove();
            self.remove(&topic);
        }
    }

    fn remove(&mut self, topic: &str) {
        let Some(value) = self.values.remove(topic) else {
            return;
        };
        self.bytes -= weight(&value.message);
        self.index.edit(topic, |place| *place = None);
        if let Some(expiry) = value.expiry {
            self.expiries.remove(&expiry);
        }
    }

    fn full(&self) -> Fault {
        Fault::error(
            ErrorKind::TooLarge,
            format!(
                "the hub retains at most {} topics with {} bytes: delete some by publishing an empty retained \
                 message to them, let them expire, or raise the limit",
                self.limits.messages, self.limits.bytes
            ),
        )
    }
}

/// Whether a message leaves its topic without a last value.
fn takes_away(message: &Message, now: Instant) -> bool {
    message.payload.is_empty() || message.expires.is_some_and(|expires| expires <= now)
}

fn weight(message: &Message) -> usize {
    let levels = message.topic.split(LEVEL_SEPARATOR).count();
    message.size() + levels * LEVEL_BYTES
}

#[cfg(test)]
mod tests;

//! What one client subscribed to, and how it hears of it.
//!
//! A channel is a topic of the hub. A pattern is subscribed to by the narrowest filter that has all its topics: its
//! beginning up to the last `/` before the first wildcard, then `#`; what comes is matched here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use foldhash::HashMap;
use parking_lot::Mutex;
use switchboard_hub::names::{LEVEL_SEPARATOR, TREE_LEVELS_MAX};
use switchboard_hub::{
    Closed, Deliveries, Delivery, Fault, Policy, QueueLimits, Session, Sink, SubscriptionId,
};

use crate::glob::Glob;
use crate::reply::Reply;

/// Messages that are taken out of the queue at once.
const BATCH_MAX: usize = 256;

/// How one subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `SUBSCRIBE`: to a channel.
    Channel,
    /// `SSUBSCRIBE`: to a channel too.
    Shard,
    /// `PSUBSCRIBE`: to all channels that fit.
    Pattern,
}

/// What a gateway's clients are subscribed to: how many there are of each.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<BTreeMap<(Kind, ByteString), usize>>);

/// What one client subscribed to.
pub(crate) struct Subscriptions {
    session: Arc<Session>,
    sink: Sink,
    deliveries: Deliveries,
    /// Each, and what it needs of the hub: nothing, if no topic can have the name.
    names: BTreeMap<(Kind, ByteString), Option<String>>,
    filters: HashMap<String, SubscriptionId>,
    listeners: HashMap<SubscriptionId, Vec<Listener>>,
    batch: Vec<Delivery>,
}

/// Who wants what comes for a filter.
struct Listener {
    kind: Kind,
    name: ByteString,
    /// What the topic must fit.
    pattern: Option<Glob>,
}

impl Subscriptions {
    pub(crate) fn new(session: &Arc<Session>, limits: QueueLimits) -> Self {
        let (sink, deliveries) = session.sink_with(Policy::Disconnect, limits);
        Self {
            session: Arc::clone(session),
            sink,
            deliveries,
            names: BTreeMap::new(),
            filters: HashMap::default(),
            listeners: HashMap::default(),
            batch: Vec::new(),
        }
    }

    /// Channels (of shards too) and patterns.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let patterns = self
            .names
            .keys()
            .filter(|(kind, _)| *kind == Kind::Pattern)
            .count();
        (self.names.len() - patterns, patterns)
    }

    /// How many there are of those that are counted with a kind.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        let is_shard = kind == Kind::Shard;
        let counted = self.names.keys();
        counted
            .filter(|(other, _)| (*other == Kind::Shard) == is_shard)
            .count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All of a kind.
    pub(crate) fn names(&self, wanted: Kind) -> Vec<ByteString> {
        let of_kind = self.names.keys().filter(|(kind, _)| *kind == wanted);
        of_kind.map(|(_, name)| name.clone()).collect()
    }

    /// Subscribes. Tells whether that is new.
    ///
    /// # Errors
    /// Those of the hub.
    pub(crate) fn add(&mut self, kind: Kind, name: &ByteString) -> Result<bool, Fault> {
        if self.names.contains_key(&(kind, name.clone())) {
            return Ok(false);
        }
        let filter = match kind {
            Kind::Pattern => Some(covering(name)),
            // No topic is named so: nothing ever comes.
            _ if name.contains(['+', '#', '\0']) => None,
            _ => Some(name.to_string()),
        };
        if let Some(filter) = &filter {
            let id = match self.filters.get(filter) {
                Some(id) => *id,
                None => {
                    let id = self.session.subscribe(filter, &self.sink)?;
                    self.filters.insert(filter.clone(), id);
                    id
                }
            };
            let pattern = (kind == Kind::Pattern).then(|| Glob::new(name.as_bytes()));
            self.listeners.entry(id).or_default().push(Listener {
                kind,
                name: name.clone(),
                pattern,
            });
        }
        self.names.insert((kind, name.clone()), filter);
        Ok(true)
    }

    /// Ends a subscription. Tells whether there was one.
    pub(crate) fn remove(&mut self, kind: Kind, name: &ByteString) -> bool {
        let Some(filter) = self.names.remove(&(kind, name.clone())) else {
            return false;
        };
        let Some((filter, id)) = filter.and_then(|filter| {
            let id = *self.filters.get(&filter)?;
            Some((filter, id))
        }) else {
            return true;
        };
        if let Some(listeners) = self.listeners.get_mut(&id) {
            listeners.retain(|listener| listener.kind != kind || listener.name != *name);
            if listeners.is_empty() {
                self.listeners.remove(&id);
                self.filters.remove(&filter);
                self.session.unsubscribe(&filter);
            }
        }
        true
    }

    /// Ends all of them.
    pub(crate) fn end(&self) {
        for filter in self.filters.keys() {
            self.session.unsubscribe(filter);
        }
    }

    /// Says what has come, waiting for the first; for ever, if there are no subscriptions.
    ///
    /// # Errors
    /// When nothing more comes.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn listen(
        subscriptions: &mut Option<Box<Self>>,
        reply: &mut Reply,
    ) -> Result<(), Closed> {
        let Some(subscriptions) = subscriptions else {
            return std::future::pending().await;
        };
        let Self {
            deliveries, batch, ..
        } = &mut **subscriptions;
        deliveries.recv_many(batch, BATCH_MAX).await?;
        subscriptions.say(reply);
        Ok(())
    }

    /// Says what has come by now, within bounds.
    ///
    /// # Errors
    /// When nothing more comes.
    pub(crate) fn hear(&mut self, reply: &mut Reply) -> Result<(), Closed> {
        for _ in 0..BATCH_MAX {
            let Some(delivery) = self.deliveries.try_recv()? else {
                break;
            };
            self.batch.push(delivery);
        }
        self.say(reply);
        Ok(())
    }

    fn say(&mut self, reply: &mut Reply) {
        for delivery in self.batch.drain(..) {
            // Redis has no last values: who subscribes hears of what is published from then on.
            let listeners = self.listeners.get(&delivery.subscription);
            for listener in listeners.into_iter().flatten().filter(|_| !delivery.retained) {
                listener.say(&delivery, reply);
            }
        }
    }

    /// Waits until the queue takes nothing more, if there is one. Cancel safe.
    pub(crate) async fn closed(subscriptions: &mut Option<Box<Self>>) -> Closed {
        match subscriptions {
            Some(subscriptions) => subscriptions.deliveries.closed().await,
            None => std::future::pending().await,
        }
    }
}

impl Listener {
    fn say(&self, delivery: &Delivery, reply: &mut Reply) {
        let topic = delivery.topic().as_bytes();
        match &self.pattern {
            Some(pattern) if !pattern.matches(topic) => return,
            Some(_) => {
                reply.push(4);
                reply.bulk(b"pmessage");
                reply.bulk(self.name.as_bytes());
            }
            None => {
                reply.push(3);
                let word: &[u8] = if self.kind == Kind::Shard {
                    b"smessage"
                } else {
                    b"message"
                };
                reply.bulk(word);
            }
        }
        reply.bulk(topic);
        reply.bulk(&delivery.message.payload);
    }
}

/// The narrowest filter of the hub that has all topics that fit a pattern.
fn covering(pattern: &str) -> String {
    let literal = pattern.find(['*', '?', '[', '\\', '+', '#', '\0']);
    let literal = literal.and_then(|end| pattern.get(..end)).unwrap_or(pattern);
    let levels = literal.rsplit_once(LEVEL_SEPARATOR).map(|(levels, _)| levels);
    match levels {
        Some(levels) if levels.split(LEVEL_SEPARATOR).count() < TREE_LEVELS_MAX => format!("{levels}/#"),
        _ => "#".to_owned(),
    }
}

impl Channels {
    pub(crate) fn enter(&self, kind: Kind, name: &ByteString) {
        *self.0.lock().entry((kind, name.clone())).or_default() += 1;
    }

    pub(crate) fn leave(&self, kind: Kind, name: &ByteString) {
        let mut channels = self.0.lock();
        let key = (kind, name.clone());
        if let Some(count) = channels.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                channels.remove(&key);
            }
        }
    }

    /// How many are subscribed.
    pub(crate) fn count(&self, kind: Kind, name: &str) -> usize {
        let key = (kind, ByteString::from(name));
        self.0.lock().get(&key).copied().unwrap_or_default()
    }

    /// All of a kind that somebody is subscribed to.
    pub(crate) fn names(&self, wanted: Kind) -> Vec<ByteString> {
        let channels = self.0.lock();
        let of_kind = channels.keys().filter(|(kind, _)| *kind == wanted);
        of_kind.map(|(_, name)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_covered_by_a_narrow_filter() {
        for (pattern, filter) in [
            ("*", "#"),
            ("news*", "#"),
            ("home/*", "home/#"),
            ("home/lamp/o?", "home/lamp/#"),
            ("home/[ab]/x", "home/#"),
            ("home/lamp", "home/#"),
            ("a+/b/*", "#"),
            ("/x*", "/#"),
        ] {
            assert_eq!(covering(pattern), filter, "{pattern}");
        }
        assert_eq!(covering(&"a/".repeat(200)), "#");
    }
}

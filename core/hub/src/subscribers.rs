//! Who subscribed to what: from a topic to the queues that want it.
//!
//! Filters without wildcards stand in a map by topic, the others in a tree of levels: what a publish costs depends on
//! the topic and on those who get it, not on how many others there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::RwLock;

use crate::filter::Filter;
use crate::keys::events::concerns_keys;
use crate::message::Message;
use crate::session::SessionId;
use crate::shards::Shards;
use crate::subscription::{Push, Queue, SubscriptionId, Wait};
use crate::tree::LevelTree;

/// The table of all subscriptions.
#[derive(Debug)]
pub(crate) struct Subscribers {
    exact: Shards<Vec<Subscriber>>,
    wild: RwLock<LevelTree<Vec<Subscriber>>>,
    count: AtomicUsize,
    of_keys: AtomicUsize,
}

/// One subscription.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) id: SubscriptionId,
    pub(crate) session: SessionId,
    pub(crate) queue: Arc<Queue>,
}

/// What became of one message.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    /// How many subscriptions have it in their queue.
    pub(crate) queued: usize,
    /// Those that will have it when they have room.
    pub(crate) waits: Vec<Wait>,
    /// Those that turned out to be over, to be removed. The filter is not known here, the session knows it.
    pub(crate) over: Vec<(SessionId, SubscriptionId)>,
    /// Readers to be woken, once all locks are released.
    pub(crate) wake: Vec<Waker>,
}

impl Subscribers {
    pub(crate) fn new() -> Self {
        Self {
            exact: Shards::new(),
            wild: RwLock::new(LevelTree::new()),
            count: AtomicUsize::new(0),
            of_keys: AtomicUsize::new(0),
        }
    }

    /// How many subscriptions there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many of them want to know what changes among the keys.
    pub(crate) fn of_keys(&self) -> usize {
        self.of_keys.load(Ordering::Acquire)
    }

    /// Enters a subscription. The one that it replaces goes in the same moment: no message is missed or comes twice.
    pub(crate) fn insert(&self, filter: &Filter, subscriber: Subscriber, replaced: Option<SubscriptionId>) {
        self.edit(filter, |subscribers| {
            if let Some(old) = replaced {
                self.take(filter, subscribers, old);
            }
            // Numbers only grow, so this usually is the end; two that subscribe at once may come in either order.
            let place = subscribers.partition_point(|other| other.id < subscriber.id);
            subscribers.insert(place, subscriber);
            self.count.fetch_add(1, Ordering::Relaxed);
            if concerns_keys(filter.as_str()) {
                self.of_keys.fetch_add(1, Ordering::AcqRel);
            }
        });
    }

    /// Removes a subscription. It may be gone already.
    pub(crate) fn remove(&self, filter: &Filter, id: SubscriptionId) {
        self.edit(filter, |subscribers| self.take(filter, subscribers, id));
    }

    fn take(&self, filter: &Filter, subscribers: &mut Vec<Subscriber>, id: SubscriptionId) {
        if let Ok(place) = subscribers.binary_search_by_key(&id, |subscriber| subscriber.id) {
            subscribers.remove(place);
            self.count.fetch_sub(1, Ordering::Relaxed);
            if concerns_keys(filter.as_str()) {
                self.of_keys.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// Changes the subscribers of one filter; no empty list stays behind.
    fn edit(&self, filter: &Filter, edit: impl FnOnce(&mut Vec<Subscriber>)) {
        if !filter.is_exact() {
            self.wild.write().edit(filter.as_str(), |place| {
                let mut subscribers = place.take().unwrap_or_default();
                edit(&mut subscribers);
                *place = (!subscribers.is_empty()).then_some(subscribers);
            });
            return;
        }
        let mut shard = self.exact.of(filter.as_str()).write();
        let subscribers = shard.entry(filter.text().clone()).or_default();
        edit(subscribers);
        if subscribers.is_empty() {
            shard.remove(filter.as_str());
        }
    }

    /// Hands a message to every subscription whose filter matches its topic. Never waits for room.
    pub(crate) fn deliver(&self, message: &Arc<Message>) -> Delivered {
        let mut delivered = Delivered::default();
        if let Some(subscribers) = self.exact.of(&message.topic).read().get(&*message.topic) {
            delivered.push(subscribers, message);
        }
        let wild = self.wild.read();
        if !wild.is_empty() {
            wild.for_each_matching(&message.topic, &mut |subscribers| {
                delivered.push(subscribers, message)
            });
        }
        delivered
    }
}

impl Delivered {
    fn push(&mut self, subscribers: &[Subscriber], message: &Arc<Message>) {
        for subscriber in subscribers {
            match subscriber.queue.push(subscriber.id, message, &mut self.wake) {
                Push::Queued => self.queued += 1,
                Push::Blocked(wait) => self.waits.push(wait),
                Push::Dropped => {}
                Push::Over => self.over.push((subscriber.session, subscriber.id)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Publish;
    use crate::policy::{Policy, QueueLimits};
    use crate::stats::Counters;
    use crate::subscription::{Deliveries, channel};

    fn message(topic: &str) -> Arc<Message> {
        Arc::new(Publish::new(topic, Bytes::new()).into_message(SessionId::HUB))
    }

    fn subscribe(table: &Subscribers, filter: &str, id: u64) -> Deliveries {
        let counters = Arc::new(Counters::default());
        let (sink, deliveries) = channel(Policy::DropOldest, QueueLimits::default(), counters);
        table.insert(&Filter::parse(filter).unwrap(), subscriber(id, sink.queue), None);
        deliveries
    }

    fn subscriber(id: u64, queue: Arc<Queue>) -> Subscriber {
        Subscriber {
            id: SubscriptionId(id),
            session: SessionId::HUB,
            queue,
        }
    }

    fn topics(deliveries: &mut Deliveries) -> Vec<String> {
        std::iter::from_fn(|| deliveries.try_recv().unwrap())
            .map(|delivery| delivery.topic().to_string())
            .collect()
    }

    #[test]
    fn each_subscription_that_matches_gets_one() {
        let table = Subscribers::new();
        let mut exact = subscribe(&table, "a/b", 1);
        let mut second = subscribe(&table, "a/b", 2);
        let mut plus = subscribe(&table, "a/+", 3);
        let mut other = subscribe(&table, "a/c", 4);
        assert_eq!(table.deliver(&message("a/b")).queued, 3);
        assert_eq!(table.deliver(&message("a/c")).queued, 2);
        assert_eq!(table.deliver(&message("b")).queued, 0);
        assert_eq!(topics(&mut exact), ["a/b"]);
        assert_eq!(topics(&mut second), ["a/b"]);
        assert_eq!(topics(&mut plus), ["a/b", "a/c"]);
        assert_eq!(topics(&mut other), ["a/c"]);
    }

    #[test]
    fn what_is_removed_gets_nothing_and_leaves_nothing() {
        let table = Subscribers::new();
        let _readers = [
            subscribe(&table, "a/b", 1),
            subscribe(&table, "a/b", 2),
            subscribe(&table, "#", 3),
        ];
        assert_eq!(table.len(), 3);
        for (filter, id) in [("a/b", 2), ("a/b", 2), ("#", 3), ("a/b", 1)] {
            table.remove(&Filter::parse(filter).unwrap(), SubscriptionId(id));
        }
        assert_eq!(table.len(), 0);
        assert_eq!(table.deliver(&message("a/b")).queued, 0);
        assert!(table.exact.iter().all(|shard| shard.read().is_empty()));
        assert!(table.wild.read().is_empty());
    }

    #[test]
    fn a_subscription_is_replaced_in_place() {
        let table = Subscribers::new();
        let mut old = subscribe(&table, "a/+", 1);
        let (sink, mut new) = channel(Policy::BLOCK, QueueLimits::default(), Arc::default());
        table.insert(
            &Filter::parse("a/+").unwrap(),
            subscriber(2, sink.queue),
            Some(SubscriptionId(1)),
        );
        assert_eq!(table.len(), 1);
        assert_eq!(table.deliver(&message("a/b")).queued, 1);
        assert!(topics(&mut old).is_empty());
        assert_eq!(topics(&mut new), ["a/b"]);
    }

    #[test]
    fn those_whose_reader_is_gone_are_named() {
        let table = Subscribers::new();
        drop(subscribe(&table, "a", 7));
        assert_eq!(
            table.deliver(&message("a")).over,
            [(SessionId::HUB, SubscriptionId(7))]
        );
    }
}

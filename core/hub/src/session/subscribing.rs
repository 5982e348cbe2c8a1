//! What a session subscribes to, and the queues that it reads.

use std::collections::HashSet;
use std::sync::Arc;

use switchboard_peer::{ErrorKind, Fault};

use super::{Session, Subscribed, closed};
use crate::filter::Filter;
use crate::hub::Wanted;
use crate::permissions::Verb;
use crate::policy::{Policy, QueueLimits};
use crate::subscription::{self, Closed, Deliveries, Sink, SubscriptionId};

impl Session {
    /// Makes a queue for subscriptions of this session, with the hub's limits on queues.
    pub fn sink(&self, policy: Policy) -> (Sink, Deliveries) {
        self.sink_with(policy, self.hub.config.queue)
    }

    /// Makes a queue for subscriptions of this session. It ends with the session.
    pub fn sink_with(&self, policy: Policy, limits: QueueLimits) -> (Sink, Deliveries) {
        let (sink, deliveries) = subscription::channel(policy, limits, Arc::clone(&self.hub.counters));
        let mut state = self.core.state.lock();
        if state.closed {
            sink.queue.close(Closed::Session);
        } else {
            state.sinks.retain(|sink| sink.strong_count() > 0);
            state.sinks.push(Arc::downgrade(&sink.queue));
        }
        (sink, deliveries)
    }

    /// Subscribes a sink of this session to a filter: first come the last values of the topics that have one, then
    /// whatever is published, with nothing missed or doubled between them.
    ///
    /// A session has one subscription a filter: subscribing to the same filter again replaces it, and brings the last
    /// values again. Filters may overlap: each subscription gets its own copy, also where they share a sink (except
    /// under [`Policy::Latest`], where the later copy replaces the one that is still unread).
    ///
    /// # Errors
    /// Invalid for an illegal filter; too large when the session has as many subscriptions as it may, or when the
    /// filter matches more last values than may wait for one reader; conflict when the sink has no reader any more;
    /// Retry when there is no room for last values because the reader has not yet read those of an earlier
    /// subscription.
    pub fn subscribe(&self, filter: &str, sink: &Sink) -> Result<SubscriptionId, Fault> {
        let subscribed = self.subscribe_all(&[filter], sink)?;
        // One filter makes one subscription.
        subscribed.first().copied().ok_or_else(closed)
    }

    /// The same for several filters at once: all or none. The last values of all of them come in the order of their
    /// publication, so that what was read of a queue, with nothing else subscribed to it, is known by
    /// [one number](crate::Delivery::reached). A filter that comes twice counts once.
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn subscribe_all(
        &self,
        filters: &[impl AsRef<str>],
        sink: &Sink,
    ) -> Result<Vec<SubscriptionId>, Fault> {
        self.subscribe_to(filters, sink).map_err(|fault| self.told(fault))
    }

    fn subscribe_to(&self, filters: &[impl AsRef<str>], sink: &Sink) -> Result<Vec<SubscriptionId>, Fault> {
        let mut known = HashSet::new();
        let mut wanted = Vec::with_capacity(filters.len());
        for filter in filters.iter().map(AsRef::as_ref) {
            if known.insert(filter) {
                let filter = Filter::parse(filter)?;
                self.core.permissions.check(Verb::Subscribe, filter.as_str())?;
                wanted.push(filter);
            }
        }
        let mut state = self.core.state.lock();
        state.check_open()?;
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|filter| Wanted {
                replaced: state.subscriptions.get(&filter).map(|subscribed| subscribed.id),
                filter,
            })
            .collect();
        let new = wanted.iter().filter(|wanted| wanted.replaced.is_none()).count();
        if state.subscriptions.len() + new > self.hub.config.subscriptions_per_session_max {
            return Err(Fault::error(
                ErrorKind::TooLarge,
                format!(
                    "this session has {} subscriptions, and may not have {new} more",
                    state.subscriptions.len()
                ),
            ));
        }
        let ids = self.hub.subscribe(&wanted, self.core.id, &sink.queue)?;
        for (Wanted { filter, .. }, id) in wanted.into_iter().zip(&ids) {
            let queue = Arc::clone(&sink.queue);
            state.subscriptions.insert(filter, Subscribed { id: *id, queue });
        }
        Ok(ids)
    }

    /// Ends the subscription to that filter; what is in its queue stays there. False if there was none.
    pub fn unsubscribe(&self, filter: &str) -> bool {
        let Ok(filter) = Filter::parse(filter) else {
            return false;
        };
        let mut state = self.core.state.lock();
        let Some(subscribed) = state.subscriptions.remove(&filter) else {
            return false;
        };
        self.hub.subscribers.remove(&filter, subscribed.id);
        true
    }
}

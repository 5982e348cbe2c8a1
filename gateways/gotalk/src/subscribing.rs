//! Topics that a peer subscribed to: `hub.subscribe`, `hub.unsubscribe`.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_hub::requests::{SUBSCRIBE, SubscribeRequest, UNSUBSCRIBE, UnsubscribeRequest, parse};
use switchboard_hub::{Fault, Policy, Session, Sink};
use switchboard_peer::{Peer, Replier};

use crate::delivery::Delivering;
use crate::gateway::Shared;
use crate::party::Party;
use crate::serving::{DONE, naming, removed};

/// What one connection subscribed to, and where its messages queue.
#[derive(Default)]
pub(crate) struct Subscribing {
    filters: HashSet<String>,
    /// A queue for each policy that was asked for: at most one of each kind.
    sinks: Vec<Sink>,
    gate: Arc<Gate>,
}

/// Held while a subscription is made and answered, and while messages are put on their way: so the answer comes
/// before the first message that the subscription brings.
pub(crate) type Gate = Mutex<()>;

impl Party {
    /// Subscribes and answers.
    pub(crate) fn subscribe(&self, body: &[u8], peer: &Peer, reply: Replier) {
        let SubscribeRequest { topics, policy } = match parse(SUBSCRIBE, body) {
            Ok(request) => request,
            Err(fault) => return reply.fault(fault),
        };
        let policy = self.shared.options.policy_for(policy);
        let mut subscribing = self.subscribing.lock();
        let subscribing = subscribing.get_or_insert_default();
        let gate = Arc::clone(&subscribing.gate);
        let held = gate.lock();
        let sink = subscribing.sink(policy, &self.session, peer, &self.shared);
        // Answering writes into the connection's queue at once, where deliveries then come behind.
        reply.answer(subscribing.begin(&self.session, topics, &sink).map(|()| DONE));
        drop(held);
    }

    pub(crate) fn unsubscribe(&self, body: &[u8]) -> Result<Bytes, Fault> {
        let UnsubscribeRequest { topics } = parse(UNSUBSCRIBE, body)?;
        let mut subscribing = self.subscribing.lock();
        let count = topics
            .iter()
            .filter(|filter| {
                if let Some(subscribing) = &mut *subscribing {
                    subscribing.filters.remove(*filter);
                }
                self.session.unsubscribe(filter)
            })
            .count();
        Ok(removed(count))
    }
}

impl Subscribing {
    /// The queue for this policy; the first time with a task that empties it.
    fn sink(&mut self, policy: Policy, session: &Session, peer: &Peer, shared: &Arc<Shared>) -> Sink {
        let present = |sink: &&Sink| sink.policy().as_str() == policy.as_str();
        if let Some(sink) = self.sinks.iter().find(present) {
            return sink.clone();
        }
        let (sink, deliveries) = session.sink_with(policy, shared.options.queue);
        let delivering = Delivering {
            peer: peer.clone(),
            shared: Arc::clone(shared),
            gate: Arc::clone(&self.gate),
            policy,
        };
        tokio::spawn(delivering.run(deliveries));
        self.sinks.push(sink.clone());
        sink
    }

    /// Subscribes to all of `filters`, or to none that is new. One that was there before may so have got another
    /// policy; it stays.
    fn begin(&mut self, session: &Session, filters: Vec<String>, sink: &Sink) -> Result<(), Fault> {
        for (count, filter) in filters.iter().enumerate() {
            if let Err(fault) = session.subscribe(filter, sink) {
                for filter in filters.iter().take(count) {
                    if !self.filters.contains(filter) {
                        session.unsubscribe(filter);
                    }
                }
                return Err(naming(SUBSCRIBE, filter, fault));
            }
        }
        self.filters.extend(filters);
        Ok(())
    }
}

//! What a program is at a hub, and wants from it: said again on each new connection.

use crate::at_hub::{self, DeliveryPolicy, Login, ServeOptions};
use crate::fault::Fault;
use crate::peer::Peer;

/// What a program is at a hub, and wants from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    /// As whom to log in, first of all. Default `None`: as whomever the hub takes one without a login for.
    pub login: Option<Login>,
    /// The operations to be served of which nothing is said.
    pub operations: Vec<String>,
    /// The operations to be served of which something is said.
    pub declared: Vec<Declared>,
    /// Whether callers are to be described: see [`ServeOptions::caller`]. Holds for all operations, those served
    /// later included. Default: no.
    pub callers: bool,
    /// The topics to be subscribed to.
    pub subscriptions: Vec<Subscription>,
}

/// An operation, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub operation: String,
    /// Whether calls change nothing: see [`ServeOptions::safe`].
    pub safe: bool,
    /// What the results are: see [`ServeOptions::result_type`].
    pub result_type: Option<String>,
}

impl Declared {
    fn options(&self, caller: bool) -> ServeOptions {
        ServeOptions {
            caller,
            safe: self.safe,
            result_type: self.result_type.clone(),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.safe, &self.result_type) == (other.safe, &other.result_type)
    }
}

/// A topic or filter, and what the hub does when this side is slower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The topic, or a filter with `+` and `#`.
    pub topic: String,
    /// `None` leaves it to the hub.
    pub policy: Option<DeliveryPolicy>,
}

impl From<&str> for Subscription {
    /// By the hub's own policy.
    fn from(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            policy: None,
        }
    }
}

impl Presence {
    /// Says all of it on a new connection: login, operations, topics. If one is refused, says which.
    pub(super) async fn set_up(&self, peer: &Peer) -> Result<(), (&'static str, Fault)> {
        let hub = peer.at_hub();
        if let Some(login) = &self.login {
            hub.login(login).await.map_err(|fault| (at_hub::LOGIN, fault))?;
        }
        hub.serve(&self.operations, self.serve_options())
            .await
            .map_err(|fault| (at_hub::SERVE, fault))?;
        self.declare(&self.declared, peer)
            .await
            .map_err(|fault| (at_hub::SERVE, fault))?;
        let alike = |one: &Subscription, other: &Subscription| one.policy == other.policy;
        for alike in self.subscriptions.chunk_by(alike) {
            let topics: Vec<_> = alike.iter().map(|one| &*one.topic).collect();
            let policy = alike.first().and_then(|one| one.policy);
            hub.subscribe(&topics, policy)
                .await
                .map_err(|fault| (at_hub::SUBSCRIBE, fault))?;
        }
        Ok(())
    }

    /// Serves these, those of which the same is said by one request.
    async fn declare(&self, declared: &[Declared], peer: &Peer) -> Result<(), Fault> {
        for alike in declared.chunk_by(Declared::is_like) {
            let operations: Vec<_> = alike.iter().map(|one| &*one.operation).collect();
            if let Some(first) = alike.first() {
                let options = first.options(self.callers);
                peer.at_hub().serve(&operations, options).await?;
            }
        }
        Ok(())
    }

    fn serve_options(&self) -> ServeOptions {
        ServeOptions {
            caller: self.callers,
            ..ServeOptions::default()
        }
    }

    /// Asks the hub for one change.
    pub(super) async fn ask(&self, wish: &Wish, peer: &Peer) -> Result<(), Fault> {
        let hub = peer.at_hub();
        match wish {
            Wish::Serve(operations) => hub.serve(operations, self.serve_options()).await,
            Wish::Declare(declared) => self.declare(declared, peer).await,
            Wish::Unserve(operations) => hub.unserve(operations).await,
            Wish::Subscribe(topics, policy) => hub.subscribe(topics, *policy).await,
            Wish::Unsubscribe(topics) => hub.unsubscribe(topics).await,
            Wish::Retire => {
                let declared = self.declared.iter().map(|one| &one.operation);
                let all: Vec<_> = self.operations.iter().chain(declared).collect();
                hub.unserve(&all).await
            }
        }
    }

    /// Notes a change that the hub has agreed to.
    pub(super) fn note(&mut self, wish: Wish) {
        match wish {
            Wish::Serve(operations) => {
                self.declared.retain(|old| !operations.contains(&old.operation));
                self.operations.extend(operations);
                self.operations.sort_unstable();
                self.operations.dedup();
            }
            Wish::Declare(new) => {
                let old = |operation: &String| new.iter().any(|new| new.operation == *operation);
                self.operations.retain(|operation| !old(operation));
                self.declared.retain(|declared| !old(&declared.operation));
                self.declared.extend(new);
            }
            Wish::Unserve(gone) => {
                self.operations.retain(|operation| !gone.contains(operation));
                self.declared
                    .retain(|declared| !gone.contains(&declared.operation));
            }
            Wish::Subscribe(topics, policy) => {
                self.subscriptions.retain(|old| !topics.contains(&old.topic));
                let new = topics.into_iter().map(|topic| Subscription { topic, policy });
                self.subscriptions.extend(new);
            }
            Wish::Unsubscribe(gone) => self.subscriptions.retain(|old| !gone.contains(&old.topic)),
            Wish::Retire => {
                self.operations.clear();
                self.declared.clear();
            }
        }
    }
}

/// A change of what is wanted of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Serve(Vec<String>),
    Declare(Vec<Declared>),
    Unserve(Vec<String>),
    Subscribe(Vec<String>, Option<DeliveryPolicy>),
    Unsubscribe(Vec<String>),
    /// Serve nothing any more.
    Retire,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn changes_are_noted_once() {
        let mut presence = Presence::default();
        presence.note(Wish::Serve(list(&["b", "a"])));
        presence.note(Wish::Serve(list(&["b", "c", "c"])));
        assert_eq!(presence.operations, list(&["a", "b", "c"]));
        presence.note(Wish::Unserve(list(&["b", "x"])));
        assert_eq!(presence.operations, list(&["a", "c"]));
        presence.note(Wish::Retire);
        assert!(presence.operations.is_empty());
    }

    #[test]
    fn an_operation_is_what_was_last_said_of_it() {
        let declared = |operation: &str, safe| Declared {
            operation: operation.to_owned(),
            safe,
            result_type: None,
        };
        let mut presence = Presence::default();
        presence.note(Wish::Serve(list(&["a", "b"])));
        presence.note(Wish::Declare(vec![declared("b", true), declared("c", true)]));
        assert_eq!(presence.operations, list(&["a"]));
        presence.note(Wish::Declare(vec![declared("b", false)]));
        assert_eq!(presence.declared, [declared("c", true), declared("b", false)]);
        presence.note(Wish::Serve(list(&["c"])));
        assert_eq!(presence.operations, list(&["a", "c"]));
        presence.note(Wish::Unserve(list(&["a", "b"])));
        assert_eq!((presence.operations, presence.declared), (list(&["c"]), vec![]));
    }

    #[test]
    fn a_topic_has_the_policy_it_was_last_given() {
        let mut presence = Presence::default();
        presence.note(Wish::Subscribe(list(&["x", "y"]), None));
        presence.note(Wish::Subscribe(list(&["x"]), Some(DeliveryPolicy::Latest)));
        let x = Subscription {
            topic: "x".into(),
            policy: Some(DeliveryPolicy::Latest),
        };
        assert_eq!(presence.subscriptions, ["y".into(), x.clone()]);
        presence.note(Wish::Unsubscribe(list(&["y"])));
        assert_eq!(presence.subscriptions, [x]);
    }
}

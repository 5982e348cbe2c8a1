//! What a program says to a Switchboard hub at the other end of its connection.
//!
//! A hub takes any peer's requests as calls and its notifications as publishes. What else one wants of it (to log in,
//! to serve operations, to get topics) one says by requests to the hub's own operations, `hub.*`, JSON in and out.
//! [`AtHub`] writes and reads that JSON. The hub itself has types of its own for it, as the hub is built on this
//! crate: both sides agree on the JSON, not on a type, and fields that a newer hub adds are passed over here.
//!
//! What is subscribed to comes as notifications with the topic as their name, to the handlers that the connection was
//! made with: [`Handlers::on_raw`](crate::Handlers::on_raw) for one topic, [`Handlers::on_any`](crate::Handlers::on_any)
//! for all others. What is served comes as requests to those same handlers.

mod answers;
mod requests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::CallBuilder;
use crate::fault::{ErrorKind, Fault};
use crate::peer::{Peer, to_json};

pub use answers::{HubOperation, HubSession, HubStats, Published, WhoAmI};
pub use requests::{DeliveryPolicy, Login, PublishOptions, ServeOptions};
use requests::{
    OperationsRequest, Page, PageRequest, PublishRequest, ServeRequest, SubscribeRequest, TopicsRequest,
};

/// `hub.login`.
pub(crate) const LOGIN: &str = "hub.login";
/// `hub.serve`.
pub(crate) const SERVE: &str = "hub.serve";
/// `hub.unserve`.
const UNSERVE: &str = "hub.unserve";
/// `hub.subscribe`.
pub(crate) const SUBSCRIBE: &str = "hub.subscribe";
/// `hub.unsubscribe`.
const UNSUBSCRIBE: &str = "hub.unsubscribe";
/// `hub.publish`.
const PUBLISH: &str = "hub.publish";
/// `hub.whoami`.
const WHOAMI: &str = "hub.whoami";
/// `hub.ops`.
const OPS: &str = "hub.ops";
/// `hub.sessions`.
const SESSIONS: &str = "hub.sessions";
/// `hub.stats`.
const STATS: &str = "hub.stats";

/// Most operations or topics in one request: what a hub takes. Longer lists go in several.
const LIST_MAX: usize = 1024;

/// Most pages that are read of one list. A page has 1,000 entries as a rule: a million in all, so that a hub which
/// never comes to an end does not fill this side's memory.
const PAGES_MAX: usize = 1000;

impl Peer {
    /// The hub at the other end of this connection. Only for one that is a hub: see [`AtHub::new`].
    pub fn at_hub(&self) -> AtHub<'_> {
        AtHub::new(self)
    }
}

/// A hub at the other end of a connection, and what can be asked of it.
///
/// Every method that waits is cancel safe in the same way: dropped before its end, the hub may have done what was
/// asked, or not. Every one fails with the hub's fault, and with a Retry when the connection is lost.
///
/// ```
/// use switchboard_peer::{Fault, Login, Peer, PublishOptions, ServeOptions};
///
/// async fn begin(peer: &Peer) -> Result<(), Fault> {
///     let hub = peer.at_hub();
///     hub.login(&Login::account("lamp").password("hush")).await?;
///     hub.serve(&["lamp.switch"], ServeOptions::default()).await?;
///     hub.subscribe(&["home/#"], None).await?;
///     let retained = PublishOptions { retain: true, ..PublishOptions::default() };
///     hub.publish("home/lamp", "on", retained).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AtHub<'a> {
    peer: &'a Peer,
}

impl<'a> AtHub<'a> {
    /// Says that the other end of `peer` is a hub. From now on it is told of calls that are given up: see
    /// [`Peer::set_knows_cancel`].
    pub fn new(peer: &'a Peer) -> Self {
        peer.set_knows_cancel();
        Self { peer }
    }

    /// Goes on as another account.
    ///
    /// # Errors
    /// An Error if the hub does not know the account by what was given for it.
    pub async fn login(&self, login: &Login) -> Result<(), Fault> {
        self.tell(LOGIN, login).await
    }

    // ---- operations

    /// Takes calls of these operations from now on. They come to the handlers of the connection, and may do so before
    /// this returns. More than 1,024 are asked for in several requests: if one is refused, those before it stand.
    ///
    /// With [`ServeOptions::caller`], [`Context::caller`](crate::Context::caller) and
    /// [`Context::deadline`](crate::Context::deadline) are those of the party behind the hub. That holds for the whole
    /// connection: ask for it with the first operations, or not at all. Operations added later get it too.
    ///
    /// # Errors
    /// An Error if the account may not serve one of them, too many are served, or the type of their results is none.
    pub async fn serve(&self, operations: &[impl AsRef<str>], options: ServeOptions) -> Result<(), Fault> {
        let described = &self.peer.connection().callers_described;
        let caller = options.caller || described.load(Ordering::Relaxed);
        if caller {
            // The first requests may come right behind the answer.
            self.peer.set_callers_described();
        }
        for ops in operations.chunks(LIST_MAX) {
            let ops = texts(ops);
            let request = ServeRequest {
                ops,
                caller,
                safe: options.safe,
                result_type: options.result_type.as_deref(),
            };
            self.tell(SERVE, &request).await?;
        }
        Ok(())
    }

    /// Takes no more calls of these operations. Those under way go on.
    ///
    /// # Errors
    /// The hub's.
    pub async fn unserve(&self, operations: &[impl AsRef<str>]) -> Result<(), Fault> {
        for ops in operations.chunks(LIST_MAX) {
            self.tell(UNSERVE, &OperationsRequest { ops: texts(ops) }).await?;
        }
        Ok(())
    }

    /// A call through the hub: as [`Peer::call`].
    pub fn call(&self, operation: &'a str) -> CallBuilder<'a> {
        self.peer.call(operation)
    }

    // ---- topics

    /// Gets what is published under these topics from now on, and their last values at once. A topic may be a filter:
    /// `+` stands for one level, `#` for the rest. What comes may do so before this returns.
    ///
    /// `policy` is what the hub does when this side is slower than the topics; `None` leaves that to the hub. More
    /// than 1,024 are asked for in several requests: if one is refused, those before it stand.
    ///
    /// # Errors
    /// An Error if a filter is malformed or not allowed to the account, or there are too many.
    pub async fn subscribe(
        &self,
        topics: &[impl AsRef<str>],
        policy: Option<DeliveryPolicy>,
    ) -> Result<(), Fault> {
        for topics in topics.chunks(LIST_MAX) {
            let topics = texts(topics);
            self.tell(SUBSCRIBE, &SubscribeRequest { topics, policy }).await?;
        }
        Ok(())
    }

    /// Gets no more of these topics, written as they were subscribed to.
    ///
    /// # Errors
    /// The hub's.
    pub async fn unsubscribe(&self, topics: &[impl AsRef<str>]) -> Result<(), Fault> {
        for topics in topics.chunks(LIST_MAX) {
            let topics = texts(topics);
            self.tell(UNSUBSCRIBE, &TopicsRequest { topics }).await?;
        }
        Ok(())
    }

    /// Publishes, and returns when the hub has taken the message.
    ///
    /// The payload crosses in JSON, as text if it is text and as base64 if not: [`notify`](Self::notify) is cheaper.
    ///
    /// # Errors
    /// An Error if the topic is malformed or not allowed to the account, or an option out of bounds.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        options: PublishOptions,
    ) -> Result<Published, Fault> {
        let payload = payload.into();
        self.ask(PUBLISH, &PublishRequest::new(topic, &payload, options))
            .await
    }

    /// Publishes by a notification: in order with others, as cheap as can be, and without an answer. Whether the hub
    /// took it is not said.
    ///
    /// # Errors and cancel safety
    /// As [`Peer::notify_raw`].
    pub async fn notify(&self, topic: &str, payload: impl Into<Bytes>) -> Result<(), Fault> {
        self.peer.notify_raw(topic, payload).await
    }

    // ---- what the hub knows

    /// Who this connection is to the hub.
    ///
    /// # Errors
    /// The hub's.
    pub async fn whoami(&self) -> Result<WhoAmI, Fault> {
        self.ask(WHOAMI, &Nothing {}).await
    }

    /// What can be called, by name: all pages of it. Those of the hub's own that concern a connection are not listed.
    ///
    /// # Errors
    /// The hub's; an Error of kind too large if there are more than 1,000 pages.
    pub async fn ops(&self) -> Result<Vec<HubOperation>, Fault> {
        self.all_pages(OPS).await
    }

    /// Who is at the hub, the oldest first: all pages of it.
    ///
    /// # Errors
    /// As [`ops`](Self::ops).
    pub async fn sessions(&self) -> Result<Vec<HubSession>, Fault> {
        self.all_pages(SESSIONS).await
    }

    /// How the hub does.
    ///
    /// # Errors
    /// The hub's.
    pub async fn stats(&self) -> Result<HubStats, Fault> {
        self.ask(STATS, &Nothing {}).await
    }

    async fn all_pages<T: DeserializeOwned>(&self, operation: &str) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let request = PageRequest {
                after: after.as_deref(),
            };
            let page: Page<T> = self.ask(operation, &request).await?;
            all.extend(page.entries);
            match page.next {
                None => return Ok(all),
                next if next == after => {
                    return Err(Fault::failed(format!(
                        "{operation}: the hub says that the page after {:?} comes after it",
                        next.unwrap_or_default()
                    )));
                }
                next => after = next,
            }
        }
        Err(Fault::error(
            ErrorKind::TooLarge,
            format!("{operation}: the list has more than {PAGES_MAX} pages"),
        ))
    }

    async fn ask<R: DeserializeOwned>(&self, operation: &str, request: &impl Serialize) -> Result<R, Fault> {
        self.peer.request(operation, request).await
    }

    /// Asks for something whose answer says no more than that it was done: it may be anything.
    async fn tell(&self, operation: &str, request: &impl Serialize) -> Result<(), Fault> {
        self.peer
            .request_raw(operation, to_json(request)?)
            .await
            .map(drop)
    }
}

/// The request of what takes none.
#[derive(Serialize)]
struct Nothing {}

fn texts(list: &[impl AsRef<str>]) -> Vec<&str> {
    list.iter().map(AsRef::as_ref).collect()
}

/// Whole seconds, rounded up: a message lives no shorter than was asked.
fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

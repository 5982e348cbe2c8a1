//! One party at the hub: the verbs that cross the waist.
//!
//! A gateway opens a session for each party that connects, and turns what the party says into calls of the methods
//! here. Names and permissions are checked here, and nowhere else.
//!
//! Locks are taken in this order, each at most once: a session's state, the retained values, one part of a table, one
//! queue. Nobody waits under any of them, and no responder is called.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use switchboard_engine::{Bucket, Key};
use switchboard_peer::{Body, ErrorKind, Fault, Replier};
use tokio::time::Instant;

use crate::filter::Filter;
use crate::found::Found;
use crate::hub::HubInner;
use crate::keys::SessionKeys;
use crate::message::Publish;
use crate::meters::DoorId;
use crate::names::{self, Account};
use crate::operations::{OperationPage, PageRequest, SessionPage, WhoAmI};
use crate::permissions::{Permissions, Verb};
use crate::publishing::Published;
use crate::requests::LoginRequest;
use crate::stats::{Counters, Stats};
use crate::subscription::{Closed, Queue, SubscriptionId};

mod serving;
mod subscribing;

/// How long to wait before calling again what was served until a moment ago: about what a program needs to reconnect.
const ABSENT_RETRY_WAIT: Duration = Duration::from_millis(500);

/// Names one session for as long as the hub lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// The hub itself: who publishes and serves what is the hub's own.
    pub const HUB: Self = Self(0);

    pub(crate) fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, for those who carry it over a wire.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a gateway says about the party that it opens a session for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// The gateway, as `gotalk` or `mqtt`.
    pub door: ByteString,
    /// The network address of the party, or whatever else tells it apart.
    pub address: String,
    /// The account it has at first.
    pub account: Account,
    /// What the party calls itself, where its protocol has it do so: unique within its door.
    pub client: Option<String>,
}

/// One party at the hub. Dropping it closes it.
#[derive(Debug)]
pub struct Session {
    pub(crate) hub: Arc<HubInner>,
    pub(crate) core: Arc<SessionCore>,
}

/// The part of a session that the hub knows too.
#[derive(Debug)]
pub(crate) struct SessionCore {
    pub(crate) id: SessionId,
    pub(crate) info: Arc<SessionInfo>,
    pub(crate) since: SystemTime,
    pub(crate) door: DoorId,
    permissions: Permissions,
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Says the same as [`SessionCore::closed`], for those who hold the lock.
    closed: bool,
    serves: HashSet<ByteString>,
    subscriptions: HashMap<Filter, Subscribed>,
    /// Every sink that was made, to be closed with the session.
    sinks: Vec<Weak<Queue>>,
}

#[derive(Debug)]
struct Subscribed {
    id: SubscriptionId,
    queue: Arc<Queue>,
}

impl SessionCore {
    pub(crate) fn new(id: SessionId, info: SessionInfo, door: DoorId) -> Self {
        Self {
            id,
            door,
            info: Arc::new(info),
            since: SystemTime::now(),
            permissions: Permissions::guest(),
            closed: AtomicBool::new(false),
            state: Mutex::new(State {
                closed: false,
                serves: HashSet::new(),
                subscriptions: HashMap::new(),
                sinks: Vec::new(),
            }),
        }
    }

    /// How many operations it serves, and how many subscriptions it has.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.serves.len(), state.subscriptions.len())
    }

    /// See [`Session::publish_now`].
    pub(crate) fn publish(&self, hub: &HubInner, publish: Publish) -> Result<Published, Fault> {
        self.check_open()?;
        names::check_topic(&publish.topic)?;
        self.permissions.check(Verb::Publish, &publish.topic)?;
        publish.check_headers()?;
        if publish.retain {
            names::check_retained_topic(&publish.topic)?;
        }
        hub.publish(publish, self.id)
    }

    /// See [`Session::keys`].
    pub(crate) fn keys<'a>(&'a self, hub: &'a HubInner) -> Result<SessionKeys<'a>, Fault> {
        self.check_open()?;
        let engine = hub.engine.as_deref().ok_or_else(|| {
            Fault::error(ErrorKind::Unsupported, "this hub has no engine: it keeps no keys")
        })?;
        Ok(SessionKeys {
            core: self,
            keys: engine.keys(),
        })
    }

    /// Whether the session may do this with a key.
    pub(crate) fn check_key(&self, verb: Verb, bucket: &Bucket, key: &Key) -> Result<(), Fault> {
        self.permissions.check_key(verb, bucket, key.as_ref())
    }

    /// Whether the session may do this with all keys that begin so.
    pub(crate) fn check_prefix(&self, verb: Verb, bucket: &Bucket, prefix: &[u8]) -> Result<(), Fault> {
        self.permissions.check_key(verb, bucket, prefix)
    }

    /// Forgets a subscription whose reader is gone, or was too slow.
    pub(crate) fn end_subscription(&self, hub: &HubInner, id: SubscriptionId) {
        let mut state = self.state.lock();
        let filter = state
            .subscriptions
            .iter()
            .find(|(_, subscribed)| subscribed.id == id);
        if let Some(filter) = filter.map(|(filter, _)| filter.clone()) {
            state.subscriptions.remove(&filter);
            hub.subscribers.remove(&filter, id);
        }
    }

    fn check_open(&self) -> Result<(), Fault> {
        if self.closed.load(Ordering::Acquire) {
            Err(closed())
        } else {
            Ok(())
        }
    }
}

impl Session {
    /// The session's number.
    pub fn id(&self) -> SessionId {
        self.core.id
    }

    /// What the gateway said about the party.
    pub fn info(&self) -> &Arc<SessionInfo> {
        &self.core.info
    }

    /// Logs in to another account.
    ///
    /// # Errors
    /// So far there is only the open account `guest`: every other is [`ErrorKind::Denied`].
    pub fn login(&self, request: &LoginRequest) -> Result<(), Fault> {
        self.core.check_open()?;
        let account = Account::parse(&request.account)?;
        if account == Account::guest() {
            return Ok(());
        }
        Err(Fault::error(
            ErrorKind::Denied,
            format!(
                "cannot log in as {:?}: this hub has no accounts yet, only the open `guest`",
                account.as_str()
            ),
        ))
    }

    /// Calls an operation: the least loaded of those who serve it answers through `reply`.
    ///
    /// The answer may come before this returns, or later from any thread. Without a deadline the hub's
    /// [`call_timeout`](crate::HubConfig::call_timeout) counts from now, unless the body is a stream. All that can go wrong is a fault to `reply`:
    /// unknown, denied and invalid as Errors; a responder that is gone as Retry.
    pub fn call(&self, operation: ByteString, body: Body, deadline: Option<Instant>, reply: Replier) {
        match self.find(operation) {
            Ok(found) => found.call(body, deadline, reply),
            Err(fault) => reply.fault(fault),
        }
    }

    /// Finds who answers a call of this operation, for those who want to know what it says before they
    /// [make](Found::call) the call.
    ///
    /// # Errors
    /// Unknown, denied and invalid as Errors; Retry if whoever served it was lost a moment ago.
    pub fn find(&self, operation: ByteString) -> Result<Found<'_>, Fault> {
        let chosen = self.check_call(&operation).and_then(|()| {
            let chosen = self.hub.responders.choose(&operation);
            chosen.ok_or_else(|| self.nobody_serves(&operation))
        });
        match chosen {
            Ok(chosen) => Ok(Found {
                session: self,
                operation,
                chosen,
                content_type: None,
            }),
            Err(fault) => {
                self.hub.counters.calls.add_one();
                Err(self.told(fault))
            }
        }
    }

    /// A stream may go on for as long as both ends want: that is what it is for.
    pub(crate) fn default_deadline(&self, body: &Body, now: Instant) -> Option<Instant> {
        match body {
            Body::Single(_) => now.checked_add(self.hub.config.call_timeout?),
            Body::Stream(_) => None,
        }
    }

    /// Counts a fault that the party is told.
    fn told(&self, fault: Fault) -> Fault {
        self.hub.meters.doors.add_fault(self.core.door, &fault);
        fault
    }

    /// The fault of a call that nobody answers.
    fn nobody_serves(&self, operation: &str) -> Fault {
        if self.hub.absences.has(operation, Instant::now()) {
            let lost = format!("whoever served {operation:?} was lost a moment ago, and may be back soon");
            return Fault::retry(ABSENT_RETRY_WAIT, lost);
        }
        Counters::add(&self.hub.counters.calls_unknown, 1);
        Fault::unknown_operation(operation)
    }

    fn check_call(&self, operation: &str) -> Result<(), Fault> {
        self.core.check_open()?;
        names::check_operation(operation)?;
        self.core.permissions.check(Verb::Call, operation)
    }

    /// Publishes without waiting: every queue that has room has the message when this returns. Queues that are full
    /// and [block](crate::Policy::Block) are waited for with [`Published::settled`]; dropping that drops the message for
    /// them.
    ///
    /// Messages of one publisher reach each subscription in their order, also those that wait. A retained one is, in
    /// one step, its topic's last value and on its way to all who are subscribed.
    ///
    /// # Errors
    /// Invalid for an illegal topic, denied for a reserved one, too large for too many headers or when there is no
    /// room for one more last value. Nobody gets the message then.
    pub fn publish_now(&self, publish: Publish) -> Result<Published, Fault> {
        let published = self.core.publish(&self.hub, publish);
        published.map_err(|fault| self.told(fault))
    }

    /// Publishes, and waits for queues that are full and [block](crate::Policy::Block), each up to its bound, all at the
    /// same time. Tells how many subscriptions have the message.
    ///
    /// # Errors
    /// As [`Self::publish_now`]. That a message was dropped for a slow reader is no error: its reader is told.
    ///
    /// # Cancel safety
    /// Once polled, the message is published; dropping the future drops it for those it still waits for.
    pub async fn publish(&self, publish: Publish) -> Result<usize, Fault> {
        self.publish_now(publish)?.settled().await
    }

    /// The keys of the hub, as far as this session may.
    ///
    /// # Errors
    /// Unsupported, when the hub keeps nothing; failed, when the session is closed.
    pub fn keys(&self) -> Result<SessionKeys<'_>, Fault> {
        self.core.keys(&self.hub)
    }

    /// Who this session is.
    pub fn whoami(&self) -> WhoAmI {
        WhoAmI::new(self.core.id, &self.core.info)
    }

    /// The operations that can be called, by name.
    pub fn ops(&self, page: &PageRequest) -> OperationPage {
        OperationPage::of(&self.hub, page)
    }

    /// The sessions that are open, by number.
    pub fn sessions(&self, page: &PageRequest) -> SessionPage {
        SessionPage::of(&self.hub, page)
    }

    /// How the hub does.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }

    /// Leaves the hub: nothing is served and subscribed to any more, readers get [`Closed::Session`], and whatever
    /// else is asked of the session fails. Calls in flight are not touched: whoever closes a connection fails those it
    /// was to answer. Idempotent.
    pub fn close(&self) {
        let mut state = self.core.state.lock();
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        self.core.closed.store(true, Ordering::Release);
        let serves = std::mem::take(&mut state.serves);
        let subscriptions = std::mem::take(&mut state.subscriptions);
        let sinks = std::mem::take(&mut state.sinks);
        drop(state);
        self.hub.lose(self.core.id, serves);
        for (filter, subscribed) in &subscriptions {
            self.hub.subscribers.remove(filter, subscribed.id);
            subscribed.queue.close(Closed::Session);
        }
        for sink in sinks.iter().filter_map(Weak::upgrade) {
            sink.close(Closed::Session);
        }
        self.hub.meters.doors.leave(self.core.door);
        self.hub.forget(self.core.id);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    fn check_open(&self) -> Result<(), Fault> {
        if self.closed { Err(closed()) } else { Ok(()) }
    }
}

fn closed() -> Fault {
    Fault::failed("the session is closed")
}

impl From<names::NameError> for Fault {
    fn from(error: names::NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests;

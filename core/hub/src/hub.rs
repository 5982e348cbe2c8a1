//! The hub: where sessions meet.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use switchboard_engine::keys::Revision;
use switchboard_engine::{Engine, Health};
use switchboard_peer::{ErrorKind, Fault};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::absences::Absences;
use crate::call::Responder;
use crate::cluster::Cluster;
use crate::config::HubConfig;
use crate::declaration::Declaration;
use crate::filter::Filter;
use crate::keys::events::{KeyEvents, concerns_keys};
use crate::keys::fault;
use crate::message::{Message, Publish};
use crate::meters::{Meters, Metrics, Sampled, Samplers};
use crate::operations;
use crate::publishing::Published;
use crate::responders::{Offer, Responders};
use crate::retained::keeper::Keeper;
use crate::retained::{Retained, loading};
use crate::session::{Session, SessionCore, SessionId, SessionInfo};
use crate::stats::{Counters, Stats};
use crate::subscribers::{Subscriber, Subscribers};
use crate::subscription::{Queue, RetainedRefused, SubscriptionId};

/// How long to wait for a place at a hub that is full.
const SESSION_RETRY_WAIT: Duration = Duration::from_secs(5);

/// How long to wait for a reader to take the last values that it has not read.
const UNREAD_RETRY_WAIT: Duration = Duration::from_millis(500);

/// Where sessions meet: routes calls, spreads messages, keeps last values. Cheap to clone, all clones are one hub.
///
/// Without an [engine](Self::with_engine) it has no task and no thread of its own: everything runs in those of who
/// calls, publishes and reads. With one, a task carries last values into it.
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<HubInner>,
}

/// What sessions share. It lives as long as a hub handle or a session.
#[derive(Debug)]
pub(crate) struct HubInner {
    pub(crate) config: HubConfig,
    pub(crate) responders: Responders,
    pub(crate) meters: Arc<Meters>,
    samplers: Samplers,
    pub(crate) absences: Absences,
    pub(crate) subscribers: Subscribers,
    pub(crate) counters: Arc<Counters>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) key_events: KeyEvents,
    /// The other hubs of the engine, once this one has joined them.
    pub(crate) cluster: OnceLock<Arc<Cluster>>,
    /// Carries last values into the engine; there is one if there is that.
    keeper: Option<Arc<Keeper>>,
    /// Once [`Hub::drain`] was called.
    pub(crate) draining: CancellationToken,
    /// One lock for all topics: held while a retained message is spread, so that the last value is the one that came
    /// last at every subscriber, and that a new subscriber misses nothing between last value and news.
    retained: Mutex<Retained>,
    sessions: Mutex<BTreeMap<SessionId, Arc<SessionCore>>>,
    next_session: AtomicU64,
    next_subscription: AtomicU64,
    since: Instant,
    pub(crate) epoch: u64,
}

/// A filter that is to be subscribed to, and the subscription whose place that takes.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) replaced: Option<SubscriptionId>,
}

impl Hub {
    /// A hub with its own operations and nothing else. It keeps nothing: last values are in memory, and there are no
    /// keys.
    pub fn new(config: HubConfig) -> Self {
        Self::build(config, None)
    }

    /// A hub that keeps last values and keys in an engine. It is ready when the last values are read.
    ///
    /// # Errors
    /// Those of the engine.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn with_engine(config: HubConfig, engine: Arc<dyn Engine>) -> Result<Self, Fault> {
        let hub = Self::build(config, Some(Arc::clone(&engine)));
        loading::load(&hub.inner, &engine).await.map_err(fault)?;
        if let Some(keeper) = hub.inner.keeper.clone() {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { keeper.run(engine).await });
        }
        if engine.is_shared() {
            hub.join(&engine).await?;
        }
        Ok(hub)
    }

    /// Ends what would go on for ever: watches of keys are told to come back later. The first step of going down, when
    /// nobody new is taken in.
    pub fn drain(&self) {
        self.inner.draining.cancel();
    }

    /// Why the hub cannot do all it should, if so: what its engine says.
    pub fn impaired(&self) -> Option<String> {
        match self.inner.engine.as_ref()?.health() {
            Health::Ready => None,
            Health::Impaired(why) => Some(why),
        }
    }

    /// Whether other hubs use the same engine: then keys may change without anybody here doing it.
    pub fn is_shared(&self) -> bool {
        self.inner.cluster.get().is_some()
    }

    /// Joins the other hubs of the engine.
    async fn join(&self, engine: &Arc<dyn Engine>) -> Result<(), Fault> {
        let joined = Cluster::join(&self.inner, engine).await.map_err(fault)?;
        let _ = self.inner.cluster.set(joined);
        Ok(())
    }

    /// Lets other hubs of the engine know that this one is gone, brings what has to outlast it into the engine, and lets
    /// go of that. To be called when no session is left; what is asked of the engine from then on is Retry.
    ///
    /// # Errors
    /// Those of the engine: what was acknowledged a moment ago may be lost then.
    pub async fn stop(&self) -> Result<(), Fault> {
        if let Some(cluster) = self.inner.cluster.get() {
            self.drain();
            cluster.leave().await;
        }
        if let Some(keeper) = &self.inner.keeper {
            keeper.stop().await;
        }
        match &self.inner.engine {
            Some(engine) => engine.close().await.map_err(fault),
            None => Ok(()),
        }
    }

    fn build(config: HubConfig, engine: Option<Arc<dyn Engine>>) -> Self {
        let meters = Arc::<Meters>::default();
        let inner = Arc::new(HubInner {
            keeper: engine.as_deref().map(|engine| Arc::new(Keeper::new(engine))),
            key_events: KeyEvents::default(),
            draining: CancellationToken::new(),
            cluster: OnceLock::new(),
            engine,
            responders: Responders::new(Arc::clone(&meters)),
            meters,
            samplers: Samplers::default(),
            absences: Absences::default(),
            subscribers: Subscribers::new(),
            counters: Arc::default(),
            retained: Mutex::new(Retained::new(config.retained)),
            sessions: Mutex::default(),
            next_session: AtomicU64::new(SessionId::HUB.as_u64() + 1),
            next_subscription: AtomicU64::new(1),
            since: Instant::now(),
            epoch: RandomState::default().hash_one(SystemTime::now()),
            config,
        });
        operations::register(&inner);
        Self { inner }
    }

    /// Answers an operation of the hub's own that is about the process it runs in: the daemon's. Whoever responds
    /// decides who may call it, beyond what holds for every call.
    pub fn serve_own(&self, operation: &'static str, safe: bool, responder: Arc<dyn Responder>) {
        let offer = Offer {
            responder,
            declaration: Declaration {
                safe,
                result_type: None,
            },
            elsewhere: None,
        };
        let name = ByteString::from_static(operation);
        // Only the hub itself serves what is its own, so there is room.
        let _ = self.inner.responders.insert(name, SessionId::HUB, offer, 1);
    }

    /// Opens a session for one party.
    ///
    /// # Errors
    /// Retry when there are as many sessions as there may be.
    pub fn open(&self, info: SessionInfo) -> Result<Session, Fault> {
        let id = self.inner.next_session();
        let mut sessions = self.inner.sessions.lock();
        if sessions.len() >= self.inner.config.sessions_max {
            return Err(Fault::retry(
                SESSION_RETRY_WAIT,
                format!("the hub is full: it has {} sessions", sessions.len()),
            ));
        }
        let door = self.inner.meters.doors.enter(&info.door);
        let core = Arc::new(SessionCore::new(id, info, door));
        sessions.insert(id, Arc::clone(&core));
        drop(sessions);
        Ok(Session {
            hub: Arc::clone(&self.inner),
            core,
        })
    }

    /// Tells the serials of this hub from those of others, and from those before a restart: a number that no other hub
    /// has, as far as chance can do that.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// The last [`serial`](crate::Message::serial) that was given.
    pub fn serial(&self) -> u64 {
        Counters::read(&self.inner.counters.serial)
    }

    /// How the hub does.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// What was measured of calls and doors, and what gateways count.
    pub fn metrics(&self) -> Metrics {
        Metrics::read(&self.inner.meters, &self.inner.samplers)
    }

    /// Adds what somebody counts to the [`metrics`](Self::metrics), for as long as he is there.
    pub fn sample(&self, sampled: Weak<dyn Sampled>) {
        self.inner.samplers.add(sampled);
    }
}

#[cfg(test)]
impl Hub {
    /// A hub that is one of several, and keeps nothing.
    pub(crate) async fn joined(config: HubConfig, engine: &Arc<dyn Engine>) -> Result<Self, Fault> {
        let hub = Self::build(config, None);
        hub.join(engine).await?;
        Ok(hub)
    }

    pub(crate) fn inner(&self) -> &HubInner {
        &self.inner
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(HubConfig::default())
    }
}

impl HubInner {
    /// Spreads a message that was found legal and allowed.
    pub(crate) fn publish(&self, publish: Publish, publisher: SessionId) -> Result<Published, Fault> {
        let message = publish.into_message(publisher);
        // What the hub says itself, every hub says.
        if let Some(cluster) = self.cluster.get().filter(|_| publisher != SessionId::HUB) {
            // Others must not hear of what this hub then refuses.
            if message.retain {
                self.retained.lock().check_room(&message, Instant::now())?;
            }
            cluster.tell(&message)?;
        }
        self.spread(message, true)
    }

    /// Spreads a message among the parties of this hub. One to be retained is kept in the engine, if that is this hub's
    /// to do.
    pub(crate) fn spread(&self, mut message: Message, keep: bool) -> Result<Published, Fault> {
        let (delivered, kept) = if message.retain {
            let mut retained = self.retained.lock();
            message.serial = self.counters.next_serial();
            let message = Arc::new(message);
            retained.store(&message, Instant::now())?;
            let keeper = self.keeper.as_ref().filter(|_| keep);
            let kept = keeper.map(|keeper| keeper.keep(&message));
            (self.subscribers.deliver(&message), kept)
        } else {
            message.serial = self.counters.next_serial();
            (self.subscribers.deliver(&Arc::new(message)), None)
        };
        // Only now, with no lock held: to wake is to run foreign code.
        delivered.wake.into_iter().for_each(Waker::wake);
        for (session, subscription) in delivered.over {
            if let Some(session) = self.session(session) {
                session.end_subscription(self, subscription);
            }
        }
        Counters::add(&self.counters.published, 1);
        Counters::add(&self.counters.delivered, delivered.queued);
        Ok(Published {
            subscriptions: delivered.queued,
            waits: delivered.waits,
            kept,
        })
    }

    /// Enters subscriptions, with the last values first, in the order of their publication. All in one step; nothing is
    /// changed when it fails.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        wanted: &[Wanted],
        session: SessionId,
        queue: &Arc<Queue>,
    ) -> Result<Vec<SubscriptionId>, Fault> {
        let first = self
            .next_subscription
            .fetch_add(wanted.len() as u64, Ordering::Relaxed);
        let ids: Vec<_> = (first..).map(SubscriptionId).take(wanted.len()).collect();
        let max = self.config.retained_unread_max;
        let mut wake = Vec::new();
        let mut retained = self.retained.lock();
        let mut values = Vec::new();
        for (wanted, id) in wanted.iter().zip(&ids) {
            let found = retained
                .matching(&wanted.filter, max.saturating_sub(values.len()), Instant::now())
                .map_err(|count| too_many_retained(&wanted.filter, count + values.len(), max))?;
            values.extend(found.into_iter().map(|message| (*id, message)));
        }
        values.sort_unstable_by_key(|(id, message)| (message.serial, *id));
        queue
            .push_retained(values, Counters::read(&self.counters.serial), max, &mut wake)
            .map_err(no_room_for_retained)?;
        for (wanted, id) in wanted.iter().zip(&ids) {
            let subscriber = Subscriber {
                id: *id,
                session,
                queue: Arc::clone(queue),
            };
            self.subscribers
                .insert(&wanted.filter, subscriber, wanted.replaced);
        }
        drop(retained);
        wake.into_iter().for_each(Waker::wake);
        let of_keys = |wanted: &Wanted| concerns_keys(wanted.filter.as_str());
        if let Some(engine) = self.engine.as_ref().filter(|_| wanted.iter().any(of_keys)) {
            KeyEvents::begin(self, engine);
        }
        Ok(ids)
    }

    /// Takes a last value that is in the engine already; not to be told to subscribers. One that this hub has a newer
    /// one of is left out, and so is one that it has.
    pub(crate) fn remember(
        &self,
        topic: &str,
        revision: Revision,
        value: Option<Message>,
    ) -> Result<(), Fault> {
        let mut retained = self.retained.lock();
        if self
            .keeper
            .as_ref()
            .is_some_and(|keeper| keeper.is_outdated(topic, revision))
        {
            return Ok(());
        }
        match value {
            Some(message) if retained.has_same(&message) => Ok(()),
            Some(mut message) => {
                message.serial = self.counters.next_serial();
                retained.store(&Arc::new(message), Instant::now())
            }
            None => {
                retained.forget(topic);
                Ok(())
            }
        }
    }

    /// Forgets all last values but those that are on their way into the engine: what it has will be told anew.
    pub(crate) fn forget_last_values(&self) {
        let mut retained = self.retained.lock();
        for topic in retained.topics() {
            if !self
                .keeper
                .as_ref()
                .is_some_and(|keeper| keeper.is_pending(&topic))
            {
                retained.forget(&topic);
            }
        }
    }

    /// The number of the next session.
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId::new(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a session that was lost out of what it serves. For a while, calls of what nobody else serves are told to
    /// try again.
    pub(crate) fn lose(&self, session: SessionId, serves: impl IntoIterator<Item = ByteString>) {
        let now = Instant::now();
        for operation in serves {
            if self.responders.remove(&operation, session) {
                self.absences.add(operation, self.config.absence_grace, now);
            }
        }
    }

    /// The session of that number, if it is open.
    pub(crate) fn session(&self, id: SessionId) -> Option<Arc<SessionCore>> {
        self.sessions.lock().get(&id).cloned()
    }

    /// At most `count` sessions whose numbers are greater than `after`, in their order.
    pub(crate) fn sessions_after(&self, after: SessionId, count: usize) -> Vec<Arc<SessionCore>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let sessions = self.sessions.lock();
        sessions
            .range((Excluded(after), Unbounded))
            .take(count)
            .map(|(_, session)| Arc::clone(session))
            .collect()
    }

    pub(crate) fn forget(&self, id: SessionId) {
        self.sessions.lock().remove(&id);
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = Counters::read;
        let counters = &self.counters;
        let (retained_messages, retained_bytes) = self.retained.lock().usage(Instant::now());
        Stats {
            uptime_s: self.since.elapsed().as_secs(),
            sessions: self.sessions.lock().len(),
            operations: self.responders.len(),
            subscriptions: self.subscribers.len(),
            calls: counters.calls.sum(),
            calls_unknown: read(&counters.calls_unknown),
            published: read(&counters.published),
            delivered: read(&counters.delivered),
            dropped: read(&counters.dropped),
            replaced: read(&counters.replaced),
            expired: read(&counters.expired),
            retained_messages,
            retained_bytes,
        }
    }
}

fn too_many_retained(filter: &Filter, count: usize, max: usize) -> Fault {
    Fault::error(
        ErrorKind::TooLarge,
        format!(
            "{count} topics that {:?} and what goes before it match have a last value, and at most {max} can be \
             read: subscribe to less",
            filter.as_str()
        ),
    )
}

fn no_room_for_retained(refused: RetainedRefused) -> Fault {
    match refused {
        RetainedRefused::Over => Fault::error(
            ErrorKind::Conflict,
            "the reader of this subscription is gone, or was too slow",
        ),
        RetainedRefused::Unread(unread) => Fault::retry(
            UNREAD_RETRY_WAIT,
            format!("{unread} last values of earlier subscriptions are unread: read them first"),
        ),
    }
}

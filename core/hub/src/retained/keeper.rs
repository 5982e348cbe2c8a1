//! Carries last values from memory into the engine.
//!
//! Publishing does not wait for the engine: a topic's newest value is handed to the keeper, whose task writes what was
//! handed in, many topics at a time and each topic's values in their order. A topic that changes faster than the engine
//! writes is written once for several changes; all who wait for one of them are told then.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytestring::ByteString;
use foldhash::{HashMap, HashSet};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use switchboard_engine::keys::{Expiry, Revision, Write, Written};
use switchboard_engine::{Engine, EngineError, Key, Timestamp};
use switchboard_peer::Fault;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::record::{self, bucket};
use crate::keys::fault;
use crate::message::Message;

/// Most writes of last values that are under way at once.
const WRITES_MAX: usize = 256;

/// How long an engine that is away is left alone, at least and at most, whatever it says.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(50);
/// See [`RETRY_WAIT_MIN`].
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// See the module. One for each hub with an engine.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Whether other hubs write too, so that what is written here comes back among what they wrote.
    is_shared: bool,
    pending: Mutex<Pending>,
    work: Notify,
    /// Once the task has ended.
    ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Pending {
    /// What is to be written next, by topic. At most as many as there may be last values.
    values: HashMap<ByteString, Waiting>,
    /// The topics of `values` that are not under way, first come first.
    queue: VecDeque<ByteString>,
    /// Topics that are being written, whose next value has to wait.
    under_way: HashSet<ByteString>,
    /// What this hub wrote and has not heard of yet: what comes before it is older.
    unheard: HashMap<ByteString, Revision>,
    stopped: bool,
}

#[derive(Debug)]
struct Waiting {
    message: Arc<Message>,
    /// Who wants to know.
    waiters: Vec<oneshot::Sender<Result<(), Fault>>>,
}

/// Tells when a last value is kept. Dropping it gives up only on hearing of it.
#[derive(Debug)]
pub(crate) struct Kept(oneshot::Receiver<Result<(), Fault>>);

impl Kept {
    /// Waits for the engine.
    ///
    /// # Errors
    /// Retry while the engine is away or full: the value was published, and will be kept as soon as can be. What the
    /// engine cannot keep at all is an Error.
    pub(crate) async fn done(self) -> Result<(), Fault> {
        let stopped = || {
            Fault::retry(
                STOPPING_RETRY_WAIT,
                "the hub is going down: the last value may not be kept",
            )
        };
        self.0.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// How long to wait for a hub that is going down.
const STOPPING_RETRY_WAIT: Duration = Duration::from_secs(1);

impl Keeper {
    pub(crate) fn new(engine: &dyn Engine) -> Self {
        Self {
            is_shared: engine.is_shared(),
            pending: Mutex::default(),
            work: Notify::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Takes the newest value of a topic; an empty one deletes.
    pub(crate) fn keep(&self, message: &Arc<Message>) -> Kept {
        let (sender, receiver) = oneshot::channel();
        let mut pending = self.pending.lock();
        if !pending.stopped {
            let waiting = Waiting {
                message: Arc::clone(message),
                waiters: Vec::new(),
            };
            let waiting = pending.enter(message.topic.clone(), waiting);
            waiting.message = Arc::clone(message);
            waiting.waiters.retain(|waiter| !waiter.is_closed());
            waiting.waiters.push(sender);
        }
        drop(pending);
        self.work.notify_one();
        Kept(receiver)
    }

    /// Whether this hub has a value of the topic that is not in the engine yet.
    pub(crate) fn is_pending(&self, topic: &str) -> bool {
        let pending = self.pending.lock();
        pending.values.contains_key(topic) || pending.under_way.contains(topic)
    }

    /// Whether a change of a topic, heard of from the engine, is older than what this hub has or wrote itself.
    pub(crate) fn is_outdated(&self, topic: &str, revision: Revision) -> bool {
        if self.is_pending(topic) {
            return true;
        }
        let unheard = &mut self.pending.lock().unheard;
        match unheard.get(topic) {
            Some(written) if revision < *written => true,
            Some(_) => {
                unheard.remove(topic);
                false
            }
            None => false,
        }
    }

    /// Writes until [`Self::stop`], and then what is left, each once.
    pub(crate) async fn run(&self, engine: Arc<dyn Engine>) {
        let mut writes = FuturesUnordered::new();
        let mut resume = Instant::now();
        loop {
            let paused = Instant::now() < resume && !self.pending.lock().stopped;
            while !paused
                && writes.len() < WRITES_MAX
                && let Some((topic, waiting)) = self.next()
            {
                writes.push(write(&*engine, topic, waiting));
            }
            if writes.is_empty() && self.pending.lock().stopped {
                return self.ended.cancel();
            }
            tokio::select! {
                Some((topic, waiting, outcome)) = writes.next() => {
                    if let Some(wait) = self.written(topic, waiting, outcome) {
                        resume = Instant::now() + wait.clamp(RETRY_WAIT_MIN, RETRY_WAIT_MAX);
                    }
                }
                () = self.work.notified() => {}
                () = tokio::time::sleep_until(resume), if paused => {}
            }
        }
    }

    /// Ends [`Self::run`], and waits until all is written, or was tried.
    pub(crate) async fn stop(&self) {
        self.pending.lock().stopped = true;
        self.work.notify_one();
        self.ended.cancelled().await;
    }

    fn next(&self) -> Option<(ByteString, Waiting)> {
        let mut pending = self.pending.lock();
        loop {
            let topic = pending.queue.pop_front()?;
            if let Some(waiting) = pending.values.remove(&topic) {
                pending.under_way.insert(topic.clone());
                return Some((topic, waiting));
            }
        }
    }

    /// Tells who waits. How long to wait before trying again, if the engine is away.
    fn written(
        &self,
        topic: ByteString,
        mut waiting: Waiting,
        outcome: Result<Written, EngineError>,
    ) -> Option<Duration> {
        let told = outcome.as_ref().map(drop).map_err(|error| fault(error.clone()));
        for waiter in mem::take(&mut waiting.waiters) {
            let _ = waiter.send(told.clone());
        }
        let mut pending = self.pending.lock();
        pending.under_way.remove(&topic);
        if pending.values.contains_key(&topic) {
            pending.queue.push_back(topic.clone());
        }
        match outcome {
            Ok(written) => {
                if let Some(heard_from) = heard_from(&written).filter(|_| self.is_shared) {
                    pending.unheard.insert(topic, heard_from);
                }
                None
            }
            Err(EngineError::Unavailable { wait, reason }) => {
                tracing::warn!(
                    topic = &*topic,
                    reason,
                    "a last value is not kept yet: trying again"
                );
                if !pending.stopped && !pending.values.contains_key(&topic) {
                    pending.enter(topic, waiting);
                }
                Some(wait)
            }
            Err(error) => {
                tracing::error!(topic = &*topic, %error, "a last value cannot be kept: it will not outlast this hub");
                None
            }
        }
    }
}

impl Pending {
    /// Enters what is to be written, unless something is there already; tells what is there then.
    fn enter(&mut self, topic: ByteString, waiting: Waiting) -> &mut Waiting {
        if !self.values.contains_key(&topic) && !self.under_way.contains(&topic) {
            self.queue.push_back(topic.clone());
        }
        self.values.entry(topic).or_insert(waiting)
    }
}

/// The revision that a write has, or that it has at least; `None` if it changed nothing.
fn heard_from(written: &Written) -> Option<Revision> {
    match written {
        Written::Done {
            after: Some(after), ..
        } => Some(after.revision),
        Written::Done {
            before: Some(before), ..
        } => Some(Revision(before.revision.0 + 1)),
        Written::Done { .. } | Written::Unmet { .. } => None,
    }
}

async fn write(
    engine: &dyn Engine,
    topic: ByteString,
    waiting: Waiting,
) -> (ByteString, Waiting, Result<Written, EngineError>) {
    let outcome = match Key::new(topic.as_bytes().clone()) {
        Ok(key) => {
            engine
                .keys()
                .write(&bucket(), key, as_write(&waiting.message))
                .await
        }
        Err(error) => Err(error),
    };
    (topic, waiting, outcome)
}

fn as_write(message: &Message) -> Write {
    let now = Instant::now();
    if message.payload.is_empty() || message.expires.is_some_and(|expires| expires <= now) {
        return Write::delete();
    }
    let expiry = match message.expires {
        None => Expiry::Never,
        Some(expires) => Expiry::At(Timestamp::from(SystemTime::now()).after(expires - now)),
    };
    Write::put(record::encode(message)).expiring(expiry)
}

#[cfg(test)]
mod tests;

//! What the keeper of a connection and those who use it share: the link, the queue, the state.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_wire::gotalk::NAME_BYTES_MAX;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::options::KeepAliveOptions;
use super::queue::{Entry, Queue, Route};
use super::state::{Ended, State};
use crate::fault::{ErrorKind, Fault};
use crate::peer::Peer;
use crate::reply::RETRY_WAIT;
use crate::retry::RetryPolicy;

pub(super) struct Shared {
    inner: Mutex<Inner>,
    pub(super) state: watch::Sender<State>,
    /// Fires when it has ended for good.
    pub(super) stop: CancellationToken,
    /// Told when nothing is under way.
    idle: Notify,
    pub(super) retry: RetryPolicy,
}

struct Inner {
    link: Link,
    queue: Queue,
    /// Sends that wait in the queue or for their answer, notifications in the queue left out.
    tickets: usize,
    phase: Phase,
}

/// How far it is on its way to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Takes nothing new.
    Refusing,
    /// All is done: the end of the connection is the end of it all.
    Finishing,
}

enum Link {
    Away,
    /// Also for the moment from the loss of this connection until the keeper has seen it.
    Up(Peer),
    Ended(Ended),
}

impl Link {
    /// The connection, if it still takes something.
    fn open_peer(&self) -> Option<&Peer> {
        match self {
            Self::Up(peer) if peer.connection().outbox.is_open() => Some(peer),
            _ => None,
        }
    }
}

impl Inner {
    /// Whether something new is taken.
    fn check_open(&self) -> Result<(), Fault> {
        match &self.link {
            Link::Ended(ended) => Err(ended.to_fault()),
            _ if self.phase > Phase::Open => Err(Ended::Local.to_fault()),
            _ => Ok(()),
        }
    }

    fn is_idle(&self) -> bool {
        self.tickets == 0 && self.queue.is_empty()
    }
}

/// What a send got that asked for a connection.
enum Turn {
    Now(Peer),
    Later(oneshot::Receiver<Peer>),
}

impl Shared {
    pub(super) fn new(options: &KeepAliveOptions) -> Self {
        let first = State::Connecting {
            attempt: 1,
            next_try: options.back_off.first,
        };
        Self {
            inner: Mutex::new(Inner {
                link: Link::Away,
                queue: Queue::new(options.queue_sends_max, options.queue_bytes_max),
                tickets: 0,
                phase: Phase::Open,
            }),
            state: watch::Sender::new(first),
            stop: CancellationToken::new(),
            idle: Notify::new(),
            retry: options.retry.clone(),
        }
    }

    // ---- for those who send

    /// Gives a connection to send a request of so many bytes over, after waiting for one if need be. The request is
    /// under way until the ticket is dropped.
    ///
    /// Cancel safe: dropped, it leaves the row.
    pub(super) async fn turn(
        self: &Arc<Self>,
        bytes: usize,
        deadline: Option<Instant>,
    ) -> Result<(Peer, Ticket), Fault> {
        let (turn, ticket) = self.enter(bytes)?;
        let waits = match turn {
            Turn::Now(peer) => return Ok((peer, ticket)),
            Turn::Later(waits) => waits,
        };
        let told = match deadline {
            None => waits.await,
            Some(deadline) => tokio::time::timeout_at(deadline, waits).await.map_err(|_| {
                Fault::retry(
                    RETRY_WAIT,
                    "the deadline of the call has passed before there was a connection",
                )
            })?,
        };
        match told {
            Ok(peer) => Ok((peer, ticket)),
            Err(_) => Err(self.ended_fault()),
        }
    }

    fn enter(self: &Arc<Self>, bytes: usize) -> Result<(Turn, Ticket), Fault> {
        let mut inner = self.inner.lock();
        inner.check_open()?;
        let (turn, place) = match inner.link.open_peer() {
            Some(peer) => (Turn::Now(peer.clone()), None),
            None => {
                let (turn, waits) = oneshot::channel();
                let Some(place) = inner.queue.push(Entry::Request { turn, bytes }) else {
                    return Err(self.full(inner.queue.len()));
                };
                (Turn::Later(waits), Some(place))
            }
        };
        inner.tickets += 1;
        Ok((turn, self.ticket(place)))
    }

    /// Says where a notification goes, and queues it if that is where.
    pub(super) fn route_notification(self: &Arc<Self>, name: &str, payload: &Bytes) -> Result<Route, Fault> {
        let mut inner = self.inner.lock();
        inner.check_open()?;
        if let Some(peer) = inner.link.open_peer() {
            let peer = peer.clone();
            inner.tickets += 1;
            return Ok(Route::Direct(peer, self.ticket(None)));
        }
        if name.len() > NAME_BYTES_MAX {
            // As the connection would say it, but not too late for anyone to hear.
            let message = format!(
                "name of {} bytes exceeds the limit of {NAME_BYTES_MAX}",
                name.len()
            );
            return Err(Fault::error(ErrorKind::TooLarge, message));
        }
        let entry = Entry::Notification {
            name: name.to_owned(),
            payload: payload.clone(),
        };
        match inner.queue.push(entry) {
            Some(_) => Ok(Route::Queued),
            None => Err(self.full(inner.queue.len())),
        }
    }

    fn ticket(self: &Arc<Self>, place: Option<u64>) -> Ticket {
        Ticket {
            shared: Arc::clone(self),
            place,
        }
    }

    fn full(&self, waiting: usize) -> Fault {
        // There is room again when there is a connection, so not before the next try.
        let wait = match &*self.state.borrow() {
            State::Waiting { until, .. } => until.saturating_duration_since(Instant::now()),
            _ => RETRY_WAIT,
        };
        Fault::retry(
            wait.max(RETRY_WAIT),
            format!(
                "the connection is away, and what waits for it ({waiting} sends) leaves no room for more"
            ),
        )
    }

    pub(super) fn peer(&self) -> Option<Peer> {
        match &self.inner.lock().link {
            Link::Up(peer) => Some(peer.clone()),
            _ => None,
        }
    }

    pub(super) fn ended_fault(&self) -> Fault {
        match &self.inner.lock().link {
            Link::Ended(ended) => ended.to_fault(),
            _ => Ended::Local.to_fault(),
        }
    }

    // ---- for the keeper

    /// Sends the first in the row over a new connection. True when there is none, and the connection is the one that
    /// is used from now on; `None` if the connection takes nothing any more.
    pub(super) fn flush_one(&self, peer: &Peer) -> Option<bool> {
        let mut inner = self.inner.lock();
        if !peer.connection().outbox.is_open() || matches!(inner.link, Link::Ended(_)) {
            return None;
        }
        let Some((place, entry)) = inner.queue.pop() else {
            inner.link = Link::Up(peer.clone());
            return Some(true);
        };
        match entry {
            Entry::Notification { name, payload } => match peer.notify_now(&name, &payload) {
                Ok(()) => {}
                Err(Fault::Retry { .. }) => {
                    inner.queue.put_back(place, Entry::Notification { name, payload });
                    return None;
                }
                Err(error) => tracing::warn!(name, %error, "dropping a queued notification"),
            },
            // A request that was given up has nobody who takes the connection.
            Entry::Request { turn, .. } => drop(turn.send(peer.clone())),
        }
        self.tell_idle(&inner);
        Some(false)
    }

    /// The connection is gone.
    pub(super) fn away(&self) {
        let mut inner = self.inner.lock();
        if matches!(inner.link, Link::Up(_)) {
            inner.link = Link::Away;
        }
    }

    /// Tells the state, unless it has ended.
    pub(super) fn set_state(&self, state: State) {
        self.state.send_if_modified(|present| {
            let ended = matches!(present, State::Closed(_));
            if !ended {
                *present = state;
            }
            !ended
        });
    }

    // ---- the end

    /// Takes nothing new.
    pub(super) fn refuse_new(&self) {
        let mut inner = self.inner.lock();
        inner.phase = inner.phase.max(Phase::Refusing);
    }

    /// Makes no new connection after this one.
    pub(super) fn finish(&self) {
        self.inner.lock().phase = Phase::Finishing;
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.inner.lock().phase == Phase::Finishing
    }

    /// Waits until nothing is queued or waits for an answer. Cancel safe.
    pub(super) async fn idle(&self) {
        loop {
            let told = self.idle.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.inner.lock().is_idle() {
                return;
            }
            told.await;
        }
    }

    fn tell_idle(&self, inner: &Inner) {
        if inner.phase > Phase::Open && inner.is_idle() {
            self.idle.notify_waiters();
        }
    }

    /// Ends it for good. The first end counts.
    pub(super) fn end(&self, ended: Ended) {
        let mut inner = self.inner.lock();
        if matches!(inner.link, Link::Ended(_)) {
            return;
        }
        let link = std::mem::replace(&mut inner.link, Link::Ended(ended.clone()));
        let dropped = inner.queue.drain();
        drop(inner);
        if let Link::Up(peer) = link {
            peer.close();
        }
        if !dropped.is_empty() {
            tracing::debug!(sends = dropped.len(), %ended, "a connection ended with sends still queued");
        }
        drop(dropped);
        self.idle.notify_waiters();
        self.state.send_replace(State::Closed(ended));
        self.stop.cancel();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is queued stays out of logs.
        f.debug_struct("Shared")
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}

/// A send under way.
#[derive(Debug)]
pub(super) struct Ticket {
    shared: Arc<Shared>,
    /// Its place in the queue, if it has waited there.
    place: Option<u64>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.shared.inner.lock();
        let left = self.place.and_then(|place| inner.queue.remove(place));
        inner.tickets -= 1;
        self.shared.tell_idle(&inner);
        drop(inner);
        drop(left);
    }
}

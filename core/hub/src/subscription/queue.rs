//! The queue itself: where the policies are.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::progress::Progress;
use super::{Closed, Delivery, SubscriptionId};
use crate::message::Message;
use crate::policy::{BLOCK_TIMEOUT_MAX, Policy, QueueLimits};
use crate::stats::Counters;

/// Most publishers that wait for room in one queue. One more does not wait: its message is dropped for this queue, and
/// counted, so that what waits is as bounded as what is queued.
pub const BLOCKED_PUBLISHERS_MAX: usize = 256;

/// See [`super`].
#[derive(Debug)]
pub(crate) struct Queue {
    policy: Policy,
    limits: QueueLimits,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Last values of topics from before a subscription: read first, bounded by the one who subscribes.
    retained: VecDeque<Item>,
    news: VecDeque<Item>,
    /// Bytes in `news`.
    bytes: usize,
    /// How many items were ever taken from the front of `news`: the number of its first one.
    taken: u64,
    /// [`Policy::Latest`] only: the pending item of a topic.
    pending: HashMap<ByteString, Pending>,
    progress: Progress,
    /// [`Policy::Block`] only: what waits for room, in the order of its publication.
    blocked: VecDeque<Blocked>,
    /// Drops since the last delivery.
    dropped: u64,
    reader: Option<Waker>,
    /// No more comes in; the reader learns why after what is there.
    closed: Option<Closed>,
    /// The reader is gone.
    abandoned: bool,
}

/// The item of a topic that has one at most.
#[derive(Debug)]
struct Pending {
    /// Its number, counted from the first that ever came in.
    number: u64,
    /// What its place is reached by, should it be replaced there: see [`Progress`].
    place: u64,
    replaced: bool,
}

#[derive(Debug)]
struct Item {
    subscription: SubscriptionId,
    message: Arc<Message>,
}

#[derive(Debug)]
struct Blocked {
    item: Item,
    /// Tells the publisher that its message got in. Closed once the publisher waits no more.
    admitted: oneshot::Sender<()>,
}

/// What became of a message that was handed to a queue.
#[derive(Debug)]
pub(crate) enum Push {
    /// It is in.
    Queued,
    /// It is in as soon as there is room, if that is before the deadline: the publisher waits.
    Blocked(Wait),
    /// There was no room.
    Dropped,
    /// The queue takes nothing any more: the subscription is over.
    Over,
}

/// Why a queue took no last values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetainedRefused {
    /// It takes nothing any more.
    Over,
    /// So many from before are unread that there is no room.
    Unread(usize),
}

/// A publisher's wait for one queue. Dropped, the message is dropped too.
#[derive(Debug)]
pub(crate) struct Wait {
    admitted: oneshot::Receiver<()>,
    deadline: Instant,
}

impl Wait {
    /// Whether the message got in before the deadline.
    pub(crate) async fn admitted(self) -> bool {
        matches!(
            tokio::time::timeout_at(self.deadline, self.admitted).await,
            Ok(Ok(()))
        )
    }
}

impl Queue {
    pub(crate) fn new(policy: Policy, limits: QueueLimits, counters: Arc<Counters>) -> Self {
        let policy = match policy {
            Policy::Block { timeout } => Policy::Block {
                timeout: timeout.min(BLOCK_TIMEOUT_MAX),
            },
            other => other,
        };
        Self {
            policy,
            limits,
            counters,
            state: Mutex::new(State::new()),
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }

    /// Hands in one message. A reader that is to be woken is put into `wake`, for the caller to wake it outside of
    /// its own locks.
    pub(crate) fn push(
        &self,
        subscription: SubscriptionId,
        message: &Arc<Message>,
        wake: &mut Vec<Waker>,
    ) -> Push {
        let item = Item {
            subscription,
            message: Arc::clone(message),
        };
        let size = message.size();
        let mut state = self.state.lock();
        if state.closed.is_some() || state.abandoned {
            return Push::Over;
        }
        if self.policy == Policy::Latest && state.replace_pending(&item, size) {
            Counters::add(&self.counters.replaced, 1);
            // The new one may be larger. The last that is left may be of any size, as everywhere.
            while state.bytes > self.limits.bytes && state.news.len() > 1 {
                self.drop_oldest(&mut state);
            }
            return Push::Queued;
        }
        let full = !state.has_room(size, &self.limits);
        match self.policy {
            Policy::Block { timeout } if full || !state.blocked.is_empty() => {
                return self.block(&mut state, item, Instant::now() + timeout);
            }
            Policy::Disconnect if full => {
                Counters::add(&self.counters.dropped, 1);
                state.closed = Some(Closed::TooSlow);
                wake.extend(state.reader.take());
                return Push::Over;
            }
            Policy::DropOldest | Policy::Latest => {
                while !state.has_room(size, &self.limits) {
                    self.drop_oldest(&mut state);
                }
            }
            Policy::Block { .. } | Policy::Disconnect => {}
        }
        state.append(item, size, self.policy);
        wake.extend(state.reader.take());
        Push::Queued
    }

    fn block(&self, state: &mut State, item: Item, deadline: Instant) -> Push {
        self.forget_those_who_gave_up(state);
        if state.blocked.len() >= BLOCKED_PUBLISHERS_MAX {
            self.count_drop(state);
            return Push::Dropped;
        }
        let (sender, admitted) = oneshot::channel();
        state.blocked.push_back(Blocked {
            item,
            admitted: sender,
        });
        Push::Blocked(Wait { admitted, deadline })
    }

    /// All wait equally long, so those whose time is over stand in front.
    fn forget_those_who_gave_up(&self, state: &mut State) {
        while state
            .blocked
            .front()
            .is_some_and(|blocked| blocked.admitted.is_closed())
        {
            state.blocked.pop_front();
            self.count_drop(state);
        }
    }

    /// Lets in what waited, as far as there is room.
    fn admit_blocked(&self, state: &mut State) {
        while let Some(blocked) = state.blocked.front() {
            let size = blocked.item.message.size();
            if !blocked.admitted.is_closed() && !state.has_room(size, &self.limits) {
                return;
            }
            let Some(Blocked { item, admitted }) = state.blocked.pop_front() else {
                return;
            };
            if admitted.send(()).is_ok() {
                state.append(item, size, self.policy);
                Counters::add(&self.counters.delivered, 1);
            } else {
                self.count_drop(state);
            }
        }
    }

    fn drop_oldest(&self, state: &mut State) {
        state.pop();
        self.count_drop(state);
    }

    fn count_drop(&self, state: &mut State) {
        state.dropped += 1;
        Counters::add(&self.counters.dropped, 1);
    }

    /// Hands in last values of topics, by their serials, all that there were up to `serial`. They come before all news
    /// and do not count against the limits. Refused when more than `max` of them would be unread.
    pub(crate) fn push_retained(
        &self,
        values: Vec<(SubscriptionId, Arc<Message>)>,
        serial: u64,
        max: usize,
        wake: &mut Vec<Waker>,
    ) -> Result<(), RetainedRefused> {
        let mut state = self.state.lock();
        if state.abandoned || state.closed.is_some() {
            return Err(RetainedRefused::Over);
        }
        if state.retained.len() + values.len() > max {
            return Err(RetainedRefused::Unread(state.retained.len()));
        }
        state.progress.begin(serial, values.len());
        state
            .retained
            .extend(values.into_iter().map(|(subscription, message)| Item {
                subscription,
                message,
            }));
        wake.extend(state.reader.take());
        Ok(())
    }

    /// Takes nothing more in; what waited for room is dropped.
    pub(crate) fn close(&self, reason: Closed) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        let (blocked, reader) = (std::mem::take(&mut state.blocked), state.reader.take());
        drop(state);
        drop(blocked);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The reader is gone: nothing is kept for it.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        let old = std::mem::replace(
            &mut *state,
            State {
                abandoned: true,
                ..State::new()
            },
        );
        drop(state);
        // Outside of the lock: it may be much, and wakes those who wait.
        drop(old);
    }

    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Result<Delivery, Closed>> {
        let mut state = self.state.lock();
        match self.take(&mut state) {
            Some(delivery) => Poll::Ready(Ok(delivery)),
            None => state.poll_end(cx).map(Err),
        }
    }

    pub(crate) fn poll_take_many(
        &self,
        cx: &Context<'_>,
        batch: &mut Vec<Delivery>,
        max: usize,
    ) -> Poll<Result<usize, Closed>> {
        let mut state = self.state.lock();
        let before = batch.len();
        batch.extend(std::iter::from_fn(|| self.take(&mut state)).take(max));
        match batch.len() - before {
            0 if max > 0 => state.poll_end(cx).map(Err),
            taken => Poll::Ready(Ok(taken)),
        }
    }

    pub(crate) fn poll_closed(&self, cx: &Context<'_>) -> Poll<Closed> {
        self.state.lock().poll_end(cx)
    }

    pub(crate) fn try_take(&self) -> Result<Option<Delivery>, Closed> {
        let mut state = self.state.lock();
        match (self.take(&mut state), state.closed) {
            (None, Some(reason)) => Err(reason),
            (delivery, _) => Ok(delivery),
        }
    }

    /// The next delivery that is still of use.
    fn take(&self, state: &mut State) -> Option<Delivery> {
        loop {
            let (item, retained, reached) = state.take()?;
            let expired = item.message.is_expired();
            // Before others are let in: what is dropped among them comes after this one.
            let dropped = if expired {
                0
            } else {
                std::mem::take(&mut state.dropped)
            };
            if !state.blocked.is_empty() {
                self.admit_blocked(state);
            }
            if expired {
                Counters::add(&self.counters.expired, 1);
                continue;
            }
            let Item {
                subscription,
                message,
            } = item;
            return Some(Delivery {
                subscription,
                message,
                retained,
                dropped,
                reached,
            });
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            retained: VecDeque::new(),
            news: VecDeque::new(),
            bytes: 0,
            taken: 0,
            pending: HashMap::new(),
            progress: Progress::default(),
            blocked: VecDeque::new(),
            dropped: 0,
            reader: None,
            closed: None,
            abandoned: false,
        }
    }

    fn has_room(&self, size: usize, limits: &QueueLimits) -> bool {
        self.news.is_empty() || (self.news.len() < limits.messages && self.bytes + size <= limits.bytes)
    }

    fn append(&mut self, item: Item, size: usize, policy: Policy) {
        let place = self.progress.push(&item.message);
        if policy == Policy::Latest {
            let pending = Pending {
                number: self.taken + self.news.len() as u64,
                place,
                replaced: false,
            };
            self.pending.insert(item.message.topic.clone(), pending);
        }
        self.bytes += size;
        self.news.push_back(item);
    }

    /// [`Policy::Latest`]: puts the item where an older one of its topic waits. False if none does.
    fn replace_pending(&mut self, item: &Item, size: usize) -> bool {
        let Some(pending) = self.pending.get_mut(&item.message.topic) else {
            return false;
        };
        let place = pending
            .number
            .checked_sub(self.taken)
            .and_then(|place| usize::try_from(place).ok());
        let Some(old) = place.and_then(|place| self.news.get_mut(place)) else {
            return false;
        };
        pending.replaced = true;
        self.progress.push(&item.message);
        self.bytes = self.bytes - old.message.size() + size;
        *old = Item {
            subscription: item.subscription,
            message: Arc::clone(&item.message),
        };
        true
    }

    /// The next item to be read, whether it is a last value, and how far the reader has come with it.
    fn take(&mut self) -> Option<(Item, bool, u64)> {
        if let Some(item) = self.retained.pop_front() {
            let is_last = self.retained.is_empty();
            let reached = self.progress.take_last_value(&item.message, is_last);
            return Some((item, true, reached));
        }
        let (item, place) = self.pop()?;
        let is_last = self.news.is_empty() && self.blocked.is_empty();
        let reached = self.progress.take(&item.message, place, is_last);
        Some((item, false, reached))
    }

    /// The first of the news; if it took the place of another, with what that place is reached by.
    fn pop(&mut self) -> Option<(Item, Option<u64>)> {
        let item = self.news.pop_front()?;
        self.taken += 1;
        self.bytes -= item.message.size();
        let mut place = None;
        if !self.pending.is_empty() {
            let pending = self.pending.remove(&item.message.topic);
            place = pending
                .filter(|pending| pending.replaced)
                .map(|pending| pending.place);
        }
        Some((item, place))
    }

    /// Why nothing more comes in, or the reader is woken when something does.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<Closed> {
        match self.closed {
            Some(reason) => Poll::Ready(reason),
            None => {
                match &mut self.reader {
                    Some(reader) => reader.clone_from(cx.waker()),
                    reader @ None => *reader = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

//! One queue under its lock.
//!
//! Whatever happens to it goes through [`Queue::operate`], which sees to all that follows: what was due comes first;
//! jobs that became ready go to those who wait; the commit thread, the timer and the count of memory are told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use switchboard_engine::{EngineError, QueueName};
use tokio::sync::oneshot;

use super::core::{Core, Taken};
use super::line::{Line, WAITING_MAX, Waiter};
use super::moment::{Moment, NEVER};
use super::record::Sink;
use super::shared::Shared;

/// Most bytes of records that are made in one go under the lock: 1 MiB, a fraction of a millisecond.
const DRAIN_BYTES: usize = 1024 * 1024;

/// What is said to one who finds [`WAITING_MAX`] others waiting, and how long until he may
/// try again.
const LINE_FULL: &str = "too many wait for a job of this queue";
const LINE_RETRY: Duration = Duration::from_secs(1);

/// What one who waits is told: jobs, or none because his time is over.
pub(crate) type Served = Vec<Taken>;

type Waiters = Line<oneshot::Sender<Served>>;

/// What is told without the lock, since it wakes others.
type Deliveries = Vec<(oneshot::Sender<Served>, Served)>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    name: QueueName,
    /// Tells it from every other one, for the timer.
    number: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    core: Core,
    line: Waiters,
    /// It is in the list of what the commit thread has to look at.
    is_listed: bool,
    /// It was thrown away, because it held nothing: look for another of its name.
    is_retired: bool,
    /// When the timer will look at it.
    scheduled: u64,
    /// What the shared count of memory knows of it.
    counted_bytes: usize,
    /// [`Core::noted_bytes`] when they were collected last.
    collected_bytes: usize,
}

/// The queue was thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired;

/// How to wait for jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) max: usize,
    pub(crate) lease: Duration,
    /// The token of the reservation.
    pub(crate) token: u64,
}

/// What came of a wish.
#[derive(Debug)]
pub(crate) enum Granted {
    /// Jobs, or none, since nobody wanted to wait.
    Now(Served),
    /// It waits in the line.
    Waits {
        place: u64,
        served: oneshot::Receiver<Served>,
    },
    /// It may not wait.
    Refused(EngineError),
}

impl Queue {
    pub(crate) fn new(name: QueueName, number: u64) -> Arc<Self> {
        Arc::new(Self {
            name,
            number,
            inner: Mutex::new(Inner {
                core: Core::new(),
                line: Line::new(),
                is_listed: false,
                is_retired: false,
                scheduled: NEVER,
                counted_bytes: 0,
                collected_bytes: 0,
            }),
        })
    }

    pub(crate) fn name(&self) -> &QueueName {
        &self.name
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Does something with it, at this moment.
    pub(crate) fn operate<T>(
        self: &Arc<Self>,
        shared: &Shared,
        act: impl FnOnce(&mut Core, Moment) -> T,
    ) -> Result<T, Retired> {
        self.operate_with_line(shared, |core, _, now| act(core, now))
    }

    /// Takes jobs, or waits for some until a monotonic millisecond; not at all, if that is `None`.
    pub(crate) fn grant(
        self: &Arc<Self>,
        shared: &Shared,
        wish: Wish,
        until: Option<u64>,
    ) -> Result<Granted, Retired> {
        self.operate_with_line(shared, |core, line, now| {
            let taken = core.reserve(now, wish.max, wish.lease, wish.token);
            match until {
                Some(until) if taken.is_empty() && until > now.millis() => {
                    let may_wait = shared
                        .check_open()
                        .and_then(|()| match line.len() >= WAITING_MAX {
                            true => Err(EngineError::unavailable(LINE_RETRY, LINE_FULL)),
                            false => Ok(()),
                        });
                    if let Err(error) = may_wait {
                        return Granted::Refused(error);
                    }
                    let (tell, served) = oneshot::channel();
                    let place = line.join(Waiter {
                        max: wish.max,
                        lease: wish.lease,
                        token: wish.token,
                        until,
                        tell,
                    });
                    Granted::Waits { place, served }
                }
                _ => Granted::Now(taken),
            }
        })
    }

    /// Leaves the line, unless that one was served, or gave up.
    pub(crate) fn leave(self: &Arc<Self>, shared: &Shared, place: u64) {
        // One that was thrown away has no line.
        let _ = self.operate_with_line(shared, |_, line, _| line.leave(place));
    }

    /// Undoes reservations that reached nobody.
    pub(crate) fn give_back(self: &Arc<Self>, shared: &Shared, taken: &[Taken]) {
        // One that was thrown away holds no job.
        let _ = self.operate(shared, |core, _| core.give_back_all(taken));
    }

    /// How many wait in the line.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        self.inner.lock().line.len()
    }

    /// Puts back what was in the store, before anybody uses the queue.
    pub(crate) fn restore(&self, put: impl FnOnce(&mut Core)) {
        put(&mut self.inner.lock().core);
    }

    /// Tells all who wait that nothing comes any more.
    pub(crate) fn close(&self) {
        self.inner.lock().line = Line::new();
    }

    /// Adds what has changed to a batch, for the commit thread. Tells how many of the bytes that were counted it covers.
    pub(crate) fn collect(&self, shared: &Shared, sink: &mut Sink<'_>) -> usize {
        let mut inner = self.inner.lock();
        inner.is_listed = false;
        let noted = inner.core.noted_bytes();
        let covered = noted.wrapping_sub(inner.collected_bytes);
        inner.collected_bytes = noted;
        let now = Moment::of(&*shared.clock);
        let mut left = inner.core.unsaved();
        while left > 0 {
            left -= inner.core.drain(now, left, DRAIN_BYTES, sink);
            parking_lot::MutexGuard::bump(&mut inner);
        }
        covered
    }

    /// What was collected is in the store. Whether nothing is left of the queue, so that it was thrown away.
    pub(crate) fn stored(&self, shared: &Shared) -> bool {
        let mut inner = self.inner.lock();
        let excess = shared
            .body_bytes
            .load(Ordering::Relaxed)
            .saturating_sub(shared.body_bytes_max);
        inner.core.confirm(excess);
        inner.count_bytes(shared);
        inner.is_retired |= inner.is_disposable() && !inner.is_listed;
        inner.is_retired
    }

    fn operate_with_line<T>(
        self: &Arc<Self>,
        shared: &Shared,
        act: impl FnOnce(&mut Core, &mut Waiters, Moment) -> T,
    ) -> Result<T, Retired> {
        let (outcome, mut deliveries) = self.locked(shared, act)?;
        while !deliveries.is_empty() {
            let unheard: Vec<Taken> = deliveries
                .into_iter()
                .filter_map(|(tell, served)| tell.send(served).err())
                .flatten()
                .collect();
            if unheard.is_empty() {
                break;
            }
            let given_back = self.locked(shared, |core, _, _| core.give_back_all(&unheard));
            // It holds those jobs, so it was not thrown away.
            deliveries = given_back.map(|((), deliveries)| deliveries).unwrap_or_default();
        }
        Ok(outcome)
    }

    /// Does something under the lock. What is to be delivered, without it, is told.
    fn locked<T>(
        self: &Arc<Self>,
        shared: &Shared,
        act: impl FnOnce(&mut Core, &mut Waiters, Moment) -> T,
    ) -> Result<(T, Deliveries), Retired> {
        let mut deliveries = Deliveries::new();
        let mut inner = self.inner.lock();
        if inner.is_retired {
            return Err(Retired);
        }
        let noted = inner.core.noted_bytes();
        // Under the lock, so that time never goes back between two operations.
        let now = Moment::of(&*shared.clock);
        let is_more_due = inner.core.advance(now);
        inner.serve(now, &mut deliveries);
        let Inner { core, line, .. } = &mut *inner;
        let outcome = act(core, line, now);
        inner.serve(now, &mut deliveries);
        self.schedule(&mut inner, shared, now, is_more_due);
        inner.count_bytes(shared);
        let changed = inner.core.noted_bytes().wrapping_sub(noted);
        let must_list = !inner.is_listed && (inner.core.unsaved() > 0 || inner.is_disposable());
        if must_list {
            inner.is_listed = true;
            shared.list(Arc::clone(self));
        }
        drop(inner);
        if changed > 0 || must_list {
            shared.committer.changed(changed);
        }
        Ok((outcome, deliveries))
    }

    fn schedule(self: &Arc<Self>, inner: &mut Inner, shared: &Shared, now: Moment, is_more_due: bool) {
        let next = match is_more_due {
            true => now.millis(),
            false => inner.core.quiet_until().min(inner.line.quiet_until()),
        };
        // A moment that has become too early stays, and costs one look, so that not every lease costs a change.
        if next < inner.scheduled || (inner.scheduled <= now.millis() && next != inner.scheduled) {
            shared.timer.reschedule(self, inner.scheduled, next);
            inner.scheduled = next;
        }
    }
}

impl Inner {
    /// Gives jobs that are ready to those who wait, and lets go those whose time is over.
    fn serve(&mut self, now: Moment, deliveries: &mut Deliveries) {
        if self.line.is_empty() {
            return;
        }
        while self.core.has_ready() {
            let Some(waiter) = self.line.serve() else { break };
            let taken = self.core.reserve(now, waiter.max, waiter.lease, waiter.token);
            deliveries.push((waiter.tell, taken));
        }
        while let Some(waiter) = self.line.give_up(now.millis()) {
            deliveries.push((waiter.tell, Served::new()));
        }
    }

    fn is_disposable(&self) -> bool {
        self.core.is_disposable() && self.line.is_empty()
    }

    fn count_bytes(&mut self, shared: &Shared) {
        let bytes = self.core.bytes();
        if bytes > self.counted_bytes {
            shared
                .body_bytes
                .fetch_add(bytes - self.counted_bytes, Ordering::Relaxed);
        } else if bytes < self.counted_bytes {
            shared
                .body_bytes
                .fetch_sub(self.counted_bytes - bytes, Ordering::Relaxed);
        }
        self.counted_bytes = bytes;
    }
}

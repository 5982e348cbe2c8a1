//! The commit thread: what writes to the store, many changes at a time.
//!
//! Parts of the engine keep their newest state in memory. Each is a [`Source`]: once a round the commit thread asks
//! every source for what has changed, writes all of it as one batch, and syncs as the [`Durability`] says. How a part
//! changes something:
//!
//! 1. [`Committer::admit`]: whether a change may be made now; if it says to wait, await [`Committer::room`] and ask again.
//! 2. Change the state in memory, under the part's own lock, and note what is to be written.
//! 3. [`Committer::changed`], under that lock or after it: counts the bytes and wakes the thread.
//! 4. [`Committer::acknowledge`], without the lock: the answer, at once under `second` and `never`, when the disk has it
//!    under `always`. Who waits for it alone may write the round in the thread's stead: see [`lead`].
//!
//! A crash loses the youngest rounds and no part of a round, so what a source hands in at one [`Source::collect`] must
//! be its state at one moment.
//!
//! **When the disk fails** (full, an error): all who wait get [`EngineError::Unavailable`], and so does every `admit`;
//! the round is kept and tried again every [`MEND_INTERVAL`] until it succeeds, then all goes on by itself. Reads of
//! what is in memory go on all the while.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU8, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;
use switchboard_engine::{Answer, Durability, EngineError, Health, Result};
use tokio::sync::{Notify, oneshot};

use crate::store::{Batch, Store};

mod lead;
mod rounds;
#[cfg(test)]
mod tests;

pub(crate) use rounds::Rounds;

use lead::Leader;
use rounds::Run;

/// What is changed and not yet written takes at most about so many bytes of memory: 16 MiB, some 100,000 small changes;
/// to write them takes about three times as much for a moment. Over it writes wait for the disk.
pub(crate) const UNWRITTEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a round gathers under `second` and `never`: long enough for thousands of changes to share one write, short
/// enough that the end of the process loses next to nothing.
pub(crate) const GATHER_TIME: Duration = Duration::from_millis(5);

/// A round gathers no longer when it has so many bytes: 4 MiB, so that none waits for room.
const GATHERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often what was written is synced under [`Durability::Second`].
pub(crate) const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often a disk that failed is tried again.
pub(crate) const MEND_INTERVAL: Duration = Duration::from_secs(1);

/// A part of the engine whose state the commit thread writes. Its methods are called by whoever writes a round, one at a
/// time.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Adds to the batch what has changed since the last call. Tells how many of the bytes that were counted by
    /// [`Committer::changed`] that covers.
    fn collect(&self, batch: &mut Batch) -> usize;

    /// What the last `collect` gave is in the store: reads find it there.
    fn stored(&self) {}

    /// The last [`Self::collect`] is next: nothing may be changed any more.
    fn close(&self) {}

    /// Called now and then between two rounds, for what is due by the clock, and after every round. It must not wait.
    /// Tells whether anything will become due, so that the next call must not be long.
    fn tick(&self) -> bool {
        false
    }
}

/// How the disk is told what must be there: see [`mark`](crate::mark). Nothing, for a store in memory.
pub(crate) type Marking = Option<crate::mark::Mark>;

/// The way to the commit thread.
pub(crate) struct Committer {
    store: Arc<dyn Store>,
    durability: Durability,
    gate: AtomicU8,
    /// The round that a change made now is written with, or an earlier one.
    round: AtomicU64,
    /// Whether the thread knows that there is something to do.
    pending: AtomicBool,
    /// Whether somebody waits for what is in memory, so that the round should not gather.
    urgent: AtomicBool,
    /// Bytes that are changed and not yet written. For a moment it may be negative: a change is counted after the lock
    /// that it was made under, and the thread may have written it by then.
    unwritten: AtomicIsize,
    thread: Mutex<Option<Thread>>,
    waiting: Mutex<Vec<Waiting>>,
    room: Notify,
    trouble: Mutex<Option<String>>,
    sources: Mutex<Vec<Arc<dyn Source>>>,
    /// Whether those who wait may write: under `always`, while syncs are quick.
    is_quick: AtomicBool,
    /// From when the thread is started until it ends.
    run: Mutex<Option<Run>>,
}

/// Whether a change may be made; as a number, for one load on the hot path.
mod gate {
    pub(super) const OPEN: u8 = 0;
    /// Too much is unwritten.
    pub(super) const FULL: u8 = 1;
    /// The disk fails.
    pub(super) const FAILING: u8 = 2;
    /// The engine is closed.
    pub(super) const CLOSED: u8 = 3;
}

/// Whether a change may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Yes,
    /// After [`Committer::room`].
    Wait,
}

/// Somebody who waits for a round.
#[derive(Debug)]
struct Waiting {
    round: u64,
    need: Need,
    answer: oneshot::Sender<Result<()>>,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// That reads of the store find it.
    Stored,
    /// That the disk has it, as soon as others have it too.
    Durable,
    /// That the disk has it, now, whatever the durability.
    Synced,
}

impl Committer {
    /// The way to a thread that is yet to be started, by [`Rounds::start`].
    pub(crate) fn new(store: Arc<dyn Store>, durability: Durability) -> Arc<Self> {
        Arc::new(Self {
            store,
            durability,
            gate: AtomicU8::new(gate::OPEN),
            round: AtomicU64::new(1),
            pending: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            unwritten: AtomicIsize::new(0),
            thread: Mutex::new(None),
            waiting: Mutex::new(Vec::new()),
            room: Notify::new(),
            trouble: Mutex::new(None),
            sources: Mutex::new(Vec::new()),
            is_quick: AtomicBool::new(false),
            run: Mutex::new(None),
        })
    }

    /// Adds a part, before the thread is started.
    pub(crate) fn add_source(&self, source: Arc<dyn Source>) {
        self.sources.lock().push(source);
    }

    /// The store below.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether a change may be made now.
    ///
    /// # Errors
    /// Unavailable while the disk fails, and after the engine was closed. Nothing was changed.
    #[inline]
    pub(crate) fn admit(&self) -> Result<Admission> {
        match self.gate.load(Ordering::Acquire) {
            gate::OPEN => Ok(Admission::Yes),
            gate::FULL => Ok(Admission::Wait),
            _ => Err(self.refusal()),
        }
    }

    /// Whether the engine was closed.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.gate.load(Ordering::Acquire) == gate::CLOSED
    }

    /// From now on nothing is admitted. The thread is stopped after that, by [`Rounds::stop`].
    pub(crate) fn refuse(&self) {
        self.shut(gate::CLOSED);
        self.room.notify_waiters();
    }

    /// Waits until a change may be made.
    ///
    /// # Errors
    /// As [`Self::admit`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn room(&self) -> Result<()> {
        loop {
            let made = self.room.notified();
            if self.admit()? == Admission::Yes {
                return Ok(());
            }
            made.await;
        }
    }

    /// Ends when it may have become otherwise whether changes can be made. It misses nothing from when it is made.
    pub(crate) fn turn(&self) -> impl Future<Output = ()> {
        self.room.notified()
    }

    /// Tells that something was changed, and about how many bytes of memory it takes until it is written.
    #[inline]
    pub(crate) fn changed(&self, bytes: usize) {
        if bytes > 0 {
            let before = self.unwritten.fetch_add(bytes as isize, Ordering::Relaxed);
            let after = usize::try_from(before + bytes as isize).unwrap_or(0);
            let before = usize::try_from(before).unwrap_or(0);
            if after > UNWRITTEN_BYTES_MAX {
                self.shut(gate::FULL);
            }
            if before <= GATHERED_BYTES_MAX && after > GATHERED_BYTES_MAX {
                self.urgent.store(true, Ordering::Release);
                self.unpark();
            }
        }
        self.wake();
    }

    /// The answer to a change that was told by [`Self::changed`].
    #[inline]
    pub(crate) fn acknowledge<T: Send + 'static>(self: &Arc<Self>, value: T) -> Answer<T> {
        if self.durability != Durability::Always {
            return Answer::ok(value);
        }
        let leader = Leader::new(self, self.wait_for(Need::Durable));
        Answer::later(async move { leader.wait().await.map(|()| value) })
    }

    /// Waits until what has been changed so far is found by reads of the store.
    ///
    /// # Errors
    /// Unavailable while the disk fails.
    pub(crate) fn when_stored(&self) -> Answer<()> {
        Answer::later(hear(self.wait_for(Need::Stored)))
    }

    /// Waits until the disk has what has been changed so far.
    ///
    /// # Errors
    /// Unavailable while the disk fails.
    pub(crate) fn when_synced(&self) -> Answer<()> {
        Answer::later(hear(self.wait_for(Need::Synced)))
    }

    /// What the matter is, if something is.
    pub(crate) fn health(&self) -> Health {
        match &*self.trouble.lock() {
            Some(trouble) => Health::Impaired(trouble.clone()),
            None if self.gate.load(Ordering::Acquire) == gate::CLOSED => {
                Health::Impaired("it is closed".to_owned())
            }
            None => Health::Ready,
        }
    }

    fn wait_for(&self, need: Need) -> oneshot::Receiver<Result<()>> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        // Read under the lock, which the thread takes after it began a round: so none is overlooked.
        let round = self.round.load(Ordering::Acquire);
        if self.gate.load(Ordering::Acquire) >= gate::FAILING {
            let _ = answer.send(Err(self.refusal()));
            return receiver;
        }
        waiting.push(Waiting { round, need, answer });
        drop(waiting);
        self.pending.store(true, Ordering::Release);
        if need != Need::Durable {
            self.urgent.store(true, Ordering::Release);
            self.unpark();
        }
        receiver
    }

    /// Wakes the thread, if it is not known to have something to do already.
    #[inline]
    pub(crate) fn wake(&self) {
        // A change that was made under a lock which the thread takes to collect it is either collected after the
        // thread took the flag down, or was collected already: the lock orders them.
        let is_new = !self.pending.load(Ordering::Relaxed) && !self.pending.swap(true, Ordering::AcqRel);
        if is_new && !lead::is_awaited() {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    fn shut(&self, to: u8) {
        // Never from failing or closed to full.
        let _ = self
            .gate
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < to).then_some(to)
            });
    }

    /// Tells that the disk fails.
    fn report(&self, trouble: String) {
        *self.trouble.lock() = Some(trouble);
        self.shut(gate::FAILING);
        self.room.notify_waiters();
    }

    fn refuse_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for one in waiting {
            let _ = one.answer.send(Err(self.refusal()));
        }
    }

    fn refusal(&self) -> EngineError {
        let reason = match &*self.trouble.lock() {
            Some(trouble) => format!("nothing can be written: {trouble}"),
            None => "the engine is closed".to_owned(),
        };
        EngineError::unavailable(MEND_INTERVAL, reason)
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer")
            .field("durability", &self.durability)
            .field("unwritten", &self.unwritten)
            .finish_non_exhaustive()
    }
}

/// The end of the thread ends all who wait.
async fn hear(answer: oneshot::Receiver<Result<()>>) -> Result<()> {
    answer
        .await
        .unwrap_or_else(|_| Err(EngineError::unavailable(MEND_INTERVAL, "the engine is closed")))
}

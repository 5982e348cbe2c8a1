//! Jobs under leases, as [`switchboard_engine::queues`] promises.
//!
//! ```text
//! push, reserve, ack … ─► Queue: a lock, and below it
//!                            Core    jobs by their states; what is to be written; dedupe ids   (pure)
//!                            Line    those who wait for a job                                  (pure)
//!    commit thread ◄──────── the list of changed queues: each round asks them for what has changed
//!    timer thread  ◄──────── the moment at which something is due in a queue
//! ```
//!
//! **Memory**: a job costs about 80 bytes, at most [`jobs::JOB_COST_BYTES`], for as long as it is there; its body is on
//! the disk, and beside that in memory only until it is written, or while all bodies together stay below a bound
//! ([`BODY_BYTES_MAX`]): those that are needed next. **Coalescing**: what comes and goes within a round of the commit
//! thread is never written. **Waiting**: who waits stands in a line; a job that becomes ready is handed to the first,
//! and only he is woken. **Time**: delays and leases are kept by the monotonic clock, and written by the wall clock.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use switchboard_engine::queues::{
    Counts, JOBS_MAX, JobId, JobState, Lease, Peeked, Push, Pushed, Queues, REASON_BYTES_MAX, Reserved,
    check_delay, check_lease, check_push,
};
use switchboard_engine::{Answer, Clock, EngineError, QueueName, Result};

mod core;
mod dedupe;
mod ids;
mod jobs;
mod ledger;
mod line;
mod look;
mod moment;
mod queue;
mod record;
mod reserve;
mod shared;
#[cfg(test)]
mod tests;
mod timer;

use self::core::{Core, NewJob};
use self::dedupe::DedupeHash;
use self::moment::Moment;
use self::record::encode_body;
use self::reserve::Reservation;
use self::shared::Shared;
use crate::commit::{Committer, Source};
use crate::store::StoreResult;

/// Bytes of bodies that are kept in memory though they are on the disk, so that those who reserve need not wait for it:
/// 64 MiB.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The queues of an embedded engine.
#[derive(Debug)]
pub(crate) struct EmbeddedQueues {
    shared: Arc<Shared>,
    timer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedQueues {
    /// The queues that are in the store below the committer. They have to be its [`source`](Self::source) before its
    /// thread is started.
    ///
    /// # Errors
    /// When the store cannot be read, or the system gives no thread.
    pub(crate) fn load(committer: Arc<Committer>, clock: Arc<dyn Clock>) -> StoreResult<Self> {
        Self::load_with(committer, clock, BODY_BYTES_MAX)
    }

    fn load_with(
        committer: Arc<Committer>,
        clock: Arc<dyn Clock>,
        body_bytes_max: usize,
    ) -> StoreResult<Self> {
        let shared = Arc::new(Shared::load(committer, clock, body_bytes_max)?);
        shared.begin();
        let timing = Arc::clone(&shared);
        let timer = thread::Builder::new()
            .name("engine-queues".to_owned())
            .spawn(move || {
                while let Some(queue) = timing.timer.wait() {
                    // Looking at it is enough; one that was thrown away has nothing due.
                    let _ = queue.operate(&timing, |_, _| ());
                }
            })
            .map_err(|error| crate::store::StoreError::Disk(format!("no thread for the queues: {error}")))?;
        Ok(Self {
            shared,
            timer: Mutex::new(Some(timer)),
        })
    }

    /// What the commit thread asks for changes, and whose `tick` lets happen what is due.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.shared) as Arc<dyn Source>
    }

    /// Ends all waiting. What was changed is written by the commit thread, which is stopped after this. Idempotent.
    pub(crate) fn close(&self) {
        self.shared.close();
        if let Some(timer) = self.timer.lock().take()
            && timer.join().is_err()
        {
            tracing::error!("the thread of the queues has failed");
        }
    }

    /// Does something with a queue that is there, and waits until it is as safe as the durability says.
    fn change<T: Send + 'static>(
        &self,
        queue: &QueueName,
        absent: impl FnOnce() -> Result<T>,
        act: impl FnOnce(&mut Core, Moment) -> Result<T>,
    ) -> Answer<T> {
        let change = || {
            self.shared.check_writable()?;
            let acted = self.shared.with_existing(queue, act);
            acted.unwrap_or_else(absent)
        };
        match self.shared.committer.awaited(change, Result::is_ok) {
            Ok(value) => self.shared.committer.acknowledge(value),
            Err(error) => Answer::err(error),
        }
    }

    /// As [`Self::change`], for what only the holder of a lease may do.
    fn change_leased<T: Send + 'static>(
        &self,
        queue: &QueueName,
        lease: &Lease,
        act: impl FnOnce(&mut Core, Moment, u64, u64) -> Result<T>,
    ) -> Answer<T> {
        let lost = EngineError::LeaseLost(lease.job.0);
        match reserve::parse_token(&lease.token) {
            Some(token) => self.change(
                queue,
                || Err(lost),
                |core, now| act(core, now, lease.job.0, token),
            ),
            None => Answer::err(lost),
        }
    }
}

impl Drop for EmbeddedQueues {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queues for EmbeddedQueues {
    fn push(&self, queue: &QueueName, push: Push) -> Answer<Pushed> {
        if let Err(error) = check_push(&push) {
            return Answer::err(error);
        }
        let job = NewJob {
            priority: push.priority,
            attempts_max: push.attempts_max,
            delay: push.delay,
            dedupe: push.dedupe.as_deref().map(DedupeHash::of),
            body: encode_body(&push, self.shared.clock.now()),
        };
        let push = || try_push(&self.shared, queue, &job);
        let is_pushed = |pushed: &Result<Option<Pushed>>| matches!(pushed, Ok(Some(_)));
        match self.shared.committer.awaited(push, is_pushed) {
            Err(error) => Answer::err(error),
            Ok(Some(pushed)) => self.shared.committer.acknowledge(pushed),
            Ok(None) => {
                let (shared, queue) = (Arc::clone(&self.shared), queue.clone());
                Answer::later(async move {
                    loop {
                        shared.ready().await?;
                        if let Some(pushed) = try_push(&shared, &queue, &job)? {
                            return shared.committer.acknowledge(pushed).await;
                        }
                    }
                })
            }
        }
    }

    fn reserve(
        &self,
        queue: &QueueName,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Answer<Vec<Reserved>> {
        if let Err(error) = check_max(max).and_then(|()| check_lease(lease)) {
            return Answer::err(error);
        }
        let reservation = Reservation {
            shared: Arc::clone(&self.shared),
            name: queue.clone(),
            max,
            lease,
            wait,
        };
        reservation.begin()
    }

    fn extend(&self, queue: &QueueName, lease: &Lease, time: Duration) -> Answer<()> {
        if let Err(error) = check_lease(time) {
            return Answer::err(error);
        }
        self.change_leased(queue, lease, |core, now, id, token| {
            core.extend(now, id, token, time)
        })
    }

    fn ack(&self, queue: &QueueName, lease: &Lease) -> Answer<()> {
        self.change_leased(queue, lease, |core, now, id, token| core.ack(now, id, token))
    }

    fn nack(&self, queue: &QueueName, lease: &Lease, wait: Duration, reason: ByteString) -> Answer<JobState> {
        if let Err(error) = check_delay(wait) {
            return Answer::err(error);
        }
        let reason = reason
            .get(..reason.floor_char_boundary(REASON_BYTES_MAX))
            .unwrap_or_default();
        // A text of its own: the caller's may be a slice of something large.
        let reason = ByteString::from(reason.to_owned());
        self.change_leased(queue, lease, |core, now, id, token| {
            core.nack(now, id, token, wait, reason)
        })
    }

    fn cancel(&self, queue: &QueueName, job: JobId) -> Answer<bool> {
        self.change(queue, || Ok(false), |core, _| Ok(core.cancel(job.0)))
    }

    fn revive(&self, queue: &QueueName, job: JobId) -> Answer<bool> {
        self.change(queue, || Ok(false), |core, _| Ok(core.revive(job.0)))
    }

    fn peek(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<JobId>,
        limit: usize,
    ) -> Answer<Vec<Peeked>> {
        let from = match after {
            None => Some(0),
            Some(JobId(after)) => after.checked_add(1),
        };
        match from {
            None => Answer::ok(Vec::new()),
            Some(from) => {
                let (shared, limit) = (Arc::clone(&self.shared), limit.min(JOBS_MAX));
                Answer::later(look::peek(shared, queue.clone(), state, from, limit))
            }
        }
    }

    fn counts(&self, queue: &QueueName) -> Answer<Counts> {
        Answer::now(self.shared.check_open().map(|()| {
            let counts = self.shared.with_existing(queue, |core, _| core.counts());
            counts.unwrap_or_default()
        }))
    }

    fn purge(&self, queue: &QueueName, state: JobState) -> Answer<u64> {
        let (shared, queue) = (Arc::clone(&self.shared), queue.clone());
        Answer::later(async move {
            let purged = look::purge(Arc::clone(&shared), queue, state).await?;
            shared.committer.acknowledge(purged).await
        })
    }

    fn names(&self) -> Answer<Vec<QueueName>> {
        Answer::now(self.shared.check_open().map(|()| {
            let holds_a_job =
                |queue: &Arc<queue::Queue>| queue.operate(&self.shared, |core, _| !core.is_empty());
            let queues = self.shared.all().into_iter();
            let mut names: Vec<_> = queues
                .filter(|queue| holds_a_job(queue).unwrap_or(false))
                .map(|queue| queue.name().clone())
                .collect();
            names.sort_unstable();
            names
        }))
    }
}

/// `None` if it has to wait until [`Shared::ready`].
fn try_push(shared: &Shared, queue: &QueueName, job: &NewJob) -> Result<Option<Pushed>> {
    if !shared.admit()? {
        return Ok(None);
    }
    shared.with(queue, |queue| {
        queue.operate(shared, |core, now| match shared.ids.take() {
            Some(id) => core.push(now, id, job).map(Some),
            None => Ok(None),
        })
    })
}

fn check_max(max: usize) -> Result<()> {
    match max {
        1..=JOBS_MAX => Ok(()),
        _ => Err(EngineError::Invalid(format!(
            "{max} jobs cannot be reserved at once: it takes 1 to {JOBS_MAX}"
        ))),
    }
}

//! Jobs under leases.
//!
//! **Delivery**: at least once. A job that was acknowledged to its pusher is there until it is acked, cancelled or
//! purged; a job under a lease is given to nobody else until the lease ends; a lease ends when its time is up, by ack,
//! by nack, or by cancellation. **Ordering**: among the jobs that are ready, higher priority first, then those that
//! were pushed earlier; a job that comes back (nack, lease over, delay over) keeps its place by when it was pushed. With
//! several workers that is the order of reserving, not of finishing. **Durability**: as the engine's
//! [`Durability`](crate::Durability) says; leases outlast a restart by the wall clock.
//!
//! **Attempts**: each reservation is one. A job whose last attempt failed (nack, or lease over) is *dead*: it stays,
//! with the last reason, until it is revived or purged.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{Answer, QueueName, Result, Timestamp};

/// Most bytes in the payload of a job: 960 KiB, which with its headers fit into the 1 MiB that a NATS server allows in a
/// message out of the box. Larger things are blobs.
pub const JOB_BYTES_MAX: usize = 960 * 1024;

/// Most headers of a job, and most bytes in all of them.
pub const HEADERS_MAX: usize = 32;
/// See [`HEADERS_MAX`].
pub const HEADER_BYTES_MAX: usize = 8 * 1024;

/// The highest priority; the lowest is 0. As Celery's and AMQP's.
pub const PRIORITY_MAX: u8 = 9;

/// Most attempts that can be asked for.
pub const ATTEMPTS_MAX: u32 = 1_000_000;

/// A second push with the same dedupe id within so long is the first one.
pub const DEDUPE_WINDOW: Duration = Duration::from_secs(120);

/// Most bytes in a dedupe id.
pub const DEDUPE_BYTES_MAX: usize = 255;

/// Most bytes that are kept of the reason for a failure; what is longer is cut at a character. Whoever has more to say
/// keeps it elsewhere, as there may be millions of dead jobs.
pub const REASON_BYTES_MAX: usize = 1024;

/// Most jobs in one reservation, and in one page of [`Queues::peek`].
pub const JOBS_MAX: usize = 1_000;

/// The shortest and the longest lease.
pub const LEASE_MIN: Duration = Duration::from_millis(100);
/// See [`LEASE_MIN`]. Whoever needs longer extends it.
pub const LEASE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Longest delay of a push or a nack: a year.
pub const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Names a job within its queue; later pushes have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What a pusher hands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The job, at most [`JOB_BYTES_MAX`].
    pub payload: Bytes,
    /// What is said about it, at most [`HEADERS_MAX`].
    pub headers: Vec<(ByteString, ByteString)>,
    /// Not before so long from now, at most [`DELAY_MAX`].
    pub delay: Duration,
    /// 0 to [`PRIORITY_MAX`].
    pub priority: u8,
    /// If a push to this queue within the last [`DEDUPE_WINDOW`] had the same, this one changes nothing.
    pub dedupe: Option<ByteString>,
    /// After so many attempts that failed the job is dead: 1 to [`ATTEMPTS_MAX`].
    pub attempts_max: u32,
}

impl Push {
    /// A job to be done at once, at the lowest priority, tried three times.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            headers: Vec::new(),
            delay: Duration::ZERO,
            priority: 0,
            dedupe: None,
            attempts_max: 3,
        }
    }
}

/// What came of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The job; of the earlier push, if this was a duplicate.
    pub id: JobId,
    /// Whether an earlier push had the same dedupe id: nothing was changed.
    pub duplicate: bool,
}

/// The right to work on a job for a while. Opaque; it may be stored and used at another hub of the same engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// What tells this reservation from every other one of the job.
    pub token: ByteString,
}

/// A job as a worker gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// What it is finished with.
    pub lease: Lease,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The job.
    pub job: Job,
}

/// A job, as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What it is.
    pub payload: Bytes,
    /// What was said about it.
    pub headers: Vec<(ByteString, ByteString)>,
    /// Its priority.
    pub priority: u8,
    /// Most attempts.
    pub attempts_max: u32,
    /// When it was pushed.
    pub pushed: Timestamp,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It waits for a worker.
    Ready,
    /// It waits for its time.
    Delayed,
    /// Somebody works on it.
    Reserved,
    /// Its attempts are used up.
    Dead,
}

/// A job as an onlooker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// The job.
    pub job: Job,
    /// Where it stands.
    pub state: JobState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it will be ready (delayed), or when its lease ends (reserved).
    pub until: Option<Timestamp>,
    /// Why the last attempt failed, if it did.
    pub reason: Option<ByteString>,
}

/// How many jobs a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Waiting for a worker.
    pub ready: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// Being worked on.
    pub reserved: u64,
    /// Out of attempts.
    pub dead: u64,
}

/// Jobs under leases.
pub trait Queues: fmt::Debug + Send + Sync {
    /// Adds a job. When the answer is there, the job is as safe as the engine's durability says.
    ///
    /// # Errors
    /// Invalid and too large for what is over the bounds of [`Push`]; unavailable: the job may have been added; pushing
    /// it again with the same dedupe id is safe.
    fn push(&self, queue: &QueueName, push: Push) -> Answer<Pushed>;

    /// Takes up to `max` jobs (1 to [`JOBS_MAX`]) that are ready, each under a lease of that length from now. Waits up
    /// to `wait` for the first; an empty answer says that there was none.
    ///
    /// # Errors
    /// Invalid for a number of jobs or a lease out of their bounds.
    ///
    /// # Cancel safety
    /// Dropping the answer while it waits takes nothing; jobs that were taken in that moment come back when their
    /// lease is over.
    fn reserve(
        &self,
        queue: &QueueName,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Answer<Vec<Reserved>>;

    /// Lets a lease end that long from now ([`LEASE_MIN`] to [`LEASE_MAX`]).
    ///
    /// # Errors
    /// Lease lost; invalid for a time out of its bounds.
    fn extend(&self, queue: &QueueName, lease: &Lease, time: Duration) -> Answer<()>;

    /// The job is done: it is gone.
    ///
    /// # Errors
    /// Lease lost.
    fn ack(&self, queue: &QueueName, lease: &Lease) -> Answer<()>;

    /// The attempt failed: the job is ready again after `wait` (at most [`DELAY_MAX`]), or dead if that was its last
    /// attempt. The state it came to is told. Of the reason, [`REASON_BYTES_MAX`] are kept.
    ///
    /// # Errors
    /// Lease lost; invalid for a wait over its bound.
    fn nack(&self, queue: &QueueName, lease: &Lease, wait: Duration, reason: ByteString) -> Answer<JobState>;

    /// Takes a job away, whatever its state; a lease of it is lost. False if it is not there (any more).
    fn cancel(&self, queue: &QueueName, job: JobId) -> Answer<bool>;

    /// Makes a dead job ready, with all its attempts before it. False if there is no such dead job.
    fn revive(&self, queue: &QueueName, job: JobId) -> Answer<bool>;

    /// Looks at jobs in one state, by id, from the one after `after`; at most `limit` (up to [`JOBS_MAX`]).
    fn peek(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<JobId>,
        limit: usize,
    ) -> Answer<Vec<Peeked>>;

    /// How many jobs there are.
    fn counts(&self, queue: &QueueName) -> Answer<Counts>;

    /// Takes away all jobs in that state. Tells how many they were.
    fn purge(&self, queue: &QueueName, state: JobState) -> Answer<u64>;

    /// The queues that hold a job, in order.
    fn names(&self) -> Answer<Vec<QueueName>>;
}

/// Checks a push against its bounds.
///
/// # Errors
/// Invalid or too large, with the bound.
pub fn check_push(push: &Push) -> Result<()> {
    use crate::EngineError::{Invalid, TooLarge};
    let header_bytes: usize = push
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let dedupe_bytes = push.dedupe.as_ref().map_or(1, |dedupe| dedupe.len());
    if push.payload.len() > JOB_BYTES_MAX {
        return Err(TooLarge(format!(
            "the job has {} bytes: at most {JOB_BYTES_MAX} are possible; larger things are kept as blobs",
            push.payload.len()
        )));
    }
    if push.headers.len() > HEADERS_MAX || header_bytes > HEADER_BYTES_MAX {
        return Err(TooLarge(format!(
            "the job has {} headers with {header_bytes} bytes: at most {HEADERS_MAX} with {HEADER_BYTES_MAX} bytes \
             are possible",
            push.headers.len()
        )));
    }
    if push.priority > PRIORITY_MAX {
        return Err(Invalid(format!(
            "{} is no priority: it goes from 0 to {PRIORITY_MAX}",
            push.priority
        )));
    }
    if !(1..=DEDUPE_BYTES_MAX).contains(&dedupe_bytes) {
        return Err(Invalid(format!(
            "the dedupe id has {dedupe_bytes} bytes: 1 to {DEDUPE_BYTES_MAX} are possible"
        )));
    }
    if !(1..=ATTEMPTS_MAX).contains(&push.attempts_max) {
        return Err(Invalid(format!(
            "{} attempts are not possible: it takes 1 to {ATTEMPTS_MAX}",
            push.attempts_max
        )));
    }
    check_delay(push.delay)
}

/// Checks the delay of a push or nack.
///
/// # Errors
/// Invalid over [`DELAY_MAX`].
pub fn check_delay(delay: Duration) -> Result<()> {
    if delay <= DELAY_MAX {
        return Ok(());
    }
    Err(crate::EngineError::Invalid(format!(
        "a delay of {} s is not possible: at most {} s",
        delay.as_secs(),
        DELAY_MAX.as_secs()
    )))
}

/// Checks the length of a lease.
///
/// # Errors
/// Invalid outside [`LEASE_MIN`] and [`LEASE_MAX`].
pub fn check_lease(time: Duration) -> Result<()> {
    if (LEASE_MIN..=LEASE_MAX).contains(&time) {
        return Ok(());
    }
    Err(crate::EngineError::Invalid(format!(
        "a lease of {} ms is not possible: it takes {} to {} ms",
        time.as_millis(),
        LEASE_MIN.as_millis(),
        LEASE_MAX.as_millis()
    )))
}

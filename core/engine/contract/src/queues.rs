//! Jobs under leases: [`switchboard_engine::queues`].

mod concurrency;
mod crashes;
mod leases;
mod looking;
mod model;
mod order;
mod waiting;

pub use concurrency::*;
pub use crashes::*;
pub use leases::*;
pub use looking::*;
pub use model::*;
pub use order::*;
pub use waiting::*;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::queues::{Counts, JOBS_MAX, JobId, JobState, Lease, Peeked, Push, Pushed, Reserved};
use switchboard_engine::{Engine, EngineError, QueueName};

use crate::TestBed;
use crate::tools::{self, millis, soon};

/// A lease that does not end by itself in any property.
const LEASE_LONG: Duration = millis(3_600_000);

/// A lease and a delay that are waited for.
const LEASE: Duration = millis(1_500);

/// One queue of an engine, in few words.
#[derive(Clone)]
struct Jobs {
    engine: Arc<dyn Engine>,
    queue: QueueName,
}

impl Jobs {
    /// A queue that nobody has used.
    fn new(bed: &dyn TestBed) -> Self {
        Self::at(bed, tools::queue())
    }

    fn at(bed: &dyn TestBed, queue: QueueName) -> Self {
        Self {
            engine: bed.engine(),
            queue,
        }
    }

    async fn reopen(self, bed: &mut dyn TestBed) -> Self {
        let queue = self.queue.clone();
        drop(self);
        bed.reopen().await;
        Self::at(bed, queue)
    }

    async fn crash_and_reopen(self, bed: &mut dyn TestBed) -> Self {
        let queue = self.queue.clone();
        drop(self);
        bed.crash_and_reopen().await;
        Self::at(bed, queue)
    }

    async fn flush(&self) {
        soon("a flush", self.engine.flush()).await.expect("flushing");
    }

    async fn try_push(&self, push: Push) -> Result<Pushed, EngineError> {
        soon("a push", self.engine.queues().push(&self.queue, push)).await
    }

    async fn push(&self, push: Push) -> JobId {
        let pushed = self.try_push(push).await.expect("pushing");
        assert!(!pushed.duplicate, "nothing was pushed twice");
        pushed.id
    }

    /// Pushes a plain job.
    async fn add(&self, payload: impl Into<Bytes>) -> JobId {
        self.push(Push::new(payload)).await
    }

    /// Takes what is ready, and does not wait.
    async fn take(&self, max: usize, lease: Duration) -> Vec<Reserved> {
        let answer = self
            .engine
            .queues()
            .reserve(&self.queue, max, lease, Duration::ZERO);
        let taken = soon("a reservation", answer).await.expect("reserving");
        assert!(taken.len() <= max, "{max} were asked for, not {}", taken.len());
        taken
    }

    async fn take_one(&self, lease: Duration) -> Reserved {
        let mut taken = self.take(1, lease).await;
        taken.pop().expect("a job is ready")
    }

    /// The payloads of all that is ready, in their order; it is done with.
    async fn finish_all(&self) -> Vec<Bytes> {
        let mut payloads = Vec::new();
        loop {
            let taken = self.take(JOBS_MAX, LEASE_LONG).await;
            if taken.is_empty() {
                return payloads;
            }
            for reserved in taken {
                self.ack(&reserved.lease).await.expect("finishing");
                payloads.push(reserved.job.payload);
            }
        }
    }

    async fn ack(&self, lease: &Lease) -> Result<(), EngineError> {
        soon("an ack", self.engine.queues().ack(&self.queue, lease)).await
    }

    async fn nack(&self, lease: &Lease, wait: Duration, reason: &str) -> Result<JobState, EngineError> {
        let answer = self
            .engine
            .queues()
            .nack(&self.queue, lease, wait, ByteString::from(reason));
        soon("a nack", answer).await
    }

    async fn extend(&self, lease: &Lease, time: Duration) -> Result<(), EngineError> {
        soon(
            "an extension",
            self.engine.queues().extend(&self.queue, lease, time),
        )
        .await
    }

    async fn cancel(&self, job: JobId) -> bool {
        soon("a cancellation", self.engine.queues().cancel(&self.queue, job))
            .await
            .expect("cancelling")
    }

    async fn revive(&self, job: JobId) -> bool {
        soon("a revival", self.engine.queues().revive(&self.queue, job))
            .await
            .expect("reviving")
    }

    async fn peek(&self, state: JobState) -> Vec<Peeked> {
        self.peek_page(state, None, JOBS_MAX).await
    }

    async fn peek_page(&self, state: JobState, after: Option<JobId>, limit: usize) -> Vec<Peeked> {
        soon(
            "a look",
            self.engine.queues().peek(&self.queue, state, after, limit),
        )
        .await
        .expect("peeking")
    }

    async fn counts(&self) -> Counts {
        soon("the counts", self.engine.queues().counts(&self.queue))
            .await
            .expect("counting")
    }

    async fn purge(&self, state: JobState) -> u64 {
        soon("a purge", self.engine.queues().purge(&self.queue, state))
            .await
            .expect("purging")
    }

    async fn is_listed(&self) -> bool {
        let names = soon("the names", self.engine.queues().names())
            .await
            .expect("listing");
        assert!(names.is_sorted(), "queues come in order: {names:?}");
        names.contains(&self.queue)
    }

    /// The lease is lost: neither ack nor nack nor an extension does anything.
    async fn expect_lost(&self, lease: &Lease) {
        let before = self.counts().await;
        let lost = EngineError::LeaseLost(lease.job.0);
        assert_eq!(self.ack(lease).await, Err(lost.clone()));
        assert_eq!(self.extend(lease, LEASE_LONG).await, Err(lost.clone()));
        assert_eq!(self.nack(lease, Duration::ZERO, "lost").await, Err(lost));
        assert_eq!(
            self.counts().await,
            before,
            "who has lost a lease changes nothing"
        );
    }
}

fn counts(ready: u64, delayed: u64, reserved: u64, dead: u64) -> Counts {
    Counts {
        ready,
        delayed,
        reserved,
        dead,
    }
}

/// A job with that many attempts.
fn tried(payload: &'static str, attempts_max: u32) -> Push {
    Push {
        attempts_max,
        ..Push::new(payload)
    }
}

/// A job that is ready after that time.
fn delayed(payload: &'static str, delay: Duration) -> Push {
    Push {
        delay,
        ..Push::new(payload)
    }
}

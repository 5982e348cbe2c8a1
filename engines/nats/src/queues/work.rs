//! What is done with jobs: each a write on the condition that the job stands as it is known to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use futures_util::StreamExt;
use switchboard_engine::queues::{JobId, JobState, Lease, Reserved};
use switchboard_engine::{EngineError, Result};

use super::NatsQueues;
use super::queue::{Queue, now};
use super::record::{Head, Standing, Until, What, job};
use super::view::Known;
use crate::janitor::Chore;
use crate::keys::contended;
use crate::link::{Committed, Outgoing, Read};
use crate::names::Stream;

/// What is left of a job that is gone is kept so long, for hubs that are behind. A hub that is further behind takes
/// such a job for one that is there until it tries to reserve it.
pub(super) const GONE_KEPT: Duration = Duration::from_secs(15);

/// How often a write begins again because somebody else was quicker.
pub(super) const CONFLICTS_MAX: usize = 50;

/// Jobs that are reserved, read or taken away at a time.
pub(super) const TOGETHER_MAX: usize = 16;

/// Gives jobs back that were set apart and not reserved.
struct Claim {
    queue: Arc<Queue>,
    id: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.queue.view.lock().release(self.id);
        self.queue.changed.notify_one();
    }
}

impl NatsQueues {
    pub(super) async fn reserve_jobs(
        &self,
        queue: &Arc<Queue>,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<Reserved>> {
        let begun = (tokio::time::Instant::now(), self.link.clock.monotonic());
        let mut is_newest = false;
        loop {
            queue.is_loaded(&self.link).await?;
            let changed = queue.changed.notified();
            let claimed = queue.view.lock().claim(max, now(&self.link));
            if !claimed.is_empty() {
                let reserved = self.reserve_claimed(queue, claimed, lease).await?;
                if !reserved.is_empty() {
                    // There may be more, for whoever waits.
                    queue.changed.notify_one();
                    return Ok(reserved);
                }
                continue;
            }
            let waited = begun
                .0
                .elapsed()
                .max(self.link.clock.monotonic().saturating_sub(begun.1));
            let Some(left) = wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
                if is_newest {
                    return Ok(Vec::new());
                }
                // Another hub may have pushed what has not arrived here.
                self.catch_up(queue).await?;
                is_newest = true;
                continue;
            };
            /// How often the clock is looked at, which may be moved by hand.
            const LOOK_EVERY: Duration = Duration::from_millis(50);
            let deadline = queue.view.lock().next_deadline();
            let pause = deadline.map_or(LOOK_EVERY, |deadline| {
                deadline
                    .saturating_sub(self.link.clock.monotonic())
                    .clamp(Duration::from_millis(1), LOOK_EVERY)
            });
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(pause.min(left)) => {}
                () = self.link.closed.cancelled() => self.link.check_open()?,
            }
        }
    }

    async fn reserve_claimed(
        &self,
        queue: &Arc<Queue>,
        claimed: Vec<(u64, Known)>,
        lease: Duration,
    ) -> Result<Vec<Reserved>> {
        // All of them, before the first is waited for: whoever stops waiting gives back the rest.
        let claims: Vec<(Claim, Known)> = claimed
            .into_iter()
            .map(|(id, known)| {
                let queue = Arc::clone(queue);
                (Claim { queue, id }, known)
            })
            .collect();
        let mut reserving = futures_util::stream::iter(claims)
            .map(|(claim, known)| self.reserve_one(claim, known, lease))
            .buffered(TOGETHER_MAX);
        let mut reserved = Vec::new();
        let mut error = None;
        while let Some(outcome) = reserving.next().await {
            match outcome {
                Ok(one) => reserved.extend(one),
                Err(why) => error = Some(why),
            }
        }
        match error {
            // What was reserved is handed over, whatever became of the others.
            Some(error) if reserved.is_empty() => Err(error),
            _ => Ok(reserved),
        }
    }

    /// None when somebody else was quicker.
    async fn reserve_one(&self, claim: Claim, known: Known, lease: Duration) -> Result<Option<Reserved>> {
        let (queue, id) = (&*claim.queue, claim.id);
        let token = ByteString::from(format!("{:032x}", fastrand::u128(..)));
        let standing = Standing {
            attempts: known.attempts + 1,
            what: What::Leased(self.until(lease), token.clone()),
            reason: known.reason.clone(),
        };
        let attempt = standing.attempts;
        let Some(sequence) = self.stand(queue, id, &known, standing).await? else {
            self.refresh(queue, id).await?;
            return Ok(None);
        };
        let stored = self.link.at(Stream::Queues, id).await?;
        let Some(job) = stored.and_then(|stored| job(JobId(id), &known.head, stored.body)) else {
            // It was finished while this hub was behind.
            queue.view.lock().forget(id);
            let subject = self.link.names.job_state(&queue.name, id);
            let chore = Chore::purge(Stream::Queues, subject, sequence);
            self.janitor.add(chore).await;
            return Ok(None);
        };
        Ok(Some(Reserved {
            lease: Lease { job: job.id, token },
            attempt,
            job,
        }))
    }

    pub(super) fn until(&self, time: Duration) -> Until {
        let now = self.link.clock.now();
        let moment = now.after(time);
        Until {
            moment,
            length_ms: moment.as_millis().saturating_sub(now.as_millis()),
        }
    }

    /// Says where a job stands from now on. None when it did not stand as it was known to.
    async fn stand(&self, queue: &Queue, id: u64, known: &Known, standing: Standing) -> Result<Option<u64>> {
        let message = Outgoing {
            subject: self.link.names.job_state(&queue.name, id),
            expected: Some(known.sequence),
            about: None,
            again: false,
            record: standing.record(),
            ttl: None,
            body: Bytes::new(),
        };
        match self.link.commit(Stream::Queues, &[message]).await? {
            Committed::Conflict => Ok(None),
            Committed::Stored(sequence) => {
                queue.view.lock().learn(id, sequence, standing, now(&self.link));
                queue.changed.notify_one();
                Ok(Some(sequence))
            }
        }
    }

    /// Takes a job away. False when it did not stand as it was known to.
    pub(super) async fn finish(&self, queue: &Queue, id: u64, known: &Known) -> Result<bool> {
        let mut gone = Outgoing {
            subject: self.link.names.job_state(&queue.name, id),
            expected: Some(known.sequence),
            about: None,
            again: false,
            record: Standing::gone().record(),
            ttl: None,
            body: Bytes::new(),
        };
        let Committed::Stored(sequence) = self
            .link
            .commit(Stream::Queues, std::slice::from_ref(&gone))
            .await?
        else {
            return Ok(false);
        };
        queue.view.lock().forget(id);
        // What says that the job is gone stays as long as the job, whatever becomes of this hub, and then a while for
        // hubs that are behind.
        gone.expected = Some(sequence);
        gone.ttl = Some(GONE_KEPT);
        let chore = Chore {
            stream: Stream::Queues,
            before: None,
            purge: (self.link.names.job(&queue.name, &known.head.name), id),
            after: Some(gone),
        };
        self.janitor.add(chore).await;
        Ok(true)
    }

    /// Asks the stream where a job stands.
    pub(super) async fn refresh(&self, queue: &Queue, id: u64) -> Result<()> {
        if self.link.has_copies() {
            self.link.catch_up(Stream::Queues).await?;
        }
        let stored = self.link.at(Stream::Queues, id).await?;
        let head = stored
            .filter(|stored| {
                let jobs = self.link.names.jobs(&queue.name);
                stored.subject.starts_with(jobs.trim_end_matches('*'))
            })
            .and_then(|stored| Head::of(&stored.subject, &stored.record));
        let Some(head) = head else {
            queue.view.lock().forget(id);
            return Ok(());
        };
        let subject = self.link.names.job_state(&queue.name, id);
        let read = self.link.latest(Stream::Queues, &[subject]).await?;
        let now = now(&self.link);
        let mut view = queue.view.lock();
        view.learn_job(id, head, now);
        if let Read::All(found) = read
            && let Some(found) = found.first()
            && let Some(standing) = Standing::of(&found.record)
        {
            view.learn(id, found.sequence, standing, now);
        }
        Ok(())
    }

    /// What is known of a job that is under this lease.
    async fn held(&self, queue: &Queue, lease: &Lease) -> Result<Known> {
        let id = lease.job.0;
        for is_newest in [false, true] {
            {
                let mut view = queue.view.lock();
                view.settle(now(&self.link));
                if let Some(known) = view.job(id)
                    && known.is_leased_as(&lease.token)
                {
                    return Ok(known.clone());
                }
            }
            if !is_newest {
                self.refresh(queue, id).await?;
            }
        }
        Err(EngineError::LeaseLost(id))
    }

    pub(super) async fn extend_lease(&self, queue: &Queue, lease: &Lease, time: Duration) -> Result<()> {
        for _ in 0..CONFLICTS_MAX {
            let known = self.held(queue, lease).await?;
            let standing = Standing {
                attempts: known.attempts,
                what: What::Leased(self.until(time), lease.token.clone()),
                reason: known.reason.clone(),
            };
            if self.stand(queue, lease.job.0, &known, standing).await?.is_some() {
                return Ok(());
            }
            self.refresh(queue, lease.job.0).await?;
        }
        Err(contended(&self.link))
    }

    pub(super) async fn ack_lease(&self, queue: &Queue, lease: &Lease) -> Result<()> {
        for _ in 0..CONFLICTS_MAX {
            let known = self.held(queue, lease).await?;
            if self.finish(queue, lease.job.0, &known).await? {
                return Ok(());
            }
            self.refresh(queue, lease.job.0).await?;
        }
        Err(contended(&self.link))
    }

    pub(super) async fn nack_lease(
        &self,
        queue: &Queue,
        lease: &Lease,
        wait: Duration,
        reason: ByteString,
    ) -> Result<JobState> {
        for _ in 0..CONFLICTS_MAX {
            let known = self.held(queue, lease).await?;
            let (what, state) = if known.attempts >= known.head.attempts_max {
                (What::Dead, JobState::Dead)
            } else if wait.is_zero() {
                (What::Waiting(self.until(wait)), JobState::Ready)
            } else {
                (What::Waiting(self.until(wait)), JobState::Delayed)
            };
            let standing = Standing {
                attempts: known.attempts,
                what,
                reason: Some(reason.clone()),
            };
            if self.stand(queue, lease.job.0, &known, standing).await?.is_some() {
                return Ok(state);
            }
            self.refresh(queue, lease.job.0).await?;
        }
        Err(contended(&self.link))
    }

    pub(super) async fn cancel_job(&self, queue: &Queue, id: JobId) -> Result<bool> {
        for conflict in 0..CONFLICTS_MAX {
            let known = queue.view.lock().job(id.0).cloned();
            match known {
                Some(known) if self.finish(queue, id.0, &known).await? => return Ok(true),
                // It may have been pushed at another hub.
                None if conflict > 0 => return Ok(false),
                _ => self.refresh(queue, id.0).await?,
            }
        }
        Err(contended(&self.link))
    }

    pub(super) async fn revive_job(&self, queue: &Queue, id: JobId) -> Result<bool> {
        for conflict in 0..CONFLICTS_MAX {
            let known = {
                let mut view = queue.view.lock();
                view.settle(now(&self.link));
                view.job(id.0).filter(|known| known.is_dead()).cloned()
            };
            match known {
                Some(known) => {
                    let standing = Standing {
                        attempts: 0,
                        what: What::Waiting(self.until(Duration::ZERO)),
                        reason: known.reason.clone(),
                    };
                    if self.stand(queue, id.0, &known, standing).await?.is_some() {
                        return Ok(true);
                    }
                }
                None if conflict > 0 => return Ok(false),
                None => {}
            }
            self.refresh(queue, id.0).await?;
        }
        Err(contended(&self.link))
    }
}

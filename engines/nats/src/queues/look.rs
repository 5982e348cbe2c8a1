//! What onlookers see, and take away.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_engine::queues::{JobId, JobState, Peeked};
use switchboard_engine::{QueueName, Result};

use super::NatsQueues;
use super::queue::{Queue, now};
use super::record::{Head, job};
use super::view::Known;
use super::work::{GONE_KEPT, TOGETHER_MAX};
use crate::link::{Committed, Outgoing, Read};
use crate::names::Stream;

impl NatsQueues {
    /// Waits until the view has all that any hub has written until now: a message of our own follows that.
    ///
    /// # Errors
    /// Unavailable.
    pub(super) async fn catch_up(&self, queue: &Queue) -> Result<()> {
        let mark = Outgoing {
            subject: self.link.names.mark(&queue.name, &self.hub),
            expected: None,
            about: None,
            again: false,
            record: "m".to_owned(),
            ttl: Some(GONE_KEPT),
            body: Bytes::new(),
        };
        match self.link.commit(Stream::Queues, &[mark]).await? {
            Committed::Stored(sequence) => queue.has_told(&self.link, sequence).await,
            Committed::Conflict => Ok(()),
        }
    }

    pub(super) async fn peek_jobs(
        &self,
        queue: &Queue,
        state: JobState,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<Peeked>> {
        self.catch_up(queue).await?;
        let ids = {
            let mut view = queue.view.lock();
            view.settle(now(&self.link));
            view.in_state(state, after.map(|id| id.0))
        };
        let looks = futures_util::stream::iter(ids).map(|id| async move {
            let stored = self.link.at(Stream::Queues, id).await?;
            let now = now(&self.link);
            let view = queue.view.lock();
            let known = view.job(id);
            let peeked = stored.zip(known).and_then(|(stored, known)| {
                Some(Peeked {
                    job: job(JobId(id), &known.head, stored.body)?,
                    state,
                    attempts: known.attempts,
                    until: known.until(now),
                    reason: known.reason.clone(),
                })
            });
            Ok(peeked)
        });
        let peeked = looks.buffered(TOGETHER_MAX);
        let found = peeked.filter_map(|look: Result<Option<Peeked>>| std::future::ready(look.transpose()));
        let found: Vec<Result<Peeked>> = found.take(limit).collect().await;
        found.into_iter().collect()
    }

    pub(super) async fn purge_jobs(&self, queue: &Queue, state: JobState) -> Result<u64> {
        self.catch_up(queue).await?;
        let jobs: Vec<(u64, Known)> = {
            let mut view = queue.view.lock();
            view.settle(now(&self.link));
            let ids = view.in_state(state, None);
            ids.into_iter()
                .filter_map(|id| Some((id, view.job(id)?.clone())))
                .collect()
        };
        let taking = futures_util::stream::iter(jobs)
            .map(|(id, known)| async move {
                let taken = self.finish(queue, id, &known).await?;
                if !taken {
                    self.refresh(queue, id).await?;
                }
                Ok(u64::from(taken))
            })
            .buffer_unordered(TOGETHER_MAX);
        let taken: Vec<Result<u64>> = taking.collect().await;
        taken.into_iter().sum()
    }

    /// Whether the queue holds a job.
    pub(super) async fn holds_a_job(&self, name: &QueueName) -> Result<bool> {
        if let Some(queue) = self.known(name).filter(|queue| queue.is_loaded_now()) {
            self.catch_up(&queue).await?;
            return Ok(!queue.view.lock().is_empty());
        }
        let jobs = self.link.names.jobs(name);
        match self.link.latest(Stream::Queues, &[jobs]).await? {
            Read::All(found) => Ok(found
                .iter()
                .any(|stored| Head::of(&stored.subject, &stored.record).is_some())),
            Read::TooMany => {
                let queue: Arc<Queue> = self.queue(name).await?;
                let is_empty = queue.view.lock().is_empty();
                Ok(!is_empty)
            }
        }
    }
}

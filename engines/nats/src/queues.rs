//! Jobs under leases, in a stream.
//!
//! A pushed job is a message. Where it stands is said by another one, which each write replaces on the condition that
//! nobody else has: so a lease is given once, whatever many hubs do at the same time, and its end is a moment in a
//! message, which outlasts any hub. What becomes of time alone (a delay or a lease that is over) is not written: each
//! hub works it out. JetStream's own work queues are not used: they cannot tell a lost lease from a held one, nor keep
//! a lease when the hub is gone.
//!
//! A hub that uses a queue follows it, and so knows all its jobs but their payloads; counts and looks are answered
//! from that, and so are those of other hubs' jobs as late as their messages arrive.

mod look;
mod push;
mod queue;
mod record;
mod view;
mod work;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::StreamExt;
use parking_lot::Mutex;
use switchboard_engine::queues::{
    Counts, JOBS_MAX, JobId, JobState, Lease, Peeked, Push, Pushed, Reserved, check_delay, check_lease,
};
use switchboard_engine::{Answer, EngineError, QueueName, Queues, Result};

use crate::janitor::Janitor;
use crate::link::Link;
use crate::names::Stream;
use crate::register::Register;
use queue::Queue;

/// Queues that are looked into at a time, to see whether they hold a job.
const LOOKED_INTO_MAX: usize = 16;

/// See the module.
#[derive(Clone)]
pub(crate) struct NatsQueues {
    link: Arc<Link>,
    janitor: Janitor,
    register: Arc<Register>,
    /// Tells this engine from others.
    hub: Arc<str>,
    /// The queues that are used here.
    used: Arc<Mutex<HashMap<QueueName, Arc<Queue>>>>,
}

impl NatsQueues {
    pub(crate) fn new(link: Arc<Link>, janitor: Janitor) -> Self {
        Self {
            link,
            janitor,
            register: Arc::default(),
            hub: format!("{:016x}", fastrand::u64(..)).into(),
            used: Arc::default(),
        }
    }

    /// The queue, if it is used here.
    fn known(&self, name: &QueueName) -> Option<Arc<Queue>> {
        self.used.lock().get(name).cloned()
    }

    /// The queue, with all that is known of it.
    ///
    /// # Errors
    /// Unavailable.
    async fn queue(&self, name: &QueueName) -> Result<Arc<Queue>> {
        self.link.check_open()?;
        let queue = match self.used.lock().entry(name.clone()) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(vacant) => {
                let queue = Arc::clone(vacant.insert(Arc::new(Queue::new(name.clone()))));
                self.clone().follow(Arc::clone(&queue));
                queue
            }
        };
        queue.is_loaded(&self.link).await?;
        Ok(queue)
    }

    fn follow(self, queue: Arc<Queue>) {
        let closed = self.link.closed.clone();
        tokio::spawn(async move {
            let following = async {
                loop {
                    queue.follow(&self.link, &self.janitor).await;
                    let mut used = self.used.lock();
                    // Somebody may have come in this moment.
                    if queue.is_unused() {
                        used.remove(&queue.name);
                        return;
                    }
                }
            };
            closed.run_until_cancelled(following).await;
        });
    }

    /// Runs what needs the queue.
    fn with_queue<T, F>(
        &self,
        name: &QueueName,
        work: impl FnOnce(Self, Arc<Queue>) -> F + Send + 'static,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T>> + Send,
        T: Send + 'static,
    {
        let (queues, name) = (self.clone(), name.clone());
        Answer::later(async move {
            let queue = queues.queue(&name).await?;
            work(queues, queue).await
        })
    }
}

impl Queues for NatsQueues {
    fn push(&self, queue: &QueueName, push: Push) -> Answer<Pushed> {
        let (queues, name) = (self.clone(), queue.clone());
        Answer::later(async move { queues.push_job(&name, push).await })
    }

    fn reserve(
        &self,
        queue: &QueueName,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Answer<Vec<Reserved>> {
        if !(1..=JOBS_MAX).contains(&max) {
            return Answer::err(EngineError::Invalid(format!(
                "{max} jobs cannot be reserved at once: 1 to {JOBS_MAX} are possible"
            )));
        }
        if let Err(error) = check_lease(lease) {
            return Answer::err(error);
        }
        self.with_queue(queue, move |queues, queue| async move {
            queues.reserve_jobs(&queue, max, lease, wait).await
        })
    }

    fn extend(&self, queue: &QueueName, lease: &Lease, time: Duration) -> Answer<()> {
        if let Err(error) = check_lease(time) {
            return Answer::err(error);
        }
        let lease = lease.clone();
        self.with_queue(queue, move |queues, queue| async move {
            queues.extend_lease(&queue, &lease, time).await
        })
    }

    fn ack(&self, queue: &QueueName, lease: &Lease) -> Answer<()> {
        let lease = lease.clone();
        self.with_queue(queue, move |queues, queue| async move {
            queues.ack_lease(&queue, &lease).await
        })
    }

    fn nack(&self, queue: &QueueName, lease: &Lease, wait: Duration, reason: ByteString) -> Answer<JobState> {
        if let Err(error) = check_delay(wait) {
            return Answer::err(error);
        }
        let lease = lease.clone();
        self.with_queue(queue, move |queues, queue| async move {
            queues.nack_lease(&queue, &lease, wait, reason).await
        })
    }

    fn cancel(&self, queue: &QueueName, job: JobId) -> Answer<bool> {
        self.with_queue(queue, move |queues, queue| async move {
            queues.cancel_job(&queue, job).await
        })
    }

    fn revive(&self, queue: &QueueName, job: JobId) -> Answer<bool> {
        self.with_queue(queue, move |queues, queue| async move {
            queues.revive_job(&queue, job).await
        })
    }

    fn peek(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<JobId>,
        limit: usize,
    ) -> Answer<Vec<Peeked>> {
        self.with_queue(queue, move |queues, queue| async move {
            queues.peek_jobs(&queue, state, after, limit.min(JOBS_MAX)).await
        })
    }

    fn counts(&self, queue: &QueueName) -> Answer<Counts> {
        self.with_queue(queue, |queues, queue| async move {
            queues.catch_up(&queue).await?;
            let mut view = queue.view.lock();
            view.settle(queue::now(&queues.link));
            Ok(view.counts())
        })
    }

    fn purge(&self, queue: &QueueName, state: JobState) -> Answer<u64> {
        self.with_queue(queue, move |queues, queue| async move {
            queues.purge_jobs(&queue, state).await
        })
    }

    fn names(&self) -> Answer<Vec<QueueName>> {
        let queues = self.clone();
        Answer::later(async move {
            let filter = queues.link.names.queues();
            let names = queues.register.all(&queues.link, Stream::Queues, &filter).await?;
            let names = names.into_iter().filter_map(|name| QueueName::new(name).ok());
            let queues = &queues;
            let looked_into = futures_util::stream::iter(names)
                .map(|name| async move { Ok(queues.holds_a_job(&name).await?.then_some(name)) });
            let found: Vec<Result<Option<QueueName>>> = looked_into.buffered(LOOKED_INTO_MAX).collect().await;
            found.into_iter().filter_map(Result::transpose).collect()
        })
    }
}

impl fmt::Debug for NatsQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsQueues")
            .field("used", &self.used.lock().len())
            .finish_non_exhaustive()
    }
}

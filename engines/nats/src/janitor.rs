//! Chores: what follows from a write and need not be waited for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use switchboard_engine::Result;
use tokio::sync::{mpsc, watch};

use crate::link::{Link, Outgoing, Patience};
use crate::names::Stream;

/// Most chores that wait; who adds more waits.
const WAITING_MAX: usize = 4_096;

/// Most that are done at a time.
const TOGETHER_MAX: usize = 32;

/// Longest time to wait for all chores to be done.
const DONE_TIME_MAX: Duration = Duration::from_secs(10);

/// What is to be done, in this order. Each chore says of itself what becomes of it if its hub is gone before.
#[derive(Debug)]
pub(crate) struct Chore {
    pub(crate) stream: Stream,
    /// Written first, if it still may be.
    pub(crate) before: Option<Outgoing>,
    /// A subject on which what was said up to a sequence is taken away.
    pub(crate) purge: (String, u64),
    /// Written last, if it still may be.
    pub(crate) after: Option<Outgoing>,
}

impl Chore {
    /// Only takes away.
    pub(crate) fn purge(stream: Stream, subject: String, up_to: u64) -> Self {
        Self {
            stream,
            before: None,
            purge: (subject, up_to),
            after: None,
        }
    }

    async fn run(&self, link: &Link) -> Result<()> {
        if let Some(message) = &self.before {
            link.commit(self.stream, std::slice::from_ref(message)).await?;
        }
        let (subject, up_to) = &self.purge;
        link.purge(self.stream, subject, Some(*up_to)).await?;
        if let Some(message) = &self.after {
            link.commit(self.stream, std::slice::from_ref(message)).await?;
        }
        Ok(())
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Janitor {
    chores: mpsc::Sender<Chore>,
    /// How many are not yet done.
    left: Arc<watch::Sender<usize>>,
}

impl Janitor {
    pub(crate) fn start(link: &Arc<Link>) -> Self {
        let (chores, waiting) = mpsc::channel(WAITING_MAX);
        let left = Arc::new(watch::Sender::new(0));
        let janitor = Self {
            chores,
            left: Arc::clone(&left),
        };
        let (link, closed) = (Arc::clone(link), link.closed.clone());
        let work = async move {
            let waiting =
                futures_util::stream::unfold(waiting, |mut waiting: mpsc::Receiver<Chore>| async move {
                    let next = waiting.recv().await?;
                    Some((next, waiting))
                });
            waiting
                .for_each_concurrent(TOGETHER_MAX, |chore| {
                    let (link, left) = (&link, &left);
                    async move {
                        if let Err(error) = chore.run(link).await {
                            tracing::debug!("{} is not cleared up: {error}", chore.purge.0);
                        }
                        left.send_modify(|left| *left -= 1);
                    }
                })
                .await;
        };
        tokio::spawn(async move { closed.run_until_cancelled(work).await });
        janitor
    }

    /// Does it soon.
    pub(crate) async fn add(&self, chore: Chore) {
        self.left.send_modify(|left| *left += 1);
        if self.chores.send(chore).await.is_err() {
            self.left.send_modify(|left| *left -= 1);
        }
    }

    /// Waits until all chores are done.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn is_done(&self, link: &Link) -> Result<()> {
        let mut left = self.left.subscribe();
        let done = tokio::select! {
            done = tokio::time::timeout(DONE_TIME_MAX, left.wait_for(|left| *left == 0)) => done.is_ok(),
            () = link.closed.cancelled() => false,
        };
        if done {
            return Ok(());
        }
        Err(Patience::new(link).give_up("the NATS cluster does not take messages away"))
    }
}

//! Takes away messages that have done their duty, behind the back of who wrote them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use switchboard_engine::Result;
use tokio::sync::{mpsc, watch};

use crate::link::{Link, Patience};
use crate::names::Stream;

/// Most messages that wait to be taken away; who adds more waits.
const WAITING_MAX: usize = 4_096;

/// Most that are taken away at a time.
const TOGETHER_MAX: usize = 32;

/// Longest time to try to take one away. What is left by that the server clears up later, or the next who reads it.
const TRIES_LAST: Duration = Duration::from_secs(10);

/// What was said on a subject up to a sequence.
struct Rubbish {
    stream: Stream,
    subject: String,
    up_to: u64,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Janitor {
    rubbish: mpsc::Sender<Rubbish>,
    /// How many are not yet taken away.
    left: Arc<watch::Sender<usize>>,
}

impl Janitor {
    pub(crate) fn start(link: &Arc<Link>) -> Self {
        let (rubbish, waiting) = mpsc::channel(WAITING_MAX);
        let left = Arc::new(watch::Sender::new(0));
        let janitor = Self {
            rubbish,
            left: Arc::clone(&left),
        };
        let (link, closed) = (Arc::clone(link), link.closed.clone());
        let work = async move {
            let waiting = futures_util::stream::unfold(waiting, |mut waiting| async move {
                let next = waiting.recv().await?;
                Some((next, waiting))
            });
            waiting
                .for_each_concurrent(TOGETHER_MAX, |rubbish| {
                    let (link, left) = (&link, &left);
                    async move {
                        if let Err(error) = remove(link, &rubbish).await {
                            tracing::debug!("{} is left to the server: {error}", rubbish.subject);
                        }
                        left.send_modify(|left| *left -= 1);
                    }
                })
                .await;
        };
        tokio::spawn(async move { closed.run_until_cancelled(work).await });
        janitor
    }

    /// Takes away soon what was said on a subject up to a sequence.
    pub(crate) async fn remove(&self, stream: Stream, subject: String, up_to: u64) {
        self.left.send_modify(|left| *left += 1);
        let rubbish = Rubbish {
            stream,
            subject,
            up_to,
        };
        if self.rubbish.send(rubbish).await.is_err() {
            self.left.send_modify(|left| *left -= 1);
        }
    }

    /// Waits until all that is to be taken away has been.
    ///
    /// # Errors
    /// Unavailable.
    pub(crate) async fn is_done(&self, link: &Link) -> Result<()> {
        let mut left = self.left.subscribe();
        let done = tokio::select! {
            done = tokio::time::timeout(TRIES_LAST, left.wait_for(|left| *left == 0)) => done.is_ok(),
            () = link.closed.cancelled() => false,
        };
        if done {
            return Ok(());
        }
        Err(Patience::new(link).give_up("the NATS cluster does not take messages away"))
    }
}

async fn remove(link: &Link, rubbish: &Rubbish) -> Result<()> {
    let mut patience = Patience::lasting(link, TRIES_LAST);
    loop {
        match link
            .try_purge(rubbish.stream, &rubbish.subject, Some(rubbish.up_to))
            .await
        {
            Ok(()) => return Ok(()),
            Err(trouble) => patience.rest(trouble).await?,
        }
    }
}

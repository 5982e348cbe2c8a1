//! One queue as this hub sees it, kept up with the stream for as long as it is used.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use switchboard_engine::{QueueName, Result};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::record::{Head, Standing, What};
use super::view::{Now, View};
use crate::feed::{Fed, Feed, Start};
use crate::janitor::{Chore, Janitor};
use crate::link::{Link, Patience, Trouble};
use crate::names::Stream;

/// What is known of a queue that nobody uses for so long is forgotten.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// How long nothing may come while the stream is read for the first time.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How long to wait before the stream is read anew after an interruption.
const RELOAD_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: QueueName,
    pub(super) view: Mutex<View>,
    /// Somebody who waits for a job should look.
    pub(super) changed: Notify,
    /// Whether the view has all that the stream had.
    loaded: watch::Sender<bool>,
    /// How far the stream has been told.
    told: watch::Sender<u64>,
    used: Mutex<Instant>,
}

impl Queue {
    pub(super) fn new(name: QueueName) -> Self {
        Self {
            name,
            view: Mutex::default(),
            changed: Notify::new(),
            loaded: watch::Sender::new(false),
            told: watch::Sender::new(0),
            used: Mutex::new(Instant::now()),
        }
    }

    /// Waits until the view has all that the stream had.
    ///
    /// # Errors
    /// Unavailable.
    pub(super) async fn is_loaded(&self, link: &Link) -> Result<()> {
        link.check_open()?;
        self.touch();
        if *self.loaded.borrow() {
            return Ok(());
        }
        let mut loaded = self.loaded.subscribe();
        let mut patience = Patience::new(link);
        loop {
            tokio::select! {
                _ = loaded.wait_for(|loaded| *loaded) => return Ok(()),
                () = link.closed.cancelled() => return link.check_open(),
                rested = patience.rest(Trouble::NotDone("the NATS cluster does not bring the queue".to_owned())) => rested?,
            }
        }
    }

    /// Waits until the stream has been told that far.
    ///
    /// # Errors
    /// Unavailable.
    pub(super) async fn has_told(&self, link: &Link, sequence: u64) -> Result<()> {
        let mut told = self.told.subscribe();
        let mut patience = Patience::new(link);
        loop {
            tokio::select! {
                _ = told.wait_for(|told| *told >= sequence) => break,
                () = link.closed.cancelled() => return link.check_open(),
                rested = patience.rest(Trouble::NotDone("the NATS cluster does not bring the queue".to_owned())) => rested?,
            }
        }
        self.is_loaded(link).await
    }

    pub(super) fn is_loaded_now(&self) -> bool {
        *self.loaded.borrow()
    }

    pub(super) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    pub(super) fn is_unused(&self) -> bool {
        self.used.lock().elapsed() > UNUSED_MAX
    }

    /// Keeps up with the stream until it is not used any more.
    pub(super) async fn follow(&self, link: &Arc<Link>, janitor: &Janitor) {
        loop {
            *self.view.lock() = View::default();
            let ended = self.try_follow(link, janitor).await;
            self.loaded.send_replace(false);
            match ended {
                Ok(Ended::Unused) => return,
                Ok(Ended::Short) => {}
                Err(trouble) => {
                    tracing::debug!("the queue {} has to be read anew: {trouble:?}", self.name);
                    if self.is_unused() {
                        return;
                    }
                    tokio::time::sleep(RELOAD_PAUSE).await;
                }
            }
        }
    }

    async fn try_follow(&self, link: &Arc<Link>, janitor: &Janitor) -> Result<Ended, Trouble> {
        let filters = vec![link.names.jobs(&self.name), link.names.job_states(&self.name)];
        let mut feed = Feed::open(link, Stream::Queues, filters, Start::After(0), true).await?;
        let mut orphans = Vec::new();
        let mut left = feed.pending;
        loop {
            if left == 0 && !self.is_loaded_now() {
                self.loaded.send_replace(true);
                self.changed.notify_one();
                if !self.view.lock().has_more {
                    for (subject, sequence) in orphans.drain(..) {
                        janitor.add(Chore::purge(Stream::Queues, subject, sequence)).await;
                    }
                }
            }
            let fed = tokio::select! {
                fed = feed.next() => fed?,
                () = tokio::time::sleep(SILENCE_MAX), if !self.is_loaded_now() => {
                    // What was still to come may be gone.
                    return Err(Trouble::NotDone("the queue does not come".to_owned()));
                }
                () = tokio::time::sleep(UNUSED_MAX) => {
                    if self.is_unused() {
                        return Ok(Ended::Unused);
                    }
                    continue;
                }
            };
            left = fed.pending.min(left.saturating_sub(1));
            let sequence = fed.stored.sequence;
            let orphan = self.learn(link, fed);
            self.told.send_modify(|told| *told = sequence.max(*told));
            if !self.is_loaded_now() {
                orphans.extend(orphan);
            }
            if self.is_unused() {
                return Ok(Ended::Unused);
            }
            if self.view.lock().is_short() {
                return Ok(Ended::Short);
            }
            self.changed.notify_one();
        }
    }

    /// The subject and the sequence of what should not be there: a message about no job, and a job that is gone.
    fn learn(&self, link: &Link, fed: Fed) -> Option<(String, u64)> {
        let stored = fed.stored;
        let now = now(link);
        let mut view = self.view.lock();
        if let Some(head) = Head::of(&stored.subject, &stored.record) {
            view.learn_job(stored.sequence, head, now);
            return None;
        }
        let standing = Standing::of(&stored.record)?;
        let (_, id) = stored.subject.rsplit_once('.')?;
        let id = id.parse().ok()?;
        if standing.what == What::Gone {
            // Who took it away may be gone too, and the job still there.
            let known = view.job(id).map(|known| known.head.name.clone());
            view.forget(id);
            let rubbish = known.map(|name| (link.names.job(&self.name, &name), id));
            return Some(rubbish.unwrap_or((stored.subject, stored.sequence)));
        }
        let is_known = view.learn(id, stored.sequence, standing, now);
        (!is_known).then_some((stored.subject, stored.sequence))
    }
}

/// Why a queue is not followed any further.
enum Ended {
    Unused,
    /// There are jobs that were left out.
    Short,
}

pub(super) fn now(link: &Link) -> Now {
    Now {
        wall: link.clock.now(),
        monotonic: link.clock.monotonic(),
    }
}

//! Under `always`: a round by one who waits for it.
//!
//! To hand a change to the commit thread and to be woken by it takes two wakes of a thread, about as long as a quick disk
//! takes. So one who waits alone writes the round himself. The thread that he is on does nothing else meanwhile, which
//! is right only for a moment: where syncs take longer than [`QUICK_TIME`], where others wait as well, or where a round is
//! under way already, the commit thread is woken and does it.
//!
//! Who waits lets those go first who are ready to run, so that it shows whether he is alone. And a change that somebody is
//! going to wait for need not wake the thread: see [`Committer::awaited`].

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use switchboard_engine::Result;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::{Committer, hear};

/// How long a round may take for others to be written by those who wait for them: a runtime's thread that is held up for
/// so long delays others no more than a long answer does.
const QUICK_TIME: Duration = Duration::from_micros(500);

/// So many rounds have to be quick after one that was not: what makes one slow, as a table being written, goes on for
/// some time.
const QUICK_ROUNDS: u32 = 64;

thread_local! {
    /// Whether somebody is going to wait for what this thread changes.
    static IS_AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// Whether somebody is going to wait for what this thread changes, and sees to it that it is written.
pub(super) fn is_awaited() -> bool {
    IS_AWAITED.get()
}

/// For as long as it is there, this thread changes what somebody is going to wait for.
struct Awaited;

impl Awaited {
    fn begin() -> Self {
        IS_AWAITED.set(true);
        Self
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        IS_AWAITED.set(false);
    }
}

/// How long the disk takes.
#[derive(Debug, Default)]
pub(super) struct Pace {
    quick_in: u32,
}

impl Pace {
    /// Counts a round that was synced. Tells whether the next one is likely to be quick.
    pub(super) fn count(&mut self, time: Duration) -> bool {
        self.quick_in = match time > QUICK_TIME {
            true => QUICK_ROUNDS,
            false => self.quick_in.saturating_sub(1),
        };
        self.quick_in == 0
    }
}

impl Committer {
    /// Makes a change without waking the thread, if somebody waits for its [acknowledgement](Self::acknowledge) after that.
    #[inline]
    pub(crate) fn awaited<T>(&self, change: impl FnOnce() -> T, is_awaited: impl FnOnce(&T) -> bool) -> T {
        if !self.is_quick.load(Ordering::Relaxed) {
            return change();
        }
        let awaited = Awaited::begin();
        let outcome = change();
        drop(awaited);
        if !is_awaited(&outcome) {
            self.unpark();
        }
        outcome
    }

    fn lead_or_unpark(&self) {
        let is_alone = || self.waiting.lock().len() == 1;
        if self.is_quick.load(Ordering::Relaxed)
            && is_alone()
            && let Some(mut run) = self.run.try_lock()
            && let Some(run) = &mut *run
        {
            run.lead();
        } else {
            self.unpark();
        }
    }
}

/// One who waits until the disk has his change. Dropped, it is written all the same.
pub(super) struct Leader {
    committer: Arc<Committer>,
    /// `None` once he or the thread sees to it.
    answer: Option<oneshot::Receiver<Result<()>>>,
}

impl Leader {
    pub(super) fn new(committer: &Arc<Committer>, answer: oneshot::Receiver<Result<()>>) -> Self {
        Self {
            committer: Arc::clone(committer),
            answer: Some(answer),
        }
    }

    pub(super) async fn wait(mut self) -> Result<()> {
        yield_now().await;
        let Some(mut answer) = self.answer.take() else {
            return Ok(());
        };
        if let Ok(outcome) = answer.try_recv() {
            return outcome;
        }
        self.committer.lead_or_unpark();
        hear(answer).await
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.committer.unpark();
        }
    }
}

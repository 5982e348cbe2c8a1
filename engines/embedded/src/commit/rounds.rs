//! The thread itself: rest, gather, write, sync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchboard_engine::{Durability, EngineError, Result};

use super::{
    Committer, GATHER_TIME, MEND_INTERVAL, Marking, Need, SYNC_INTERVAL, Source, UNWRITTEN_BYTES_MAX, gate,
};
use crate::store::{Batch, StoreError, StoreResult};

/// How often sources are asked whether something is due, while something will be.
const TICK_INTERVAL: Duration = Duration::from_millis(200);

/// The commit thread, running.
#[derive(Debug)]
pub(crate) struct Rounds {
    committer: Arc<Committer>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Rounds {
    /// Starts the thread. `number` is that of the last batch in the store.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(committer: Arc<Committer>, number: u64, mark: Marking) -> std::io::Result<Self> {
        let run = Run {
            // Taken, not shared: the sources hold the committer.
            sources: std::mem::take(&mut *committer.sources.lock()),
            committer: Arc::clone(&committer),
            mark,
            number,
            batch: Batch::default(),
            unsynced: None,
            ticked: Instant::now(),
            is_expecting: true,
        };
        let thread = thread::Builder::new()
            .name("engine-commit".to_owned())
            .spawn(move || run.run())?;
        *committer.thread.lock() = Some(thread.thread().clone());
        committer.unpark();
        Ok(Self {
            committer,
            thread: Some(thread),
        })
    }

    /// Writes and syncs what there is, and ends the thread. What is asked for afterwards is refused. Waits for the disk.
    ///
    /// # Errors
    /// Unavailable, when not everything could be written.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.committer.refuse();
        self.committer.pending.store(true, Ordering::Release);
        self.committer.unpark();
        let outcome = thread.join();
        self.committer.store.close();
        outcome.unwrap_or_else(|_| Err(EngineError::Failed("the commit thread has failed".to_owned())))
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!("not everything was written when the engine was closed: {error}");
        }
    }
}

struct Run {
    committer: Arc<Committer>,
    sources: Vec<Arc<dyn Source>>,
    mark: Marking,
    /// Of the last batch that is in the store.
    number: u64,
    batch: Batch,
    /// Since when something is written that is not synced.
    unsynced: Option<Instant>,
    ticked: Instant,
    /// Whether sources wait for a moment to come.
    is_expecting: bool,
}

/// The engine was closed while the disk failed.
struct GivenUp(String);

impl Run {
    fn run(mut self) -> Result<()> {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while !self.committer.is_closed() {
                self.rest();
                self.gather();
                self.round()?;
            }
            // Again, for what was changed while the gate was being closed.
            self.sources.iter().for_each(|source| source.close());
            self.round()?;
            self.finish()
        }));
        let outcome = match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(GivenUp(reason))) => Err(EngineError::unavailable(MEND_INTERVAL, reason)),
            Err(_) => {
                self.report("the commit thread has failed: restart the daemon".to_owned());
                Err(EngineError::Failed("the commit thread has failed".to_owned()))
            }
        };
        self.committer.shut(gate::CLOSED);
        self.refuse_all();
        self.committer.room.notify_waiters();
        outcome
    }

    /// Waits for something to do: a change, a sync, a moment that sources wait for.
    fn rest(&mut self) {
        while !self.committer.pending.load(Ordering::Acquire) {
            let sync_in = self
                .unsynced
                .map(|since| SYNC_INTERVAL.saturating_sub(since.elapsed()));
            let sync_in = sync_in.filter(|_| self.committer.durability == Durability::Second);
            if sync_in == Some(Duration::ZERO) {
                return;
            }
            let tick_in = TICK_INTERVAL.saturating_sub(self.ticked.elapsed());
            let tick_in = self.is_expecting.then_some(tick_in);
            if tick_in == Some(Duration::ZERO) {
                self.tick();
                continue;
            }
            match sync_in.into_iter().chain(tick_in).min() {
                Some(time) => thread::park_timeout(time),
                None => thread::park(),
            }
        }
    }

    fn tick(&mut self) {
        self.ticked = Instant::now();
        // All of them, so no `any`.
        self.is_expecting = self
            .sources
            .iter()
            .fold(false, |some, source| source.tick() | some);
    }

    /// Lets others add to the round, where nobody waits for it.
    fn gather(&self) {
        if self.committer.durability == Durability::Always {
            return;
        }
        let started = Instant::now();
        while !self.committer.urgent.load(Ordering::Acquire) && !self.committer.is_closed() {
            match GATHER_TIME.checked_sub(started.elapsed()) {
                Some(time) if !time.is_zero() => thread::park_timeout(time),
                _ => return,
            }
        }
    }

    /// Writes what has changed.
    fn round(&mut self) -> Result<(), GivenUp> {
        self.committer.pending.store(false, Ordering::Release);
        self.committer.urgent.store(false, Ordering::Release);
        let round = self.committer.round.fetch_add(1, Ordering::AcqRel);
        self.batch.clear();
        let bytes: usize = self
            .sources
            .iter()
            .map(|source| source.collect(&mut self.batch))
            .sum();
        if !self.batch.is_empty() {
            self.write()?;
        }
        for source in &self.sources {
            source.stored();
        }
        self.written(bytes);
        self.answer(round, |need| need == Need::Stored);
        if self.unsynced.is_some() && self.must_sync(round) {
            self.sync()?;
        }
        self.answer(round, |_| true);
        self.tick();
        Ok(())
    }

    fn must_sync(&self, round: u64) -> bool {
        let is_awaited = || {
            let waiting = self.committer.waiting.lock();
            waiting
                .iter()
                .any(|one| one.round <= round && one.need == Need::Synced)
        };
        match self.committer.durability {
            Durability::Always => true,
            Durability::Second => {
                self.unsynced
                    .is_some_and(|since| since.elapsed() >= SYNC_INTERVAL)
                    || is_awaited()
            }
            Durability::Never => is_awaited(),
        }
    }

    fn write(&mut self) -> Result<(), GivenUp> {
        let number = self.number + 1;
        let written = self.committer.store.write(&self.batch, number);
        self.persist(written, number)?;
        self.number = number;
        self.unsynced.get_or_insert_with(Instant::now);
        if let Some(mark) = &mut self.mark
            && self.committer.durability != Durability::Always
        {
            warn_of(mark.written(number));
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), GivenUp> {
        let synced = self.committer.store.sync();
        self.persist(synced, self.number)?;
        self.unsynced = None;
        if let Some(mark) = &mut self.mark {
            warn_of(mark.durable(self.number));
        }
        Ok(())
    }

    /// If that failed: tries until the store has the batch of that number.
    fn persist(&mut self, mut outcome: StoreResult<()>, number: u64) -> Result<(), GivenUp> {
        let mut has_failed = false;
        while let Err(error) = outcome {
            if !has_failed {
                tracing::error!("the disk fails, so nothing can be written: {error}");
            }
            has_failed = true;
            self.report(error.to_string());
            self.refuse_all();
            if self.committer.is_closed() {
                return Err(GivenUp(error.to_string()));
            }
            thread::park_timeout(MEND_INTERVAL);
            outcome = match self.committer.store.mend() {
                Ok(found) if found == number => Ok(()),
                Ok(found) if found + 1 == number => self.committer.store.write(&self.batch, number),
                Ok(found) => Err(StoreError::Damaged(format!(
                    "commits {} to {} have vanished: restart the daemon",
                    found + 1,
                    number - 1
                ))),
                Err(error) => Err(error),
            };
        }
        if has_failed {
            tracing::info!("the disk works again, all is written");
            *self.committer.trouble.lock() = None;
            self.open_from(gate::FAILING);
        }
        Ok(())
    }

    fn report(&self, trouble: String) {
        *self.committer.trouble.lock() = Some(trouble);
        self.committer.shut(gate::FAILING);
        self.committer.room.notify_waiters();
    }

    fn refuse_all(&self) {
        let waiting = std::mem::take(&mut *self.committer.waiting.lock());
        for one in waiting {
            let _ = one.answer.send(Err(self.committer.refusal()));
        }
    }

    fn written(&self, bytes: usize) {
        let bytes = bytes as isize;
        let before = self.committer.unwritten.fetch_sub(bytes, Ordering::AcqRel);
        if before - bytes <= UNWRITTEN_BYTES_MAX as isize {
            self.open_from(gate::FULL);
        }
    }

    fn open_from(&self, state: u8) {
        let opened =
            self.committer
                .gate
                .compare_exchange(state, gate::OPEN, Ordering::AcqRel, Ordering::Relaxed);
        if opened.is_ok() {
            self.committer.room.notify_waiters();
        }
    }

    fn answer(&self, round: u64, is_met: impl Fn(Need) -> bool) {
        let mut waiting = self.committer.waiting.lock();
        let met: Vec<_> = waiting
            .extract_if(.., |one| one.round <= round && is_met(one.need))
            .collect();
        drop(waiting);
        for one in met {
            let _ = one.answer.send(Ok(()));
        }
    }

    /// Leaves the store as it opens fastest.
    fn finish(&mut self) -> Result<(), GivenUp> {
        if self.unsynced.is_some() {
            self.sync()?;
        }
        if let Err(error) = self.committer.store.settle() {
            tracing::warn!("closing without tidying up: {error}");
        }
        if let Some(mark) = &self.mark {
            warn_of(mark.sync());
        }
        Ok(())
    }
}

/// The mark may be behind, so a failure to write it harms nothing now.
fn warn_of(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!("the file `mark` cannot be written: {error}");
    }
}

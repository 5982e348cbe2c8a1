//! The thread itself: rest, gather, write, sync.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchboard_engine::{Durability, EngineError, Result};

use super::lead::Pace;
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
            unfinished: None,
            pace: Pace::default(),
            unsynced: None,
            ticked: Instant::now(),
            is_expecting: true,
            is_ending: false,
            has_failed: false,
        };
        *committer.run.lock() = Some(run);
        let serving = Arc::clone(&committer);
        let thread = thread::Builder::new()
            .name("engine-commit".to_owned())
            .spawn(move || serve(&serving))?;
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

/// What the thread does, until the engine is closed.
fn serve(committer: &Committer) -> Result<()> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        while !committer.is_closed() {
            rest(committer);
            gather(committer);
            with_run(committer, Run::round)?;
        }
        with_run(committer, Run::end)
    }));
    let outcome = match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Ended::GivenUp(reason))) => Err(EngineError::unavailable(MEND_INTERVAL, reason)),
        Ok(Err(Ended::Failed)) | Err(_) => {
            committer.report("the commit thread has failed: restart the daemon".to_owned());
            Err(EngineError::Failed("the commit thread has failed".to_owned()))
        }
    };
    committer.shut(gate::CLOSED);
    committer.refuse_all();
    committer.room.notify_waiters();
    // The sources hold the committer.
    *committer.run.lock() = None;
    outcome
}

fn with_run(committer: &Committer, act: impl FnOnce(&mut Run) -> Result<(), Ended>) -> Result<(), Ended> {
    committer.run.lock().as_mut().map_or(Err(Ended::Failed), act)
}

/// Waits for something to do: a change, a sync, a moment that sources wait for.
fn rest(committer: &Committer) {
    while !committer.pending.load(Ordering::Acquire) {
        let time = match &mut *committer.run.lock() {
            Some(run) => run.time_to_rest(),
            None => return,
        };
        match time {
            Some(Duration::ZERO) => return,
            Some(time) => thread::park_timeout(time),
            None => thread::park(),
        }
    }
}

/// Lets others add to the round, where nobody waits for it.
fn gather(committer: &Committer) {
    if committer.durability == Durability::Always {
        return;
    }
    let started = Instant::now();
    while !committer.urgent.load(Ordering::Acquire) && !committer.is_closed() {
        match GATHER_TIME.checked_sub(started.elapsed()) {
            Some(time) if !time.is_zero() => thread::park_timeout(time),
            _ => return,
        }
    }
}

/// What rounds are written with. Whoever holds it writes one: the thread, or somebody who waits for his change.
pub(super) struct Run {
    committer: Arc<Committer>,
    sources: Vec<Arc<dyn Source>>,
    mark: Marking,
    /// Of the last batch that is in the store.
    number: u64,
    batch: Batch,
    /// The round that the disk did not take from somebody who waited; the thread goes on with it.
    unfinished: Option<Round>,
    pace: Pace,
    /// Since when something is written that is not synced.
    unsynced: Option<Instant>,
    ticked: Instant,
    /// Whether sources wait for a moment to come.
    is_expecting: bool,
    /// What is written now is the last.
    is_ending: bool,
    /// A round has ended by a panic.
    has_failed: bool,
}

/// A round whose changes are in the batch.
struct Round {
    number: u64,
    /// Of the changes, as [`Committer::changed`] counted them.
    bytes: usize,
    /// The store has it though its write failed.
    is_written: bool,
    is_stored: bool,
    is_synced: bool,
    /// The disk did not take it at first.
    has_failed: bool,
}

/// Why the thread ended before its time.
enum Ended {
    /// The engine was closed while the disk failed.
    GivenUp(String),
    /// A panic.
    Failed,
}

impl Run {
    /// How long there is nothing to do, unless something is changed.
    fn time_to_rest(&mut self) -> Option<Duration> {
        let sync_in = self
            .unsynced
            .filter(|_| self.committer.durability == Durability::Second)
            .map(|since| SYNC_INTERVAL.saturating_sub(since.elapsed()));
        if sync_in == Some(Duration::ZERO) {
            return sync_in;
        }
        if self.is_expecting && self.ticked.elapsed() >= TICK_INTERVAL {
            self.tick();
        }
        let tick_in = TICK_INTERVAL.saturating_sub(self.ticked.elapsed());
        let tick_in = self.is_expecting.then_some(tick_in);
        sync_in.into_iter().chain(tick_in).min()
    }

    fn tick(&mut self) {
        self.ticked = Instant::now();
        // All of them, so no `any`.
        self.is_expecting = self
            .sources
            .iter()
            .fold(false, |some, source| source.tick() | some);
    }

    /// Writes what has changed, however long the disk fails.
    fn round(&mut self) -> Result<(), Ended> {
        if self.has_failed {
            return Err(Ended::Failed);
        }
        let mut round = match self.unfinished.take() {
            Some(round) => round,
            None => self.begin(),
        };
        while let Err(error) = self.store(&mut round) {
            self.mend(error, &mut round)?;
        }
        self.finish(&round);
        self.tick();
        Ok(())
    }

    /// Writes what has changed, for one who waits for it and must not wait for a disk that fails: what he cannot finish is
    /// the thread's.
    pub(super) fn lead(&mut self) {
        if self.unfinished.is_none() && !self.has_failed {
            let led = catch_unwind(AssertUnwindSafe(|| {
                let mut round = self.begin();
                match self.store(&mut round) {
                    Ok(()) => self.finish(&round),
                    Err(_) => self.unfinished = Some(round),
                }
            }));
            self.has_failed = led.is_err();
        }
        let is_over = self.unfinished.is_none() && !self.has_failed;
        if !is_over {
            self.committer.pending.store(true, Ordering::Release);
        }
        // The thread ticks after it, in its time.
        let is_expecting = std::mem::replace(&mut self.is_expecting, true);
        if !is_over || !is_expecting {
            self.committer.unpark();
        }
    }

    /// The last round.
    fn end(&mut self) -> Result<(), Ended> {
        if self.unfinished.is_some() {
            self.round()?;
        }
        // Again, for what was changed while the gate was being closed.
        self.sources.iter().for_each(|source| source.close());
        self.is_ending = true;
        self.round()?;
        // Left as it opens fastest.
        if let Err(error) = self.committer.store.settle() {
            tracing::warn!("closing without tidying up: {error}");
        }
        if let Some(mark) = &self.mark {
            warn_of(mark.sync());
        }
        Ok(())
    }

    /// Takes what has changed.
    fn begin(&mut self) -> Round {
        self.committer.pending.store(false, Ordering::Release);
        self.committer.urgent.store(false, Ordering::Release);
        let number = self.committer.round.fetch_add(1, Ordering::AcqRel);
        self.batch.clear();
        let sources = self.sources.iter();
        Round {
            number,
            bytes: sources.map(|source| source.collect(&mut self.batch)).sum(),
            is_written: false,
            is_stored: false,
            is_synced: false,
            has_failed: false,
        }
    }

    /// Writes a round, and syncs if it is time.
    fn store(&mut self, round: &mut Round) -> StoreResult<()> {
        let started = Instant::now();
        if !round.is_stored {
            self.write(round)?;
            round.is_stored = true;
            for source in &self.sources {
                source.stored();
            }
            self.written(round.bytes);
            self.answer(round, |need| need == Need::Stored);
        }
        if self.unsynced.is_some() && self.must_sync(round.number) {
            self.committer.store.sync()?;
            self.unsynced = None;
            round.is_synced = true;
            if self.committer.durability == Durability::Always {
                let is_quick = self.pace.count(started.elapsed());
                self.committer.is_quick.store(is_quick, Ordering::Relaxed);
            }
        }
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
            _ if self.is_ending => true,
            Durability::Always => true,
            Durability::Second => {
                self.unsynced
                    .is_some_and(|since| since.elapsed() >= SYNC_INTERVAL)
                    || is_awaited()
            }
            Durability::Never => is_awaited(),
        }
    }

    fn write(&mut self, round: &Round) -> StoreResult<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if !round.is_written {
            self.committer.store.write(&self.batch, self.number + 1)?;
        }
        self.number += 1;
        self.unsynced.get_or_insert_with(Instant::now);
        if let Some(mark) = &mut self.mark
            && self.committer.durability != Durability::Always
        {
            warn_of(mark.written(self.number));
        }
        Ok(())
    }

    /// After an error: tries until the store can go on with that round.
    fn mend(&self, mut error: StoreError, round: &mut Round) -> Result<(), Ended> {
        let expected = self.number + u64::from(!round.is_stored);
        if !round.has_failed {
            tracing::error!("the disk fails, so nothing can be written: {error}");
        }
        round.has_failed = true;
        loop {
            self.committer.report(error.to_string());
            self.committer.refuse_all();
            if self.committer.is_closed() {
                return Err(Ended::GivenUp(error.to_string()));
            }
            thread::park_timeout(MEND_INTERVAL);
            error = match self.committer.store.mend() {
                Ok(found) if found == expected => {
                    round.is_written = true;
                    return Ok(());
                }
                Ok(found) if found + 1 == expected && !round.is_stored => return Ok(()),
                Ok(found) => StoreError::Damaged(format!(
                    "commits {} to {} have vanished: restart the daemon",
                    found + 1,
                    expected - 1
                )),
                Err(error) => error,
            };
        }
    }

    /// Tells all who wait for a round.
    fn finish(&mut self, round: &Round) {
        if round.has_failed {
            tracing::info!("the disk works again, all is written");
            *self.committer.trouble.lock() = None;
            self.open_from(gate::FAILING);
        }
        self.answer(round, |_| true);
        // It may be behind, and nobody need wait for it.
        if round.is_synced
            && let Some(mark) = &mut self.mark
        {
            warn_of(mark.durable(self.number));
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

    fn answer(&self, round: &Round, is_met: impl Fn(Need) -> bool) {
        let mut waiting = self.committer.waiting.lock();
        let met: Vec<_> = waiting
            .extract_if(.., |one| one.round <= round.number && is_met(one.need))
            .collect();
        drop(waiting);
        for one in met {
            let _ = one.answer.send(Ok(()));
        }
    }
}

/// The mark may be behind, so a failure to write it harms nothing now.
fn warn_of(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!("the file `mark` cannot be written: {error}");
    }
}

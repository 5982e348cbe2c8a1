//! One queue without disk, clock or waiting: what happens to its jobs, and what is to be written of it.
//!
//! Every operation is told the [`Moment`] it happens in, and what has become due by then has happened before it:
//! callers [`advance`](Core::advance) first. Ids and tokens are handed in, from one sequence of the engine, so that
//! none ever comes again, although nothing is kept of a queue that is empty.

mod saving;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::queues::{Counts, DEDUPE_WINDOW, JobId, JobState, Pushed};
use switchboard_engine::{EngineError, Result};

use super::dedupe::{DEDUPES_MAX, DedupeHash, Dedupes, Remembered};
use super::jobs::{Jobs, Marks, Slot};
use super::ledger::{Change, Ledger};
use super::moment::{Moment, NEVER};

/// Most jobs whose delay or lease is found to be over in one step under the lock of the queue, a few milliseconds. If
/// more are due, those follow with the next steps, which come at once.
pub(crate) const DUE_STEPS_MAX: usize = 10_000;

/// The reason of a failure that no worker told.
const LEASE_OVER: ByteString = ByteString::from_static("its lease ended before the job was acknowledged");

/// A job that comes in.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    pub(crate) priority: u8,
    pub(crate) attempts_max: u32,
    pub(crate) delay: Duration,
    pub(crate) dedupe: Option<DedupeHash>,
    /// As [`encode_body`](super::record::encode_body) makes it.
    pub(crate) body: Bytes,
}

/// A job that was reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) token: u64,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// Its body; `None` if it is only on the disk.
    pub(crate) body: Option<Bytes>,
}

/// A job that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) slot: Slot,
    /// `None` if it is only on the disk.
    pub(crate) body: Option<Bytes>,
    /// `None` if there is none, or it is only on the disk: the slot's marks tell.
    pub(crate) reason: Option<ByteString>,
}

/// A part of a walk over all jobs.
#[derive(Debug)]
pub(crate) struct Walked<T> {
    /// What it came to.
    pub(crate) outcome: T,
    /// The id to go on with; `None` when all were seen.
    pub(crate) next: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Core {
    jobs: Jobs,
    ledger: Ledger,
    dedupes: Dedupes,
}

impl Core {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Jobs::new(),
            ledger: Ledger::new(),
            dedupes: Dedupes::new(),
        }
    }

    /// Adds a job under that id, greater than every earlier one.
    ///
    /// # Errors
    /// Unavailable when too many dedupe ids are remembered: nothing was added.
    pub(crate) fn push(&mut self, now: Moment, id: u64, job: &NewJob) -> Result<Pushed> {
        if let Some(hash) = job.dedupe {
            if let Some(known) = self.dedupes.find(hash, now.millis()) {
                return Ok(Pushed {
                    id: JobId(known.job),
                    duplicate: true,
                });
            }
            if self.dedupes.is_full() {
                return Err(too_many_dedupes(now, self.dedupes.quiet_until()));
            }
            let until = now.after(DEDUPE_WINDOW);
            self.dedupes.insert(hash, Remembered { job: id, until });
            self.ledger.note(Change::Dedupe(hash));
        }
        let (state, due) = at_once_or_after(now, job.delay);
        let slot = Slot {
            due,
            attempts: 0,
            attempts_max: job.attempts_max,
            priority: job.priority,
            state,
            marks: Marks::default(),
        };
        self.jobs.insert(id, slot, 0);
        self.ledger.keep_body(id, job.body.clone());
        self.mark(id);
        Ok(Pushed {
            id: JobId(id),
            duplicate: false,
        })
    }

    /// Takes up to `max` jobs that are ready, under leases with that token.
    pub(crate) fn reserve(&mut self, now: Moment, max: usize, lease: Duration, token: u64) -> Vec<Taken> {
        let due = now.after(lease);
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((id, slot)) = self.jobs.first_ready() else {
                break;
            };
            let attempt = slot.attempts.saturating_add(1);
            self.jobs.change(id, JobState::Reserved, due, token, attempt);
            // A body that is on the disk is needed in memory no more: mostly an ack comes next.
            let body = match slot.marks.safe {
                true => self.ledger.take_body(id),
                false => self.ledger.body(id).cloned(),
            };
            self.mark(id);
            taken.push(Taken {
                id,
                token,
                attempt,
                body,
            });
        }
        taken
    }

    /// Undoes a reservation that reached nobody: it was no attempt.
    pub(crate) fn give_back(&mut self, id: u64, token: u64) {
        if let Some(slot) = self.held(id, token) {
            self.jobs
                .change(id, JobState::Ready, NEVER, 0, slot.attempts.saturating_sub(1));
            self.mark(id);
        }
    }

    /// As [`Self::give_back`], for several.
    pub(crate) fn give_back_all(&mut self, taken: &[Taken]) {
        for taken in taken {
            self.give_back(taken.id, taken.token);
        }
    }

    /// Lets a lease end that long from now.
    ///
    /// # Errors
    /// Lease lost.
    pub(crate) fn extend(&mut self, now: Moment, id: u64, token: u64, time: Duration) -> Result<()> {
        let slot = self.leased(now, id, token)?;
        self.jobs
            .change(id, JobState::Reserved, now.after(time), token, slot.attempts);
        self.mark(id);
        Ok(())
    }

    /// The job is done.
    ///
    /// # Errors
    /// Lease lost.
    pub(crate) fn ack(&mut self, now: Moment, id: u64, token: u64) -> Result<()> {
        self.leased(now, id, token)?;
        self.remove(id);
        Ok(())
    }

    /// The attempt failed.
    ///
    /// # Errors
    /// Lease lost.
    pub(crate) fn nack(
        &mut self,
        now: Moment,
        id: u64,
        token: u64,
        wait: Duration,
        reason: ByteString,
    ) -> Result<JobState> {
        let slot = self.leased(now, id, token)?;
        Ok(self.attempt_failed(now, id, slot, wait, reason))
    }

    /// Declares a reserved job dead, whatever attempts it had left.
    pub(crate) fn bury(&mut self, id: u64, token: u64, reason: ByteString) {
        if let Some(slot) = self.held(id, token) {
            self.jobs.change(id, JobState::Dead, NEVER, 0, slot.attempts);
            self.explain(id, reason);
        }
    }

    /// Takes a job away.
    pub(crate) fn cancel(&mut self, id: u64) -> bool {
        self.remove(id).is_some()
    }

    /// Makes a dead job ready. The reason of its death stays to be seen.
    pub(crate) fn revive(&mut self, id: u64) -> bool {
        let dead = self.state_of(id) == Some(JobState::Dead);
        if dead {
            self.jobs.change(id, JobState::Ready, NEVER, 0, 0);
            self.mark(id);
        }
        dead
    }

    /// Lets happen what is due by now: delays and leases end, dedupe ids are forgotten. Whether more than
    /// [`DUE_STEPS_MAX`] things were due, so that it is to be called again.
    pub(crate) fn advance(&mut self, now: Moment) -> bool {
        let millis = now.millis();
        if self.quiet_until() > millis {
            return false;
        }
        for _ in 0..DUE_STEPS_MAX {
            // A lease that is over comes first: its job may be one that goes before what was delayed.
            if let Some((id, slot)) = self.jobs.first_lease_over(millis) {
                self.attempt_failed(now, id, slot, Duration::ZERO, LEASE_OVER);
            } else if let Some((id, slot)) = self.jobs.first_delay_over(millis) {
                // Not written: by its record, too, its time has come.
                self.jobs.change(id, JobState::Ready, NEVER, 0, slot.attempts);
            } else if self.dedupes.quiet_until() <= millis {
                if let Some(hash) = self.dedupes.forget_one(millis) {
                    self.ledger.note(Change::Dedupe(hash));
                }
            } else {
                self.jobs.settle();
                return false;
            }
        }
        true
    }

    /// Nothing becomes due before this; it may be too early, never too late.
    pub(crate) fn quiet_until(&self) -> u64 {
        self.jobs.quiet_until().min(self.dedupes.quiet_until())
    }

    /// Whether a worker would get a job.
    pub(crate) fn has_ready(&self) -> bool {
        self.jobs.first_ready().is_some()
    }

    /// Whether it holds no job.
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether nothing would be lost by forgetting it.
    pub(crate) fn is_disposable(&self) -> bool {
        self.jobs.is_empty() && self.dedupes.is_empty() && self.ledger.is_clean()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.jobs.counts()
    }

    /// Looks at `steps` jobs from that id on for those in that state, at most `limit`.
    pub(crate) fn look(&self, state: JobState, from: u64, limit: usize, steps: usize) -> Walked<Vec<Seen>> {
        let mut seen = Vec::new();
        let next = self.walk_state(state, from, steps, |id, slot| {
            if seen.len() < limit {
                seen.push(Seen {
                    id,
                    slot: *slot,
                    body: self.ledger.body(id).cloned(),
                    reason: self.ledger.reason(id).cloned(),
                });
            }
            match seen.len() < limit {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        Walked { outcome: seen, next }
    }

    /// Takes away the jobs in that state, of `steps` jobs from that id on and before `end`. How many they were is told.
    pub(crate) fn purge(&mut self, state: JobState, from: u64, end: u64, steps: usize) -> Walked<u64> {
        let mut ids = Vec::new();
        let next = self.walk_state(state, from, steps, |id, _| {
            if id >= end {
                return ControlFlow::Break(());
            }
            ids.push(id);
            ControlFlow::Continue(())
        });
        for id in &ids {
            self.remove(*id);
        }
        Walked {
            outcome: ids.len() as u64,
            next,
        }
    }

    /// Until when a delayed or reserved job is that.
    pub(crate) fn due(slot: &Slot) -> Option<u64> {
        matches!(slot.state, JobState::Delayed | JobState::Reserved).then_some(slot.due)
    }

    fn walk_state(
        &self,
        state: JobState,
        from: u64,
        steps: usize,
        mut visit: impl FnMut(u64, &Slot) -> ControlFlow<()>,
    ) -> Option<u64> {
        let mut left = self.jobs.count(state);
        if left == 0 {
            return None;
        }
        self.jobs.walk(from, steps, |id, slot| {
            if slot.state != state {
                return ControlFlow::Continue(());
            }
            left -= 1;
            visit(id, slot)?;
            match left {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
    }

    fn state_of(&self, id: u64) -> Option<JobState> {
        self.jobs.slot(id).map(|slot| slot.state)
    }

    /// The job, if it is reserved by that token.
    fn held(&self, id: u64, token: u64) -> Option<Slot> {
        let held = self.jobs.token(id) == Some(token);
        self.jobs.slot(id).copied().filter(|_| held)
    }

    /// The job, if that lease of it holds.
    fn leased(&self, now: Moment, id: u64, token: u64) -> Result<Slot> {
        self.held(id, token)
            .filter(|slot| slot.due > now.millis())
            .ok_or(EngineError::LeaseLost(id))
    }

    fn attempt_failed(
        &mut self,
        now: Moment,
        id: u64,
        slot: Slot,
        wait: Duration,
        reason: ByteString,
    ) -> JobState {
        let (state, due) = match slot.attempts >= slot.attempts_max {
            true => (JobState::Dead, NEVER),
            false => at_once_or_after(now, wait),
        };
        self.jobs.change(id, state, due, 0, slot.attempts);
        self.explain(id, reason);
        state
    }

    fn explain(&mut self, id: u64, reason: ByteString) {
        self.ledger.keep_reason(id, reason);
        if let Some(marks) = self.jobs.marks_mut(id) {
            marks.reason = true;
        }
        self.mark(id);
    }

    fn remove(&mut self, id: u64) -> Option<Slot> {
        let slot = self.jobs.remove(id)?;
        self.ledger.take_body(id);
        self.ledger.drop_reason(id);
        if slot.marks.written {
            self.ledger.note(Change::Gone(id, slot.marks.reason));
        }
        Some(slot)
    }

    fn mark(&mut self, id: u64) {
        if let Some(marks) = self.jobs.marks_mut(id)
            && !marks.unsaved
        {
            marks.unsaved = true;
            self.ledger.note(Change::Job(id));
        }
    }
}

/// The state of a job that waits so long from now.
fn at_once_or_after(now: Moment, wait: Duration) -> (JobState, u64) {
    match wait.is_zero() {
        true => (JobState::Ready, NEVER),
        false => (JobState::Delayed, now.after(wait)),
    }
}

fn too_many_dedupes(now: Moment, until: u64) -> EngineError {
    EngineError::unavailable(
        Duration::from_millis(until.saturating_sub(now.millis())),
        format!("the queue remembers {DEDUPES_MAX} dedupe ids: the job was not added"),
    )
}

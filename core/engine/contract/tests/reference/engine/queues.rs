//! Jobs under leases.

use std::cmp::Reverse;
use std::time::Duration;

use bytestring::ByteString;
use switchboard_engine::queues::{
    Counts, DEDUPE_WINDOW, JOBS_MAX, JobId, JobState, Lease, Peeked, Push, Pushed, Reserved, check_delay,
    check_lease, check_push,
};
use switchboard_engine::{Answer, EngineError, QueueName, Queues, Result};

use super::flaw::Flaw;
use super::state::{Line, Record, State};
use super::world::Reference;

impl Queues for Reference {
    fn push(&self, queue: &QueueName, push: Push) -> Answer<Pushed> {
        self.look(|state| {
            check_push(&push)?;
            let (ready, window) = (state.until(push.delay), state.until(DEDUPE_WINDOW));
            let now = state.now;
            let line = state.queues.entry(queue.clone()).or_default();
            if let Some((id, _)) = push.dedupe.as_ref().and_then(|dedupe| line.once.get(dedupe)) {
                let (id, duplicate) = (*id, true);
                return Ok(Pushed { id, duplicate });
            }
            line.last += 1;
            let id = JobId(line.last);
            if let Some(dedupe) = push.dedupe.clone() {
                line.once.insert(dedupe, (id, window));
            }
            line.jobs.insert(id, Record::new(id, push, now, ready));
            let duplicate = false;
            Ok(Pushed { id, duplicate })
        })
    }

    fn reserve(
        &self,
        queue: &QueueName,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Answer<Vec<Reserved>> {
        if let Err(error) = check_max(max).and_then(|()| check_lease(lease)) {
            return Answer::err(error);
        }
        let (engine, queue) = (self.clone(), queue.clone());
        let waiting = async move {
            let clock = engine.world.clock.clone();
            let mut changed = engine.world.changed.subscribe();
            let end = clock.monotonic() + wait;
            loop {
                let taken = engine.take(&queue, max, lease)?;
                if !taken.is_empty() || clock.monotonic() >= end {
                    return Ok(taken);
                }
                changed.mark_unchanged();
                if engine.take_nothing(&queue) {
                    let _ = changed.changed().await;
                }
            }
        };
        if self.world.flaw == Flaw::TakesForTheGone {
            let task = tokio::spawn(waiting);
            return Answer::later(async move { task.await.expect("the worker") });
        }
        Answer::later(waiting)
    }

    fn extend(&self, queue: &QueueName, lease: &Lease, time: Duration) -> Answer<()> {
        let flaw = self.world.flaw;
        self.look(|state| {
            check_lease(time)?;
            let until = state.until(time);
            leased(state, queue, lease, flaw)?.until = until;
            Ok(())
        })
    }

    fn ack(&self, queue: &QueueName, lease: &Lease) -> Answer<()> {
        let flaw = self.world.flaw;
        self.look(|state| {
            leased(state, queue, lease, flaw)?;
            let line = state.queues.entry(queue.clone()).or_default();
            line.jobs.remove(&lease.job);
            if flaw == Flaw::ForgetsDedupe {
                line.once.retain(|_, (id, _)| *id != lease.job);
            }
            Ok(())
        })
    }

    fn nack(&self, queue: &QueueName, lease: &Lease, wait: Duration, reason: ByteString) -> Answer<JobState> {
        let flaw = self.world.flaw;
        self.look(|state| {
            check_delay(wait)?;
            let until = (!wait.is_zero()).then(|| state.until(wait));
            let record = leased(state, queue, lease, flaw)?;
            record.fail(reason, until);
            Ok(record.state)
        })
    }

    fn cancel(&self, queue: &QueueName, job: JobId) -> Answer<bool> {
        self.look(|state| {
            let line = state.queues.get_mut(queue);
            Ok(line.and_then(|line| line.jobs.remove(&job)).is_some())
        })
    }

    fn revive(&self, queue: &QueueName, job: JobId) -> Answer<bool> {
        self.look(|state| {
            let record = state
                .queues
                .get_mut(queue)
                .and_then(|line| line.jobs.get_mut(&job));
            let Some(record) = record.filter(|record| record.state == JobState::Dead) else {
                return Ok(false);
            };
            (record.state, record.attempts) = (JobState::Ready, 0);
            Ok(true)
        })
    }

    fn peek(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<JobId>,
        limit: usize,
    ) -> Answer<Vec<Peeked>> {
        let wanted = state;
        self.look(|state| {
            let line = state.queues.entry(queue.clone()).or_default();
            let jobs = line.jobs.values();
            let jobs = jobs.filter(|record| record.state == wanted && Some(record.job.id) > after);
            Ok(jobs.take(limit).map(Record::peeked).collect())
        })
    }

    fn counts(&self, queue: &QueueName) -> Answer<Counts> {
        self.look(|state| {
            let line = state.queues.entry(queue.clone()).or_default();
            let count = |state| line.jobs.values().filter(|record| record.state == state).count() as u64;
            Ok(Counts {
                ready: count(JobState::Ready),
                delayed: count(JobState::Delayed),
                reserved: count(JobState::Reserved),
                dead: count(JobState::Dead),
            })
        })
    }

    fn purge(&self, queue: &QueueName, state: JobState) -> Answer<u64> {
        let unwanted = state;
        self.look(|state| {
            let line = state.queues.entry(queue.clone()).or_default();
            let before = line.jobs.len();
            line.jobs.retain(|_, record| record.state != unwanted);
            Ok((before - line.jobs.len()) as u64)
        })
    }

    fn names(&self) -> Answer<Vec<QueueName>> {
        self.look(|state| {
            let full = state.queues.iter().filter(|(_, line)| !line.jobs.is_empty());
            Ok(full.map(|(name, _)| name.clone()).collect())
        })
    }
}

impl Reference {
    /// Takes what is ready. Only what is taken changes anything, so that workers who wait do not wake each other.
    fn take(&self, queue: &QueueName, max: usize, lease: Duration) -> Result<Vec<Reserved>> {
        self.check()?;
        self.world.settle();
        if self.take_nothing(queue) {
            return Ok(Vec::new());
        }
        let flaw = self.world.flaw;
        self.try_look(|state| {
            let until = state.until(lease);
            let line = state.queues.entry(queue.clone()).or_default();
            let next = line.next(max, flaw);
            Ok(next.into_iter().filter_map(|id| line.give(id, until)).collect())
        })
    }

    /// Whether no job is ready.
    fn take_nothing(&self, queue: &QueueName) -> bool {
        let flaw = self.world.flaw;
        let empty = |state: &State| {
            state
                .queues
                .get(queue)
                .is_none_or(|line| line.next(1, flaw).is_empty())
        };
        !self.is_closed() && self.world.peek(empty)
    }
}

fn check_max(max: usize) -> Result<()> {
    match max {
        1..=JOBS_MAX => Ok(()),
        _ => Err(EngineError::Invalid("a number of jobs".to_owned())),
    }
}

fn leased<'a>(state: &'a mut State, queue: &QueueName, lease: &Lease, flaw: Flaw) -> Result<&'a mut Record> {
    let record = state
        .queues
        .get_mut(queue)
        .and_then(|line| line.jobs.get_mut(&lease.job));
    record
        .filter(|record| match flaw {
            Flaw::OldLeaseCounts => record.token.is_some(),
            _ => record.token.as_ref() == Some(&lease.token),
        })
        .ok_or(EngineError::LeaseLost(lease.job.0))
}

impl Line {
    /// Who is next.
    fn next(&self, max: usize, flaw: Flaw) -> Vec<JobId> {
        let is_ready = |record: &&Record| match record.state {
            JobState::Ready => true,
            JobState::Reserved => flaw == Flaw::LeasesTwice,
            _ => false,
        };
        let mut ready: Vec<&Record> = self.jobs.values().filter(is_ready).collect();
        if flaw != Flaw::NoPriorities {
            ready.sort_by_key(|record| Reverse(record.job.priority));
        }
        ready.into_iter().take(max).map(|record| record.job.id).collect()
    }

    fn give(&mut self, id: JobId, until: super::state::Until) -> Option<Reserved> {
        self.tokens += 1;
        let token = ByteString::from(format!("lease {}", self.tokens));
        let record = self.jobs.get_mut(&id)?;
        record.attempts += 1;
        record.state = JobState::Reserved;
        record.until = until;
        record.token = Some(token.clone());
        Some(Reserved {
            lease: Lease { job: id, token },
            attempt: record.attempts,
            job: record.job.clone(),
        })
    }
}

impl Record {
    fn peeked(&self) -> Peeked {
        let timed = matches!(self.state, JobState::Reserved | JobState::Delayed);
        Peeked {
            job: self.job.clone(),
            state: self.state,
            attempts: self.attempts,
            until: timed.then_some(self.until.wall),
            reason: self.reason.clone(),
        }
    }
}

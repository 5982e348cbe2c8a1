//! What a queue does, said as simply as possible: a list of jobs, looked through from its beginning each time.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use switchboard_engine::Timestamp;
use switchboard_engine::queues::{DEDUPE_WINDOW, JobId, JobState, Pushed};

use crate::queues::moment::Moment;

/// Id, state, attempts, end, and whether it has a reason.
pub(super) type Sight = (u64, JobState, u32, Option<u64>, bool);

#[derive(Debug, Clone)]
pub(super) enum Step {
    Push {
        priority: u8,
        delay: u64,
        dedupe: Option<u8>,
        attempts_max: u32,
    },
    Reserve {
        max: usize,
        lease: u64,
    },
    // These name one of the leases that were ever given, by its number from the newest.
    Ack(usize),
    Extend(usize, u64),
    Nack(usize, u64),
    GiveBack(usize),
    Cancel(usize),
    Revive(usize),
    /// Time passes.
    Pass(u64),
    /// The wall clock is set.
    Jump(u64),
    Save,
    /// A round begins.
    Collect,
    /// It is in the store.
    Stored,
    Reopen,
    Crash,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Nothing,
    Pushed(Pushed),
    Taken(Vec<(u64, u32)>),
    Done(bool),
    Nacked(Option<JobState>),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let which = || 0_usize..4;
    let wait = || prop_oneof![Just(0), 1_u64..400];
    prop_oneof![
        6 => (0..3_u8, wait(), proptest::option::weighted(0.3, 0..4_u8), 1..4_u32).prop_map(
            |(priority, delay, dedupe, attempts_max)| Step::Push { priority, delay, dedupe, attempts_max }
        ),
        6 => (1..4_usize, 100..400_u64).prop_map(|(max, lease)| Step::Reserve { max, lease }),
        3 => which().prop_map(Step::Ack),
        1 => (which(), 100..400_u64).prop_map(|(which, time)| Step::Extend(which, time)),
        3 => (which(), wait()).prop_map(|(which, wait)| Step::Nack(which, wait)),
        1 => which().prop_map(Step::GiveBack),
        1 => which().prop_map(Step::Cancel),
        1 => which().prop_map(Step::Revive),
        4 => prop_oneof![4 => 1..200_u64, 1 => Just(60_000)].prop_map(Step::Pass),
        1 => (900_000..1_100_000_u64).prop_map(Step::Jump),
        3 => Just(Step::Save),
        1 => Just(Step::Collect),
        1 => Just(Step::Stored),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

#[derive(Debug, Clone)]
struct Job {
    priority: u8,
    attempts: u32,
    attempts_max: u32,
    state: JobState,
    due: u64,
    token: u64,
    reason: bool,
    /// It differs from what is saved.
    changed: bool,
    /// The end, by the wall clock when it was saved.
    until: Timestamp,
    /// The state in which it was saved: that a delay is over is not.
    saved: JobState,
}

#[derive(Debug, Clone, Copy)]
struct Dedupe {
    job: u64,
    due: u64,
    changed: bool,
    until: Timestamp,
}

type Saved = (BTreeMap<u64, Job>, BTreeMap<u8, Dedupe>);

#[derive(Debug, Default)]
pub(super) struct Model {
    jobs: BTreeMap<u64, Job>,
    dedupes: BTreeMap<u8, Dedupe>,
    collected: Option<Saved>,
    saved: Saved,
    leases: Vec<(u64, u64)>,
    chosen: (u64, u64),
    ids: u64,
    wall: u64,
    monotonic: u64,
}

impl Model {
    pub(super) fn now(&self) -> Moment {
        Moment {
            wall: Timestamp::from_millis(1_000_000 + self.wall),
            monotonic: Duration::from_millis(self.monotonic),
        }
    }

    /// The id or token that was used last.
    pub(super) fn last_id(&self) -> u64 {
        self.ids
    }

    /// The lease that the step is about.
    pub(super) fn lease(&self) -> (u64, u64) {
        self.chosen
    }

    pub(super) fn see(&self) -> Vec<Sight> {
        let waits =
            |job: &Job| matches!(job.state, JobState::Delayed | JobState::Reserved).then_some(job.due);
        let sight = |(id, job): (&u64, &Job)| (*id, job.state, job.attempts, waits(job), job.reason);
        self.jobs.iter().map(sight).collect()
    }

    pub(super) fn step(&mut self, step: &Step) -> Outcome {
        self.ids += 1;
        if let Step::Ack(which)
        | Step::Extend(which, _)
        | Step::Nack(which, _)
        | Step::GiveBack(which)
        | Step::Cancel(which)
        | Step::Revive(which) = step
        {
            self.chosen = self.leases.iter().rev().nth(*which).copied().unwrap_or_default();
        }
        let outcome = self.act(step);
        self.pass_time();
        outcome
    }

    fn act(&mut self, step: &Step) -> Outcome {
        let now = self.monotonic;
        let (id, token) = self.chosen;
        match *step {
            Step::Push {
                priority,
                delay,
                dedupe,
                attempts_max,
            } => {
                return Outcome::Pushed(self.push(priority, delay, dedupe, attempts_max));
            }
            Step::Reserve { max, lease } => return Outcome::Taken(self.reserve(max, lease)),
            Step::Ack(_) => return Outcome::Done(self.held(id, token) && self.jobs.remove(&id).is_some()),
            Step::Extend(_, time) => {
                let held = self.held(id, token);
                if held {
                    self.change(id, JobState::Reserved, now + time);
                }
                return Outcome::Done(held);
            }
            Step::Nack(_, wait) => {
                let held = self.held(id, token);
                return Outcome::Nacked(held.then(|| self.attempt_failed(id, wait)));
            }
            Step::GiveBack(_) => {
                if self.held(id, token) {
                    self.change(id, JobState::Ready, 0).attempts -= 1;
                }
            }
            Step::Cancel(_) => return Outcome::Done(self.jobs.remove(&id).is_some()),
            Step::Revive(_) => {
                let dead = self.jobs.get(&id).is_some_and(|job| job.state == JobState::Dead);
                if dead {
                    self.change(id, JobState::Ready, 0).attempts = 0;
                }
                return Outcome::Done(dead);
            }
            Step::Pass(time) => {
                self.wall += time;
                self.monotonic += time;
            }
            Step::Jump(wall) => self.wall = wall,
            Step::Save => {
                self.collect();
                self.stored();
            }
            Step::Collect => self.collect(),
            Step::Stored => self.stored(),
            Step::Reopen => {
                self.collect();
                self.stored();
                self.load();
            }
            Step::Crash => {
                self.collected = None;
                self.load();
            }
        }
        Outcome::Nothing
    }

    fn push(&mut self, priority: u8, delay: u64, dedupe: Option<u8>, attempts_max: u32) -> Pushed {
        let id = self.ids;
        if let Some(dedupe) = dedupe {
            if let Some(known) = self.dedupes.get(&dedupe) {
                return Pushed {
                    id: JobId(known.job),
                    duplicate: true,
                };
            }
            let due = self.monotonic + DEDUPE_WINDOW.as_millis() as u64;
            let known = Dedupe {
                job: id,
                due,
                changed: true,
                until: Timestamp::default(),
            };
            self.dedupes.insert(dedupe, known);
        }
        let job = Job {
            priority,
            attempts: 0,
            attempts_max,
            state: if delay == 0 {
                JobState::Ready
            } else {
                JobState::Delayed
            },
            due: self.monotonic + delay,
            token: 0,
            reason: false,
            changed: true,
            until: Timestamp::default(),
            saved: JobState::Ready,
        };
        self.jobs.insert(id, job);
        Pushed {
            id: JobId(id),
            duplicate: false,
        }
    }

    fn reserve(&mut self, max: usize, lease: u64) -> Vec<(u64, u32)> {
        let ready = |(_, job): &(&u64, &Job)| job.state == JobState::Ready;
        let mut ids: Vec<_> = self
            .jobs
            .iter()
            .filter(ready)
            .map(|(id, job)| (u8::MAX - job.priority, *id))
            .collect();
        ids.sort_unstable();
        let (due, token) = (self.monotonic + lease, self.ids);
        let taken: Vec<_> = ids
            .into_iter()
            .take(max)
            .map(|(_, id)| {
                let job = self.change(id, JobState::Reserved, due);
                job.attempts += 1;
                job.token = token;
                (id, job.attempts)
            })
            .collect();
        self.leases.extend(taken.iter().map(|(id, _)| (*id, token)));
        taken
    }

    fn held(&self, id: u64, token: u64) -> bool {
        self.jobs
            .get(&id)
            .is_some_and(|job| job.state == JobState::Reserved && job.token == token)
    }

    fn change(&mut self, id: u64, state: JobState, due: u64) -> &mut Job {
        let job = self.jobs.get_mut(&id).unwrap();
        (job.state, job.due, job.changed) = (state, due, true);
        job
    }

    fn attempt_failed(&mut self, id: u64, wait: u64) -> JobState {
        let now = self.monotonic;
        let job = self.jobs.get_mut(&id).unwrap();
        (job.reason, job.changed, job.due) = (true, true, now + wait);
        job.state = match (job.attempts >= job.attempts_max, wait) {
            (true, _) => JobState::Dead,
            (false, 0) => JobState::Ready,
            (false, _) => JobState::Delayed,
        };
        job.state
    }

    fn pass_time(&mut self) {
        let now = self.monotonic;
        let over = |state| move |(_, job): &(&u64, &Job)| job.state == state && job.due <= now;
        for id in self
            .jobs
            .iter()
            .filter(over(JobState::Reserved))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
        {
            self.attempt_failed(id, 0);
        }
        for job in self.jobs.values_mut() {
            if job.state == JobState::Delayed && job.due <= now {
                // What is saved says the same, by the wall clock of then.
                job.state = JobState::Ready;
            }
        }
        self.dedupes.retain(|_, dedupe| dedupe.due > now);
    }

    /// As the commit thread does: one round at a time.
    fn collect(&mut self) {
        self.stored();
        let moment = self.now();
        for job in self.jobs.values_mut().filter(|job| job.changed) {
            job.changed = false;
            job.until = moment.wall_at(job.due);
            job.saved = job.state;
        }
        for dedupe in self.dedupes.values_mut().filter(|dedupe| dedupe.changed) {
            dedupe.changed = false;
            dedupe.until = moment.wall_at(dedupe.due);
        }
        self.collected = Some((self.jobs.clone(), self.dedupes.clone()));
    }

    fn stored(&mut self) {
        if let Some(collected) = self.collected.take() {
            self.saved = collected;
        }
    }

    fn load(&mut self) {
        let (moment, now) = (self.now(), self.monotonic);
        (self.jobs, self.dedupes) = self.saved.clone();
        for job in self.jobs.values_mut() {
            job.state = job.saved;
            job.due = now + job.until.since(moment.wall).as_millis() as u64;
        }
        for dedupe in self.dedupes.values_mut() {
            let window = DEDUPE_WINDOW.as_millis() as u64;
            dedupe.due = now + (dedupe.until.since(moment.wall).as_millis() as u64).min(window);
        }
    }
}

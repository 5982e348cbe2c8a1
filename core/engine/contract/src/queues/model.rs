//! Everything at once, against a list that does the same.

use std::time::Duration;

use proptest::prelude::*;
use switchboard_engine::queues::{Counts, DEDUPE_WINDOW, JobId, JobState, LEASE_MIN, Lease, Push};
use switchboard_engine::{EngineError, Timestamp};

use super::{Jobs, LEASE_LONG};
use crate::TestBed;
use crate::tools::{explore, millis};

/// Longest delay and step of time, in milliseconds; leases are longer by [`LEASE_MIN`].
const TIME_MAX: u64 = 60;

/// Which lease a worker uses: one that was given, counted from the latest.
type Given = usize;

#[derive(Debug, Clone)]
enum Step {
    Push {
        delay: u64,
        priority: u8,
        dedupe: Option<u8>,
        attempts_max: u32,
    },
    Reserve {
        max: usize,
        lease: u64,
    },
    Extend(Given, u64),
    Ack(Given),
    Nack(Given, u64),
    Cancel(u64),
    Revive(u64),
    Purge(JobState),
    Pass(u64),
    Reopen,
}

fn state() -> impl Strategy<Value = JobState> {
    prop::sample::select(vec![
        JobState::Ready,
        JobState::Delayed,
        JobState::Reserved,
        JobState::Dead,
    ])
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly no time, so that without a clock of ours something happens too.
    let time = || prop_oneof![2 => Just(0), 1 => 1..=TIME_MAX];
    prop_oneof![
        6 => (time(), 0_u8..3, prop::option::weighted(0.2, 0_u8..3), 1_u32..4).prop_map(
            |(delay, priority, dedupe, attempts_max)| Step::Push { delay, priority, dedupe, attempts_max }
        ),
        6 => (1_usize..4, 0..=TIME_MAX).prop_map(|(max, lease)| Step::Reserve { max, lease }),
        2 => (0_usize..4, 0..=TIME_MAX).prop_map(|(given, time)| Step::Extend(given, time)),
        3 => (0_usize..4).prop_map(Step::Ack),
        4 => (0_usize..4, time()).prop_map(|(given, wait)| Step::Nack(given, wait)),
        1 => (0_u64..12).prop_map(Step::Cancel),
        2 => (0_u64..12).prop_map(Step::Revive),
        1 => state().prop_map(Step::Purge),
        5 => (0..=LEASE_MIN.as_millis() as u64 + TIME_MAX).prop_map(Step::Pass),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug)]
struct Job {
    id: JobId,
    priority: u8,
    attempts_max: u32,
    attempts: u32,
    state: JobState,
    /// When it is ready, or its lease ends.
    until: Timestamp,
    lease: Option<Lease>,
}

impl Job {
    /// The attempt failed.
    fn fail(&mut self, ready: Timestamp, now: Timestamp) {
        self.lease = None;
        self.until = ready;
        self.state = match () {
            () if self.attempts >= self.attempts_max => JobState::Dead,
            () if ready > now => JobState::Delayed,
            () => JobState::Ready,
        };
    }
}

/// What a queue has to hold.
#[derive(Debug, Default)]
struct Model {
    jobs: Vec<Job>,
    /// Dedupe ids, the jobs they stood for, and until when they do.
    once: Vec<(u8, JobId, Timestamp)>,
    /// All leases there ever were.
    given: Vec<Lease>,
}

impl Model {
    fn settle(&mut self, now: Timestamp) {
        for job in &mut self.jobs {
            match job.state {
                JobState::Reserved if job.until <= now => job.fail(now, now),
                JobState::Delayed if job.until <= now => job.state = JobState::Ready,
                _ => {}
            }
        }
        self.once.retain(|(_, _, until)| *until > now);
    }

    /// The ids of who is ready, in the order in which they have to be given.
    fn next(&self, max: usize) -> Vec<JobId> {
        let mut ready: Vec<&Job> = self
            .jobs
            .iter()
            .filter(|job| job.state == JobState::Ready)
            .collect();
        ready.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.id));
        ready.into_iter().take(max).map(|job| job.id).collect()
    }

    fn lease(&self, given: Given) -> Option<Lease> {
        let index = self.given.len().checked_sub(given + 1)?;
        self.given.get(index).cloned()
    }

    fn leased(&mut self, lease: &Lease) -> Result<&mut Job, EngineError> {
        self.jobs
            .iter_mut()
            .find(|job| job.lease.as_ref() == Some(lease))
            .ok_or(EngineError::LeaseLost(lease.job.0))
    }

    fn remove(&mut self, gone: impl Fn(&Job) -> bool) -> u64 {
        let before = self.jobs.len();
        self.jobs.retain(|job| !gone(job));
        (before - self.jobs.len()) as u64
    }

    fn counts(&self) -> Counts {
        let of = |state| self.jobs.iter().filter(|job| job.state == state).count() as u64;
        super::counts(
            of(JobState::Ready),
            of(JobState::Delayed),
            of(JobState::Reserved),
            of(JobState::Dead),
        )
    }
}

/// Where time cannot be held, only what takes none, or too long to be waited for, is tried.
fn lasting(time: u64, timely: bool) -> Duration {
    match time {
        0 => Duration::ZERO,
        _ if timely => millis(time),
        _ => LEASE_LONG,
    }
}

async fn apply(jobs: &Jobs, model: &mut Model, step: Step, now: Timestamp, timely: bool) {
    let lease_for = |time: u64| {
        if timely {
            LEASE_MIN + millis(time)
        } else {
            LEASE_LONG
        }
    };
    match step {
        Step::Reserve { max, lease } => {
            let expected = model.next(max);
            let lease = lease_for(lease);
            let taken = jobs.take(max, lease).await;
            let given: Vec<JobId> = taken.iter().map(|reserved| reserved.job.id).collect();
            assert_eq!(given, expected);
            for reserved in taken {
                let job = model.jobs.iter_mut().find(|job| job.id == reserved.job.id);
                let job = job.expect("it was expected");
                job.attempts += 1;
                assert_eq!(reserved.attempt, job.attempts, "{:?}", job.id);
                job.state = JobState::Reserved;
                job.until = now.after(lease);
                assert!(!model.given.contains(&reserved.lease), "each lease is new");
                job.lease = Some(reserved.lease.clone());
                model.given.push(reserved.lease);
            }
        }
        Step::Cancel(id) => {
            let there = model.remove(|job| job.id == JobId(id)) == 1;
            assert_eq!(jobs.cancel(JobId(id)).await, there);
        }
        Step::Revive(id) => {
            let dead = |job: &&mut Job| job.id == JobId(id) && job.state == JobState::Dead;
            let dead = model.jobs.iter_mut().find(dead);
            assert_eq!(jobs.revive(JobId(id)).await, dead.is_some());
            if let Some(job) = dead {
                job.attempts = 0;
                job.state = JobState::Ready;
            }
        }
        Step::Purge(state) => {
            let purged = model.remove(|job| job.state == state);
            assert_eq!(jobs.purge(state).await, purged);
        }
        Step::Push { .. } => push(jobs, model, step, now, timely).await,
        Step::Extend(given, time) => {
            let Some(lease) = model.lease(given) else { return };
            let expected = model
                .leased(&lease)
                .map(|job| job.until = now.after(lease_for(time)));
            assert_eq!(jobs.extend(&lease, lease_for(time)).await, expected);
        }
        Step::Ack(given) => {
            let Some(lease) = model.lease(given) else { return };
            let expected = model.leased(&lease).map(drop);
            model.remove(|job| job.lease.as_ref() == Some(&lease));
            assert_eq!(jobs.ack(&lease).await, expected);
        }
        Step::Nack(given, wait) => {
            let Some(lease) = model.lease(given) else { return };
            let wait = lasting(wait, timely);
            let expected = model.leased(&lease).map(|job| {
                job.fail(now.after(wait), now);
                job.state
            });
            assert_eq!(jobs.nack(&lease, wait, "again").await, expected);
        }
        Step::Pass(_) | Step::Reopen => {}
    }
}

async fn push(jobs: &Jobs, model: &mut Model, step: Step, now: Timestamp, timely: bool) {
    let Step::Push {
        delay,
        priority,
        dedupe,
        attempts_max,
    } = step
    else {
        return;
    };
    let delay = lasting(delay, timely);
    let push = Push {
        payload: "1".into(),
        headers: vec![],
        delay,
        priority,
        dedupe: dedupe.map(|dedupe| dedupe.to_string().into()),
        attempts_max,
    };
    let pushed = jobs.try_push(push).await.expect("pushing");
    let first = model.once.iter().find(|(once, _, _)| Some(*once) == dedupe);
    assert_eq!(pushed.duplicate, first.is_some());
    if let Some((_, id, _)) = first {
        assert_eq!(pushed.id, *id);
        return;
    }
    assert!(model.jobs.iter().all(|job| job.id < pushed.id), "ids grow");
    model.jobs.push(Job {
        id: pushed.id,
        priority,
        attempts_max,
        attempts: 0,
        state: if delay.is_zero() {
            JobState::Ready
        } else {
            JobState::Delayed
        },
        until: now.after(delay),
        lease: None,
    });
    if let Some(dedupe) = dedupe {
        model.once.push((dedupe, pushed.id, now.after(DEDUPE_WINDOW)));
    }
}

async fn compare(jobs: &Jobs, model: &Model, timely: bool) {
    assert_eq!(jobs.counts().await, model.counts());
    for state in [
        JobState::Ready,
        JobState::Delayed,
        JobState::Reserved,
        JobState::Dead,
    ] {
        let peeked = jobs.peek(state).await;
        let there: Vec<&Job> = model.jobs.iter().filter(|job| job.state == state).collect();
        assert_eq!(peeked.len(), there.len(), "{state:?}");
        for (seen, job) in peeked.iter().zip(there) {
            assert_eq!(
                (seen.job.id, seen.attempts, seen.state),
                (job.id, job.attempts, state)
            );
            if timely && seen.until.is_some() {
                assert_eq!(seen.until, Some(job.until), "{:?}", job.id);
            }
        }
    }
}

/// Whatever is done with jobs in whatever order, with time passing and reopenings in between: each step comes to what
/// a plain list would come to, and onlookers see it.
pub async fn everything_together_does_what_a_list_does(bed: &mut dyn TestBed) {
    explore(bed, &prop::collection::vec(step(), 1..60), async |bed, steps| {
        let mut jobs = Jobs::new(bed);
        let mut model = Model::default();
        let timely = bed.clock().is_some();
        for step in steps {
            let now = bed.now();
            match step {
                Step::Pass(time) if timely => bed.pass(millis(time)).await,
                Step::Reopen if bed.abilities().outlasts_its_process => jobs = jobs.reopen(bed).await,
                step => {
                    // The ids of the first jobs of a queue are unknown; a wish names one by its place.
                    let step = match step {
                        Step::Cancel(place) => Step::Cancel(nth(&model, place)),
                        Step::Revive(place) => Step::Revive(nth(&model, place)),
                        other => other,
                    };
                    apply(&jobs, &mut model, step, now, timely).await;
                }
            }
            if timely {
                model.settle(bed.now());
            }
            compare(&jobs, &model, timely).await;
        }
    });
}

fn nth(model: &Model, place: u64) -> u64 {
    model.jobs.get(place as usize).map_or(u64::MAX, |job| job.id.0)
}

//! Workers that wait.

use std::time::Duration;

use switchboard_engine::Result;
use switchboard_engine::queues::{JobState, Reserved};
use tokio::task::JoinHandle;

use super::{Jobs, LEASE, LEASE_LONG, counts, delayed, tried};
use crate::TestBed;
use crate::tools::{QUIET, as_time_passes, millis, soon};

impl Jobs {
    /// A worker that waits for as long as any of these properties takes.
    async fn waiting(&self, max: usize) -> JoinHandle<Result<Vec<Reserved>>> {
        let answer = self
            .engine
            .queues()
            .reserve(&self.queue, max, LEASE_LONG, LEASE_LONG);
        let worker = tokio::spawn(answer);
        // It gets a chance to begin waiting; what is tried is true in either order.
        tokio::time::sleep(QUIET).await;
        worker
    }
}

async fn woken(what: &str, worker: JoinHandle<Result<Vec<Reserved>>>) -> Vec<Reserved> {
    soon(what, worker).await.expect("the worker").expect("reserving")
}

/// A worker who waits gets the next job that is pushed; those who wait get one each.
pub async fn a_push_wakes_a_waiting_worker(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(jobs.waiting(1).await);
    }
    let mut pushed = Vec::new();
    for number in 0..3 {
        pushed.push(jobs.add(format!("{number}")).await);
    }
    let mut given = Vec::new();
    for worker in workers {
        let taken = woken("a waiting worker gets a job", worker).await;
        given.extend(taken.into_iter().map(|reserved| reserved.job.id));
    }
    given.sort();
    assert_eq!(given, pushed);
}

/// A worker at another hub is woken too.
pub async fn a_push_wakes_a_worker_at_another_hub(bed: &mut dyn TestBed) {
    let Some(engine) = bed.second_hub().await else {
        return;
    };
    let here = Jobs::new(bed);
    let there = Jobs {
        engine,
        queue: here.queue.clone(),
    };
    let worker = there.waiting(1).await;
    here.add("1").await;
    let taken = woken("a worker at another hub gets the job", worker).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(here.ack(&taken[0].lease).await, Ok(()));
}

/// A worker who waits gets what comes back: given back, revived.
pub async fn what_comes_back_wakes_a_waiting_worker(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("1").await;
    let first = jobs.take_one(LEASE_LONG).await;
    let worker = jobs.waiting(1).await;
    jobs.nack(&first.lease, Duration::ZERO, "again")
        .await
        .expect("giving back");
    let second = woken("what was given back wakes", worker).await;
    assert_eq!(second[0].attempt, 2);
    assert_eq!(jobs.ack(&second[0].lease).await, Ok(()));

    let id = jobs.push(tried("2", 1)).await;
    let only = jobs.take_one(LEASE_LONG).await;
    assert_eq!(
        jobs.nack(&only.lease, Duration::ZERO, "no").await,
        Ok(JobState::Dead)
    );
    let worker = jobs.waiting(1).await;
    assert!(jobs.revive(id).await);
    assert_eq!(woken("what was revived wakes", worker).await[0].job.id, id);
}

/// A worker who waits gets a job whose delay, or whose lease at another worker, is over.
pub async fn what_falls_due_wakes_a_waiting_worker(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.push(delayed("1", LEASE)).await;
    let worker = jobs.waiting(1).await;
    let woken = as_time_passes(bed, "a delay that is over wakes", LEASE, worker).await;
    let taken = woken.expect("the worker").expect("reserving");
    assert_eq!(taken[0].job.payload, "1");
    assert_eq!(jobs.ack(&taken[0].lease).await, Ok(()));

    jobs.add("2").await;
    let first = jobs.take_one(LEASE).await;
    let worker = jobs.waiting(1).await;
    let woken = as_time_passes(bed, "a lease that is over wakes", LEASE, worker).await;
    let taken = woken.expect("the worker").expect("reserving");
    assert_eq!((&taken[0].job.payload[..], taken[0].attempt), (&b"2"[..], 2));
    jobs.expect_lost(&first.lease).await;
}

/// A worker gets at once what is there, though he would take more and wait longer.
pub async fn a_worker_does_not_wait_for_more(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("1").await;
    jobs.add("2").await;
    let answer = jobs
        .engine
        .queues()
        .reserve(&jobs.queue, 10, LEASE_LONG, LEASE_LONG);
    let taken = soon("what is there", answer).await.expect("reserving");
    assert_eq!(taken.len(), 2);
}

/// A worker who waited in vain is told so, and takes nothing afterwards.
pub async fn a_worker_who_waited_in_vain_gets_nothing(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let wait = millis(200);
    let answer = jobs.engine.queues().reserve(&jobs.queue, 1, LEASE_LONG, wait);
    let taken = as_time_passes(bed, "waiting ends", wait, answer).await;
    assert_eq!(taken, Ok(vec![]));
    jobs.add("1").await;
    assert_eq!(jobs.counts().await, counts(1, 0, 0, 0));
}

/// A worker who gives up waiting takes nothing: the next job goes to somebody else, at his first attempt.
pub async fn a_worker_who_gave_up_takes_nothing(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let mut gone = Vec::new();
    for _ in 0..10 {
        gone.push(jobs.waiting(1).await);
    }
    for worker in &gone {
        worker.abort();
    }
    for worker in gone {
        let _ = soon("the end of a worker", worker).await;
    }
    jobs.add("1").await;
    // Whoever is not gone after all gets a chance to take it.
    tokio::time::sleep(QUIET).await;
    assert_eq!(
        jobs.counts().await,
        counts(1, 0, 0, 0),
        "nobody is there to take it"
    );
    let worker = jobs.waiting(1).await;
    assert_eq!(woken("who is there gets the job", worker).await[0].attempt, 1);
}

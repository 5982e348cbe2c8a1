//! Reopening, and the end of the process.

use std::time::Duration;

use switchboard_engine::queues::{JobState, Push, Pushed};

use super::{Jobs, LEASE, LEASE_LONG, counts, delayed, tried};
use crate::TestBed;
use crate::tools::{in_the_end, millis};

const STATES: [JobState; 4] = [
    JobState::Ready,
    JobState::Delayed,
    JobState::Reserved,
    JobState::Dead,
];

/// Jobs in every state are there after a reopening, as they were: payloads, attempts, reasons, leases, delays, dedupe
/// ids; new jobs have ids of their own.
pub async fn jobs_outlast_reopening(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let mut jobs = Jobs::new(bed);
    jobs.push(tried("dead", 1)).await;
    let dead = jobs.take_one(LEASE_LONG).await;
    jobs.nack(&dead.lease, Duration::ZERO, "why")
        .await
        .expect("failing");
    jobs.add("reserved").await;
    let held = jobs.take_one(LEASE_LONG).await;
    jobs.push(delayed("delayed", LEASE_LONG)).await;
    let once = Push {
        dedupe: Some("once".into()),
        headers: vec![("name".into(), "value".into())],
        priority: 3,
        ..Push::new("ready")
    };
    let ready = jobs.push(once.clone()).await;
    jobs.add("again").await;

    let mut before = Vec::new();
    for state in STATES {
        before.push(jobs.peek(state).await);
    }
    for _ in 0..2 {
        jobs = jobs.reopen(bed).await;
        for (state, before) in STATES.into_iter().zip(&before) {
            assert_eq!(&jobs.peek(state).await, before, "{state:?}");
        }
        assert_eq!(jobs.counts().await, counts(2, 1, 1, 1));
        assert!(jobs.is_listed().await);
    }
    let duplicate = Pushed {
        id: ready,
        duplicate: true,
    };
    assert_eq!(jobs.try_push(once).await, Ok(duplicate));
    let newest = before.iter().flatten().map(|peeked| peeked.job.id).max();
    assert!(Some(jobs.add("new").await) > newest, "ids go on");
    assert_eq!(
        jobs.ack(&held.lease).await,
        Ok(()),
        "the lease outlasts the reopening"
    );
    jobs.expect_lost(&dead.lease).await;
    assert_eq!(jobs.finish_all().await, ["ready", "again", "new"]);
}

/// A lease and a delay that were running before a reopening end when they would have ended without it.
pub async fn leases_and_delays_run_on_over_a_reopening(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let life = LEASE * 2;
    let jobs = Jobs::new(bed);
    jobs.add("leased").await;
    let lost = jobs.take_one(life).await;
    jobs.push(delayed("delayed", life)).await;
    bed.pass(LEASE).await;
    let jobs = jobs.reopen(bed).await;
    if bed.clock().is_some() {
        bed.pass(LEASE - millis(1)).await;
        assert_eq!(jobs.take(2, LEASE_LONG).await, []);
        bed.pass(millis(1)).await;
    } else {
        bed.pass(LEASE).await;
        in_the_end(bed, "both are ready", async || jobs.counts().await.ready == 2).await;
    }
    jobs.expect_lost(&lost.lease).await;
    let taken = jobs.take(2, LEASE_LONG).await;
    assert_eq!((taken[0].attempt, &taken[0].job.payload[..]), (2, &b"leased"[..]));
    assert_eq!(
        (taken[1].attempt, &taken[1].job.payload[..]),
        (1, &b"delayed"[..])
    );
}

/// No job id is given twice, though the queue was empty when it was closed.
pub async fn ids_go_on_after_the_queue_was_empty(bed: &mut dyn TestBed) {
    let mut jobs = Jobs::new(bed);
    let mut last = None;
    for _ in 0..3 {
        for _ in 0..3 {
            let id = jobs.add("1").await;
            assert!(Some(id) > last, "{id:?} after {last:?}");
            last = Some(id);
        }
        jobs.finish_all().await;
        if bed.abilities().outlasts_its_process {
            jobs = jobs.reopen(bed).await;
        }
    }
}

/// After the end of the process, what was flushed is so: jobs that were pushed are there, those that were acked are
/// not, and leases hold.
pub async fn flushed_jobs_outlast_a_crash(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let mut jobs = Jobs::new(bed);
    for round in 0..3 {
        for number in 0..20 {
            jobs.add(format!("{round} {number:02}")).await;
        }
        let done = jobs.take(5, LEASE_LONG).await;
        for reserved in &done {
            jobs.ack(&reserved.lease).await.expect("finishing");
        }
        let held = jobs.take_one(LEASE_LONG).await;
        jobs.flush().await;
        let before = [
            jobs.peek(JobState::Ready).await,
            jobs.peek(JobState::Reserved).await,
        ];
        jobs = jobs.crash_and_reopen(bed).await;
        let after = [
            jobs.peek(JobState::Ready).await,
            jobs.peek(JobState::Reserved).await,
        ];
        assert_eq!(after, before);
        for reserved in &done {
            jobs.expect_lost(&reserved.lease).await;
        }
        assert_eq!(jobs.ack(&held.lease).await, Ok(()));
        jobs.flush().await;
    }
}

/// What a crash loses of pushes is the youngest.
pub async fn a_crash_loses_only_the_youngest_jobs(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    const FLUSHED: usize = 10;
    let jobs = Jobs::new(bed);
    let mut all = Vec::new();
    for number in 0..40 {
        let payload = format!("{number:03}");
        jobs.add(payload.clone()).await;
        all.push(payload);
        if all.len() == FLUSHED {
            jobs.flush().await;
        }
    }
    let jobs = jobs.crash_and_reopen(bed).await;
    let left = jobs.finish_all().await;
    assert!(left.len() >= FLUSHED);
    assert_eq!(left, all[..left.len()]);
}

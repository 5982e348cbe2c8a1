//! Many workers at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use switchboard_engine::queues::{JobId, Push};
use tokio::task::JoinSet;

use super::{Jobs, LEASE_LONG, counts};
use crate::TestBed;
use crate::tools::soon;

const WORKERS: usize = 8;
const JOBS: u64 = 400;

async fn hubs(bed: &mut dyn TestBed) -> Vec<Jobs> {
    let here = Jobs::new(bed);
    let mut hubs = vec![here.clone()];
    if let Some(engine) = bed.second_hub().await {
        hubs.push(Jobs {
            engine,
            queue: here.queue,
        });
    }
    hubs
}

/// Many pushers and workers at once: every job that was acknowledged is done, and while a lease holds nobody else gets
/// its job. Some attempts are given back, so that jobs are given several times, one after the other.
pub async fn many_workers_do_every_job_once(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    let done = Arc::new(AtomicU64::new(0));
    let mut pushers = JoinSet::new();
    for pusher in 0..4 {
        let jobs = hubs[pusher % hubs.len()].clone();
        pushers.spawn(async move {
            let mut ids = Vec::new();
            for number in 0..JOBS / 4 {
                ids.push(
                    jobs.push(Push {
                        attempts_max: 1_000,
                        priority: (number % 3) as u8,
                        ..Push::new(format!("{pusher} {number}"))
                    })
                    .await,
                );
            }
            ids
        });
    }
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (jobs, done) = (hubs[worker % hubs.len()].clone(), done.clone());
        workers.spawn(async move {
            let mut given: Vec<(JobId, u32, bool)> = Vec::new();
            while done.load(Ordering::Acquire) < JOBS {
                for reserved in jobs.take(1 + worker % 3, LEASE_LONG).await {
                    let fails = reserved.attempt == 1 && reserved.job.id.0 % 3 == 0;
                    given.push((reserved.job.id, reserved.attempt, !fails));
                    tokio::task::yield_now().await;
                    if fails {
                        let wait = Duration::ZERO;
                        jobs.nack(&reserved.lease, wait, "again")
                            .await
                            .expect("the lease holds");
                    } else {
                        jobs.ack(&reserved.lease).await.expect("the lease holds");
                        done.fetch_add(1, Ordering::AcqRel);
                    }
                }
                tokio::task::yield_now().await;
            }
            given
        });
    }
    let mut pushed = BTreeSet::new();
    while let Some(ids) = soon("the end of a pusher", pushers.join_next()).await {
        for id in ids.expect("a pusher") {
            assert!(pushed.insert(id), "{id:?} names two jobs");
        }
    }
    let mut given: BTreeMap<JobId, Vec<(u32, bool)>> = BTreeMap::new();
    while let Some(attempts) = soon("the end of a worker", workers.join_next()).await {
        for (id, attempt, finished) in attempts.expect("a worker") {
            given.entry(id).or_default().push((attempt, finished));
        }
    }
    assert_eq!(given.len() as u64, JOBS);
    for (id, mut attempts) in given {
        attempts.sort_unstable();
        let expected = if id.0 % 3 == 0 {
            vec![(1, false), (2, true)]
        } else {
            vec![(1, true)]
        };
        assert_eq!(attempts, expected, "{id:?}");
        assert!(pushed.contains(&id));
    }
    assert_eq!(hubs[0].counts().await, counts(0, 0, 0, 0));
}

/// Of many who use one lease at once, one finishes the job.
pub async fn of_many_who_finish_a_job_one_does(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    for _ in 0..bed.abilities().cases {
        hubs[0].add("1").await;
        let lease = hubs[0].take_one(LEASE_LONG).await.lease;
        let mut tasks = JoinSet::new();
        for worker in 0..WORKERS {
            let (jobs, lease) = (hubs[worker % hubs.len()].clone(), lease.clone());
            tasks.spawn(async move { jobs.ack(&lease).await.is_ok() });
        }
        let mut finished = 0;
        while let Some(won) = soon("the end of a worker", tasks.join_next()).await {
            finished += usize::from(won.expect("a worker"));
        }
        assert_eq!(finished, 1);
    }
}

/// Of many pushes with one dedupe id at once, one is new, and all tell its job.
pub async fn of_many_pushes_with_one_dedupe_id_one_is_new(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    for round in 0..bed.abilities().cases {
        let mut tasks = JoinSet::new();
        for worker in 0..WORKERS {
            let jobs = hubs[worker % hubs.len()].clone();
            let push = Push {
                dedupe: Some(ByteString::from(format!("{round}"))),
                ..Push::new("1")
            };
            tasks.spawn(async move { jobs.try_push(push).await.expect("pushing") });
        }
        let mut told = Vec::new();
        while let Some(pushed) = soon("the end of a pusher", tasks.join_next()).await {
            told.push(pushed.expect("a pusher"));
        }
        assert_eq!(told.iter().filter(|pushed| !pushed.duplicate).count(), 1);
        assert!(told.iter().all(|pushed| pushed.id == told[0].id), "{told:?}");
    }
    assert_eq!(hubs[0].counts().await.ready, u64::from(bed.abilities().cases));
}

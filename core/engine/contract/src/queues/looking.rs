//! What an onlooker sees, and what he can take away.

use std::time::Duration;

use switchboard_engine::queues::{JobId, JobState, Push};

use super::{Jobs, LEASE_LONG, counts, delayed, tried};
use crate::TestBed;
use crate::tools::{in_the_end, millis, queue};

const STATES: [JobState; 4] = [
    JobState::Ready,
    JobState::Delayed,
    JobState::Reserved,
    JobState::Dead,
];

/// A queue with two jobs in each state: their ids, in the order of [`STATES`].
async fn two_of_each(jobs: &Jobs) -> [[JobId; 2]; 4] {
    let mut dead = [JobId(0); 2];
    for id in &mut dead {
        *id = jobs.push(tried("dead", 1)).await;
        let reserved = jobs.take_one(LEASE_LONG).await;
        jobs.nack(&reserved.lease, Duration::ZERO, "why")
            .await
            .expect("failing");
    }
    let mut reserved = [JobId(0); 2];
    for id in &mut reserved {
        *id = jobs.add("reserved").await;
        jobs.take_one(LEASE_LONG).await;
    }
    let mut waiting = [[JobId(0); 2]; 2];
    for [ready, late] in &mut waiting {
        *ready = jobs.add("ready").await;
        *late = jobs.push(delayed("delayed", LEASE_LONG)).await;
    }
    let [[ready, late], [ready_too, late_too]] = waiting;
    [[ready, ready_too], [late, late_too], reserved, dead]
}

/// Counts and looks tell where each job stands, and leave it there.
pub async fn onlookers_see_where_jobs_stand(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    assert_eq!(jobs.counts().await, counts(0, 0, 0, 0));
    let begun = bed.now();
    let ids = two_of_each(&jobs).await;
    let ends = begun.after(LEASE_LONG)..=bed.now().after(LEASE_LONG).after(millis(1));
    for _ in 0..2 {
        assert_eq!(jobs.counts().await, counts(2, 2, 2, 2));
        for (state, ids) in STATES.into_iter().zip(ids) {
            let peeked = jobs.peek(state).await;
            let seen: Vec<JobId> = peeked.iter().map(|peeked| peeked.job.id).collect();
            assert_eq!(seen, ids, "{state:?}");
            for seen in peeked {
                let payload = format!("{state:?}").to_lowercase();
                assert_eq!((seen.state, &seen.job.payload[..]), (state, payload.as_bytes()));
                let attempts = u32::from(matches!(state, JobState::Reserved | JobState::Dead));
                assert_eq!(seen.attempts, attempts, "{state:?}");
                let timed = matches!(state, JobState::Reserved | JobState::Delayed);
                assert_eq!(seen.until.is_some(), timed, "{state:?}");
                assert!(seen.until.is_none_or(|until| ends.contains(&until)), "{seen:?}");
                let reason = (state == JobState::Dead).then_some("why");
                assert_eq!(seen.reason.as_deref(), reason, "{state:?}");
            }
        }
    }
}

/// Looks come by id, in pages.
pub async fn looks_come_in_pages(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let mut ids = Vec::new();
    for number in 0..25_u8 {
        ids.push(
            jobs.push(Push {
                priority: number % 3,
                ..Push::new("1")
            })
            .await,
        );
    }
    let mut seen = Vec::new();
    loop {
        let page = jobs.peek_page(JobState::Ready, seen.last().copied(), 4).await;
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|peeked| peeked.job.id));
    }
    assert_eq!(seen, ids);
    assert_eq!(
        jobs.peek_page(JobState::Ready, Some(JobId(u64::MAX)), 4).await,
        []
    );
}

/// A job can be cancelled in any state, once; a lease of it is lost, and it comes back in no way.
pub async fn a_cancelled_job_is_gone(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("leased").await;
    let leased = jobs.take_one(LEASE_LONG).await.lease;
    let ids = two_of_each(&jobs).await;
    assert!(jobs.cancel(leased.job).await);
    jobs.expect_lost(&leased).await;
    for id in ids.into_iter().flatten() {
        assert!(jobs.cancel(id).await);
        assert!(!jobs.cancel(id).await, "it is gone already");
        assert!(!jobs.revive(id).await);
    }
    assert!(!jobs.cancel(JobId(u64::MAX)).await);
    assert_eq!(jobs.counts().await, counts(0, 0, 0, 0));
    assert_eq!(jobs.take(10, LEASE_LONG).await, []);
}

/// A purge takes away all jobs of one state, says how many, and leaves the others; leases of what it took are lost.
pub async fn a_purge_takes_one_state_away(bed: &mut dyn TestBed) {
    for (number, state) in STATES.into_iter().enumerate() {
        let jobs = Jobs::new(bed);
        jobs.add("leased").await;
        let leased = jobs.take_one(LEASE_LONG).await.lease;
        two_of_each(&jobs).await;
        let mut expected = [2, 2, 3, 2];
        assert_eq!(jobs.purge(state).await, expected[number], "{state:?}");
        expected[number] = 0;
        let [ready, delayed, reserved, dead] = expected;
        assert_eq!(jobs.counts().await, counts(ready, delayed, reserved, dead));
        assert_eq!(jobs.purge(state).await, 0);
        if state == JobState::Reserved {
            jobs.expect_lost(&leased).await;
        } else {
            assert_eq!(jobs.ack(&leased).await, Ok(()));
        }
    }
}

/// A queue is listed for as long as it holds a job, in whatever state; queues come in order. What is asked of one that
/// holds none is answered as of an empty one.
pub async fn queues_are_listed_while_they_hold_a_job(bed: &mut dyn TestBed) {
    let mut all: Vec<Jobs> = (0..5).map(|_| Jobs::at(bed, queue())).collect();
    for (jobs, state) in all.iter().zip(STATES).rev() {
        assert!(!jobs.is_listed().await);
        assert_eq!(
            (jobs.counts().await, jobs.purge(state).await),
            (counts(0, 0, 0, 0), 0)
        );
        two_of_each(jobs).await;
        assert!(jobs.is_listed().await);
        for other in STATES {
            if other != state {
                jobs.purge(other).await;
            }
        }
        assert!(jobs.is_listed().await, "it has a job that is {state:?}");
    }
    let empty = all.remove(0);
    empty.finish_all().await;
    in_the_end(bed, "an empty queue is not listed", async || {
        !empty.is_listed().await
    })
    .await;
    assert!(all[0].is_listed().await);
}

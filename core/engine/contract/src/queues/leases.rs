//! Leases and attempts.

use std::time::Duration;

use switchboard_engine::queues::{JobState, Push};
use switchboard_engine::{Clock, Timestamp};

use super::{Jobs, LEASE, LEASE_LONG, counts, tried};
use crate::TestBed;
use crate::tools::{in_the_end, millis};

/// Lets a lease of [`LEASE`] that was given just now end: to the millisecond, where the clock is ours.
async fn end_lease(bed: &mut dyn TestBed, jobs: &Jobs) {
    match bed.clock() {
        Some(clock) => {
            bed.pass(LEASE - millis(1)).await;
            assert_eq!(
                jobs.take(1, LEASE).await,
                [],
                "the lease holds to its last millisecond"
            );
            clock.advance(millis(1));
        }
        None => {
            bed.pass(LEASE).await;
            in_the_end(bed, "the lease is over", async || {
                jobs.counts().await.reserved == 0
            })
            .await;
        }
    }
}

/// A job under a lease is given to nobody else; acked, it is gone, and cannot be acked again.
pub async fn a_job_is_given_once_and_gone_when_done(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("1").await;
    let reserved = jobs.take_one(LEASE_LONG).await;
    assert_eq!(jobs.take(10, LEASE_LONG).await, []);
    assert_eq!(jobs.counts().await, counts(0, 0, 1, 0));
    assert_eq!(jobs.ack(&reserved.lease).await, Ok(()));
    assert_eq!(jobs.counts().await, counts(0, 0, 0, 0));
    jobs.expect_lost(&reserved.lease).await;
    bed.pass(LEASE_LONG.min(millis(100))).await;
    assert_eq!(jobs.take(1, LEASE_LONG).await, []);
}

/// When a lease is over, and not a millisecond before, the job is given again, as its next attempt; the old lease does
/// nothing any more, the new one does.
pub async fn a_job_is_given_again_when_its_lease_is_over(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let id = jobs.add("1").await;
    let first = jobs.take_one(LEASE).await;
    end_lease(bed, &jobs).await;
    jobs.expect_lost(&first.lease).await;
    let second = jobs.take_one(LEASE_LONG).await;
    assert_eq!((second.job.id, second.attempt), (id, 2));
    assert_ne!(
        second.lease, first.lease,
        "each reservation has a lease of its own"
    );
    jobs.expect_lost(&first.lease).await;
    assert_eq!(jobs.ack(&second.lease).await, Ok(()));
}

/// A lease that was made up is lost.
pub async fn a_lease_that_was_never_given_is_lost(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("1").await;
    let real = jobs.take_one(LEASE_LONG).await.lease;
    for token in ["", "0", "1", "ä", &"9".repeat(1_000)] {
        let mut forged = real.clone();
        forged.token = token.into();
        if forged != real {
            jobs.expect_lost(&forged).await;
        }
        forged.job = switchboard_engine::queues::JobId(u64::MAX);
        jobs.expect_lost(&forged).await;
    }
    assert_eq!(jobs.ack(&real).await, Ok(()));
}

/// An extended lease ends that long from the extension, be that later or sooner.
pub async fn an_extended_lease_ends_at_its_new_time(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("longer").await;
    let longer = jobs.take_one(LEASE).await;
    assert_eq!(jobs.extend(&longer.lease, LEASE_LONG).await, Ok(()));
    bed.pass(LEASE * 2).await;
    assert_eq!(jobs.take(1, LEASE_LONG).await, []);
    assert_eq!(jobs.ack(&longer.lease).await, Ok(()));

    jobs.add("shorter").await;
    let shorter = jobs.take_one(LEASE_LONG).await;
    assert_eq!(jobs.extend(&shorter.lease, LEASE).await, Ok(()));
    end_lease(bed, &jobs).await;
    jobs.expect_lost(&shorter.lease).await;
    assert_eq!(jobs.take_one(LEASE_LONG).await.attempt, 2);
}

/// A job that was given back is ready after the wait, as its next attempt.
pub async fn a_job_that_failed_is_tried_again(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("1").await;
    let first = jobs.take_one(LEASE_LONG).await;
    let state = jobs.nack(&first.lease, Duration::ZERO, "busy").await;
    assert_eq!(state, Ok(JobState::Ready));
    jobs.expect_lost(&first.lease).await;
    let peeked = jobs.peek(JobState::Ready).await;
    assert_eq!(peeked[0].reason.as_deref(), Some("busy"));
    assert_eq!(peeked[0].attempts, 1);

    let second = jobs.take_one(LEASE_LONG).await;
    assert_eq!(second.attempt, 2);
    assert_eq!(
        jobs.nack(&second.lease, LEASE, "busy").await,
        Ok(JobState::Delayed)
    );
    assert_eq!(jobs.counts().await, counts(0, 1, 0, 0));
    end_lease(bed, &jobs).await;
    in_the_end(bed, "it is ready", async || jobs.counts().await.ready == 1).await;
    let third = jobs.take_one(LEASE_LONG).await;
    assert_eq!(third.attempt, 3);
    assert_eq!(jobs.ack(&third.lease).await, Ok(()));
}

/// A job whose last attempt failed is dead, with the last reason: it is given to nobody, and stays until it is revived
/// or purged.
pub async fn a_job_without_attempts_left_is_dead(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let id = jobs.push(tried("1", 2)).await;
    let first = jobs.take_one(LEASE_LONG).await;
    let state = jobs.nack(&first.lease, Duration::ZERO, "first").await;
    assert_eq!(state, Ok(JobState::Ready));
    let second = jobs.take_one(LEASE_LONG).await;
    // A wait makes no difference to what is dead.
    assert_eq!(
        jobs.nack(&second.lease, LEASE, "second").await,
        Ok(JobState::Dead)
    );
    assert_eq!(jobs.counts().await, counts(0, 0, 0, 1));
    assert_eq!(jobs.take(1, LEASE_LONG).await, []);
    jobs.expect_lost(&second.lease).await;
    let dead = jobs.peek(JobState::Dead).await;
    assert_eq!((dead.len(), dead[0].job.id, dead[0].attempts), (1, id, 2));
    assert_eq!(dead[0].reason.as_deref(), Some("second"));
    bed.pass(LEASE * 2).await;
    assert_eq!(jobs.counts().await, counts(0, 0, 0, 1));
}

/// A lease that is over is a failed attempt like any other: after the last one the job is dead, with a reason.
pub async fn a_lease_that_is_over_is_a_failed_attempt(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.push(tried("1", 1)).await;
    let only = jobs.take_one(LEASE).await;
    end_lease(bed, &jobs).await;
    jobs.expect_lost(&only.lease).await;
    assert_eq!(jobs.take(1, LEASE_LONG).await, []);
    bed.pass(Duration::ZERO).await;
    assert_eq!(jobs.counts().await, counts(0, 0, 0, 1));
    assert!(jobs.peek(JobState::Dead).await[0].reason.is_some());
}

/// A revived job is ready, in its place, with all its attempts before it; what is not dead cannot be revived.
pub async fn a_revived_job_has_all_its_attempts_again(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let id = jobs.push(tried("1", 1)).await;
    let later = jobs.add("2").await;
    assert!(!jobs.revive(id).await, "it is ready already");
    let only = jobs.take_one(LEASE_LONG).await;
    assert!(!jobs.revive(id).await, "it is being worked on");
    assert_eq!(
        jobs.nack(&only.lease, Duration::ZERO, "no").await,
        Ok(JobState::Dead)
    );
    assert!(jobs.revive(id).await);
    assert!(!jobs.revive(id).await);
    assert_eq!(jobs.counts().await, counts(2, 0, 0, 0));
    assert_eq!(jobs.peek(JobState::Ready).await[0].attempts, 0);
    let again = jobs.take(2, LEASE_LONG).await;
    assert_eq!(
        (again[0].job.id, again[0].attempt, again[1].job.id),
        (id, 1, later)
    );
    jobs.expect_lost(&only.lease).await;
    let state = jobs.nack(&again[0].lease, Duration::ZERO, "no").await;
    assert_eq!(state, Ok(JobState::Dead));
    assert!(!jobs.revive(switchboard_engine::queues::JobId(u64::MAX)).await);
}

/// A jump of the wall clock neither ends nor stretches a lease or a delay.
pub async fn leases_and_delays_ignore_jumps_of_the_clock(bed: &mut dyn TestBed) {
    let Some(clock) = bed.clock() else { return };
    let jobs = Jobs::new(bed);
    let day: u64 = 86_400_000;
    for jumped in [clock.now().as_millis() + day, clock.now().as_millis() - day] {
        jobs.add("leased").await;
        let reserved = jobs.take_one(LEASE).await;
        jobs.push(Push {
            delay: LEASE,
            ..Push::new("delayed")
        })
        .await;
        clock.jump_to(Timestamp::from_millis(jumped));
        bed.pass(LEASE - millis(1)).await;
        assert_eq!(jobs.counts().await, counts(0, 1, 1, 0), "jumped to {jumped}");
        assert_eq!(jobs.take(2, LEASE).await, []);
        bed.pass(millis(1)).await;
        jobs.expect_lost(&reserved.lease).await;
        assert_eq!(
            jobs.finish_all().await,
            ["leased", "delayed"],
            "jumped to {jumped}"
        );
    }
}

/// A lease may be used at another hub.
pub async fn a_lease_is_good_at_another_hub(bed: &mut dyn TestBed) {
    let Some(engine) = bed.second_hub().await else {
        return;
    };
    let here = Jobs::new(bed);
    let there = Jobs {
        engine,
        queue: here.queue.clone(),
    };
    here.add("1").await;
    there.add("2").await;
    let reserved = here.take(2, LEASE_LONG).await;
    assert_eq!(reserved.len(), 2);
    assert_eq!(there.take(2, LEASE_LONG).await, []);
    assert_eq!(there.extend(&reserved[0].lease, LEASE_LONG).await, Ok(()));
    assert_eq!(there.ack(&reserved[0].lease).await, Ok(()));
    let state = there.nack(&reserved[1].lease, Duration::ZERO, "there").await;
    assert_eq!(state, Ok(JobState::Ready));
    here.expect_lost(&reserved[0].lease).await;
    assert_eq!(here.take_one(LEASE_LONG).await.attempt, 2);
}

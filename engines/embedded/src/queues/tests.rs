//! The queues over a store in memory, by a clock that the tests move.

use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use switchboard_engine::queues::{DELAY_MAX, LEASE_MIN};
use switchboard_engine::{Durability, SystemClock, Timestamp};

use super::*;
use crate::commit::Rounds;
use crate::store::{Batch, MemoryStore, Space, Store};

mod bed;
mod disk;
mod waiting;

use bed::{Bed, Disk};

const LEASE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(3600);

fn queue() -> QueueName {
    QueueName::new("work").unwrap()
}

fn payloads(reserved: &[Reserved]) -> Vec<&[u8]> {
    reserved.iter().map(|reserved| &*reserved.job.payload).collect()
}

fn bed() -> Bed {
    Bed::new(Durability::Second, BODY_BYTES_MAX)
}

/// Polls an answer that must not be there yet.
fn still_waits<T: Unpin>(answer: &mut Answer<T>) {
    assert!(answer.now_or_never().is_none());
}

/// Polls an answer until it stands in the line of its queue.
async fn in_line<T: Unpin>(bed: &Bed, answer: &mut Answer<T>, waiters: usize) {
    loop {
        still_waits(answer);
        let line = bed
            .queues
            .shared
            .find(&queue())
            .map_or(0, |queue| queue.waiters());
        if line == waiters {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_goes_from_push_to_ack() {
    let bed = bed();
    let push = Push {
        headers: vec![("kind".into(), "mail".into())],
        priority: 3,
        ..Push::new("hello")
    };
    let id = bed.push_as(push).await;
    let reserved = bed.one().await;
    assert_eq!(
        (reserved.job.id, reserved.attempt, reserved.lease.job),
        (id, 1, id)
    );
    assert_eq!(
        (&*reserved.job.payload, reserved.job.priority),
        (&b"hello"[..], 3)
    );
    assert_eq!(reserved.job.headers, [("kind".into(), "mail".into())]);
    assert_eq!(reserved.job.pushed, bed.clock.now());
    assert_eq!(bed.reserve(1).await, []);
    bed.queues.ack(&queue(), &reserved.lease).await.unwrap();
    let again = bed.queues.ack(&queue(), &reserved.lease).await;
    assert_eq!(again, Err(EngineError::LeaseLost(id.0)));
    assert_eq!(bed.counts().await, [0; 4]);
}

#[tokio::test]
async fn answers_are_there_at_once_when_nothing_has_to_be_read() {
    let bed = bed();
    bed.push("first").await;
    assert!(matches!(
        bed.queues.push(&queue(), Push::new("a")),
        Answer::Now(_)
    ));
    let reserved = bed.one().await;
    assert!(matches!(
        bed.queues.reserve(&queue(), 1, LEASE, LONG),
        Answer::Now(_)
    ));
    assert!(matches!(
        bed.queues.ack(&queue(), &reserved.lease),
        Answer::Now(_)
    ));
}

#[tokio::test]
async fn what_came_and_went_leaves_nothing_behind() {
    let bed = bed();
    for name in ["a", "b", "c"] {
        let name = QueueName::new(name).unwrap();
        bed.queues.push(&name, Push::new("x")).await.unwrap();
        let reserved = bed.queues.reserve(&name, 1, LEASE, LONG).await.unwrap();
        bed.queues.ack(&name, &reserved[0].lease).await.unwrap();
    }
    let mut given_up = bed.waiting();
    in_line(&bed, &mut given_up, 1).await;
    drop(given_up);
    bed.stored().await;
    bed.stored().await;
    assert!(bed.queues.shared.all().is_empty());
    assert_eq!(bed.queues.names().await.unwrap(), []);
    let view = bed.disk.store.view();
    let left = crate::store::with_prefix(&*view, Space::Queues, b"").count();
    assert_eq!(left, 1, "how far ids have gone");
}

#[tokio::test]
async fn bounds_are_checked() {
    let bed = bed();
    let nothing = bed.queues.reserve(&queue(), 0, LEASE, LONG).await;
    assert!(matches!(nothing, Err(EngineError::Invalid(_))));
    let many = bed.queues.reserve(&queue(), JOBS_MAX + 1, LEASE, LONG).await;
    assert!(matches!(many, Err(EngineError::Invalid(_))));
    let short = bed
        .queues
        .reserve(&queue(), 1, LEASE_MIN - Duration::from_millis(1), LONG)
        .await;
    assert!(matches!(short, Err(EngineError::Invalid(_))));
    bed.push_as(Push {
        attempts_max: 1,
        ..Push::new("a")
    })
    .await;
    let lease = bed.one().await.lease;
    let long = bed
        .queues
        .nack(&queue(), &lease, DELAY_MAX + LEASE, "no".into())
        .await;
    assert!(matches!(long, Err(EngineError::Invalid(_))));
    let other = Lease {
        token: "x".into(),
        ..lease.clone()
    };
    assert_eq!(
        bed.queues.ack(&queue(), &other).await,
        Err(EngineError::LeaseLost(lease.job.0))
    );
    let reason = "ä".repeat(REASON_BYTES_MAX);
    bed.queues
        .nack(&queue(), &lease, Duration::ZERO, reason.into())
        .await
        .unwrap();
    let seen = bed.peek(JobState::Dead).await;
    assert_eq!(
        seen[0].reason.as_ref().map(|reason| reason.len()),
        Some(REASON_BYTES_MAX)
    );
}

#[tokio::test]
async fn purging_takes_one_state_away_in_steps() {
    let bed = bed();
    let jobs = 25_000;
    for number in 0..jobs {
        let delay = if number % 5 == 0 { LONG } else { Duration::ZERO };
        bed.push_as(Push {
            delay,
            ..Push::new("a")
        })
        .await;
    }
    assert_eq!(bed.queues.purge(&queue(), JobState::Dead).await, Ok(0));
    assert_eq!(
        bed.queues.purge(&queue(), JobState::Ready).await,
        Ok(jobs / 5 * 4)
    );
    assert_eq!(bed.counts().await, [0, jobs / 5, 0, 0]);
    let bed = bed.reopen();
    assert_eq!(bed.counts().await, [0, jobs / 5, 0, 0]);
    let first = bed
        .queues
        .peek(&queue(), JobState::Delayed, None, 3)
        .await
        .unwrap();
    let next = bed
        .queues
        .peek(&queue(), JobState::Delayed, Some(first[2].job.id), 1)
        .await
        .unwrap();
    assert!(next[0].job.id > first[2].job.id);
    let last = bed
        .queues
        .peek(&queue(), JobState::Delayed, Some(JobId(u64::MAX)), 1)
        .await;
    assert_eq!(last, Ok(vec![]));
}

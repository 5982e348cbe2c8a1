//! The queues over a store in memory, by a clock that the tests move.

use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use switchboard_engine::queues::{DELAY_MAX, LEASE_MIN};
use switchboard_engine::{Durability, SystemClock, Timestamp};

use super::*;
use crate::commit::Rounds;
use crate::store::{Batch, MemoryStore, Space, Store};

mod bed;

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
async fn who_waits_is_served_in_turn_and_nobody_else_is_woken() {
    let bed = bed();
    let [mut first, mut second] = [bed.waiting(), bed.waiting()];
    in_line(&bed, &mut first, 1).await;
    in_line(&bed, &mut second, 2).await;
    bed.push("a").await;
    still_waits(&mut second);
    assert_eq!(payloads(&first.await.unwrap()), [b"a"]);
    bed.push("b").await;
    assert_eq!(payloads(&second.await.unwrap()), [b"b"]);
}

#[tokio::test]
async fn who_stops_waiting_takes_nothing() {
    let bed = bed();
    let [mut first, mut second, mut third] = [bed.waiting(), bed.waiting(), bed.waiting()];
    in_line(&bed, &mut first, 1).await;
    in_line(&bed, &mut second, 2).await;
    in_line(&bed, &mut third, 3).await;
    drop(first);
    bed.push("a").await;
    // It was served, and never heard of it.
    drop(second);
    let reserved = third.await.unwrap();
    assert_eq!((payloads(&reserved), reserved[0].attempt), (vec![&b"a"[..]], 1));
}

#[tokio::test]
async fn waiting_ends_by_time() {
    let bed = bed();
    bed.push("later").await;
    let _held = bed.one().await;
    let mut waiting = bed.queues.reserve(&queue(), 1, LEASE, Duration::from_secs(5));
    in_line(&bed, &mut waiting, 1).await;
    bed.pass(Duration::from_millis(4_999));
    still_waits(&mut waiting);
    bed.pass(Duration::from_millis(1));
    assert_eq!(waiting.await.unwrap(), []);
}

#[tokio::test]
async fn leases_delays_and_nacks_serve_who_waits() {
    let bed = bed();
    let delayed = Push {
        delay: LEASE + LEASE,
        ..Push::new("delayed")
    };
    bed.push_as(delayed).await;
    bed.push("slow").await;
    let lost = bed.one().await;
    let mut waiting = bed.waiting();
    in_line(&bed, &mut waiting, 1).await;
    bed.pass(LEASE);
    let reserved = waiting.await.unwrap();
    assert_eq!(
        (payloads(&reserved), reserved[0].attempt),
        (vec![&b"slow"[..]], 2)
    );
    let too_late = bed.queues.extend(&queue(), &lost.lease, LEASE).await;
    assert_eq!(too_late, Err(EngineError::LeaseLost(lost.job.id.0)));

    let mut waiting = bed.waiting();
    in_line(&bed, &mut waiting, 1).await;
    let state = bed
        .queues
        .nack(&queue(), &reserved[0].lease, Duration::ZERO, "no".into())
        .await;
    assert_eq!(state, Ok(JobState::Ready));
    let reserved = waiting.await.unwrap();
    assert_eq!(
        (payloads(&reserved), reserved[0].attempt),
        (vec![&b"slow"[..]], 3)
    );
    bed.queues.ack(&queue(), &reserved[0].lease).await.unwrap();

    let mut waiting = bed.waiting();
    in_line(&bed, &mut waiting, 1).await;
    bed.pass(LEASE);
    assert_eq!(payloads(&waiting.await.unwrap()), [b"delayed"]);
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_ends_and_stretches_nothing() {
    let bed = bed();
    bed.push("a").await;
    let reserved = bed.one().await;
    bed.clock.jump_to(Timestamp::from_millis(u64::MAX / 2));
    bed.queues.extend(&queue(), &reserved.lease, LEASE).await.unwrap();
    bed.clock.jump_to(Timestamp::from_millis(0));
    bed.pass(LEASE);
    assert_eq!(bed.counts().await, [1, 0, 0, 0]);
}

#[tokio::test]
async fn all_is_there_after_a_restart_and_leases_hold() {
    let bed = bed();
    let deduped = || Push {
        dedupe: Some("order 7".into()),
        ..Push::new("held")
    };
    let held = bed.push_as(deduped()).await;
    bed.push_as(Push {
        attempts_max: 1,
        ..Push::new("dead")
    })
    .await;
    let reserved = bed.reserve(2).await;
    let dead = bed
        .queues
        .nack(&queue(), &reserved[1].lease, Duration::ZERO, "broken".into())
        .await;
    assert_eq!(dead, Ok(JobState::Dead));
    bed.push_as(Push {
        delay: LONG,
        ..Push::new("delayed")
    })
    .await;
    bed.push("ready").await;

    let bed = bed.reopen();
    assert_eq!(bed.counts().await, [1, 1, 1, 1]);
    let seen = bed.peek(JobState::Dead).await;
    assert_eq!(
        (&*seen[0].job.payload, seen[0].reason.as_deref()),
        (&b"dead"[..], Some("broken"))
    );
    let seen = bed.peek(JobState::Delayed).await;
    assert_eq!(
        (&*seen[0].job.payload, seen[0].until),
        (&b"delayed"[..], Some(bed.clock.now().after(LONG)))
    );
    let again = bed.queues.push(&queue(), deduped()).await.unwrap();
    assert_eq!(
        again,
        Pushed {
            id: held,
            duplicate: true
        }
    );
    let fresh = bed.one().await;
    assert_eq!(&*fresh.job.payload, b"ready");
    assert!(bed.push("new").await > fresh.job.id, "ids go on");
    bed.queues.ack(&queue(), &reserved[0].lease).await.unwrap();

    let bed = bed.reopen();
    assert_eq!(bed.counts().await, [1, 1, 1, 1]);
    bed.pass(LONG);
    assert_eq!(bed.counts().await, [3, 0, 0, 1]);
}

#[tokio::test]
async fn what_became_due_meanwhile_is_due_after_a_restart() {
    let bed = bed();
    bed.push_as(Push {
        attempts_max: 1,
        ..Push::new("dead")
    })
    .await;
    bed.push_as(Push {
        delay: LEASE,
        ..Push::new("delayed")
    })
    .await;
    bed.one().await;
    let (disk, clock) = (Arc::clone(&bed.disk), bed.clock.clone());
    drop(bed);
    clock.jump_to(clock.now().after(LEASE));
    let bed = Bed::open(disk, clock, Durability::Second, 0);
    assert_eq!(bed.counts().await, [1, 0, 0, 1]);
}

#[tokio::test]
async fn bodies_beyond_the_bound_are_read_from_the_disk() {
    let bed = Bed::new(Durability::Second, 0);
    for payload in ["a", "b", "c"] {
        bed.push(payload).await;
    }
    bed.stored().await;
    assert_eq!(bed.queues.shared.body_bytes.load(Ordering::Relaxed), 0);
    let seen = bed.peek(JobState::Ready).await;
    assert_eq!(seen.len(), 3);
    assert_eq!(payloads(&bed.reserve(2).await), [b"a", b"b"]);
    assert_eq!(payloads(&bed.waiting().await.unwrap()), [b"c"]);
}

#[tokio::test]
async fn a_job_that_is_damaged_is_named_and_holds_up_no_other() {
    let bed = Bed::new(Durability::Second, 0);
    let damaged = bed.push("a").await;
    bed.push("b").await;
    bed.stored().await;
    bed.disk
        .damaged
        .lock()
        .push(record::key(record::Kind::Body, "work", damaged.0.into()));
    assert_eq!(payloads(&bed.reserve(2).await), [b"b"]);
    assert_eq!(bed.counts().await, [0, 0, 1, 1]);
    let seen = bed.queues.peek(&queue(), JobState::Dead, None, 1).await;
    assert!(matches!(seen, Err(EngineError::Damaged(_))));
    assert!(bed.queues.cancel(&queue(), damaged).await.unwrap());
}

#[tokio::test]
async fn a_full_disk_refuses_what_is_new_and_gives_back_what_nobody_got() {
    let bed = Bed::new(Durability::Always, BODY_BYTES_MAX);
    bed.push("a").await;
    bed.disk.fails.store(true, Ordering::Release);
    let refused = bed.queues.reserve(&queue(), 1, LEASE, Duration::ZERO).await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable { .. })),
        "{refused:?}"
    );
    let refused = bed.queues.push(&queue(), Push::new("b")).await;
    assert!(
        matches!(refused, Err(EngineError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(bed.counts().await, [1, 0, 0, 0]);
    bed.disk.fails.store(false, Ordering::Release);
    let reserved = loop {
        match bed.queues.reserve(&queue(), 1, LEASE, LONG).await {
            Ok(reserved) => break reserved,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(reserved[0].attempt, 1);
}

#[tokio::test]
async fn what_is_acknowledged_under_always_is_on_the_disk() {
    let bed = Bed::new(Durability::Always, BODY_BYTES_MAX);
    bed.push("a").await;
    let reserved = bed.one().await;
    // As kill -9 would: nothing is written any more.
    bed.disk.fails.store(true, Ordering::Release);
    let crashed = Arc::new(Disk::default());
    copy(&bed.disk, &crashed);
    let bed = Bed::open(crashed, bed.clock.clone(), Durability::Always, 0);
    assert_eq!(bed.counts().await, [0, 0, 1, 0]);
    bed.queues.ack(&queue(), &reserved.lease).await.unwrap();
}

fn copy(from: &Disk, to: &Disk) {
    let view = from.store.view();
    let mut batch = Batch::default();
    for record in crate::store::with_prefix(&*view, Space::Queues, b"") {
        let (key, value) = record.unwrap();
        batch.put(Space::Queues, &key, &value);
    }
    to.store.write(&batch, 1).unwrap();
}

#[tokio::test]
async fn closing_ends_all_waiting() {
    let bed = bed();
    let mut waiting = bed.waiting();
    in_line(&bed, &mut waiting, 1).await;
    bed.queues.close();
    assert!(matches!(waiting.await, Err(EngineError::Unavailable { .. })));
    assert!(matches!(
        bed.waiting().await,
        Err(EngineError::Unavailable { .. })
    ));
    assert!(matches!(
        bed.queues.counts(&queue()).await,
        Err(EngineError::Unavailable { .. })
    ));
    bed.queues.close();
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

#[tokio::test]
async fn by_the_machines_clock_what_is_due_happens_by_itself() {
    let committer = Committer::new(Arc::new(MemoryStore::default()), Durability::Never);
    let queues = EmbeddedQueues::load(Arc::clone(&committer), Arc::new(SystemClock::default())).unwrap();
    committer.add_source(queues.source());
    let _rounds = Rounds::start(committer, 0, None).unwrap();
    let delay = Duration::from_millis(5);
    queues
        .push(
            &queue(),
            Push {
                delay,
                ..Push::new("a")
            },
        )
        .await
        .unwrap();
    let first = queues.reserve(&queue(), 1, LEASE_MIN, LONG).await.unwrap();
    assert_eq!(first[0].attempt, 1);
    let second = queues.reserve(&queue(), 1, LEASE_MIN, LONG).await.unwrap();
    assert_eq!(second[0].attempt, 2);
    let none = queues.reserve(&queue(), 1, LEASE_MIN, delay).await.unwrap();
    assert_eq!(none, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_workers_each_job_reaches_one() {
    const WORKERS: u64 = 8;
    const JOBS: u64 = 500;
    let bed = Arc::new(bed());
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        let (pushing, working, done) = (Arc::clone(&bed), Arc::clone(&bed), Arc::clone(&done));
        tasks.spawn(async move {
            for _ in 0..JOBS {
                pushing.push("a").await;
            }
        });
        tasks.spawn(async move {
            let (mut mine, mut has_given_up) = (0, false);
            while mine < JOBS {
                // Sometimes it gives up at once; then it gets what is there, or nothing.
                let reserved = match mine % 3 == 0 && !std::mem::replace(&mut has_given_up, true) {
                    true => working.waiting().now_or_never().unwrap_or_else(|| Ok(Vec::new())),
                    false => working.waiting().await,
                };
                for reserved in reserved.unwrap() {
                    working.queues.ack(&queue(), &reserved.lease).await.unwrap();
                    done.lock().push((reserved.job.id, reserved.attempt));
                    mine += 1;
                    has_given_up = false;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let mut done = std::mem::take(&mut *done.lock());
    done.sort_unstable();
    done.dedup();
    assert_eq!(done.len() as u64, WORKERS * JOBS);
    assert!(done.iter().all(|(_, attempt)| *attempt == 1));
}

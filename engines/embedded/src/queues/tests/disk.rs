//! What is on the disk, after a restart and when it is damaged or full.

use super::*;

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

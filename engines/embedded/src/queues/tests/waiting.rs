//! Waiting, and what happens by time.

use super::*;

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

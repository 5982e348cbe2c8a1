//! What is pushed, and in which order it is given.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use switchboard_engine::EngineError;
use switchboard_engine::queues::{
    ATTEMPTS_MAX, DEDUPE_BYTES_MAX, DEDUPE_WINDOW, DELAY_MAX, HEADER_BYTES_MAX, HEADERS_MAX, JOB_BYTES_MAX,
    JOBS_MAX, JobState, LEASE_MAX, LEASE_MIN, PRIORITY_MAX, Push, Pushed,
};

use super::{Jobs, LEASE, LEASE_LONG, delayed};
use crate::TestBed;
use crate::tools::{in_the_end, millis, noise, soon};

/// A job comes to its worker as it was pushed.
pub async fn a_job_comes_as_it_was_pushed(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let push = Push {
        payload: noise(10_000, 5),
        headers: vec![
            ("name".into(), "value".into()),
            ("name".into(), "of the same name".into()),
            ("ä\r\n".into(), "".into()),
        ],
        delay: Duration::ZERO,
        priority: 7,
        dedupe: Some("once".into()),
        attempts_max: 11,
    };
    let begun = bed.now();
    let id = jobs.push(push.clone()).await;
    let pushed = begun..=bed.now();
    let reserved = jobs.take_one(LEASE_LONG).await;
    let job = reserved.job;
    assert_eq!((job.id, reserved.lease.job, reserved.attempt), (id, id, 1));
    assert_eq!(
        (&job.payload, &job.headers, job.priority, job.attempts_max),
        (&push.payload, &push.headers, push.priority, push.attempts_max)
    );
    assert!(pushed.contains(&job.pushed), "{job:?}");
}

/// Jobs are given in the order in which they were pushed, and later ones have greater ids.
pub async fn jobs_are_given_in_the_order_of_pushing(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let mut last = None;
    let mut pushed = Vec::new();
    for number in 0..60 {
        let id = jobs.add(format!("{number}")).await;
        assert!(Some(id) > last, "{id:?} after {last:?}");
        last = Some(id);
        pushed.push(id);
    }
    let mut given = Vec::new();
    for max in [1, 2, 7, 1_000, 1] {
        given.extend(
            jobs.take(max, LEASE_LONG)
                .await
                .into_iter()
                .map(|reserved| reserved.job.id),
        );
    }
    assert_eq!(given, pushed);
}

/// Higher priorities are given first, and within one the earlier ones.
pub async fn higher_priorities_are_given_first(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let mut expected = Vec::new();
    for number in 0..40_u8 {
        let priority = number.wrapping_mul(7) % (PRIORITY_MAX + 1);
        let payload = format!("{number:02}");
        expected.push((PRIORITY_MAX - priority, payload.clone()));
        jobs.push(Push {
            priority,
            ..Push::new(payload)
        })
        .await;
    }
    expected.sort();
    let expected: Vec<Bytes> = expected.into_iter().map(|(_, payload)| payload.into()).collect();
    assert_eq!(jobs.finish_all().await, expected);
}

/// A job that comes back keeps its place by when it was pushed.
pub async fn what_comes_back_keeps_its_place(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.push(delayed("1", LEASE)).await;
    for payload in ["2", "3", "4"] {
        jobs.add(payload).await;
    }
    let second = jobs.take_one(LEASE).await;
    let third = jobs.take_one(LEASE_LONG).await;
    assert_eq!(
        (&second.job.payload[..], &third.job.payload[..]),
        (&b"2"[..], &b"3"[..])
    );
    jobs.nack(&third.lease, Duration::ZERO, "again")
        .await
        .expect("giving back");
    bed.pass(LEASE).await;
    in_the_end(bed, "all are ready", async || jobs.counts().await.ready == 4).await;
    assert_eq!(jobs.finish_all().await, ["1", "2", "3", "4"]);
}

/// A delayed job is given to nobody before its time, and to the next who asks after it.
pub async fn a_delayed_job_waits_for_its_time(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.push(delayed("later", LEASE)).await;
    assert_eq!(jobs.counts().await, super::counts(0, 1, 0, 0));
    if let Some(clock) = bed.clock() {
        bed.pass(LEASE - millis(1)).await;
        assert_eq!(jobs.take(1, LEASE_LONG).await, []);
        clock.advance(millis(1));
    } else {
        assert_eq!(jobs.take(1, LEASE_LONG).await, []);
        bed.pass(LEASE).await;
        in_the_end(bed, "it is ready", async || jobs.counts().await.ready == 1).await;
    }
    assert_eq!(jobs.take_one(LEASE_LONG).await.job.payload, "later");
}

/// A second push with the same dedupe id is the first one, also when that is done already; after the window, in
/// another queue, or with another id, it is a new job.
pub async fn a_push_with_the_same_dedupe_id_is_the_first(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let other = Jobs::new(bed);
    let push = |payload: &'static str, dedupe: &'static str| Push {
        dedupe: Some(ByteString::from_static(dedupe)),
        ..Push::new(payload)
    };
    let id = jobs.push(push("1", "a")).await;
    let duplicate = Ok(Pushed { id, duplicate: true });
    assert_eq!(jobs.try_push(push("2", "a")).await, duplicate);
    jobs.push(push("3", "A")).await;
    jobs.push(push("4", &"b".repeat(DEDUPE_BYTES_MAX).leak()[..]))
        .await;
    other.push(push("5", "a")).await;
    assert_eq!(jobs.finish_all().await, ["1", "3", "4"]);
    assert_eq!(
        jobs.try_push(push("6", "a")).await,
        duplicate,
        "though the job is done"
    );
    assert_eq!(jobs.counts().await, super::counts(0, 0, 0, 0));

    if bed.clock().is_some() {
        bed.pass(DEDUPE_WINDOW - millis(1)).await;
        assert_eq!(jobs.try_push(push("7", "a")).await, duplicate);
        bed.pass(DEDUPE_WINDOW).await;
        assert!(jobs.push(push("8", "a")).await > id);
        assert_eq!(jobs.finish_all().await, ["8"]);
    }
}

/// What is over a bound of pushes is refused, and nothing is pushed; what is at the bound is pushed.
pub async fn pushes_have_limits(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let plain = || Push::new("1");
    let header = |bytes: usize| {
        (
            ByteString::from_static("n"),
            ByteString::from("v".repeat(bytes - 1)),
        )
    };
    let dedupe = |bytes: usize| Push {
        dedupe: Some("d".repeat(bytes).into()),
        ..plain()
    };
    let headers = |headers| Push { headers, ..plain() };
    let attempts = |attempts_max| Push {
        attempts_max,
        ..plain()
    };
    let at_the_bound = [
        Push::new(noise(JOB_BYTES_MAX, 9)),
        Push::new(""),
        headers(vec![header(HEADER_BYTES_MAX)]),
        headers(vec![header(1); HEADERS_MAX]),
        Push {
            delay: DELAY_MAX,
            ..plain()
        },
        dedupe(DEDUPE_BYTES_MAX),
        attempts(1),
        attempts(ATTEMPTS_MAX),
    ];
    let number = at_the_bound.len() as u64;
    for push in at_the_bound {
        jobs.push(push).await;
    }
    assert_eq!(jobs.counts().await, super::counts(number - 1, 1, 0, 0));

    let one_second = Duration::from_secs(1);
    for (push, large) in [
        (Push::new(noise(JOB_BYTES_MAX + 1, 9)), true),
        (headers(vec![header(HEADER_BYTES_MAX + 1)]), true),
        (headers(vec![header(1); HEADERS_MAX + 1]), true),
        (
            Push {
                delay: DELAY_MAX + one_second,
                ..plain()
            },
            false,
        ),
        (
            Push {
                priority: PRIORITY_MAX + 1,
                ..plain()
            },
            false,
        ),
        (dedupe(0), false),
        (dedupe(DEDUPE_BYTES_MAX + 1), false),
        (attempts(0), false),
        (attempts(ATTEMPTS_MAX + 1), false),
    ] {
        match jobs.try_push(push).await {
            Err(EngineError::TooLarge(_)) if large => {}
            Err(EngineError::Invalid(_)) if !large => {}
            other => panic!("it is over a bound, but {other:?}"),
        }
    }
    assert_eq!(jobs.counts().await, super::counts(number - 1, 1, 0, 0));
    let reserved = jobs.take_one(LEASE_LONG).await;
    assert!(
        reserved.job.payload == noise(JOB_BYTES_MAX, 9),
        "the largest job comes whole"
    );
}

/// A reservation, an extension or a wait over its bounds is invalid, and changes nothing.
pub async fn reservations_have_limits(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    jobs.add("1").await;
    let tick = millis(1);
    for (max, lease) in [
        (0, LEASE),
        (JOBS_MAX + 1, LEASE),
        (1, LEASE_MIN - tick),
        (1, LEASE_MAX + tick),
    ] {
        let answer = jobs
            .engine
            .queues()
            .reserve(&jobs.queue, max, lease, Duration::ZERO);
        let refused = soon("a refusal", answer).await;
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    }
    let lease = jobs.take_one(LEASE_MAX).await.lease;
    for time in [LEASE_MIN - tick, LEASE_MAX + tick] {
        let refused = jobs.extend(&lease, time).await;
        assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    }
    let refused = jobs.nack(&lease, DELAY_MAX + tick, "why").await;
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
    assert_eq!(jobs.counts().await, super::counts(0, 0, 1, 0));
    assert_eq!(jobs.nack(&lease, DELAY_MAX, "why").await, Ok(JobState::Delayed));
}

/// Queues are apart.
pub async fn queues_are_apart(bed: &mut dyn TestBed) {
    let jobs = Jobs::new(bed);
    let other = Jobs::new(bed);
    jobs.add("1").await;
    assert_eq!(other.take(1, LEASE_LONG).await, []);
    other.add("2").await;
    let reserved = jobs.take_one(LEASE_LONG).await;
    assert_eq!(reserved.job.payload, "1");
    assert_eq!(other.take_one(LEASE_LONG).await.job.payload, "2");
    jobs.ack(&reserved.lease).await.expect("finishing");
    assert_eq!(other.counts().await, super::counts(0, 0, 1, 0));
}

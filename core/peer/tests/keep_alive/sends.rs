//! What is sent while the connection comes and goes.

use std::sync::Arc;

use parking_lot::Mutex;
use switchboard_peer::{BackOff, Fault, Handlers, KeepAliveOptions, RetryPolicy, State};
use tokio::time::Instant;

use crate::common::handlers;
use crate::support::{MS, Network, SECOND, Scribe, Try, state_that};

/// Answers `once` only on the second connection: the first closes with the call on its way.
fn closes_once() -> Handlers {
    let first = Arc::new(Mutex::new(true));
    handlers().handle_raw("once", move |context, payload| {
        let first = std::mem::take(&mut *first.lock());
        async move {
            if first {
                context.peer().close();
                std::future::pending::<()>().await;
            }
            Ok(payload)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_request_on_its_way_fails_with_a_retry() {
    let (network, _accepted) = Network::new([], closes_once());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let fault = kept.request_raw("once", "x").await.unwrap_err();
    assert!(fault.is_retry() && fault.message().contains("lost"), "{fault}");
    assert_eq!(kept.request_raw("once", "y").await.unwrap(), "y");
}

#[tokio::test(start_paused = true)]
async fn with_a_policy_it_is_made_again_on_the_next_connection() {
    let (network, _accepted) = Network::new([], closes_once());
    let options = KeepAliveOptions {
        retry: RetryPolicy::default(),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    assert_eq!(kept.request_raw("once", "x").await.unwrap(), "x");
    assert_eq!(network.tries.lock().len(), 2);
    let (network, _accepted) = Network::new([], closes_once());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let again = kept.call("once").retry(RetryPolicy::times(1));
    assert_eq!(again.request_raw("x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn over_the_bound_sends_are_refused_at_once_and_room_comes_back() {
    let (network, _accepted) = Network::new([Try::Fails; 3], handlers());
    let options = KeepAliveOptions {
        queue_sends_max: 3,
        queue_bytes_max: 100,
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    kept.notify("a", &1).await.unwrap();
    kept.notify("b", &2).await.unwrap();
    let now = Instant::now();
    assert!(
        kept.request_raw("echo", vec![0; 200])
            .await
            .unwrap_err()
            .is_retry()
    );
    let queued = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("echo", "x").await }
    });
    tokio::task::yield_now().await;
    for fault in [
        kept.request_raw("echo", "y").await.unwrap_err(),
        kept.notify("c", &3).await.unwrap_err(),
    ] {
        let Fault::Retry { wait, .. } = &fault else {
            panic!("{fault}")
        };
        assert!((100 * MS..=501 * MS).contains(wait), "{wait:?}");
    }
    assert_eq!(Instant::now(), now, "a refusal waits for nothing");
    // A request that is given up leaves its place to others.
    queued.abort();
    assert!(queued.await.unwrap_err().is_cancelled());
    assert_eq!(kept.request_raw("echo", "z").await.unwrap(), "z");
    for number in 0..100 {
        kept.notify("d", &number).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_queued_request_heeds_its_deadline() {
    let (network, _accepted) = Network::new([Try::Fails; 20], handlers());
    let options = KeepAliveOptions {
        queue_sends_max: 1,
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let began = Instant::now();
    for _ in 0..3 {
        let call = kept.call("echo").timeout(SECOND);
        let fault = call.request_raw("x").await.unwrap_err();
        assert!(
            fault.is_retry() && fault.message().contains("deadline"),
            "{fault}"
        );
    }
    assert!((3 * SECOND..4 * SECOND).contains(&began.elapsed()));
    let policy = kept.call("echo").timeout(SECOND).retry(RetryPolicy::default());
    assert!(policy.request_raw("x").await.unwrap_err().is_retry());
    assert!(began.elapsed() < 5 * SECOND, "retries are inside the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_too_long_is_told_at_once_away_or_not() {
    let (network, _accepted) = Network::new([Try::Fails], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let name = "x".repeat(4096);
    let away = kept.notify(&name, &1).await.unwrap_err();
    kept.connected().await.unwrap();
    assert_eq!(kept.notify(&name, &1).await.unwrap_err(), away);
    assert!(!away.is_retry());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_and_notifications_survive_a_connection_that_breaks_all_the_time() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        back_off: BackOff {
            first: MS,
            max: 2 * MS,
        },
        retry: RetryPolicy {
            retries_max: u32::MAX,
            wait_min: MS,
            wait_max: 5 * MS,
            ..RetryPolicy::default()
        },
        queue_sends_max: 100_000,
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let breaker = tokio::spawn(async move {
        while let Some(far) = accepted.recv().await {
            tokio::time::sleep(MS * fastrand::u32(0..10)).await;
            far.close();
        }
    });
    let tasks: Vec<_> = (0..20)
        .map(|task: u32| {
            let kept = kept.clone();
            tokio::spawn(async move {
                let name = format!("from/{task}");
                for number in 0..100_u32 {
                    kept.notify(&name, &number).await.unwrap();
                    let text = format!("{task}/{number}");
                    assert_eq!(kept.request_raw("echo", text.clone()).await.unwrap(), text);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(
        network.tries.lock().len() > 3,
        "it must have been lost a few times"
    );
    breaker.abort();
    let mut last = std::collections::HashMap::new();
    for (name, number) in hub.take() {
        let number = number.as_u64().unwrap();
        if let Some(before) = last.insert(name.clone(), number) {
            assert!(before < number, "{name}: {number} came after {before}");
        }
    }
    // A loss takes what was on its way with it, so not all must have come; most do.
    assert_eq!(last.len(), 20);
}

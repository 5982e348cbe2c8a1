//! Two peers talk: requests, streams, notifications, faults, both ways.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{handlers, pair, pair_with, quiet};
use switchboard_peer::{ErrorKind, Fault, Handlers, Limits, Options, Reply, RetryPolicy};
use tokio::sync::mpsc;

#[tokio::test]
async fn both_ends_call_each_other() {
    let (left, right) = pair(handlers(), handlers()).await;
    assert_eq!(left.request_raw("echo", "hello").await.unwrap(), "hello");
    assert_eq!(right.request_raw("echo", "").await.unwrap(), "");
    assert_eq!(left.request::<_, i64>("add", &(2, 3)).await.unwrap(), 5);
}

#[tokio::test]
async fn faults_cross_as_they_are() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    assert_eq!(
        left.request_raw("fail", "").await,
        Err(Fault::failed("it failed"))
    );
    assert_eq!(
        left.request_raw("busy", "").await,
        Err(Fault::retry(Duration::from_millis(1500), "come back"))
    );
    assert_eq!(
        left.request_raw("nope", "").await,
        Err(Fault::unknown_operation("nope"))
    );
    let error = left.request::<_, i64>("add", "no pair").await.unwrap_err();
    assert_eq!(error.message(), "unexpected parameter type");
}

#[tokio::test]
async fn a_panic_is_an_error_to_the_caller_and_the_connection_goes_on() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    for operation in ["panic", "late panic"] {
        let fault = left.request_raw(operation, "").await.unwrap_err();
        assert!(
            matches!(
                &fault,
                Fault::Error {
                    kind: ErrorKind::Failed,
                    ..
                }
            ),
            "{fault:?}"
        );
        assert!(fault.message().contains("panicked"), "{fault}");
    }
    assert_eq!(
        left.request_raw("echo", "still here").await.unwrap(),
        "still here"
    );
}

#[tokio::test]
async fn streams_flow_both_ways_part_by_part() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    let (mut sender, reply) = left.call("cat").stream();
    sender.send("one").await.unwrap();
    let Reply::Stream(mut parts) = reply.await.unwrap() else {
        panic!("a stream is answered by a stream")
    };
    assert_eq!(parts.next().await, Some(Ok(Bytes::from("one"))));
    sender.send("two").await.unwrap();
    assert_eq!(parts.next().await, Some(Ok(Bytes::from("two"))));
    sender.finish();
    assert_eq!(parts.next().await, None);
}

#[tokio::test]
async fn single_and_stream_mix_freely() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    // A single request to a stream handler: its streamed result is joined.
    assert_eq!(left.request_raw("cat", "whole").await.unwrap(), "whole");
    // A stream request to a single handler: its parts are joined.
    let (mut sender, reply) = left.call("echo").stream();
    sender.send("a").await.unwrap();
    sender.send("b").await.unwrap();
    sender.finish();
    match reply.await.unwrap() {
        Reply::Single(payload) => assert_eq!(payload, "ab"),
        Reply::Stream(_) => panic!("a single handler answers with one payload"),
    }
}

#[tokio::test]
async fn ten_megabytes_stream_through_a_small_pipe() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    let (mut sender, reply) = left.call("cat").stream();
    let part = Bytes::from(vec![7_u8; 100_000]);
    let sending = tokio::spawn(async move {
        for _ in 0..100 {
            sender.send(part.clone()).await.unwrap();
        }
        sender.finish();
    });
    let Reply::Stream(mut parts) = reply.await.unwrap() else {
        panic!("a stream")
    };
    let mut bytes = 0;
    while let Some(part) = parts.next().await {
        bytes += part.unwrap().len();
    }
    assert_eq!(bytes, 10_000_000);
    sending.await.unwrap();
}

#[tokio::test]
async fn notifications_keep_their_order_and_hold_up_nothing_else() {
    let (seen, mut seeing) = mpsc::unbounded_channel();
    let (go, going) = tokio::sync::watch::channel(false);
    let slow = handlers().on("tick", move |_, number: u32| {
        let (seen, mut going) = (seen.clone(), going.clone());
        async move {
            going.wait_for(|going| *going).await.unwrap();
            seen.send(number).unwrap();
        }
    });
    let (left, _right) = pair(Handlers::new(), slow).await;
    for number in 0..100_u32 {
        left.notify("tick", &number).await.unwrap();
    }
    left.notify("nobody listens", &()).await.unwrap();
    // The handler of the first notification still waits.
    assert_eq!(left.request_raw("echo", "through").await.unwrap(), "through");
    go.send(true).unwrap();
    for number in 0..100 {
        assert_eq!(seeing.recv().await, Some(number));
    }
}

#[tokio::test]
async fn thousands_in_flight_find_their_answers() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    let calls: Vec<_> = (0..5000)
        .map(|number: u32| {
            let left = left.clone();
            tokio::spawn(async move {
                (
                    number,
                    left.request_raw("echo", number.to_string()).await.unwrap(),
                )
            })
        })
        .collect();
    for call in calls {
        let (number, result) = call.await.unwrap();
        assert_eq!(result, number.to_string());
    }
    assert_eq!(left.requests_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_policy_tries_again_and_gives_up_in_time() {
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&tries);
    let flaky = Handlers::new().handle_raw("flaky", move |_, _| {
        let number = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            if number < 2 {
                Err(Fault::retry(Duration::from_secs(1), "not yet"))
            } else {
                Ok(Bytes::from("at last"))
            }
        }
    });
    let (left, _right) = pair(Handlers::new(), flaky).await;
    assert!(left.call("flaky").request_raw("").await.unwrap_err().is_retry());
    let began = tokio::time::Instant::now();
    assert_eq!(
        left.call("flaky")
            .retry(RetryPolicy::default())
            .request_raw("")
            .await
            .unwrap(),
        "at last"
    );
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "the wait must be heeded"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call() {
    let (left, _right) = pair(Handlers::new(), handlers()).await;
    let began = tokio::time::Instant::now();
    let fault = left
        .call("never")
        .timeout(Duration::from_secs(3))
        .request_raw("")
        .await
        .unwrap_err();
    assert!(fault.is_retry(), "{fault:?}");
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(left.requests_in_flight(), 0);
}

#[tokio::test]
async fn specific_handlers_win_and_children_ask_their_parents() {
    let parent = std::sync::Arc::new(
        Handlers::new()
            .handle_raw("who", |_, _| async { Ok("parent".into()) })
            .handle_raw("both", |_, _| async { Ok("parent".into()) })
            .fallback(|context, _| async move { Ok(format!("fallback for {}", context.operation()).into()) }),
    );
    let child = parent
        .child()
        .handle_raw("both", |_, _| async { Ok("child".into()) });
    let (left, _right) = pair(Handlers::new(), child).await;
    assert_eq!(left.request_raw("who", "").await.unwrap(), "parent");
    assert_eq!(left.request_raw("both", "").await.unwrap(), "child");
    assert_eq!(
        left.request_raw("toString", "").await.unwrap(),
        "fallback for toString"
    );
    assert_eq!(left.request_raw("", "").await.unwrap(), "fallback for ");
}

#[tokio::test]
async fn what_is_too_large_to_send_is_an_error_and_the_connection_goes_on() {
    let limits = Limits {
        payload_bytes_max: 100,
        ..Limits::default()
    };
    let small = Options { limits, ..quiet() };
    let grow = Handlers::new().handle_raw("grow", |_, _| async { Ok(Bytes::from(vec![b'x'; 101])) });
    let (left, right) = pair_with(handlers(), quiet(), grow, small).await;
    for (peer, operation, payload) in [(&left, "grow", 0), (&right, "echo", 101)] {
        let fault = peer
            .request_raw(operation, vec![b'x'; payload])
            .await
            .unwrap_err();
        assert!(fault.message().contains("over the limit of 100"), "{fault}");
        assert!(!fault.is_retry(), "{fault}");
    }
    assert_eq!(
        right.request_raw("echo", vec![b'x'; 100]).await.unwrap().len(),
        100
    );
}

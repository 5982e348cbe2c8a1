//! Every limit suspends, and recovers; the load says how near the limits are; heartbeats keep a connection.

mod common;
#[path = "limits/heartbeats.rs"]
mod heartbeats;

use std::time::Duration;

use bytes::Bytes;
use common::{Raw, gated, handlers, pair_with, quiet, raw, until};
use switchboard_peer::{CloseReason, ErrorKind, Fault, Handlers, Limits, Options, ProtocolErrorCode, Reply};
use switchboard_wire::gotalk::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;

fn limited(limits: Limits) -> Options {
    Options { limits, ..quiet() }
}

/// The wait of the refusal that comes next.
async fn refusal(raw: &mut Raw) -> Duration {
    match raw.message().await {
        Some(Message::RetryResult { wait_ms, payload, .. }) => {
            assert_eq!(payload, "request rate limit");
            Duration::from_millis(wait_ms.into())
        }
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test(start_paused = true)]
async fn single_requests_over_the_limit_are_told_to_wait_and_then_let_in() {
    let (handlers, gate) = gated();
    let options = limited(Limits {
        requests_max: 2,
        ..Limits::default()
    });
    let (peer, mut raw) = raw(handlers, options).await;
    raw.send("r0001004gate00000001ar0002004gate00000001b").await;
    until(|| peer.requests_in_service() == 2).await;
    for _ in 0..50 {
        raw.send("r0003004echo00000001c").await;
        let wait = refusal(&mut raw).await;
        assert!(Limits::default().retry_wait.contains(&wait), "{wait:?}");
    }
    // Streams have a limit of their own.
    raw.send("s0004003cat00000001dp000400000000").await;
    raw.expect("S000400000001dS000400000000").await;
    gate.open();
    let mut results = [raw.message().await, raw.message().await].map(|message| match message {
        Some(Message::SingleResult { payload, .. }) => payload,
        other => panic!("{other:?}"),
    });
    results.sort();
    assert_eq!(results, ["a", "b"]);
    raw.is_well().await;
}

#[tokio::test(start_paused = true)]
async fn stream_requests_over_the_limit_are_told_to_wait_and_then_let_in() {
    let options = limited(Limits {
        streams_max: 2,
        ..Limits::default()
    });
    let (_peer, mut raw) = raw(handlers(), options).await;
    raw.send("s0001003cat00000001as0002003cat00000001b").await;
    raw.expect("S000100000001aS000200000001b").await;
    for _ in 0..10 {
        raw.send("s0003003cat00000001cp000300000001dp000300000000").await;
        refusal(&mut raw).await;
    }
    raw.is_well().await;
    raw.send("p000100000000").await;
    raw.expect("S000100000000").await;
    raw.send("s0003003cat00000001cp000300000000").await;
    raw.expect("S000300000001cS000300000000").await;
}

#[tokio::test(start_paused = true)]
async fn streams_can_be_off_and_then_cost_nothing_else() {
    let options = limited(Limits {
        streams_max: 0,
        ..Limits::default()
    });
    let (left, _right) = pair_with(Handlers::new(), quiet(), handlers(), options).await;
    let (mut body, reply) = left.call("cat").stream();
    // The part may leave before the refusal comes.
    let _ = body.send("x").await;
    let fault = reply.await.unwrap_err();
    assert_eq!(fault.message(), "stream requests not supported");
    assert!(!fault.is_retry());
    // Streamed results are no stream requests.
    assert_eq!(left.request_raw("cat", "whole").await.unwrap(), "whole");
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_before_the_operation_is_looked_up() {
    let options = limited(Limits {
        requests_max: 0,
        ..Limits::default()
    });
    let (_peer, mut raw) = raw(handlers(), options).await;
    raw.send("r0001004nope00000000").await;
    refusal(&mut raw).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_range_of_waits_is_its_start() {
    let second = Duration::from_secs(1);
    let options = limited(Limits {
        requests_max: 0,
        retry_wait: second..second,
        ..Limits::default()
    });
    let (_peer, mut raw) = raw(handlers(), options).await;
    raw.send("r0001004echo00000000").await;
    assert_eq!(refusal(&mut raw).await, second);
}

#[tokio::test(start_paused = true)]
async fn a_payload_may_be_as_long_as_the_limit_and_no_longer() {
    let options = limited(Limits {
        payload_bytes_max: 100,
        ..Limits::default()
    });
    let (peer, mut raw) = raw(handlers(), options.clone()).await;
    let payload = "x".repeat(100);
    raw.send(format!("r0001004echo00000064{payload}")).await;
    raw.expect(format!("R000100000064{payload}")).await;
    // Refused at its size, before it comes.
    raw.send("r0002004echo00000065").await;
    assert_eq!(raw.rest().await, "f00000002");
    drop(raw);
    assert!(matches!(
        peer.closed().await,
        CloseReason::Illegal(ProtocolErrorCode::InvalidMessage, _)
    ));

    // A stream joined for a handler of single payloads has the same limit, and its own answer.
    let (left, _right) = pair_with(Handlers::new(), quiet(), handlers(), options).await;
    let (mut body, reply) = left.call("echo").stream();
    body.send("x".repeat(60)).await.unwrap();
    body.send("x".repeat(60)).await.unwrap();
    body.finish();
    let fault = reply.await.unwrap_err();
    assert!(
        !fault.is_retry() && fault.message().contains("100 bytes"),
        "{fault:?}"
    );
    assert_eq!(left.request_raw("echo", "well").await.unwrap(), "well");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_result_is_joined_up_to_the_payload_limit() {
    let options = limited(Limits {
        payload_bytes_max: 100,
        ..Limits::default()
    });
    let (left, _right) = pair_with(Handlers::new(), options, handlers(), quiet()).await;
    let (mut body, reply) = left.call("cat").stream();
    for _ in 0..3 {
        body.send("x".repeat(60)).await.unwrap();
    }
    body.finish();
    let Reply::Stream(parts) = reply.await.unwrap() else {
        panic!("a stream")
    };
    let fault = parts.collect(100).await.unwrap_err();
    assert!(
        matches!(
            &fault,
            Fault::Error {
                kind: ErrorKind::TooLarge,
                ..
            }
        ),
        "{fault:?}"
    );
    assert_eq!(left.requests_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn request_bytes_are_bounded_and_given_back() {
    let (handlers, gate) = gated();
    let options = limited(Limits {
        buffered_bytes_max: 1000,
        ..Limits::default()
    });
    let (peer, mut raw) = raw(handlers, options).await;
    let large = format!("004gate00000258{}", "x".repeat(600));
    raw.send(format!("r0001{large}")).await;
    until(|| peer.requests_in_service() == 1).await;
    raw.send(format!("r0002{large}")).await;
    refusal(&mut raw).await;
    gate.open();
    raw.expect(format!("R000100000258{}", "x".repeat(600))).await;
    raw.send(format!("r0002{large}")).await;
    raw.expect(format!("R000200000258{}", "x".repeat(600))).await;
}

#[tokio::test(start_paused = true)]
async fn result_bytes_are_bounded_and_the_limit_lifts_as_they_are_taken() {
    let options = limited(Limits {
        buffered_bytes_max: 100_000,
        ..Limits::default()
    });
    let handlers = handlers().handle_raw("big", |_, _| async { Ok(Bytes::from(vec![b'x'; 50_000])) });
    let (peer, mut raw) = raw(handlers, options).await;
    for _ in 0..20 {
        raw.send("r0001003big00000000").await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(peer.queued_bytes() < 250_000, "{} bytes", peer.queued_bytes());
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..20 {
        match raw.message().await {
            Some(Message::SingleResult { payload, .. }) => answered += payload.len() / 50_000,
            Some(Message::RetryResult { .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered + refused, 20);
    assert!(
        answered >= 2 && refused >= 2,
        "{answered} answered, {refused} refused"
    );
    raw.is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_a_request_body_holds_its_sender_back() {
    let (go, going) = tokio::sync::watch::channel(false);
    let slow = handlers().handle_stream("slow", move |_, mut body, results| {
        let mut going = going.clone();
        async move {
            let _ = going.wait_for(|going| *going).await;
            let mut bytes = 0;
            while let Some(part) = body.next().await {
                bytes += part?.len();
            }
            let _ = results.send(bytes.to_string()).await;
            Ok(())
        }
    });
    let left_options = Options {
        send_buffer_bytes: 10_000,
        ..quiet()
    };
    let right_options = limited(Limits {
        stream_bytes_max: 10_000,
        ..Limits::default()
    });
    let (left, _right) = pair_with(Handlers::new(), left_options, slow, right_options).await;
    let (mut body, reply) = left.call("slow").stream();
    let sending = tokio::spawn(async move {
        for _ in 0..1000 {
            body.send(vec![b'x'; 1000]).await.unwrap();
        }
        body.finish();
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!sending.is_finished(), "a million bytes fit nowhere");
    assert!(left.queued_bytes() < 20_000, "{} bytes", left.queued_bytes());
    go.send(true).unwrap();
    sending.await.unwrap();
    let Reply::Stream(parts) = reply.await.unwrap() else {
        panic!("a stream")
    };
    assert_eq!(parts.collect(100).await.unwrap(), "1000000");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_a_result_holds_its_handler_back() {
    let (sent, sending) = tokio::sync::watch::channel(0);
    let fast = handlers().handle_stream("fast", move |_, _, results| {
        let sent = sent.clone();
        async move {
            for _ in 0..1000 {
                let _ = results.send(vec![b'x'; 1000]).await;
                sent.send_modify(|sent| *sent += 1000);
            }
            Ok(())
        }
    });
    let left_options = limited(Limits {
        stream_bytes_max: 10_000,
        ..Limits::default()
    });
    let right_options = Options {
        send_buffer_bytes: 10_000,
        ..quiet()
    };
    let (left, right) = pair_with(Handlers::new(), left_options, fast, right_options).await;
    let Reply::Stream(parts) = left.call("fast").send("").await.unwrap() else {
        panic!("a stream")
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = *sending.borrow();
    assert!(before < 300_000, "{before} bytes were sent unread");
    assert!(right.queued_bytes() < 20_000, "{} bytes", right.queued_bytes());
    assert_eq!(parts.collect(usize::MAX).await.unwrap().len(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn notifications_beyond_the_limit_hold_the_sender_back_and_none_is_lost() {
    let (seen, mut seeing) = mpsc::unbounded_channel();
    let (go, going) = tokio::sync::watch::channel(false);
    let slow = handlers().on("tick", move |_, number: u32| {
        let (seen, mut going) = (seen.clone(), going.clone());
        async move {
            let _ = going.wait_for(|going| *going).await;
            let _ = seen.send(number);
        }
    });
    let sender = Options {
        send_buffer_bytes: 1000,
        ..quiet()
    };
    let receiver = limited(Limits {
        notifications_max: 10,
        ..Limits::default()
    });
    let (left, _right) = pair_with(Handlers::new(), sender, slow, receiver).await;
    let notifying = tokio::spawn(async move {
        for number in 0..20_000_u32 {
            left.notify("tick", &number).await.unwrap();
        }
        left
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!notifying.is_finished(), "the sender must wait");
    go.send(true).unwrap();
    for number in 0..20_000 {
        assert_eq!(seeing.recv().await, Some(number));
    }
    let left = notifying.await.unwrap();
    assert_eq!(left.request_raw("echo", "well").await.unwrap(), "well");
}

#[tokio::test(start_paused = true)]
async fn a_notification_handler_that_stalls_costs_the_notifications_that_wait_and_no_more() {
    let (go, going) = tokio::sync::watch::channel(false);
    let (seen, mut seeing) = mpsc::unbounded_channel();
    let slow = handlers().on_raw("tick", move |_, payload| {
        let (seen, mut going) = (seen.clone(), going.clone());
        async move {
            let _ = going.wait_for(|going| *going).await;
            let _ = seen.send(payload);
        }
    });
    let options = limited(Limits {
        notifications_max: 3,
        ..Limits::default()
    });
    let stall_timeout = options.stall_timeout;
    let (_peer, mut raw) = raw(slow, options).await;
    raw.send("n004tick00000001an004tick00000001bn004tick00000001cn004tick00000001d")
        .await;
    let began = Instant::now();
    raw.is_well().await;
    assert_eq!(began.elapsed(), stall_timeout);
    raw.send("n004tick00000001e").await;
    raw.is_well().await;
    go.send(true).unwrap();
    assert_eq!(seeing.recv().await.unwrap(), "a");
    assert_eq!(seeing.recv().await.unwrap(), "e");
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_room_no_longer_than_its_deadline() {
    let options = Options {
        send_buffer_bytes: 1000,
        ..quiet()
    };
    // Nobody reads the other end.
    let (peer, _raw) = raw(handlers(), options).await;
    peer.notify_now("fill", &Bytes::from(vec![b'x'; 100_000]))
        .unwrap();
    let began = Instant::now();
    let call = peer.call("op").timeout(Duration::from_secs(3));
    assert!(call.request_raw("").await.unwrap_err().is_retry());
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(peer.requests_in_flight(), 0);
}

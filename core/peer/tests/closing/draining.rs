//! Graceful shutdown, half-close and full close.

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{CloseReason, Fault, Handlers};
use switchboard_wire::gotalk::Message;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::common::{Probe, gated, handlers, pair, probed, quiet, raw, until};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_calls_of_both_sides_finish_and_refuses_new_ones() {
    let (left_handlers, left_gate) = gated();
    let (right_handlers, right_gate) = gated();
    let (left, right) = pair(left_handlers, right_handlers).await;
    let (one, other) = (left.clone(), right.clone());
    let from_left = tokio::spawn(async move { one.request_raw("gate", "left").await });
    let from_right = tokio::spawn(async move { other.request_raw("gate", "right").await });
    until(|| left.requests_in_service() == 1 && right.requests_in_service() == 1).await;
    let closing = right.clone();
    let shutdown = tokio::spawn(async move { closing.shutdown(GRACE).await });
    tokio::task::yield_now().await;
    assert_eq!(
        left.request_raw("echo", "late").await,
        Err(Fault::retry(Duration::from_millis(100), "shutting down"))
    );
    right_gate.open();
    assert_eq!(from_left.await.unwrap().unwrap(), "left");
    assert!(!right.is_closed(), "its own call is not answered yet");
    left_gate.open();
    assert_eq!(from_right.await.unwrap().unwrap(), "right");
    shutdown.await.unwrap();
    assert_eq!(right.closed().await, CloseReason::Local);
    assert_eq!(left.closed().await, CloseReason::Remote);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_while_draining_is_an_e_with_a_wait_and_the_result_still_comes() {
    let (handlers, gate) = gated();
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("r0001004gate00000001x").await;
    until(|| peer.requests_in_service() == 1).await;
    let draining = tokio::spawn(async move { peer.shutdown(GRACE).await });
    tokio::task::yield_now().await;
    raw.send("r0002004echo00000000s0003003cat00000001x").await;
    raw.expect("e0002000000640000000dshutting down").await;
    raw.expect("e0003000000640000000dshutting down").await;
    // The part of the refused stream was on its way.
    raw.send("p000300000001yp000300000000").await;
    gate.open();
    raw.expect("R000100000001x").await;
    assert_eq!(raw.rest().await, "");
    drop(raw);
    draining.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_of_an_idle_connection_takes_no_time() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    let began = Instant::now();
    let shutdown = tokio::spawn(async move { peer.shutdown(GRACE).await });
    assert_eq!(raw.rest().await, "");
    drop(raw);
    shutdown.await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_when_its_grace_is_over() {
    let (handlers, mut probe) = probed();
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("r0001005probe00000000").await;
    assert_eq!(probe.recv().await, Some(Probe::Runs));
    let began = Instant::now();
    let shutdown = tokio::spawn(async move { peer.shutdown(GRACE).await });
    assert_eq!(raw.rest().await, "");
    assert_eq!(began.elapsed().as_secs(), GRACE.as_secs());
    drop(raw);
    shutdown.await.unwrap();
    assert_eq!(probe.recv().await, Some(Probe::Cancelled));
    assert_eq!(probe.recv().await, Some(Probe::Dropped));
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_no_longer_than_its_grace_for_a_slow_reader() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    peer.notify_now("part", &Bytes::from(vec![b'x'; 10_000_000]))
        .unwrap();
    let began = Instant::now();
    let shutdown = tokio::spawn(async move { peer.shutdown(GRACE).await });
    let mut buffer = vec![0; 1000];
    let reading = tokio::spawn(async move {
        while raw.io.read(&mut buffer).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    shutdown.await.unwrap();
    assert!(!reading.is_finished(), "the reader was slow");
    // And a moment for the other side to close.
    let limit = GRACE + Duration::from_secs(3);
    assert!(began.elapsed() < limit, "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_as_soon_as_the_last_call_is_given_up() {
    let (left, right) = pair(handlers(), handlers()).await;
    let caller = left.clone();
    let call = tokio::spawn(async move { caller.request_raw("never", "").await });
    until(|| right.requests_in_service() == 1).await;
    let began = Instant::now();
    let closing = left.clone();
    let shutdown = tokio::spawn(async move { closing.shutdown(GRACE).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    call.abort();
    shutdown.await.unwrap();
    // The other side's handler runs on: it closes its half only at the probe that finds nobody.
    let limit = Duration::from_secs(3);
    assert!(began.elapsed() < limit, "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_as_soon_as_the_last_call_has_met_its_deadline() {
    let (left, right) = pair(handlers(), handlers()).await;
    let caller = left.clone();
    let deadline = Duration::from_secs(2);
    let call = tokio::spawn(async move { caller.call("never").timeout(deadline).request_raw("").await });
    until(|| right.requests_in_service() == 1).await;
    let began = Instant::now();
    left.shutdown(GRACE).await;
    let limit = Duration::from_secs(4);
    assert!(began.elapsed() < limit, "after {:?}", began.elapsed());
    assert!(call.await.unwrap().unwrap_err().is_retry());
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_notifications_that_came_before() {
    let (seen, mut seeing) = mpsc::unbounded_channel();
    let slow = Handlers::new().on("tick", move |_, number: u32| {
        let seen = seen.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            seen.send(number).unwrap();
        }
    });
    let (left, right) = pair(Handlers::new(), slow).await;
    for number in 0..3_u32 {
        left.notify("tick", &number).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    right.shutdown(GRACE).await;
    let handled: Vec<_> = std::iter::from_fn(|| seeing.try_recv().ok()).collect();
    assert_eq!(handled, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn after_a_half_close_all_results_come_and_all_notifications_are_handled() {
    let (seen, mut seeing) = mpsc::unbounded_channel();
    let (handlers, gate) = gated();
    let handlers = handlers.on_raw("note", move |_, payload| {
        let seen = seen.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            seen.send(payload).unwrap();
        }
    });
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("n004note00000001an004note00000001b").await;
    raw.send("r0001004gate00000001xr0002004gate00000001yr0003004echo00000001z")
        .await;
    raw.half_close().await;
    raw.expect("R000300000001z").await;
    until(|| peer.requests_in_service() == 2).await;
    gate.open();
    let mut results = [raw.message().await, raw.message().await].map(|message| match message {
        Some(Message::SingleResult { payload, .. }) => payload,
        other => panic!("{other:?}"),
    });
    results.sort();
    assert_eq!(results, ["x", "y"]);
    assert_eq!(raw.message().await, None);
    assert_eq!(peer.closed().await, CloseReason::Remote);
    let handled: Vec<_> = std::iter::from_fn(|| seeing.try_recv().ok()).collect();
    assert_eq!(handled, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_half_close_a_stream_still_gets_its_whole_result() {
    let handlers = Handlers::new().handle_stream("count", |_, body, results| async move {
        let asked = body.collect(100).await?;
        for _ in 0..asked.len() {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let _ = results.send("tick").await;
        }
        Ok(())
    });
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("s0001005count00000002xxp000100000001xp000100000000")
        .await;
    raw.half_close().await;
    for payload in ["tick", "tick", "tick", ""] {
        let wanted = Message::StreamResult {
            id: switchboard_peer::RequestId(*b"0001"),
            payload: payload.into(),
        };
        assert_eq!(raw.message().await, Some(wanted));
    }
    assert_eq!(raw.message().await, None);
    assert_eq!(peer.closed().await, CloseReason::Remote);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_a_half_close_cuts_off_is_a_fault_and_not_an_end() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    raw.send("s0001004echo00000003abcp000100000003def").await;
    until(|| peer.requests_in_service() == 1).await;
    raw.half_close().await;
    let answer = raw.message().await;
    assert!(matches!(answer, Some(Message::RetryResult { .. })), "{answer:?}");
    assert_eq!(raw.message().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_side_that_has_said_its_last_fails_at_once() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    raw.send("r0001005never00000000").await;
    until(|| peer.requests_in_service() == 1).await;
    let caller = peer.clone();
    let before = tokio::spawn(async move { caller.request_raw("op", "").await });
    raw.expect(b"r\0\0\0\x00002op00000000").await;
    raw.half_close().await;
    assert!(before.await.unwrap().unwrap_err().is_retry());
    let began = Instant::now();
    let after = peer
        .call("op")
        .timeout(Duration::from_secs(30))
        .request_raw("")
        .await;
    assert!(after.unwrap_err().is_retry());
    let (mut body, reply) = peer.call("op").stream();
    assert!(reply.await.unwrap_err().is_retry());
    assert!(body.send("x").await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(peer.requests_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_closes_altogether_cancels_its_handlers() {
    let (handlers, mut probe) = probed();
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("r0001005probe00000000").await;
    assert_eq!(probe.recv().await, Some(Probe::Runs));
    drop(raw);
    let began = Instant::now();
    assert_eq!(probe.recv().await, Some(Probe::Cancelled));
    assert!(
        began.elapsed() <= Duration::from_secs(2),
        "after {:?}",
        began.elapsed()
    );
    let cancelled = Instant::now();
    assert_eq!(probe.recv().await, Some(Probe::Dropped));
    assert_eq!(cancelled.elapsed().as_secs(), quiet().cancel_grace.as_secs());
    assert!(peer.is_closed());
    assert_eq!(peer.requests_in_service(), 0, "nothing is left in the table");
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_handlers_of_the_other_sides_calls() {
    let (handlers, mut probe) = probed();
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("r0001005probe00000000").await;
    assert_eq!(probe.recv().await, Some(Probe::Runs));
    peer.close();
    assert_eq!(raw.rest().await, "");
    assert_eq!(probe.recv().await, Some(Probe::Cancelled));
}

//! Calls whose connection ends, and calls that are given up.

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{CloseReason, Fault, Handlers, ProtocolErrorCode, Reply};
use tokio::sync::mpsc;

use crate::common::{Probe, handlers, pair, probed, quiet, raw, until};

#[tokio::test(start_paused = true)]
async fn calls_in_flight_fail_with_retry_when_either_side_closes() {
    for close_left in [true, false] {
        let (left, right) = pair(handlers(), handlers()).await;
        let single = tokio::spawn({
            let left = left.clone();
            async move { left.request_raw("never", "").await }
        });
        let (mut body, reply) = left.call("cat").stream();
        body.send("part").await.unwrap();
        let Reply::Stream(mut parts) = reply.await.unwrap() else {
            panic!("a stream")
        };
        until(|| right.requests_in_service() == 2).await;
        if close_left {
            left.close()
        } else {
            right.close()
        }
        let fault = single.await.unwrap().unwrap_err();
        assert!(fault.is_retry(), "{fault:?}");
        assert_eq!(parts.next().await, Some(Ok(Bytes::from("part"))));
        assert!(parts.next().await.unwrap().unwrap_err().is_retry());
        assert_eq!(parts.next().await, None);
        left.closed().await;
        assert!(body.send("more").await.is_err());
        assert_eq!(left.requests_in_flight(), 0);
        assert!(
            left.request_raw("echo", "").await.unwrap_err().is_retry(),
            "closed is a Retry"
        );
        assert!(left.notify("n", &()).await.unwrap_err().is_retry());
    }
}

#[tokio::test(start_paused = true)]
async fn an_f_ends_the_connection_and_its_calls_without_an_answer() {
    for (code, reason) in [
        ("f00000000", ProtocolErrorCode::Abnormal),
        ("f00000001", ProtocolErrorCode::Unsupported),
        ("f00000002", ProtocolErrorCode::InvalidMessage),
        ("f00000003", ProtocolErrorCode::Timeout),
        ("f00000009", ProtocolErrorCode::Other(9)),
    ] {
        let (peer, mut raw) = raw(handlers(), quiet()).await;
        let caller = peer.clone();
        let call = tokio::spawn(async move { caller.request_raw("op", "").await });
        raw.expect(b"r\0\0\0\x00002op00000000").await;
        raw.send(code).await;
        assert_eq!(peer.closed().await, CloseReason::Refused(reason));
        assert!(call.await.unwrap().unwrap_err().is_retry());
        assert_eq!(raw.rest().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_leaves_nothing_behind_and_is_told_only_to_those_who_understand() {
    for knows in [false, true] {
        let (peer, mut raw) = raw(handlers(), quiet()).await;
        if knows {
            peer.set_knows_cancel();
        }
        let caller = peer.clone();
        let call = tokio::spawn(async move { caller.request_raw("op", "").await });
        raw.expect(b"r\0\0\0\x00002op00000000").await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        assert_eq!(peer.requests_in_flight(), 0);
        if knows {
            raw.expect("n00ahub.cancel0000000800000000").await;
        }
        raw.silence(Duration::from_secs(1)).await;
        // A late answer is for nobody, and the next call is another.
        raw.send(b"R\0\0\0\x0000000004late").await;
        let (result, ()) = tokio::join!(peer.request_raw("op", ""), async {
            raw.expect(b"r\x01\0\0\x00002op00000000").await;
            raw.send(b"R\x01\0\0\x0000000002ok").await;
        });
        assert_eq!(result.unwrap(), "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_is_told_only_to_those_who_understand() {
    for knows in [false, true] {
        let (peer, mut raw) = raw(handlers(), quiet()).await;
        if knows {
            peer.set_knows_cancel();
        }
        let call = peer.call("op").timeout(Duration::from_secs(1)).request_raw("");
        assert!(call.await.unwrap_err().is_retry());
        raw.expect(b"r\0\0\0\x00002op00000000").await;
        if knows {
            raw.expect("n00ahub.cancel0000000800000000").await;
        }
        raw.silence(Duration::from_secs(1)).await;
        assert_eq!(peer.requests_in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_result_that_is_dropped_midway_is_given_up() {
    for knows in [false, true] {
        let (peer, mut raw) = raw(handlers(), quiet()).await;
        if knows {
            peer.set_knows_cancel();
        }
        let caller = peer.clone();
        let call = tokio::spawn(async move { caller.call("op").send("").await });
        raw.expect(b"r\0\0\0\x00002op00000000").await;
        raw.send(b"S\0\0\0\x0000000003oneS\0\0\0\x0000000003two").await;
        let Reply::Stream(mut parts) = call.await.unwrap().unwrap() else {
            panic!("a stream")
        };
        assert_eq!(parts.next().await, Some(Ok(Bytes::from("one"))));
        drop(parts);
        assert_eq!(peer.requests_in_flight(), 0);
        if knows {
            raw.expect("n00ahub.cancel0000000800000000").await;
        }
        raw.send(b"S\0\0\0\x0000000005threeS\0\0\0\x0000000000").await;
        raw.silence(Duration::from_secs(1)).await;
        raw.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_request_that_is_dropped_midway_has_its_body_ended() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    peer.set_knows_cancel();
    let (mut body, reply) = peer.call("op").stream();
    body.send("half").await.unwrap();
    drop(reply);
    assert!(body.send("more").await.is_err(), "the call was given up");
    drop(body);
    assert_eq!(peer.requests_in_flight(), 0);
    raw.expect(b"s\0\0\0\x00002op00000000p\0\0\0\x0000000004half")
        .await;
    raw.expect(b"n00ahub.cancel0000000800000000p\0\0\0\x0000000000")
        .await;
    raw.silence(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_withdraws_its_call() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    peer.set_knows_cancel();
    let (mut body, reply) = peer.call("op").stream();
    body.send("half").await.unwrap();
    body.fail(Fault::failed("no more"));
    assert_eq!(reply.await.unwrap_err(), Fault::failed("no more"));
    raw.expect(b"s\0\0\0\x00002op00000000p\0\0\0\x0000000004half")
        .await;
    // Told before the end, so that half a body is never taken for a whole one.
    raw.expect(b"n00ahub.cancel0000000800000000p\0\0\0\x0000000000")
        .await;
    assert_eq!(peer.requests_in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn hub_cancel_tells_the_handler_which_is_dropped_after_the_grace() {
    let (handlers, mut probe) = probed();
    let (peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("r0001005probe00000000").await;
    assert_eq!(probe.recv().await, Some(Probe::Runs));
    // No id, no such id, no digits: ignored.
    raw.send("n00ahub.cancel00000000n00ahub.cancel0000000899999999n00ahub.cancel00000008zzzzzzzz")
        .await;
    raw.is_well().await;
    assert!(probe.try_recv().is_err());
    // The id as eight digits, in the order of the wire: "0001".
    raw.send("n00ahub.cancel0000000830303031").await;
    assert_eq!(probe.recv().await, Some(Probe::Cancelled));
    assert_eq!(probe.recv().await, Some(Probe::Dropped));
    raw.expect("e0001").await;
    until(|| peer.requests_in_service() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn hub_cancel_reaches_a_handler_that_asks_only_later() {
    let (told, mut telling) = mpsc::unbounded_channel();
    let handlers = handlers().handle_raw("late", move |context, _| {
        let told = told.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            context.cancelled().await;
            let _ = told.send(());
            Ok(Bytes::from("stopped"))
        }
    });
    let (_peer, mut raw) = raw(handlers, quiet()).await;
    raw.send("r0001004late00000000n00ahub.cancel0000000830303031")
        .await;
    telling.recv().await.unwrap();
    raw.expect("R000100000007stopped").await;
}

/// What a handler at a hub's responder knows of its caller.
fn describing() -> Handlers {
    handlers().handle_call("who", |context, body, reply| async move {
        let streams = matches!(body, switchboard_peer::Body::Stream(_));
        let caller = context.caller().clone();
        let in_ms = context
            .deadline()
            .map(|at| (at - tokio::time::Instant::now()).as_millis());
        let payload = body
            .collect(1000)
            .await
            .map(|payload| String::from_utf8_lossy(&payload).into_owned());
        let account = caller.account.clone().unwrap_or_default();
        let door = caller.door.clone().unwrap_or_default();
        reply.result(format!("{account} {door} {in_ms:?} {streams} {payload:?}"));
    })
}

fn result(id: &str, payload: &str) -> String {
    format!("R{id}{:08x}{payload}", payload.len())
}

#[tokio::test(start_paused = true)]
async fn callers_are_known_to_a_responder_whose_hub_describes_them() {
    let (peer, mut raw) = raw(describing(), quiet()).await;
    peer.set_callers_described();
    let described = |more: &str| {
        let json = format!("{{\"account\":\"ann\",\"door\":\"http\",\"operation\":\"who\"{more}}}");
        format!("{:08x}{json}", json.len())
    };
    raw.send(format!("s0001003who{}", described(",\"deadline_ms\":700")))
        .await;
    raw.send("p000100000003abcp000100000002dep000100000000").await;
    let known = result("0001", "ann http Some(700) false Ok(\"abcde\")");
    raw.expect(known).await;
    raw.send(format!(
        "s0002003who{}p000200000000",
        described(",\"stream\":true")
    ))
    .await;
    raw.expect(result("0002", "ann http None true Ok(\"\")")).await;
    // A single request is what it was.
    raw.send("r0003003who00000001x").await;
    raw.expect(result("0003", "  None false Ok(\"x\")")).await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_described_call_cancels_its_handler() {
    let (handlers, mut probe) = probed();
    let (peer, mut raw) = raw(handlers, quiet()).await;
    peer.set_callers_described();
    let json = "{\"operation\":\"probe\",\"deadline_ms\":3000}";
    raw.send(format!("s0001005probe{:08x}{json}p000100000000", json.len()))
        .await;
    let began = tokio::time::Instant::now();
    assert_eq!(probe.recv().await, Some(Probe::Runs));
    assert_eq!(probe.recv().await, Some(Probe::Cancelled));
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(probe.recv().await, Some(Probe::Dropped));
    raw.expect("e0001").await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_description_costs_its_own_call_and_no_place() {
    let mut options = quiet();
    options.limits.streams_max = 2;
    let (peer, mut raw) = raw(describing(), options).await;
    peer.set_callers_described();
    for _ in 0..5 {
        raw.send("s0001003who00000002{]p000100000000").await;
        raw.expect("E0001").await;
        let Some(rest) = raw_text(&mut raw).await else {
            panic!("an error has a text")
        };
        assert!(rest.contains("describe the caller"), "{rest}");
    }
    assert_eq!(peer.requests_in_service(), 0, "a refused call takes no place");
    raw.send("s0002003who00000013{\"operation\":\"who\"}p000200000001xp000200000000")
        .await;
    raw.expect(result("0002", "  None false Ok(\"x\")")).await;
}

/// The payload that follows, by its size.
async fn raw_text(raw: &mut crate::common::Raw) -> Option<String> {
    use tokio::io::AsyncReadExt;
    let mut size = [0; 8];
    raw.io.read_exact(&mut size).await.ok()?;
    let size = usize::from_str_radix(std::str::from_utf8(&size).ok()?, 16).ok()?;
    let mut text = vec![0; size];
    raw.io.read_exact(&mut text).await.ok()?;
    String::from_utf8(text).ok()
}

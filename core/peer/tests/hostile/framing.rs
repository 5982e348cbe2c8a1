//! Messages that are none, and messages that nobody expects.

use switchboard_peer::ProtocolErrorCode::InvalidMessage;
use switchboard_peer::{Handlers, Reply};
use tokio::io::AsyncWriteExt;

use crate::common::{handlers, quiet};
use crate::room::Room;

/// What is no gotalk, and shows it.
const ILLEGAL: &[&[u8]] = &[
    // No such kind.
    b"x",
    b"\0",
    b"\xff\xff\xff\xff",
    b"01",
    b"\r\n",
    // Sizes that are no hexadecimal number: signs, spaces, prefixes, letters beyond f.
    b"r0001zzz",
    b"r0001 04",
    b"r0001+04",
    b"r0001-04",
    b"r00010x4",
    b"r0001004echo+0000005",
    b"r0001004echo-0000001",
    b"r0001004echo 0000005",
    b"r0001004echo0x000005",
    b"r0001004echo0000000g",
    b"n004noteZZZZZZZZ",
    b"s0001003cat\0\0\0\0\0\0\0\0",
    b"p0001........",
    b"R00010000000\n",
    b"e0001zzzzzzzz00000000",
    b"hzzzz00000000",
    b"h0000zzzzzzzz",
    b"fzzzzzzzz",
    // Names that are no UTF-8.
    b"r0001004\xff\xfe\xfd\xfc00000000",
    b"n001\x8000000000",
    // Payloads that cannot be.
    b"r0001004echoffffffff",
    b"R0001ffffffff",
    b"n004note7fffffff",
    b"p0001fffffff0",
    // A part that no stream request began.
    b"p000100000003abc",
    b"p000100000000",
    // A stream under the id of one that has not ended.
    b"s0001003cat00000000s0001003cat00000000",
];

#[tokio::test(start_paused = true)]
async fn illegal_messages_get_f00000002_however_they_are_cut() {
    for illegal in ILLEGAL {
        for step in [1, 2, 7, illegal.len()] {
            let mut room = Room::new(handlers(), quiet()).await;
            room.raw.send("r0001004echo00000002hi").await;
            for piece in illegal.chunks(step) {
                // The peer may have closed before the last piece.
                let _ = room.raw.io.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            room.refused("R000100000002hi", InvalidMessage).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_over_the_limit_is_refused_at_its_size() {
    for over in [
        "r0001004echo00000401",
        "s0001003cat00000401",
        "n004note00000401",
        "R000100000401",
    ] {
        let mut options = quiet();
        options.limits.payload_bytes_max = 0x400;
        let mut room = Room::new(handlers(), options).await;
        room.raw.send(over).await;
        room.refused("", InvalidMessage).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_id_for_two_single_requests_is_answered_twice() {
    let (handlers, gate) = crate::common::gated();
    let mut room = Room::new(handlers, quiet()).await;
    room.raw.send("r0001004gate00000001ar0001004echo00000001b").await;
    room.raw.expect("R000100000001b").await;
    gate.open();
    room.raw.expect("R000100000001a").await;
    assert_eq!(room.peer.requests_in_service(), 0);
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_id_after_the_end_of_a_body_is_another_request() {
    let (handlers, gate) = crate::common::gated();
    let mut room = Room::new(handlers, quiet()).await;
    room.raw.send("s0001004gate00000001ap000100000000").await;
    room.raw.send("s0001004echo00000001bp000100000000").await;
    room.raw.expect("R000100000001b").await;
    gate.open();
    room.raw.expect("R000100000001a").await;
    // A stream and a single request live in the same table, but each with its own parts.
    room.raw.send("s0001003cat00000001ar0001004echo00000001b").await;
    room.raw.expect("S000100000001aR000100000001b").await;
    room.raw.send("p000100000000").await;
    room.raw.expect("S000100000000").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn empty_names_are_names() {
    let mut room = Room::new(handlers(), quiet()).await;
    room.raw
        .send("n00000000002hir000100000000000s000200000000000")
        .await;
    room.raw.expect("E000100000014unknown operation \"\"").await;
    room.raw.expect("E000200000014unknown operation \"\"").await;
    room.raw.send("p000200000000").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_name_goes_to_the_fallback() {
    let handlers =
        handlers().fallback(|context, _| async move { Ok(format!("<{}>", context.operation()).into()) });
    let mut room = Room::new(handlers, quiet()).await;
    room.raw.send("r000100000000000").await;
    room.raw.expect("R000100000002<>").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn names_of_4095_bytes_are_names_and_longer_ones_are_not_sent() {
    let long = "n".repeat(4095);
    let handlers = handlers().handle_raw(&long, |_, payload| async { Ok(payload) });
    let mut room = Room::new(handlers, quiet()).await;
    room.raw.send(format!("r0001fff{long}00000001x")).await;
    room.raw.expect("R000100000001x").await;
    let unknown = "u".repeat(4095);
    room.raw
        .send(format!("r0002fff{unknown}00000000nfff{unknown}00000000"))
        .await;
    room.raw
        .expect(format!("E000200001013unknown operation \"{unknown}\""))
        .await;
    assert_eq!(room.neighbour.request_raw(&long, "y").await.unwrap(), "y");
    let longer = "n".repeat(4096);
    assert!(
        !room
            .neighbour
            .request_raw(&longer, "")
            .await
            .unwrap_err()
            .is_retry()
    );
    assert!(
        !room
            .neighbour
            .notify_raw(&longer, "")
            .await
            .unwrap_err()
            .is_retry()
    );
    let (mut body, reply) = room.neighbour.call(&longer).stream();
    assert!(!reply.await.unwrap_err().is_retry());
    assert!(body.send("x").await.is_err());
    assert_eq!(room.neighbour.requests_in_flight(), 0);
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_waits_for_are_ignored() {
    let mut room = Room::new(handlers(), quiet()).await;
    room.raw
        .send("R999900000003abcE999900000003errS999900000003strS999900000000")
        .await;
    room.raw
        .send("e99990000138800000003trye9999ffffffff00000000")
        .await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_s_after_an_e_is_accepted_and_never_sent() {
    let mut room = Room::new(handlers(), quiet()).await;
    let calls = [room.peer.request_raw("op", ""), room.peer.request_raw("op", "")];
    let answers = futures_util::future::join_all(calls);
    let (answers, ()) = tokio::join!(answers, async {
        room.raw
            .expect(b"r\0\0\0\x00002op00000000r\x01\0\0\x00002op00000000")
            .await;
        room.raw
            .send(b"E\0\0\0\x0000000005wrongS\0\0\0\x0000000000")
            .await;
        room.raw
            .send(b"S\x01\0\0\x0000000004partE\x01\0\0\x0000000005wrongS\x01\0\0\x0000000000")
            .await;
    });
    for answer in answers {
        assert_eq!(answer.unwrap_err().message(), "wrong");
    }
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_every_kind_are_understood_whatever_was_asked() {
    let mut room = Room::new(
        Handlers::new().handle_raw("echo", |_, payload| async { Ok(payload) }),
        quiet(),
    )
    .await;
    // A result after parts of a result: its last part.
    let (reply, ()) = tokio::join!(room.peer.request_raw("op", ""), async {
        room.raw.expect(b"r\0\0\0\x00002op00000000").await;
        room.raw
            .send(b"S\0\0\0\x0000000003oneR\0\0\0\x0000000003two")
            .await;
    });
    assert_eq!(reply.unwrap(), "onetwo");
    // An end without a part.
    let (reply, ()) = tokio::join!(room.peer.request_raw("op", ""), async {
        room.raw.expect(b"r\x01\0\0\x00002op00000000").await;
        room.raw.send(b"S\x01\0\0\x0000000000").await;
    });
    assert_eq!(reply.unwrap(), "");
    // A single result before the body's end.
    let (mut body, reply) = room.peer.call("op").stream();
    body.send("x").await.unwrap();
    room.raw
        .expect(b"s\x02\0\0\x00002op00000000p\x02\0\0\x0000000001x")
        .await;
    room.raw.send(b"R\x02\0\0\x0000000004soon").await;
    assert!(matches!(reply.await, Ok(Reply::Single(payload)) if payload == "soon"));
    assert!(body.send("y").await.is_err());
    room.all_is_well().await;
}

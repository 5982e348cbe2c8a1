//! Those who break the rules of WebSocket are told which, and cost nothing.

use std::time::Duration;

use switchboard_peer::websocket::{Framing, WebSocketOptions};
use switchboard_peer::{CloseReason, Options};

use crate::common::{self, handlers};
use crate::frames::*;

/// Says bytes, and gets the close code and the text of the reason.
async fn breaks(wire: &[u8], options: &WebSocketOptions) -> (u16, String) {
    let (peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), options).await;
    end.send_bytes(wire).await;
    let close = end.next().await.expect("a close frame");
    assert_eq!(close.opcode, CLOSE, "{close:?}");
    assert_eq!(end.next().await, None);
    drop(end);
    let code = u16::from_be_bytes(close.payload[..2].try_into().unwrap());
    match peer.closed().await {
        CloseReason::Io(std::io::ErrorKind::InvalidData, what) => (code, what),
        reason => panic!("{reason:?}"),
    }
}

#[tokio::test]
async fn a_breach_has_its_code_and_its_name() {
    let control = |opcode| Frame::new(opcode, "").unfinished().encode();
    let begun = Frame::text("r").unfinished().encode();
    let cases = [
        (Frame::binary("h").unmasked().encode(), 1002, "not masked"),
        (vec![0xc2, 0x80], 1002, "reserved bits"),
        (vec![0xa2, 0x80], 1002, "reserved bits"),
        (vec![0x92, 0x80], 1002, "reserved bits"),
        (Frame::new(3, "").encode(), 1002, "unknown opcode 3"),
        (Frame::new(15, "").encode(), 1002, "unknown opcode 15"),
        (control(PING), 1002, "control frame is fragmented"),
        (control(CLOSE), 1002, "control frame is fragmented"),
        (Frame::new(PING, [0; 126]).encode(), 1002, "longer than 125"),
        (Frame::new(CONTINUATION, "h").encode(), 1002, "not begun"),
        (
            [begun.clone(), Frame::text("h").encode()].concat(),
            1002,
            "before the last one has ended",
        ),
        (Frame::new(CLOSE, "x").encode(), 1002, "malformed"),
        (Frame::close(1005).encode(), 1002, "malformed"),
        (Frame::close(999).encode(), 1002, "malformed"),
        (Frame::close(5000).encode(), 1002, "malformed"),
        (Frame::new(CLOSE, b"\x03\xe8\xff").encode(), 1007, "not UTF-8"),
        (Frame::text(b"r\xff").encode(), 1007, "not UTF-8"),
        (Frame::text(b"r\xc3").encode(), 1007, "not UTF-8"),
        (
            [begun, Frame::new(CONTINUATION, b"\xed\xa0\x80").encode()].concat(),
            1007,
            "not UTF-8",
        ),
    ];
    for (wire, code, what) in cases {
        let (said, why) = breaks(&wire, &quiet()).await;
        assert_eq!(said, code, "{what}");
        assert!(why.contains(what), "{why:?} instead of {what:?}");
    }
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_by_its_header() {
    let (code, why) = breaks(&[0x82, 0xff, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0], &quiet()).await;
    assert_eq!(code, 1009);
    assert!(
        why.contains("67108865 bytes exceeds the limit of 67108864"),
        "{why}"
    );
    let (code, _) = breaks(
        &[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
        &quiet(),
    )
    .await;
    assert_eq!(code, 1009);
}

#[tokio::test]
async fn a_message_fragmented_for_ever_ends_at_the_limit() {
    let options = WebSocketOptions {
        message_bytes_max: 100_000,
        ..quiet()
    };
    let (peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), &options).await;
    let message = "h000000000000".repeat(1000);
    end.send(Frame::binary(&message).unfinished()).await;
    let mut sent = message.len();
    let fragment = Frame::new(CONTINUATION, &message).unfinished().encode();
    while sent <= 100_000 {
        end.send_bytes(&fragment).await;
        sent += message.len();
    }
    end.expect(Frame::close(1009)).await;
    drop(end);
    let reason = peer.closed().await.to_string();
    assert!(reason.contains("message exceeds the limit of 100000"), "{reason}");
}

/// No byte ever comes: not the bound ends that, but the read time-out.
#[tokio::test(start_paused = true)]
async fn empty_fragments_for_ever_are_silence() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, Options::default()).await;
    end.send(Frame::binary("").unfinished()).await;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        end.send(Frame::new(CONTINUATION, "").unfinished()).await;
        if peer.is_closed() || end_of(&mut end).await {
            break;
        }
    }
    assert_eq!(peer.closed().await, CloseReason::ReadTimeout);
}

/// Whether the next frames that are there have a close among them.
async fn end_of(end: &mut End) -> bool {
    while let Ok(frame) = tokio::time::timeout(Duration::from_millis(1), end.next()).await {
        if frame.is_none_or(|frame| frame.payload == b"f00000003") {
            return true;
        }
    }
    false
}

/// A trickle within one large frame lives as long as it is no slower than over TCP.
#[tokio::test(start_paused = true)]
async fn a_large_frame_on_a_slow_line_is_no_silence() {
    const LENGTH: usize = 1 << 20;
    let (peer, mut end) = serving(handlers(), Framing::Batch, common::quiet()).await;
    end.send(Frame::binary(format!("r0001004echo{LENGTH:08x}"))).await;
    let frame = Frame::text("x".repeat(LENGTH)).encode();
    for piece in frame.chunks(20 * 1024) {
        tokio::time::sleep(Duration::from_secs(20)).await;
        end.send_bytes(piece).await;
    }
    let heard = end.bytes("R000100000000".len() + LENGTH).await;
    assert!(heard.ends_with(b"xxxx"));
    assert!(!peer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_stops_is_silence() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    let frame = Frame::binary(format!("r0001004echo00000100{}", "x".repeat(256))).encode();
    end.send_bytes(&frame[..100]).await;
    end.hear("f00000003").await;
    end.expect(Frame::close(4003)).await;
    assert_eq!(peer.closed().await, CloseReason::ReadTimeout);
}

#[tokio::test]
async fn a_payload_over_the_limit_is_refused_by_gotalk() {
    let (_peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("r0001004echo7fffffff")).await;
    end.hear("f00000002").await;
    end.expect(Frame::close(4002)).await;
}

/// A side that goes on after a breach is not listened to for long.
#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_stop_after_a_breach_is_left() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send_bytes(&[0xff]).await;
    end.expect(Frame::close(1002)).await;
    let before = tokio::time::Instant::now();
    let reason = peer.closed().await.to_string();
    assert!(reason.contains("reserved bits"), "{reason}");
    assert!(before.elapsed() <= Duration::from_secs(1));
}

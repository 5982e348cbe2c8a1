//! The end of a WebSocket, from either side.

use std::time::Duration;

use switchboard_peer::websocket::Framing;
use switchboard_peer::{CloseReason, HandshakeError, Options, ProtocolErrorCode};
use tokio::io::AsyncWriteExt;

use crate::common::{self, Probe, handlers, probed};
use crate::frames::*;

#[tokio::test(start_paused = true)]
async fn a_normal_end_is_1000() {
    for framing in [Framing::Pieces, Framing::Batch] {
        let (peer, mut end) = serving(handlers(), framing, common::quiet()).await;
        peer.close();
        end.expect(Frame::close(1000)).await;
        assert_eq!(end.next().await, None, "the server ends the connection");
        end.send(Frame::close(1000)).await;
        let before = tokio::time::Instant::now();
        assert_eq!(peer.closed().await, CloseReason::Local);
        assert_eq!(before.elapsed(), Duration::ZERO, "the answer is the end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_a_close_is_left() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    peer.close();
    end.expect(Frame::close(1000)).await;
    let left = tokio::time::timeout(Duration::from_secs(2), peer.closed()).await;
    assert_eq!(left, Ok(CloseReason::Local));
}

#[tokio::test]
async fn an_error_of_the_protocol_is_4000_and_its_code() {
    for framing in [Framing::Pieces, Framing::Batch] {
        for (code, close) in [(0, 4000), (2, 4002), (9, 4009), (999, 4999), (1000, 4000)] {
            let (peer, mut end) = serving(handlers(), framing, common::quiet()).await;
            peer.close_with(ProtocolErrorCode::from(code));
            end.hear(format!("f{code:08x}")).await;
            end.expect(Frame::close(close)).await;
            assert_eq!(end.next().await, None);
        }
    }
}

#[tokio::test]
async fn a_payload_that_looks_like_an_error_is_none() {
    let (peer, mut end) = serving(handlers(), Framing::Batch, common::quiet()).await;
    peer.notify_raw("x", "f00000002").await.unwrap();
    peer.close();
    end.hear("n001x00000009f00000002").await;
    end.expect(Frame::close(1000)).await;
}

#[tokio::test]
async fn an_illegal_message_is_named_in_both_ways() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("x000100000000")).await;
    end.hear("f00000002").await;
    end.expect(Frame::close(4002)).await;
    assert_eq!(end.next().await, None);
    end.send(Frame::close(4002)).await;
    let reason = peer.closed().await;
    assert!(
        matches!(
            &reason,
            CloseReason::Illegal(ProtocolErrorCode::InvalidMessage, _)
        ),
        "{reason:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_handshake_ends_with_a_code_too() {
    let (starting_peer, mut end) = starting(handlers(), Framing::Pieces, common::quiet(), &quiet()).await;
    end.send(Frame::binary("02")).await;
    end.hear("f00000001").await;
    end.expect(Frame::close(4001)).await;
    let error = starting_peer.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::Version(_)), "{error}");

    let (starting_peer, mut end) = starting(handlers(), Framing::Pieces, common::quiet(), &quiet()).await;
    end.hear("f00000003").await;
    end.expect(Frame::close(4003)).await;
    let error = starting_peer.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::Timeout(_)), "{error}");
}

#[tokio::test]
async fn a_close_is_answered() {
    for close in [
        Frame::close(1000),
        Frame::close(1001),
        Frame::new(CLOSE, ""),
        Frame::new(CLOSE, b"\x03\xe8and why"),
    ] {
        let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
        end.send(close).await;
        end.expect(Frame::close(1000)).await;
        assert_eq!(end.next().await, None);
        assert_eq!(peer.closed().await, CloseReason::Remote);
    }
}

#[tokio::test]
async fn a_close_code_of_gotalk_is_its_error() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::close(4002)).await;
    end.expect(Frame::close(1000)).await;
    assert_eq!(
        peer.closed().await,
        CloseReason::Refused(ProtocolErrorCode::InvalidMessage)
    );
}

#[tokio::test]
async fn an_error_that_came_by_itself_is_not_read_twice() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    let error = Frame::binary("f00000003").encode();
    end.send_bytes(&[error, Frame::close(4002).encode()].concat())
        .await;
    assert_eq!(
        peer.closed().await,
        CloseReason::Refused(ProtocolErrorCode::Timeout)
    );
    end.expect(Frame::close(1000)).await;
    assert_eq!(end.next().await, None);
}

#[tokio::test]
async fn a_close_code_within_a_message_is_only_an_end() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("r0001004echo00000005he")).await;
    end.send(Frame::close(4002)).await;
    end.expect(Frame::close(1000)).await;
    assert_eq!(peer.closed().await, CloseReason::Remote);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_soon_after_a_close_is_delivered() {
    let handlers = handlers().handle_raw("soon", |_, payload| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(payload)
    });
    let (peer, mut end) = serving(handlers, Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("r0001004soon00000002hi")).await;
    end.send(Frame::close(1000)).await;
    // Whether the other side is still there.
    let heartbeat = end.next().await.unwrap();
    assert_eq!(heartbeat.payload[0], b'h');
    end.hear("R000100000002").await;
    end.hear("hi").await;
    end.expect(Frame::close(1000)).await;
    assert_eq!(end.next().await, None);
    assert_eq!(peer.closed().await, CloseReason::Remote);
}

#[tokio::test(start_paused = true)]
async fn a_tab_that_closed_is_not_waited_for() {
    let (handlers, mut told) = probed();
    let (peer, mut end) = serving(handlers, Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("r0001005probe00000000")).await;
    assert_eq!(told.recv().await, Some(Probe::Runs));
    end.send(Frame::close(1001)).await;
    let before = tokio::time::Instant::now();
    let close = loop {
        let frame = end.next().await.unwrap();
        if frame.opcode == CLOSE {
            break frame;
        }
    };
    assert_eq!(close, Frame::close(1000).unmasked());
    assert_eq!(told.recv().await, Some(Probe::Cancelled));
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "{:?}",
        before.elapsed()
    );
    let reason = peer.closed().await;
    assert!(
        matches!(reason, CloseReason::Io(std::io::ErrorKind::BrokenPipe, _)),
        "{reason:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_is_an_end() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("r0001004echo00000000")).await;
    end.io.shutdown().await.unwrap();
    end.hear("R000100000000").await;
    end.expect(Frame::close(1000)).await;
    assert_eq!(end.next().await, None);
    assert_eq!(peer.closed().await, CloseReason::Remote);
}

#[tokio::test(start_paused = true)]
async fn silence_is_named_in_both_ways() {
    let options = Options {
        read_timeout: Some(Duration::from_millis(100)),
        ..common::quiet()
    };
    let (peer, mut end) = serving(handlers(), Framing::Pieces, options).await;
    end.hear("f00000003").await;
    end.expect(Frame::close(4003)).await;
    assert_eq!(peer.closed().await, CloseReason::ReadTimeout);
}

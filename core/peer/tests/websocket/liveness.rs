//! Who is still there.

use std::time::Duration;

use switchboard_peer::CloseReason;
use switchboard_peer::websocket::{Framing, WebSocketOptions};

use crate::common::{self, handlers};
use crate::frames::*;

/// A page in the background, whose timers are held back, answers pings and says nothing else.
#[tokio::test(start_paused = true)]
async fn a_side_that_answers_pings_is_alive() {
    let options = WebSocketOptions::default();
    let (peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), &options).await;
    let before = tokio::time::Instant::now();
    for _ in 0..10 {
        end.expect(Frame::new(PING, "")).await;
        end.send(Frame::new(PONG, "")).await;
    }
    assert_eq!(before.elapsed(), Duration::from_secs(200));
    end.send(Frame::binary("r0001004echo00000000")).await;
    end.hear("R000100000000").await;
    assert!(!peer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_is_not() {
    let options = WebSocketOptions::default();
    let (peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), &options).await;
    end.expect(Frame::new(PING, "")).await;
    end.hear("f00000003").await;
    end.expect(Frame::close(4003)).await;
    assert_eq!(peer.closed().await, CloseReason::ReadTimeout);
}

/// Within a message only its bytes count.
#[tokio::test(start_paused = true)]
async fn a_side_that_stops_within_a_message_is_not_kept_by_pongs() {
    let options = WebSocketOptions::default();
    let (peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), &options).await;
    end.send(Frame::binary("r0001004echo00000005he")).await;
    end.expect(Frame::new(PING, "")).await;
    end.send(Frame::new(PONG, "")).await;
    end.hear("f00000003").await;
    assert_eq!(peer.closed().await, CloseReason::ReadTimeout);
}

/// A pong says nothing about the load: the one told last stands.
#[tokio::test(start_paused = true)]
async fn a_pong_keeps_the_load() {
    let options = WebSocketOptions::default();
    let (peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), &options).await;
    end.send(Frame::binary("h12ab00000000")).await;
    end.expect(Frame::new(PING, "")).await;
    end.send(Frame::new(PONG, "")).await;
    end.send(Frame::binary("r0001004echo00000000")).await;
    end.hear("R000100000000").await;
    assert_eq!(peer.load(), Some(0x12ab));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_speaks_is_not_pinged() {
    let options = WebSocketOptions::default();
    let (_peer, mut end) = serving_with(handlers(), Framing::Pieces, common::quiet(), &options).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        end.send(Frame::binary("r0001004echo00000000")).await;
        end.hear("R000100000000").await;
    }
}

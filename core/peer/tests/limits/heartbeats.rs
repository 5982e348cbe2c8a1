//! Load and heartbeats.

use std::time::Duration;

use switchboard_peer::{Caller, CloseReason, Limits, Options, Peer, ProtocolErrorCode, Side};
use tokio::time::Instant;

use crate::common::{Raw, gated, handlers, pair, pair_with, quiet, raw, until};
use crate::limited;

/// The load in the next heartbeat.
async fn heard_load(raw: &mut Raw) -> u16 {
    let mut heartbeat = [0; 13];
    tokio::io::AsyncReadExt::read_exact(&mut raw.io, &mut heartbeat)
        .await
        .unwrap();
    let text = std::str::from_utf8(&heartbeat).unwrap();
    assert_eq!(&text[..1], "h");
    u16::from_str_radix(&text[1..5], 16).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_load_in_heartbeats_follows_the_use() {
    let (handlers, gate) = gated();
    let options = Options {
        heartbeat_interval: Some(Duration::from_secs(1)),
        ..limited(Limits {
            requests_max: 4,
            streams_max: 2,
            ..Limits::default()
        })
    };
    let (peer, mut raw) = raw(handlers, options).await;
    assert_eq!(heard_load(&mut raw).await, 0);
    raw.send("r0001004gate00000000").await;
    until(|| peer.requests_in_service() == 1).await;
    assert_eq!(heard_load(&mut raw).await, 0xffff / 4);
    raw.send("s0002003cat00000000").await;
    until(|| peer.requests_in_service() == 2).await;
    assert_eq!(
        heard_load(&mut raw).await,
        0xffff / 2,
        "the larger of the two shares"
    );
    raw.send("s0003003cat00000000").await;
    until(|| peer.requests_in_service() == 3).await;
    assert_eq!(heard_load(&mut raw).await, 0xffff);
    raw.send("p000200000000p000300000000").await;
    raw.expect("S000200000000S000300000000").await;
    gate.open();
    raw.expect("R000100000000").await;
    assert_eq!(heard_load(&mut raw).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_load_of_the_other_side_is_its_last_word() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    assert_eq!(peer.load(), None);
    for (heartbeat, load) in [
        ("h00ff6affc351", 0xff),
        ("hffff6affc352", 0xffff),
        ("h00006affc353", 0),
    ] {
        raw.send(heartbeat).await;
        until(|| peer.load() == Some(load)).await;
    }
    // Never answered.
    raw.silence(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn the_connecting_side_sends_the_first_heartbeat_at_once_and_the_other_after_the_interval() {
    for (side, first) in [(Side::Connecting, 0), (Side::Accepting, 20)] {
        let (one, other) = tokio::io::duplex(1024);
        let mut raw = Raw { io: other };
        raw.send("01").await;
        let _peer = Peer::start(one, side, handlers(), Options::default(), Caller::default())
            .await
            .unwrap();
        raw.expect("01").await;
        let began = Instant::now();
        let mut at = Vec::new();
        for _ in 0..3 {
            // Kept alive meanwhile.
            raw.send("h000000000000").await;
            heard_load(&mut raw).await;
            at.push(began.elapsed().as_secs());
        }
        assert_eq!(at, [first, first + 20, first + 40], "{side:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_idle_peers_with_default_options_stay_connected() {
    let (left, right) = pair_with(handlers(), Options::default(), handlers(), Options::default()).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!left.is_closed() && !right.is_closed());
    assert_eq!((left.load(), right.load()), (Some(0), Some(0)));
    assert_eq!(
        left.request_raw("echo", "still here").await.unwrap(),
        "still here"
    );
}

#[tokio::test(start_paused = true)]
async fn one_side_without_heartbeats_is_timed_out_by_the_other() {
    let (left, right) = pair_with(handlers(), quiet(), handlers(), Options::default()).await;
    let began = Instant::now();
    assert_eq!(right.closed().await, CloseReason::ReadTimeout);
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(
        left.closed().await,
        CloseReason::Refused(ProtocolErrorCode::Timeout)
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_read_time_out_silence_is_no_fault() {
    let options = Options {
        read_timeout: None,
        ..quiet()
    };
    let (left, _right) = pair_with(handlers(), options.clone(), handlers(), options).await;
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(left.request_raw("echo", "hello").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn messages_of_any_kind_keep_a_connection_alive() {
    // Neither end sends heartbeats.
    let (left, _right) = pair(handlers(), handlers()).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert_eq!(left.request_raw("echo", "x").await.unwrap(), "x");
    }
}

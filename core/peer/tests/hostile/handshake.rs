//! The first two bytes, or what comes in their place.

use std::time::Duration;

use switchboard_peer::{Caller, HandshakeError, Peer, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::common::{handlers, quiet, text};
use crate::room::Room;

/// Starts a peer, does `hostile` to it, and returns what came of it and what it said.
async fn start<F>(hostile: impl FnOnce(DuplexStream) -> F) -> (Result<Peer, HandshakeError>, String)
where
    F: Future<Output = DuplexStream>,
{
    let (one, other) = tokio::io::duplex(1024);
    let starting = Peer::start(one, Side::Accepting, handlers(), quiet(), Caller::default());
    let hearing = async {
        let mut io = hostile(other).await;
        let mut heard = Vec::new();
        io.read_to_end(&mut heard).await.unwrap();
        text(&heard)
    };
    tokio::join!(starting, hearing)
}

#[tokio::test(start_paused = true)]
async fn what_is_no_version_gets_f00000001() {
    let room = Room::new(handlers(), quiet()).await;
    for version in [
        &b"00"[..],
        b"02",
        b"10",
        b"ff",
        b"zz",
        b" 1",
        b"1 ",
        b"+1",
        b"\0\0",
        b"0\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"r0001004echo00000002hi",
    ] {
        let (peer, heard) = start(async |mut io| {
            io.write_all(version).await.unwrap();
            io
        })
        .await;
        assert!(
            matches!(peer, Err(HandshakeError::Version(_))),
            "{:?}: {peer:?}",
            text(version)
        );
        assert_eq!(heard, "01f00000001", "{:?}", text(version));
    }
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_only_a_byte_gets_f00000003_in_time() {
    let room = Room::new(handlers(), quiet()).await;
    for begin in ["", "0"] {
        let began = Instant::now();
        let (peer, heard) = start(async |mut io| {
            io.write_all(begin.as_bytes()).await.unwrap();
            io
        })
        .await;
        assert!(matches!(peer, Err(HandshakeError::Timeout(_))), "{peer:?}");
        assert_eq!(heard, "01f00000003");
        // The hostile end never closes: it is waited for only a moment.
        let limit = quiet().handshake_timeout + Duration::from_secs(2);
        assert!(began.elapsed() <= limit, "after {:?}", began.elapsed());
    }
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_even_take_the_version_is_left_in_time() {
    let (one, _other) = tokio::io::duplex(1);
    let began = Instant::now();
    let started = Peer::start(one, Side::Accepting, handlers(), quiet(), Caller::default()).await;
    assert!(matches!(started, Err(HandshakeError::Timeout(_))), "{started:?}");
    assert!(began.elapsed() <= quiet().handshake_timeout + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn who_closes_first_gets_nothing_more() {
    for begin in ["", "0"] {
        let (peer, heard) = start(async |mut io| {
            io.write_all(begin.as_bytes()).await.unwrap();
            io.shutdown().await.unwrap();
            io
        })
        .await;
        assert!(matches!(peer, Err(HandshakeError::Closed)), "{peer:?}");
        assert_eq!(heard, "01");
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_in_two_pieces_is_a_version() {
    let (peer, heard) = start(async |mut io| {
        io.write_all(b"0").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        io.write_all(b"1r0001004echo00000002hi").await.unwrap();
        io.shutdown().await.unwrap();
        io
    })
    .await;
    peer.unwrap();
    assert_eq!(heard, "01R000100000002hi");
}

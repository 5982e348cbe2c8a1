//! Ends that do not speak, do not listen, or do either too slowly.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::ProtocolErrorCode::Timeout;
use switchboard_peer::{Caller, CloseReason, Limits, Options, Peer, Side};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::Instant;

use crate::common::{handlers, quiet};
use crate::room::Room;

const READ_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn who_vanishes_between_messages_or_within_one_gets_f00000003() {
    for last in [
        "",
        "r",
        "r0001004ec",
        "r0001004echo0000",
        "r0001004echo00000010half",
        "f000",
    ] {
        let mut room = Room::new(handlers(), quiet()).await;
        room.raw.is_well().await;
        let began = Instant::now();
        room.raw.send(last).await;
        room.refused("", Timeout).await;
        // The other side's end, which never comes, is waited for a moment.
        let took = began.elapsed();
        assert!(
            (READ_TIMEOUT..READ_TIMEOUT + Duration::from_secs(2)).contains(&took),
            "{took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_within_a_message_is_silence() {
    let mut room = Room::new(handlers(), quiet()).await;
    let began = Instant::now();
    room.raw.send("r0001004echo00001000").await;
    let told = loop {
        let mut heard = [0; 9];
        let second = tokio::time::timeout(Duration::from_secs(1), room.raw.io.read_exact(&mut heard)).await;
        match second {
            Ok(read) => {
                read.unwrap();
                break heard;
            }
            Err(_) => room.raw.send("x").await,
        }
        assert!(
            began.elapsed() < 2 * READ_TIMEOUT,
            "a drip must not keep the connection"
        );
    };
    assert_eq!(&told, b"f00000003");
    assert_eq!(began.elapsed().as_secs(), READ_TIMEOUT.as_secs());
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn whole_messages_now_and_then_are_no_silence() {
    let mut room = Room::new(handlers(), quiet()).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        room.raw.send("h000000000000").await;
    }
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn sixteen_kib_in_each_read_time_out_are_enough_for_a_long_message() {
    let mut room = Room::new(handlers(), quiet()).await;
    let piece = "x".repeat(16 * 1024);
    room.raw
        .send(format!("r0001004echo{:08x}", piece.len() * 20))
        .await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        room.raw.send(&piece).await;
    }
    room.raw.expect(format!("R0001{:08x}", piece.len() * 20)).await;
    for _ in 0..20 {
        room.raw.expect(&piece).await;
    }
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn less_than_that_is_not() {
    let mut room = Room::new(handlers(), quiet()).await;
    let began = Instant::now();
    room.raw.send("r0001004echo00100000").await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        room.raw.send("x".repeat(4 * 1024)).await;
    }
    assert_eq!(room.raw.rest().await, "f00000003");
    assert_eq!(began.elapsed().as_secs(), READ_TIMEOUT.as_secs());
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn who_speaks_but_never_listens_is_closed_by_the_write_time_out() {
    let mut room = Room::new(handlers(), quiet()).await;
    room.peer
        .notify_now("fill", &Bytes::from(vec![b'x'; 100_000]))
        .unwrap();
    let began = Instant::now();
    let closed = room.peer.closed();
    tokio::pin!(closed);
    let reason = loop {
        let second = tokio::time::timeout(Duration::from_secs(1), &mut closed).await;
        match second {
            Ok(reason) => break reason,
            Err(_) => room.raw.send("h000000000000").await,
        }
    };
    assert_eq!(reason, CloseReason::WriteTimeout);
    assert_eq!(began.elapsed().as_secs(), WRITE_TIMEOUT.as_secs());
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_asks_and_never_listens_is_bounded_then_held_back_then_closed() {
    const BUFFERED: usize = 200_000;
    let options = Options {
        limits: Limits {
            buffered_bytes_max: BUFFERED,
            ..Limits::default()
        },
        ..quiet()
    };
    let mut room = Room::new(handlers(), options).await;
    let request = format!("r0001004echo000003e8{}", "x".repeat(1000));
    let mut sent = 0;
    // Until the peer reads no more.
    while let Ok(written) =
        tokio::time::timeout(Duration::from_secs(1), room.raw.io.write_all(request.as_bytes())).await
    {
        written.unwrap();
        sent += request.len();
        let queued = room.peer.queued_bytes();
        assert!(queued <= 2 * BUFFERED + 100_000, "{queued} bytes are queued");
        assert!(sent < 100 * BUFFERED, "the flood must be held back");
    }
    assert!(!room.peer.is_closed());
    room.neighbour_is_well().await;
    let began = Instant::now();
    assert_eq!(room.peer.closed().await, CloseReason::WriteTimeout);
    assert!(began.elapsed() <= WRITE_TIMEOUT);
    assert_eq!(room.peer.requests_in_service(), 0);
    room.neighbour_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn who_was_held_back_and_then_listens_goes_on() {
    let options = Options {
        limits: Limits {
            buffered_bytes_max: 100_000,
            ..Limits::default()
        },
        ..quiet()
    };
    let mut room = Room::new(handlers(), options).await;
    let request = format!("r0001004echo000003e8{}", "x".repeat(1000));
    let mut asked = 0;
    let half = loop {
        // What was written of the last request before the peer stopped reading.
        let mut left = request.as_bytes();
        let written = async {
            while !left.is_empty() {
                let written = room.raw.io.write(left).await.unwrap();
                left = &left[written..];
            }
        };
        if tokio::time::timeout(Duration::from_secs(1), written)
            .await
            .is_err()
        {
            break left.to_owned();
        }
        asked += 1;
    };
    let mut answered = 0;
    let Room { raw, .. } = &mut room;
    // Reading makes room for what is left to write.
    while answered < asked {
        assert!(raw.message().await.is_some());
        answered += 1;
    }
    raw.send(half).await;
    assert!(raw.message().await.is_some());
    room.all_is_well().await;
}

/// A transport that holds back what is written until a flush, which is late once.
struct LateFlush {
    io: DuplexStream,
    late: bool,
}

impl AsyncRead for LateFlush {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, to)
    }
}

impl AsyncWrite for LateFlush {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.late = !self.late;
        if self.late {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_was_late_is_no_blocked_write() {
    let (io, mut other) = tokio::io::duplex(1024);
    let options = Options {
        read_timeout: None,
        ..quiet()
    };
    other.write_all(b"01").await.unwrap();
    let late = LateFlush { io, late: false };
    let peer = Peer::start(late, Side::Accepting, handlers(), options, Caller::default())
        .await
        .unwrap();
    peer.notify("once", &()).await.unwrap();
    tokio::time::sleep(10 * WRITE_TIMEOUT).await;
    assert!(!peer.is_closed(), "{:?}", peer.closed().await);
}

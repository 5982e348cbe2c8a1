//! What was said before the end is heard, whatever the other side does.

use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{Caller, CloseReason, Handlers, Options, Peer, ProtocolErrorCode, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::common::{handlers, quiet, raw, text};

/// How long a side that has said its last waits for the other's end.
const LINGER: Duration = Duration::from_secs(1);

#[tokio::test]
async fn close_writes_what_is_queued() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    for number in 0..10_000_u32 {
        peer.notify_now("tick", &Bytes::from(number.to_string())).unwrap();
    }
    peer.close();
    assert!(peer.notify_now("late", &Bytes::new()).is_ok() || peer.is_closed());
    for number in 0..10_000_u32 {
        let payload = number.to_string();
        raw.expect(format!("n004tick{:08x}{payload}", payload.len()))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn close_writes_what_is_queued_to_a_slow_reader() {
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    let part = Bytes::from(vec![b'x'; 100_000]);
    for _ in 0..20 {
        peer.notify_now("part", &part).unwrap();
    }
    peer.close();
    let mut read = 0;
    loop {
        // The other side takes a bufferful every half a second: far longer in all than the linger.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut buffer = vec![0; 64 * 1024];
        match raw.io.read(&mut buffer).await.unwrap() {
            0 => break,
            bytes => read += bytes,
        }
    }
    assert_eq!(read, 20 * (part.len() + "n004part00000000".len()));
    drop(raw);
    assert_eq!(peer.closed().await, CloseReason::Local);
}

#[tokio::test(start_paused = true)]
async fn close_gives_up_a_reader_that_takes_nothing() {
    let options = quiet();
    let write_timeout = options.write_timeout.unwrap();
    let (peer, _raw) = raw(handlers(), options).await;
    peer.notify_now("part", &Bytes::from(vec![b'x'; 1_000_000]))
        .unwrap();
    peer.close();
    let began = Instant::now();
    peer.closed().await;
    assert!(began.elapsed() <= write_timeout + LINGER, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_side_that_stays_open_is_waited_for_only_a_moment_and_without_spinning() {
    // Heartbeats fall due while the end is awaited; were they to keep the driver busy, the clock would stand still.
    let options = Options {
        heartbeat_interval: Some(Duration::from_millis(100)),
        ..Options::default()
    };
    let (peer, mut raw) = raw(handlers(), options).await;
    let caller = peer.clone();
    let call = tokio::spawn(async move {
        let timeout = Duration::from_millis(300);
        caller
            .call("never answered")
            .timeout(timeout)
            .request_raw("")
            .await
    });
    raw.expect(b"r\0\0\0\x0000enever answered00000000").await;
    peer.close();
    let began = Instant::now();
    assert_eq!(peer.closed().await, CloseReason::Local);
    assert_eq!(began.elapsed(), LINGER);
    assert!(call.await.unwrap().unwrap_err().is_retry());
    assert_eq!(raw.message().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_what_happened_first() {
    // The other side is told of its fault, but is gone already.
    let (peer, mut raw) = raw(handlers(), quiet()).await;
    raw.send("x").await;
    drop(raw);
    let reason = peer.closed().await;
    assert!(
        matches!(reason, CloseReason::Illegal(ProtocolErrorCode::InvalidMessage, _)),
        "{reason:?}"
    );
}

/// A peer over a real socket, and its other end by hand.
async fn tcp() -> (Peer, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let starting = Peer::start(accepted, Side::Accepting, handlers(), quiet(), Caller::default());
    client.write_all(b"01").await.unwrap();
    let peer = starting.await.unwrap();
    let mut version = [0; 2];
    client.read_exact(&mut version).await.unwrap();
    assert_eq!(&version, b"01");
    (peer, client)
}

/// Reads to the end; a reset is no end.
async fn rest(client: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut rest)).await;
    read.expect("the connection must end")
        .expect("it must end in peace");
    text(&rest)
}

/// More than a peer reads at once: most of it is unread when the first byte is judged.
fn junk() -> Vec<u8> {
    vec![b'x'; 200_000]
}

#[tokio::test]
async fn f_is_read_by_a_client_whose_input_was_not() {
    let (peer, mut client) = tcp().await;
    client.write_all(&junk()).await.unwrap();
    assert_eq!(rest(&mut client).await, "f00000002");
    client.write_all(b"more").await.unwrap();
    drop(client);
    assert!(matches!(peer.closed().await, CloseReason::Illegal(..)));
}

#[tokio::test]
async fn what_was_queued_before_close_is_read_by_a_client_whose_input_was_not() {
    let (peer, mut client) = tcp().await;
    peer.notify_now("last", &Bytes::from("words")).unwrap();
    peer.close();
    client.write_all(b"n004note00030000").await.unwrap();
    client.write_all(&junk()).await.unwrap();
    assert_eq!(rest(&mut client).await, "n004last00000005words");
}

#[tokio::test]
async fn a_refused_version_is_told_to_a_client_that_said_much_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    client.write_all(b"99").await.unwrap();
    client.write_all(&junk()).await.unwrap();
    let starting = Peer::start(
        accepted,
        Side::Accepting,
        Handlers::new(),
        quiet(),
        Caller::default(),
    );
    let (started, told) = tokio::join!(starting, async {
        let told = rest(&mut client).await;
        drop(client);
        told
    });
    assert_eq!(told, "01f00000001");
    assert!(started.is_err());
}

#[tokio::test]
async fn close_with_says_the_code() {
    let (peer, mut client) = tcp().await;
    peer.close_with(ProtocolErrorCode::Abnormal);
    assert_eq!(rest(&mut client).await, "f00000000");
}

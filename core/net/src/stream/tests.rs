use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::limits::Limits;
use crate::network::Network;

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("connected"), other.expect("accepted").0)
}

/// A greeting in two slices one way, an echo the other way, and the end seen by both.
async fn talk(stream: Stream, mut other: impl AsyncRead + AsyncWrite + Unpin) {
    assert!(stream.is_write_vectored());
    let (mut read, mut write) = stream.into_split();
    assert!(write.is_write_vectored());
    let slices = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
    assert_eq!(
        write.write_vectored(&slices).await.expect("written"),
        5,
        "both slices in one call"
    );
    let mut buffer = [0; 5];
    other.read_exact(&mut buffer).await.expect("read");
    assert_eq!(&buffer, b"hello");
    other.write_all(b"back").await.expect("written");
    write.shutdown().await.expect("half closed");
    assert_eq!(other.read(&mut buffer).await.expect("the end"), 0);
    let mut back = [0; 4];
    read.read_exact(&mut back)
        .await
        .expect("the other direction is open still");
    assert_eq!(&back, b"back");
    drop(other);
    assert_eq!(read.read(&mut buffer).await.expect("the end"), 0);
}

#[tokio::test]
async fn tcp_splits() {
    let (one, other) = tcp_pair().await;
    talk(Stream::from(one), other).await;
}

#[tokio::test]
async fn unix_splits() {
    let (one, other) = UnixStream::pair().expect("a pair");
    talk(Stream::from(one), other).await;
}

#[tokio::test]
async fn a_slot_is_free_when_both_halves_are_gone() {
    let network = Network::new(Limits {
        connections_max: NonZeroUsize::MIN,
        ..Limits::default()
    });
    let (one, _other) = UnixStream::pair().expect("a pair");
    let slot = network.admit().expect("a slot");
    let stream = Stream::new(Carrier::Unix(one), &ConnectionLimits::default(), slot);
    let (read, write) = stream.into_split();
    drop(read);
    assert_eq!(network.stats().open(), 1);
    drop(write);
    assert_eq!(network.stats().open(), 0);
}

/// The limits of a stream hold for it and for its halves, each direction by itself.
#[tokio::test(start_paused = true)]
async fn each_direction_has_its_pace() {
    let network = Network::new(Limits::default());
    let limits = ConnectionLimits {
        read_bytes_per_second: NonZeroU64::new(10_000),
        write_bytes_per_second: NonZeroU64::new(1_000),
        ..ConnectionLimits::default()
    };
    for halves in [false, true] {
        let (one, mut other) = UnixStream::pair().expect("a pair");
        let mut stream = Stream::new(Carrier::Unix(one), &limits, network.admit().expect("a slot"));
        other
            .write_all(&[7; 20_000])
            .await
            .expect("it fits into the socket");
        let (mut bytes, start) = (vec![0; 20_000], Instant::now());
        let (reading, writing) = if halves {
            let (mut read, mut write) = stream.into_split();
            read.read_exact(&mut bytes).await.expect("read");
            let reading = start.elapsed();
            write.write_all(&[7; 2_000]).await.expect("written");
            (reading, start.elapsed() - reading)
        } else {
            stream.read_exact(&mut bytes).await.expect("read");
            let reading = start.elapsed();
            stream.write_all(&[7; 2_000]).await.expect("written");
            (reading, start.elapsed() - reading)
        };
        // Two seconds each, less the first bucket.
        let expected = Duration::from_millis(1_850)..Duration::from_millis(2_000);
        assert!(expected.contains(&reading), "reading took {reading:?}");
        assert!(expected.contains(&writing), "writing took {writing:?}");
    }
}

//! Limits as clients feel them. The rules themselves are tested beside the code, with time passed in.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};

use switchboard_net::{Limits, Network, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::*;

fn at_most(connections_max: usize) -> Limits {
    Limits {
        connections_max: NonZeroUsize::new(connections_max).expect("not zero"),
        ..Limits::default()
    }
}

#[tokio::test]
async fn connections_in_all_are_limited_and_places_come_back() {
    let mut server = Server::start(tcp(), at_most(2)).await;
    let mut first = connect(server.ip()).await;
    let mut second = connect(server.ip()).await;
    assert!(echoes(&mut first).await && echoes(&mut second).await);
    closed(&mut connect(server.ip()).await).await;
    assert_eq!(server.network.stats().refused(Refusal::ConnectionsMax), 1);
    assert!(
        echoes(&mut first).await && echoes(&mut second).await,
        "the others are unharmed"
    );

    drop(first);
    server.ended().await;
    assert!(echoes(&mut connect(server.ip()).await).await);
    assert_eq!(server.network.stats().accepted(), 4);
}

#[tokio::test]
async fn all_listeners_share_the_limit_in_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("echo.sock");
    let network = Network::new(at_most(1));
    let unix = Server::on(config(&format!("unix:{}", path.display())), &network).await;
    let mut tcp = Server::on(tcp(), &network).await;
    let mut first = connect(tcp.ip()).await;
    assert!(echoes(&mut first).await);
    closed(
        &mut patient(UnixStream::connect(&path))
            .await
            .expect("somebody listens"),
    )
    .await;
    drop(first);
    tcp.ended().await;
    assert!(
        echoes(
            &mut patient(UnixStream::connect(&path))
                .await
                .expect("somebody listens")
        )
        .await
    );
    drop(unix);
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let limits = Limits {
        connections_per_address_max: NonZeroUsize::new(1),
        ..Limits::default()
    };
    let mut server = Server::start(tcp(), limits).await;
    let mut first = connect_from("127.0.0.2", server.ip()).await;
    assert!(echoes(&mut first).await);
    closed(&mut connect_from("127.0.0.2", server.ip()).await).await;
    assert!(
        echoes(&mut connect_from("127.0.0.3", server.ip()).await).await,
        "others are not concerned"
    );
    assert_eq!(server.network.stats().refused(Refusal::ConnectionsPerAddress), 1);
    server.ended().await;
    drop(first);
    server.ended().await;
    assert!(echoes(&mut connect_from("127.0.0.2", server.ip()).await).await);
}

#[tokio::test]
async fn new_connections_of_one_address_are_limited() {
    let limits = Limits {
        new_connections_per_second: NonZeroU32::new(1),
        ..Limits::default()
    };
    let server = Server::start(tcp(), limits).await;
    let begin = Instant::now();
    let mut echoed = 0;
    for _ in 0..20 {
        echoed += u64::from(echoes(&mut connect_from("127.0.0.2", server.ip()).await).await);
    }
    let earned = 1 + begin.elapsed().as_secs();
    assert!(
        (1..=earned).contains(&echoed),
        "{echoed} of 20 in {:?}",
        begin.elapsed()
    );
    assert_eq!(
        server.network.stats().refused(Refusal::ConnectionRate),
        20 - echoed
    );
    assert!(
        echoes(&mut connect_from("127.0.0.3", server.ip()).await).await,
        "others are not concerned"
    );
}

#[tokio::test]
async fn bytes_a_second_hold_in_both_directions() {
    const RATE: u64 = 100_000;
    const BYTES: usize = 50_000;
    let mut config = tcp();
    config.connection.read_bytes_per_second = NonZeroU64::new(RATE);
    config.connection.write_bytes_per_second = NonZeroU64::new(RATE);
    let server = Server::start(config, Limits::default()).await;
    let (mut read, mut write) = connect(server.ip()).await.into_split();
    let begin = Instant::now();
    let writing = tokio::spawn(async move { write.write_all(&[7; BYTES]).await.map(|()| write) });
    let mut echoed = vec![0; BYTES];
    patient(read.read_exact(&mut echoed))
        .await
        .expect("all comes back");
    // Half a second's worth less the first bucket; how much longer it takes is up to the machine.
    assert!(
        begin.elapsed() >= Duration::from_millis(390),
        "{:?}",
        begin.elapsed()
    );
    assert!(echoed.iter().all(|byte| *byte == 7));
    writing.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_connection_and_no_other() {
    let network = Network::new(at_most(1));
    let listener = switchboard_net::Listener::bind(tcp(), &network)
        .await
        .expect("a port");
    let address = listener.local_address().ip().expect("TCP");
    let shutdown = switchboard_net::Shutdown::new();
    let handler = |mut connection: switchboard_net::Connection| async move {
        let byte = connection.stream.read_u8().await.expect("a byte");
        assert_ne!(byte, b'!', "as asked");
        connection.stream.write_u8(byte).await.expect("written");
    };
    tokio::spawn(listener.run(handler, shutdown.clone()));
    for _ in 0..3 {
        let mut bad = connect(address).await;
        bad.write_all(b"!").await.expect("written");
        closed(&mut bad).await;
        // With a single place, this shows that the panic gave it back; the stream is closed a moment before.
        while network.stats().open() > 0 {
            tokio::task::yield_now().await;
        }
        let mut good = connect(address).await;
        good.write_all(b"?").await.expect("written");
        assert_eq!(patient(good.read_u8()).await.expect("an answer"), b'?');
        closed(&mut good).await;
        while network.stats().open() > 0 {
            tokio::task::yield_now().await;
        }
    }
    shutdown.stop();
}

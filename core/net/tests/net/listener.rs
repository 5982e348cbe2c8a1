//! Binding, addresses, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard_net::{
    Accept, BindError, Connection, Ending, Limits, Listener, LocalAddress, Network, PeerAddress, Shutdown,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

async fn refused(address: &str) -> BindError {
    let network = Network::new(Limits::default());
    Listener::bind(config(address), &network)
        .await
        .expect_err("this cannot be had")
}

#[tokio::test]
async fn a_handler_learns_who_connects_and_where() {
    let mut server = Server::start(tcp(), Limits::default()).await;
    assert!(server.local.is_loopback());
    for id in 1..=3 {
        let mut client = connect(server.ip()).await;
        assert!(echoes(&mut client).await);
        let info = server.begun().await;
        assert_eq!(info.id, id);
        assert_eq!(info.peer, PeerAddress::Ip(client.local_addr().expect("ours")));
        assert_eq!(info.local, server.local);
        assert!(info.tls.is_none() && info.peer_uid.is_none() && info.proxy.is_none());
    }
}

#[tokio::test]
async fn ipv6_listens_on_itself_only() {
    let mut server = Server::start(config("[::1]:0"), Limits::default()).await;
    assert!(echoes(&mut connect(server.ip()).await).await);
    assert!(server.begun().await.peer.ip().expect("an address").is_ipv6());
    let ipv4 = format!("127.0.0.1:{}", server.ip().port());
    assert!(
        patient(TcpStream::connect(ipv4)).await.is_err(),
        "IPv4 is another door"
    );
}

#[tokio::test]
async fn the_unspecified_ipv6_address_takes_ipv4_unless_told_otherwise() {
    let mut both = Server::start(config("tcp://[::]:0"), Limits::default()).await;
    assert!(!both.local.is_loopback());
    let ipv4 = format!("127.0.0.1:{}", both.ip().port())
        .parse()
        .expect("an address");
    let ipv6 = format!("[::1]:{}", both.ip().port()).parse().expect("an address");
    for address in [ipv4, ipv6] {
        assert!(echoes(&mut connect(address).await).await);
        let info = both.begun().await;
        assert_eq!(
            info.peer.ip().expect("an address").ip(),
            address.ip(),
            "IPv4 is written as IPv4"
        );
        assert_eq!(
            info.local,
            LocalAddress::Ip(address),
            "the address that the client sees"
        );
    }

    let mut only = config("tcp://[::]:0");
    only.ipv6_only = true;
    let only = Server::start(only, Limits::default()).await;
    let port = only.ip().port();
    assert!(
        patient(TcpStream::connect(format!("127.0.0.1:{port}")))
            .await
            .is_err()
    );
    assert!(echoes(&mut connect(format!("[::1]:{port}").parse().expect("an address")).await).await);
}

#[tokio::test]
async fn a_host_name_listens_at_its_ipv4_address_first() {
    let server = Server::start(config("tcp://localhost:0"), Limits::default()).await;
    assert!(server.ip().is_ipv4());
    assert!(echoes(&mut connect(server.ip()).await).await);
}

#[tokio::test]
async fn what_cannot_be_bound_is_explained() {
    let server = Server::start(tcp(), Limits::default()).await;
    let error = refused(&server.ip().to_string()).await;
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&server.ip().to_string()), "{error}");

    // TEST-NET-1 belongs to nobody.
    assert!(matches!(refused("192.0.2.1:0").await, BindError::NotOurs { .. }));
    assert!(matches!(
        refused("tcp://nobody.invalid:0").await,
        BindError::Resolve { .. }
    ));
    assert!(matches!(refused("tls://127.0.0.1:0").await, BindError::Config(_)));
    assert!(matches!(refused("fd://0").await, BindError::Inherited(_)));
}

/// A gateway that is a type of its own, and counts.
struct Counter(AtomicUsize);

impl Accept for Counter {
    async fn accept(&self, mut connection: Connection) {
        let count = self.0.fetch_add(1, Ordering::SeqCst) as u8;
        let _ = connection.stream.write_u8(count).await;
    }
}

#[tokio::test]
async fn two_listeners_can_share_a_gateway() {
    let network = Network::new(Limits::default());
    let shutdown = Shutdown::new();
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    for expected in 0..2 {
        let listener = Listener::bind(tcp(), &network).await.expect("a port");
        let address = listener.local_address().ip().expect("TCP");
        tokio::spawn(listener.run(Arc::clone(&counter), shutdown.clone()));
        assert_eq!(
            patient(connect(address).await.read_u8()).await.expect("a count"),
            expected
        );
    }
    shutdown.stop();
}

#[tokio::test]
async fn a_port_can_be_had_again_at_once() {
    let mut server = Server::start(tcp(), Limits::default()).await;
    let address = server.ip();
    let mut client = connect(address).await;
    assert!(echoes(&mut client).await);
    // We close first, so the connection lingers in TIME_WAIT on our side.
    assert_eq!(
        server.shutdown.drain(Duration::ZERO).await,
        Ending::Stopped { tasks: 1 }
    );
    closed(&mut client).await;
    while patient(TcpStream::connect(address)).await.is_ok() {}
    server = Server::start(config(&address.to_string()), Limits::default()).await;
    assert!(echoes(&mut connect(server.ip()).await).await);
}

#[tokio::test]
async fn a_drain_closes_the_door_and_lets_people_finish() {
    let server = Server::start(tcp(), Limits::default()).await;
    let mut client = connect(server.ip()).await;
    assert!(echoes(&mut client).await);
    let draining = tokio::spawn({
        let shutdown = server.shutdown.clone();
        async move { shutdown.drain(PATIENCE).await }
    });
    // Refused for good once the listener has closed.
    while patient(TcpStream::connect(server.ip())).await.is_ok() {}
    assert!(echoes(&mut client).await, "who is in may finish");
    assert!(!draining.is_finished());
    drop(client);
    assert_eq!(patient(draining).await.expect("no panic"), Ending::Graceful);
    assert_eq!(server.network.stats().open(), 0);
}

//! PROXY headers at a listener: who may send them, and what follows them.

use std::num::NonZeroUsize;
use std::time::Duration;

use switchboard_net::{Limits, ListenerConfig, PeerAddress, ProxyProtocol, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn behind(trusted: &[&str]) -> ListenerConfig {
    let mut config = tcp();
    let trusted = trusted
        .iter()
        .map(|network| network.parse().expect("a network"))
        .collect();
    config.proxy = ProxyProtocol::Required { trusted };
    config
}

/// Sends a header and the first bytes of the client at once, and expects only the latter back.
async fn says(client: &mut TcpStream, header: &[u8]) {
    patient(client.write_all(&[header, b"hello"].concat()))
        .await
        .expect("written");
    let mut echoed = [0; 5];
    patient(client.read_exact(&mut echoed)).await.expect("an echo");
    assert_eq!(&echoed, b"hello");
    assert!(echoes(client).await);
}

#[tokio::test]
async fn the_header_tells_the_client_and_not_a_byte_is_lost() {
    let mut server = Server::start(behind(&["127.0.0.0/8"]), Limits::default()).await;
    let ipv4 = b"\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb";
    let mut long = [
        SIGNATURE,
        b"\x21\x11\x0f\xf0\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb",
    ]
    .concat();
    long.resize(4_096, 0);
    for (header, peer) in [
        (
            &b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"[..],
            Some("192.0.2.1:56324"),
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
            Some("[2001:db8::1]:56324"),
        ),
        (&[SIGNATURE, ipv4].concat(), Some("192.0.2.1:56324")),
        (&long, Some("192.0.2.1:56324")),
        (b"PROXY UNKNOWN\r\n", None),
        (&[SIGNATURE, b"\x20\x00\x00\x00"].concat(), None),
    ] {
        let mut client = connect(server.ip()).await;
        says(&mut client, header).await;
        let info = server.begun().await;
        let ours = client.local_addr().expect("ours");
        let peer = peer.map_or(ours, |peer| peer.parse().expect("an address"));
        assert_eq!((info.peer, info.proxy), (PeerAddress::Ip(peer), Some(ours)));
        assert_eq!(info.local, server.local);
    }
}

#[tokio::test]
async fn a_header_may_come_in_pieces() {
    let mut server = Server::start(behind(&["127.0.0.0/8"]), Limits::default()).await;
    let mut client = connect(server.ip()).await;
    client.set_nodelay(true).expect("an option");
    for byte in b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n" {
        client.write_u8(*byte).await.expect("written");
        tokio::task::yield_now().await;
    }
    assert!(echoes(&mut client).await);
    assert_eq!(server.begun().await.peer.to_string(), "192.0.2.1:56324");
}

#[tokio::test]
async fn who_is_not_trusted_cannot_claim_to_be_another() {
    let server = Server::start(behind(&["10.0.0.0/8", "127.0.0.2/32"]), Limits::default()).await;
    let mut spoofer = connect(server.ip()).await;
    // Written or not: the server closes at once.
    let _ = spoofer
        .write_all(b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\nping")
        .await;
    closed(&mut spoofer).await;
    assert_eq!(server.network.stats().refused(Refusal::UntrustedProxy), 1);
    let mut proxy = connect_from("127.0.0.2", server.ip()).await;
    says(&mut proxy, b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n").await;
}

#[tokio::test]
async fn what_is_no_header_ends_the_connection() {
    let server = Server::start(behind(&["127.0.0.0/8"]), Limits::default()).await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PROXY TCP4 1 2 3 4\r\n",
        &[b'P'; 200],
        &[0; 5_000],
    ] {
        let mut client = connect(server.ip()).await;
        let _ = client.write_all(bytes).await;
        closed(&mut client).await;
    }
    let mut half = connect(server.ip()).await;
    half.write_all(b"PROXY TCP4 ").await.expect("written");
    half.shutdown().await.expect("half closed");
    closed(&mut half).await;
    assert_eq!(server.network.stats().handshake_failures(), 5);
    assert!(echoes_after_header(server.ip()).await);
}

async fn echoes_after_header(address: std::net::SocketAddr) -> bool {
    let mut client = connect(address).await;
    client.write_all(b"PROXY UNKNOWN\r\n").await.expect("written");
    echoes(&mut client).await
}

#[tokio::test]
async fn a_slow_header_times_out_while_others_are_served() {
    let mut config = behind(&["127.0.0.0/8"]);
    config.connection.handshake_timeout = Duration::from_secs(1);
    let server = Server::start(config, Limits::default()).await;
    let mut silent = connect(server.ip()).await;
    let mut slow = connect(server.ip()).await;
    slow.write_all(b"PROXY TCP4 192.0.2.1").await.expect("written");
    assert!(
        echoes_after_header(server.ip()).await,
        "while two others are half way"
    );
    closed(&mut silent).await;
    closed(&mut slow).await;
    assert_eq!(server.network.stats().handshake_timeouts(), 2);
    assert!(echoes_after_header(server.ip()).await);
}

#[tokio::test]
async fn limits_by_address_concern_the_client_and_not_the_proxy() {
    let limits = Limits {
        connections_per_address_max: NonZeroUsize::new(1),
        ..Limits::default()
    };
    let server = Server::start(behind(&["127.0.0.0/8"]), limits).await;
    let mut one = connect(server.ip()).await;
    says(&mut one, b"PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r\n").await;
    let mut two = connect(server.ip()).await;
    says(&mut two, b"PROXY TCP4 192.0.2.2 198.51.100.7 1 2\r\n").await;
    let mut again = connect(server.ip()).await;
    again
        .write_all(b"PROXY TCP4 192.0.2.1 198.51.100.7 3 4\r\n")
        .await
        .expect("written");
    closed(&mut again).await;
    assert_eq!(server.network.stats().refused(Refusal::ConnectionsPerAddress), 1);
}

//! Our client, from the address on.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use switchboard_peer::websocket::{Framing, accept_key, server_transport};
use switchboard_peer::{
    Body, Caller, CloseReason, ConnectError, Connector, Handlers, HandshakeError, Peer, ProtocolErrorCode,
    Reply, Side, Url, connect, tls_with_roots,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::common::{self, handlers};
use crate::frames::{CLOSE, End, Frame, quiet};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Upgrades by a foreign implementation, which shows what was asked, and chooses the sub-protocol or not.
async fn accept<S>(stream: S, chooses: bool) -> (Peer, Request)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut asked = None;
    // The size of this error is the library's.
    #[allow(clippy::result_large_err)]
    let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        asked = Some(request.clone());
        if chooses {
            let offered = request.headers()["sec-websocket-protocol"].clone();
            response.headers_mut().insert("sec-websocket-protocol", offered);
        }
        Ok(response)
    };
    let upgraded = accept_hdr_async(stream, choose).await.unwrap().into_inner();
    let framing = if chooses { Framing::Batch } else { Framing::Pieces };
    let transport = server_transport(upgraded, framing, &quiet());
    let caller = Caller::default();
    let peer = Peer::start(transport, Side::Accepting, handlers(), common::quiet(), caller).await;
    (peer.unwrap(), asked.unwrap())
}

#[tokio::test]
async fn our_client_asks_as_it_should() {
    let (listener, address) = listen().await;
    let url = format!("ws://{address}/some/where?x=y");
    let (client, (server, asked)) = tokio::join!(connect(&url, Handlers::new()), async {
        accept(listener.accept().await.unwrap().0, true).await
    });
    let client = client.unwrap();
    assert_eq!(asked.uri(), "/some/where?x=y");
    let header = |name| asked.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("host"), address.to_string());
    assert_eq!(header("origin"), format!("http://{address}"));
    assert_eq!(header("sec-websocket-protocol"), "switchboard.1");
    assert_eq!(client.caller().address.as_deref(), Some(&*url));
    assert_eq!(client.request_raw("echo", "hi").await.unwrap(), "hi");
    client.close();
    assert_eq!(client.closed().await, CloseReason::Local);
    assert_eq!(server.closed().await, CloseReason::Remote);
}

#[tokio::test]
async fn headers_can_be_added_but_not_those_of_the_upgrade() {
    let (listener, address) = listen().await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("origin", "https://example.org"),
        ("host", "example.org"),
        ("authorization", "Bearer x"),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-key", "x"),
        ("connection", "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let connector = Connector {
        headers,
        ..Connector::default()
    };
    let url: Url = format!("ws://{address}").parse().unwrap();
    let (client, (_server, asked)) = tokio::join!(connector.connect(&url, Handlers::new()), async {
        accept(listener.accept().await.unwrap().0, false).await
    });
    client.unwrap();
    assert_eq!(asked.uri(), "/gotalk/");
    for (name, value) in [
        ("origin", "https://example.org"),
        ("host", "example.org"),
        ("authorization", "Bearer x"),
        ("sec-websocket-protocol", "switchboard.1"),
        ("connection", "Upgrade"),
    ] {
        let values: Vec<_> = asked.headers().get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
}

/// Two ends of ours, over TCP.
async fn pair(chooses: bool) -> (Peer, Peer) {
    let (listener, address) = listen().await;
    let url = format!("ws://{address}/gotalk/");
    let (client, (server, _)) = tokio::join!(connect(&url, handlers()), async {
        let stream = listener.accept().await.unwrap().0;
        stream.set_nodelay(true).unwrap();
        accept(stream, chooses).await
    });
    (client.unwrap(), server)
}

#[tokio::test]
async fn a_large_stream_goes_both_ways() {
    const PARTS: usize = 100;
    for chooses in [false, true] {
        let (client, server) = pair(chooses).await;
        for caller in [client, server] {
            let (mut body, reply) = caller.call("cat").stream();
            let part = |at: usize| Bytes::from(vec![at as u8; 100_000]);
            let sending = async {
                for at in 0..PARTS {
                    body.send(part(at)).await.unwrap();
                }
                body.finish();
            };
            let receiving = async {
                let Ok(Reply::Stream(mut parts)) = reply.await else {
                    panic!("no stream");
                };
                let mut heard = vec![];
                while let Some(part) = parts.next().await {
                    heard.push(part.unwrap());
                }
                heard
            };
            let ((), heard) = tokio::join!(sending, receiving);
            assert!(heard.into_iter().eq((0..PARTS).map(part)));
        }
    }
}

#[tokio::test]
async fn a_large_payload_goes_both_ways() {
    let large = Bytes::from(vec![b'x'; 10_000_000]);
    for chooses in [false, true] {
        let (client, server) = pair(chooses).await;
        for caller in [client, server] {
            let body = Body::Single(large.clone());
            let Ok(Reply::Single(answer)) = caller.call("echo").send_body(body).await else {
                panic!("no answer");
            };
            assert!(answer == large);
        }
    }
}

#[tokio::test]
async fn many_calls_at_once_are_answered() {
    let (client, _server) = pair(true).await;
    let calls = (0..1000).map(|call| {
        let client = client.clone();
        tokio::spawn(async move { client.request_raw("echo", call.to_string()).await })
    });
    for (call, answer) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap(), call.to_string());
    }
}

#[tokio::test]
async fn wss_is_for_servers_whose_certificate_is_trusted() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = certified.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    let (listener, address) = listen().await;
    let url: Url = format!("wss://localhost:{}/gotalk/", address.port())
        .parse()
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der).unwrap();
    let trusting = Connector {
        tls: Some(Arc::new(tls_with_roots(roots).unwrap())),
        ..Connector::default()
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (client, (server, asked)) = tokio::join!(trusting.connect(&url, Handlers::new()), async {
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        accept(stream, true).await
    });
    let client = client.unwrap();
    let origin = format!("https://localhost:{}", address.port());
    assert_eq!(asked.headers()["origin"], *origin);
    assert_eq!(client.request_raw("echo", "hi").await.unwrap(), "hi");
    client.close();
    assert_eq!(client.closed().await, CloseReason::Local);
    assert_eq!(server.closed().await, CloseReason::Remote);
}

/// A server that reads the request, and answers with this head, in which `{accept}` stands for what the key calls for.
/// What follows is in the same segment.
async fn answer(stream: &mut TcpStream, head: &str, also: &[u8]) {
    let mut request = vec![];
    while !request.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "a whole request");
    }
    let request = String::from_utf8(request).unwrap();
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "))
        .expect("a key");
    let accept = accept_key(key.as_bytes());
    let head = head.replace("{accept}", accept.to_str().unwrap());
    stream.write_all(&[head.as_bytes(), also].concat()).await.unwrap();
}

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: {accept}\r\n\r\n";

async fn refused(with: &str) -> ConnectError {
    let (listener, address) = listen().await;
    let serving = tokio::spawn({
        let with = with.to_owned();
        async move {
            let mut stream = listener.accept().await.unwrap().0;
            answer(&mut stream, &with, b"").await;
        }
    });
    let connected = connect(&format!("ws://{address}"), Handlers::new()).await;
    serving.await.unwrap();
    connected.unwrap_err()
}

#[tokio::test]
async fn a_server_that_does_not_upgrade_is_quoted() {
    let cases = [
        (
            "HTTP/1.1 403 Forbidden\r\n\r\nno".to_owned(),
            "answered 403 Forbidden",
        ),
        ("HTTP/1.1 200 OK\r\n\r\n<html>".to_owned(), "answered 200 OK"),
        ("HTTP/1.1 101 Sw".to_owned(), "unexpected end"),
        ("01".to_owned(), "no HTTP"),
        ("what?\r\n\r\n".to_owned(), "no HTTP"),
        (UPGRADED.replace("{accept}", "x"), "Sec-WebSocket-Accept"),
        (
            UPGRADED.replace("Upgrade: websocket\r\n", ""),
            "bad header: Upgrade",
        ),
        (
            UPGRADED.replace("Connection: Upgrade\r\n", ""),
            "bad header: Connection",
        ),
        (
            UPGRADED.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
            "bad header: Sec-WebSocket-Protocol",
        ),
        (
            UPGRADED.replace(
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            ),
            "bad header: Sec-WebSocket-Extensions",
        ),
        (
            UPGRADED.replace("\r\n\r\n", &format!("\r\nX: {}", "x".repeat(20_000))),
            "longer than",
        ),
    ];
    for (with, what) in cases {
        let error = refused(&with).await;
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// A server by hand, after the upgrade; `also` is in the same segment.
pub async fn server_by_hand(listener: &TcpListener, also: &[u8]) -> End<TcpStream> {
    let mut stream = listener.accept().await.unwrap().0;
    stream.set_nodelay(true).unwrap();
    answer(&mut stream, UPGRADED, also).await;
    End::new(stream)
}

fn frame(payload: &str) -> Frame {
    Frame::binary(payload).unmasked()
}

/// As in `ws_js_version_before_open`.
#[tokio::test]
async fn what_comes_behind_the_upgrade_is_not_lost() {
    let (listener, address) = listen().await;
    let also = [frame("01").encode(), frame("n00000000000").encode()].concat();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let handlers = Handlers::new().on_raw("", move |_, _| {
        let _ = told.send(());
        async {}
    });
    let url = format!("ws://{address}");
    let (client, mut server) = tokio::join!(connect(&url, handlers), server_by_hand(&listener, &also));
    let client = client.unwrap();
    heard.recv().await.expect("the notification");
    let version = server.next().await.unwrap();
    assert_eq!(version, Frame::binary("01"), "masked, a piece");
    client.close();
    loop {
        let said = server.next().await.unwrap();
        assert!(said.masked);
        if said.opcode == CLOSE {
            assert_eq!(said, Frame::close(1000));
            break;
        }
    }
    server.send(Frame::close(1000).unmasked()).await;
    assert_eq!(client.closed().await, CloseReason::Local);
}

#[tokio::test]
async fn a_client_says_why_it_leaves() {
    let (listener, address) = listen().await;
    let url = format!("ws://{address}");
    let (client, ()) = tokio::join!(connect(&url, Handlers::new()), async {
        let mut server = server_by_hand(&listener, b"").await;
        server.send(frame("02")).await;
        assert_eq!(server.next().await, Some(Frame::binary("01")));
        assert_eq!(server.next().await, Some(Frame::binary("f00000001")));
        assert_eq!(server.next().await, Some(Frame::close(4001)));
    });
    let error = client.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Handshake {
                source: HandshakeError::Version(_),
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_masked_frame_of_a_server_is_refused() {
    let (listener, address) = listen().await;
    let (client, mut server) = tokio::join!(connect_to(address), server_by_hand(&listener, b""));
    server.send(frame("01")).await;
    server.send(Frame::binary("n00000000000")).await;
    let close = server.rest().await.pop().unwrap();
    assert_eq!(close, Frame::close(1002));
    drop(server);
    let reason = client.await.unwrap().closed().await;
    assert!(reason.to_string().contains("is masked"), "{reason}");
}

async fn connect_to(address: SocketAddr) -> tokio::task::JoinHandle<Peer> {
    tokio::spawn(async move {
        let connected = connect(&format!("ws://{address}"), Handlers::new()).await;
        connected.unwrap()
    })
}

#[tokio::test]
async fn a_client_reads_the_error_in_a_close_code() {
    let (listener, address) = listen().await;
    let (client, mut server) = tokio::join!(connect_to(address), server_by_hand(&listener, b""));
    server.send(frame("01")).await;
    server.send(Frame::close(4003).unmasked()).await;
    let reason = client.await.unwrap().closed().await;
    assert_eq!(reason, CloseReason::Refused(ProtocolErrorCode::Timeout));
}

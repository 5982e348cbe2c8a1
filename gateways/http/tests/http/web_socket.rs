//! gotalk over WebSocket.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use bytes::Bytes;
use switchboard_gateway_http::{Assets, HttpGateway, HttpOptions};
use switchboard_hub::{Fault, Hub, HubConfig};
use switchboard_net::{Accept, Connection, Limits, Listener, Network, Shutdown};
use switchboard_peer::{Handlers, Peer, ServeOptions, connect};

use crate::support::{Door, Raw, config, patient};

/// As in RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn upgrade(door: &Door, headers: &str) -> Raw {
    let mut raw = door.raw().await;
    raw.request("GET", "/gotalk/", headers, "").await;
    raw
}

async fn peer(door: &Door, handlers: Handlers) -> Peer {
    patient(connect(&format!("ws://{}/gotalk/", door.ip()), handlers))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_peer_that_wants_to_know_its_callers_learns_what_curl_says_of_its_body() {
    let door = Door::open().await;
    let handlers = Handlers::new().handle_raw("what", |context, payload| async move {
        let door = context.caller().door.clone();
        Ok(format!("{door:?} {:?} {payload:?}", context.content_type()).into())
    });
    let page = peer(&door, handlers).await;
    let options = ServeOptions {
        caller: true,
        ..ServeOptions::default()
    };
    patient(page.at_hub().serve(&["what"], options)).await.unwrap();
    for (header, known) in [("Content-Type: text/csv\r\n", Some("text/csv")), ("", None)] {
        let response = door.ask("POST", "/call/what", header, "a,b").await;
        assert_eq!(response.text(), format!("{:?} {known:?} b\"a,b\"", Some("http")));
    }
}

#[tokio::test]
async fn a_peer_over_web_socket_is_a_party_like_any_other() {
    let door = Door::open().await;
    door.serve_usual();
    let handlers = Handlers::new().handle_raw("greet", |_, name| async move {
        Ok(Bytes::from([b"hello ", &name[..]].concat()))
    });
    let page = peer(&door, handlers).await;
    assert_eq!(patient(page.request_raw("upper", "x")).await.unwrap(), "X");
    assert_eq!(
        patient(page.request_raw("nobody", "")).await,
        Err(Fault::unknown_operation("nobody"))
    );
    patient(page.request_raw("hub.serve", r#"{"ops":["greet"]}"#))
        .await
        .unwrap();
    // What a page serves, curl can call.
    let response = door.post("/call/greet", "curl").await;
    assert_eq!((response.status, response.text()), (200, "hello curl"));
    let whoami = patient(page.request_raw("hub.whoami", "")).await.unwrap();
    let whoami: serde_json::Value = serde_json::from_slice(&whoami).unwrap();
    assert_eq!(whoami["door"], "websocket");
    assert!(
        whoami["address"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{whoami}"
    );
    page.close();
    patient(page.closed()).await;
    door.until(|stats| stats.sessions == 1).await;
    assert_eq!(
        door.post("/call/greet", "curl").await.status,
        503,
        "the page may come back"
    );
    assert_eq!(door.gateway.stats().web_sockets, 1);
}

#[tokio::test]
async fn the_upgrade_is_granted_with_what_the_client_asked_for() {
    let door = Door::open().await;
    let mut raw = upgrade(&door, UPGRADE).await;
    let response = raw.response("GET").await;
    assert_eq!(response.status, 101);
    assert_eq!(
        response.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(response.header("sec-websocket-protocol"), None);
    // The version, in a frame of its own.
    assert_eq!(raw.take(4).await, b"\x82\x0201");
    let mut raw = upgrade(
        &door,
        &format!("{UPGRADE}Sec-WebSocket-Protocol: switchboard.1\r\n"),
    )
    .await;
    assert_eq!(
        raw.response("GET").await.header("sec-websocket-protocol"),
        Some("switchboard.1")
    );
}

#[tokio::test]
async fn what_comes_with_the_upgrade_is_not_lost() {
    let door = Door::open().await;
    let mut raw = door.raw().await;
    // The version and a request, masked with zeroes, in the same packet as the request to upgrade.
    let message = b"01rask000ahub.whoami00000000";
    let mut bytes = format!("GET /gotalk/ HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n").into_bytes();
    bytes.extend_from_slice(&[0x82, 0x80 | message.len() as u8, 0, 0, 0, 0]);
    bytes.extend_from_slice(message);
    raw.send(bytes).await;
    assert_eq!(raw.response("GET").await.status, 101);
    assert!(raw.until("Rask0").await.is_some());
}

#[tokio::test]
async fn every_other_upgrade_is_refused_by_name_and_closed() {
    let door = Door::open().await;
    let without = |name: &str| -> String {
        let lines = UPGRADE.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with(name)).collect()
    };
    for (headers, status) in [
        (without("Sec-WebSocket-Key"), 400),
        (UPGRADE.replace(KEY, "short"), 400),
        (UPGRADE.replace("13", "8"), 426),
        (without("Sec-WebSocket-Version"), 426),
        (without("Connection"), 426),
        (without("Upgrade"), 426),
        (UPGRADE.replace("websocket", "h2c"), 426),
        (format!("{UPGRADE}Origin: null\r\n"), 403),
        (format!("{UPGRADE}Origin: http://evil.example\r\n"), 403),
    ] {
        let mut raw = upgrade(&door, &headers).await;
        let response = raw.response("GET").await;
        assert_eq!(response.status, status, "{headers}");
        if headers.contains("Upgrade: ") {
            assert_eq!(
                raw.rest().await,
                "",
                "what follows would not have been judged: {headers}"
            );
        }
    }
    let post = door.ask("POST", "/gotalk/", UPGRADE, "").await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET")));
    for origin in ["http://localhost", "http://localhost:80"] {
        let mut raw = upgrade(&door, &format!("{UPGRADE}Origin: {origin}\r\n")).await;
        assert_eq!(raw.response("GET").await.status, 101, "{origin}");
    }
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_answered_as_plain_http_and_closed() {
    let door = Door::open().await;
    let mut raw = door.raw().await;
    let headers =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    raw.request("GET", "/healthz", headers, "").await;
    raw.send("GET /call/hub.ops HTTP/1.1\nHost: localhost\n\n").await;
    let response = raw.response("GET").await;
    assert_eq!((response.status, response.text()), (200, "ready\n"));
    assert_eq!(raw.rest().await, "");
    assert_eq!(door.hub.stats().calls, 0);
}

/// A frame of a client, masked with zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short one");
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[tokio::test]
async fn whoever_breaks_the_rules_is_told_which_and_harms_nobody() {
    const TEXT: u8 = 0x81;
    const BINARY: u8 = 0x82;
    const CLOSE: u8 = 0x88;
    let mut options = HttpOptions::default();
    options.gotalk.peer.limits.payload_bytes_max = 1000;
    let door = Door::with(options).await;
    door.serve_usual();
    let page = peer(&door, Handlers::new()).await;
    // A gotalk message over the limit is told by gotalk's own code.
    for (name, bytes, code) in [
        ("unmasked", vec![BINARY, 1, b'h'], 1002),
        ("reserved bits", vec![0xc2, 0x80, 0, 0, 0, 0], 1002),
        ("no UTF-8", frame(TEXT, b"\xff\xff"), 1007),
        (
            "a frame over the limit",
            vec![BINARY, 0xff, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            1009,
        ),
        ("a close without a code", frame(CLOSE, b""), 1000),
        (
            "a message over the limit",
            frame(BINARY, b"r0001004echo000003e9"),
            4002,
        ),
    ] {
        let mut raw = upgrade(&door, UPGRADE).await;
        assert_eq!(raw.response("GET").await.status, 101);
        raw.send(frame(BINARY, b"01")).await;
        raw.send(&bytes).await;
        // What comes last is the frame that closes.
        let rest = raw.bytes().await;
        let closed = rest
            .windows(4)
            .rfind(|window| window[0] == CLOSE)
            .unwrap_or_else(|| panic!("{name}: {rest:?}"));
        assert_eq!(u16::from_be_bytes([closed[2], closed[3]]), code, "{name}");
    }
    // The page's and the door's own.
    door.until(|stats| stats.sessions == 2).await;
    assert_eq!(patient(page.request_raw("upper", "x")).await.unwrap(), "X");
}

#[tokio::test]
async fn a_thousand_half_open_upgrades_harm_nobody_and_end() {
    let mut options = HttpOptions::default();
    options.connection.head_timeout = Duration::from_millis(500);
    options.gotalk.peer.handshake_timeout = Duration::from_millis(500);
    let door = Door::with(options).await;
    door.serve_usual();
    let mut half_open = Vec::new();
    for number in 0..1000 {
        let mut raw = door.raw().await;
        match number % 2 {
            // Upgraded, and then not a word of gotalk.
            0 => raw.request("GET", "/gotalk/", UPGRADE, "").await,
            // Not even the request is complete.
            _ => {
                raw.send(format!("GET /gotalk/ HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}"))
                    .await
            }
        }
        half_open.push(raw);
    }
    let page = peer(&door, Handlers::new()).await;
    assert_eq!(
        patient(page.request_raw("upper", "as ever")).await.unwrap(),
        "AS EVER"
    );
    for (number, mut raw) in half_open.into_iter().enumerate() {
        let rest = raw.rest().await;
        let expected = if number % 2 == 0 {
            "HTTP/1.1 101 "
        } else {
            "HTTP/1.1 400 "
        };
        assert!(rest.starts_with(expected), "{rest}");
    }
    door.until(|stats| stats.sessions == 2).await;
}

#[tokio::test]
async fn small_messages_are_not_held_back_once_it_is_upgraded() {
    let shutdown = Shutdown::new();
    let hub = Hub::new(HubConfig::default());
    let gateway = HttpGateway::new(hub, HttpOptions::default(), Assets::none(), shutdown.clone());
    let (sockets, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    let door = move |connection: Connection| {
        let socket = connection.stream.as_fd().try_clone_to_owned().unwrap();
        sockets.send(TcpStream::from(socket)).unwrap();
        let gateway = gateway.clone();
        async move { gateway.accept(connection).await }
    };
    let network = Network::new(Limits::default());
    let listener = Listener::bind(config("tcp://127.0.0.1:0"), &network)
        .await
        .unwrap();
    let address = listener.local_address().ip().unwrap();
    tokio::spawn(listener.run(door, shutdown.clone()));

    let url = format!("ws://{address}/gotalk/");
    let peer = patient(connect(&url, Handlers::new())).await.unwrap();
    patient(peer.request_raw("hub.ops", "{}")).await.unwrap();
    let socket = accepted.recv().await.unwrap();
    assert!(socket.nodelay().unwrap());
    shutdown.stop();
}

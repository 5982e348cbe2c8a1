//! Ten thousand WebSockets that never come to be.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use switchboard_tests::{Daemon, LIMIT, Launch};

const CONNECTIONS: usize = 10_000;

/// Connections made at once: below the backlog of the listener, so that none has to try twice.
const BATCH: usize = 1_000;

/// Descriptors of this process that are no connections, generously.
const OTHER_DESCRIPTORS: u64 = 100;

/// What one such connection may cost the daemon, in bytes, in a debug build too: what it has said so far, and the
/// buffer that it is read into.
const BYTES_A_CONNECTION_MAX: u64 = 32 * 1024;

const UPGRADE: &str = "GET /gotalk/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// How far a connection goes.
#[derive(Clone, Copy)]
enum Stop {
    /// Not a byte.
    Connected,
    /// A request without its end.
    Asking,
    /// An upgrade that was granted, and then not a word.
    Upgraded,
    /// A first frame without its end.
    Framing,
}

const STOPS: [Stop; 4] = [Stop::Connected, Stop::Asking, Stop::Upgraded, Stop::Framing];

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("an option");
    stream
}

/// Connections that are each as far as they go.
fn open(address: SocketAddr, count: usize) -> Vec<(TcpStream, Stop)> {
    let mut opened: Vec<_> = (0..count)
        .map(|number| (connect(address), STOPS[number % STOPS.len()]))
        .collect();
    for (stream, stop) in &mut opened {
        let said = match stop {
            Stop::Connected => continue,
            Stop::Asking => UPGRADE.to_owned(),
            Stop::Upgraded | Stop::Framing => format!("{UPGRADE}\r\n"),
        };
        stream.write_all(said.as_bytes()).expect("it reads");
    }
    for (stream, stop) in &mut opened {
        if matches!(stop, Stop::Upgraded | Stop::Framing) {
            let head = head(stream);
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        }
        if matches!(stop, Stop::Framing) {
            // Two bytes of gotalk, of which only one comes.
            stream
                .write_all(&[0x82, 0x82, 0, 0, 0, 0, b'0'])
                .expect("it reads");
        }
    }
    opened
}

/// An answer's head, and not a byte more.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("it answers");
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

/// A call by HTTP, on a connection of its own.
fn call(address: SocketAddr) {
    let mut stream = connect(address);
    let request = "GET /call/hub.whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = CONNECTIONS as u64 + OTHER_DESCRIPTORS;
    assert!(
        hard >= wanted,
        "this test needs {wanted} open files (ulimit -Hn is {hard})"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("allowed");
}

fn launch(patience: &str) -> (Daemon, SocketAddr) {
    let daemon = Launch::tcp()
        .listen("http://127.0.0.1:0")
        .set("http", "head_timeout", patience)
        .set("http", "idle_timeout", patience)
        .set("limits", "handshake_timeout", patience)
        .start();
    let address = daemon.http_address();
    (daemon, address)
}

#[test]
fn ten_thousand_half_open_upgrades_harm_nobody() {
    raise_open_files();
    // All of them at once: nobody is sent away for being slow.
    let (daemon, address) = launch("10m");
    call(address);
    let before = daemon.memory();
    let mut half_open = Vec::new();
    while half_open.len() < CONNECTIONS {
        half_open.extend(open(address, BATCH));
        call(address);
    }
    let each = daemon.memory().saturating_sub(before) / CONNECTIONS as u64;
    assert!(
        each < BYTES_A_CONNECTION_MAX,
        "one half-open connection costs {each} bytes"
    );
    let mut peer = daemon.peer();
    peer.send(switchboard_tests::single(b"0001", "hub.whoami", ""));
    assert_eq!(peer.message().kind, 'R', "other doors are as ever");
    drop(peer);
    drop(half_open);
    // Whoever was granted an upgrade had a session: they all go.
    daemon.until_sessions(0);
    call(address);
    daemon.stop();
}

#[test]
fn half_open_upgrades_end_by_themselves() {
    let (daemon, address) = launch("200ms");
    for (mut stream, _) in open(address, 200) {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut rest);
        let rest = String::from_utf8_lossy(&rest);
        assert!(!rest.starts_with("HTTP/1.1 2"), "{rest}");
    }
    daemon.until_sessions(0);
    daemon.stop();
}

//! Ten thousand connections that do nothing.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use switchboard_tests::{LIMIT, Launch};

const CONNECTIONS: usize = 10_000;

/// Connections made at once: below the backlog of the listener, so that none has to try twice.
const BATCH: usize = 1_000;

/// Descriptors of this process that are no connections, generously.
const OTHER_DESCRIPTORS: u64 = 100;

/// What one idle connection may cost the daemon, in bytes; the aim of a release build, held by a debug build too.
const BYTES_A_CONNECTION_MAX: u64 = 20 * 1024;

/// Longest that a call may take beside them. Far above what it takes, far below a pause that a person would notice as
/// an outage.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = CONNECTIONS as u64 + OTHER_DESCRIPTORS;
    assert!(
        hard >= wanted,
        "this test needs {wanted} open files (ulimit -Hn is {hard})"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("allowed");
}

/// Connections after the exchange of versions.
fn open(address: std::net::SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams: Vec<_> = (0..count)
        .map(|_| TcpStream::connect(address).expect("it listens"))
        .collect();
    for stream in &mut streams {
        stream.set_read_timeout(Some(LIMIT)).expect("an option");
        stream.write_all(b"01").expect("it reads");
    }
    for stream in &mut streams {
        let mut version = [0; 2];
        stream.read_exact(&mut version).expect("it answers");
        assert_eq!(&version, b"01");
    }
    streams
}

#[test]
fn ten_thousand_idle_connections_harm_nobody() {
    raise_open_files();
    let daemon = Launch::tcp()
        // They say nothing, on purpose.
        .set("gotalk", "read_timeout", "10m")
        .set("gotalk", "heartbeat_interval", "5m")
        .start();
    let mut responder = daemon.peer().serve("work");
    let mut caller = daemon.peer();
    let mut call = |number: usize| {
        let begin = Instant::now();
        let payload = number.to_string();
        caller.send(switchboard_tests::single(b"0001", "work", &payload));
        let request = responder.message();
        assert_eq!((request.kind, request.text()), ('r', payload.clone()));
        responder.send([b"R", &request.id[..], b"00000002ok"].concat());
        assert_eq!(caller.message().text(), "ok");
        assert!(begin.elapsed() < CALL_TIME_MAX, "it took {:?}", begin.elapsed());
    };
    call(0);

    let before = daemon.memory();
    let mut idle = Vec::new();
    while idle.len() < CONNECTIONS {
        idle.extend(open(daemon.address(), BATCH));
        call(idle.len());
    }
    let each = daemon.memory().saturating_sub(before) / CONNECTIONS as u64;
    assert!(
        each < BYTES_A_CONNECTION_MAX,
        "one idle connection costs {each} bytes"
    );
    for number in 0..100 {
        call(number);
    }
    daemon.until_sessions(CONNECTIONS + 2);

    // Half of them go, all at once; those that stay are still served.
    let mut staying = idle.split_off(CONNECTIONS / 2);
    drop(idle);
    call(1);
    daemon.until_sessions(CONNECTIONS / 2 + 2);
    let one = staying.last_mut().expect("one of them");
    one.write_all(b"r0001004nope00000000").expect("it reads");
    let mut answer = [0; 1];
    one.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"E");
    daemon.stop();
}

//! Connections that never begin, and too many of them.

use std::time::Duration;

use switchboard_tests::{Daemon, Launch, Peer, openssl, until};

/// Connections of each kind that stay silent at once.
const SILENT: usize = 150;

/// Longest wait for a refusal, which is given before anything else.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(10);

/// How long silence shows that a connection was not refused.
const TAKEN_TIME: Duration = Duration::from_millis(200);

/// Calls that an operation nobody serves is refused properly.
fn is_served(peer: &mut Peer) {
    let answer = peer.call("nope", "");
    assert_eq!(
        (answer.kind, answer.text()),
        ('E', "unknown operation \"nope\"".to_owned())
    );
}

#[test]
fn whoever_does_not_begin_is_told_at_the_deadline_and_harms_nobody() {
    let daemon = Launch::tcp().set("limits", "handshake_timeout", "500ms").start();
    let mut other = daemon.peer();
    let begun = |first: &str| {
        let mut peer = Peer::tcp_silent(daemon.address());
        peer.send(first);
        peer
    };
    let mut silent: Vec<_> = ["", "0"]
        .into_iter()
        .flat_map(|first| (0..SILENT).map(move |_| first))
        .map(begun)
        .collect();
    is_served(&mut other);
    for peer in &mut silent {
        assert_eq!(peer.last_words(), "01f00000003");
        is_served(&mut other);
    }
    daemon.until_sessions(1);
}

#[test]
fn a_tls_handshake_that_never_ends_is_ended() {
    let daemon = Launch::new()
        .listen("tls://127.0.0.1:0")
        .arguments(&["--tls-self-signed"])
        .set("limits", "handshake_timeout", "700ms")
        .start();
    let mut silent: Vec<_> = (0..SILENT).map(|_| Peer::tcp_silent(daemon.address())).collect();
    // The beginning of a record, which promises a ClientHello of 512 bytes.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for peer in silent.iter_mut().step_by(2) {
        peer.send(hello);
    }
    let ca = daemon.folder().join("data/self-signed.crt");
    let mut other = openssl::connect(daemon.address(), &ca, &[]).greeted();
    for peer in &mut silent {
        assert_eq!(peer.rest(), b"", "there is nothing to say before TLS");
    }
    is_served(&mut other);

    // TLS, and then not a word of gotalk.
    let mut within = openssl::connect(daemon.address(), &ca, &[]);
    assert_eq!(within.last_words(), "01f00000003");
    is_served(&mut other);
}

/// A connection that may be refused: `None` then.
fn try_greet(daemon: &Daemon, source: &str) -> Option<Peer> {
    let mut peer = Peer::tcp_from(source, daemon.address());
    if peer.is_refused_before_version() {
        return None;
    }
    peer.send("01");
    Some(peer)
}

#[test]
fn an_address_may_have_so_many_connections_and_others_are_not_concerned() {
    let daemon = Launch::tcp()
        .listen("unix://s")
        .set("limits", "connections_per_address", "3")
        .start();
    let mut three: Vec<_> = (0..3)
        .map(|_| try_greet(&daemon, "127.0.0.1").expect("within the limit"))
        .collect();
    for _ in 0..20 {
        let mut fourth = Peer::tcp_from("127.0.0.1", daemon.address());
        assert!(fourth.is_refused(REFUSAL_TIME_MAX), "it is closed at once");
    }
    is_served(&mut try_greet(&daemon, "127.0.0.2").expect("another address"));
    is_served(&mut Peer::unix(&daemon.folder().join("s")));
    for peer in &mut three {
        is_served(peer);
    }
    // A place that is given up can be taken.
    drop(three.pop());
    let mut next = until("a place", || try_greet(&daemon, "127.0.0.1"));
    is_served(&mut next);
    assert!(try_greet(&daemon, "127.0.0.1").is_none(), "and no more than that");
}

#[test]
fn new_connections_may_come_so_fast_and_later_again() {
    let daemon = Launch::tcp()
        .set("limits", "new_connections_per_second_per_address", "5")
        .start();
    let taken = (0..30)
        .filter(|_| try_greet(&daemon, "127.0.0.1").is_some())
        .count();
    // Five at once, and as the test runs a few more.
    assert!((5..30).contains(&taken), "{taken} of 30 were taken");
    is_served(&mut try_greet(&daemon, "127.0.0.2").expect("another address"));
    is_served(&mut until("a recovery", || try_greet(&daemon, "127.0.0.1")));
}

#[test]
fn the_daemon_takes_so_many_connections_in_all() {
    let daemon = Launch::new()
        .listen("unix://s")
        .set("limits", "connections", "10")
        .start();
    let path = daemon.folder().join("s");
    let mut ten: Vec<_> = (0..10).map(|_| Peer::unix(&path)).collect();
    assert!(Peer::unix_silent(&path).is_refused(REFUSAL_TIME_MAX));
    for peer in &mut ten {
        is_served(peer);
    }
    ten.clear();
    until("room", || {
        let mut peer = Peer::unix_silent(&path);
        (!peer.is_refused(TAKEN_TIME)).then_some(())
    });
}

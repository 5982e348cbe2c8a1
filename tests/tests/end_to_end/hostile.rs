//! What no gotalk peer would say: each gets its named answer before the end, over every carrier.

use switchboard_tests::{Daemon, Launch, Peer, openssl, single};

/// What comes after the fault and is never read by the daemon: more than its socket takes while nobody reads.
const UNREAD_BYTES: usize = 512 * 1024;

const UNSUPPORTED: &str = "01f00000001";
const INVALID: &str = "f00000002";

/// Instead of a version, and the answer.
const OPENINGS: [(&str, &str); 5] = [
    ("00", UNSUPPORTED),
    ("02", UNSUPPORTED),
    ("ff", UNSUPPORTED),
    ("zz", UNSUPPORTED),
    ("GET / HTTP/1.1\r\n\r\n", UNSUPPORTED),
];

/// After the version.
const MESSAGES: [&[u8]; 16] = [
    // Unknown types.
    b"q0001",
    b"\0\0\0\0",
    b"01",
    // Digits that are none.
    b"r00010x4echo00000000",
    b"r0001-04echo00000000",
    b"r0001004echo0000000g",
    b"r0001004echo +000001",
    b"n004chat0000_001x",
    b"hzzzz00000000",
    b"e0001xxxxxxxx00000000",
    // A name that is no text.
    b"r0001002\xff\xfe00000000",
    // More than any payload may be.
    b"r0001004echoffffffff",
    b"n004chat01000001",
    b"R0001ffffffff",
    // Parts of a stream that never began.
    b"p000100000003abc",
    b"p000100000000",
];

/// Sends it, and much more behind it that is never read; the last words must come all the same, and then a proper
/// end, no reset.
#[track_caller]
fn is_told(mut peer: Peer, bytes: &[u8], last_words: &str) {
    // It may close while we write: what it said is what counts.
    let _ = peer.try_send([bytes, &[b'x'; UNREAD_BYTES]].concat());
    assert_eq!(
        peer.last_words(),
        last_words,
        "{}",
        String::from_utf8_lossy(bytes)
    );
}

/// Every fault, over connections that `connect` makes, while another connection goes on.
#[track_caller]
fn all_are_told(daemon: &Daemon, connect: impl Fn() -> Peer) {
    let unix = daemon.folder().join("s");
    let mut other = Peer::unix(&unix);
    let mut is_unharmed = || assert_eq!(other.call("nope", "").kind, 'E');
    for (opening, last_words) in OPENINGS {
        is_told(connect(), opening.as_bytes(), last_words);
        is_unharmed();
    }
    for message in MESSAGES {
        is_told(connect().greeted(), message, INVALID);
        is_unharmed();
    }
    daemon.until_sessions(1);
}

#[test]
fn over_tcp_every_fault_is_named_before_the_end() {
    let daemon = Launch::new()
        .listen("unix://s")
        .listen("tcp://127.0.0.1:0")
        .start();
    let address = switchboard_tests::tcp_address(&daemon.doors[1]);
    all_are_told(&daemon, || Peer::tcp_silent(address));
}

#[test]
fn over_a_unix_socket_every_fault_is_named_before_the_end() {
    let daemon = Launch::new().listen("unix://s").start();
    let path = daemon.folder().join("s");
    all_are_told(&daemon, || Peer::unix_silent(&path));
}

#[test]
fn within_tls_every_fault_is_named_before_the_end() {
    let daemon = Launch::new()
        .listen("unix://s")
        .listen("tls://127.0.0.1:0")
        .arguments(&["--tls-self-signed"])
        .start();
    let address = switchboard_tests::tcp_address(&daemon.doors[1]);
    let ca = daemon.folder().join("data/self-signed.crt");
    all_are_told(&daemon, || openssl::connect(address, &ca, &[]));
}

#[test]
fn what_is_odd_but_legal_is_answered() {
    let daemon = Launch::tcp().start();
    let mut peer = daemon.peer();
    let mut error = |operation: &str| -> String {
        let answer = peer.call(operation, "payload");
        assert_eq!(answer.kind, 'E', "{answer:?}");
        answer.text()
    };
    // The longest name there is, and the shortest.
    let longest = "ü".repeat(2047) + "x";
    assert!(error(&longest).starts_with("unknown operation \"ü"));
    assert_ne!(error(""), "");
    assert!(error("hub.nope").contains("hub.nope"));
    // Results of requests that nobody made, and notifications that cannot be topics, are nothing to speak of.
    peer.send(
        "Rnope00000002hiEnope00000002hienope0000000100000002hiSnope00000000n00000000002hin001#00000000",
    );
    assert_eq!(peer.call("nope", "").kind, 'E');
    // A heartbeat is not answered; a good-bye is taken.
    peer.send("hffff54d7de9af00000000");
    assert_eq!(peer.last_words(), "");
}

#[test]
fn an_id_that_is_used_again_confuses_nobody() {
    let daemon = Launch::tcp().start();
    let mut responder = daemon.peer().serve("work");
    let (mut peer, mut other) = (daemon.peer(), daemon.peer());
    // Whoever asks twice under one id gets two answers under it; the same id of another connection is another's.
    peer.send(single(b"same", "work", "one"));
    peer.send(single(b"same", "work", "two"));
    let mut ids = [responder.message().id, responder.message().id];
    other.send(single(b"same", "work", "of another"));
    let others = responder.message();
    assert_eq!(others.text(), "of another");
    responder.send([b"R", &others.id[..], b"0000000aof another"].concat());
    assert_eq!(
        (other.message().text(), ids.contains(&others.id)),
        ("of another".to_owned(), false)
    );
    ids.reverse();
    for id in ids {
        responder.send([b"R", &id[..], b"00000002ok"].concat());
        let answer = peer.message();
        assert_eq!(
            (answer.kind, &answer.id[..], &*answer.text()),
            ('R', &b"same"[..], "ok")
        );
    }
    // A second stream under the id of one that has not ended could not be told from it.
    peer.send("sflow004work00000003one");
    peer.send("sflow004work00000003two");
    assert_eq!(peer.last_words(), INVALID);
    assert_eq!(other.call("nope", "").kind, 'E');
}

#[test]
fn a_declared_size_costs_nothing_until_its_bytes_come() {
    const LIARS: usize = 200;
    let daemon = Launch::tcp().start();
    let before = daemon.memory();
    let mut liars: Vec<_> = (0..LIARS)
        .map(|_| {
            let mut peer = daemon.peer();
            // 16 MiB, of which 5 bytes come.
            peer.send("r0001004work01000000hello");
            peer
        })
        .collect();
    daemon.until_sessions(LIARS);
    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < 50 << 20, "{LIARS} lies cost {grown} bytes");
    // One that ends in the middle of its lie is closed.
    let mut liar = liars.pop().expect("one of them");
    liar.half_close();
    let last_words = liar.last_words();
    assert!(["", "f00000000", INVALID].contains(&&*last_words), "{last_words}");
}

#[test]
fn a_message_that_never_ends_is_a_timeout() {
    let daemon = Launch::tcp()
        .set("gotalk", "read_timeout", "600ms")
        .set("gotalk", "heartbeat_interval", "100ms")
        .start();
    let mut peers = ["", "r", "r0001004wor", "r0001004work00000100abc"].map(|begin| {
        let mut peer = daemon.peer();
        peer.send(begin);
        peer
    });
    for peer in &mut peers {
        let last_words = peer.last_words();
        assert_eq!(last_words, "f00000003");
    }
}

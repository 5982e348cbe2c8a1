//! The end of the daemon while something runs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use switchboard_tests::{Daemon, LIMIT, Launch, Peer, Process, Signal, single, stream, until};

/// A stream that is under way: caller, responder, and the id that the responder knows it by.
fn under_way(daemon: &Daemon) -> (Peer, Peer, Vec<u8>) {
    let mut responder = daemon.peer().serve("work");
    let mut caller = daemon.peer();
    caller.send(stream(b"0001", "work", "one"));
    let request = responder.message();
    assert_eq!((request.kind, &*request.name), ('s', "work"));
    // The hub may begin a stream with an empty part: only a `p` ends one.
    let first = if request.payload.is_empty() {
        responder.message()
    } else {
        request.clone()
    };
    assert_eq!((&first.id, &*first.text()), (&request.id, "one"));
    responder.send([b"S", &request.id[..], b"00000003ONE"].concat());
    assert_eq!(caller.message().text(), "ONE");
    (caller, responder, request.id)
}

#[test]
fn a_stop_lets_a_call_and_a_stream_end_and_takes_nothing_new() {
    let daemon = Launch::tcp().arguments(&["--grace", "1m"]).start();
    let address = daemon.address();
    let (mut caller, mut responder, id) = under_way(&daemon);
    let mut single_caller = daemon.peer();
    single_caller.send(single(b"0002", "work", "single"));
    let request = responder.message();
    let mut idle = daemon.peer();

    let mut process: Process = daemon.process;
    process.send(Signal::SIGTERM);
    process.says("draining");
    // Who does nothing may go; who comes is not let in.
    assert_eq!(idle.last_words(), "");
    until("a closed door", || {
        TcpStream::connect_timeout(&address, LIMIT).is_err().then_some(())
    });
    // New requests are told to come later, running ones go on.
    caller.send(single(b"late", "work", "x"));
    let refusal = caller.message();
    assert_eq!(
        (refusal.kind, &refusal.id[..]),
        ('e', &b"late"[..]),
        "{refusal:?}"
    );
    responder.send([b"R", &request.id[..], b"00000004done"].concat());
    assert_eq!(single_caller.message().text(), "done");
    caller.send("p000100000003twop000100000000");
    assert_eq!(responder.message().text(), "two");
    assert_eq!(responder.message().text(), "");
    responder.send([b"S", &id[..], b"00000003TWOS", &id[..], b"00000000"].concat());
    assert_eq!(caller.message().text(), "TWO");
    assert_eq!(caller.message().text(), "");
    for peer in [&mut caller, &mut single_caller, &mut responder] {
        assert_eq!(peer.last_words(), "");
    }
    let ran = process.end();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("everything had ended"), "{ran:?}");
}

#[test]
fn a_second_signal_ends_a_stream_by_a_fault() {
    let daemon = Launch::tcp().arguments(&["--grace", "1m"]).start();
    let (mut caller, mut responder, _) = under_way(&daemon);
    let mut command = daemon.spawn(&["call", "--stream", "work"]);
    let request = responder.message();
    responder.send([b"S", &request.id[..], b"00000005half\n"].concat());
    assert_eq!(command.line(), "half");

    let mut process = daemon.process;
    process.send(Signal::SIGTERM);
    process.says("draining");
    process.send(Signal::SIGTERM);
    let ran = process.end();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("not everything had ended"), "{ran:?}");
    let last_words = caller.last_words();
    assert!(
        !last_words.starts_with("S000100000000"),
        "a whole stream, it seems: {last_words}"
    );
    let ran = command.end();
    assert_eq!((ran.status, ran.text()), (75, ""), "{ran:?}");
}

/// One more connection to the HTTP door, on which this is said.
fn http(address: SocketAddr, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("an option");
    stream.write_all(said.as_bytes()).expect("it reads");
    stream
}

/// All that is answered up to the end of the connection.
fn answers(mut stream: TcpStream) -> String {
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("an end");
    answers
}

#[test]
fn a_daemon_that_stops_says_so_to_who_is_there_and_takes_nobody_in() {
    let daemon = Launch::tcp()
        .listen("http://127.0.0.1:0")
        .arguments(&["--grace", "1m"])
        .start();
    let address = daemon.http_address();
    let mut responder = daemon.peer().serve("work");
    let caller = http(
        address,
        "POST /call/work HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
    );
    let request = responder.message();
    // Is it well? A question that is half asked when the signal comes.
    let asking = http(address, "GET /healthz HTTP/1.1\r\n");
    let idle = http(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut ready = [0; 12];
    (&idle).read_exact(&mut ready).expect("an answer");
    assert_eq!(&ready, b"HTTP/1.1 200", "before");

    let mut process = daemon.process;
    process.send(Signal::SIGTERM);
    process.says("draining");
    // For whoever comes now, the door is closed: that is how a balancer learns that it should look elsewhere.
    until("a closed door", || {
        TcpStream::connect_timeout(&address, LIMIT).is_err().then_some(())
    });
    assert!(
        answers(idle).ends_with("ready\n"),
        "a connection without a request ends"
    );
    (&asking)
        .write_all(b"Host: localhost\r\n\r\n")
        .expect("it reads on");
    let answer = answers(asking).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503 "), "{answer}");
    assert!(
        answer.contains("connection: close") && answer.contains("shutting down"),
        "{answer}"
    );
    // The call that is under way ends as ever.
    responder.send([b"R", &request.id[..], b"00000004done"].concat());
    let answer = answers(caller);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"),
        "{answer}"
    );
    let ran = process.end();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("everything had ended"), "{ran:?}");
}

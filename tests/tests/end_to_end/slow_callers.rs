//! Callers that never read what they asked for: what they cost the daemon, and nobody else.

use std::thread;

use switchboard_tests::{Daemon, Launch, Message, Peer, single};

/// Bytes of one result, or of one part of a streamed one.
const RESULT_BYTES: usize = 256 * 1024;

/// Results that are asked for: 100 MiB.
const CALLS: u32 = 400;

/// What a connection may have held for it, as configured; see `buffered_max`.
const BUFFERED_MAX: &str = "4MiB";

/// What one that never reads may cost the daemon: results not yet written may be twice the configured bound, and as
/// much again may be on its way through the responder's connection and the allocator.
const MEMORY_MAX: u64 = 32 << 20;

fn launch() -> Daemon {
    Launch::tcp()
        .set("gotalk", "payload_max", "1MiB")
        .set("gotalk", "buffered_max", BUFFERED_MAX)
        .start()
}

fn answer(kind: u8, request: &Message, payload: &[u8]) -> Vec<u8> {
    let size = format!("{:08x}", payload.len());
    [&[kind], &request.id[..], size.as_bytes(), payload].concat()
}

#[test]
fn results_that_nobody_reads_are_bounded_and_each_call_is_answered_in_the_end() {
    let daemon = launch();
    let mut responder = daemon.peer().serve("large");
    // It answers as long as it is asked; the test's end is its end.
    thread::spawn(move || {
        loop {
            let request = responder.message();
            responder.send(answer(b'R', &request, &vec![b'.'; RESULT_BYTES]));
        }
    });
    let before = daemon.memory();
    let mut slow = Peer::tcp_narrow(daemon.address());
    for number in 0..CALLS {
        slow.send(single(&number.to_be_bytes(), "large", "x"));
    }
    let mut other = daemon.peer();
    for _ in 0..50 {
        assert_eq!(other.call("large", "x").payload.len(), RESULT_BYTES);
        let grown = daemon.memory().saturating_sub(before);
        assert!(grown < MEMORY_MAX, "the daemon has grown by {grown} bytes");
    }
    let mut answered = vec![0; CALLS as usize];
    let mut results = 0;
    for _ in 0..CALLS {
        let message = slow.message();
        let number = u32::from_be_bytes(message.id.clone().try_into().expect("4 bytes"));
        answered[number as usize] += 1;
        match message.kind {
            'R' => results += 1,
            'e' => assert!(message.number > 0, "told to wait: {message:?}"),
            _ => panic!("{message:?}"),
        }
    }
    assert!(answered.iter().all(|&times| times == 1), "each exactly once");
    assert!(results > 0);
    assert_eq!(slow.call("large", "x").kind, 'R', "it is as good as before");
}

#[test]
fn a_stream_that_nobody_reads_holds_up_its_sender_alone() {
    /// Parts of the stream: 100 MiB.
    const PARTS: u32 = CALLS;

    let daemon = launch();
    let mut responder = daemon.peer().serve("endless");
    let mut slow = Peer::tcp_narrow(daemon.address());
    slow.send(single(b"0001", "endless", "x"));
    let request = responder.message();
    let before = daemon.memory();
    let sending = thread::spawn(move || {
        for number in 0..PARTS {
            let mut part = vec![b'.'; RESULT_BYTES];
            part[..4].copy_from_slice(&number.to_be_bytes());
            responder.send(answer(b'S', &request, &part));
        }
        responder.send(answer(b'S', &request, b""));
        responder
    });
    let mut other = daemon.peer();
    let mut another = daemon.peer().serve("echo");
    for _ in 0..200 {
        other.send(single(b"0002", "echo", "hello"));
        let request = another.message();
        another.send(answer(b'R', &request, b"hello"));
        assert_eq!(other.message().text(), "hello");
        let grown = daemon.memory().saturating_sub(before);
        assert!(grown < MEMORY_MAX, "the daemon has grown by {grown} bytes");
    }
    assert!(!sending.is_finished(), "the sender is held up");

    // Nothing is lost once it is read.
    let mut bytes = Vec::new();
    loop {
        let part = slow.message();
        assert_eq!(part.kind, 'S', "{:?}", part.text());
        if part.payload.is_empty() {
            break;
        }
        bytes.extend(part.payload);
    }
    let numbers = bytes
        .chunks(RESULT_BYTES)
        .map(|part| u32::from_be_bytes([part[0], part[1], part[2], part[3]]));
    assert!(numbers.eq(0..PARTS), "{} bytes came", bytes.len());
    let mut responder = sending.join().expect("it sent everything");
    assert_eq!(responder.call("nope", "").kind, 'E');
}

//! A subscriber that never reads: what it costs the publisher, the other subscribers and the daemon, by its policy.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use switchboard_tests::{Daemon, LIMIT, Launch, Peer, until};

/// Bytes of one message.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Messages of a flood: 96 MiB, many times what queues and the buffers of sockets hold.
const FLOOD: usize = 1536;

/// What a flood may cost the daemon: the queues of two subscribers and the send buffers of their connections, 1 MiB each;
/// what the publisher's connection may hold, as [`launch`]ed 4 MiB; and several times that for the allocator, for it is
/// a third of the flood that would show that something is kept.
const MEMORY_MAX: u64 = 32 << 20;

/// How long a full queue of policy `block` holds up one message.
const BLOCK_TIME: Duration = Duration::from_secs(1);

fn launch() -> Daemon {
    Launch::tcp()
        .set("gotalk", "payload_max", "1MiB")
        .set("gotalk", "buffered_max", "4MiB")
        .start()
}

/// A message that begins with its number.
fn numbered(number: usize) -> Vec<u8> {
    let mut payload = format!("{number:08}").into_bytes();
    payload.resize(MESSAGE_BYTES, b'.');
    payload
}

fn number(payload: &[u8]) -> usize {
    let digits = std::str::from_utf8(&payload[..8]).expect("digits");
    digits.parse().expect("a number")
}

fn notification(topic: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("n{:03x}{topic}{:08x}", topic.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Another subscriber, which reads: it gets every message, in order.
fn healthy(daemon: &Daemon) -> JoinHandle<()> {
    let mut peer = daemon.peer().subscribe("flood", "block");
    thread::spawn(move || {
        for expected in 0..FLOOD {
            let message = peer.message();
            assert_eq!((message.kind, number(&message.payload)), ('n', expected));
        }
    })
}

/// Publishes all of it, and returns when the hub has taken it.
fn flood(publisher: &mut Peer) {
    for at in 0..FLOOD {
        publisher.send(notification("flood", &numbered(at)));
    }
    publisher.ask("hub.whoami", "{}");
}

/// Floods a subscriber of this policy that does not read, beside a healthy one; then hands it out, to be read.
fn flooded(daemon: &Daemon, policy: &str) -> Peer {
    let slow = Peer::tcp_narrow(daemon.address()).subscribe("flood", policy);
    let healthy = healthy(daemon);
    let mut publisher = daemon.peer();
    let before = daemon.memory();
    flood(&mut publisher);
    healthy.join().expect("the other subscriber gets everything");
    let grown = daemon.memory().saturating_sub(before);
    assert!(
        grown < MEMORY_MAX,
        "{policy}: the daemon has grown by {grown} bytes"
    );
    slow
}

/// Numbers of what a subscriber gets up to the last message of the flood.
fn read_to_the_last(slow: &mut Peer) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(FLOOD - 1)) {
        numbers.push(number(&slow.message().payload));
    }
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    numbers
}

#[test]
fn drop_oldest_loses_the_oldest_and_keeps_the_newest() {
    let daemon = launch();
    let mut slow = flooded(&daemon, "drop-oldest");
    let numbers = read_to_the_last(&mut slow);
    assert!(numbers.len() < FLOOD / 2, "{} messages were kept", numbers.len());
    // The queue holds its whole bound of the newest, without a gap.
    let newest = numbers
        .iter()
        .rev()
        .zip((0..FLOOD).rev())
        .take_while(|(one, other)| *one == other);
    assert!(newest.count() >= 8, "{numbers:?}");
    let stats = slow.ask("hub.stats", "{}");
    assert!(stats["dropped"].as_u64().expect("a count") > 0, "{stats}");
}

#[test]
fn latest_keeps_the_last_alone() {
    let daemon = launch();
    let mut slow = flooded(&daemon, "latest");
    let numbers = read_to_the_last(&mut slow);
    assert!(numbers.len() < FLOOD / 2, "{} messages were kept", numbers.len());
    let stats = slow.ask("hub.stats", "{}");
    assert!(stats["replaced"].as_u64().expect("a count") > 0, "{stats}");
}

#[test]
fn disconnect_ends_the_slow_one() {
    let daemon = launch();
    let mut slow = flooded(&daemon, "disconnect");
    // Gone without having read: whoever takes nothing cannot be told. (The healthy one and the publisher have left.)
    daemon.until_sessions(0);
    let received = slow.received_to_the_end();
    assert!(received < FLOOD * MESSAGE_BYTES / 2, "it got {received} bytes");
}

#[test]
fn block_holds_the_publisher_up_for_a_bounded_time_and_nobody_else() {
    let daemon = launch();
    let mut slow = Peer::tcp_narrow(daemon.address()).subscribe("flood", "block");
    let before = daemon.memory();
    let mut publisher = daemon.peer();
    let mut publish = |at: usize| {
        let begin = Instant::now();
        let request = format!(r#"{{"topic":"flood","payload":"{}"}}"#, ".".repeat(MESSAGE_BYTES));
        publisher.ask("hub.publish", &request);
        (at, begin.elapsed())
    };
    // Everything that can hold a message is full when the hub waits the first time.
    let (held, first_wait) = (0..FLOOD)
        .map(&mut publish)
        .find(|(_, time)| *time >= BLOCK_TIME / 2)
        .expect("a publisher waits for a subscriber that reads nothing");
    assert!(first_wait < LIMIT / 2, "it waited {first_wait:?}");
    assert!(
        held * MESSAGE_BYTES < 16 << 20,
        "{held} messages were taken first"
    );

    let grown = daemon.memory().saturating_sub(before);
    assert!(grown < MEMORY_MAX, "the daemon has grown by {grown} bytes");

    // Meanwhile others publish other things at once, and calls go on.
    let begin = Instant::now();
    let mut other = daemon.peer().subscribe("calm", "block");
    other.send(notification("calm", b"hello"));
    assert_eq!(other.message().text(), "hello");
    assert_eq!(other.call("nope", "").kind, 'E');
    assert!(begin.elapsed() < LIMIT / 2);

    // Each further message waits its time, no longer; then it is lost to the slow one only, and counted.
    let (_, wait) = publish(held + 1);
    assert!((BLOCK_TIME / 2..LIMIT / 2).contains(&wait), "it waited {wait:?}");
    let stats = other.ask("hub.stats", "{}");
    assert!(stats["dropped"].as_u64().expect("a count") >= 1, "{stats}");

    // Once it reads, nobody waits any more.
    let reading = thread::spawn(move || {
        while slow.message().text() != "end" {}
        slow
    });
    until("an end of the waiting", || {
        (publish(0).1 < BLOCK_TIME / 2).then_some(())
    });
    other.send(notification("flood", b"end"));
    let mut slow = reading.join().expect("it reads on");
    assert_eq!(slow.call("nope", "").kind, 'E');
}

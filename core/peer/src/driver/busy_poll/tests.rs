use std::io::Write;
use std::os::unix::net::UnixStream as Raw;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpListener;

use super::*;
use crate::close::CloseReason;
use crate::connection::{Connection, Wish};
use crate::handlers::Handlers;
use crate::options::Options;
use crate::peer::{Peer, Side};
use crate::service::Caller;

/// Longer than any test may be held up: a look that finds nothing at once is a failure.
const LIMIT: Duration = Duration::from_secs(2);

fn options(busy_poll: Duration) -> Options {
    Options {
        heartbeat_interval: None,
        busy_poll,
        ..Options::default()
    }
}

/// A driver in the test's hands, and the other end of its socket.
fn driver(handlers: Handlers, busy_poll: Duration) -> (Driver<UnixStream>, Raw) {
    let (one, other) = Raw::pair().unwrap();
    one.set_nonblocking(true).unwrap();
    let io = tokio::net::UnixStream::from_std(one).unwrap().try_into().unwrap();
    let connection = Arc::new(Connection::new(options(busy_poll), Arc::new(Caller::default())));
    let driver = Driver::new(io, connection, Arc::new(handlers), BytesMut::new(), false);
    (driver, other)
}

fn turn<T: Transport>(driver: &mut Driver<T>) -> Poll<CloseReason> {
    Pin::new(driver).poll(&mut Context::from_waker(Waker::noop()))
}

/// A request whose handler sends the next one before it answers: how many are answered in the turn that reads the first?
async fn answered_in_one_turn(busy_poll: Duration) -> usize {
    let next: Arc<std::sync::OnceLock<Raw>> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let (sender, counter) = (Arc::clone(&next), Arc::clone(&calls));
    let handlers = Handlers::new().handle_raw("next", move |_, _| {
        if counter.fetch_add(1, Ordering::SeqCst) < 3 {
            sender.get().unwrap().write_all(b"r0001004next00000000").unwrap();
        }
        std::future::ready(Ok(Bytes::new()))
    });
    let (mut driver, other) = driver(handlers, busy_poll);
    for _ in 0..=TURNS_ALONE {
        assert!(turn(&mut driver).is_pending());
    }
    (&other).write_all(b"r0000004next00000000").unwrap();
    next.set(other).unwrap();
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
        assert!(turn(&mut driver).is_pending());
    }
    calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn what_comes_at_once_is_read_without_the_runtime() {
    assert_eq!(answered_in_one_turn(Duration::ZERO).await, 1);
    assert_eq!(answered_in_one_turn(Duration::from_millis(1)).await, 4);
}

/// A driver that would look, and finds a byte.
fn expectant() -> (Driver<UnixStream>, Raw) {
    let (mut driver, other) = driver(Handlers::new(), LIMIT);
    driver.busy_poll.expecting = true;
    driver.busy_poll.turns = TURNS_ALONE;
    (&other).write_all(b"r").unwrap();
    (driver, other)
}

fn looks(driver: &mut Driver<UnixStream>) -> bool {
    let looked = driver.poll_busy(&mut Context::from_waker(Waker::noop()));
    matches!(looked.unwrap(), Looked::More)
}

#[tokio::test]
async fn a_connection_looks_only_while_it_reads_and_has_its_thread_for_itself() {
    let (mut driver, _other) = expectant();
    assert!(looks(&mut driver));

    let (mut driver, _other) = expectant();
    driver.busy_poll.expecting = false;
    assert!(!looks(&mut driver));

    let (mut driver, _other) = expectant();
    driver.busy_poll.turns = TURNS_ALONE - 1;
    assert!(!looks(&mut driver));

    let (mut driver, _other) = expectant();
    driver.pause(super::super::PauseOn::Notifications);
    assert!(!looks(&mut driver));

    let (mut driver, _other) = expectant();
    driver.connection.want(Wish::Close);
    driver.check_wish();
    assert!(!looks(&mut driver));
}

#[tokio::test]
async fn a_turn_for_another_connection_ends_the_count() {
    let (mut one, _one) = driver(Handlers::new(), LIMIT);
    let (mut other, _other) = driver(Handlers::new(), LIMIT);
    for turns in 0..5 {
        one.begin_turn();
        assert_eq!(one.busy_poll.turns, turns);
    }
    other.begin_turn();
    one.begin_turn();
    assert_eq!((one.busy_poll.turns, other.busy_poll.turns), (0, 0));
}

#[tokio::test]
async fn what_is_only_told_brings_nothing_back() {
    let (mut driver, other) = driver(Handlers::new(), LIMIT);
    let peer = Peer::from(Arc::clone(&driver.connection));
    peer.notify_now("name", &Bytes::new()).unwrap();
    assert!(turn(&mut driver).is_pending());
    assert!(!driver.busy_poll.expecting);
    let call = peer.request_raw("name", "");
    let mut call = std::pin::pin!(call);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    assert!(turn(&mut driver).is_pending());
    assert!(driver.busy_poll.expecting);
    drop(other);
}

#[tokio::test]
async fn the_rest_of_a_large_message_is_left_to_the_runtime() {
    let (mut driver, other) = expectant();
    (&other).write_all(&[b'x'; 2 * LOOK_BYTES]).unwrap();
    assert!(looks(&mut driver));
    assert!(!driver.busy_poll.expecting);
    assert!(!looks(&mut driver));
}

#[tokio::test]
async fn the_end_of_the_stream_is_left_to_the_runtime() {
    let (mut driver, other) = driver(Handlers::new(), Duration::from_millis(1));
    driver.busy_poll.expecting = true;
    driver.busy_poll.turns = TURNS_ALONE;
    drop(other);
    assert!(!looks(&mut driver));
    while turn(&mut driver).is_pending() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_to_be_written_ends_a_look() {
    let (mut driver, _other) = driver(Handlers::new(), LIMIT);
    driver.busy_poll.expecting = true;
    driver.busy_poll.turns = TURNS_ALONE;
    let peer = Peer::from(Arc::clone(&driver.connection));
    peer.notify_now("name", &Bytes::new()).unwrap();
    assert!(looks(&mut driver));
    assert!(!looks(&mut driver), "what cannot be written is not waited for");
}

async fn peers<T: Transport>(one: T, other: T) -> (Peer, Peer) {
    let start = |io, side| {
        let handlers = Handlers::new().handle_raw("echo", |_, payload| async { Ok(payload) });
        let options = options(Duration::from_millis(1));
        Peer::start(io, side, handlers, options, Caller::default())
    };
    tokio::try_join!(start(one, Side::Connecting), start(other, Side::Accepting)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_all_sizes_come_back_as_they_went() {
    let (one, other) = UnixStream::pair().unwrap();
    let unix = peers(one, other).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap());
    let (one, other) = tokio::try_join!(one, listener.accept()).unwrap();
    let tcp = peers(one, other.0).await;
    for (caller, _responder) in [&unix, &tcp] {
        for round in 0..200 {
            for size in [0, 1, 100, LOOK_BYTES - 30, LOOK_BYTES, 3 * LOOK_BYTES] {
                let payload = Bytes::from(vec![round; size]);
                let answer = caller.request_raw("echo", payload.clone()).await.unwrap();
                assert_eq!(answer, payload);
            }
        }
    }
}

#[tokio::test]
async fn plain_sockets_are_looked_at() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (runtimes, _other) = tokio::net::UnixStream::pair().unwrap();
    let (ours, _other) = UnixStream::pair().unwrap();
    let (memory, _other) = tokio::io::duplex(1);
    assert!(plain_socket(&tcp).is_some());
    assert!(plain_socket(&runtimes).is_some());
    assert!(plain_socket(&ours).is_some());
    assert!(plain_socket(&memory).is_none());
}

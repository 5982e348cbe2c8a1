use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// `EPOLLIN` and `EPOLLOUT`.
const IN: u32 = 0x1;
const OUT: u32 = 0x4;

/// More than a socket holds.
const MANY_BYTES: usize = 8 << 20;

/// The events that each registration of the socket `fd`, or of a copy of it, asks for.
fn registered(fd: RawFd) -> Vec<u32> {
    let socket = std::fs::read_link(format!("/proc/self/fd/{fd}")).expect("it is open");
    let mut events = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").expect("Linux").flatten() {
        // Those of other tests come and go.
        let info = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in info.lines() {
            let mut words = line.split_whitespace();
            let (Some("tfd:"), Some(target), Some("events:"), Some(mask)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let target = std::fs::read_link(format!("/proc/self/fd/{target}"));
            if target.is_ok_and(|target| target == socket) {
                events.push(u32::from_str_radix(mask, 16).expect("hexadecimal") & (IN | OUT));
            }
        }
    }
    // A copy of the epoll descriptor, which runtimes have, lists them again.
    events.sort_unstable();
    events.dedup();
    events
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

#[tokio::test]
async fn room_is_asked_for_only_while_a_write_waits_for_it() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let fd = one.input.0.as_raw_fd();
    one.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    other.read_exact(&mut read).await.unwrap();
    assert_eq!(registered(fd), [IN]);

    let sent = pattern(MANY_BYTES);
    let mut writing = Box::pin(one.write_all(&sent));
    assert!(poll_once(&mut writing).await.is_pending());
    assert_eq!(registered(fd), [IN, OUT]);
    let mut received = vec![0; MANY_BYTES];
    let (wrote, got) = tokio::join!(writing, other.read_exact(&mut received));
    wrote.unwrap();
    got.unwrap();
    assert!(received == sent);
    assert_eq!(registered(fd), [IN]);
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_at_once_carry_what_was_written() {
    let (one, other) = UnixStream::pair().unwrap();
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = other.into_split();
        tokio::io::copy(&mut read, &mut write).await.unwrap()
    });
    let (mut read, mut write) = one.into_split();
    let writing = tokio::spawn(async move {
        for chunk in pattern(MANY_BYTES).chunks(70_001) {
            write.write_all(chunk).await.unwrap();
        }
        // Dropped, it says that this was all.
    });
    let mut received = Vec::new();
    read.read_to_end(&mut received).await.unwrap();
    assert!(received == pattern(MANY_BYTES));
    writing.await.unwrap();
    assert_eq!(echo.await.unwrap(), MANY_BYTES as u64);
}

#[tokio::test]
async fn slices_are_written_in_one_call() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    let slices = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
    assert_eq!(one.write_vectored(&slices).await.unwrap(), 5);
    let mut read = [0; 8];
    assert_eq!(other.read(&mut read).await.unwrap(), 5);
    assert_eq!(&read[..5], b"hello");
}

#[tokio::test]
async fn a_read_takes_what_is_there_and_a_next_one_the_rest() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    one.write_all(b"hello").await.unwrap();
    let mut read = [0; 3];
    other.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hel");
    assert_eq!(other.read(&mut read).await.unwrap(), 2);
    one.write_all(b"!").await.unwrap();
    assert_eq!(other.read(&mut read).await.unwrap(), 1);
    assert_eq!(read[0], b'!');
}

#[tokio::test]
async fn the_end_is_seen_by_either_side() {
    let (mut one, mut other) = UnixStream::pair().unwrap();
    one.write_all(b"last").await.unwrap();
    one.shutdown().await.unwrap();
    let mut said = String::new();
    other.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "last");
    other.write_all(b"late").await.unwrap();
    drop(other);
    let mut heard = String::new();
    one.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "late");
    // Said twice, or to nobody, it is no error.
    one.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_waits_for_room_hears_that_the_other_end_is_gone() {
    let (mut one, other) = UnixStream::pair().unwrap();
    let sent = vec![0; MANY_BYTES];
    let mut writing = Box::pin(one.write_all(&sent));
    assert!(poll_once(&mut writing).await.is_pending());
    drop(other);
    let ended = tokio::time::timeout(Duration::from_secs(10), writing).await;
    let error = ended.expect("it does not wait for ever").unwrap_err();
    assert!(
        [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&error.kind()),
        "{error}"
    );
}

#[tokio::test]
async fn it_connects_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    assert!(UnixStream::connect(&path).await.is_err());
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (one, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
    let mut other = UnixStream::try_from(accepted.unwrap().0).unwrap();
    one.unwrap().write_all(b"hello").await.unwrap();
    let mut said = String::new();
    other.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hello");
}

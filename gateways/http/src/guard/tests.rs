use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const PIPE_BYTES: usize = 1024;

fn guard() -> (Guard<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(PIPE_BYTES);
    let options = ConnectionOptions {
        head_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(30),
        ..ConnectionOptions::default()
    };
    (Guard::new(near, &options, Arc::default()), far)
}

/// Reads to the end.
async fn rest(guard: &mut Guard<DuplexStream>) -> Vec<u8> {
    let mut rest = Vec::new();
    guard.read_to_end(&mut rest).await.unwrap();
    rest
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_is_replaced_and_nothing_follows() {
    let (mut guard, mut far) = guard();
    far.write_all(b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(rest(&mut guard).await, b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n");
    assert_eq!(guard.counters.read().malformed, 1);
}

#[tokio::test(start_paused = true)]
async fn poison_comes_whole_through_the_smallest_buffers() {
    let (mut guard, mut far) = guard();
    far.write_all(b"A\n").await.unwrap();
    let mut read = Vec::new();
    let mut byte = [0];
    while guard.read(&mut byte).await.unwrap() == 1 {
        read.push(byte[0]);
    }
    assert_eq!(read, b"A\0\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_from_its_first_byte_on() {
    let (mut guard, mut far) = guard();
    let mut byte = [0];
    let idle = tokio::time::timeout(Duration::from_secs(3600), guard.read(&mut byte));
    assert!(
        idle.await.is_err(),
        "an idle connection is not the guard's matter"
    );
    far.write_all(b"G").await.unwrap();
    let start = Instant::now();
    let more = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(6)).await;
        far.write_all(b"E").await.unwrap();
        far
    });
    assert_eq!(rest(&mut guard).await, b"GE\0\r\n\r\n");
    assert_eq!(start.elapsed().as_secs(), 10, "a trickle buys no time");
    drop(more.await);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_in_time_is_gone_and_who_takes_a_little_is_not() {
    let (mut guard, mut far) = guard();
    let bytes = vec![b'x'; 3 * PIPE_BYTES];
    let reader = tokio::spawn(async move {
        let mut some = vec![0; PIPE_BYTES];
        tokio::time::sleep(Duration::from_secs(29)).await;
        far.read_exact(&mut some).await.unwrap();
        tokio::time::sleep(Duration::from_secs(29)).await;
        far.read_exact(&mut some).await.unwrap();
        far
    });
    guard.write_all(&bytes).await.unwrap();
    let _far = reader.await.unwrap();
    let start = Instant::now();
    let error = guard.write_all(&bytes).await.unwrap_err();
    assert_eq!(
        (error.kind(), start.elapsed().as_secs()),
        (io::ErrorKind::TimedOut, 30)
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_end_it_reads_on_until_the_client_has_closed_too_but_not_for_long() {
    let start = Instant::now();
    let (mut closing, mut far) = guard();
    let client = tokio::spawn(async move {
        // It still sends, and sees the end only then.
        far.write_all(&vec![b'x'; 10 * PIPE_BYTES]).await.unwrap();
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
    });
    closing.shutdown().await.unwrap();
    client.await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    let (mut closing, _far) = guard();
    closing.shutdown().await.unwrap();
    assert_eq!(start.elapsed(), LINGER);
}

#[tokio::test(start_paused = true)]
async fn after_an_upgrade_what_was_read_already_comes_first() {
    let (mut guard, mut far) = guard();
    let head = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    far.write_all(head).await.unwrap();
    guard.read_exact(&mut vec![0; head.len()]).await.unwrap();
    let mut guard = guard.upgraded(Bytes::from_static(b"first "));
    far.write_all(b"then\n\0").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(rest(&mut guard).await, b"first then\n\0");
    let start = Instant::now();
    guard.shutdown().await.unwrap();
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "how that ends is not the guard's matter"
    );
}

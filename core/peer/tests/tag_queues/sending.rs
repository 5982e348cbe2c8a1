//! What is written, and when senders wait.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use switchboard_peer::{TagOptions, TagQueues, TagSendError, TagsEnded};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::support::{message, quiet, start};

#[tokio::test]
async fn senders_wait_for_a_side_that_does_not_read() {
    let (one, mut other) = tokio::io::duplex(1000);
    let here = start(
        one,
        TagOptions {
            send_buffer_bytes: 10_000,
            write_timeout: None,
            ..TagOptions::default()
        },
    );
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = tokio::spawn({
        let (here, sent) = (here.clone(), Arc::clone(&sent));
        async move {
            for _ in 0..1000 {
                here.send(1, vec![1; 88]).await.unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            }
            here.finish().await.unwrap();
        }
    });
    quiet().await;
    // A hundred bytes each: what the pipe holds, and the buffer.
    assert!((100..=111).contains(&sent.load(Ordering::Relaxed)), "{sent:?}");
    let mut all = Vec::new();
    other.read_to_end(&mut all).await.unwrap();
    sending.await.unwrap();
    assert_eq!(all, message(1, &[1; 88]).repeat(1000));
}

#[tokio::test(start_paused = true)]
async fn a_side_that_never_reads_is_given_up() {
    let (one, other) = tokio::io::duplex(100);
    let here = start(
        one,
        TagOptions {
            send_buffer_bytes: 1000,
            ..TagOptions::default()
        },
    );
    let began = tokio::time::Instant::now();
    let failed = loop {
        if let Err(failed) = here.send(1, vec![0; 500]).await {
            break failed;
        }
    };
    let TagSendError::Ended(TagsEnded::Io(kind, message)) = &failed else {
        panic!("{failed:?}")
    };
    assert_eq!(*kind, io::ErrorKind::TimedOut);
    assert!(message.contains("took nothing within 30s"), "{message}");
    assert!((30..31).contains(&began.elapsed().as_secs()));
    assert!(here.finish().await.is_err());
    drop(other);
}

/// Counts the calls that reach the system.
struct Counting(
    Arc<AtomicUsize>,
    Vec<u8>,
    tokio::sync::oneshot::Receiver<()>,
    bool,
);

impl AsyncWrite for Counting {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Writes nothing until it is told to.
        if !self.3 {
            std::task::ready!(Pin::new(&mut self.2).poll(cx)).unwrap();
            self.3 = true;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        bufs.iter().for_each(|buf| self.1.extend_from_slice(buf));
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn many_messages_leave_in_few_calls() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (go, going) = tokio::sync::oneshot::channel();
    let writer = Counting(Arc::clone(&calls), Vec::new(), going, false);
    let here = TagQueues::start(tokio::io::empty(), writer, TagOptions::default());
    for number in 0..1000 {
        // Short ones, and now and then one that is a segment of its own.
        let bytes = if number % 100 == 0 { 10_000 } else { 10 };
        here.send(number, vec![0; bytes]).await.unwrap();
    }
    go.send(()).unwrap();
    here.finish().await.unwrap();
    assert!(calls.load(Ordering::Relaxed) <= 3, "{calls:?}");
}

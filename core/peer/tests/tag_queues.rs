//! Tagged messages over a stream: who gets what, what gives when queues are full, how it ends.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use switchboard_peer::{TagOptions, TagQueues, TagSendError, Tagged, TagsEnded, Unclaimed, WhenFull};
use switchboard_wire::tagged;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

fn start(stream: DuplexStream, options: TagOptions) -> TagQueues {
    let (reader, writer) = tokio::io::split(stream);
    TagQueues::start(reader, writer, options)
}

/// Two ends of one stream.
fn pair(options: TagOptions) -> (TagQueues, TagQueues) {
    let (one, other) = tokio::io::duplex(4096);
    (start(one, options.clone()), start(other, options))
}

/// One end, and the bytes of the other.
fn raw(options: TagOptions) -> (TagQueues, DuplexStream) {
    let (one, other) = tokio::io::duplex(1 << 20);
    (start(one, options), other)
}

fn message(tag: u64, payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    tagged::encode(tag, payload, &mut bytes).unwrap();
    bytes
}

/// Waits until so many messages have come.
async fn received(queues: &TagQueues, count: u64) {
    while queues.counts().received < count {
        tokio::task::yield_now().await;
    }
}

/// Gives the two tasks many turns.
async fn quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_tag_gets_its_own_in_order() {
    let (here, there) = pair(TagOptions::default());
    let (even, odd) = (here.claim(0), here.claim(1));
    for number in 0..100_u64 {
        there.send(number % 2, number.to_string()).await.unwrap();
    }
    for number in (0..100).step_by(2) {
        assert_eq!(odd.receive().await.unwrap(), (number + 1).to_string());
        assert_eq!(even.receive().await.unwrap(), number.to_string());
    }
    even.send("back").await.unwrap();
    assert_eq!(there.receive(even.tag()).await.unwrap(), "back");
}

#[tokio::test]
async fn what_came_before_anybody_asked_is_kept() {
    let (here, there) = pair(TagOptions::default());
    for (tag, payload) in [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (1, "e")] {
        there.send(tag, payload).await.unwrap();
    }
    received(&here, 5).await;
    assert_eq!(here.receive(1).await.unwrap(), "a");
    let claim = here.claim(1);
    assert_eq!(claim.receive().await.unwrap(), "c");
    let (tag, payload) = (2, Bytes::from("b"));
    assert_eq!(here.receive_unclaimed().await.unwrap(), Tagged { tag, payload });
    drop(claim);
    // What the claim left unread is older than what came after it.
    assert_eq!(here.receive_unclaimed().await.unwrap().payload, "d");
    assert_eq!(here.receive_unclaimed().await.unwrap().payload, "e");
}

#[tokio::test]
async fn a_receiver_of_the_unclaimed_waits_through_claims() {
    let (here, there) = pair(TagOptions::default());
    let unclaimed = tokio::spawn({
        let here = here.clone();
        async move { here.receive_unclaimed().await.unwrap() }
    });
    // Both may be after the first message: whoever gets it, the other gets the second.
    there.send(1, "a").await.unwrap();
    let claim = here.claim(1);
    there.send(1, "b").await.unwrap();
    let claimed = claim.receive().await.unwrap();
    if claimed == "b" {
        assert_eq!(unclaimed.await.unwrap().payload, "a");
    } else {
        there.send(2, "c").await.unwrap();
        assert_eq!(unclaimed.await.unwrap().payload, "c");
        assert_eq!(claim.receive().await.unwrap(), "b");
    }
}

#[tokio::test]
async fn the_unclaimed_are_dropped_and_counted_over_their_bound_and_hold_up_nobody() {
    let (here, there) = pair(TagOptions {
        unclaimed: Unclaimed::Keep {
            messages_max: 10,
            bytes_max: 1000,
        },
        ..TagOptions::default()
    });
    let claim = here.claim(7);
    for number in 0..100_u64 {
        there.send(number + 1000, "x").await.unwrap();
    }
    there.send(7, "through").await.unwrap();
    assert_eq!(claim.receive().await.unwrap(), "through");
    let counts = here.counts();
    assert_eq!(
        (counts.received, counts.unclaimed, counts.dropped_unclaimed),
        (101, 10, 90)
    );
}

#[tokio::test]
async fn a_slow_tag_holds_up_nobody_until_its_bound_then_all_wait_and_nothing_is_lost() {
    let (here, mut there) = raw(TagOptions {
        tag_messages_max: 3,
        ..TagOptions::default()
    });
    let (slow, fast) = (here.claim(1), here.claim(2));
    for number in 0..3 {
        there.write_all(&message(1, &[number])).await.unwrap();
    }
    there.write_all(&message(2, b"by")).await.unwrap();
    assert_eq!(fast.receive().await.unwrap(), "by");
    there.write_all(&message(1, &[3])).await.unwrap();
    there.write_all(&message(2, b"held")).await.unwrap();
    let mut held = std::pin::pin!(fast.receive());
    quiet().await;
    assert!(
        futures_util::poll!(held.as_mut()).is_pending(),
        "the reader waits for the slow tag"
    );
    assert_eq!((here.counts().received, here.counts().waiting), (4, 3));
    for number in 0..4 {
        assert_eq!(slow.receive().await.unwrap(), [number][..]);
    }
    assert_eq!(held.await.unwrap(), "held");
    assert_eq!(here.counts().dropped_full, 0);
}

#[tokio::test]
async fn a_claim_that_goes_frees_the_reader() {
    let (here, mut there) = raw(TagOptions {
        tag_messages_max: 1,
        ..TagOptions::default()
    });
    let (slow, fast) = (here.claim(1), here.claim(2));
    for payload in [b"a", b"b"] {
        there.write_all(&message(1, payload)).await.unwrap();
    }
    there.write_all(&message(2, b"x")).await.unwrap();
    quiet().await;
    assert_eq!(here.counts().received, 1);
    drop(slow);
    assert_eq!(fast.receive().await.unwrap(), "x");
    assert_eq!(here.receive(1).await.unwrap(), "a");
    assert_eq!(here.receive(1).await.unwrap(), "b");
}

#[tokio::test]
async fn a_slow_tag_loses_its_newest_if_told_so_and_the_others_go_on() {
    let (here, there) = pair(TagOptions {
        tag_messages_max: 3,
        when_full: WhenFull::Drop,
        ..TagOptions::default()
    });
    let (slow, fast) = (here.claim(1), here.claim(2));
    for number in 0..10_u8 {
        there.send(1, vec![number]).await.unwrap();
    }
    there.send(2, "by").await.unwrap();
    assert_eq!(fast.receive().await.unwrap(), "by");
    assert_eq!(here.counts().dropped_full, 7);
    for number in 0..3 {
        assert_eq!(slow.receive().await.unwrap(), [number][..]);
    }
}

#[tokio::test]
async fn receivers_of_one_tag_take_turns() {
    let (here, there) = pair(TagOptions::default());
    let claim = here.claim(1);
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(claim.receive())).collect();
    for receiver in &mut waiting {
        assert!(futures_util::poll!(receiver.as_mut()).is_pending());
    }
    for number in 0..5_u8 {
        there.send(1, vec![number]).await.unwrap();
        received(&here, u64::from(number) + 1).await;
        // Only the first in the row has anything, and none that comes later takes it.
        let mut late = Box::pin(claim.receive());
        assert!(futures_util::poll!(late.as_mut()).is_pending());
        drop(late);
        for later in waiting.iter_mut().skip(1) {
            assert!(futures_util::poll!(later.as_mut()).is_pending());
        }
        assert_eq!(waiting.remove(0).await.unwrap(), [number][..]);
    }
}

#[tokio::test]
async fn a_receiver_that_is_dropped_loses_no_message() {
    let (here, there) = pair(TagOptions::default());
    let claim = here.claim(1);
    let mut gone = Box::pin(claim.receive());
    let mut next = Box::pin(claim.receive());
    assert!(futures_util::poll!(gone.as_mut()).is_pending());
    assert!(futures_util::poll!(next.as_mut()).is_pending());
    there.send(1, "a").await.unwrap();
    received(&here, 1).await;
    // It was its turn already.
    drop(gone);
    assert_eq!(next.await.unwrap(), "a");
    let mut gone = Box::pin(here.receive_unclaimed());
    assert!(futures_util::poll!(gone.as_mut()).is_pending());
    there.send(2, "b").await.unwrap();
    received(&here, 2).await;
    drop(gone);
    assert_eq!(here.receive_unclaimed().await.unwrap().payload, "b");
    // Dropped while it waits, a receiver of a tag leaves what comes as unclaimed.
    let mut gone = Box::pin(here.receive(3));
    assert!(futures_util::poll!(gone.as_mut()).is_pending());
    there.send(3, "c").await.unwrap();
    received(&here, 3).await;
    drop(gone);
    assert_eq!(here.receive(3).await.unwrap(), "c");
}

// ---- ends

#[tokio::test]
async fn the_end_wakes_all_receivers_after_what_was_queued() {
    let (here, mut there) = raw(TagOptions::default());
    let claim = here.claim(1);
    let waiting: Vec<_> = (10..20)
        .map(|tag| {
            let here = here.clone();
            tokio::spawn(async move { here.receive(tag).await })
        })
        .collect();
    let lobby = tokio::spawn({
        let here = here.clone();
        async move { (here.receive_unclaimed().await, here.receive_unclaimed().await) }
    });
    there.write_all(&message(1, b"a")).await.unwrap();
    there.write_all(&message(1, b"b")).await.unwrap();
    there.write_all(&message(2, b"c")).await.unwrap();
    drop(there);
    assert_eq!(here.closed().await, TagsEnded::Remote);
    for receiver in waiting {
        assert_eq!(receiver.await.unwrap(), Err(TagsEnded::Remote));
    }
    let (first, second) = lobby.await.unwrap();
    assert_eq!(
        (first.unwrap().payload, second),
        (Bytes::from("c"), Err(TagsEnded::Remote))
    );
    assert_eq!(claim.receive().await.unwrap(), "a");
    assert_eq!(here.claim(1).receive().await.unwrap(), "b");
    assert_eq!(claim.receive().await, Err(TagsEnded::Remote));
    assert_eq!(here.receive(99).await, Err(TagsEnded::Remote));
}

#[tokio::test]
async fn what_is_no_message_ends_the_stream_and_says_why() {
    let small = || TagOptions {
        message_bytes_max: 100,
        ..TagOptions::default()
    };
    let too_large = TagsEnded::TooLarge { size: 101, max: 100 };
    for (bytes, ended) in [
        (message(1, &[0; 101])[..4].to_vec(), too_large),
        (vec![7, 0, 0, 0], TagsEnded::TooShort { size: 7 }),
        (vec![0; 4], TagsEnded::TooShort { size: 0 }),
    ] {
        let (here, mut there) = raw(small());
        there.write_all(&message(1, &[9; 100])).await.unwrap();
        there.write_all(&bytes).await.unwrap();
        // What came whole before it is not lost; the other side need not close.
        assert_eq!(here.receive(1).await.unwrap(), [9; 100][..]);
        assert_eq!(here.receive(1).await, Err(ended.clone()));
        assert_eq!(here.closed().await, ended);
    }
    for cut in [1, 4, 5, 12, 111] {
        let (here, mut there) = raw(small());
        there.write_all(&message(1, &[9; 100])[..cut]).await.unwrap();
        drop(there);
        assert_eq!(here.receive(1).await, Err(TagsEnded::Truncated), "{cut}");
    }
}

#[tokio::test]
async fn a_message_over_the_bound_is_not_sent() {
    let (here, there) = pair(TagOptions {
        message_bytes_max: 100,
        ..TagOptions::default()
    });
    let refused = here.send(1, vec![0; 101]).await;
    assert_eq!(refused, Err(TagSendError::TooLarge { size: 101, max: 100 }));
    here.send(1, vec![0; 100]).await.unwrap();
    assert_eq!(there.receive(1).await.unwrap().len(), 100);
}

#[tokio::test]
async fn finished_is_not_closed() {
    let (here, there) = pair(TagOptions::default());
    here.send(1, "last").await.unwrap();
    here.finish().await.unwrap();
    assert_eq!(
        here.send(1, "late").await,
        Err(TagSendError::Ended(TagsEnded::Local))
    );
    assert_eq!(there.receive(1).await.unwrap(), "last");
    assert_eq!(there.closed().await, TagsEnded::Remote);
    // The other direction goes on.
    there.send(2, "answer").await.unwrap();
    assert_eq!(here.receive(2).await.unwrap(), "answer");
}

#[tokio::test]
async fn closing_wakes_who_waits_and_writes_what_was_taken() {
    let (here, mut there) = raw(TagOptions::default());
    let waiting = tokio::spawn({
        let here = here.clone();
        async move { here.receive(1).await }
    });
    tokio::task::yield_now().await;
    for _ in 0..1000 {
        here.send(5, "x").await.unwrap();
    }
    here.close();
    assert_eq!(waiting.await.unwrap(), Err(TagsEnded::Local));
    assert_eq!(here.closed().await, TagsEnded::Local);
    let mut rest = Vec::new();
    there.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, message(5, b"x").repeat(1000));
}

#[tokio::test]
async fn the_last_handle_closes_and_a_claim_is_one() {
    let (here, mut there) = raw(TagOptions::default());
    let claim = here.claim(1);
    drop(here);
    there.write_all(&message(1, b"a")).await.unwrap();
    assert_eq!(claim.receive().await.unwrap(), "a");
    drop(claim);
    assert_eq!(there.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

// ---- sending

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

// ---- stress

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tags_and_many_tasks_each_get_all_of_theirs_in_order() {
    const TAGS: u64 = 50;
    const MESSAGES: u32 = 400;
    // Bounds so tight that the reader waits all the time.
    let (here, there) = pair(TagOptions {
        tag_messages_max: 4,
        messages_max: 40,
        send_buffer_bytes: 3000,
        ..TagOptions::default()
    });
    let receivers: Vec<_> = (0..TAGS)
        .map(|tag| {
            let claim = here.claim(tag);
            tokio::spawn(async move {
                for number in 0..MESSAGES {
                    let payload = loop {
                        // Given up at random moments: nothing may be lost by it.
                        tokio::select! {
                            biased;
                            received = claim.receive() => break received.unwrap(),
                            () = tokio::task::yield_now() => {}
                        }
                    };
                    assert_eq!(&payload[..4], number.to_le_bytes());
                    assert_eq!(payload.len(), length(tag, number));
                    assert!(payload[4..].iter().all(|byte| *byte == tag as u8));
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..TAGS)
        .map(|tag| {
            let there = there.clone();
            tokio::spawn(async move {
                for number in 0..MESSAGES {
                    let mut payload = vec![tag as u8; length(tag, number)];
                    payload[..4].copy_from_slice(&number.to_le_bytes());
                    there.send(tag, payload).await.unwrap();
                }
            })
        })
        .collect();
    for task in senders.into_iter().chain(receivers) {
        tokio::time::timeout(Duration::from_secs(60), task)
            .await
            .unwrap()
            .unwrap();
    }
    let counts = here.counts();
    assert_eq!(counts.received, TAGS * u64::from(MESSAGES));
    assert_eq!(
        (counts.dropped_full, counts.dropped_unclaimed, counts.waiting),
        (0, 0, 0)
    );
}

/// Short messages, some over the copy bounds, a few longer than a read.
fn length(tag: u64, number: u32) -> usize {
    match (tag + u64::from(number)) % 97 {
        0 => 40_000,
        1 => 16_384,
        2 => 9_000,
        other => 4 + other as usize,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_receivers_of_one_tag_share_its_messages() {
    let (here, there) = pair(TagOptions {
        tag_messages_max: 8,
        ..TagOptions::default()
    });
    let receivers: Vec<_> = (0..20)
        .map(|_| {
            let claim = here.claim(1);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                while let Ok(payload) = claim.receive().await {
                    mine.push(u32::from_le_bytes(payload[..].try_into().unwrap()));
                }
                mine
            })
        })
        .collect();
    for number in 0..5000_u32 {
        there
            .send(1, Bytes::copy_from_slice(&number.to_le_bytes()))
            .await
            .unwrap();
    }
    there.finish().await.unwrap();
    let mut seen = HashMap::new();
    for receiver in receivers {
        let mine = receiver.await.unwrap();
        assert!(mine.is_sorted(), "one receiver sees them in order");
        for number in mine {
            *seen.entry(number).or_insert(0) += 1;
        }
    }
    assert_eq!(seen.len(), 5000);
    assert!(
        seen.values().all(|count| *count == 1),
        "each message goes to one receiver"
    );
}

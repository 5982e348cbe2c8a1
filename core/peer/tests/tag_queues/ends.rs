//! How a stream ends.

use bytes::Bytes;
use switchboard_peer::{TagOptions, TagSendError, TagsEnded};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{message, pair, raw};

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

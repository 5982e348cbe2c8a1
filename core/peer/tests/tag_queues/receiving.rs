//! Who gets what, and what gives when queues are full.

use bytes::Bytes;
use switchboard_peer::{TagOptions, Tagged, Unclaimed, WhenFull};
use tokio::io::AsyncWriteExt;

use crate::support::{message, pair, quiet, raw, received};

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

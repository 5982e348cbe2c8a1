//! Many tags and many tasks.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::TagOptions;

use crate::support::pair;

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

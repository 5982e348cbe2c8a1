//! Subscribers that are slower than their topics: each policy, end to end.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use switchboard_gateway_gotalk::GatewayOptions;
use switchboard_hub::{HubConfig, Policy, QueueLimits};
use switchboard_peer::{Handlers, Options, Peer};

use crate::support::{Door, Raw, ask, call, patient, quiet};

/// Messages published to a subscriber that reads nothing: together far more than every buffer on the way holds, those
/// of the system included.
const MESSAGES: usize = 600;

/// The size of each.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Small queues, so that what is lost is lost soon.
fn small() -> GatewayOptions {
    GatewayOptions {
        peer: Options {
            send_buffer_bytes: 64 * 1024,
            ..quiet().peer
        },
        queue: QueueLimits {
            messages: 4,
            bytes: 1 << 20,
        },
        ..quiet()
    }
}

async fn subscribe(raw: &mut Raw, policy: &str) {
    let request = json!({ "topics": ["t/#"], "policy": policy }).to_string();
    raw.ask("hub.subscribe", &request).await;
}

/// A payload that begins with its number.
fn message(number: usize) -> Bytes {
    let mut message = format!("{number:08}").into_bytes();
    message.resize(MESSAGE_BYTES, b'.');
    message.into()
}

fn number(payload: &[u8]) -> usize {
    std::str::from_utf8(&payload[..8]).unwrap().parse().unwrap()
}

/// Publishes all messages to `topic`: sent when this returns, not yet taken by the hub.
async fn publish_all(publisher: &Peer, topic: &str) {
    for number in 0..MESSAGES {
        patient(publisher.notify_raw(topic, message(number)))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_holds_the_publisher_back_and_loses_nothing() {
    let options = GatewayOptions {
        policy: Policy::Block {
            timeout: Duration::from_secs(10),
        },
        ..small()
    };
    let door = Door::with(HubConfig::default(), options).await;
    let mut subscriber = door.raw().await;
    subscribe(&mut subscriber, "block").await;
    let publisher = door.peer(Handlers::new()).await;
    let publishing = tokio::spawn(async move {
        publish_all(&publisher, "t/x").await;
        publisher
    });
    for wanted in 0..MESSAGES {
        let (name, payload) = subscriber.notified().await;
        assert_eq!((&*name, number(&payload)), ("t/x", wanted));
    }
    patient(publishing).await.unwrap();
    assert_eq!(door.hub.stats().dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_is_held_back_can_still_call() {
    let options = GatewayOptions {
        policy: Policy::Block {
            timeout: Duration::from_secs(10),
        },
        ..small()
    };
    let door = Door::with(HubConfig::default(), options).await;
    let mut subscriber = door.raw().await;
    subscribe(&mut subscriber, "block").await;
    let publisher = door.peer(Handlers::new()).await;
    let publishing = tokio::spawn({
        let publisher = publisher.clone();
        async move {
            for number in 0..400 {
                patient(publisher.notify_raw("t/x", message(number)))
                    .await
                    .unwrap();
            }
        }
    });
    // The limit on waiting notifications is larger than what is published, so the connection is read all the time.
    patient(publishing).await.unwrap();
    assert_eq!(
        call(&publisher, "hub.nope", "").await.unwrap_err().message(),
        "unknown operation \"hub.nope\""
    );
    let taken = door.hub.stats().published;
    assert!(
        taken < 400,
        "the publisher is held back, not run through: {taken}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drop_oldest_loses_the_oldest_and_harms_nobody() {
    let door = Door::with(HubConfig::default(), small()).await;
    let mut stuck = door.raw().await;
    subscribe(&mut stuck, "drop-oldest").await;
    let publisher = door.peer(Handlers::new()).await;
    publish_all(&publisher, "t/x").await;
    door.until(|stats| stats.published == MESSAGES as u64).await;
    let dropped = door.hub.stats().dropped as usize;
    assert!(dropped > 0, "far more was published than fits");

    let mut last = None;
    for _ in 0..MESSAGES - dropped {
        let (_, payload) = stuck.notified().await;
        assert!(last < Some(number(&payload)), "the order is kept");
        last = Some(number(&payload));
    }
    assert_eq!(last, Some(MESSAGES - 1), "the newest is not lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_brings_the_newest_of_each_topic() {
    let door = Door::with(HubConfig::default(), small()).await;
    let mut stuck = door.raw().await;
    subscribe(&mut stuck, "latest").await;
    let publisher = door.peer(Handlers::new()).await;
    patient(publisher.notify_raw("t/rare", message(7))).await.unwrap();
    publish_all(&publisher, "t/often").await;
    door.until(|stats| stats.published == MESSAGES as u64 + 1).await;
    let stats = door.hub.stats();
    assert!(stats.replaced > 0 && stats.dropped == 0, "{stats:?}");
    let mut last = [None, None];
    for _ in 0..MESSAGES + 1 - stats.replaced as usize {
        let (name, payload) = stuck.notified().await;
        last[usize::from(name == "t/often")] = Some(number(&payload));
    }
    assert_eq!(last, [Some(7), Some(MESSAGES - 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_closes_a_connection_that_takes_nothing() {
    let door = Door::with(HubConfig::default(), small()).await;
    let mut stuck = door.raw().await;
    subscribe(&mut stuck, "disconnect").await;
    let publisher = door.peer(Handlers::new()).await;
    publish_all(&publisher, "t/x").await;
    door.until(|stats| stats.sessions == 1).await;
    assert_eq!(door.gateway.stats().too_slow, 1);
    assert_eq!(door.hub.stats().subscriptions, 0);
    let came = stuck.drain().await;
    assert!(came < MESSAGES * MESSAGE_BYTES, "it cannot have got everything");
    assert!(ask(&publisher, "hub.whoami", "").await.is_ok());
}

/// Here the delivery waits for the connection to take bytes when the queue gives up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_notices_a_connection_that_stands_still() {
    let door = Door::with(HubConfig::default(), small()).await;
    let mut stuck = door.raw().await;
    subscribe(&mut stuck, "disconnect").await;
    let mut healthy = door.raw().await;
    subscribe(&mut healthy, "block").await;
    let publisher = door.peer(Handlers::new()).await;
    // One at a time, so that the queue does not overflow before the connection stands still.
    for wanted in 0..MESSAGES {
        patient(publisher.notify_raw("t/x", message(wanted)))
            .await
            .unwrap();
        assert_eq!(number(&healthy.notified().await.1), wanted);
    }
    // Long before the write time-out.
    door.until(|stats| stats.sessions == 2).await;
    assert_eq!(door.gateway.stats().too_slow, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnect_leaves_a_connection_alone_that_keeps_up() {
    let door = Door::with(HubConfig::default(), small()).await;
    let mut subscriber = door.raw().await;
    subscribe(&mut subscriber, "disconnect").await;
    let publisher = door.peer(Handlers::new()).await;
    for wanted in 0..50 {
        patient(publisher.notify_raw("t/x", message(wanted)))
            .await
            .unwrap();
        assert_eq!(number(&subscriber.notified().await.1), wanted);
    }
    assert_eq!(door.gateway.stats().too_slow, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_harms_no_other() {
    let options = GatewayOptions {
        policy: Policy::Block {
            timeout: Duration::from_secs(10),
        },
        queue: QueueLimits::default(),
        ..small()
    };
    let door = Door::with(HubConfig::default(), options).await;
    let mut stuck = door.raw().await;
    subscribe(&mut stuck, "drop-oldest").await;
    // It also asks much, and takes no answer.
    let _echo = door
        .responder(Handlers::new().handle_raw("echo", |_, payload| async { Ok(payload) }))
        .await;
    for number in 0..40 {
        let payload = ".".repeat(MESSAGE_BYTES);
        stuck.request(&format!("{number:04}"), "echo", &payload).await;
    }
    let mut healthy = door.raw().await;
    subscribe(&mut healthy, "block").await;
    let publisher = door.peer(Handlers::new()).await;
    let publishing = tokio::spawn(async move {
        publish_all(&publisher, "t/x").await;
        publisher
    });
    for wanted in 0..MESSAGES {
        assert_eq!(number(&healthy.notified().await.1), wanted);
    }
    let publisher = patient(publishing).await.unwrap();
    assert_eq!(call(&publisher, "echo", "on").await.unwrap(), "on");
}

#[tokio::test]
async fn policies_have_queues_of_their_own_and_the_same_one_is_shared() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut raw = door.raw().await;
    for (topic, policy) in [
        ("a", "block"),
        ("b", "latest"),
        ("c", "drop-oldest"),
        ("d", "disconnect"),
        ("e", "block"),
    ] {
        let request = json!({ "topics": [topic], "policy": policy }).to_string();
        raw.ask("hub.subscribe", &request).await;
    }
    let publisher = door.peer(Handlers::new()).await;
    for topic in ["a", "b", "c", "d", "e"] {
        patient(publisher.notify_raw(topic, topic)).await.unwrap();
        assert_eq!(
            raw.notified().await,
            (topic.to_owned(), topic.as_bytes().to_vec())
        );
    }
}

#[tokio::test]
async fn filters_that_overlap_bring_a_message_once() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut raw = door.raw().await;
    raw.ask(
        "hub.subscribe",
        &json!({ "topics": ["a/b", "a/+", "#"] }).to_string(),
    )
    .await;
    let publisher = door.peer(Handlers::new()).await;
    for payload in ["1", "2", "3"] {
        patient(publisher.notify_raw("a/b", payload)).await.unwrap();
        assert_eq!(
            raw.notified().await,
            ("a/b".to_owned(), payload.as_bytes().to_vec())
        );
    }
}

//! Publishing and subscribing.

use bytes::Bytes;
use serde_json::json;
use switchboard_hub::HubConfig;
use switchboard_peer::{Handlers, Peer};
use tokio::sync::mpsc;

use crate::support::{Door, ask, patient, quiet};

/// Handlers that hand out every notification.
fn collecting() -> (Handlers, mpsc::UnboundedReceiver<(String, Bytes)>) {
    let (seen, seeing) = mpsc::unbounded_channel();
    let handlers = Handlers::new().on_any(move |context, payload| {
        let _ = seen.send((context.operation().to_string(), payload));
        async {}
    });
    (handlers, seeing)
}

async fn subscribe(peer: &Peer, topics: &[&str]) {
    let request = json!({ "topics": topics }).to_string();
    assert_eq!(ask(peer, "hub.subscribe", &request).await, Ok(json!({})));
}

async fn next(seeing: &mut mpsc::UnboundedReceiver<(String, Bytes)>) -> (String, String) {
    let (name, payload) = patient(seeing.recv()).await.unwrap();
    (name, String::from_utf8(payload.to_vec()).unwrap())
}

fn pair(name: &str, payload: &str) -> (String, String) {
    (name.to_owned(), payload.to_owned())
}

#[tokio::test]
async fn filters_choose_what_comes() {
    let door = Door::open().await;
    let (handlers, mut seeing) = collecting();
    let subscriber = door.peer(handlers).await;
    subscribe(&subscriber, &["home/+/lamp", "garden/#", "exact"]).await;
    let publisher = door.peer(Handlers::new()).await;
    for name in [
        "home/hall/lamp",
        "home/hall/deep/lamp",
        "garden",
        "garden/a/b",
        "exactly",
        "exact",
    ] {
        publisher.notify_raw(name, name).await.unwrap();
    }
    for name in ["home/hall/lamp", "garden", "garden/a/b", "exact"] {
        assert_eq!(next(&mut seeing).await, pair(name, name));
    }
    let removed = ask(&subscriber, "hub.unsubscribe", r#"{"topics":["garden/#"]}"#).await;
    assert_eq!(removed, Ok(json!({ "removed": 1 })));
    publisher.notify_raw("garden/a", "").await.unwrap();
    publisher.notify_raw("exact", "last").await.unwrap();
    assert_eq!(next(&mut seeing).await, pair("exact", "last"));
}

#[tokio::test]
async fn a_publisher_gets_what_it_subscribed_to_too() {
    let door = Door::open().await;
    let (handlers, mut seeing) = collecting();
    let peer = door.peer(handlers).await;
    subscribe(&peer, &["#"]).await;
    peer.notify_raw("a/b", "c").await.unwrap();
    assert_eq!(next(&mut seeing).await, pair("a/b", "c"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_keep_their_order() {
    const COUNT: u32 = 20_000;
    let door = Door::open().await;
    let (handlers, mut seeing) = collecting();
    let subscriber = door.peer(handlers).await;
    subscribe(&subscriber, &["count"]).await;
    let publisher = door.peer(Handlers::new()).await;
    let publishing = tokio::spawn(async move {
        for number in 0..COUNT {
            publisher.notify("count", &number).await.unwrap();
        }
        publisher
    });
    for number in 0..COUNT {
        assert_eq!(next(&mut seeing).await.1, number.to_string(), "nothing is lost");
    }
    patient(publishing).await.unwrap();
}

#[tokio::test]
async fn the_last_value_comes_to_who_subscribes_later() {
    let door = Door::open().await;
    let publisher = door.peer(Handlers::new()).await;
    for (topic, payload) in [("home/lamp", "on"), ("home/door", "shut"), ("away", "no")] {
        let request = json!({ "topic": topic, "payload": payload, "retain": true }).to_string();
        ask(&publisher, "hub.publish", &request).await.unwrap();
    }
    let (handlers, mut seeing) = collecting();
    let subscriber = door.peer(handlers).await;
    subscribe(&subscriber, &["home/#"]).await;
    let mut values = [next(&mut seeing).await, next(&mut seeing).await];
    values.sort();
    assert_eq!(values, [pair("home/door", "shut"), pair("home/lamp", "on")]);
    publisher.notify_raw("home/lamp", "off").await.unwrap();
    assert_eq!(next(&mut seeing).await, pair("home/lamp", "off"));
}

/// The last value is there from the first of many filters on: a delivery that did not wait would come long before the
/// answer. And not only with the first request, whose delivery task is new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_comes_before_the_first_message_that_it_brings() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let publisher = door.peer(Handlers::new()).await;
    let retained = json!({ "topic": "t", "payload": "x", "retain": true }).to_string();
    ask(&publisher, "hub.publish", &retained).await.unwrap();
    let filters = (0..1000).map(|number| number.to_string());
    let topics: Vec<_> = std::iter::once("t".to_owned()).chain(filters).collect();
    let request = json!({ "topics": topics }).to_string();
    let mut raw = door.raw().await;
    for round in 0..20 {
        let id = format!("{round:04}");
        raw.request(&id, "hub.subscribe", &request).await;
        raw.expect(format!("R{id}00000002{{}}n001t00000001x")).await;
    }
}

#[tokio::test]
async fn names_that_cannot_be_topics_are_dropped_and_counted() {
    let door = Door::open().await;
    let (handlers, mut seeing) = collecting();
    let subscriber = door.peer(handlers).await;
    subscribe(&subscriber, &["#", "$hub/#"]).await;
    let publisher = door.peer(Handlers::new()).await;
    for name in ["", "a/+", "#", "a\0b", "$hub/x", "hub.serve", "hub."] {
        publisher.notify_raw(name, "").await.unwrap();
    }
    publisher.notify_raw("hub", "legal").await.unwrap();
    assert_eq!(next(&mut seeing).await, pair("hub", "legal"));
    assert_eq!(door.gateway.stats().notifications_refused, 7);
}

#[tokio::test]
async fn nobody_can_forge_what_the_hub_says() {
    let door = Door::open().await;
    let (handlers, mut seeing) = collecting();
    let subscriber = door.peer(handlers).await;
    subscribe(&subscriber, &["#"]).await;
    let publisher = door.peer(Handlers::new()).await;
    // The topic is legal at the hub, and other doors may carry it.
    for request in [
        r#"{"topic":"hub.cancel","payload":"00000000"}"#,
        r#"{"topic":"after"}"#,
    ] {
        ask(&publisher, "hub.publish", request).await.unwrap();
    }
    assert_eq!(next(&mut seeing).await, pair("after", ""));
    assert_eq!(door.gateway.stats().deliveries_refused, 1);
}

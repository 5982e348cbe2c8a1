//! Publishing.

use std::time::Duration;

use serde_json::json;
use switchboard_hub::{CONTENT_TYPE, Policy};

use crate::support::{Door, patient};

#[tokio::test]
async fn a_body_is_published_to_the_topic_in_the_path() {
    let door = Door::open().await;
    let (sink, mut deliveries) = door.session.sink(Policy::BLOCK);
    door.session.subscribe("#", &sink).unwrap();
    for (target, topic) in [
        ("/publish/home/lamp", "home/lamp"),
        ("/publish/home%2Flamp%20%E2%82%AC", "home/lamp €"),
        ("/publish//x/", "/x/"),
    ] {
        let headers = "Content-Type: text/plain; charset=utf-8\r\n";
        let response = door.ask("POST", target, headers, "on").await;
        assert_eq!(
            (response.status, response.json()),
            (200, json!({ "subscriptions": 1 })),
            "{target}"
        );
        let delivery = patient(deliveries.recv()).await.unwrap();
        assert_eq!(
            (&**delivery.topic(), &delivery.message.payload[..]),
            (topic, &b"on"[..])
        );
        let (name, value) = &delivery.message.headers[0];
        assert_eq!((&**name, &**value), (CONTENT_TYPE, "text/plain; charset=utf-8"));
    }
    // What curl says of every body says nothing.
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    door.ask("POST", "/publish/x", headers, "on").await;
    assert!(
        patient(deliveries.recv())
            .await
            .unwrap()
            .message
            .headers
            .is_empty()
    );
}

#[tokio::test]
async fn a_message_is_retained_and_expires_as_asked() {
    let door = Door::open().await;
    assert_eq!(door.post("/publish/a?retain", "1").await.status, 200);
    assert_eq!(
        door.post("/publish/b?retain=true&expires=7d", "2").await.status,
        200
    );
    assert_eq!(door.post("/publish/c?retain=false", "3").await.status, 200);
    assert_eq!(door.hub.stats().retained_messages, 2);
    let (sink, deliveries) = door.session.sink(Policy::BLOCK);
    let mut deliveries = deliveries;
    door.session.subscribe("b", &sink).unwrap();
    let expires = deliveries.try_recv().unwrap().unwrap().message.expires.unwrap();
    let left = expires.duration_since(tokio::time::Instant::now());
    assert!(left > Duration::from_secs(6 * 86_400), "{left:?}");
    // An empty one deletes.
    door.post("/publish/a?retain", "").await;
    assert_eq!(door.hub.stats().retained_messages, 1);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_by_name() {
    let door = Door::open().await;
    for (target, status) in [
        ("/publish/", 400),
        ("/publish/a/%23", 400),
        ("/publish/%00", 400),
        ("/publish/$hub/x", 403),
        ("/publish/x?expires=0", 400),
        ("/publish/x?expires=soon", 400),
        ("/publish/x?retain=perhaps", 400),
        ("/publish/x?retained", 400),
    ] {
        assert_eq!(door.post(target, "x").await.status, status, "{target}");
    }
    let response = door.get("/publish/x").await;
    assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
    assert_eq!(door.hub.stats().published, 0);
}

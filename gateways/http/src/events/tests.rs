use std::sync::Arc;

use serde_json::{Value, json};
use switchboard_hub::{Account, Publish, Session, SessionInfo};

use super::*;

fn session(hub: &Hub) -> Session {
    let info = SessionInfo {
        door: "test".into(),
        address: "here".to_owned(),
        account: Account::guest(),
        client: None,
    };
    hub.open(info).unwrap()
}

/// What a subscriber gets of this message.
async fn delivery(hub: &Hub, publish: Publish) -> Delivery {
    let session = session(hub);
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    session.subscribe("#", &sink).unwrap();
    session.publish(publish).await.unwrap();
    deliveries.recv().await.unwrap()
}

fn numbered(delivery: &Delivery, serial: u64, retained: bool) -> Delivery {
    let mut message = Message::clone(&delivery.message);
    message.serial = serial;
    Delivery {
        message: Arc::new(message),
        retained,
        ..delivery.clone()
    }
}

#[tokio::test]
async fn an_event_is_an_id_and_one_line_of_json() {
    let hub = Hub::default();
    let publish = Publish::new("a/\n", "on\r\n\"").header(CONTENT_TYPE, "text/plain");
    let mut delivery = numbered(&delivery(&hub, publish).await, 12, false);
    delivery.reached = 10;
    let mut events = BytesMut::new();
    Writer::default().put_event(&mut events, &hub, &delivery);
    let events = String::from_utf8(events.to_vec()).unwrap();
    let epoch = format!("{:016x}", hub.epoch());
    let data = events
        .strip_prefix(&format!("id: {epoch}-10\ndata: "))
        .and_then(|rest| rest.strip_suffix("\n\n"))
        .unwrap_or_else(|| panic!("{events}"));
    assert!(!data.contains(['\n', '\r']), "{data:?}");
    let expected = json!({
        "id": format!("{epoch}-12"), "topic": "a/\n", "payload": "on\r\n\"", "content_type": "text/plain",
        "retained": false,
    });
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), expected);
}

#[tokio::test]
async fn what_is_no_text_is_base64_and_drops_are_told() {
    let hub = Hub::default();
    let mut delivery = delivery(&hub, Publish::new("a", &b"\xff\x00"[..])).await;
    delivery.dropped = 3;
    let mut json = Vec::new();
    put_json(&mut json, &hub, &delivery);
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["payload_base64"], &json["dropped"]),
        (&json!("/wA="), &json!(3))
    );
    assert_eq!(json.get("payload"), None);
}

#[tokio::test]
async fn last_values_that_are_known_are_not_wanted_again() {
    let hub = Hub::default();
    let delivery = delivery(&hub, Publish::new("a", "x").retain()).await;
    for _ in 0..9 {
        session(&hub).publish(Publish::new("a", "x")).await.unwrap();
    }
    let id = |epoch, serial| EventId { epoch, serial }.to_string();
    let resume = Resume::after(&id(hub.epoch(), 7), &hub);
    assert!(!resume.wants(&numbered(&delivery, 6, true)));
    assert!(!resume.wants(&numbered(&delivery, 7, true)));
    assert!(resume.wants(&numbered(&delivery, 8, true)));
    assert!(
        resume.wants(&numbered(&delivery, 6, false)),
        "news are always wanted"
    );
    for other in [
        "",
        "-",
        "x",
        "7",
        "-7",
        &id(hub.epoch() ^ 1, 7),
        &id(hub.epoch(), hub.serial() + 1),
        &format!("{:016x}--7", hub.epoch()),
        &format!("{:016x}-{}", hub.epoch(), u128::MAX),
        "1731500000123456789",
    ] {
        let resume = Resume::after(other, &hub);
        assert!(resume.wants(&numbered(&delivery, 1, true)), "{other:?}");
    }
}

#[tokio::test]
async fn a_message_is_put_into_words_once_for_all_readers() {
    let hub = Hub::default();
    let mut delivery = delivery(&hub, Publish::new("a", "x")).await;
    let text = said(&hub, &delivery.message);
    assert_eq!(said(&hub, &delivery.message).as_ptr(), text.as_ptr());
    // What differs from reader to reader stands beside it.
    let mut writer = Writer::default();
    let mut written = |delivery: &Delivery| {
        let mut events = BytesMut::new();
        writer.put_event(&mut events, &hub, delivery);
        String::from_utf8(events.to_vec()).unwrap()
    };
    let epoch = format!("{:016x}", hub.epoch());
    let start = format!(r#"{{"id":"{epoch}-1","topic":"a","payload":"x","retained":"#);
    let first = written(&delivery);
    assert_eq!(first, format!("id: {epoch}-0\ndata: {start}false}}\n\n"));
    (delivery.retained, delivery.dropped, delivery.reached) = (true, 2, 7);
    let second = written(&delivery);
    assert_eq!(
        second,
        format!("id: {epoch}-7\ndata: {start}true,\"dropped\":2}}\n\n")
    );
}

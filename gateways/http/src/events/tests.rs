use std::sync::Arc;

use serde_json::{Value, json};
use switchboard_hub::{Account, Hub, Publish, Session, SessionInfo};

use super::*;

fn session() -> Session {
    let info = SessionInfo {
        door: "test".into(),
        address: "here".to_owned(),
        account: Account::guest(),
        client: None,
    };
    Hub::default().open(info).unwrap()
}

/// What a subscriber gets of this message.
async fn delivery(publish: Publish) -> Delivery {
    let session = session();
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    session.subscribe("#", &sink).unwrap();
    session.publish(publish).await.unwrap();
    deliveries.recv().await.unwrap()
}

fn at(delivery: &Delivery, published: SystemTime, retained: bool) -> Delivery {
    let mut message = Message::clone(&delivery.message);
    message.published = published;
    Delivery {
        message: Arc::new(message),
        retained,
        ..delivery.clone()
    }
}

#[tokio::test]
async fn an_event_is_an_id_and_one_line_of_json() {
    let sent = delivery(Publish::new("a/\n", "on\r\n\"").header(CONTENT_TYPE, "text/plain")).await;
    let delivery = at(
        &sent,
        UNIX_EPOCH + Duration::from_nanos(1_731_500_000_123_456_789),
        false,
    );
    let mut events = BytesMut::new();
    write_event(&mut events, &delivery);
    let events = String::from_utf8(events.to_vec()).unwrap();
    let data = events
        .strip_prefix("id: 1731500000123456789\ndata: ")
        .and_then(|rest| rest.strip_suffix("\n\n"))
        .unwrap();
    assert!(!data.contains(['\n', '\r']), "{data:?}");
    let expected = json!({
        "id": "1731500000123456789", "topic": "a/\n", "payload": "on\r\n\"", "content_type": "text/plain", "retained": false,
    });
    assert_eq!(serde_json::from_str::<Value>(data).unwrap(), expected);
}

#[tokio::test]
async fn what_is_no_text_is_base64_and_drops_are_told() {
    let mut delivery = delivery(Publish::new("a", &b"\xff\x00"[..])).await;
    delivery.dropped = 3;
    let mut json = Vec::new();
    write_json(&mut json, &delivery);
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        (&json["payload_base64"], &json["dropped"]),
        (&json!("/wA="), &json!(3))
    );
    assert_eq!(json.get("payload"), None);
}

#[tokio::test]
async fn last_values_that_are_known_are_not_wanted_again() {
    let delivery = delivery(Publish::new("a", "x")).await;
    let id = delivery.message.published;
    let resume = Resume::after(&super::id(&delivery.message));
    assert!(!resume.wants(&at(&delivery, id - Duration::from_secs(1), true)));
    assert!(
        resume.wants(&at(&delivery, id - Duration::from_secs(1), false)),
        "news are always wanted"
    );
    assert!(
        resume.wants(&at(&delivery, id - RESUME_OVERLAP / 2, true)),
        "it may have come later"
    );
    assert!(resume.wants(&at(&delivery, id + Duration::from_nanos(1), true)));
    let future = (SystemTime::now() + Duration::from_secs(60))
        .duration_since(UNIX_EPOCH)
        .unwrap();
    for other in [
        "",
        "x",
        "-1",
        "0",
        &future.as_nanos().to_string(),
        &u128::MAX.to_string(),
    ] {
        assert!(Resume::after(other).wants(&at(&delivery, id, true)), "{other:?}");
    }
}

//! Topics that are watched.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_gateway_http::{EventOptions, HttpOptions};
use switchboard_hub::{Policy, QueueLimits};

use crate::support::{Door, Raw, patient};

/// Watches, and reads up to the begin of the events.
async fn watch(door: &Door, query: &str, headers: &str) -> Raw {
    let mut raw = door.raw().await;
    raw.request("GET", &format!("/subscribe?{query}"), headers, "")
        .await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
    ] {
        assert!(
            head.to_ascii_lowercase().contains(header),
            "{header} is missing in {head}"
        );
    }
    assert_eq!(raw.next_chunk().await.unwrap(), b":\n\n");
    raw
}

/// The next event's id and data. Chunks may hold several events: what is left over comes first.
async fn event(raw: &mut Raw) -> (String, Value) {
    let event = raw.until("\n\n").await.expect("an event");
    let (mut id, mut data) = (None, None);
    for line in event.lines() {
        if let Some(value) = line.strip_prefix("id: ") {
            id = Some(value.to_owned());
        }
        if let Some(value) = line.strip_prefix("data: ") {
            data = Some(serde_json::from_str(value).expect("JSON"));
        }
    }
    (id.expect("an id"), data.expect("data"))
}

async fn payload(raw: &mut Raw) -> String {
    event(raw).await.1["payload"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn last_values_come_first_and_then_what_is_published() {
    let door = Door::open().await;
    door.retain("home/lamp", "off").await;
    let mut raw = watch(&door, "topic=home/%23&topic=other", "").await;
    let (id, data) = event(&mut raw).await;
    let expected = json!({ "id": id, "topic": "home/lamp", "payload": "off", "retained": true });
    assert_eq!(data, expected);
    door.publish("home/lamp", "on\n").await;
    door.publish("unwatched", "x").await;
    door.publish("other", &b"\xff"[..]).await;
    let (_, data) = event(&mut raw).await;
    assert_eq!(
        (&data["payload"], &data["retained"]),
        (&json!("on\n"), &json!(false))
    );
    let (_, data) = event(&mut raw).await;
    assert_eq!(
        (&data["topic"], &data["payload_base64"]),
        (&json!("other"), &json!("/w=="))
    );
}

#[tokio::test]
async fn events_are_not_compressed_whatever_the_client_takes() {
    let door = Door::open().await;
    door.retain("a", "x").await;
    let mut raw = door.raw().await;
    let headers = "Accept-Encoding: gzip, br\r\n";
    raw.request("GET", "/subscribe?topic=a", headers, "").await;
    let head = raw.head().await.to_ascii_lowercase();
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(raw.next_chunk().await.unwrap(), b":\n\n");
    assert_eq!(payload(&mut raw).await, "x");
}

#[tokio::test]
async fn who_leaves_is_forgotten() {
    let door = Door::open().await;
    let one = watch(&door, "topic=a", "").await;
    let other = watch(&door, "topic=a", "").await;
    assert_eq!(
        (door.hub.stats().subscriptions, door.gateway.stats().watchers),
        (2, 2)
    );
    drop(one);
    drop(other);
    door.until(|stats| stats.subscriptions == 0 && stats.sessions == 1)
        .await;
    assert_eq!(door.gateway.stats().watchers, 0);
}

#[tokio::test]
async fn who_comes_back_gets_only_last_values_that_are_news() {
    let door = Door::open().await;
    for topic in ["a", "b", "c"] {
        door.retain(topic, "1").await;
    }
    let mut raw = watch(&door, "topic=a&topic=b&topic=c", "").await;
    // It leaves half-way, then something changes, then it comes back.
    let mut had = Vec::new();
    for _ in 0..2 {
        let (id, data) = event(&mut raw).await;
        had.push((id, data["topic"].clone()));
    }
    drop(raw);
    assert_eq!((&had[0].1, &had[1].1), (&json!("a"), &json!("b")));
    door.publish("a", "not retained").await;
    door.retain("b", "2").await;
    let (last, _) = had.pop().unwrap();
    let mut raw = watch(
        &door,
        "topic=a&topic=b&topic=c",
        &format!("Last-Event-ID: {last}\r\n"),
    )
    .await;
    let mut got = Vec::new();
    for _ in 0..2 {
        let (id, data) = event(&mut raw).await;
        got.push((data["topic"].clone(), data["payload"].clone(), id));
    }
    assert_eq!(
        (&got[0].0, &got[0].1, &got[1].0, &got[1].1),
        (&json!("c"), &json!("1"), &json!("b"), &json!("2"))
    );
    // What is not retained takes the reader no further.
    door.publish("a", "3").await;
    let (id, data) = event(&mut raw).await;
    assert_eq!((&data["payload"], &id), (&json!("3"), &got[1].2));
    assert_ne!(data["id"], json!(id), "but it has a name of its own");
    let response = door
        .get(&format!("/subscribe?topic=%23&wait=0&last_event_id={id}"))
        .await;
    assert_eq!(response.status, 204);
}

#[tokio::test]
async fn who_was_at_another_hub_or_before_a_restart_gets_all_last_values() {
    let (door, other) = (Door::open().await, Door::open().await);
    for door in [&door, &other] {
        door.retain("a", "1").await;
    }
    let mut raw = watch(&other, "topic=a", "").await;
    let (foreign, _) = event(&mut raw).await;
    for unknown in ["0", "x", "99999999999999999999", "%20", &foreign] {
        let response = door
            .get(&format!("/subscribe?topic=a&wait=0&last_event_id={unknown}"))
            .await;
        assert_eq!(response.json().as_array().unwrap().len(), 1, "{unknown}");
    }
}

#[tokio::test]
async fn long_polls_go_on_after_the_answer_before() {
    let door = Door::open().await;
    door.retain("a", "1").await;
    door.retain("b", "2").await;
    let payloads = |response: &crate::support::Response| -> Vec<Value> {
        let events = response.json();
        let events = events.as_array().unwrap().iter();
        events.map(|event| event["payload"].clone()).collect()
    };
    let first = door.get("/subscribe?topic=%23&wait=0").await;
    assert_eq!(payloads(&first), ["1", "2"]);
    door.retain("a", "3").await;
    let known = first.header("last-event-id").unwrap();
    let poll = format!("/subscribe?topic=%23&wait=0&last_event_id={known}");
    let second = door.get(&poll).await;
    assert_eq!(payloads(&second), ["3"]);
    let known = second.header("last-event-id").unwrap();
    let poll = format!("/subscribe?topic=%23&wait=0&last_event_id={known}");
    assert_eq!(door.get(&poll).await.status, 204);
}

#[tokio::test]
async fn a_long_poll_brings_the_first_messages() {
    let door = Door::open().await;
    let none = door.get("/subscribe?topic=a&wait=20ms").await;
    assert_eq!(
        (none.status, none.header("cache-control")),
        (204, Some("no-store"))
    );
    door.retain("a", "1").await;
    door.retain("b", "2").await;
    let both = door.get("/subscribe?topic=a&topic=b&wait=30").await.json();
    let mut payloads: Vec<_> = both
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["payload"])
        .collect();
    payloads.sort_by_key(|payload| payload.to_string());
    assert_eq!(payloads, ["1", "2"]);

    let mut raw = door.raw().await;
    raw.request("GET", "/subscribe?topic=news&wait=30", "", "").await;
    door.until(|stats| stats.subscriptions == 1).await;
    door.publish("news", "3").await;
    assert_eq!(raw.response("GET").await.json()[0]["payload"], "3");
    door.until(|stats| stats.subscriptions == 0).await;
}

#[tokio::test]
async fn silence_is_filled_with_comments() {
    let door = Door::with(HttpOptions {
        events: EventOptions {
            comment_interval: Duration::from_millis(20),
            ..EventOptions::default()
        },
        ..HttpOptions::default()
    })
    .await;
    let mut raw = watch(&door, "topic=a", "").await;
    for _ in 0..3 {
        assert_eq!(raw.next_chunk().await.unwrap(), b":\n\n");
    }
    door.publish("a", "x").await;
    patient(async { while raw.next_chunk().await.unwrap() == b":\n\n" {} }).await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_fulfilled_is_refused_by_name() {
    let door = Door::open().await;
    for (query, status) in [
        ("", 400),
        ("topic=", 400),
        ("topic=a%23", 400),
        ("topic=a&policy=best", 400),
        ("topic=a&wait=x", 400),
        ("topic=a&tpic=b", 400),
    ] {
        assert_eq!(
            door.get(&format!("/subscribe?{query}")).await.status,
            status,
            "{query}"
        );
    }
    let response = door.post("/subscribe?topic=a", "").await;
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(
        (door.hub.stats().subscriptions, door.gateway.stats().watchers),
        (0, 0)
    );
}

fn small_queues(policy: Policy) -> HttpOptions {
    let mut options = HttpOptions::default();
    options.events.policy = policy;
    options.events.queue = QueueLimits {
        messages: 4,
        ..QueueLimits::default()
    };
    options
}

/// Publishes far more than a reader that does not read can have underway.
async fn flood(door: &Door) {
    let payload = "x".repeat(256 << 10);
    for _ in 0..200 {
        door.publish("a", payload.clone()).await;
        // What there is room for goes out.
        tokio::task::yield_now().await;
    }
    door.publish("a", "last").await;
}

#[tokio::test]
async fn a_reader_that_is_behind_loses_the_oldest_and_is_told_how_many() {
    let door = Door::with(small_queues(Policy::DropOldest)).await;
    let mut raw = watch(&door, "topic=a", "").await;
    flood(&door).await;
    let dropped = door.hub.stats().dropped;
    assert!(dropped > 0, "nobody can have read that much");
    let (mut told, mut last) = (0, Value::Null);
    while last["payload"] != "last" {
        last = event(&mut raw).await.1;
        told += last["dropped"].as_u64().unwrap_or(0);
    }
    assert_eq!(told, dropped);
}

#[tokio::test]
async fn a_reader_that_is_behind_is_disconnected_if_it_asked_for_that() {
    let door = Door::with(small_queues(Policy::DropOldest)).await;
    let mut raw = watch(&door, "topic=a&policy=disconnect", "").await;
    flood(&door).await;
    // It gets what was under way, and then the end.
    assert!(raw.until("\r\n0\r\n\r\n").await.is_some());
    assert_eq!(door.gateway.stats().too_slow, 1);
    raw.request("GET", "/healthz", "", "").await;
    assert_eq!(raw.response("GET").await.status, 200, "the connection lives");
}

#[tokio::test]
async fn a_reader_that_never_reads_is_gone_after_a_while_and_harms_nobody() {
    let mut options = small_queues(Policy::DropOldest);
    options.connection.write_timeout = Duration::from_millis(200);
    let door = Door::with(options).await;
    let never = watch(&door, "topic=a", "").await;
    let mut other = watch(&door, "topic=b", "").await;
    flood(&door).await;
    door.publish("b", "as ever").await;
    assert_eq!(payload(&mut other).await, "as ever");
    door.until(|stats| stats.subscriptions == 1).await;
    door.publish("b", "still").await;
    assert_eq!(payload(&mut other).await, "still");
    drop(never);
}

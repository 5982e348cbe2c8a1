use std::time::Duration;

use serde_json::{Value, json};
use switchboard_peer::Reply;

use super::*;
use crate::hub::Hub;
use crate::names::Account;
use crate::policy::{Policy, QueueLimits};
use crate::session::{Session, SessionInfo};

fn session(hub: &Hub, client: Option<&str>) -> Session {
    let info = SessionInfo {
        door: "test".into(),
        address: "127.0.0.1:5".to_owned(),
        account: Account::guest(),
        client: client.map(str::to_owned),
    };
    hub.open(info).unwrap()
}

async fn ask_with(session: &Session, operation: &str, body: Body) -> Result<Value, Fault> {
    let (reply, answer) = Replier::pair(1024);
    session.call(ByteString::from(operation), body, None, reply);
    let Reply::Single(payload) = answer.await? else {
        panic!("a stream")
    };
    Ok(serde_json::from_slice(&payload).unwrap())
}

async fn ask(session: &Session, operation: &str, body: Value) -> Result<Value, Fault> {
    ask_with(session, operation, Body::Single(body.to_string().into())).await
}

#[tokio::test]
async fn whoami_tells_the_session() {
    let hub = Hub::default();
    let named = session(&hub, Some("lamp"));
    let expected = json!({
        "session": named.id().as_u64(), "account": "guest", "door": "test", "address": "127.0.0.1:5", "client": "lamp"
    });
    assert_eq!(ask(&named, "hub.whoami", json!({})).await, Ok(expected));
    let nameless = ask_with(&session(&hub, None), "hub.whoami", Body::Single(Bytes::new()))
        .await
        .unwrap();
    assert_eq!(nameless.get("client"), None);
}

#[tokio::test]
async fn ops_lists_what_can_be_called_page_by_page() {
    let hub = Hub::default();
    let session = session(&hub, None);
    for operation in ["b", "a"] {
        session
            .serve(
                operation,
                Arc::new(|_: Call, reply: Replier| reply.result("null")),
            )
            .unwrap();
    }
    assert_eq!(ask(&session, "a", Value::Null).await, Ok(Value::Null));
    let first = ask(&session, "hub.ops", json!({"limit": 2})).await.unwrap();
    let entry = |op: &str, calls: u64| json!({"op": op, "safe": false, "responders": 1, "calls": calls, "in_flight": 0});
    assert_eq!(first, json!({"ops": [entry("a", 1), entry("b", 0)], "next": "b"}));
    let rest = ask(&session, "hub.ops", json!({"after": "b"})).await.unwrap();
    let names: Vec<_> = rest["ops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op["op"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "hub.ops",
            "hub.publish",
            "hub.sessions",
            "hub.stats",
            "hub.whoami"
        ]
    );
    assert_eq!(rest.get("next"), None);
    // The one that answers is itself in flight.
    assert_eq!(rest["ops"][0]["in_flight"], 1);
    for op in rest["ops"].as_array().unwrap() {
        let safe = op["op"] != "hub.publish";
        assert_eq!(
            (&op["safe"], &op["result_type"]),
            (&json!(safe), &json!("application/json"))
        );
    }
}

#[tokio::test]
async fn sessions_lists_who_is_here_page_by_page() {
    let hub = Hub::default();
    let (one, two) = (session(&hub, None), session(&hub, Some("two")));
    one.serve("x", Arc::new(|_: Call, _: Replier| ())).unwrap();
    let (sink, _deliveries) = one.sink(Policy::BLOCK);
    one.subscribe("a", &sink).unwrap();
    one.subscribe("b", &sink).unwrap();
    let first = ask(&one, "hub.sessions", json!({"limit": 1})).await.unwrap();
    let entry = &first["sessions"][0];
    assert_eq!(
        (&entry["id"], &entry["serves"], &entry["subscriptions"]),
        (&json!(one.id().as_u64()), &json!(1), &json!(2))
    );
    assert_eq!(
        (&entry["door"], &entry["account"], &entry["address"]),
        (&json!("test"), &json!("guest"), &json!("127.0.0.1:5"))
    );
    assert!(entry["since_unix_ms"].as_u64().unwrap() > 1_600_000_000_000);
    let second = ask(&one, "hub.sessions", json!({"limit": 1, "after": first["next"]}))
        .await
        .unwrap();
    assert_eq!(second["sessions"][0]["id"], json!(two.id().as_u64()));
    assert_eq!(second["sessions"][0]["client"], "two");
    assert_eq!(second.get("next"), None);
}

#[tokio::test]
async fn stats_counts() {
    let hub = Hub::default();
    let session = session(&hub, None);
    let (sink, _deliveries) = session.sink(Policy::BLOCK);
    session.subscribe("a", &sink).unwrap();
    session
        .publish(crate::Publish::new("a", "x").retain())
        .await
        .unwrap();
    let stats = ask(&session, "hub.stats", json!({})).await.unwrap();
    for (field, value) in [
        ("sessions", 1),
        ("operations", 5),
        ("subscriptions", 1),
        ("calls", 1),
        ("published", 1),
        ("delivered", 1),
        ("retained_messages", 1),
    ] {
        assert_eq!(stats[field], value, "{field}");
    }
}

#[tokio::test]
async fn publish_is_acknowledged_and_checked_like_any_other() {
    let hub = Hub::default();
    let session = session(&hub, None);
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    session.subscribe("t", &sink).unwrap();
    let reply = ask(
        &session,
        "hub.publish",
        json!({"topic": "t", "payload": "on", "retain": true}),
    )
    .await;
    assert_eq!(reply, Ok(json!({"subscriptions": 1})));
    let delivery = deliveries.try_recv().unwrap().unwrap();
    assert_eq!(
        (&delivery.message.payload[..], delivery.message.publisher),
        (&b"on"[..], session.id())
    );
    assert_eq!(hub.stats().retained_messages, 1);
    for (body, kind) in [
        (json!({"topic": "a/#", "payload": ""}), ErrorKind::Invalid),
        (json!({"topic": "$hub/x", "payload": ""}), ErrorKind::Denied),
        (json!({"topic": "t", "payload": 5}), ErrorKind::Invalid),
        (json!({"payload": "x"}), ErrorKind::Invalid),
    ] {
        let fault = ask(&session, "hub.publish", body.clone()).await.unwrap_err();
        assert!(
            matches!(fault, Fault::Error { kind: is, .. } if is == kind),
            "{body}: {fault}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn publish_answers_once_those_who_block_have_it_or_their_time_is_over() {
    let hub = Hub::default();
    let session = session(&hub, None);
    let timeout = Duration::from_secs(2);
    let (sink, _deliveries) = session.sink_with(
        Policy::Block { timeout },
        QueueLimits {
            messages: 1,
            ..QueueLimits::default()
        },
    );
    session.subscribe("t", &sink).unwrap();
    let publish = || ask(&session, "hub.publish", json!({"topic": "t", "payload": "x"}));
    assert_eq!(publish().await, Ok(json!({"subscriptions": 1})));
    let begin = tokio::time::Instant::now();
    assert_eq!(publish().await, Ok(json!({"subscriptions": 0})));
    assert_eq!(begin.elapsed().as_secs(), timeout.as_secs());
}

#[tokio::test]
async fn a_stream_is_not_what_they_take() {
    let hub = Hub::default();
    let session = session(&hub, None);
    let (_sender, parts) = switchboard_peer::parts(10);
    let fault = ask_with(&session, "hub.stats", Body::Stream(parts))
        .await
        .unwrap_err();
    assert!(
        matches!(
            fault,
            Fault::Error {
                kind: ErrorKind::Unsupported,
                ..
            }
        ),
        "{fault}"
    );
}

#[test]
fn a_hub_without_handles_and_sessions_is_gone() {
    let hub = Hub::default();
    let session = session(&hub, None);
    let inner = Arc::downgrade(&session.hub);
    drop(hub);
    assert!(inner.upgrade().is_some(), "a session keeps its hub");
    drop(session);
    assert!(
        inner.upgrade().is_none(),
        "the hub's own operations do not keep it"
    );
}

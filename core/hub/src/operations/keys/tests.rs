//! The operations, as a caller meets them.

use switchboard_peer::{PartSender, Reply, parts};

use super::*;
use crate::keys::tests::moody::Moody;
use crate::keys::tests::{engine, engine_with_clock, hub_on, session};
use crate::session::Session;

/// What a stream may hold before its writer waits.
const STREAM_BYTES: usize = 256 * 1024;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

async fn call(session: &Session, operation: &'static str, body: Body) -> Result<Reply, Fault> {
    let (reply, answer) = Replier::pair(STREAM_BYTES);
    session.call(operation.into(), body, None, reply);
    answer.await
}

async fn raw(session: &Session, operation: &'static str, body: Body) -> Result<Bytes, Fault> {
    call(session, operation, body)
        .await?
        .collect(ANSWER_BYTES_MAX)
        .await
}

async fn ask(session: &Session, operation: &'static str, body: Value) -> Result<Value, Fault> {
    let answer = raw(session, operation, Body::Single(body.to_string().into())).await?;
    Ok(serde_json::from_slice(&answer).expect("JSON"))
}

fn kind(answer: Result<impl std::fmt::Debug, Fault>) -> ErrorKind {
    match answer {
        Err(Fault::Error { kind, .. }) => kind,
        other => panic!("an error is expected: {other:?}"),
    }
}

/// The same without what differs from run to run.
fn settled(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("created_unix_ms");
    }
    answer
}

/// A body of JSON and then a value in pieces.
fn stream(head: &Value, value: &[u8]) -> (Body, tokio::task::JoinHandle<()>) {
    let (mut sender, receiver) = parts(STREAM_BYTES);
    let head = head.to_string();
    let value = Bytes::copy_from_slice(value);
    let sending = tokio::spawn(async move {
        let _ = sender.send(head).await;
        send(sender, value).await;
    });
    (Body::Stream(receiver), sending)
}

async fn send(mut sender: PartSender, mut value: Bytes) {
    while !value.is_empty() {
        let part = value.split_to(value.len().min(10_000));
        if sender.send(part).await.is_err() {
            return;
        }
    }
    sender.finish();
}

#[tokio::test]
async fn values_are_put_read_and_deleted() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let put = ask(&session, PUT, json!({"key": "greeting", "value": "hi"}))
        .await
        .unwrap();
    assert_eq!(settled(put.clone()), json!({"revision": 1}));
    assert!(put["created_unix_ms"].as_u64().unwrap() > 1_600_000_000_000);
    let get = || Body::Single(json!({"key": "greeting"}).to_string().into());
    assert_eq!(raw(&session, GET, get()).await, Ok("hi".into()));
    let entry = ask(&session, ENTRY, json!({"key": "greeting"})).await.unwrap();
    assert_eq!(settled(entry), json!({"revision": 1, "value": "hi"}));
    assert_eq!(
        ask(&session, DELETE, json!({"key": "greeting"})).await,
        Ok(json!({"deleted": true}))
    );
    assert_eq!(
        ask(&session, DELETE, json!({"key": "greeting"})).await,
        Ok(json!({"deleted": false}))
    );
    assert_eq!(kind(raw(&session, GET, get()).await), ErrorKind::Unknown);
    assert_eq!(
        ask(&session, BUCKETS, json!({})).await,
        Ok(json!({"buckets": []}))
    );
}

#[tokio::test]
async fn any_bytes_go_in_and_out() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let put = json!({"bucket": "b", "key_base64": "/w==", "value_base64": "AP8="});
    ask(&session, PUT, put).await.unwrap();
    let key = json!({"bucket": "b", "key_base64": "/w=="});
    assert_eq!(
        raw(&session, GET, Body::Single(key.to_string().into())).await,
        Ok((&b"\0\xff"[..]).into())
    );
    let entry = ask(&session, ENTRY, key).await.unwrap();
    assert_eq!(entry["value_base64"], "AP8=");
    let page = ask(&session, SCAN, json!({"bucket": "b"})).await.unwrap();
    assert_eq!(page["keys"][0]["key_base64"], "/w==");
    assert_eq!(
        ask(&session, BUCKETS, Value::Null).await,
        Ok(json!({"buckets": ["b"]}))
    );
}

#[tokio::test]
async fn large_values_go_as_streams_both_ways() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let value: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let (body, sending) = stream(&json!({"key": "big"}), &value);
    raw(&session, PUT, body).await.unwrap();
    sending.await.unwrap();
    let get = Body::Single(json!({"key": "big"}).to_string().into());
    let Reply::Stream(parts) = call(&session, GET, get).await.unwrap() else {
        panic!("too large for one piece")
    };
    assert!(parts.collect(ANSWER_BYTES_MAX).await.unwrap() == value);
    let entry = ask(&session, ENTRY, json!({"key": "big"})).await.unwrap();
    assert_eq!(
        (entry.get("value_base64"), &entry["bytes"]),
        (None, &json!(3_000_000))
    );
    let (body, _) = stream(&json!({"key": "big"}), b"more");
    raw(&session, APPEND, body).await.unwrap();
    let entry = ask(&session, ENTRY, json!({"key": "big"})).await.unwrap();
    assert_eq!(entry["bytes"], 3_000_004);
}

#[tokio::test]
async fn streams_that_make_no_sense_change_nothing() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let twice = stream(&json!({"key": "a", "value": "x"}), b"y").0;
    assert_eq!(kind(raw(&session, PUT, twice).await), ErrorKind::Invalid);
    let delete = stream(&json!({"key": "a"}), b"y").0;
    assert_eq!(kind(raw(&session, DELETE, delete).await), ErrorKind::Invalid);
    let (sender, empty) = parts(10);
    sender.finish();
    assert_eq!(
        kind(raw(&session, PUT, Body::Stream(empty)).await),
        ErrorKind::Invalid
    );
    let get = stream(&json!({"key": "a"}), b"").0;
    assert_eq!(kind(raw(&session, GET, get).await), ErrorKind::Unsupported);
    let (mut sender, broken) = parts(STREAM_BYTES);
    sender.send(json!({"key": "a"}).to_string()).await.unwrap();
    sender.send("half").await.unwrap();
    sender.fail(Fault::failed("it broke off"));
    assert_eq!(
        kind(raw(&session, PUT, Body::Stream(broken)).await),
        ErrorKind::Failed
    );
    let huge = stream(&json!({"key": "a"}), &vec![0; VALUE_BYTES_MAX + 1]).0;
    assert_eq!(kind(raw(&session, PUT, huge).await), ErrorKind::TooLarge);
    assert_eq!(ask(&session, SCAN, json!({})).await, Ok(json!({"keys": []})));
}

#[tokio::test]
async fn conditions_that_are_not_met_are_conflicts() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let absent = |value: &str| json!({"key": "lock", "value": value, "if_absent": true});
    let mine = ask(&session, PUT, absent("me")).await.unwrap();
    assert_eq!(kind(ask(&session, PUT, absent("you")).await), ErrorKind::Conflict);
    let revision = mine["revision"].as_u64().unwrap();
    for (operation, body) in [
        (
            CAS,
            json!({"key": "lock", "value": "you", "revision": revision + 1}),
        ),
        (CAS, json!({"key": "none", "value": "you", "revision": 1})),
        (DELETE, json!({"key": "lock", "revision": revision + 1})),
        (INCR, json!({"key": "lock", "revision": revision + 1})),
        (INCR, json!({"key": "lock"})),
    ] {
        assert_eq!(
            kind(ask(&session, operation, body.clone()).await),
            ErrorKind::Conflict,
            "{operation} {body}"
        );
    }
    let next = ask(
        &session,
        CAS,
        json!({"key": "lock", "value": "me again", "revision": revision}),
    )
    .await;
    assert!(next.unwrap()["revision"].as_u64().unwrap() > revision);
    let entry = ask(&session, ENTRY, json!({"key": "lock"})).await.unwrap();
    assert_eq!(entry["value"], "me again");
}

#[tokio::test]
async fn numbers_are_added_to() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    for (body, value) in [
        (json!({"key": "n"}), json!(1)),
        (json!({"key": "n", "by": -5}), json!(-4)),
        (json!({"key": "n", "by": 0.5}), json!(-3.5)),
        (json!({"key": "m", "by": i64::MAX}), json!(i64::MAX)),
    ] {
        let entry = ask(&session, INCR, body.clone()).await.unwrap();
        assert_eq!(entry["value"], value, "{body}");
    }
    assert_eq!(
        kind(ask(&session, INCR, json!({"key": "m"})).await),
        ErrorKind::Conflict
    );
    assert_eq!(
        kind(ask(&session, INCR, json!({"key": "n"})).await),
        ErrorKind::Conflict
    );
}

#[tokio::test]
async fn keys_expire_when_told_and_not_when_told_otherwise() {
    let (engine, clock) = engine_with_clock();
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    for key in ["put", "expire", "kept"] {
        ask(&session, PUT, json!({"key": key, "value": "1", "expires_s": 60}))
            .await
            .unwrap();
    }
    ask(&session, EXPIRE, json!({"key": "expire"})).await.unwrap();
    let kept = ask(&session, INCR, json!({"key": "kept"})).await.unwrap();
    assert!(kept["expires_unix_ms"].is_u64());
    let far = switchboard_engine::Clock::now(&clock).as_millis() + 3_600_000;
    let moved = ask(&session, EXPIRE, json!({"key": "put", "expires_unix_ms": far}))
        .await
        .unwrap();
    assert_eq!(moved["expires_unix_ms"], far);
    clock.advance(std::time::Duration::from_secs(120));
    let page = ask(&session, SCAN, json!({})).await.unwrap();
    let names: Vec<_> = page["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["key"])
        .collect();
    assert_eq!(names, ["expire", "put"]);
    assert_eq!(
        ask(&session, EXPIRE, json!({"key": "put", "expires_unix_ms": 5})).await,
        Ok(Value::Null)
    );
    assert_eq!(
        kind(ask(&session, EXPIRE, json!({"key": "put"})).await),
        ErrorKind::Unknown
    );
}

#[tokio::test]
async fn scans_go_page_by_page() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    for number in 0..5 {
        ask(&session, PUT, json!({"key": format!("k{number}"), "value": "v"}))
            .await
            .unwrap();
    }
    ask(&session, PUT, json!({"key": "other"})).await.unwrap();
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = ask(&session, SCAN, json!({"prefix": "k", "limit": 2, "after": after}))
            .await
            .unwrap();
        for entry in page["keys"].as_array().unwrap() {
            assert_eq!(entry.get("value"), None, "not asked for");
            seen.push(entry["key"].as_str().unwrap().to_owned());
        }
        match page.get("next") {
            Some(next) => after = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["k0", "k1", "k2", "k3", "k4"]);
    let page = ask(&session, SCAN, json!({"values": true, "limit": 1}))
        .await
        .unwrap();
    assert_eq!(
        (&page["keys"][0]["value"], &page["next"]),
        (&json!("v"), &json!("k0"))
    );
}

#[tokio::test]
async fn batches_happen_whole_or_not_at_all() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    ask(&session, PUT, json!({"key": "from", "value": "10"}))
        .await
        .unwrap();
    let moved = |by: i64, revision: u64| {
        json!({"writes": [
            {"op": "incr", "key": "to", "by": by},
            {"op": "incr", "key": "from", "by": -by, "revision": revision},
            {"op": "delete", "key": "none"},
        ]})
    };
    let done = ask(&session, BATCH, moved(3, 1)).await.unwrap();
    let results = done["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[2]), (3, &Value::Null));
    let refused = ask(&session, BATCH, moved(3, 1)).await;
    assert!(
        refused.as_ref().unwrap_err().message().contains("write 1"),
        "{refused:?}"
    );
    assert_eq!(kind(refused), ErrorKind::Conflict);
    let page = ask(&session, SCAN, json!({"values": true})).await.unwrap();
    let values: Vec<_> = page["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["value"])
        .collect();
    assert_eq!(values, ["7", "3"]);
    let denied = json!({"writes": [{"op": "put", "key": "topic:x"}]});
    assert_eq!(kind(ask(&session, BATCH, denied).await), ErrorKind::Denied);
}

/// The next line of a watch.
async fn line(lines: &mut PartReceiver) -> Value {
    let line = lines.next().await.expect("a line").expect("no fault");
    assert!(line.ends_with(b"\n"));
    settled(serde_json::from_slice(&line).expect("JSON"))
}

async fn watched(session: &Session, body: Body) -> PartReceiver {
    match call(session, WATCH, body).await.unwrap() {
        Reply::Stream(lines) => lines,
        Reply::Single(_) => panic!("a stream"),
    }
}

#[tokio::test]
async fn a_watch_is_lines_until_the_caller_goes() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    ask(&session, PUT, json!({"key": "a/1", "value": "x"}))
        .await
        .unwrap();
    ask(&session, PUT, json!({"key": "b"})).await.unwrap();
    let body = Body::Single(json!({"prefix": "a/"}).to_string().into());
    let mut lines = watched(&session, body).await;
    assert_eq!(
        line(&mut lines).await,
        json!({"event": "put", "key": "a/1", "value": "x", "revision": 1})
    );
    assert_eq!(line(&mut lines).await["event"], "current");
    ask(&session, DELETE, json!({"key": "a/1"})).await.unwrap();
    assert_eq!(
        line(&mut lines).await,
        json!({"event": "delete", "key": "a/1", "revision": 3})
    );
    let in_flight = || session.ops(&crate::operations::PageRequest::default()).ops;
    assert!(in_flight().iter().any(|op| op.op == WATCH && op.in_flight == 1));
    drop(lines);
    while in_flight().iter().any(|op| op.op == WATCH && op.in_flight > 0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_by_stream_has_no_deadline_and_ends_when_the_hub_drains() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let mut lines = watched(&session, stream(&json!({"news_only": true}), b"").0).await;
    tokio::time::sleep(std::time::Duration::from_secs(24 * 3600)).await;
    ask(&session, PUT, json!({"key": "a"})).await.unwrap();
    let mut event = line(&mut lines).await;
    if event["event"] == "current" {
        event = line(&mut lines).await;
    }
    assert_eq!(event["event"], "put");
    hub.drain();
    assert!(matches!(lines.next().await, Some(Err(Fault::Retry { .. }))));
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn a_watch_of_an_engine_that_is_lost_ends_with_a_retry() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    let mut lines = watched(&session, Body::Single(Bytes::new())).await;
    assert_eq!(line(&mut lines).await["event"], "current");
    engine.end_watches();
    assert!(matches!(lines.next().await, Some(Err(Fault::Retry { .. }))));
}

#[tokio::test]
async fn what_is_wrong_is_told_before_anything_is_asked_of_the_engine() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let session = session(&hub);
    for (operation, body, expected) in [
        (GET, json!({}), ErrorKind::Invalid),
        (GET, json!({"name": "a"}), ErrorKind::Invalid),
        (
            GET,
            json!({"key": "a", "bucket": "hub.retained"}),
            ErrorKind::Denied,
        ),
        (PUT, json!({"key": "topic:a"}), ErrorKind::Denied),
        (PUT, json!({"key": "a", "expires": 3}), ErrorKind::Invalid),
        (WATCH, json!({"prefix": "topic:"}), ErrorKind::Unsupported),
        (SCAN, json!({"limit": 5000}), ErrorKind::Invalid),
        (BATCH, json!({"writes": []}), ErrorKind::Invalid),
        (BUCKETS, json!({"x": 1}), ErrorKind::Invalid),
    ] {
        assert_eq!(
            kind(ask(&session, operation, body.clone()).await),
            expected,
            "{operation} {body}"
        );
    }
    assert_eq!(engine.writes(), 0);
    engine.set_away(true);
    let away = ask(&session, PUT, json!({"key": "a"})).await;
    assert!(matches!(away, Err(Fault::Retry { .. })), "{away:?}");
}

#[tokio::test]
async fn they_are_listed_and_safe_ones_are_told_from_others() {
    let hub = hub_on(&engine()).await;
    let listed = session(&hub).ops(&crate::operations::PageRequest::default()).ops;
    let keys: Vec<_> = listed.iter().filter(|op| op.op.starts_with("keys.")).collect();
    assert_eq!(keys.len(), ALL.len());
    for op in keys {
        let changes = ["append", "batch", "cas", "delete", "expire", "incr", "put"];
        let verb = op.op.trim_start_matches("keys.");
        assert_eq!(op.safe, !changes.contains(&verb), "{verb}");
    }
}

#[tokio::test]
async fn structures_are_read_as_json_and_not_added_to() {
    let hub = hub_on(&engine()).await;
    let session = session(&hub);
    let list = Change::PutStructure {
        kind: switchboard_engine::Kind::List,
        encoded: Bytes::from_static(b"\x02\x01a\x02\x01\xff"),
    };
    let name = crate::keys::Key::new("l").unwrap();
    let put = session
        .keys()
        .unwrap()
        .write(&Bucket::default(), name, crate::keys::Write::change(list));
    put.unwrap().await.unwrap();
    let key = json!({"key": "l"});
    let shown = json!(["a", {"base64": "/w=="}]);
    assert_eq!(ask(&session, GET, key.clone()).await, Ok(shown.clone()));
    let entry = json!({"kind": "list", "value": shown, "revision": 1});
    assert_eq!(settled(ask(&session, ENTRY, key.clone()).await.unwrap()), entry);
    let page = ask(&session, SCAN, json!({"values": true})).await.unwrap();
    assert_eq!(
        (&page["keys"][0]["kind"], &page["keys"][0]["value"]),
        (&json!("list"), &shown)
    );
    let page = ask(&session, SCAN, json!({})).await.unwrap();
    assert_eq!(
        (&page["keys"][0]["kind"], page["keys"][0].get("value")),
        (&json!("list"), None)
    );
    for (operation, body) in [
        (INCR, key.clone()),
        (INCR, json!({"key": "l", "by": 1.5})),
        (APPEND, json!({"key": "l", "value": "x"})),
    ] {
        assert_eq!(kind(ask(&session, operation, body).await), ErrorKind::Conflict);
    }
    let kept = ask(&session, EXPIRE, json!({"key": "l", "expires_s": 100}))
        .await
        .unwrap();
    assert_eq!((&kept["kind"], kept.get("value")), (&json!("list"), None));
    assert_eq!(ask(&session, GET, key.clone()).await, Ok(shown));
    ask(&session, PUT, json!({"key": "l", "value": "plain"}))
        .await
        .unwrap();
    assert_eq!(
        raw(&session, GET, Body::Single(key.to_string().into())).await,
        Ok("plain".into())
    );
}

//! Keys, read and written.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use switchboard_engine::keys::{Change, Write};
use switchboard_engine::structures::{Hash, Structure};
use switchboard_engine::{Bucket, Engine, Key, Kind, ManualClock};
use switchboard_engine_embedded::{DataDir, Embedded, EmbeddedOptions};
use switchboard_gateway_http::{EventOptions, HttpOptions};

use crate::support::{Door, Raw, Response, patient};

async fn open() -> Door {
    Door::with_keys(HttpOptions::default(), engine()).await
}

fn engine() -> Arc<dyn Engine> {
    Embedded::open(EmbeddedOptions::new(DataDir::Memory)).unwrap()
}

async fn put(door: &Door, target: &str, headers: &str, body: &str) -> Response {
    // A body of nothing has a length too.
    let length = format!("{headers}Content-Length: {}\r\n", body.len());
    let mut raw = door.raw().await;
    raw.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n{body}"
    ))
    .await;
    raw.response("PUT").await
}

async fn get(door: &Door, target: &str, headers: &str) -> Response {
    door.ask("GET", target, headers, "").await
}

async fn delete(door: &Door, target: &str, headers: &str) -> Response {
    door.ask("DELETE", target, headers, "").await
}

fn tag(response: &Response) -> String {
    response.header("etag").expect("a tag").to_owned()
}

#[tokio::test]
async fn a_value_is_the_body_and_its_write_the_tag() {
    let door = open().await;
    assert_eq!(get(&door, "/keys/greeting", "").await.status, 404);
    let created = put(&door, "/keys/greeting", "", "hi").await;
    assert_eq!((created.status, created.text()), (201, ""));
    let found = get(&door, "/keys/greeting", "").await;
    assert_eq!(
        (found.status, found.text(), tag(&found)),
        (200, "hi", tag(&created))
    );
    for (header, value) in [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-cache"),
        ("content-length", "2"),
    ] {
        assert_eq!(found.header(header), Some(value));
    }
    let mut raw = door.raw().await;
    raw.request("HEAD", "/keys/greeting", "", "").await;
    let head = raw.response("HEAD").await;
    assert_eq!((head.status, tag(&head)), (200, tag(&created)));
    assert_eq!(head.header("content-length"), Some("2"));
    let replaced = put(&door, "/keys/greeting", "", "").await;
    assert_eq!(replaced.status, 204);
    assert_ne!(tag(&replaced), tag(&created));
    assert_eq!(delete(&door, "/keys/greeting", "").await.status, 204);
    assert_eq!(delete(&door, "/keys/greeting", "").await.status, 404);
}

#[tokio::test]
async fn structures_are_read_as_json_with_their_kind() {
    let engine = engine();
    let door = Door::with_keys(HttpOptions::default(), Arc::clone(&engine)).await;
    let mut hash = Hash::default();
    hash.insert("näme".as_bytes(), b"ann");
    hash.insert(b"photo", b"\xff");
    let write = Write::change(Change::PutStructure {
        kind: Kind::Hash,
        encoded: Structure::Hash(hash).encode().into(),
    });
    let key = Key::new("user").unwrap();
    engine.keys().write(&Bucket::default(), key, write).await.unwrap();
    let found = get(&door, "/keys/user", "").await;
    assert_eq!(
        serde_json::from_str::<Value>(found.text()).unwrap(),
        json!({"näme": "ann", "photo": {"base64": "/w=="}})
    );
    for (header, value) in [
        ("content-type", "application/json"),
        ("kind", "hash"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(found.header(header), Some(value));
    }
    let known = format!("If-None-Match: {}\r\n", tag(&found));
    assert_eq!(get(&door, "/keys/user", &known).await.status, 304);
    let listed: Value = serde_json::from_str(get(&door, "/keys", "").await.text()).unwrap();
    assert_eq!(listed["keys"][0]["kind"], "hash");
    for change in ["incr=1", "incr=1.5", "append"] {
        let refused = door.ask("POST", &format!("/keys/user?{change}"), "", "").await;
        assert_eq!(refused.status, 409, "{change}");
    }
    assert_eq!(put(&door, "/keys/user", "", "plain").await.status, 204);
    let plain = get(&door, "/keys/user", "").await;
    assert_eq!((plain.text(), plain.header("kind")), ("plain", None));
}

#[tokio::test]
async fn keys_are_any_bytes_and_live_in_buckets() {
    let door = open().await;
    for target in [
        "/keys/a/b%20c?bucket=x",
        "/keys/%FF%00",
        "/keys/%E2%82%AC",
        "/keys//",
    ] {
        assert_eq!(put(&door, target, "", target).await.status, 201, "{target}");
        assert_eq!(get(&door, target, "").await.text(), target);
    }
    assert_eq!(get(&door, "/keys/a/b%20c", "").await.status, 404);
    let page = door.get("/keys").await.json();
    let names: Vec<_> = page["keys"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&names[0]["key"], &names[1]["key"], &names[2]["key_base64"]),
        (&json!("/"), &json!("€"), &json!("/wA="))
    );
}

#[tokio::test]
async fn conditions_are_those_of_http() {
    let door = open().await;
    let first = put(&door, "/keys/a", "If-None-Match: *\r\n", "1").await;
    assert_eq!(first.status, 201);
    let again = put(&door, "/keys/a", "If-None-Match: *\r\n", "2").await;
    assert_eq!((again.status, tag(&again)), (412, tag(&first)));
    let known = format!("If-None-Match: \"999\", {}\r\n", tag(&first));
    let not_modified = get(&door, "/keys/a", &known).await;
    assert_eq!(
        (not_modified.status, not_modified.body.len(), tag(&not_modified)),
        (304, 0, tag(&first))
    );
    let mine = format!("If-Match: {}\r\n", tag(&first));
    let second = put(&door, "/keys/a", &mine, "2").await;
    assert_eq!(second.status, 204);
    assert_eq!(put(&door, "/keys/a", &mine, "3").await.status, 412);
    assert_eq!(delete(&door, "/keys/a", &mine).await.status, 412);
    assert_eq!(get(&door, "/keys/a", &mine).await.status, 412);
    assert_eq!(get(&door, "/keys/a", &known).await.text(), "2");
    assert_eq!(put(&door, "/keys/none", "If-Match: *\r\n", "x").await.status, 412);
    assert_eq!(
        put(&door, "/keys/a", "If-Match: \"1\", \"2\"\r\n", "x")
            .await
            .status,
        400
    );
    let mine = format!("If-Match: {}\r\n", tag(&second));
    assert_eq!(delete(&door, "/keys/a", &mine).await.status, 204);
}

#[tokio::test]
async fn keys_expire_as_asked() {
    let clock = ManualClock::at(std::time::SystemTime::now().into());
    let engine = Embedded::open(EmbeddedOptions {
        clock: Arc::new(clock.clone()),
        ..EmbeddedOptions::new(DataDir::Memory)
    });
    let door = Door::with_keys(HttpOptions::default(), engine.unwrap()).await;
    assert_eq!(put(&door, "/keys/a?expires=1h", "", "x").await.status, 201);
    clock.advance(Duration::from_secs(3000));
    assert_eq!(get(&door, "/keys/a", "").await.status, 200);
    clock.advance(Duration::from_secs(1000));
    assert_eq!(get(&door, "/keys/a", "").await.status, 404);
    for bad in ["0", "soon", "1"] {
        let status = put(&door, &format!("/keys/a?expires={bad}"), "", "x")
            .await
            .status;
        assert_eq!(status, if bad == "1" { 201 } else { 400 }, "{bad}");
    }
}

#[tokio::test]
async fn numbers_and_texts_are_added_to() {
    let door = open().await;
    for (target, value) in [
        ("/keys/n?incr", "1"),
        ("/keys/n?incr=-5", "-4"),
        ("/keys/n?incr=0.5", "-3.5"),
    ] {
        let response = door.post(target, "").await;
        assert_eq!((response.status, response.text()), (200, value), "{target}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(tag(&get(&door, "/keys/n", "").await), tag(&response));
    }
    assert_eq!(door.post("/keys/log?append", "one ").await.status, 201);
    assert_eq!(door.post("/keys/log?append", "two").await.status, 204);
    assert_eq!(get(&door, "/keys/log", "").await.text(), "one two");
    for (target, body, status) in [
        ("/keys/log?incr", "", 409),
        ("/keys/n?incr=much", "", 400),
        ("/keys/n?incr", "body", 400),
        ("/keys/n", "", 400),
        ("/keys/n?incr&append", "", 400),
        ("/keys/n?add=1", "", 400),
    ] {
        assert_eq!(door.post(target, body).await.status, status, "{target}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_its_status() {
    let door = open().await;
    door.retain("home/lamp", "on").await;
    assert_eq!(get(&door, "/keys/topic:home/lamp", "").await.text(), "on");
    for (method, target, status) in [
        ("PUT", "/keys/topic:home/lamp", 403),
        ("GET", "/keys/x?bucket=hub.retained", 403),
        ("GET", "/keys/", 400),
        ("GET", "/keys/%zz", 400),
        ("GET", "/keys/x?bucket=a/b", 400),
        ("GET", "/keys/x?expires=1h", 400),
        ("PATCH", "/keys/x", 405),
        ("POST", "/keys", 405),
        ("GET", "/keys?limit=0", 400),
        ("GET", "/keys?watch&limit=3", 400),
        ("GET", "/keys?watch&prefix=topic:", 501),
    ] {
        assert_eq!(
            door.ask(method, target, "", "").await.status,
            status,
            "{method} {target}"
        );
    }
    let allowed = door.ask("PATCH", "/keys/x", "", "").await;
    assert_eq!(allowed.header("allow"), Some("GET, HEAD, PUT, DELETE, POST"));
    let bare = Door::open().await;
    assert_eq!(get(&bare, "/keys/x", "").await.status, 501);
}

#[tokio::test]
async fn values_are_bounded() {
    let mut options = HttpOptions::default();
    options.body.bytes_max = 100_000;
    let door = Door::with_keys(options, engine()).await;
    let large = "x".repeat(100_000);
    assert_eq!(put(&door, "/keys/a", "", &large).await.status, 201);
    assert_eq!(put(&door, "/keys/a", "", &format!("{large}x")).await.status, 413);
    assert_eq!(get(&door, "/keys/a", "").await.body.len(), 100_000);
    // More than what is published may have, in one piece or in chunks.
    let door = open().await;
    let large = "x".repeat(3 << 20);
    assert_eq!(put(&door, "/keys/a", "", &large).await.status, 201);
    let mut raw = door.raw().await;
    raw.send("PUT /keys/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..30 {
        raw.chunk(&large[..100_000]).await;
    }
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.response("PUT").await.status, 201);
    assert_eq!(get(&door, "/keys/b", "").await.body.len(), 3_000_000);
}

#[tokio::test]
async fn an_engine_that_is_away_asks_to_come_back() {
    let engine = engine();
    let door = Door::with_keys(HttpOptions::default(), Arc::clone(&engine)).await;
    assert_eq!(get(&door, "/healthz", "").await.status, 200);
    engine.close().await.unwrap();
    let health = get(&door, "/healthz", "").await;
    assert_eq!(
        (health.status, health.text()),
        (503, "it is closed\n"),
        "why is said"
    );
    let response = put(&door, "/keys/a", "", "x").await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some() && response.header("retry-after-ms").is_some());
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_and_configured_ones_may_all() {
    let options = HttpOptions {
        origins: vec!["https://example.org".to_owned()],
        ..HttpOptions::default()
    };
    let door = Door::with_keys(options, engine()).await;
    for target in ["/keys/a", "/keys", "/keys?watch"] {
        let foreign = get(&door, target, "Origin: https://evil.example\r\n").await;
        assert_eq!(foreign.status, 403, "{target}");
    }
    let origin = "Origin: https://example.org\r\n";
    let put = put(&door, "/keys/a", origin, "x").await;
    assert!(
        put.header("access-control-expose-headers")
            .unwrap()
            .contains("ETag")
    );
    let preflight = door.ask("OPTIONS", "/keys/a", origin, "").await;
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("GET, HEAD, PUT, DELETE, POST")
    );
    assert!(
        preflight
            .header("access-control-allow-headers")
            .unwrap()
            .contains("If-Match")
    );
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let door = open().await;
    for name in ["a/1", "a/2", "a/3", "b"] {
        put(&door, &format!("/keys/{name}"), "", "v").await;
    }
    let names = |page: &Value| -> Vec<String> {
        let keys = page["keys"].as_array().unwrap().iter();
        keys.map(|entry| entry["key"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = door.get("/keys?prefix=a/&limit=2").await.json();
    assert_eq!(
        (names(&first), &first["next"]),
        (vec!["a/1".to_owned(), "a/2".to_owned()], &json!("a/2"))
    );
    assert_eq!(first["keys"][0].get("value"), None);
    let second = door.get("/keys?prefix=a/&limit=2&after=a/2&values").await.json();
    assert_eq!(
        (names(&second), second.get("next")),
        (vec!["a/3".to_owned()], None)
    );
    assert_eq!(second["keys"][0]["value"], "v");
    assert_eq!(door.get("/keys?bucket=none").await.json(), json!({"keys": []}));
}

/// Watches, and reads up to the begin of the events.
async fn watch(door: &Door, query: &str, headers: &str) -> Raw {
    let mut raw = door.raw().await;
    raw.request("GET", &format!("/keys?watch&{query}"), headers, "")
        .await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: text/event-stream"),
        "{head}"
    );
    assert_eq!(raw.next_chunk().await.unwrap(), b":\n\n");
    raw
}

/// The next event's id and data.
async fn event(raw: &mut Raw) -> (Option<String>, Value) {
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
    (id, data.expect("data"))
}

#[tokio::test]
async fn a_watch_brings_what_there_is_and_what_changes() {
    let door = open().await;
    put(&door, "/keys/a/1", "", "x").await;
    put(&door, "/keys/b", "", "x").await;
    let mut raw = watch(&door, "prefix=a/", "").await;
    let (id, data) = event(&mut raw).await;
    assert_eq!(
        (id, &data["event"], &data["key"], &data["value"]),
        (None, &json!("put"), &json!("a/1"), &json!("x"))
    );
    let (id, data) = event(&mut raw).await;
    assert_eq!(
        (&data["event"], id),
        (&json!("current"), Some(data["revision"].to_string()))
    );
    let deleted = delete(&door, "/keys/a/1", "").await;
    assert_eq!(deleted.status, 204);
    let (id, data) = event(&mut raw).await;
    assert_eq!(
        (&data["event"], id),
        (&json!("delete"), Some(data["revision"].to_string()))
    );
    assert_eq!(door.gateway.stats().watchers, 1);
    drop(raw);
    door.until_door(|stats| stats.watchers == 0).await;
}

#[tokio::test]
async fn a_watch_that_comes_back_gets_what_it_missed() {
    let door = open().await;
    put(&door, "/keys/old", "", "x").await;
    let mut raw = watch(&door, "", "").await;
    event(&mut raw).await;
    let (id, _) = event(&mut raw).await;
    drop(raw);
    put(&door, "/keys/new", "", "y").await;
    delete(&door, "/keys/old", "").await;
    let last = format!("Last-Event-ID: {}\r\n", id.unwrap());
    let mut raw = watch(&door, "", &last).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (_, data) = event(&mut raw).await;
        if data["event"] != "current" {
            seen.push(format!("{} {}", data["event"], data["key"]));
        }
    }
    assert_eq!(seen, ["\"put\" \"new\"", "\"delete\" \"old\""]);
    // From another time: everything is told anew.
    let mut raw = watch(&door, "", "Last-Event-ID: 99999999\r\n").await;
    assert_eq!(event(&mut raw).await.1["event"], "reset");
    let (id, data) = event(&mut raw).await;
    assert_eq!((id, &data["key"]), (None, &json!("new")));
    let mut raw = watch(&door, "news", "").await;
    put(&door, "/keys/newest", "", "z").await;
    let mut data = event(&mut raw).await.1;
    if data["event"] == "current" {
        data = event(&mut raw).await.1;
    }
    assert_eq!(data["key"], "newest");
}

#[tokio::test]
async fn a_watch_fills_silence_and_ends_with_the_daemon() {
    let options = HttpOptions {
        events: EventOptions {
            comment_interval: Duration::from_millis(20),
            ..EventOptions::default()
        },
        ..HttpOptions::default()
    };
    let door = Door::with_keys(options, engine()).await;
    let mut raw = watch(&door, "", "").await;
    assert_eq!(event(&mut raw).await.1["event"], "current");
    for _ in 0..2 {
        assert_eq!(
            raw.until("\n\n")
                .await
                .as_deref()
                .map(str::trim_end)
                .map(|text| text.ends_with(':')),
            Some(true)
        );
    }
    let drained = tokio::spawn({
        let shutdown = door.shutdown.clone();
        async move { shutdown.drain(Duration::from_secs(60)).await }
    });
    assert!(raw.until("0\r\n\r\n").await.is_some(), "a whole answer");
    patient(drained).await.unwrap();
}

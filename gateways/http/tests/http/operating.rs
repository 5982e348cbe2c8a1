//! What those who run the daemon look at: health, metrics, logs, request ids; and the files.

use std::sync::Arc;

use switchboard_gateway_http::{AccessLog, HttpOptions};
use tokio::sync::mpsc;

use crate::support::{Door, LIBRARY, patient};

#[tokio::test]
async fn health_is_ready_or_why_not() {
    let door = Door::open().await;
    let response = door.get("/healthz").await;
    assert_eq!((response.status, response.text()), (200, "ready\n"));
    assert_eq!(door.hub.stats().sessions, 1, "asking leaves nothing behind");
    let mut raw = door.raw().await;
    raw.request("GET", "/healthz", "", "").await;
    raw.response("GET").await;
    assert_eq!(door.post("/healthz", "").await.status, 405);
}

#[tokio::test]
async fn metrics_tell_what_happened() {
    let door = Door::open().await;
    door.serve_usual();
    for _ in 0..3 {
        door.post("/call/upper", "x").await;
    }
    door.post("/call/nobody", "").await;
    door.post("/call/busy", "").await;
    door.retain("a", "b").await;
    // Counted once the answers have left.
    door.until_door(|stats| stats.requests == 5).await;
    let response = door.get("/metrics").await;
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    for line in [
        r#"switchboard_call_seconds_count{door="http",operation="upper"} 3"#,
        r#"switchboard_call_faults_total{door="http",operation="busy",kind="retry"} 1"#,
        r#"switchboard_faults_total{door="http",kind="retry"} 1"#,
        r#"switchboard_faults_total{door="http",kind="unknown"} 1"#,
        r#"switchboard_http_requests_total{status="2xx"} 3"#,
        r#"switchboard_door_sessions_total{door="http"} 5"#,
        "switchboard_calls_total 5",
        "switchboard_topics_retained 1",
    ] {
        assert!(
            response.text().lines().any(|found| found == line),
            "{line} is missing in {}",
            response.text()
        );
    }
    assert!(
        !response.text().contains("operation=\"nobody\""),
        "a name that is not served is not kept"
    );
    assert!(door.gateway.stats().bytes_read > 100 && door.gateway.stats().bytes_written > 100);
}

#[tokio::test]
async fn requests_have_ids() {
    let door = Door::open().await;
    let made = door.get("/healthz").await;
    assert!(made.header("x-request-id").is_some_and(|id| id.len() > 10));
    let given = door.ask("GET", "/healthz", "X-Request-Id: abc-123\r\n", "").await;
    assert_eq!(given.header("x-request-id"), Some("abc-123"));
    let bad = door.ask("GET", "/nothing", "X-Request-Id: a b\r\n", "").await;
    assert_ne!(bad.header("x-request-id"), Some("a b"));
}

#[tokio::test]
async fn each_request_is_a_line_of_the_access_log() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let door = Door::with(HttpOptions {
        access_log: AccessLog::Writer(Arc::new(move |line| tell.send(line.to_owned()).unwrap())),
        ..HttpOptions::default()
    })
    .await;
    door.serve_usual();
    door.serve("never", |_, reply| {
        tokio::spawn(async move { reply.cancellation().cancelled().await });
    });
    let headers = "User-Agent: test \"x\"\r\nReferer: http://localhost/page\r\n";
    door.ask("POST", "/call/upper?timeout=9s", headers, "hello").await;
    let line = patient(told.recv()).await.unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let rest =
        r#"+0000] "POST /call/upper?timeout=9s HTTP/1.1" 200 5 "http://localhost/page" "test \x22x\x22""#;
    assert!(line.ends_with(rest), "{line}");
    door.get("/nothing").await;
    let line = patient(told.recv()).await.unwrap();
    assert!(line.contains(r#""GET /nothing HTTP/1.1" 404 "#), "{line}");
    // Who goes away before there is an answer is logged as nginx does.
    let mut raw = door.raw().await;
    raw.request("POST", "/call/never", "", "").await;
    door.until(|stats| stats.calls == 2).await;
    drop(raw);
    let line = patient(told.recv()).await.unwrap();
    assert!(line.contains(r#""POST /call/never HTTP/1.1" 499 - "#), "{line}");
}

#[tokio::test]
async fn the_library_and_the_first_page_are_served() {
    let door = Door::open().await;
    let library = door.get("/gotalk/gotalk.js").await;
    assert_eq!((library.status, library.text()), (200, LIBRARY));
    let tag = library.header("etag").unwrap().to_owned();
    let again = door
        .ask(
            "GET",
            "/gotalk/gotalk.js",
            &format!("If-None-Match: {tag}\r\n"),
            "",
        )
        .await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let head = door
        .ask("HEAD", "/gotalk/gotalk.js", "Accept-Encoding: gzip\r\n", "")
        .await;
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    let page = door.get("/").await;
    assert_eq!(page.text(), "<!doctype html>");
    assert!(page.header("content-security-policy").is_some());
    assert_eq!(door.post("/", "").await.status, 405);
    assert_eq!(door.get("/nothing").await.status, 404);
}

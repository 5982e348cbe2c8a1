//! Messages that two parties could read differently: answered with 400, and the connection is over.

use std::time::Duration;

use switchboard_gateway_http::HttpOptions;

use crate::support::Door;

/// Sends these bytes and expects one answer, 400, and the end.
async fn refused(door: &Door, bytes: &str) {
    let mut raw = door.raw().await;
    raw.send(bytes).await;
    let rest = raw.rest().await;
    assert!(rest.starts_with("HTTP/1.1 400 "), "{bytes:?}: {rest:?}");
    assert_eq!(rest.matches("HTTP/1.1").count(), 1, "{bytes:?}: {rest:?}");
}

#[tokio::test]
async fn doubtful_messages_are_refused_and_nothing_is_called() {
    let door = Door::open().await;
    door.serve_usual();
    let post = "POST /call/upper HTTP/1.1\r\nHost: localhost\r\n";
    for bytes in [
        // Two lengths, equal or not.
        format!("{post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        format!("{post}Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello"),
        format!("{post}Content-Length: 5, 5\r\n\r\nhello"),
        format!("{post}Content-Length: +5\r\n\r\nhello"),
        format!("{post}Content-Length: 0x5\r\n\r\nhello"),
        format!("{post}Content-Length: -1\r\n\r\n"),
        format!("{post}Content-Length: 184467440737095516160\r\n\r\n"),
        // A length beside chunks, either way round.
        format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        // Encodings that are not chunked, or hidden.
        format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n"),
        "POST /call/upper HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        // Lines that end otherwise.
        "POST /call/upper HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n".to_owned(),
        format!("{post}Content-Length: 0\n\r\n"),
        format!("{post}X: y\rContent-Length: 5\r\n\r\nhello"),
        format!("{post}X: y\r\n Content-Length: 5\r\n\r\nhello"),
        format!("{post}X: y\0z\r\n\r\n"),
        format!("{post}X\r\n\r\n"),
        format!("{post}: x\r\n\r\n"),
        // Hosts.
        "POST /call/upper HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("{post}Host: other\r\nContent-Length: 0\r\n\r\n"),
        // No HTTP at all.
        "hello\r\n\r\n".to_owned(),
        "GET /\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_owned(),
    ] {
        refused(&door, &bytes).await;
    }
    assert_eq!(door.hub.stats().calls, 0);
    assert!(door.gateway.stats().malformed > 10);
}

#[tokio::test]
async fn what_came_before_is_answered_and_what_comes_after_is_not() {
    let door = Door::open().await;
    door.serve_usual();
    let good = "POST /call/upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let mut raw = door.raw().await;
    raw.send(format!("{good}{good}POST / HTTP/1.1\r\nHost: x\n\r\n{good}"))
        .await;
    for _ in 0..2 {
        assert_eq!(raw.response("POST").await.text(), "HELLO");
    }
    let rest = raw.rest().await;
    assert!(rest.starts_with("HTTP/1.1 400 "), "{rest}");
    assert_eq!(rest.matches("HTTP/1.1").count(), 1);
    assert_eq!(door.hub.stats().calls, 2);
}

#[tokio::test]
async fn a_smuggled_request_is_not_found_in_a_body() {
    let door = Door::open().await;
    door.serve_usual();
    let inner = "GET /call/hub.ops HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut raw = door.raw().await;
    raw.request("POST", "/call/upper", "", inner).await;
    assert_eq!(raw.response("POST").await.text(), inner.to_uppercase());
    raw.begin_chunked("/call/shout").await;
    raw.chunk(inner).await;
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.response("POST").await.text(), inner.to_uppercase());
    assert_eq!(door.hub.stats().calls, 2);
}

#[tokio::test]
async fn a_malformed_chunk_fails_the_stream_and_ends_the_connection() {
    let door = Door::open().await;
    door.serve_usual();
    for chunk in [
        "x\r\n",
        "5\nhello",
        "5\r\nhelloX",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "\r\n",
    ] {
        let mut raw = door.raw().await;
        raw.begin_chunked("/call/upper").await;
        raw.send(chunk).await;
        let rest = raw.rest().await;
        assert!(rest.starts_with("HTTP/1.1 400 "), "{chunk:?}: {rest:?}");
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let mut options = HttpOptions::default();
    options.connection.head_bytes_max = 16 << 10;
    let door = Door::with(options).await;
    let head = |fields: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    for bytes in [
        head(&format!("X: {}\r\n", "y".repeat(16 << 10))),
        head(&"X: y\r\n".repeat(101)),
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(16 << 10)
        ),
        "\r\n".repeat(10_000),
        "x".repeat(20 << 10),
    ] {
        refused(&door, &bytes).await;
    }
    // Below the bounds it is a request like any other.
    let mut raw = door.raw().await;
    raw.send(head(&format!("X: {}\r\n", "y".repeat(15 << 10)))).await;
    assert_eq!(raw.response("GET").await.status, 200);
    raw.send(head(&"X: y\r\n".repeat(99))).await;
    assert_eq!(raw.response("GET").await.status, 200);
}

#[tokio::test]
async fn a_head_must_come_in_time_and_an_idle_connection_may_wait() {
    let mut options = HttpOptions::default();
    options.connection.head_timeout = Duration::from_millis(50);
    let door = Door::with(options).await;
    for begin in [
        "G",
        "GET /healthz HTTP/1.1\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        "PRI * HT",
    ] {
        refused(&door, begin).await;
    }
    // Nothing was begun here for longer than the others were given.
    let mut idle = door.raw().await;
    refused(&door, "G").await;
    refused(&door, "G").await;
    idle.request("GET", "/healthz", "", "").await;
    assert_eq!(idle.response("GET").await.status, 200);
    refused(&door, "G").await;
    idle.request("GET", "/healthz", "", "").await;
    assert_eq!(idle.response("GET").await.status, 200);
}

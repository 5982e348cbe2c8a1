//! Bodies that are too large or too slow, connections that do nothing.

use std::time::Duration;

use switchboard_gateway_http::{BodyOptions, HttpOptions};
use switchboard_hub::Fault;

use crate::support::Door;

async fn door(body: BodyOptions) -> Door {
    let door = Door::with(HttpOptions {
        body,
        ..HttpOptions::default()
    })
    .await;
    door.serve_usual();
    door
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_before_it_is_read() {
    let door = door(BodyOptions {
        single_bytes_max: 100,
        bytes_max: 1000,
        ..BodyOptions::default()
    })
    .await;
    for (target, length) in [("/call/upper", 1001), ("/publish/x", 101)] {
        let mut raw = door.raw().await;
        raw.send(format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
        let response = raw.response("POST").await;
        assert_eq!(
            (response.status, response.header("connection")),
            (413, Some("close")),
            "{target}"
        );
        raw.rest().await;
    }
    assert_eq!(door.post("/call/upper", &"x".repeat(1000)).await.status, 200);
    assert_eq!(door.post("/publish/x", &"x".repeat(100)).await.status, 200);
}

#[tokio::test]
async fn the_answer_reaches_a_client_that_sends_on() {
    let door = door(BodyOptions {
        bytes_max: 1000,
        ..BodyOptions::default()
    })
    .await;
    let body = "x".repeat(4 << 20);
    for _ in 0..10 {
        let mut raw = door.raw().await;
        raw.request("POST", "/call/upper", "", &body).await;
        assert_eq!(raw.response("POST").await.status, 413);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded_as_it_comes() {
    let door = door(BodyOptions {
        single_bytes_max: 100,
        bytes_max: 1000,
        ..BodyOptions::default()
    })
    .await;
    for (target, chunks) in [("/call/upper", 11), ("/publish/x", 2)] {
        let mut raw = door.raw().await;
        raw.begin_chunked(target).await;
        for _ in 0..chunks {
            raw.chunk(&"x".repeat(100)).await;
        }
        assert_eq!(raw.response("POST").await.status, 413, "{target}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_does_not_hold_its_place_for_ever() {
    let door = door(BodyOptions {
        gather_timeout: Duration::from_millis(50),
        stall_timeout: Duration::from_millis(50),
        ..BodyOptions::default()
    })
    .await;
    for target in ["/call/upper", "/publish/x"] {
        let mut raw = door.raw().await;
        raw.send(format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1"
        ))
        .await;
        let response = raw.response("POST").await;
        assert_eq!(
            (response.status, response.header("connection")),
            (408, Some("close")),
            "{target}"
        );
        raw.rest().await;
    }
    let mut raw = door.raw().await;
    raw.begin_chunked("/call/upper").await;
    raw.chunk("x").await;
    let response = raw.response("POST").await;
    assert_eq!(response.status, 400);
    assert!(
        response.text().contains("nothing of the body came"),
        "{}",
        response.text()
    );
}

#[tokio::test]
async fn what_is_gathered_is_bounded_over_all_connections_and_recovers() {
    let door = door(BodyOptions {
        gathered_bytes_max: 1000,
        ..BodyOptions::default()
    })
    .await;
    let mut slow = door.raw().await;
    slow.send(format!(
        "POST /call/upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 901\r\n\r\n{}",
        "x".repeat(900)
    ))
    .await;
    // As soon as that has come, there is no room for this; what is small still passes.
    let full = async {
        loop {
            let response = door.post("/call/upper", &"y".repeat(101)).await;
            if response.status != 200 {
                return response;
            }
        }
    };
    let refused = crate::support::patient(full).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(door.post("/call/upper", "z").await.text(), "Z");
    slow.send("x").await;
    assert_eq!(slow.response("POST").await.status, 200);
    assert_eq!(
        door.post("/call/upper", &"y".repeat(101)).await.status,
        200,
        "there is room again"
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let mut options = HttpOptions::default();
    options.connection.idle_timeout = Duration::from_millis(100);
    let door = Door::with(options).await;
    let mut new = door.raw().await;
    let mut used = door.raw().await;
    used.request("GET", "/healthz", "", "").await;
    assert_eq!(used.response("GET").await.status, 200);
    let mut busy = door.raw().await;
    busy.request("GET", "/subscribe?topic=a", "", "").await;
    assert!(busy.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(
        (new.rest().await, used.rest().await),
        (String::new(), String::new())
    );
    door.publish("a", "still there").await;
    assert!(busy.until("still there").await.is_some());
}

#[tokio::test]
async fn a_panic_of_a_responder_is_an_answer() {
    let door = Door::open().await;
    door.serve("panic", |_, _reply| panic!("on purpose"));
    door.serve("drop", |_, _reply| {});
    assert_eq!(door.post("/call/panic", "").await.status, 400);
    let dropped = door.post("/call/drop", "").await;
    assert_eq!(
        (dropped.status, dropped.header("retry-after-ms")),
        (503, Some("100"))
    );
    door.serve("too large", |_, reply| {
        reply.fault(Fault::error(switchboard_hub::ErrorKind::TooLarge, "x"))
    });
    assert_eq!(door.post("/call/too%20large", "").await.status, 413);
}

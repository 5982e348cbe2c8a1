//! Calls whose bodies and results are streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard_gateway_http::{BodyOptions, HttpOptions};
use switchboard_hub::{Body, Fault};
use tokio::sync::{Mutex, mpsc};

use crate::support::{Door, patient};

fn with(body: BodyOptions) -> HttpOptions {
    HttpOptions {
        body,
        ..HttpOptions::default()
    }
}

#[tokio::test]
async fn both_ways_part_by_part() {
    let door = Door::open().await;
    door.serve_usual();
    let mut raw = door.raw().await;
    raw.begin_chunked("/call/shout").await;
    raw.chunk("one").await;
    let head = raw.head().await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("transfer-encoding: chunked"),
        "{head}"
    );
    assert_eq!(raw.next_chunk().await.unwrap(), b"ONE");
    // The second is sent only after the first was answered: nothing waits for the whole.
    raw.chunk("two").await;
    assert_eq!(raw.next_chunk().await.unwrap(), b"TWO");
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.next_chunk().await.unwrap(), b"");
    raw.request("POST", "/call/upper", "", "the connection lives")
        .await;
    assert_eq!(raw.response("POST").await.text(), "THE CONNECTION LIVES");
}

#[tokio::test]
async fn small_bodies_of_known_length_are_one_payload_and_others_streams() {
    let door = Door::with(with(BodyOptions {
        single_bytes_max: 4,
        ..BodyOptions::default()
    }))
    .await;
    door.serve("shape", |call, reply| {
        reply.result(match call.body {
            Body::Single(_) => "single",
            Body::Stream(_) => "stream",
        });
    });
    assert_eq!(door.post("/call/shape", "").await.text(), "single");
    assert_eq!(door.post("/call/shape", "1234").await.text(), "single");
    assert_eq!(door.post("/call/shape", "12345").await.text(), "stream");
    let mut raw = door.raw().await;
    raw.begin_chunked("/call/shape").await;
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.response("POST").await.text(), "stream");
}

#[tokio::test]
async fn a_large_body_crosses_whole() {
    let door = Door::open().await;
    door.serve_usual();
    let body: String = ('a'..='z').cycle().take(5_000_000).collect();
    for operation in ["upper", "shout"] {
        let response = door.post(&format!("/call/{operation}"), &body).await;
        assert!(
            response.whole && response.text() == body.to_uppercase(),
            "{operation}"
        );
    }
}

#[tokio::test]
async fn a_result_that_fails_half_way_never_looks_whole() {
    let door = Door::open().await;
    let (go, gone) = mpsc::unbounded_channel();
    let gone = Arc::new(Mutex::new(gone));
    door.serve("half", move |_, reply| {
        let gone = Arc::clone(&gone);
        tokio::spawn(async move {
            let mut results = reply.stream();
            results.send("half").await.unwrap();
            gone.lock().await.recv().await;
            results.fail(Fault::failed("no more"));
        });
    });
    let mut raw = door.raw().await;
    raw.request("POST", "/call/half", "", "").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(raw.next_chunk().await.unwrap(), b"half");
    go.send(()).unwrap();
    assert_eq!(raw.next_chunk().await, None, "it is not ended");
    assert_eq!(raw.rest().await, "", "and nothing else comes");
}

#[tokio::test]
async fn a_result_that_fails_at_once_is_a_fault_like_any_other() {
    let door = Door::open().await;
    door.serve("none", |_, reply| {
        let results = reply.stream();
        results.fail(Fault::retry(Duration::from_secs(3), "not now"));
    });
    door.serve("empty", |_, reply| reply.stream().finish());
    let response = door.post("/call/none", "").await;
    assert_eq!(
        (response.status, response.header("retry-after")),
        (503, Some("3"))
    );
    let response = door.post("/call/empty", "").await;
    assert_eq!((response.status, response.text()), (200, ""));
}

#[tokio::test]
async fn a_slow_client_holds_back_who_produces_the_result() {
    let door = Door::open().await;
    let produced = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = mpsc::unbounded_channel();
    let counted = Arc::clone(&produced);
    door.serve("pour", move |_, reply| {
        let (counted, tell) = (Arc::clone(&counted), tell.clone());
        tokio::spawn(async move {
            let mut results = reply.stream();
            for _ in 0..1000 {
                let sent =
                    tokio::time::timeout(Duration::from_millis(300), results.send(vec![b'x'; 64 << 10]));
                match sent.await {
                    Ok(Ok(())) => counted.fetch_add(64 << 10, Ordering::Relaxed),
                    // It is held back; from now on it has all the time.
                    Err(_) => {
                        tell.send(true).unwrap();
                        results.send(vec![b'x'; 64 << 10]).await.unwrap();
                        counted.fetch_add(64 << 10, Ordering::Relaxed)
                    }
                    Ok(Err(_)) => return,
                };
            }
            results.finish();
            tell.send(false).unwrap();
        });
    });
    let mut raw = door.raw().await;
    raw.request("POST", "/call/pour", "", "").await;
    assert_eq!(
        patient(told.recv()).await,
        Some(true),
        "held back while the client does not read"
    );
    assert!(
        produced.load(Ordering::Relaxed) < 60 << 20,
        "not all of it fits anywhere"
    );
    let response = raw.response("POST").await;
    assert_eq!((response.body.len(), response.whole), (1000 * (64 << 10), true));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_stream_of_its_result_and_of_its_body() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("both", move |call, reply| {
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut results = reply.stream();
            results.send("begun").await.unwrap();
            let mut body = call.body.into_parts();
            while let Some(Ok(_)) = body.next().await {}
            tell.send("the body is cut off").unwrap();
            while results.send("more").await.is_ok() {
                tokio::task::yield_now().await;
            }
            tell.send("the result is unread").unwrap();
        });
    });
    let mut raw = door.raw().await;
    raw.begin_chunked("/call/both").await;
    raw.chunk("x").await;
    raw.head().await;
    drop(raw);
    assert_eq!(patient(told.recv()).await, Some("the body is cut off"));
    assert_eq!(patient(told.recv()).await, Some("the result is unread"));
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_never_taken_for_a_whole_one() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("end", move |call, reply| {
        let tell = tell.clone();
        tokio::spawn(async move {
            tell.send(call.body.collect(100).await.is_ok()).unwrap();
            drop(reply);
        });
    });
    let mut raw = door.raw().await;
    raw.begin_chunked("/call/end").await;
    raw.chunk("half").await;
    door.until(|stats| stats.calls == 1).await;
    drop(raw);
    assert_eq!(patient(told.recv()).await, Some(false));
}

#[tokio::test]
async fn http_1_0_gets_a_length_so_that_it_can_tell_the_end() {
    let door = Door::open().await;
    door.serve_usual();
    let mut raw = door.raw().await;
    raw.send("POST /call/shout HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    let response = raw.response("POST").await;
    assert_eq!((response.status, response.text()), (200, "HELLO"));
    assert_eq!(response.header("content-length"), Some("5"));
}

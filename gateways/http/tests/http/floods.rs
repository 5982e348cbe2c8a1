//! HTTP/2 clients that keep a server busy with what costs them nothing: each meets a bound, and others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard_gateway_http::HttpOptions;

use crate::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, Outcome, PING, PROTOCOL_ERROR,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, Wire, fields, frame, pseudo, request,
};
use crate::support::Door;

/// Far more than any client has a reason to.
const FLOOD: u32 = 20_000;

/// Frames that are sent at once.
const BATCH: u32 = 100;

/// Sends so many times what `make` makes of the number of a stream, as long as the other end takes it.
async fn flood(wire: &mut Wire, make: impl Fn(u32) -> Vec<u8>) {
    for batch in 0..FLOOD / BATCH {
        let streams = (batch * BATCH..(batch + 1) * BATCH).map(|number| 2 * number + 1);
        let bytes: Vec<_> = streams.flat_map(&make).collect();
        if !wire.send(bytes).await {
            return;
        }
    }
}

/// The connection ends, as one that asks for too much or one that breaks the rules; others are as they were.
async fn calmed(door: &Door, mut wire: Wire, mut other: Wire) {
    let outcome = wire.outcome(0).await;
    // Its last words may be lost: the client was still sending when the connection was closed.
    assert!(
        matches!(
            outcome,
            Outcome::GoAway(ENHANCE_YOUR_CALM | PROTOCOL_ERROR) | Outcome::Closed
        ),
        "{outcome:?}"
    );
    other.is_well(1).await;
    drop((wire, other));
    door.until(|stats| stats.sessions == 1).await;
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_begin_end_the_connection() {
    let door = Door::open().await;
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    door.serve("work", move |_, reply| {
        count.fetch_add(1, Ordering::Relaxed);
        reply.result("done");
    });
    let (mut wire, other) = (Wire::open(&door).await, Wire::open(&door).await);
    flood(&mut wire, |stream| {
        let reset = frame(RST_STREAM, 0, stream, [0, 0, 0, 8]);
        [request(stream, END_STREAM, "POST", "/call/work"), reset].concat()
    })
    .await;
    calmed(&door, wire, other).await;
    let called = called.load(Ordering::Relaxed);
    assert!(called < FLOOD as usize / 10, "{called} of {FLOOD} were called");
}

#[tokio::test]
async fn streams_that_the_server_is_made_to_reset_end_the_connection() {
    let door = Door::open().await;
    door.serve_usual();
    let (mut wire, other) = (Wire::open(&door).await, Wire::open(&door).await);
    flood(&mut wire, |stream| {
        let wrong = frame(WINDOW_UPDATE, 0, stream, [0; 4]);
        [request(stream, 0, "POST", "/call/upper"), wrong].concat()
    })
    .await;
    calmed(&door, wire, other).await;
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let door = Door::open().await;
    let (mut wire, other) = (Wire::open(&door).await, Wire::open(&door).await);
    let head = fields(&pseudo("GET", "/healthz"));
    wire.send(frame(HEADERS, END_STREAM, 1, &head)).await;
    let field = fields(&[("x", "y")]);
    flood(&mut wire, |_| frame(CONTINUATION, 0, 1, &field)).await;
    calmed(&door, wire, other).await;
}

#[tokio::test]
async fn a_head_that_says_much_with_few_bytes_is_refused() {
    let door = Door::open().await;
    let mut wire = Wire::open(&door).await;
    // A field that is kept (RFC 7541, section 6.2.1), and then asked for again and again, each time by one byte.
    let mut block = fields(&pseudo("GET", "/healthz"));
    let value = "y".repeat(3000);
    let mut kept = fields(&[("x", &value)]);
    kept[0] = 0x40;
    block.extend(kept);
    block.extend([0x80 | 62; 10_000]);
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
        .await;
    let outcome = wire.outcome(1).await;
    assert!(
        matches!(outcome, Outcome::Refused | Outcome::Reset(_) | Outcome::GoAway(_)),
        "{outcome:?}"
    );
    Wire::open(&door).await.is_well(1).await;
}

#[tokio::test]
async fn whoever_asks_and_does_not_read_the_answers_is_cut_off() {
    let mut options = HttpOptions::default();
    options.connection.write_timeout = Duration::from_millis(200);
    let door = Door::with(options).await;
    let questions = [
        frame(PING, 0, 0, [0; 8]),
        frame(SETTINGS, 0, 0, ""),
        frame(SETTINGS, 0, 0, [0, 3, 0, 0, 0, 9]),
    ];
    for question in questions {
        let (mut wire, mut other) = (Wire::open(&door).await, Wire::open(&door).await);
        // As many at once as make the client wait, should the server have stopped to read.
        let many = question.repeat(4096);
        while wire.send(&many).await {}
        other.is_well(1).await;
    }
}

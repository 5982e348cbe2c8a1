//! Handlers that panic or never end: their own call pays, and nobody else.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use switchboard_peer::{BoxFuture, ErrorKind, Fault, Handlers, Name, Peer, Request, Service};
use switchboard_wire::gotalk::Message;
use tokio::time::Instant;

use crate::common::{Probe, handlers, probed, quiet, until};
use crate::room::Room;

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in a drop, on purpose");
        }
    }
}

/// A handler whose future panics when it is dropped, having waited once or not.
struct BombFuture {
    waits: bool,
    _bomb: Bomb,
}

impl Future for BombFuture {
    type Output = Result<Bytes, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.waits) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(Bytes::from("before the drop")))
    }
}

fn bomb(waits: bool) -> BombFuture {
    BombFuture { waits, _bomb: Bomb }
}

fn panicking() -> Handlers {
    handlers()
        .handle_stream("stream panic", |_, _, _| async { panic!("on purpose") })
        .handle_stream("part panic", |_, _, results| async move {
            let _ = results.send("part").await;
            tokio::task::yield_now().await;
            panic!("on purpose")
        })
        .handle_raw("early panic", |_, _| -> BoxFuture<Result<Bytes, Fault>> {
            panic!("on purpose")
        })
        .handle_raw("drop panic", |_, _| async {
            let _bomb = Bomb;
            Ok(Bytes::from("never said"))
        })
        .handle_raw("late drop panic", |_, _| async {
            let _bomb = Bomb;
            tokio::task::yield_now().await;
            Ok(Bytes::from("never said"))
        })
        .handle_call("reply panic", |_, _, reply| async move {
            let _reply = reply;
            panic!("on purpose")
        })
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_request_handler_is_an_error_to_its_caller() {
    for operation in [
        "panic",
        "late panic",
        "stream panic",
        "early panic",
        "drop panic",
        "late drop panic",
        "reply panic",
    ] {
        let mut room = Room::new(panicking(), quiet()).await;
        for kind in ["r", "s"] {
            let size = operation.len();
            room.raw
                .send(format!("{kind}0001{size:03x}{operation}00000000"))
                .await;
            if kind == "s" {
                room.raw.send("p000100000000").await;
            }
            match room.raw.message().await {
                Some(Message::ErrorResult { payload, .. }) => {
                    let text = String::from_utf8_lossy(&payload).into_owned();
                    assert!(text.contains("panicked"), "{operation}: {text}");
                }
                other => panic!("{operation}: {other:?} is no error"),
            }
        }
        assert_eq!(room.peer.requests_in_service(), 0, "{operation}");
        room.all_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_within_a_streamed_result_ends_it_with_an_error() {
    let mut room = Room::new(panicking(), quiet()).await;
    room.raw.send("r000100apart panic00000000").await;
    room.raw.expect("S000100000004part").await;
    assert!(matches!(
        room.raw.message().await,
        Some(Message::ErrorResult { .. })
    ));
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_as_a_handler_is_put_away_harms_nobody() {
    let handlers = handlers()
        .handle_raw("bomb", |_, _| bomb(false))
        .handle_raw("late bomb", |_, _| bomb(true))
        .on_raw("bomb", |_, _| async {
            let _bomb = Bomb;
        })
        .on_raw("late bomb", |_, _| async {
            let _bomb = Bomb;
            tokio::task::yield_now().await;
        });
    let mut room = Room::new(handlers, quiet()).await;
    for name in ["bomb", "late bomb"] {
        room.raw
            .send(format!("r0001{:03x}{name}00000000", name.len()))
            .await;
        assert!(
            matches!(room.raw.message().await, Some(Message::ErrorResult { .. })),
            "{name}"
        );
    }
    room.raw.send("n004bomb00000000n009late bomb00000000").await;
    room.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_notification_handler_costs_that_notification() {
    let (seen, mut seeing) = tokio::sync::mpsc::unbounded_channel();
    let handlers = handlers()
        .on_raw("panic", |_, _| async { panic!("on purpose") })
        .on_raw("early panic", |_, _| -> BoxFuture<()> { panic!("on purpose") })
        .on_raw("late panic", |_, _| async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        })
        .on_raw("note", move |_, payload| {
            let _ = seen.send(payload);
            async {}
        });
    let mut room = Room::new(handlers, quiet()).await;
    for name in ["panic", "early panic", "late panic"] {
        room.raw
            .send(format!("n{:03x}{name}00000000n004note00000001x", name.len()))
            .await;
        assert_eq!(seeing.recv().await.unwrap(), "x", "after {name}");
    }
    room.all_is_well().await;
}

/// A service whose every method panics, but for one operation.
struct Panicking {
    late_bombs: bool,
}

impl Service for Panicking {
    fn request(&self, request: Request) {
        match &*request.operation {
            "echo" => {
                if let switchboard_peer::Body::Single(payload) = request.body {
                    request.reply.result(payload);
                }
            }
            _ => panic!("on purpose"),
        }
    }

    fn notification(&self, _: &Peer, _: Name, _: Bytes) -> Option<BoxFuture<()>> {
        if self.late_bombs {
            return Some(Box::pin(PlainBomb(bomb(true))));
        }
        panic!("on purpose")
    }

    fn unanswering(&self, _: &Peer) {
        panic!("on purpose")
    }

    fn closed(&self, _: &Peer) {
        panic!("on purpose")
    }
}

/// A notification's future that panics when it is dropped.
struct PlainBomb(BombFuture);

impl Future for PlainBomb {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_everywhere_still_answers_and_ends() {
    for late_bombs in [false, true] {
        let mut room = Room::new(Panicking { late_bombs }, quiet()).await;
        room.raw.send("r0001004boom00000000").await;
        assert!(matches!(
            room.raw.message().await,
            Some(Message::ErrorResult { .. })
        ));
        room.raw.send("n004note00000000n004note00000000").await;
        room.all_is_well().await;
        let waiting = tokio::spawn({
            let peer = room.peer.clone();
            async move { peer.request_raw("op", "").await }
        });
        room.raw.expect(b"r\0\0\0\x00002op00000000").await;
        room.raw.half_close().await;
        assert!(waiting.await.unwrap().unwrap_err().is_retry());
        assert_eq!(room.raw.rest().await, "");
        room.peer.closed().await;
        room.neighbour_is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_as_failed_to_our_own_callers() {
    let room = Room::new(panicking(), quiet()).await;
    let fault = room.neighbour.request_raw("late panic", "").await.unwrap_err();
    assert!(
        matches!(
            &fault,
            Fault::Error {
                kind: ErrorKind::Failed,
                ..
            }
        ),
        "{fault:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_handlers_that_never_end_are_cancelled_and_dropped_when_their_caller_goes() {
    const CALLS: usize = 10_000;
    let (handlers, mut probe) = probed();
    let room = Room::new(handlers, quiet()).await;
    let Room {
        peer,
        mut raw,
        neighbour,
    } = room;
    for number in 0..CALLS {
        raw.send(format!("r{number:04}005probe00000000")).await;
    }
    until(|| peer.requests_in_service() == CALLS).await;
    // One more is too many; the neighbour has limits of its own.
    raw.send("r!!!!005probe00000000").await;
    assert!(matches!(raw.message().await, Some(Message::RetryResult { .. })));
    assert_eq!(neighbour.request_raw("echo", "well").await.unwrap(), "well");
    drop(raw);
    let gone = Instant::now();
    let mut counted = [0; 3];
    while counted[Probe::Dropped as usize] < CALLS {
        counted[probe.recv().await.unwrap() as usize] += 1;
    }
    assert_eq!(counted, [CALLS; 3]);
    let limit = quiet().cancel_grace + Duration::from_secs(3);
    assert!(gone.elapsed() <= limit, "after {:?}", gone.elapsed());
    assert!(peer.is_closed());
    assert_eq!(peer.requests_in_service(), 0);
    assert_eq!(neighbour.request_raw("echo", "well").await.unwrap(), "well");
}

//! Streams through the hub, both ways, and how a slow end holds the other back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use switchboard_gateway_gotalk::GatewayOptions;
use switchboard_hub::HubConfig;
use switchboard_peer::{Fault, Handlers, Options, PartReceiver, PartSender, Peer, Reply};
use tokio::sync::mpsc;

use crate::support::{Door, call, patient};

/// Bytes of one part.
const PART_BYTES: usize = 64 * 1024;

/// Parts of a long stream: 96 MiB.
const PARTS: usize = 1536;

/// What may be on its way at most: the buffers of three connections' ends and of the system's sockets between them.
const UNDER_WAY_BYTES_MAX: usize = 40 << 20;

fn cat() -> Handlers {
    Handlers::new().handle_stream("cat", |_, mut body, results| async move {
        while let Some(part) = body.next().await {
            if results.send(part?).await.is_err() {
                break;
            }
        }
        Ok(())
    })
}

async fn stream_of(reply: impl Future<Output = Result<Reply, Fault>>) -> PartReceiver {
    match patient(reply).await.unwrap() {
        Reply::Stream(parts) => parts,
        Reply::Single(payload) => panic!("a single {payload:?}"),
    }
}

#[tokio::test]
async fn parts_cross_the_hub_as_they_come() {
    let door = Door::open().await;
    let _responder = door.responder(cat()).await;
    let caller = door.peer(Handlers::new()).await;
    let (mut body, reply) = caller.call("cat").stream();
    body.send("one").await.unwrap();
    let mut parts = stream_of(reply).await;
    assert_eq!(patient(parts.next()).await, Some(Ok(Bytes::from("one"))));
    body.send("two").await.unwrap();
    assert_eq!(patient(parts.next()).await, Some(Ok(Bytes::from("two"))));
    body.finish();
    assert_eq!(patient(parts.next()).await, None);
    // A single body, a streamed result.
    assert_eq!(call(&caller, "cat", "whole").await.unwrap(), "whole");
}

#[tokio::test]
async fn a_stream_that_fails_is_never_taken_for_a_whole_one() {
    let door = Door::open().await;
    let handlers = Handlers::new().handle_stream("half", |_, _, results| async move {
        results.send("half").await.unwrap();
        Err(Fault::failed("no more"))
    });
    let _responder = door.responder(handlers).await;
    let caller = door.peer(Handlers::new()).await;
    let mut parts = stream_of(caller.call("half").send("")).await;
    assert_eq!(patient(parts.next()).await, Some(Ok(Bytes::from("half"))));
    assert_eq!(patient(parts.next()).await, Some(Err(Fault::failed("no more"))));
}

#[tokio::test]
async fn a_responder_that_vanishes_in_a_stream_fails_it_with_retry() {
    let door = Door::open().await;
    let handlers = Handlers::new().handle_stream("half", |_, _, results| async move {
        results.send("half").await.unwrap();
        std::future::pending().await
    });
    let responder = door.responder(handlers).await;
    let caller = door.peer(Handlers::new()).await;
    let mut parts = stream_of(caller.call("half").send("")).await;
    assert_eq!(patient(parts.next()).await, Some(Ok(Bytes::from("half"))));
    responder.close();
    let end = patient(parts.next()).await.unwrap().unwrap_err();
    assert!(end.is_retry(), "{end}");
}

/// What was sent and not read, and the most it ever was.
#[derive(Default)]
struct UnderWay {
    sent: AtomicUsize,
    read: AtomicUsize,
    most: AtomicUsize,
}

impl UnderWay {
    fn sent(&self, bytes: usize) {
        let sent = self.sent.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let read = self.read.load(Ordering::SeqCst);
        self.most.fetch_max(sent - read, Ordering::SeqCst);
    }
}

async fn write_all(mut sender: PartSender, under_way: Arc<UnderWay>) {
    let part = Bytes::from(vec![7; PART_BYTES]);
    for _ in 0..PARTS {
        patient(sender.send(part.clone())).await.unwrap();
        under_way.sent(part.len());
    }
    sender.finish();
}

/// Reads nothing before the writer is stuck (or has, wrongly, written all), then everything.
async fn read_late(mut parts: PartReceiver, writer: &Peer, under_way: &UnderWay) {
    patient(async {
        let mut seen = usize::MAX;
        loop {
            let sent = under_way.sent.load(Ordering::SeqCst);
            if sent == PARTS * PART_BYTES || writer.queued_bytes() > 0 && sent == seen {
                break;
            }
            seen = sent;
            // Not to wait for a state, but to see whether it stays.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    while let Some(part) = patient(parts.next()).await {
        under_way.read.fetch_add(part.unwrap().len(), Ordering::SeqCst);
    }
}

fn check(under_way: &UnderWay) {
    assert_eq!(under_way.read.load(Ordering::SeqCst), PARTS * PART_BYTES);
    let most = under_way.most.load(Ordering::SeqCst);
    assert!(
        most < UNDER_WAY_BYTES_MAX,
        "{most} bytes were under way to a reader that took none"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_responder_holds_its_caller_back() {
    let door = Door::open().await;
    let (bodies, mut arriving) = mpsc::unbounded_channel();
    let handlers = Handlers::new().handle_call("take", move |_, body, reply| {
        bodies.send((body.into_parts(), reply)).unwrap();
        async {}
    });
    let _responder = door.responder(handlers).await;
    let caller = door.peer(Handlers::new()).await;
    let under_way = Arc::new(UnderWay::default());
    let (body, reply) = caller.call("take").stream();
    let writing = tokio::spawn(write_all(body, Arc::clone(&under_way)));
    let (parts, replier) = patient(arriving.recv()).await.unwrap();
    read_late(parts, &caller, &under_way).await;
    patient(writing).await.unwrap();
    check(&under_way);
    replier.result("taken");
    assert!(matches!(patient(reply).await, Ok(Reply::Single(payload)) if payload == "taken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_caller_holds_its_responder_back() {
    let door = Door::open().await;
    let under_way = Arc::new(UnderWay::default());
    let handlers = Handlers::new().handle_call("give", {
        let under_way = Arc::clone(&under_way);
        move |_, _, reply| write_all(reply.stream(), Arc::clone(&under_way))
    });
    let responder = door.responder(handlers).await;
    let caller = door.peer(Handlers::new()).await;
    let parts = stream_of(caller.call("give").send("")).await;
    read_late(parts, &responder, &under_way).await;
    check(&under_way);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_fails_in_time_and_its_connection_goes_on() {
    let options = GatewayOptions {
        peer: Options {
            stall_timeout: Duration::from_millis(200),
            ..Options::default()
        },
        ..GatewayOptions::default()
    };
    let door = Door::with(HubConfig::default(), options).await;
    let (ended, mut ending) = mpsc::unbounded_channel();
    let handlers = Handlers::new()
        .handle_call("give", move |_, _, reply| {
            let ended = ended.clone();
            async move {
                let (mut sender, part) = (reply.stream(), Bytes::from(vec![7; PART_BYTES]));
                for _ in 0..PARTS {
                    if sender.send(part.clone()).await.is_err() {
                        break;
                    }
                }
                ended.send(()).unwrap();
            }
        })
        .handle_raw("echo", |_, payload| async { Ok(payload) });
    let _responder = door.responder(handlers).await;
    let stuck = door.peer(Handlers::new()).await;
    let mut parts = stream_of(stuck.call("give").send("")).await;
    let other = door.peer(Handlers::new()).await;
    assert_eq!(call(&other, "echo", "on").await.unwrap(), "on");
    // The hub throws the rest away, so that the responder comes to its end.
    patient(ending.recv()).await;
    let end = loop {
        match patient(parts.next()).await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(&end, Some(Err(fault)) if fault.is_retry()), "{end:?}");
    assert_eq!(call(&other, "echo", "on").await.unwrap(), "on");
}

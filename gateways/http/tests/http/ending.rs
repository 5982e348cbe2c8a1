//! The end of the daemon.

use std::time::Duration;

use switchboard_net::Ending;
use tokio::sync::mpsc;

use crate::support::{Door, patient};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_is_under_way_is_answered_and_what_is_idle_closed() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("hold", move |_, reply| tell.send(reply).unwrap());
    let mut idle = door.raw().await;
    idle.request("GET", "/healthz", "", "").await;
    idle.response("GET").await;
    let mut busy = door.raw().await;
    busy.request("POST", "/call/hold", "", "").await;
    let reply = patient(told.recv()).await.unwrap();
    door.shutdown.begin();
    assert_eq!(idle.rest().await, "");
    reply.result("done");
    let response = busy.response("POST").await;
    assert_eq!((response.status, response.text()), (200, "done"));
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(busy.rest().await, "");
    assert_eq!(patient(door.shutdown.drain(GRACE)).await, Ending::Graceful);
}

#[tokio::test]
async fn event_streams_end_so_that_browsers_come_back() {
    let door = Door::open().await;
    let mut stream = door.raw().await;
    stream.request("GET", "/subscribe?topic=a", "", "").await;
    stream.head().await;
    let mut poll = door.raw().await;
    poll.request("GET", "/subscribe?topic=a&wait=300", "", "").await;
    door.until(|stats| stats.subscriptions == 2).await;
    door.shutdown.begin();
    assert_eq!(stream.next_chunk().await.unwrap(), b":\n\n");
    assert_eq!(stream.next_chunk().await.unwrap(), b"", "a whole stream");
    assert_eq!(poll.response("GET").await.status, 204);
    assert_eq!(patient(door.shutdown.drain(GRACE)).await, Ending::Graceful);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_stopped() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("hold", move |_, reply| tell.send(reply).unwrap());
    let mut busy = door.raw().await;
    busy.request("POST", "/call/hold", "", "").await;
    let reply = patient(told.recv()).await.unwrap();
    let ending = patient(door.shutdown.drain(Duration::from_millis(50))).await;
    assert!(matches!(ending, Ending::Stopped { .. }), "{ending:?}");
    assert_eq!(busy.rest().await, "");
    patient(reply.cancellation().cancelled()).await;
}

#[tokio::test]
async fn a_daemon_that_drains_is_not_ready() {
    let door = Door::open().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    door.serve("hold", move |_, reply| tell.send(reply).unwrap());
    let mut raw = door.raw().await;
    // Both are read before the end begins: the second is asked while it goes on.
    raw.request("POST", "/call/hold", "", "").await;
    raw.request("GET", "/healthz", "", "").await;
    let reply = patient(told.recv()).await.unwrap();
    door.shutdown.begin();
    tokio::task::yield_now().await;
    reply.result("done");
    assert_eq!(raw.response("POST").await.text(), "done");
    let rest = raw.rest().await;
    assert!(rest.is_empty() || rest.contains("shutting down"), "{rest}");
}

//! How it ends for good.

use serde_json::json;
use switchboard_peer::{CloseReason, Ended, Handlers, KeepAliveOptions, State};
use tokio::time::Instant;

use crate::common::handlers;
use crate::support::{Network, SECOND, Scribe, Try, at_hub, settled, state_that};

#[tokio::test(start_paused = true)]
async fn a_close_ends_what_is_queued_and_every_try() {
    let (network, _accepted) = Network::new([Try::Fails; 100], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let queued = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("echo", "x").await }
    });
    state_that(&kept, |state| matches!(state, State::Waiting { .. })).await;
    kept.close();
    let fault = queued.await.unwrap().unwrap_err();
    assert!(
        !fault.is_retry() && fault.message().contains("closed by this program"),
        "{fault}"
    );
    assert_eq!(kept.closed().await, Ended::Local);
    let tries = network.tries.lock().len();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(network.tries.lock().len(), tries);
    assert!(kept.peer().is_none());
    kept.shutdown(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes() {
    let (network, mut accepted) = Network::new([], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let mut state = kept.state();
    let other = kept.clone();
    kept.connected().await.unwrap();
    drop(kept);
    settled(&other).await;
    drop(other);
    assert_eq!(accepted.recv().await.unwrap().closed().await, CloseReason::Remote);
    assert_eq!(*state.borrow_and_update(), State::Closed(Ended::Local));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_what_is_queued_and_waits_for_answers() {
    let hub = Scribe::default();
    let (network, _accepted) = Network::new([Try::Fails; 2], hub.handlers());
    let kept = network.keep(Handlers::new(), at_hub());
    kept.notify("note", &1).await.unwrap();
    let queued = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("echo", "x").await }
    });
    tokio::task::yield_now().await;
    kept.shutdown(60 * SECOND).await;
    assert_eq!(queued.await.unwrap().unwrap(), "x");
    assert!(hub.names().contains(&"note".to_owned()));
    assert_eq!(kept.closed().await, Ended::Local);
    assert_eq!(network.tries.lock().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_has_the_hub_send_no_more_and_finishes_what_it_serves() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let here = Handlers::new().handle_raw("slow", |_, payload| async {
        tokio::time::sleep(10 * SECOND).await;
        Ok(payload)
    });
    let kept = network.keep(here, at_hub());
    kept.connected().await.unwrap();
    let far = accepted.recv().await.unwrap();
    let served = tokio::spawn(async move { far.request_raw("slow", "x").await });
    while kept.peer().unwrap().requests_in_service() == 0 {
        tokio::task::yield_now().await;
    }
    hub.take();
    let began = Instant::now();
    kept.shutdown(60 * SECOND).await;
    assert_eq!(served.await.unwrap().unwrap(), "x");
    assert!(
        (10 * SECOND..12 * SECOND).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        hub.take(),
        [("hub.unserve".to_owned(), json!({"ops": ["lamp.switch"]}))]
    );
    assert_eq!(network.tries.lock().len(), 1);
    assert!(kept.request_raw("echo", "late").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_no_longer_than_its_grace() {
    let (network, _accepted) = Network::new([Try::Fails; 100], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    kept.notify("note", &1).await.unwrap();
    let began = Instant::now();
    kept.shutdown(3 * SECOND).await;
    assert!((3 * SECOND..4 * SECOND).contains(&began.elapsed()));
    assert_eq!(kept.closed().await, Ended::Local);
    // With a call that is never answered, too.
    let (network, _accepted) = Network::new([], handlers());
    let kept = network.keep(Handlers::new(), KeepAliveOptions::default());
    let never = tokio::spawn({
        let kept = kept.clone();
        async move { kept.request_raw("never", "x").await }
    });
    kept.connected().await.unwrap();
    while kept.peer().unwrap().requests_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    kept.shutdown(3 * SECOND).await;
    assert!(
        (3 * SECOND..5 * SECOND).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
    assert!(never.await.unwrap().unwrap_err().is_retry());
}

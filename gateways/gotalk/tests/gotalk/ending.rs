//! How connections end, and what is left of them: nothing.

use std::time::Duration;

use bytes::Bytes;
use switchboard_gateway_gotalk::{GatewayOptions, check_guest};
use switchboard_hub::HubConfig;
use switchboard_net::{Ending, Limits, Listener, ListenerConfig, Network};
use switchboard_peer::{Fault, Handlers};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use crate::support::{Door, Raw, ask, call, patient, quiet};

#[tokio::test]
async fn a_connection_that_ends_leaves_nothing_behind() {
    let door = Door::open().await;
    let before = door.hub.stats();
    let peer = door
        .responder(Handlers::new().handle_raw("x", |_, payload| async { Ok(payload) }))
        .await;
    for policy in ["block", "latest", "drop-oldest", "disconnect"] {
        let request = format!(r#"{{"topics":["{policy}/#"],"policy":"{policy}"}}"#);
        ask(&peer, "hub.subscribe", &request).await.unwrap();
    }
    let during = door.hub.stats();
    assert_eq!(
        (during.sessions, during.subscriptions, during.operations),
        (1, 4, before.operations + 1)
    );
    peer.close();
    patient(peer.closed()).await;
    door.until(|stats| (stats.sessions, stats.subscriptions, stats.operations) == (0, 0, before.operations))
        .await;
}

#[tokio::test]
async fn who_does_not_speak_gotalk_is_no_party_for_long() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut raw = Raw {
        io: patient(TcpStream::connect(door.ip())).await.unwrap(),
    };
    raw.send("GET / HTTP/1.1\r\n\r\n").await;
    raw.expect("01f00000001").await;
    assert_eq!(raw.rest().await, "");
    drop(raw);
    door.until(|stats| stats.sessions == 0).await;
}

#[tokio::test]
async fn a_full_hub_says_good_bye_at_once() {
    let config = HubConfig {
        sessions_max: 1,
        ..HubConfig::default()
    };
    let door = Door::with(config, quiet()).await;
    let first = door.raw().await;
    let mut second = door.raw().await;
    second.expect("f00000000").await;
    assert_eq!(second.rest().await, "");
    drop(first);
    door.until(|stats| stats.sessions == 0).await;
    let mut third = door.raw().await;
    third.request("0001", "nope", "").await;
    third.expect(r#"E000100000018unknown operation "nope""#).await;
}

#[tokio::test]
async fn a_door_that_other_machines_could_reach_is_refused() {
    let config = ListenerConfig::new("tcp://0.0.0.0:0".parse().unwrap());
    let listener = Listener::bind(config, &Network::new(Limits::default()))
        .await
        .unwrap();
    let refused = check_guest(listener.local_address()).unwrap_err();
    assert!(refused.to_string().contains("0.0.0.0"), "{refused}");
}

/// Handlers of `slow`, which answers once it is told to.
fn slow(began: mpsc::UnboundedSender<()>, going: watch::Receiver<bool>) -> Handlers {
    Handlers::new().handle_raw("slow", move |_, _| {
        let mut going = going.clone();
        began.send(()).unwrap();
        async move {
            // The test ends without telling where the answer does not matter.
            let _ = going.wait_for(|go| *go).await;
            Ok(Bytes::from("late"))
        }
    })
}

#[tokio::test]
async fn draining_finishes_what_runs_and_refuses_what_is_new() {
    let door = Door::open().await;
    let (go, going) = watch::channel(false);
    let (began, mut beginning) = mpsc::unbounded_channel();
    let responder = door.responder(slow(began, going)).await;
    let caller = door.peer(Handlers::new()).await;
    let idle = door.peer(Handlers::new()).await;
    let running = tokio::spawn({
        let caller = caller.clone();
        async move { call(&caller, "slow", "").await }
    });
    patient(beginning.recv()).await.unwrap();
    let draining = tokio::spawn({
        let shutdown = door.shutdown.clone();
        async move { shutdown.drain(Duration::from_secs(20)).await }
    });
    // An idle connection is closed at once: then the others drain too.
    patient(idle.closed()).await;
    let refused = call(&caller, "slow", "").await.unwrap_err();
    assert_eq!((refused.is_retry(), refused.message()), (true, "shutting down"));
    go.send_replace(true);
    assert_eq!(patient(running).await.unwrap(), Ok(Bytes::from("late")));
    patient(caller.closed()).await;
    patient(responder.closed()).await;
    assert_eq!(patient(draining).await.unwrap(), Ending::Graceful);
    assert_eq!(door.hub.stats().sessions, 0);
}

#[tokio::test]
async fn what_never_ends_is_ended_after_the_grace() {
    let options = GatewayOptions {
        grace: Duration::from_millis(50),
        ..GatewayOptions::default()
    };
    let door = Door::with(HubConfig::default(), options).await;
    let (_go, going) = watch::channel(false);
    let (began, mut beginning) = mpsc::unbounded_channel();
    let _responder = door.responder(slow(began, going)).await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ending) = tokio::join!(call(&caller, "slow", ""), async {
        patient(beginning.recv()).await.unwrap();
        patient(door.shutdown.drain(Duration::from_secs(20))).await
    });
    assert!(matches!(&answer, Err(fault) if fault.is_retry()), "{answer:?}");
    assert_eq!(ending, Ending::Graceful);
    assert_eq!(door.hub.stats().sessions, 0);
}

#[tokio::test]
async fn a_stop_closes_connections_at_once() {
    let door = Door::open().await;
    let (_go, going) = watch::channel(false);
    let (began, mut beginning) = mpsc::unbounded_channel();
    let responder = door.responder(slow(began, going)).await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "slow", ""), async {
        patient(beginning.recv()).await.unwrap();
        door.shutdown.stop();
    });
    assert!(matches!(&answer, Err(Fault::Retry { .. })), "{answer:?}");
    patient(responder.closed()).await;
    patient(caller.closed()).await;
    door.until(|stats| stats.sessions == 0).await;
}

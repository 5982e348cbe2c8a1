//! Responders that go away in the middle of a call.

use bytes::Bytes;
use switchboard_gateway_gotalk::GatewayOptions;
use switchboard_hub::HubConfig;
use switchboard_peer::{Fault, Handlers};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::support::{Door, call, ops, patient, quiet};

/// Handles `work` by never answering, and tells when a call has come.
fn never(began: &mpsc::UnboundedSender<()>) -> Handlers {
    let began = began.clone();
    Handlers::new().handle_raw("work", move |_, _| {
        began.send(()).unwrap();
        std::future::pending::<Result<Bytes, Fault>>()
    })
}

#[tokio::test]
async fn a_responder_that_closes_costs_its_callers_a_retry() {
    let door = Door::open().await;
    let (began, mut beginning) = mpsc::unbounded_channel();
    let responder = door.responder(never(&began)).await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "work", ""), async {
        patient(beginning.recv()).await.unwrap();
        responder.close();
    });
    let fault = answer.unwrap_err();
    assert!(fault.is_retry(), "{fault}");
    assert!(fault.message().contains("lost"), "{fault}");
    patient(responder.closed()).await;
    door.until(|stats| stats.sessions == 1).await;
    assert_eq!(ops(&caller).await, Vec::<String>::new());
    let missed = call(&caller, "work", "").await.unwrap_err();
    assert!(
        missed.is_retry() && missed.message().contains("lost a moment ago"),
        "{missed}"
    );
}

#[tokio::test]
async fn a_responder_whose_connection_breaks_costs_its_callers_a_retry() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut responder = door.raw().await;
    responder.ask("hub.serve", r#"{"ops":["work"]}"#).await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "work", "x"), async {
        responder.requested('r', "work", "x").await;
        // Reset instead of a proper end, as when the process is killed with unread input.
        responder.io.set_zero_linger().unwrap();
        drop(responder);
    });
    assert!(answer.unwrap_err().is_retry());
    door.until(|stats| stats.sessions == 1).await;
    assert_eq!(ops(&caller).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_one_that_is_left_gets_the_calls() {
    let door = Door::open().await;
    let (began, mut beginning) = mpsc::unbounded_channel();
    let vanishing = door.responder(never(&began)).await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "work", ""), async {
        patient(beginning.recv()).await.unwrap();
        let _staying = door
            .responder(Handlers::new().handle_raw("work", |_, _| async { Ok(Bytes::from("done")) }))
            .await;
        vanishing.close();
        patient(vanishing.closed()).await;
        door.until(|stats| stats.sessions == 2).await;
        for _ in 0..10 {
            assert_eq!(call(&caller, "work", "").await.unwrap(), "done");
        }
    });
    assert!(answer.unwrap_err().is_retry());
}

#[tokio::test]
async fn a_responder_that_closed_its_half_gets_no_more_calls_but_its_own_answers() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let (go, going) = tokio::sync::watch::channel(false);
    let (began, mut beginning) = mpsc::unbounded_channel();
    let _slow = door
        .responder(Handlers::new().handle_raw("slow", move |_, _| {
            let mut going = going.clone();
            began.send(()).unwrap();
            async move {
                going.wait_for(|go| *go).await.unwrap();
                Ok(Bytes::from("late"))
            }
        }))
        .await;
    let caller = door.peer(Handlers::new()).await;
    let mut raw = door.raw().await;
    raw.ask("hub.serve", r#"{"ops":["work"]}"#).await;
    raw.request("0001", "slow", "").await;
    patient(beginning.recv()).await.unwrap();
    let (answer, ()) = tokio::join!(call(&caller, "work", ""), async {
        raw.requested('r', "work", "").await;
        raw.io.shutdown().await.unwrap();
    });
    assert!(answer.unwrap_err().is_retry());
    let missed = call(&caller, "work", "").await.unwrap_err();
    assert!(
        missed.message().contains("lost a moment ago"),
        "it left the table although its own call still runs: {missed}"
    );
    go.send_replace(true);
    // Among heartbeats, which show the hub whether the other side is still there.
    let rest = raw.rest().await;
    assert!(rest.contains("R000100000004late"), "{rest}");
}

#[tokio::test]
async fn a_panic_of_a_responders_handler_is_an_error_and_costs_nothing_else() {
    let door = Door::with(HubConfig::default(), GatewayOptions::default()).await;
    let _responder = door
        .responder(
            Handlers::new()
                .handle_raw("panic", |_, _| async { panic!("on purpose") })
                .handle_raw("echo", |_, payload| async { Ok(payload) }),
        )
        .await;
    let caller = door.peer(Handlers::new()).await;
    let fault = call(&caller, "panic", "").await.unwrap_err();
    assert!(
        !fault.is_retry() && fault.message().contains("panicked"),
        "{fault}"
    );
    assert_eq!(call(&caller, "echo", "on").await.unwrap(), "on");
}

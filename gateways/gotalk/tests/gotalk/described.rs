//! Responders that asked to know their callers, with `caller: true`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use switchboard_hub::HubConfig;
use switchboard_peer::{Fault, Handlers, Peer};
use tokio::sync::mpsc;

use crate::support::{Door, Raw, ask, call, patient, quiet};

/// A peer that serves all that it handles, and knows who calls.
async fn described_responder(door: &Door, handlers: Handlers) -> Peer {
    let ops: Vec<_> = handlers.operations().iter().map(ToString::to_string).collect();
    let peer = door.peer(handlers).await;
    peer.set_callers_described();
    let request = json!({ "ops": ops, "caller": true }).to_string();
    ask(&peer, "hub.serve", &request).await.unwrap();
    peer
}

#[tokio::test]
async fn a_responder_that_asked_is_told_who_calls() {
    let door = Door::open().await;
    let handlers = Handlers::new().handle("who", |context, text: String| async move {
        let caller = context.caller().clone();
        let time = context.deadline().map(|at| at - tokio::time::Instant::now());
        let seconds = time.map(|time| time.as_secs());
        Ok((
            caller.account.clone(),
            caller.door.clone(),
            caller.address.clone(),
            seconds,
            text,
        ))
    });
    let _responder = described_responder(&door, handlers).await;
    let caller = door.peer(Handlers::new()).await;
    let me = ask(&caller, "hub.whoami", "").await.unwrap();
    let answer = ask(&caller, "who", r#""hello""#).await.unwrap();
    assert_eq!(answer[0], "guest");
    assert_eq!(answer[1], "gotalk");
    assert_eq!(answer[2], me["address"]);
    assert!(
        (500..=600).contains(&answer[3].as_u64().unwrap()),
        "the hub's time-out is told: {answer}"
    );
    assert_eq!(answer[4], "hello");
}

/// Reads a forwarded request up to the end of its description.
async fn described(raw: &mut Raw, operation: &str) -> ([u8; 4], Value) {
    raw.expect("s").await;
    let id = raw.take(4).await.try_into().unwrap();
    raw.expect(format!("{:03x}{operation}", operation.len())).await;
    let size = String::from_utf8(raw.take(8).await).unwrap();
    let json = raw.take(usize::from_str_radix(&size, 16).unwrap()).await;
    (id, serde_json::from_slice(&json).unwrap())
}

fn part(id: [u8; 4], payload: &str) -> Vec<u8> {
    let head = format!("{:08x}{payload}", payload.len());
    [b"p", &id[..], head.as_bytes()].concat()
}

fn cancel(id: [u8; 4]) -> String {
    format!("n00ahub.cancel00000008{:08x}", u32::from_be_bytes(id))
}

#[tokio::test]
async fn the_bytes_of_a_described_call_are_as_documented() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut responder = door.raw().await;
    responder
        .ask("hub.serve", r#"{"ops":["up"],"caller":true}"#)
        .await;
    let mut caller = door.raw().await;

    caller.request("0001", "up", "hello").await;
    let (id, description) = described(&mut responder, "up").await;
    responder.expect(part(id, "hello")).await;
    responder.expect(part(id, "")).await;
    let address = caller.io.local_addr().unwrap().to_string();
    assert_eq!(description["account"], "guest");
    assert_eq!(description["door"], "gotalk");
    assert_eq!(description["address"], Value::from(address));
    assert_eq!(description["operation"], "up");
    assert_eq!(description["stream"], false);
    assert_eq!(
        description.get("content_type"),
        None,
        "a gotalk caller cannot say"
    );
    assert!(description["deadline_ms"].as_u64().unwrap() <= 600_000);
    responder.answer(id, "HELLO").await;
    caller.expect("R000100000005HELLO").await;

    // An empty payload is the end alone.
    caller.request("0002", "up", "").await;
    let (id, _) = described(&mut responder, "up").await;
    responder.expect(part(id, "")).await;
    responder.answer(id, "").await;
    caller.expect("R000200000000").await;

    // A stream says that it is one.
    caller.send("s0003002up00000003one").await;
    let (id, description) = described(&mut responder, "up").await;
    assert_eq!(description["stream"], true);
    responder.expect(part(id, "one")).await;
    caller.send("p000300000003twop000300000000").await;
    responder.expect(part(id, "two")).await;
    responder.expect(part(id, "")).await;
    responder.answer(id, "done").await;
    caller.expect("R000300000004done").await;
}

#[tokio::test]
async fn a_described_responder_is_told_of_calls_that_are_given_up() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut responder = door.raw().await;
    responder
        .ask("hub.serve", r#"{"ops":["up"],"caller":true}"#)
        .await;

    // Given up by name.
    let mut caller = door.raw().await;
    caller.request("0001", "up", "").await;
    let (id, _) = described(&mut responder, "up").await;
    responder.expect(part(id, "")).await;
    caller.send("n00ahub.cancel0000000830303031").await;
    responder.expect(cancel(id)).await;

    // Given up by leaving.
    caller.request("0002", "up", "").await;
    let (id, _) = described(&mut responder, "up").await;
    responder.expect(part(id, "")).await;
    caller.io.set_zero_linger().unwrap();
    drop(caller);
    responder.expect(cancel(id)).await;

    // An answer that comes too late disturbs nobody.
    responder.answer(id, "late").await;
    let other = door.peer(Handlers::new()).await;
    assert!(ask(&other, "hub.whoami", "").await.is_ok());
}

#[tokio::test]
async fn dropping_a_call_cancels_its_handler_behind_the_hub() {
    let door = Door::open().await;
    let (events, mut happening) = mpsc::unbounded_channel();
    let handlers = Handlers::new().handle_raw("wait", move |context, _| {
        let events = events.clone();
        async move {
            events.send("began").unwrap();
            context.cancelled().await;
            events.send("cancelled").unwrap();
            Ok(Bytes::new())
        }
    });
    let _responder = described_responder(&door, handlers).await;
    let caller = door.peer(Handlers::new()).await;
    caller.set_knows_cancel();
    {
        let call = caller.request_raw("wait", "");
        tokio::pin!(call);
        tokio::select! {
            biased;
            answer = &mut call => panic!("{answer:?}"),
            event = patient(happening.recv()) => assert_eq!(event, Some("began")),
        }
    }
    assert_eq!(patient(happening.recv()).await, Some("cancelled"));
}

#[tokio::test]
async fn a_deadline_of_the_hub_ends_the_call_on_both_sides() {
    let config = HubConfig {
        call_timeout: Some(Duration::from_millis(50)),
        ..HubConfig::default()
    };
    let door = Door::with(config, quiet()).await;
    let mut responder = door.raw().await;
    responder
        .ask("hub.serve", r#"{"ops":["up"],"caller":true}"#)
        .await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "up", ""), async {
        let (id, description) = described(&mut responder, "up").await;
        assert!(description["deadline_ms"].as_u64().unwrap() <= 50);
        responder.expect(part(id, "")).await;
        responder.expect(cancel(id)).await;
    });
    let fault = answer.unwrap_err();
    assert!(
        fault.is_retry() && fault.message().contains("deadline"),
        "{fault}"
    );
}

#[tokio::test]
async fn who_did_not_ask_is_told_nothing() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut responder = door.raw().await;
    responder.ask("hub.serve", r#"{"ops":["up"]}"#).await;
    let mut caller = door.raw().await;
    caller.request("0001", "up", "a").await;
    responder.requested('r', "up", "a").await;
    caller.send("n00ahub.cancel0000000830303031").await;
    // The hub answers the cancelled call, so that the next one comes after it.
    caller.expect("e0001").await;
    caller.take(8 + 8).await;
    let mut other = door.raw().await;
    other.request("0001", "up", "b").await;
    responder.requested('r', "up", "b").await;
}

#[tokio::test]
async fn serving_again_replaces_how() {
    let door = Door::with(HubConfig::default(), quiet()).await;
    let mut responder = door.raw().await;
    responder.ask("hub.serve", r#"{"ops":["up"]}"#).await;
    responder
        .ask("hub.serve", r#"{"ops":["up"],"caller":true}"#)
        .await;
    let caller = door.peer(Handlers::new()).await;
    let (answer, ()) = tokio::join!(call(&caller, "up", ""), async {
        let (id, _) = described(&mut responder, "up").await;
        responder.expect(part(id, "")).await;
        responder.answer(id, "ok").await;
    });
    assert_eq!(answer, Ok::<_, Fault>(Bytes::from("ok")));
}

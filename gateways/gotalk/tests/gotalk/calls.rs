//! Calls from one peer to another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use switchboard_gateway_gotalk::GatewayOptions;
use switchboard_hub::HubConfig;
use switchboard_peer::{Fault, Handlers, Limits, Options};
use tokio::sync::{Semaphore, mpsc};

use crate::support::{Door, ask, call, ops, patient};

fn handlers() -> Handlers {
    Handlers::new()
        .handle_raw("echo", |_, payload| async { Ok(payload) })
        .handle_raw("fail", |_, _| async { Err(Fault::failed("it failed")) })
        .handle_raw("busy", |_, _| async {
            Err(Fault::retry(Duration::from_millis(1500), "come back"))
        })
}

#[tokio::test]
async fn a_call_reaches_who_serves_it_and_the_answer_its_caller() {
    let door = Door::open().await;
    let responder = door.responder(handlers()).await;
    let caller = door.peer(Handlers::new()).await;
    assert_eq!(call(&caller, "echo", "hello").await.unwrap(), "hello");
    assert_eq!(call(&caller, "echo", "").await.unwrap(), "");
    // A peer may call what it serves itself.
    assert_eq!(call(&responder, "echo", "self").await.unwrap(), "self");
}

#[tokio::test]
async fn faults_cross_the_hub_as_they_are() {
    let door = Door::open().await;
    let _responder = door.responder(handlers()).await;
    let caller = door.peer(Handlers::new()).await;
    assert_eq!(call(&caller, "fail", "").await, Err(Fault::failed("it failed")));
    assert_eq!(
        call(&caller, "busy", "").await,
        Err(Fault::retry(Duration::from_millis(1500), "come back"))
    );
    assert_eq!(
        call(&caller, "nope", "").await,
        Err(Fault::unknown_operation("nope"))
    );
    let empty = call(&caller, "", "").await.unwrap_err();
    assert!(empty.message().contains("the operation is empty"), "{empty}");
}

#[tokio::test]
async fn a_large_payload_crosses_whole() {
    let door = Door::open().await;
    let _responder = door.responder(handlers()).await;
    let caller = door.peer(Handlers::new()).await;
    let payload = Bytes::from_iter((0..5_000_000_u32).map(|number| (number % 251) as u8));
    let answer = patient(caller.request_raw("echo", payload.clone()))
        .await
        .unwrap();
    assert!(answer == payload, "the payload has changed");
}

/// A handler of `work` that reports each call, and answers it with `name` once it gets a permit.
fn worker(name: &'static str, began: &mpsc::UnboundedSender<&'static str>, go: &Arc<Semaphore>) -> Handlers {
    let (began, go) = (began.clone(), Arc::clone(go));
    Handlers::new().handle_raw("work", move |_, _| {
        let (began, go) = (began.clone(), Arc::clone(&go));
        async move {
            began.send(name).unwrap();
            go.acquire().await.unwrap().forget();
            Ok(Bytes::from(name))
        }
    })
}

#[tokio::test]
async fn responders_of_one_operation_share_its_calls_by_what_is_in_flight() {
    let door = Door::open().await;
    let (began, mut beginning) = mpsc::unbounded_channel();
    let go = Arc::new(Semaphore::new(0));
    let _one = door.responder(worker("one", &began, &go)).await;
    let _other = door.responder(worker("other", &began, &go)).await;
    let caller = door.peer(Handlers::new()).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { call(&caller, "work", "").await.unwrap() })
        })
        .collect();
    let mut counts = (0, 0);
    for _ in 0..20 {
        match patient(beginning.recv()).await.unwrap() {
            "one" => counts.0 += 1,
            _ => counts.1 += 1,
        }
    }
    assert_eq!(counts, (10, 10));
    let listed = ask(&caller, "hub.ops", "").await.unwrap();
    let work = listed["ops"]
        .as_array()
        .and_then(|ops| ops.iter().find(|op| op["op"] == "work"))
        .unwrap();
    assert_eq!((&work["responders"], &work["in_flight"]), (&json!(2), &json!(20)));
    go.add_permits(20);
    for call in calls {
        patient(call).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_served_no_more_is_unknown_and_calls_under_way_go_on() {
    let door = Door::open().await;
    let (began, mut beginning) = mpsc::unbounded_channel();
    let go = Arc::new(Semaphore::new(0));
    let responder = door.responder(worker("one", &began, &go)).await;
    let caller = door.peer(Handlers::new()).await;
    let under_way = tokio::spawn({
        let caller = caller.clone();
        async move { call(&caller, "work", "").await }
    });
    patient(beginning.recv()).await.unwrap();
    let removed = ask(&responder, "hub.unserve", r#"{"ops":["work","other"]}"#).await;
    assert_eq!(removed, Ok(json!({ "removed": 1 })));
    assert_eq!(
        call(&caller, "work", "").await,
        Err(Fault::unknown_operation("work"))
    );
    go.add_permits(1);
    assert_eq!(patient(under_way).await.unwrap().unwrap(), "one");
}

#[tokio::test]
async fn a_list_of_operations_is_served_whole_or_not_at_all() {
    let config = HubConfig {
        operations_per_session_max: 3,
        ..HubConfig::default()
    };
    let door = Door::with(config, GatewayOptions::default()).await;
    let peer = door.peer(handlers()).await;
    let serve = async |ops: &[&str]| ask(&peer, "hub.serve", &json!({ "ops": ops }).to_string()).await;
    serve(&["echo"]).await.unwrap();

    let refused = serve(&["fail", "echo", "hub.mine", "busy"]).await.unwrap_err();
    assert!(
        refused.message().starts_with(r#"hub.serve: "hub.mine": "#),
        "{refused}"
    );
    assert_eq!(ops(&peer).await, ["echo"], "what was served before stays");

    let refused = serve(&["a", "b", "c"]).await.unwrap_err();
    assert!(refused.message().starts_with(r#"hub.serve: "c": "#), "{refused}");
    assert!(refused.message().contains("may not serve more"), "{refused}");
    assert_eq!(ops(&peer).await, ["echo"]);

    serve(&["fail", "echo", "busy", "fail"]).await.unwrap();
    assert_eq!(ops(&peer).await, ["busy", "echo", "fail"]);
    assert_eq!(call(&peer, "echo", "still").await.unwrap(), "still");
}

#[tokio::test]
async fn over_the_limit_of_one_connection_calls_are_told_when_to_come_back() {
    let options = GatewayOptions {
        peer: Options {
            limits: Limits {
                requests_max: 1,
                ..Limits::default()
            },
            ..Options::default()
        },
        ..GatewayOptions::default()
    };
    let door = Door::with(HubConfig::default(), options).await;
    let (began, mut beginning) = mpsc::unbounded_channel();
    let go = Arc::new(Semaphore::new(0));
    let _responder = door.responder(worker("one", &began, &go)).await;
    let caller = door.peer(Handlers::new()).await;
    let first = tokio::spawn({
        let caller = caller.clone();
        async move { call(&caller, "work", "").await }
    });
    patient(beginning.recv()).await.unwrap();
    let refused = call(&caller, "work", "").await.unwrap_err();
    assert!(refused.is_retry());
    assert_eq!(refused.message(), "request rate limit");
    go.add_permits(2);
    assert_eq!(patient(first).await.unwrap().unwrap(), "one");
    assert_eq!(call(&caller, "work", "").await.unwrap(), "one", "it recovers");
}

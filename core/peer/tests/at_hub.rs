//! What is said to a hub, word by word, and what is made of its answers.

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{pair, quiet, raw};
use serde_json::{Value, json};
use switchboard_peer::{
    Body, Caller, Context, DeliveryPolicy, Description, ErrorKind, Fault, Handlers, Login, Peer,
    PublishOptions, Replier, Reply, ServeOptions,
};
use tokio::sync::mpsc;

type Said = mpsc::UnboundedReceiver<(String, Value)>;

/// A hub that writes down what it is told, and answers it all with `answer`.
fn scribe(answer: fn(&str, &Value) -> Result<Value, Fault>) -> (Handlers, Said) {
    let (tell, said) = mpsc::unbounded_channel();
    let hub = Handlers::new().fallback(move |context: Context, payload| {
        let operation = context.operation().to_string();
        let request: Value = serde_json::from_slice(&payload).unwrap();
        let answered = answer(&operation, &request);
        tell.send((operation, request)).unwrap();
        async move { answered.map(|answer| Bytes::from(answer.to_string())) }
    });
    (hub, said)
}

fn done(_: &str, _: &Value) -> Result<Value, Fault> {
    Ok(json!({"something": "newer"}))
}

async fn at(hub: Handlers) -> (Peer, Peer) {
    pair(Handlers::new(), hub).await
}

#[tokio::test]
async fn what_concerns_the_connection_is_said_as_the_hub_reads_it() {
    let (hub, mut said) = scribe(done);
    let (peer, _hub) = at(hub).await;
    let hub = peer.at_hub();
    hub.login(&Login::account("lamp").token("t")).await.unwrap();
    hub.serve(&["a", "b"], ServeOptions::default()).await.unwrap();
    let declared = ServeOptions {
        safe: true,
        result_type: Some("text/plain".into()),
        ..ServeOptions::default()
    };
    hub.serve(&["c"], declared).await.unwrap();
    hub.unserve(&["a"]).await.unwrap();
    hub.subscribe(&["x/+"], None).await.unwrap();
    hub.subscribe(&["y/#".to_owned()], Some(DeliveryPolicy::Latest))
        .await
        .unwrap();
    hub.unsubscribe(&["x/+"]).await.unwrap();
    for (operation, request) in [
        ("hub.login", json!({"account": "lamp", "token": "t"})),
        ("hub.serve", json!({"ops": ["a", "b"]})),
        (
            "hub.serve",
            json!({"ops": ["c"], "safe": true, "result_type": "text/plain"}),
        ),
        ("hub.unserve", json!({"ops": ["a"]})),
        ("hub.subscribe", json!({"topics": ["x/+"]})),
        ("hub.subscribe", json!({"topics": ["y/#"], "policy": "latest"})),
        ("hub.unsubscribe", json!({"topics": ["x/+"]})),
    ] {
        assert_eq!(said.recv().await, Some((operation.to_owned(), request)));
    }
}

#[tokio::test]
async fn long_lists_go_in_several_requests_and_empty_ones_in_none() {
    let (hub, mut said) = scribe(done);
    let (peer, _hub) = at(hub).await;
    let topics: Vec<_> = (0..1025).map(|number| format!("t/{number}")).collect();
    peer.at_hub().subscribe(&[] as &[&str], None).await.unwrap();
    peer.at_hub().subscribe(&topics, None).await.unwrap();
    let mut sizes = Vec::new();
    while let Ok((_, request)) = said.try_recv() {
        sizes.push(request["topics"].as_array().unwrap().len());
    }
    assert_eq!(sizes, [1024, 1]);
}

#[tokio::test]
async fn a_publish_is_acknowledged() {
    let (hub, mut said) = scribe(|_, _| Ok(json!({"subscriptions": 3, "newer": true})));
    let (peer, _hub) = at(hub).await;
    let options = PublishOptions {
        retain: true,
        expires: Some(Duration::from_secs(60)),
    };
    let published = peer.at_hub().publish("home/lamp", "on", options).await.unwrap();
    assert_eq!(published.subscriptions, 3);
    let hub = peer.at_hub();
    let binary = hub.publish("t", &[0_u8, 255][..], PublishOptions::default());
    binary.await.unwrap();
    assert_eq!(
        said.recv().await.unwrap().1,
        json!({"topic": "home/lamp", "payload": "on", "retain": true, "expires_s": 60})
    );
    assert_eq!(
        said.recv().await.unwrap().1,
        json!({"topic": "t", "payload_base64": "AP8="})
    );
}

#[tokio::test]
async fn a_notification_is_a_publish_and_deliveries_are_notifications() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let echo = Handlers::new().on_any(|context, payload| async move {
        let (peer, name) = (context.peer().clone(), context.operation().to_string());
        peer.notify_raw(&name, payload).await.unwrap();
    });
    let here = Handlers::new().on_raw("home/lamp", move |_, payload| {
        tell.send(payload).unwrap();
        async {}
    });
    let (peer, _hub) = pair(here, echo).await;
    peer.at_hub().notify("home/lamp", "on").await.unwrap();
    assert_eq!(told.recv().await, Some(Bytes::from("on")));
}

#[tokio::test]
async fn refusals_come_back_as_they_are() {
    let (hub, _said) = scribe(|operation, _| match operation {
        "hub.login" => Err(Fault::failed("wrong password")),
        _ => Err(Fault::retry(Duration::from_secs(1), "too many")),
    });
    let (peer, _hub) = at(hub).await;
    let login = peer.at_hub().login(&Login::account("x")).await;
    assert_eq!(login, Err(Fault::failed("wrong password")));
    let serve = peer.at_hub().serve(&["x"], ServeOptions::default()).await;
    assert_eq!(serve, Err(Fault::retry(Duration::from_secs(1), "too many")));
}

#[tokio::test]
async fn what_the_hub_knows_is_read_and_newer_fields_are_passed_over() {
    let (hub, mut said) = scribe(|operation, _| {
        Ok(match operation {
            "hub.whoami" => {
                json!({"session": 7, "account": "guest", "door": "gotalk", "address": "x", "n": 1})
            }
            "hub.stats" => json!({"uptime_s": 5, "calls": 9, "newer": {}}),
            _ => Value::Null,
        })
    });
    let (peer, _hub) = at(hub).await;
    let me = peer.at_hub().whoami().await.unwrap();
    assert_eq!(
        (me.session, &*me.account, &*me.door, me.client),
        (7, "guest", "gotalk", None)
    );
    let stats = peer.at_hub().stats().await.unwrap();
    assert_eq!((stats.uptime_s, stats.calls, stats.dropped), (5, 9, 0));
    assert_eq!(said.recv().await, Some(("hub.whoami".into(), json!({}))));
    assert_eq!(said.recv().await, Some(("hub.stats".into(), json!({}))));
    let fault = peer.at_hub().ops().await.unwrap_err();
    assert!(fault.message().contains("not what was expected"), "{fault}");
}

#[tokio::test]
async fn all_pages_are_read() {
    let (hub, mut said) = scribe(|operation, request| {
        Ok(match (operation, request["after"].as_str()) {
            ("hub.ops", None) => json!({"ops": [{"op": "a", "responders": 2}, {"op": "b"}], "next": "b"}),
            ("hub.ops", Some("b")) => json!({"ops": [{"op": "c", "newer": 1}], "next": "c"}),
            ("hub.ops", Some("c")) => json!({"ops": []}),
            ("hub.sessions", None) => json!({"sessions": [{"id": 1, "account": "x"}], "next": "1"}),
            ("hub.sessions", Some("1")) => json!({"sessions": [{"id": 2, "account": "y", "serves": 4}]}),
            other => panic!("{other:?}"),
        })
    });
    let (peer, _hub) = at(hub).await;
    let ops = peer.at_hub().ops().await.unwrap();
    let names: Vec<_> = ops.iter().map(|op| &*op.operation).collect();
    assert_eq!((names, ops[0].responders), (vec!["a", "b", "c"], 2));
    let sessions = peer.at_hub().sessions().await.unwrap();
    assert_eq!((sessions.len(), sessions[1].serves), (2, 4));
    assert_eq!(said.recv().await, Some(("hub.ops".into(), json!({}))));
    assert_eq!(said.recv().await, Some(("hub.ops".into(), json!({"after": "b"}))));
}

#[tokio::test]
async fn a_hub_that_never_ends_is_left() {
    let (hub, _said) = scribe(|_, _| Ok(json!({"ops": [], "next": "same"})));
    let (peer, _hub) = at(hub).await;
    let fault = peer.at_hub().ops().await.unwrap_err();
    assert!(fault.message().contains("\"same\""), "{fault}");
    let (hub, _said) = scribe(|_, request| {
        let after: u64 = request["after"]
            .as_str()
            .map_or(0, |after| after.parse().unwrap());
        Ok(json!({"ops": [], "next": (after + 1).to_string()}))
    });
    let (peer, _hub) = at(hub).await;
    let fault = peer.at_hub().ops().await.unwrap_err();
    assert!(
        matches!(
            fault,
            Fault::Error {
                kind: ErrorKind::TooLarge,
                ..
            }
        ),
        "{fault}"
    );
}

/// A hub that calls what it was asked to serve before it answers that it may.
fn eager_hub() -> Handlers {
    Handlers::new().handle_call(
        "hub.serve",
        |context: Context, body: Body, reply: Replier| async move {
            let request: Value = serde_json::from_slice(&body.collect(1 << 20).await.unwrap()).unwrap();
            assert_eq!(request["caller"], json!(true));
            let description = Description {
                caller: Caller {
                    account: Some("ann".into()),
                    ..Caller::default()
                },
                operation: "who".into(),
                deadline_ms: Some(60_000),
                stream: false,
                content_type: Some("text/plain".into()),
            };
            let (replier, answer) = Replier::pair(1 << 10);
            let hello = Body::Single(Bytes::from("hello"));
            context
                .peer()
                .forward("who", hello, None, Some(&description), replier);
            match answer.await {
                Ok(Reply::Single(answer)) => reply.result(answer),
                other => reply.fault(Fault::failed(format!("{other:?}"))),
            }
        },
    )
}

#[tokio::test]
async fn callers_are_described_from_the_first_request_on() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let here = Arc::new(Handlers::new().handle_raw("who", move |context, payload| {
        let account = context.caller().account.clone();
        let content_type = context.content_type().map(str::to_owned);
        tell.send((account, context.deadline().is_some(), content_type, payload))
            .unwrap();
        async { Ok(Bytes::new()) }
    }));
    let (peer, _hub) = pair(here, eager_hub()).await;
    let caller = ServeOptions {
        caller: true,
        ..ServeOptions::default()
    };
    peer.at_hub().serve(&["who"], caller).await.unwrap();
    let ann = Some("ann".to_owned());
    let text = Some("text/plain".to_owned());
    assert_eq!(told.recv().await, Some((ann, true, text, Bytes::from("hello"))));
    // What is added later on this connection is described as well: the hub checks that it is asked to.
    peer.at_hub()
        .serve(&["who"], ServeOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_hub_is_told_of_calls_that_are_given_up() {
    let (peer, mut hub) = raw(Handlers::new(), quiet()).await;
    let at_hub = peer.at_hub();
    // Polled once, the call is made; then it is dropped.
    tokio::select! {
        biased;
        answer = at_hub.call("slow").request_raw("x") => panic!("{answer:?}"),
        () = std::future::ready(()) => {}
    }
    let mut sent = vec![0; b"r....004slow00000001x".len()];
    tokio::io::AsyncReadExt::read_exact(&mut hub.io, &mut sent)
        .await
        .unwrap();
    hub.expect("n00ahub.cancel00000008").await;
}

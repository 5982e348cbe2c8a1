//! What a hub is told, and told again.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use switchboard_peer::{CloseReason, Declared, Ended, Fault, Handlers, KeepAliveOptions, Presence, State};
use tokio::time::Instant;

use crate::support::{Network, SECOND, Scribe, Try, at_hub, settled};

#[tokio::test(start_paused = true)]
async fn the_hub_is_told_in_order_before_queued_sends_go_out() {
    let hub = Scribe::default();
    let (network, _accepted) = Network::new([Try::Fails], hub.handlers());
    let kept = network.keep(Handlers::new(), at_hub());
    for number in 0..100 {
        kept.notify(&format!("t/{number}"), &number).await.unwrap();
    }
    kept.connected().await.unwrap();
    for number in 100..200 {
        kept.notify(&format!("t/{number}"), &number).await.unwrap();
    }
    settled(&kept).await;
    let said = hub.take();
    let set_up = [
        ("hub.login", json!({"account": "lamp", "password": "hush"})),
        ("hub.serve", json!({"ops": ["lamp.switch"]})),
        ("hub.subscribe", json!({"topics": ["home/#"]})),
        ("hub.subscribe", json!({"topics": ["frames"], "policy": "latest"})),
    ];
    for (said, wanted) in said.iter().zip(&set_up) {
        assert_eq!((&*said.0, &said.1), (wanted.0, &wanted.1));
    }
    let notes: Vec<_> = said[set_up.len()..]
        .iter()
        .map(|(_, number)| number.clone())
        .collect();
    assert_eq!(notes, (0..200).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn it_serves_and_subscribes_again_what_it_does_by_then() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let here = Handlers::new().handle("lamp.dim", |_, percent: u8| async move { Ok(percent) });
    let kept = network.keep(here, at_hub());
    let first = accepted.recv().await.unwrap();
    kept.serve(&["lamp.dim", "lamp.blink"]).await.unwrap();
    kept.unserve(&["lamp.switch", "lamp.blink"]).await.unwrap();
    kept.subscribe(&["frames"], None).await.unwrap();
    kept.unsubscribe(&["home/#"]).await.unwrap();
    hub.take();
    first.close();
    let second = accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    let said = hub.take();
    let wanted = [
        ("hub.login", json!({"account": "lamp", "password": "hush"})),
        ("hub.serve", json!({"ops": ["lamp.dim"]})),
        ("hub.subscribe", json!({"topics": ["frames"]})),
    ];
    assert_eq!(said, wanted.map(|(name, body)| (name.to_owned(), body)));
    assert_eq!(second.request::<_, u8>("lamp.dim", &70).await.unwrap(), 70);
}

#[tokio::test(start_paused = true)]
async fn callers_are_described_on_every_connection() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        hub: Some(Presence {
            callers: true,
            operations: vec!["a".into()],
            ..Presence::default()
        }),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.serve(&["b"]).await.unwrap();
    accepted.recv().await.unwrap().close();
    accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    let said: Vec<_> = hub.take().into_iter().map(|(_, request)| request).collect();
    assert_eq!(
        said,
        [
            json!({"ops": ["a"], "caller": true}),
            json!({"ops": ["b"], "caller": true}),
            json!({"ops": ["a", "b"], "caller": true})
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_operations_is_said_on_every_connection() {
    let hub = Scribe::default();
    let (network, mut accepted) = Network::new([], hub.handlers());
    let declared = |operation: &str, result_type: Option<&str>| Declared {
        operation: operation.to_owned(),
        safe: true,
        result_type: result_type.map(str::to_owned),
    };
    let options = KeepAliveOptions {
        hub: Some(Presence {
            operations: vec!["a".into()],
            declared: vec![declared("b", None), declared("c", None)],
            ..Presence::default()
        }),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.serve_declared(vec![declared("a", Some("text/plain"))])
        .await
        .unwrap();
    accepted.recv().await.unwrap().close();
    accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    let said: Vec<_> = hub.take().into_iter().map(|(_, request)| request).collect();
    let safe = json!({"ops": ["b", "c"], "safe": true});
    let text = json!({"ops": ["a"], "safe": true, "result_type": "text/plain"});
    assert_eq!(
        said,
        [json!({"ops": ["a"]}), safe.clone(), text.clone(), safe, text]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_a_state_and_no_loop() {
    let hub = Scribe::refusing([("hub.login", Fault::failed("wrong password"))]);
    let (network, mut accepted) = Network::new([], hub.handlers());
    let kept = network.keep(Handlers::new(), at_hub());
    let refused = Ended::Refused {
        operation: "hub.login",
        fault: Fault::failed("wrong password"),
    };
    assert_eq!(
        kept.request_raw("echo", "x").await,
        Err(Fault::failed("wrong password"))
    );
    assert_eq!(kept.closed().await, refused);
    assert_eq!(refused.to_string(), "hub.login was refused: wrong password");
    assert_eq!(*kept.state().borrow(), State::Closed(refused));
    assert_eq!(accepted.recv().await.unwrap().closed().await, CloseReason::Remote);
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(network.tries.lock().len(), 1);
    assert_eq!(hub.names(), ["hub.login"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_can_be_waited_out() {
    let hub = Scribe::refusing([
        ("hub.serve", Fault::failed("not allowed")),
        ("hub.login", Fault::retry(90 * SECOND, "too many sessions")),
    ]);
    let (network, _accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        refused_wait: Some(60 * SECOND),
        ..at_hub()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.connected().await.unwrap();
    let gaps = network.gaps();
    assert_eq!(gaps.len(), 2);
    // A Retry is waited out as the hub says, an Error as the options do.
    assert!((90 * SECOND..91 * SECOND).contains(&gaps[0]), "{gaps:?}");
    assert!((60 * SECOND..61 * SECOND).contains(&gaps[1]), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wish_waits_for_the_connection_and_for_a_hub_that_is_busy() {
    let hub = Scribe::refusing([("hub.serve", Fault::retry(2 * SECOND, "busy"))]);
    let (network, _accepted) = Network::new([Try::Fails], hub.handlers());
    let options = KeepAliveOptions {
        hub: Some(Presence::default()),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let began = Instant::now();
    kept.serve(&["a"]).await.unwrap();
    assert!(began.elapsed() >= 2 * SECOND);
    assert_eq!(hub.names(), ["hub.serve", "hub.serve"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_wish_is_forgotten() {
    let hub = Scribe::refusing([("hub.subscribe", Fault::failed("not allowed"))]);
    let (network, mut accepted) = Network::new([], hub.handlers());
    let options = KeepAliveOptions {
        hub: Some(Presence::default()),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    let refused = kept.subscribe(&["secret"], None).await;
    assert_eq!(refused, Err(Fault::failed("not allowed")));
    kept.subscribe(&["open"], None).await.unwrap();
    hub.take();
    accepted.recv().await.unwrap().close();
    accepted.recv().await.unwrap();
    kept.connected().await.unwrap();
    assert_eq!(
        hub.take(),
        [("hub.subscribe".to_owned(), json!({"topics": ["open"]}))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_was_on_its_way_is_asked_for_again() {
    let hub = Scribe::default();
    let stuck = Arc::new(hub.handlers());
    let first = Arc::new(Mutex::new(true));
    let hub_handlers = stuck.child().handle_raw("hub.serve", move |context, _| {
        let first = std::mem::take(&mut *first.lock());
        async move {
            if first {
                context.peer().close();
                std::future::pending::<()>().await;
            }
            Ok(Bytes::new())
        }
    });
    let (network, _accepted) = Network::new([], hub_handlers);
    let options = KeepAliveOptions {
        hub: Some(Presence::default()),
        ..KeepAliveOptions::default()
    };
    let kept = network.keep(Handlers::new(), options);
    kept.serve(&["a"]).await.unwrap();
    assert_eq!(network.tries.lock().len(), 2);
}

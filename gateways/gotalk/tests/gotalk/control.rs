//! The hub's own operations over gotalk.

use serde_json::json;
use switchboard_gateway_gotalk::GatewayOptions;
use switchboard_hub::HubConfig;
use switchboard_peer::{Handlers, Reply};

use crate::support::{Door, ask, ops, patient};

#[tokio::test]
async fn a_peer_learns_who_it_is() {
    let door = Door::open().await;
    let peer = door.peer(Handlers::new()).await;
    let me = ask(&peer, "hub.whoami", "").await.unwrap();
    assert_eq!(me["account"], "guest");
    assert_eq!(me["door"], "gotalk");
    assert!(me["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{me}");
    assert_eq!(
        ask(&peer, "hub.login", r#"{"account":"guest"}"#).await.unwrap(),
        me
    );
    let refused = ask(&peer, "hub.login", r#"{"account":"ada","password":"x"}"#).await;
    let refused = refused.unwrap_err();
    assert!(
        !refused.is_retry() && refused.message().contains("\"ada\""),
        "{refused}"
    );
}

#[tokio::test]
async fn a_peer_on_a_unix_socket_is_known_by_its_user() {
    use std::os::unix::fs::MetadataExt;

    let folder = tempfile::tempdir().unwrap();
    let uid = folder.path().metadata().unwrap().uid();
    let address = format!("unix://{}/hub.sock", folder.path().display());
    let door = Door::at(&address, HubConfig::default(), GatewayOptions::default()).await;
    let peer = door.peer(Handlers::new()).await;
    let me = ask(&peer, "hub.whoami", "").await.unwrap();
    assert_eq!(me["address"], format!("unix:uid={uid}"));
}

#[tokio::test]
async fn the_hub_lists_who_is_here_and_what_can_be_called() {
    let door = Door::open().await;
    let responder = door
        .responder(
            Handlers::new()
                .handle_raw("a", |_, payload| async { Ok(payload) })
                .handle_raw("b", |_, payload| async { Ok(payload) }),
        )
        .await;
    ask(&responder, "hub.subscribe", r#"{"topics":["x/#","y"]}"#)
        .await
        .unwrap();
    let peer = door.peer(Handlers::new()).await;
    assert_eq!(ops(&peer).await, ["a", "b"]);
    let sessions = ask(&peer, "hub.sessions", "").await.unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2);
    let first = &sessions["sessions"][0];
    assert_eq!(
        (&first["door"], &first["serves"], &first["subscriptions"]),
        (&json!("gotalk"), &json!(2), &json!(2))
    );
    let stats = ask(&peer, "hub.stats", "").await.unwrap();
    assert_eq!(stats["sessions"], 2);
    assert_eq!(stats["subscriptions"], 2);
}

#[tokio::test]
async fn what_a_peer_says_of_its_operations_is_listed() {
    let door = Door::open().await;
    let peer = door.peer(Handlers::new()).await;
    let serve = r#"{"ops":["a"],"safe":true,"result_type":"text/plain"}"#;
    ask(&peer, "hub.serve", serve).await.unwrap();
    let listed = peer.at_hub().ops().await.unwrap();
    let a = listed.iter().find(|listed| listed.operation == "a").unwrap();
    assert_eq!((a.safe, a.result_type.as_deref()), (true, Some("text/plain")));
    ask(&peer, "hub.serve", r#"{"ops":["a"]}"#).await.unwrap();
    let listed = peer.at_hub().ops().await.unwrap();
    let a = listed.iter().find(|listed| listed.operation == "a").unwrap();
    assert_eq!(
        (a.safe, &a.result_type),
        (false, &None),
        "served again, it says so"
    );
    let refused = ask(&peer, "hub.serve", r#"{"ops":["a"],"result_type":"text"}"#).await;
    assert!(refused.unwrap_err().message().contains("media type"));
}

#[tokio::test]
async fn publishing_can_be_acknowledged() {
    let door = Door::open().await;
    let peer = door.peer(Handlers::new()).await;
    let publish = r#"{"topic":"t","payload":"x"}"#;
    assert_eq!(
        ask(&peer, "hub.publish", publish).await,
        Ok(json!({ "subscriptions": 0 }))
    );
    ask(&peer, "hub.subscribe", r#"{"topics":["t"]}"#).await.unwrap();
    assert_eq!(
        ask(&peer, "hub.publish", publish).await,
        Ok(json!({ "subscriptions": 1 }))
    );
}

#[tokio::test]
async fn what_is_not_understood_is_answered_in_words_and_changes_nothing() {
    let door = Door::open().await;
    let peer = door.peer(Handlers::new()).await;
    let long = format!(r#"{{"ops":["{}"]}}"#, "x".repeat(4096));
    let many = json!({ "ops": (0..1025).map(|n| n.to_string()).collect::<Vec<_>>() }).to_string();
    for (operation, request, words) in [
        ("hub.serve", "", "missing field `ops`"),
        ("hub.serve", "{", "EOF"),
        ("hub.serve", "[]", "hub.serve"),
        ("hub.serve", "\u{0}", "hub.serve"),
        ("hub.serve", r#"{"ops":"x"}"#, "hub.serve"),
        ("hub.serve", r#"{"ops":[]}"#, "has 0 entries"),
        ("hub.serve", r#"{"ops":[""]}"#, "is empty"),
        (
            "hub.serve",
            r#"{"ops":["x"],"callers":true}"#,
            "unknown field `callers`",
        ),
        ("hub.serve", r#"{"ops":["hub.ops"]}"#, "the hub's own"),
        ("hub.serve", &long, "4096 bytes"),
        ("hub.serve", &many, "1025 entries"),
        ("hub.unserve", "{}", "missing field `ops`"),
        ("hub.subscribe", "null", "missing field `topics`"),
        ("hub.subscribe", r#"{"topics":["a#"]}"#, "malformed"),
        (
            "hub.subscribe",
            r#"{"topics":["a"],"policy":"best"}"#,
            "no such policy",
        ),
        ("hub.unsubscribe", "7", "hub.unsubscribe"),
        ("hub.login", "{}", "missing field `account`"),
        ("hub.login", r#"{"account":"A B"}"#, "no account"),
        ("hub.publish", r#"{"topic":"a/+"}"#, "wildcard"),
        ("hub.publish", r#"{"topic":"$hub/x"}"#, "the hub's own"),
        ("hub.nope", "", "unknown operation \"hub.nope\""),
    ] {
        let fault = ask(&peer, operation, request).await.unwrap_err();
        assert!(!fault.is_retry(), "{operation} {request}: {fault}");
        assert!(fault.message().contains(words), "{operation} {request}: {fault}");
    }
    assert_eq!(ops(&peer).await, Vec::<String>::new());
    assert_eq!(door.hub.stats().subscriptions, 0);
}

#[tokio::test]
async fn the_hubs_own_operations_take_no_streams() {
    let door = Door::open().await;
    let peer = door.peer(Handlers::new()).await;
    for operation in ["hub.serve", "hub.subscribe", "hub.whoami"] {
        let (mut body, reply) = peer.call(operation).stream();
        body.send("{}").await.unwrap();
        body.finish();
        match patient(reply).await {
            Err(fault) => assert!(fault.message().contains("not a stream"), "{fault}"),
            Ok(Reply::Single(_) | Reply::Stream(_)) => panic!("{operation} was answered"),
        }
    }
    assert!(ask(&peer, "hub.whoami", "").await.is_ok(), "the connection lives");
}

#[tokio::test]
async fn subscriptions_of_one_request_are_made_whole_or_not_at_all() {
    let config = HubConfig {
        subscriptions_per_session_max: 2,
        ..HubConfig::default()
    };
    let door = Door::with(config, GatewayOptions::default()).await;
    let peer = door.peer(Handlers::new()).await;
    ask(&peer, "hub.subscribe", r#"{"topics":["a"]}"#).await.unwrap();
    let refused = ask(&peer, "hub.subscribe", r#"{"topics":["b","a","c"]}"#).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.message().starts_with(r#"hub.subscribe: "c": "#),
        "{refused}"
    );
    assert_eq!(door.hub.stats().subscriptions, 1, "the one from before is left");
    assert_eq!(
        ask(&peer, "hub.unsubscribe", r#"{"topics":["b","a","d"]}"#).await,
        Ok(json!({ "removed": 1 }))
    );
    assert_eq!(door.hub.stats().subscriptions, 0);
}

//! What is refused, and what is left when a session ends.

use super::*;

#[tokio::test]
async fn illegal_and_reserved_names_are_refused() {
    let hub = Hub::default();
    let session = session(&hub);
    let long = "x".repeat(names::NAME_BYTES_MAX + 1);
    for name in ["", &long] {
        assert_eq!(
            kind(&call(&session, name, "").await.unwrap_err()),
            Some(ErrorKind::Invalid)
        );
        assert_eq!(
            kind(&session.serve(name, named("x")).unwrap_err()),
            Some(ErrorKind::Invalid)
        );
    }
    assert_eq!(
        kind(&session.serve("hub.ops", named("x")).unwrap_err()),
        Some(ErrorKind::Denied)
    );
    let publish = |topic: &str| {
        session
            .publish_now(Publish::new(topic.to_owned(), "x"))
            .unwrap_err()
    };
    for topic in ["", "a/+", "#", "a\0", &long] {
        assert_eq!(kind(&publish(topic)), Some(ErrorKind::Invalid), "{topic:?}");
    }
    assert_eq!(kind(&publish("$hub/x")), Some(ErrorKind::Denied));
    let (sink, _deliveries) = session.sink(Policy::BLOCK);
    for filter in ["", "a#", "+a", &long] {
        assert_eq!(
            kind(&session.subscribe(filter, &sink).unwrap_err()),
            Some(ErrorKind::Invalid),
            "{filter:?}"
        );
    }
    assert_eq!(hub.stats().subscriptions, 0);
}

#[tokio::test]
async fn a_session_that_closes_leaves_nothing_behind() {
    let hub = Hub::default();
    let operations = hub.stats().operations;
    let (leaving, staying) = (session(&hub), session(&hub));
    leaving.serve("op", named("x")).unwrap();
    let (sink, mut deliveries) = leaving.sink(Policy::BLOCK);
    let (_unused, mut idle_deliveries) = leaving.sink(Policy::BLOCK);
    leaving.subscribe("a/#", &sink).unwrap();
    leaving.subscribe("b", &sink).unwrap();
    let reader = tokio::spawn(async move { deliveries.recv().await.map(|delivery| shown(&delivery)) });
    tokio::task::yield_now().await;
    leaving.close();
    leaving.close();
    assert_eq!(reader.await.unwrap(), Err(Closed::Session));
    assert_eq!(idle_deliveries.recv().await.unwrap_err(), Closed::Session);
    let stats = hub.stats();
    assert_eq!(
        (stats.sessions, stats.operations, stats.subscriptions),
        (1, operations, 0)
    );
    assert_eq!(staying.publish(Publish::new("b", "x")).await, Ok(0));

    assert!(call(&leaving, "hub.stats", "").await.is_err());
    assert!(leaving.serve("op", named("x")).is_err());
    assert!(leaving.publish_now(Publish::new("b", "x")).is_err());
    assert!(leaving.subscribe("b", &sink).is_err());
    let (_late, mut late_deliveries) = leaving.sink(Policy::BLOCK);
    assert_eq!(late_deliveries.try_recv().unwrap_err(), Closed::Session);
    drop((leaving, staying));
    assert_eq!(hub.stats().sessions, 0);
}

#[tokio::test]
async fn every_limit_refuses_and_recovers() {
    let hub = Hub::new(HubConfig {
        sessions_max: 2,
        operations_per_session_max: 1,
        subscriptions_per_session_max: 1,
        responders_per_operation_max: 1,
        retained: RetainedLimits {
            messages: 3,
            ..RetainedLimits::default()
        },
        retained_unread_max: 2,
        ..HubConfig::default()
    });
    let (one, two) = (session(&hub), session(&hub));
    assert!(hub.open(info()).unwrap_err().is_retry());

    one.serve("a", named("x")).unwrap();
    one.serve("a", named("y")).unwrap();
    assert_eq!(
        kind(&one.serve("b", named("x")).unwrap_err()),
        Some(ErrorKind::TooLarge)
    );
    assert!(two.serve("a", named("x")).unwrap_err().is_retry());
    assert_eq!(two.core.usage(), (0, 0), "what is refused is not counted");
    one.unserve("a");
    two.serve("a", named("x")).unwrap();

    let (sink, mut deliveries) = one.sink(Policy::DropOldest);
    one.subscribe("a", &sink).unwrap();
    one.subscribe("a", &sink).unwrap();
    assert_eq!(
        kind(&one.subscribe("b", &sink).unwrap_err()),
        Some(ErrorKind::TooLarge)
    );
    one.unsubscribe("a");

    let retain = |topic: &str, payload: &'static str| {
        two.publish_now(Publish::new(topic.to_owned(), payload).retain())
    };
    for topic in ["a", "b", "c"] {
        let _ = retain(topic, "x").unwrap();
    }
    let fault = retain("d", "x").unwrap_err();
    assert!(fault.message().contains("raise the limit"), "{fault}");
    assert_eq!(
        kind(&one.subscribe("+", &sink).unwrap_err()),
        Some(ErrorKind::TooLarge)
    );
    let _ = retain("c", "").unwrap();
    one.subscribe("+", &sink).unwrap();
    assert!(
        one.subscribe("+", &sink).unwrap_err().is_retry(),
        "two are unread"
    );
    assert_eq!(all(&mut deliveries).len(), 2);
    one.subscribe("+", &sink).unwrap();
    assert_eq!(hub.stats().subscriptions, 1);

    drop(two);
    hub.open(info()).unwrap();
}

#[tokio::test]
async fn guest_is_the_only_account() {
    let session = session(&Hub::default());
    let login = |account: &str| LoginRequest {
        account: account.to_owned(),
        password: None,
        token: None,
    };
    assert_eq!(session.login(&login("guest")), Ok(()));
    assert_eq!(
        kind(&session.login(&login("root")).unwrap_err()),
        Some(ErrorKind::Denied)
    );
    assert_eq!(session.whoami().account, "guest");
}

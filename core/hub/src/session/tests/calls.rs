//! Operations: who is called, and what its caller gets.

use super::*;

#[tokio::test]
async fn a_call_reaches_who_serves_it_and_says_who_calls() {
    let hub = Hub::default();
    let (server, caller) = (session(&hub), session(&hub));
    let id = caller.id();
    server
        .serve(
            "who",
            Arc::new(move |call: Call, reply: Replier| {
                assert_eq!(
                    (call.caller.session, call.caller.account()),
                    (id, &Account::guest())
                );
                assert_eq!((&*call.operation, &*call.caller.info.door), ("who", "test"));
                echo(call, reply);
            }),
        )
        .unwrap();
    assert_eq!(call(&caller, "who", "me").await, Ok("me".into()));
}

#[tokio::test]
async fn an_unknown_operation_is_named() {
    let hub = Hub::default();
    let fault = call(&session(&hub), "nope", "").await.unwrap_err();
    assert_eq!(fault, Fault::unknown_operation("nope"));
    assert_eq!((hub.stats().calls, hub.stats().calls_unknown), (1, 1));
}

#[tokio::test]
async fn responders_share_calls_and_one_that_leaves_gets_no_more() {
    let hub = Hub::default();
    let (one, other, caller) = (session(&hub), session(&hub), session(&hub));
    one.serve("op", named("one")).unwrap();
    other.serve("op", named("other")).unwrap();
    let mut answers = [
        call(&caller, "op", "").await.unwrap(),
        call(&caller, "op", "").await.unwrap(),
    ];
    answers.sort();
    assert_eq!(answers, ["one", "other"]);
    one.close();
    for _ in 0..4 {
        assert_eq!(call(&caller, "op", "").await.unwrap(), "other");
    }
    assert!(other.unserve("op"));
    assert!(!other.unserve("op"));
    assert_eq!(call(&caller, "op", "").await, Err(Fault::unknown_operation("op")));
}

#[tokio::test]
async fn the_idle_responder_gets_the_call_and_answering_makes_idle() {
    let hub = Hub::default();
    let (busy, idle, caller) = (session(&hub), session(&hub), session(&hub));
    let held = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&held);
    busy.serve(
        "op",
        Arc::new(move |_: Call, reply: Replier| keep.lock().push(reply)),
    )
    .unwrap();
    let (reply, waiting) = Replier::pair(1024);
    caller.call("op".into(), Body::Single(Bytes::new()), None, reply);
    idle.serve("op", named("idle")).unwrap();
    for _ in 0..5 {
        assert_eq!(call(&caller, "op", "").await.unwrap(), "idle");
    }
    assert_eq!(held.lock().len(), 1);
    held.lock().pop().unwrap().result("at last");
    assert!(matches!(waiting.await, Ok(Reply::Single(payload)) if payload == "at last"));
    let ops = caller.ops(&PageRequest::default()).ops;
    let op = ops.iter().find(|summary| summary.op == "op").unwrap();
    assert_eq!((op.responders, op.calls, op.in_flight), (2, 6, 0));
}

#[tokio::test]
async fn a_streamed_answer_is_in_flight_until_its_end() {
    let hub = Hub::default();
    let (server, caller) = (session(&hub), session(&hub));
    let senders = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&senders);
    server
        .serve(
            "op",
            Arc::new(move |_: Call, reply: Replier| keep.lock().push(reply.stream())),
        )
        .unwrap();
    let (reply, answer) = Replier::pair(1024);
    caller.call("op".into(), Body::Single(Bytes::new()), None, reply);
    let in_flight = || hub_in_flight(&caller);
    assert_eq!(in_flight(), 1);
    let mut sender = senders.lock().pop().unwrap();
    sender.send("part").await.unwrap();
    assert_eq!(in_flight(), 1);
    sender.finish();
    assert_eq!(in_flight(), 0);
    assert_eq!(answer.await.unwrap().collect(1024).await.unwrap(), "part");
}

#[tokio::test]
async fn a_responder_that_vanishes_costs_a_retry_and_one_that_panics_an_error() {
    let hub = Hub::default();
    let (server, caller) = (session(&hub), session(&hub));
    server
        .serve("vanish", Arc::new(|_: Call, reply: Replier| drop(reply)))
        .unwrap();
    server
        .serve("panic", Arc::new(|_: Call, _: Replier| panic!("on purpose")))
        .unwrap();
    assert!(call(&caller, "vanish", "").await.unwrap_err().is_retry());
    let fault = call(&caller, "panic", "").await.unwrap_err();
    assert_eq!(kind(&fault), Some(ErrorKind::Failed), "{fault}");
    assert_eq!(hub_in_flight(&caller), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_deadline_gets_the_hubs() {
    let hub = Hub::new(HubConfig {
        call_timeout: Some(Duration::from_secs(7)),
        ..HubConfig::default()
    });
    let (server, caller) = (session(&hub), session(&hub));
    let deadlines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&deadlines);
    server
        .serve(
            "op",
            Arc::new(move |call: Call, _: Replier| seen.lock().push(call.deadline)),
        )
        .unwrap();
    let own = Instant::now() + Duration::from_secs(3);
    for deadline in [None, Some(own)] {
        let (reply, _answer) = Replier::pair(0);
        caller.call("op".into(), Body::Single(Bytes::new()), deadline, reply);
    }
    // A stream may go on for ever.
    let (reply, _answer) = Replier::pair(0);
    let (_parts, body) = switchboard_peer::parts(1);
    caller.call("op".into(), Body::Stream(body), None, reply);
    assert_eq!(
        *deadlines.lock(),
        [Some(Instant::now() + Duration::from_secs(7)), Some(own), None]
    );
}

#[tokio::test]
async fn serving_again_replaces_the_responder() {
    let hub = Hub::default();
    let session = session(&hub);
    session.serve("op", named("old")).unwrap();
    session.serve("op", named("new")).unwrap();
    for _ in 0..3 {
        assert_eq!(call(&session, "op", "").await.unwrap(), "new");
    }
    assert!(session.unserve("op"));
    assert_eq!(
        call(&session, "op", "").await,
        Err(Fault::unknown_operation("op"))
    );
}

#[tokio::test]
async fn a_responder_may_come_back_to_the_hub_in_every_way() {
    let hub = Hub::default();
    let (server, caller) = (Arc::new(session(&hub)), session(&hub));
    let weak = Arc::downgrade(&server);
    let (sink, mut deliveries) = caller.sink(Policy::BLOCK);
    caller.subscribe("done", &sink).unwrap();
    let respond = move |call: Call, reply: Replier| {
        let server = weak.upgrade().unwrap();
        let _ = server.publish_now(Publish::new("done", "x")).unwrap();
        server.serve("nested", Arc::new(echo)).unwrap();
        server.unserve("op");
        server.call("nested".into(), call.body, None, reply);
    };
    server.serve("op", Arc::new(respond)).unwrap();
    assert_eq!(call(&caller, "op", "deep").await.unwrap(), "deep");
    assert_eq!(all(&mut deliveries), ["done=x"]);
}

#[tokio::test(start_paused = true)]
async fn who_was_lost_may_be_back_soon_and_who_left_is_not_missed() {
    let hub = Hub::default();
    let (lost, caller) = (session(&hub), session(&hub));
    lost.serve("op", named("first")).unwrap();
    lost.serve("left", named("first")).unwrap();
    assert!(lost.unserve("left"));
    lost.lose_all();
    assert!(call(&caller, "op", "").await.unwrap_err().is_retry());
    assert_eq!(
        call(&caller, "left", "").await,
        Err(Fault::unknown_operation("left"))
    );
    lost.serve("op", named("back")).unwrap();
    assert_eq!(call(&caller, "op", "").await.unwrap(), "back");
    lost.close();
    assert!(call(&caller, "op", "").await.unwrap_err().is_retry());
    tokio::time::advance(HubConfig::default().absence_grace).await;
    assert_eq!(call(&caller, "op", "").await, Err(Fault::unknown_operation("op")));
}

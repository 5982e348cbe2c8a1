//! Hubs that go down, and responders that have gone.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_hub_that_leaves_is_not_waited_for() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    let begun = Instant::now();
    leave(&one).await;
    until_served(&caller, "echo", 0).await;
    assert!(begun.elapsed() < Duration::from_millis(500));
    // Nor does it wait for one that has left.
    leave(&other).await;
    assert!(begun.elapsed() < Duration::from_millis(500));
}

async fn leave(hub: &Hub) {
    hub.drain();
    hub.inner().cluster.get().unwrap().leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_leaves_costs_no_caller_anything_while_others_serve() {
    let (bus, [one, other, third]) = hubs(LETTER_BYTES).await;
    *bus.latency.lock() = Duration::from_millis(10);
    let (gone, stays, caller) = (session(&one), session(&other), session(&third));
    let answered = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    for (server, answered) in [&gone, &stays].into_iter().zip(&answered) {
        let answered = Arc::clone(answered);
        serve(server, "echo", move |call, reply| {
            answered.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                echo(call, reply).await;
            }
        });
    }
    until_served(&caller, "echo", 2).await;
    let (caller, over) = (Arc::new(caller), CancellationToken::new());
    let callers = [(); 10].map(|()| {
        let (caller, over) = (Arc::clone(&caller), over.clone());
        tokio::spawn(async move {
            while !over.is_cancelled() {
                let answer = call(&caller, "echo", Body::Single(Bytes::from("x"))).await;
                assert_eq!(answer.unwrap().collect(10).await.unwrap(), "x");
            }
        })
    });
    let more = async |at: usize| {
        let before = answered[at].load(Ordering::Relaxed);
        while answered[at].load(Ordering::Relaxed) < before + 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    more(0).await;
    one.drain();
    drop(gone);
    leave(&one).await;
    more(1).await;
    over.cancel();
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_hub_that_is_found_gone_is_made_at_another() {
    let (_, [one, other, third]) = hubs(LETTER_BYTES).await;
    let (gone, stays, caller) = (session(&one), session(&other), session(&third));
    for server in [&gone, &stays] {
        serve(server, "echo", echo);
    }
    until_served(&caller, "echo", 2).await;
    let not_there = [HubId(other.epoch())];
    let chosen = third
        .inner()
        .responders
        .choose_besides("echo", &not_there)
        .unwrap();
    assert_eq!(chosen.elsewhere, Some(HubId(one.epoch())));
    leave(&one).await;
    until_served(&caller, "echo", 1).await;
    let (reply, answer) = Replier::pair(1000);
    let caller = Caller {
        session: SessionId::HUB,
        info: Arc::new(info()),
    };
    let call = Call {
        operation: "echo".into(),
        body: Body::Single(Bytes::from("x")),
        content_type: None,
        caller,
        deadline: None,
    };
    chosen.responder.respond(call, reply);
    assert_eq!(answer.await.unwrap().collect(10).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hear_that_a_hub_leaves_is_answered_for_a_while() {
    let (bus, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    bus.cut.lock().push(PRESENCES.to_string());
    let begun = Instant::now();
    let leaving = tokio::spawn(async move { leave(&one).await });
    tokio::time::sleep(LEAVE_TIME_MAX / 2).await;
    let answer = call(&caller, "echo", Body::Single(Bytes::new()));
    assert_eq!(answer.await.unwrap_err(), lost(GONE));
    assert!(!leaving.is_finished());
    leaving.await.unwrap();
    assert_eq!(begun.elapsed(), LEAVE_TIME_MAX);
    until_served(&caller, "echo", 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_whose_letter_comes_before_its_presence_is_answered() {
    let (bus, [hub]) = hubs(LETTER_BYTES).await;
    let server = session(&hub);
    serve(&server, "echo", echo);
    let caller = HubId(7);
    let mut letters = bus.subscribe(caller.topic(), None).await.unwrap();
    let opening = Opening {
        op: "echo".to_owned(),
        account: "guest".to_owned(),
        door: "test".to_owned(),
        address: "127.0.0.1:5".to_owned(),
        deadline_ms: None,
        content_type: None,
        stream: false,
        again: false,
    };
    let of_call = |from, said| Letter {
        from,
        content: Content::Call {
            call: CallId { caller, number: 0 },
            serial: 0,
            said,
        },
    };
    let open = of_call(caller, Said::Open(opening, Some(Bytes::from("x"))));
    bus.publish(HubId(hub.epoch()).topic(), open.encode()).unwrap();
    let Some(BusEvent::Message(answer)) = letters.next().await else {
        panic!("an answer");
    };
    let answer = Letter::decode(&answer.payload).unwrap();
    assert_eq!(
        answer,
        of_call(HubId(hub.epoch()), Said::Result(Bytes::from("x")))
    );
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_goes_down_takes_no_more_calls_and_ends_those_it_has() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "slow", |_, reply| async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        reply.result("done");
    });
    until_served(&caller, "slow", 1).await;
    let answer = call(&caller, "slow", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    one.drain();
    until_served(&caller, "slow", 0).await;
    let next = call(&caller, "slow", Body::Single(Bytes::new()));
    assert!(next.await.unwrap_err().is_retry());
    assert_eq!(answer.await.unwrap().collect(10).await.unwrap(), "done");
}

/// Takes an operation away, which the other hubs do not hear for now.
fn unserve_unheard(bus: &BusOnly, session: &Session, operation: &str) {
    bus.cut.lock().push(PRESENCES.to_string());
    session.unserve(operation);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_does_not_serve_it_any_more_costs_nothing_while_others_do() {
    let (bus, [one, other, third]) = hubs(LETTER_BYTES).await;
    let (gone, stays, caller) = (session(&one), session(&other), session(&third));
    serve(&gone, "who", |_, reply| async move { reply.result("gone") });
    serve(&stays, "who", |call, reply| async move {
        let Body::Single(payload) = call.body else {
            panic!("a payload stays one");
        };
        reply.result(payload);
    });
    until_served(&caller, "who", 2).await;
    unserve_unheard(&bus, &gone, "who");
    // The second one does not fit into a letter.
    for payload in [Bytes::from("stays"), Bytes::from(vec![7; 2_000_000])] {
        for _ in 0..4 {
            let answer = call(&caller, "who", Body::Single(payload.clone())).await.unwrap();
            assert!(answer.collect(3_000_000).await.unwrap() == payload);
        }
    }
    // One that is called from its own hub is found there.
    serve(&caller, "who", |_, reply| async move { reply.result("here") });
    stays.unserve("who");
    for _ in 0..4 {
        let answer = call(&caller, "who", Body::Single(Bytes::new())).await.unwrap();
        assert_eq!(answer.collect(10).await.unwrap(), "here");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_serves_any_more_is_to_be_tried_again() {
    let (bus, [one, other, third]) = hubs(LETTER_BYTES).await;
    let (here, there, caller) = (session(&one), session(&other), session(&third));
    for server in [&here, &there] {
        serve(server, "echo", echo);
    }
    until_served(&caller, "echo", 2).await;
    unserve_unheard(&bus, &here, "echo");
    unserve_unheard(&bus, &there, "echo");
    let (_sender, stream) = parts(1000);
    for body in [Body::Single(Bytes::new()), Body::Stream(stream)] {
        let answer = tokio::time::timeout(Duration::from_secs(1), call(&caller, "echo", body));
        assert_eq!(answer.await.unwrap().unwrap_err(), lost(GONE));
    }
}

//! Calls from one hub to another.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_served_at_one_hub_is_called_through_another() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    let safe = Declaration {
        safe: true,
        ..Declaration::default()
    };
    let who = |call: Call, reply: Replier| {
        let info = call.caller.info;
        reply.result(format!("{} {} {}", info.account, info.door, info.address));
    };
    server.serve_declared("who", Arc::new(who), safe).unwrap();
    until_served(&caller, "who", 1).await;
    let answer = call(&caller, "who", Body::Single(Bytes::new())).await.unwrap();
    assert_eq!(answer.collect(100).await.unwrap(), "guest test 127.0.0.1:5");
    assert!(caller.find("who".into()).unwrap().is_safe());

    server.unserve("who");
    until_served(&caller, "who", 0).await;
    assert_eq!(
        call(&caller, "who", Body::Single(Bytes::new()))
            .await
            .unwrap_err(),
        Fault::unknown_operation("who")
    );
}

#[tokio::test(start_paused = true)]
async fn payloads_and_streams_of_any_size_pass_between_hubs() {
    // Letters of 3 KB: much takes many pieces.
    let (_, [one, other]) = hubs(40 * 1024).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    for size in [0, 1, 10_000, 3_000_000] {
        let payload = Bytes::from(vec![7; size]);
        let answer = call(&caller, "echo", Body::Single(payload.clone()))
            .await
            .unwrap();
        assert!(matches!(answer, Reply::Single(_)), "{size}");
        assert_eq!(answer.collect(size).await.unwrap(), payload, "{size}");
    }
    let (mut body, receiver) = parts(1000);
    let answer = call(&caller, "echo", Body::Stream(receiver));
    let sent: Vec<Bytes> = (0_u32..40)
        .map(|part| vec![part as u8; 1 + part as usize * 20_000].into())
        .collect();
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for part in sent {
                body.send(part).await.unwrap();
            }
            body.finish();
        }
    });
    let mut result = answer.await.unwrap().into_parts();
    let mut heard = Vec::new();
    while let Some(part) = result.next().await {
        heard.push(part.unwrap());
    }
    sending.await.unwrap();
    assert_eq!(heard, sent, "the parts keep their bounds");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_holds_the_responder_back() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    let said = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counts = Arc::clone(&said);
    serve(&server, "flood", move |_, reply| {
        let said = Arc::clone(&counts);
        async move {
            let mut result = reply.stream();
            while result.send(vec![1; 10_000]).await.is_ok() {
                said.fetch_add(10_000, Ordering::Relaxed);
            }
        }
    });
    until_served(&caller, "flood", 1).await;
    let answer = call(&caller, "flood", Body::Single(Bytes::new())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let unread = said.load(Ordering::Relaxed);
    assert!((100_000..2_000_000).contains(&unread), "{unread}");
    // And when nobody reads any more, it ends.
    drop(answer);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let then = said.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(said.load(Ordering::Relaxed), then);
}

#[tokio::test(start_paused = true)]
async fn faults_and_cancellation_pass_between_hubs() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    let faults = [
        Fault::error(ErrorKind::Conflict, "no"),
        Fault::retry(Duration::from_millis(1234), "later"),
    ];
    for (operation, fault) in ["error", "retry"].into_iter().zip(faults.clone()) {
        let answer = move |_: Call, reply: Replier| reply.fault(fault.clone());
        server.serve(operation, Arc::new(answer)).unwrap();
    }
    let given_up = CancellationToken::new();
    let fires = given_up.clone();
    serve(&server, "slow", move |_, reply| {
        let fires = fires.clone();
        async move {
            reply.cancellation().cancelled().await;
            fires.cancel();
        }
    });
    until_served(&caller, "slow", 1).await;
    for (operation, fault) in ["error", "retry"].into_iter().zip(faults) {
        assert_eq!(
            call(&caller, operation, Body::Single(Bytes::new()))
                .await
                .unwrap_err(),
            fault
        );
    }
    let answer = call(&caller, "slow", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!given_up.is_cancelled());
    drop(answer);
    given_up.cancelled().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_silent_costs_its_callers_a_retry() {
    let (bus, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "never", |_, reply| async move {
        std::future::pending::<()>().await;
        drop(reply);
    });
    until_served(&caller, "never", 1).await;
    let answer = call(&caller, "never", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let begun = Instant::now();
    bus.cut.lock().extend(["hubs".to_owned()]);
    assert!(answer.await.unwrap_err().is_retry());
    assert!(begun.elapsed() >= SILENCE_MAX - Duration::from_secs(1));
    // For a while it is missed, then unknown; and when it is heard again, it is back.
    assert!(
        call(&caller, "never", Body::Single(Bytes::new()))
            .await
            .unwrap_err()
            .is_retry()
    );
    bus.cut.lock().clear();
    until_served(&caller, "never", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_was_lost_is_noticed() {
    let (bus, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    serve(&server, "echo", echo);
    until_served(&caller, "echo", 1).await;
    let (mut body, receiver) = parts(1000);
    let answer = call(&caller, "echo", Body::Stream(receiver));
    let mut result = answer.await.unwrap().into_parts();
    body.send("one").await.unwrap();
    assert_eq!(result.next().await.unwrap().unwrap(), "one");
    bus.cut.lock().push(HubId(one.epoch()).topic().to_string());
    body.send("two").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    bus.cut.lock().clear();
    body.send("three").await.unwrap();
    // The responder's hub sees the gap and gives the call up, so the result does not end as if it were whole.
    let end = tokio::time::timeout(Duration::from_secs(60), result.next()).await;
    assert!(matches!(end, Ok(Some(Err(fault))) if fault.is_retry()));
}

#[tokio::test(start_paused = true)]
async fn of_equals_the_responder_at_hand_is_taken_and_loads_are_shared() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (here, there) = (session(&one), session(&other));
    for (session, name) in [(&here, "here"), (&there, "there")] {
        serve(session, "who", move |_, reply| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            reply.result(name);
        });
    }
    until_served(&here, "who", 2).await;
    let first = call(&here, "who", Body::Single(Bytes::new()));
    let second = call(&here, "who", Body::Single(Bytes::new()));
    let third = call(&here, "who", Body::Single(Bytes::new()));
    let mut answers = Vec::new();
    for answer in [first, second, third] {
        answers.push(answer.await.unwrap().collect(10).await.unwrap());
    }
    answers.sort();
    assert!(answers == ["here", "here", "there"], "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn many_operations_are_told_in_pages() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller) = (session(&one), session(&other));
    for number in 0..300 {
        serve(&server, &format!("op{number:03}"), echo);
    }
    for number in [0, 127, 128, 129, 299] {
        until_served(&caller, &format!("op{number:03}"), 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_take_much_room_are_told_in_smaller_pages() {
    let (_, [one, other]) = hubs(64 * 1024).await;
    let (server, caller) = (session(&one), session(&other));
    // As JSON each takes six times as much.
    let long = |number: u32| format!("{number:02}{}", "\u{1}".repeat(4000));
    for number in 0..20 {
        serve(&server, &long(number), echo);
    }
    for number in 0..20 {
        until_served(&caller, &long(number), 1).await;
    }
}

/// Serves what is never answered at one hub, and calls it from the other.
async fn pending_call(one: &Hub, other: &Hub) -> (Session, Session, switchboard_peer::ReplyFuture) {
    let (server, caller) = (session(one), session(other));
    serve(&server, "never", |_, reply| async move {
        reply.cancellation().cancelled().await;
    });
    until_served(&caller, "never", 1).await;
    let answer = call(&caller, "never", Body::Single(Bytes::new()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    (server, caller, answer)
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_wait_for_letters_that_were_lost() {
    for loser in [0, 1] {
        let (bus, hubs) = hubs::<2>(LETTER_BYTES).await;
        let [one, other] = &hubs;
        let (_server, caller, answer) = pending_call(one, other).await;
        let begun = Instant::now();
        bus.miss(&HubId(hubs[loser].epoch()).topic());
        let fault = answer.await.unwrap_err();
        assert!(fault.is_retry(), "{fault}");
        assert!(begun.elapsed() <= PRESENCE_INTERVAL, "{loser}");
        // Later calls are not of concern.
        let later = call(&caller, "never", Body::Single(Bytes::new()));
        let later = tokio::time::timeout(Duration::from_secs(30), later).await;
        assert!(later.is_err(), "{loser}: it is still waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_hub_misses_is_missed_here() {
    let (_, [one, other]) = hubs(LETTER_BYTES).await;
    let (server, caller, answer) = pending_call(&one, &other).await;
    drop(server);
    drop(answer);
    until_served(&caller, "never", 0).await;
    let now = || call(&caller, "never", Body::Single(Bytes::new()));
    assert!(now().await.unwrap_err().is_retry());
    tokio::time::sleep(HubConfig::default().absence_grace).await;
    assert_eq!(now().await.unwrap_err(), Fault::unknown_operation("never"));
}

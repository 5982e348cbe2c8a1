//! Requests and their answers.

use std::time::Duration;

use bytes::Bytes;
use switchboard_engine::bus::BusEvent;

use futures_util::StreamExt;

use super::{hubs, message, publish, subscribe};
use crate::TestBed;
use crate::tools::{PATIENCE, as_time_passes, is_unavailable, millis, soon};

/// Longer than any of these properties takes.
const NEVER: Duration = PATIENCE.saturating_mul(100);

/// A request reaches who is subscribed, at whatever hub, with an address; what he publishes there is the answer, and
/// each request gets its own.
pub async fn a_request_gets_its_answer(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    for (at, from) in [(0, hubs.len() - 1), (hubs.len() - 1, 0)] {
        let responder = hubs[at].clone();
        let mut requests = subscribe(responder.bus(), "double/+", None).await;
        let responding = tokio::spawn(async move {
            while let Some(BusEvent::Message(request)) = requests.next().await {
                let reply_to = request.reply_to.expect("a request has an address for its answer");
                let answer = [request.payload.clone(), request.payload].concat();
                publish(responder.bus(), &reply_to, answer);
            }
        });
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..50 {
            let hub = hubs[from].clone();
            requests.spawn(async move {
                let payload = Bytes::from(format!("{number},"));
                let answer = hub
                    .bus()
                    .request(format!("double/{number}").into(), payload, NEVER);
                assert_eq!(answer.await, Ok(format!("{number},{number},").into()));
            });
        }
        while let Some(answered) = soon("an answer", requests.join_next()).await {
            answered.expect("a request");
        }
        responding.abort();
        let _ = responding.await;
    }
}

/// The first answer counts; a later one harms nobody.
pub async fn the_first_answer_counts(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let mut requests = subscribe(engine.bus(), "ask", None).await;
    let asking = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.bus().request("ask".into(), "1".into(), NEVER).await })
    };
    let reply_to = message(&mut requests).await.reply_to.expect("an address");
    for answer in ["first", "second", "third"] {
        publish(engine.bus(), &reply_to, answer);
    }
    assert_eq!(
        soon("an answer", asking).await.expect("asking"),
        Ok("first".into())
    );
    publish(engine.bus(), &reply_to, "much later");
}

/// A request that nobody is subscribed to is unavailable at once, not after its time; also when somebody was.
pub async fn a_request_to_nobody_fails_at_once(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    for hub in &hubs {
        let answer = hub.bus().request("nobody".into(), "1".into(), NEVER);
        assert!(is_unavailable(&soon("nobody is there", answer).await));
    }
    let requests = subscribe(hubs[0].bus(), "nobody", None).await;
    drop(requests);
    let answer = hubs[0].bus().request("nobody".into(), "1".into(), NEVER);
    assert!(is_unavailable(&soon("nobody is there any more", answer).await));
}

/// A request that nobody answers is unavailable after its time.
pub async fn a_request_without_an_answer_ends_after_its_time(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let mut requests = subscribe(engine.bus(), "silence", None).await;
    let time = millis(300);
    let answer = engine.bus().request("silence".into(), "1".into(), time);
    let answer = as_time_passes(bed, "the end of a request", time, answer).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    let reply_to = message(&mut requests).await.reply_to.expect("an address");
    publish(engine.bus(), &reply_to, "too late");
}

/// Of a group of responders one is asked.
pub async fn of_a_group_one_is_asked(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(subscribe(engine.bus(), "shared", Some("group")).await);
    }
    let asking = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.bus().request("shared".into(), "1".into(), NEVER).await })
    };
    let mut all = futures_util::stream::select_all(members);
    let BusEvent::Message(request) = crate::tools::next("the request", &mut all).await else {
        panic!("nobody was behind");
    };
    crate::tools::nothing("one member was asked", &mut all).await;
    publish(engine.bus(), &request.reply_to.expect("an address"), "done");
    assert_eq!(
        soon("an answer", asking).await.expect("asking"),
        Ok("done".into())
    );
}

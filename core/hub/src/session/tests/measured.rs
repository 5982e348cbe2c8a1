//! What is measured of calls, and of doors.

use super::*;
use crate::meters::{CallMetrics, DoorMetrics, FAULT_KINDS, LATENCY_BUCKETS};

fn measured(hub: &Hub, operation: &str) -> CallMetrics {
    let mut calls = hub.metrics().calls;
    calls.retain(|calls| calls.operation == *operation);
    assert_eq!(calls.len(), 1, "one door: {calls:?}");
    calls.remove(0)
}

fn door(hub: &Hub) -> DoorMetrics {
    hub.metrics().doors.remove(0)
}

/// The count of that kind, which must be the only one.
fn faults(counts: [u64; FAULT_KINDS.len()], kind: &str) -> u64 {
    let place = FAULT_KINDS.iter().position(|name| *name == kind).unwrap();
    assert_eq!(counts.iter().sum::<u64>(), counts[place], "{counts:?}");
    counts[place]
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_until_it_is_answered() {
    let hub = Hub::default();
    let session = session(&hub);
    let slow = |_: Call, reply: Replier| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            reply.result("x");
        });
    };
    session.serve("slow", Arc::new(slow)).unwrap();
    call(&session, "slow", "").await.unwrap();
    let calls = measured(&hub, "slow");
    assert_eq!((&*calls.door, calls.latencies.count()), ("test", 1));
    assert!((30..40).contains(&calls.latencies.time.as_millis()), "{calls:?}");
    let bucket = LATENCY_BUCKETS
        .iter()
        .position(|end| *end == Duration::from_millis(50));
    assert_eq!(calls.latencies.buckets[bucket.unwrap()], 1);
    assert_eq!(calls.faults.iter().sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_answer_takes_until_its_end_and_may_fail_there() {
    let hub = Hub::default();
    let session = session(&hub);
    let parts = |call: Call, reply: Replier| {
        tokio::spawn(async move {
            let mut parts = reply.stream();
            parts.send("x").await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            match call.body {
                Body::Single(body) if body == "fail" => parts.fail(Fault::invalid("half-way")),
                _ => parts.finish(),
            }
        });
    };
    session.serve("parts", Arc::new(parts)).unwrap();
    assert_eq!(call(&session, "parts", "").await.unwrap(), "x");
    assert!(call(&session, "parts", "fail").await.is_err());
    let calls = measured(&hub, "parts");
    assert_eq!(calls.latencies.count(), 2);
    assert_eq!(calls.latencies.time.as_secs(), 4);
    assert_eq!(faults(calls.faults, "invalid"), 1);
    assert_eq!(faults(door(&hub).faults, "invalid"), 1);
}

#[tokio::test]
async fn a_call_that_nobody_answers_counts_as_told_to_retry() {
    let hub = Hub::default();
    let session = session(&hub);
    session
        .serve("dropped", Arc::new(|_: Call, _: Replier| ()))
        .unwrap();
    assert!(call(&session, "dropped", "").await.unwrap_err().is_retry());
    assert_eq!(faults(measured(&hub, "dropped").faults, "retry"), 1);
    assert_eq!(hub_in_flight(&session), 0);
}

#[tokio::test]
async fn what_is_refused_counts_for_the_door_alone() {
    let hub = Hub::default();
    let session = session(&hub);
    call(&session, "unserved", "").await.unwrap_err();
    assert_eq!(faults(door(&hub).faults, "unknown"), 1);
    assert!(hub.metrics().calls.is_empty());
    let (sink, _deliveries) = session.sink(Policy::DropOldest);
    let other = super::session(&hub);
    for refused in [
        other.publish(Publish::new("a/#", "")).await.map(drop),
        other.subscribe("a#", &sink).map(drop),
        other.serve("", Arc::new(echo)),
    ] {
        refused.unwrap_err();
    }
    let counts = door(&hub).faults;
    assert_eq!(counts.iter().sum::<u64>(), 4, "{counts:?}");
}

#[tokio::test]
async fn sessions_are_counted_by_door() {
    let hub = Hub::default();
    let (one, two) = (session(&hub), session(&hub));
    let counts = || (door(&hub).sessions, door(&hub).opened);
    assert_eq!(counts(), (2, 2));
    drop(one);
    two.close();
    assert_eq!(counts(), (0, 2));
    drop(two);
    assert_eq!(counts(), (0, 2), "a session closes once");
}

#[tokio::test]
async fn a_call_that_is_not_made_after_all_is_not_measured() {
    let hub = Hub::default();
    let session = session(&hub);
    session.serve("echo", Arc::new(echo)).unwrap();
    let found = session.find("echo".into()).unwrap();
    assert_eq!(hub_in_flight(&session), 1, "its place is taken");
    drop(found);
    let usage = session.ops(&PageRequest::default()).ops;
    let usage = usage.iter().find(|op| op.op == "echo").unwrap();
    assert_eq!((usage.calls, usage.in_flight), (0, 0));
    assert!(hub.metrics().calls.is_empty());
    assert_eq!(hub.stats().calls, 0);
}

#[tokio::test]
async fn numbers_outlive_who_serves() {
    let hub = Hub::default();
    let caller = session(&hub);
    for _ in 0..3 {
        let responder = session(&hub);
        responder.serve("echo", Arc::new(echo)).unwrap();
        call(&caller, "echo", "x").await.unwrap();
    }
    assert_eq!(measured(&hub, "echo").latencies.count(), 3);
}

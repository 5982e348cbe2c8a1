//! Last values, from hub to hub by way of an engine.

use std::time::Duration;

use switchboard_engine::keys::Write;
use switchboard_engine::{Engine, Key};
use switchboard_peer::Fault;

use crate::hub::Hub;
use crate::keys::tests::moody::{AWAY_WAIT, Moody};
use crate::keys::tests::{engine, hub_on, session};
use crate::message::Publish;
use crate::policy::Policy;
use crate::session::Session;

/// The last values of all topics, as who subscribes gets them.
fn last_values(hub: &Hub) -> Vec<String> {
    let session = session(hub);
    let (sink, mut deliveries) = session.sink(Policy::BLOCK);
    session.subscribe("#", &sink).unwrap();
    let mut values: Vec<_> = std::iter::from_fn(|| deliveries.try_recv().ok().flatten())
        .map(|delivery| {
            let message = &delivery.message;
            assert!(delivery.retained && message.retain);
            let headers: Vec<_> = message
                .headers
                .iter()
                .map(|(name, value)| format!(" {name}:{value}"))
                .collect();
            let payload = String::from_utf8_lossy(&message.payload);
            format!("{}={payload}{}", message.topic, headers.concat())
        })
        .collect();
    values.sort();
    values
}

async fn retain(session: &Session, topic: &str, payload: &'static str) -> Result<usize, Fault> {
    session
        .publish(Publish::new(topic.to_owned(), payload).retain())
        .await
}

#[tokio::test]
async fn last_values_outlast_the_hub() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    for (topic, payload) in [
        ("a", "1"),
        ("a", "2"),
        ("gone", "x"),
        ("gone", ""),
        ("bin", "\0\u{1}"),
    ] {
        retain(&publisher, topic, payload).await.unwrap();
    }
    let typed = Publish::new("typed", "{}")
        .header("content-type", "application/json")
        .retain();
    publisher.publish(typed).await.unwrap();
    publisher.publish(Publish::new("passing", "x")).await.unwrap();
    hub.stop().await.unwrap();
    let again = hub_on(&engine).await;
    let expected = ["a=2", "bin=\0\u{1}", "typed={} content-type:application/json"];
    assert_eq!(last_values(&again), expected);
    assert_eq!(again.stats().retained_messages, 3);
}

#[tokio::test]
async fn they_expire_when_they_would_have() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    let day = Duration::from_secs(24 * 3600);
    publisher
        .publish(Publish::new("a", "1").retain().expires_after(day))
        .await
        .unwrap();
    publisher
        .publish(
            Publish::new("b", "1")
                .retain()
                .expires_after(Duration::from_millis(1)),
        )
        .await
        .unwrap();
    hub.stop().await.unwrap();
    while engine.keys().get(&super::bucket(), b"b").await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    let again = hub_on(&engine).await;
    assert_eq!(last_values(&again), ["a=1"]);
    let reader = session(&again);
    let (sink, mut deliveries) = reader.sink(Policy::BLOCK);
    reader.subscribe("a", &sink).unwrap();
    let expires = deliveries
        .try_recv()
        .unwrap()
        .unwrap()
        .message
        .expires
        .expect("it expires");
    let left = expires.duration_since(tokio::time::Instant::now());
    assert!(left <= day && left > day - Duration::from_secs(600), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_now_is_published_told_and_kept_later() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    engine.set_away(true);
    assert_eq!(hub.impaired().as_deref(), Some("nobody leads"));
    let fault = retain(&publisher, "a", "1").await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Retry { wait, .. } if *wait == AWAY_WAIT),
        "{fault}"
    );
    assert_eq!(last_values(&hub), ["a=1"], "but here it is");
    assert!(retain(&publisher, "a", "2").await.is_err());
    engine.set_away(false);
    while engine.keys().get(&super::bucket(), b"a").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(hub.impaired(), None);
    let again = hub_on(&engine).await;
    assert_eq!(last_values(&again), ["a=2"]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_is_left_alone_for_a_while() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    engine.set_away(true);
    assert!(retain(&publisher, "a", "1").await.is_err());
    let before = engine.writes();
    tokio::time::sleep(10 * AWAY_WAIT).await;
    let tries = engine.writes() - before;
    assert!((5..=11).contains(&tries), "{tries} tries in ten times the wait");
}

#[tokio::test]
async fn a_topic_that_changes_faster_than_it_is_written_is_written_once() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    let gate = engine.hold_writes();
    let publish = |payload: &'static str| {
        publisher
            .publish_now(Publish::new("a", payload).retain())
            .unwrap()
    };
    let first = publish("1");
    while engine.writes() == 0 {
        tokio::task::yield_now().await;
    }
    let others = ["2", "3", "4"].map(publish);
    gate.add_permits(2);
    first.settled().await.unwrap();
    for other in others {
        other.settled().await.unwrap();
    }
    assert_eq!(engine.writes(), 2, "the first, and the last for all others");
    let again = hub_on(&engine).await;
    assert_eq!(last_values(&again), ["a=4"]);
}

#[tokio::test]
async fn topics_are_written_in_the_order_of_their_publishing() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    let topics: Vec<_> = (0..500).map(|number| format!("t/{number:03}")).collect();
    let waits: Vec<_> = topics
        .iter()
        .map(|topic| {
            publisher
                .publish_now(Publish::new(topic.clone(), "x").retain())
                .unwrap()
        })
        .collect();
    for wait in waits {
        wait.settled().await.unwrap();
    }
    let mut revisions = Vec::new();
    for topic in &topics {
        let entry = engine
            .keys()
            .get(&super::bucket(), topic.as_bytes())
            .await
            .unwrap();
        revisions.push(entry.expect("kept").revision);
    }
    assert!(revisions.is_sorted(), "{revisions:?}");
}

#[tokio::test]
async fn stopping_writes_what_is_left() {
    let engine = Moody::new(false);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    let gate = engine.hold_writes();
    for number in 0..300 {
        drop(
            publisher
                .publish_now(Publish::new(format!("t/{number}"), "x").retain())
                .unwrap(),
        );
    }
    gate.add_permits(1000);
    hub.stop().await.unwrap();
    let late = retain(&publisher, "late", "x").await;
    assert!(matches!(late, Err(Fault::Retry { .. })), "{late:?}");
    assert_eq!(engine.keys().count(&super::bucket()).await, Ok(300));
}

/// Waits until a hub has these last values.
async fn until(hub: &Hub, expected: &[&str]) {
    while last_values(hub) != expected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn hubs_of_one_engine_have_each_others_last_values() {
    let engine = Moody::new(true);
    let (one, other) = (hub_on(&engine).await, hub_on(&engine.beside()).await);
    retain(&session(&one), "a", "1").await.unwrap();
    until(&other, &["a=1"]).await;
    retain(&session(&other), "a", "2").await.unwrap();
    retain(&session(&other), "b", "3").await.unwrap();
    until(&one, &["a=2", "b=3"]).await;
    retain(&session(&one), "a", "").await.unwrap();
    until(&other, &["b=3"]).await;
    assert_eq!(last_values(&one), ["b=3"]);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_lost_touch_takes_what_it_missed() {
    let engine = Moody::new(true);
    let beside = engine.beside();
    let (one, other) = (hub_on(&engine).await, hub_on(&beside).await);
    for topic in ["stays", "goes"] {
        retain(&session(&one), topic, "1").await.unwrap();
    }
    until(&other, &["goes=1", "stays=1"]).await;
    beside.end_watches();
    retain(&session(&one), "goes", "").await.unwrap();
    retain(&session(&one), "comes", "1").await.unwrap();
    until(&other, &["comes=1", "stays=1"]).await;
}

#[tokio::test]
async fn what_a_hub_wrote_itself_takes_its_memory_nowhere() {
    let engine = Moody::new(true);
    let hub = hub_on(&engine).await;
    let publisher = session(&hub);
    for number in 0..200 {
        let payload = number.to_string();
        publisher
            .publish(Publish::new("a", payload.clone()).retain())
            .await
            .unwrap();
        assert_eq!(
            last_values(&hub),
            [format!("a={payload}")],
            "whatever comes back late"
        );
        if number % 20 == 0 {
            retain(&publisher, "a", "").await.unwrap();
            assert_eq!(last_values(&hub), [""; 0]);
        }
    }
}

#[tokio::test]
async fn what_is_no_last_value_is_left_alone() {
    let engine = engine();
    for (key, value) in [(&b"odd"[..], "\u{9}?"), (b"\xff", "x"), (b"a/#", "x")] {
        let write = engine
            .keys()
            .write(&super::bucket(), Key::new(key).unwrap(), Write::put(value));
        write.await.unwrap();
    }
    let hub = hub_on(&engine).await;
    assert_eq!(last_values(&hub), [""; 0]);
    assert_eq!(engine.keys().count(&super::bucket()).await, Ok(3));
}

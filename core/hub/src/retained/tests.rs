use std::time::Duration;

use super::*;
use crate::message::Publish;
use crate::session::SessionId;

fn store(limits: RetainedLimits) -> Retained {
    Retained::new(limits)
}

fn message(publish: Publish) -> Arc<Message> {
    Arc::new(publish.retain().into_message(SessionId::HUB))
}

fn value(topic: &str, payload: &'static str) -> Arc<Message> {
    message(Publish::new(topic, payload))
}

fn found(store: &mut Retained, filter: &str) -> Vec<(String, String)> {
    let messages = store
        .matching(&Filter::parse(filter).unwrap(), usize::MAX, Instant::now())
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found: Vec<_> = messages
        .iter()
        .map(|message| (message.topic.to_string(), text(&message.payload)))
        .collect();
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned()))
        .collect()
}

#[test]
fn the_last_value_stays_and_an_empty_one_deletes_it() {
    let mut store = store(RetainedLimits::default());
    let now = Instant::now();
    for (topic, payload) in [
        ("a/b", "1"),
        ("a/c", "2"),
        ("a/b", "3"),
        ("a", "4"),
        ("b", "5"),
        ("b", ""),
    ] {
        store.store(&value(topic, payload), now).unwrap();
    }
    assert_eq!(found(&mut store, "a/b"), pairs(&[("a/b", "3")]));
    assert_eq!(found(&mut store, "a/+"), pairs(&[("a/b", "3"), ("a/c", "2")]));
    assert_eq!(
        found(&mut store, "#"),
        pairs(&[("a", "4"), ("a/b", "3"), ("a/c", "2")])
    );
    assert_eq!(found(&mut store, "b"), pairs(&[]));
}

#[test]
fn nothing_is_left_of_what_was_deleted() {
    let mut store = store(RetainedLimits::default());
    let now = Instant::now();
    for topic in ["a/b/c", "a", "/"] {
        store
            .store(
                &message(Publish::new(topic, "x").expires_after(Duration::from_secs(9))),
                now,
            )
            .unwrap();
    }
    for topic in ["a/b/c", "a", "/", "never there"] {
        store.store(&value(topic, ""), now).unwrap();
    }
    assert_eq!(store.usage(now), (0, 0));
    assert!(store.index.is_empty() && store.expiries.is_empty());
}

#[test]
fn full_means_refused_by_number_and_by_bytes_and_replacing_still_works() {
    let now = Instant::now();
    let mut few = store(RetainedLimits {
        messages: 1,
        ..RetainedLimits::default()
    });
    few.store(&value("a", "1"), now).unwrap();
    assert!(matches!(
        few.store(&value("b", "1"), now),
        Err(Fault::Error {
            kind: ErrorKind::TooLarge,
            ..
        })
    ));
    few.store(&value("a", "2"), now).unwrap();
    assert_eq!(found(&mut few, "#"), pairs(&[("a", "2")]));

    let one = weight(&value("a", "12345"));
    let mut small = store(RetainedLimits {
        bytes: one,
        ..RetainedLimits::default()
    });
    small.store(&value("a", "12345"), now).unwrap();
    assert!(small.store(&value("a", "123456"), now).is_err());
    assert_eq!(
        found(&mut small, "a"),
        pairs(&[("a", "12345")]),
        "a refused value changes nothing"
    );
    small.store(&value("a", ""), now).unwrap();
    small.store(&value("b", "12345"), now).unwrap();
}

#[test]
fn a_topic_of_many_levels_weighs_what_it_costs() {
    assert!(weight(&value(&"/".repeat(100), "x")) > 100 * LEVEL_BYTES);
}

#[tokio::test(start_paused = true)]
async fn what_is_expired_is_gone_and_makes_room() {
    let mut store = store(RetainedLimits {
        messages: 2,
        ..RetainedLimits::default()
    });
    let seconds = Duration::from_secs;
    store
        .store(
            &message(Publish::new("short", "x").expires_after(seconds(1))),
            Instant::now(),
        )
        .unwrap();
    store
        .store(
            &message(Publish::new("long", "x").expires_after(seconds(5))),
            Instant::now(),
        )
        .unwrap();
    assert!(store.store(&value("third", "x"), Instant::now()).is_err());
    tokio::time::advance(seconds(1)).await;
    assert_eq!(found(&mut store, "#"), pairs(&[("long", "x")]));
    store.store(&value("third", "x"), Instant::now()).unwrap();
    // A newer value without expiry outlives the expiry of the older one.
    store.store(&value("long", "y"), Instant::now()).unwrap();
    tokio::time::advance(seconds(10)).await;
    assert_eq!(found(&mut store, "#"), pairs(&[("long", "y"), ("third", "x")]));
    assert!(store.expiries.is_empty());
}

#[tokio::test(start_paused = true)]
async fn refreshing_a_value_leaves_one_expiry() {
    let mut store = store(RetainedLimits::default());
    for _ in 0..1000 {
        let refreshed = message(Publish::new("a", "x").expires_after(Duration::from_secs(1)));
        store.store(&refreshed, Instant::now()).unwrap();
    }
    assert_eq!(store.expiries.len(), 1);
}

#[test]
fn more_than_the_reader_takes_is_counted_not_collected() {
    let mut store = store(RetainedLimits::default());
    let now = Instant::now();
    for topic in ["a", "b", "c"] {
        store.store(&value(topic, "x"), now).unwrap();
    }
    let all = Filter::parse("#").unwrap();
    assert_eq!(store.matching(&all, 2, now), Err(3));
    assert_eq!(store.matching(&all, 3, now).unwrap().len(), 3);
}

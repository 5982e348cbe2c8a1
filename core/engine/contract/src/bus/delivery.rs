//! Publishing and subscribing.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::StreamExt;
use proptest::prelude::*;
use switchboard_engine::EngineError;
use switchboard_engine::bus::{BusEvent, UNREAD_MAX};

use super::{hubs, message, publish, subscribe};
use crate::TestBed;
use crate::tools::{explore, next, noise, nothing, soon};

/// A message comes as it was published: topic and payload, whatever their bytes, with no address for an answer; to
/// every subscription at every hub, the publisher's own included.
pub async fn a_message_comes_as_it_was_published(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    let longest = "t".repeat(4095);
    let topics = [
        "a",
        "a/b",
        "/",
        "//a",
        "a b",
        "ä/😀",
        "$SYS/a",
        "a.b",
        "*",
        ">",
        "a\r\n",
        longest.as_str(),
    ];
    let payloads = [
        Bytes::new(),
        "1".into(),
        vec![0, 255, b'\r', b'\n'].into(),
        noise(100_000, 12),
    ];
    for topic in topics {
        let mut subscriptions = Vec::new();
        for hub in &hubs {
            for _ in 0..2 {
                subscriptions.push(subscribe(hub.bus(), topic, None).await);
            }
        }
        for publisher in &hubs {
            for payload in &payloads {
                publish(publisher.bus(), topic, payload.clone());
                for subscription in &mut subscriptions {
                    let message = message(subscription).await;
                    assert_eq!((&message.topic[..], message.reply_to), (topic, None));
                    assert!(message.payload == payload, "on {topic:?}");
                }
            }
        }
    }
}

/// What one hub publishes reaches each subscription in its order, over several topics too.
pub async fn messages_come_in_the_order_of_their_publisher(bed: &mut dyn TestBed) {
    const MESSAGES: u64 = 2_000;
    let hubs = hubs(bed).await;
    let mut subscriptions = Vec::new();
    for hub in &hubs {
        subscriptions.push(subscribe(hub.bus(), "order/#", None).await);
    }
    let mut publishers = Vec::new();
    for (publisher, hub) in hubs.iter().enumerate() {
        let hub = hub.clone();
        publishers.push(tokio::spawn(async move {
            for number in 0..MESSAGES {
                let topic = format!("order/{publisher}/{}", number % 5);
                publish(hub.bus(), &topic, number.to_string());
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    for subscription in &mut subscriptions {
        let mut expected = vec![0; hubs.len()];
        for _ in 0..MESSAGES * hubs.len() as u64 {
            let message = message(subscription).await;
            let publisher: usize = message.topic[6..7].parse().expect("a publisher's number");
            assert_eq!(message.payload, expected[publisher].to_string());
            expected[publisher] += 1;
        }
    }
    for publisher in publishers {
        soon("the end of a publisher", publisher)
            .await
            .expect("a publisher");
    }
}

/// Filters match as the hub's do: `+` one level, a final `#` the level before it and all that follow; a wildcard at the
/// first level no topic that begins with `$`.
pub async fn filters_match_as_at_the_hub(bed: &mut dyn TestBed) {
    let bus = bed.engine();
    for (filter, topic, matches) in [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b", "A/b", false),
        ("a/+", "a/b", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b/c", false),
        ("+", "a", true),
        ("+", "/a", false),
        ("+/+", "/a", true),
        ("+/b", "a/b", true),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a//c", true),
        ("a/#", "a", true),
        ("a/#", "a/", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("#", "a", true),
        ("#", "/", true),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("$SYS/+", "$SYS/a", true),
        ("a/#", "a/$b", true),
        ("+/+/#", "a", false),
        ("+/+/#", "a/b", true),
    ] {
        let mut subscription = subscribe(bus.bus(), filter, None).await;
        // The last message shows whether the first one came, without waiting for what does not.
        let mut last = subscribe(bus.bus(), "last", None).await;
        publish(bus.bus(), topic, "1");
        publish(bus.bus(), "last", "2");
        message(&mut last).await;
        if matches {
            let message = message(&mut subscription).await;
            assert_eq!(
                (&message.topic[..], &message.payload[..]),
                (topic, &b"1"[..]),
                "{filter:?}"
            );
        } else {
            let seen = futures_util::future::poll_immediate(subscription.next()).await;
            let seen = seen.flatten();
            let other =
                |event: &BusEvent| matches!(event, BusEvent::Message(message) if message.topic != topic);
            assert!(
                seen.as_ref().is_none_or(other),
                "{filter:?} matches no {topic:?}, but {seen:?}"
            );
        }
    }
}

fn level() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "$a", "$", "A"]).prop_map(String::from)
}

/// Whether the filter is for the topic, by the words of the contract.
fn is_for(filter: &[String], topic: &[String]) -> bool {
    let wild = |level: &str| level == "+" || level == "#";
    if wild(&filter[0]) && topic[0].starts_with('$') {
        return false;
    }
    match filter.split_last() {
        Some((last, before)) if last == "#" => {
            topic.len() >= before.len()
                && before
                    .iter()
                    .zip(topic)
                    .all(|(wanted, level)| wanted == "+" || wanted == level)
        }
        _ => {
            filter.len() == topic.len()
                && filter
                    .iter()
                    .zip(topic)
                    .all(|(wanted, level)| wanted == "+" || wanted == level)
        }
    }
}

/// Of topics and filters of all shapes, each message comes to exactly the subscriptions whose filters match it, once.
pub async fn each_message_comes_where_its_filters_match(bed: &mut dyn TestBed) {
    let topic = || prop::collection::vec(level(), 1..4);
    let wanted = prop_oneof![2 => level(), 1 => Just("+".to_owned())];
    let filter = (prop::collection::vec(wanted, 1..4), any::<bool>()).prop_map(|(mut levels, rest)| {
        if rest {
            levels.push("#".to_owned());
        }
        levels
    });
    let legal = |levels: &Vec<String>| !levels.join("/").is_empty();
    let filters = prop::collection::vec(filter.prop_filter("not empty", legal), 1..8);
    let topics = prop::collection::vec(topic().prop_filter("not empty", legal), 1..8);
    explore(bed, &(filters, topics), async |bed, (filters, topics)| {
        let engine = bed.engine();
        let mut subscriptions = Vec::new();
        for filter in &filters {
            subscriptions.push(subscribe(engine.bus(), &filter.join("/"), None).await);
        }
        let mut last = subscribe(engine.bus(), "$last", None).await;
        for topic in &topics {
            publish(engine.bus(), &topic.join("/"), "1");
        }
        publish(engine.bus(), "$last", "2");
        message(&mut last).await;
        for (filter, subscription) in filters.iter().zip(&mut subscriptions) {
            for topic in topics.iter().filter(|topic| is_for(filter, topic)) {
                let message = message(subscription).await;
                assert_eq!(message.topic, topic.join("/"), "{filter:?}");
            }
            let more = futures_util::future::poll_immediate(subscription.next()).await;
            assert!(more.is_none(), "{filter:?} brings more: {more:?}");
        }
    });
}

/// Of the subscriptions with one group and one filter one gets each message, at whatever hub they are; other groups,
/// other filters and those without a group each get it as well.
pub async fn a_group_gets_each_message_once(bed: &mut dyn TestBed) {
    const MESSAGES: usize = 200;
    let hubs = hubs(bed).await;
    let bus = |number: usize| hubs[number % hubs.len()].bus();
    let mut members = Vec::new();
    for number in 0..4 {
        members.push(subscribe(bus(number), "work/+", Some("group")).await);
    }
    let mut others = vec![
        subscribe(bus(0), "work/+", Some("other group")).await,
        subscribe(bus(1), "work/#", Some("group")).await,
        subscribe(bus(0), "work/+", None).await,
    ];
    for number in 0..MESSAGES {
        publish(bus(0), "work/a", number.to_string());
    }
    for other in &mut others {
        for number in 0..MESSAGES {
            assert_eq!(message(other).await.payload, number.to_string());
        }
    }
    let mut seen = BTreeSet::new();
    let mut all = futures_util::stream::select_all(members);
    for _ in 0..MESSAGES {
        match next("a message to the group", &mut all).await {
            BusEvent::Message(message) => {
                assert!(seen.insert(message.payload), "two members got one message")
            }
            BusEvent::Missed => panic!("nobody was behind"),
        }
    }
    nothing("every message has come", &mut all).await;
}

/// Dropping a subscription ends it: what its group gets goes to those who are left.
pub async fn dropping_a_subscription_ends_it(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    let bus = |number: usize| hubs[number % hubs.len()].bus();
    let mut stays = subscribe(bus(0), "work", Some("group")).await;
    let goes = subscribe(bus(0), "work", Some("group")).await;
    drop(goes);
    for number in 0..50 {
        publish(bus(1), "work", number.to_string());
    }
    for number in 0..50 {
        assert_eq!(message(&mut stays).await.payload, number.to_string());
    }
    drop(stays);
    let mut new = subscribe(bus(0), "work", Some("group")).await;
    nothing("nobody keeps messages for who comes later", &mut new).await;
    publish(bus(0), "work", "last");
    assert_eq!(message(&mut new).await.payload, "last");
}

/// A reader who is far behind is told where messages were lost; those that come before and after it are in order, and
/// he hears of what is published then.
pub async fn a_reader_far_behind_is_told_that_he_missed(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let mut slow = subscribe(engine.bus(), "flood", None).await;
    let mut quick = subscribe(engine.bus(), "flood", None).await;
    for number in 0..UNREAD_MAX * 3 / 2 {
        publish(engine.bus(), "flood", number.to_string());
        assert_eq!(
            message(&mut quick).await.payload,
            number.to_string(),
            "who keeps up misses nothing"
        );
    }
    let mut expected = 0;
    let mut lost_here = false;
    let mut told = false;
    loop {
        match next("a message, or that some were missed", &mut slow).await {
            BusEvent::Missed => {
                if !told {
                    publish(engine.bus(), "flood", "last");
                }
                (lost_here, told) = (true, true);
            }
            BusEvent::Message(message) if message.payload == "last" => break,
            BusEvent::Message(message) => {
                let text = std::str::from_utf8(&message.payload).expect("a number");
                let number: usize = text.parse().expect("a number");
                assert!(
                    number == expected || (lost_here && number > expected),
                    "{number} came where {expected} was due"
                );
                expected = number + 1;
                lost_here = false;
            }
        }
    }
}

/// Payloads up to the limit come whole; over it they are too large, and are not published.
pub async fn payloads_have_a_limit(bed: &mut dyn TestBed) {
    /// More than any bus can be asked to take; an engine without a limit of its own tells so.
    const TRIED_MAX: usize = 64 * 1024 * 1024;
    let engine = bed.engine();
    let max = engine.bus().payload_bytes_max();
    assert!(
        max >= 64 * 1024,
        "{max} bytes are too few for what hubs tell each other"
    );
    let mut subscription = subscribe(engine.bus(), "large", None).await;
    if max < TRIED_MAX {
        let over = engine.bus().publish("large".into(), vec![0; max + 1].into());
        assert!(matches!(over, Err(EngineError::TooLarge(_))), "{over:?}");
        let over = engine
            .bus()
            .request("large".into(), vec![0; max + 1].into(), crate::tools::PATIENCE);
        assert!(matches!(
            soon("a refusal", over).await,
            Err(EngineError::TooLarge(_))
        ));
    }
    let largest = noise(max.min(TRIED_MAX), 13);
    publish(engine.bus(), "large", largest.clone());
    assert!(message(&mut subscription).await.payload == largest);
}

/// Closing the engine ends its subscriptions.
pub async fn a_subscription_ends_with_its_engine(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let mut subscription = subscribe(engine.bus(), "a", None).await;
    let mut member = subscribe(engine.bus(), "a", Some("group")).await;
    soon("closing", engine.close()).await.expect("closing");
    assert_eq!(soon("the end of a subscription", subscription.next()).await, None);
    assert_eq!(soon("the end of a subscription", member.next()).await, None);
}

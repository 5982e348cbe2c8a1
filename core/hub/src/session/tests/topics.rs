//! Topics: who gets what is published.

use super::*;

#[tokio::test]
async fn last_values_come_first_and_nothing_is_missed_or_doubled() {
    let hub = Hub::default();
    let (publisher, reader) = (session(&hub), session(&hub));
    let publish = |topic: &'static str, payload: &'static str| {
        publisher
            .publish_now(Publish::new(topic, payload).retain())
            .unwrap()
            .subscriptions()
    };
    assert_eq!(publish("home/lamp", "on"), 0);
    assert_eq!(publish("home/door", "open"), 0);
    assert_eq!(publish("home/door", ""), 0);
    let (sink, mut deliveries) = reader.sink(Policy::DropOldest);
    reader.subscribe("home/+", &sink).unwrap();
    assert_eq!(publish("home/lamp", "off"), 1);
    assert_eq!(all(&mut deliveries), ["*home/lamp=on", "home/lamp=off"]);
    // Again: replaced, and the last value comes again.
    reader.subscribe("home/+", &sink).unwrap();
    assert_eq!(publish("home/lamp", ""), 1);
    assert_eq!(all(&mut deliveries), ["*home/lamp=off", "home/lamp="]);
    assert_eq!((hub.stats().subscriptions, hub.stats().retained_messages), (1, 0));
}

#[tokio::test]
async fn overlapping_subscriptions_of_one_sink_each_get_their_copy() {
    let hub = Hub::default();
    let session = session(&hub);
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    let ids = ["a/b", "a/+", "#"].map(|filter| session.subscribe(filter, &sink).unwrap());
    assert_eq!(session.publish(Publish::new("a/b", "x")).await, Ok(3));
    let mut got: Vec<_> = std::iter::from_fn(|| deliveries.try_recv().unwrap())
        .map(|d| d.subscription)
        .collect();
    got.sort();
    assert_eq!(got, ids);
    assert!(session.unsubscribe("a/+"));
    assert!(!session.unsubscribe("a/+"));
    assert!(!session.unsubscribe("never"));
    assert_eq!(session.publish(Publish::new("a/b", "x")).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_waits_for_all_blocked_readers_at_once() {
    let hub = Hub::default();
    let (publisher, reader) = (session(&hub), session(&hub));
    let timeout = Duration::from_secs(2);
    let one = QueueLimits {
        messages: 1,
        ..QueueLimits::default()
    };
    let mut readers: Vec<_> = (0..3)
        .map(|_| {
            let other = session(&hub);
            let (sink, deliveries) = other.sink_with(Policy::Block { timeout }, one);
            other.subscribe("t", &sink).unwrap();
            (other, deliveries)
        })
        .collect();
    let (sink, mut fast) = reader.sink(Policy::DropOldest);
    reader.subscribe("t", &sink).unwrap();
    assert_eq!(publisher.publish(Publish::new("t", "1")).await, Ok(4));
    let published = publisher.publish_now(Publish::new("t", "2")).unwrap();
    assert_eq!((published.subscriptions(), published.is_settled()), (1, false));
    assert_eq!(
        all(&mut fast),
        ["t=1", "t=2"],
        "a slow reader holds no other back"
    );
    assert_eq!(all(&mut readers[0].1), ["t=1", "t=2"]);
    let begin = Instant::now();
    assert_eq!(published.settled().await, Ok(2));
    assert_eq!(begin.elapsed().as_secs(), timeout.as_secs());
    assert_eq!(hub.stats().delivered, 6);
}

#[tokio::test]
async fn a_reader_that_is_too_slow_or_gone_ends_its_subscriptions() {
    let hub = Hub::default();
    let session = session(&hub);
    let one = QueueLimits {
        messages: 1,
        ..QueueLimits::default()
    };
    let (slow, mut slow_deliveries) = session.sink_with(Policy::Disconnect, one);
    let (gone, gone_deliveries) = session.sink(Policy::DropOldest);
    session.subscribe("slow", &slow).unwrap();
    session.subscribe("gone/#", &gone).unwrap();
    drop(gone_deliveries);
    for topic in ["slow", "slow", "gone/x"] {
        session.publish(Publish::new(topic, "x")).await.unwrap();
    }
    assert_eq!(hub.stats().subscriptions, 0);
    assert_eq!(
        session.sessions(&PageRequest::default()).sessions[0].subscriptions,
        0
    );
    assert_eq!(all(&mut slow_deliveries), ["slow=x"]);
    assert_eq!(slow_deliveries.recv().await.unwrap_err(), Closed::TooSlow);
    assert_eq!(
        kind(&session.subscribe("again", &slow).unwrap_err()),
        Some(ErrorKind::Conflict)
    );
    assert_eq!(hub.stats().subscriptions, 0);
}

#[tokio::test]
async fn publishing_takes_effect_without_anyone_polling() {
    let session = session(&Hub::default());
    let (sink, mut deliveries) = session.sink(Policy::BLOCK);
    session.subscribe("t", &sink).unwrap();
    assert_eq!(
        session.publish(Publish::new("t", "x")).now_or_never(),
        Some(Ok(1)),
        "the way without waiting"
    );
    assert_eq!(
        deliveries
            .recv()
            .now_or_never()
            .map(|got| got.map(|delivery| shown(&delivery))),
        Some(Ok("t=x".into()))
    );
}

use std::task::Waker;
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::queue::Wait;
use super::*;
use crate::message::Publish;
use crate::session::SessionId;

const ID: SubscriptionId = SubscriptionId(1);

struct Pair {
    sink: Sink,
    deliveries: Deliveries,
    counters: Arc<Counters>,
}

fn pair(policy: Policy, messages: usize) -> Pair {
    with_limits(
        policy,
        QueueLimits {
            messages,
            ..QueueLimits::default()
        },
    )
}

fn with_limits(policy: Policy, limits: QueueLimits) -> Pair {
    let counters = Arc::<Counters>::default();
    let (sink, deliveries) = channel(policy, limits, Arc::clone(&counters));
    Pair {
        sink,
        deliveries,
        counters,
    }
}

fn message(publish: Publish) -> Arc<Message> {
    Arc::new(publish.into_message(SessionId::HUB))
}

impl Pair {
    fn push(&self, topic: &str, payload: &str) -> Push {
        let mut wake = Vec::new();
        let message = message(Publish::new(topic, payload.to_owned()));
        let outcome = self.sink.queue.push(ID, &message, &mut wake);
        wake.into_iter().for_each(Waker::wake);
        outcome
    }

    fn push_blocked(&self, topic: &str, payload: &str) -> Wait {
        match self.push(topic, payload) {
            Push::Blocked(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    /// All that is there: topic, payload, and drops before it.
    fn read(&mut self) -> Vec<(String, String, u64)> {
        std::iter::from_fn(|| self.deliveries.try_recv().ok().flatten())
            .map(shown)
            .collect()
    }

    fn payloads(&mut self) -> Vec<String> {
        self.read().into_iter().map(|(_, payload, _)| payload).collect()
    }
}

fn shown(delivery: Delivery) -> (String, String, u64) {
    let payload = String::from_utf8(delivery.message.payload.to_vec()).unwrap();
    (delivery.topic().to_string(), payload, delivery.dropped)
}

fn row(topic: &str, payload: &str, dropped: u64) -> (String, String, u64) {
    (topic.to_owned(), payload.to_owned(), dropped)
}

#[test]
fn drop_oldest_keeps_the_newest_and_says_how_many_it_dropped() {
    let mut pair = pair(Policy::DropOldest, 2);
    for payload in ["1", "2", "3", "4", "5"] {
        assert!(matches!(pair.push("t", payload), Push::Queued));
    }
    assert_eq!(pair.read(), [row("t", "4", 3), row("t", "5", 0)]);
    assert_eq!(Counters::read(&pair.counters.dropped), 3);
    let _ = pair.push("t", "6");
    assert_eq!(pair.read(), [row("t", "6", 0)]);
}

#[test]
fn bytes_bound_a_queue_as_well() {
    let one = message(Publish::new("t", "12345")).size();
    let mut pair = with_limits(
        Policy::DropOldest,
        QueueLimits {
            messages: 100,
            bytes: 2 * one,
        },
    );
    for payload in ["aaaaa", "bbbbb", "ccccc"] {
        let _ = pair.push("t", payload);
    }
    assert_eq!(pair.payloads(), ["bbbbb", "ccccc"]);
    // Larger than the bound: alone it passes, and it makes all others go.
    let large = "x".repeat(10 * one);
    let _ = pair.push("t", "small");
    let _ = pair.push("t", &large);
    assert_eq!(pair.read(), [row("t", &large, 1)]);
}

#[test]
fn latest_keeps_one_a_topic_in_the_order_of_the_first() {
    let mut pair = pair(Policy::Latest, 10);
    for (topic, payload) in [
        ("a", "1"),
        ("b", "1"),
        ("a", "2"),
        ("c", "1"),
        ("b", "2"),
        ("a", "3"),
    ] {
        assert!(matches!(pair.push(topic, payload), Push::Queued));
    }
    assert_eq!(
        pair.read(),
        [row("a", "3", 0), row("b", "2", 0), row("c", "1", 0)]
    );
    assert_eq!(Counters::read(&pair.counters.replaced), 3);
    // What was taken is pending no more.
    let _ = pair.push("a", "4");
    let _ = pair.push("b", "3");
    let _ = pair.push("a", "5");
    assert_eq!(pair.read(), [row("a", "5", 0), row("b", "3", 0)]);
}

#[test]
fn latest_is_bounded_in_topics_and_bytes() {
    let mut few = pair(Policy::Latest, 2);
    for (topic, payload) in [("a", "1"), ("b", "1"), ("c", "1"), ("a", "2")] {
        let _ = few.push(topic, payload);
    }
    assert_eq!(few.read(), [row("c", "1", 2), row("a", "2", 0)]);

    let one = message(Publish::new("a", "1")).size();
    let mut small = with_limits(
        Policy::Latest,
        QueueLimits {
            messages: 100,
            bytes: 3 * one,
        },
    );
    for topic in ["a", "b", "c"] {
        let _ = small.push(topic, "1");
    }
    let grown = "x".repeat(2 * one);
    let _ = small.push("c", &grown);
    assert_eq!(
        small.read(),
        [row("c", &grown, 2)],
        "the older ones make room for what grew"
    );
}

#[tokio::test]
async fn a_reader_that_takes_nothing_still_learns_that_it_was_too_slow() {
    let mut pair = pair(Policy::Disconnect, 1);
    assert!(pair.deliveries.closed().now_or_never().is_none());
    assert!(matches!(pair.push("t", "1"), Push::Queued));
    assert!(
        pair.deliveries.closed().now_or_never().is_none(),
        "full is not over"
    );
    let sink = pair.sink.clone();
    let (closed, ()) = tokio::join!(pair.deliveries.closed(), async {
        let mut wake = Vec::new();
        let message = message(Publish::new("t", "2"));
        assert!(matches!(sink.queue.push(ID, &message, &mut wake), Push::Over));
        assert_eq!(wake.len(), 1, "the reader waits, and is woken");
        wake.into_iter().for_each(Waker::wake);
    });
    assert_eq!(closed, Closed::TooSlow);
    assert_eq!(pair.payloads(), ["1"], "nothing that was in is lost");
}

#[tokio::test]
async fn disconnect_gives_what_is_there_and_then_the_reason() {
    let mut pair = pair(Policy::Disconnect, 2);
    let outcomes = ["1", "2", "3", "4"].map(|payload| pair.push("t", payload));
    assert!(matches!(
        outcomes,
        [Push::Queued, Push::Queued, Push::Over, Push::Over]
    ));
    assert_eq!(pair.payloads(), ["1", "2"]);
    assert_eq!(pair.deliveries.recv().await.unwrap_err(), Closed::TooSlow);
    assert_eq!(pair.deliveries.try_recv().unwrap_err(), Closed::TooSlow);
    assert_eq!(
        pair.deliveries.recv_many(&mut Vec::new(), 9).await,
        Err(Closed::TooSlow)
    );
}

#[tokio::test(start_paused = true)]
async fn block_lets_the_publisher_in_as_soon_as_there_is_room() {
    let mut pair = pair(Policy::BLOCK, 1);
    assert!(matches!(pair.push("t", "1"), Push::Queued));
    let second = pair.push_blocked("t", "2");
    let third = pair.push_blocked("t", "3");
    let mut second = tokio::spawn(second.admitted());
    tokio::task::yield_now().await;
    assert!((&mut second).now_or_never().is_none(), "there is no room yet");
    assert_eq!(pair.deliveries.recv().await.map(shown), Ok(row("t", "1", 0)));
    assert!(second.await.unwrap());
    assert_eq!(pair.payloads(), ["2", "3"], "in the order of their publication");
    assert!(third.admitted().await);
    assert_eq!(
        Counters::read(&pair.counters.delivered),
        2,
        "those let in later count as delivered then"
    );
}

#[tokio::test(start_paused = true)]
async fn block_ends_with_a_counted_drop() {
    let timeout = Duration::from_secs(3);
    let mut pair = pair(Policy::Block { timeout }, 1);
    let _ = pair.push("t", "1");
    let begin = tokio::time::Instant::now();
    assert!(!pair.push_blocked("t", "2").admitted().await);
    assert_eq!(begin.elapsed().as_secs(), timeout.as_secs());
    assert_eq!(pair.payloads(), ["1"]);
    assert!(matches!(pair.push("t", "3"), Push::Queued));
    assert_eq!(pair.read(), [row("t", "3", 1)]);
    assert_eq!(Counters::read(&pair.counters.dropped), 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_never_longer_than_the_hub_allows() {
    let pair = pair(
        Policy::Block {
            timeout: Duration::MAX,
        },
        1,
    );
    let _ = pair.push("t", "1");
    let begin = tokio::time::Instant::now();
    assert!(!pair.push_blocked("t", "2").admitted().await);
    assert_eq!(begin.elapsed().as_secs(), crate::BLOCK_TIMEOUT_MAX.as_secs());
}

#[tokio::test]
async fn a_publisher_that_gives_up_drops_its_message_only() {
    let mut pair = pair(Policy::BLOCK, 1);
    let _ = pair.push("t", "1");
    drop(pair.push_blocked("t", "2"));
    let third = pair.push_blocked("t", "3");
    assert_eq!(pair.read(), [row("t", "1", 1), row("t", "3", 0)]);
    assert!(third.admitted().await);
}

#[tokio::test]
async fn those_who_wait_are_bounded_and_those_who_gave_up_make_room() {
    let mut pair = pair(Policy::BLOCK, 1);
    let _ = pair.push("t", "first");
    let mut waits: Vec<_> = (0..BLOCKED_PUBLISHERS_MAX)
        .map(|_| pair.push_blocked("t", "x"))
        .collect();
    assert!(matches!(pair.push("t", "one too many"), Push::Dropped));
    waits.remove(0);
    waits.push(pair.push_blocked("t", "last"));
    let payloads = pair.payloads();
    assert_eq!(payloads.len(), 1 + BLOCKED_PUBLISHERS_MAX);
    assert_eq!(payloads.last().map(String::as_str), Some("last"));
    assert_eq!(Counters::read(&pair.counters.dropped), 2);
}

#[tokio::test]
async fn a_reader_that_leaves_frees_who_waits_and_ends_the_subscription() {
    let pair = pair(Policy::BLOCK, 1);
    let _ = pair.push("t", "1");
    let wait = pair.push_blocked("t", "2");
    let sink = pair.sink.clone();
    drop(pair.deliveries);
    assert!(!wait.admitted().await);
    let late = message(Publish::new("t", "3"));
    assert!(matches!(sink.queue.push(ID, &late, &mut Vec::new()), Push::Over));
    assert_eq!(
        Arc::strong_count(&late),
        1,
        "nothing is kept for a reader that is gone"
    );
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_news_and_by_the_end() {
    let Pair {
        sink, mut deliveries, ..
    } = pair(Policy::DropOldest, 10);
    let reader = tokio::spawn(async move {
        let first = deliveries.recv().await.map(shown);
        (first, deliveries.recv().await.map(shown))
    });
    tokio::task::yield_now().await;
    let mut wake = Vec::new();
    sink.queue.push(ID, &message(Publish::new("t", "1")), &mut wake);
    assert_eq!(wake.len(), 1, "the reader waits");
    sink.queue.push(ID, &message(Publish::new("t", "2")), &mut wake);
    assert_eq!(wake.len(), 1, "it is woken once");
    wake.into_iter().for_each(Waker::wake);
    assert_eq!(
        reader.await.unwrap(),
        (Ok(row("t", "1", 0)), Ok(row("t", "2", 0)))
    );

    let Pair {
        sink, mut deliveries, ..
    } = pair(Policy::DropOldest, 10);
    let reader = tokio::spawn(async move { deliveries.recv().await.map(shown) });
    tokio::task::yield_now().await;
    sink.queue.close(Closed::Session);
    assert_eq!(reader.await.unwrap(), Err(Closed::Session));
}

#[tokio::test]
async fn a_batch_takes_what_is_there_up_to_its_bound() {
    let mut pair = pair(Policy::DropOldest, 10);
    for payload in ["1", "2", "3"] {
        let _ = pair.push("t", payload);
    }
    let mut batch = Vec::new();
    assert_eq!(pair.deliveries.recv_many(&mut batch, 2).await, Ok(2));
    assert_eq!(pair.deliveries.recv_many(&mut batch, 2).await, Ok(1));
    assert_eq!(pair.deliveries.recv_many(&mut batch, 0).await, Ok(0));
    assert!(pair.deliveries.recv_many(&mut batch, 2).now_or_never().is_none());
    let payloads: Vec<_> = batch.into_iter().map(|delivery| shown(delivery).1).collect();
    assert_eq!(payloads, ["1", "2", "3"]);
}

#[test]
fn last_values_come_before_news_and_are_bounded() {
    let mut pair = pair(Policy::DropOldest, 1);
    let _ = pair.push("t", "news");
    let values = ["a", "b"].map(|topic| (ID, message(Publish::new(topic, "old"))));
    let values = values.to_vec();
    let push = |values| {
        let queue = &pair.sink.queue;
        queue.push_retained(values, 0, 3, &mut Vec::new())
    };
    assert_eq!(push(values.clone()), Ok(()));
    assert_eq!(push(values), Err(RetainedRefused::Unread(2)));
    let all: Vec<_> = std::iter::from_fn(|| pair.deliveries.try_recv().unwrap())
        .map(|delivery| (delivery.topic().to_string(), delivery.retained))
        .collect();
    let expected =
        [("a", true), ("b", true), ("t", false)].map(|(topic, retained)| (topic.to_owned(), retained));
    assert_eq!(all, expected);
    pair.sink.queue.close(Closed::Session);
    assert_eq!(
        pair.sink.queue.push_retained(Vec::new(), 0, 3, &mut Vec::new()),
        Err(RetainedRefused::Over)
    );
}

#[tokio::test(start_paused = true)]
async fn what_expired_in_the_queue_is_not_delivered() {
    let mut pair = pair(Policy::DropOldest, 10);
    let short = message(Publish::new("t", "short").expires_after(Duration::from_secs(1)));
    pair.sink.queue.push(ID, &short, &mut Vec::new());
    let _ = pair.push("t", "long");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(pair.payloads(), ["long"]);
    assert_eq!(Counters::read(&pair.counters.expired), 1);
}

/// A queue as one would draw it on paper.
#[derive(Default)]
struct Model {
    items: Vec<(u8, u32)>,
    dropped: u64,
}

impl Model {
    fn push(&mut self, policy: Policy, messages: usize, topic: u8, number: u32) {
        let pending = self
            .items
            .iter_mut()
            .find(|item| policy == Policy::Latest && item.0 == topic);
        if let Some(item) = pending {
            item.1 = number;
            return;
        }
        if self.items.len() == messages {
            self.items.remove(0);
            self.dropped += 1;
        }
        self.items.push((topic, number));
    }
}

proptest! {
    #[test]
    fn a_queue_does_what_its_model_does(
        latest: bool,
        messages in 1_usize..5,
        steps in prop::collection::vec(prop_oneof![3 => (0_u8..6).prop_map(Some), 1 => Just(None)], 0..60),
    ) {
        let policy = if latest { Policy::Latest } else { Policy::DropOldest };
        let mut pair = pair(policy, messages);
        let mut model = Model::default();
        for (number, step) in (0..).zip(steps) {
            match step {
                Some(topic) => {
                    let _ = pair.push(&topic.to_string(), &number.to_string());
                    model.push(policy, messages, topic, number);
                }
                None => {
                    let expected = (!model.items.is_empty()).then(|| {
                        let (topic, number) = model.items.remove(0);
                        row(&topic.to_string(), &number.to_string(), std::mem::take(&mut model.dropped))
                    });
                    prop_assert_eq!(pair.deliveries.try_recv().unwrap().map(shown), expected);
                }
            }
        }
        let rest: Vec<_> = model.items.iter().map(|(topic, number)| (topic.to_string(), number.to_string())).collect();
        let read: Vec<_> = pair.read().into_iter().map(|(topic, payload, _)| (topic, payload)).collect();
        prop_assert_eq!(read, rest);
    }
}

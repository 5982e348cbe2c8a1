//! Readers that go away and come back: what they are to get then.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const FILTERS: [&str; 3] = ["a/+", "a/1", "b"];
const TOPICS: [&str; 5] = ["a/1", "a/2", "b", "a/3", "unwatched"];

/// One who reads as a browser does: all it keeps is how far it has come.
struct Reader {
    session: Session,
    deliveries: Deliveries,
    /// Up to where it knew the last values when it came.
    known: u64,
    reached: u64,
    /// The messages to be retained that it had, in all its visits.
    had: BTreeSet<u64>,
    may_have_twice: bool,
}

impl Reader {
    fn come(hub: &Hub, policy: Policy) -> Self {
        let (session, deliveries) = visit(hub, policy);
        Self {
            session,
            deliveries,
            known: 0,
            reached: 0,
            had: BTreeSet::new(),
            may_have_twice: policy == Policy::Latest,
        }
    }

    fn come_back(&mut self, hub: &Hub, policy: Policy) {
        (self.session, self.deliveries) = visit(hub, policy);
        self.known = self.reached;
    }

    /// Reads one, if one is there.
    fn read(&mut self) -> bool {
        let Some(delivery) = self.deliveries.try_recv().unwrap() else {
            return false;
        };
        let serial = delivery.message.serial;
        if delivery.retained && serial <= self.known {
            return true;
        }
        assert!(delivery.reached >= self.reached, "it never goes back");
        self.reached = delivery.reached;
        if delivery.message.retain {
            let new = self.had.insert(serial);
            // Two of its filters match that one.
            let twice = self.may_have_twice || delivery.message.topic == "a/1";
            assert!(new || twice, "it has {serial} already");
        }
        true
    }
}

fn visit(hub: &Hub, policy: Policy) -> (Session, Deliveries) {
    let session = session(hub);
    let (sink, deliveries) = session.sink(policy);
    session.subscribe_all(&FILTERS, &sink).unwrap();
    (session, deliveries)
}

#[derive(Debug, Clone)]
enum Step {
    Publish { topic: usize, retain: bool },
    Read,
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..TOPICS.len(), prop::bool::weighted(0.8)).prop_map(|(topic, retain)| Step::Publish { topic, retain }),
        3 => Just(Step::Read),
        1 => Just(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn who_comes_back_gets_what_is_new_and_nothing_else(latest: bool, steps in prop::collection::vec(step(), 0..80)) {
        let policy = if latest { Policy::Latest } else { Policy::DropOldest };
        let hub = Hub::default();
        let publisher = session(&hub);
        let mut last_values = BTreeMap::new();
        let mut reader = Reader::come(&hub, policy);
        for step in steps {
            match step {
                Step::Publish { topic, retain } => {
                    // Else one that is not retained may take the place of one that is.
                    let retain = retain || latest;
                    let publish = Publish { retain, ..Publish::new(TOPICS[topic], "x") };
                    let _ = publisher.publish_now(publish).unwrap();
                    if retain && TOPICS[topic] != "unwatched" {
                        last_values.insert(topic, hub.serial());
                    }
                }
                Step::Read => {
                    reader.read();
                }
                Step::Leave => reader.come_back(&hub, policy),
            }
        }
        while reader.read() {}
        for serial in last_values.values() {
            prop_assert!(reader.had.contains(serial), "it misses {}", serial);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_and_goes_while_many_publish_misses_nothing_and_has_nothing_twice() {
    const EACH: usize = 2_000;
    let hub = Hub::default();
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let session = session(&hub);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let topic = TOPICS[(publisher + number) % 4];
                    let publish = Publish {
                        retain: number % 3 != 0,
                        ..Publish::new(topic, "x")
                    };
                    session.publish(publish).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut reader = Reader::come(&hub, Policy::DropOldest);
    let mut left = 0;
    while !publishers.iter().all(|publisher| publisher.is_finished()) {
        for _ in 0..how_many(left) {
            reader.read();
        }
        reader.come_back(&hub, Policy::DropOldest);
        left += 1;
        tokio::task::yield_now().await;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    while reader.read() {}
    let (_late, mut last) = visit(&hub, Policy::DropOldest);
    while let Some(delivery) = last.try_recv().unwrap() {
        assert!(reader.had.contains(&delivery.message.serial));
    }
}

/// How many to read in a visit: few and many by turns.
fn how_many(visit: usize) -> usize {
    [0, 1, 2, 3, 5, 8, 13, 40][visit % 8]
}

#[test]
fn serials_and_epochs_tell_messages_and_hubs_apart() {
    let hub = Hub::default();
    let session = session(&hub);
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    session.subscribe("#", &sink).unwrap();
    for retain in [false, true, true, false] {
        let publish = Publish {
            retain,
            ..Publish::new("t", "x")
        };
        let _ = session.publish_now(publish).unwrap();
    }
    let serials: Vec<_> = std::iter::from_fn(|| deliveries.try_recv().unwrap())
        .map(|delivery| (delivery.message.serial, delivery.message.retain, delivery.reached))
        .collect();
    assert_eq!(
        serials,
        [(1, false, 0), (2, true, 2), (3, true, 3), (4, false, 3)]
    );
    assert_eq!(hub.serial(), 4);
    assert_ne!(hub.epoch(), Hub::default().epoch());
}

#[tokio::test]
async fn last_values_of_all_filters_come_by_their_serials_and_in_one_step() {
    let hub = Hub::default();
    let session = session(&hub);
    for topic in ["b", "a/2", "unwatched", "a/1"] {
        session.publish(Publish::new(topic, "x").retain()).await.unwrap();
    }
    let (sink, mut deliveries) = session.sink(Policy::DropOldest);
    let ids = session.subscribe_all(&["a/+", "b", "a/+", "c"], &sink).unwrap();
    assert_eq!(ids.len(), 3, "a filter that comes twice counts once");
    let got: Vec<_> = std::iter::from_fn(|| deliveries.try_recv().unwrap())
        .map(|delivery| (delivery.topic().to_string(), delivery.reached))
        .collect();
    // With the last of them all is known that there was.
    assert_eq!(got, [("b".into(), 1), ("a/2".into(), 2), ("a/1".into(), 4)]);
    // All or none.
    assert!(session.subscribe_all(&["d", "a#"], &sink).is_err());
    assert_eq!(hub.stats().subscriptions, 3);
}

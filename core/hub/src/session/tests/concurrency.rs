//! Many at once.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_publishers_keep_their_order_and_lose_nothing() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 3_000;
    let hub = Hub::default();
    let reader = session(&hub);
    let (sink, mut deliveries) = reader.sink_with(
        Policy::Block {
            timeout: Duration::from_secs(10),
        },
        QueueLimits {
            messages: 16,
            ..QueueLimits::default()
        },
    );
    reader.subscribe("n/#", &sink).unwrap();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let session = session(&hub);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let publish = Publish::new(format!("n/{publisher}"), number.to_string());
                    assert_eq!(session.publish(publish).await, Ok(1));
                }
            })
        })
        .collect();
    let mut next = [0; PUBLISHERS];
    let mut batch = Vec::new();
    while next.iter().sum::<usize>() < PUBLISHERS * EACH {
        deliveries.recv_many(&mut batch, 7).await.unwrap();
        for delivery in batch.drain(..) {
            assert_eq!(delivery.dropped, 0);
            let publisher: usize = delivery.topic().strip_prefix("n/").unwrap().parse().unwrap();
            assert_eq!(
                String::from_utf8_lossy(&delivery.message.payload),
                next[publisher].to_string()
            );
            next[publisher] += 1;
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_value_is_the_last_delivery_whoever_publishes_and_subscribes_meanwhile() {
    const EACH: usize = QUEUE_MESSAGES_DEFAULT / 4;
    let hub = Hub::default();
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let session = session(&hub);
            tokio::spawn(async move {
                for number in 0..EACH {
                    let publish = Publish::new("state", format!("{publisher}:{number}")).retain();
                    session.publish(publish).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut readers = Vec::new();
    for _ in 0..50 {
        let reader = session(&hub);
        let (sink, deliveries) = reader.sink(Policy::DropOldest);
        reader.subscribe("+", &sink).unwrap();
        readers.push((reader, deliveries));
        tokio::task::yield_now().await;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let late = session(&hub);
    let (sink, mut last) = late.sink(Policy::DropOldest);
    late.subscribe("state", &sink).unwrap();
    let last = all(&mut last).pop().unwrap();
    let last = last.trim_start_matches('*');
    for (_, deliveries) in &mut readers {
        let got = all(deliveries);
        assert_eq!(
            got.last().map(|delivery| delivery.trim_start_matches('*')),
            Some(last)
        );
        let mut distinct = got.clone();
        distinct
            .iter_mut()
            .for_each(|delivery| *delivery = delivery.trim_start_matches('*').to_owned());
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), got.len(), "nothing comes twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn responders_that_come_and_go_under_load_cost_no_silence() {
    let hub = Hub::default();
    let steady = session(&hub);
    steady.serve("op", Arc::new(echo)).unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (session, answered) = (session(&hub), Arc::clone(&answered));
            tokio::spawn(async move {
                for _ in 0..1_000 {
                    match call(&session, "op", "x").await {
                        Ok(payload) => assert_eq!(payload, "x"),
                        Err(fault) => assert!(fault.is_retry(), "{fault}"),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..300 {
        let guest = session(&hub);
        let respond = move |call: Call, reply: Replier| {
            if round % 2 == 0 {
                echo(call, reply)
            } else {
                drop(reply)
            }
        };
        guest.serve("op", Arc::new(respond)).unwrap();
        tokio::task::yield_now().await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(answered.load(Ordering::Relaxed), 3_000);
    let ops = steady.ops(&PageRequest::default()).ops;
    let op = ops.iter().find(|op| op.op == "op").unwrap();
    assert_eq!((op.responders, op.in_flight), (1, 0));
}

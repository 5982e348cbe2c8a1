//! One server that goes away, comes back, comes back empty, and is full.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use switchboard_engine::bus::BusEvent;
use switchboard_engine::keys::{WatchEvent, WatchFrom, Write};
use switchboard_engine::queues::Push;
use switchboard_engine::{Bucket, Engine, EngineError, Health, ManualClock, QueueName, Timestamp};
use switchboard_engine_nats::{Nats, NatsOptions};

use crate::server::Server;
use crate::tools::{in_the_end, key, next, open, put, reason, soon, try_put, value};

async fn watch(engine: &Nats) -> switchboard_engine::keys::Watch {
    let watching = engine
        .keys()
        .watch(&Bucket::default(), "".into(), WatchFrom::Everything);
    soon("a watch", watching).await.expect("watching")
}

/// Reads up to the put of that key; whether it was told to forget before.
async fn until_put(watch: &mut switchboard_engine::keys::Watch, name: &str) -> bool {
    let mut reset = false;
    loop {
        match next(watch).await {
            WatchEvent::Put { key: told, .. } if told == key(name) => return reset,
            WatchEvent::Reset => reset = true,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_cluster_is_away_all_is_unavailable_and_then_all_heals() {
    let mut server = Server::start();
    let engine = open(&server).await;
    let (bucket, queue) = (Bucket::default(), QueueName::new("work").expect("a plain name"));
    put(&engine, "before", "1").await;
    let mut watched = watch(&engine).await;
    assert!(!until_put(&mut watched, "before").await);
    let mut subscribed = engine
        .bus()
        .subscribe("a/#".into(), None)
        .await
        .expect("subscribing");
    let pushed = engine
        .queues()
        .push(&queue, Push::new("1"))
        .await
        .expect("pushing");
    let lease = Duration::from_secs(3600);
    let reserved = engine
        .queues()
        .reserve(&queue, 1, lease, lease)
        .await
        .expect("reserving");

    server.kill();
    assert!(reason(try_put(&engine, "lost", "1").await).contains("connection"));
    reason(value(&engine, "before").await);
    reason(soon("a push", engine.queues().push(&queue, Push::new("2"))).await);
    reason(soon("an ack", engine.queues().ack(&queue, &reserved[0].lease)).await);
    reason(soon("a list", engine.blobs().list(&bucket, "", None, 1)).await);
    reason(engine.bus().publish("a/b".into(), "1".into()));
    reason(soon("a request", engine.bus().request("a/b".into(), "1".into(), lease)).await);
    assert!(matches!(engine.health(), Health::Impaired(why) if why.contains("connection")));

    server.restart();
    in_the_end("it heals", async || try_put(&engine, "after", "1").await.ok()).await;
    assert_eq!(engine.health(), Health::Ready);
    assert_eq!(value(&engine, "before").await, Ok(Some("1".into())));
    assert!(
        !until_put(&mut watched, "after").await,
        "the watch goes on where it was"
    );
    assert_eq!(soon("an event", subscribed.next()).await, Some(BusEvent::Missed));
    engine
        .bus()
        .publish("a/b".into(), "2".into())
        .expect("publishing");
    assert!(matches!(
        soon("a message", subscribed.next()).await,
        Some(BusEvent::Message(_))
    ));
    // The lease outlasts the server.
    soon("an ack", engine.queues().ack(&queue, &reserved[0].lease))
        .await
        .expect("finishing");
    assert_eq!(reserved[0].job.id, pushed.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_by_itself_that_the_cluster_is_well_again() {
    let mut server = Server::start();
    let engine = open(&server).await;
    server.kill();
    reason(try_put(&engine, "lost", "1").await);
    assert!(matches!(engine.health(), Health::Impaired(_)));
    server.restart();
    // Nobody asks for anything.
    in_the_end("it is well", async || {
        (engine.health() == Health::Ready).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_comes_back_empty_is_set_up_anew() {
    let mut server = Server::start();
    let engine = open(&server).await;
    let queue = QueueName::new("work").expect("a plain name");
    let old = put(&engine, "old", "1").await;
    let pushed = engine
        .queues()
        .push(&queue, Push::new("1"))
        .await
        .expect("pushing");
    let mut watched = watch(&engine).await;
    assert!(!until_put(&mut watched, "old").await);

    server.kill();
    server.forget_everything();
    server.run();
    server.wait();

    let new = in_the_end("it heals", async || try_put(&engine, "new", "1").await.ok()).await;
    assert!(new.revision > old.revision, "revisions go on");
    assert_eq!(value(&engine, "old").await, Ok(None));
    assert!(
        until_put(&mut watched, "new").await,
        "the watch is told to forget"
    );
    let buckets = soon("the buckets", engine.keys().buckets()).await;
    assert_eq!(buckets, Ok(vec![Bucket::default()]));
    let again = soon("a push", engine.queues().push(&queue, Push::new("2")))
        .await
        .expect("pushing");
    assert!(again.id > pushed.id, "ids go on");
    let counts = soon("the counts", engine.queues().counts(&queue))
        .await
        .expect("counting");
    assert_eq!(counts.ready, 1, "what is lost is not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_what_is_there_stays_readable() {
    let mut server = Server::start();
    server.restart_with_store_of(4 << 20);
    let engine = open(&server).await;
    let bucket = Bucket::default();
    let mut stored = Vec::new();
    let refused = loop {
        let name = format!("key {}", stored.len());
        let write = Write::put(vec![7; 256 * 1024]);
        match soon("a write", engine.keys().write(&bucket, key(&name), write)).await {
            Ok(_) => stored.push(name),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "4 MiB hold no 100 values of 256 KiB");
    };
    assert!(
        matches!(&refused, EngineError::Unavailable { reason, .. } if reason.contains("full")),
        "{refused}"
    );
    for name in &stored {
        assert!(value(&engine, name).await.expect("reading").is_some(), "{name}");
    }
    server.restart_with_store_of(1 << 30);
    in_the_end("there is room", async || {
        try_put(&engine, "after", "1").await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_left_half_written_is_taken_away_by_another() {
    let server = Server::start();
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000));
    let options = NatsOptions {
        clock: Arc::new(clock.clone()),
        ..NatsOptions::new([server.url()])
    };
    let bucket = Bucket::default();
    let hub = Nats::open(options.clone()).await.expect("opening");
    let mut left = Vec::new();
    for (name, is_finished) in [("half", false), ("whole", true)] {
        let mut writer = hub
            .blobs()
            .put(&bucket, name.into(), None)
            .await
            .expect("beginning");
        for _ in 0..4 {
            writer.write(vec![7; 300_000].into()).await.expect("writing");
        }
        if is_finished {
            writer.finish().await.expect("finishing");
        } else {
            // Its end comes after that of its hub, as if that had been killed: nobody tells the servers.
            left.push(writer);
        }
    }
    let parts = async || {
        let client = async_nats::connect(server.url()).await.expect("connecting");
        let asked = client
            .request("$JS.API.STREAM.INFO.switchboard-parts", "".into())
            .await;
        let info: serde_json::Value = serde_json::from_slice(&asked.expect("asking").payload).expect("JSON");
        // One message says in which format the others are.
        info["state"]["messages"].as_u64().expect("a number") - 1
    };
    let whole = 1_200_000_u64.div_ceil(128 * 1024);
    in_the_end("what was written arrives", async || {
        (parts().await > whole).then_some(())
    })
    .await;
    drop(hub);
    drop(left);

    let soon = Nats::open(options.clone()).await.expect("opening");
    soon.flush().await.expect("flushing");
    assert!(parts().await > whole, "its writer may still be at it");
    clock.advance(Duration::from_secs(25 * 3600));
    let later = Nats::open(options).await.expect("opening");
    in_the_end("what nobody wants is taken away", async || {
        (parts().await == whole).then_some(())
    })
    .await;
    let whole = later.blobs().info(&bucket, "whole").await.expect("asking");
    assert_eq!(whole.map(|info| info.size), Some(1_200_000));
}

//! Watchers that lag behind what is cleared away.

use bytes::Bytes;
use futures_util::StreamExt;
use switchboard_engine::keys::{BATCH_WRITES_MAX, BatchOutcome, Revision, WatchEvent, WatchFrom, Write};
use switchboard_engine::{Bucket, Engine, Key};
use switchboard_engine_nats::Nats;

use crate::server::Server;
use crate::tools::{key, open, soon};

/// Writes in one step; the revisions of what is there after it.
async fn batch(engine: &Nats, writes: Vec<(Key, Write)>) -> Vec<Revision> {
    let bucket = Bucket::default();
    let done = soon("a batch", engine.keys().batch(&bucket, writes)).await;
    let BatchOutcome::Done(outcomes) = done.expect("writing a batch") else {
        panic!("it has no conditions");
    };
    let after = outcomes.into_iter().filter_map(|(_, after)| after);
    after.map(|entry| entry.revision).collect()
}

/// What a watcher hears after a revision, until it is current.
async fn heard_after(engine: &Nats, revision: Revision) -> Vec<WatchEvent> {
    let from = WatchFrom::After(revision);
    let watching = engine.keys().watch(&Bucket::default(), Bytes::new(), from);
    let mut watch = soon("a watch", watching).await.expect("watching");
    let mut heard = Vec::new();
    loop {
        let event = soon("an event", watch.next()).await.expect("more to hear");
        match event.expect("watching") {
            WatchEvent::Current { .. } => return heard,
            event => heard.push(event),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lags_behind_is_told_of_a_delete_before_what_came_after_it() {
    let server = Server::start();
    let engine = open(&server).await;
    let first = batch(&engine, vec![(key("a"), Write::put("1"))]).await[0];
    let writes = vec![(key("a"), Write::delete()), (key("last"), Write::put("2"))];
    let last = batch(&engine, writes).await[0];
    // The message by which the key is absent is gone then.
    let count = soon("a count", engine.keys().count(&Bucket::default())).await;
    assert_eq!(count, Ok(1));
    let heard = heard_after(&engine, first).await;
    let [
        WatchEvent::Delete {
            key: deleted,
            revision,
            ..
        },
        WatchEvent::Put { key: put, entry },
    ] = &heard[..]
    else {
        panic!("{heard:?}");
    };
    assert_eq!((deleted, put), (&key("a"), &key("last")));
    assert!(first < *revision && *revision < last, "{heard:?}");
    assert_eq!(entry.revision, last);
    assert_eq!(heard_after(&engine, *revision).await, heard[1..]);
    assert_eq!(heard_after(&engine, last).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_after_a_delete_was_answered_are_told_after_it() {
    let server = Server::start();
    let engine = open(&server).await;
    let first = batch(&engine, vec![(key("a"), Write::put("1"))]).await[0];
    for round in 0..50 {
        batch(&engine, vec![(key(format!("{round:02}")), Write::put("1"))]).await;
        batch(&engine, vec![(key(format!("{round:02}")), Write::delete())]).await;
        batch(&engine, vec![(key("last"), Write::put("2"))]).await;
    }
    let count = soon("a count", engine.keys().count(&Bucket::default())).await;
    assert_eq!(count, Ok(2));
    let heard = heard_after(&engine, first).await;
    let (last, deletes) = heard.split_last().expect("much was written");
    assert!(matches!(last, WatchEvent::Put { .. }), "{last:?}");
    let told = deletes
        .iter()
        .filter(|event| matches!(event, WatchEvent::Delete { .. }));
    assert_eq!(told.count(), 50, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_amid_many_deletes_hears_of_all_of_them() {
    let server = Server::start();
    let engine = open(&server).await;
    let names: Vec<Key> = (0..BATCH_WRITES_MAX - 1)
        .map(|number| key(format!("{number:03}")))
        .collect();
    let puts = names.iter().map(|name| (name.clone(), Write::put("1")));
    batch(&engine, puts.collect()).await;
    // Two messages for each do not fit into one step.
    let deletes = names.iter().map(|name| (name.clone(), Write::delete()));
    let writes = deletes.chain([(key("last"), Write::put("2"))]).collect();
    let last = batch(&engine, writes).await[0];
    let count = soon("a count", engine.keys().count(&Bucket::default())).await;
    assert_eq!(count, Ok(1));
    // As somebody who was told of the last write, and of no delete that was cleared away before it was read.
    let heard = heard_after(&engine, last).await;
    let deleted = heard.iter().map(|event| match event {
        WatchEvent::Delete { key, .. } => key.clone(),
        event => panic!("{event:?}"),
    });
    let told: std::collections::BTreeSet<Key> = deleted.collect();
    assert!(
        names.iter().rev().take(100).all(|name| told.contains(name)),
        "{told:?}"
    );
}

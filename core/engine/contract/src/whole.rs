//! The whole of an engine: [`switchboard_engine::Engine`].

use bytestring::ByteString;
use switchboard_engine::keys::{Scan, WatchFrom, Write};
use switchboard_engine::queues::{JobId, JobState, Lease, Push};
use switchboard_engine::{Bucket, Health};

use crate::TestBed;
use crate::tools::{is_unavailable, key, millis, queue, soon};

/// A sound engine says what it is, and that it is ready; it is shared if there is another hub.
pub async fn it_says_what_it_is(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    assert!(!engine.description().is_empty());
    assert_eq!(engine.health(), Health::Ready);
    if let Some(other) = bed.second_hub().await {
        assert!(engine.is_shared() && other.is_shared());
    }
}

/// Flushing works, with nothing to flush and again.
pub async fn it_can_be_flushed_at_any_time(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    for _ in 0..3 {
        assert_eq!(soon("a flush", engine.flush()).await, Ok(()));
        let put = engine.keys().write(&Bucket::default(), key("a"), Write::put("1"));
        put.await.expect("writing");
    }
}

/// Closing twice is closing once.
pub async fn it_can_be_closed_twice(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    assert_eq!(soon("closing", engine.close()).await, Ok(()));
    assert_eq!(soon("closing", engine.close()).await, Ok(()));
}

/// After closing, whatever is asked for is unavailable.
pub async fn it_is_unavailable_once_closed(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let bucket = Bucket::default();
    let keys = engine.keys();
    keys.write(&bucket, key("a"), Write::put("1"))
        .await
        .expect("writing");
    assert_eq!(soon("closing", engine.close()).await, Ok(()));

    assert!(is_unavailable(&keys.get(&bucket, b"a").await));
    assert!(is_unavailable(&keys.get_many(&bucket, &[key("a")]).await));
    assert!(is_unavailable(
        &keys.write(&bucket, key("a"), Write::put("2")).await
    ));
    if bed.abilities().batches {
        let writes = vec![(key("a"), Write::put("2"))];
        assert!(is_unavailable(&keys.batch(&bucket, writes).await));
    }
    assert!(is_unavailable(&keys.scan(&bucket, Scan::default()).await));
    assert!(is_unavailable(
        &keys.watch(&bucket, "".into(), WatchFrom::Now).await.map(drop)
    ));
    assert!(is_unavailable(&keys.count(&bucket).await));
    assert!(is_unavailable(&keys.clear(&bucket).await));
    assert!(is_unavailable(&keys.buckets().await));
    assert!(is_unavailable(&engine.flush().await));
}

/// The same, for jobs.
pub async fn queues_are_unavailable_once_closed(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let (queues, queue) = (engine.queues(), queue());
    let job = queues.push(&queue, Push::new("1")).await.expect("pushing").id;
    assert_eq!(soon("closing", engine.close()).await, Ok(()));

    let lease = Lease {
        job,
        token: ByteString::from_static("1"),
    };
    let time = millis(1_000);
    assert!(is_unavailable(&queues.push(&queue, Push::new("2")).await));
    assert!(is_unavailable(&queues.reserve(&queue, 1, time, time).await));
    assert!(is_unavailable(&queues.extend(&queue, &lease, time).await));
    assert!(is_unavailable(&queues.ack(&queue, &lease).await));
    assert!(is_unavailable(
        &queues.nack(&queue, &lease, time, "".into()).await
    ));
    assert!(is_unavailable(&queues.cancel(&queue, job).await));
    assert!(is_unavailable(&queues.revive(&queue, JobId(1)).await));
    assert!(is_unavailable(
        &queues.peek(&queue, JobState::Ready, None, 1).await
    ));
    assert!(is_unavailable(&queues.counts(&queue).await));
    assert!(is_unavailable(&queues.purge(&queue, JobState::Ready).await));
    assert!(is_unavailable(&queues.names().await));
}

/// The same, for blobs and messages.
pub async fn blobs_and_bus_are_unavailable_once_closed(bed: &mut dyn TestBed) {
    let engine = bed.engine();
    let (bucket, name) = (Bucket::default(), ByteString::from_static("a"));
    let (blobs, bus) = (engine.blobs(), engine.bus());
    assert_eq!(soon("closing", engine.close()).await, Ok(()));

    assert!(is_unavailable(&blobs.put(&bucket, name.clone(), None).await));
    assert!(is_unavailable(&blobs.get(&bucket, "a", None).await));
    assert!(is_unavailable(&blobs.info(&bucket, "a").await));
    assert!(is_unavailable(&blobs.delete(&bucket, "a").await));
    assert!(is_unavailable(&blobs.list(&bucket, "", None, 1).await));
    assert!(is_unavailable(&blobs.buckets().await));
    assert!(is_unavailable(&bus.publish(name.clone(), "".into())));
    assert!(is_unavailable(&bus.subscribe(name.clone(), None).await.map(drop)));
    assert!(is_unavailable(&bus.request(name, "".into(), millis(1_000)).await));
}

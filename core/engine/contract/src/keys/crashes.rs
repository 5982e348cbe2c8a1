//! Reopening, and the end of the process.

use switchboard_engine::Key;
use switchboard_engine::keys::{BatchOutcome, Expiry, Write};

use super::Store;
use crate::TestBed;
use crate::tools::{key, millis, noise};

/// What was written is there after a reopening as it was: values, revisions, times of creation, expiries, deletions.
pub async fn everything_outlasts_reopening(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let store = Store::new(bed);
    let other = Store::new(bed);
    for number in 0..100 {
        store
            .put(format!("key {number:02}"), noise(number * 100, 3))
            .await;
    }
    for number in (0..100).step_by(3) {
        store.delete(format!("key {number:02}")).await;
    }
    let expires = bed.now().after(millis(3_600_000));
    store
        .done("expires", Write::put("1").expiring(Expiry::At(expires)))
        .await;
    other.put("key 00", "other").await;
    let before = store.scan("", 0).await;
    let other_bucket = other.bucket.clone();
    drop(other);
    let mut store = store;
    for _ in 0..3 {
        store = store.reopen(bed).await;
        assert_eq!(store.scan("", 0).await, before);
        assert_eq!(store.get("key 00").await, None);
        assert_eq!(store.count().await, before.len() as u64);
    }
    let other = Store::at(bed, other_bucket);
    assert_eq!(other.value("key 00").await, Some("other".into()));
    assert!(other.is_listed().await && store.is_listed().await);
}

/// A revision is never given again in its bucket: not after a deletion, a clearing, an expiry, or a reopening after
/// any of them.
pub async fn revisions_only_grow(bed: &mut dyn TestBed) {
    let mut store = Store::new(bed);
    let mut last = switchboard_engine::keys::Revision(0);
    for round in 0..4 {
        for name in ["a", "b", "a"] {
            let entry = store.put(name, "1").await;
            assert!(
                entry.revision > last,
                "round {round}: {} after {last}",
                entry.revision
            );
            last = entry.revision;
            store.delete(name).await;
            let again = store.put(name, "2").await;
            assert!(again.revision > last, "a deletion uses a revision up");
            last = again.revision;
        }
        match round {
            0 => {
                store.delete("a").await;
                store.delete("b").await;
            }
            1 => store.clear().await,
            _ => {
                let expires = bed.now().after(millis(1_000));
                let put = Write::put("3").expiring(Expiry::At(expires));
                store.clear().await;
                let (_, put) = store.done("a", put).await;
                last = put.expect("it was put").revision;
                bed.pass(millis(1_000)).await;
            }
        }
        if bed.abilities().outlasts_its_process {
            store = store.reopen(bed).await;
        }
    }
}

/// After the end of the process, what was flushed is there.
pub async fn what_was_flushed_outlasts_a_crash(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let mut store = Store::new(bed);
    for round in 0..3 {
        for number in 0..50 {
            store.put(format!("key {number}"), format!("{round}")).await;
        }
        store.delete(format!("key {round}")).await;
        store.flush().await;
        let before = store.scan("", 0).await;
        store = store.crash_and_reopen(bed).await;
        assert_eq!(store.scan("", 0).await, before);
        let newest = before.iter().map(|(_, entry)| entry.revision).max();
        let next = store.put("key 7", "after the crash").await;
        assert!(Some(next.revision) > newest);
    }
}

/// What a crash loses is the youngest: of writes one after the other, those that are left are the first ones, and of
/// a batch all is left or nothing.
pub async fn a_crash_loses_only_the_youngest(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    const FLUSHED: usize = 20;
    let mut store = Store::new(bed);
    let all: Vec<Key> = (0..60).map(|number| key(format!("{number:03}"))).collect();
    for (number, name) in all.iter().enumerate() {
        if bed.abilities().batches {
            let other = key([b"copy ", name.as_ref()].concat());
            let writes = vec![(name.clone(), Write::put("1")), (other, Write::put("1"))];
            let outcome = store.try_batch(writes).await.expect("writing a batch");
            assert!(matches!(outcome, BatchOutcome::Done(_)));
        } else {
            store.put(name.as_bytes(), "1").await;
        }
        if number + 1 == FLUSHED {
            store.flush().await;
        }
    }
    store = store.crash_and_reopen(bed).await;
    let left: Vec<Key> = store
        .scan("0", 0)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        left.len() >= FLUSHED,
        "{} are left of {FLUSHED} that were flushed",
        left.len()
    );
    assert_eq!(left, all[..left.len()], "what is left is the first part");
    if bed.abilities().batches {
        assert_eq!(
            store.scan("copy ", 0).await.len(),
            left.len(),
            "batches are left whole"
        );
    }
}

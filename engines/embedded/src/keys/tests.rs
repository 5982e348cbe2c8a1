//! Keys with the rounds of the commit thread made by hand, so that each test knows what is in the store and what is not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::StreamExt;
use switchboard_engine::keys::{Change, Expiry, Revision, Scan, WatchEvent, WatchFrom, Write, Written};
use switchboard_engine::{Bucket, Clock, Durability, Key, Keys, ManualClock, Timestamp};

use super::EmbeddedKeys;
use crate::commit::{Committer, Source};
use crate::store::{Batch, MemoryStore, Space, Store};

mod rounds;
mod structures;

struct Bed {
    keys: EmbeddedKeys,
    store: Arc<MemoryStore>,
    clock: ManualClock,
    number: u64,
}

impl Bed {
    fn new() -> Self {
        Self::over(Arc::default(), usize::MAX)
    }

    fn over(store: Arc<MemoryStore>, memory_bytes: usize) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        let number = super::fold_all(&*store, 0, false).unwrap();
        let committer = Committer::new(Arc::clone(&store) as Arc<dyn Store>, Durability::Second);
        let keys = EmbeddedKeys::open(&committer, Arc::new(clock.clone()), memory_bytes, false).unwrap();
        Self {
            keys,
            store,
            clock,
            number,
        }
    }

    /// One round. Tells how many records it wrote.
    fn round(&mut self) -> usize {
        let mut batch = Batch::default();
        self.keys.shared.collect(&mut batch);
        self.number += 1;
        self.store.write(&batch, self.number).unwrap();
        self.keys.shared.stored();
        self.keys.shared.tick();
        batch.len()
    }

    fn write(&self, bucket: &str, name: &str, write: Write) -> Written {
        let answer = self.keys.write(&self::bucket(bucket), key(name), write);
        answer.now_or_never().expect("it is in memory").unwrap()
    }

    fn put(&self, name: &str, value: &str) -> Revision {
        self.put_in("default", name, value)
    }

    fn put_in(&self, bucket: &str, name: &str, value: &str) -> Revision {
        match self.write(bucket, name, Write::put(value.to_owned())) {
            Written::Done { after, .. } => after.unwrap().revision,
            unmet => panic!("{unmet:?}"),
        }
    }

    fn delete(&self, bucket: &str, name: &str) {
        self.write(bucket, name, Write::delete());
    }

    fn get(&self, name: &str) -> Option<Bytes> {
        let answer = self.keys.get(&Bucket::default(), name.as_bytes());
        let entry = answer.now_or_never().expect("the store is quick").unwrap();
        entry.map(|entry| entry.value)
    }

    fn stored(&self, space: Space) -> usize {
        crate::store::with_prefix(&*self.store.view(), space, b"").count()
    }

    fn hot(&self) -> usize {
        let mut count = 0;
        self.keys
            .shared
            .lanes
            .iter()
            .for_each(|lane| lane.visit(|_| count += 1));
        count
    }
}

fn bucket(name: &str) -> Bucket {
    Bucket::new(name.to_owned()).unwrap()
}

fn key(name: &str) -> Key {
    Key::new(name.to_owned()).unwrap()
}

#[test]
fn a_key_that_changes_often_is_written_once_a_round() {
    let mut bed = Bed::new();
    for _ in 0..1_000 {
        bed.write("default", "counter", Write::change(Change::Increment(1)));
    }
    // The key and its bucket.
    assert_eq!(bed.round(), 2);
    assert_eq!(bed.round(), 0);
    for _ in 0..10 {
        bed.write("default", "counter", Write::change(Change::Increment(1)));
    }
    assert_eq!(bed.round(), 2);
    assert_eq!(bed.get("counter").unwrap(), "1010");
}

#[test]
fn what_came_and_went_within_a_round_is_not_written() {
    let mut bed = Bed::new();
    bed.put("stays", "1");
    bed.round();
    bed.put("short", "1");
    bed.delete("default", "short");
    // Only that the bucket's revisions went on.
    assert_eq!(bed.round(), 1);
    assert_eq!((bed.stored(Space::Keys), bed.hot()), (1, 1));
}

#[test]
fn expiries_are_listed_as_they_are() {
    let mut bed = Bed::new();
    let until = |millis| Expiry::At(Timestamp::from_millis(millis));
    let touch = |expiry| Write::change(Change::Touch).expiring(expiry);
    bed.write("default", "a", Write::put("1").expiring(until(5_000)));
    bed.write("default", "b", Write::put("1").expiring(until(6_000)));
    bed.round();
    assert_eq!(bed.stored(Space::Expiries), 2);
    bed.write("default", "a", touch(until(7_000)));
    bed.write("default", "a", touch(until(8_000)));
    bed.write("default", "b", touch(Expiry::Never));
    bed.round();
    assert_eq!(bed.stored(Space::Expiries), 1);
    bed.clock.advance(Duration::from_millis(6_999));
    bed.round();
    assert!(bed.get("a").is_some() && bed.get("b").is_some());
    bed.clock.advance(Duration::from_millis(1));
    assert!(bed.get("a").is_none(), "it has expired");
    bed.round();
    bed.round();
    assert_eq!((bed.stored(Space::Expiries), bed.stored(Space::Keys)), (0, 1));
}

#[test]
fn a_bucket_is_in_the_store_while_it_has_keys() {
    let mut bed = Bed::new();
    bed.put_in("other", "a", "1");
    let last = bed.put_in("other", "b", "1");
    bed.round();
    assert_eq!(bed.stored(Space::Buckets), 1);
    bed.delete("other", "a");
    bed.delete("other", "b");
    bed.round();
    assert_eq!((bed.stored(Space::Buckets), bed.stored(Space::Keys)), (0, 0));

    let again = Bed::over(Arc::clone(&bed.store), usize::MAX);
    let next = again.put_in("other", "a", "1");
    assert!(next.0 > last.0 + 2, "{next} after {last} and two deletions");
}

#[test]
fn idle_buckets_are_forgotten_and_their_revisions_go_on() {
    let mut bed = Bed::new();
    let mut last = Revision(0);
    for number in 0..1_200 {
        let name = format!("bucket-{number}");
        last = bed.put_in(&name, "a", "1");
        bed.delete(&name, "a");
    }
    let shared = Arc::clone(&bed.keys.shared);
    shared.buckets.retire_idle(|| shared.lock_all());
    let known = |name| shared.buckets.find(&bucket(name)).is_some();
    assert!(
        known("bucket-7"),
        "what is to be written of it is not in the store yet"
    );
    bed.round();
    shared.buckets.retire_idle(|| shared.lock_all());
    assert!(!known("bucket-7"));
    assert!(bed.put_in("bucket-7", "a", "1") > last);
    assert_eq!(bed.keys.count(&bucket("bucket-7")).now_or_never().unwrap(), Ok(1));
}

#[tokio::test]
async fn what_is_in_the_store_is_dropped_when_memory_is_short() {
    let mut bed = Bed::over(Arc::default(), 200_000);
    let names: Vec<String> = (0..5_000).map(|number| format!("key {number}")).collect();
    for name in &names {
        bed.put(name, name);
    }
    assert_eq!(bed.hot(), 5_000, "what is not in the store cannot be dropped");
    bed.round();
    bed.round();
    let hot = bed.hot();
    assert!(hot < 2_000, "{hot} keys are in memory");
    for name in &names {
        let entry = bed.keys.get(&Bucket::default(), name.as_bytes()).await.unwrap();
        assert_eq!(entry.unwrap().value, name);
    }
    assert_eq!(bed.keys.get(&Bucket::default(), b"never").await, Ok(None));
    bed.round();
    assert!(bed.hot() < 2_000);
}

#[tokio::test]
async fn what_is_read_often_stays_in_memory() {
    let mut bed = Bed::over(Arc::default(), 300_000);
    let put = async |bed: &Bed, name: String| {
        let written = bed.keys.write(&Bucket::default(), key(&name), Write::put("1"));
        written.await.unwrap();
    };
    put(&bed, "often".to_owned()).await;
    for number in 0..10_000 {
        put(&bed, format!("key {number}")).await;
        if number % 100 == 0 {
            bed.keys.get(&Bucket::default(), b"often").await.unwrap().unwrap();
            bed.round();
        }
    }
    assert!(bed.hot() < 5_000);
    let mut is_hot = false;
    for lane in bed.keys.shared.lanes.iter() {
        lane.visit(|slot| is_hot |= slot.key() == b"often");
    }
    assert!(is_hot);
}

#[tokio::test]
async fn a_scan_finds_what_is_in_the_store_being_written_and_unwritten() {
    let mut bed = Bed::new();
    for name in ["a", "c", "e", "g"] {
        bed.put(name, "stored");
    }
    bed.round();
    for name in ["b", "c"] {
        bed.put(name, "being written");
    }
    bed.delete("default", "g");
    bed.keys.shared.collect(&mut Batch::default());
    for name in ["c", "d", "z"] {
        bed.put(name, "unwritten");
    }
    bed.delete("default", "e");
    let seen = async |limit| {
        let mut scan = Scan {
            limit,
            values: true,
            ..Scan::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = bed.keys.scan(&Bucket::default(), scan.clone()).await.unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            seen.extend(
                page.entries
                    .iter()
                    .map(|(key, entry)| (text(key.as_ref()), text(&entry.value))),
            );
            match page.cursor {
                Some(cursor) => scan.after = Some(cursor),
                None => return seen,
            }
        }
    };
    let expected = [
        ("a", "stored"),
        ("b", "being written"),
        ("c", "unwritten"),
        ("d", "unwritten"),
        ("z", "unwritten"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    for limit in [0, 1, 2, 5] {
        assert_eq!(seen(limit).await, expected, "{limit}");
    }
}

#[tokio::test]
async fn a_watch_that_is_overtaken_begins_anew() {
    let bed = Bed::new();
    let mut watch = bed
        .keys
        .watch(&Bucket::default(), "".into(), WatchFrom::Now)
        .await
        .unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Current { .. }))));
    bed.put("first", "1");
    let value = "x".repeat(100_000);
    for number in 0..200 {
        bed.put(&format!("key {}", number % 3), &value);
    }
    assert_eq!(watch.next().await, Some(Ok(WatchEvent::Reset)));
    let mut told = Vec::new();
    while let Some(Ok(WatchEvent::Put { key, .. })) = watch.next().await {
        told.push(key);
    }
    assert_eq!(told, ["first", "key 0", "key 1", "key 2"].map(key));
}

#[tokio::test]
async fn a_watch_goes_on_where_another_ended() {
    let bed = Bed::new();
    let first = bed.put("a", "1");
    let from = |from| bed.keys.watch(&Bucket::default(), "".into(), from);
    let mut watch = from(WatchFrom::After(first)).await.unwrap();
    assert_eq!(
        watch.next().await,
        Some(Ok(WatchEvent::Current { revision: first }))
    );
    drop(watch);
    let second = bed.put("b", "1");
    bed.delete("default", "a");
    let mut watch = from(WatchFrom::After(first)).await.unwrap();
    let revision_of = |event| match event {
        Some(Ok(WatchEvent::Put { entry, .. })) => entry.revision,
        Some(Ok(WatchEvent::Delete {
            revision,
            expired: false,
            ..
        })) => revision,
        other => panic!("{other:?}"),
    };
    assert_eq!(revision_of(watch.next().await), second);
    let third = revision_of(watch.next().await);
    assert_eq!(
        watch.next().await,
        Some(Ok(WatchEvent::Current { revision: third }))
    );
    // What is not known of is not guessed.
    for unknown in [Revision(0), Revision(third.0 + 1)] {
        let mut watch = from(WatchFrom::After(unknown)).await.unwrap();
        assert_eq!(watch.next().await, Some(Ok(WatchEvent::Reset)), "{unknown}");
    }
}

#[tokio::test]
async fn after_a_restart_nothing_is_told_twice() {
    let mut bed = Bed::new();
    let last = bed.put("a", "1");
    bed.round();
    let again = Bed::over(Arc::clone(&bed.store), usize::MAX);
    let from = |revision| {
        again
            .keys
            .watch(&Bucket::default(), "".into(), WatchFrom::After(revision))
    };
    let mut watch = from(last).await.unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Current { .. }))));
    let next = again.put("b", "1");
    match watch.next().await {
        Some(Ok(WatchEvent::Put { entry, .. })) => assert_eq!(entry.revision, next),
        other => panic!("{other:?}"),
    }
}

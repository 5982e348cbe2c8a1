//! Watches.

use futures_util::StreamExt;
use switchboard_engine::keys::{Revision, WatchEvent, WatchFrom, Write};

use super::Store;
use super::follower::{Follower, skip_current};
use crate::TestBed;
use crate::tools::{in_the_end, key, next, nothing, soon};

/// More changes than any engine keeps for a reader who does not read, with values of so many bytes: 30 MB in all.
const CHANGES_MANY: usize = 30_000;
const CHANGED_BYTES: usize = 1_000;

/// How many of them are one batch, so that they take no time to speak of.
const CHANGES_AT_ONCE: usize = 100;

/// A watch of everything brings what there is, in the order of keys, then says so, then what changes, in the order of
/// revisions.
pub async fn a_watch_of_everything_brings_what_there_is(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let b = store.put("b", "2").await;
    let a = store.put("a", "1").await;
    store.put("deleted", "3").await;
    store.delete("deleted").await;
    let mut watch = store.watch("", WatchFrom::Everything).await;
    for (name, entry) in [("a", a.clone()), ("b", b)] {
        let put = WatchEvent::Put {
            key: key(name),
            entry,
        };
        assert_eq!(next("what there is", &mut watch).await, Ok(put));
    }
    match next("the end of what there is", &mut watch).await {
        Ok(WatchEvent::Current { revision }) => assert!(revision >= a.revision),
        other => panic!("all has been said, but there came {other:?}"),
    }
    let entry = store.put("a", "3").await;
    let put = WatchEvent::Put {
        key: key("a"),
        entry: entry.clone(),
    };
    assert_eq!(next("a change", &mut watch).await, Ok(put));
    store.delete("a").await;
    match next("a deletion", &mut watch).await {
        Ok(WatchEvent::Delete {
            key: gone,
            revision,
            expired: false,
        }) => {
            assert_eq!(gone, key("a"));
            assert!(revision > entry.revision);
        }
        other => panic!("a was deleted, but there came {other:?}"),
    }
    nothing("nothing changed", &mut watch).await;
}

/// A watch of an empty bucket says at once that this was all, and hears of the first key.
pub async fn a_watch_of_nothing_is_current_at_once(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut follower = Follower::start(&store, "", WatchFrom::Everything).await;
    assert!(matches!(follower.step().await, WatchEvent::Current { .. }));
    store.put("a", "1").await;
    follower.until_told(&store).await;
    follower.agrees(&store).await;
}

/// A watch from now on brings nothing of what there is, and all that is written once it has begun.
pub async fn a_watch_from_now_brings_only_changes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("old", "1").await;
    let mut follower = Follower::start(&store, "", WatchFrom::Now).await;
    store.put("new", "1").await;
    follower.until_told(&store).await;
    assert!(follower.knows("new") && !follower.knows("old"));
    store.put("old", "2").await;
    follower.until_told(&store).await;
    assert!(follower.knows("old"));
    assert_eq!(follower.resets, 0);
}

/// A watch brings only what is under its prefix, in its bucket.
pub async fn a_watch_keeps_to_its_prefix_and_bucket(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let other = Store::new(bed);
    for prefix in ["user:", "user:1"] {
        let mut follower = Follower::start(&store, prefix, WatchFrom::Everything).await;
        for name in ["user", "user:", "user:1", "user:12", "user;", "uses"] {
            store.put(name, "1").await;
            other.put(name, "2").await;
        }
        store.delete("user").await;
        store.put("user:12", "last").await;
        follower.until_told(&store).await;
        follower.drain().await;
        follower.agrees(&store).await;
    }
}

/// A watch after a revision brings all that has changed since, deletions too, or says that everything follows.
pub async fn a_watch_after_a_revision_misses_nothing(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for name in ["stays", "changes", "goes"] {
        store.put(name, "1").await;
    }
    let mut follower = Follower::start(&store, "", WatchFrom::Everything).await;
    follower.until_current().await;
    store.put("seen", "1").await;
    follower.until_told(&store).await;
    let seen = follower.revision;

    store.put("changes", "2").await;
    store.delete("goes").await;
    store.put("comes", "1").await;
    let mut resumed = follower.stop().resume(&store).await;
    resumed.until_told(&store).await;
    resumed.agrees(&store).await;
    assert!(resumed.revision > seen);

    let mut from_first = Follower::start(&store, "", WatchFrom::After(Revision(0))).await;
    from_first.until_told(&store).await;
    from_first.agrees(&store).await;
}

/// A watch after a revision works after a reopening as before it.
pub async fn a_watch_goes_on_after_reopening(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let store = Store::new(bed);
    for name in ["stays", "changes", "goes"] {
        store.put(name, "1").await;
    }
    let mut follower = Follower::start(&store, "", WatchFrom::Everything).await;
    follower.until_told(&store).await;
    let memory = follower.stop();
    store.delete("goes").await;
    let store = store.reopen(bed).await;
    store.put("changes", "2").await;
    let mut resumed = memory.resume(&store).await;
    resumed.until_told(&store).await;
    resumed.agrees(&store).await;
    store.delete("stays").await;
    store.put("last", "1").await;
    resumed.until_told(&store).await;
    resumed.agrees(&store).await;
}

/// A watch that nobody reads holds up no writer, and when it is read after all, tells the last change of every key.
pub async fn a_watch_that_was_not_read_tells_the_last_of_every_key(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("goes early", "1").await;
    let mut follower = Follower::start(&store, "", WatchFrom::Everything).await;
    store.put("comes early", "1").await;
    store.delete("goes early").await;
    let changes = (0..CHANGES_MANY).map(|number| {
        let write = match number % 7 {
            3 => Write::delete(),
            _ => Write::put(format!("{number:0CHANGED_BYTES$}")),
        };
        (key(format!("key {:02}", number % 40)), write)
    });
    if bed.abilities().batches {
        let changes: Vec<_> = changes.collect();
        for some in changes.chunks(CHANGES_AT_ONCE) {
            store.try_batch(some.to_vec()).await.expect("writing a batch");
        }
    } else {
        // One by one, an engine that is slow gets fewer.
        for (name, write) in changes.take(bed.abilities().cases as usize * 1_000) {
            store.write(name, write).await;
        }
    }
    store.put("last", "1").await;
    follower.until_told(&store).await;
    follower.agrees(&store).await;
    store.put("key 01", "after that").await;
    follower.until_told(&store).await;
    follower.agrees(&store).await;
}

/// Every one of many watches hears of every key.
pub async fn many_watches_all_hear(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut followers = Vec::new();
    for _ in 0..50 {
        followers.push(Follower::start(&store, "", WatchFrom::Now).await);
    }
    for number in 0..20 {
        store.put(format!("key {number}"), "1").await;
    }
    for follower in &mut followers {
        follower.until_told(&store).await;
        follower.agrees(&store).await;
    }
}

/// Clearing a bucket is told to its watchers.
pub async fn a_clearing_is_told(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for number in 0..50 {
        store.put(format!("key {number}"), "1").await;
    }
    let mut follower = Follower::start(&store, "", WatchFrom::Everything).await;
    follower.until_current().await;
    store.clear().await;
    store.put("last", "1").await;
    follower.until_told(&store).await;
    follower.agrees(&store).await;
}

/// Closing the engine ends its watches.
pub async fn a_watch_ends_with_its_engine(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("a", "1").await;
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    soon("closing", store.engine.close()).await.expect("closing");
    assert_eq!(soon("the end of a watch", watch.next()).await, None);
}

/// What is written at one hub is told to the watches of another, and seen there soon.
pub async fn another_hub_hears_and_sees(bed: &mut dyn TestBed) {
    let Some(engine) = bed.second_hub().await else {
        return;
    };
    let here = Store::new(bed);
    let there = Store {
        engine,
        bucket: here.bucket.clone(),
    };
    let mut follower = Follower::start(&there, "", WatchFrom::Everything).await;
    for number in 0..20 {
        here.put(format!("key {number}"), "1").await;
    }
    here.delete("key 3").await;
    let last = here.put("key 4", "last").await;
    while follower.revision < last.revision {
        follower.step().await;
    }
    follower.agrees(&here).await;
    in_the_end(bed, "the other hub sees it", async || {
        there.get("key 4").await.as_ref() == Some(&last)
    })
    .await;
    let mine = there.put("key 4", "there").await;
    assert!(mine.revision > last.revision);
}

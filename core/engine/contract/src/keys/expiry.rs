//! Expiry.

use std::time::Duration;

use switchboard_engine::keys::{Change, Condition, Expiry, WatchEvent, WatchFrom, Write, Written};
use switchboard_engine::{Clock, Timestamp};

use super::Store;
use super::follower::Follower;
use crate::TestBed;
use crate::tools::{in_the_end, key, millis};

/// The time that keys of these properties live: short enough to wait for, and long enough not to end by accident
/// where time cannot be held.
const LIFE: Duration = millis(1_500);

/// Lets the time pass but, where the clock is ours, gives the engine no chance to clear up: what has expired is gone
/// by itself.
async fn unnoticed(bed: &mut dyn TestBed, time: Duration) {
    match bed.clock() {
        Some(clock) => clock.advance(time),
        None => bed.pass(time).await,
    }
}

fn put_until(value: &'static str, moment: Timestamp) -> Write {
    Write::put(value).expiring(Expiry::At(moment))
}

/// A key is there up to the millisecond before it expires, and gone from that millisecond on: for get, get of many,
/// and scan, before anybody has cleared it up.
pub async fn expired_is_gone_from_its_millisecond_on(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let moment = bed.now().after(LIFE);
    let (_, put) = store.done("a", put_until("1", moment)).await;
    store.put("b", "2").await;
    assert_eq!(put.as_ref().expect("it was put").expires, Some(moment));
    if bed.clock().is_some() {
        unnoticed(bed, LIFE - millis(1)).await;
    }
    assert_eq!(store.get("a").await, put);
    assert_eq!(store.names().await, [key("a"), key("b")]);
    let left = if bed.clock().is_some() { millis(1) } else { LIFE };
    unnoticed(bed, left).await;
    assert_eq!(store.get("a").await, None);
    assert_eq!(store.get_many(&[key("a")]).await, [None]);
    assert_eq!(store.names().await, [key("b")]);
}

/// For conditions and for every change, what has expired is absent.
pub async fn expired_is_absent_for_writes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let moment = bed.now().after(LIFE);
    let mut revisions = Vec::new();
    for name in [
        "absent", "present", "at", "integer", "float", "append", "touch", "delete",
    ] {
        let (_, put) = store.done(name, put_until("5", moment)).await;
        revisions.push(put.expect("it was put").revision);
    }
    let born = bed.now();
    unnoticed(bed, LIFE).await;

    let unmet = Written::Unmet { current: None };
    let put = Write::put("new");
    assert_eq!(
        store.write("present", put.clone().when(Condition::Present)).await,
        unmet
    );
    let at = Condition::At(revisions[2]);
    assert_eq!(store.write("at", put.clone().when(at)).await, unmet);
    assert_eq!(
        store.done("touch", Write::change(Change::Touch)).await,
        (None, None)
    );
    assert_eq!(store.done("delete", Write::delete()).await, (None, None));
    for (name, write, value) in [
        (
            "absent",
            Write::change(Change::Put("new".into())).when(Condition::Absent),
            "new",
        ),
        ("integer", Write::change(Change::Increment(1)), "1"),
        ("float", Write::change(Change::IncrementFloat(1.0)), "1"),
        ("append", Write::change(Change::Append("x".into())), "x"),
    ] {
        let (before, after) = store.done(name, write).await;
        let after = after.expect("it was written");
        assert_eq!(before, None, "{name}");
        assert_eq!(
            (&after.value[..], after.expires),
            (value.as_bytes(), None),
            "{name}"
        );
        assert!(after.created > born, "{name} came to be anew");
        assert!(after.revision > revisions[7], "{name} has a revision of its own");
    }
}

/// What has expired is soon not counted any more, and a watcher hears that it expired, once.
pub async fn expired_is_cleared_up_and_told(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("stays", "1").await;
    let moment = bed.now().after(LIFE);
    let mut last = None;
    for number in 0..20 {
        let (_, put) = store.done(format!("key {number}"), put_until("1", moment)).await;
        last = put;
    }
    let mut watch = store.watch("", WatchFrom::Now).await;
    bed.pass(LIFE).await;
    in_the_end(bed, "what has expired is not counted", async || {
        store.count().await == 1
    })
    .await;

    let last = last.expect("it was put").revision;
    let mut told = Vec::new();
    while told.len() < 20 {
        match crate::tools::next("an expiry", &mut watch)
            .await
            .expect("watching")
        {
            WatchEvent::Current { .. } => {}
            WatchEvent::Delete {
                key,
                revision,
                expired: true,
            } if revision > last => told.push(key),
            other => panic!("20 keys expired, but there came {other:?}"),
        }
    }
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 20, "each expiry is told once");
}

/// Put sets the expiry that it brings, and other writes keep it, clear it, or move it either way.
pub async fn expiry_is_kept_cleared_and_moved(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let soon = bed.now().after(LIFE);
    let later = bed.now().after(LIFE * 1_000);
    let touch = |expiry| Write::change(Change::Touch).expiring(expiry);
    for (name, write, expires) in [
        ("kept", Write::change(Change::Put("2".into())), Some(soon)),
        ("put", Write::put("2"), None),
        ("never", touch(Expiry::Never), None),
        ("later", touch(Expiry::At(later)), Some(later)),
    ] {
        store.done(name, put_until("1", soon)).await;
        let (_, after) = store.done(name, write).await;
        assert_eq!(after.expect("it is there").expires, expires, "{name}");
        assert_eq!(
            store.get(name).await.expect("it is there").expires,
            expires,
            "{name}"
        );
    }
    store.done("sooner", put_until("1", later)).await;
    store.done("sooner", touch(Expiry::At(soon))).await;

    bed.pass(LIFE).await;
    in_the_end(bed, "the expired are cleared up", async || {
        store.count().await == 3
    })
    .await;
    assert_eq!(store.names().await, [key("later"), key("never"), key("put")]);
}

/// A write with an expiry that has passed deletes, this very millisecond included.
pub async fn expiring_in_the_past_deletes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut follower = Follower::start(&store, "", WatchFrom::Everything).await;
    for past in [Timestamp::from_millis(0), Timestamp::from_millis(1), bed.now()] {
        for change in [
            Change::Put("2".into()),
            Change::Touch,
            Change::Increment(1),
            Change::Delete,
        ] {
            let put = store.put("a", "1").await;
            let write = Write::change(change.clone()).expiring(Expiry::At(past));
            assert_eq!(
                store.done("a", write.clone()).await,
                (Some(put), None),
                "{change:?}"
            );
            assert_eq!(store.get("a").await, None);
            assert_eq!(
                store.done("a", write).await,
                (None, None),
                "{change:?} of nothing"
            );
            assert_eq!(store.get("a").await, None);
        }
    }
    assert_eq!(store.count().await, 0);
    store.put("last", "1").await;
    follower.until_told(&store).await;
    assert!(!follower.knows("a"), "a watcher hears that it is gone");
}

/// What expires follows the wall clock, whichever way it jumps.
pub async fn expiry_follows_the_wall_clock(bed: &mut dyn TestBed) {
    let Some(clock) = bed.clock() else { return };
    let store = Store::new(bed);
    let day = millis(24 * 3_600_000);
    let moment = clock.now().after(LIFE);
    store.done("a", put_until("1", moment)).await;
    clock.jump_to(Timestamp::from_millis(clock.now().as_millis() - 86_400_000));
    bed.pass(LIFE * 2).await;
    assert!(
        store.get("a").await.is_some(),
        "time that was set back does not end it"
    );
    clock.jump_to(Timestamp::from_millis(moment.as_millis() - 1));
    bed.pass(Duration::ZERO).await;
    assert!(store.get("a").await.is_some(), "its time has not come");
    clock.jump_to(moment);
    assert!(store.get("a").await.is_none(), "its time has come by a jump");

    store.done("b", put_until("1", clock.now().after(day))).await;
    clock.jump_to(clock.now().after(day));
    bed.pass(Duration::ZERO).await;
    in_the_end(bed, "what a jump made expire is cleared up", async || {
        store.count().await == 0
    })
    .await;
}

/// The expiry outlasts a reopening; what expires meanwhile is gone.
pub async fn expiry_outlasts_reopening(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let store = Store::new(bed);
    let soon = bed.now().after(LIFE);
    let later = bed.now().after(LIFE * 4);
    store.done("soon", put_until("1", soon)).await;
    store.done("later", put_until("1", later)).await;
    unnoticed(bed, LIFE).await;
    let store = store.reopen(bed).await;
    assert_eq!(store.get("soon").await, None);
    assert_eq!(store.names().await, [key("later")]);
    assert_eq!(
        store.get("later").await.expect("it is there").expires,
        Some(later)
    );
    bed.pass(LIFE * 3).await;
    in_the_end(bed, "it expires after the reopening", async || {
        store.count().await == 0
    })
    .await;
    assert_eq!(store.get("later").await, None);
}

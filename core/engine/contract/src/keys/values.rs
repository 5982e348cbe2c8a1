//! Values, and what else a key has.

use bytes::Bytes;
use switchboard_engine::keys::{Change, Expiry, WatchFrom, Write};
use switchboard_engine::names::KEY_BYTES_MAX;
use switchboard_engine::{Bucket, EngineError, Key};

use super::Store;
use crate::TestBed;
use crate::tools::{in_the_end, key, millis, noise, nothing};

/// What was put is there, for whoever has the answer of the put; what was not is not.
pub async fn what_was_put_is_there(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    assert_eq!(store.get("a").await, None);
    for round in 0..50 {
        let value = format!("value {round}");
        let told = store.put("a", value.clone()).await;
        let seen = store.get("a").await.expect("it was put");
        assert_eq!(seen, told, "the answer of a write tells what is there now");
        assert_eq!(seen.value, value);
        assert_eq!(seen.expires, None);
    }
    assert_eq!(store.get("b").await, None);
}

/// A write tells what its key had before, and has now.
pub async fn writes_tell_before_and_after(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let (before, first) = store.done("a", Write::put("1")).await;
    assert_eq!(before, None);
    let (before, second) = store.done("a", Write::put("2")).await;
    assert_eq!(before, first);
    let (before, none) = store.done("a", Write::delete()).await;
    assert_eq!((before, none), (second, None));
}

/// A value may be empty, and that is not the same as absent.
pub async fn an_empty_value_is_a_value(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("a", "").await;
    assert_eq!(store.value("a").await, Some(Bytes::new()));
    assert_eq!(store.names().await, [key("a")]);
    assert_eq!(store.count().await, 1);
}

/// A deleted key has nothing; deleting it again changes nothing, and no watcher hears of that.
pub async fn deleting_nothing_is_nothing(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("a", "1").await;
    store.delete("a").await;
    assert_eq!(store.get("a").await, None);

    let mut watch = store.watch("", WatchFrom::Now).await;
    let nothing_happened = (None, None);
    assert_eq!(store.done("a", Write::delete()).await, nothing_happened);
    assert_eq!(store.done("never", Write::delete()).await, nothing_happened);
    super::follower::skip_current(&mut watch).await;
    nothing("nothing was deleted", &mut watch).await;
}

/// Append adds to the end; an absent value counts as empty; the expiry stays.
pub async fn append_adds_to_the_end(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let expires = bed.now().after(millis(3_600_000));
    let append = |text: &'static str| Write::change(Change::Append(Bytes::from_static(text.as_bytes())));
    store.done("a", append("one").expiring(Expiry::At(expires))).await;
    let (_, after) = store.done("a", append(" two")).await;
    let after = after.expect("it is there");
    assert_eq!(
        (&after.value[..], after.expires),
        (&b"one two"[..], Some(expires))
    );
    store.done("a", append("")).await;
    assert_eq!(store.value("a").await, Some("one two".into()));
}

/// Touch leaves the value and changes the expiry; where there is nothing, nothing happens.
pub async fn touch_changes_only_the_expiry(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let expires = bed.now().after(millis(3_600_000));
    let touch = Write::change(Change::Touch).expiring(Expiry::At(expires));
    assert_eq!(store.done("a", touch.clone()).await, (None, None));
    assert_eq!(store.get("a").await, None);

    let first = store.put("a", "1").await;
    let (before, after) = store.done("a", touch).await;
    assert_eq!(before.as_ref(), Some(&first));
    let after = after.expect("it is still there");
    assert_eq!(
        (after.value, after.expires, after.created),
        (first.value, Some(expires), first.created)
    );
    assert!(after.revision > first.revision, "a touch is a write");
}

/// `created` is of the first write since the key was absent, `revision` of the last one.
pub async fn created_is_when_it_came_to_be(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let begun = bed.now();
    let first = store.put("a", "1").await;
    assert!((begun..=bed.now()).contains(&first.created), "{first:?}");
    bed.pass(millis(10)).await;
    let second = store.put("a", "2").await;
    assert_eq!(second.created, first.created);
    assert!(second.revision > first.revision);
    store.delete("a").await;
    bed.pass(millis(10)).await;
    let third = store.put("a", "3").await;
    assert!(third.created > first.created, "{third:?} after {first:?}");
}

/// Keys are any bytes: each byte, alone and within, names a key of its own, and keys are ordered by their bytes.
pub async fn keys_are_any_bytes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut names: Vec<Vec<u8>> = Vec::new();
    for byte in 0..=255 {
        names.push(vec![byte]);
        names.push(vec![b'k', byte, b'k']);
    }
    for awkward in [
        "a", "a.b", "a b", "a*", ">", "a/../b", "$KV", "\r\n", "ä", "a\u{0}", "=2F", "%2F",
    ] {
        names.push(awkward.repeat(2).into_bytes());
    }
    for name in &names {
        store.put(name, name.clone()).await;
    }
    for name in &names {
        assert_eq!(store.value(name).await.as_deref(), Some(&name[..]), "{name:?}");
    }
    names.sort();
    let seen: Vec<Vec<u8>> = store
        .names()
        .await
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    assert_eq!(seen, names);
}

/// A key may be as long as the bound says, and each byte of it counts.
pub async fn keys_may_be_long(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let long = vec![b'k'; KEY_BYTES_MAX];
    let mut other = long.clone();
    other[KEY_BYTES_MAX - 1] = b'l';
    store.put(&long, "long").await;
    store.put(&other, "other").await;
    assert_eq!(store.value(&long).await, Some("long".into()));
    assert_eq!(store.value(&other).await, Some("other".into()));
    assert_eq!(store.value(&long[1..]).await, None);
    assert_eq!(store.scan(&long[..KEY_BYTES_MAX - 1], 1).await.len(), 2);
    store.delete(&long).await;
    assert_eq!(store.names().await, [key(&other)]);
}

/// What can be no key is not there, and asking for it does no harm.
pub async fn what_is_no_key_is_not_there(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for illegal in [vec![], vec![b'k'; KEY_BYTES_MAX + 1]] {
        let outcome = store.engine.keys().get(&store.bucket, &illegal).await;
        assert!(
            matches!(
                outcome,
                Ok(None) | Err(EngineError::Invalid(_) | EngineError::TooLarge(_))
            ),
            "{outcome:?}"
        );
    }
}

/// Values up to the limit are kept whole; over it, put and append are too large, and change nothing.
pub async fn values_have_a_limit(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let max = bed.abilities().value_bytes_max;
    let largest = noise(max, 1);
    store.put("a", largest.clone()).await;
    let seen = store.value("a").await.expect("it was put");
    assert!(seen == largest, "the largest value is kept whole");
    drop(seen);

    let too_large = |outcome| matches!(outcome, Err(EngineError::TooLarge(_)));
    let over = Bytes::from(vec![0; max + 1]);
    assert!(too_large(store.try_write("b", Write::put(over)).await));
    assert_eq!(store.get("b").await, None);
    let append = Write::change(Change::Append("x".into()));
    assert!(too_large(store.try_write("a", append).await));
    let seen = store.value("a").await.expect("it is still there");
    assert!(seen == largest, "what was too large has changed nothing");
}

/// Buckets are apart, also where one's name begins with the other's.
pub async fn buckets_are_apart(bed: &mut dyn TestBed) {
    let one = Store::new(bed);
    let longer = Bucket::new(format!("{}.a", one.bucket)).expect("a plain name");
    let other = Store::at(bed, longer);
    one.put("a", "1").await;
    other.put("a", "2").await;
    other.put(".aa", "3").await;
    assert_eq!(one.value("a").await, Some("1".into()));
    assert_eq!(one.count().await, 1);
    one.clear().await;
    assert_eq!(one.get("a").await, None);
    assert_eq!(other.names().await, [key(".aa"), key("a")]);
}

/// A bucket is listed for as long as it holds something, and buckets come in order.
pub async fn buckets_are_listed_while_they_hold_something(bed: &mut dyn TestBed) {
    let stores: Vec<Store> = (0..5).map(|_| Store::new(bed)).collect();
    for store in stores.iter().rev() {
        assert!(!store.is_listed().await);
        store.put("a", "1").await;
        assert!(store.is_listed().await);
    }
    stores[0].delete("a").await;
    stores[1].clear().await;
    let expires = bed.now().after(millis(1_000));
    let touch = Write::change(Change::Touch).expiring(Expiry::At(expires));
    stores[2].done("a", touch).await;
    bed.pass(millis(1_000)).await;
    for gone in &stores[..3] {
        in_the_end(bed, "an empty bucket is not listed", async || {
            !gone.is_listed().await
        })
        .await;
    }
    assert!(stores[3].is_listed().await && stores[4].is_listed().await);
}

/// Clear deletes every key, and keys can be put again afterwards.
pub async fn clear_deletes_every_key(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut last = store.put("last", "0").await.revision;
    for number in 0..1_500 {
        last = store.put(format!("key {number}"), "1").await.revision;
    }
    assert_eq!(store.count().await, 1_501);
    store.clear().await;
    assert_eq!((store.count().await, store.names().await), (0, vec![]));
    store.clear().await;
    let again = store.put("last", "1").await;
    assert!(again.revision > last, "revisions go on after a clearing");
    assert_eq!(store.names().await, [key("last")]);
}

/// Several keys are read in the order they were asked for, the absent and the repeated ones too.
pub async fn many_are_read_in_their_order(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let a = store.put("a", "1").await;
    let b = store.put("b", "2").await;
    let names: Vec<Key> = ["b", "never", "a", "b"].into_iter().map(key).collect();
    let seen = store.get_many(&names).await;
    assert_eq!(seen, [Some(b.clone()), None, Some(a), Some(b)]);
    assert_eq!(store.get_many(&[]).await, []);
}

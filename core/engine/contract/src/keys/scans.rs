//! Scans.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use switchboard_engine::EngineError;
use switchboard_engine::keys::{SCAN_BYTES_MAX, SCAN_ENTRIES_MAX, Scan, Write};

use super::Store;
use crate::TestBed;
use crate::tools::{explore, key, noise};

/// Short keys of few different bytes, the ends of the range among them.
pub(super) fn short_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, b'a', b'b', 254, 255]), 1..5)
}

/// A scan brings the keys under its prefix, after its cursor, in the order of their bytes, each once, whatever the size
/// of its pages.
pub async fn scans_are_ordered_and_complete(bed: &mut dyn TestBed) {
    let keys = prop::collection::btree_set(short_key(), 0..40);
    let prefix = prop::collection::vec(prop::sample::select(vec![0, b'a', 255]), 0..3);
    let strategy = (keys, prefix, prop::option::of(short_key()), 1_usize..9);
    explore(bed, &strategy, async |bed, (keys, prefix, after, limit)| {
        let store = Store::new(bed);
        for name in &keys {
            store.put(name, name.clone()).await;
        }
        let under: Vec<Vec<u8>> = keys
            .into_iter()
            .filter(|name| name.starts_with(&prefix))
            .collect();
        let all = store.scan(&prefix, limit).await;
        assert!(all.iter().all(|(name, entry)| name.as_bytes() == entry.value));
        let seen: Vec<Vec<u8>> = all.iter().map(|(name, _)| name.as_bytes().to_vec()).collect();
        assert_eq!(seen, under);

        let page = store
            .page(Scan {
                prefix: prefix.into(),
                after: after.clone().map(key),
                limit,
                values: true,
            })
            .await;
        let expected = under.into_iter().filter(|name| Some(name) > after.as_ref());
        let expected: Vec<Vec<u8>> = expected.take(limit).collect();
        let seen: Vec<Vec<u8>> = page
            .entries
            .iter()
            .map(|(name, _)| name.as_bytes().to_vec())
            .collect();
        assert_eq!(seen, expected);
    });
}

/// A page has as many entries as were asked for, and never more than the bound; 0 stands for the bound; a page with
/// nothing after it has no cursor.
pub async fn pages_keep_to_their_limits(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let all = SCAN_ENTRIES_MAX + 10;
    for number in 0..all {
        store.put(format!("{number:05}"), "1").await;
    }
    for limit in [1, 2, SCAN_ENTRIES_MAX] {
        let page = store
            .page(Scan {
                limit,
                ..Scan::default()
            })
            .await;
        assert_eq!(page.entries.len(), limit);
        assert!(page.cursor.is_some(), "there is more");
    }
    assert_eq!(store.page(Scan::default()).await.entries.len(), SCAN_ENTRIES_MAX);
    let over = Scan {
        limit: SCAN_ENTRIES_MAX + 1,
        ..Scan::default()
    };
    match store.engine.keys().scan(&store.bucket, over).await {
        Ok(page) => assert_eq!(page.entries.len(), SCAN_ENTRIES_MAX),
        Err(error) => assert!(matches!(
            error,
            EngineError::Invalid(_) | EngineError::TooLarge(_)
        )),
    }
    assert_eq!(store.scan("", 0).await.len(), all);
    let rest = Scan {
        after: Some(key(format!("{:05}", all - 5))),
        ..Scan::default()
    };
    let page = store.page(rest).await;
    assert_eq!((page.entries.len(), page.cursor), (4, None));
}

/// A page ends after its bytes are over the bound, and holds at least one entry.
pub async fn pages_are_bounded_in_bytes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let value = noise(SCAN_BYTES_MAX / 3 + 1, 7)
        .slice(..(SCAN_BYTES_MAX / 3 + 1).min(bed.abilities().value_bytes_max));
    for number in 0..20 {
        store.put(format!("{number:02}"), value.clone()).await;
    }
    let mut seen = Vec::new();
    let mut scan = Scan {
        values: true,
        ..Scan::default()
    };
    loop {
        let page = store.page(scan.clone()).await;
        let (_, but_the_last) = page.entries.split_last().expect("a page has an entry");
        let bytes: usize = but_the_last
            .iter()
            .map(|(name, entry)| name.as_bytes().len() + entry.value.len())
            .sum();
        assert!(
            bytes <= SCAN_BYTES_MAX,
            "a page of {bytes} bytes and one more entry"
        );
        seen.extend(page.entries.into_iter().map(|(name, _)| name));
        match page.cursor {
            Some(cursor) => scan.after = Some(cursor),
            None => break,
        }
    }
    let expected: Vec<_> = (0..20).map(|number| key(format!("{number:02}"))).collect();
    assert_eq!(seen, expected);
}

/// One entry larger than a whole page is a page.
pub async fn an_entry_larger_than_a_page_is_a_page(bed: &mut dyn TestBed) {
    if bed.abilities().value_bytes_max <= SCAN_BYTES_MAX {
        return;
    }
    let store = Store::new(bed);
    store.put("a", "small").await;
    store.put("b", vec![1; SCAN_BYTES_MAX + 1]).await;
    store.put("c", "small").await;
    let sizes: Vec<usize> = store
        .scan("", 0)
        .await
        .iter()
        .map(|(_, entry)| entry.value.len())
        .collect();
    assert_eq!(sizes, [5, SCAN_BYTES_MAX + 1, 5]);
}

/// Without values a scan tells all else that keys have.
pub async fn scans_without_values_tell_the_rest(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut put = store.put("a", "1").await;
    put.value = Bytes::new();
    let page = store.page(Scan::default()).await;
    assert_eq!(page.entries, [(key("a"), put)]);
}

/// Of a bucket without keys, and under a prefix of none, a scan brings nothing.
pub async fn scans_of_nothing_end_at_once(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let page = store.page(Scan::default()).await;
    assert_eq!((page.entries.len(), page.cursor), (0, None));
    store.put("a", "1").await;
    assert_eq!(store.scan("b", 0).await, []);
    assert_eq!(store.scan([255; 3], 0).await, []);
}

/// A scan of many pages sees each key that is there all along exactly once, whatever is put and deleted meanwhile,
/// its cursor's key included.
pub async fn scans_see_what_stays_while_others_write(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let stays: BTreeSet<_> = (0..300).map(|number| key(format!("{number:04} stays"))).collect();
    for name in &stays {
        store.put(name.as_bytes(), "1").await;
    }
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0_usize.. {
                let name = format!("{:04} goes", round * 7 % 300);
                store.put(&name, "1").await;
                store.put(format!("{:04} stays", round * 11 % 300), "2").await;
                store.delete(&name).await;
                tokio::task::yield_now().await;
            }
        })
    };
    for limit in [1, 7, 100] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store
                .page(Scan {
                    after: after.clone(),
                    limit,
                    ..Scan::default()
                })
                .await;
            for (name, _) in page.entries {
                assert!(seen.last() < Some(&name), "{name:?} is out of order");
                seen.push(name);
            }
            match page.cursor {
                Some(cursor) => {
                    if !stays.contains(&cursor) {
                        store.write(cursor.as_bytes(), Write::delete()).await;
                    }
                    after = Some(cursor);
                }
                None => break,
            }
        }
        let seen: BTreeSet<_> = seen
            .into_iter()
            .filter(|name| name.as_bytes().ends_with(b"stays"))
            .collect();
        assert_eq!(seen, stays);
    }
    writing.abort();
    let _ = writing.await;
}

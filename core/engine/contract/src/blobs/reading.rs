//! Reading and listing.

use std::ops::Range;

use futures_util::StreamExt;
use proptest::prelude::*;
use switchboard_engine::EngineError;
use switchboard_engine::blobs::{LIST_MAX, PART_BYTES_MAX};

use super::{BIG, Shelf, rest};
use crate::TestBed;
use crate::tools::{explore, noise, soon};

/// A range brings the bytes in it; what of it lies beyond the end is left out; an empty or a reversed one brings none.
pub async fn ranges_bring_their_bytes(bed: &mut dyn TestBed) {
    const SIZE: usize = PART_BYTES_MAX * 2 + 1_000;
    let shelf = Shelf::new(bed);
    let content = noise(SIZE, 8);
    let told = shelf.put("a", &content).await;
    shelf.put("empty", &"".into()).await;
    let part = PART_BYTES_MAX as u64;
    let size = SIZE as u64;
    let edge = prop_oneof![
        prop::sample::select(vec![
            0,
            1,
            part - 1,
            part,
            part + 1,
            size - 1,
            size,
            size + 1,
            u64::MAX
        ]),
        0..size
    ];
    let (shelf, told, content) = (&shelf, &told, &content);
    explore(bed, &(edge.clone(), edge), async |_, (start, end)| {
        let range: Range<u64> = start..end;
        match soon(
            "a reader",
            shelf.engine.blobs().get(&shelf.bucket, "a", Some(range)),
        )
        .await
        {
            Ok(Some(reader)) => {
                assert_eq!(&reader.info, told, "the info is of the whole");
                let from = start.min(size) as usize;
                let to = (end.min(size) as usize).max(from);
                let seen = rest(reader).await.expect("reading");
                assert!(seen == content.slice(from..to), "{start}..{end}");
            }
            Ok(None) => panic!("it is there"),
            Err(error) => assert!(
                start >= end && matches!(error, EngineError::Invalid(_)),
                "{error}"
            ),
        }
        let reader = shelf.open("empty", Some(0..end)).await.expect("it is there");
        assert_eq!(rest(reader).await, Ok("".into()));
    });
    assert!(shelf.open("never", Some(0..1)).await.is_none());
}

/// Whoever reads a blob while it is replaced or deleted reads the old one to its end, or gets an error: never a mixture,
/// and never less without an error.
pub async fn a_reader_keeps_to_the_blob_it_opened(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    for (number, replaced) in [true, false].into_iter().enumerate() {
        let old = noise(BIG, number as u64 + 10);
        let told = shelf.put("a", &old).await;
        let mut reader = shelf.open("a", None).await.expect("it is there");
        let unread = shelf.open("a", None).await.expect("it is there");
        let first = soon("a part", reader.parts.next())
            .await
            .expect("there is more")
            .expect("reading");
        let new = noise(BIG + 1, 20);
        if replaced {
            shelf.put("a", &new).await;
        } else {
            assert!(shelf.delete("a").await);
        }
        assert_eq!(reader.info, told);
        for (begun, reader) in [(first, reader), (bytes::Bytes::new(), unread)] {
            if let Ok(rest) = rest(reader).await {
                let seen = [begun, rest].concat();
                assert!(
                    seen == old,
                    "{} bytes are not the blob that was opened",
                    seen.len()
                );
            }
        }
        let there = shelf.read("a").await;
        assert!(there == replaced.then_some(new));
    }
}

/// A reader may be dropped at any time, and many may read at once.
pub async fn many_may_read_at_once(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let content = noise(BIG / 10, 9);
    shelf.put("a", &content).await;
    drop(shelf.open("a", None).await);
    let mut dropped = shelf.open("a", None).await.expect("it is there");
    assert!(soon("a part", dropped.parts.next()).await.is_some());
    drop(dropped);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let shelf = shelf.clone();
        readers.spawn(async move { shelf.read("a").await });
    }
    while let Some(read) = soon("the end of a reader", readers.join_next()).await {
        assert!(read.expect("a reader").as_ref() == Some(&content));
    }
    assert!(shelf.delete("a").await);
}

/// Lists come in the order of names' bytes, under a prefix, after a name that need not be there, in pages.
pub async fn lists_come_in_order_and_pages(bed: &mut dyn TestBed) {
    let shelf = Shelf::new(bed);
    let mut names = vec!["a", "a/1", "a/2", "a/10", "a0", "b", "ä", "B", "a/", "a/2/x"];
    for name in &names {
        shelf.put(name, &"1".into()).await;
    }
    names.sort();
    for prefix in ["", "a", "a/", "a/2", "b", "c", "ä"] {
        for after in [None, Some("a/1"), Some("a/15"), Some("zz"), Some("\u{10ffff}")] {
            let expected: Vec<&str> = names
                .iter()
                .copied()
                .filter(|name| name.starts_with(prefix) && Some(*name) > after)
                .collect();
            for limit in [1, 3, LIST_MAX] {
                let page = shelf.list(prefix, after, limit).await;
                let seen: Vec<&str> = page.iter().map(|info| &info.name[..]).collect();
                let expected = &expected[..expected.len().min(limit)];
                assert_eq!(seen, expected, "{prefix:?} after {after:?}");
            }
        }
    }
    let whole = shelf.list("", None, LIST_MAX).await;
    assert_eq!(whole[0], shelf.info(names[0]).await.expect("it is there"));
}

/// What was put at one hub is read at another.
pub async fn another_hub_reads_it(bed: &mut dyn TestBed) {
    let Some(engine) = bed.second_hub().await else {
        return;
    };
    let here = Shelf::new(bed);
    let there = Shelf {
        engine,
        bucket: here.bucket.clone(),
    };
    let content = noise(BIG / 10, 11);
    let told = here.put("a", &content).await;
    assert_eq!(there.info("a").await, Some(told));
    assert!(there.read("a").await == Some(content));
    assert!(there.delete("a").await);
    assert_eq!(here.info("a").await, None);
}

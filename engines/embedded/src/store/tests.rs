//! Both stores keep what they promise, and a store on disk says so when it cannot.

use super::*;

const OPTIONS: fjall::FjallOptions = fjall::FjallOptions {
    cache_bytes: 1024 * 1024,
    required: 0,
    accept_loss: false,
};

fn filled(changes: &[(&[u8], Option<&[u8]>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(Space::Keys, key, value),
            None => batch.delete(Space::Keys, key),
        }
    }
    batch
}

fn keys(view: &dyn View, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<Vec<u8>> {
    view.range(Space::Keys, from, to)
        .map(|record| record.unwrap().0.to_vec())
        .collect()
}

fn each_store(run: impl Fn(&dyn Store)) {
    run(&MemoryStore::default());
    let directory = tempfile::tempdir().unwrap();
    run(&FjallStore::create(directory.path(), OPTIONS).unwrap());
}

#[test]
fn what_was_written_is_read() {
    each_store(|store| {
        let large = vec![7; 100_000];
        store
            .write(&filled(&[(b"a", Some(b"1")), (b"b", Some(&large))]), 1)
            .unwrap();
        store
            .write(&filled(&[(b"a", Some(b"2")), (b"c", Some(b"")), (b"b", None)]), 2)
            .unwrap();
        assert_eq!(store.get(Space::Keys, b"a").unwrap().unwrap(), "2");
        assert_eq!(store.get(Space::Keys, b"c").unwrap().unwrap(), "");
        assert_eq!(store.get(Space::Keys, b"b").unwrap(), None);
        assert_eq!(store.get(Space::Expiries, b"a").unwrap(), None, "another space");
    });
}

#[test]
fn ranges_stay_within_their_space_and_bounds() {
    each_store(|store| {
        let mut batch = filled(&[
            (b"a", Some(b"")),
            (b"b", Some(b"")),
            (b"\xff", Some(b"")),
            (b"\xff\xff", Some(b"")),
        ]);
        batch.put(Space::Expiries, b"b", b"");
        batch.put(Space::Engine, b"b", b"");
        store.write(&batch, 1).unwrap();
        let view = store.view();
        use Bound::{Excluded, Included, Unbounded};
        assert_eq!(keys(&*view, Unbounded, Unbounded).len(), 4);
        assert_eq!(
            keys(&*view, Excluded(b"a"), Unbounded),
            [&b"b"[..], b"\xff", b"\xff\xff"]
        );
        assert_eq!(keys(&*view, Included(b"a"), Excluded(b"b")), [b"a"]);
        assert_eq!(
            keys(&*view, Excluded(b"b"), Included(b"a")),
            Vec::<Vec<u8>>::new()
        );
        assert_eq!(
            keys(&*view, Excluded(b"a"), Excluded(b"a")),
            Vec::<Vec<u8>>::new()
        );
        assert_eq!(with_prefix(&*view, Space::Keys, b"\xff").count(), 2);
        assert_eq!(with_prefix(&*view, Space::Keys, b"").count(), 4);
    });
}

#[test]
fn the_last_change_of_a_key_in_a_batch_counts() {
    each_store(|store| {
        store
            .write(
                &filled(&[(b"a", Some(b"1")), (b"a", None), (b"a", Some(b"3"))]),
                1,
            )
            .unwrap();
        assert_eq!(store.get(Space::Keys, b"a").unwrap().unwrap(), "3");
        store
            .write(&filled(&[(b"a", Some(b"4")), (b"a", None)]), 2)
            .unwrap();
        assert_eq!(store.get(Space::Keys, b"a").unwrap(), None);
    });
}

#[test]
fn a_store_is_opened_again_with_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let store = FjallStore::create(path, OPTIONS).unwrap();
    for number in 1..=20 {
        store
            .write(&filled(&[(b"n", Some(&[number as u8]))]), number)
            .unwrap();
        if number % 7 == 0 {
            store.settle().unwrap();
        }
    }
    assert_eq!(store.mend().unwrap(), 20);
    store.write(&filled(&[(b"n", Some(b"last"))]), 21).unwrap();
    drop(store);
    for _ in 0..2 {
        let (store, found) = FjallStore::open(path, OPTIONS).unwrap();
        assert_eq!((found.number, found.repaired), (21, None));
        assert_eq!(store.get(Space::Keys, b"n").unwrap().unwrap(), "last");
    }
}

#[test]
fn the_first_key_after_a_prefix() {
    assert_eq!(after_prefix(b"ab").unwrap(), b"ac");
    assert_eq!(after_prefix(b"a\xff\xff").unwrap(), b"b");
    assert_eq!(after_prefix(b"\xff"), None);
    assert_eq!(after_prefix(b""), None);
}

/// A closed store with the commits 1 to 20 in its journal, the first 10 in tables too, and where each commit ends.
fn with_journal(path: &std::path::Path) -> (std::path::PathBuf, Vec<usize>) {
    let journal = path.join("0.jnl");
    let used = || {
        let bytes = std::fs::read(&journal).unwrap();
        bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1)
    };
    let store = FjallStore::create(path, OPTIONS).unwrap();
    let mut ends = vec![0];
    for number in 1..=20 {
        store
            .write(&filled(&[(&[number as u8], Some(b"v"))]), number)
            .unwrap();
        ends.push(used());
        if number == 10 {
            store.settle().unwrap();
        }
    }
    store.close();
    (journal, ends)
}

fn damage(path: &std::path::Path) -> String {
    match FjallStore::open(path, OPTIONS) {
        Err(StoreError::Damaged(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commits_that_are_missing_in_between_are_missed() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ends) = with_journal(directory.path());
    let bytes = std::fs::read(&journal).unwrap();
    // The journal begins after what the tables have.
    std::fs::write(&journal, &bytes[ends[14]..ends[20]]).unwrap();
    let reason = damage(directory.path());
    assert!(reason.contains("commits 11 to 14"), "{reason}");
    // A commit was taken out of it.
    std::fs::write(
        &journal,
        [&bytes[..ends[14]], &bytes[ends[15]..ends[20]]].concat(),
    )
    .unwrap();
    let complete = FjallOptions {
        required: 20,
        ..OPTIONS
    };
    let outcome = FjallStore::open(directory.path(), complete);
    assert!(
        matches!(&outcome, Err(StoreError::Damaged(reason)) if reason.contains("0.jnl")),
        "{outcome:?}"
    );
    // It begins with what the tables have too, which is as it should be.
    std::fs::write(&journal, &bytes[ends[5]..]).unwrap();
    let (store, found) = FjallStore::open(directory.path(), OPTIONS).unwrap();
    assert_eq!(found.number, 20);
    assert_eq!(
        store
            .view()
            .range(Space::Keys, Bound::Unbounded, Bound::Unbounded)
            .count(),
        20
    );
}

#[test]
fn a_commit_with_another_place_in_time_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, ends) = with_journal(directory.path());
    let bytes = std::fs::read(&journal).unwrap();
    for commit in [1, 12, 19] {
        // The sequence number stands after the first byte and the count.
        for bit in (0..64).step_by(7) {
            let mut changed = bytes.clone();
            changed[ends[commit - 1] + 5 + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&journal, &changed).unwrap();
            let required = FjallOptions {
                required: 20,
                ..OPTIONS
            };
            match FjallStore::open(directory.path(), required) {
                Err(StoreError::Damaged(reason)) => assert!(reason.contains("sequence"), "{reason}"),
                // Nothing came in between, so the order is the same.
                Ok((_, found)) => assert_eq!(found.number, 20),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_journal_that_is_missing_between_others_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = with_journal(directory.path());
    std::fs::copy(&journal, directory.path().join("2.jnl")).unwrap();
    let reason = damage(directory.path());
    assert!(reason.contains("1.jnl is missing"), "{reason}");
    std::fs::rename(directory.path().join("2.jnl"), directory.path().join("x.jnl")).unwrap();
    let reason = damage(directory.path());
    assert!(reason.contains("x.jnl"), "{reason}");
}

//! Values that are not plain.

use bytes::Bytes;
use switchboard_engine::keys::{
    Change, Condition, Entry, Expiry, Scan, WatchEvent, WatchFrom, Write, Written,
};
use switchboard_engine::names::VALUE_BYTES_MAX;
use switchboard_engine::structures::Structure;
use switchboard_engine::{EngineError, Kind};

use super::Store;
use super::follower::skip_current;
use crate::TestBed;
use crate::tools::{in_the_end, key, millis, next};

/// A structure of that kind with so many elements; none for plain values.
fn some(kind: Kind, count: u32) -> Option<Structure> {
    let mut structure = Structure::new(kind)?;
    for number in 0..count {
        let name = number.to_string();
        match &mut structure {
            Structure::Hash(hash) => {
                hash.insert(name.as_bytes(), b"value");
            }
            Structure::List(list) => list.push_back(name.as_bytes()),
            Structure::Set(set) => {
                set.insert(name.as_bytes());
            }
            Structure::SortedSet(set) => {
                set.insert(name.as_bytes(), f64::from(number % 7) - 0.5);
            }
        }
    }
    Some(structure)
}

/// One of each kind but plain.
fn structures(count: u32) -> impl Iterator<Item = Structure> {
    Kind::ALL.into_iter().filter_map(move |kind| some(kind, count))
}

fn put(structure: &Structure) -> Change {
    Change::PutStructure {
        kind: structure.kind(),
        encoded: structure.encode().into(),
    }
}

fn name(structure: &Structure) -> String {
    format!("a {}", structure.kind())
}

/// The same entry where no value is asked for.
fn without_value(entry: &Entry) -> Entry {
    Entry {
        value: Bytes::new(),
        ..entry.clone()
    }
}

fn has(entry: &Entry, structure: &Structure) {
    assert_eq!(entry.kind, structure.kind());
    let decoded = Structure::decode(entry.kind, &entry.value);
    assert_eq!(decoded.as_ref(), Ok(structure));
}

/// A structure that was put is there as it was, with its kind: by get, by get of many, and in scans. Where no value is
/// asked for, there is none.
pub async fn a_structure_comes_back_as_it_was_put(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    let mut all = Vec::new();
    for structure in structures(100) {
        let name = name(&structure);
        let (before, after) = store.done(&name, Write::change(put(&structure))).await;
        assert_eq!(before, None);
        let after = after.expect("it was put");
        let got = store.get(&name).await.expect("it is there");
        has(&got, &structure);
        assert_eq!(after, without_value(&got), "what a write tells has no structure");
        let event = next("a put", &mut watch).await.expect("watching");
        let told = WatchEvent::Put {
            key: key(&name),
            entry: after.clone(),
        };
        assert_eq!(event, told, "what a watch tells has no structure");
        let unmet = Write::delete().when(Condition::Absent);
        let current = Some(after.clone());
        assert_eq!(store.write(&name, unmet).await, Written::Unmet { current });
        all.push((key(&name), got, structure));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<_> = all.iter().map(|(name, ..)| name.clone()).collect();
    for (found, (_, _, structure)) in store.get_many(&names).await.iter().zip(&all) {
        has(found.as_ref().expect("it is there"), structure);
    }
    for ((name, entry), (expected, _, structure)) in store.scan("", 0).await.iter().zip(&all) {
        assert_eq!(name, expected);
        has(entry, structure);
    }
    let page = store.page(Scan::default()).await;
    let seen = all
        .iter()
        .map(|(name, entry, _)| (name.clone(), without_value(entry)));
    assert_eq!(page.entries, seen.collect::<Vec<_>>());
    let mut later = store.watch("", WatchFrom::Everything).await;
    for (name, entry, _) in all {
        let event = next("what there is", &mut later).await.expect("watching");
        let entry = without_value(&entry);
        assert_eq!(event, WatchEvent::Put { key: name, entry });
    }
}

/// Whatever a key has, a put sets something else in its place; it is the same key, with the same creation.
pub async fn kinds_take_the_place_of_each_other(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let created = store.put("a", "plain").await.created;
    for first in structures(3) {
        for second in structures(2) {
            for structure in [&first, &second] {
                store.done("a", Write::change(put(structure))).await;
                let entry = store.get("a").await.expect("it is there");
                has(&entry, structure);
                assert_eq!(entry.created, created);
            }
        }
        let plain = store.put("a", "plain").await;
        assert_eq!((plain.kind, plain.created), (Kind::Plain, created));
        assert_eq!(store.value("a").await, Some("plain".into()));
    }
    assert_eq!(store.count().await, 1);
}

/// Structures are not incremented and not appended to: the kind is told, and nothing is changed. An unmet condition comes
/// first.
pub async fn only_plain_values_are_incremented_and_appended_to(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for structure in structures(3) {
        let name = name(&structure);
        store.done(&name, Write::change(put(&structure))).await;
        let there = store.get(&name).await;
        for change in [
            Change::Increment(1),
            Change::IncrementFloat(1.0),
            Change::Append("x".into()),
        ] {
            let write = Write::change(change);
            let refused = store.try_write(&name, write.clone()).await;
            assert_eq!(
                refused,
                Err(EngineError::WrongKind(structure.kind())),
                "{write:?}"
            );
            let unmet = store.write(&name, write.when(Condition::Absent)).await;
            assert!(matches!(unmet, Written::Unmet { .. }), "{unmet:?}");
            assert_eq!(store.get(&name).await, there);
        }
    }
}

/// Conditions, touches and expiries are for structures what they are for plain values.
pub async fn structures_have_conditions_and_expiries(bed: &mut dyn TestBed) {
    const LIFE: std::time::Duration = millis(1_500);
    let store = Store::new(bed);
    let soon = bed.now().after(LIFE);
    for structure in structures(3) {
        let name = name(&structure);
        let write = Write::change(put(&structure)).expiring(Expiry::At(soon));
        let absent = write.clone().when(Condition::Absent);
        let (_, first) = store.done(&name, absent.clone()).await;
        let first = first.expect("it was put");
        assert_eq!(first.expires, Some(soon));
        let unmet = store.write(&name, absent).await;
        assert!(matches!(unmet, Written::Unmet { .. }), "{unmet:?}");
        let later = Expiry::At(soon.after(LIFE * 100));
        let touch = Write::change(Change::Touch).when(Condition::At(first.revision));
        let (_, touched) = store.done(&name, touch.expiring(later)).await;
        assert!(touched.expect("it is there").revision > first.revision);
        let there = store.get(&name).await.expect("it is there");
        has(&there, &structure);
        let (_, kept) = store.done(&name, Write::change(put(&structure))).await;
        assert_eq!(
            kept.expect("it is there").expires,
            there.expires,
            "a change keeps it"
        );
        let at_first = Write::delete().when(Condition::At(first.revision));
        let unmet = store.write(&name, at_first).await;
        assert!(matches!(unmet, Written::Unmet { .. }), "{unmet:?}");
        store.done(&name, write).await;
    }
    bed.pass(LIFE).await;
    for structure in structures(3) {
        assert_eq!(store.get(name(&structure)).await, None);
    }
    in_the_end(bed, "what has expired is not counted", async || {
        store.count().await == 0
    })
    .await;
}

/// To put a structure of nothing is to delete.
pub async fn putting_an_empty_structure_deletes(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    for kind in structures(1).map(|structure| structure.kind()) {
        let nothing = Write::change(Change::PutStructure {
            kind,
            encoded: Bytes::new(),
        });
        assert_eq!(store.done("a", nothing.clone()).await, (None, None));
        store.put("a", "1").await;
        let (before, after) = store.done("a", nothing).await;
        assert_eq!((before.is_some(), after), (true, None), "{kind}");
        assert_eq!(store.get("a").await, None);
        assert_eq!(store.count().await, 0);
    }
}

/// What is no encoding of a structure is damaged; what is larger than the engine can hold is too large. Nothing is changed.
pub async fn what_is_no_structure_is_refused(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let there = store.put("a", "1").await;
    for structure in structures(3) {
        let mut encoded = structure.encode();
        encoded.pop();
        let write = Write::change(Change::PutStructure {
            kind: structure.kind(),
            encoded: encoded.into(),
        });
        let refused = store.try_write("a", write).await;
        assert!(matches!(refused, Err(EngineError::Damaged(_))), "{refused:?}");
    }
    let plain = Write::change(Change::PutStructure {
        kind: Kind::Plain,
        encoded: "x".into(),
    });
    let refused = store.try_write("a", plain).await;
    assert!(matches!(refused, Err(EngineError::Damaged(_))), "{refused:?}");
    // The limit of structures themselves takes more memory than a test should.
    let bytes = bed.abilities().value_bytes_max;
    if bytes < VALUE_BYTES_MAX {
        let mut large = switchboard_engine::structures::List::default();
        large.push_back(&vec![b'x'; bytes]);
        let large = Write::change(put(&Structure::List(large)));
        let refused = store.try_write("a", large).await;
        assert!(matches!(refused, Err(EngineError::TooLarge(_))), "{refused:?}");
    }
    assert_eq!(store.get("a").await, Some(there));
}

/// Structures are there after a reopening and, once flushed, after a crash.
pub async fn structures_outlast_reopening_and_crashes(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    let mut store = Store::new(bed);
    for structure in structures(500) {
        store.done(name(&structure), Write::change(put(&structure))).await;
    }
    let before = store.scan("", 0).await;
    store.flush().await;
    for round in 0..4 {
        store = match round % 2 {
            0 => store.reopen(bed).await,
            _ => store.crash_and_reopen(bed).await,
        };
        for structure in structures(500) {
            let entry = store.get(name(&structure)).await.expect("it is there");
            has(&entry, &structure);
        }
        let after = store.scan("", 0).await;
        let told = |all: &[(_, Entry)]| -> Vec<_> {
            all.iter()
                .map(|(_, entry)| (entry.revision, entry.created))
                .collect()
        };
        assert_eq!(told(&after), told(&before));
    }
}

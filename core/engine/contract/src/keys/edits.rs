//! Edits: one at a time.

use std::time::Duration;

use switchboard_engine::keys::{Cells, Expiry, WatchEvent, WatchFrom, Write};
use switchboard_engine::{EngineError, Key, Kind};

use super::Store;
use super::editing::{count, number};
use super::follower::skip_current;
use crate::TestBed;
use crate::tools::{in_the_end, key, millis, next, nothing};

/// How long keys of these properties live.
const LIFE: Duration = millis(1_500);

/// An edit sees what its key has, and what it makes of that is there afterwards, as one write; the key is the same.
pub async fn an_edit_sees_and_changes_its_key(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store
        .edit("plain", |cell| {
            assert_eq!((cell.kind(), cell.revision(), cell.expires()), (None, None, None));
            cell.put("one");
            Ok(())
        })
        .await;
    let first = store.get("plain").await.expect("it was put");
    let (revision, created) = (first.revision, first.created);
    bed.pass(millis(10)).await;
    store
        .edit("plain", move |cell| {
            assert_eq!(cell.plain(), Ok(Some(&b"one"[..])));
            assert_eq!((cell.revision(), cell.created()), (Some(revision), Some(created)));
            cell.put("two");
            Ok(())
        })
        .await;
    let second = store.get("plain").await.expect("it is there");
    assert_eq!((&second.value[..], second.created), (&b"two"[..], created));
    assert!(second.revision > revision);

    for element in [&b"a"[..], b"b", b"c"] {
        store
            .edit("list", move |cell| {
                cell.list_mut()?.push_back(element);
                Ok(())
            })
            .await;
    }
    let element = store
        .edit("list", |cell| {
            assert_eq!(cell.plain(), Err(EngineError::WrongKind(Kind::List)));
            assert_eq!(cell.hash_mut().err(), Some(EngineError::WrongKind(Kind::List)));
            Ok(cell.list_mut()?.pop_front())
        })
        .await;
    assert_eq!(element.as_deref(), Some(&b"a"[..]));
    assert_eq!(store.list("list").await, [b"b", b"c"]);
    let revisions = store.scan("", 0).await;
    assert!(revisions[0].1.revision > second.revision, "every edit is a write");
    // Another kind in its place.
    store
        .edit("list", |cell| {
            cell.remove();
            cell.sorted_set_mut()?.insert(b"m", 2.5);
            Ok(())
        })
        .await;
    let score = store
        .edit("list", |cell| {
            Ok(cell.sorted_set()?.and_then(|set| set.score(b"m")))
        })
        .await;
    assert_eq!(score, Some(2.5));
}

/// An edit that leaves all as it was is no write: no revision is used, and nobody is told. So it is with the keys that
/// it only looked at.
pub async fn what_an_edit_leaves_alone_is_not_written(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("plain", "1").await;
    store
        .edit("set", |cell| Ok(cell.set_mut()?.insert(b"member")))
        .await;
    let before = store.scan("", 0).await;
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    for changes in [false, true] {
        let keys = ["plain", "set", "absent"].map(key).to_vec();
        let seen = store.edit_as(Some(keys), changes, |cells| {
            let plain = number(cells.cell(&key("plain"))?)?;
            let set = cells.cell(&key("set"))?.set()?.map(|set| set.len());
            let absent = cells.cell(&key("absent"))?.kind();
            Ok((plain, set, absent))
        });
        assert_eq!(seen.await, Ok((1, Some(1), None)));
    }
    for name in ["set", "absent"] {
        store
            .edit(name, |cell| {
                Ok(cell.set()?.is_some() && cell.set_mut()?.insert(b"member"))
            })
            .await;
    }
    store.edit("absent", |cell| Ok(cell.remove())).await;
    // A structure that was begun, and got nothing.
    store.edit("absent", |cell| Ok(cell.list_mut()?.pop_back())).await;
    assert_eq!(store.scan("", 0).await, before);
    nothing("nothing was changed", &mut watch).await;
    if !bed.abilities().batches {
        return;
    }
    let edited = store.try_edit(&["plain", "set", "absent", "count"], |cells| {
        let there = cells.cell(&key("set"))?.is_present() && !cells.cell(&key("absent"))?.is_present();
        assert!(there && cells.cell(&key("plain"))?.is_present());
        count(cells.cell(&key("count"))?)
    });
    assert_eq!(edited.await, Ok(1));
    let event = next("the one change", &mut watch).await.expect("watching");
    assert!(matches!(event, WatchEvent::Put { key: name, .. } if name == key("count")));
    nothing("the others were only looked at", &mut watch).await;
    for (name, entry) in before {
        assert_eq!(store.get(&name).await, Some(entry), "{name:?}");
    }
    assert_eq!(store.get("absent").await, None);
}

/// An edit sets, moves and clears the expiry, and sees what has expired as absent. A moment that has come removes.
pub async fn edits_set_and_clear_the_expiry(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let soon = bed.now().after(LIFE);
    for (name, structure) in [("a plain", false), ("b list", true), ("c cleared", true)] {
        store
            .edit(name, move |cell| {
                match structure {
                    true => cell.list_mut()?.push_back(b"x"),
                    false => cell.put("x"),
                }
                cell.set_expires(Some(soon));
                Ok(())
            })
            .await;
        assert_eq!(store.get(name).await.expect("it is there").expires, Some(soon));
        // What changes keeps it.
        store
            .edit(name, move |cell| {
                assert_eq!(cell.expires(), Some(soon));
                match structure {
                    true => cell.list_mut()?.push_back(b"y"),
                    false => cell.put("y"),
                }
                Ok(())
            })
            .await;
        assert_eq!(store.get(name).await.expect("it is there").expires, Some(soon));
    }
    store
        .edit("c cleared", |cell| {
            cell.set_expires(None);
            Ok(())
        })
        .await;
    assert_eq!(store.get("c cleared").await.expect("it is there").expires, None);
    assert_eq!(store.list("c cleared").await, [b"x", b"y"]);

    let now = bed.now();
    for structure in [false, true] {
        store
            .edit("d past", move |cell| {
                match structure {
                    true => cell.list_mut()?.push_back(b"x"),
                    false => cell.put("x"),
                }
                Ok(())
            })
            .await;
        store
            .edit("d past", move |cell| {
                cell.set_expires(Some(now));
                Ok(())
            })
            .await;
        assert_eq!(store.get("d past").await, None);
    }

    bed.pass(LIFE).await;
    let kinds = store
        .look(&["a plain", "b list", "c cleared"], |cells| {
            kinds(cells, &["a plain", "b list", "c cleared"])
        })
        .await;
    assert_eq!(kinds, [None, None, Some(Kind::List)]);
    store
        .edit("b list", |cell| {
            assert_eq!(cell.expires(), None);
            cell.list_mut()?.push_back(b"new");
            Ok(())
        })
        .await;
    let list = store.get("b list").await.expect("it is there anew");
    assert_eq!(list.expires, None);
    assert_eq!(store.list("b list").await, [b"new"]);
    in_the_end(bed, "what has expired is not counted", async || {
        store.count().await == 2
    })
    .await;
}

fn kinds(cells: &mut Cells<'_>, names: &[&str]) -> switchboard_engine::Result<Vec<Option<Kind>>> {
    names
        .iter()
        .map(|name| Ok(cells.cell(&key(name))?.kind()))
        .collect()
}

/// A structure that an edit leaves empty is gone, for everybody; one that is filled again in the same edit is not.
pub async fn what_is_empty_is_absent(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store
        .edit("hash", |cell| Ok(cell.hash_mut()?.insert(b"f", b"v")))
        .await;
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    let was = store
        .edit("hash", |cell| {
            let was = cell.hash_mut()?.remove(b"f");
            assert_eq!(cell.kind(), None, "what is empty is absent in the same edit, too");
            cell.hash_mut()?.insert(b"g", b"w");
            Ok(was)
        })
        .await;
    assert!(was);
    let event = next("a put", &mut watch).await.expect("watching");
    assert!(
        matches!(&event, WatchEvent::Put { entry, .. } if entry.kind == Kind::Hash && entry.value.is_empty()),
        "{event:?}"
    );
    store.edit("hash", |cell| Ok(cell.hash_mut()?.remove(b"g"))).await;
    let event = next("a deletion", &mut watch).await.expect("watching");
    assert!(
        matches!(&event, WatchEvent::Delete { expired: false, .. }),
        "{event:?}"
    );
    assert_eq!(store.get("hash").await, None);
    assert_eq!((store.count().await, store.names().await), (0, Vec::new()));
    let absent = Write::put("1").when(switchboard_engine::keys::Condition::Absent);
    store.done("hash", absent).await;
}

/// What is taken out of one key and placed in another is whole there, with its expiry, in place of what was there.
pub async fn what_is_taken_is_placed_whole(bed: &mut dyn TestBed) {
    if !bed.abilities().batches {
        return;
    }
    let store = Store::new(bed);
    let expires = bed.now().after(LIFE * 1_000);
    store
        .edit("from", move |cell| {
            (0..100_u8).for_each(|number| cell.list_mut().expect("a list").push_back(&[number]));
            cell.set_expires(Some(expires));
            Ok(())
        })
        .await;
    store.put("to", "old").await;
    let list = store.list("from").await;
    let moved = store.try_edit(&["from", "to"], |cells| {
        let taken = cells.cell(&key("from"))?.take().expect("it is there");
        cells.cell(&key("to"))?.place(taken);
        Ok(())
    });
    moved.await.expect("moving");
    assert_eq!(store.get("from").await, None);
    assert_eq!(store.list("to").await, list);
    assert_eq!(store.get("to").await.expect("it is there").expires, Some(expires));
    let copied = store.try_edit(&["from", "to"], |cells| {
        let copy = cells.cell(&key("to"))?.copy().expect("it is there");
        cells.cell(&key("from"))?.place(copy);
        Ok(())
    });
    copied.await.expect("copying");
    // Each is its own from then on.
    store.edit("to", |cell| Ok(cell.list_mut()?.pop_front())).await;
    assert_eq!(store.list("from").await, list);
    assert_eq!(store.list("to").await, list[1..]);
    assert_eq!(
        store.get("from").await.expect("it is there").expires,
        Some(expires)
    );
    // Onto itself, which changes nothing.
    let same = store.try_edit(&["to", "to"], |cells| {
        let taken = cells.cell(&key("to"))?.take().expect("it is there");
        cells.cell(&key("to"))?.place(taken);
        Ok(())
    });
    same.await.expect("moving onto itself");
    assert_eq!(store.list("to").await, list[1..]);
}

/// An edit reaches the keys that it names, and no others; one that reaches any works, or the engine says that it cannot
/// and changes nothing.
pub async fn an_edit_reaches_what_it_names(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    store.put("there", "1").await;
    let reached = store.try_edit(&["there"], |cells| cells.cell(&key("other")).map(|_| ()));
    assert!(matches!(reached.await, Err(EngineError::Invalid(_))));
    let any = store.edit_as(None, true, |cells| {
        let mut sum = 0;
        for number in 0..40 {
            let name = key(format!("key {}", number % 30));
            sum = count(cells.cell(&name)?)?;
        }
        number(cells.cell(&key("there"))?).map(|there| there + sum)
    });
    match any.await {
        Ok(sum) => {
            assert_eq!((sum, store.count().await), (3, 31));
            assert_eq!(store.value("key 9").await, Some("2".into()));
            assert_eq!(store.value("key 10").await, Some("1".into()));
        }
        Err(EngineError::Unsupported(_)) => assert_eq!(store.count().await, 1),
        Err(error) => panic!("{error}"),
    }
}

/// Watchers are told of edits as of other writes: the kind, but no structure.
pub async fn edits_are_told(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    store.edit("plain", count).await;
    store.edit("set", |cell| Ok(cell.set_mut()?.insert(b"m"))).await;
    store.edit("set", |cell| Ok(cell.set_mut()?.insert(b"n"))).await;
    store.edit("plain", |cell| Ok(cell.remove())).await;
    let mut told = Vec::new();
    let mut revision = switchboard_engine::keys::Revision(0);
    for _ in 0..4 {
        let event = next("a change", &mut watch).await.expect("watching");
        let (name, at, kind): (Key, _, _) = match event {
            WatchEvent::Put { key, entry } => {
                let value = if entry.kind == Kind::Plain { "1" } else { "" };
                assert_eq!(entry.value, value);
                (key, entry.revision, Some(entry.kind))
            }
            WatchEvent::Delete { key, revision, .. } => (key, revision, None),
            other => panic!("{other:?}"),
        };
        assert!(at > revision);
        revision = at;
        told.push((name, kind));
    }
    let expected = [
        (key("plain"), Some(Kind::Plain)),
        (key("set"), Some(Kind::Set)),
        (key("set"), Some(Kind::Set)),
        (key("plain"), None),
    ];
    assert_eq!(told, expected);
}

/// An edit of which one value is too large changes nothing at all.
pub async fn an_edit_that_is_too_large_changes_nothing(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let there = store.put("a", "1").await;
    let bytes = bed.abilities().value_bytes_max + 1;
    let refused = store.try_edit(&["a"], move |cells| {
        cells.cell(&key("a"))?.put(vec![0; bytes]);
        Ok(())
    });
    assert!(matches!(refused.await, Err(EngineError::TooLarge(_))));
    assert_eq!(store.get("a").await, Some(there.clone()));
    if !bed.abilities().batches {
        return;
    }
    let refused = store.try_edit(&["a", "b", "c"], move |cells| {
        count(cells.cell(&key("a"))?)?;
        cells.cell(&key("b"))?.put(vec![0; bytes]);
        cells.cell(&key("c"))?.set_mut()?.insert(b"m");
        Ok(())
    });
    assert!(matches!(refused.await, Err(EngineError::TooLarge(_))));
    assert_eq!(store.scan("", 0).await, [(key("a"), there)]);
}

/// A write with an expiry, and an edit of it, in turn: each sees the other's.
pub async fn edits_and_writes_see_each_other(bed: &mut dyn TestBed) {
    let store = Store::new(bed);
    let later = bed.now().after(LIFE * 1_000);
    for round in 0..20_u64 {
        let increment = Write::change(switchboard_engine::keys::Change::Increment(1));
        let (_, after) = store.done("n", increment.expiring(Expiry::At(later))).await;
        let revision = after.expect("it is there").revision;
        let number = store
            .edit("n", move |cell| {
                assert_eq!((cell.revision(), cell.expires()), (Some(revision), Some(later)));
                count(cell)
            })
            .await;
        assert_eq!(number, 2 * round + 2);
        let entry = store.get("n").await.expect("it is there");
        assert!(entry.revision > revision && entry.value == number.to_string());
    }
}

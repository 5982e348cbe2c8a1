//! Edits: many at once, and what is left of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use switchboard_engine::keys::Revision;
use switchboard_engine::structures::Structure;
use switchboard_engine::{EngineError, Key};
use tokio::task::JoinSet;

use super::Store;
use super::concurrency::{all, hubs};
use super::editing::{count, elements, field, number};
use crate::TestBed;
use crate::tools::key;

/// Tasks that edit at once.
const EDITORS: usize = 8;

/// Edits of each.
const EACH: usize = 15;

/// What many edit at once is what they would have made of it one after another: nothing is lost, whether an edit is of
/// one key or of several, and at whichever hub.
pub async fn edits_at_once_all_count(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    let several = bed.abilities().batches;
    let mut tasks = JoinSet::new();
    for editor in 0..EDITORS {
        let store = hubs[editor % hubs.len()].clone();
        tasks.spawn(async move {
            for round in 0..EACH {
                store.edit("count", count).await;
                store
                    .edit("hash", |cell| {
                        let sum = field(cell.hash()?, "sum") + 1;
                        Ok(cell.hash_mut()?.insert(b"sum", sum.to_string().as_bytes()))
                    })
                    .await;
                let element = format!("{editor} {round}");
                let pushed = element.clone();
                store
                    .edit("list", move |cell| {
                        cell.list_mut()?.push_back(pushed.as_bytes());
                        Ok(())
                    })
                    .await;
                if !several {
                    continue;
                }
                let both = store.try_edit(&["one", "list of both", "other"], move |cells| {
                    count(cells.cell(&key("one"))?)?;
                    cells
                        .cell(&key("list of both"))?
                        .list_mut()?
                        .push_front(element.as_bytes());
                    count(cells.cell(&key("other"))?)
                });
                both.await.expect("editing several");
            }
        });
    }
    all(tasks).await;
    let store = &hubs[0];
    let total = (EDITORS * EACH) as u64;
    assert_eq!(store.value("count").await, Some(total.to_string().into()));
    let sum = store.edit("hash", |cell| Ok(field(cell.hash()?, "sum"))).await;
    assert_eq!(sum, total);
    every_element_is_there(&store.list("list").await, false);
    if several {
        assert_eq!(store.value("one").await, Some(total.to_string().into()));
        assert_eq!(store.value("other").await, Some(total.to_string().into()));
        every_element_is_there(&store.list("list of both").await, true);
    }
}

/// Each once, and those of one editor in the order in which he pushed them.
fn every_element_is_there(list: &[Vec<u8>], from_the_front: bool) {
    let mut list: Vec<_> = list
        .iter()
        .map(|element| String::from_utf8(element.clone()).expect("text"))
        .collect();
    if from_the_front {
        list.reverse();
    }
    for editor in 0..EDITORS {
        let prefix = format!("{editor} ");
        let of_him = list.iter().filter(|element| element.starts_with(&prefix));
        let expected = (0..EACH).map(|round| format!("{editor} {round}"));
        assert!(of_him.eq(&expected.collect::<Vec<_>>()), "{list:?}");
    }
    assert_eq!(list.len(), EDITORS * EACH);
}

/// An edit of several keys is one step: nobody sees a part of it, neither by reading several keys at one moment nor by
/// another edit. An engine that has no batches says so, and changes nothing.
pub async fn an_edit_of_several_keys_is_one_step(bed: &mut dyn TestBed) {
    const ELEMENTS: usize = 12;
    let store = Store::new(bed);
    store
        .edit("here", |cell| {
            for element in 0..ELEMENTS as u8 {
                cell.list_mut()?.push_back(&[element]);
            }
            Ok(())
        })
        .await;
    let names = ["here", "moves", "there"];
    let move_one = move |store: Store| async move {
        let moved = store.try_edit(&names, |cells| {
            let moves = count(cells.cell(&key("moves"))?)?;
            let (from, to) = match moves as usize / ELEMENTS % 2 {
                0 => ("here", "there"),
                _ => ("there", "here"),
            };
            if let Some(element) = cells.cell(&key(from))?.list_mut()?.pop_front() {
                cells.cell(&key(to))?.list_mut()?.push_back(&element);
            }
            Ok(())
        });
        moved.await
    };
    if !bed.abilities().batches {
        let refused = move_one(store.clone()).await;
        assert!(matches!(refused, Err(EngineError::Unsupported(_))), "{refused:?}");
        assert_eq!(store.list("here").await.len(), ELEMENTS);
        return;
    }
    let done = Arc::new(AtomicBool::new(false));
    let moving = {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            for _ in 0..100 {
                move_one(store.clone()).await.expect("moving");
                tokio::task::yield_now().await;
            }
            done.store(true, Ordering::Release);
        })
    };
    let keys: Vec<Key> = names.iter().map(key).collect();
    let by_reading = bed.abilities().reads_many_at_one_moment;
    while !done.load(Ordering::Acquire) && !moving.is_finished() {
        if by_reading {
            let seen = store.get_many(&keys).await;
            let lists = [&seen[0], &seen[2]].into_iter().flatten();
            let lists = lists.map(|entry| Structure::decode(entry.kind, &entry.value).expect("a list").len());
            assert_eq!(lists.sum::<usize>(), ELEMENTS, "a part of an edit was seen");
        }
        // One that says that it changes, so that it is not on a copy that is behind.
        let seen = store.try_edit(&names, |cells| {
            let mut all = BTreeSet::new();
            for name in ["here", "there"] {
                if let Some(list) = cells.cell(&key(name))?.list()? {
                    all.extend(elements(list));
                }
            }
            Ok(all.len())
        });
        let seen = seen.await.expect("looking");
        if by_reading {
            assert_eq!(seen, ELEMENTS, "another edit saw a part of an edit");
        }
        tokio::task::yield_now().await;
    }
    moving.await.expect("who moves");
    let left = store.list("here").await.len() + store.list("there").await.len();
    assert_eq!(left, ELEMENTS);
}

/// What an edit only looked at is as it saw it when what it changed is written: of many who take one of two keys away if
/// both are there, one does.
pub async fn an_edit_depends_on_what_it_looked_at(bed: &mut dyn TestBed) {
    if !bed.abilities().batches {
        return;
    }
    let hubs = hubs(bed).await;
    for round in 0..20 {
        hubs[0].put("a", "1").await;
        hubs[0]
            .edit("b", |cell| Ok(cell.set_mut()?.insert(b"member")))
            .await;
        let mut tasks = JoinSet::new();
        for editor in 0..EDITORS {
            let store = hubs[editor % hubs.len()].clone();
            let mine = if editor / 2 % 2 == 0 { "a" } else { "b" };
            tasks.spawn(async move {
                let edited = store.try_edit(&["a", "b"], move |cells| {
                    let both = cells.cell(&key("a"))?.is_present() && cells.cell(&key("b"))?.is_present();
                    Ok(both && cells.cell(&key(mine))?.remove())
                });
                edited.await.expect("editing")
            });
        }
        let took = all(tasks).await.into_iter().filter(|took| *took).count();
        assert_eq!(took, 1, "round {round}");
        assert_eq!(hubs[0].names().await.len(), 1, "round {round}");
    }
}

/// After a crash, what was flushed is there, and of what came later a first part; an edit of several keys is there whole
/// or not at all.
pub async fn a_crash_leaves_edits_whole(bed: &mut dyn TestBed) {
    if !bed.abilities().outlasts_its_process {
        return;
    }
    const FLUSHED: u64 = 20;
    let several = bed.abilities().batches;
    let store = Store::new(bed);
    let mut last = Revision(0);
    for round in 0..FLUSHED * 2 {
        let names: &[&str] = if several { &["count", "list"] } else { &["list"] };
        let edited = store.try_edit(names, move |cells| {
            cells
                .cell(&key("list"))?
                .list_mut()?
                .push_back(round.to_string().as_bytes());
            if several {
                count(cells.cell(&key("count"))?)?;
            }
            Ok(())
        });
        edited.await.expect("editing");
        if round + 1 == FLUSHED {
            store.flush().await;
            last = store.get("list").await.expect("it is there").revision;
        }
    }
    let store = store.crash_and_reopen(bed).await;
    let entry = store.get("list").await.expect("what was flushed is there");
    assert!(entry.revision >= last);
    let list = store.list("list").await;
    assert!(list.len() as u64 >= FLUSHED, "{list:?}");
    let expected = (0..list.len()).map(|round| round.to_string().into_bytes());
    assert!(
        expected.eq(list.iter().cloned()),
        "what is left is a first part: {list:?}"
    );
    if several {
        let counted = store.edit("count", |cell| number(cell)).await;
        assert_eq!(counted, list.len() as u64, "an edit is left whole");
    }
    // And it goes on from there.
    let next = list.len();
    store
        .edit("list", move |cell| {
            cell.list_mut()?.push_back(next.to_string().as_bytes());
            Ok(())
        })
        .await;
    assert_eq!(store.list("list").await.len(), next + 1);
}

//! Many writers at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use switchboard_engine::Key;
use switchboard_engine::keys::{Change, Condition, Revision, Write, Written};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Store;
use super::follower::Follower;
use crate::TestBed;
use crate::tools::{key, soon};

/// Tasks that write at once.
const WRITERS: usize = 16;

/// Handles of all hubs there are, for tasks to share out.
pub(super) async fn hubs(bed: &mut dyn TestBed) -> Vec<Store> {
    let here = Store::new(bed);
    let mut hubs = vec![here.clone()];
    if let Some(engine) = bed.second_hub().await {
        hubs.push(Store {
            engine,
            bucket: here.bucket,
        });
    }
    hubs
}

pub(super) async fn all<T: 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut outcomes = Vec::new();
    while let Some(outcome) = soon("the end of a writer", tasks.join_next()).await {
        outcomes.push(outcome.expect("a writer"));
    }
    outcomes
}

/// Condition and change are one step: of many who write on the same revision at once, exactly one succeeds, and all
/// others are told what he wrote or what came later.
pub async fn of_many_conditional_writes_one_wins(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    let mut revision = hubs[0].put("a", "start").await.revision;
    for round in 0..bed.abilities().cases as usize {
        let barrier = Arc::new(Barrier::new(WRITERS));
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let (store, barrier) = (hubs[number % hubs.len()].clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                let write = Write::put(format!("{round} {number}")).when(Condition::At(revision));
                store.write("a", write).await
            });
        }
        let outcomes = all(tasks).await;
        let won: Vec<_> = outcomes
            .iter()
            .filter_map(|written| match written {
                Written::Done { after, .. } => after.clone(),
                Written::Unmet { .. } => None,
            })
            .collect();
        assert_eq!(won.len(), 1, "round {round}: one writer wins, not {won:?}");
        for written in outcomes {
            if let Written::Unmet { current } = written {
                assert_eq!(current.as_ref(), won.first());
            }
        }
        revision = won[0].revision;
        assert_eq!(hubs[0].get("a").await.as_ref(), won.first());
    }
}

/// Of many who put what is absent at once, exactly one succeeds.
pub async fn of_many_who_put_the_absent_one_wins(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    for round in 0..bed.abilities().cases as usize {
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let store = hubs[number % hubs.len()].clone();
            let write = Write::put(number.to_string()).when(Condition::Absent);
            tasks.spawn(async move { store.write(format!("{round}"), write).await });
        }
        let outcomes = all(tasks).await;
        let won = outcomes
            .iter()
            .filter(|written| matches!(written, Written::Done { .. }));
        assert_eq!(won.count(), 1, "round {round}");
    }
}

/// Increments and appends of many at once all count, and each has a revision of its own.
pub async fn concurrent_changes_all_count(bed: &mut dyn TestBed) {
    const EACH: usize = 25;
    let hubs = hubs(bed).await;
    let mut tasks = JoinSet::new();
    for number in 0..WRITERS {
        let store = hubs[number % hubs.len()].clone();
        tasks.spawn(async move {
            let mut revisions: Vec<Revision> = Vec::new();
            for _ in 0..EACH {
                for (name, change) in [
                    ("integer", Change::Increment(3)),
                    ("float", Change::IncrementFloat(0.25)),
                    ("text", Change::Append(Bytes::from(vec![b'a' + number as u8]))),
                ] {
                    let (_, after) = store.done(name, Write::change(change)).await;
                    let revision = after.expect("it was written").revision;
                    assert!(
                        revisions.last() < Some(&revision),
                        "revisions grow for each writer"
                    );
                    revisions.push(revision);
                }
            }
            revisions
        });
    }
    let revisions: Vec<Revision> = all(tasks).await.into_iter().flatten().collect();
    let distinct: BTreeSet<Revision> = revisions.iter().copied().collect();
    assert_eq!(distinct.len(), WRITERS * EACH * 3, "no revision is given twice");
    let store = &hubs[0];
    assert_eq!(
        store.value("integer").await,
        Some((WRITERS * EACH * 3).to_string().into())
    );
    assert_eq!(
        store.value("float").await,
        Some((WRITERS * EACH / 4).to_string().into())
    );
    let mut text = store.value("text").await.expect("it was written").to_vec();
    text.sort_unstable();
    let expected: Vec<u8> = (0..WRITERS)
        .flat_map(|number| vec![b'a' + number as u8; EACH])
        .collect();
    assert_eq!(text, expected);
}

/// Writers and deleters of the same keys at once: a watcher ends up with what there is.
pub async fn a_watcher_of_many_writers_ends_with_what_there_is(bed: &mut dyn TestBed) {
    let hubs = hubs(bed).await;
    let mut follower = Follower::start(&hubs[0], "", switchboard_engine::keys::WatchFrom::Everything).await;
    let mut tasks = JoinSet::new();
    for number in 0..WRITERS {
        let store = hubs[number % hubs.len()].clone();
        tasks.spawn(async move {
            for round in 0..40 {
                let name = format!("key {}", (number * 5 + round) % 7);
                match (number + round) % 3 {
                    0 => store.write(&name, Write::delete()).await,
                    _ => store.write(&name, Write::put(format!("{number} {round}"))).await,
                };
            }
        });
    }
    let from_amid = Follower::start(&hubs[0], "", switchboard_engine::keys::WatchFrom::Everything);
    let mut from_amid = from_amid.await;
    all(tasks).await;
    hubs[0].put("last", "1").await;
    for follower in [&mut follower, &mut from_amid] {
        follower.until_told(&hubs[0]).await;
        follower.agrees(&hubs[0]).await;
    }
}

/// Whoever reads several keys at one moment sees all of a batch, or nothing of it.
pub async fn readers_see_whole_batches(bed: &mut dyn TestBed) {
    let abilities = bed.abilities();
    if !abilities.batches || !abilities.reads_many_at_one_moment {
        return;
    }
    let store = Store::new(bed);
    let names: Vec<Key> = (0..8).map(|number| key(format!("key {number}"))).collect();
    let done = Arc::new(AtomicBool::new(false));
    let writing = {
        let (store, names, done) = (store.clone(), names.clone(), done.clone());
        tokio::spawn(async move {
            for round in 0..300 {
                let write = |name: &Key| match round % 5 {
                    4 => (name.clone(), Write::delete()),
                    _ => (name.clone(), Write::put(round.to_string())),
                };
                let writes = names.iter().map(write).collect();
                store.try_batch(writes).await.expect("writing a batch");
            }
            done.store(true, Ordering::Release);
        })
    };
    while !done.load(Ordering::Acquire) && !writing.is_finished() {
        let seen = store.get_many(&names).await;
        let values: BTreeSet<Option<Bytes>> = seen
            .into_iter()
            .map(|entry| entry.map(|entry| entry.value))
            .collect();
        assert_eq!(values.len(), 1, "part of a batch was seen: {values:?}");
        tokio::task::yield_now().await;
    }
    writing.await.expect("the writer");
}

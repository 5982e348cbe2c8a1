//! Batches.

use switchboard_engine::EngineError;
use switchboard_engine::keys::{
    BATCH_WRITES_MAX, BatchOutcome, Change, Condition, Entry, WatchEvent, WatchFrom, Write,
};
use switchboard_engine::{Key, Result};

use super::Store;
use super::follower::skip_current;
use crate::TestBed;
use crate::tools::{key, next, nothing};

impl Store {
    async fn batch(&self, writes: Vec<(Key, Write)>) -> Vec<(Option<Entry>, Option<Entry>)> {
        match self.try_batch(writes).await.expect("writing a batch") {
            BatchOutcome::Done(outcomes) => outcomes,
            unmet => panic!("nothing was in the way, but {unmet:?}"),
        }
    }
}

/// Whether this engine has batches; one that has none says so, and changes nothing.
async fn has_batches(bed: &dyn TestBed) -> bool {
    if bed.abilities().batches {
        return true;
    }
    let store = Store::new(bed);
    let outcome = store.try_batch(vec![(key("a"), Write::put("1"))]).await;
    assert!(matches!(outcome, Err(EngineError::Unsupported(_))), "{outcome:?}");
    assert_eq!(store.get("a").await, None);
    false
}

/// A batch writes all its keys, and tells for each, in its order, what was there before and is now.
pub async fn a_batch_writes_all_its_keys(bed: &mut dyn TestBed) {
    if !has_batches(bed).await {
        return;
    }
    let store = Store::new(bed);
    let b = store.put("b", "1").await;
    let outcomes = store
        .batch(vec![
            (key("a"), Write::put("1").when(Condition::Absent)),
            (key("b"), Write::delete().when(Condition::At(b.revision))),
            (key("c"), Write::change(Change::Increment(5))),
            (key("d"), Write::delete()),
        ])
        .await;
    assert_eq!(outcomes.len(), 4);
    assert_eq!(outcomes[0], (None, store.get("a").await));
    assert_eq!(outcomes[1], (Some(b.clone()), None));
    assert_eq!(outcomes[2], (None, store.get("c").await));
    assert_eq!(outcomes[3], (None, None));
    assert_eq!(store.names().await, [key("a"), key("c")]);
    let revisions: Vec<_> = [&outcomes[0], &outcomes[2]]
        .into_iter()
        .map(|(_, after)| after.as_ref().expect("it was written").revision)
        .collect();
    assert!(
        b.revision < revisions[0] && revisions[0] < revisions[1],
        "{revisions:?}"
    );
    assert_eq!(store.batch(vec![]).await, []);
}

/// A later write of a batch sees what an earlier one did to the same key.
pub async fn later_writes_of_a_batch_see_earlier_ones(bed: &mut dyn TestBed) {
    if !has_batches(bed).await {
        return;
    }
    let store = Store::new(bed);
    let outcomes = store
        .batch(vec![
            (key("a"), Write::put("1").when(Condition::Absent)),
            (
                key("a"),
                Write::change(Change::Increment(1)).when(Condition::Present),
            ),
            (key("b"), Write::put("x")),
            (key("a"), Write::change(Change::Append("0".into()))),
            (key("b"), Write::delete()),
            (key("b"), Write::put("y").when(Condition::Absent)),
        ])
        .await;
    assert_eq!(outcomes[1].0, outcomes[0].1, "the second write saw the first");
    assert_eq!(outcomes[3].0, outcomes[1].1);
    assert_eq!(outcomes[5].0, None);
    assert_eq!(store.value("a").await, Some("20".into()));
    assert_eq!(store.value("b").await, Some("y".into()));
    assert_eq!(store.get("a").await, outcomes[3].1);
}

/// A batch of which one condition is not met changes nothing, wherever that write stands, and names it.
pub async fn a_batch_with_an_unmet_condition_changes_nothing(bed: &mut dyn TestBed) {
    if !has_batches(bed).await {
        return;
    }
    let store = Store::new(bed);
    let there = store.put("there", "1").await;
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    for index in 0..3 {
        let mut writes = vec![
            (key("a"), Write::put("1")),
            (key("there"), Write::change(Change::Increment(1))),
        ];
        // A key that the batch does not write otherwise, so that what it has is beyond doubt.
        writes.insert(index, (key("b"), Write::put("1").when(Condition::Present)));
        let unmet = BatchOutcome::Unmet { index, current: None };
        assert_eq!(store.try_batch(writes).await, Ok(unmet));
    }
    let writes = vec![
        (key("a"), Write::put("1")),
        (key("there"), Write::put("2").when(Condition::Absent)),
    ];
    let unmet = BatchOutcome::Unmet {
        index: 1,
        current: Some(there.clone()),
    };
    assert_eq!(store.try_batch(writes).await, Ok(unmet));
    unchanged(&store, &there).await;
    nothing("nothing was changed", &mut watch).await;
}

async fn unchanged(store: &Store, there: &Entry) {
    assert_eq!(store.scan("", 0).await, [(key("there"), there.clone())]);
    assert_eq!(store.get("a").await, None);
    assert_eq!(store.count().await, 1);
}

/// A batch of which one write fails changes nothing.
pub async fn a_batch_with_an_error_changes_nothing(bed: &mut dyn TestBed) {
    if !has_batches(bed).await {
        return;
    }
    let store = Store::new(bed);
    let there = store.put("there", "text").await;
    let max = i64::MAX.to_string();
    let fails = |writes| async {
        let outcome: Result<BatchOutcome> = store.try_batch(writes).await;
        unchanged(&store, &there).await;
        outcome.expect_err("one of the writes cannot be")
    };
    let a = (key("a"), Write::put(max));
    let increment = |name| (key(name), Write::change(Change::Increment(1)));
    let error = fails(vec![a.clone(), increment("there")]).await;
    assert_eq!(error, EngineError::NotAnInteger);
    let float = (key("there"), Write::change(Change::IncrementFloat(1.0)));
    assert_eq!(fails(vec![a.clone(), float]).await, EngineError::NotANumber);
    assert_eq!(
        fails(vec![a.clone(), increment("a")]).await,
        EngineError::Overflow
    );
    let large = Write::put(vec![0; bed.abilities().value_bytes_max + 1]);
    assert!(matches!(
        fails(vec![a, (key("b"), large)]).await,
        EngineError::TooLarge(_)
    ));
}

/// A batch may have as many writes as the bound says, and not one more.
pub async fn batches_have_a_limit(bed: &mut dyn TestBed) {
    if !has_batches(bed).await {
        return;
    }
    let store = Store::new(bed);
    let mut writes: Vec<_> = (0..BATCH_WRITES_MAX)
        .map(|number| (key(format!("{number:04}")), Write::put(number.to_string())))
        .collect();
    assert_eq!(store.batch(writes.clone()).await.len(), BATCH_WRITES_MAX);
    assert_eq!(store.count().await, BATCH_WRITES_MAX as u64);
    writes.push((key("one more"), Write::put("1")));
    let outcome = store.try_batch(writes).await;
    assert!(matches!(outcome, Err(EngineError::TooLarge(_))), "{outcome:?}");
    assert_eq!(store.get("one more").await, None);
}

/// Watchers hear of all that a batch changed, in its order, with nobody else's writes in between.
pub async fn a_batch_is_one_step_for_watchers(bed: &mut dyn TestBed) {
    if !has_batches(bed).await {
        return;
    }
    const ROUNDS: usize = 40;
    let store = Store::new(bed);
    let mut watch = store.watch("", WatchFrom::Now).await;
    skip_current(&mut watch).await;
    let others = {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..ROUNDS * 5 {
                store.put(format!("other {}", round % 3), "1").await;
            }
        })
    };
    for round in 0..ROUNDS {
        // Each key is written once, so that no watcher may leave one out.
        let names: Vec<Key> = (0..3)
            .map(|number| key(format!("batch {round} {number}")))
            .collect();
        let writes = names.iter().map(|name| (name.clone(), Write::put("1"))).collect();
        store.batch(writes).await;
        let mut told = Vec::new();
        while told.len() < names.len() {
            let WatchEvent::Put { key: name, .. } = next("a put", &mut watch).await.expect("watching") else {
                panic!("nothing but puts was done");
            };
            if name.as_bytes().starts_with(b"batch") {
                told.push(name);
            } else {
                assert!(told.is_empty(), "{name:?} was written amid a batch");
            }
        }
        assert_eq!(told, names, "a batch is told in its order");
    }
    others.await.expect("the other writer");
}

//! The log of rounds: what is in it, when it is folded, and that nobody sees a difference.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use switchboard_engine::keys::Page;

use super::*;
use crate::keys::rounds::Limits;

impl Bed {
    /// Over a store that prefers logs, with limits that are reached soon.
    fn logging() -> Self {
        Self::logging_over(Arc::new(MemoryStore::that_prefers_logs()), usize::MAX)
    }

    fn logging_over(store: Arc<MemoryStore>, memory_bytes: usize) -> Self {
        let bed = Self::over(store, memory_bytes);
        bed.keys.shared.written.lock().log.limits = Limits {
            log_bytes: 1_000,
            log_rounds: 50,
            folded_bytes: 100,
            folded_bytes_urgent: 300,
            short_bytes: 500,
        };
        bed
    }

    async fn scan_all(&mut self) -> BTreeMap<Vec<u8>, Bytes> {
        let page = self.scan_with_rounds().await;
        let entries = page.entries.into_iter();
        entries
            .map(|(key, entry)| (key.as_bytes().to_vec(), entry.value))
            .collect()
    }

    /// Scans, with rounds as long as it waits for them.
    async fn scan_with_rounds(&mut self) -> Page {
        let keys = self.keys.clone();
        let scan = Scan {
            values: true,
            ..Scan::default()
        };
        let mut page = pin!(keys.scan(&Bucket::default(), scan));
        for _ in 0..1_000 {
            if self.keys.shared.records.are_right() {
                break;
            }
            let is_pending = poll_fn(|context| Poll::Ready(page.as_mut().poll(context).is_pending()));
            assert!(is_pending.await, "it waits");
            self.round();
        }
        page.await.unwrap()
    }
}

#[tokio::test]
async fn rounds_are_logged_until_somebody_scans() {
    let mut bed = Bed::logging();
    bed.put("a", "1");
    bed.put("b", "1");
    bed.round();
    bed.put("a", "2");
    bed.delete("default", "b");
    bed.put("c", "3");
    bed.round();
    assert_eq!((bed.stored(Space::Rounds), bed.stored(Space::Keys)), (2, 0));
    assert_eq!(bed.get("a").unwrap(), "2");
    let seen = bed.scan_all().await;
    let expected = [("a", "2"), ("c", "3")].map(|(key, value)| (key.into(), value.into()));
    assert_eq!(seen, BTreeMap::from(expected));
    assert_eq!((bed.stored(Space::Rounds), bed.stored(Space::Keys)), (0, 2));
    bed.put("d", "4");
    bed.round();
    assert_eq!(
        (bed.stored(Space::Rounds), bed.stored(Space::Keys)),
        (0, 3),
        "others may follow"
    );
}

#[tokio::test]
async fn a_long_log_is_folded_with_what_follows() {
    let mut bed = Bed::logging();
    for number in 0..1_000 {
        bed.put(&format!("key {}", number % 7), &number.to_string());
        bed.round();
        assert!(bed.stored(Space::Rounds) < 150);
    }
    assert_eq!(bed.stored(Space::Keys), 7);
    let again = Bed::over(Arc::clone(&bed.store), usize::MAX);
    assert_eq!(again.stored(Space::Rounds), 0);
    for number in 993..1_000 {
        assert_eq!(
            again.get(&format!("key {}", number % 7)).unwrap(),
            number.to_string()
        );
    }
}

#[tokio::test]
async fn quick_writers_do_not_keep_the_log_long() {
    let mut bed = Bed::logging();
    let write = |bed: &mut Bed| {
        for number in 0..30 {
            bed.put(&format!("key {number}"), &"x".repeat(100));
        }
        bed.round();
    };
    (0..20).for_each(|_| write(&mut bed));
    let keys = bed.keys.clone();
    let mut scan = pin!(keys.scan(&Bucket::default(), Scan::default()));
    let mut rounds = 0;
    while !bed.keys.shared.records.are_right() {
        let is_pending = poll_fn(|context| Poll::Ready(scan.as_mut().poll(context).is_pending()));
        assert!(is_pending.await && rounds < 50, "{rounds} rounds");
        write(&mut bed);
        rounds += 1;
    }
    assert_eq!(scan.await.unwrap().entries.len(), 30);
}

#[tokio::test]
async fn large_values_become_records_at_once() {
    let mut bed = Bed::logging();
    bed.put("a", "small");
    bed.round();
    let large = "x".repeat(100_000);
    bed.put("a", &large);
    bed.round();
    assert_eq!((bed.stored(Space::Rounds), bed.stored(Space::Keys)), (2, 1));
    let again = Bed::over(Arc::clone(&bed.store), usize::MAX);
    assert_eq!(again.get("a").unwrap(), large);
}

#[tokio::test]
async fn keys_are_not_dropped_before_they_are_records() {
    let mut bed = Bed::logging_over(Arc::new(MemoryStore::that_prefers_logs()), 75_000);
    for number in 0..5_000 {
        let name = format!("key {number}");
        let put = bed
            .keys
            .write(&Bucket::default(), key(&name), Write::put(name.clone()));
        put.await.unwrap();
        if number % 10 == 0 {
            bed.round();
        }
    }
    for _ in 0..1_000 {
        bed.round();
    }
    assert!(bed.hot() < 1_000, "{}", bed.hot());
    for number in 0..5_000 {
        let name = format!("key {number}");
        let entry = bed.keys.get(&Bucket::default(), name.as_bytes()).await.unwrap();
        assert_eq!(entry.unwrap().value, name);
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_or_given_up() {
    let mut bed = Bed::logging();
    bed.put("a", "1");
    bed.round();
    bed.put("b", "1");
    bed.round();
    let first = bed
        .store
        .view()
        .range(
            Space::Rounds,
            std::ops::Bound::Unbounded,
            std::ops::Bound::Unbounded,
        )
        .next();
    let (number, round) = first.unwrap().unwrap();
    let mut batch = Batch::default();
    for damaged in [Some(&round[..round.len() - 1]), Some(b"x"), None] {
        match damaged {
            Some(damaged) => batch.put(Space::Rounds, &number, damaged),
            None => batch.delete(Space::Rounds, &number),
        }
        bed.store.write(&batch, bed.number).unwrap();
        batch.clear();
        let refused = crate::keys::fold_all(&*bed.store, bed.number, false);
        assert!(
            matches!(refused, Err(crate::store::StoreError::Damaged(_))),
            "{refused:?}"
        );
    }
    let scan = (bed.keys).scan(&Bucket::default(), Scan::default());
    let mut scan = pin!(scan);
    assert!(poll_fn(|context| Poll::Ready(scan.as_mut().poll(context).is_pending())).await);
    bed.round();
    let scanned = scan.await;
    assert!(
        matches!(scanned, Err(switchboard_engine::EngineError::Damaged(_))),
        "{scanned:?}"
    );
    assert_eq!(bed.get("a").unwrap(), "1", "what is in memory is right");
    crate::keys::fold_all(&*bed.store, bed.number, true).unwrap();
    assert_eq!((bed.stored(Space::Rounds), bed.stored(Space::Keys)), (0, 1));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u16),
    Delete(u8),
    Expire(u8),
    Pass,
    Round,
    Scan,
    Unwant,
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..12_u8;
    prop_oneof![
        8 => (name(), prop_oneof![9 => 0..200_u16, 1 => 4_000..5_000_u16]).prop_map(|(name, bytes)| Step::Put(name, bytes)),
        3 => name().prop_map(Step::Delete),
        1 => name().prop_map(Step::Expire),
        1 => Just(Step::Pass),
        8 => Just(Step::Round),
        1 => Just(Step::Scan),
        2 => Just(Step::Unwant),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is logged, folded, scanned, and opened again: the keys are those of a model.
    #[test]
    fn nobody_sees_the_log(steps in prop::collection::vec(step(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut bed = Bed::logging();
            let mut model = BTreeMap::<String, (String, Option<u64>)>::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put(name, bytes) => {
                        let value = format!("{number:0width$}", width = usize::from(bytes));
                        let put = Write::put(value.clone());
                        bed.keys.write(&Bucket::default(), key(&name.to_string()), put).await.unwrap();
                        model.insert(name.to_string(), (value, None));
                    }
                    Step::Delete(name) => {
                        let delete = Write::delete();
                        bed.keys.write(&Bucket::default(), key(&name.to_string()), delete).await.unwrap();
                        model.remove(&name.to_string());
                    }
                    Step::Expire(name) => {
                        let until = bed.keys.shared.now().as_millis() + 100;
                        let expiry = Expiry::At(Timestamp::from_millis(until));
                        let touch = Write::change(Change::Touch).expiring(expiry);
                        bed.keys.write(&Bucket::default(), key(&name.to_string()), touch).await.unwrap();
                        model.entry(name.to_string()).and_modify(|(_, expires)| *expires = Some(until));
                    }
                    Step::Pass => bed.clock.advance(Duration::from_millis(150)),
                    Step::Round => {
                        bed.round();
                    }
                    Step::Scan => {
                        let now = bed.keys.shared.now().as_millis();
                        model.retain(|_, (_, expires)| expires.is_none_or(|moment| moment > now));
                        let seen = bed.scan_all().await;
                        let expected = model.iter().map(|(name, (value, _))| (name.clone().into_bytes(), value.clone().into()));
                        assert_eq!(seen, expected.collect());
                    }
                    Step::Unwant => bed.keys.shared.records.forget_that_they_are_wanted(),
                    Step::Reopen(is_small) => {
                        bed.round();
                        let clock = bed.clock.now();
                        bed = Bed::logging_over(Arc::clone(&bed.store), if is_small { 0 } else { usize::MAX });
                        bed.clock.advance(Duration::from_millis(clock.as_millis() - bed.clock.now().as_millis()));
                    }
                }
                let now = bed.keys.shared.now().as_millis();
                model.retain(|_, (_, expires)| expires.is_none_or(|moment| moment > now));
            }
            for name in 0..12 {
                let name = name.to_string();
                let entry = bed.keys.get(&Bucket::default(), name.as_bytes()).await.unwrap();
                let expected = model.get(&name).map(|(value, _)| value.clone().into());
                assert_eq!(entry.map(|entry| entry.value), expected, "{name}");
            }
        });
    }
}

//! Structures: what is written of them, round by round, and read again.

use proptest::prelude::*;
use switchboard_engine::keys::{BatchOutcome, Cells, Condition, Edit, Reach};
use switchboard_engine::structures::{Hash, List, Structure};
use switchboard_engine::{Answer, EngineError, Kind, Result};

use super::*;
use crate::keys::record;

/// An edit out of a function.
struct Run<F> {
    keys: Option<Vec<Key>>,
    changes: bool,
    run: F,
}

impl<F: FnMut(&mut Cells<'_>) + Send + 'static> Edit for Run<F> {
    fn reach(&self) -> Reach<'_> {
        self.keys.as_deref().map_or(Reach::Any, Reach::Keys)
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn run(&mut self, cells: &mut Cells<'_>) {
        (self.run)(cells);
    }
}

impl Bed {
    fn edit(
        &self,
        names: &[&str],
        run: impl FnMut(&mut Cells<'_>) + Send + 'static,
    ) -> Answer<Box<dyn Edit>> {
        let keys = names.iter().copied().map(key).collect();
        self.keys.edit(
            &Bucket::default(),
            Box::new(Run {
                keys: Some(keys),
                changes: true,
                run,
            }),
        )
    }

    fn edit_now(&self, names: &[&str], run: impl FnMut(&mut Cells<'_>) + Send + 'static) {
        let answer = self.edit(names, run).now_or_never();
        answer.expect("it is in memory").unwrap();
    }

    /// Sets fields of a hash, from one number to before another.
    fn fill(&self, name: &str, from: usize, to: usize) {
        let key = key(name);
        self.edit_now(&[name], move |cells| {
            let hash = cells.cell(&key).unwrap().hash_mut().unwrap();
            for number in from..to {
                hash.insert(format!("field {number}").as_bytes(), b"some value");
            }
        });
    }

    async fn hash(&self, name: &str) -> Result<Option<Hash>> {
        let entry = self.keys.get(&Bucket::default(), name.as_bytes()).await?;
        Ok(
            entry.map(|entry| match Structure::decode(entry.kind, &entry.value) {
                Ok(Structure::Hash(hash)) => hash,
                other => panic!("{other:?}"),
            }),
        )
    }

    /// The parts in the store.
    fn parts(&self) -> usize {
        self.stored(Space::Structures)
    }

    fn again(&self, memory_bytes: usize) -> Self {
        Self::over(Arc::clone(&self.store), memory_bytes)
    }

    fn bytes(&self) -> isize {
        let shared = &self.keys.shared;
        let mut bytes = 0;
        for lane in shared.lanes.iter() {
            lane.visit(|slot| bytes += slot.cost() as isize);
        }
        bytes
    }
}

#[tokio::test]
async fn structures_of_all_sizes_are_read_as_they_were_written() {
    let mut bed = Bed::new();
    let sizes = [1, 10, 18, 19, 20, 21, 22, 23, 24, 100, 1_000, 100_000];
    for size in sizes {
        bed.fill(&format!("of {size}"), 0, size);
    }
    bed.round();
    for memory in [usize::MAX, 0] {
        let again = bed.again(memory);
        for size in sizes {
            let hash = again.hash(&format!("of {size}")).await.unwrap().unwrap();
            assert_eq!(hash.len(), size);
            assert_eq!(
                hash.get(format!("field {}", size - 1).as_bytes()),
                Some(&b"some value"[..])
            );
        }
    }
}

#[tokio::test]
async fn a_large_structure_is_written_as_it_changes_and_now_and_then_whole() {
    let mut bed = Bed::new();
    bed.fill("large", 0, 50_000);
    bed.round();
    let snapshot = bed.parts();
    assert_eq!(snapshot, 2, "1.2 MB in pieces of at most 1 MiB");
    let mut written = 0;
    for number in 0..500 {
        bed.fill("large", number, number + 20);
        bed.edit_now(&["large"], move |cells| {
            let hash = cells.cell(&key("large")).unwrap().hash_mut().unwrap();
            hash.remove(format!("field {}", 49_999 - number).as_bytes());
        });
        written += bed.round();
        assert!(bed.parts() <= 10_000, "{} parts", bed.parts());
    }
    // The key, its bucket, a part; and next to nothing for snapshots.
    assert!(written < 500 * 4, "{written} records");
    let expected = bed.hash("large").await.unwrap().unwrap();
    assert_eq!(expected.len(), 49_500);
    assert_eq!(
        bed.again(usize::MAX).hash("large").await.unwrap().unwrap(),
        expected
    );
    assert_eq!(bed.again(0).hash("large").await.unwrap().unwrap(), expected);
}

/// Adds to a list at its front, and drops from its back.
fn move_list(bed: &Bed, add: usize, drop: usize) {
    bed.edit_now(&["list"], move |cells| {
        let list = cells.cell(&key("list")).unwrap().list_mut().unwrap();
        (0..add).for_each(|_| list.push_front(format!("{:0100}", list.len()).as_bytes()));
        list.drop_back(drop);
    });
}

async fn list_of(bed: &Bed) -> List {
    let entry = bed.keys.get(&Bucket::default(), b"list").await;
    let entry = entry.unwrap().unwrap();
    match Structure::decode(entry.kind, &entry.value) {
        Ok(Structure::List(list)) => list,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_that_grows_is_written_once_and_anew_when_most_of_it_is_gone() {
    const ROUNDS: usize = 100;
    let mut bed = Bed::new();
    for round in 1..=ROUNDS {
        move_list(&bed, 100, 0);
        bed.round();
        assert_eq!(bed.parts(), round, "each round writes what came with it");
    }
    // A little more than a third of it stays.
    for round in 1..=64 {
        move_list(&bed, 0, 100);
        bed.round();
        assert_eq!(bed.parts(), ROUNDS + round);
    }
    // It is about 300 kB, which are written in two rounds, and a third sees that this is all.
    for _ in 65..=70 {
        move_list(&bed, 0, 100);
        bed.round();
    }
    assert!(bed.parts() < 10, "{} parts", bed.parts());
    assert_eq!(list_of(&bed).await.len(), 3_000);
    for memory in [0, usize::MAX] {
        assert_eq!(list_of(&bed.again(memory)).await, list_of(&bed).await);
    }
}

#[tokio::test]
async fn a_long_list_is_whole_at_every_moment_while_it_is_written_anew() {
    let mut bed = Bed::new();
    move_list(&bed, 5_000, 0);
    bed.round();
    let (mut begun, mut was_unfinished, mut was_reopened) = (0, false, false);
    // As much is pushed as goes, until all of it was replaced several times.
    for step in 0..150 {
        move_list(&bed, 400, 400);
        bed.round();
        assert!(bed.parts() < 60, "{} parts", bed.parts());
        let record = bed.store.get(Space::Keys, &record::key_of("default", b"list"));
        let (_, parts) = record::entry_of(&record.unwrap().unwrap()).unwrap();
        let is_unfinished = parts.unwrap().is_unfinished();
        if is_unfinished || was_unfinished {
            let expected = list_of(&bed).await;
            for memory in [0, usize::MAX] {
                assert_eq!(list_of(&bed.again(memory)).await, expected, "step {step}");
            }
        }
        begun += usize::from(is_unfinished && !was_unfinished);
        was_unfinished = is_unfinished;
        match begun {
            2 if is_unfinished => bed.edit_now(&["list"], |cells| {
                let list = cells.cell(&key("list")).unwrap().list_mut().unwrap();
                list.insert(1_000, b"amid");
                list.remove(1_001);
            }),
            3 if is_unfinished && !was_reopened => {
                was_reopened = true;
                let number = bed.number;
                bed = bed.again(usize::MAX);
                bed.number = number;
            }
            _ => {}
        }
    }
    assert!(begun > 3, "{begun} snapshots");
    bed.delete("default", "list");
    bed.round();
    assert_eq!(bed.parts(), 0);
}

#[tokio::test]
async fn what_goes_away_takes_its_parts_with_it() {
    let mut bed = Bed::new();
    let filled = |bed: &mut Bed| {
        bed.fill("a", 0, 500);
        bed.round();
        assert_eq!(bed.parts(), 1);
    };
    filled(&mut bed);
    bed.delete("default", "a");
    bed.round();
    assert_eq!(bed.parts(), 0, "deleted");

    filled(&mut bed);
    bed.put("a", "plain");
    bed.round();
    assert_eq!(bed.parts(), 0, "replaced");

    bed.delete("default", "a");
    filled(&mut bed);
    bed.edit_now(&["a", "b"], |cells| {
        let taken = cells.cell(&key("a")).unwrap().take().unwrap();
        cells.cell(&key("b")).unwrap().place(taken);
    });
    bed.round();
    assert_eq!(bed.parts(), 1, "renamed");
    assert_eq!(bed.hash("a").await.unwrap(), None);
    assert_eq!(bed.again(0).hash("b").await.unwrap().unwrap().len(), 500);

    let until = Expiry::At(Timestamp::from_millis(5_000));
    bed.write("default", "b", Write::change(Change::Touch).expiring(until));
    bed.round();
    assert_eq!(bed.again(0).hash("b").await.unwrap().unwrap().len(), 500);
    bed.clock.advance(Duration::from_millis(4_000));
    assert_eq!(bed.hash("b").await.unwrap(), None);
    bed.round();
    bed.round();
    assert_eq!((bed.parts(), bed.stored(Space::Keys)), (0, 0), "expired");

    filled(&mut bed);
    bed.edit_now(&["a"], |cells| {
        let cell = cells.cell(&key("a")).unwrap();
        let hash = cell.hash_mut().unwrap();
        for number in 5..500 {
            hash.remove(format!("field {number}").as_bytes());
        }
    });
    bed.round();
    assert_eq!(bed.parts(), 0, "small again");
    assert_eq!(bed.again(0).hash("a").await.unwrap().unwrap().len(), 5);
}

#[tokio::test]
async fn a_part_that_is_missing_is_named_and_can_be_replaced() {
    let mut bed = Bed::new();
    bed.fill("a", 0, 50_000);
    bed.put("b", "1");
    bed.round();
    bed.fill("a", 50_000, 50_010);
    bed.round();
    assert_eq!(bed.parts(), 3);
    for lost in 0..3_u64 {
        let mut batch = Batch::default();
        let part = [1_u64.to_be_bytes(), lost.to_be_bytes()].concat();
        let kept = bed.store.get(Space::Structures, &part).unwrap().unwrap();
        batch.delete(Space::Structures, &part);
        bed.store.write(&batch, bed.number).unwrap();
        let again = bed.again(usize::MAX);
        match again.hash("a").await {
            Err(EngineError::Damaged(text)) => assert!(text.contains("key a "), "{text}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(again.get("b").unwrap(), "1");
        let mut batch = Batch::default();
        batch.put(Space::Structures, &part, &kept);
        if lost == 2 {
            batch.put(Space::Structures, &part, &kept[1..]);
        }
        bed.store.write(&batch, bed.number).unwrap();
    }
    let mut again = bed.again(usize::MAX);
    assert!(matches!(again.hash("a").await, Err(EngineError::Damaged(_))));
    let put = again.keys.write(&Bucket::default(), key("a"), Write::put("new"));
    put.await.unwrap();
    again.round();
    assert_eq!((again.get("a").unwrap(), again.parts()), ("new".into(), 0));
}

#[tokio::test]
async fn structures_come_and_go_with_little_memory() {
    let mut bed = Bed::over(Arc::default(), 1024 * 1024);
    let mut sizes = [0; 50];
    for step in 0..2_000_usize {
        let number = step * 7 % 50;
        let (from, to) = (sizes[number], sizes[number] + 37);
        sizes[number] = to;
        let name = format!("hash {number}");
        let key = key(&name);
        let edit = bed.edit(&[&name], move |cells| {
            let hash = cells.cell(&key).unwrap().hash_mut().unwrap();
            for number in from..to {
                assert!(hash.insert(number.to_string().as_bytes(), b"some value"));
            }
        });
        edit.await.unwrap();
        if step % 10 == 9 {
            bed.round();
        }
    }
    bed.round();
    assert!(bed.hot() < 40, "{}", bed.hot());
    for (number, size) in sizes.iter().enumerate() {
        let hash = bed.hash(&format!("hash {number}")).await.unwrap().unwrap();
        assert_eq!(hash.len(), *size);
    }
}

#[tokio::test]
async fn what_structures_take_of_memory_is_counted_as_it_is_given_back() {
    let mut bed = Bed::new();
    for size in [10, 100, 1_000] {
        bed.fill("a", 0, size);
        bed.fill("b", 0, size / 2);
        bed.edit_now(&["a", "b"], |cells| {
            let copy = cells.cell(&key("b")).unwrap().copy().unwrap();
            cells.cell(&key("a")).unwrap().place(copy);
        });
    }
    bed.round();
    let shared = Arc::clone(&bed.keys.shared);
    let told = || shared.memory.bytes();
    assert_eq!(told(), bed.bytes());
    bed.delete("default", "a");
    bed.delete("default", "b");
    bed.round();
    bed.round();
    assert_eq!((told(), bed.bytes()), (0, 0));
}

#[tokio::test]
async fn a_structure_in_use_stays_in_memory() {
    let mut bed = Bed::over(Arc::default(), 100_000);
    let is_hot = |bed: &Bed, name: &str| {
        let mut is_hot = false;
        for lane in bed.keys.shared.lanes.iter() {
            lane.visit(|slot| is_hot |= slot.key() == name.as_bytes());
        }
        is_hot
    };
    // It alone takes more than there is; what else there is goes.
    bed.fill("used", 0, 5_000);
    bed.put("other", "1");
    for number in 5_000..5_050 {
        bed.fill("used", number, number + 1);
        bed.round();
        assert!(is_hot(&bed, "used"), "it was dropped at {number}");
    }
    assert!(!is_hot(&bed, "other"));
    bed.round();
    assert!(!is_hot(&bed, "used"), "nobody used it");
    assert_eq!(bed.hash("used").await.unwrap().unwrap().len(), 5_050);
}

#[test]
fn of_a_structure_as_many_bytes_are_told_as_are_written() {
    let mut bed = Bed::new();
    bed.fill("large", 0, 50_000);
    let shared = Arc::clone(&bed.keys.shared);
    let told = || -> usize { shared.lanes.iter().map(|lane| lane.lock().told_bytes).sum() };
    let whole = told();
    assert!(whole > 500_000, "{whole}");
    bed.round();
    let touch = || Write::change(Change::Touch).expiring(Expiry::At(Timestamp::from_millis(9_000)));
    bed.write("default", "large", touch());
    bed.fill("large", 50_000, 50_001);
    assert_eq!(told(), 0, "not so many that it is told");
    for number in 0..10_000 {
        bed.edit_now(&["large"], move |cells| {
            let hash = cells.cell(&key("large")).unwrap().hash_mut().unwrap();
            hash.insert(b"x", if number % 2 == 0 { b"0" } else { b"1" });
        });
    }
    let changes = told();
    assert!((30_000..70_000).contains(&changes), "{changes}");
    bed.write("default", "large", touch());
    assert_eq!(told(), changes);
}

#[tokio::test]
async fn writes_and_batches_know_structures() {
    let mut bed = Bed::new();
    bed.fill("a", 0, 300);
    let Written::Unmet { current } = bed.write("default", "a", Write::put("1").when(Condition::Absent))
    else {
        panic!("it is there");
    };
    let current = current.unwrap();
    assert_eq!((current.kind, current.value), (Kind::Hash, Bytes::new()));
    let append = Write::change(Change::Append("x".into()));
    let appended = bed.keys.write(&Bucket::default(), key("a"), append).await;
    assert_eq!(appended, Err(EngineError::WrongKind(Kind::Hash)));
    bed.write(
        "default",
        "a",
        Write::change(Change::Touch).when(Condition::At(current.revision)),
    );
    assert_eq!(bed.hash("a").await.unwrap().unwrap().len(), 300);

    let entry = bed.keys.get(&Bucket::default(), b"a").await.unwrap().unwrap();
    let copy = Change::PutStructure {
        kind: entry.kind,
        encoded: entry.value,
    };
    let touch = Write::change(Change::Touch).expiring(Expiry::At(Timestamp::from_millis(9_000)));
    let batch = vec![
        (key("b"), Write::change(copy)),
        (key("b"), touch.clone()),
        (key("a"), touch),
        (key("a"), Write::change(Change::Touch)),
    ];
    match bed.keys.batch(&Bucket::default(), batch).await.unwrap() {
        BatchOutcome::Done(done) => {
            let told: Vec<_> = done.iter().filter_map(|(_, after)| after.as_ref()).collect();
            assert!(
                told.iter()
                    .all(|entry| entry.kind == Kind::Hash && entry.value.is_empty())
            );
            assert_eq!(told.len(), 4);
        }
        unmet => panic!("{unmet:?}"),
    }
    bed.round();
    let again = bed.again(usize::MAX);
    for name in ["a", "b"] {
        assert_eq!(bed.hash(name).await.unwrap().unwrap().len(), 300);
        assert_eq!(again.hash(name).await.unwrap().unwrap().len(), 300);
        let entry = again.keys.get(&Bucket::default(), name.as_bytes()).await.unwrap();
        assert_eq!(entry.unwrap().expires, Some(Timestamp::from_millis(9_000)));
    }
}

#[tokio::test]
async fn a_scan_finds_structures_of_one_moment_wherever_they_are() {
    let mut bed = Bed::new();
    for name in ["a", "b", "c"] {
        bed.fill(name, 0, 300);
    }
    bed.round();
    bed.fill("b", 300, 301);
    bed.keys.shared.collect(&mut Batch::default());
    bed.fill("c", 300, 302);
    bed.fill("d", 0, 3);
    let scan = Scan {
        values: true,
        ..Scan::default()
    };
    let page = bed.keys.scan(&Bucket::default(), scan).await.unwrap();
    let lengths: Vec<usize> = (page.entries.iter())
        .map(|(_, entry)| Structure::decode(entry.kind, &entry.value).unwrap().len())
        .collect();
    assert_eq!(lengths, [300, 301, 302, 3]);
    // Whether they are in the store or not, a page is no longer than it may be.
    for number in 0..6 {
        let name = format!("large {number}");
        let key = key(&name);
        bed.edit_now(&[&name], move |cells| {
            let list = cells.cell(&key).unwrap().list_mut().unwrap();
            (0..1_000).for_each(|_| list.push_back(&[7; 1_000]));
        });
    }
    let mut seen = Vec::new();
    let mut scan = Scan {
        values: true,
        prefix: "large".into(),
        ..Scan::default()
    };
    loop {
        let page = bed.keys.scan(&Bucket::default(), scan.clone()).await.unwrap();
        assert!(
            page.entries
                .iter()
                .map(|(_, entry)| entry.value.len())
                .sum::<usize>()
                <= 4 << 20
        );
        seen.extend(page.entries.into_iter().map(|(key, _)| key));
        match page.cursor {
            Some(cursor) => scan.after = Some(cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), 6);
}

#[tokio::test]
async fn watches_tell_of_edits_without_values() {
    let bed = Bed::new();
    bed.fill("a", 0, 100);
    let watch = (bed.keys).watch(&Bucket::default(), "".into(), WatchFrom::Everything);
    let mut watch = watch.await.unwrap();
    let is_bare = |event| match event {
        Some(Ok(WatchEvent::Put { entry, .. })) => entry.kind == Kind::Hash && entry.value.is_empty(),
        _ => false,
    };
    assert!(is_bare(watch.next().await));
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Current { .. }))));
    bed.fill("a", 100, 101);
    assert!(is_bare(watch.next().await));
    bed.edit_now(&["a", "b"], |cells| {
        cells.cell(&key("a")).unwrap().remove();
        cells.cell(&key("b")).unwrap().put("1");
    });
    match watch.next().await {
        Some(Ok(WatchEvent::Delete {
            key: told,
            expired: false,
            ..
        })) => assert_eq!(told, key("a")),
        other => panic!("{other:?}"),
    }
    match watch.next().await {
        Some(Ok(WatchEvent::Put { key: told, entry })) => {
            assert_eq!(
                (told, entry.kind, entry.value),
                (key("b"), Kind::Plain, "1".into())
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_edit_of_any_key_reads_what_is_not_in_memory() {
    let mut bed = Bed::new();
    bed.fill("a", 0, 300);
    bed.put("b", "1");
    bed.round();
    let mut again = bed.again(0);
    let edit = again.keys.edit(
        &Bucket::default(),
        Box::new(Run {
            keys: None,
            changes: true,
            run: |cells: &mut Cells<'_>| {
                let value = cells.cell(&key("b")).unwrap().plain().unwrap().unwrap().to_vec();
                let cell = cells.cell(&key("a")).unwrap();
                cell.hash_mut().unwrap().insert(b"from b", &value);
                assert!(!cells.cell(&key("c")).unwrap().is_present());
            },
        }),
    );
    edit.await.unwrap();
    again.round();
    let hash = again.again(usize::MAX).hash("a").await.unwrap().unwrap();
    assert_eq!((hash.len(), hash.get(b"from b")), (301, Some(&b"1"[..])));
}

#[tokio::test]
async fn what_an_edit_gets_wrong_changes_nothing() {
    let mut bed = Bed::new();
    bed.put("a", "1");
    bed.round();
    let large = vec![0; switchboard_engine::names::VALUE_BYTES_MAX + 1];
    let edit = bed.edit(&["a", "b"], move |cells| {
        cells.cell(&key("b")).unwrap().put("2");
        cells.cell(&key("a")).unwrap().put(large.clone());
    });
    assert!(matches!(edit.await.err(), Some(EngineError::TooLarge(_))));
    assert_eq!((bed.get("a").unwrap(), bed.get("b")), ("1".into(), None));
    assert_eq!(bed.round(), 0);
}

/// One step of a history of a few keys.
#[derive(Debug, Clone)]
enum Step {
    Grow(u8, u16),
    Shrink(u8, u16),
    Remove(u8),
    Rename(u8, u8),
    Copy(u8, u8),
    Put(u8),
    Round,
    Reopen(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..4_u8;
    prop_oneof![
        4 => (name(), 1..400_u16).prop_map(|(name, count)| Step::Grow(name, count)),
        2 => (name(), 1..400_u16).prop_map(|(name, count)| Step::Shrink(name, count)),
        1 => name().prop_map(Step::Remove),
        1 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (name(), name()).prop_map(|(from, to)| Step::Copy(from, to)),
        1 => name().prop_map(Step::Put),
        4 => Just(Step::Round),
        1 => any::<bool>().prop_map(Step::Reopen),
    ]
}

/// What a step does to the cells; the same for the engine and the model.
fn apply(step: &Step, cells: &mut Cells<'_>) {
    let name = |name: &u8| key(&name.to_string());
    match step {
        Step::Grow(to, count) => {
            let Ok(list) = cells.cell(&name(to)).unwrap().list_mut() else {
                return;
            };
            for number in 0..*count {
                list.push_back(format!("element {number} of {count}").as_bytes());
            }
        }
        Step::Shrink(from, count) => {
            if let Ok(list) = cells.cell(&name(from)).unwrap().list_mut() {
                list.drop_front(usize::from(*count));
            }
        }
        Step::Remove(from) => {
            cells.cell(&name(from)).unwrap().remove();
        }
        Step::Rename(from, to) => {
            if let Some(taken) = cells.cell(&name(from)).unwrap().take() {
                cells.cell(&name(to)).unwrap().place(taken);
            }
        }
        Step::Copy(from, to) => {
            if let Some(copy) = cells.cell(&name(from)).unwrap().copy() {
                cells.cell(&name(to)).unwrap().place(copy);
            }
        }
        Step::Put(to) => cells.cell(&name(to)).unwrap().put("plain"),
        Step::Round | Step::Reopen(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// An engine over a store that is opened anew again and again has what one that stays open has.
    #[test]
    fn histories_of_structures_are_kept(steps in prop::collection::vec(step(), 1..60)) {
        let model = Bed::new();
        let mut bed = Bed::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for step in steps {
                match step {
                    Step::Round => {
                        bed.round();
                    }
                    Step::Reopen(is_small) => {
                        bed.round();
                        let number = bed.number;
                        bed = bed.again(if is_small { 0 } else { usize::MAX });
                        bed.number = number;
                    }
                    step => {
                        for engine in [&bed, &model] {
                            let step = step.clone();
                            engine.edit(&["0", "1", "2", "3"], move |cells| apply(&step, cells)).await.unwrap();
                        }
                    }
                }
            }
            bed.round();
            for engine in [&bed, &bed.again(usize::MAX), &bed.again(0)] {
                for name in ["0", "1", "2", "3"] {
                    let get = async |bed: &Bed| {
                        let entry = bed.keys.get(&Bucket::default(), name.as_bytes()).await.unwrap();
                        entry.map(|entry| (entry.kind, entry.value))
                    };
                    assert_eq!(get(engine).await, get(&model).await, "{name}");
                }
            }
            for name in ["0", "1", "2", "3"] {
                bed.keys.write(&Bucket::default(), key(name), Write::delete()).await.unwrap();
            }
            bed.round();
            assert_eq!((bed.parts(), bed.stored(Space::Keys)), (0, 0));
        });
    }
}

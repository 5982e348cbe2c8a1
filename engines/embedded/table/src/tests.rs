//! The table beside a map, with good hashes and bad ones; and readers beside a writer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

/// Counts those that live.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(living: &Arc<AtomicUsize>) -> Self {
        living.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(living))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A key and a number.
struct Head {
    key: u32,
    number: u64,
    _counted: Counted,
}

/// Which of the bits of a good hash there are.
#[derive(Debug, Clone, Copy)]
struct Bits(u64);

impl Bits {
    fn hash(self, key: u32) -> u64 {
        // The finalizer of splitmix64.
        let mut hash = u64::from(key).wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash ^ hash >> 31) & self.0
    }
}

struct Bed {
    reader: Reader<Head>,
    writer: Writer<Head>,
    bits: Bits,
    living: Arc<AtomicUsize>,
}

impl Bed {
    fn new(bits: Bits) -> Self {
        let (reader, writer) = table(&Arc::new(Collector::new().batch_size(16)));
        Self {
            reader,
            writer,
            bits,
            living: Arc::default(),
        }
    }

    fn put(&mut self, key: u32, number: u64) -> bool {
        let head = Head {
            key,
            number,
            _counted: Counted::new(&self.living),
        };
        let item = Item::from_header_and_slice(head, &number.to_le_bytes());
        let hash_of = |item: &Item<Head>| self.bits.hash(item.header.header.key);
        let hash = self.bits.hash(key);
        self.writer
            .put(hash, item, |item| item.header.header.key == key, hash_of)
    }

    fn remove(&mut self, key: u32) -> bool {
        let hash = self.bits.hash(key);
        self.writer.remove(hash, |item| item.header.header.key == key)
    }

    fn get(&self, key: u32) -> Option<u64> {
        get(&self.reader, self.bits, key)
    }

    fn all(&self) -> HashMap<u32, u64> {
        let mut all = HashMap::new();
        self.reader.look().visit(|item| {
            let head = &item.header.header;
            assert_eq!(all.insert(head.key, head.number), None, "it was seen twice");
        });
        all
    }
}

fn get(reader: &Reader<Head>, bits: Bits, key: u32) -> Option<u64> {
    let look = reader.look();
    let found = look.find(bits.hash(key), |item| item.header.header.key == key)?;
    let number = found.header.header.number;
    assert_eq!(
        found.slice,
        number.to_le_bytes(),
        "it is not the item that was put"
    );
    Some(number)
}

/// All bits; none; those that choose the bucket and the tag; those that choose the segment.
const BITS: [u64; 4] = [u64::MAX, 0, (1 << 20) - 1, !((1 << 20) - 1)];

#[derive(Debug, Clone)]
enum Step {
    Put(u32, u64),
    PutMany(u32, u32),
    Remove(u32),
    RemoveMany(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..2_000_u32;
    prop_oneof![
        4 => (key(), any::<u64>()).prop_map(|(key, number)| Step::Put(key, number)),
        2 => (key(), 1..1_000_u32).prop_map(|(key, count)| Step::PutMany(key, count)),
        4 => key().prop_map(Step::Remove),
        1 => (key(), 1..1_000_u32).prop_map(|(key, count)| Step::RemoveMany(key, count)),
    ]
}

proptest! {
    // A tenth of the usual number: each case is long. `PROPTEST_CASES` still says how many.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 10))]

    #[test]
    fn it_has_what_a_map_has(bits in prop::sample::select(&BITS), steps in prop::collection::vec(step(), 1..40)) {
        let mut bed = Bed::new(Bits(bits));
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Put(key, number) => {
                    assert_eq!(bed.put(key, number), model.insert(key, number).is_some());
                }
                Step::PutMany(from, count) => (from..from + count).for_each(|key| {
                    assert_eq!(bed.put(key, key.into()), model.insert(key, key.into()).is_some());
                }),
                Step::Remove(key) => assert_eq!(bed.remove(key), model.remove(&key).is_some()),
                Step::RemoveMany(from, count) => (from..from + count).for_each(|key| {
                    assert_eq!(bed.remove(key), model.remove(&key).is_some());
                }),
            }
        }
        for key in 0..3_000 {
            assert_eq!(bed.get(key), model.get(&key).copied());
        }
        assert_eq!(bed.all(), model);
        let living = Arc::clone(&bed.living);
        drop(bed);
        assert_eq!(living.load(Ordering::Relaxed), 0, "each item is dropped once");
    }
}

#[test]
fn a_million_items_take_little_more_than_a_pointer_each() {
    let mut bed = Bed::new(Bits(u64::MAX));
    for key in 0..1_000_000 {
        assert!(!bed.put(key, key.into()));
    }
    for key in (0..1_000_000).step_by(7) {
        assert_eq!(bed.get(key), Some(key.into()));
    }
    assert_eq!(bed.get(1_000_000), None);
    let segments = bed.reader.directory.count();
    assert!(segments * 4096 < 17 * 1_000_000, "{segments} segments");
}

#[test]
fn what_was_found_stays_while_it_is_looked_at() {
    let mut bed = Bed::new(Bits(u64::MAX));
    bed.put(1, 1);
    let reader = Reader {
        directory: Arc::clone(&bed.reader.directory),
    };
    let look = reader.look();
    let found = look.find(bed.bits.hash(1), |item| item.header.header.key == 1);
    for number in 2..1_000 {
        bed.put(1, number);
    }
    bed.remove(1);
    assert_eq!(found.map(|found| found.header.header.number), Some(1));
    assert_eq!(bed.get(1), None);
}

/// Numbers of a key only grow; a key that is always there is always found, whatever happens around it.
#[test]
fn readers_find_what_is_there_while_a_writer_writes() {
    const KEYS: u32 = 2_000;
    for bits in BITS {
        // A table of bad hashes is a list.
        let keys = if bits == 0 { 500 } else { KEYS };
        let mut bed = Bed::new(Bits(bits));
        let living = Arc::clone(&bed.living);
        (0..keys).step_by(2).for_each(|key| assert!(!bed.put(key, 0)));
        let is_over = AtomicBool::new(false);
        let reads = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let Bed { reader, writer, .. } = &mut bed;
            let reader = &*reader;
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = vec![0; keys as usize];
                    while !is_over.load(Ordering::Relaxed) {
                        for key in 0..keys {
                            match get(reader, Bits(bits), key) {
                                Some(number) => {
                                    assert!(number >= last[key as usize]);
                                    last[key as usize] = number;
                                }
                                None => assert_eq!(key % 2, 1, "key {key} was lost"),
                            }
                        }
                        let mut seen = vec![false; keys as usize];
                        reader
                            .look()
                            .visit(|item| seen[item.header.header.key as usize] = true);
                        assert!(seen.iter().step_by(2).all(|seen| *seen));
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut number = 0;
            // At least so often, and for at least so many reads.
            while number < 20 || reads.load(Ordering::Relaxed) < 8 {
                number += 1;
                let is_odd_there = number % 3 != 0;
                for key in 0..keys {
                    let is_it = |item: &Item<Head>| item.header.header.key == key;
                    let hash = Bits(bits).hash(key);
                    if key % 2 == 1 && !is_odd_there {
                        writer.remove(hash, is_it);
                        continue;
                    }
                    let head = Head {
                        key,
                        number,
                        _counted: Counted::new(&living),
                    };
                    let item = Item::from_header_and_slice(head, &number.to_le_bytes());
                    writer.put(hash, item, is_it, |item| Bits(bits).hash(item.header.header.key));
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        drop(bed);
        assert_eq!(living.load(Ordering::Relaxed), 0, "each item is dropped once");
    }
}

//! Sorted sets.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>, f64),
    Remove(Vec<u8>),
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3_i8..3).prop_map(f64::from),
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (name(), score()).prop_map(|(member, score)| Step::Insert(member, score)),
        1 => name().prop_map(Step::Remove),
    ]
}

fn sorted(structure: &Structure) -> &SortedSet {
    match structure {
        Structure::SortedSet(set) => set,
        other => panic!("{other:?}"),
    }
}

impl Modelled for Step {
    type Model = BTreeMap<Vec<u8>, f64>;

    fn act(&self, structure: &mut Structure, model: &mut Self::Model) {
        let Structure::SortedSet(set) = structure else {
            panic!("{structure:?}");
        };
        match self {
            Self::Insert(member, score) if score.is_nan() => {
                assert_eq!(set.insert(member, *score), model.get(member).copied());
            }
            Self::Insert(member, score) => {
                let length = set.log().len();
                let known = model.insert(member.clone(), *score);
                assert_eq!(set.insert(member, *score), known);
                assert_eq!(set.log().len() > length, known != Some(*score));
            }
            Self::Remove(member) => assert_eq!(set.remove(member), model.remove(member)),
        }
    }

    fn compare(structure: &Structure, model: &Self::Model) {
        let set = sorted(structure);
        let mut order: Vec<(&[u8], f64)> = model
            .iter()
            .map(|(member, score)| (&member[..], *score))
            .collect();
        order.sort_by(|one, other| {
            one.1
                .partial_cmp(&other.1)
                .expect("numbers")
                .then(one.0.cmp(other.0))
        });
        is_in_order(set, &order);
        let all: usize = model.keys().map(Vec::len).sum();
        assert_eq!(structure.bytes(), all + 96 * model.len());
    }
}

/// Everything that has to do with order is as with a plain sorted row.
fn is_in_order(set: &SortedSet, order: &[(&[u8], f64)]) {
    assert_eq!((set.len(), set.is_empty()), (order.len(), order.is_empty()));
    assert!(set.iter().eq(order.iter().copied()));
    assert!(set.iter().rev().eq(order.iter().copied().rev()));
    for (rank, (member, score)) in order.iter().enumerate() {
        assert_eq!(set.rank(member), Some(rank));
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.at(rank), Some((*member, *score)));
        assert_eq!(
            set.partition_point(|other, _| other < *score),
            order.partition_point(|(_, other)| other < score)
        );
        assert_eq!(
            set.partition_point(|other, _| other <= *score),
            order.partition_point(|(_, other)| other <= score)
        );
    }
    assert_eq!(set.partition_point(|_, _| true), order.len());
    assert_eq!(set.partition_point(|_, _| false), 0);
    assert_eq!(set.at(order.len()), None);
    assert_eq!(set.rank(b"nobody of that name, as it is long"), None);
    let step = (order.len() / 7).max(1);
    for from in (0..=order.len() + 1).step_by(step) {
        for to in [0, from, from + 1, from + step, order.len(), usize::MAX] {
            let some = || order.iter().copied().take(to).skip(from);
            assert!(set.range(from, to).eq(some()), "{from}..{to}");
            let backwards: Vec<_> = some().collect();
            assert!(
                set.range(from, to).rev().eq(backwards.into_iter().rev()),
                "{from}..{to}"
            );
        }
    }
    let places: BTreeMap<&[u8], f64> = (0..set.len()).filter_map(|place| set.at_place(place)).collect();
    assert_eq!(places, order.iter().copied().collect());
    assert_eq!(set.at_place(set.len()), None);
}

proptest! {
    #[test]
    fn sorted_sets_do_as_sorted_rows(before in prop::collection::vec(step(), 0..60), after in prop::collection::vec(step(), 0..60)) {
        does_as_its_model(Kind::SortedSet, &before, &after);
    }
}

/// Thousands of members, put in and taken out in ways that are hard on the parts of the order.
#[test]
fn large_ones_stay_in_order() {
    const MEMBERS: u32 = 5_000;
    type Way = fn(u32) -> f64;
    let ways: [(&str, Way); 4] = [
        ("equal", |_| 1.0),
        ("ascending", f64::from),
        ("descending", |number| -f64::from(number)),
        ("mixed", |number| {
            f64::from(number.wrapping_mul(2_654_435_761) % 100)
        }),
    ];
    for (way, score) in ways {
        let mut set = SortedSet::default();
        let mut model: BTreeMap<[u8; 4], f64> = BTreeMap::new();
        for number in 0..MEMBERS {
            set.insert(&number.to_be_bytes(), score(number));
            model.insert(number.to_be_bytes(), score(number));
        }
        compare(&set, &model);
        assert!(set.part_lengths().len() <= 25, "{way}: {:?}", set.part_lengths());
        // Of every hundred, one stays.
        for number in (0..MEMBERS).filter(|number| number % 100 != 3) {
            assert_eq!(
                set.remove(&number.to_be_bytes()),
                model.remove(&number.to_be_bytes())
            );
        }
        compare(&set, &model);
        assert!(set.part_lengths().len() <= 2, "{way}: {:?}", set.part_lengths());
        // And in between again.
        for number in 0..MEMBERS {
            let score = score(number) + f64::from(number % 3);
            assert_eq!(
                set.insert(&number.to_be_bytes(), score),
                model.insert(number.to_be_bytes(), score)
            );
        }
        compare(&set, &model);
        for number in (0..MEMBERS).rev() {
            set.remove(&number.to_be_bytes());
        }
        assert_eq!(
            (set.len(), set.bytes(), set.part_lengths().len()),
            (0, 0, 0),
            "{way}"
        );
    }
}

fn compare(set: &SortedSet, model: &BTreeMap<[u8; 4], f64>) {
    let mut order: Vec<(&[u8], f64)> = model
        .iter()
        .map(|(member, score)| (&member[..], *score))
        .collect();
    order.sort_by(|one, other| {
        one.1
            .partial_cmp(&other.1)
            .expect("numbers")
            .then(one.0.cmp(other.0))
    });
    is_in_order(set, &order);
    let parts = set.part_lengths();
    assert!(parts.iter().all(|length| (1..=512).contains(length)), "{parts:?}");
    assert_eq!(parts.iter().sum::<usize>(), set.len());
}

#[test]
fn what_is_no_number_is_no_score() {
    let mut set = SortedSet::default();
    assert_eq!(set.insert(b"a", f64::NAN), None);
    assert!(set.is_empty() && set.log().is_empty());
    set.insert(b"a", 1.0);
    assert_eq!(set.insert(b"a", f64::NAN), Some(1.0));
    assert_eq!(set.score(b"a"), Some(1.0));
}

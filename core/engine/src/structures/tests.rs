//! Structures against collections that do the same, and against logs that nobody wrote.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;

mod hash;
mod hostile;
mod list;
mod set;
mod sorted_set;

/// A structure with a step that changes it and a collection that has to have the same afterwards.
trait Modelled: Debug + Clone {
    type Model: Debug + Clone + Default;

    /// Does it to both, and compares what they say of it.
    fn act(&self, structure: &mut Structure, model: &mut Self::Model);

    /// Compares everything that can be asked of them.
    fn compare(structure: &Structure, model: &Self::Model);
}

/// Some bytes: few, so that they meet again.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(0_u8..4, 0..3),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

/// Whatever was done: the structure is as its model, its encoding makes it again, and its log makes what it is out of
/// what it was when the log was taken.
fn does_as_its_model<S: Modelled>(kind: Kind, before: &[S], after: &[S]) {
    let mut structure = Structure::new(kind).expect("a structure");
    let mut model = S::Model::default();
    for step in before {
        step.act(&mut structure, &mut model);
    }
    S::compare(&structure, &model);

    let log = structure.take_log();
    let mut replayed = Structure::new(kind).expect("a structure");
    replayed.replay(&log).expect("it is its log");
    is_the_same(&replayed, &structure);

    let mut old = structure.clone();
    for step in after {
        step.act(&mut structure, &mut model);
    }
    S::compare(&structure, &model);
    let length = structure.log().len();
    let log = structure.take_log();
    assert_eq!(log.len(), length);
    assert!(structure.log().is_empty());
    old.replay(&log).expect("it is its log");
    is_the_same(&old, &structure);
    S::compare(&old, &model);

    let encoded = structure.encode();
    let expected = encoded.len()..=encoded.len() + 4 * structure.len();
    assert!(expected.contains(&structure.encoded_bytes()), "{structure:?}");
    let decoded = Structure::decode(kind, &encoded).expect("it is its encoding");
    is_the_same(&decoded, &structure);
    S::compare(&decoded, &model);
}

fn is_the_same(one: &Structure, other: &Structure) {
    assert_eq!(one, other);
    assert_eq!(one.bytes(), other.bytes());
    assert!(one.log().is_empty(), "what is replayed is not logged");
    assert_eq!(one.is_empty(), one.bytes() == 0);
}

#[test]
fn what_is_replayed_leaves_the_log_alone() {
    for kind in Kind::ALL {
        let Some(mut structure) = Structure::new(kind) else {
            continue;
        };
        let whole = hostile::sample(kind);
        match &mut structure {
            Structure::Hash(hash) => drop(hash.insert(b"mine", b"1")),
            Structure::List(list) => list.push_back(b"mine"),
            Structure::Set(set) => drop(set.insert(b"mine")),
            Structure::SortedSet(set) => drop(set.insert(b"mine", 1.0)),
        }
        let length = structure.log().len();
        structure.replay(&whole.encode()).expect("it is an encoding");
        assert_eq!(structure.log().len(), length, "{kind}");
    }
}

#[test]
fn kinds_have_numbers_of_their_own() {
    for kind in Kind::ALL {
        assert_eq!(Kind::of_number(kind.number()), Some(kind));
        assert_eq!(
            Structure::new(kind).map(|new| new.kind()),
            Some(kind).filter(|kind| *kind != Kind::Plain)
        );
    }
    assert_eq!(Kind::of_number(5), None);
}

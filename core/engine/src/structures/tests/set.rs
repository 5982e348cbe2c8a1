//! Sets.

use std::collections::BTreeSet;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>),
    Remove(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => name().prop_map(Step::Insert),
        1 => name().prop_map(Step::Remove),
    ]
}

impl Modelled for Step {
    type Model = BTreeSet<Vec<u8>>;

    fn act(&self, structure: &mut Structure, model: &mut Self::Model) {
        let Structure::Set(set) = structure else {
            panic!("{structure:?}");
        };
        let length = set.log().len();
        let changed = match self {
            Self::Insert(member) => {
                let is_new = model.insert(member.clone());
                assert_eq!(set.insert(member), is_new);
                is_new
            }
            Self::Remove(member) => {
                let was_there = model.remove(member);
                assert_eq!(set.remove(member), was_there);
                was_there
            }
        };
        assert_eq!(set.log().len() > length, changed, "only what changes is logged");
    }

    fn compare(structure: &Structure, model: &Self::Model) {
        let Structure::Set(set) = structure else {
            panic!("{structure:?}");
        };
        assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
        let mut all: Vec<_> = set.iter().collect();
        for (place, member) in all.iter().enumerate() {
            assert_eq!(set.at(place), Some(*member));
            assert!(set.contains(member));
        }
        assert_eq!(set.at(all.len()), None);
        all.sort_unstable();
        assert!(all.into_iter().eq(model.iter().map(Vec::as_slice)));
        let all: usize = model.iter().map(Vec::len).sum();
        assert_eq!(structure.bytes(), all + 48 * model.len());
    }
}

proptest! {
    #[test]
    fn sets_do_as_sets(before in prop::collection::vec(step(), 0..60), after in prop::collection::vec(step(), 0..60)) {
        does_as_its_model(Kind::Set, &before, &after);
    }
}

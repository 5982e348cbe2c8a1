//! Hashes.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (name(), name()).prop_map(|(field, value)| Step::Insert(field, value)),
        1 => name().prop_map(Step::Remove),
    ]
}

fn hash(structure: &Structure) -> &Hash {
    match structure {
        Structure::Hash(hash) => hash,
        other => panic!("{other:?}"),
    }
}

impl Modelled for Step {
    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    fn act(&self, structure: &mut Structure, model: &mut Self::Model) {
        let Structure::Hash(hash) = structure else {
            panic!("{structure:?}");
        };
        match self {
            Self::Insert(field, value) => {
                let known = model.insert(field.clone(), value.clone());
                assert_eq!(hash.insert(field, value), known.is_none());
            }
            Self::Remove(field) => assert_eq!(hash.remove(field), model.remove(field).is_some()),
        }
    }

    fn compare(structure: &Structure, model: &Self::Model) {
        let hash = hash(structure);
        assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
        let mut all: Vec<_> = hash.iter().collect();
        for (place, (field, value)) in all.iter().enumerate() {
            assert_eq!(hash.at(place), Some((*field, *value)));
        }
        assert_eq!(hash.at(all.len()), None);
        all.sort_unstable();
        assert!(
            all.into_iter()
                .eq(model.iter().map(|(field, value)| (&field[..], &value[..])))
        );
        for (field, value) in model {
            assert_eq!(hash.get(field), Some(&value[..]));
            assert!(hash.contains(field));
        }
        let bytes = model.iter().map(|(field, value)| field.len() + value.len());
        let all: usize = bytes.sum();
        assert!(structure.bytes() >= all && structure.bytes() <= all + 100 * model.len());
    }
}

proptest! {
    #[test]
    fn hashes_do_as_maps(before in prop::collection::vec(step(), 0..60), after in prop::collection::vec(step(), 0..60)) {
        does_as_its_model(Kind::Hash, &before, &after);
    }
}

#[test]
fn room_is_given_back() {
    let mut hash = Hash::default();
    let names: Vec<_> = (0..10_000_u32).map(u32::to_be_bytes).collect();
    for name in &names {
        hash.insert(name, b"");
    }
    for name in &names[10..] {
        assert!(hash.remove(name));
    }
    assert_eq!(hash.len(), 10);
    for name in &names[..10] {
        assert_eq!(hash.get(name), Some(&b""[..]));
        assert!(hash.remove(name));
    }
    assert_eq!(hash.bytes(), 0);
}

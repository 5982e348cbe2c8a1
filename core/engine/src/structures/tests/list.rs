//! Lists.

use super::*;

#[derive(Debug, Clone)]
enum Step {
    PushFront(Vec<u8>),
    PushBack(Vec<u8>),
    PopFront,
    PopBack,
    DropFront(usize),
    DropBack(usize),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize),
    RemoveEqualFirst(Vec<u8>, usize),
    RemoveEqualLast(Vec<u8>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => name().prop_map(Step::PushFront),
        3 => name().prop_map(Step::PushBack),
        1 => Just(Step::PopFront),
        1 => Just(Step::PopBack),
        1 => (0_usize..5).prop_map(Step::DropFront),
        1 => (0_usize..5).prop_map(Step::DropBack),
        2 => (0_usize..20, name()).prop_map(|(place, element)| Step::Set(place, element)),
        2 => (0_usize..20, name()).prop_map(|(place, element)| Step::Insert(place, element)),
        2 => (0_usize..20).prop_map(Step::Remove),
        1 => (name(), 0_usize..4).prop_map(|(element, count)| Step::RemoveEqualFirst(element, count)),
        1 => (name(), 0_usize..4).prop_map(|(element, count)| Step::RemoveEqualLast(element, count)),
    ]
}

impl Modelled for Step {
    type Model = Vec<Vec<u8>>;

    fn act(&self, structure: &mut Structure, model: &mut Self::Model) {
        let Structure::List(list) = structure else {
            panic!("{structure:?}");
        };
        let taken = |place: usize, model: &mut Self::Model| {
            (place < model.len()).then(|| model.remove(place).into_boxed_slice())
        };
        match self {
            Self::PushFront(element) => {
                list.push_front(element);
                model.insert(0, element.clone());
            }
            Self::PushBack(element) => {
                list.push_back(element);
                model.push(element.clone());
            }
            Self::PopFront => assert_eq!(list.pop_front(), taken(0, model)),
            Self::PopBack => assert_eq!(list.pop_back(), taken(model.len().wrapping_sub(1), model)),
            Self::DropFront(count) => {
                list.drop_front(*count);
                model.drain(..(*count).min(model.len()));
            }
            Self::DropBack(count) => {
                list.drop_back(*count);
                model.truncate(model.len().saturating_sub(*count));
            }
            Self::Set(place, element) => {
                let known = model.get_mut(*place);
                assert_eq!(list.set(*place, element), known.is_some());
                known.into_iter().for_each(|known| known.clone_from(element));
            }
            Self::Insert(place, element) => {
                list.insert(*place, element);
                model.insert((*place).min(model.len()), element.clone());
            }
            Self::RemoveEqualFirst(element, count) => {
                assert_eq!(
                    list.remove_equal_first(element, *count),
                    without(model, element, *count)
                );
            }
            Self::RemoveEqualLast(element, count) => {
                model.reverse();
                assert_eq!(
                    list.remove_equal_last(element, *count),
                    without(model, element, *count)
                );
                model.reverse();
            }
            Self::Remove(place) => assert_eq!(list.remove(*place), taken(*place, model)),
        }
    }

    fn compare(structure: &Structure, model: &Self::Model) {
        let Structure::List(list) = structure else {
            panic!("{structure:?}");
        };
        assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
        assert!(list.iter().eq(model.iter().map(Vec::as_slice)));
        for from in 0..=model.len() + 1 {
            assert_eq!(list.at(from), model.get(from).map(Vec::as_slice));
            for to in [0, from, from + 1, from + 3, usize::MAX] {
                let some = model.iter().take(to).skip(from).map(Vec::as_slice);
                assert!(list.range(from, to).eq(some), "{from}..{to}");
            }
        }
        let all: usize = model.iter().map(Vec::len).sum();
        assert_eq!(structure.bytes(), all + 32 * model.len());
    }
}

/// Takes so many of the first equal ones away; tells how many there were.
fn without(model: &mut Vec<Vec<u8>>, element: &[u8], count: usize) -> usize {
    let mut removed = 0;
    while removed < count {
        let Some(place) = model.iter().position(|known| known == element) else {
            break;
        };
        model.remove(place);
        removed += 1;
    }
    removed
}

proptest! {
    #[test]
    fn lists_do_as_vectors(before in prop::collection::vec(step(), 0..60), after in prop::collection::vec(step(), 0..60)) {
        does_as_its_model(Kind::List, &before, &after);
    }
}

#[test]
fn room_is_given_back() {
    let mut list = List::default();
    (0..10_000).for_each(|_| list.push_back(b"x"));
    list.drop_front(9_990);
    list.push_front(b"first");
    assert_eq!((list.len(), list.at(0)), (11, Some(&b"first"[..])));
    list.drop_back(usize::MAX);
    assert_eq!((list.len(), list.bytes()), (0, 0));
}

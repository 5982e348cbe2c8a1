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

/// A step at an end, or one that replaces an element.
fn gentle_step() -> impl Strategy<Value = Step> {
    let is_gentle = |step: &Step| {
        let is_amid = matches!(step, Step::Insert(..) | Step::Remove(_));
        !is_amid && !matches!(step, Step::RemoveEqualFirst(..) | Step::RemoveEqualLast(..))
    };
    step().prop_filter("in the midst", is_gentle)
}

proptest! {
    /// Whatever is done meanwhile at the ends: the pieces and then the log make what there is.
    #[test]
    fn a_list_that_changes_is_encoded_in_pieces(
        before in prop::collection::vec(step(), 0..60),
        after in prop::collection::vec((gentle_step(), 0..20_usize), 0..40),
    ) {
        let mut structure = Structure::new(Kind::List).expect("a structure");
        let mut model = Vec::new();
        before.iter().for_each(|step| step.act(&mut structure, &mut model));
        structure.take_log();
        structure.begin_pieces();
        let mut pieces = Vec::new();
        let mut is_done = false;
        let mut take = |structure: &mut Structure, bytes_max| {
            if !is_done && bytes_max > 0 {
                let piece = structure.next_piece(bytes_max).expect("it goes on");
                is_done = piece.is_empty();
                pieces.extend_from_slice(&piece);
            }
            is_done
        };
        for (step, bytes_max) in &after {
            step.act(&mut structure, &mut model);
            take(&mut structure, *bytes_max);
        }
        let log = structure.take_log();
        while !take(&mut structure, 10) {}
        let mut made = Structure::new(Kind::List).expect("a structure");
        made.replay(&pieces).expect("as long as it was");
        made.replay(&log).expect("it is its log");
        is_the_same(&made, &structure);
        Step::compare(&made, &model);
    }
}

#[test]
fn pieces_end_when_the_midst_of_a_list_is_changed() {
    type Change = fn(&mut List);
    let changes: [Change; 4] = [
        |list| list.insert(1, b"x"),
        |list| drop(list.remove(1)),
        |list| assert_eq!(list.remove_equal_first(b"a", 1), 1),
        |list| assert_eq!(list.remove_equal_last(b"a", 1), 1),
    ];
    for change in changes {
        let mut list = List::default();
        (0..5).for_each(|_| list.push_back(b"a"));
        let mut structure = Structure::List(list);
        structure.begin_pieces();
        assert!(structure.next_piece(4).is_some());
        let Structure::List(list) = &mut structure else {
            panic!("it is a list");
        };
        change(list);
        assert_eq!((structure.is_in_pieces(), structure.next_piece(4)), (false, None));
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

//! Cells, and what they come to.

use super::super::{Entry, Revision};
use super::*;
use crate::Kind;
use crate::structures::Structure;

const NOW: Timestamp = Timestamp::from_millis(1_000);
const LATER: Timestamp = Timestamp::from_millis(2_000);

fn entry(value: &'static str) -> Entry {
    Entry {
        value: value.into(),
        kind: Kind::Plain,
        revision: Revision(7),
        created: Timestamp::from_millis(1),
        expires: Some(LATER),
    }
}

fn key(name: &'static str) -> Key {
    Key::new(name).unwrap()
}

#[test]
fn what_is_only_looked_at_stays() {
    let entry = entry("x");
    let cell = Cell::of_entry(Some(&entry)).unwrap();
    assert_eq!(cell.plain(), Ok(Some(&b"x"[..])));
    assert_eq!(cell.hash(), Err(EngineError::WrongKind(Kind::Plain)));
    assert!(matches!(cell.into_outcome(NOW), Outcome::Same));
    assert!(matches!(Cell::absent().into_outcome(NOW), Outcome::Same));
}

#[test]
fn plain_values_change() {
    let entry = entry("x");
    let mut cell = Cell::of_entry(Some(&entry)).unwrap();
    cell.put("y");
    assert_eq!(cell.plain(), Ok(Some(&b"y"[..])));
    assert!(matches!(
        cell.into_outcome(NOW),
        Outcome::Plain { value: Some(value), expires: Some(LATER) } if value == "y"
    ));
    let mut cell = Cell::of_entry(Some(&entry)).unwrap();
    cell.set_expires(None);
    assert!(matches!(
        cell.into_outcome(NOW),
        Outcome::Plain {
            value: None,
            expires: None
        }
    ));
    let mut cell = Cell::of_entry(Some(&entry)).unwrap();
    cell.set_expires(Some(NOW));
    assert!(matches!(cell.into_outcome(NOW), Outcome::Removed));
    let mut cell = Cell::of_entry(Some(&entry)).unwrap();
    assert!(cell.remove());
    assert!(!cell.remove());
    assert!(matches!(cell.into_outcome(NOW), Outcome::Removed));
}

#[test]
fn structures_begin_change_and_end() {
    let mut cell = Cell::absent();
    cell.list_mut().unwrap().push_back(b"a");
    assert_eq!(cell.kind(), Some(Kind::List));
    assert_eq!(cell.set_mut().err(), Some(EngineError::WrongKind(Kind::List)));
    let Outcome::Structure {
        content, is_replaced, ..
    } = cell.into_outcome(NOW)
    else {
        panic!("it has one");
    };
    assert!(is_replaced);
    let list = Entry {
        value: content.structure().unwrap().encode().into(),
        kind: Kind::List,
        ..entry("")
    };

    let mut cell = Cell::of_entry(Some(&list)).unwrap();
    assert_eq!(cell.list().unwrap().unwrap().len(), 1);
    assert_eq!(&*cell.list_mut().unwrap().pop_front().unwrap(), b"a");
    assert_eq!(cell.kind(), None);
    cell.list_mut().unwrap().push_back(b"b");
    let outcome = cell.into_outcome(NOW);
    assert!(matches!(
        outcome,
        Outcome::Structure {
            is_replaced: false,
            ..
        }
    ));

    let mut cell = Cell::of_entry(Some(&list)).unwrap();
    cell.list_mut().unwrap().pop_front();
    assert!(matches!(cell.into_outcome(NOW), Outcome::Removed));
    let mut cell = Cell::of_entry(Some(&list)).unwrap();
    cell.list_mut().unwrap().drop_front(0);
    assert!(matches!(cell.into_outcome(NOW), Outcome::Same));
}

#[test]
fn what_is_taken_is_placed_with_its_expiry() {
    let entry = entry("x");
    let mut from = Cell::of_entry(Some(&entry)).unwrap();
    let mut to = Cell::absent();
    to.place(from.take().unwrap());
    assert!(matches!(from.into_outcome(NOW), Outcome::Removed));
    assert!(matches!(
        to.into_outcome(NOW),
        Outcome::Plain { value: Some(value), expires: Some(LATER) } if value == "x"
    ));
    let mut hash = Cell::absent();
    hash.hash_mut().unwrap().insert(b"f", b"v");
    let copy = hash.copy().unwrap();
    let mut to = Cell::absent();
    to.place(copy);
    assert_eq!(to.structure(), hash.structure());
    assert!(Cell::absent().take().is_none());
}

#[test]
fn keys_have_to_be_named_unless_any_is_reached() {
    let mut cells = Cells::new(NOW, None);
    cells.add(key("a"), Cell::absent());
    assert!(cells.cell(&key("a")).is_ok());
    assert!(matches!(cells.cell(&key("b")), Err(EngineError::Invalid(_))));

    let mut cells = Cells::new(NOW, Some(Box::new(|_| Ok(Cell::absent()))));
    for number in 0..100 {
        let key = Key::new(format!("key {number}")).unwrap();
        cells.cell(&key).unwrap().put(number.to_string());
    }
    for number in 0..100 {
        let key = Key::new(format!("key {number}")).unwrap();
        let value = number.to_string();
        assert_eq!(cells.cell(&key).unwrap().plain(), Ok(Some(value.as_bytes())));
    }
    assert_eq!(cells.into_cells().len(), 100);
}

#[test]
fn damage_is_told() {
    let list = Entry {
        kind: Kind::List,
        ..entry("\u{1}\u{7f}")
    };
    assert!(matches!(
        Cell::of_entry(Some(&list)),
        Err(EngineError::Damaged(_))
    ));
    assert!(Structure::decode(Kind::Plain, b"").is_err());
}

#[test]
fn keys_are_looked_at_side_by_side() {
    let mut cells = Cells::new(NOW, None);
    cells.add(key("a"), Cell::absent());
    cells.add(key("b"), Cell::absent());
    cells.cell(&key("a")).unwrap().put("1");
    cells.cell(&key("b")).unwrap().put("2");
    let (a, b) = (cells.known(&key("a")), cells.known(&key("b")));
    assert_eq!(a.unwrap().plain(), Ok(Some(&b"1"[..])));
    assert_eq!(b.unwrap().plain(), Ok(Some(&b"2"[..])));
    assert!(cells.known(&key("c")).is_none());
}

#[test]
fn cells_are_found_in_any_order_and_added_once() {
    // Few are looked through, many have an index.
    for count in [3, 40] {
        let keys: Vec<Key> = (0..count)
            .map(|number| Key::new(format!("key {number}")).unwrap())
            .collect();
        let mut cells = Cells::new(NOW, None);
        cells.reserve(keys.len());
        for key in &keys {
            assert!(cells.add_with(key.clone(), Cell::absent));
            assert!(!cells.add_with(key.clone(), || unreachable!("it is there")));
        }
        let twice = keys.iter().flat_map(|key| [key, key]);
        for (number, key) in keys.iter().chain(keys.iter().rev()).chain(twice).enumerate() {
            let cell = cells.cell(key).unwrap();
            let text = [key.as_bytes(), b"!"].concat();
            assert_eq!(cell.is_present(), number >= keys.len(), "{key:?}");
            assert!(cell.plain().unwrap().is_none_or(|value| value == text));
            cell.put(text);
        }
        let known: Vec<Key> = cells.into_cells().into_iter().map(|(key, _)| key).collect();
        assert_eq!(known, keys);
    }
}

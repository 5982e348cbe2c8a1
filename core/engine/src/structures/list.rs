//! Values in order.

use std::collections::VecDeque;

use super::less_room;
use super::log::{LENGTH_BYTES, Log, LogReader, damaged};
use crate::Result;

mod pieces;

use pieces::Pieces;

const PUSH_FRONT: u8 = 1;
const PUSH_BACK: u8 = 2;
const DROP_FRONT: u8 = 3;
const DROP_BACK: u8 = 4;
const SET: u8 = 5;
const INSERT: u8 = 6;
const REMOVE: u8 = 7;
const REMOVE_EQUAL_FIRST: u8 = 8;
const REMOVE_EQUAL_LAST: u8 = 9;

/// What an element costs beside its bytes.
const ELEMENT_COST_BYTES: usize = 32;

/// What an element takes in an encoding beside its bytes, at most: what the change is, a length.
const CHANGE_BYTES: usize = 1 + LENGTH_BYTES;

/// Values in order, by their places: the first is at 0.
#[derive(Debug, Clone, Default)]
pub struct List {
    elements: VecDeque<Box<[u8]>>,
    bytes: usize,
    log: Log,
    /// What is being encoded piece by piece.
    pieces: Option<Pieces>,
}

impl List {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The element at a place.
    pub fn at(&self, place: usize) -> Option<&[u8]> {
        self.elements.get(place).map(|element| &**element)
    }

    /// All elements, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.elements.iter().map(|element| &**element)
    }

    /// Those from a place on to before another; fewer if there are fewer.
    pub fn range(
        &self,
        from: usize,
        to: usize,
    ) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        let to = to.min(self.len());
        self.elements.range(from.min(to)..to).map(|element| &**element)
    }

    /// Puts an element before all others.
    pub fn push_front(&mut self, element: &[u8]) {
        self.log.change(PUSH_FRONT).bytes(element);
        self.put(0, element);
    }

    /// Puts an element after all others.
    pub fn push_back(&mut self, element: &[u8]) {
        self.log.change(PUSH_BACK).bytes(element);
        self.put(self.len(), element);
    }

    /// Takes the first element.
    pub fn pop_front(&mut self) -> Option<Box<[u8]>> {
        let element = self.take(0)?;
        self.log.change(DROP_FRONT).number(1);
        Some(element)
    }

    /// Takes the last element.
    pub fn pop_back(&mut self) -> Option<Box<[u8]>> {
        let element = self.take(self.len().checked_sub(1)?)?;
        self.log.change(DROP_BACK).number(1);
        Some(element)
    }

    /// Drops so many of the first, or all if there are fewer.
    pub fn drop_front(&mut self, count: usize) {
        let count = count.min(self.len());
        if count > 0 {
            self.log.change(DROP_FRONT).number(count);
            self.drop(0, count);
        }
    }

    /// Drops so many of the last, or all if there are fewer.
    pub fn drop_back(&mut self, count: usize) {
        let count = count.min(self.len());
        if count > 0 {
            self.log.change(DROP_BACK).number(count);
            self.drop(self.len() - count, count);
        }
    }

    /// Replaces an element. Tells whether there is one at that place.
    pub fn set(&mut self, place: usize, element: &[u8]) -> bool {
        let is_there = self.replace(place, element);
        if is_there {
            self.log.change(SET).number(place).bytes(element);
        }
        is_there
    }

    /// Puts an element at a place, before that which is there; at the end if there are not so many.
    pub fn insert(&mut self, place: usize, element: &[u8]) {
        let place = place.min(self.len());
        self.log.change(INSERT).number(place).bytes(element);
        self.put(place, element);
    }

    /// Takes the element at a place away.
    pub fn remove(&mut self, place: usize) -> Option<Box<[u8]>> {
        let element = self.take(place)?;
        self.log.change(REMOVE).number(place);
        Some(element)
    }

    /// Takes away the elements that are equal to this one: so many of the first of them. Tells how many there were.
    pub fn remove_equal_first(&mut self, element: &[u8], count_max: usize) -> usize {
        let removed = self.take_equal_first(element, count_max);
        if removed > 0 {
            self.log.change(REMOVE_EQUAL_FIRST).bytes(element).number(removed);
        }
        removed
    }

    /// Takes away the elements that are equal to this one: so many of the last of them. Tells how many there were.
    pub fn remove_equal_last(&mut self, element: &[u8], count_max: usize) -> usize {
        let removed = self.take_equal_last(element, count_max);
        if removed > 0 {
            self.log.change(REMOVE_EQUAL_LAST).bytes(element).number(removed);
        }
        removed
    }

    fn take_equal_first(&mut self, element: &[u8], count_max: usize) -> usize {
        let mut removed = 0;
        self.pieces = None;
        self.elements.retain(|known| {
            let goes = removed < count_max && **known == *element;
            removed += usize::from(goes);
            !goes
        });
        self.bytes -= removed * cost(element);
        self.give_room_back();
        removed
    }

    fn take_equal_last(&mut self, element: &[u8], count_max: usize) -> usize {
        let equal = self.iter().filter(|known| *known == element).count();
        let removed = equal.min(count_max);
        let mut staying = equal - removed;
        self.pieces = None;
        self.elements.retain(|known| {
            let is_equal = **known == *element;
            let stays = !is_equal || staying > 0;
            staying -= usize::from(is_equal && stays);
            stays
        });
        self.bytes -= removed * cost(element);
        self.give_room_back();
        removed
    }

    /// The place is not beyond the end.
    fn put(&mut self, place: usize, element: &[u8]) {
        match &mut self.pieces {
            Some(pieces) if place == 0 => pieces.pushed_front(),
            Some(pieces) if place == self.elements.len() => pieces.pushed_back(),
            _ => self.pieces = None,
        }
        self.bytes += cost(element);
        self.elements.insert(place, element.into());
    }

    fn take(&mut self, place: usize) -> Option<Box<[u8]>> {
        let element = self.elements.remove(place)?;
        match &mut self.pieces {
            Some(pieces) if place == 0 => pieces.dropped_front(1),
            Some(pieces) if place == self.elements.len() => pieces.dropped_back(1),
            _ => self.pieces = None,
        }
        self.bytes -= cost(&element);
        self.give_room_back();
        Some(element)
    }

    fn replace(&mut self, place: usize, element: &[u8]) -> bool {
        let Some(known) = self.elements.get_mut(place) else {
            return false;
        };
        self.bytes = self.bytes - known.len() + element.len();
        *known = element.into();
        true
    }

    /// There are so many.
    fn drop(&mut self, from: usize, count: usize) {
        match &mut self.pieces {
            Some(pieces) if from == 0 => pieces.dropped_front(count),
            Some(pieces) if from + count == self.elements.len() => pieces.dropped_back(count),
            _ => self.pieces = None,
        }
        for element in self.elements.drain(from..from + count) {
            self.bytes -= cost(&element);
        }
        self.give_room_back();
    }

    fn give_room_back(&mut self) {
        if let Some(room) = less_room(self.len(), self.elements.capacity()) {
            self.elements.shrink_to(room);
        }
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.bytes - self.len() * (ELEMENT_COST_BYTES - CHANGE_BYTES)
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut log = Log::with_capacity(self.encoded_bytes());
        for element in self.iter() {
            log.change(PUSH_BACK).bytes(element);
        }
        log.take()
    }

    pub(super) fn begin_pieces(&mut self) {
        self.pieces = Some(Pieces::new(self.len()));
    }

    pub(super) fn is_in_pieces(&self) -> bool {
        self.pieces.is_some()
    }

    pub(super) fn next_piece(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        let pieces = self.pieces.as_mut()?;
        let mut piece = Log::default();
        while !pieces.is_done() && piece.len() < bytes_max {
            let element = pieces.advance().and_then(|place| self.elements.get(place));
            piece
                .change(PUSH_BACK)
                .bytes(element.map_or(&[], |element| element));
        }
        if pieces.is_done() && piece.is_empty() {
            self.pieces = None;
        }
        Some(piece.take())
    }

    pub(super) fn replay(&mut self, log: &[u8]) -> Result<()> {
        let mut log = LogReader::new(log);
        while let Some(what) = log.change() {
            match what {
                PUSH_FRONT => self.put(0, log.bytes()?),
                PUSH_BACK => self.put(self.len(), log.bytes()?),
                DROP_FRONT => {
                    let count = self.counted(log.number()?)?;
                    self.drop(0, count);
                }
                DROP_BACK => {
                    let count = self.counted(log.number()?)?;
                    self.drop(self.len() - count, count);
                }
                SET => {
                    let place = log.number()?;
                    if !self.replace(place, log.bytes()?) {
                        return Err(damaged());
                    }
                }
                INSERT => {
                    let place = self.counted(log.number()?)?;
                    self.put(place, log.bytes()?);
                }
                REMOVE => {
                    self.take(log.number()?).ok_or_else(damaged)?;
                }
                REMOVE_EQUAL_FIRST => {
                    let (element, count) = (log.bytes()?, log.number()?);
                    all_of(count, self.take_equal_first(element, count))?;
                }
                REMOVE_EQUAL_LAST => {
                    let (element, count) = (log.bytes()?, log.number()?);
                    all_of(count, self.take_equal_last(element, count))?;
                }
                _ => return Err(damaged()),
            }
        }
        Ok(())
    }

    /// So many elements, if there are so many.
    fn counted(&self, count: usize) -> Result<usize> {
        (count <= self.len()).then_some(count).ok_or_else(damaged)
    }
}

/// That as many were there as were logged.
fn all_of(logged: usize, there: usize) -> Result<()> {
    (logged == there).then_some(()).ok_or_else(damaged)
}

fn cost(element: &[u8]) -> usize {
    element.len() + ELEMENT_COST_BYTES
}

impl PartialEq for List {
    /// Whether they have the same elements in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.elements == other.elements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(elements: &[u8]) -> List {
        let mut list = List::default();
        elements.iter().for_each(|element| list.push_back(&[*element]));
        list
    }

    #[test]
    fn equal_elements_go_from_either_end() {
        type Remove = fn(&mut List) -> usize;
        let cases: [(Remove, usize, &[u8]); 6] = [
            (|list| list.remove_equal_first(b"a", 2), 2, b"bca"),
            (|list| list.remove_equal_last(b"a", 2), 2, b"abc"),
            (|list| list.remove_equal_first(b"a", usize::MAX), 3, b"bc"),
            (|list| list.remove_equal_last(b"a", usize::MAX), 3, b"bc"),
            (|list| list.remove_equal_first(b"a", 0), 0, b"abaca"),
            (|list| list.remove_equal_last(b"x", 1), 0, b"abaca"),
        ];
        for (remove, count, left) in cases {
            let mut changed = list(b"abaca");
            changed.log_mut().take();
            assert_eq!(remove(&mut changed), count);
            assert_eq!(changed, list(left));
            assert_eq!(changed.bytes(), list(left).bytes());
            assert_eq!(changed.log().is_empty(), count == 0);
            let mut replayed = list(b"abaca");
            replayed.replay(&changed.log_mut().take()).unwrap();
            assert_eq!(replayed, changed);
        }
    }
}

//! Changing keys by a function of what they have.
//!
//! An [`Edit`] says which keys it reaches, and is then run on them in one step: nobody sees a part of it, and nothing
//! comes in between. It works on [`Cells`], one for each key, which it reads and changes as it likes. That is the way
//! to change a [structure](crate::structures) in place, and several keys at once.

use std::any::Any;

use smallvec::SmallVec;

use crate::{EngineError, Key, Result, Timestamp};

mod cell;
mod look;

pub use cell::{Cell, Content, Outcome, Taken};
pub use look::look_at_entries;

/// A function of what keys have.
pub trait Edit: Any + Send {
    /// Which keys it looks at or changes.
    fn reach(&self) -> Reach<'_>;

    /// Whether it may change something; if not, it runs also when nothing can be written.
    fn changes(&self) -> bool;

    /// Asked of an edit that reaches any key where nobody can let it: whether it can do with keys that it names. It
    /// reaches these from then on.
    fn narrow(&mut self) -> bool {
        false
    }

    /// Looks at the keys and changes them. It must not wait. An engine may run it several times, each time on what the
    /// keys have then; only what the last run did counts, so each begins anew.
    fn run(&mut self, cells: &mut Cells<'_>);
}

/// Which keys an edit reaches.
#[derive(Debug, Clone, Copy)]
pub enum Reach<'a> {
    /// These; one may stand there twice.
    Keys(&'a [Key]),
    /// Any: they are known only when it runs. Engines that cannot hold everything still [narrow](Edit::narrow) it, or say
    /// Unsupported.
    Any,
}

/// What an edit works on.
pub struct Cells<'a> {
    now: Timestamp,
    /// Most edits have one.
    cells: SmallVec<[(Key, Cell<'a>); 1]>,
    /// Where the cell of a key is, as soon as there are many.
    index: Option<foldhash::HashMap<Key, usize>>,
    /// Where the one is that comes after the last one that was asked for: most edits take them in their order.
    next: usize,
    find: Option<Find<'a>>,
    may: Option<May>,
}

/// Whether a key that was not named before may be reached.
pub type May = Box<dyn Fn(&Key) -> Result<()>>;

/// Finds what a key has that was not named before.
pub type Find<'a> = Box<dyn FnMut(&Key) -> Result<Cell<'a>> + 'a>;

/// So many cells are looked through one by one.
const LOOKED_THROUGH_MAX: usize = 16;

impl<'a> Cells<'a> {
    /// None yet. `find` gives those that are not there, for an edit that reaches [any](Reach::Any).
    pub fn new(now: Timestamp, find: Option<Find<'a>>) -> Self {
        Self {
            now,
            cells: SmallVec::new(),
            index: None,
            next: 0,
            find,
            may: None,
        }
    }

    /// From now on keys that were not named before are asked about first.
    pub fn confine(&mut self, may: May) {
        self.may = Some(may);
    }

    /// Adds what a key has, unless it is there.
    pub fn add(&mut self, key: Key, cell: Cell<'a>) {
        self.add_with(key, || cell);
    }

    /// Adds what a key has, unless it is there; tells whether it was added.
    pub fn add_with(&mut self, key: Key, cell: impl FnOnce() -> Cell<'a>) -> bool {
        if self.place(&key).is_some() {
            return false;
        }
        if let Some(index) = &mut self.index {
            index.insert(key.clone(), self.cells.len());
        }
        self.cells.push((key, cell()));
        if self.index.is_none() && self.cells.len() > LOOKED_THROUGH_MAX {
            let places = self.cells.iter().enumerate();
            self.index = Some(places.map(|(place, (key, _))| (key.clone(), place)).collect());
        }
        true
    }

    /// Makes room for so many more, together.
    pub fn reserve(&mut self, more: usize) {
        self.cells.reserve(more);
    }

    /// The moment of the edit: what has expired by then is absent.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What a key has.
    ///
    /// # Errors
    /// Invalid, when the edit did not say that it reaches that key; what reading it came to.
    pub fn cell(&mut self, key: &Key) -> Result<&mut Cell<'a>> {
        let mut place = self.place(key);
        if place.is_none() {
            self.may.as_ref().map_or(Ok(()), |may| may(key))?;
            let cell = match &mut self.find {
                Some(find) => find(key)?,
                None => {
                    return Err(EngineError::Invalid(format!(
                        "key {} was not named before: name every key that is used",
                        key.as_bytes().escape_ascii()
                    )));
                }
            };
            place = Some(self.cells.len());
            self.add(key.clone(), cell);
        }
        let place = place.unwrap_or_default();
        self.next = place + 1;
        match self.cells.get_mut(place) {
            Some((_, cell)) => {
                // An edit may have several steps, and one of them have set a moment that has come.
                if cell.expires.is_some_and(|moment| moment <= self.now) {
                    cell.remove();
                }
                Ok(cell)
            }
            None => Err(EngineError::Failed(
                "a key was lost while it was edited".to_owned(),
            )),
        }
    }

    /// What a key has that was named before, or looked for with [`Self::cell`]: to look at several side by side.
    pub fn known(&self, key: &Key) -> Option<&Cell<'a>> {
        let (_, cell) = self.cells.get(self.place(key)?)?;
        Some(cell)
    }

    fn place(&self, key: &Key) -> Option<usize> {
        if self.cells.get(self.next).is_some_and(|(known, _)| known == key) {
            return Some(self.next);
        }
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.cells.iter().position(|(known, _)| known == key),
        }
    }

    /// All cells, for the engine, after the edit.
    pub fn into_cells(self) -> SmallVec<[(Key, Cell<'a>); 1]> {
        self.cells
    }
}

#[cfg(test)]
mod tests;

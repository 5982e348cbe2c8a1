//! What one key has while it is edited.

use bytes::Bytes;
use parking_lot::{ArcMutexGuard, RawMutex};

use super::super::{Entry, Revision};
use crate::structures::{Hash, List, Set, SortedSet, Structure};
use crate::{EngineError, Kind, Result, Timestamp};

/// What one key has, and what becomes of it.
pub struct Cell<'a> {
    content: Content<'a>,
    /// What it had before; `None` if it was absent.
    before: Option<Before>,
    pub(super) expires: Option<Timestamp>,
    /// Whether the content is another one, not the same changed.
    is_replaced: bool,
}

/// What a key had before the edit.
#[derive(Debug, Clone, Copy)]
struct Before {
    revision: Revision,
    created: Timestamp,
    expires: Option<Timestamp>,
}

/// What a cell has.
pub enum Content<'a> {
    /// Nothing.
    Absent,
    /// Bytes that are there.
    Plain(&'a [u8]),
    /// Bytes that were put.
    Put(Bytes),
    /// A structure that others can reach when the edit is over.
    Shared(ArcMutexGuard<RawMutex, Structure>),
    /// A structure of this cell.
    Owned(Box<Structure>),
}

/// What an edit made of a cell.
pub enum Outcome<'a> {
    /// It is as it was.
    Same,
    /// It is absent now, and was not before.
    Removed,
    /// It has bytes: new ones, or those that it had with another expiry.
    Plain {
        /// The bytes; `None` for those that it had.
        value: Option<Bytes>,
        /// When it will be gone.
        expires: Option<Timestamp>,
    },
    /// It has a structure: one that takes the place of what was there, or what it had, changed (its log says how) or
    /// with another expiry.
    Structure {
        /// The structure, with its log.
        content: Content<'a>,
        /// Whether it takes the place of what was there: its log does not make it out of that then.
        is_replaced: bool,
        /// When it will be gone.
        expires: Option<Timestamp>,
    },
}

impl<'a> Cell<'a> {
    /// A key that has nothing.
    pub fn absent() -> Self {
        Self {
            content: Content::Absent,
            before: None,
            expires: None,
            is_replaced: false,
        }
    }

    /// A key that has something, made so by that write.
    pub fn present(
        content: Content<'a>,
        revision: Revision,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Self {
        Self {
            content,
            before: Some(Before {
                revision,
                created,
                expires,
            }),
            expires,
            is_replaced: false,
        }
    }

    /// A key that has what an entry says.
    ///
    /// # Errors
    /// Damaged, when its structure is.
    pub fn of_entry(entry: Option<&'a Entry>) -> Result<Self> {
        let Some(entry) = entry else {
            return Ok(Self::absent());
        };
        let content = match entry.kind {
            Kind::Plain => Content::Plain(&entry.value),
            kind => Content::Owned(Box::new(Structure::decode(kind, &entry.value)?)),
        };
        Ok(Self::present(
            content,
            entry.revision,
            entry.created,
            entry.expires,
        ))
    }

    /// What kind of value there is, if there is one.
    pub fn kind(&self) -> Option<Kind> {
        match &self.content {
            Content::Absent => None,
            Content::Plain(_) | Content::Put(_) => Some(Kind::Plain),
            content => content
                .structure()
                .filter(|structure| !structure.is_empty())
                .map(Structure::kind),
        }
    }

    /// Whether there is a value.
    pub fn is_present(&self) -> bool {
        self.kind().is_some()
    }

    /// The write that made what there was before this edit, if there was something.
    pub fn revision(&self) -> Option<Revision> {
        self.before.map(|before| before.revision)
    }

    /// When the key came to be, as far as it was there before this edit.
    pub fn created(&self) -> Option<Timestamp> {
        self.before
            .filter(|_| self.is_present())
            .map(|before| before.created)
    }

    /// When it will be gone.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Sets when it will be gone. A moment that has come removes it when the edit is over.
    pub fn set_expires(&mut self, expires: Option<Timestamp>) {
        self.expires = expires;
    }

    /// The bytes, if there is something.
    ///
    /// # Errors
    /// Wrong kind, for a structure.
    pub fn plain(&self) -> Result<Option<&[u8]>> {
        match &self.content {
            Content::Plain(value) => Ok(Some(value)),
            Content::Put(value) => Ok(Some(value)),
            _ => self.none_or_wrong().map(|()| None),
        }
    }

    /// The structure, whichever it is.
    pub fn structure(&self) -> Option<&Structure> {
        self.content.structure().filter(|structure| !structure.is_empty())
    }

    /// Sets the bytes, whatever was there; the expiry stays.
    pub fn put(&mut self, value: impl Into<Bytes>) {
        self.replace(Content::Put(value.into()));
    }

    /// Sets a structure, whatever was there; the expiry stays. An empty one is none.
    pub fn put_structure(&mut self, structure: Structure) {
        self.replace(Content::Owned(Box::new(structure)));
    }

    /// Takes away what there is, and the expiry. Tells whether there was something.
    pub fn remove(&mut self) -> bool {
        let was_there = self.is_present();
        self.replace(Content::Absent);
        self.expires = None;
        was_there
    }

    /// Takes what there is out, to be [placed](Self::place) elsewhere. The expiry goes with it.
    pub fn take(&mut self) -> Option<Taken> {
        let expires = self.expires;
        let value = match &mut self.content {
            Content::Absent => return None,
            Content::Plain(value) => TakenValue::Plain(Bytes::copy_from_slice(value)),
            Content::Put(value) => TakenValue::Plain(std::mem::take(value)),
            Content::Shared(structure) => {
                let empty = Structure::new(structure.kind())?;
                TakenValue::Structure(Box::new(std::mem::replace(&mut **structure, empty)))
            }
            Content::Owned(structure) => {
                let empty = Structure::new(structure.kind())?;
                TakenValue::Structure(std::mem::replace(structure, Box::new(empty)))
            }
        };
        if matches!(&value, TakenValue::Structure(structure) if structure.is_empty()) {
            return None;
        }
        self.remove();
        Some(Taken { value, expires })
    }

    /// A copy of what there is, to be [placed](Self::place) elsewhere.
    pub fn copy(&self) -> Option<Taken> {
        let value = match &self.content {
            Content::Absent => return None,
            Content::Plain(value) => TakenValue::Plain(Bytes::copy_from_slice(value)),
            Content::Put(value) => TakenValue::Plain(value.clone()),
            content => TakenValue::Structure(Box::new(
                content
                    .structure()
                    .filter(|structure| !structure.is_empty())?
                    .clone(),
            )),
        };
        Some(Taken {
            value,
            expires: self.expires,
        })
    }

    /// Sets what was taken elsewhere, with its expiry, whatever was there.
    pub fn place(&mut self, taken: Taken) {
        match taken.value {
            TakenValue::Plain(value) => self.put(value),
            TakenValue::Structure(structure) => self.replace(Content::Owned(structure)),
        }
        self.expires = taken.expires;
    }

    fn replace(&mut self, content: Content<'a>) {
        self.content = content;
        self.is_replaced = true;
    }

    /// # Errors
    /// Wrong kind, unless there is nothing.
    fn none_or_wrong(&self) -> Result<()> {
        match self.kind() {
            None => Ok(()),
            Some(kind) => Err(EngineError::WrongKind(kind)),
        }
    }

    /// The structure to change; a new one where there is nothing.
    fn structure_mut(&mut self, kind: Kind) -> Result<&mut Structure> {
        match self.kind() {
            Some(known) if known == kind => {}
            Some(other) => return Err(EngineError::WrongKind(other)),
            // One that is empty by now, but is still the one that was there.
            None if self.content.structure().is_some_and(|empty| empty.kind() == kind) => {}
            None => {
                let new = Structure::new(kind).ok_or(EngineError::WrongKind(Kind::Plain))?;
                self.replace(Content::Owned(Box::new(new)));
            }
        }
        (self.content.structure_mut()).ok_or(EngineError::WrongKind(Kind::Plain))
    }

    /// What became of it. Its moment of expiry has not come, if there is one.
    pub fn into_outcome(self, now: Timestamp) -> Outcome<'a> {
        let is_expired = self.expires.is_some_and(|moment| moment <= now);
        if !self.is_present() || is_expired {
            return match self.before {
                Some(_) => Outcome::Removed,
                None => Outcome::Same,
            };
        }
        let is_touched = self.before.is_none_or(|before| before.expires != self.expires);
        let (expires, is_replaced) = (self.expires, self.is_replaced);
        match self.content {
            Content::Put(value) => Outcome::Plain {
                value: Some(value),
                expires,
            },
            Content::Plain(_) if is_touched => Outcome::Plain { value: None, expires },
            Content::Absent | Content::Plain(_) => Outcome::Same,
            content => {
                let is_changed = content
                    .structure()
                    .is_some_and(|structure| !structure.log().is_empty());
                if !(is_changed || is_replaced || is_touched) {
                    return Outcome::Same;
                }
                Outcome::Structure {
                    content,
                    is_replaced,
                    expires,
                }
            }
        }
    }
}

macro_rules! of_structure {
    ($($look:ident, $change:ident: $kind:ident, $noun:literal;)*) => {
        impl Cell<'_> {
            $(
                #[doc = concat!("The ", $noun, ", if there is something.")]
                ///
                /// # Errors
                /// Wrong kind, when it is something else.
                pub fn $look(&self) -> Result<Option<&$kind>> {
                    match self.structure() {
                        Some(Structure::$kind(found)) => Ok(Some(found)),
                        _ => self.none_or_wrong().map(|()| None),
                    }
                }

                #[doc = concat!("The ", $noun, " to change; a new one where there is nothing. One that is empty when ")]
                /// the edit is over is absent.
                ///
                /// # Errors
                /// Wrong kind, when there is something else.
                pub fn $change(&mut self) -> Result<&mut $kind> {
                    match self.structure_mut(Kind::$kind)? {
                        Structure::$kind(found) => Ok(found),
                        other => Err(EngineError::WrongKind(other.kind())),
                    }
                }
            )*
        }
    };
}

of_structure! {
    hash, hash_mut: Hash, "hash";
    list, list_mut: List, "list";
    set, set_mut: Set, "set";
    sorted_set, sorted_set_mut: SortedSet, "sorted set";
}

impl Content<'_> {
    /// The structure, if it is one.
    pub fn structure(&self) -> Option<&Structure> {
        match self {
            Self::Shared(structure) => Some(structure),
            Self::Owned(structure) => Some(structure),
            _ => None,
        }
    }

    fn structure_mut(&mut self) -> Option<&mut Structure> {
        match self {
            Self::Shared(structure) => Some(structure),
            Self::Owned(structure) => Some(structure),
            _ => None,
        }
    }
}

/// What a key had, on its way to another one.
#[derive(Debug, Clone)]
pub struct Taken {
    value: TakenValue,
    /// When it will be gone.
    pub expires: Option<Timestamp>,
}

#[derive(Debug, Clone)]
enum TakenValue {
    Plain(Bytes),
    Structure(Box<Structure>),
}

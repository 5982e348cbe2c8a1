//! A command at work on keys.

use bytes::Bytes;
use smallvec::SmallVec;
use switchboard_hub::keys::{Cell, Cells, EngineError, Key, Timestamp};

use crate::args::Args;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// What a [function on keys](crate::command::KeyFunction) has at hand. Take it apart to use the parts side by side.
pub(crate) struct Call<'c, 'e> {
    /// What was asked for.
    pub(crate) args: &'c Args,
    /// What the keys have.
    pub(crate) cells: &'c mut Cells<'e>,
    /// Where the answer goes: exactly one, unless the function refuses.
    pub(crate) reply: &'c mut Reply,
    /// What others hear of.
    pub(crate) effects: &'c mut Effects,
    /// Whether it waits: it was tried before, and there was nothing.
    pub(crate) is_waiting: bool,
}

impl Call<'_, '_> {
    /// The moment at which it works.
    pub(crate) fn now(&self) -> Timestamp {
        self.cells.now()
    }
}

/// What a key has that a command may wait for. When it waits already, a key of another kind is as one that is absent:
/// what it waits for may still come, there or at another key.
///
/// # Errors
/// Wrong type, as long as it does not wait.
pub(crate) fn awaited<T>(
    is_waiting: bool,
    found: Result<Option<T>, EngineError>,
) -> Result<Option<T>, Refusal> {
    match found {
        Err(EngineError::WrongKind(_)) if is_waiting => Ok(None),
        found => Ok(found?),
    }
}

/// What others hear of, once a command is done.
#[derive(Debug)]
pub(crate) struct Effects {
    /// The database that its keys are in.
    database: u32,
    /// Whether events are noted: mostly nobody asks for them.
    hears_events: bool,
    events: SmallVec<[Event; 1]>,
    fed: SmallVec<[Key; 1]>,
    published: Vec<(String, Bytes)>,
}

/// What a keyspace notification tells (<https://redis.io/docs/latest/develop/use/keyspace-notifications/>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The class, by which one asks for it.
    pub(crate) class: Class,
    /// What happened: `set`, `lpush`.
    pub(crate) name: &'static str,
    /// To which key.
    pub(crate) key: Key,
}

/// Classes of events, named by their letters in `notify-keyspace-events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `g`
    Generic,
    /// `$`
    String,
    /// `l`
    List,
    /// `s`
    Set,
    /// `h`
    Hash,
    /// `z`
    SortedSet,
    /// `x`
    Expired,
}

impl Default for Effects {
    fn default() -> Self {
        Self {
            database: 0,
            hears_events: true,
            events: SmallVec::new(),
            fed: SmallVec::new(),
            published: Vec::new(),
        }
    }
}

impl Effects {
    /// None yet, in a database.
    pub(crate) fn in_database(database: u32) -> Self {
        Self {
            database,
            ..Self::default()
        }
    }

    /// Says in which database they will be: at first, in 0.
    pub(crate) fn enter(&mut self, database: u32) {
        self.database = database;
    }

    /// The database that its keys are in.
    pub(crate) fn database(&self) -> u32 {
        self.database
    }

    /// Says whether events are noted; at first they are.
    pub(crate) fn hear(&mut self, events: bool) {
        self.hears_events = events;
    }

    /// Tells that something happened to a key.
    pub(crate) fn event(&mut self, class: Class, name: &'static str, key: &Key) {
        if self.hears_events {
            self.events.push(Event {
                class,
                name,
                key: key.clone(),
            });
        }
    }

    /// Tells that a list or a sorted set has got elements that somebody may wait for.
    pub(crate) fn feed(&mut self, key: &Key) {
        if self.fed.last() != Some(key) {
            self.fed.push(key.clone());
        }
    }

    /// Removes a structure that a command may have emptied, if it has; and tells of it.
    pub(crate) fn remove_if_empty(&mut self, cell: &mut Cell<'_>, key: &Key) {
        if !cell.is_present() {
            cell.remove();
            self.event(Class::Generic, "del", key);
        }
    }

    /// Sends a message to a channel, once the command is done.
    pub(crate) fn publish(&mut self, channel: String, payload: Bytes) {
        self.published.push((channel, payload));
    }

    /// The messages to send, with their channels.
    pub(crate) fn published(&self) -> &[(String, Bytes)] {
        &self.published
    }

    /// What happened.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Which keys were fed.
    pub(crate) fn fed(&self) -> &[Key] {
        &self.fed
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.fed.clear();
        self.published.clear();
    }
}

//! How far a reader has come among the messages that are retained.

use crate::message::Message;

/// How far the reader of one queue has come among the messages to be retained, by their serials.
///
/// Such messages are handed in by growing serials, since each is stored and spread under one lock; so the last one that
/// was read says it all. Except where a newer one took the place of an older one of its topic
/// ([`Policy::Latest`](crate::Policy::Latest)): those behind it may be older, and are yet to come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last that was handed in.
    pushed: u64,
    /// The greatest that was read.
    read: u64,
    /// All up to here were read.
    reached: u64,
    /// What the last values reach, once all of them are read.
    last_values: u64,
}

impl Progress {
    /// Last values come first, all that there were up to `serial`. Counts if nothing is in the queue.
    pub(super) fn begin(&mut self, serial: u64, values: usize) {
        self.last_values = serial;
        if values == 0 {
            self.reached = self.reached.max(serial);
        }
    }

    /// A message is handed in. Tells what its place is reached by, should another take it.
    pub(super) fn push(&mut self, message: &Message) -> u64 {
        let before = self.pushed;
        if message.retain {
            self.pushed = self.pushed.max(message.serial);
        }
        before
    }

    /// A last value is read, in the order of their serials. Tells how far that reaches.
    pub(super) fn take_last_value(&mut self, message: &Message, is_last: bool) -> u64 {
        let reached = if is_last { self.last_values } else { message.serial };
        self.advance(reached)
    }

    /// A message is read; if it took the place of another, with what that place is reached by. Tells how far it
    /// reaches.
    pub(super) fn take(&mut self, message: &Message, place: Option<u64>, is_last: bool) -> u64 {
        if message.retain {
            self.read = self.read.max(message.serial);
        }
        match place {
            _ if is_last => self.advance(self.read),
            Some(place) => self.advance(place),
            None if message.retain => self.advance(message.serial),
            None => self.reached,
        }
    }

    fn advance(&mut self, reached: u64) -> u64 {
        self.reached = self.reached.max(reached);
        self.reached
    }
}

//! What waits for the next connection, in order. Pure: no lock, no clock, no I/O.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::shared::Ticket;
use crate::peer::Peer;

/// Sends that wait, bounded in number and bytes.
#[derive(Debug)]
pub(super) struct Queue {
    entries: BTreeMap<u64, Entry>,
    next_place: u64,
    bytes: usize,
    sends_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
pub(super) enum Entry {
    Notification {
        name: String,
        payload: Bytes,
    },
    /// A request is sent by the task that waits for its answer: it is told over which connection.
    Request {
        turn: oneshot::Sender<Peer>,
        bytes: usize,
    },
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Notification { name, payload } => name.len() + payload.len(),
            Self::Request { bytes, .. } => *bytes,
        }
    }
}

/// Where a notification goes.
#[derive(Debug)]
pub(super) enum Route {
    /// Over this connection, now.
    Direct(Peer, Ticket),
    /// It was queued.
    Queued,
}

impl Queue {
    pub(super) fn new(sends_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            next_place: 0,
            bytes: 0,
            sends_max,
            bytes_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts a send behind the others, and says at which place. `None` if there is no room.
    pub(super) fn push(&mut self, entry: Entry) -> Option<u64> {
        let bytes = self.bytes.checked_add(entry.bytes())?;
        if self.entries.len() >= self.sends_max || bytes > self.bytes_max {
            return None;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.bytes = bytes;
        self.entries.insert(place, entry);
        Some(place)
    }

    /// Puts back what was taken last.
    pub(super) fn put_back(&mut self, place: u64, entry: Entry) {
        self.bytes += entry.bytes();
        self.entries.insert(place, entry);
    }

    /// Takes the first.
    pub(super) fn pop(&mut self) -> Option<(u64, Entry)> {
        let (place, entry) = self.entries.pop_first()?;
        self.bytes -= entry.bytes();
        Some((place, entry))
    }

    /// Takes one out of the row, if it is still there.
    pub(super) fn remove(&mut self, place: u64) -> Option<Entry> {
        let entry = self.entries.remove(&place)?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    /// Takes all.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, payload: &'static str) -> Entry {
        Entry::Notification {
            name: name.to_owned(),
            payload: Bytes::from(payload),
        }
    }

    fn names(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|(_, entry)| match entry {
                Entry::Notification { name, .. } => name,
                Entry::Request { .. } => "request".to_owned(),
            })
            .collect()
    }

    #[test]
    fn order_is_kept_and_what_leaves_the_row_makes_room() {
        let mut queue = Queue::new(3, 100);
        queue.push(note("a", "")).unwrap();
        let place = queue.push(note("b", "")).unwrap();
        queue.push(note("c", "")).unwrap();
        assert!(queue.push(note("d", "")).is_none(), "three sends are the bound");
        assert!(queue.remove(place).is_some() && queue.remove(place).is_none());
        queue.push(note("d", "")).unwrap();
        let (place, first) = queue.pop().unwrap();
        queue.put_back(place, first);
        assert_eq!(names(&mut queue), ["a", "c", "d"]);
        assert_eq!((queue.bytes, queue.is_empty()), (0, true));
    }

    #[test]
    fn bytes_are_bounded_names_included() {
        let mut queue = Queue::new(100, 10);
        assert!(queue.push(note("name", "1234567")).is_none());
        queue.push(note("name", "12")).unwrap();
        let (turn, _waits) = oneshot::channel();
        assert!(queue.push(Entry::Request { turn, bytes: 5 }).is_none());
        let (turn, _waits) = oneshot::channel();
        queue.push(Entry::Request { turn, bytes: 4 }).unwrap();
        assert!(queue.push(note("", "1")).is_none());
        assert_eq!(queue.drain().len(), 2);
        queue.push(note("name", "123456")).unwrap();
    }
}

//! Where messages wait for their receivers.
//!
//! Pure but for the semaphores that wake receivers: no lock, no clock, no I/O. Each queue has a semaphore with one
//! permit a message; a receiver takes a permit, then a message. So receivers are woken one a message, and in turns.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use switchboard_wire::tagged::Tagged;
use tokio::sync::Semaphore;

use super::options::{TagCounts, TagOptions, TagsEnded, Unclaimed, WhenFull};

pub(super) struct Mailboxes {
    claimed: HashMap<u64, Mailbox, foldhash::fast::RandomState>,
    /// Messages and bytes in those.
    waiting: Load,
    unclaimed: Lobby,
    /// Each message has a number, in the order in which they came.
    next_number: u64,
    counts: TagCounts,
    room_wanted: bool,
    ended: Option<TagsEnded>,
    tag_max: Load,
    all_max: Load,
    when_full: WhenFull,
}

/// Messages, and the bytes of their payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

impl Load {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    /// Whether one more message fits. One alone always does: it has a bound of its own.
    fn has_room(self, bytes: usize, max: Self) -> bool {
        self.messages == 0 || (self.messages < max.messages && self.bytes.saturating_add(bytes) <= max.bytes)
    }
}

/// The queue of a claimed tag.
struct Mailbox {
    messages: VecDeque<(u64, Bytes)>,
    bytes: usize,
    claims: usize,
    ready: Arc<Semaphore>,
}

impl Mailbox {
    fn load(&self) -> Load {
        Load {
            messages: self.messages.len(),
            bytes: self.bytes,
        }
    }
}

/// The queue of all unclaimed tags.
///
/// Its semaphore may have more permits than it has messages, never fewer: when messages leave by being claimed, their
/// permits may be in the hands of receivers already, which then find nothing and wait again.
struct Lobby {
    messages: BTreeMap<u64, Tagged>,
    by_tag: HashMap<u64, VecDeque<u64>, foldhash::fast::RandomState>,
    load: Load,
    /// `None` keeps nothing.
    max: Option<Load>,
    ready: Arc<Semaphore>,
}

/// What became of a message that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It waits for its receiver, or was dropped and counted.
    Done,
    /// There is no room for it now: come back with it when there is.
    Full(Bytes),
}

impl Mailboxes {
    pub(super) fn new(options: &TagOptions) -> Self {
        let lobby_max = match options.unclaimed {
            Unclaimed::Drop => None,
            Unclaimed::Keep {
                messages_max,
                bytes_max,
            } => Some(Load {
                messages: messages_max,
                bytes: bytes_max,
            }),
        };
        Self {
            claimed: HashMap::default(),
            waiting: Load::default(),
            unclaimed: Lobby {
                messages: BTreeMap::new(),
                by_tag: HashMap::default(),
                load: Load::default(),
                max: lobby_max,
                ready: Arc::new(Semaphore::new(0)),
            },
            next_number: 0,
            counts: TagCounts::default(),
            room_wanted: false,
            ended: None,
            tag_max: Load {
                messages: options.tag_messages_max,
                bytes: options.tag_bytes_max,
            },
            all_max: Load {
                messages: options.messages_max,
                bytes: options.bytes_max,
            },
            when_full: options.when_full,
        }
    }

    // ---- for the reader

    /// Puts a message where it belongs. After the end there is no such place.
    pub(super) fn offer(&mut self, tag: u64, payload: Bytes) -> Offer {
        self.room_wanted = false;
        if self.ended.is_some() {
            return Offer::Done;
        }
        let Some(mailbox) = self.claimed.get_mut(&tag) else {
            self.counts.received += 1;
            let number = self.number();
            self.keep_unclaimed(number, Tagged { tag, payload });
            return Offer::Done;
        };
        let fits = mailbox.load().has_room(payload.len(), self.tag_max)
            && self.waiting.has_room(payload.len(), self.all_max);
        if !fits && self.when_full == WhenFull::Wait {
            self.room_wanted = true;
            return Offer::Full(payload);
        }
        self.counts.received += 1;
        if !fits {
            self.counts.dropped_full += 1;
            return Offer::Done;
        }
        self.waiting.add(payload.len());
        mailbox.bytes += payload.len();
        mailbox.messages.push_back((self.next_number, payload));
        self.next_number += 1;
        mailbox.ready.add_permits(1);
        Offer::Done
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Whether the reader holds a message for which there was no room.
    pub(super) fn is_room_wanted(&self) -> bool {
        self.room_wanted
    }

    /// Nothing more will come. The first end counts.
    pub(super) fn end(&mut self, ended: TagsEnded) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(ended);
        self.unclaimed.ready.close();
        for mailbox in self.claimed.values() {
            mailbox.ready.close();
        }
    }

    pub(super) fn how_ended(&self) -> TagsEnded {
        self.ended.clone().unwrap_or(TagsEnded::Local)
    }

    // ---- for receivers

    /// Gives the tag a queue of its own, with what waits for it in the lobby.
    pub(super) fn claim(&mut self, tag: u64) -> Arc<Semaphore> {
        if let Some(mailbox) = self.claimed.get_mut(&tag) {
            mailbox.claims += 1;
            return Arc::clone(&mailbox.ready);
        }
        let messages = self.unclaimed.take_all_of(tag);
        let bytes = messages.iter().map(|(_, payload)| payload.len()).sum();
        messages
            .iter()
            .for_each(|(_, payload)| self.waiting.add(payload.len()));
        let ready = Arc::new(Semaphore::new(messages.len()));
        if self.ended.is_some() {
            ready.close();
        }
        let mailbox = Mailbox {
            messages,
            bytes,
            claims: 1,
            ready: Arc::clone(&ready),
        };
        self.claimed.insert(tag, mailbox);
        ready
    }

    /// One claim fewer. After the last what is left goes to the lobby.
    pub(super) fn release(&mut self, tag: u64) {
        let Some(mailbox) = self.claimed.get_mut(&tag) else {
            return;
        };
        mailbox.claims -= 1;
        if mailbox.claims > 0 {
            return;
        }
        let left = self.claimed.remove(&tag).map(|mailbox| mailbox.messages);
        for (number, payload) in left.unwrap_or_default() {
            self.waiting.remove(payload.len());
            self.keep_unclaimed(number, Tagged { tag, payload });
        }
    }

    /// The next message of a claimed tag.
    pub(super) fn take(&mut self, tag: u64) -> Option<Bytes> {
        let mailbox = self.claimed.get_mut(&tag)?;
        let (_, payload) = mailbox.messages.pop_front()?;
        mailbox.bytes -= payload.len();
        self.waiting.remove(payload.len());
        Some(payload)
    }

    /// The next message of a tag that nobody has claimed.
    pub(super) fn take_unclaimed_of(&mut self, tag: u64) -> Option<Bytes> {
        self.unclaimed.take_first_of(tag)
    }

    /// The oldest message that nobody has claimed.
    pub(super) fn take_unclaimed(&mut self) -> Option<Tagged> {
        self.unclaimed.take_first()
    }

    /// Has a permit for each message that nobody has claimed.
    pub(super) fn unclaimed_ready(&self) -> Arc<Semaphore> {
        Arc::clone(&self.unclaimed.ready)
    }

    fn keep_unclaimed(&mut self, number: u64, message: Tagged) {
        if !self.unclaimed.keep(number, message) {
            self.counts.dropped_unclaimed += 1;
        }
    }

    pub(super) fn counts(&self) -> TagCounts {
        TagCounts {
            waiting: self.waiting.messages,
            waiting_bytes: self.waiting.bytes,
            unclaimed: self.unclaimed.load.messages,
            unclaimed_bytes: self.unclaimed.load.bytes,
            ..self.counts
        }
    }
}

impl Lobby {
    /// Keeps a message. False if there is no room.
    fn keep(&mut self, number: u64, message: Tagged) -> bool {
        let bytes = message.payload.len();
        let fits = |max: Load| max.messages > 0 && self.load.has_room(bytes, max);
        if !self.max.is_some_and(fits) {
            return false;
        }
        self.load.add(bytes);
        self.by_tag.entry(message.tag).or_default().push_back(number);
        self.messages.insert(number, message);
        self.ready.add_permits(1);
        true
    }

    /// The caller has a permit for it, or the stream has ended.
    fn take_first(&mut self) -> Option<Tagged> {
        let (_, message) = self.messages.pop_first()?;
        self.load.remove(message.payload.len());
        if let Some(numbers) = self.by_tag.get_mut(&message.tag) {
            // The oldest of all is the oldest of its tag.
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_tag.remove(&message.tag);
            }
        }
        Some(message)
    }

    fn take_first_of(&mut self, tag: u64) -> Option<Bytes> {
        let numbers = self.by_tag.get_mut(&tag)?;
        let number = numbers.pop_front()?;
        if numbers.is_empty() {
            self.by_tag.remove(&tag);
        }
        self.ready.forget_permits(1);
        self.take_number(number).map(|(_, payload)| payload)
    }

    fn take_all_of(&mut self, tag: u64) -> VecDeque<(u64, Bytes)> {
        let numbers = self.by_tag.remove(&tag).unwrap_or_default();
        self.ready.forget_permits(numbers.len());
        numbers
            .into_iter()
            .filter_map(|number| self.take_number(number))
            .collect()
    }

    fn take_number(&mut self, number: u64) -> Option<(u64, Bytes)> {
        let message = self.messages.remove(&number)?;
        self.load.remove(message.payload.len());
        Some((number, message.payload))
    }
}

#[cfg(test)]
mod tests;

//! The request bodies that are coming in, part by part.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};

use bytes::Bytes;
use switchboard_wire::gotalk::RequestId;

use super::Sender;
use crate::fault::Fault;
use crate::options::Limits;
use crate::reply::RETRY_WAIT;

/// Ids remembered of streams whose handler ended, or which were refused, while their parts were still on the way.
/// The other side learns of that only a round trip later; more than this many at once is not honest.
const DISCARDED_MAX: usize = 1024;

pub(super) struct Bodies {
    streams: HashMap<RequestId, Sender, foldhash::fast::FixedState>,
    discarded: VecDeque<RequestId>,
    streams_max: usize,
}

/// What became of a part.
pub(super) enum Taken {
    /// It was handed on, or its stream has no reader any more.
    Done,
    /// It was handed on, and its reader is behind.
    Full,
    /// No stream has this id.
    NoStream,
}

impl Bodies {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            streams: HashMap::default(),
            discarded: VecDeque::new(),
            streams_max: limits.streams_max,
        }
    }

    /// Whether a body with this id is coming in that somebody reads. One that nobody reads any more may never have
    /// been ended, and does not keep its id.
    pub(super) fn has(&self, id: RequestId) -> bool {
        self.streams.get(&id).is_some_and(|sender| !sender.is_unread())
    }

    /// Whether another body may come in.
    pub(super) fn has_room(&mut self) -> bool {
        if self.streams.len() >= self.streams_max {
            let unread: Vec<_> = self
                .streams
                .iter()
                .filter(|(_, sender)| sender.is_unread())
                .map(|(id, _)| *id)
                .collect();
            unread.into_iter().for_each(|id| self.discard(id));
        }
        self.streams.len() < self.streams_max
    }

    pub(super) fn start(&mut self, id: RequestId, sender: Sender) {
        self.discarded.retain(|discarded| *discarded != id);
        self.streams.insert(id, sender);
    }

    /// The stream with this id has no reader: its parts are thrown away from now on.
    pub(super) fn discard(&mut self, id: RequestId) {
        self.streams.remove(&id);
        if self.discarded.len() >= DISCARDED_MAX {
            self.discarded.pop_front();
        }
        self.discarded.push_back(id);
    }

    pub(super) fn part(&mut self, id: RequestId, part: Bytes, cx: &Context<'_>) -> Taken {
        let Some(sender) = self.streams.get_mut(&id) else {
            return self.discarded_part(id, &part);
        };
        if part.is_empty() {
            if let Some(sender) = self.streams.remove(&id) {
                sender.finish();
            }
            return Taken::Done;
        }
        if sender.push(part).is_err() {
            self.discard(id);
            return Taken::Done;
        }
        if sender.poll_room(cx).is_pending() {
            Taken::Full
        } else {
            Taken::Done
        }
    }

    fn discarded_part(&mut self, id: RequestId, part: &Bytes) -> Taken {
        let Some(at) = self.discarded.iter().position(|discarded| *discarded == id) else {
            return Taken::NoStream;
        };
        if part.is_empty() {
            self.discarded.remove(at);
        }
        Taken::Done
    }

    pub(super) fn poll_room(&self, id: RequestId, cx: &Context<'_>) -> Poll<()> {
        self.streams
            .get(&id)
            .map_or(Poll::Ready(()), |sender| sender.poll_room(cx))
    }

    /// The reader of this stream took nothing for too long.
    pub(super) fn give_up(&mut self, id: RequestId) {
        if let Some(sender) = self.streams.remove(&id) {
            sender.fail(Fault::retry(
                RETRY_WAIT,
                "the handler did not read its request in time",
            ));
        }
        self.discard(id);
    }

    /// No further part will come.
    pub(super) fn fail_all(&mut self, fault: &Fault) {
        for (_, sender) in self.streams.drain() {
            sender.fail(fault.clone());
        }
    }

    pub(super) fn release_memory(&mut self) {
        if self.streams.is_empty() {
            self.streams = HashMap::default();
        }
        self.discarded.shrink_to_fit();
    }
}

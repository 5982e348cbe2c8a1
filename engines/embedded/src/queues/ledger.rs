//! What the disk does not know yet of one queue.
//!
//! A change is only noted here; what is written for it is made up when a round of the commit thread comes: the state of
//! then. So a job that changes often within a round is written once, and one that was pushed, reserved and acknowledged
//! within it is not written at all.
//!
//! One round is under way at a time: [`Core::drain`](super::core::Core::drain), then
//! [`confirm`](super::core::Core::confirm). The commit thread tries a round again until it succeeds, so none fails.

use std::collections::VecDeque;

use bytes::Bytes;
use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};

use super::dedupe::DedupeHash;

/// What one change that is noted counts as, besides the body that it may hold, in bytes: what it costs in the list, and
/// what its record does in the batch.
pub(crate) const CHANGE_COST_BYTES: usize = 128;

/// Something that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The state of a job; its body too, if the disk does not have that.
    Job(u64),
    /// The end of a job of which the disk may know; whether there was a reason.
    Gone(u64, bool),
    /// Whether a dedupe id is known.
    Dedupe(DedupeHash),
}

/// What is to be written, and the bodies that are in memory.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// To be written in a round to come, in order.
    pub(crate) changes: VecDeque<Change>,
    /// In the round that is under way.
    pub(crate) round: Vec<Change>,
    /// The bodies in memory: those that are not on the disk, and some of those that will be reserved soon.
    bodies: HashMap<u64, Bytes>,
    body_bytes: usize,
    /// Reasons that are not on the disk.
    reasons: HashMap<u64, ByteString>,
    reason_bytes: usize,
    /// About how many bytes were ever noted; it wraps around.
    pub(crate) noted_bytes: usize,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            changes: VecDeque::new(),
            round: Vec::new(),
            bodies: HashMap::new(),
            body_bytes: 0,
            reasons: HashMap::new(),
            reason_bytes: 0,
            noted_bytes: 0,
        }
    }

    /// Whether the disk knows everything.
    pub(crate) fn is_clean(&self) -> bool {
        self.changes.is_empty() && self.round.is_empty()
    }

    /// How many bytes of bodies and reasons are in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.body_bytes + self.reason_bytes
    }

    pub(crate) fn note(&mut self, change: Change) {
        self.noted_bytes = self.noted_bytes.wrapping_add(CHANGE_COST_BYTES);
        self.changes.push_back(change);
    }

    pub(crate) fn body(&self, id: u64) -> Option<&Bytes> {
        self.bodies.get(&id)
    }

    pub(crate) fn keep_body(&mut self, id: u64, body: Bytes) {
        self.body_bytes += body.len();
        self.noted_bytes = self.noted_bytes.wrapping_add(body.len());
        if let Some(before) = self.bodies.insert(id, body) {
            self.body_bytes -= before.len();
        }
    }

    pub(crate) fn take_body(&mut self, id: u64) -> Option<Bytes> {
        let body = self.bodies.remove(&id)?;
        self.body_bytes -= body.len();
        Some(body)
    }

    pub(crate) fn reason(&self, id: u64) -> Option<&ByteString> {
        self.reasons.get(&id)
    }

    pub(crate) fn keep_reason(&mut self, id: u64, reason: ByteString) {
        self.reason_bytes += reason.len();
        self.noted_bytes = self.noted_bytes.wrapping_add(reason.len());
        self.drop_reason(id);
        self.reasons.insert(id, reason);
    }

    pub(crate) fn drop_reason(&mut self, id: u64) {
        if let Some(reason) = self.reasons.remove(&id) {
            self.reason_bytes -= reason.len();
        }
    }
}

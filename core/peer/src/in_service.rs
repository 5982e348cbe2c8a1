//! The table of calls that the other side has made and that this side has not answered.
//!
//! Pure: no lock, no socket, no clock. Here the limits on what one peer may have under way are kept.

use slab::Slab;
use switchboard_wire::gotalk::RequestId;

use crate::cancel::{CancelHook, Firing};
use crate::options::Limits;

/// Calls under way, each with how to tell its handler that the caller is gone.
#[derive(Debug)]
pub(crate) struct InService {
    calls: Slab<Call>,
    serial: u64,
    singles: usize,
    streams: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Call {
    serial: u64,
    id: RequestId,
    kind: CallKind,
    bytes: usize,
    cancel: CancelHook,
}

/// Whether the request came as one message or as a stream: each has a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Single,
    Stream,
}

/// Names one call for as long as the connection lives, even after the call's slot was used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceKey {
    slot: usize,
    serial: u64,
}

/// The limit that refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// This connection takes no streams at all.
    StreamsOff,
    /// Too much at once: it may be tried again.
    Busy,
}

impl InService {
    pub(crate) fn new() -> Self {
        Self {
            calls: Slab::new(),
            serial: 0,
            singles: 0,
            streams: 0,
            bytes: 0,
        }
    }

    /// Enters a call whose first payload has `bytes` bytes.
    ///
    /// A payload larger than the limit on buffered bytes is let in when it is alone: it has its own limit.
    pub(crate) fn admit(
        &mut self,
        id: RequestId,
        kind: CallKind,
        bytes: usize,
        limits: &Limits,
    ) -> Result<ServiceKey, Refusal> {
        let full = match kind {
            CallKind::Single => self.singles >= limits.requests_max,
            CallKind::Stream if limits.streams_max == 0 => return Err(Refusal::StreamsOff),
            CallKind::Stream => self.streams >= limits.streams_max,
        };
        if full || (self.bytes > 0 && self.bytes + bytes > limits.buffered_bytes_max) {
            return Err(Refusal::Busy);
        }
        match kind {
            CallKind::Single => self.singles += 1,
            CallKind::Stream => self.streams += 1,
        }
        self.bytes += bytes;
        self.serial += 1;
        let serial = self.serial;
        let slot = self.calls.insert(Call {
            serial,
            id,
            kind,
            bytes,
            cancel: CancelHook::default(),
        });
        Ok(ServiceKey { slot, serial })
    }

    /// Takes a call out because it was answered. False if it was not there any more.
    pub(crate) fn finish(&mut self, key: ServiceKey) -> bool {
        if self
            .calls
            .get(key.slot)
            .is_none_or(|call| call.serial != key.serial)
        {
            return false;
        }
        let call = self.calls.remove(key.slot);
        match call.kind {
            CallKind::Single => self.singles -= 1,
            CallKind::Stream => self.streams -= 1,
        }
        self.bytes -= call.bytes;
        true
    }

    /// How to tell the handler of a call that its caller is gone. `None` once the call was answered.
    pub(crate) fn cancel_hook(&mut self, key: ServiceKey) -> Option<&mut CancelHook> {
        self.calls
            .get_mut(key.slot)
            .filter(|call| call.serial == key.serial)
            .map(|call| &mut call.cancel)
    }

    /// The hooks to fire because the caller gave up the call (or calls) with this id.
    pub(crate) fn give_up(&mut self, id: RequestId) -> Vec<Firing> {
        self.calls
            .iter_mut()
            .filter(|(_, call)| call.id == id)
            .map(|(_, call)| call.cancel.take_fired())
            .collect()
    }

    /// The hooks to fire because the caller is gone.
    pub(crate) fn give_up_all(&mut self) -> Vec<Firing> {
        self.calls
            .iter_mut()
            .map(|(_, call)| call.cancel.take_fired())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The share of the limits in use, 0 to 65535: what a heartbeat says.
    pub(crate) fn load(&self, limits: &Limits) -> u16 {
        let share = |used: usize, max: usize| match max {
            0 => 0,
            max => (used.min(max) as u64 * u64::from(u16::MAX) / max as u64) as u16,
        };
        share(self.singles, limits.requests_max).max(share(self.streams, limits.streams_max))
    }

    /// Gives back the memory of a burst that is over.
    pub(crate) fn release_memory(&mut self) {
        if self.calls.is_empty() {
            self.calls = Slab::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            requests_max: 2,
            streams_max: 1,
            buffered_bytes_max: 100,
            ..Limits::default()
        }
    }

    fn id(number: u32) -> RequestId {
        RequestId::from(number)
    }

    #[test]
    fn a_limit_refuses_and_recovers() {
        let mut table = InService::new();
        let first = table.admit(id(1), CallKind::Single, 0, &limits()).unwrap();
        table.admit(id(2), CallKind::Single, 0, &limits()).unwrap();
        assert_eq!(
            table.admit(id(3), CallKind::Single, 0, &limits()),
            Err(Refusal::Busy)
        );
        let stream = table.admit(id(3), CallKind::Stream, 0, &limits()).unwrap();
        assert_eq!(
            table.admit(id(4), CallKind::Stream, 0, &limits()),
            Err(Refusal::Busy)
        );
        assert!(table.finish(first));
        assert!(!table.finish(first), "a call is finished once");
        assert!(table.finish(stream));
        table.admit(id(3), CallKind::Single, 0, &limits()).unwrap();
        table.admit(id(4), CallKind::Stream, 0, &limits()).unwrap();
    }

    #[test]
    fn streams_can_be_off() {
        let limits = Limits {
            streams_max: 0,
            ..limits()
        };
        assert_eq!(
            InService::new().admit(id(1), CallKind::Stream, 0, &limits),
            Err(Refusal::StreamsOff)
        );
    }

    #[test]
    fn buffered_bytes_are_bounded_but_one_large_call_may_pass_alone() {
        let mut table = InService::new();
        let large = table.admit(id(1), CallKind::Single, 500, &limits()).unwrap();
        assert_eq!(
            table.admit(id(2), CallKind::Single, 1, &limits()),
            Err(Refusal::Busy)
        );
        table.finish(large);
        table.admit(id(2), CallKind::Single, 60, &limits()).unwrap();
        assert_eq!(
            table.admit(id(3), CallKind::Single, 60, &limits()),
            Err(Refusal::Busy)
        );
        table.admit(id(3), CallKind::Single, 40, &limits()).unwrap();
    }

    #[test]
    fn load_is_the_share_in_use() {
        let mut table = InService::new();
        assert_eq!(table.load(&limits()), 0);
        table.admit(id(1), CallKind::Single, 0, &limits()).unwrap();
        assert_eq!(table.load(&limits()), 32767);
        table.admit(id(2), CallKind::Stream, 0, &limits()).unwrap();
        assert_eq!(table.load(&limits()), 65535);
    }

    #[test]
    fn the_same_id_twice_is_two_calls() {
        let mut table = InService::new();
        let first = table.admit(id(7), CallKind::Single, 0, &limits()).unwrap();
        let second = table.admit(id(7), CallKind::Single, 0, &limits()).unwrap();
        assert_eq!(table.give_up(id(7)).len(), 2);
        assert!(table.finish(first));
        assert!(table.finish(second));
        assert_eq!(table.len(), 0);
    }
}

//! The table of calls that this side has made and that are not answered.
//!
//! Pure: no lock, no socket, no clock. `W` is whatever waits for the answer.

use std::collections::HashMap;

use switchboard_wire::gotalk::RequestId;
use tokio::time::Instant;

/// Calls under way, by request id.
///
/// Ids count up and wrap after 2³²; one that is still in use is passed over, so a late answer to a call that was
/// given up never meets a newer call.
#[derive(Debug)]
pub(crate) struct InFlight<W> {
    calls: HashMap<u32, Call<W>, foldhash::fast::FixedState>,
    next_id: u32,
    /// No deadline is earlier than this one. May be that of a call already gone.
    earliest: Option<Instant>,
}

#[derive(Debug)]
struct Call<W> {
    waiter: W,
    deadline: Option<Instant>,
}

/// The capacity to which an empty table falls back, in calls.
const IDLE_CAPACITY: usize = 16;

impl<W> InFlight<W> {
    pub(crate) fn new() -> Self {
        Self {
            calls: HashMap::default(),
            next_id: 0,
            earliest: None,
        }
    }

    /// Enters a call and says under which id. `None` if all 2³² ids are in use.
    pub(crate) fn insert(&mut self, waiter: W, deadline: Option<Instant>) -> Option<RequestId> {
        if u32::try_from(self.calls.len()).is_err() {
            return None;
        }
        while self.calls.contains_key(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.calls.insert(id, Call { waiter, deadline });
        if let Some(deadline) = deadline {
            self.earliest = Some(self.earliest.map_or(deadline, |earliest| earliest.min(deadline)));
        }
        Some(RequestId::from(id))
    }

    /// Takes a call out.
    pub(crate) fn remove(&mut self, id: RequestId) -> Option<W> {
        let call = self.calls.remove(&u32::from(id))?;
        if self.calls.is_empty() {
            self.earliest = None;
        }
        Some(call.waiter)
    }

    /// The waiter of a call that goes on.
    pub(crate) fn waiter_mut(&mut self, id: RequestId) -> Option<&mut W> {
        self.calls.get_mut(&u32::from(id)).map(|call| &mut call.waiter)
    }

    /// When to look for expired calls next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.earliest
    }

    /// Takes out every call whose deadline is not after `now`.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(RequestId, W)> {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return Vec::new();
        }
        let expired = self
            .calls
            .extract_if(|_, call| call.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(id, call)| (RequestId::from(id), call.waiter))
            .collect();
        self.earliest = self.calls.values().filter_map(|call| call.deadline).min();
        expired
    }

    /// Takes out all calls.
    pub(crate) fn drain(&mut self) -> Vec<W> {
        self.earliest = None;
        std::mem::take(&mut self.calls)
            .into_values()
            .map(|call| call.waiter)
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Gives back the memory of a burst that is over.
    pub(crate) fn release_memory(&mut self) {
        if self.calls.is_empty() && self.calls.capacity() > IDLE_CAPACITY {
            self.calls = HashMap::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_in_use_is_passed_over_when_ids_wrap() {
        let mut table = InFlight::new();
        let first = table.insert("long", None).unwrap();
        table.next_id = u32::MAX;
        let last = table.insert("last", None).unwrap();
        let wrapped = table.insert("wrapped", None).unwrap();
        assert_eq!(
            (u32::from(first), u32::from(last), u32::from(wrapped)),
            (0, u32::MAX, 1)
        );
        assert_eq!(table.remove(first), Some("long"));
        assert_eq!(table.remove(first), None);
    }

    #[test]
    fn calls_expire_at_their_deadline_and_not_before() {
        let start = Instant::now();
        let mut table = InFlight::new();
        table.insert("never", None);
        table.insert("late", Some(start + Duration::from_secs(2)));
        let early = table
            .insert("early", Some(start + Duration::from_secs(1)))
            .unwrap();
        assert_eq!(table.next_deadline(), Some(start + Duration::from_secs(1)));
        assert!(table.expire(start).is_empty());
        assert_eq!(table.expire(start + Duration::from_secs(1)), [(early, "early")]);
        assert_eq!(table.next_deadline(), Some(start + Duration::from_secs(2)));
        assert_eq!(table.expire(start + Duration::from_secs(9)).len(), 1);
        assert_eq!(table.next_deadline(), None);
        assert_eq!(table.drain(), ["never"]);
    }
}

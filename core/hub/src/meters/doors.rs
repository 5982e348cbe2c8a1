//! The doors that sessions come through, as far as they are told apart.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytestring::ByteString;
use switchboard_peer::Fault;

use super::{DoorMetrics, FaultCounters, OTHER};

/// Most doors that are told apart: more than there are gateways. The last stands for all others.
pub(super) const DOORS_MAX: usize = 16;

/// A door among those that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DoorId(pub(super) usize);

impl DoorId {
    /// What [`Self::as_usize`] told.
    pub(crate) fn new(number: usize) -> Self {
        Self(number)
    }

    /// The number, for those who carry it along.
    pub(crate) fn as_usize(self) -> usize {
        self.0
    }
}

/// The doors. They are never forgotten: there is one a gateway.
#[derive(Debug, Default)]
pub(crate) struct Doors([OnceLock<Door>; DOORS_MAX]);

#[derive(Debug)]
struct Door {
    name: ByteString,
    sessions: AtomicU64,
    opened: AtomicU64,
    faults: FaultCounters,
}

impl Door {
    fn new(name: &str) -> Self {
        Self {
            name: ByteString::from(name),
            sessions: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            faults: FaultCounters::default(),
        }
    }
}

impl Doors {
    /// A session comes through the door of that name.
    pub(crate) fn enter(&self, name: &str) -> DoorId {
        let last = DOORS_MAX - 1;
        let place = self.0.iter().take(last).position(|place| {
            // Whoever is quicker has the place; if that is another door, the next is looked at.
            place.get_or_init(|| Door::new(name)).name == *name
        });
        let id = DoorId(place.unwrap_or(last));
        if let Some(place) = self.0.get(id.0) {
            let door = place.get_or_init(|| Door::new(OTHER));
            door.sessions.fetch_add(1, Ordering::Relaxed);
            door.opened.fetch_add(1, Ordering::Relaxed);
        }
        id
    }

    /// A session that came through that door is closed.
    pub(crate) fn leave(&self, id: DoorId) {
        if let Some(door) = self.door(id) {
            door.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Somebody behind that door was told a fault.
    pub(crate) fn add_fault(&self, id: DoorId, fault: &Fault) {
        if let Some(door) = self.door(id) {
            door.faults.add(fault);
        }
    }

    pub(super) fn name(&self, id: DoorId) -> ByteString {
        self.door(id)
            .map_or(ByteString::from_static(OTHER), |door| door.name.clone())
    }

    pub(super) fn read(&self) -> Vec<DoorMetrics> {
        let doors = self.0.iter().filter_map(OnceLock::get);
        doors
            .map(|door| DoorMetrics {
                door: door.name.clone(),
                sessions: door.sessions.load(Ordering::Relaxed),
                opened: door.opened.load(Ordering::Relaxed),
                faults: door.faults.read(),
            })
            .collect()
    }

    fn door(&self, id: DoorId) -> Option<&Door> {
        self.0.get(id.0)?.get()
    }
}

//! The operations whose calls are measured each by itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytestring::ByteString;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use switchboard_peer::Fault;

use super::doors::DOORS_MAX;
use super::histogram::Histogram;
use super::{CallMetrics, DoorId, Doors, FaultCounters, OTHER};

/// Most operations with numbers of their own; calls of others are measured together. With the doors through which they
/// are called this bounds what a monitor has to keep.
pub(super) const OPERATIONS_MAX: usize = 256;

/// Most bytes in the name of an operation with numbers of its own.
pub(super) const OPERATION_BYTES_MAX: usize = 128;

/// All that is measured.
#[derive(Debug)]
pub(crate) struct Meters {
    operations: Mutex<HashMap<ByteString, Arc<Meter>>>,
    pub(super) other: Arc<Meter>,
    pub(crate) doors: Doors,
}

/// Measures the calls of one operation, by door. A door has memory here from its first call on.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    by_door: [OnceLock<Box<Calls>>; DOORS_MAX],
}

#[derive(Debug, Default)]
struct Calls {
    latencies: Histogram,
    faults: FaultCounters,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            operations: Mutex::new(HashMap::new()),
            other: Arc::default(),
            doors: Doors::default(),
        }
    }
}

impl Meters {
    /// Where calls of that operation are measured, for somebody who begins to serve it. Numbers outlive who serves, so
    /// that one who reconnects goes on with them, until there are too many.
    pub(crate) fn of(&self, operation: &ByteString) -> Arc<Meter> {
        if operation.len() > OPERATION_BYTES_MAX {
            return Arc::clone(&self.other);
        }
        let mut operations = self.operations.lock();
        if let Some(meter) = operations.get(operation) {
            return Arc::clone(meter);
        }
        if operations.len() >= OPERATIONS_MAX {
            // One that nobody serves any more makes room.
            let unserved = operations
                .iter()
                .find(|(_, meter)| Arc::strong_count(meter) == 1)
                .map(|(name, _)| name.clone());
            match unserved {
                Some(name) => operations.remove(&name),
                None => return Arc::clone(&self.other),
            };
        }
        Arc::clone(operations.entry(operation.clone()).or_default())
    }

    pub(super) fn read(&self) -> Vec<CallMetrics> {
        let mut operations: Vec<_> = {
            let operations = self.operations.lock();
            let operations = operations.iter();
            operations
                .map(|(name, meter)| (name.clone(), Arc::clone(meter)))
                .collect()
        };
        operations.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        operations.push((ByteString::from_static(OTHER), Arc::clone(&self.other)));
        let mut all = Vec::new();
        for (operation, meter) in operations {
            for (place, calls) in meter.by_door.iter().enumerate() {
                all.extend(calls.get().map(|calls| CallMetrics {
                    operation: operation.clone(),
                    door: self.doors.name(DoorId(place)),
                    latencies: calls.latencies.read(),
                    faults: calls.faults.read(),
                }));
            }
        }
        all
    }
}

impl Meter {
    /// A call that came through that door is over.
    pub(crate) fn record(&self, door: usize, time: Duration, fault: Option<&Fault>) {
        let Some(place) = self.by_door.get(door) else {
            return;
        };
        let calls = place.get_or_init(Box::default);
        calls.latencies.record(time);
        if let Some(fault) = fault {
            calls.faults.add(fault);
        }
    }
}

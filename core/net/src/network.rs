//! What all listeners of one process share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::inherited::InheritedSockets;
use crate::limits::{AddressKey, AddressTable, Limits, Refusal};
use crate::stats::Stats;
use crate::throttle::Throttle;

/// The limits that hold over all listeners, the counters, and the sockets this process inherited.
///
/// Clones are handles to the same network.
#[derive(Debug, Clone)]
pub struct Network(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    addresses: Option<Mutex<AddressTable>>,
    stats: Stats,
    inherited: Mutex<InheritedSockets>,
    next_id: AtomicU64,
    refusal_log: [Throttle; Refusal::ALL.len()],
}

impl Network {
    /// A network within `limits` that inherited no sockets.
    pub fn new(limits: Limits) -> Self {
        Self::with_inherited(limits, InheritedSockets::none())
    }

    /// A network within `limits` whose listeners may use the `inherited` sockets (`fd://` addresses).
    pub fn with_inherited(limits: Limits, inherited: InheritedSockets) -> Self {
        Self(Arc::new(Shared {
            addresses: AddressTable::new(&limits).map(Mutex::new),
            limits,
            stats: Stats::default(),
            inherited: Mutex::new(inherited),
            next_id: AtomicU64::new(1),
            refusal_log: Default::default(),
        }))
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    pub(crate) fn inherited(&self) -> &Mutex<InheritedSockets> {
        &self.0.inherited
    }

    /// The number of the next connection: unique in this process, from 1 on.
    pub(crate) fn next_id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts one more connection in all.
    pub(crate) fn admit(&self) -> Result<Slot, Refusal> {
        let open_max = self.0.limits.connections_max.get();
        let open = &self.0.stats.open;
        match open.try_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < open_max).then_some(open + 1)
        }) {
            Ok(_) => Ok(Slot {
                network: self.clone(),
                address: None,
            }),
            Err(_) => Err(Refusal::ConnectionsMax),
        }
    }

    /// Counts a refusal and logs it, at most once a second for each reason.
    pub(crate) fn refuse(
        &self,
        reason: Refusal,
        peer: &dyn std::fmt::Display,
        listener: &dyn std::fmt::Display,
    ) {
        self.0.stats.refuse(reason);
        let Some(throttle) = self.0.refusal_log.get(reason.index()) else {
            return;
        };
        if let Some(held_back) = throttle.pass(Instant::now()) {
            tracing::warn!(%reason, %peer, %listener, held_back, "connection refused");
        }
    }
}

/// The place that one connection takes up within the limits; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Slot {
    network: Network,
    address: Option<AddressKey>,
}

impl Slot {
    /// Counts this connection for the address it comes from, too.
    pub(crate) fn charge(&mut self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        if let (None, Some(table)) = (self.address, &self.network.0.addresses) {
            let key = AddressKey::from(address);
            table.lock().admit(key, now)?;
            self.address = Some(key);
        }
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let shared = &self.network.0;
        if let (Some(key), Some(table)) = (self.address, &shared.addresses) {
            table.lock().release(key, Instant::now());
        }
        shared.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn slots_are_limited_in_all_and_freed_on_drop() {
        let limits = Limits {
            connections_max: NonZeroUsize::new(2).expect("2"),
            ..Limits::default()
        };
        let network = Network::new(limits);
        let first = network.admit().expect("room for one");
        let _second = network.admit().expect("room for two");
        assert_eq!(network.admit().map(|_| ()), Err(Refusal::ConnectionsMax));
        assert_eq!(network.stats().open(), 2);
        drop(first);
        network.admit().expect("the freed slot");
    }

    #[test]
    fn an_address_over_its_limit_gives_back_the_slot_in_all() {
        let limits = Limits {
            connections_per_address_max: NonZeroUsize::new(1),
            ..Limits::default()
        };
        let network = Network::new(limits);
        let now = Instant::now();
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut first = network.admit().expect("a slot");
        first.charge(address, now).expect("the only one");
        let mut second = network.admit().expect("a slot");
        assert_eq!(second.charge(address, now), Err(Refusal::ConnectionsPerAddress));
        drop(second);
        assert_eq!(network.stats().open(), 1, "a refused connection holds nothing");
        drop(first);
        let mut third = network.admit().expect("a slot");
        assert_eq!(third.charge(address, now), Ok(()));
    }
}

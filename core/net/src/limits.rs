//! How many connections there may be: in all, from one address, and how fast new ones may come.
//!
//! A pure table with the time passed in. It is bounded in itself: an address without connections is forgotten as soon
//! as its allowance of new connections is full again.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

/// Connections in all, by default: with one descriptor each, well under the usual hard limit of 20,000 or more.
const CONNECTIONS_MAX: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// Addresses remembered at once beside those with open connections, at roughly 64 bytes each: 4 MiB.
const QUIET_ADDRESSES_MAX: usize = 65_536;

/// The table is swept at most this often, so that a flood of new addresses pays for a sweep once and not each time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// IPv6 hosts usually own a whole /64, so that is what counts as one address.
const IPV6_PREFIX_BITS: u32 = 64;

/// Limits over all listeners of a [`Network`](crate::Network). Unix sockets have no address: they count in all only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all listeners. 16,384 by default.
    pub connections_max: NonZeroUsize,
    /// Connections open at once from one IPv4 address or one IPv6 /64. No limit by default.
    pub connections_per_address_max: Option<NonZeroUsize>,
    /// New connections a second from one IPv4 address or one IPv6 /64; as many may come at once after a quiet second.
    /// No limit by default.
    pub new_connections_per_second: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: None,
            new_connections_per_second: None,
        }
    }
}

/// Why a connection was closed before any gateway saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// [`Limits::connections_max`] is reached.
    ConnectionsMax,
    /// [`Limits::connections_per_address_max`] is reached.
    ConnectionsPerAddress,
    /// [`Limits::new_connections_per_second`] is exceeded.
    ConnectionRate,
    /// More addresses than can be watched connected within a second.
    AddressTable,
    /// The listener takes connections from trusted proxies only, and this was none.
    UntrustedProxy,
}

impl Refusal {
    /// Every reason, in the order of [`Refusal::index`].
    pub const ALL: [Self; 5] = [
        Self::ConnectionsMax,
        Self::ConnectionsPerAddress,
        Self::ConnectionRate,
        Self::AddressTable,
        Self::UntrustedProxy,
    ];

    /// Place of this reason in [`Refusal::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// A short name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionsMax => "connections_max",
            Self::ConnectionsPerAddress => "connections_per_address_max",
            Self::ConnectionRate => "new_connections_per_second",
            Self::AddressTable => "address_table",
            Self::UntrustedProxy => "untrusted_proxy",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What counts as one address: an IPv4 address (also when written as IPv6), or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(IpAddr);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let mask = u128::MAX << (Ipv6Addr::BITS - IPV6_PREFIX_BITS);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
            v4 => v4,
        })
    }
}

/// What is remembered of one address.
#[derive(Debug)]
struct Entry {
    /// Connections open now.
    open: usize,
    /// When the allowance of new connections is full again: the theoretical arrival time of GCRA.
    full_at: Instant,
}

/// Connections of each address, and how fast they came.
#[derive(Debug)]
pub(crate) struct AddressTable {
    entries: HashMap<AddressKey, Entry>,
    entries_max: usize,
    open_max: usize,
    /// Time that one new connection uses up; zero without a rate.
    cost: Duration,
    swept_at: Option<Instant>,
}

impl AddressTable {
    /// A table for `limits`, or `None` if they watch no address.
    pub(crate) fn new(limits: &Limits) -> Option<Self> {
        if limits.connections_per_address_max.is_none() && limits.new_connections_per_second.is_none() {
            return None;
        }
        let cost = limits
            .new_connections_per_second
            .map(|rate| Duration::from_secs(1) / rate.get());
        Some(Self {
            entries: HashMap::new(),
            entries_max: limits.connections_max.get().saturating_add(QUIET_ADDRESSES_MAX),
            open_max: limits
                .connections_per_address_max
                .map_or(usize::MAX, NonZeroUsize::get),
            cost: cost.unwrap_or(Duration::ZERO),
            swept_at: None,
        })
    }

    /// Takes a slot for a connection from `key` at `now`, to be given back with [`release`](Self::release).
    pub(crate) fn admit(&mut self, key: AddressKey, now: Instant) -> Result<(), Refusal> {
        if !self.entries.contains_key(&key) {
            self.make_room(now)?;
        }
        let entry = self.entries.entry(key).or_insert(Entry {
            open: 0,
            full_at: now,
        });
        if entry.open >= self.open_max {
            return Err(Refusal::ConnectionsPerAddress);
        }
        let full_at = entry.full_at.max(now) + self.cost;
        if full_at > now + Duration::from_secs(1) && !self.cost.is_zero() {
            return Err(Refusal::ConnectionRate);
        }
        entry.full_at = full_at;
        entry.open += 1;
        Ok(())
    }

    /// Gives back a slot taken by [`admit`](Self::admit).
    pub(crate) fn release(&mut self, key: AddressKey, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.open = entry.open.saturating_sub(1);
            if entry.open == 0 && entry.full_at <= now {
                self.entries.remove(&key);
            }
        }
    }

    /// Makes sure that one more entry fits.
    fn make_room(&mut self, now: Instant) -> Result<(), Refusal> {
        let due = self
            .swept_at
            .is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_INTERVAL);
        if due {
            self.entries
                .retain(|_, entry| entry.open > 0 || entry.full_at > now);
            self.swept_at = Some(now);
        }
        if self.entries.len() < self.entries_max {
            Ok(())
        } else {
            Err(Refusal::AddressTable)
        }
    }
}

#[cfg(test)]
mod tests;

//! Who answers what: from the name of an operation to the responder that gets the next call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use switchboard_peer::{CallWatch, Fault, Watched};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::call::Responder;
use crate::cluster::HubId;
use crate::declaration::Declaration;
use crate::media_type::MediaType;
use crate::meters::{DoorId, Meter, Meters};
use crate::session::SessionId;
use crate::shards::Shards;

/// The table of all operations.
#[derive(Debug)]
pub(crate) struct Responders {
    operations: Shards<Operation>,
    meters: Arc<Meters>,
    /// Grows with every change of what is served at this hub.
    version: watch::Sender<u64>,
}

/// One operation, served by at least one responder.
#[derive(Debug)]
struct Operation {
    stations: Vec<Station>,
    /// What all of them say.
    declaration: Declaration,
    calls: Arc<AtomicU64>,
    meter: Arc<Meter>,
    /// Where the search for the least loaded begins, so that equals take turns.
    turn: AtomicUsize,
}

/// One responder of one operation.
struct Station {
    session: SessionId,
    offer: Offer,
    gauge: Arc<Gauge>,
}

/// What is counted of the calls that a responder gets of an operation.
#[derive(Debug)]
struct Gauge {
    in_flight: AtomicUsize,
    /// Those of the operation, whoever gets them.
    calls: Arc<AtomicU64>,
    meter: Arc<Meter>,
    meters: Arc<Meters>,
}

impl CallWatch for Gauge {
    fn ended(&self, door: usize, time: Duration, fault: Option<&Fault>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.meter.record(door, time, fault);
        if let Some(fault) = fault {
            self.meters.doors.add_fault(DoorId::new(door), fault);
        }
    }
}

/// A call's place among those in flight, kept from when its responder was chosen.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Gauge>>);

impl Place {
    fn take(gauge: &Arc<Gauge>) -> Self {
        gauge.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Some(Arc::clone(gauge)))
    }

    /// The call is made, by one who came through that door: it keeps its place until it is over.
    pub(crate) fn begin(mut self, door: DoorId, now: Instant) -> Option<Watched> {
        let gauge = self.0.take()?;
        gauge.calls.fetch_add(1, Ordering::Relaxed);
        Some(Watched::new(gauge, door.as_usize(), now))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Who answers, and what it says of that.
pub(crate) struct Offer {
    pub(crate) responder: Arc<dyn Responder>,
    pub(crate) declaration: Declaration,
    /// The hub at which it answers, if that is another one.
    pub(crate) elsewhere: Option<HubId>,
}

/// The responder that gets a call.
pub(crate) struct Chosen {
    pub(crate) responder: Arc<dyn Responder>,
    pub(crate) place: Place,
    /// Whether the operation is safe, whoever answers.
    pub(crate) safe: bool,
    /// What this responder says its results are.
    pub(crate) result_type: Option<MediaType>,
    /// The hub at which it answers, if that is another one.
    pub(crate) elsewhere: Option<HubId>,
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// An operation already has as many responders as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

/// How an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperationUsage {
    pub(crate) name: ByteString,
    pub(crate) declaration: Declaration,
    pub(crate) responders: usize,
    pub(crate) calls: u64,
    pub(crate) in_flight: usize,
}

impl Responders {
    pub(crate) fn new(meters: Arc<Meters>) -> Self {
        Self {
            operations: Shards::new(),
            meters,
            version: watch::Sender::new(0),
        }
    }

    /// Tells when it changes what is served at this hub.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What is served at this hub by its parties, after that name, at most `count` in the order of names.
    pub(crate) fn served_here(&self, after: &str, count: usize) -> Vec<(ByteString, Declaration)> {
        let mut all = Vec::new();
        for shard in self.operations.iter() {
            let shard = shard.read();
            let here = shard.iter().filter(|(name, _)| &***name > after);
            all.extend(here.filter_map(|(name, operation)| Some((name.clone(), operation.said_here()?))));
        }
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all.truncate(count);
        all
    }

    /// Has the session's responder share the calls of the operation. One that the session had there before is
    /// replaced; the calls it has in flight stay its own.
    pub(crate) fn insert(
        &self,
        operation: ByteString,
        session: SessionId,
        offer: Offer,
        max: usize,
    ) -> Result<(), Crowded> {
        let elsewhere = offer.elsewhere.is_some();
        self.enter(operation, session, offer, max)?;
        if !elsewhere {
            self.version.send_modify(|version| *version += 1);
        }
        Ok(())
    }

    fn enter(
        &self,
        operation: ByteString,
        session: SessionId,
        offer: Offer,
        max: usize,
    ) -> Result<(), Crowded> {
        let mut shard = self.operations.of(&operation).write();
        let Some(present) = shard.get_mut(&operation) else {
            let mut new = Operation {
                stations: Vec::new(),
                declaration: offer.declaration.clone(),
                calls: Arc::default(),
                meter: self.meters.of(&operation),
                turn: AtomicUsize::new(0),
            };
            new.stations.push(self.station(&new, session, offer));
            shard.insert(operation, new);
            return Ok(());
        };
        let station = self.station(present, session, offer);
        if let Some(old) = present.stations.iter_mut().find(|old| old.session == session) {
            let old = std::mem::replace(old, station);
            present.declare();
            // A responder is foreign code, its end too: not under the lock.
            drop(shard);
            drop(old);
        } else if present.stations.len() >= max {
            drop(shard);
            return Err(Crowded);
        } else {
            present.stations.push(station);
            present.declare();
        }
        Ok(())
    }

    fn station(&self, operation: &Operation, session: SessionId, offer: Offer) -> Station {
        let gauge = Gauge {
            in_flight: AtomicUsize::new(0),
            calls: Arc::clone(&operation.calls),
            meter: Arc::clone(&operation.meter),
            meters: Arc::clone(&self.meters),
        };
        Station {
            session,
            offer,
            gauge: Arc::new(gauge),
        }
    }

    /// Takes the session's responder out: from now on it gets no more calls of the operation. True if nobody is left
    /// to answer them.
    pub(crate) fn remove(&self, operation: &str, session: SessionId) -> bool {
        let mut shard = self.operations.of(operation).write();
        let Some(present) = shard.get_mut(operation) else {
            return true;
        };
        let Some(place) = present
            .stations
            .iter()
            .position(|station| station.session == session)
        else {
            return false;
        };
        let station = present.stations.remove(place);
        let last = present.stations.is_empty();
        if last {
            shard.remove(operation);
        } else {
            present.declare();
        }
        drop(shard);
        if station.offer.elsewhere.is_none() {
            self.version.send_modify(|version| *version += 1);
        }
        drop(station);
        last
    }

    /// The responder that gets the next call.
    pub(crate) fn choose(&self, operation: &str) -> Option<Chosen> {
        let shard = self.operations.of(operation).read();
        let present = shard.get(operation)?;
        Some(present.chosen(present.least_loaded()?))
    }

    /// The responder that gets a call after those hubs have said that they do not serve it any more.
    pub(crate) fn choose_besides(&self, operation: &str, hubs: &[HubId]) -> Option<Chosen> {
        let shard = self.operations.of(operation).read();
        let present = shard.get(operation)?;
        let is_left = |station: &&Station| !station.offer.elsewhere.is_some_and(|hub| hubs.contains(&hub));
        let burden = |station: &&Station| (station.burden(), station.offer.responder.load());
        Some(present.chosen(present.stations.iter().filter(is_left).min_by_key(burden)?))
    }

    /// The responder at this hub that gets the next call of a party of another hub.
    pub(crate) fn choose_here(&self, operation: &str) -> Option<Chosen> {
        let shard = self.operations.of(operation).read();
        let present = shard.get(operation)?;
        let burden = |station: &&Station| (station.in_flight(), station.offer.responder.load());
        Some(present.chosen(present.here().min_by_key(burden)?))
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.operations.iter().map(|shard| shard.read().len()).sum()
    }

    /// All operations whose names pass, in no order.
    pub(crate) fn usage(&self, wanted: impl Fn(&str) -> bool) -> Vec<OperationUsage> {
        let mut all = Vec::new();
        for shard in self.operations.iter() {
            let shard = shard.read();
            let wanted = shard.iter().filter(|(name, _)| wanted(name));
            all.extend(wanted.map(|(name, operation)| OperationUsage {
                name: name.clone(),
                declaration: operation.declaration.clone(),
                responders: operation.stations.len(),
                calls: operation.calls.load(Ordering::Relaxed),
                in_flight: operation.stations.iter().map(Station::in_flight).sum(),
            }));
        }
        all
    }
}

impl Operation {
    fn chosen(&self, station: &Station) -> Chosen {
        Chosen {
            responder: Arc::clone(&station.offer.responder),
            place: Place::take(&station.gauge),
            safe: self.declaration.safe,
            result_type: station.offer.declaration.result_type.clone(),
            elsewhere: station.offer.elsewhere,
        }
    }

    /// Those that answer at this hub, and are not its own.
    fn here(&self) -> impl Iterator<Item = &Station> {
        let is_here =
            |station: &&Station| station.offer.elsewhere.is_none() && station.session != SessionId::HUB;
        self.stations.iter().filter(is_here)
    }

    /// What all who answer at this hub say, if anybody does.
    fn said_here(&self) -> Option<Declaration> {
        self.here().next()?;
        Some(Declaration::common(
            self.here().map(|station| &station.offer.declaration),
        ))
    }

    /// Finds out again what all responders say.
    fn declare(&mut self) {
        let all = self.stations.iter().map(|station| &station.offer.declaration);
        self.declaration = Declaration::common(all);
    }

    /// The one with the fewest calls in flight; among equals the one that says it is least loaded; among equals again
    /// each in turn. Two callers that look at the same moment may both find the same one: the next call evens it out.
    fn least_loaded(&self) -> Option<&Station> {
        if let [only] = &*self.stations {
            return Some(only);
        }
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % self.stations.len().max(1);
        let (before, after) = self.stations.split_at(start);
        let mut in_turn = after.iter().chain(before);
        let mut best = in_turn.next()?;
        let (mut in_flight, mut load) = (best.burden(), None);
        for station in in_turn {
            let candidate = station.burden();
            // The load is asked for only where it decides.
            let better = candidate < in_flight
                || candidate == in_flight && {
                    let known = *load.get_or_insert_with(|| best.offer.responder.load());
                    station.offer.responder.load() < known
                };
            if better {
                (best, in_flight, load) = (station, candidate, None);
            }
        }
        Some(best)
    }
}

impl Station {
    fn in_flight(&self) -> usize {
        self.gauge.in_flight.load(Ordering::Relaxed)
    }

    /// The calls in flight; the way to another hub counts as one, so that of equals the one at hand is taken.
    fn burden(&self) -> usize {
        self.in_flight() + usize::from(self.offer.elsewhere.is_some())
    }
}

#[cfg(test)]
mod tests;

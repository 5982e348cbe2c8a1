//! Who answers what: from the name of an operation to the responder that gets the next call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytestring::ByteString;
use switchboard_peer::InUse;

use crate::call::Responder;
use crate::session::SessionId;
use crate::shards::Shards;

/// The table of all operations.
#[derive(Debug)]
pub(crate) struct Responders {
    operations: Shards<Operation>,
}

/// One operation, served by at least one responder.
#[derive(Debug, Default)]
struct Operation {
    stations: Vec<Station>,
    calls: AtomicU64,
    /// Where the search for the least loaded begins, so that equals take turns.
    turn: AtomicUsize,
}

/// One responder of one operation.
struct Station {
    session: SessionId,
    responder: Arc<dyn Responder>,
    in_flight: Arc<AtomicUsize>,
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
    pub(crate) responders: usize,
    pub(crate) calls: u64,
    pub(crate) in_flight: usize,
}

impl Responders {
    pub(crate) fn new() -> Self {
        Self {
            operations: Shards::new(),
        }
    }

    /// Has the session's responder share the calls of the operation. One that the session had there before is
    /// replaced; the calls it has in flight stay its own.
    pub(crate) fn insert(
        &self,
        operation: ByteString,
        session: SessionId,
        responder: Arc<dyn Responder>,
        max: usize,
    ) -> Result<(), Crowded> {
        let station = Station {
            session,
            responder,
            in_flight: Arc::default(),
        };
        let mut shard = self.operations.of(&operation).write();
        let Some(present) = shard.get_mut(&operation) else {
            shard.insert(
                operation,
                Operation {
                    stations: vec![station],
                    ..Operation::default()
                },
            );
            return Ok(());
        };
        if let Some(old) = present.stations.iter_mut().find(|old| old.session == session) {
            let old = std::mem::replace(old, station);
            // A responder is foreign code, its end too: not under the lock.
            drop(shard);
            drop(old);
        } else if present.stations.len() >= max {
            drop(shard);
            return Err(Crowded);
        } else {
            present.stations.push(station);
        }
        Ok(())
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
        }
        drop(shard);
        drop(station);
        last
    }

    /// The responder that gets the next call, and that call's place in the count of those in flight.
    pub(crate) fn choose(&self, operation: &str) -> Option<(Arc<dyn Responder>, InUse)> {
        let shard = self.operations.of(operation).read();
        let present = shard.get(operation)?;
        let station = present.least_loaded()?;
        present.calls.fetch_add(1, Ordering::Relaxed);
        Some((Arc::clone(&station.responder), InUse::new(&station.in_flight)))
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
                responders: operation.stations.len(),
                calls: operation.calls.load(Ordering::Relaxed),
                in_flight: operation.stations.iter().map(Station::in_flight).sum(),
            }));
        }
        all
    }
}

impl Operation {
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
        let (mut in_flight, mut load) = (best.in_flight(), None);
        for station in in_turn {
            let candidate = station.in_flight();
            // The load is asked for only where it decides.
            let better = candidate < in_flight
                || candidate == in_flight && {
                    let known = *load.get_or_insert_with(|| best.responder.load());
                    station.responder.load() < known
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
        self.in_flight.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU16;

    use switchboard_peer::Replier;

    use super::*;
    use crate::call::Call;

    const MAX: usize = 8;

    /// A responder that is recognised by its load.
    struct Loaded(AtomicU16);

    impl Responder for Loaded {
        fn respond(&self, _: Call, _: Replier) {}

        fn load(&self) -> u16 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn table(loads: &[u16]) -> (Responders, Vec<Arc<Loaded>>) {
        let table = Responders::new();
        let responders: Vec<_> = loads
            .iter()
            .map(|load| Arc::new(Loaded(AtomicU16::new(*load))))
            .collect();
        for (number, responder) in responders.iter().enumerate() {
            let session = SessionId::new(number as u64 + 1);
            table
                .insert("op".into(), session, Arc::clone(responder) as _, MAX)
                .unwrap();
        }
        (table, responders)
    }

    /// Chooses, and tells which of the responders it was.
    fn choose(table: &Responders, responders: &[Arc<Loaded>]) -> (usize, InUse) {
        let (chosen, in_use) = table.choose("op").unwrap();
        let chosen = Arc::as_ptr(&chosen).cast::<()>();
        let place = responders
            .iter()
            .position(|responder| Arc::as_ptr(responder).cast() == chosen);
        (place.unwrap(), in_use)
    }

    #[test]
    fn calls_in_flight_decide_first() {
        let (table, responders) = table(&[50, 10]);
        let (first, held) = choose(&table, &responders);
        assert_eq!(first, 1, "with none in flight the load decides");
        let (second, second_held) = choose(&table, &responders);
        assert_eq!(second, 0, "fewer in flight beats a smaller load");
        drop((held, second_held));
        assert_eq!(choose(&table, &responders).0, 1);
    }

    #[test]
    fn equals_take_turns() {
        let (table, responders) = table(&[7, 7, 7]);
        let mut counts = [0; 3];
        for _ in 0..300 {
            let (chosen, in_use) = choose(&table, &responders);
            counts[chosen] += 1;
            drop(in_use);
        }
        assert_eq!(counts, [100; 3]);
    }

    #[test]
    fn one_that_holds_its_calls_gets_no_more_than_its_share() {
        let (table, responders) = table(&[0, 0, 0]);
        let mut held = Vec::new();
        let mut counts = [0; 3];
        for _ in 0..90 {
            let (chosen, in_use) = choose(&table, &responders);
            counts[chosen] += 1;
            held.push(in_use);
        }
        assert_eq!(counts, [30; 3]);
        assert_eq!(table.usage(|_| true)[0].in_flight, 90);
        held.clear();
        let usage = table.usage(|_| true);
        let expected = OperationUsage {
            name: "op".into(),
            responders: 3,
            calls: 90,
            in_flight: 0,
        };
        assert_eq!(usage, [expected]);
    }

    #[test]
    fn the_last_to_leave_takes_the_operation_along() {
        let (table, responders) = table(&[0, 0]);
        table.remove("op", SessionId::new(1));
        assert_eq!(choose(&table, &responders).0, 1);
        table.remove("op", SessionId::new(1));
        assert_eq!(table.len(), 1);
        table.remove("op", SessionId::new(2));
        assert!(table.choose("op").is_none());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_session_has_one_place_in_an_operation_and_places_are_bounded() {
        let (table, _) = table(&[0; MAX]);
        let another = || Arc::new(Loaded(AtomicU16::new(0))) as Arc<dyn Responder>;
        assert_eq!(
            table.insert("op".into(), SessionId::new(99), another(), MAX),
            Err(Crowded)
        );
        assert_eq!(
            table.insert("op".into(), SessionId::new(1), another(), MAX),
            Ok(())
        );
        assert_eq!(table.usage(|_| true)[0].responders, MAX);
    }

    #[test]
    fn counts_stay_right_under_concurrency() {
        let (table, _) = table(&[0, 0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        drop(table.choose("op"));
                    }
                });
            }
            scope.spawn(|| {
                for _ in 0..500 {
                    table.remove("op", SessionId::new(1));
                    table
                        .insert("op".into(), SessionId::new(1), Arc::new(|_, _| {}), MAX)
                        .unwrap();
                }
            });
        });
        let usage = table.usage(|_| true);
        assert_eq!(
            (usage[0].responders, usage[0].calls, usage[0].in_flight),
            (2, 20_000, 0)
        );
    }
}

//! Who answers what: from the name of an operation to the responder that gets the next call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytestring::ByteString;
use switchboard_peer::InUse;

use crate::call::Responder;
use crate::declaration::Declaration;
use crate::media_type::MediaType;
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
    /// What all of them say.
    declaration: Declaration,
    calls: AtomicU64,
    /// Where the search for the least loaded begins, so that equals take turns.
    turn: AtomicUsize,
}

/// One responder of one operation.
struct Station {
    session: SessionId,
    offer: Offer,
    in_flight: Arc<AtomicUsize>,
}

/// Who answers, and what it says of that.
pub(crate) struct Offer {
    pub(crate) responder: Arc<dyn Responder>,
    pub(crate) declaration: Declaration,
}

/// The responder that gets a call.
pub(crate) struct Chosen {
    pub(crate) responder: Arc<dyn Responder>,
    /// The call's place in the count of those in flight.
    pub(crate) in_use: InUse,
    /// Whether the operation is safe, whoever answers.
    pub(crate) safe: bool,
    /// What this responder says its results are.
    pub(crate) result_type: Option<MediaType>,
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
        offer: Offer,
        max: usize,
    ) -> Result<(), Crowded> {
        let station = Station {
            session,
            offer,
            in_flight: Arc::default(),
        };
        let mut shard = self.operations.of(&operation).write();
        let Some(present) = shard.get_mut(&operation) else {
            shard.insert(
                operation,
                Operation {
                    declaration: station.offer.declaration.clone(),
                    stations: vec![station],
                    ..Operation::default()
                },
            );
            return Ok(());
        };
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
        drop(station);
        last
    }

    /// The responder that gets the next call.
    pub(crate) fn choose(&self, operation: &str) -> Option<Chosen> {
        let shard = self.operations.of(operation).read();
        let present = shard.get(operation)?;
        let station = present.least_loaded()?;
        present.calls.fetch_add(1, Ordering::Relaxed);
        Some(Chosen {
            responder: Arc::clone(&station.offer.responder),
            in_use: InUse::new(&station.in_flight),
            safe: present.declaration.safe,
            result_type: station.offer.declaration.result_type.clone(),
        })
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
        let (mut in_flight, mut load) = (best.in_flight(), None);
        for station in in_turn {
            let candidate = station.in_flight();
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

    fn offer(responder: Arc<dyn Responder>) -> Offer {
        Offer {
            responder,
            declaration: Declaration::default(),
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
                .insert("op".into(), session, offer(Arc::clone(responder) as _), MAX)
                .unwrap();
        }
        (table, responders)
    }

    /// Chooses, and tells which of the responders it was.
    fn choose(table: &Responders, responders: &[Arc<Loaded>]) -> (usize, InUse) {
        let Chosen {
            responder, in_use, ..
        } = table.choose("op").unwrap();
        let chosen = Arc::as_ptr(&responder).cast::<()>();
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
            declaration: Declaration::default(),
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
        let another = || offer(Arc::new(Loaded(AtomicU16::new(0))));
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
    fn an_operation_is_safe_only_if_all_say_so_and_each_has_its_own_type() {
        let table = Responders::new();
        let enter = |session, safe, result_type: &str| {
            let declaration = Declaration {
                safe,
                result_type: MediaType::parse(result_type).ok(),
            };
            let offer = Offer {
                declaration,
                ..offer(Arc::new(|_, _| {}))
            };
            table
                .insert("op".into(), SessionId::new(session), offer, MAX)
                .unwrap();
        };
        let said = || {
            let Declaration { safe, result_type } = table.usage(|_| true).remove(0).declaration;
            let chosen = table.choose("op").unwrap();
            assert_eq!(chosen.safe, safe);
            (safe, result_type.map(|known| known.to_string()))
        };
        enter(1, true, "a/b");
        assert_eq!(said(), (true, Some("a/b".into())));
        enter(2, false, "a/c");
        assert_eq!(said(), (false, None));
        let types: Vec<_> = (0..2)
            .filter_map(|_| table.choose("op").unwrap().result_type)
            .collect();
        assert_eq!(types.len(), 2, "each responder's own: {types:?}");
        assert_ne!(types[0], types[1]);
        enter(2, true, "a/b");
        assert_eq!(said(), (true, Some("a/b".into())), "it changed its mind");
        enter(2, false, "a/b");
        table.remove("op", SessionId::new(2));
        assert_eq!(said(), (true, Some("a/b".into())), "it left");
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
                        .insert("op".into(), SessionId::new(1), offer(Arc::new(|_, _| {})), MAX)
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

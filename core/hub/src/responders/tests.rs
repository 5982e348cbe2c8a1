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
        elsewhere: None,
    }
}

fn table(loads: &[u16]) -> (Responders, Vec<Arc<Loaded>>) {
    let table = Responders::new(Arc::default());
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
fn choose(table: &Responders, responders: &[Arc<Loaded>]) -> (usize, Watched) {
    let Chosen {
        responder,
        place: held,
        ..
    } = table.choose("op").unwrap();
    let chosen = Arc::as_ptr(&responder).cast::<()>();
    let place = responders
        .iter()
        .position(|responder| Arc::as_ptr(responder).cast() == chosen);
    (
        place.unwrap(),
        held.begin(DoorId::new(0), Instant::now()).unwrap(),
    )
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
        let (chosen, held) = choose(&table, &responders);
        counts[chosen] += 1;
        drop(held);
    }
    assert_eq!(counts, [100; 3]);
}

#[test]
fn one_that_holds_its_calls_gets_no_more_than_its_share() {
    let (table, responders) = table(&[0, 0, 0]);
    let mut all = Vec::new();
    let mut counts = [0; 3];
    for _ in 0..90 {
        let (chosen, held) = choose(&table, &responders);
        counts[chosen] += 1;
        all.push(held);
    }
    assert_eq!(counts, [30; 3]);
    assert_eq!(table.usage(|_| true)[0].in_flight, 90);
    all.clear();
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
    let table = Responders::new(Arc::default());
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
                    let chosen = table.choose("op").unwrap();
                    drop(chosen.place.begin(DoorId::new(0), Instant::now()));
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

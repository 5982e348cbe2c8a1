use std::time::Duration;

use switchboard_peer::Fault;

use super::doors::DOORS_MAX;
use super::operations::{OPERATION_BYTES_MAX, OPERATIONS_MAX};
use super::*;

fn name(text: &str) -> ByteString {
    ByteString::from(text)
}

#[test]
fn calls_are_measured_by_operation_and_door() {
    let meters = Arc::new(Meters::default());
    let (http, gotalk) = (meters.doors.enter("http"), meters.doors.enter("gotalk"));
    let a = meters.of(&name("a"));
    let millis = Duration::from_millis;
    for (door, time, fault) in [
        (http, millis(1), None),
        (http, millis(3), Some(Fault::failed("no"))),
        (gotalk, Duration::from_secs(3600), None),
        (gotalk, Duration::ZERO, None),
    ] {
        a.record(door.as_usize(), time, fault.as_ref());
    }
    let Metrics { calls, doors, .. } = Metrics::read(&meters, &Samplers::default());
    let [one, other] = &calls[..] else {
        panic!("{calls:?}")
    };
    assert_eq!((&*one.operation, &*one.door), ("a", "http"));
    assert_eq!((one.latencies.count(), one.latencies.time), (2, millis(4)));
    let place = |time| LATENCY_BUCKETS.iter().position(|end| *end == time).unwrap();
    assert_eq!(one.latencies.buckets[place(millis(1))], 1);
    assert_eq!(one.latencies.buckets[place(millis(5))], 1);
    assert_eq!(one.faults.iter().sum::<u64>(), 1);
    assert_eq!((&*other.operation, &*other.door), ("a", "gotalk"));
    assert_eq!(
        (
            other.latencies.buckets[0],
            other.latencies.buckets[LATENCY_BUCKETS.len()]
        ),
        (1, 1)
    );
    assert_eq!(doors.len(), 2);
}

#[test]
fn buckets_grow() {
    assert!(LATENCY_BUCKETS.is_sorted());
}

#[test]
fn operations_with_numbers_of_their_own_are_bounded() {
    let meters = Meters::default();
    let mut held: Vec<_> = (0..OPERATIONS_MAX)
        .map(|number| meters.of(&name(&number.to_string())))
        .collect();
    assert!(held.iter().all(|meter| !Arc::ptr_eq(meter, &meters.other)));
    assert!(Arc::ptr_eq(&meters.of(&name("one more")), &meters.other));
    assert!(Arc::ptr_eq(&meters.of(&name("7")), &held[7]));
    // One that nobody serves any more makes room, and only that.
    held.swap_remove(7);
    assert!(!Arc::ptr_eq(&meters.of(&name("one more")), &meters.other));
    assert!(Arc::ptr_eq(&meters.of(&name("8")), &held[8]));
    let long = name(&"x".repeat(OPERATION_BYTES_MAX + 1));
    let meters = Meters::default();
    assert!(Arc::ptr_eq(&meters.of(&long), &meters.other));
}

#[test]
fn doors_are_bounded_and_their_sessions_counted() {
    let doors = Doors::default();
    let ids: Vec<_> = (0..DOORS_MAX + 5)
        .map(|door| doors.enter(&format!("door {door}")))
        .collect();
    assert_eq!(doors.enter("door 3"), ids[3]);
    doors.leave(ids[3]);
    doors.add_fault(ids[4], &Fault::failed("no"));
    let read = doors.read();
    assert_eq!(read.len(), DOORS_MAX);
    assert_eq!((read[3].sessions, read[3].opened), (1, 2));
    assert_eq!(read[4].faults.iter().sum::<u64>(), 1);
    let last = read.last().unwrap();
    assert_eq!((&*last.door, last.sessions), (OTHER, 6));
}

#[test]
fn doors_that_come_at_once_each_have_one_place() {
    let doors = Doors::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for door in ["a", "b", "c"] {
                    doors.enter(door);
                }
            });
        }
    });
    let mut names: Vec<_> = doors
        .read()
        .iter()
        .map(|door| (door.door.to_string(), door.sessions))
        .collect();
    names.sort();
    assert_eq!(names, [("a".into(), 4), ("b".into(), 4), ("c".into(), 4)]);
}

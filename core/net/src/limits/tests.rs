use std::collections::HashMap as Model;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn table(per_address: Option<usize>, rate: Option<u32>) -> AddressTable {
    let limits = Limits {
        connections_per_address_max: per_address.and_then(NonZeroUsize::new),
        new_connections_per_second: rate.and_then(NonZeroU32::new),
        ..Limits::default()
    };
    AddressTable::new(&limits).expect("a limit by address")
}

fn key(address: &str) -> AddressKey {
    address.parse::<IpAddr>().expect("an address").into()
}

#[test]
fn without_a_limit_by_address_there_is_no_table() {
    assert!(AddressTable::new(&Limits::default()).is_none());
}

#[test]
fn each_address_has_its_own_places_and_gets_them_back() {
    let mut table = table(Some(2), None);
    let now = Instant::now();
    let (one, two) = (key("192.0.2.1"), key("192.0.2.2"));
    assert_eq!(table.admit(one, now), Ok(()));
    assert_eq!(table.admit(one, now), Ok(()));
    assert_eq!(table.admit(one, now), Err(Refusal::ConnectionsPerAddress));
    assert_eq!(table.admit(two, now), Ok(()));
    table.release(one, now);
    assert_eq!(table.admit(one, now), Ok(()));
    for address in [one, one, two] {
        table.release(address, now);
    }
    assert!(
        table.entries.is_empty(),
        "an address without connections is forgotten"
    );
}

#[test]
fn a_host_is_an_ipv4_address_or_an_ipv6_slash_64() {
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn new_connections_come_no_faster_than_their_rate() {
    let mut table = table(None, Some(5));
    let start = Instant::now();
    let host = key("192.0.2.1");
    for _ in 0..5 {
        assert_eq!(
            table.admit(host, start),
            Ok(()),
            "a second's worth may come at once"
        );
    }
    assert_eq!(table.admit(host, start), Err(Refusal::ConnectionRate));
    assert_eq!(
        table.admit(key("192.0.2.2"), start),
        Ok(()),
        "others are not concerned"
    );
    assert_eq!(
        table.admit(host, start + SECOND / 5 - Duration::from_millis(1)),
        Err(Refusal::ConnectionRate)
    );
    assert_eq!(
        table.admit(host, start + SECOND / 5),
        Ok(()),
        "a fifth of a second earns one"
    );
    assert_eq!(
        table.admit(host, start + SECOND / 5),
        Err(Refusal::ConnectionRate)
    );
    for _ in 0..5 {
        assert_eq!(
            table.admit(host, start + SECOND * 10),
            Ok(()),
            "a pause earns a second's worth and no more"
        );
    }
    assert_eq!(
        table.admit(host, start + SECOND * 10),
        Err(Refusal::ConnectionRate)
    );
}

#[test]
fn closing_and_coming_back_does_not_fool_the_rate() {
    let mut table = table(None, Some(2));
    let now = Instant::now();
    let host = key("192.0.2.1");
    for _ in 0..2 {
        assert_eq!(table.admit(host, now), Ok(()));
        table.release(host, now);
    }
    assert_eq!(table.admit(host, now), Err(Refusal::ConnectionRate));
}

#[test]
fn a_flood_of_addresses_stays_within_the_table_and_passes() {
    let mut table = table(None, Some(1));
    table.entries_max = 100;
    let start = Instant::now();
    let flood = |table: &mut AddressTable, now| {
        (0..1_000u32)
            .filter(|n| {
                table
                    .admit(AddressKey::from(IpAddr::V4((*n).into())), now)
                    .is_ok()
            })
            .count()
    };
    let admitted = flood(&mut table, start);
    assert_eq!(admitted, 100);
    assert_eq!(table.admit(key("192.0.2.1"), start), Err(Refusal::AddressTable));
    for n in 0..100u32 {
        table.release(AddressKey::from(IpAddr::V4(n.into())), start);
    }
    assert_eq!(table.entries.len(), 100, "they are remembered for their rate");
    assert_eq!(
        table.admit(key("192.0.2.1"), start + SECOND),
        Ok(()),
        "a second later they are forgotten"
    );
    assert_eq!(table.entries.len(), 1);
}

#[test]
fn open_connections_never_fill_the_table() {
    let limits = Limits {
        connections_max: NonZeroUsize::new(1_000_000).expect("not zero"),
        new_connections_per_second: NonZeroU32::new(1),
        ..Limits::default()
    };
    let table = AddressTable::new(&limits).expect("a table");
    assert!(table.entries_max > 1_000_000);
}

proptest! {
    /// Whatever comes and goes, nobody has more than allowed, and nobody is refused who has room.
    #[test]
    fn places_are_counted_right(steps in proptest::collection::vec((0u32..4, any::<bool>()), 1..200)) {
        let mut table = table(Some(3), None);
        let now = Instant::now();
        let mut model: Model<u32, usize> = Model::new();
        for (host, come) in steps {
            let open = model.entry(host).or_default();
            let key = AddressKey::from(IpAddr::V4(host.into()));
            if come {
                prop_assert_eq!(table.admit(key, now).is_ok(), *open < 3);
                *open = (*open + 1).min(3);
            } else if *open > 0 {
                table.release(key, now);
                *open -= 1;
            }
        }
        prop_assert_eq!(table.entries.len(), model.values().filter(|open| **open > 0).count());
    }

    /// In any stretch of whole seconds at most the rate times the seconds, plus one second's worth, come in.
    #[test]
    fn the_rate_holds_over_any_time(rate in 1u32..50, gaps in proptest::collection::vec(0u64..400, 1..200)) {
        let mut table = table(None, Some(rate));
        let start = Instant::now();
        let mut now = start;
        let mut admitted = 0u32;
        for gap in gaps {
            now += Duration::from_millis(gap);
            admitted += u32::from(table.admit(key("192.0.2.1"), now).is_ok());
        }
        let earned = f64::from(rate) * (now - start).as_secs_f64();
        prop_assert!(f64::from(admitted) <= earned + f64::from(rate) + 0.001);
    }
}

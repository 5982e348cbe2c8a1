//! Logs that nobody wrote.

use super::*;

/// A structure of each kind with something in it.
pub(super) fn sample(kind: Kind) -> Structure {
    let mut structure = Structure::new(kind).expect("a structure");
    for name in [&b"a"[..], b"", b"\xff\0", &[b'x'; 300]] {
        match &mut structure {
            Structure::Hash(hash) => drop(hash.insert(name, name)),
            Structure::List(list) => list.push_back(name),
            Structure::Set(set) => drop(set.insert(name)),
            Structure::SortedSet(set) => drop(set.insert(name, 0.5)),
        }
    }
    structure.take_log();
    structure
}

fn kinds() -> impl Iterator<Item = Kind> {
    Kind::ALL.into_iter().filter(|kind| *kind != Kind::Plain)
}

/// It is refused or makes a structure that can be written and read again.
fn does_no_harm(mut structure: Structure, log: &[u8]) {
    match structure.replay(log) {
        Ok(()) => {
            let decoded = Structure::decode(structure.kind(), &structure.encode());
            is_the_same(&decoded.expect("it is its encoding"), &structure);
        }
        Err(error) => assert!(matches!(error, EngineError::Damaged(_)), "{error}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(log in prop::collection::vec(prop_oneof![4 => 0_u8..9, 1 => any::<u8>()], 0..60)) {
        for kind in kinds() {
            does_no_harm(Structure::new(kind).expect("a structure"), &log);
            does_no_harm(sample(kind), &log);
        }
    }

    #[test]
    fn flipped_and_cut_ones_do_no_harm(at in 0_usize..400, by in 1_u8.., cut in 0_usize..400) {
        for kind in kinds() {
            let mut log = sample(kind).encode();
            let place = at % log.len();
            log[place] ^= by;
            log.truncate(log.len() - cut % log.len());
            does_no_harm(Structure::new(kind).expect("a structure"), &log);
        }
    }
}

#[test]
fn every_cut_amid_a_change_is_damage() {
    for kind in kinds() {
        let whole = sample(kind).encode();
        let read = (0..=whole.len()).filter(|cut| Structure::decode(kind, &whole[..*cut]).is_ok());
        // Nothing, and after each of the four.
        assert_eq!(read.count(), 5, "{kind}");
    }
}

#[test]
fn what_cannot_have_been_logged_is_damage() {
    let huge = [0xff; 9];
    for kind in kinds() {
        for what in 0..=10 {
            // A length of 2^63 - 1, an endless one, and one that is over 64 bits.
            for length in [
                &[&huge[..8], &[0x7f]].concat()[..],
                &huge,
                &[&huge[..], &[0x7f]].concat(),
            ] {
                let log = [&[what][..], length, b"x"].concat();
                let decoded = Structure::decode(kind, &log);
                assert!(matches!(decoded, Err(EngineError::Damaged(_))), "{kind}: {log:?}");
            }
        }
        for what in [0, 10, 255] {
            assert!(
                Structure::decode(kind, &[what, 1, 1, 1]).is_err(),
                "{kind}: {what}"
            );
        }
    }
    for (kind, log) in [
        (Kind::Hash, &[2, 1, b'z'][..]),
        (Kind::Set, &[2, 1, b'z']),
        (Kind::SortedSet, &[2, 1, b'z']),
        (Kind::List, &[3, 5]),
        (Kind::List, &[4, 5]),
        (Kind::List, &[5, 4, 1, b'z']),
        (Kind::List, &[6, 5, 1, b'z']),
        (Kind::List, &[7, 4]),
        (Kind::List, &[8, 1, b'a', 2]),
        (Kind::List, &[9, 1, b'z', 1]),
    ] {
        let mut structure = sample(kind);
        assert!(
            matches!(structure.replay(log), Err(EngineError::Damaged(_))),
            "{kind}: {log:?} takes away what is not there"
        );
    }
    let nan = [&[1][..], &f64::NAN.to_le_bytes(), &[1, b'a']].concat();
    assert!(Structure::decode(Kind::SortedSet, &nan).is_err());
}

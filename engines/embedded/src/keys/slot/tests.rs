//! What a slot holds, and how it is found.

use super::*;

fn name(key: &[u8]) -> Name<'_> {
    Name::new(3, key)
}

fn content(value: &Bytes, expires: Option<u64>) -> Content<'_> {
    Content {
        value: Value::Plain(value),
        created: Timestamp::from_millis(5),
        expires: expires.map(Timestamp::from_millis),
    }
}

#[test]
fn it_holds_what_it_was_given_in_every_size() {
    for key_bytes in [1, 16, 300, switchboard_engine::names::KEY_BYTES_MAX] {
        for value_bytes in [0, 1, 200, SMALL_VALUE_BYTES, SMALL_VALUE_BYTES + 1] {
            for expires in [None, Some(9)] {
                let key = vec![b'k'; key_bytes];
                let value = Bytes::from(vec![b'v'; value_bytes]);
                let place = Place::new(77, 12);
                let slot = Slot::new(&name(&key), Revision(8), place, Some(content(&value, expires)));
                assert_eq!((slot.key(), slot.value()), (&key[..], &value[..]));
                assert_eq!((slot.place().round(), slot.place().index()), (77, 12));
                let entry = slot.entry(|| Timestamp::from_millis(8)).unwrap();
                assert_eq!((entry.value, entry.revision), (value, Revision(8)));
                assert_eq!(
                    (entry.created.as_millis(), slot.expires()),
                    (5, expires.map(Timestamp::from_millis))
                );
                assert_eq!(slot.is_live(|| Timestamp::from_millis(9)), expires.is_none());
            }
        }
    }
}

#[test]
fn what_is_gone_has_a_name_and_a_revision() {
    let slot = Slot::new(&name(b"key"), Revision(8), Place::STORED, None);
    assert!(!slot.has_value() && !slot.is_live(|| unreachable!()));
    assert_eq!(
        (slot.key(), slot.revision(), slot.entry(Timestamp::default)),
        (&b"key"[..], Revision(8), None)
    );
}

#[test]
fn it_is_found_by_bucket_and_key() {
    let value = Bytes::new();
    let slot = Slot::new(
        &name(b"key"),
        Revision(1),
        Place::STORED,
        Some(content(&value, None)),
    );
    assert!(name(b"key").equivalent(&slot) && !name(b"kez").equivalent(&slot));
    assert!(!Name::new(4, b"key").equivalent(&slot));
    let hashes = BroughtHashes::default();
    assert_eq!(hashes.hash_one(&slot), hashes.hash_one(name(b"key")));
}

#[test]
fn it_is_small() {
    assert_eq!(size_of::<Slot>(), 24);
    assert_eq!(size_of::<Head>(), 24);
}

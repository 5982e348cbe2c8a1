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
                let slot = Slot::new(&name(&key), Revision(8), 70_012, Some(content(&value, expires)));
                assert_eq!((slot.key(), slot.value()), (&key[..], &value[..]));
                assert_eq!(slot.place(), 70_012);
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
    let slot = Slot::new(&name(b"key"), Revision(8), 0, None);
    assert!(!slot.has_value() && !slot.is_live(|| unreachable!()));
    assert_eq!(
        (slot.key(), slot.revision(), slot.entry(Timestamp::default)),
        (&b"key"[..], Revision(8), None)
    );
}

#[test]
fn it_is_found_by_bucket_and_key() {
    let value = Bytes::new();
    let slot = Slot::new(&name(b"key"), Revision(1), 0, Some(content(&value, None)));
    assert!(slot.is_of(&name(b"key")) && !slot.is_of(&name(b"kez")));
    assert!(!slot.is_of(&Name::new(4, b"key")));
    assert_eq!(Name::of(&slot).hash, name(b"key").hash);
    assert!(slot.is(&slot.clone()) && !slot.is(&Slot::new(&name(b"key"), Revision(1), 0, None)));
}

#[test]
fn it_is_marked_as_used_until_that_is_asked() {
    let value = Bytes::from("value");
    let slot = Slot::new(&name(b"key"), Revision(1), 0, Some(content(&value, Some(9))));
    assert!(slot.was_used() && !slot.was_used());
    slot.use_it();
    slot.use_it();
    assert_eq!(
        (slot.kind(), slot.value(), slot.expires().is_some()),
        (Kind::Plain, &b"value"[..], true)
    );
    assert!(slot.was_used() && !slot.was_used());
}

#[test]
fn it_is_small() {
    assert_eq!(size_of::<Slot>(), 8);
    // With the count and the length of its bytes: 48 bytes.
    assert_eq!(size_of::<Head>(), 32);
}

//! bformat and tagged messages: exact bytes, bounds, cuts and garbage.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use switchboard_wire::tagged::Tagged;
use switchboard_wire::{bformat, tagged};

#[test]
fn bformat_has_these_bytes() {
    let cases: [(&[u8], &[u8]); 3] = [
        (b"", b"\0\0\0\0"),
        (b"hello", b"\x05\0\0\0hello"),
        (&[7; 0x0102], &[&[0x02, 0x01, 0, 0][..], &[7; 0x0102]].concat()),
    ];
    for (payload, bytes) in cases {
        let mut buf = BytesMut::new();
        assert_eq!(bformat::encode(payload, &mut buf), Ok(()));
        assert_eq!(buf, bytes);
        assert_eq!(
            bformat::decode(&mut buf, payload.len()),
            Ok(Some(Bytes::copy_from_slice(payload)))
        );
        assert!(buf.is_empty());
    }
}

#[test]
fn tagged_has_these_bytes() {
    let tag = 0x0807_0605_0403_0201;
    let mut buf = BytesMut::new();
    assert_eq!(tagged::encode(tag, b"hello", &mut buf), Ok(()));
    assert_eq!(buf, b"\x0d\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08hello"[..]);
    let payload = Bytes::from_static(b"hello");
    assert_eq!(tagged::decode(&mut buf, 13), Ok(Some(Tagged { tag, payload })));

    assert_eq!(tagged::encode(u64::MAX, b"", &mut buf), Ok(()));
    assert_eq!(buf, b"\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"[..]);
    assert_eq!(
        tagged::decode(&mut buf, 8),
        Ok(Some(Tagged {
            tag: u64::MAX,
            payload: Bytes::new()
        }))
    );
    assert!(buf.is_empty());
}

#[test]
fn a_large_message_is_refused_by_its_size_alone() {
    let mut buf = BytesMut::from(&b"\x06\0\0\0"[..]);
    let error = bformat::DecodeError { size: 6, max: 5 };
    assert_eq!(error.to_string(), "payload of 6 bytes exceeds the limit of 5");
    assert_eq!(bformat::decode(&mut buf, 5), Err(error));
    assert_eq!(bformat::decode(&mut buf, 6), Ok(None));

    let mut buf = BytesMut::from(&b"\x0a\0\0\0"[..]);
    let error = tagged::DecodeError::TooLarge(bformat::DecodeError { size: 10, max: 9 });
    assert_eq!(tagged::decode(&mut buf, 9), Err(error));
    assert_eq!(tagged::decode(&mut buf, 10), Ok(None));
    assert_eq!(buf.len(), 4, "nothing is consumed");
}

#[test]
fn a_message_without_room_for_its_tag_is_refused_by_its_size_alone() {
    for size in 0..8 {
        let mut buf = BytesMut::from(&[size, 0, 0, 0][..]);
        let size = usize::from(size);
        assert_eq!(
            tagged::decode(&mut buf, usize::MAX),
            Err(tagged::DecodeError::TooShort { size })
        );
        assert_eq!(buf.len(), 4, "nothing is consumed");
    }
    let text = tagged::DecodeError::TooShort { size: 7 }.to_string();
    assert_eq!(text, "message of 7 bytes is shorter than its tag of 8");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn sizes_beyond_4_bytes_are_refused() {
    let largest = u32::MAX as usize;
    assert_eq!(bformat::header(largest), Ok([0xff; 4]));
    let error = bformat::EncodeError { size: largest + 1 };
    assert_eq!(
        error.to_string(),
        "payload of 4294967296 bytes exceeds the limit of 4294967295"
    );
    assert_eq!(bformat::header(largest + 1), Err(error));

    assert!(tagged::header(0, largest - 8).is_ok());
    assert_eq!(
        tagged::header(0, largest - 7),
        Err(bformat::EncodeError { size: largest + 1 })
    );
    assert_eq!(
        tagged::header(0, usize::MAX),
        Err(bformat::EncodeError { size: usize::MAX })
    );
}

#[test]
fn a_declared_size_reserves_nothing() {
    let mut buf = BytesMut::with_capacity(4);
    buf.extend_from_slice(&[0xff; 4]);
    let capacity = buf.capacity();
    assert_eq!(bformat::decode(&mut buf, usize::MAX), Ok(None));
    assert_eq!(tagged::decode(&mut buf, usize::MAX), Ok(None));
    assert_eq!((buf.capacity(), buf.len()), (capacity, 4));
}

#[test]
fn payloads_are_slices_of_the_read_buffer_and_empty_ones_do_not_keep_it() {
    let mut buf = BytesMut::from(&b"\x09\0\0\0\0\0\0\0\0\0\0\0xZ"[..]);
    let start = buf.as_ptr() as usize;
    let message = tagged::decode(&mut buf, 9).expect("legal").expect("complete");
    assert_eq!(message.payload.as_ptr() as usize - start, 12);
    assert!(!buf.try_reclaim(13));
    drop(message);
    assert!(buf.try_reclaim(13));

    let mut buf = BytesMut::from(&b"\x08\0\0\0\0\0\0\0\0\0\0\0"[..]);
    let message = tagged::decode(&mut buf, 9).expect("legal");
    assert!(message.is_some() && buf.try_reclaim(12));

    let mut buf = BytesMut::from(&b"\0\0\0\0"[..]);
    let payload = bformat::decode(&mut buf, 9).expect("legal");
    assert!(payload.is_some() && buf.try_reclaim(4));
}

proptest! {
    #[test]
    fn bformat_survives_the_wire_however_it_is_cut(
        sent in vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..6),
        size in 1_usize..50,
    ) {
        let mut bytes = BytesMut::new();
        for payload in &sent {
            let before = bytes.len();
            prop_assert_eq!(bformat::encode(payload, &mut bytes), Ok(()));
            prop_assert_eq!(bytes.len() - before, bformat::HEADER_BYTES + payload.len());
            let header = bformat::header(payload.len())?;
            prop_assert_eq!(&bytes[before..before + 4], &header);
        }
        let mut received = vec![];
        let mut buf = BytesMut::new();
        for chunk in bytes.chunks(size) {
            buf.extend_from_slice(chunk);
            while let Some(payload) = bformat::decode(&mut buf, 300)? {
                received.push(payload);
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert!(buf.is_empty());
    }

    #[test]
    fn tagged_survives_the_wire_however_it_is_cut(
        sent in vec(
            (any::<u64>(), vec(any::<u8>(), 0..300))
                .prop_map(|(tag, payload)| Tagged { tag, payload: Bytes::from(payload) }),
            0..6,
        ),
        size in 1_usize..50,
    ) {
        let mut bytes = BytesMut::new();
        for Tagged { tag, payload } in &sent {
            let before = bytes.len();
            prop_assert_eq!(tagged::encode(*tag, payload, &mut bytes), Ok(()));
            prop_assert_eq!(bytes.len() - before, tagged::HEADER_BYTES + payload.len());
            let header = tagged::header(*tag, payload.len())?;
            prop_assert_eq!(&bytes[before..before + 12], &header);
        }
        let mut received = vec![];
        let mut buf = BytesMut::new();
        for chunk in bytes.chunks(size) {
            buf.extend_from_slice(chunk);
            while let Some(message) = tagged::decode(&mut buf, 308)? {
                received.push(message);
            }
        }
        prop_assert_eq!(received, sent);
        prop_assert!(buf.is_empty());
    }

    #[test]
    fn garbage_is_harmless(bytes in vec(prop_oneof![Just(0), 0_u8..20, any::<u8>()], 0..200), bytes_max: usize) {
        let mut buf = BytesMut::from(&bytes[..]);
        let capacity = buf.capacity();
        while let Ok(Some(_)) = bformat::decode(&mut buf, bytes_max) {}
        let mut buf = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = tagged::decode(&mut buf, bytes_max) {}
        prop_assert!(buf.capacity() <= capacity);
    }
}

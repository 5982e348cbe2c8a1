//! What gotalk messages may cost: the bounds on names and payloads, and whose memory a decoded message uses.

use bytes::BytesMut;
use switchboard_wire::gotalk::{
    Bounds, DecodeError, EncodeError, Head, Message, NAME_BYTES_MAX, RequestId, decode,
};

const ID: RequestId = RequestId(*b"0001");

#[test]
fn the_bounds_themselves_are_allowed() {
    let bounds = Bounds {
        name_bytes_max: 3,
        payload_bytes_max: 5,
    };
    let accepts = |bytes: &str| decode(&mut BytesMut::from(bytes), &bounds);
    assert!(matches!(accepts("n003abc00000005hello"), Ok(Some(_))));
    assert_eq!(accepts("n004"), Err(DecodeError::NameTooLong { size: 4, max: 3 }));
    assert_eq!(
        accepts("n00000000006"),
        Err(DecodeError::PayloadTooLarge { size: 6, max: 5 })
    );

    let nothing = Bounds {
        name_bytes_max: 0,
        payload_bytes_max: 0,
    };
    let mut buf = BytesMut::from("n00000000000");
    assert!(matches!(
        decode(&mut buf, &nothing),
        Ok(Some(Message::Notification { .. }))
    ));
}

#[test]
fn the_default_bounds_are_the_documented_ones() {
    assert_eq!(
        Bounds::default(),
        Bounds {
            name_bytes_max: 4095,
            payload_bytes_max: 64 * 1024 * 1024
        }
    );
    let accepts = |bytes: &str| decode(&mut BytesMut::from(bytes), &Bounds::default());
    assert_eq!(accepts("nfff"), Ok(None));
    assert_eq!(accepts("p000104000000"), Ok(None));
    let too_large = DecodeError::PayloadTooLarge {
        size: 0x0400_0001,
        max: 0x0400_0000,
    };
    assert_eq!(accepts("p000104000001"), Err(too_large));
}

#[test]
fn the_longest_name_fits_and_a_longer_one_is_refused() {
    let longest = "x".repeat(NAME_BYTES_MAX);
    let longer = "x".repeat(NAME_BYTES_MAX + 1);
    let far_longer = "x".repeat(0x1_0001);
    let mut dst = BytesMut::new();
    let heads: [fn(&str) -> Head; 3] = [
        |operation| Head::SingleRequest { id: ID, operation },
        |operation| Head::StreamRequest { id: ID, operation },
        |name| Head::Notification { name },
    ];
    for head in heads {
        for name in [&longer, &far_longer] {
            let refused = EncodeError::NameTooLong { size: name.len() };
            assert_eq!(head(name).encode(0, &mut dst), Err(refused));
            assert!(dst.is_empty(), "nothing is written");
        }
        assert_eq!(head(&longest).encode(0, &mut dst), Ok(()));
        assert!(matches!(decode(&mut dst, &Bounds::default()), Ok(Some(_))));
        assert!(dst.is_empty());
    }
    assert_eq!(
        EncodeError::NameTooLong { size: 4096 }.to_string(),
        "name of 4096 bytes exceeds the limit of 4095"
    );
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_largest_payload_size_fits_and_a_larger_one_is_refused() {
    let head = Head::SingleResult { id: ID };
    let mut dst = BytesMut::new();
    let size = u32::MAX as usize + 1;
    let refused = EncodeError::PayloadTooLarge { size };
    assert_eq!(
        refused.to_string(),
        "payload of 4294967296 bytes exceeds the limit of 4294967295"
    );
    assert_eq!(head.encode(size, &mut dst), Err(refused));
    assert!(dst.is_empty(), "nothing is written");
    assert_eq!(head.encode(size - 1, &mut dst), Ok(()));
    assert_eq!(dst, b"R0001ffffffff"[..]);
}

#[test]
fn a_declared_size_reserves_nothing() {
    let bounds = Bounds {
        name_bytes_max: NAME_BYTES_MAX,
        payload_bytes_max: usize::MAX,
    };
    for header in [
        "R0001ffffffff",
        "n000ffffffff",
        "e000100000000ffffffff",
        "r0001fffabc",
    ] {
        let mut buf = BytesMut::with_capacity(header.len());
        buf.extend_from_slice(header.as_bytes());
        let capacity = buf.capacity();
        assert_eq!(decode(&mut buf, &bounds), Ok(None), "{header}");
        assert_eq!((buf.capacity(), &buf[..]), (capacity, header.as_bytes()));
    }
}

#[test]
fn names_and_payloads_are_slices_of_the_read_buffer() {
    let mut buf = BytesMut::from("r0001004echo00000005helloR000100000002hi");
    let start = buf.as_ptr() as usize;
    let Ok(Some(Message::SingleRequest {
        operation, payload, ..
    })) = decode(&mut buf, &Bounds::default())
    else {
        panic!("a request is there");
    };
    assert_eq!(operation.as_ptr() as usize - start, 8);
    assert_eq!(payload.as_ptr() as usize - start, 20);
    let Ok(Some(Message::SingleResult { payload, .. })) = decode(&mut buf, &Bounds::default()) else {
        panic!("a result is there");
    };
    assert_eq!(payload.as_ptr() as usize - start, 38);
}

#[test]
fn what_is_empty_does_not_keep_the_read_buffer() {
    let text = "n00000000000";
    let mut buf = BytesMut::from(text);
    let message = decode(&mut buf, &Bounds::default());
    assert!(matches!(message, Ok(Some(_))));
    assert!(
        buf.try_reclaim(text.len()),
        "the buffer is not shared while the message lives"
    );

    let text = "n00000000001x";
    let mut buf = BytesMut::from(text);
    let message = decode(&mut buf, &Bounds::default());
    assert!(!buf.try_reclaim(text.len()), "a payload shares the buffer");
    drop(message);
    assert!(buf.try_reclaim(text.len()));
}

//! gotalk messages as exact bytes: what each kind looks like, what each fault is called and how early it is seen.

use bytes::{Bytes, BytesMut};
use switchboard_wire::gotalk::{
    Bounds, DecodeError, Message, Name, ProtocolErrorCode, RequestId, decode, decode_version,
    encode_heartbeat, encode_protocol_error,
};

const ID: RequestId = RequestId(*b"0001");

fn name(text: &'static str) -> Name {
    Name::from_static(text)
}

fn payload(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Each kind, with the payload and name sizes at which something changes.
fn snapshots() -> Vec<(&'static [u8], Message)> {
    let id = ID;
    let counted = RequestId::from(0x0403_0201);
    vec![
        (
            b"r0001004echo00000019{\"message\":\"Hello World\"}",
            Message::SingleRequest {
                id,
                operation: name("echo"),
                payload: payload("{\"message\":\"Hello World\"}"),
            },
        ),
        (
            b"r\x01\x02\x03\x0400000000000",
            Message::SingleRequest {
                id: counted,
                operation: name(""),
                payload: payload(""),
            },
        ),
        (
            b"s0001006gr\xc3\xbc\xc3\x9f00000002hi",
            Message::StreamRequest {
                id,
                operation: name("grüß"),
                payload: payload("hi"),
            },
        ),
        (
            b"s0001001x00000000",
            Message::StreamRequest {
                id,
                operation: name("x"),
                payload: payload(""),
            },
        ),
        (
            b"p00010000000aten bytes.",
            Message::StreamPart {
                id,
                payload: payload("ten bytes."),
            },
        ),
        (
            b"p000100000000",
            Message::StreamPart {
                id,
                payload: payload(""),
            },
        ),
        (
            b"R000100000005hello",
            Message::SingleResult {
                id,
                payload: payload("hello"),
            },
        ),
        (
            b"R000100000000",
            Message::SingleResult {
                id,
                payload: payload(""),
            },
        ),
        (
            b"S000100000005hello",
            Message::StreamResult {
                id,
                payload: payload("hello"),
            },
        ),
        (
            b"S000100000000",
            Message::StreamResult {
                id,
                payload: payload(""),
            },
        ),
        (
            b"E000100000004oops",
            Message::ErrorResult {
                id,
                payload: payload("oops"),
            },
        ),
        (
            b"E000100000000",
            Message::ErrorResult {
                id,
                payload: payload(""),
            },
        ),
        (
            b"e00010000138800000012request rate limit",
            Message::RetryResult {
                id,
                wait_ms: 5000,
                payload: payload("request rate limit"),
            },
        ),
        (
            b"e0001ffffffff00000000",
            Message::RetryResult {
                id,
                wait_ms: u32::MAX,
                payload: payload(""),
            },
        ),
        (
            b"n004chat00000002hi",
            Message::Notification {
                name: name("chat"),
                payload: payload("hi"),
            },
        ),
        (
            b"n00000000000",
            Message::Notification {
                name: name(""),
                payload: payload(""),
            },
        ),
        (
            b"n001x00000000",
            Message::Notification {
                name: name("x"),
                payload: payload(""),
            },
        ),
        (
            b"h000254d7de9a",
            Message::Heartbeat {
                load: 2,
                time: 0x54d7_de9a,
            },
        ),
        (
            b"hfffffffffffe",
            Message::Heartbeat {
                load: u16::MAX,
                time: u32::MAX - 1,
            },
        ),
        (b"f00000000", Message::ProtocolError(ProtocolErrorCode::Abnormal)),
        (
            b"f00000001",
            Message::ProtocolError(ProtocolErrorCode::Unsupported),
        ),
        (
            b"f00000002",
            Message::ProtocolError(ProtocolErrorCode::InvalidMessage),
        ),
        (b"f00000003", Message::ProtocolError(ProtocolErrorCode::Timeout)),
        (b"f00000004", Message::ProtocolError(ProtocolErrorCode::Other(4))),
        (
            b"fffffffff",
            Message::ProtocolError(ProtocolErrorCode::Other(u32::MAX)),
        ),
    ]
}

#[test]
fn every_kind_has_these_bytes() {
    for (bytes, message) in snapshots() {
        let mut encoded = BytesMut::from("before ");
        message.encode(&mut encoded).expect("a message that fits");
        assert_eq!(encoded, [b"before ", bytes].concat(), "{message:?}");

        let mut buf = BytesMut::from(bytes);
        assert_eq!(
            decode(&mut buf, &Bounds::default()),
            Ok(Some(message)),
            "{}",
            bytes.escape_ascii()
        );
        assert!(buf.is_empty());
    }
}

#[test]
fn a_message_is_decoded_with_its_last_byte_and_not_before() {
    for (bytes, message) in snapshots() {
        for size in 0..bytes.len() {
            let mut buf = BytesMut::from(&bytes[..size]);
            assert_eq!(
                decode(&mut buf, &Bounds::default()),
                Ok(None),
                "{}",
                buf.escape_ascii()
            );
            assert_eq!(buf, bytes[..size], "nothing may be consumed");
        }
        let mut buf = BytesMut::from(&[bytes, b"r"].concat()[..]);
        assert_eq!(decode(&mut buf, &Bounds::default()), Ok(Some(message)));
        assert_eq!(buf, b"r"[..], "the next message stays");
    }
}

#[test]
fn heartbeats_and_protocol_errors_are_written_without_a_message() {
    let mut dst = BytesMut::new();
    encode_heartbeat(0x00ff, 0x0123_4567, &mut dst);
    encode_protocol_error(ProtocolErrorCode::Timeout, &mut dst);
    assert_eq!(dst, b"h00ff01234567f00000003"[..]);
}

#[test]
fn hex_is_read_in_either_case() {
    let mut buf = BytesMut::from("e00010000aBCd0000000Axxxxxxxxxx");
    let expected = Message::RetryResult {
        id: ID,
        wait_ms: 0xabcd,
        payload: payload("xxxxxxxxxx"),
    };
    assert_eq!(decode(&mut buf, &Bounds::default()), Ok(Some(expected)));
}

#[test]
fn the_version_comes_first() {
    let mut buf = BytesMut::from("01r");
    assert_eq!(decode_version(&mut buf), Ok(Some(())));
    assert_eq!(buf, b"r"[..]);

    for incomplete in ["", "0"] {
        let mut buf = BytesMut::from(incomplete);
        assert_eq!(decode_version(&mut buf), Ok(None));
        assert_eq!(buf, incomplete.as_bytes());
    }
    for other in [b"00", b"02", b"10", b"0\n", b"GE", b"\x16\x03"] {
        let mut buf = BytesMut::from(&other[..]);
        let error = DecodeError::UnsupportedVersion(*other);
        assert_eq!(error.code(), ProtocolErrorCode::Unsupported);
        assert_eq!(decode_version(&mut buf), Err(error));
        assert_eq!(buf, other[..]);
    }
}

#[test]
fn faults_are_named_with_the_first_byte_that_shows_them() {
    let bounds = Bounds {
        name_bytes_max: 9,
        payload_bytes_max: 100,
    };
    let bad = |field, found, offset| DecodeError::BadHex { field, found, offset };
    let cases: &[(&[u8], DecodeError)] = &[
        (b"x", DecodeError::UnknownType(b'x')),
        (b"\0", DecodeError::UnknownType(0)),
        (b"\xff", DecodeError::UnknownType(0xff)),
        (b"0", DecodeError::UnknownType(b'0')),
        (b"r0001+", bad("name size", b'+', 5)),
        (b"r00010x", bad("name size", b'x', 6)),
        (b"s000100 ", bad("name size", b' ', 7)),
        (b"n-", bad("name size", b'-', 1)),
        (b"ng", bad("name size", b'g', 1)),
        (b"r000100a", DecodeError::NameTooLong { size: 10, max: 9 }),
        (b"nfff", DecodeError::NameTooLong { size: 4095, max: 9 }),
        (b"n004abc\xff", DecodeError::NameNotUtf8 { valid_bytes: 3 }),
        (b"n002\xc3\xc3", DecodeError::NameNotUtf8 { valid_bytes: 0 }),
        (b"n003a\xed\xa0", DecodeError::NameNotUtf8 { valid_bytes: 1 }),
        (b"r0001002hi0x", bad("payload size", b'x', 11)),
        (b"n000/", bad("payload size", b'/', 4)),
        (b"n0000000000:", bad("payload size", b':', 11)),
        (b"n0000000000@", bad("payload size", b'@', 11)),
        (b"n0000000000`", bad("payload size", b'`', 11)),
        (b"n0000000000G", bad("payload size", b'G', 11)),
        (b"p0001\0", bad("payload size", 0, 5)),
        (
            b"R000100000065",
            DecodeError::PayloadTooLarge { size: 101, max: 100 },
        ),
        (
            b"Sffffffffffff",
            DecodeError::PayloadTooLarge {
                size: 0xffff_ffff,
                max: 100,
            },
        ),
        (b"E0001 ", bad("payload size", b' ', 5)),
        (b"e0001-", bad("wait", b'-', 5)),
        (b"e00010000000_", bad("wait", b'_', 12)),
        (b"e000100000000\n", bad("payload size", b'\n', 13)),
        (b"hx", bad("load", b'x', 1)),
        (b"h000z", bad("load", b'z', 4)),
        (b"h0000z", bad("time", b'z', 5)),
        (b"fx", bad("code", b'x', 1)),
        (b"f0000000\xc3", bad("code", 0xc3, 8)),
    ];
    for (bytes, error) in cases {
        let text = bytes.escape_ascii();
        assert_eq!(error.code(), ProtocolErrorCode::InvalidMessage);
        let (_, before) = bytes.split_last().expect("no case is empty");
        assert_eq!(
            decode(&mut BytesMut::from(before), &bounds),
            Ok(None),
            "{text} without its last byte"
        );

        let mut buf = BytesMut::from(*bytes);
        assert_eq!(decode(&mut buf, &bounds), Err(error.clone()), "{text}");
        assert_eq!(buf, **bytes, "an error consumes nothing");

        // What comes after does not change what is reported.
        let mut buf = BytesMut::from(&[*bytes, &[b'!'; 200]].concat()[..]);
        assert_eq!(decode(&mut buf, &bounds), Err(error.clone()), "{text} with more");
    }
}

#[test]
fn faults_say_what_and_where() {
    let cases = [
        (
            DecodeError::UnsupportedVersion(*b"0\n"),
            r#"unsupported protocol version "0\n""#,
        ),
        (DecodeError::UnknownType(0xff), r"unknown message type '\xff'"),
        (
            DecodeError::BadHex {
                field: "payload size",
                found: b'z',
                offset: 12,
            },
            "'z' at byte 12 of the message, in its payload size, is not a hexadecimal digit",
        ),
        (
            DecodeError::NameTooLong { size: 10, max: 9 },
            "name of 10 bytes exceeds the limit of 9",
        ),
        (
            DecodeError::NameNotUtf8 { valid_bytes: 3 },
            "name is not UTF-8 (after 3 of its bytes)",
        ),
        (
            DecodeError::PayloadTooLarge { size: 101, max: 100 },
            "payload of 101 bytes exceeds the limit of 100",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn request_ids_are_four_bytes_with_a_readable_form() {
    let id = RequestId::from(0x0403_0201);
    assert_eq!(id, RequestId([1, 2, 3, 4]));
    assert_eq!(u32::from(id), 0x0403_0201);
    assert_eq!(
        (id.to_string(), format!("{id:?}")),
        ("01020304".into(), "01020304".into())
    );
    assert_eq!("01020304".parse(), Ok(id));
    assert_eq!(RequestId([0xff, 0, 0xab, 0]).to_string(), "ff00ab00");
    assert_eq!("FF00aB00".parse(), Ok(RequestId([0xff, 0, 0xab, 0])));
    for text in [
        "",
        "0102030",
        "010203040",
        "0102030g",
        "0x010203",
        "+1020304",
        "0102030\u{e9}",
    ] {
        assert!(text.parse::<RequestId>().is_err(), "{text}");
    }
}

#[test]
fn protocol_error_codes_have_numbers_and_words() {
    let words = [
        (0, "closed abnormally"),
        (1, "unsupported protocol version"),
        (2, "invalid message"),
        (3, "timeout"),
        (4, "unknown protocol error 0x00000004"),
        (u32::MAX, "unknown protocol error 0xffffffff"),
    ];
    for (number, text) in words {
        let code = ProtocolErrorCode::from(number);
        assert_eq!((u32::from(code), code.to_string().as_str()), (number, text));
    }
}

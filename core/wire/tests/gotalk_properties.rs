//! gotalk for messages, cuts and garbage that nobody thought of.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use switchboard_wire::gotalk::{
    Bounds, DecodeError, HEADER_BYTES_MAX, Head, Layout, Message, Name, RequestId, decode, decode_version,
    layout,
};

fn ids() -> impl Strategy<Value = RequestId> {
    any::<[u8; 4]>().prop_map(RequestId)
}

fn names() -> impl Strategy<Value = Name> {
    prop_oneof![8 => ".{0,12}", 1 => "[a-z]{4000,4095}"].prop_map(Name::from)
}

fn payloads() -> impl Strategy<Value = Bytes> {
    prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 0..70_000)].prop_map(Bytes::from)
}

fn messages() -> impl Strategy<Value = Message> {
    let named = || (ids(), names(), payloads());
    let plain = || (ids(), payloads());
    prop_oneof![
        named().prop_map(|(id, operation, payload)| Message::SingleRequest {
            id,
            operation,
            payload
        }),
        named().prop_map(|(id, operation, payload)| Message::StreamRequest {
            id,
            operation,
            payload
        }),
        plain().prop_map(|(id, payload)| Message::StreamPart { id, payload }),
        plain().prop_map(|(id, payload)| Message::SingleResult { id, payload }),
        plain().prop_map(|(id, payload)| Message::StreamResult { id, payload }),
        plain().prop_map(|(id, payload)| Message::ErrorResult { id, payload }),
        (plain(), any::<u32>()).prop_map(|((id, payload), wait_ms)| Message::RetryResult {
            id,
            wait_ms,
            payload
        }),
        (names(), payloads()).prop_map(|(name, payload)| Message::Notification { name, payload }),
        any::<(u16, u32)>().prop_map(|(load, time)| Message::Heartbeat { load, time }),
        any::<u32>().prop_map(|code| Message::ProtocolError(code.into())),
    ]
}

/// Bytes that look enough like gotalk to reach every check.
fn nearly_gotalk() -> impl Strategy<Value = Vec<u8>> {
    let header = "[rspRSEenhf]([0-9a-f]{4})?(00[0-9a-f])?[a-z]{0,3}(000000[01][0-9a-fA-F]){0,2}";
    let piece = prop_oneof![
        4 => header.prop_map(String::into_bytes),
        2 => messages().prop_map(|message| encode(&[message]).to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ];
    let change = any::<(prop::sample::Index, u8)>();
    (vec(piece, 0..8), vec(change, 0..3)).prop_map(|(pieces, changes)| {
        let mut bytes = pieces.concat();
        for (index, byte) in changes {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

fn encode(messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for message in messages {
        message.encode(&mut bytes).expect("a message that fits");
    }
    bytes
}

/// What came out of bytes, and what remains of them.
#[derive(Debug, PartialEq)]
struct Decoded {
    messages: Vec<Message>,
    error: Option<DecodeError>,
    rest: usize,
}

/// Decodes bytes that arrive in pieces of the given sizes, in turn.
fn decode_cut(bytes: &[u8], sizes: &[usize], bounds: &Bounds) -> Decoded {
    let mut messages = vec![];
    let mut consumed = 0;
    let mut arrived = 0;
    let mut buf = BytesMut::new();
    for size in sizes.iter().cycle() {
        if arrived == bytes.len() {
            break;
        }
        let end = bytes.len().min(arrived + size);
        buf.extend_from_slice(&bytes[arrived..end]);
        arrived = end;
        loop {
            match decode(&mut buf, bounds) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    return Decoded {
                        messages,
                        error: Some(error),
                        rest: bytes.len() - consumed,
                    };
                }
            }
            consumed = arrived - buf.len();
        }
        assert_eq!(
            buf,
            bytes[consumed..arrived],
            "what is not decoded stays as it is"
        );
    }
    Decoded {
        messages,
        error: None,
        rest: bytes.len() - consumed,
    }
}

proptest! {
    #[test]
    fn messages_survive_the_wire(message in messages()) {
        let mut bytes = encode(std::slice::from_ref(&message));
        prop_assert_eq!(decode(&mut bytes, &Bounds::default()), Ok(Some(message)));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn cuts_change_nothing(sent in vec(messages(), 0..6), sizes in vec(1_usize..50, 1..5)) {
        let bytes = encode(&sent);
        let decoded = decode_cut(&bytes, &sizes, &Bounds::default());
        prop_assert_eq!(decoded, Decoded { messages: sent, error: None, rest: 0 });
    }

    #[test]
    fn a_head_has_the_length_it_says(id in ids(), name in names(), wait_ms: u32, payload_len: u32) {
        let heads = [
            Head::SingleRequest { id, operation: &name },
            Head::StreamRequest { id, operation: &name },
            Head::StreamPart { id },
            Head::SingleResult { id },
            Head::StreamResult { id },
            Head::ErrorResult { id },
            Head::RetryResult { id, wait_ms },
            Head::Notification { name: &name },
        ];
        for head in heads {
            let mut dst = BytesMut::new();
            prop_assert_eq!(head.encode(payload_len as usize, &mut dst), Ok(()));
            prop_assert_eq!(dst.len(), head.encoded_len(), "{:?}", head);
        }
    }

    /// The layout is known with the last byte of the header, and not before.
    #[test]
    fn a_layout_is_that_of_the_message(message in messages()) {
        let bytes = encode(std::slice::from_ref(&message));
        let found = layout(&bytes).expect("a message").expect("a whole one");
        prop_assert_eq!(found.header + found.payload, bytes.len());
        prop_assert!(found.header <= HEADER_BYTES_MAX);
        prop_assert_eq!(layout(&bytes[..found.header]), Ok(Some(found)));
        for end in 0..found.header {
            prop_assert_eq!(layout(&bytes[..end]), Ok(None));
        }
    }

    /// What can be decoded has the layout that decoding found.
    #[test]
    fn layouts_and_messages_agree(bytes in nearly_gotalk()) {
        let mut buf = BytesMut::from(&bytes[..]);
        let mut at = 0;
        while let Ok(Some(_)) = decode(&mut buf, &Bounds::default()) {
            let end = bytes.len() - buf.len();
            let Ok(Some(Layout { header, payload })) = layout(&bytes[at..]) else {
                return Err(TestCaseError::fail("a message without a layout"));
            };
            prop_assert_eq!(header + payload, end - at);
            at = end;
        }
        // Decoding may find something else that is wrong first.
        let illegal = layout(&bytes[at..]).is_err();
        prop_assert!(!illegal || decode(&mut buf, &Bounds::default()).is_err());
    }

    #[test]
    fn garbage_is_harmless(bytes in vec(any::<u8>(), 0..200), name_bytes_max: usize, payload_bytes_max: usize) {
        let bounds = Bounds { name_bytes_max, payload_bytes_max };
        let mut buf = BytesMut::from(&bytes[..]);
        let capacity = buf.capacity();
        let _ = decode_version(&mut buf);
        while let Ok(Some(_)) = decode(&mut buf, &bounds) {}
        prop_assert!(buf.capacity() <= capacity);
    }

    /// However the bytes arrive, the same messages and the same error come out; and what was read as a
    /// message is one: it can be written, up to the case of hex as it was, and read again.
    #[test]
    fn near_misses_are_judged_the_same_for_every_cut(
        bytes in nearly_gotalk(),
        sizes in vec(1_usize..9, 1..5),
        bounds in (0_usize..16, 0_usize..64)
            .prop_map(|(name_bytes_max, payload_bytes_max)| Bounds { name_bytes_max, payload_bytes_max }),
    ) {
        for bounds in [Bounds::default(), bounds] {
            let whole = decode_cut(&bytes, &[bytes.len()], &bounds);
            prop_assert_eq!(&decode_cut(&bytes, &sizes, &bounds), &whole);
            prop_assert_eq!(&decode_cut(&bytes, &[1], &bounds), &whole);

            let mut encoded = encode(&whole.messages);
            prop_assert!(encoded.eq_ignore_ascii_case(&bytes[..bytes.len() - whole.rest]));
            for message in whole.messages {
                prop_assert_eq!(decode(&mut encoded, &bounds), Ok(Some(message)));
            }
        }
    }
}

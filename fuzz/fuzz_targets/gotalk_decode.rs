//! Decodes the input as gotalk, whole and in pieces, which must agree; what was decoded must survive encoding.
//!
//! The first byte of the input chooses the size of the pieces and the bounds; the rest is the stream.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use switchboard_wire::gotalk::{Bounds, DecodeError, Message, decode, decode_version};

fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = input.split_first() else {
        return;
    };
    let bounds = match choice & 1 {
        0 => Bounds::default(),
        _ => Bounds {
            name_bytes_max: 8,
            payload_bytes_max: 32,
        },
    };
    let _ = decode_version(&mut BytesMut::from(stream));

    let (messages, error) = decode_pieces(stream, stream.len().max(1), &bounds);
    let in_pieces = decode_pieces(stream, usize::from(choice >> 1) + 1, &bounds);
    assert_eq!(in_pieces, (messages.clone(), error));

    for message in messages {
        let mut bytes = BytesMut::new();
        message
            .encode(&mut bytes)
            .expect("a decoded message fits the wire");
        assert_eq!(decode(&mut bytes, &bounds), Ok(Some(message)));
        assert!(bytes.is_empty());
    }
});

fn decode_pieces(stream: &[u8], size: usize, bounds: &Bounds) -> (Vec<Message>, Option<DecodeError>) {
    let mut messages = vec![];
    let mut buf = BytesMut::new();
    for piece in stream.chunks(size) {
        buf.extend_from_slice(piece);
        loop {
            match decode(&mut buf, bounds) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

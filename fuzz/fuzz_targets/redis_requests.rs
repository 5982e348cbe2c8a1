//! Reads the input as what a Redis client sends, whole and in pieces, which must agree.
//!
//! The first byte of the input chooses the size of the pieces; the rest is the connection.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

// The source itself: it stands alone, and the crate around it takes long to build. (Formatting is done there.)
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../gateways/redis/src/request.rs"]
mod request;

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../gateways/redis/src/words.rs"]
mod words;

use request::{RequestError, RequestLimits, Requests};
use words::Words;

/// Small enough that inputs reach every bound.
const LIMITS: RequestLimits = RequestLimits {
    line_bytes_max: 64,
    words_max: 8,
    word_bytes_max: 32,
    command_bytes_max: 128,
};

fuzz_target!(|input: &[u8]| {
    let Some((choice, connection)) = input.split_first() else {
        return;
    };
    let whole = read(connection, connection.len().max(1));
    assert_eq!(read(connection, usize::from(*choice) + 1), whole);
});

/// All commands, and what ended them.
fn read(connection: &[u8], size: usize) -> (Vec<Words>, Option<RequestError>) {
    let (mut requests, mut buffer, mut commands) = (Requests::new(LIMITS), BytesMut::new(), Vec::new());
    for piece in connection.chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            let mut words = Words::default();
            match requests.next(&mut buffer, &mut words) {
                Ok(true) => commands.push(words),
                Ok(false) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

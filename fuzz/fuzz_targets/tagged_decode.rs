//! Decodes the input as tagged messages; what was decoded must encode to the bytes it came from.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use switchboard_wire::tagged;

const BYTES_MAX: usize = 1 << 10;

fuzz_target!(|input: &[u8]| {
    let mut buf = BytesMut::from(input);
    let mut encoded = BytesMut::new();
    while let Ok(Some(message)) = tagged::decode(&mut buf, BYTES_MAX) {
        let start = encoded.len();
        tagged::encode(message.tag, &message.payload, &mut encoded).expect("a decoded payload fits the wire");
        let mut again = BytesMut::from(&encoded[start..]);
        assert_eq!(tagged::decode(&mut again, BYTES_MAX), Ok(Some(message)));
        assert!(again.is_empty());
    }
    assert_eq!([encoded, buf].concat(), input);
});

//! Decodes the input as bformat messages; what was decoded must encode to the bytes it came from.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use switchboard_wire::bformat;

const PAYLOAD_BYTES_MAX: usize = 1 << 10;

fuzz_target!(|input: &[u8]| {
    let mut buf = BytesMut::from(input);
    let mut encoded = BytesMut::new();
    while let Ok(Some(payload)) = bformat::decode(&mut buf, PAYLOAD_BYTES_MAX) {
        let start = encoded.len();
        bformat::encode(&payload, &mut encoded).expect("a decoded payload fits the wire");
        let mut again = BytesMut::from(&encoded[start..]);
        assert_eq!(bformat::decode(&mut again, PAYLOAD_BYTES_MAX), Ok(Some(payload)));
        assert!(again.is_empty());
    }
    assert_eq!([encoded, buf].concat(), input);
});

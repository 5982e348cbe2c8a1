//! Reads the input as a PROXY header. What it is must not depend on how much of it has come: every shorter piece of a
//! header is incomplete, whatever follows it changes nothing, and what is none stays none.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The source itself: it stands alone, and the crate around it takes long to build. (Formatting is done there.)
#[rustfmt::skip]
#[path = "../../core/net/src/proxy.rs"]
mod proxy;

use proxy::{HEADER_BYTES_MAX, Header, Parsed, parse};

fuzz_target!(|input: &[u8]| {
    match parse(input) {
        Ok(Parsed::Complete(header)) => check_complete(input, header),
        // More bytes can make it a header, so fewer cannot have been one, and it is not too long yet.
        Ok(Parsed::Incomplete) => {
            assert!(input.len() < HEADER_BYTES_MAX);
            for end in 0..input.len() {
                assert_eq!(parse(&input[..end]), Ok(Parsed::Incomplete), "{end}");
            }
        }
        Err(error) => {
            let longer = [input, b"x"].concat();
            assert_eq!(parse(&longer), Err(error));
            for end in 0..input.len() {
                match parse(&input[..end]) {
                    Ok(Parsed::Complete(header)) => panic!("{header:?} of {end} bytes, then {error}"),
                    Ok(Parsed::Incomplete) => {}
                    Err(earlier) => assert_eq!(earlier, error, "{end}"),
                }
            }
        }
    }
});

fn check_complete(input: &[u8], header: Header) {
    let length = header.length;
    assert!((1..=input.len().min(HEADER_BYTES_MAX)).contains(&length));
    assert_eq!(parse(&input[..length]), Ok(Parsed::Complete(header)));
    for end in 0..length {
        assert_eq!(parse(&input[..end]), Ok(Parsed::Incomplete), "{end}");
    }
    // An IPv4 address is told as one, also where a header writes it as an IPv6 address.
    if let Some(client) = header.client {
        for address in [client.source.ip(), client.destination.ip()] {
            assert_eq!(address, address.to_canonical());
        }
    }
}

use proptest::prelude::*;

use super::*;

const MAX: usize = 1024;

/// Checks the bytes in pieces of that size; the offset is that in the whole.
fn check(bytes: &[u8], piece: usize) -> Result<Strict, Violation> {
    let mut strict = Strict::new(MAX);
    for (number, bytes) in bytes.chunks(piece).enumerate() {
        strict.check(bytes).map_err(|violation| Violation {
            at: violation.at + number * piece,
            ..violation
        })?;
    }
    Ok(strict)
}

fn breach(text: &str) -> Option<Breach> {
    let whole = check(text.as_bytes(), usize::MAX)
        .map_err(|violation| violation.breach)
        .err();
    for piece in [1, 2, 7] {
        let pieces = check(text.as_bytes(), piece)
            .map_err(|violation| violation.breach)
            .err();
        assert_eq!(pieces, whole, "in pieces of {piece}: {text:?}");
    }
    whole
}

#[test]
fn what_is_beyond_doubt_passes() {
    for text in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding:  Chunked \r\n\r\n4\r\n\n\n\n\n\r\nA;x=1\r\n0123456789\r\n0\r\n\r\nGET /",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n\x01anything\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\0anything",
        "PRI",
        "",
    ] {
        assert_eq!(breach(text), None, "{text:?}");
    }
}

#[test]
fn what_two_could_read_differently_does_not() {
    for (text, expected) in [
        ("GET / HTTP/1.1\n", Breach::BareLf),
        ("GET / HTTP/1.1\r\nHost: x\n", Breach::BareLf),
        ("\n", Breach::BareLf),
        ("GET / HTTP/1.1\rHost", Breach::BareCr),
        ("GET / HTTP/1.1\r\nA: b\r\n c\r\n", Breach::Folded),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n",
            Breach::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n",
            Breach::ContentLength,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: +3\r\n", Breach::ContentLength),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n", Breach::ContentLength),
        (
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n",
            Breach::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            Breach::BothLengths,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            Breach::BothLengths,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n",
            Breach::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Breach::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n",
            Breach::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            Breach::ChunkSize,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
            Breach::ChunkSize,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n",
            Breach::ChunkSize,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            Breach::ChunkEnd,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\n",
            Breach::BareLf,
        ),
        // The preface of HTTP/2 that is none in the end.
        ("PRI * HTTP/2.0\r\n\r\nSM\n", Breach::BareLf),
    ] {
        assert_eq!(breach(text), Some(expected), "{text:?}");
    }
}

#[test]
fn the_first_byte_that_cannot_be_taken_is_told() {
    let head = "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nA: b";
    let violation = check(format!("{head}\nGET").as_bytes(), usize::MAX).unwrap_err();
    assert_eq!((violation.at, violation.breach), (head.len(), Breach::BareLf));
}

#[test]
fn heads_and_trailers_are_bounded_in_bytes_and_fields() {
    let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX));
    assert_eq!(breach(&long), Some(Breach::TooLarge));
    assert_eq!(breach(&"\r\n".repeat(MAX)), Some(Breach::TooLarge));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A:\r\n".repeat(count));
    assert_eq!(breach(&fields(FIELDS_MAX)), None);
    assert_eq!(breach(&fields(FIELDS_MAX + 1)), Some(Breach::TooManyFields));
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let trailers = format!("{chunked}0\r\n{}", "A: b\r\n".repeat(MAX));
    assert_eq!(breach(&trailers), Some(Breach::TooLarge));
    let extension = format!("{chunked}1;{}", "x".repeat(MAX));
    assert_eq!(breach(&extension), Some(Breach::TooLarge));
    // Many chunks are no large head.
    assert_eq!(breach(&format!("{chunked}{}", "1\r\nx\r\n".repeat(MAX))), None);
}

#[test]
fn it_knows_when_a_head_is_incomplete() {
    let in_head = |text: &str| check(text.as_bytes(), usize::MAX).unwrap().is_in_head();
    assert!(!in_head(""));
    assert!(in_head("P"));
    assert!(in_head("GET / HTTP/1.1\r\n"));
    assert!(!in_head("GET / HTTP/1.1\r\n\r\n"));
    assert!(in_head("GET / HTTP/1.1\r\n\r\nG"));
    assert!(!in_head("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n12"));
    assert!(!in_head("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n123"));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_pieces_do_not_matter(bytes in proptest::collection::vec(
        prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'0'), Just(b' '), any::<u8>()], 0..400,
    ), piece in 1_usize..50) {
        let whole = check(&bytes, usize::MAX).err();
        prop_assert_eq!(check(&bytes, piece).err(), whole);
    }

    #[test]
    fn chunked_bodies_are_followed_to_their_end(chunks in proptest::collection::vec(1_usize..300, 0..20), piece in 1_usize..50) {
        let mut text = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for size in chunks {
            text.extend_from_slice(format!("{size:x}\r\n{}\r\n", "\n".repeat(size)).as_bytes());
        }
        text.extend_from_slice(b"0\r\n\r\n");
        let end = text.len();
        text.extend_from_slice(b"\n");
        let violation = check(&text, piece).unwrap_err();
        prop_assert_eq!((violation.at, violation.breach), (end, Breach::BareLf));
    }
}

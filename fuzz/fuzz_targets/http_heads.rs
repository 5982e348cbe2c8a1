//! Checks the input as an HTTP/1 connection, whole and in pieces, which must agree. What passes must have its heads
//! where the parser finds them that the server below uses: if the two disagreed, requests could be smuggled.
//!
//! The first byte of the input chooses the size of the pieces and the bound on heads; the rest is the connection.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The source itself: it stands alone, and the crate around it takes long to build. (Formatting is done there.)
#[rustfmt::skip]
#[path = "../../gateways/http/src/strict.rs"]
mod strict;

use strict::{FIELDS_MAX, Strict, Violation};

fuzz_target!(|input: &[u8]| {
    let Some((choice, connection)) = input.split_first() else {
        return;
    };
    let head_bytes_max = if choice & 1 == 0 { 64 } else { 4096 };
    let whole = check(connection, connection.len().max(1), head_bytes_max);
    let in_pieces = check(connection, usize::from(choice >> 1) + 1, head_bytes_max);
    assert_eq!(in_pieces, whole);
    let passed = match whole {
        Ok(()) => connection,
        Err(Violation { at, .. }) => &connection[..at],
    };
    compare(passed, head_bytes_max);
});

/// Checks in pieces; a violation is told by its place in the whole.
fn check(connection: &[u8], size: usize, head_bytes_max: usize) -> Result<(), Violation> {
    let mut strict = Strict::new(head_bytes_max);
    for (number, piece) in connection.chunks(size).enumerate() {
        strict.check(piece).map_err(|violation| Violation {
            at: violation.at + number * size,
            ..violation
        })?;
    }
    Ok(())
}

/// What passed, read again by the other parser: each of its heads ends where the check leaves a head.
fn compare(passed: &[u8], head_bytes_max: usize) {
    let mut strict = Strict::new(head_bytes_max);
    let mut at = 0;
    while let Some(head) = Head::read(&passed[at..]) {
        let (all_but_last, last) = passed[at..at + head.length].split_at(head.length - 1);
        strict.check(all_but_last).expect("it passed");
        assert!(strict.is_in_head(), "it sees no head where one is, at {at}");
        strict.check(last).expect("it passed");
        assert!(!strict.is_in_head(), "it sees more of the head at {at}");
        at += head.length;
        let Some(body) = head.body(&passed[at..]) else {
            return;
        };
        strict.check(&passed[at..at + body]).expect("it passed");
        assert!(!strict.is_in_head(), "it sees a head in the body at {at}");
        at += body;
    }
}

/// A head as the server below sees it.
struct Head {
    length: usize,
    content_length: Option<u64>,
    chunked: bool,
    /// What follows is something else.
    last: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else {
            return None;
        };
        let is = |name: &'static str| {
            let fields = request.headers.iter();
            fields.filter(move |field| field.name.eq_ignore_ascii_case(name))
        };
        let lengths: Vec<_> = is("content-length").map(|field| field.value).collect();
        let encodings = is("transfer-encoding").count();
        assert!(lengths.len() + encodings <= 1, "two lengths passed");
        let content_length = lengths
            .first()
            .map(|value| std::str::from_utf8(value).expect("digits").trim_ascii())
            .map(|value| value.parse().expect("a length passed that is none"));
        Some(Self {
            length,
            content_length,
            chunked: encodings > 0,
            // Of HTTP/1.0 the server refuses encodings.
            last: is("upgrade").count() > 0 || (encodings > 0 && request.version == Some(0)),
        })
    }

    /// How long the body is at the begin of `bytes`; `None` if it is not all there, or the last message.
    fn body(&self, bytes: &[u8]) -> Option<usize> {
        if self.last {
            return None;
        }
        let length = match self.chunked {
            true => chunked(bytes)?,
            false => usize::try_from(self.content_length.unwrap_or(0)).ok()?,
        };
        (length <= bytes.len()).then_some(length)
    }
}

/// How long a chunked body is, trailers included.
fn chunked(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let Ok(httparse::Status::Complete((length, size))) = httparse::parse_chunk_size(bytes.get(at..)?)
        else {
            return None;
        };
        at += length;
        if size == 0 {
            break;
        }
        at = at.checked_add(usize::try_from(size).ok()?)?.checked_add(2)?;
    }
    loop {
        let line = bytes.get(at..)?;
        let length = line.windows(2).position(|pair| pair == b"\r\n")?;
        at += length + 2;
        if length == 0 {
            return Some(at);
        }
    }
}

//! What is answered, in RESP2 or RESP3 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use bytes::BytesMut;

use crate::long;
use crate::refusal::Refusal;

/// Which protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protocol {
    /// What every client begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

/// Answers on their way to a client: each method adds one. What RESP2 has no word for is said as Redis says it there.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    bytes: BytesMut,
    pub(crate) protocol: Protocol,
}

impl Reply {
    /// None yet.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self {
            bytes: BytesMut::new(),
            protocol,
        }
    }

    /// What was answered so far.
    pub(crate) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Adds what was answered elsewhere, and takes it from there.
    pub(crate) fn take_from(&mut self, other: &mut Self) {
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, &mut other.bytes);
        } else {
            self.bytes.extend_from_slice(&other.bytes);
        }
        other.bytes.clear();
    }

    /// Adds what was answered elsewhere.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Forgets the memory of what was answered if it is more than that.
    pub(crate) fn shrink(&mut self, bytes_max: usize) {
        if self.bytes.is_empty() && self.bytes.capacity() > bytes_max {
            self.bytes = BytesMut::new();
        }
    }

    /// How many bytes were answered so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was answered after that.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    fn line(&mut self, mark: u8, text: &[u8]) {
        self.bytes.reserve(text.len() + 3);
        self.bytes.extend_from_slice(&[mark]);
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn number(&mut self, mark: u8, number: i64) {
        let mut digits = itoa::Buffer::new();
        self.line(mark, digits.format(number).as_bytes());
    }

    fn length(&mut self, mark: u8, length: usize) {
        self.number(mark, i64::try_from(length).unwrap_or(i64::MAX));
    }

    /// `+OK`.
    pub(crate) fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// A word that is not binary-safe, and has no line break.
    pub(crate) fn simple(&mut self, word: &str) {
        self.line(b'+', word.as_bytes());
    }

    /// An error. Line breaks in it become spaces.
    pub(crate) fn refusal(&mut self, refusal: &Refusal) {
        let words = refusal.as_str();
        if words.contains(['\r', '\n']) {
            self.line(b'-', words.replace(['\r', '\n'], " ").as_bytes());
        } else {
            self.line(b'-', words.as_bytes());
        }
    }

    /// An integer.
    pub(crate) fn integer(&mut self, number: i64) {
        self.number(b':', number);
    }

    /// How many.
    pub(crate) fn count(&mut self, count: usize) {
        self.length(b':', count);
    }

    /// 1 or 0, as most commands say yes or no, in RESP3 too.
    pub(crate) fn yes_or_no(&mut self, yes: bool) {
        self.integer(i64::from(yes));
    }

    /// Bytes.
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        self.bytes.reserve(bytes.len() + 24);
        self.length(b'$', bytes.len());
        long::through_bytes(bytes.len(), || self.bytes.extend_from_slice(bytes));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Bytes, or that there are none.
    pub(crate) fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// Nothing, where a bulk string might be.
    pub(crate) fn null(&mut self) {
        let null: &[u8] = if self.is_resp3() { b"_\r\n" } else { b"$-1\r\n" };
        self.bytes.extend_from_slice(null);
    }

    /// Nothing, where an array might be.
    pub(crate) fn null_array(&mut self) {
        let null: &[u8] = if self.is_resp3() { b"_\r\n" } else { b"*-1\r\n" };
        self.bytes.extend_from_slice(null);
    }

    /// The head of an array: so many answers follow.
    pub(crate) fn array(&mut self, length: usize) {
        self.length(b'*', length);
    }

    /// The head of a map: so many pairs of answers follow. An array of twice as many in RESP2.
    pub(crate) fn map(&mut self, pairs: usize) {
        if self.is_resp3() {
            self.length(b'%', pairs);
        } else {
            self.array(pairs * 2);
        }
    }

    /// The head of an array of pairs, each with a head of its own: [`Self::pair`]. An array of twice as many in RESP2.
    pub(crate) fn pairs(&mut self, pairs: usize) {
        self.array(if self.is_resp3() { pairs } else { pairs * 2 });
    }

    /// The head of a pair. Nothing in RESP2.
    pub(crate) fn pair(&mut self) {
        if self.is_resp3() {
            self.array(2);
        }
    }

    /// The head of a set: so many answers follow. An array in RESP2.
    pub(crate) fn set(&mut self, length: usize) {
        let mark = if self.is_resp3() { b'~' } else { b'*' };
        self.length(mark, length);
    }

    /// The head of something that nobody asked for: so many answers follow. An array in RESP2.
    pub(crate) fn push(&mut self, length: usize) {
        let mark = if self.is_resp3() { b'>' } else { b'*' };
        self.length(mark, length);
    }

    /// A number with a fraction, written as Redis does. A bulk string in RESP2.
    pub(crate) fn double(&mut self, number: f64) {
        let text = double_text(number);
        if self.is_resp3() {
            self.line(b',', text.as_bytes());
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// Text for people. A bulk string in RESP2.
    pub(crate) fn verbatim(&mut self, text: &str) {
        if self.is_resp3() {
            self.length(b'=', text.len() + 4);
            self.bytes.extend_from_slice(b"txt:");
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }
}

/// A score or another number with a fraction, as Redis 7.2 writes it: the fewest digits that read back the same, with an
/// exponent where many zeros would stand.
pub(crate) fn double_text(number: f64) -> String {
    /// Integers up to here are written in full, as are those below in the negative.
    const WHOLE_MAX: f64 = (1_u64 << 62) as f64;
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number == number.trunc() && number.abs() <= WHOLE_MAX && !(number == 0.0 && number.is_sign_negative())
    {
        return itoa::Buffer::new().format(number as i64).to_owned();
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    // How many zeros follow the digits, or how many of the digits are behind the point.
    let zeros = exponent + 1 - i32::try_from(count).unwrap_or(0);
    let is_short = if zeros >= 0 {
        zeros < 8
    } else {
        zeros > -7 || exponent.abs() < 4
    };
    if is_short {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(protocol: Protocol, say: impl FnOnce(&mut Reply)) -> String {
        let mut reply = Reply::new(protocol);
        say(&mut reply);
        String::from_utf8(reply.bytes().to_vec()).unwrap()
    }

    #[test]
    fn both_protocols() {
        type Say = fn(&mut Reply);
        let cases: [(Say, &str, &str); 9] = [
            (|reply| reply.ok(), "+OK\r\n", "+OK\r\n"),
            (|reply| reply.bulk(b"a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"),
            (|reply| reply.null(), "$-1\r\n", "_\r\n"),
            (|reply| reply.null_array(), "*-1\r\n", "_\r\n"),
            (|reply| reply.map(1), "*2\r\n", "%1\r\n"),
            (|reply| reply.set(1), "*1\r\n", "~1\r\n"),
            (|reply| reply.push(1), "*1\r\n", ">1\r\n"),
            (|reply| reply.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (|reply| reply.verbatim("x"), "$1\r\nx\r\n", "=5\r\ntxt:x\r\n"),
        ];
        for (say, resp2, resp3) in cases {
            assert_eq!(said(Protocol::Resp2, say), resp2);
            assert_eq!(said(Protocol::Resp3, say), resp3);
        }
        let refusal = Refusal::of("ERR a\r\nb");
        assert_eq!(
            said(Protocol::Resp2, |reply| reply.refusal(&refusal)),
            "-ERR a  b\r\n"
        );
    }

    #[test]
    fn numbers_are_written_as_redis_does() {
        for (number, text) in [
            (1.0, "1"),
            (-0.5, "-0.5"),
            (0.0, "0"),
            (-0.0, "-0"),
            (-12.0, "-12"),
            (4.0e18, "4000000000000000000"),
            (-5.0e18, "-5e+18"),
            (12_345.678_901_234_5, "1.23456789012345e+4"),
            (1_700_000_000.123_456, "1700000000.123456"),
            (1.5e300, "1.5e+300"),
            (3.0e20, "3e+20"),
            (-1e30, "-1e+30"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-5, "1.25e-5"),
            (0.001_234_567_89, "0.00123456789"),
            (f64::INFINITY, "inf"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(double_text(number), text);
        }
    }
}

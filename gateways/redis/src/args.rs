//! The arguments of a command.

use bytes::Bytes;
use switchboard_hub::keys::Key;

use crate::refusal::Refusal;
use crate::words::{WordSlice, Words};

/// A command as it was sent: its name is the argument 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Args(Words);

impl Args {
    /// The words, for a new command to be read into.
    pub(crate) fn words(&mut self) -> &mut Words {
        &mut self.0
    }

    /// None any more; nothing is held.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many bytes they have.
    pub(crate) fn bytes(&self) -> usize {
        self.from(0).bytes()
    }

    /// In how many bytes they were sent.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.0.sent_bytes()
    }

    /// The same in memory of their own: they may be kept, while what they were read from is not.
    pub(crate) fn unshared(&self) -> Self {
        Self(self.0.unshared())
    }

    /// One of them as text.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn text(&self, index: usize) -> Result<&str, Refusal> {
        std::str::from_utf8(self.at(index)).map_err(|_| Refusal::NOT_TEXT)
    }

    /// How many there are, the name included.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// One of them; what is not there is empty.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> &[u8] {
        self.get(index).unwrap_or_default()
    }

    /// One of them, if it is there.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        self.0.get(index)
    }

    /// One of them, to be kept: it holds all that was read with it.
    pub(crate) fn share(&self, index: usize) -> Bytes {
        self.0.share(index).unwrap_or_default()
    }

    /// Those from an index on.
    pub(crate) fn from(&self, index: usize) -> WordSlice<'_> {
        self.0.from(index)
    }

    /// Whether an argument is this word, in whatever case.
    pub(crate) fn is(&self, index: usize, word: &str) -> bool {
        self.get(index)
            .is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// A key.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub(crate) fn key(&self, index: usize) -> Result<Key, Refusal> {
        Ok(Key::new_with(self.at(index), |_| self.share(index))?)
    }

    /// An integer of 64 bits, written as Redis does: no sign but `-`, no leading zeros, no spaces.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn integer(&self, index: usize) -> Result<i64, Refusal> {
        parse_integer(self.at(index)).ok_or(Refusal::NOT_AN_INTEGER)
    }

    /// The number of a database, whether there is such or not.
    ///
    /// # Errors
    /// When it is no integer of 32 bits.
    pub(crate) fn database(&self, index: usize) -> Result<i32, Refusal> {
        i32::try_from(self.integer(index)?).map_err(|_| Refusal::BEYOND_INT)
    }

    /// How many: an integer that is not below 0.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn count(&self, index: usize) -> Result<usize, Refusal> {
        parse_integer(self.at(index))
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(Refusal::MUST_BE_POSITIVE)
    }

    /// A number, infinite ones included.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn float(&self, index: usize) -> Result<f64, Refusal> {
        parse_float(self.at(index)).ok_or(Refusal::NOT_A_FLOAT)
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for Args {
    fn from_iter<I: IntoIterator<Item = B>>(args: I) -> Self {
        Self(args.into_iter().collect())
    }
}

/// An integer as Redis reads it (`string2ll`): `-0`, `+1`, `01` and spaces are none.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number as Redis reads it: `inf` and `-inf` too, but neither `nan` nor spaces, and nothing that a number of 64 bits
/// has no room for.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    let is_too_large = || !text.contains(['i', 'I']);
    let is_too_small = || {
        let digits = text.split(['e', 'E']).next().unwrap_or(text);
        digits.contains(|digit| matches!(digit, '1'..='9'))
    };
    let is_lost = (number.is_infinite() && is_too_large()) || (number == 0.0 && is_too_small());
    (!number.is_nan() && !is_lost).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_redis() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("1.0", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_those_of_redis() {
        assert_eq!(parse_float(b"1e3"), Some(1000.0));
        assert_eq!(parse_float(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_float(b"+inf"), Some(f64::INFINITY));
        assert_eq!(parse_float(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_float(b"0.0e9"), Some(0.0));
        assert_eq!(parse_float(b"5e-324"), Some(5e-324));
        for text in ["nan", "", " 1", "1 ", "x", "1e400", "-1e400", "1e-400"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text:?}");
        }
    }
}

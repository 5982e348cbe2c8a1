//! What a client sends: commands as arrays of bulk strings, or as lines that people type.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$1\r\na\r\n        an array of bulk strings
//! GET a\r\n                           a line: words between spaces, with quotes as in "a \"b\" \x00" and 'c'
//! ```
//!
//! The parser goes on where it stopped when more bytes have come. It looks at no byte twice, copies no bulk string, and
//! what a length announces takes no memory before it is there.

use bytes::{Buf, BytesMut};

use crate::words::{Words, place};

/// The longest header of an array or of a bulk string: as long as Redis has it, though a number is much shorter.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// The last letters of a bulk string, which its length does not count.
const LINE_END: usize = 2;

/// How large a command may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Most bytes in a line.
    pub line_bytes_max: usize,
    /// Most words in a command.
    pub words_max: usize,
    /// Most bytes in a word.
    pub word_bytes_max: usize,
    /// Most bytes in a command.
    pub command_bytes_max: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: 64 * 1024,
            words_max: 1024 * 1024,
            // The largest value that a key can have.
            word_bytes_max: 64 * 1024 * 1024,
            // Several of those.
            command_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// What is no command. The connection cannot go on: nobody knows where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A line without an end.
    #[error("Protocol error: too big inline request")]
    LineTooLong,
    /// A number of words without an end.
    #[error("Protocol error: too big mbulk count string")]
    CountTooLong,
    /// It says that it has no legal number of words.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// The length of a word without an end.
    #[error("Protocol error: too big bulk count string")]
    LengthTooLong,
    /// A word does not begin as a bulk string.
    #[error("Protocol error: expected '$', got '{}'", .0.escape_ascii())]
    NoBulk([u8; 1]),
    /// A word says that it has no legal length.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// All words together are too long.
    #[error("Protocol error: too big request")]
    TooLarge,
    /// A line has a quote that nothing ends.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
}

/// Reads commands out of what has come.
#[derive(Debug)]
pub struct Requests {
    limits: RequestLimits,
    /// The words of a command of which a part has come, as far as they have.
    words: Words,
    array: Option<Array>,
    /// So many bytes of a line were looked through, and its end is not among them.
    seen: usize,
}

/// A command of which a part has come.
#[derive(Debug)]
struct Array {
    /// So many words are to come.
    missing: usize,
    /// Where the part begins that was not read.
    at: usize,
    /// How long the next word is, once that is known.
    length: Option<usize>,
}

impl Requests {
    /// None has come yet.
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            words: Words::default(),
            array: None,
            seen: 0,
        }
    }

    /// Whether a part of a command has come, but not all.
    pub fn is_amid(&self) -> bool {
        self.array.is_some() || self.seen > 0
    }

    /// Takes the next command out of `buffer`, and puts its words in the place of `words`. Tells whether it was all
    /// there.
    ///
    /// # Errors
    /// When it is none. Nothing can be read any more then.
    pub fn next(&mut self, buffer: &mut BytesMut, words: &mut Words) -> Result<bool, RequestError> {
        loop {
            if let Some(array) = &mut self.array {
                if !array.read(buffer, &self.limits, &mut self.words)? {
                    return Ok(false);
                }
                let end = array.at.min(buffer.len());
                self.array = None;
                self.words.finish(buffer.split_to(end).freeze());
                std::mem::swap(&mut self.words, words);
                self.words.clear();
                return Ok(true);
            }
            match buffer.first() {
                None => return Ok(false),
                Some(b'*') => {
                    let too_long = RequestError::CountTooLong;
                    let Some(end) = self.line_end(buffer, b'\r', HEADER_BYTES_MAX, too_long)? else {
                        return Ok(false);
                    };
                    let digits = buffer.get(1..end).unwrap_or_default();
                    let count = number(digits).ok_or(RequestError::Count)?;
                    if count > i64::try_from(self.limits.words_max).unwrap_or(i64::MAX) {
                        return Err(RequestError::Count);
                    }
                    let at = end + LINE_END;
                    match usize::try_from(count) {
                        // Nothing at all is no command: it is passed over.
                        Ok(0) | Err(_) => buffer.advance(at),
                        Ok(missing) => {
                            self.array = Some(Array {
                                missing,
                                at,
                                length: None,
                            });
                        }
                    }
                }
                Some(_) => {
                    let bytes_max = self.limits.line_bytes_max;
                    let Some(end) = self.line_end(buffer, b'\n', bytes_max, RequestError::LineTooLong)?
                    else {
                        return Ok(false);
                    };
                    let line = buffer.split_to(end + 1);
                    *words = split(line.get(..end).unwrap_or_default())?.into_iter().collect();
                    if !words.is_empty() {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Where a line ends; `None` if its end has not come. A `\r` as its end has one more byte after it.
    fn line_end(
        &mut self,
        buffer: &[u8],
        end: u8,
        bytes_max: usize,
        too_long: RequestError,
    ) -> Result<Option<usize>, RequestError> {
        let after_end = usize::from(end == b'\r');
        let unseen = buffer.get(self.seen..).unwrap_or_default();
        match unseen.iter().position(|byte| *byte == end) {
            Some(position) if self.seen + position > bytes_max => Err(too_long),
            Some(position) if self.seen + position + 1 + after_end <= buffer.len() => {
                let length = self.seen + position;
                self.seen = 0;
                Ok(Some(length))
            }
            Some(position) => {
                self.seen += position;
                Ok(None)
            }
            None if buffer.len() > bytes_max => Err(too_long),
            None => {
                self.seen = buffer.len();
                Ok(None)
            }
        }
    }
}

impl Array {
    /// Reads on; tells whether the command is all there.
    fn read(
        &mut self,
        buffer: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
    ) -> Result<bool, RequestError> {
        while self.missing > 0 {
            let length = match self.length {
                Some(length) => length,
                None => {
                    let Some(length) = self.length(buffer, limits)? else {
                        return Ok(false);
                    };
                    self.length = Some(length);
                    length
                }
            };
            let end = self.at + length;
            if end > limits.command_bytes_max {
                return Err(RequestError::TooLarge);
            }
            if buffer.len() < end + LINE_END {
                return Ok(false);
            }
            words.places().push((place(self.at), place(end)));
            self.at = end + LINE_END;
            self.length = None;
            self.missing -= 1;
        }
        Ok(true)
    }

    /// The length of the next word, if that has come.
    fn length(&mut self, buffer: &[u8], limits: &RequestLimits) -> Result<Option<usize>, RequestError> {
        let rest = buffer.get(self.at..).unwrap_or_default();
        let Some((mark, digits)) = rest.split_first() else {
            return Ok(None);
        };
        if *mark != b'$' {
            return Err(RequestError::NoBulk([*mark]));
        }
        let shown = digits.get(..HEADER_BYTES_MAX).unwrap_or(digits);
        let Some(end) = shown.iter().position(|byte| *byte == b'\r') else {
            return if shown.len() < HEADER_BYTES_MAX {
                Ok(None)
            } else {
                Err(RequestError::LengthTooLong)
            };
        };
        if digits.len() < end + LINE_END {
            return Ok(None);
        }
        let length = number(shown.get(..end).unwrap_or_default())
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= limits.word_bytes_max)
            .ok_or(RequestError::Length)?;
        self.at += 1 + end + LINE_END;
        Ok(Some(length))
    }
}

/// An integer as Redis reads it: no sign but `-`, no leading zeros, no spaces.
fn number(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(sign * digit)
    })
}

/// The words of a line.
fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, RequestError> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = match rest {
            [quote @ (b'"' | b'\''), quoted @ ..] => unquote(*quote, quoted, &mut word)?,
            _ => plain(rest, &mut word)?,
        };
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Ok(words)
}

/// A word that begins without quotes; it may go on with them.
fn plain<'l>(mut rest: &'l [u8], word: &mut Vec<u8>) -> Result<&'l [u8], RequestError> {
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' | 0 => break,
            b'"' | b'\'' => return unquote(*byte, after, word),
            byte => word.push(*byte),
        }
        rest = after;
    }
    // A NUL ends the line, as it does where lines end so.
    Ok(if rest.first() == Some(&0) { &[] } else { rest })
}

/// The rest of a word, from after a quote.
fn unquote<'l>(quote: u8, mut rest: &'l [u8], word: &mut Vec<u8>) -> Result<&'l [u8], RequestError> {
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, after @ ..] if quote == b'"' && hex(*high, *low).is_some() => {
                word.extend(hex(*high, *low));
                after
            }
            [b'\\', letter, after @ ..] if quote == b'"' => {
                word.push(match letter {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    letter => *letter,
                });
                after
            }
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [end, after @ ..] if *end == quote => {
                // Something that follows at once is a mistake.
                let is_end = after.first().is_none_or(u8::is_ascii_whitespace);
                return if is_end {
                    Ok(after)
                } else {
                    Err(RequestError::Quotes)
                };
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return Err(RequestError::Quotes),
        };
    }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? * 16 + digit(low)?)
}

#[cfg(test)]
mod tests;

//! Where the messages of an HTTP/1 connection begin and end, read more strictly than the server below needs it.
//!
//! Two parties that read the same bytes as different requests are what request smuggling is made of. The server would
//! take a line that ends without CR, a Content-Length that is given twice, and one beside a Transfer-Encoding. Here
//! none of these is taken: what a message is, is beyond doubt, or the connection ends (RFC 9112, sections 2.2, 6.3 and
//! 11.2).
//!
//! Pure: bytes in, a verdict out. It follows bodies only to know where the next head begins.

use std::mem;

/// How each HTTP/2 connection begins (RFC 9113, section 3.4). What follows is not judged here.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most header fields of one head: what the server below has room for.
pub(crate) const FIELDS_MAX: usize = 100;

/// Bytes of a line that are looked at: enough for every field that decides where a message ends.
const LINE_KEPT_BYTES: usize = 64;

/// Most hexadecimal digits of the size of a chunk: more would be no size that fits 64 bits.
const CHUNK_DIGITS_MAX: usize = 15;

/// What is wrong with the bytes, and which of them is the first that cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: usize,
    pub(crate) breach: Breach,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    #[error("a line ends without CR")]
    BareLf,
    #[error("a CR does not end a line")]
    BareCr,
    #[error("a header field is folded over lines")]
    Folded,
    #[error("the head is too large")]
    TooLarge,
    #[error("the head has too many fields")]
    TooManyFields,
    #[error("the Content-Length is no number, or is given twice")]
    ContentLength,
    #[error("the Transfer-Encoding is not `chunked`, or is given twice")]
    TransferEncoding,
    #[error("a Content-Length stands beside a Transfer-Encoding")]
    BothLengths,
    #[error("the size of a chunk is no number")]
    ChunkSize,
    #[error("a chunk does not end where it should")]
    ChunkEnd,
}

/// Follows the bytes of one connection.
#[derive(Debug)]
pub(crate) struct Strict {
    place: Place,
    line: Line,
    head: Head,
    head_bytes_max: usize,
}

/// Where the next byte stands.
#[derive(Debug)]
enum Place {
    /// At the very begin: this many bytes are those of the preface.
    Preface(usize),
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// Something else than HTTP/1.
    Open,
}

/// The line that the next byte belongs to.
#[derive(Debug, Default)]
struct Line {
    kept: Vec<u8>,
    length: usize,
    cr: bool,
}

/// What the head so far says.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    started: bool,
    fields: usize,
    content_length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Strict {
    /// The begin of a connection whose heads have at most so many bytes.
    pub(crate) fn new(head_bytes_max: usize) -> Self {
        Self {
            place: Place::Preface(0),
            line: Line::default(),
            head: Head::default(),
            head_bytes_max,
        }
    }

    /// Whether a head has begun and is not complete.
    pub(crate) fn is_in_head(&self) -> bool {
        match self.place {
            Place::Preface(matched) => matched > 0,
            Place::Head => self.head.bytes > 0,
            _ => false,
        }
    }

    /// Judges the next bytes.
    ///
    /// # Errors
    /// The first byte that cannot be taken. Nothing may be read after it.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut rest = bytes;
        loop {
            let taken = match &mut self.place {
                Place::Open => return Ok(()),
                Place::Preface(matched) => match take_preface(matched, rest) {
                    Some(taken) => taken,
                    None => {
                        let matched = PREFACE.get(..*matched).unwrap_or_default();
                        self.place = Place::Head;
                        // Whole lines of the preface are those of a head, so it is only counted.
                        for byte in matched {
                            let _ = self.take(*byte);
                        }
                        0
                    }
                },
                Place::Body(left) | Place::Chunk(left) => take_body(left, rest),
                _ => self.take_lines(rest).map_err(|violation| Violation {
                    at: bytes.len() - rest.len() + violation.at,
                    ..violation
                })?,
            };
            rest = rest.get(taken..).unwrap_or_default();
            self.advance();
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Goes on where nothing is left to be taken.
    fn advance(&mut self) {
        match self.place {
            Place::Preface(matched) if matched == PREFACE.len() => self.place = Place::Open,
            Place::Body(0) => self.place = Place::Head,
            Place::Chunk(0) => self.place = Place::ChunkEnd,
            _ => {}
        }
    }

    /// Takes some of what comes in lines: all up to the end of the line at once, then its end byte by byte.
    fn take_lines(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let is_text = |byte: &&u8| !matches!(byte, b'\r' | b'\n');
        let text = match self.line.cr {
            true => 0,
            false => bytes.iter().take_while(is_text).count(),
        };
        let (text, end) = bytes.split_at(text);
        if text.is_empty() {
            let end = end.first().into_iter().try_for_each(|byte| self.take(*byte));
            return match end {
                Ok(()) => Ok(bytes.len().min(1)),
                Err(breach) => Err(Violation { at: 0, breach }),
            };
        }
        if matches!(self.place, Place::ChunkEnd) {
            let breach = Breach::ChunkEnd;
            return Err(Violation { at: 0, breach });
        }
        let room = self.head_bytes_max.saturating_sub(self.head.bytes);
        if text.len() > room {
            let breach = Breach::TooLarge;
            return Err(Violation { at: room, breach });
        }
        self.head.bytes += text.len();
        self.line.take_text(text);
        Ok(text.len())
    }

    /// Takes a byte of the end of a line, or of what looks like it.
    fn take(&mut self, byte: u8) -> Result<(), Breach> {
        self.head.bytes += 1;
        if self.head.bytes > self.head_bytes_max {
            return Err(Breach::TooLarge);
        }
        if !self.line.take(byte)? {
            return Ok(());
        }
        let mut line = mem::take(&mut self.line);
        let done = self.end_line(&line);
        line.clear();
        // Its memory serves the next one.
        self.line = line;
        done
    }

    fn end_line(&mut self, line: &Line) -> Result<(), Breach> {
        match self.place {
            Place::Head => self.head_line(line),
            Place::ChunkSize => {
                self.head.bytes = 0;
                self.place = match line.chunk_size().ok_or(Breach::ChunkSize)? {
                    0 => Place::Trailer,
                    size => Place::Chunk(size),
                };
                Ok(())
            }
            Place::ChunkEnd => {
                self.place = Place::ChunkSize;
                Ok(())
            }
            Place::Trailer => {
                if line.length == 0 {
                    self.next_head();
                }
                Ok(())
            }
            Place::Preface(_) | Place::Body(_) | Place::Chunk(_) | Place::Open => Ok(()),
        }
    }

    fn head_line(&mut self, line: &Line) -> Result<(), Breach> {
        if !self.head.started {
            // Empty lines before a request are passed over.
            self.head.started = line.length > 0;
            return Ok(());
        }
        if line.length > 0 {
            return self.head.field(line);
        }
        self.place = if self.head.upgrade {
            Place::Open
        } else if self.head.chunked {
            self.head.bytes = 0;
            Place::ChunkSize
        } else {
            match self.head.content_length {
                Some(length @ 1..) => {
                    self.head = Head::default();
                    Place::Body(length)
                }
                _ => {
                    self.next_head();
                    return Ok(());
                }
            }
        };
        Ok(())
    }

    fn next_head(&mut self) {
        self.head = Head::default();
        self.place = Place::Head;
    }
}

impl Head {
    /// Reads a header field, as far as it says where the message ends.
    fn field(&mut self, line: &Line) -> Result<(), Breach> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Breach::TooManyFields);
        }
        if line.kept.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(Breach::Folded);
        }
        let Some(colon) = line.kept.iter().position(|byte| *byte == b':') else {
            return Ok(());
        };
        let (name, value) = line.kept.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let whole = line.length == line.kept.len();
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = whole.then(|| digits(value)).flatten();
            if self.content_length.is_some() || length.is_none() {
                return Err(Breach::ContentLength);
            }
            self.content_length = length;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !whole || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Breach::TransferEncoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
        if self.chunked && self.content_length.is_some() {
            return Err(Breach::BothLengths);
        }
        Ok(())
    }
}

impl Line {
    /// Whether the byte ends the line.
    fn take(&mut self, byte: u8) -> Result<bool, Breach> {
        if self.cr {
            return if byte == b'\n' {
                Ok(true)
            } else {
                Err(Breach::BareCr)
            };
        }
        match byte {
            b'\r' => self.cr = true,
            b'\n' => return Err(Breach::BareLf),
            _ => self.take_text(&[byte]),
        }
        Ok(false)
    }

    /// Takes what neither ends the line nor looks like it.
    fn take_text(&mut self, text: &[u8]) {
        self.length += text.len();
        let room = LINE_KEPT_BYTES - self.kept.len();
        self.kept.extend_from_slice(text.get(..room).unwrap_or(text));
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.length = 0;
        self.cr = false;
    }

    /// The line as the size of a chunk; what follows a semicolon is left to the server below.
    fn chunk_size(&self) -> Option<u64> {
        let size = self.kept.split(|byte| *byte == b';').next()?.trim_ascii_end();
        if size.is_empty() || size.len() > CHUNK_DIGITS_MAX {
            return None;
        }
        size.iter().try_fold(0, |sum, digit| {
            Some(sum * 16 + u64::from(char::from(*digit).to_digit(16)?))
        })
    }
}

/// The number that these digits, and nothing else, write.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// How many of `bytes` go on with the preface; `None` if they are something else.
fn take_preface(matched: &mut usize, bytes: &[u8]) -> Option<usize> {
    let wanted = PREFACE.get(*matched..).unwrap_or_default();
    let length = wanted.len().min(bytes.len());
    if wanted.get(..length) != bytes.get(..length) {
        return None;
    }
    *matched += length;
    Some(length)
}

/// How many of `bytes` belong to a body that has so many left.
fn take_body(left: &mut u64, bytes: &[u8]) -> usize {
    let length = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= length as u64;
    length
}

#[cfg(test)]
mod tests;

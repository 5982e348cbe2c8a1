//! Going through the elements of a structure, a part at a time: `HSCAN`, `SSCAN`, `ZSCAN`.
//!
//! An element has a place, which changes only when it is the last one and fills the gap that another left. A scan goes
//! from the last place to the first, and its cursor says how many are still to come: what is there all the time is seen,
//! whatever comes and goes meanwhile.

use std::iter::Rev;
use std::ops::Range;

use crate::args::{Args, parse_integer};
use crate::glob::Glob;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// How many places are looked at, if nothing is said.
const COUNT_DEFAULT: usize = 10;

/// What a scan asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScanOptions {
    /// A pattern that what is answered fits.
    pattern: Option<Glob>,
    /// How many places to look at.
    pub(crate) count: usize,
}

impl ScanOptions {
    /// Those among the arguments from an index on: `[MATCH pattern] [COUNT count]`.
    ///
    /// # Errors
    /// When there is something else, or a count that is none.
    pub(crate) fn read(args: &Args, from: usize) -> Result<Self, Refusal> {
        let mut options = Self {
            pattern: None,
            count: COUNT_DEFAULT,
        };
        for (pair, index) in args.from(from).chunks(2).zip((from..).step_by(2)) {
            let Some(value) = pair.get(1) else {
                return Err(Refusal::SYNTAX);
            };
            if args.is(index, "count") {
                let count = parse_integer(value).ok_or(Refusal::NOT_AN_INTEGER)?;
                options.count = match usize::try_from(count) {
                    Ok(count @ 1..) => count,
                    _ => return Err(Refusal::SYNTAX),
                };
            } else if args.is(index, "match") {
                options.pattern = Some(Glob::new(value)).filter(|pattern| !pattern.is_everything());
            } else {
                return Err(Refusal::SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether an element is asked for.
    pub(crate) fn fits(&self, element: &[u8]) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| pattern.matches(element))
    }
}

/// Answers where to go on, and how many bulk strings follow.
pub(crate) fn answer_head(reply: &mut Reply, next: u64, length: usize) {
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(length);
}

/// Answers that there is nothing to go through.
pub(crate) fn answer_none(reply: &mut Reply) {
    answer_head(reply, 0, 0);
}

/// Where a scan goes on: 0 at its beginning, and again at its end.
///
/// # Errors
/// When the argument is no cursor.
pub(crate) fn cursor(args: &Args, index: usize) -> Result<u64, Refusal> {
    let cursor = std::str::from_utf8(args.at(index)).ok();
    cursor
        .filter(|cursor| cursor.starts_with(|first: char| first.is_ascii_digit()))
        .and_then(|cursor| cursor.parse().ok())
        .ok_or(Refusal::new("ERR invalid cursor"))
}

/// The places to look at, in their order, and the next cursor.
pub(crate) fn places(cursor: u64, len: usize, count: usize) -> (Rev<Range<usize>>, u64) {
    let to = match usize::try_from(cursor).unwrap_or(usize::MAX) {
        0 => len,
        cursor => cursor.min(len),
    };
    let from = to.saturating_sub(count);
    ((from..to).rev(), from as u64)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn args(line: &str) -> Args {
        line.split(' ')
            .map(|arg| Bytes::copy_from_slice(arg.as_bytes()))
            .collect()
    }

    #[test]
    fn options_are_read() {
        let line = args("sscan key 0 MATCH a* count 7");
        let options = ScanOptions::read(&line, 3).unwrap();
        assert_eq!(options.count, 7);
        assert!(options.fits(b"ab") && !options.fits(b"b"));
        let line = args("sscan key 0 match *");
        assert_eq!(ScanOptions::read(&line, 3).unwrap().pattern, None);
        for (line, refusal) in [
            ("sscan key 0 MATCH", Refusal::SYNTAX),
            ("sscan key 0 TYPE x", Refusal::SYNTAX),
            ("sscan key 0 COUNT 0", Refusal::SYNTAX),
            ("sscan key 0 COUNT -1", Refusal::SYNTAX),
            ("sscan key 0 COUNT x", Refusal::NOT_AN_INTEGER),
        ] {
            assert_eq!(ScanOptions::read(&args(line), 3), Err(refusal), "{line}");
        }
    }

    #[test]
    fn cursors_are_read() {
        assert_eq!(cursor(&args("18446744073709551615"), 0), Ok(u64::MAX));
        for text in ["", "x", "-1", "+1", " 1", "18446744073709551616"] {
            assert!(cursor(&args(text), 0).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_scan_sees_every_place_once() {
        for count in 1..12 {
            let (mut seen, mut cursor) = (Vec::new(), 0);
            loop {
                let (places, next) = places(cursor, 10, count);
                seen.extend(places);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(seen, (0..10).rev().collect::<Vec<_>>());
        }
        let (all, next) = places(u64::MAX, 3, usize::MAX);
        assert_eq!((all.collect::<Vec<_>>(), next), (vec![2, 1, 0], 0));
        let (none, next) = places(0, 0, 10);
        assert_eq!((none.count(), next), (0, 0));
    }
}

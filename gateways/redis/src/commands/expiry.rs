//! When keys will be gone, as commands say it.

use switchboard_hub::keys::Timestamp;

use crate::args::{Args, parse_integer};
use crate::refusal::Refusal;

/// How a command counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
}

/// From when it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Now,
    Year1970,
}

/// A number that says when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) number: i64,
    pub(crate) unit: Unit,
    pub(crate) from: From,
}

impl When {
    /// The moment in milliseconds since 1970: it may have passed, even before 1970.
    ///
    /// # Errors
    /// When that is no number of 64 bits.
    pub(crate) fn millis(self, command: &str, now: Timestamp) -> Result<i64, Refusal> {
        let millis = match self.unit {
            Unit::Milliseconds => Some(self.number),
            Unit::Seconds => self.number.checked_mul(1000),
        };
        let millis = match self.from {
            From::Year1970 => millis,
            From::Now => millis.and_then(|millis| millis.checked_add(millis_of(now))),
        };
        millis.ok_or_else(|| invalid(command))
    }

    /// The moment, of a time that must be more than none.
    ///
    /// # Errors
    /// When it is not, or too far away.
    pub(crate) fn moment(self, command: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
        if self.number <= 0 {
            return Err(invalid(command));
        }
        self.millis(command, now).map(timestamp)
    }
}

fn invalid(command: &str) -> Refusal {
    Refusal::of(format!("ERR invalid expire time in '{command}' command"))
}

/// As Redis counts it.
pub(crate) fn millis_of(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

/// Before 1970 is 1970: both have passed.
pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Reads `EX seconds`, `PX milliseconds`, `EXAT` and `PXAT` at an index. `None` if it is none of these, or the number is
/// missing.
///
/// # Errors
/// The inner one, when the number is none: it counts only when all else is right.
pub(crate) fn when_at(args: &Args, index: usize) -> Option<Result<When, Refusal>> {
    let (unit, from) = match args.get(index)?.to_ascii_uppercase().as_slice() {
        b"EX" => (Unit::Seconds, From::Now),
        b"PX" => (Unit::Milliseconds, From::Now),
        b"EXAT" => (Unit::Seconds, From::Year1970),
        b"PXAT" => (Unit::Milliseconds, From::Year1970),
        _ => return None,
    };
    let number = args.get(index + 1)?;
    let when = parse_integer(number).map(|number| When { number, unit, from });
    Some(when.ok_or(Refusal::NOT_AN_INTEGER))
}

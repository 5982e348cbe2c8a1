//! Counting: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

use bytes::Bytes;

use crate::args::parse_integer;
use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long_double::LongDouble;
use crate::refusal::Refusal;

const COUNTS: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Fast];

pub(super) const INCR: Command = Command {
    name: "incr",
    arity: 2,
    flags: COUNTS,
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Adds 1 to an integer.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(|call| add(call, 1)),
};

pub(super) const DECR: Command = Command {
    name: "decr",
    arity: 2,
    flags: COUNTS,
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Takes 1 from an integer.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(|call| add(call, -1)),
};

pub(super) const INCRBY: Command = Command {
    name: "incrby",
    arity: 3,
    flags: COUNTS,
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Adds an integer to another one.",
    complexity: "O(1)",
    syntax: "key increment",
    support: Support::Full,
    run: Run::Keys(|call| {
        let by = call.args.integer(2)?;
        add(call, by)
    }),
};

pub(super) const DECRBY: Command = Command {
    name: "decrby",
    arity: 3,
    flags: COUNTS,
    keys: Keys::FIRST,
    since: "1.0.0",
    summary: "Takes an integer from another one.",
    complexity: "O(1)",
    syntax: "key decrement",
    support: Support::Full,
    run: Run::Keys(|call| {
        let by = call.args.integer(2)?;
        subtract(call, by)
    }),
};

pub(super) const INCRBYFLOAT: Command = Command {
    name: "incrbyfloat",
    arity: 3,
    flags: COUNTS,
    keys: Keys::FIRST,
    since: "2.6.0",
    summary: "Adds to a number with a fraction.",
    complexity: "O(1)",
    syntax: "key increment",
    support: Support::Differs(
        "numbers from 2^128 on, and those with more than 18 digits after the point, have 53 bits",
    ),
    run: Run::Keys(|call| {
        // A value of the wrong type is told first.
        call.cells.cell(&call.args.key(1)?)?.plain()?;
        let by = LongDouble::parse(call.args.at(2)).ok_or(Refusal::NOT_A_FLOAT)?;
        add_float(call, by)
    }),
};

/// Adds to the integer of the first key.
///
/// # Errors
/// When it is none, or the sum would be too great.
pub(crate) fn add(call: &mut Call<'_, '_>, by: i64) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let before = match cell.plain()? {
        Some(text) => parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = before
        .checked_add(by)
        .ok_or(Refusal::new("ERR increment or decrement would overflow"))?;
    let mut digits = itoa::Buffer::new();
    cell.put(Bytes::copy_from_slice(digits.format(sum).as_bytes()));
    call.effects.event(Class::String, "incrby", &key);
    call.reply.integer(sum);
    Ok(())
}

/// As [`add`].
pub(crate) fn subtract(call: &mut Call<'_, '_>, by: i64) -> Result<(), Refusal> {
    let by = by
        .checked_neg()
        .ok_or(Refusal::new("ERR decrement would overflow"))?;
    add(call, by)
}

/// Adds to the number of the first key.
///
/// # Errors
/// When it is none, or the sum is infinite.
pub(crate) fn add_float(call: &mut Call<'_, '_>, by: LongDouble) -> Result<(), Refusal> {
    let key = call.args.key(1)?;
    let cell = call.cells.cell(&key)?;
    let sum = match cell.plain()? {
        Some(text) => LongDouble::parse(text).ok_or(Refusal::NOT_A_FLOAT)?.plus(by),
        None => by,
    };
    let text = sum
        .text()
        .ok_or(Refusal::new("ERR increment would produce NaN or Infinity"))?;
    call.reply.bulk(text.as_bytes());
    cell.put(text);
    call.effects.event(Class::String, "incrbyfloat", &key);
    Ok(())
}

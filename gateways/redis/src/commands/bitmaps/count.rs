//! Counting and finding bits: BITCOUNT, BITPOS.

use crate::args::Args;
use crate::call::Call;
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

pub(super) const BITCOUNT: Command = Command {
    name: "bitcount",
    arity: -2,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.6.0",
    summary: "Tells how many bits of a value, or of a part of it, are set.",
    complexity: "O(N), N bytes",
    syntax: "key [start end [BYTE | BIT]]",
    support: Support::Full,
    run: Run::Keys(bitcount),
};

pub(super) const BITPOS: Command = Command {
    name: "bitpos",
    arity: -3,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.8.7",
    summary: "Finds the first bit of a value, or of a part of it, that is 0 or 1.",
    complexity: "O(N), N bytes",
    syntax: "key bit [start [end [BYTE | BIT]]]",
    support: Support::Full,
    run: Run::Keys(bitpos),
};

fn bitcount(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let range = match call.args.len() {
        2 => Range::ALL,
        4 | 5 => Range::read(call.args, 2)?,
        _ => return Err(Refusal::SYNTAX),
    };
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let value = cell.plain()?.unwrap_or_default();
    // From the end on, what ends before it begins has nothing, even if both are before the beginning.
    let is_backward = range.start < 0 && range.end < 0 && range.start > range.end;
    let bits = range.bits_of(value).filter(|_| !is_backward);
    let count = bits.map_or(0, |(first, last)| {
        let bytes = value.get(first / 8..=last / 8).unwrap_or_default();
        let count_all = || bytes.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
        let all = long::through_bytes(bytes.len(), count_all);
        all - before(bytes, first % 8) - after(bytes, last % 8)
    });
    call.reply.count(count);
    Ok(())
}

/// How many bits are set in the first byte before one.
fn before(bytes: &[u8], bit: usize) -> usize {
    let first = bytes.first().copied().unwrap_or_default();
    (first & !(0xff >> bit)).count_ones() as usize
}

/// How many bits are set in the last byte after one.
fn after(bytes: &[u8], bit: usize) -> usize {
    let last = bytes.last().copied().unwrap_or_default();
    (last & (0x7f >> bit)).count_ones() as usize
}

fn bitpos(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let is_set = match call.args.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(Refusal::new("ERR The bit argument must be 1 or 0.")),
    };
    let range = match call.args.len() {
        3 => Range::ALL,
        4..=6 => {
            // What is wrong is told in the order of Redis: the unit before the end.
            call.args.integer(3)?;
            in_bits(call.args, 5)?;
            Range::read(call.args, 3)?
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let Some(value) = cell.plain()? else {
        call.reply.integer(if is_set { -1 } else { 0 });
        return Ok(());
    };
    let place = range.bits_of(value).and_then(|(first, last)| {
        let found = long::through_bytes(value.len(), || find(value, is_set, first, last));
        // Without an end, zeros follow the value.
        found.or_else(|| (!is_set && call.args.len() < 5).then_some(value.len() * 8))
    });
    match place {
        Some(place) => call.reply.count(place),
        None => call.reply.integer(-1),
    }
    Ok(())
}

/// The first bit from one to another, both included, that is so.
fn find(value: &[u8], is_set: bool, first: usize, last: usize) -> Option<usize> {
    let bytes = value.get(first / 8..=last / 8)?;
    let mut skipped = first % 8;
    for (index, byte) in bytes.iter().enumerate() {
        let wanted = if is_set { *byte } else { !byte } & (0xff >> skipped);
        skipped = 0;
        if wanted != 0 {
            let place = (first / 8 + index) * 8 + wanted.leading_zeros() as usize;
            return (place <= last).then_some(place);
        }
    }
    None
}

/// Whether a part is counted in bits rather than in bytes.
fn in_bits(args: &Args, index: usize) -> Result<bool, Refusal> {
    let in_bits = args.is(index, "BIT");
    if args.get(index).is_some() && !in_bits && !args.is(index, "BYTE") {
        return Err(Refusal::SYNTAX);
    }
    Ok(in_bits)
}

/// A part of a value, as it is asked for: counted from the end if negative.
struct Range {
    start: i64,
    end: i64,
    in_bits: bool,
}

impl Range {
    const ALL: Self = Self {
        start: 0,
        end: -1,
        in_bits: false,
    };

    /// `start [end [BYTE | BIT]]`
    fn read(args: &Args, from: usize) -> Result<Self, Refusal> {
        let start = args.integer(from)?;
        let end = match args.get(from + 1) {
            Some(_) => args.integer(from + 1)?,
            None => -1,
        };
        let in_bits = in_bits(args, from + 2)?;
        Ok(Self { start, end, in_bits })
    }

    /// The first and the last bit of that part, if it has any.
    fn bits_of(&self, value: &[u8]) -> Option<(usize, usize)> {
        let unit = if self.in_bits { 1 } else { 8 };
        let length = value.len() * 8 / unit;
        let place = |index: i64| {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let place = if index < 0 {
                length.saturating_add(index)
            } else {
                index
            };
            usize::try_from(place).unwrap_or(0)
        };
        let (start, end) = (place(self.start), place(self.end).min(length.checked_sub(1)?));
        (start <= end).then(|| (start * unit, end * unit + unit - 1))
    }
}

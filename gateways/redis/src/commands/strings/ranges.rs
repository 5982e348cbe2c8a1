//! Parts of values: APPEND, STRLEN, GETRANGE, SUBSTR, SETRANGE.

use bytes::BytesMut;

use crate::call::{Call, Class};
use crate::command::{Command, Flag, Keys, Run, Support};
use crate::long;
use crate::refusal::Refusal;

use super::{check_length, value};

pub(super) const APPEND: Command = Command {
    name: "append",
    arity: 3,
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.0.0",
    summary: "Adds to the end of a value.",
    complexity: "O(N), N bytes of the value",
    syntax: "key value",
    support: Support::Full,
    run: Run::Keys(append),
};

pub(super) const STRLEN: Command = Command {
    name: "strlen",
    arity: 2,
    flags: &[Flag::ReadOnly, Flag::Fast],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Tells how many bytes a value has.",
    complexity: "O(1)",
    syntax: "key",
    support: Support::Full,
    run: Run::Keys(strlen),
};

pub(super) const GETRANGE: Command = Command {
    name: "getrange",
    arity: 4,
    flags: &[Flag::ReadOnly],
    keys: Keys::FIRST,
    since: "2.4.0",
    summary: "Tells a part of a value.",
    complexity: "O(N), N bytes of the part",
    syntax: "key start end",
    support: Support::Full,
    run: Run::Keys(getrange),
};

pub(super) const SUBSTR: Command = Command {
    name: "substr",
    since: "1.0.0",
    summary: "Tells a part of a value; the old name of GETRANGE.",
    ..GETRANGE
};

pub(super) const SETRANGE: Command = Command {
    name: "setrange",
    arity: 4,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: Keys::FIRST,
    since: "2.2.0",
    summary: "Overwrites a part of a value; zeros fill what is missing before it.",
    complexity: "O(N), N bytes of the value",
    syntax: "key offset value",
    support: Support::Full,
    run: Run::Keys(setrange),
};

fn append(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (key, more) = (call.args.key(1)?, call.args.at(2));
    let cell = call.cells.cell(&key)?;
    let length = match cell.plain()? {
        Some(old) => {
            check_length(old.len().saturating_add(more.len()))?;
            let joined = join(old, more);
            let length = joined.len();
            cell.put(joined.freeze());
            length
        }
        None => {
            cell.put(value(call.args, 2)?);
            more.len()
        }
    };
    call.effects.event(Class::String, "append", &key);
    call.reply.count(length);
    Ok(())
}

/// The same bytes, and behind them zeros if it is shorter.
pub(crate) fn copy_of(value: &[u8], length_min: usize) -> BytesMut {
    let length = value.len().max(length_min);
    long::through_bytes(length, || {
        let mut copy = BytesMut::with_capacity(length);
        copy.extend_from_slice(value);
        copy.resize(length, 0);
        copy
    })
}

/// One after the other.
pub(crate) fn join(first: &[u8], second: &[u8]) -> BytesMut {
    long::through_bytes(first.len(), || {
        let mut joined = BytesMut::with_capacity(first.len() + second.len());
        joined.extend_from_slice(first);
        joined.extend_from_slice(second);
        joined
    })
}

fn strlen(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let cell = call.cells.cell(&call.args.key(1)?)?;
    call.reply.count(cell.plain()?.map_or(0, <[u8]>::len));
    Ok(())
}

fn getrange(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let (start, end) = (call.args.integer(2)?, call.args.integer(3)?);
    let cell = call.cells.cell(&call.args.key(1)?)?;
    let value = cell.plain()?.unwrap_or_default();
    call.reply.bulk(part(value, start, end));
    Ok(())
}

/// From one byte to another, both included, counted from the end if negative.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let place = |index: i64| {
        let place = if index < 0 {
            length.saturating_add(index)
        } else {
            index
        };
        usize::try_from(place).unwrap_or(0)
    };
    let end = place(end).saturating_add(1).min(value.len());
    value.get(place(start)..end).unwrap_or_default()
}

fn setrange(call: &mut Call<'_, '_>) -> Result<(), Refusal> {
    let offset = call.args.integer(2)?;
    let offset = usize::try_from(offset).map_err(|_| Refusal::new("ERR offset is out of range"))?;
    let (key, new) = (call.args.key(1)?, call.args.at(3));
    let cell = call.cells.cell(&key)?;
    let old = cell.plain()?.unwrap_or_default();
    if new.is_empty() {
        call.reply.count(old.len());
        return Ok(());
    }
    let end = offset.saturating_add(new.len());
    check_length(end)?;
    let mut value = copy_of(old, end);
    if let Some(place) = value.get_mut(offset..end) {
        place.copy_from_slice(new);
    }
    call.reply.count(value.len());
    cell.put(value.freeze());
    call.effects.event(Class::String, "setrange", &key);
    Ok(())
}
